/* merge.c - see merge.h: what is to be done. */
#include "merge_priv.h"

#include <stdlib.h>
#include <string.h>

#include "dsr_origin.h"
#include "dsr_prov.h"
#include "json.h"

enum { BITS = 1 << 22 };

/* ---- changes by key ---- */

static uint32_t bit_of(const uint8_t key[16])
{
    return (ds_get_u32(key)) % BITS;
}

static void set_bit(uint8_t *bits, const uint8_t key[16])
{
    bits[bit_of(key) / 8] |= (uint8_t)(1u << bit_of(key) % 8);
}

bool ds_mergebits_has(const uint8_t *bits, const uint8_t key[16])
{
    return bits[bit_of(key) / 8] >> bit_of(key) % 8 & 1;
}

static int by_key(const void *x, const void *y)
{
    const ds_mergechange *a = x, *b = y;
    int c = memcmp(a->it.digest.key, b->it.digest.key, sizeof a->it.digest.key);
    return c ? c : (a->order > b->order) - (a->order < b->order);
}

static int read_changes(ds_mergechanges *c, ds_store *s, const git_oid *base, const git_oid *to,
                        uint64_t seed, int threads, ds_err *err)
{
    const ds_verdiff_opts o = {.threads = threads, .seed = seed, .whole = true};
    size_t cap = 0;
    int rc = ds_verdiff_new(&c->diff, s, base, to, &o, err);
    c->seen = calloc(BITS / 8, 1);
    if (!rc && !c->seen)
        rc = ds_fail_nomem(err);
    while (!rc) {
        if (ds_grow(&c->v, &cap, c->n, sizeof *c->v))
            return ds_fail_nomem(err);
        c->v[c->n] = (ds_mergechange){.order = c->n};
        rc = ds_verdiff_next(c->diff, &c->v[c->n].it, err);
        if (rc <= 0)
            break;
        set_bit(c->seen, c->v[c->n].it.digest.key);
        c->n++;
        rc = 0;
    }
    if (c->n)
        qsort(c->v, c->n, sizeof *c->v, by_key);
    return rc;
}

