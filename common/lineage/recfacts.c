/* recfacts.c - see recfacts.h. */
#include "recfacts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define DEFAULT_MASK "loss"
#define SIDES "sides"
#define META "meta"
#define ORIGIN "origin"

void ds_recfacts_fini(ds_recfacts *f)
{
    ds_lossmask_fini(&f->mask);
    ds_lossmask_fini(&f->sides);
    for (size_t i = 0; i < f->nfacets; i++)
        ds_facet_free(f->facets[i]);
    ds_srcfacet_fini(&f->origins);
    *f = (ds_recfacts){0};
}

/* ---- the mask ---- */

/* The column whose elements a column of runs speaks of: its attribute `of`. */
static int column_of(bool *same, const ds_column *c, const char *tokens, ds_err *err)
{
    json_t *attrs = NULL;
    const char *of;
    int rc =
        c->attrs ? ds_json_parse(&attrs, c->attrs, strlen(c->attrs), "column attributes", err) : 0;

    of = json_string_value(json_object_get(attrs, "of"));
    *same = !rc && (!of || !strcmp(of, tokens));
    json_decref(attrs);
    return rc;
}

static bool runs_of(const ds_schema *s, const char *name, const char *tokens)
{
    const long i = ds_schema_find(s, name);
    bool same = false;

    return i >= 0 && s->cols[i].type == DS_RUNS &&
           column_of(&same, &s->cols[i], tokens, NULL) == 0 && same;
}

const char *ds_recfacts_mask(const ds_schema *s, const char *tokens)
{
    return runs_of(s, DEFAULT_MASK, tokens) ? DEFAULT_MASK : "";
}

bool ds_recfacts_paired(const ds_schema *s, const char *tokens)
{
    return runs_of(s, SIDES, tokens);
}

static int want_mask(ds_recfacts *f, const ds_schema *s, const char *tokens, const char *mask,
                     ds_err *err)
{
    const long i = ds_schema_find(s, mask);
    bool same = false;
    int rc;

    if (i < 0)
        return ds_fail(err, DS_FAIL, "there is no column '%s' to take the loss mask from", mask);
    if (s->cols[i].type != DS_RUNS)
        return ds_fail(err, DS_FAIL, "column '%s' holds %s, a loss mask is runs", mask,
                       ds_type_name(s->cols[i].type));
    rc = column_of(&same, &s->cols[i], tokens, err);
    if (!rc && !same)
        rc = ds_fail(err, DS_FAIL, "column '%s' is a mask of another column than '%s'", mask,
                     tokens);
    f->cols[f->ncols++] = (ds_factcol){.column = (size_t)i, .mask = true};
    f->masked = true;
    return rc;
}

/* ---- facets ---- */

static int want_facet(ds_recfacts *f, ds_factcol *c, const char *name, ds_err *err)
{
    if (!c->nfacets)
        c->facet = f->nfacets;
    f->facets[f->nfacets] = ds_facet_new(name, err);
    if (!f->facets[f->nfacets])
        return DS_NOMEM;
    f->nfacets++;
    c->nfacets++;
    return 0;
}

static bool is_facet(const ds_column *c)
{
    for (size_t i = 0; ds_facet_names[i]; i++)
        if (!strcmp(c->name, ds_facet_names[i]))
            return c->type == DS_UTF8 || c->type == DS_I64 || c->type == DS_BOOL;
    return false;
}

static int want_facets(ds_recfacts *f, const ds_schema *s, ds_err *err)
{
    char name[32];
    int rc = 0;

    for (size_t i = 0; !rc && i < s->n; i++) {
        const ds_column *c = &s->cols[i];
        const bool meta = c->type == DS_JSON && !strcmp(c->name, META);
        ds_factcol *to = &f->cols[f->ncols];
        if (!meta && !is_facet(c))
            continue;
        *to = (ds_factcol){.column = i};
        f->ncols++;
        if (!meta)
            rc = want_facet(f, to, c->name, err);
        for (size_t k = 0; !rc && meta && ds_facet_names[k]; k++) {
            snprintf(name, sizeof name, META ".%s", ds_facet_names[k]);
            rc = want_facet(f, to, name, err);
        }
    }
    return rc;
}

int ds_recfacts_init(ds_recfacts *f, const ds_schema *s, const char *tokens, const char *mask,
                     ds_err *err)
{
    int rc;

    *f = (ds_recfacts){0};
    rc = *mask ? want_mask(f, s, tokens, mask, err) : 0;
    rc = rc ? rc : want_facets(f, s, err);
    if (rc)
        ds_recfacts_fini(f);
    return rc;
}

int ds_recfacts_sides(ds_recfacts *f, const ds_schema *s, const char *tokens, ds_err *err)
{
    if (!ds_recfacts_paired(s, tokens))
        return ds_fail(err, DS_FAIL, "there is no column '" SIDES "' of '%s'", tokens);
    f->cols[f->ncols++] = (ds_factcol){.column = (size_t)ds_schema_find(s, SIDES), .sides = true};
    f->paired = true;
    return 0;
}

/* ---- taking ---- */

static int take_value(ds_recfacts *f, ds_factcol *c, enum ds_type type, const ds_value *x,
                      uint32_t tokens, ds_err *err)
{
    int rc = 0;

    if (c->mask)
        return ds_lossmask_add(&f->mask, x, tokens, err);
    if (c->sides) {
        rc = ds_lossmask_add(&f->sides, x, tokens, err);
        return rc ? ds_err_prefix(err, "column '" SIDES "'") : 0;
    }
    if (type != DS_JSON)
        return ds_facet_add(f->facets[c->facet], type, x, err);
    for (size_t k = 0; !rc && k < c->nfacets; k++)
        rc = ds_facet_add_member(f->facets[c->facet + k], ds_facet_names[k], x, err);
    return rc;
}

int ds_recfacts_take(ds_recfacts *f, size_t i, ds_colview *v, const uint32_t *lengths, ds_err *err)
{
    ds_factcol *c = &f->cols[i];
    ds_value x;
    int rc = 0;

    while (!rc && ds_colview_next(v, &x)) {
        rc = take_value(f, c, v->type, &x, lengths[c->records], err);
        c->records++;
    }
    return rc;
}

int ds_recfacts_block(ds_recfacts *f, const ds_block *b, const ds_schema *s,
                      const uint32_t *lengths, ds_err *err)
{
    ds_colview v;
    int rc = 0;

    for (size_t i = 0; !rc && i < f->ncols; i++) {
        const size_t col = f->cols[i].column;
        const ds_chunk *c = &b->chunks[col];
        rc = ds_colview_open(&v, &s->cols[col], c->body, c->body_len, b->rows, err);
        rc = rc ? rc : ds_recfacts_take(f, i, &v, lengths, err);
    }
    const ds_chunk *origins = &b->chunks[b->nchunks - 1];
    return rc ? rc : ds_srcfacet_block(&f->origins, origins->body, origins->body_len, b->rows, err);
}

int ds_recfacts_end(ds_recfacts *f, ds_err *err)
{
    ds_facet *last = ds_facet_new(ORIGIN, err);

    if (!last)
        return DS_NOMEM;
    f->facets[f->nfacets++] = last;
    return ds_srcfacet_end(&f->origins, last, err);
}

const ds_lossmask *ds_recfacts_lossmask(const ds_recfacts *f)
{
    return f->masked ? &f->mask : NULL;
}
