/* A writing transaction. The producer's thread looks for known pieces and for bases, in the order
 * of the puts; workers compress; the producer appends what they made to a pack in tmp/, again in
 * that order. So the packs depend on the puts and on what the store held, never on the threads. Two
 * rules keep it so:
 *  - a piece of this transaction can be a base only LAG puts later, when its job is done for any
 * number of threads;
 *  - packs are published after a fixed amount of data put in, not when they happen to be ready.
 */
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "delta.h"
#include "objcore.h"
#include "pool.h"

#define LAG 64 /* >= the pool's window */
#define PUBLISH_BYTES ((uint64_t)2 << 30)
#define PUBLISH_PIECES 100000u
#define NONE UINT32_MAX
#define TX_KEY                                                                                     \
    (INT64_MAX / 2) /* keys of pieces of the transaction: newer than all of the store              \
                     */

typedef struct encode_job {
    ds_buf raw, out, alt;
    size_t start; /* of the object in out or alt */
    bool in_alt;
    ds_objhead head;
    uint8_t word;
    uint16_t number;                  /* chain number, should it become a delta */
    ds_bases bases;                   /* n = 0: none */
    ds_objloc under[DS_DELTA_PIECES]; /* the bases and all that they are built on */
    size_t nunder;
    uint32_t entry;
    int rc;
    ds_err err;
    struct encode_job *next;
} encode_job;

typedef struct pending { /* a pack whole but not named yet */
    ds_packw w;
    pthread_t thread;
    bool threaded;
    int rc;
    ds_err err;
} pending;

typedef struct vote_slot { /* one hash of one entry's sketch */
    uint32_t hash, entry, older;
} vote_slot;

struct ds_objtx {
    ds_objstore *s;
    struct candidates *candidates; /* scratch */
    struct {
        ds_bases like;   /* what the last piece of the stream that resembled pieces of the store
                            resembled */
        unsigned number; /* of pieces that resemble those of the store */
        unsigned fresh;  /* for how many more pieces without a likeness it is tried */
    } last[256];
    ds_pool *pool;
    encode_job *idle;
    bool held, failed, store_empty;
    ds_objstats stats;
    /* pieces since the last publish */
    ds_objrow *rows;
    bool *done;
    uint32_t nrows, cap_rows;
    uint32_t *map, map_mask; /* by id */
    vote_slot *slots;
    uint32_t nslots, cap_slots;
    uint32_t *heads, head_mask; /* by hash: newest slot */
    uint64_t raw_since;
    /* packs since the last publish; the last one is being written when `writing` */
    pending **packs;
    uint32_t npacks, cap_packs;
    bool writing;
};

/* ---- tables ---- */

static int grow(void **p, uint32_t *cap, uint32_t n, size_t size, ds_err *err)
{
    if (n < *cap)
        return 0;
    uint32_t want = *cap ? *cap * 2 : 256;
    void *q = realloc(*p, want * size);
    if (!q)
        return ds_fail_nomem(err);
    *p = q;
    *cap = want;
    return 0;
}

static uint32_t map_find(const ds_objtx *tx, const ds_sha *id)
{
    if (!tx->map)
        return NONE;
    for (uint32_t i = ds_get_u32(id->b) & tx->map_mask; tx->map[i] != NONE;
         i = (i + 1) & tx->map_mask)
        if (ds_sha_eq(&tx->rows[tx->map[i]].id, id))
            return tx->map[i];
    return NONE;
}

static void map_put(ds_objtx *tx, uint32_t row)
{
    uint32_t i = ds_get_u32(tx->rows[row].id.b) & tx->map_mask;
    while (tx->map[i] != NONE)
        i = (i + 1) & tx->map_mask;
    tx->map[i] = row;
}

static int new_table(uint32_t **t, uint32_t n, ds_err *err)
{
    uint32_t *q = malloc(n * sizeof *q);
    if (!q)
        return ds_fail_nomem(err);
    memset(q, 0xff, n * sizeof *q);
    free(*t);
    *t = q;
    return 0;
}

static int map_reserve(ds_objtx *tx, ds_err *err)
{
    uint32_t n = tx->map ? tx->map_mask + 1 : 0;
    if (tx->map && tx->nrows < n / 2)
        return 0;
    n = n ? n * 2 : 1024;
    int rc = new_table(&tx->map, n, err);
    if (rc)
        return rc;
    tx->map_mask = n - 1;
    for (uint32_t i = 0; i < tx->nrows; i++)
        map_put(tx, i);
    return 0;
}

