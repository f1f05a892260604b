/* Is everything in the store what it was when written? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "objcore.h"
#include "pool.h"
#include "shaset.h"

typedef struct known_pack {
    ds_sha name;
    int64_t n;
    uint64_t size, objects;
    bool seen;
} known_pack;

typedef struct place {
    ds_sha id;
    uint64_t off;
    int64_t row;
} place;

typedef struct found {
    uint64_t off;
    bool bad; /* and told of */
} found;

/* The SHA-256 of a pack, made while the rest of it is checked. */
typedef struct naming {
    const char *path;
    ds_sha got;
    int rc;
    ds_err err;
} naming;

typedef struct scrub {
    ds_objstore *s;
    bool full; /* of the pack at hand */
    bool read_data;
    unsigned part, parts;
    int threads;
    ds_objproblem_fn report;
    void *ctx;
    ds_scrubstats stats;
    ds_buf packs;       /* known_pack */
    ds_buf places;      /* place: pieces of the pack at hand that the index has there */
    const ds_sha *pack; /* at hand */
    char file[96];
    uint64_t indexed; /* pieces that the index has in the pack at hand */
    ds_buf met;       /* found: pieces met in it, in order of offset */
    ds_shaset lost;   /* pieces that no pack holds any more */
    bool busy;        /* a writer is at work: packs not in the index yet are no problem */
    bool blind;       /* the index is damaged: packs are checked without it */
    int stop;         /* what report returned */
    ds_err *err;
} scrub;

static int tell(scrub *k, uint64_t off, const ds_sha *id, const char *reason)
{
    ds_objproblem p = {.file = k->file, .offset = off, .id = id, .reason = reason};
    k->stats.problems++;
    if (k->report && !k->stop)
        k->stop = k->report(k->ctx, &p);
    return k->stop;
}

static void name_file(scrub *k, const ds_sha *name)
{
    char hex[65];
    ds_sha_hex(hex, name);
    snprintf(k->file, sizeof k->file, "packs/%s.pack", hex);
}

static int on_bad(void *ctx, uint64_t off, const ds_sha *id, const char *reason)
{
    scrub *k = ctx;
    const found f = {.off = off, .bad = true};
    ds_objloc loc;
    if (id && !k->blind && ds_objindex_find(k->s->ix, id, &loc, NULL) == 1 &&
        (!ds_sha_eq(&loc.pack, k->pack) || loc.off != off))
        return tell(k, off, NULL,
                    "a damaged copy of a piece that lies elsewhere too: dsver gc removes this one");
    if (id && ds_buf_put(&k->met, &f, sizeof f))
        return ds_fail_nomem(k->err);
    return tell(k, off, id, reason);
}

/* An object of a pack: the index must know the piece, here or (stored twice) elsewhere. */
static int on_object(void *ctx, const ds_objhead *h, uint64_t off, const uint8_t *object, size_t n)
{
    scrub *k = ctx;
    ds_objloc loc;
    (void)object;
    k->stats.objects++;
    k->stats.bytes += n;
    if (k->blind)
        return 0;
    int rc = ds_objindex_find(k->s->ix, &h->id, &loc, k->err);
    if (rc < 0)
        return rc;
    if (rc == 0) {
        /* A collection that was killed leaves dead packs; a delta in them whose base is gone
         * already is garbage, no loss. */
        for (unsigned i = 0; i < h->bases.n; i++) {
            rc = ds_objindex_find(k->s->ix, &h->bases.id[i], &loc, k->err);
            if (rc <= 0)
                return rc;
        }
        return tell(k, off, &h->id,
                    "the piece is not in the index: it is damaged, or run `dsver reindex`");
    }
    if (!ds_sha_eq(&loc.pack, k->pack) || loc.off != off)
        return 0;
    k->indexed++;
    const found f = {.off = off};
    if (ds_buf_put(&k->met, &f, sizeof f))
        return ds_fail_nomem(k->err);
    if (loc.size != n || loc.raw != h->raw || loc.chain != h->chain || loc.kind != h->kind ||
        !ds_bases_eq(&loc.bases, &h->bases))
        return tell(k, off, &h->id, "the index says something else of it: run `dsver reindex`");
    place p = {.id = h->id, .off = off, .row = loc.row};
    return k->full && ds_buf_put(&k->places, &p, sizeof p) ? ds_fail_nomem(k->err) : 0;
}

