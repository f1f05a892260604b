/* blame.c - see blame.h. */
#include "blame.h"

#include <stdlib.h>
#include <string.h>

#include "blockwalk.h"
#include "io.h"
#include "oidset.h"
#include "sidepair.h"
#include "sig.h"

/* The record as one version has it; of one that lacks it, `commit` alone. */
typedef struct sight {
    git_oid commit;
    ds_schema schema;
    ds_buf digests; /* ds_x128 a column */
    ds_sha block;   /* address of the block that holds it */
    git_oid file;   /* of the manifest, that has the block's line */
    double at;      /* of the way through the version, 0 to 1 */
} sight;

typedef struct blame {
    ds_store *store;
    const ds_blame_opts *o;
    uint64_t seed;
    bool erased; /* something was, from a version that was looked at */
} blame;

static void sight_fini(sight *s)
{
    ds_schema_fini(&s->schema);
    ds_buf_fini(&s->digests);
    *s = (sight){0};
}

/* ---- looking through blocks for the key ---- */

typedef struct job {
    ds_blocklook look;
    ds_hasher *hasher;
    bool found;
    uint64_t row;
} job;

/* Blocks are asked for outwards from the middle, one after and one before in turn. */
typedef struct quest {
    const blame *b;
    const ds_verside *v;
    const bool *skip;
    size_t lo, hi; /* blocks [lo, hi) are taken */
    size_t block;
    uint64_t row;
} quest;

static bool is_it(const blame *b, job *j, int *rc)
{
    const ds_recblock *rec = &j->look.rec;
    const ds_schema *s = &rec->side->schema;
    char hex[33];
    if (s->explicit_key)
        return rec->values[0].len == b->o->len &&
               memcmp(rec->values[0].p, b->o->key, b->o->len) == 0;
    *rc = ds_key_derive(hex, j->hasher, s, rec->views, rec->values, &j->look.err);
    return !*rc && b->o->len == 32 && memcmp(hex, b->o->key, 32) == 0;
}

static bool next_block(void *ctx, ds_blocklook *l)
{
    quest *q = ctx;
    while (q->hi - q->lo < q->v->n) {
        const bool up = q->hi < q->v->n && (q->lo == 0 || (q->hi - q->lo) % 2 == 0);
        const size_t k = up ? q->hi++ : --q->lo;
        if (q->skip && q->skip[k])
            continue;
        l->side = q->v;
        l->block = k;
        return true;
    }
    return false;
}

static int find_key(void *ctx, ds_blocklook *l)
{
    const quest *q = ctx;
    job *j = (job *)l;
    j->found = false;
    int rc = j->hasher ? 0 : ds_hasher_new(&j->hasher, &l->err);
    for (j->row = 0; !rc && !j->found && ds_recblock_next(&l->rec); j->row += !j->found)
        j->found = is_it(q->b, j, &rc);
    return rc;
}

static int found_key(void *ctx, ds_blocklook *l, ds_err *err)
{
    quest *q = ctx;
    const job *j = (const job *)l;
    (void)err;
    q->block = l->block;
    q->row = j->row;
    return j->found;
}

static void job_fini(ds_blocklook *l)
{
    ds_hasher_free(((job *)l)->hasher);
}

/* 1 found, 0 not. */
static int search(const blame *b, const ds_verside *v, const bool *skip, double from, size_t *block,
                  uint64_t *row, ds_err *err)
{
    bool only[256] = {false};
    quest q = {.b = b, .v = v, .skip = skip};
    const ds_blockwalk w = {.size = sizeof(job),
                            .only = only,
                            .next = next_block,
                            .work = find_key,
                            .done = found_key,
                            .fini = job_fini,
                            .ctx = &q};
    q.lo = q.hi = (size_t)((double)v->n * from);
    for (size_t i = 0; i < v->schema.n; i++)
        only[i] = ds_schema_is_key(&v->schema, i);
    int rc = ds_blockwalk_run(&w, b->o->threads, err);
    *block = q.block;
    *row = q.row;
    return rc;
}

/* Takes down the record at a place. */
static int look(const blame *b, sight *out, const ds_verside *v, size_t block, uint64_t row,
                ds_err *err)
{
    ds_recblock rec = {0};
    int rc = ds_schema_copy(&out->schema, &v->schema, err);
    rc = rc ? rc : ds_recblock_at(&rec, v, block, row, err);
    for (size_t i = 0; !rc && i < v->schema.n; i++) {
        const ds_x128 x = ds_value_digest(&rec.views[i], &rec.values[i], b->seed);
        if (ds_buf_put(&out->digests, x.b, sizeof x.b))
            rc = ds_fail_nomem(err);
    }
    out->block = v->was[block];
    out->file = v->files[block];
    out->commit = v->version.id;
    out->at = v->n ? (double)block / (double)v->n : 0;
    ds_recblock_fini(&rec);
    return rc;
}