static void slot_link(ds_objtx *tx, uint32_t i)
{
    vote_slot *v = &tx->slots[i];
    uint32_t *head = &tx->heads[v->hash & tx->head_mask];
    v->older = *head;
    *head = i;
}

static int slots_add(ds_objtx *tx, uint32_t entry, const ds_sketch *s, ds_err *err)
{
    int rc = 0;
    uint32_t n = tx->heads ? tx->head_mask + 1 : 0;
    if (tx->nslots + DS_SKETCH_MAX > n) {
        n = n ? n * 2 : 4096;
        rc = new_table(&tx->heads, n, err);
        if (rc)
            return rc;
        tx->head_mask = n - 1;
        for (uint32_t i = 0; i < tx->nslots; i++)
            slot_link(tx, i);
    }
    for (int k = 0; rc == 0 && k < s->n; k++) {
        void *p = tx->slots;
        rc = grow(&p, &tx->cap_slots, tx->nslots, sizeof *tx->slots, err);
        tx->slots = p;
        if (rc == 0) {
            tx->slots[tx->nslots] = (vote_slot){.hash = s->h[k], .entry = entry};
            slot_link(tx, tx->nslots++);
        }
    }
    return rc;
}

static int rows_add(ds_objtx *tx, const ds_piece *p, uint32_t *row, ds_err *err)
{
    uint32_t cap = tx->cap_rows;
    void *rows = tx->rows, *done = tx->done;
    int rc = grow(&rows, &cap, tx->nrows, sizeof *tx->rows, err);
    tx->rows = rows;
    if (rc == 0 && cap != tx->cap_rows) {
        if (!(done = realloc(tx->done, cap * sizeof *tx->done)))
            return ds_fail_nomem(err); /* cap_rows stays: rows is merely larger than said */
        tx->done = done;
        tx->cap_rows = cap;
    }
    if (rc == 0)
        rc = map_reserve(tx, err);
    if (rc)
        return rc;
    *row = tx->nrows++;
    tx->rows[*row] =
        (ds_objrow){.id = p->id, .raw = (uint32_t)p->len, .kind = p->kind, .sketch = p->sketch};
    tx->done[*row] = false;
    map_put(tx, *row);
    return slots_add(tx, *row, &p->sketch, err);
}

/* ---- workers ---- */

/* Puts the head before the payload in b and the sum behind it. The payload begins at
 * DS_OBJHEAD_MAX. */
static int seal(encode_job *j, ds_buf *b, ds_err *err)
{
    size_t head = ds_objhead_size(&j->head);
    if (ds_buf_reserve(b, DS_OBJSUM))
        return ds_fail_nomem(err);
    j->start = DS_OBJHEAD_MAX - head;
    j->in_alt = b == &j->alt;
    ds_objhead_put(b->data + j->start, &j->head);
    ds_x128 sum = ds_xxh128(b->data + j->start, b->len - j->start);
    memcpy(b->data + b->len, sum.b, DS_OBJSUM);
    b->len += DS_OBJSUM;
    return 0;
}

static int headroom(ds_buf *b, ds_err *err)
{
    ds_buf_reset(b);
    if (ds_buf_reserve(b, DS_OBJHEAD_MAX))
        return ds_fail_nomem(err);
    b->len = DS_OBJHEAD_MAX;
    return 0;
}

/* What the piece would take whole, going by the whole pieces that it is built on. */
static size_t guess_whole(const encode_job *j)
{
    uint64_t size = 0, raw = 0;
    for (size_t i = 0; i < j->nunder; i++)
        if (j->under[i].bases.n == 0) {
            size += j->under[i].size;
            raw += j->under[i].raw;
        }
    return raw ? (size_t)(size * j->raw.len / raw) : 0;
}

/* A delta in out. *got: it is worth keeping for sure (1), perhaps (0), or there is none (-1). A
 * base that cannot be read is no reason to fail: the piece is stored whole. */