static bool read_before(const scrub *k, const place *p)
{
    return k->s->proven && ds_proven_has(k->s->proven, p->row);
}

static int ask(scrub *k, ds_objreader *r, size_t *next, size_t n, ds_err *err)
{
    int rc = 0;
    while (rc == 0 && *next < n && !ds_objreader_full(r)) {
        place *p = (place *)(void *)k->places.data + (*next)++;
        if (!read_before(k, p))
            rc = ds_objreader_put(r, &p->id, p, err);
    }
    return rc;
}

/* Decodes every piece of the pack at hand and recomputes its address, but for those that were read
 * as bases of others. */
static int decode_all(scrub *k, ds_err *err)
{
    ds_objreader *r = NULL;
    size_t n = k->places.len / sizeof(place), next = 0;
    int rc = ds_objreader_new(&r, k->s, k->threads, true, err);
    while (rc == 0 && !k->stop) {
        ds_objread got;
        ds_err bad = {0};
        rc = ask(k, r, &next, n, err);
        int one = rc ? 0 : ds_objreader_next(r, &got, &bad);
        if (one == 0)
            break;
        const place *p = got.tag;
        if (p && (one == DS_CORRUPT || one == DS_FAIL))
            (void)tell(k, p->off, &p->id, bad.msg);
        else if (one < 0)
            rc = ds_fail_as(err, &bad);
    }
    ds_objreader_free(r);
    return rc;
}

static void make_name(void *arg)
{
    naming *m = arg;
    uint64_t size;
    m->rc = ds_sha_file(&m->got, &size, m->path, &m->err);
}

static int check_name(scrub *k, const naming *m, const ds_sha *name, ds_err *err)
{
    if (m->rc)
        return ds_fail(err, m->rc, "%s", m->err.msg);
    if (!ds_sha_eq(&m->got, name))
        (void)tell(k, 0, NULL, "the pack's SHA-256 is not its name");
    return 0;
}

/* Rows that the index has for a pack; of a damaged one the pieces that were not met are lost. */
typedef struct rowscan {
    scrub *k;
    bool damaged;
    uint64_t rows;
} rowscan;

static int by_offset(const void *a, const void *b)
{
    const found *x = a, *y = b;
    return x->off < y->off ? -1 : x->off > y->off;
}

static int on_row(void *ctx, const ds_objloc *loc)
{
    rowscan *s = ctx;
    const ds_buf *met = &s->k->met;
    const found want = {.off = loc->off};
    const found *f = NULL;
    s->rows++;
    if (s->damaged && met->len)
        f = bsearch(&want, met->data, met->len / sizeof want, sizeof want, by_offset);
    if (!s->damaged || (f && !f->bad))
        return 0;
    if (ds_shaset_add(&s->k->lost, &loc->id, NULL, NULL))
        return ds_fail_nomem(s->k->err);
    return f ? 0 : tell(s->k, loc->off, &loc->id, "the piece is lost with this part of the pack");
}

static int by_name(const void *a, const void *b)
{
    return memcmp(((const known_pack *)a)->name.b, ((const known_pack *)b)->name.b, 32);
}

/* NULL: the index does not know it. */
static known_pack *pack_row(const scrub *k, const ds_sha *name)
{
    const known_pack want = {.name = *name};
    const size_t n = k->packs.len / sizeof want;
    return n ? bsearch(&want, k->packs.data, n, sizeof want, by_name) : NULL;
}

/* The index is asked for each object: held still it is opened and locked once for all of them. */
static int scan_still(scrub *k, ds_packscan *scan, ds_err *err)
{
    if (k->blind)
        return ds_pack_scan(scan, err);
    int rc = ds_objindex_freeze(k->s->ix, err);
    if (rc)
        return rc;
    rc = ds_pack_scan(scan, err);
    ds_objindex_thaw(k->s->ix);
    return rc;
}

