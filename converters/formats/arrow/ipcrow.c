/* ipcrow.c - see ipcrow.h. */
#include "ipcrow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipcjson.h"
#include "pqlist.h"
#include "try.h"

enum { LOOK_ROWS = 1 << 16 };

/* ---- which columns there are ---- */

static bool is_bytes(const ds_ipcschema *s, size_t node)
{
    const ds_ipcnode *n = &s->nodes[ds_ipc_values(s, node)];

    return ds_ipc_is_leaf(n) && ds_pq_type(&n->what) == DS_BYTES;
}

/* A struct with a field of bytes, which JSON has no form for. */
static bool holds_bytes(const ds_ipcschema *s, size_t node)
{
    const ds_ipcnode *n = &s->nodes[node];

    if (n->layout != DS_IPC_STRUCT || n->coded)
        return false;
    for (size_t i = 0, c = n->children; i < n->nchild; i++, c = s->nodes[c].next)
        if (is_bytes(s, c) || holds_bytes(s, c))
            return true;
    return false;
}

static bool named(const ds_ipcnode *n, const char *name)
{
    return strcmp(n->what.name, name) == 0;
}

/* As Parquet has one: a struct of dtype, shape and data. */
static bool is_tensor(const ds_ipcschema *s, size_t node)
{
    const ds_ipcnode *n = &s->nodes[node];

    if (n->layout != DS_IPC_STRUCT || n->nchild != 3)
        return false;
    const size_t d = n->children, h = s->nodes[d].next, b = s->nodes[h].next;
    const ds_ipcnode *dtype = &s->nodes[ds_ipc_values(s, d)], *shape = &s->nodes[h];
    const ds_ipcnode *dim = ds_ipc_is_list(shape) ? &s->nodes[shape->children] : NULL;
    return named(&s->nodes[d], "dtype") && named(shape, "shape") && named(&s->nodes[b], "data") &&
           ds_pq_type(&dtype->what) == DS_UTF8 && dim && dim->what.type == DS_PQ_INT64 &&
           is_bytes(s, b);
}

static enum ds_pqform form_of(const ds_ipcschema *s, ds_ipccolumn *c)
{
    const ds_ipcnode *n = &s->nodes[ds_ipc_values(s, c->node)];

    if (is_tensor(s, c->node))
        return DS_PQ_AS_TENSOR;
    if (ds_ipc_is_leaf(n))
        return DS_PQ_AS_VALUE;
    c->item = n->children;
    return ds_ipc_is_list(n) && ds_ipc_is_leaf(&s->nodes[ds_ipc_values(s, c->item)])
               ? DS_PQ_AS_LIST
               : DS_PQ_AS_JSON;
}

/* before: the struct that the node is a field of, or NULL. */
static int add_column(ds_ipcrow *r, size_t node, const ds_ipccolumn *before, ds_err *err)
{
    const ds_ipcschema *s = r->schema;
    const ds_ipcnode *n = &s->nodes[node];
    ds_ipccolumn c = {.node = node, .to = -1, .nullable = n->nullable};
    int rc = 0;

    if (before) {
        memcpy(c.path, before->path, sizeof c.path);
        c.npath = before->npath;
        c.nullable |= before->nullable;
    }
    c.path[c.npath++] = node;
    if (asprintf(&c.name, "%s%s%s", before ? before->name : "", before ? "." : "", n->what.name) <
        0)
        return ds_fail_nomem(err);
    if (!is_tensor(s, node) && holds_bytes(s, node)) {
        for (size_t i = 0, at = n->children; i < n->nchild && !rc; i++, at = s->nodes[at].next)
            rc = add_column(r, at, &c, err);
        free(c.name);
        return rc;
    }
    if (ds_grow(&r->v, &r->cap, r->n, sizeof *r->v)) {
        free(c.name);
        return ds_fail_nomem(err);
    }
    c.nullable |= n->layout == DS_IPC_NULL;
    c.form = form_of(s, &c);
    r->v[r->n++] = c;
    return 0;
}

static int keep_wanted(ds_ipcrow *r, const char *only, const char *key, const char *input,
                       ds_err *err)
{
    const ds_fmtnamed named = {r->v, r->n, sizeof *r->v};
    bool *keep = calloc(r->n + 1, sizeof *keep);
    size_t n = 0;
    int rc = keep ? 0 : ds_fail_nomem(err);

    rc = rc ? rc : ds_fmtcolumns_choose(keep, &named, only, key, input, err);
    for (size_t i = 0; !rc && i < r->n; i++) {
        if (!keep[i]) {
            free(r->v[i].name);
            continue;
        }
        r->wanted[r->v[i].path[0]] = true;
        r->v[n++] = r->v[i];
    }
    r->n = rc ? r->n : n;
    free(keep);
    return rc;
}

