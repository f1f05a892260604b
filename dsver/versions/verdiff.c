/* verdiff.c - see verdiff.h. */
#include "verdiff.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "blockwalk.h"
#include "extsort.h"
#include "io.h"
#include "sidepair.h"

enum { LIMIT = 1 << 20, TWINS = 32 };

/* Sorts by key, then value, then side and place. */
typedef struct entry {
    ds_recdigest digest;
    uint8_t side, place[8]; /* block, row */
} entry;

/* Sorts as items are given out. */
typedef struct outcome {
    uint8_t late, at[8], change, a[8], b[8];
    ds_recdigest digest;
} outcome;

typedef struct job {
    ds_blocklook look;
    bool after;
    ds_buf entries;
    ds_buf scratch;
} job;

struct ds_verdiff {
    ds_sidepair pair;
    long *columns; /* of the version after: where it is before */
    ds_diffstats stats;
    uint64_t seed;
    entry *table; /* open addressing; a row of FF FF FF FF = free */
    size_t cap, used, limit;
    ds_extsort *rest, *out;
};

/* ---- digests ---- */

static ds_x128 digest(const void *p, size_t len, uint64_t seed)
{
    ds_x128 out;
    XXH128_canonicalFromHash((XXH128_canonical_t *)out.b, XXH3_128bits_withSeed(p, len, seed));
    return out;
}

static ds_x128 list_digest(const ds_colview *v, const ds_value *x, uint64_t seed)
{
    ds_items it;
    ds_value item;
    ds_x128 state[2] = {digest("list", 4, seed)};
    ds_value_items(&it, v, x);
    while (ds_items_next(&it, &item)) {
        state[1] = v->item == DS_F64 ? digest(&item.f, sizeof item.f, seed)
                   : item.p != NULL  ? digest(item.p, item.len, seed)
                                     : digest(&item.i, sizeof item.i, seed);
        state[0] = digest(state, sizeof state, seed);
    }
    return state[0];
}

ds_x128 ds_value_digest(const ds_colview *v, const ds_value *x, uint64_t seed)
{
    ds_x128 both[2];
    if (x->null)
        return digest("null", 4, ~seed);
    switch (v->type) {
    case DS_BOOL:
    case DS_I64:
    case DS_TIMESTAMP:
        return digest(&x->i, sizeof x->i, seed);
    case DS_F64:
        return digest(&x->f, sizeof x->f, seed);
    case DS_TENSOR:
        both[0] = digest(x->head, x->head_len, seed);
        both[1] = digest(x->p, x->len, seed);
        return digest(both, sizeof both, seed);
    case DS_LIST:
        return list_digest(v, x, seed);
    default:
        return digest(x->p, x->len, seed);
    }
}

/* ---- columns that both have ---- */

static bool same_column(const ds_column *a, const ds_column *b)
{
    return a->type == b->type && (a->type != DS_LIST || a->item == b->item);
}

static int match_columns(ds_verdiff *d, ds_err *err)
{
    const ds_schema *a = &d->pair.side[0].schema, *b = &d->pair.side[1].schema;
    ds_sha da, db;
    d->columns = malloc(b->n * sizeof *d->columns);
    if (!d->columns)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < b->n; i++) {
        const long j = ds_schema_find(a, b->cols[i].name);
        d->columns[i] = j >= 0 && same_column(&a->cols[j], &b->cols[i]) ? j : -1;
    }
    int rc = ds_schema_digest(&da, a, err);
    rc = rc ? rc : ds_schema_digest(&db, b, err);
    d->stats.same_schema = !rc && ds_sha_eq(&da, &db);
    return rc;
}

/* ---- what both have ---- */

typedef struct summing {
    const ds_verdiff *d;
    ds_buf text;
    ds_buf first; /* size_t: where each chunk's pieces begin */
} summing;