/* ---- one step back ---- */

/* The record in another version, given how the later one has it: 1 and *out, 0 it has none. *same:
 * it is in a block that both have; then *out differs from `now` in its commit alone, and is left
 * empty but for that. */
static int look_back(blame *b, const sight *now, const git_oid *commit, sight *out, bool *same,
                     ds_err *err)
{
    const git_oid *const ids[2] = {commit, &now->commit};
    ds_sidepair p = {0};
    size_t block = 0;
    uint64_t row = 0;
    int rc = ds_sidepair_files(&p, b->store, ids, err);
    *same = !rc && ds_sidepair_shared(&p, &now->file);
    if (*same)
        rc = 1;
    rc = rc ? rc : ds_sidepair_open(&p, b->store, ids, err);
    rc = rc ? rc : ds_sidepair_match(&p, ds_sidepair_address, &p, err);
    for (size_t i = 0; !rc && i < p.side[0].n; i++) {
        ds_sha addr;
        if (!p.both[0][i])
            continue;
        rc = ds_sidepair_address(&p, 0, i, &addr, err);
        if (!rc && ds_sha_eq(&addr, &now->block)) {
            *same = true;
            out->file = p.side[0].files[i];
            rc = 1;
        }
    }
    if (!rc)
        rc = search(b, &p.side[0], p.both[0], now->at, &block, &row, err);
    b->erased = b->erased || p.side[0].erased;
    if (rc > 0 && !*same) {
        rc = look(b, out, &p.side[0], block, row, err);
        rc = rc ? rc : 1;
    }
    ds_sidepair_fini(&p);
    return rc;
}

/* The columns that differ; none when the record is the same. */
static int differing(ds_strlist *out, const sight *then, const sight *now, ds_err *err)
{
    const ds_x128 *a = (const ds_x128 *)(const void *)then->digests.data,
                  *b = (const ds_x128 *)(const void *)now->digests.data;
    int rc = 0;
    for (size_t i = 0; !rc && i < now->schema.n; i++) {
        const long j = ds_schema_find(&then->schema, now->schema.cols[i].name);
        if (j >= 0 && then->schema.cols[j].type == now->schema.cols[i].type &&
            memcmp(a[j].b, b[i].b, sizeof a->b) == 0)
            continue;
        rc = ds_strlist_add(out, now->schema.cols[i].name, err);
    }
    for (size_t j = 0; !rc && j < then->schema.n; j++)
        if (ds_schema_find(&now->schema, then->schema.cols[j].name) < 0)
            rc = ds_strlist_add(out, then->schema.cols[j].name, err);
    return rc;
}

static void move_sight(sight *to, sight *from)
{
    sight_fini(to);
    *to = *from;
    *from = (sight){0};
}

/* Looks at one parent. 1: the record is the same there, and *now goes on from it. 0: it is not;
 * *then holds it when it has the record at all (`there`), and `columns` what differs. */
static int try_parent(blame *b, sight *now, const git_oid *parent, sight *then, bool *there,
                      ds_strlist *columns, ds_err *err)
{
    bool same;
    int rc = look_back(b, now, parent, then, &same, err);
    *there = rc > 0;
    if (rc <= 0)
        return rc;
    if (same) {
        now->commit = *parent;
        if (!git_oid_is_zero(&then->file))
            now->file = then->file;
        sight_fini(then);
        return 1;
    }
    rc = differing(columns, then, now, err);
    if (rc || columns->n)
        return rc;
    move_sight(now, then);
    return 1;
}

/* 1: goes on, *now being the record in an older version; 0: that was all. */
static int step(blame *b, sight *now, ds_err *err)
{
    ds_version v = {0};
    sight then = {0}, other = {0};
    ds_strlist columns = {0}, more = {0};
    bool there = false, there_too = false;
    int rc = ds_version_get(&v, b->store->cat, &now->commit, err);
    if (!rc && v.has_parent)
        rc = try_parent(b, now, &v.parent, &then, &there, &columns, err);
    if (!rc && v.has_merged)
        rc = try_parent(b, now, &v.merged, &other, &there_too, &more, err);
    if (rc == 0) {
        rc = b->o->fn(b->o->ctx, &v, there ? DS_CHANGED : DS_ADDED, there ? &columns : NULL, err);
        if (!rc && there) {
            move_sight(now, &then);
            rc = 1;
        }
    }
    sight_fini(&then);
    sight_fini(&other);
    ds_strlist_fini(&columns);
    ds_strlist_fini(&more);
    ds_version_fini(&v);
    return rc;
}