/* Objects, each by itself and beside the index. */
static int check_objects(scrub *k, const char *path, known_pack *row, ds_err *err)
{
    const uint64_t before = k->stats.problems;
    rowscan rows = {.k = k};
    ds_packscan scan = {
        .path = path, .full = k->full, .object = on_object, .bad = on_bad, .ctx = k};
    if (!row && !k->blind)
        (void)tell(k, 0, NULL, "not in the index: run `dsver reindex`");
    int rc = scan_still(k, &scan, err);
    if (rc || !row)
        return rc;
    row->seen = true;
    rows.damaged = k->stats.problems != before;
    rc = ds_objindex_pieces(k->s->ix, row->n, on_row, &rows, err);
    if (rc == 0 && !rows.damaged &&
        (rows.rows != k->indexed || row->size != scan.size || row->objects != scan.objects))
        (void)tell(k, 0, NULL, "the index says something else of this pack: run `dsver reindex`");
    return rc;
}

static int scrub_pack(scrub *k, const ds_sha *name, ds_err *err)
{
    known_pack *row = pack_row(k, name);
    if (!row && k->busy)
        return 0;
    size_t cap = strlen(k->s->dir) + 80;
    char *path = malloc(cap);
    if (!path)
        return ds_fail_nomem(err);
    ds_pack_path(path, cap, k->s->dir, name);
    name_file(k, name);
    k->pack = name;
    k->full = k->read_data && (!k->parts || ds_get_u32(name->b) % k->parts == k->part);
    k->indexed = 0;
    k->stats.packs++;
    ds_buf_reset(&k->places);
    ds_buf_reset(&k->met);
    naming m = {.path = path};
    ds_beside beside = {.begun = false};
    if (k->full)
        ds_beside_begin(&beside, k->threads > 1, make_name, &m);
    int rc = check_objects(k, path, row, err);
    if (rc == 0 && k->full && !k->stop)
        rc = decode_all(k, err);
    ds_beside_end(&beside, rc == 0 && !k->stop);
    if (rc == 0 && k->full && !k->stop)
        rc = check_name(k, &m, name, err);
    free(path);
    return k->stop ? 0 : rc;
}

static int collect(void *ctx, int64_t n, const ds_packrow *p)
{
    known_pack k = {.name = p->name, .n = n, .size = p->size, .objects = p->objects};
    return ds_buf_put(ctx, &k, sizeof k);
}

static void tell_orphan(void *ctx, const ds_sha *id, const ds_sha *pack, uint64_t off,
                        const char *why)
{
    scrub *k = ctx;
    name_file(k, pack);
    (void)tell(k, off, id, why);
}

static int on_dependant(void *ctx, const ds_objloc *loc)
{
    scrub *k = ctx;
    bool needs = false;
    for (unsigned i = 0; i < loc->bases.n; i++)
        needs = needs || ds_shaset_has(&k->lost, &loc->bases.id[i]);
    if (!needs || ds_shaset_has(&k->lost, &loc->id))
        return 0;
    if (ds_shaset_add(&k->lost, &loc->id, NULL, NULL))
        return ds_fail_nomem(k->err);
    name_file(k, &loc->pack);
    return tell(k, loc->off, &loc->id, DS_OBJ_NO_BASE);
}

/* What was stored against lost pieces, and against that. Who reads all data finds it by himself. */
static int tell_dependants(scrub *k, ds_err *err)
{
    int rc = 0;
    for (size_t n = 0; rc == 0 && !k->stop && !k->read_data && n != k->lost.n;) {
        n = k->lost.n;
        rc = ds_objindex_pieces(k->s->ix, 0, on_dependant, k, err);
    }
    return rc;
}

static int scrub_index(scrub *k, ds_err *err)
{
    uint64_t bad = UINT64_MAX;
    ds_err mine = {0};
    snprintf(k->file, sizeof k->file, "index.db");
    int rc = ds_objindex_check(k->s->ix, &bad, &mine);
    if (rc == 0 && bad != UINT64_MAX) {
        k->blind = true;
        (void)tell(k, bad, NULL, "the page's checksum is wrong: run `dsver reindex`");
        return 0;
    }
    if (rc == 0)
        rc = ds_objindex_orphans(k->s->ix, tell_orphan, k, &mine);
    if (rc == 0)
        rc = ds_objindex_packs(k->s->ix, collect, &k->packs, &mine);
    if (rc == DS_CORRUPT) {
        k->blind = true;
        (void)tell(k, 0, NULL, mine.msg);
        return 0;
    }
    return rc ? ds_fail_as(err, &mine) : 0;
}

/* Index and folder are looked at with nobody writing, if that can be had at once; then writers may
 * go on, but gc may not. On a medium that cannot be written there is no lock and no writer either.
 */