ds_mergechange *ds_mergechange_find(const ds_mergechanges *c, const uint8_t key[16])
{
    size_t lo = 0, hi = c->n;
    if (!ds_mergebits_has(c->seen, key))
        return NULL;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (memcmp(c->v[mid].it.digest.key, key, 16) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    while (lo < c->n && c->v[lo].used && memcmp(c->v[lo].it.digest.key, key, 16) == 0)
        lo++;
    return lo < c->n && memcmp(c->v[lo].it.digest.key, key, 16) == 0 ? &c->v[lo] : NULL;
}

/* ---- conflicts ---- */

static int key_text(ds_merge *m, const ds_verside *v, ds_recplace at, char **key, size_t *len,
                    ds_err *err)
{
    ds_recblock *rec = &m->rec;
    char hex[33];
    const void *p = hex;
    *key = NULL;
    int rc = ds_recblock_at(rec, v, at.block, at.row, err);
    if (!rc && v->schema.explicit_key) {
        p = rec->values[0].p;
        *len = rec->values[0].len;
    } else if (!rc) {
        rc = m->hasher ? 0 : ds_hasher_new(&m->hasher, err);
        rc = rc ? rc : ds_key_derive(hex, m->hasher, &v->schema, rec->views, rec->values, err);
        *len = 32;
    }
    if (!rc && !(*key = malloc(*len + 1)))
        rc = ds_fail_nomem(err);
    if (!rc) {
        memcpy(*key, p, *len);
        (*key)[*len] = '\0';
    }
    return rc;
}

/* For theirs, where the version that decides is not as ours is. */
static enum ds_favour decided_there(ds_merge *m, const uint8_t key[16])
{
    ds_mergechange *c = m->as.diff ? ds_mergechange_find(&m->as, key) : NULL;
    if (c)
        c->used = true;
    return !m->as.diff ? DS_FAVOUR_NONE : c ? DS_FAVOUR_THEIRS : DS_FAVOUR_OURS;
}

static int conflict(ds_merge *m, const ds_mergechange *ours, const ds_mergechange *theirs,
                    enum ds_favour *who, ds_err *err)
{
    const ds_diffitem *o = &ours->it, *t = &theirs->it;
    ds_conflict c = {
        .ours = o->change,
        .theirs = t->change,
        .has = {o->change != DS_ADDED || t->change != DS_ADDED, o->change != DS_REMOVED,
                t->change != DS_REMOVED},
        .at = {o->change != DS_ADDED ? o->a : t->a, o->b, t->b},
    };
    const enum ds_mergeside from = c.has[DS_MERGE_THEIRS] ? DS_MERGE_THEIRS : DS_MERGE_BASE;
    int rc = key_text(m, ds_merge_side(m, from), c.at[from], &c.key, &c.len, err);
    if (rc)
        return rc;
    *who = m->o.choose ? m->o.choose(m->o.choose_ctx, c.key, c.len) : DS_FAVOUR_NONE;
    if (*who == DS_FAVOUR_NONE)
        *who = m->o.favour;
    if (*who == DS_FAVOUR_NONE)
        *who = decided_there(m, theirs->it.digest.key);
    if (*who != DS_FAVOUR_NONE) {
        m->stats.resolved++;
        m->stats.ours += *who == DS_FAVOUR_OURS;
        free(c.key);
        return 0;
    }
    if (ds_grow(&m->conflicts, &m->cap_conflicts, m->nconflicts, sizeof *m->conflicts)) {
        free(c.key);
        return ds_fail_nomem(err);
    }
    m->conflicts[m->nconflicts++] = c;
    m->stats.conflicts++;
    return 0;
}

static int decide(ds_merge *m, ds_mergechange *t, ds_err *err)
{
    static const enum ds_mergewhat plain[] = {[DS_REMOVED] = DS_MERGE_DROP,
                                              [DS_CHANGED] = DS_MERGE_REPLACE,
                                              [DS_ADDED] = DS_MERGE_INSERT};
    ds_mergechange *o = ds_mergechange_find(&m->ours, t->it.digest.key);
    enum ds_favour who = DS_FAVOUR_THEIRS;
    int rc = 0;
    if (o) {
        o->used = true; /* the next one with this key meets the next */
        const bool both_removed = o->it.change == DS_REMOVED && t->it.change == DS_REMOVED;
        const bool same = o->it.change == t->it.change && o->it.change != DS_REMOVED &&
                          memcmp(o->it.digest.value, t->it.digest.value, 16) == 0;
        if (both_removed || same)
            return 0;
        rc = conflict(m, o, t, &who, err);
        if (rc || who != DS_FAVOUR_THEIRS)
            return rc;
    }
    t->what = plain[t->it.change];
    if (o && o->it.change == DS_REMOVED)
        t->what = DS_MERGE_INSERT;
    else if (o && t->what == DS_MERGE_INSERT)
        t->what = DS_MERGE_REPLACE;
    m->stats.removed += t->what == DS_MERGE_DROP;
    m->stats.changed += t->what == DS_MERGE_REPLACE;
    m->stats.added += t->what == DS_MERGE_INSERT;
    return 0;
}

/* As they came: by digest the order of conflicts would be another in every run, and blocks would be
 * read for each. */
static int decide_all(ds_merge *m, ds_err *err)
{
    ds_mergechange **came = malloc((m->theirs.n + 1) * sizeof(ds_mergechange *));
    int rc = came ? 0 : ds_fail_nomem(err);
    for (size_t i = 0; !rc && i < m->theirs.n; i++)
        came[m->theirs.v[i].order] = &m->theirs.v[i];
    for (size_t i = 0; !rc && i < m->theirs.n; i++)
        rc = decide(m, came[i], err);
    free(came);
    ds_recblock_fini(&m->rec);
    for (size_t i = 0; i < m->ours.n; i++)
        m->ours.v[i].used = false;
    return rc;
}

/* ---- where additions go ---- */

static bool stays(const ds_merge *m, const uint8_t key[16])
{
    const ds_mergechange *t = ds_mergechange_find(&m->theirs, key),
                         *o = ds_mergechange_find(&m->ours, key);
    return !(t && (t->it.change == DS_ADDED || t->what == DS_MERGE_INSERT)) &&
           !(o && o->it.change == DS_REMOVED);
}

/* For one place of theirs after another: the nearest record before it that stays. Of `block` the
 * records before `row` have been looked at, and what stays of these and of all before is known. */
typedef struct seeking {
    ds_merge *m;
    const ds_verside *side;
    ds_recblock rec;
    bool *only; /* columns of keys */
    ds_buf scratch;
    size_t block;
    uint64_t row;
    uint8_t after[16]; /* zeros: none */
} seeking;

static int seeking_begin(seeking *k, ds_merge *m, ds_err *err)
{
    *k = (seeking){.m = m, .side = ds_verdiff_side(m->theirs.diff, true)};
    const ds_schema *s = &k->side->schema;
    k->only = calloc(s->n + 1, sizeof *k->only);
    for (size_t i = 0; k->only && i < s->n; i++)
        k->only[i] = ds_schema_is_key(s, i);
    k->rec.only = k->only;
    return k->only ? 0 : ds_fail_nomem(err);
}

static void seeking_fini(seeking *k)
{
    ds_recblock_fini(&k->rec);
    free(k->only);
    ds_buf_fini(&k->scratch);
}

/* The last of the records from..to-1 of a block that stays: 1 and its key; 0: none does. */
static int last_of(seeking *k, size_t block, uint64_t from, uint64_t to, uint8_t key[16],
                   ds_err *err)
{
    int found = 0, rc = 0;
    for (uint64_t row = from; !rc && row < to; row++) {
        uint8_t at[16];
        rc = ds_recblock_at(&k->rec, k->side, block, row, err);
        if (!rc && ds_verdiff_key(at, k->m->theirs.diff, true, &k->rec, &k->scratch))
            rc = ds_fail_nomem(err);
        if (!rc && stays(k->m, at)) {
            memcpy(key, at, sizeof at);
            found = 1;
        }
    }
    return rc ? rc : found;
}

/* Mostly the record just before it stays. Else no record is looked at twice, however many there are
 * that do not: those of the block, then those of the blocks before, back to what is known. */
static int anchor(seeking *k, ds_recplace at, uint8_t after[16], ds_err *err)
{
    int found = at.row ? last_of(k, at.block, at.row - 1, at.row, k->after, err) : 0;
    if (!found && k->block == at.block)
        found = last_of(k, at.block, k->row, at.row, k->after, err);
    else if (!found) {
        found = last_of(k, at.block, 0, at.row, k->after, err);
        for (size_t b = at.block; !found && b-- > k->block;)
            found =
                last_of(k, b, b == k->block ? k->row : 0, k->side->lines[b].rows, k->after, err);
    }
    k->block = at.block;
    k->row = at.row;
    memcpy(after, k->after, sizeof k->after);
    return found < 0 ? found : 0;
}

static int by_order(const void *x, const void *y)
{
    const ds_insertion *a = x, *b = y;
    return (a->order > b->order) - (a->order < b->order);
}

static int by_anchor(const void *x, const void *y)
{
    const ds_insertion *a = x, *b = y;
    int c = memcmp(a->after, b->after, sizeof a->after);
    return c ? c : by_order(x, y);
}

static int place_insertions(ds_merge *m, ds_err *err)
{
    seeking k;
    int rc = seeking_begin(&k, m, err);
    m->ins = calloc((size_t)m->stats.added + 1, sizeof *m->ins);
    m->anchors = calloc(BITS / 8, 1);
    if (!m->ins || !m->anchors)
        rc = ds_fail_nomem(err);
    for (size_t i = 0; !rc && i < m->theirs.n; i++)
        if (m->theirs.v[i].what == DS_MERGE_INSERT)
            m->ins[m->nins++] =
                (ds_insertion){.order = m->theirs.v[i].order, .at = m->theirs.v[i].it.b};
    if (!rc)
        qsort(m->ins, m->nins, sizeof *m->ins, by_order);
    for (size_t i = 0; !rc && i < m->nins; i++) {
        ds_insertion *n = &m->ins[i];
        const ds_insertion *p = i ? n - 1 : NULL;
        if (p && p->at.block == n->at.block &&
            p->at.row + 1 == n->at.row) { /* one behind another */
            memcpy(n->after, p->after, sizeof n->after);
            k.row = n->at.row;
        } else
            rc = anchor(&k, n->at, n->after, err);
        set_bit(m->anchors, n->after);
    }
    if (!rc)
        qsort(m->ins, m->nins, sizeof *m->ins, by_anchor);
    seeking_fini(&k);
    return rc;
}

/* ---- origins and sources of theirs ---- */

int ds_mergeorigin_cmp(const void *x, const void *y)
{
    const ds_mergeorigin *a = x, *b = y;
    return a->at.block != b->at.block ? (a->at.block > b->at.block) - (a->at.block < b->at.block)
                                      : (a->at.row > b->at.row) - (a->at.row < b->at.row);
}

static int block_origins(ds_merge *m, ds_recblock *rec, ds_origin_state *st, size_t *next,
                         ds_buf *one, ds_err *err)
{
    const ds_chunk *c = &rec->lent.chunks[rec->lent.nchunks - 1];
    uint64_t rows;
    size_t pos = 0;
    if (!ds_varint_get(c->body, c->body_len, &pos, &rows) || rows != rec->lent.rows)
        return ds_fail(err, DS_CORRUPT, "origins are not of as many records as the block");
    for (uint64_t row = 0; row < rows; row++) {
        int rc = ds_origin_get(c->body, c->body_len, &pos, st, one, err);
        if (rc)
            return rc;
        for (; *next < m->nwant && m->want[*next].at.block == rec->block &&
               m->want[*next].at.row == row;
             ++*next) {
            m->want[*next].first = m->ranges.len / sizeof(ds_range);
            m->want[*next].n = one->len / sizeof(ds_range);
            if (ds_buf_put(&m->ranges, one->data, one->len))
                return ds_fail_nomem(err);
        }
    }
    return 0;
}

/* Origins are coded from record to record: one pass over them all. */
static int read_origins(ds_merge *m, ds_err *err)
{
    const ds_verside *v = ds_verdiff_side(m->theirs.diff, true);
    const bool none[256] = {false};
    ds_recblock rec = {.only = none};
    ds_origin_state st = {0};
    ds_buf one = {0};
    size_t next = 0;
    int rc = 0;
    m->want = calloc((size_t)(m->stats.added + m->stats.changed) + 1, sizeof *m->want);
    if (!m->want)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < m->theirs.n; i++)
        if (m->theirs.v[i].what == DS_MERGE_INSERT || m->theirs.v[i].what == DS_MERGE_REPLACE)
            m->want[m->nwant++].at = m->theirs.v[i].it.b;
    qsort(m->want, m->nwant, sizeof *m->want, ds_mergeorigin_cmp);
    for (size_t i = 0; !rc && next < m->nwant && i < v->n; i++) {
        rc = ds_recblock_load(&rec, v, i, true, err);
        rc = rc ? rc : block_origins(m, &rec, &st, &next, &one, err);
    }
    ds_recblock_fini(&rec);
    ds_buf_fini(&one);
    return rc;
}

