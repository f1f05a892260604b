/* pqrow.c - see pqrow.h. */
#include "pqrow.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "pqlist.h"
#include "try.h"

static const char APART[] = "the levels of columns do not go together";

int ds_pqrow_init(ds_pqrow *r, const ds_pqfile *f, const ds_pqsource *from, const char *only,
                  const char *key, ds_err *err)
{
    *r = (ds_pqrow){.file = f, .from = *from};
    r->leaves = calloc(f->nleaves + 1, sizeof *r->leaves);
    if (!r->leaves)
        return ds_fail_nomem(err);
    return ds_pqcolumns_of(&r->cols, f, from->name, only, key, err);
}

void ds_pqrow_group(ds_pqrow *r, const ds_pqgroup *g)
{
    const ds_pqfile *f = r->file;

    for (size_t i = 0; i < f->nleaves; i++)
        ds_pqleaf_begin(&r->leaves[i], &r->from, &f->nodes[f->leaves[i]],
                        &f->chunks[g->chunks + i]);
}

void ds_pqrow_fini(ds_pqrow *r)
{
    for (size_t i = 0; r->leaves && i < r->file->nleaves; i++)
        ds_pqleaf_fini(&r->leaves[i]);
    ds_pqcolumns_fini(&r->cols);
    free(r->leaves);
    *r = (ds_pqrow){0};
}

/* ---- leaves, one value after the other ---- */

static int look(ds_pqrow *r, const ds_pqnode *n, ds_pqleaf **l, const char **why, ds_err *err)
{
    *l = &r->leaves[n->leaf];
    r->last = *l;
    return ds_pqleaf_look(*l, why, err);
}

/* What is taken must come with this repetition level. */
static int take(ds_pqrow *r, const ds_pqnode *n, int rep, ds_pqvalue *x, bool *there,
                const char **why, ds_err *err)
{
    ds_pqleaf *l;

    TRY(look(r, n, &l, why, err));
    if (!l->ready || l->rep != rep) {
        *why = l->ready ? APART : "a column has fewer values than its group has rows";
        return 1;
    }
    return ds_pqleaf_take(l, x, there, why, err);
}

/* Of what is missing every leaf below says so. */
static int pass_over(ds_pqrow *r, const ds_pqnode *n, int rep, const char **why, ds_err *err)
{
    for (size_t i = n->leaf; i < n->leaf_end; i++) {
        const ds_pqnode *leaf = &r->file->nodes[r->file->leaves[i]];
        ds_pqvalue x;
        bool there;
        TRY(take(r, leaf, rep, &x, &there, why, err));
        if (r->leaves[i].def >= n->def) {
            *why = APART;
            return 1;
        }
    }
    return 0;
}

/* A value that cannot be had leaves the record as it was not, and the file as good. */
static int unfit(ds_pqrow *r, const ds_pqcolumn *c, int rc, const char *why, ds_err *err)
{
    if (rc == DS_NOMEM)
        return ds_fail_nomem(err);
    if (rc && !r->unfit) {
        r->unfit = why;
        r->of = c;
    }
    return 0;
}

/* ---- JSON ---- */

typedef struct maker {
    ds_pqrow *r;
    ds_pqcolumn *c;
    const char **why;
    ds_err *err;
} maker;

static int put_node(maker *m, const ds_pqnode *n, int rep);

static int puts_json(maker *m, const char *s)
{
    return ds_buf_puts(&m->c->text, s) ? ds_fail_nomem(m->err) : 0;
}

static int put_leaf(maker *m, const ds_pqnode *n, int rep)
{
    const size_t from = m->c->text.len;
    const char *why = NULL;
    ds_pqvalue x;
    bool there;

    TRY(take(m->r, n, rep, &x, &there, m->why, m->err));
    if (!there)
        return puts_json(m, "null");
    const int rc = ds_pq_json(n, &x, &m->c->text, &why);
    if (!rc && m->c->text.len > m->r->from.max_record) {
        m->c->text.len = 0; /* what is not wanted need not be kept */
        return unfit(m->r, m->c, 1, "it is longer than --max-record", m->err);
    }
    if (rc == 1)
        m->c->text.len = from;
    return unfit(m->r, m->c, rc, why, m->err);
}

/* What stands for one turn of a repeated node. */
enum shape { ITEM, PAIR, MEMBER };

static int put_turn(maker *m, const ds_pqnode *repeated, const ds_pqnode *item, enum shape shape,
                    int rep);

static int put_repeated(maker *m, const ds_pqnode *repeated, const ds_pqnode *item,
                        enum shape shape, int rep)
{
    ds_pqleaf *l;

