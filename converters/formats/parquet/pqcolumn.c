/* pqcolumn.c - see pqcolumn.h. */
#include "pqcolumn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fmtcolumns.h"
#include "pqvalue.h"
#include "try.h"

/* ---- which columns there are ---- */

const ds_pqnode *ds_pq_child(const ds_pqfile *f, const ds_pqnode *n, size_t i)
{
    size_t at = n->children;

    while (i--)
        at = f->nodes[at].next;
    return &f->nodes[at];
}

static bool named(const ds_pqnode *n, const char *name)
{
    return strcmp(n->name, name) == 0;
}

/* What a list's items are: the repeated node itself where it is no group, or one that stands for
 * the item (LogicalTypes.md, "Backward-compatibility rules"). NULL: it is no list. */
const ds_pqnode *ds_pq_item_of(const ds_pqfile *f, const ds_pqnode *list)
{
    if (list->repetition == DS_PQ_REPEATED && list->type != DS_PQ_GROUP)
        return list;
    if (list->meaning != DS_PQ_LIST || list->nchild != 1)
        return NULL;
    const ds_pqnode *r = ds_pq_child(f, list, 0);
    const size_t n = strlen(list->name);
    if (r->repetition != DS_PQ_REPEATED)
        return NULL;
    if (r->type != DS_PQ_GROUP || r->nchild != 1 || named(r, "array") ||
        r->meaning != DS_PQ_PLAIN ||
        (strncmp(r->name, list->name, n) == 0 && strcmp(r->name + n, "_tuple") == 0))
        return r;
    return ds_pq_child(f, r, 0);
}

const ds_pqnode *ds_pq_repeated_of(const ds_pqfile *f, const ds_pqnode *list)
{
    return list->repetition == DS_PQ_REPEATED ? list : ds_pq_child(f, list, 0);
}

static bool is_tensor(const ds_pqfile *f, const ds_pqnode *n)
{
    if (n->type != DS_PQ_GROUP || n->nchild != 3)
        return false;
    const ds_pqnode *dtype = ds_pq_child(f, n, 0), *shape = ds_pq_child(f, n, 1),
                    *data = ds_pq_child(f, n, 2);
    const ds_pqnode *dim = ds_pq_item_of(f, shape);
    return named(dtype, "dtype") && named(shape, "shape") && named(data, "data") &&
           ds_pq_is_leaf(dtype) && ds_pq_type(dtype) == DS_UTF8 && dim &&
           dim->type == DS_PQ_INT64 && ds_pq_is_leaf(data) && ds_pq_type(data) == DS_BYTES &&
           data->rep == n->rep && dtype->rep == n->rep && dim->rep == n->rep + 1;
}

/* A group with a field of bytes, which JSON has no form for. */
static bool holds_bytes(const ds_pqfile *f, const ds_pqnode *n)
{
    if (n->type != DS_PQ_GROUP || n->meaning != DS_PQ_PLAIN || n->repetition == DS_PQ_REPEATED)
        return false;
    for (size_t i = 0, at = n->children; i < n->nchild; i++, at = f->nodes[at].next) {
        const ds_pqnode *c = &f->nodes[at];
        if (c->repetition != DS_PQ_REPEATED &&
            (ds_pq_is_leaf(c) ? ds_pq_type(c) == DS_BYTES : holds_bytes(f, c)))
            return true;
    }
    return false;
}

static int add_column(ds_pqcolumns *cols, const ds_pqfile *f, const ds_pqnode *n,
                      const char *before, ds_err *err)
{
    const ds_pqnode *item = ds_pq_item_of(f, n);
    char *name = NULL;
    int rc = 0;

    if (asprintf(&name, "%s%s%s", before, *before ? "." : "", n->name) < 0)
        return ds_fail_nomem(err);
    if (!is_tensor(f, n) && holds_bytes(f, n)) {
        for (size_t i = 0, at = n->children; i < n->nchild && !rc; i++, at = f->nodes[at].next)
            rc = add_column(cols, f, &f->nodes[at], name, err);
        free(name);
        return rc;
    }
    if (ds_grow(&cols->v, &cols->cap, cols->n, sizeof *cols->v)) {
        free(name);
        return ds_fail_nomem(err);
    }
    ds_pqcolumn *c = &cols->v[cols->n++];
    *c = (ds_pqcolumn){.name = name,
                       .node = n,
                       .form = DS_PQ_AS_JSON,
                       .nullable = n->def > (n->repetition == DS_PQ_REPEATED)};
    if (is_tensor(f, n) && n->repetition != DS_PQ_REPEATED) {
        c->form = DS_PQ_AS_TENSOR;
    } else if (item && ds_pq_is_leaf(item) && item->rep == 1) {
        c->form = DS_PQ_AS_LIST;
        c->repeated = ds_pq_repeated_of(f, n);
        c->item = item;
    } else if (ds_pq_is_leaf(n)) {
        c->form = DS_PQ_AS_VALUE;
    }
    return 0;
}

