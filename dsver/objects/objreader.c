/* objreader.c - see objstore.h.
 *
 * Pieces are read a few at a time: their places in the index are looked up in one go, and their
 * addresses recomputed side by side (ds_sha_each).
 */
#include <stdlib.h>
#include <string.h>

#include "objcore.h"
#include "pool.h"

enum { TOGETHER = 8 }; /* of these, two or so are of the column that has most of the bytes */

typedef struct piece {
    ds_sha id;
    void *tag;
    ds_buf out;
    size_t first, places; /* of the scratch's: where it and its bases are; 0: it was not found */
    int rc;
    ds_err err;
} piece;

typedef struct read_job {
    piece v[TOGETHER];
    size_t n;
    struct read_job *next;
} read_job;

struct ds_objreader {
    ds_objstore *s;
    ds_pool *pool;
    bool verify;
    read_job *idle, *lent;
    read_job *filling; /* has room for more; NULL when the pool is full */
    size_t at;         /* the piece of `lent` that is lent */
};

/* ---- a job ---- */

/* Appends the places of one piece and its bases. */
static int find(ds_objstore *s, ds_codecs *c, piece *p)
{
    ds_objloc v[DS_CLOSURE_CAP];
    size_t n;
    bool overflow;
    int rc = ds_objcore_places(s, &p->id, v, &n, &overflow, &p->err);
    if (rc <= 0)
        return rc;
    p->first = c->places.len / sizeof *v;
    p->places = n;
    return ds_buf_put(&c->places, v, n * sizeof *v) ? ds_fail_nomem(&p->err) : 0;
}

static void find_all(ds_objstore *s, ds_codecs *c, read_job *j)
{
    ds_err why = {0};
    const int frozen = ds_objindex_freeze(s->ix, &why);
    ds_buf_reset(&c->places);
    for (size_t i = 0; i < j->n; i++)
        j->v[i].rc = frozen ? ds_fail(&j->v[i].err, frozen, "%s", why.msg) : find(s, c, &j->v[i]);
    if (!frozen)
        ds_objindex_thaw(s->ix);
}

/* What was found is decoded. *rest: there are pieces that were not found, or no longer. */
static void decode_all(ds_objstore *s, ds_codecs *c, read_job *j, bool *rest)
{
    const ds_objloc *v = (const ds_objloc *)(const void *)c->places.data;
    for (size_t i = 0; i < j->n; i++) {
        piece *p = &j->v[i];
        if (!p->rc && p->places) {
            const ds_objloc *loc = v + p->first;
            const int rc = ds_objcore_decode(s, c, loc, p->places, loc, &p->out, &p->err);
            p->rc = rc < 0 ? rc : 0;
            p->places = rc == 0 ? 0 : p->places;
        }
        *rest |= !p->rc && !p->places;
    }
}

static void verify_all(read_job *j)
{
    ds_bytes v[TOGETHER] = {{NULL, 0}};
    ds_sha got[TOGETHER];
    piece *of[TOGETHER];
    ds_err why = {0};
    size_t n = 0;
    for (size_t i = 0; i < j->n; i++)
        if (!j->v[i].rc) {
            of[n] = &j->v[i];
            v[n++] = (ds_bytes){j->v[i].out.data, j->v[i].out.len};
        }
    const int rc = ds_sha_each(got, DS_PIECE_TAG, v, n, &why);
    for (size_t i = 0; i < n; i++)
        of[i]->rc = rc ? ds_fail(&of[i]->err, rc, "%s", why.msg)
                       : ds_objcore_match(&of[i]->id, &got[i], &of[i]->err);
}

static void read_some(void *job, void *ctx)
{
    read_job *j = job;
    const ds_objreader *r = ctx;
    ds_codecs *c = NULL;
    ds_err why = {0};
    bool rest = false;
    const int rc = ds_objcore_codec(r->s, &c, &why);
    if (!rc) {
        find_all(r->s, c, j);
        decode_all(r->s, c, j, &rest);
    }
    ds_objcore_codec_back(r->s, c);
    for (size_t i = 0; i < j->n && (rc || rest); i++) {
        piece *p = &j->v[i];
        if (rc)
            p->rc = ds_fail(&p->err, rc, "%s", why.msg);
        else if (!p->rc && !p->places)
            p->rc = ds_objstore_get(r->s, &p->id, false, &p->out, &p->err);
    }
    if (r->verify)
        verify_all(j);
}

/* ---- jobs in order ---- */

int ds_objreader_new(ds_objreader **out, ds_objstore *s, int threads, bool verify, ds_err *err)
{
    ds_objreader *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r)
        return ds_fail_nomem(err);
    r->s = s;
    r->verify = verify;
    int rc = ds_pool_new(&r->pool, threads, threads < 2 ? 1 : threads + 2, read_some, r, err);
    if (rc) {
        free(r);
        return rc;
    }
    *out = r;
    return 0;
}

bool ds_objreader_full(const ds_objreader *r)
{
    return ds_pool_full(r->pool);
}

static void set_idle(ds_objreader *r, read_job *j)
{
    j->n = 0;
    j->next = r->idle;
    r->idle = j;
}

static int submit(ds_objreader *r, ds_err *err)
{
    int rc = ds_pool_submit(r->pool, r->filling, err);
    if (!rc)
        r->filling = NULL;
    return rc;
}

int ds_objreader_put(ds_objreader *r, const ds_sha *id, void *tag, ds_err *err)
{
    if (!r->filling) {
        read_job *j = r->idle;
        if (j)
            r->idle = j->next;
        else if (!(j = calloc(1, sizeof *j)))
            return ds_fail_nomem(err);
        r->filling = j;
    }
    piece *p = &r->filling->v[r->filling->n++];
    p->id = *id;
    p->tag = tag;
    p->places = 0;
    p->rc = 0;
    ds_err_clear(&p->err);
    (void)ds_objstore_expect(r->s, id, 1);
    return r->filling->n == TOGETHER ? submit(r, err) : 0;
}

/* Whoever takes a piece while there is room for more has no more for now. */
static int take_job(ds_objreader *r, ds_err *err)
{
    if (r->lent)
        set_idle(r, r->lent);
    r->lent = NULL;
    r->at = 0;
    int rc = r->filling ? submit(r, err) : 0;
    if (!rc)
        r->lent = ds_pool_next(r->pool);
    return rc;
}

int ds_objreader_next(ds_objreader *r, ds_objread *out, ds_err *err)
{
    int rc = 0;
    *out = (ds_objread){.tag = NULL};
    if (!r->lent || ++r->at == r->lent->n)
        rc = take_job(r, err);
    if (rc || !r->lent)
        return rc;
    const piece *p = &r->lent->v[r->at];
    *out = (ds_objread){.id = p->id, .tag = p->tag};
    if (p->rc)
        return ds_fail(err, p->rc, "%s", p->err.msg);
    out->data = p->out.data;
    out->len = p->out.len;
    return 1;
}

void ds_objreader_free(ds_objreader *r)
{
    if (!r)
        return;
    if (r->lent)
        set_idle(r, r->lent);
    if (r->filling)
        set_idle(r, r->filling);
    for (read_job *j; (j = ds_pool_next(r->pool));)
        set_idle(r, j);
    ds_pool_free(r->pool);
    for (read_job *j = r->idle, *next; j; j = next) {
        next = j->next;
        for (int i = 0; i < TOGETHER; i++)
            ds_buf_fini(&j->v[i].out);
        free(j);
    }
    free(r);
}