    TRY(look(m->r, repeated, &l, m->why, m->err));
    TRY(puts_json(m, shape == MEMBER ? "{" : "["));
    if (!l->ready || l->def < repeated->def)
        TRY(pass_over(m->r, repeated, rep, m->why, m->err));
    else
        for (;;) {
            TRY(put_turn(m, repeated, item, shape, rep));
            TRY(look(m->r, repeated, &l, m->why, m->err));
            if (!l->ready || l->rep != repeated->rep)
                break;
            TRY(puts_json(m, ","));
            rep = repeated->rep;
        }
    return puts_json(m, shape == MEMBER ? "}" : "]");
}

static int put_fields(maker *m, const ds_pqnode *n, int rep)
{
    TRY(puts_json(m, "{"));
    for (size_t i = 0, at = n->children; i < n->nchild; i++, at = m->r->file->nodes[at].next) {
        const ds_pqnode *c = &m->r->file->nodes[at];
        TRY(puts_json(m, i ? "," : ""));
        if (ds_json_str(&m->c->text, c->name, c->name_len))
            return ds_fail_nomem(m->err);
        TRY(puts_json(m, ":"));
        TRY(put_node(m, c, rep));
    }
    return puts_json(m, "}");
}

/* The repeated node of a map's pairs; NULL: it is none. */
static const ds_pqnode *pairs_of(const ds_pqfile *f, const ds_pqnode *n)
{
    const ds_pqnode *kv = n->meaning == DS_PQ_MAP && n->nchild == 1 ? ds_pq_child(f, n, 0) : NULL;

    return kv && kv->repetition == DS_PQ_REPEATED && kv->nchild == 2 ? kv : NULL;
}

/* A node that is there. */
static int put_present(maker *m, const ds_pqnode *n, int rep)
{
    const ds_pqfile *f = m->r->file;
    const ds_pqnode *item = n->meaning == DS_PQ_LIST ? ds_pq_item_of(f, n) : NULL,
                    *kv = pairs_of(f, n);

    if (ds_pq_is_leaf(n))
        return put_leaf(m, n, rep);
    if (item)
        return put_repeated(m, ds_pq_child(f, n, 0), item, ITEM, rep);
    if (kv) {
        const ds_pqnode *key = ds_pq_child(f, kv, 0);
        const bool text =
            ds_pq_is_leaf(key) && key->repetition == DS_PQ_REQUIRED && ds_pq_type(key) == DS_UTF8;
        return put_repeated(m, kv, NULL, text ? MEMBER : PAIR, rep);
    }
    return put_fields(m, n, rep);
}

static int put_turn(maker *m, const ds_pqnode *repeated, const ds_pqnode *item, enum shape shape,
                    int rep)
{
    const ds_pqfile *f = m->r->file;

    if (shape == ITEM)
        return item == repeated ? put_present(m, repeated, rep) : put_node(m, item, rep);
    TRY(puts_json(m, shape == PAIR ? "[" : ""));
    TRY(put_node(m, ds_pq_child(f, repeated, 0), rep));
    TRY(puts_json(m, shape == PAIR ? "," : ":"));
    TRY(put_node(m, ds_pq_child(f, repeated, 1), rep));
    return puts_json(m, shape == PAIR ? "]" : "");
}

static int put_node(maker *m, const ds_pqnode *n, int rep)
{
    ds_pqleaf *l;

    if (n->repetition == DS_PQ_REPEATED)
        return put_repeated(m, n, n, ITEM, rep);
    TRY(look(m->r, n, &l, m->why, m->err));
    if (l->ready && n->repetition == DS_PQ_OPTIONAL && l->def < n->def) {
        TRY(puts_json(m, "null"));
        return pass_over(m->r, n, rep, m->why, m->err);
    }
    return put_present(m, n, rep);
}

static int as_json(ds_pqrow *r, ds_pqcolumn *c, ds_fval *v, const char **why, ds_err *err)
{
    maker m = {r, c, why, err};
    const bool repeated = c->node->repetition == DS_PQ_REPEATED;
    ds_pqleaf *l;

    TRY(look(r, c->node, &l, why, err));
    /* Its own node, or a group that it is a field of. */
    if (l->ready && l->def < c->node->def - repeated) {
        *v = (ds_fval){.kind = DS_FV_NULL};
        return pass_over(r, c->node, 0, why, err);
    }
    TRY(put_node(&m, c->node, 0));
    *v = (ds_fval){.kind = DS_FV_JSON, .p = c->text.data, .len = c->text.len};
    return 0;
}

/* ---- single values ---- */

static int as_value(ds_pqrow *r, ds_pqcolumn *c, ds_fval *v, const char **why, ds_err *err)
{
    const char *no = NULL;
    ds_pqvalue x;
    bool there;

    TRY(take(r, c->node, 0, &x, &there, why, err));
    if (!there || c->node->meaning == DS_PQ_NOTHING) {
        *v = (ds_fval){.kind = DS_FV_NULL};
        return 0;
    }
    const int rc = ds_pq_fval(c->node, &x, &c->text, v, &no);
    ds_pq_settle(v, &c->text);
    return unfit(r, c, rc, no, err);
}