static void drop_column(ds_pqcolumns *c, size_t i)
{
    free(c->v[i].name);
    memmove(&c->v[i], &c->v[i + 1], (c->n - i - 1) * sizeof *c->v);
    c->n--;
}

/* Leaves those that are wanted, each of which must be there. */
static int choose(ds_pqcolumns *c, const char *name, const char *only, const char *key, ds_err *err)
{
    const ds_fmtnamed named = {c->v, c->n, sizeof *c->v};
    bool *keep = calloc(c->n + 1, sizeof *keep);
    int rc = keep ? 0 : ds_fail_nomem(err);

    rc = rc ? rc : ds_fmtcolumns_choose(keep, &named, only, key, name, err);
    for (size_t i = c->n; !rc && i-- > 0;)
        if (!keep[i])
            drop_column(c, i);
    free(keep);
    return rc;
}

int ds_pqcolumns_of(ds_pqcolumns *c, const ds_pqfile *f, const char *name, const char *only,
                    const char *key, ds_err *err)
{
    const ds_pqnode *root = &f->nodes[0];

    for (size_t i = 0, at = root->children; i < root->nchild; i++, at = f->nodes[at].next)
        TRY(add_column(c, f, &f->nodes[at], "", err));
    return only ? choose(c, name, only, key, err) : 0;
}

void ds_pqcolumns_fini(ds_pqcolumns *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free(c->v[i].name);
        ds_buf_fini(&c->v[i].text);
        ds_buf_fini(&c->v[i].items);
    }
    free(c->v);
    *c = (ds_pqcolumns){0};
}

/* ---- types ---- */

#define LOOK_BYTES ((uint64_t)1 << 20)
enum { LOOK_VALUES = 1 << 16 };

/* Has the beginning of a leaf what its type cannot hold? Damage is told of when it is read. */
static int finds_unfit(ds_pqleaf *l, const ds_pqcolumn *c, bool *unfit, ds_err *err)
{
    const ds_pqnode *n = l->node;
    const uint64_t from = l->at;
    const char *why;
    ds_pqvalue x;
    bool there;

    for (int i = 0; i < LOOK_VALUES && l->at - from < LOOK_BYTES && !*unfit; i++) {
        TRY(ds_pqleaf_look(l, &why, err));
        if (!l->ready)
            return 0;
        const bool in_list = c->repeated && l->def >= c->repeated->def;
        TRY(ds_pqleaf_take(l, &x, &there, &why, err));
        *unfit =
            (in_list && !there) || (there && n->is_unsigned && n->type == DS_PQ_INT64 && x.i < 0);
    }
    return 0;
}

int ds_pqcolumn_type(const ds_pqcolumn *c, const ds_pqfile *f, const ds_pqsource *from,
                     enum ds_type *t, enum ds_type *item, ds_err *err)
{
    const ds_pqnode *n = c->item ? c->item : c->node;
    ds_pqleaf l = {0};
    bool unfit = false;
    int rc = 0;

    *t = c->form == DS_PQ_AS_TENSOR ? DS_TENSOR : DS_JSON;
    *item = DS_JSON;
    if (c->form != DS_PQ_AS_VALUE && c->form != DS_PQ_AS_LIST)
        return 0;
    if (f->ngroups) {
        ds_pqleaf_begin(&l, from, n, &f->chunks[f->groups[0].chunks + n->leaf]);
        rc = finds_unfit(&l, c, &unfit, err);
        ds_pqleaf_fini(&l);
    }
    if (rc < 0 || unfit)
        return rc < 0 ? rc : 0;
    *t = c->form == DS_PQ_AS_LIST ? DS_LIST : ds_pq_type(c->node);
    *item = ds_pq_type(n);
    return 0;
}

enum ds_pqform ds_pqform_for(enum ds_pqform f, enum ds_type to)
{
    const bool nested = to == DS_JSON || to == DS_RUNS || to == DS_UTF8;

    return (f == DS_PQ_AS_LIST && nested) || (f == DS_PQ_AS_TENSOR && to != DS_TENSOR)
               ? DS_PQ_AS_JSON
               : f;
}
