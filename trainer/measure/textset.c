/* textset.c - see textset.h. */
#include "textset.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "colread.h"
#include "erasedlist.h"
#include "json.h"
#include "pin.h"
#include "revision.h"

typedef struct reading {
    const char *spec, *text_column, *truth;
    ds_text_fn fn;
    void *ctx;
    uint64_t record;
    char *column;       /* of the truth */
    const char *member; /* in truth, or NULL */
    enum ds_type type;
    ds_buf answer;
    ds_buf erased; /* ds_records: tombstones, which are no texts */
    size_t passed; /* of them */
} reading;

static int no_column(const reading *r, const char *name, ds_err *err)
{
    return ds_fail(err, DS_FAIL, "'%s' has no column '%s'", r->spec, name);
}

static int wrong_type(const reading *r, const ds_column *c, const char *wanted, ds_err *err)
{
    return ds_fail(err, DS_FAIL, "'%s': column '%s' holds %s, not %s", r->spec, c->name,
                   ds_type_name(c->type), wanted);
}

/* The whole name is a column, or what stands before its first dot is one of JSON. */
static int find_columns(reading *r, const ds_schema *s, ds_err *err)
{
    const long text = ds_schema_find(s, r->text_column);
    const char *dot = strchr(r->truth, '.');
    long truth = ds_schema_find(s, r->truth);

    if (text < 0)
        return no_column(r, r->text_column, err);
    if (s->cols[text].type != DS_UTF8)
        return wrong_type(r, &s->cols[text], "utf8", err);
    if (truth < 0 && dot)
        r->member = dot + 1;
    free(r->column);
    r->column = r->member ? strndup(r->truth, (size_t)(dot - r->truth)) : strdup(r->truth);
    if (!r->column)
        return ds_fail_nomem(err);
    truth = ds_schema_find(s, r->column);
    if (truth < 0)
        return no_column(r, r->column, err);
    r->type = s->cols[truth].type;
    if (r->member && r->type != DS_JSON)
        return wrong_type(r, &s->cols[truth], "json", err);
    return r->member || r->type == DS_UTF8 || r->type == DS_I64 || r->type == DS_BOOL
               ? 0
               : wrong_type(r, &s->cols[truth], "utf8, i64 or bool", err);
}

static int member_text(reading *r, const ds_value *v, bool *there, ds_err *err)
{
    json_t *o = NULL;
    const json_t *m;
    int rc = ds_json_parse(&o, v->p, v->len, r->column, err);

    m = rc ? NULL : json_object_get(o, r->member);
    *there = true;
    if (json_is_string(m))
        rc = ds_buf_put(&r->answer, json_string_value(m), json_string_length(m));
    else if (json_is_integer(m))
        rc = ds_buf_printf(&r->answer, "%lld", (long long)json_integer_value(m));
    else if (json_is_boolean(m))
        rc = ds_buf_puts(&r->answer, json_is_true(m) ? "true" : "false");
    else
        *there = false;
    json_decref(o);
    return rc;
}

static int answer_of(reading *r, const ds_value *v, bool *there, ds_err *err)
{
    int rc = 0;

    ds_buf_reset(&r->answer);
    *there = !v->null;
    if (v->null)
        return 0;
    if (r->member)
        rc = member_text(r, v, there, err);
    else if (r->type == DS_UTF8)
        rc = ds_buf_put(&r->answer, v->p, v->len);
    else if (r->type == DS_I64)
        rc = ds_buf_printf(&r->answer, "%lld", (long long)v->i);
    else
        rc = ds_buf_puts(&r->answer, v->i ? "true" : "false");
    return rc && !err->code ? ds_fail_nomem(err) : rc;
}

static bool is_erased(reading *r)
{
    const ds_records *v = (const ds_records *)(const void *)r->erased.data;
    const size_t n = r->erased.len / sizeof *v;

    while (r->passed < n && v[r->passed].first + v[r->passed].n <= r->record)
        r->passed++;
    return r->passed < n && v[r->passed].first <= r->record;
}