static int try_delta(encode_job *j, ds_objstore *s, ds_codecs *c, int *got, ds_err *err)
{
    ds_prefix prefix = {.len = 0};
    ds_err ignored = {0};
    bool made = false;
    *got = -1;
    int rc = ds_objcore_prefix(s, c, j->under, j->nunder, &j->bases, &prefix, &ignored);
    if (rc == DS_NOMEM)
        return ds_fail_nomem(err);
    if (rc != 1)
        return 0;
    rc = headroom(&j->out, err);
    if (rc == 0)
        rc = ds_codec_delta(c->c, j->raw.data, j->raw.len, prefix.p, prefix.len, j->raw.len,
                            &j->out, &made, err);
    ds_objcore_prefix_drop(&prefix);
    if (rc == 0 && made)
        *got = j->out.len - DS_OBJHEAD_MAX + j->bases.n * sizeof(ds_sha) < guess_whole(j) / 2;
    return rc;
}

static int encode_with(encode_job *j, ds_objstore *s, ds_codecs *c, ds_err *err)
{
    int got = -1;
    int rc = j->bases.n ? try_delta(j, s, c, &got, err) : 0;
    if (rc == 0 && got <= 0)
        rc = headroom(&j->alt, err);
    if (rc == 0 && got <= 0)
        rc = ds_codec_pack(c->c, j->raw.data, j->raw.len, j->word, &j->alt, &j->head, err);
    if (rc)
        return rc;
    size_t delta = j->out.len - DS_OBJHEAD_MAX;
    if (got == 1 ||
        (got == 0 && (delta + j->bases.n * sizeof(ds_sha)) * 10 < (size_t)j->head.stored * 9)) {
        j->head.codec = DS_CODEC_DELTA;
        j->head.filter = 0;
        j->head.stored = (uint32_t)delta;
        j->head.bases = j->bases;
        j->head.chain = j->number;
        return seal(j, &j->out, err);
    }
    return seal(j, &j->alt, err);
}

static void encode(void *job, void *ctx)
{
    encode_job *j = job;
    ds_objtx *tx = ctx;
    ds_codecs *c = NULL;
    memset(&j->err, 0, sizeof j->err);
    j->rc = ds_objcore_codec(tx->s, &c, &j->err);
    if (j->rc == 0)
        j->rc = encode_with(j, tx->s, c, &j->err);
    ds_objcore_codec_back(tx->s, c);
}

/* ---- packs ---- */

static void *sync_pack(void *arg)
{
    pending *p = arg;
    p->rc = ds_packw_sync(&p->w, &p->err);
    return NULL;
}

/* Syncs on a thread of its own: the disk works while the next pack fills. */
static void start_sync(pending *p)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    p->threaded = pthread_create(&p->thread, NULL, sync_pack, p) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!p->threaded)
        (void)sync_pack(p);
}

static int end_sync(pending *p, ds_err *err)
{
    if (p->threaded)
        pthread_join(p->thread, NULL);
    p->threaded = false;
    return p->rc ? ds_fail(err, p->rc, "%s", p->err.msg) : 0;
}

static int open_pack(ds_objtx *tx, ds_err *err)
{
    void *v = tx->packs;
    int rc = grow(&v, &tx->cap_packs, tx->npacks, sizeof *tx->packs, err);
    tx->packs = v;
    if (rc)
        return rc;
    pending *p = calloc(1, sizeof *p);
    if (!p)
        return ds_fail_nomem(err);
    rc = ds_packw_open(&p->w, tx->s->dir, err);
    if (rc) {
        free(p);
        return rc;
    }
    tx->packs[tx->npacks++] = p;
    tx->writing = true;
    return 0;
}

static int close_pack(ds_objtx *tx, ds_err *err)
{
    pending *p = tx->packs[tx->npacks - 1];
    tx->writing = false;
    int rc = ds_packw_end(&p->w, err);
    if (rc == 0)
        start_sync(p);
    return rc;
}

/* Appends a worker's object to the pack. */
static int append(ds_objtx *tx, encode_job *j, ds_err *err)
{
    const ds_buf *b = j->in_alt ? &j->alt : &j->out;
    ds_objrow *r = &tx->rows[j->entry];
    int rc = j->rc ? ds_fail(err, j->rc, "%s", j->err.msg) : 0;
    if (rc == 0 && !tx->writing)
        rc = open_pack(tx, err);
    if (rc)
        return rc;
    pending *p = tx->packs[tx->npacks - 1];
    rc = ds_packw_put(&p->w, b->data + j->start, b->len - j->start, &r->off, err);
    if (rc)
        return rc;
    r->size = (uint32_t)(b->len - j->start);
    r->pack = tx->npacks - 1;
    r->chain = j->head.chain;
    r->bases = j->head.bases;
    tx->done[j->entry] = true;
    tx->stats.deltas += r->bases.n > 0;
    return p->w.size >= DS_PACK_TARGET ? close_pack(tx, err) : 0;
}