/* What a block holds of the columns that both have, in the order of the version after. */
static int block_sum(void *ctx, int side, size_t block, ds_sha *out, ds_err *err)
{
    summing *m = ctx;
    const ds_verdiff *d = m->d;
    const ds_manline *l = &d->pair.side[side].lines[block];
    const ds_schema *after = &d->pair.side[1].schema;
    bool bad = false;
    size_t at = 0;
    ds_buf_reset(&m->text);
    ds_buf_reset(&m->first);
    for (size_t i = 0; i < l->nchunks && !bad; at += ds_manline_npieces(l, i++))
        bad = ds_buf_put(&m->first, &at, sizeof at);
    for (size_t i = 0; i < after->n && !bad; i++) {
        const long c = side ? (d->columns[i] >= 0 ? (long)i : -1) : d->columns[i];
        if (c < 0)
            continue;
        const size_t *first = (const size_t *)(const void *)m->first.data;
        const size_t n = ds_manline_npieces(l, (size_t)c);
        bad = ds_buf_u64(&m->text, l->rows) || ds_buf_u64(&m->text, ds_manline_len(l, (size_t)c)) ||
              ds_buf_u64(&m->text, n) ||
              ds_buf_put(&m->text, ds_manline_pieces(l) + first[c], n * sizeof(ds_sha));
    }
    return bad ? ds_fail_nomem(err) : ds_sha_bytes(out, m->text.data, m->text.len, err);
}

static int drop_common_blocks(ds_verdiff *d, ds_err *err)
{
    summing m = {.d = d};
    int rc = ds_sidepair_match(&d->pair, block_sum, &m, err);
    ds_buf_fini(&m.text);
    ds_buf_fini(&m.first);
    return rc;
}

static int open_sides(ds_verdiff *d, ds_store *s, const git_oid *const ids[2], bool whole,
                      ds_err *err)
{
    int rc = whole ? 0 : ds_sidepair_files(&d->pair, s, ids, err);
    rc = rc ? rc : ds_sidepair_open(&d->pair, s, ids, err);
    d->stats.records_a = d->pair.side[0].version.records;
    d->stats.records_b = d->pair.side[1].version.records;
    return rc;
}

/* ---- a block's records ---- */

int ds_verdiff_key(uint8_t out[16], const ds_verdiff *d, bool after, const ds_recblock *rec,
                   ds_buf *scratch)
{
    const ds_schema *s = &d->pair.side[after].schema;
    ds_x128 x;
    ds_buf_reset(scratch);
    for (size_t i = 0; i < s->n; i++)
        if (ds_schema_is_key(s, i)) {
            x = ds_value_digest(&rec->views[i], &rec->values[i], d->seed);
            if (ds_buf_put(scratch, x.b, sizeof x.b))
                return DS_NOMEM;
        }
    x = digest(scratch->data, scratch->len, d->seed);
    memcpy(out, x.b, 16);
    return 0;
}

int ds_verdiff_digest(ds_recdigest *out, const ds_verdiff *d, bool after, const ds_recblock *rec,
                      ds_buf *scratch)
{
    const ds_schema *columns = &d->pair.side[1].schema;
    ds_x128 x;
    if (ds_verdiff_key(out->key, d, after, rec, scratch))
        return DS_NOMEM;
    ds_buf_reset(scratch);
    for (size_t i = 0; i < columns->n; i++) {
        const long c = d->columns[i] < 0 ? -1 : after ? (long)i : d->columns[i];
        if (c < 0)
            continue;
        x = ds_value_digest(&rec->views[c], &rec->values[c], d->seed);
        if (ds_buf_put(scratch, x.b, sizeof x.b))
            return DS_NOMEM;
    }
    x = digest(scratch->data, scratch->len, d->seed);
    memcpy(out->value, x.b, sizeof out->value);
    return 0;
}

static int record(const ds_verdiff *d, job *j, uint64_t row)
{
    entry e = {.side = j->after};
    ds_set_big32(e.place, (uint32_t)j->look.block);
    ds_set_big32(e.place + 4, (uint32_t)row);
    if (ds_verdiff_digest(&e.digest, d, j->after, &j->look.rec, &j->scratch))
        return DS_NOMEM;
    return ds_buf_put(&j->entries, &e, sizeof e);
}

