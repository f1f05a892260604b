/* fuzz_oplog.c - an operation log as a bad disk or somebody else may leave it. The first byte of
 * the input says whether each line's number, `prev` and `hash` are made right first, so that what
 * the entries say is believed. Whatever stands there, two entries that are appended follow each
 * other. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "oplog.h"
#include "rmtree.h"
#include "storefind.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok)
{
    if (!ok)
        abort();
}

static char *folder, *path;

static void remove_folder(void)
{
    ds_remove_tree(folder);
    free(folder);
    free(path);
}

/* ---- sums made right ---- */

/* What stands between the two members that are put anew, as far as it can be told. */
static void mend_line(ds_buf *out, const uint8_t *p, size_t n, uint64_t seq, ds_sha *prev)
{
    static const char mark[] = ",\"prev\":\"";
    const uint8_t *from = memchr(p, ',', n), *to = memmem(p, n, mark, sizeof mark - 1);
    const size_t at = out->len;
    char hex[65];

    ds_sha_hex(hex, prev);
    require(ds_buf_printf(out, "{\"seq\":%" PRIu64, seq) == 0);
    if (from && to && to > from)
        require(ds_buf_put(out, from, (size_t)(to - from)) == 0);
    require(ds_buf_printf(out, "%s%s\"", mark, hex) == 0);
    require(ds_sha_bytes(prev, out->data + at, out->len - at, NULL) == 0);
    ds_sha_hex(hex, prev);
    require(ds_buf_printf(out, ",\"hash\":\"%s\"}\n", hex) == 0);
}

static void mend(ds_buf *out, const uint8_t *p, size_t n)
{
    ds_sha prev = {{0}};
    uint64_t seq = 0;
    const uint8_t *nl;

    for (; n && (nl = memchr(p, '\n', n)); n -= (size_t)(nl - p) + 1, p = nl + 1)
        mend_line(out, p, (size_t)(nl - p), ++seq, &prev);
    require(ds_buf_put(out, p, n) == 0);
}

/* ---- reading ---- */

typedef struct seen {
    uint64_t lines, end;
    bool trouble, last_trouble;
    ds_oprefs refs;
} seen;

static int on_entry(void *ctx, const ds_opentry *e, ds_err *err)
{
    seen *s = ctx;

    require(e->line == ++s->lines && e->offset >= s->end);
    require(e->time && e->actor && e->command && e->reason && e->ref && e->detail);
    s->end = e->offset + 1;
    s->last_trouble = e->trouble != NULL;
    s->trouble = s->trouble || e->trouble;
    return ds_oprefs_add(&s->refs, e, err);
}

static int read_all(seen *s)
{
    ds_err err = {0};

    *s = (seen){0};
    const int rc = ds_oplog_each(folder, on_entry, s, &err);
    require(rc == 0 || (rc == DS_CORRUPT && rc == err.code && *err.msg));
    for (size_t i = 0; i < s->refs.n; i++)
        require(ds_oprefs_find(&s->refs, s->refs.v[i].name) == &s->refs.v[i]);
    ds_oprefs_fini(&s->refs);
    return rc;
}

static int append(const char *detail)
{
    ds_oplog *l = NULL;
    ds_err err = {0};

    require(ds_oplog_new(&l, folder, &err) == 0);
    require(ds_oplog_act(l, "fuzz", "A <a@b>", detail, &err) == 0);
    const int rc = ds_oplog_append(l, NULL, 0, detail, &err);
    require(rc == 0 || (rc == DS_CORRUPT && *err.msg));
    ds_oplog_free(l);
    return rc;
}

static void write_log(const uint8_t *p, size_t n)
{
    FILE *f = fopen(path, "wb");

    require(f && fwrite(p, 1, n, f) == n && fclose(f) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    ds_err err = {0};
    ds_buf b = {0};
    seen s, t;

    if (!folder) {
        require(ds_temp_folder(&folder, "fuzz", &err) == 0 && atexit(remove_folder) == 0);
        require(ds_store_path(&path, folder, "oplog", &err) == 0);
    }
    if (len < 1)
        return 0;
    if (data[0] & 1)
        mend(&b, data + 1, len - 1);
    else
        require(ds_buf_put(&b, data + 1, len - 1) == 0);
    write_log(b.data, b.len);
    const int before = read_all(&s);
    if (append("a \xff\"text\"") == 0 && append(NULL) == 0 && before == 0) {
        require(read_all(&t) == 0 && t.lines == s.lines + 2 && !t.last_trouble);
        require(s.trouble || !t.trouble);
    }
    ds_buf_fini(&b);
    return 0;
}