int ds_ipcrow_init(ds_ipcrow *r, const ds_ipcschema *s, const ds_ipcdictionaries *d,
                   const char *only, const char *key, const char *input, ds_err *err)
{
    const ds_ipcnode *root = &s->nodes[0];

    r->schema = s;
    r->dictionaries = d;
    r->wanted = calloc(s->n, sizeof *r->wanted);
    if (!r->wanted)
        return ds_fail_nomem(err);
    for (size_t i = 0, at = root->children; i < root->nchild; i++, at = s->nodes[at].next)
        TRY(add_column(r, at, NULL, err));
    return keep_wanted(r, only, key, input, err);
}

void ds_ipcrow_fini(ds_ipcrow *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->v[i].name);
        ds_buf_fini(&r->v[i].text);
        ds_buf_fini(&r->v[i].items);
    }
    free(r->v);
    free(r->wanted);
    *r = (ds_ipcrow){0};
}

/* ---- values ---- */

/* The column's value in row i of a batch, settled. */
static int find(const ds_ipcrow *r, const ds_ipccolumn *c, const ds_ipcbatch *b, uint64_t i,
                ds_ipcat *at, const char **why)
{
    *at = (ds_ipcat){.schema = r->schema, .dictionaries = r->dictionaries, .batch = b, .i = i};
    for (size_t k = 0; k < c->npath && !at->null; k++) {
        *at = ds_ipc_below(at, c->path[k], at->i);
        TRY(ds_ipc_settle(at, why));
    }
    return 0;
}

static int as_value(ds_ipcrow *r, ds_ipccolumn *c, const ds_ipcat *at, ds_fval *v, const char **why)
{
    const ds_ipcnode *n = &at->schema->nodes[at->node];
    uint8_t scratch[32];
    ds_pqvalue x;

    (void)r;
    TRY(ds_ipc_value(at, scratch, &x, why));
    if (n->span) {
        TRY(ds_ipc_span(n, &x, &c->text));
        *v = (ds_fval){.kind = DS_FV_JSON, .p = c->text.data, .len = c->text.len};
        return 0;
    }
    TRY(ds_pq_fval(&n->what, &x, &c->text, v, why));
    ds_pq_settle(v, &c->text);
    return 0;
}

/* Numbers that lie as a column has them need not be looked at one by one. */
static bool lie_so(const ds_ipcat *list, int dtype, uint64_t from, uint64_t n, ds_fval *v)
{
    const size_t node = list->schema->nodes[list->node].children;
    const ds_ipcnode *item = &list->schema->nodes[node];
    const ds_ipcarray *a = &list->batch->arrays[node];
    const bool plain = item->what.meaning == DS_PQ_PLAIN || item->what.meaning == DS_PQ_INTEGER;

    if (item->layout != DS_IPC_FIXED || item->coded || !plain || a->nulls || a->valid.len ||
        !dtype || ds_dtype_size(dtype) != (size_t)item->width ||
        from + n > a->data.len / (size_t)item->width)
        return false;
    *v = ds_fval_ids(dtype, a->data.p + (size_t)from * (size_t)item->width, (size_t)n);
    return true;
}

static int add_items(const ds_ipcrow *r, ds_ipccolumn *c, const ds_ipcat *list, int dtype,
                     const char **why)
{
    const size_t item = list->schema->nodes[list->node].children;
    uint64_t from, n;

    TRY(ds_ipc_items(list, &from, &n, why));
    for (uint64_t i = 0; i < n; i++) {
        ds_ipcat at = ds_ipc_below(list, item, from + i);
        uint8_t scratch[32];
        ds_pqvalue x;
        TRY(ds_ipc_settle(&at, why));
        if (!at.null)
            TRY(ds_ipc_value(&at, scratch, &x, why));
        TRY(ds_pqlist_add(&c->text, &c->items, &at.schema->nodes[at.node].what, dtype,
                          at.null ? NULL : &x, r->max_record, why));
    }
    return 0;
}

static int as_list(ds_ipcrow *r, ds_ipccolumn *c, const ds_ipcat *at, ds_fval *v, const char **why)
{
    const ds_ipcschema *s = at->schema;
    const int dtype = ds_pqlist_dtype(&s->nodes[ds_ipc_values(s, c->item)].what);
    uint64_t from, n;

    TRY(ds_ipc_items(at, &from, &n, why));
    if (lie_so(at, dtype, from, n, v))
        return 0;
    TRY(add_items(r, c, at, dtype, why));
    *v = ds_pqlist_value(&c->text, &c->items, dtype);
    return 0;
}

static int as_json(ds_ipcrow *r, ds_ipccolumn *c, const ds_ipcat *at, ds_fval *v, const char **why)
{
    TRY(ds_ipc_json(*at, &c->text, r->max_record, why));
    *v = (ds_fval){.kind = DS_FV_JSON, .p = c->text.data, .len = c->text.len};
    return 0;
}