static int take_one(ds_objtx *tx, ds_err *err)
{
    encode_job *j = ds_pool_next(tx->pool);
    int rc = tx->failed ? DS_FAIL : append(tx, j, err);
    j->next = tx->idle;
    tx->idle = j;
    tx->failed |= rc != 0;
    return rc;
}

static int drain(ds_objtx *tx, ds_err *err)
{
    int rc = 0;
    while (!ds_pool_empty(tx->pool)) {
        int one = take_one(tx, err);
        rc = rc ? rc : one;
    }
    return rc;
}

static void forget_pieces(ds_objtx *tx)
{
    if (tx->map)
        memset(tx->map, 0xff, ((size_t)tx->map_mask + 1) * sizeof *tx->map);
    if (tx->heads)
        memset(tx->heads, 0xff, ((size_t)tx->head_mask + 1) * sizeof *tx->heads);
    tx->nrows = tx->nslots = 0;
    tx->raw_since = 0;
    for (uint32_t i = 0; i < tx->npacks; i++) {
        (void)end_sync(tx->packs[i], NULL);
        ds_packw_fini(&tx->packs[i]->w);
        free(tx->packs[i]);
    }
    tx->npacks = 0;
    tx->writing = false;
}

static int publish_packs(ds_objtx *tx, ds_packrow *rows, ds_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < tx->npacks; i++)
        rc = end_sync(tx->packs[i], err);
    for (uint32_t i = 0; rc == 0 && i < tx->npacks; i++) {
        ds_packw *w = &tx->packs[i]->w;
        rows[i] = (ds_packrow){.name = w->name, .size = w->size, .objects = w->objects};
        tx->stats.bytes_stored += w->size;
        tx->stats.packs++;
        rc = ds_packw_publish(w, tx->s->dir, err);
    }
    if (rc == 0) {
        size_t cap = strlen(tx->s->dir) + 80;
        char *path = malloc(cap);
        if (!path)
            return ds_fail_nomem(err);
        ds_pack_path(path, cap, tx->s->dir, &rows[0].name);
        rc = ds_fsync_parent(path, err);
        free(path);
    }
    return rc;
}

/* Everything put so far becomes durable and visible: packs first, then the index. */
static int publish(ds_objtx *tx, ds_err *err)
{
    int rc = drain(tx, err);
    if (rc == 0 && tx->writing)
        rc = close_pack(tx, err);
    if (rc == 0 && tx->npacks > 0) {
        ds_packrow *rows = calloc(tx->npacks, sizeof *rows);
        rc = rows ? publish_packs(tx, rows, err) : ds_fail_nomem(err);
        if (rc == 0)
            rc = ds_objindex_publish(tx->s->ix, rows, tx->npacks, tx->rows, tx->nrows, err);
        free(rows);
        tx->store_empty = false;
    }
    if (rc == 0)
        forget_pieces(tx);
    tx->failed |= rc != 0;
    return rc;
}

/* ---- bases ---- */

static void row_loc(const ds_objtx *tx, uint32_t row, ds_objloc *out)
{
    const ds_objrow *r = &tx->rows[row];
    *out = (ds_objloc){.id = r->id,
                       .bases = r->bases,
                       .sketch = r->sketch,
                       .off = r->off,
                       .size = r->size,
                       .raw = r->raw,
                       .chain = r->chain,
                       .kind = r->kind,
                       .fd = tx->packs[r->pack]->w.fd};
}

/* A piece of the transaction or of the store: a ds_lookup_fn. One of the transaction whose job is
 * not done is asked for only when another process has published the same piece meanwhile: that one
 * is taken then. */
static int lookup(void *ctx, const ds_sha *id, ds_objloc *out, ds_err *err)
{
    ds_objtx *tx = ctx;
    uint32_t row = map_find(tx, id);
    if (row == NONE || !tx->done[row])
        return ds_objindex_find(tx->s->ix, id, out, err);
    row_loc(tx, row, out);
    return 1;
}