/* ---- equal records cancel out ---- */

static const uint8_t nobody[4] = {0xff, 0xff, 0xff, 0xff};

static bool is_free(const entry *e)
{
    return memcmp(e->place + 4, nobody, sizeof nobody) == 0;
}

static size_t home(const ds_verdiff *d, const entry *e)
{
    uint64_t h;
    memcpy(&h, e->digest.key, sizeof h);
    return (size_t)(h & (d->cap - 1));
}

/* A table of twice the places, or the first. */
static int grow(ds_verdiff *d, ds_err *err)
{
    entry *old = d->table;
    const size_t n = d->cap;
    d->cap = n ? 2 * n : 4096;
    d->table = malloc(d->cap * sizeof *d->table);
    if (!d->table) {
        d->table = old;
        d->cap = n;
        return ds_fail_nomem(err);
    }
    for (size_t i = 0; i < d->cap; i++)
        memcpy(d->table[i].place + 4, nobody, sizeof nobody);
    for (size_t i = 0; i < n; i++) {
        size_t k = home(d, &old[i]);
        if (is_free(&old[i]))
            continue;
        while (!is_free(&d->table[k]))
            k = (k + 1) & (d->cap - 1);
        d->table[k] = old[i];
    }
    free(old);
    return 0;
}

static int spill(ds_verdiff *d, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < d->cap; i++) {
        if (!is_free(&d->table[i]))
            rc = ds_extsort_put(d->rest, &d->table[i], err);
        memcpy(d->table[i].place + 4, nobody, sizeof nobody);
    }
    d->used = 0;
    return rc;
}

/* Takes the entry at i out and moves those behind it that may stand nearer to their place. */
static void take_out(ds_verdiff *d, size_t i)
{
    const size_t mask = d->cap - 1;
    for (size_t j = (i + 1) & mask; !is_free(&d->table[j]); j = (j + 1) & mask) {
        const size_t h = home(d, &d->table[j]);
        if (((j - h) & mask) >= ((j - i) & mask)) {
            d->table[i] = d->table[j];
            i = j;
        }
    }
    memcpy(d->table[i].place + 4, nobody, sizeof nobody);
    d->used--;
}

static int offer(ds_verdiff *d, const entry *e, ds_err *err)
{
    const size_t mask = d->cap - 1;
    size_t best = SIZE_MAX, twins = 0, i;
    for (i = home(d, e); !is_free(&d->table[i]); i = (i + 1) & mask) {
        const entry *t = &d->table[i];
        if (memcmp(t, e, 32) != 0) /* key and value */
            continue;
        if (t->side == e->side && ++twins == TWINS)
            return ds_extsort_put(d->rest, e, err); /* or a million empty lines take a day */
        if (t->side != e->side &&
            (best == SIZE_MAX || memcmp(t->place, d->table[best].place, sizeof t->place) < 0))
            best = i; /* the first of several: which one must not depend on the table */
    }
    if (best != SIZE_MAX) {
        take_out(d, best);
        return 0;
    }
    d->table[i] = *e;
    if (++d->used == d->limit)
        return spill(d, err);
    return 2 * d->used > d->cap ? grow(d, err) : 0;
}

/* ---- all blocks, both versions side by side ---- */

typedef struct feed {
    ds_verdiff *d;
    size_t at[2], left[2], all[2];
} feed;

static bool next_block(void *ctx, ds_blocklook *l)
{
    feed *f = ctx;
    ds_verdiff *d = f->d;
    job *j = (job *)l;
    if (!f->left[0] && !f->left[1])
        return false;
    /* Whoever has more of its way before it goes on. */
    const bool after = !f->left[0] || (f->left[1] && (double)f->left[1] / (double)f->all[1] >
                                                         (double)f->left[0] / (double)f->all[0]);
    while (d->pair.both[after][f->at[after]])
        f->at[after]++;
    j->after = after;
    l->side = &d->pair.side[after];
    l->block = f->at[after]++;
    f->left[after]--;
    d->stats.blocks_read++;
    return true;
}

