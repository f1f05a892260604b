/* cmd_tok_records.c - see cmd_tok_records.h. */
#include "cmd_tok_records.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dsr_frame.h"
#include "dsr_io.h"
#include "sig.h"
#include "utf8.h"

#define PART ((size_t)4 << 20)

bool tok_is_records(const void *p, size_t len)
{
    return len >= DS_MAGIC_LEN && memcmp(p, DS_MAGIC, DS_MAGIC_LEN) == 0;
}

static int column_of(const tok_reader *r, const ds_schema *s, const char *path, size_t *column,
                     ds_err *err)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->cols[i].name, r->column) == 0) {
            *column = i;
            return s->cols[i].type == DS_UTF8
                       ? 0
                       : ds_fail(err, DS_FAIL, "%s: column '%s' is %s, not text", path, r->column,
                                 ds_type_name(s->cols[i].type));
        }
    return ds_fail(err, DS_FAIL, "%s: it has no column '%s' (--column names another)", path,
                   r->column);
}

static int add_text(tok_reader *r, ds_buf *part, const ds_value *x, const char *path,
                    uint64_t record, ds_err *err)
{
    const size_t good = ds_utf8_check(x->p, x->len);

    if (good < x->len)
        return ds_fail(err, DS_FAIL, "%s: record %" PRIu64 ": not UTF-8 at byte %zu of its text",
                       path, record, good);
    if (ds_buf_put(part, x->p, x->len) != 0 || ds_buf_put(part, "\n", r->whole ? 0 : 1) != 0)
        return ds_fail_nomem(err);
    r->bytes += x->len + !r->whole;
    return r->whole || part->len >= PART ? tok_hand_over(r, part, r->whole, err) : 0;
}

static int feed_block(tok_reader *r, ds_reader *in, size_t column, ds_colview *views, ds_buf *part,
                      uint64_t *records, ds_err *err)
{
    const ds_block *b = ds_reader_block(in);
    const char *path = r->path;
    int rc = ds_block_views(b, ds_reader_schema(in), views, err);

    for (uint64_t i = 0; i < b->rows && rc == 0; i++) {
        ds_value x;
        if (!ds_colview_next(&views[column], &x))
            return ds_fail(err, DS_CORRUPT, "%s: column '%s' has too few rows", path, r->column);
        if (!x.null)
            rc = add_text(r, part, &x, path, *records + i, err);
    }
    *records += b->rows;
    return rc;
}

int tok_read_records(tok_reader *r, const void *head, size_t n, int fd, const char *path,
                     ds_err *err)
{
    ds_reader *in = NULL;
    ds_colview *views = NULL;
    ds_buf part = {0};
    uint64_t records = 0;
    size_t column = 0;
    enum ds_event ev = DS_EV_SOURCE;
    int rc = ds_reader_after(&in, head, n, fd, path, err);

    r->path = path;
    r->offset = 0;
    rc = rc ? rc : column_of(r, ds_reader_schema(in), path, &column, err);
    if (rc == 0 && (views = calloc(ds_reader_schema(in)->n, sizeof *views)) == NULL)
        rc = ds_fail_nomem(err);
    while (rc == 0 && ev != DS_EV_END) {
        rc = ds_check_interrupt(err);
        rc = rc ? rc : ds_reader_next(in, &ev, err);
        if (rc == 0 && ev == DS_EV_BLOCK)
            rc = feed_block(r, in, column, views, &part, &records, err);
    }
    if (rc == 0)
        rc = tok_hand_over(r, &part, true, err);
    r->files += rc == 0;
    free(views);
    ds_buf_fini(&part);
    ds_reader_free(in);
    return rc;
}