/* Everything of these places must be in the file, where workers read it. */
static int flush_for(ds_objtx *tx, const ds_objloc *v, size_t n, ds_err *err)
{
    if (!tx->writing)
        return 0;
    ds_packw *w = &tx->packs[tx->npacks - 1]->w;
    for (size_t i = 0; i < n; i++)
        if (v[i].fd == w->fd && v[i].off + v[i].size > w->size - w->out.len)
            return ds_packw_flush(w, err);
    return 0;
}

/* limit: entries of the transaction before it count. */
static int collect_votes(ds_objtx *tx, const ds_sketch *s, uint32_t limit, ds_votes *votes,
                         ds_err *err)
{
    int64_t rows[DS_DELTA_SHARING];
    for (int k = 0; k < s->n; k++) {
        size_t n = 0;
        if (!tx->store_empty) {
            int rc = ds_objindex_sharing(tx->s->ix, s->h[k], rows, DS_DELTA_SHARING, &n, err);
            if (rc)
                return rc;
        }
        for (size_t i = 0; i < n; i++)
            ds_votes_add(votes, rows[i], k);
        n = 0;
        uint32_t v = tx->heads ? tx->heads[s->h[k] & tx->head_mask] : NONE;
        for (; v != NONE && n < DS_DELTA_SHARING; v = tx->slots[v].older)
            if (tx->slots[v].hash == s->h[k] && tx->slots[v].entry < limit) {
                ds_votes_add(votes, TX_KEY + tx->slots[v].entry, k);
                n++;
            }
    }
    return 0;
}

/* Pieces that may be built on, and all that they are built on. */
typedef struct candidates {
    ds_objloc v[DS_CLOSURE_CAP];
    unsigned depth[DS_CLOSURE_CAP];
    size_t n;
    ds_bases like;   /* those that share hashes with the new piece, best first */
    unsigned number; /* of the new piece */
    bool stored;     /* the best is in the store, not in this transaction */
} candidates;

static int add_candidate(ds_objtx *tx, candidates *c, const ds_sha *id, ds_err *err)
{
    bool overflow;
    size_t first = c->n;
    int rc = ds_objcore_closure(lookup, tx, id, c->v, DS_CLOSURE_CAP, &c->n, &overflow, err);
    if (rc == 1 && first == 0)
        c->number = c->v[0].chain + 1u;
    if (rc == 1 && c->like.n < DS_BASES_MAX)
        c->like.id[c->like.n++] = *id;
    return rc < 0 ? rc : 0;
}

/* Those that share the sketch's hashes: the best, then the best for what that one lacks, and so on.
 * Within the transaction the best must share a quarter: records that are found all over the data
 * make no likeness. */
static int voted(ds_objtx *tx, candidates *c, const ds_sketch *s, uint32_t limit, ds_err *err)
{
    ds_votes votes = {.n = 0};
    unsigned left = (1u << s->n) - 1, mask = 0;
    int64_t key = 0;
    int rc = collect_votes(tx, s, limit, &votes, err);
    while (rc == 0 && ds_votes_best(&votes, left, &key, &mask)) {
        ds_objloc found;
        rc = 1;
        if (key >= TX_KEY)
            row_loc(tx, (uint32_t)(key - TX_KEY), &found);
        else
            rc = ds_objindex_at(tx->s->ix, key, &found, err);
        if (c->like.n == 0 && key >= TX_KEY && (unsigned)__builtin_popcount(mask) * 4 < s->n)
            break;
        c->stored |= key < TX_KEY;
        if (rc == 1)
            rc = add_candidate(tx, c, &found.id, err);
        left &= ~mask;
    }
    return rc < 0 ? rc : 0;
}

/* Without a shared hash: the caller's hints, then what the piece before in the stream was like. A
 * large piece of old that was cut into many shares its few hashes with some of them only, but they
 * follow each other. */
static int hinted(ds_objtx *tx, candidates *c, const ds_piece *p, uint32_t limit, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && c->n == 0 && i < p->n_hints; i++) {
        uint32_t row = map_find(tx, &p->hints[i]);
        if (row == NONE || row < limit)
            rc = add_candidate(tx, c, &p->hints[i], err);
    }
    if (c->n > 0 || tx->last[p->stream].fresh == 0)
        return rc;
    tx->last[p->stream].fresh--;
    for (int i = 0; rc == 0 && i < tx->last[p->stream].like.n; i++)
        rc = add_candidate(tx, c, &tx->last[p->stream].like.id[i], err);
    return rc;
}