static int look_around(scrub *k, int *fd, ds_sha **names, size_t *n, size_t *strange, ds_err *err)
{
    int rc = ds_objcore_flock(fd, k->s->dir, LOCK_EX | LOCK_NB, NULL);
    k->busy = rc != 0;
    if (rc == DS_LOCKED)
        (void)ds_objcore_flock(fd, k->s->dir, LOCK_SH, NULL);
    rc = scrub_index(k, err);
    if (rc == 0)
        rc = ds_pack_list(k->s->dir, names, n, strange, err);
    if (*fd >= 0)
        (void)ds_objcore_flock(fd, k->s->dir, LOCK_SH, NULL);
    return rc;
}

typedef struct turn {
    int64_t n;
    ds_sha name;
} turn;

static int by_turn(const void *a, const void *b)
{
    const turn *x = a, *y = b;
    return x->n > y->n ? -1 : x->n < y->n ? 1 : memcmp(x->name.b, y->name.b, sizeof x->name.b);
}

/* Newer packs come first: what their pieces are built on lies in older ones, and need not be
 * decoded again there. */
static int sort_packs(const scrub *k, ds_sha *names, size_t n, ds_err *err)
{
    turn *v = calloc(n + 1, sizeof *v);
    if (!v)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < n; i++) {
        const known_pack *row = pack_row(k, &names[i]);
        v[i] = (turn){.n = row ? row->n : INT64_MAX, .name = names[i]};
    }
    qsort(v, n, sizeof *v, by_turn);
    for (size_t i = 0; i < n; i++)
        names[i] = v[i].name;
    free(v);
    return 0;
}

/* Before packs are read. */
static int get_ready(scrub *k, ds_sha *names, size_t n, ds_err *err)
{
    int64_t last = 0;
    if (!k->read_data || k->blind)
        return 0;
    int rc = ds_objindex_last_row(k->s->ix, &last, err);
    rc = rc ? rc : ds_proven_new(&k->s->proven, last, err);
    return rc ? rc : sort_packs(k, names, n, err);
}

static int tell_missing(scrub *k, ds_err *err)
{
    int rc = 0;
    ds_buf_reset(&k->met);
    for (size_t i = 0; rc == 0 && !k->stop && i < k->packs.len / sizeof(known_pack); i++) {
        known_pack p;
        rowscan rows = {.k = k, .damaged = true};
        memcpy(&p, k->packs.data + i * sizeof p, sizeof p);
        if (p.seen)
            continue;
        name_file(k, &p.name);
        (void)tell(k, 0, NULL, "the pack is missing");
        rc = ds_objindex_pieces(k->s->ix, p.n, on_row, &rows, err);
    }
    return rc;
}

static int scrub_all(scrub *k, ds_err *err)
{
    ds_sha *names = NULL;
    size_t n = 0, strange = 0;
    int fd = -1;
    int rc = look_around(k, &fd, &names, &n, &strange, err);
    if (rc == 0 && strange) {
        snprintf(k->file, sizeof k->file, "packs");
        (void)tell(k, 0, NULL, "there are files that are no packs");
    }
    rc = rc ? rc : get_ready(k, names, n, err);
    for (size_t i = 0; rc == 0 && i < n && !k->stop; i++)
        rc = scrub_pack(k, &names[i], err);
    ds_proven_free(k->s->proven);
    k->s->proven = NULL;
    if (rc == 0 && !k->blind)
        rc = tell_missing(k, err);
    if (rc == 0 && !k->blind)
        rc = tell_dependants(k, err);
    (void)ds_close(&fd, k->s->dir, NULL);
    free(names);
    return rc;
}

int ds_objstore_scrub(ds_objstore *s, bool read_data, unsigned part, unsigned parts, int threads,
                      ds_objproblem_fn report, void *ctx, ds_scrubstats *stats, ds_err *err)
{
    scrub k = {.s = s,
               .read_data = read_data,
               .part = part,
               .parts = parts,
               .threads = threads,
               .report = report,
               .ctx = ctx,
               .err = err};
    int rc = scrub_all(&k, err);
    if (stats)
        *stats = k.stats;
    ds_buf_fini(&k.packs);
    ds_buf_fini(&k.places);
    ds_buf_fini(&k.met);
    ds_shaset_fini(&k.lost);
    return k.stop ? k.stop : rc;
}