static int look(void *ctx, ds_blocklook *l)
{
    const feed *f = ctx;
    job *j = (job *)l;
    int rc = 0;
    ds_buf_reset(&j->entries);
    for (uint64_t row = 0; !rc && ds_recblock_next(&l->rec); row++)
        if (record(f->d, j, row))
            rc = ds_fail_nomem(&l->err);
    return rc;
}

static int settle(void *ctx, ds_blocklook *l, ds_err *err)
{
    const feed *f = ctx;
    const job *j = (const job *)l;
    const entry *e = (const entry *)(const void *)j->entries.data;
    int rc = 0;
    for (size_t i = 0; !rc && i < j->entries.len / sizeof *e; i++)
        rc = offer(f->d, &e[i], err);
    return rc;
}

static void job_fini(ds_blocklook *l)
{
    job *j = (job *)l;
    ds_buf_fini(&j->entries);
    ds_buf_fini(&j->scratch);
}

static int compare_blocks(ds_verdiff *d, int threads, ds_err *err)
{
    feed f = {.d = d};
    const ds_blockwalk w = {.size = sizeof(job),
                            .next = next_block,
                            .work = look,
                            .done = settle,
                            .fini = job_fini,
                            .ctx = &f};
    for (int s = 0; s < 2; s++) {
        for (size_t i = 0; i < d->pair.side[s].n; i++)
            f.left[s] += !d->pair.both[s][i];
        f.all[s] = f.left[s];
    }
    return ds_blockwalk_run(&w, threads, err);
}

/* ---- what is left, key by key ---- */

static int put_outcome(ds_verdiff *d, const entry *a, const entry *b, ds_err *err)
{
    outcome o = {.late = b != NULL,
                 .change = (uint8_t)(a && b ? DS_CHANGED
                                     : a    ? DS_REMOVED
                                            : DS_ADDED)};
    if (a)
        memcpy(o.a, a->place, sizeof o.a);
    if (b)
        memcpy(o.b, b->place, sizeof o.b);
    memcpy(o.at, b ? o.b : o.a, sizeof o.at);
    o.digest = b ? b->digest : a->digest;
    if (o.change == DS_CHANGED)
        d->stats.changed++;
    else if (o.change == DS_ADDED)
        d->stats.added++;
    else
        d->stats.removed++;
    return ds_extsort_put(d->out, &o, err);
}

static int by_place(const void *x, const void *y)
{
    const entry *a = x, *b = y;
    return a->side != b->side ? a->side - b->side : memcmp(a->place, b->place, sizeof a->place);
}

/* All entries of one key, sorted: those of equal value cancel, the others meet in order. */
static int settle_key(ds_verdiff *d, ds_buf *group, ds_err *err)
{
    entry *e = (entry *)(void *)group->data;
    const size_t n = group->len / sizeof *e;
    size_t kept = 0, before = 0;
    for (size_t i = 0; i < n;) {
        size_t mid, end;
        for (mid = i;
             mid < n && e[mid].side == 0 && memcmp(e[mid].digest.value, e[i].digest.value, 16) == 0;
             mid++)
            ;
        for (end = mid; end < n && memcmp(e[end].digest.value, e[i].digest.value, 16) == 0; end++)
            ;
        const size_t na = mid - i, nb = end - mid, both = na < nb ? na : nb;
        for (size_t k = i + both; k < mid; k++)
            e[kept++] = e[k];
        for (size_t k = mid + both; k < end; k++)
            e[kept++] = e[k];
        i = end;
    }
    if (kept)
        qsort(e, kept, sizeof *e, by_place);
    while (before < kept && e[before].side == 0)
        before++;
    int rc = 0;
    for (size_t k = 0; !rc && (k < before || before + k < kept); k++)
        rc = put_outcome(d, k < before ? &e[k] : NULL, before + k < kept ? &e[before + k] : NULL,
                         err);
    return rc;
}