static int each_row(reading *r, ds_colview *text, ds_colview *truth, ds_err *err)
{
    ds_value t, v;
    bool there = false;
    int rc = 0;

    for (; !rc && ds_colview_next(text, &t) && ds_colview_next(truth, &v); r->record++) {
        if (is_erased(r))
            continue;
        if (t.null)
            return ds_fail(err, DS_FAIL, "'%s': record %llu has no text", r->spec,
                           (unsigned long long)r->record);
        rc = answer_of(r, &v, &there, err);
        rc = rc ? rc
                : r->fn(r->ctx, r->record, t.p, t.len, there ? ds_buf_cstr(&r->answer) : NULL,
                        r->answer.len, err);
    }
    return rc;
}

static int each_of_store(reading *r, const char *store, ds_err *err)
{
    ds_store s = {0};
    ds_pin pin = {.gate = -1, .fd = -1}; /* gc leaves the version alone meanwhile */
    ds_revision rev = {0};
    ds_colread *text = NULL, *truth = NULL;
    ds_buf tb = {0}, ab = {0};
    ds_colview tv, av;
    int rc = ds_store_open(&s, store, DS_OBJ_READ, err);

    rc = rc ? rc : ds_pin_begin(&pin, &s, err);
    rc = rc ? rc : ds_revision_find(&rev, &s, r->spec, err);
    rc = rc ? rc : ds_pin_set(&pin, &s, &rev.id, err);
    rc = rc ? rc : ds_colread_open(&text, &s, &rev.id, r->text_column, err);
    rc = rc ? rc : find_columns(r, ds_colread_schema(text), err);
    rc = rc ? rc : ds_colread_open(&truth, &s, &rev.id, r->column, err);
    if (!rc && ds_colread_erased(text))
        rc = ds_erasedlist(&r->erased, &s, &rev.id, err);
    for (size_t b = 0; !rc && b < ds_colread_blocks(text); b++) {
        rc = ds_colread_block(text, b, &tb, &tv, err);
        rc = rc ? rc : ds_colread_block(truth, b, &ab, &av, err);
        rc = rc ? rc : each_row(r, &tv, &av, err);
    }
    ds_buf_fini(&tb);
    ds_buf_fini(&ab);
    ds_colread_close(text);
    ds_colread_close(truth);
    ds_revision_fini(&rev);
    ds_pin_end(&pin);
    ds_store_close(&s);
    return rc;
}

static int each_of_block(reading *r, const ds_schema *s, const ds_block *b, ds_err *err)
{
    const long t = ds_schema_find(s, r->text_column), a = ds_schema_find(s, r->column);
    ds_colview tv, av;
    int rc =
        ds_colview_open(&tv, &s->cols[t], b->chunks[t].body, b->chunks[t].body_len, b->rows, err);

    rc = rc ? rc
            : ds_colview_open(&av, &s->cols[a], b->chunks[a].body, b->chunks[a].body_len, b->rows,
                              err);
    return rc ? rc : each_row(r, &tv, &av, err);
}

static int each_of_file(reading *r, ds_err *err)
{
    ds_reader *in = NULL;
    ds_blockcheck *check = NULL;
    enum ds_event ev = DS_EV_SOURCE;
    int fd = -1, rc = ds_open(&fd, r->spec, O_RDONLY, 0, err);

    rc = rc ? rc : ds_reader_new(&in, fd, r->spec, err);
    rc = rc ? rc : find_columns(r, ds_reader_schema(in), err);
    rc = rc ? rc : ds_blockcheck_new(&check, ds_reader_schema(in), err);
    while (!rc && ev != DS_EV_END) {
        rc = ds_reader_next(in, &ev, err);
        if (rc || ev != DS_EV_BLOCK)
            continue;
        rc = ds_blockcheck_block(check, ds_reader_block(in), err);
        rc = rc ? rc : each_of_block(r, ds_reader_schema(in), ds_reader_block(in), err);
    }
    ds_blockcheck_free(check);
    ds_reader_free(in);
    ds_close(&fd, r->spec, NULL);
    return rc;
}

int ds_texts_each(const char *spec, const char *store, const char *text_column, const char *truth,
                  ds_text_fn fn, void *ctx, ds_err *err)
{
    reading r = {.spec = spec, .text_column = text_column, .truth = truth, .fn = fn, .ctx = ctx};
    const size_t len = strlen(spec);
    const int rc = len > 4 && !strcmp(spec + len - 4, ".dsr") ? each_of_file(&r, err)
                                                              : each_of_store(&r, store, err);
    ds_buf_fini(&r.answer);
    ds_buf_fini(&r.erased);
    free(r.column);
    return rc;
}