static int read_sources(ds_merge *m, ds_err *err)
{
    ds_sourcelist theirs = {0};
    int rc = ds_sourcelist_read(&m->sources, m->store,
                                &ds_verdiff_side(m->ours.diff, true)->version.tree, err);
    rc = rc ? rc
            : ds_sourcelist_read(&theirs, m->store,
                                 &ds_verdiff_side(m->theirs.diff, true)->version.tree, err);
    rc = rc ? rc : ds_sourcelist_join(&m->sources, &theirs, &m->map, err);
    ds_sourcelist_fini(&theirs);
    return rc;
}

/* ---- provenance ---- */

static int make_provenance(ds_merge *m, ds_err *err)
{
    const ds_version *ours = &ds_verdiff_side(m->ours.diff, true)->version,
                     *theirs = &ds_verdiff_side(m->theirs.diff, true)->version,
                     *base = &ds_verdiff_side(m->ours.diff, false)->version;
    ds_buf a = {0}, b = {0}, both = {0};
    char hex[3][72] = {"sha256:", "sha256:", "sha256:"};
    ds_sha_hex(hex[0] + 7, &base->root);
    ds_sha_hex(hex[1] + 7, &ours->root);
    ds_sha_hex(hex[2] + 7, &theirs->root);
    const json_int_t n = (json_int_t)m->stats.ours, all = (json_int_t)m->stats.resolved;
    json_t *options = all ? json_pack("{s:I,s:I}", "ours", n, "theirs", all - n) : json_object();
    json_t *digests = json_pack("{s:s,s:s,s:s}", "base", hex[0], "ours", hex[1], "theirs", hex[2]);
    int rc = options && digests ? 0 : ds_fail_nomem(err);
    rc = rc ? rc : ds_catalog_file(&a, m->store->cat, &ours->tree, "provenance.json", err);
    rc = rc ? rc : ds_catalog_file(&b, m->store->cat, &theirs->tree, "provenance.json", err);
    rc = rc ? rc : ds_prov_union(&both, a.data, a.len, b.data, b.len, err);
    rc = rc ? rc
            : ds_prov_append(&m->prov, both.data, both.len, DS_MERGE_TOOL, options, digests, err);
    rc = rc ? rc : ds_version_meta(&m->meta, m->store->cat, ours, err);
    json_decref(options);
    json_decref(digests);
    ds_buf_fini(&a);
    ds_buf_fini(&b);
    ds_buf_fini(&both);
    return rc;
}