static int settle_rest(ds_verdiff *d, ds_err *err)
{
    ds_buf group = {0};
    int rc = spill(d, err);
    rc = rc ? rc : ds_extsort_sort(d->rest, err);
    while (!rc) {
        const void *p;
        int more = ds_extsort_next(d->rest, &p, err);
        if (more < 0)
            rc = more;
        const entry *e = more > 0 ? p : NULL;
        if (!rc && group.len &&
            (!e || memcmp(group.data, e->digest.key, sizeof e->digest.key) != 0)) {
            rc = settle_key(d, &group, err);
            ds_buf_reset(&group);
        }
        if (!rc && e && ds_buf_put(&group, e, sizeof *e))
            rc = ds_fail_nomem(err);
        if (!e)
            break;
    }
    ds_buf_fini(&group);
    return rc ? rc : ds_extsort_sort(d->out, err);
}

/* ---- the whole ---- */

static int prepare(ds_verdiff *d, const ds_verdiff_opts *o, ds_err *err)
{
    d->limit = o->limit ? o->limit : LIMIT;
    d->seed = o->seed;
    int rc = d->seed ? 0 : ds_random(&d->seed, sizeof d->seed, err);
    d->seed |= 1; /* 0 asks for one to be drawn */
    rc = rc ? rc : grow(d, err);
    rc = rc ? rc : ds_extsort_new(&d->rest, sizeof(entry), 0, NULL, err);
    return rc ? rc : ds_extsort_new(&d->out, sizeof(outcome), 0, NULL, err);
}

int ds_verdiff_new(ds_verdiff **out, ds_store *s, const git_oid *a, const git_oid *b,
                   const ds_verdiff_opts *o, ds_err *err)
{
    const git_oid *const ids[2] = {a, b};
    ds_verdiff *d = calloc(1, sizeof *d);
    *out = NULL;
    if (!d)
        return ds_fail_nomem(err);
    int rc = open_sides(d, s, ids, o->whole, err);
    rc = rc ? rc : match_columns(d, err);
    rc = rc ? rc : drop_common_blocks(d, err);
    rc = rc ? rc : prepare(d, o, err);
    rc = rc ? rc : compare_blocks(d, o->threads, err);
    rc = rc ? rc : settle_rest(d, err);
    free(d->table);
    d->table = NULL;
    /* Roots are those that were committed: of records that were erased since they tell nothing. */
    d->stats.reordered = d->stats.same_schema && !d->stats.removed && !d->stats.changed &&
                         !d->stats.added && !d->pair.side[0].erased && !d->pair.side[1].erased &&
                         !ds_sha_eq(&d->pair.side[0].version.root, &d->pair.side[1].version.root);
    if (rc)
        ds_verdiff_free(d);
    else
        *out = d;
    return rc;
}

const ds_diffstats *ds_verdiff_stats(const ds_verdiff *d)
{
    return &d->stats;
}

const ds_verside *ds_verdiff_side(const ds_verdiff *d, bool after)
{
    return &d->pair.side[after];
}

const long *ds_verdiff_columns(const ds_verdiff *d)
{
    return d->columns;
}

int ds_verdiff_next(ds_verdiff *d, ds_diffitem *item, ds_err *err)
{
    const void *p;
    int rc = ds_extsort_next(d->out, &p, err);
    if (rc <= 0)
        return rc;
    const outcome *o = p;
    *item = (ds_diffitem){.change = (enum ds_change)o->change,
                          .digest = o->digest,
                          .a = {ds_get_big32(o->a), ds_get_big32(o->a + 4)},
                          .b = {ds_get_big32(o->b), ds_get_big32(o->b + 4)}};
    return 1;
}

void ds_verdiff_free(ds_verdiff *d)
{
    if (!d)
        return;
    ds_sidepair_fini(&d->pair);
    free(d->columns);
    free(d->table);
    ds_extsort_free(d->rest);
    ds_extsort_free(d->out);
    free(d);
}

uint64_t ds_verdiff_seed(const ds_verdiff *d)
{
    return d->seed;
}