/* ---- who removed it ---- */

typedef struct hunt {
    ds_buf todo; /* git_oid: versions that lack it, whose parents were not looked at; last first */
    ds_oidset met;
    git_oid by; /* the last one found that lacks what a parent has, */
    sight had;  /* and how that has it */
    bool found, done;
} hunt;

static int hunt_add(hunt *h, const git_oid *lacking, ds_err *err)
{
    bool fresh;
    int rc = ds_oidset_add(&h->met, lacking, &fresh, err);
    if (!rc && fresh && ds_buf_put(&h->todo, lacking, sizeof *lacking))
        rc = ds_fail_nomem(err);
    return rc;
}

/* Looks at the parents of a version that lacks the record: the first one last, so that it is gone
 * on from at once, and counts where both have it. */
static int hunt_step(blame *b, hunt *h, const git_oid *id, ds_err *err)
{
    const sight gone = {.commit = *id};
    ds_version v = {0};
    bool lacking = false, had = false, same;
    int rc = ds_version_get(&v, b->store->cat, id, err);
    const git_oid *const parents[2] = {v.has_merged ? &v.merged : NULL,
                                       v.has_parent ? &v.parent : NULL};
    for (int i = 0; !rc && i < 2; i++) {
        sight then = {0};
        rc = parents[i] ? look_back(b, &gone, parents[i], &then, &same, err) : 0;
        if (rc > 0) {
            move_sight(&h->had, &then);
            h->by = *id;
            had = true;
            rc = 0;
        } else if (!rc && parents[i]) {
            lacking = true;
            rc = hunt_add(h, parents[i], err);
        }
        sight_fini(&then);
    }
    h->found = h->found || had;
    h->done = had && !lacking;
    ds_version_fini(&v);
    return rc;
}

/* From a version that lacks the record to the one that removed it, which is told; *now is then the
 * record as it was. 1 found, 0 no version before it had it. */
static int find_removal(blame *b, const git_oid *commit, sight *now, ds_err *err)
{
    hunt h = {.found = false};
    ds_version v = {0};
    int rc = hunt_add(&h, commit, err);
    while (!rc && !h.done && h.todo.len) {
        git_oid id;
        h.todo.len -= sizeof id;
        memcpy(&id, h.todo.data + h.todo.len, sizeof id);
        rc = hunt_step(b, &h, &id, err);
        rc = rc ? rc : ds_check_interrupt(err);
    }
    if (!rc && h.found) {
        rc = ds_version_get(&v, b->store->cat, &h.by, err);
        rc = rc ? rc : b->o->fn(b->o->ctx, &v, DS_REMOVED, NULL, err);
        move_sight(now, &h.had);
        rc = rc ? rc : 1;
    }
    sight_fini(&h.had);
    ds_buf_fini(&h.todo);
    ds_oidset_fini(&h.met);
    ds_version_fini(&v);
    return rc;
}

/* ---- all of it ---- */

/* The record as the version has it: 1 and *now, 0 it has none. */
static int begin(blame *b, const git_oid *commit, sight *now, ds_err *err)
{
    ds_verside v = {0};
    size_t block = 0;
    uint64_t row = 0;
    int rc = ds_verside_open(&v, b->store, commit, NULL, NULL, err);
    b->erased = v.erased;
    rc = rc ? rc : search(b, &v, NULL, 0, &block, &row, err);
    if (rc > 0) {
        rc = look(b, now, &v, block, row, err);
        rc = rc ? rc : 1;
    }
    ds_verside_fini(&v);
    return rc;
}

int ds_blame_run(bool *erased, ds_store *s, const git_oid *commit, const ds_blame_opts *o,
                 ds_err *err)
{
    blame b = {.store = s, .o = o};
    sight now = {0};
    int rc = ds_random(&b.seed, sizeof b.seed, err);
    rc = rc ? rc : begin(&b, commit, &now, err);
    rc = rc ? rc : find_removal(&b, commit, &now, err);
    const bool found = rc > 0;
    bool more = found;
    while (rc >= 0 && more) {
        rc = step(&b, &now, err);
        more = rc > 0;
        rc = more ? ds_check_interrupt(err) : rc;
    }
    sight_fini(&now);
    *erased = b.erased;
    return rc ? rc : found;
}