/* A field of a struct that is there; 1 where it is null, too. */
static int field(const ds_ipcat *at, size_t i, ds_ipcat *out, const char **why)
{
    *out = ds_ipc_below(at, ds_ipc_child(at->schema, at->node, i), at->i);
    TRY(ds_ipc_settle(out, why));
    if (out->null)
        *why = "its dtype, shape and data are not those of a tensor";
    return out->null;
}

static int as_tensor(ds_ipcrow *r, ds_ipccolumn *c, const ds_ipcat *at, ds_fval *v,
                     const char **why)
{
    ds_ipcat dtype, shape, data;
    uint8_t scratch[32];
    ds_pqvalue name, x;

    TRY(field(at, 0, &dtype, why));
    TRY(field(at, 1, &shape, why));
    TRY(field(at, 2, &data, why));
    TRY(ds_ipc_value(&dtype, scratch, &name, why));
    TRY(ds_ipc_value(&data, scratch, &x, why));
    TRY(add_items(r, c, &shape, DS_I64T, why));
    *v = (ds_fval){.kind = DS_FV_ARRAY,
                   .dtype = ds_dtype_named(name.p, name.len),
                   .p = x.len ? x.p : (const uint8_t *)"",
                   .len = x.len};
    if (ds_pqlist_shape(v, &c->text) && ds_fval_is_tensor(v))
        return 0;
    *why = "its dtype, shape and data are not those of a tensor";
    return 1;
}

int ds_ipcrow_value(ds_ipcrow *r, ds_ipccolumn *c, uint64_t i, ds_fval *v, ds_err *err)
{
    static int (*const as[])(ds_ipcrow *, ds_ipccolumn *, const ds_ipcat *, ds_fval *,
                             const char **) = {[DS_PQ_AS_VALUE] = as_value,
                                               [DS_PQ_AS_LIST] = as_list,
                                               [DS_PQ_AS_TENSOR] = as_tensor,
                                               [DS_PQ_AS_JSON] = as_json};
    const char *why = NULL;
    ds_ipcat at;

    ds_buf_reset(&c->text);
    ds_buf_reset(&c->items);
    *v = (ds_fval){.kind = DS_FV_NULL};
    int rc = ds_buf_reserve(&c->text, 1) ? DS_NOMEM : find(r, c, r->batch, i, &at, &why);
    if (!rc && !at.null)
        rc = as[c->form](r, c, &at, v, &why);
    if (rc == DS_NOMEM)
        return ds_fail_nomem(err);
    if (rc && !r->unfit) {
        r->unfit = why;
        r->of = c;
    }
    return 0;
}

/* ---- types ---- */

/* Has the value what the column's type cannot hold? Damage is told of when it is read. */
static bool is_unfit(const ds_ipcat *at)
{
    const char *why;
    uint8_t scratch[32];
    ds_pqvalue x;
    uint64_t from, n;

    const ds_ipcnode *node = &at->schema->nodes[at->node];
    if (ds_ipc_is_leaf(node))
        return node->what.is_unsigned && node->what.type == DS_PQ_INT64 &&
               !ds_ipc_value(at, scratch, &x, &why) && x.i < 0;
    if (ds_ipc_items(at, &from, &n, &why))
        return false;
    for (uint64_t i = 0; i < n && i < LOOK_ROWS; i++) {
        ds_ipcat item = ds_ipc_below(at, node->children, from + i);
        if (!ds_ipc_settle(&item, &why) && (item.null || is_unfit(&item)))
            return true;
    }
    return false;
}

void ds_ipcrow_type(const ds_ipcrow *r, const ds_ipccolumn *c, const ds_ipcbatch *b,
                    ds_fmtcolumn *out)
{
    const ds_ipcschema *s = r->schema;
    const char *why;
    ds_ipcat at;

    *out = (ds_fmtcolumn){.name = c->name,
                          .type = c->form == DS_PQ_AS_TENSOR ? DS_TENSOR : DS_JSON,
                          .item = DS_JSON,
                          .nullable = c->nullable};
    if (c->form != DS_PQ_AS_VALUE && c->form != DS_PQ_AS_LIST)
        return;
    for (uint64_t i = 0; b && i < b->rows && i < LOOK_ROWS; i++)
        if (!find(r, c, b, i, &at, &why) && !at.null && is_unfit(&at))
            return;
    out->type =
        c->form == DS_PQ_AS_LIST ? DS_LIST : ds_pq_type(&s->nodes[ds_ipc_values(s, c->node)].what);
    out->item =
        c->form == DS_PQ_AS_LIST ? ds_pq_type(&s->nodes[ds_ipc_values(s, c->item)].what) : DS_JSON;
}

void ds_ipcrow_to(ds_ipccolumn *c, const ds_schema *s, long to)
{
    c->to = to;
    c->form = ds_pqform_for(c->form, s->cols[to].type);
}