/* Takes a base and all below it into the job. False when that would be too much. */
static bool take_base(encode_job *j, candidates *c, const ds_objloc *base)
{
    size_t before = j->nunder;
    ds_objloc *u = j->under;
    if (!ds_objcore_in(u, j->nunder, &base->id)) {
        if (j->nunder == DS_DELTA_PIECES)
            return false;
        u[j->nunder++] = *base;
    }
    for (size_t i = before; i < j->nunder; i++)
        for (int k = 0; k < u[i].bases.n; k++) {
            const ds_objloc *b = ds_objcore_in(c->v, c->n, &u[i].bases.id[k]);
            if (ds_objcore_in(u, j->nunder, &u[i].bases.id[k]))
                continue;
            if (!b || j->nunder == DS_DELTA_PIECES) {
                j->nunder = before;
                return false;
            }
            u[j->nunder++] = *b;
        }
    j->bases.id[j->bases.n++] = base->id;
    return true;
}

/* The first piece, going down from this one, that is not too deep. */
static const ds_objloc *down_from(const candidates *c, const ds_sha *id, unsigned room)
{
    const ds_objloc *l = ds_objcore_in(c->v, c->n, id);
    while (l && l->bases.n && c->depth[l - c->v] > room)
        l = ds_objcore_in(c->v, c->n, &l->bases.id[0]);
    return l;
}

/* Adds those of `like` that the job does not build on yet, or what they are built on if they are
 * too deep. */
static void take_like(encode_job *j, candidates *c, const ds_bases *like, size_t least)
{
    for (int i = 0; i < like->n && j->bases.n < DS_BASES_MAX; i++) {
        const ds_objloc *l = down_from(c, &like->id[i], ds_delta_room(c->number));
        if (l && l->raw >= least && !ds_objcore_in(j->under, j->nunder, &l->id))
            (void)take_base(j, c, l);
    }
}

/* What the piece before was like may have a tail that this one begins with: too short to share a
 * hash with us. */
static int neighbours(ds_objtx *tx, encode_job *j, candidates *c, const ds_piece *p, ds_err *err)
{
    uint64_t raw = 0;
    int rc = 0;
    for (int i = 0; i < j->bases.n; i++)
        raw += ds_objcore_in(j->under, j->nunder, &j->bases.id[i])->raw;
    if (j->bases.n == 0 || j->bases.n == DS_BASES_MAX || raw + raw / 32 >= p->len ||
        tx->last[p->stream].fresh == 0)
        return 0;
    ds_bases like = tx->last[p->stream].like;
    for (int i = 0; rc == 0 && i < like.n; i++)
        rc = add_candidate(tx, c, &like.id[i], err);
    if (rc == 0) {
        ds_delta_depths(c->v, c->n, c->depth);
        take_like(j, c, &like, p->len / 16);
    }
    return rc;
}

static void choose(encode_job *j, candidates *c, const ds_sketch *s)
{
    unsigned left = (1u << s->n) - 1, mask = 0, room = ds_delta_room(c->number);
    if (c->n == 0)
        return;
    j->number = (uint16_t)c->number;
    ds_delta_depths(c->v, c->n, c->depth);
    while (j->bases.n < DS_BASES_MAX) {
        const ds_objloc *b = ds_delta_best(s, c->v, c->depth, c->n, room, left, &j->bases, &mask);
        if (!b)
            break;
        if (take_base(j, c, b))
            left &= ~mask;
        else /* built on too many: another one then */
            c->depth[b - c->v] = UINT_MAX;
    }
    if (j->bases.n == 0)
        take_like(j, c, &c->like, 1);
}

/* What is like older versions' pieces gets one number for all of the version (delta.h). */
static void set_number(ds_objtx *tx, candidates *c, uint8_t stream)
{
    unsigned *highest = &tx->last[stream].number;
    if (c->n == 0)
        return;
    if (c->v[0].fd >= 0) { /* its like is in this transaction */
        if (c->number > DS_DELTA_OWN)
            c->n = 0;
        return;
    }
    if (c->number > UINT16_MAX)
        c->number = UINT16_MAX;
    if (*highest < c->number)
        *highest = c->number;
    c->number = *highest;
}

