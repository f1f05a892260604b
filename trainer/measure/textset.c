/* textset.c - see textset.h. */
#include "textset.h"

#include <fcntl.h>
#include <string.h>

#include "colread.h"
#include "revision.h"

typedef struct reading {
    const char *spec, *text_column, *meta_column;
    ds_text_fn fn;
    void *ctx;
    uint64_t record;
} reading;

static int check_columns(const reading *r, const ds_schema *s, ds_err *err)
{
    const char *const names[2] = {r->text_column, r->meta_column};
    const enum ds_type wanted[2] = {DS_UTF8, DS_JSON};

    for (int i = 0; i < 2; i++) {
        const long col = ds_schema_find(s, names[i]);
        if (col < 0)
            return ds_fail(err, DS_FAIL, "'%s' has no column '%s'", r->spec, names[i]);
        if (s->cols[col].type != wanted[i])
            return ds_fail(err, DS_FAIL, "'%s': column '%s' holds %s, not %s", r->spec, names[i],
                           ds_type_name(s->cols[col].type), ds_type_name(wanted[i]));
    }
    return 0;
}

static int each_row(reading *r, ds_colview *text, ds_colview *meta, ds_err *err)
{
    ds_value t, m;
    int rc = 0;

    while (!rc && ds_colview_next(text, &t) && ds_colview_next(meta, &m)) {
        if (t.null)
            return ds_fail(err, DS_FAIL, "'%s': record %llu has no text", r->spec,
                           (unsigned long long)r->record);
        rc = r->fn(r->ctx, r->record, t.p, t.len, m.null ? NULL : m.p, m.null ? 0 : m.len, err);
        r->record++;
    }
    return rc;
}

static int each_of_store(reading *r, const char *store, ds_err *err)
{
    ds_store s = {0};
    ds_revision rev = {0};
    ds_colread *text = NULL, *meta = NULL;
    ds_buf tb = {0}, mb = {0};
    ds_colview tv, mv;
    int rc = ds_store_open(&s, store, DS_OBJ_READ, err);

    rc = rc ? rc : ds_revision_find(&rev, &s, r->spec, err);
    rc = rc ? rc : ds_colread_open(&text, &s, &rev.id, r->text_column, err);
    rc = rc ? rc : check_columns(r, ds_colread_schema(text), err);
    rc = rc ? rc : ds_colread_open(&meta, &s, &rev.id, r->meta_column, err);
    for (size_t b = 0; !rc && b < ds_colread_blocks(text); b++) {
        rc = ds_colread_block(text, b, &tb, &tv, err);
        rc = rc ? rc : ds_colread_block(meta, b, &mb, &mv, err);
        rc = rc ? rc : each_row(r, &tv, &mv, err);
    }
    ds_buf_fini(&tb);
    ds_buf_fini(&mb);
    ds_colread_close(text);
    ds_colread_close(meta);
    ds_revision_fini(&rev);
    ds_store_close(&s);
    return rc;
}

static int each_of_block(reading *r, const ds_schema *s, const ds_block *b, ds_err *err)
{
    const long t = ds_schema_find(s, r->text_column), m = ds_schema_find(s, r->meta_column);
    ds_colview tv, mv;
    int rc =
        ds_colview_open(&tv, &s->cols[t], b->chunks[t].body, b->chunks[t].body_len, b->rows, err);

    rc = rc ? rc
            : ds_colview_open(&mv, &s->cols[m], b->chunks[m].body, b->chunks[m].body_len, b->rows,
                              err);
    return rc ? rc : each_row(r, &tv, &mv, err);
}

static int each_of_file(reading *r, ds_err *err)
{
    ds_reader *in = NULL;
    ds_blockcheck *check = NULL;
    enum ds_event ev = DS_EV_SOURCE;
    int fd = -1, rc = ds_open(&fd, r->spec, O_RDONLY, 0, err);

    rc = rc ? rc : ds_reader_new(&in, fd, r->spec, err);
    rc = rc ? rc : check_columns(r, ds_reader_schema(in), err);
    rc = rc ? rc : ds_blockcheck_new(&check, ds_reader_schema(in), err);
    while (!rc && ev != DS_EV_END) {
        rc = ds_reader_next(in, &ev, err);
        if (rc || ev != DS_EV_BLOCK)
            continue;
        rc = ds_blockcheck_block(check, ds_reader_block(in), err);
        rc = rc ? rc : each_of_block(r, ds_reader_schema(in), ds_reader_block(in), err);
    }
    rc = rc ? rc : ds_blockcheck_end(check, err);
    ds_blockcheck_free(check);
    ds_reader_free(in);
    ds_close(&fd, r->spec, NULL);
    return rc;
}

int ds_texts_each(const char *spec, const char *store, const char *text_column,
                  const char *meta_column, ds_text_fn fn, void *ctx, ds_err *err)
{
    reading r = {spec, text_column, meta_column, fn, ctx, 0};
    const size_t len = strlen(spec);

    return len > 4 && !strcmp(spec + len - 4, ".dsr") ? each_of_file(&r, err)
                                                      : each_of_store(&r, store, err);
}
