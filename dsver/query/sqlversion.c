/* sqlversion.c - tables of commits, refs, and what versions are made of; see sqlview_priv.h. */
#include <stdlib.h>

#include "dsr_origin.h"
#include "history.h"
#include "refs.h"
#include "revision.h"
#include "sourcescan.h"
#include "sig.h"
#include "sqlview_priv.h"

/* ---- of the catalog ---- */

static int one_commit(void *ctx, const git_oid *id, const ds_version *v, const ds_err *why,
                      ds_err *err)
{
    ds_sqlput *p = ctx;
    char date[32];
    if (!v)
        return ds_fail(err, why->code, "version %s: %s", git_oid_tostr_s(id), why->msg);
    if (!*v->dataset)
        return 0;
    int rc = ds_version_meta(NULL, p->v->store->cat, v, err);
    if (rc)
        return rc;
    ds_date_text(date, v->time);
    ds_sqlput_str(p, v->dataset);
    ds_sqlput_oid(p, id);
    ds_sqlput_oid(p, v->has_parent ? &v->parent : NULL);
    ds_sqlput_oid(p, v->has_merged ? &v->merged : NULL);
    ds_sqlput_str(p, date);
    ds_sqlput_str(p, v->author);
    ds_sqlput_str(p, v->message);
    ds_sqlput_num(p, v->records);
    ds_sqlput_sha(p, &v->root);
    return ds_sqlput_row(p, err);
}

int ds_sqlfill_commits(ds_sqlput *p, ds_err *err)
{
    return ds_history_each(p->v->store->cat, one_commit, p, err);
}

static int one_ref(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    ds_sqlput *p = ctx;
    ds_sqlput_str(p, name);
    ds_sqlput_oid(p, id);
    return ds_sqlput_row(p, err);
}

int ds_sqlfill_refs(ds_sqlput *p, ds_err *err)
{
    return ds_ref_each(p->v->store->cat, one_ref, p, err);
}

/* ---- of versions ---- */

int ds_sqlput_sides(ds_sqlput *p, ds_sqlside_fn fn, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < p->v->n; i++) {
        ds_verside side = {0};
        rc = ds_verside_open(&side, p->v->store, &p->v->versions[i], NULL, NULL, err);
        rc = rc ? rc : fn(p, &side, err);
        ds_verside_fini(&side);
    }
    return rc;
}

void ds_sqlput_side_name(ds_sqlput *p, const ds_verside *s)
{
    ds_sqlput_str(p, s->version.dataset);
    ds_sqlput_oid(p, &s->version.id);
}

static int side_columns(ds_sqlput *p, const ds_verside *s, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < s->schema.n; i++) {
        const ds_column *c = &s->schema.cols[i];
        ds_sqlput_side_name(p, s);
        ds_sqlput_num(p, i);
        ds_sqlput_str(p, c->name);
        ds_sqlput_str(p, ds_type_name(c->type));
        ds_sqlput_str(p, c->type == DS_LIST ? ds_type_name(c->item) : NULL);
        ds_sqlput_num(p, c->nullable);
        ds_sqlput_num(p, s->schema.keyed[i] || (s->schema.explicit_key && i == 0));
        ds_sqlput_num(p, s->schema.primary[i]);
        rc = ds_sqlput_row(p, err);
    }
    return rc;
}

int ds_sqlfill_columns(ds_sqlput *p, ds_err *err)
{
    return ds_sqlput_sides(p, side_columns, err);
}

static int side_blocks(ds_sqlput *p, const ds_verside *s, ds_err *err)
{
    uint64_t first = 0, shard = 0;
    int rc = 0;
    for (size_t i = 0; !rc && i < s->n; i++) {
        const ds_manline *l = &s->lines[i];
        ds_sha addr, origin;
        uint64_t bytes = 0;
        for (size_t k = 0; k < l->nchunks; k++)
            bytes += ds_manline_len(l, k);
        shard += i && !git_oid_equal(&s->files[i], &s->files[i - 1]);
        rc = ds_manline_addr(l, &addr, &origin, err);
        if (rc)
            break;
        ds_sqlput_side_name(p, s);
        ds_sqlput_num(p, i);
        ds_sqlput_num(p, shard);
        ds_sqlput_num(p, first);
        ds_sqlput_num(p, l->rows);
        ds_sqlput_num(p, bytes);
        ds_sqlput_sha(p, &s->was[i]);
        ds_sqlput_num(p, !ds_sha_eq(&addr, &s->was[i]));
        rc = ds_sqlput_row(p, err);
        first += l->rows;
    }
    return rc;
}

int ds_sqlfill_blocks(ds_sqlput *p, ds_err *err)
{
    return ds_sqlput_sides(p, side_blocks, err);
}

static int version_sources(ds_sqlput *p, const ds_version *v, ds_err *err)
{
    ds_sourcescan scan = {0};
    ds_source src;
    uint64_t n = 0;
    int rc = ds_sourcescan_open(&scan, p->v->store, &v->tree, err);
    while (!rc && (rc = ds_sourcescan_next(&scan, &src, err)) > 0) {
        ds_sqlput_str(p, v->dataset);
        ds_sqlput_oid(p, &v->id);
        ds_sqlput_num(p, n++);
        ds_sqlput_text(p, src.name, src.len);
        ds_sqlput_num(p, src.size);
        ds_sqlput_sha(p, &src.sha);
        rc = ds_sqlput_row(p, err);
    }
    ds_sourcescan_close(&scan);
    return rc;
}

int ds_sqlfill_sources(ds_sqlput *p, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < p->v->n; i++) {
        ds_version v = {0};
        rc = ds_version_get(&v, p->v->store->cat, &p->v->versions[i], err);
        rc = rc ? rc : ds_version_meta(NULL, p->v->store->cat, &v, err);
        rc = rc ? rc : version_sources(p, &v, err);
        ds_version_fini(&v);
    }
    return rc;
}

static int side_origins(ds_sqlput *p, const ds_verside *s, ds_err *err)
{
    ds_origin_state st = {0};
    ds_buf body = {0}, one = {0};
    uint64_t record = 0, rows = 0;
    int rc = 0;
    for (size_t i = 0; !rc && i < s->n; i++) {
        const ds_manline *l = &s->lines[i];
        const size_t n = ds_manline_npieces(l, l->nchunks - 1);
        size_t pos = 0;
        rc = ds_objstore_get_all(s->store->objs,
                                 ds_manline_pieces(l) + l->pieces.len / sizeof(ds_sha) - n, n,
                                 &body, err);
        if (!rc && !ds_varint_get(body.data, body.len, &pos, &rows))
            rc = ds_fail(err, DS_CORRUPT, "a block's origins are malformed");
        for (uint64_t r = 0; !rc && r < l->rows; r++, record++) {
            rc = ds_origin_get(body.data, body.len, &pos, &st, &one, err);
            for (size_t k = 0; !rc && k < one.len / sizeof(ds_range); k++) {
                const ds_range *range = (const ds_range *)(const void *)one.data + k;
                ds_sqlput_side_name(p, s);
                ds_sqlput_num(p, record);
                ds_sqlput_num(p, range->source);
                ds_sqlput_num(p, range->offset);
                ds_sqlput_num(p, range->len);
                rc = ds_sqlput_row(p, err);
            }
        }
        rc = rc ? rc : ds_check_interrupt(err);
    }
    ds_buf_fini(&body);
    ds_buf_fini(&one);
    return rc;
}

int ds_sqlfill_origins(ds_sqlput *p, ds_err *err)
{
    return ds_sqlput_sides(p, side_origins, err);
}