/* Fills in the job's bases. */
static int find_bases(ds_objtx *tx, encode_job *j, const ds_piece *p, ds_err *err)
{
    /* entries before it are done whatever the number of threads */
    uint32_t limit = j->entry >= LAG ? j->entry - LAG : 0;
    candidates *c = tx->candidates;
    j->nunder = j->bases.n = 0;
    if (p->len < DS_DELTA_MIN || (tx->store_empty && limit == 0))
        return 0;
    c->n = c->like.n = 0;
    c->stored = false;
    int rc = voted(tx, c, &p->sketch, limit, err);
    ds_bases like = c->like; /* before the hints */
    if (rc == 0 && c->n == 0)
        rc = hinted(tx, c, p, limit, err);
    if (rc)
        return rc;
    set_number(tx, c, p->stream);
    choose(j, c, &p->sketch);
    rc = neighbours(tx, j, c, p, err);
    if (c->stored) {
        tx->last[p->stream].like = like;
        tx->last[p->stream].fresh = 8;
    }
    return rc ? rc : flush_for(tx, j->under, j->nunder, err);
}

/* ---- the interface ---- */

int ds_objtx_begin(ds_objtx **out, ds_objstore *s, int threads, ds_err *err)
{
    int64_t last = 0;
    *out = NULL;
    if (s->mode != DS_OBJ_WRITE)
        return ds_fail(err, DS_FAIL, "%s: opened for reading only", s->dir);
    ds_objtx *tx = calloc(1, sizeof *tx);
    if (!tx || !(tx->candidates = calloc(1, sizeof *tx->candidates))) {
        free(tx);
        return ds_fail_nomem(err);
    }
    tx->s = s;
    int window = threads < 1 ? 1 : 8 * threads + 8 < LAG ? 8 * threads + 8 : LAG;
    int rc = ds_pool_new(&tx->pool, threads, window, encode, tx, err);
    if (rc == 0)
        rc = ds_objstore_hold(s, err);
    tx->held = rc == 0;
    if (rc == 0)
        rc = ds_objindex_last_row(s->ix, &last, err);
    tx->store_empty = last == 0;
    if (rc) {
        ds_objtx_abort(tx);
        return rc;
    }
    *out = tx;
    return 0;
}

static int check_piece(const ds_objtx *tx, const ds_piece *p, ds_err *err)
{
    if (tx->failed)
        return ds_fail(err, DS_FAIL, "%s: the transaction failed before", tx->s->dir);
    if (p->len > DS_OBJ_MAX)
        return ds_fail(err, DS_FAIL, "a piece of %zu bytes is too large", p->len);
    if (p->sketch.n > DS_SKETCH_MAX)
        return ds_fail(err, DS_FAIL, "a sketch of %u hashes is too large", p->sketch.n);
    return 0;
}

/* Is it there already? 1, 0 or an error. */
static int known(ds_objtx *tx, const ds_sha *id, ds_err *err)
{
    int64_t row;
    if (map_find(tx, id) != NONE)
        return 1;
    return tx->store_empty ? 0 : ds_objindex_row(tx->s->ix, id, &row, err);
}

static int take_job(ds_objtx *tx, encode_job **out, ds_err *err)
{
    while (ds_pool_full(tx->pool)) {
        int rc = take_one(tx, err);
        if (rc)
            return rc;
    }
    encode_job *j = tx->idle;
    if (j)
        tx->idle = j->next;
    else if (!(j = calloc(1, sizeof *j)))
        return ds_fail_nomem(err);
    *out = j;
    return 0;
}

static int submit(ds_objtx *tx, const ds_piece *p, ds_buf *own, ds_err *err)
{
    encode_job *j = NULL;
    int rc = take_job(tx, &j, err);
    if (rc)
        return rc;
    if (own) {
        ds_buf empty = j->raw;
        ds_buf_reset(&empty);
        j->raw = *own;
        *own = empty;
    } else {
        ds_buf_reset(&j->raw);
        if (ds_buf_put(&j->raw, p->data, p->len))
            rc = ds_fail_nomem(err);
    }
    j->head =
        (ds_objhead){.kind = p->kind, .raw = (uint32_t)p->len, .id = p->id, .sketch = p->sketch};
    j->word = p->word;
    if (rc == 0)
        rc = rows_add(tx, p, &j->entry, err);
    if (rc == 0)
        rc = find_bases(tx, j, p, err);
    if (rc == 0)
        rc = ds_pool_submit(tx->pool, j, err);
    if (rc) {
        j->next = tx->idle;
        tx->idle = j;
        tx->failed = true;
    }
    return rc;
}