/* ---- the plan ---- */

int ds_merge_plan(ds_merge **out, ds_store *s, const git_oid *base, const git_oid *ours,
                  const git_oid *theirs, const ds_merge_opts *o, ds_err *err)
{
    ds_merge *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m)
        return ds_fail_nomem(err);
    m->store = s;
    m->o = *o;
    int rc = read_changes(&m->ours, s, base, ours, 0, o->threads, err);
    rc = rc ? rc
            : read_changes(&m->theirs, s, base, theirs, ds_verdiff_seed(m->ours.diff), o->threads,
                           err);
    if (!rc && (!ds_verdiff_stats(m->ours.diff)->same_schema ||
                !ds_verdiff_stats(m->theirs.diff)->same_schema))
        rc = ds_fail(err, DS_FAIL,
                     "the versions do not have the same columns: bring them to one "
                     "schema first (dsver diff tells which differ)");
    if (!rc && o->as)
        rc = read_changes(&m->as, s, ours, o->as, ds_verdiff_seed(m->ours.diff), o->threads, err);
    rc = rc ? rc : decide_all(m, err);
    rc = rc ? rc : ds_merge_check_tree(m, err);
    rc = rc ? rc : place_insertions(m, err);
    rc = rc ? rc : read_origins(m, err);
    rc = rc ? rc : read_sources(m, err);
    rc = rc ? rc : make_provenance(m, err);
    if (rc)
        ds_merge_free(m);
    else
        *out = m;
    return rc;
}

