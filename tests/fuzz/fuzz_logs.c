/* fuzz_logs.c - logs: no parser leaves its bytes, what it calls JSON is JSON, and the records do
 * not depend on where the input is cut. The first byte is the format and how lines are joined, the
 * second the cut. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "logsource.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok)
{
    if (!ok)
        abort();
}

static void check_row(ds_jscan *j, const ds_textrow *row, uint64_t len)
{
    require(row->offset <= len && row->len <= len - row->offset);
    if (row->reason) {
        require(row->why && row->at <= len);
        return;
    }
    const ds_logrow *r = row->cells;
    require(r->v[DS_LC_TEXT].p != NULL);
    for (int c = 0; c < DS_LC_N; c++) {
        const ds_logcell *v = &r->v[c];
        if (!v->p || ds_logcol_number((enum ds_logcol)c))
            continue;
        require(v->n >= 0 && ds_utf8_check(v->p, (size_t)v->n) == (size_t)v->n);
    }
    const ds_logcell *f = &r->v[DS_LC_FIELDS];
    require(!f->p || (ds_jscan_text(j, f->p, (size_t)f->n, 128) == 0 && j->kind == DS_J_OBJECT));
}

/* A batch as text: what two cuts are compared by. */
static void dump(ds_buf *out, ds_textbatch *b, uint64_t len)
{
    ds_jscan j = {0};
    for (size_t i = 0; i < b->n; i++) {
        const ds_textrow *row = &b->v[i];
        const ds_logrow *r = row->cells;
        check_row(&j, row, len);
        require(ds_buf_printf(out, "%s %llu %llu", row->reason ? row->reason : "",
                              (unsigned long long)row->offset, (unsigned long long)row->len) == 0);
        for (int c = 0; !row->reason && c < DS_LC_N; c++) {
            require(ds_buf_printf(out, "|%lld ", r->v[c].p ? (long long)r->v[c].n : -1) == 0);
            if (r->v[c].p && !ds_logcol_number((enum ds_logcol)c))
                require(ds_buf_put(out, r->v[c].p, (size_t)r->v[c].n) == 0);
        }
        require(ds_buf_putc(out, '\n') == 0);
    }
    ds_jscan_fini(&j);
}

/* Copies, so that a read past the end is seen. */
static void records(ds_buf *out, const ds_logsource *s, ds_buf *before, const uint8_t *p,
                    size_t len, size_t base, size_t total)
{
    ds_textbatch b = {0};
    uint8_t *copy = malloc(len ? len : 1);
    require(copy != NULL);
    memcpy(copy, p, len);
    const ds_textblock k = {
        .p = copy, .len = len, .base = base, .before = before, .last = base + len == total};
    require(ds_logsource_records(s, &b, &k) == 0);
    require(ds_logsource_pass(s, before, copy, len) == 0);
    dump(out, &b, total);
    ds_textbatch_fini(&b);
    free(copy);
}

static void check_source(const ds_logopts *o, const uint8_t *p, size_t len, size_t step)
{
    void *s;
    size_t used;
    const char *reason;
    ds_buf note = {0}, all = {0}, cut = {0}, before = {0};
    ds_err err = {0};
    int rc = ds_logsource_open((void *)(uintptr_t)o, &s, "x-20240131", p, len, &used, &note,
                               &reason, &err);
    require(rc == 0 || (rc == DS_FAIL && err.code));
    if (rc == 0) {
        require(used <= len);
        records(&all, s, &before, p + used, len - used, used, len);
        before.len = 0;
        for (size_t at = used, end = at; at < len;) {
            end = end + step < len ? end + step : len;
            size_t n = end == len ? len - at : ds_logsource_whole(s, p + at, end - at);
            require(n <= end - at);
            if (n > 0)
                records(&cut, s, &before, p + at, n, at, len);
            at += n;
        }
        require(all.len == cut.len && (all.len == 0 || memcmp(all.data, cut.data, all.len) == 0));
        ds_logsource_close(s);
    }
    ds_buf_fini(&note);
    ds_buf_fini(&all);
    ds_buf_fini(&cut);
    ds_buf_fini(&before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    ds_logpattern *pattern = NULL;
    ds_logopts o = {.format = (enum ds_logformat)(data[0] % 32 % DS_LOG_APACHE),
                    .join = (enum ds_logjoin)(data[0] / 32 % 3),
                    .max_record = 1 << 16,
                    .max_depth = 20};
    require(ds_logpattern_new(&pattern,
                              "^(?<time>\\S+ \\S+) (?<level>\\w+) (?<x>\\w*) (?<message>.*)",
                              NULL) == 0);
    o.pattern = pattern;
    uint8_t *copy = malloc(len - 1);
    require(copy != NULL);
    memcpy(copy, data + 2, len - 2);
    check_source(&o, copy, len - 2, (size_t)data[1] + 1);
    free(copy);
    ds_logpattern_free(pattern);
    return 0;
}