static int put(ds_objtx *tx, const ds_piece *p, ds_buf *own, bool *is_new, ds_err *err)
{
    int rc = check_piece(tx, p, err);
    if (rc)
        return rc;
    rc = known(tx, &p->id, err);
    if (rc < 0)
        return rc;
    if (is_new)
        *is_new = rc == 0;
    if (rc == 1) {
        tx->stats.pieces_shared++;
        tx->stats.bytes_shared += p->len;
        if (own)
            ds_buf_reset(own);
        return 0;
    }
    size_t len = p->len;
    rc = submit(tx, p, own, err);
    if (rc)
        return rc;
    tx->stats.pieces_new++;
    tx->stats.bytes_new += len;
    tx->raw_since += len;
    if (tx->raw_since >= PUBLISH_BYTES || tx->nrows >= PUBLISH_PIECES)
        rc = publish(tx, err);
    return rc;
}

int ds_objtx_put(ds_objtx *tx, const ds_piece *p, bool *is_new, ds_err *err)
{
    return put(tx, p, NULL, is_new, err);
}

int ds_objtx_put_buf(ds_objtx *tx, const ds_piece *p, ds_buf *buf, bool *is_new, ds_err *err)
{
    if (p->data != buf->data || p->len != buf->len)
        return ds_fail(err, DS_FAIL, "the piece is not what the buffer holds");
    return put(tx, p, buf, is_new, err);
}

int ds_objtx_get(ds_objtx *tx, const ds_sha *id, ds_buf *out, ds_err *err)
{
    candidates *c = tx->candidates;
    ds_codecs *scratch = NULL;
    bool overflow;
    if (map_find(tx, id) == NONE)
        return ds_objstore_get(tx->s, id, true, out, err);
    c->n = 0;
    int rc = drain(tx, err);
    if (rc == 0)
        rc = ds_objcore_closure(lookup, tx, id, c->v, DS_CLOSURE_CAP, &c->n, &overflow, err) < 0
                 ? DS_FAIL
                 : 0;
    if (rc == 0)
        rc = flush_for(tx, c->v, c->n, err);
    if (rc == 0)
        rc = ds_objcore_codec(tx->s, &scratch, err);
    if (rc == 0) {
        int got = c->n ? ds_objcore_decode(tx->s, scratch, c->v, c->n, &c->v[0], out, err) : 0;
        rc = got == 0  ? ds_fail(err, DS_CORRUPT, "%s: a pack vanished", tx->s->dir)
             : got < 0 ? got
                       : 0;
    }
    ds_objcore_codec_back(tx->s, scratch);
    return rc ? rc : ds_objcore_verify(id, out->data, out->len, err);
}

int ds_objtx_finish(ds_objtx *tx, ds_objstats *stats, ds_err *err)
{
    int rc = tx->failed ? ds_fail(err, DS_FAIL, "%s: the transaction failed before", tx->s->dir)
                        : publish(tx, err);
    if (stats)
        *stats = tx->stats;
    ds_objtx_abort(tx);
    return rc;
}

void ds_objtx_abort(ds_objtx *tx)
{
    if (!tx)
        return;
    tx->failed = true;
    while (tx->pool && !ds_pool_empty(tx->pool))
        (void)take_one(tx, NULL);
    ds_pool_free(tx->pool);
    forget_pieces(tx);
    for (encode_job *j = tx->idle, *next; j; j = next) {
        next = j->next;
        ds_buf_fini(&j->raw);
        ds_buf_fini(&j->out);
        ds_buf_fini(&j->alt);
        free(j);
    }
    if (tx->held)
        ds_objstore_release(tx->s);
    free(tx->candidates);
    free(tx->packs);
    free(tx->rows);
    free(tx->done);
    free(tx->map);
    free(tx->slots);
    free(tx->heads);
    free(tx);
}