const ds_merge_stats *ds_merge_about(const ds_merge *m)
{
    return &m->stats;
}

const ds_conflict *ds_merge_conflict(const ds_merge *m, size_t i)
{
    return &m->conflicts[i];
}

const ds_verside *ds_merge_side(const ds_merge *m, enum ds_mergeside which)
{
    return ds_verdiff_side(which == DS_MERGE_THEIRS ? m->theirs.diff : m->ours.diff,
                           which != DS_MERGE_BASE);
}

static void changes_fini(ds_mergechanges *c)
{
    ds_verdiff_free(c->diff);
    free(c->v);
    free(c->seen);
}

void ds_merge_free(ds_merge *m)
{
    if (!m)
        return;
    changes_fini(&m->ours);
    changes_fini(&m->theirs);
    changes_fini(&m->as);
    for (size_t i = 0; i < m->nconflicts; i++)
        free(m->conflicts[i].key);
    free(m->conflicts);
    free(m->ins);
    free(m->anchors);
    free(m->want);
    ds_buf_fini(&m->ranges);
    ds_buf_fini(&m->map);
    ds_buf_fini(&m->prov);
    ds_sourcelist_fini(&m->sources);
    ds_meta_fini(&m->meta);
    ds_hasher_free(m->hasher);
    free(m);
}
