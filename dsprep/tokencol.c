/* tokencol.c - see tokencol.h. */
#include "tokencol.h"

#include <string.h>

#include "json.h"

int ds_tokenplan_init(ds_tokenplan *p, const ds_schema *in, const ds_tok *tok, const char *column,
                      const char *name, unsigned flags, ds_err *err)
{
    memset(p, 0, sizeof *p);
    long text = ds_schema_find(in, column);
    if (text < 0)
        return ds_fail(err, DS_FAIL, "no column '%s' in the stream (--column names the text)",
                       column);
    if (in->cols[text].type != DS_UTF8)
        return ds_fail(err, DS_FAIL, "column '%s' is %s, not text", column,
                       ds_type_name(in->cols[text].type));
    if (ds_schema_find(in, name) >= 0)
        return ds_fail(err, DS_FAIL,
                       "the stream has a column '%s' already (--name chooses another)", name);
    p->tok = tok;
    p->flags = flags;
    p->text = (size_t)text;

    char hex[65];
    ds_buf attrs = {0};
    json_t *o = NULL;
    ds_sha_hex(hex, ds_tok_digest(tok));
    int rc = ds_schema_copy(&p->schema, in, err);
    if (rc == 0) {
        o = json_pack("{s:s, s:o}", "source", column, "tokenizer", json_sprintf("sha256:%s", hex));
        rc = o ? ds_json_dump(&attrs, o, err) : ds_fail_nomem(err);
        json_decref(o);
    }
    const char *text_attrs = rc ? NULL : ds_buf_cstr(&attrs);
    if (rc == 0 && !text_attrs)
        rc = ds_fail_nomem(err);
    enum ds_type type = ds_tok_max_id(tok) <= 65535 ? DS_TOKENS16 : DS_TOKENS32;
    if (rc == 0)
        rc = ds_schema_add(&p->schema, NULL, name, type, in->cols[text].nullable, false, false,
                           text_attrs, err);
    if (rc == 0)
        rc = ds_schema_check(&p->schema, err);
    ds_buf_fini(&attrs);
    if (rc)
        ds_tokenplan_fini(p);
    return rc;
}

void ds_tokenplan_fini(ds_tokenplan *p)
{
    ds_schema_fini(&p->schema);
    memset(p, 0, sizeof *p);
}

typedef struct sink_ctx {
    ds_tokencol *col;
    ds_spool *spool; /* that the text lies in, or NULL */
    size_t at;       /* where the text begins in it */
} sink_ctx;

static int sink(void *ctx, const uint32_t *ids, size_t n, uint64_t consumed, ds_err *err)
{
    sink_ctx *s = ctx;
    if (s->spool)
        ds_spool_release(s->spool, s->at + (size_t)consumed);
    s->col->tokens += n;
    return n ? ds_colbuild_part_tokens(&s->col->build, ids, n, err) : 0;
}

static int row(ds_tokencol *c, const ds_tokenplan *p, const ds_chunk *chunk, const ds_value *x,
               ds_err *err)
{
    if (x->null)
        return ds_colbuild_null(&c->build, err);
    sink_ctx s = {.col = c, .spool = chunk->spool, .at = (size_t)(x->p - chunk->body)};
    int rc = ds_colbuild_begin(&c->build, err);
    if (rc == 0)
        rc = ds_tok_encode_to(p->tok, c->state, x->p, x->len, p->flags, sink, &s, err);
    c->bytes += x->len;
    return rc ? rc : ds_colbuild_end(&c->build, err);
}

int ds_tokencol_block(ds_tokencol *c, const ds_tokenplan *p, const ds_block *b, ds_err *err)
{
    const ds_column *col = &p->schema.cols[p->schema.n - 1];
    const ds_chunk *chunk = &b->chunks[p->text];
    ds_colview v;
    ds_value x;
    int rc = c->state ? 0 : ds_tok_state_new(&c->state, p->tok, err);
    if (rc)
        return rc;
    if (!c->ready)
        ds_colbuild_init(&c->build, col->type, col->item, col->nullable);
    else
        ds_colbuild_reset(&c->build);
    c->ready = true;
    c->tokens = c->bytes = 0;
    rc = ds_colview_open(&v, &p->schema.cols[p->text], chunk->body, chunk->body_len, b->rows, err);
    if (rc == 0)
        rc = ds_colview_check(&v, chunk->spool, err); /* text is UTF-8 from here on */
    for (uint64_t i = 0; rc == 0 && ds_colview_next(&v, &x); i++) {
        rc = row(c, p, chunk, &x, err);
        if (rc)
            ds_err_prefix(err, "column %s, record %llu of the block", p->schema.cols[p->text].name,
                          (unsigned long long)i);
    }
    return rc ? rc : ds_colbuild_chunk(&c->build, &c->head, &c->chunk, err);
}

void ds_tokencol_fini(ds_tokencol *c)
{
    if (c->ready)
        ds_colbuild_fini(&c->build);
    ds_tok_state_free(c->state);
    ds_buf_fini(&c->head);
    memset(c, 0, sizeof *c);
}