/* ---- lists ---- */

/* One item, there or not. */
static int add_item(ds_pqrow *r, ds_pqcolumn *c, int dtype, const ds_pqvalue *x, bool there,
                    ds_err *err)
{
    const char *no = NULL;
    const int rc = ds_pqlist_add(&c->text, &c->items, c->item, dtype, there ? x : NULL,
                                 r->from.max_record, &no);

    return unfit(r, c, rc, no, err);
}

/* A list of leaves below `list`, of what is not repeated. *missing: there is none. */
static int read_list(ds_pqrow *r, ds_pqcolumn *c, const ds_pqnode *list, const ds_pqnode *repeated,
                     int dtype, bool *missing, const char **why, ds_err *err)
{
    const ds_pqnode *leaf = &r->file->nodes[r->file->leaves[repeated->leaf]];
    ds_pqleaf *l;
    ds_pqvalue x;
    bool there;
    int rep = 0;

    TRY(look(r, leaf, &l, why, err));
    *missing = l->ready && l->def < list->def - (list == repeated);
    if (!l->ready || l->def < repeated->def)
        return take(r, leaf, 0, &x, &there, why, err);
    do {
        TRY(take(r, leaf, rep, &x, &there, why, err));
        TRY(add_item(r, c, dtype, &x, there, err));
        TRY(look(r, leaf, &l, why, err));
        rep = repeated->rep;
    } while (l->ready && l->rep == rep);
    return 0;
}

static int as_list(ds_pqrow *r, ds_pqcolumn *c, ds_fval *v, const char **why, ds_err *err)
{
    const int dtype = ds_pqlist_dtype(c->item);
    bool missing;

    ds_buf_reset(&c->items);
    TRY(read_list(r, c, c->node, c->repeated, dtype, &missing, why, err));
    *v = missing ? (ds_fval){.kind = DS_FV_NULL} : ds_pqlist_value(&c->text, &c->items, dtype);
    return 0;
}

/* ---- tensors ---- */

static int as_tensor(ds_pqrow *r, ds_pqcolumn *c, ds_fval *v, const char **why, ds_err *err)
{
    const ds_pqfile *f = r->file;
    const ds_pqnode *dtype = ds_pq_child(f, c->node, 0), *shape = ds_pq_child(f, c->node, 1),
                    *data = ds_pq_child(f, c->node, 2);
    ds_pqvalue x, bytes;
    bool named, shaped, there;

    TRY(take(r, dtype, 0, &x, &named, why, err));
    const bool missing = r->leaves[dtype->leaf].def < c->node->def;
    *v = (ds_fval){.kind = DS_FV_ARRAY, .dtype = named ? ds_dtype_named(x.p, x.len) : 0};
    c->item = ds_pq_item_of(f, shape);
    TRY(read_list(r, c, shape, ds_pq_repeated_of(f, shape), DS_I64T, &shaped, why, err));
    TRY(take(r, data, 0, &bytes, &there, why, err));
    if (missing) {
        *v = (ds_fval){.kind = DS_FV_NULL};
        return 0;
    }
    if (there) {
        v->p = bytes.len ? bytes.p : (const uint8_t *)"";
        v->len = bytes.len;
    }
    const bool good = there && !shaped && ds_pqlist_shape(v, &c->text) && ds_fval_is_tensor(v);
    return good ? 0 : unfit(r, c, 1, "its dtype, shape and data are not those of a tensor", err);
}

/* ---- records ---- */

int ds_pqrow_value(ds_pqrow *r, ds_pqcolumn *c, ds_fval *v, const char **why, ds_err *err)
{
    static int (*const as[])(ds_pqrow *, ds_pqcolumn *, ds_fval *, const char **,
                             ds_err *) = {[DS_PQ_AS_VALUE] = as_value,
                                          [DS_PQ_AS_LIST] = as_list,
                                          [DS_PQ_AS_TENSOR] = as_tensor,
                                          [DS_PQ_AS_JSON] = as_json};

    *why = NULL;
    ds_buf_reset(&c->text);
    if (ds_buf_reserve(&c->text, 1))
        return ds_fail_nomem(err);
    return as[c->form](r, c, v, why, err);
}

int ds_pqrow_end(ds_pqrow *r, const char **why, ds_err *err)
{
    for (size_t c = 0; c < r->cols.n; c++)
        for (size_t i = r->cols.v[c].node->leaf; i < r->cols.v[c].node->leaf_end; i++) {
            ds_pqleaf *l;
            TRY(look(r, &r->file->nodes[r->file->leaves[i]], &l, why, err));
            if (l->ready) {
                *why = "a column has more values than its group has rows";
                return 1;
            }
        }
    return 0;
}
