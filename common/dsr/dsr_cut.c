/* dsr_cut.c - see dsr_cut.h; docs/dsr-format.md, section 5. */
#include "dsr_cut.h"

#include <stdlib.h>
#include <string.h>

#include "dsr_gear.h"
#include "xxh.h"

/* ---- blocks ---- */

void ds_cutter_init(ds_cutter *c, const ds_schema *s)
{
    *c = (ds_cutter){.min = s->block_min, .target = s->block_target, .max = s->block_max, .at = 8};
}

bool ds_cutter_record(ds_cutter *c, uint64_t hash, uint64_t size)
{
    if (c->at == sizeof c->hashes / sizeof *c->hashes) {
        memcpy(c->hashes, c->hashes + c->at - 7, 7 * sizeof *c->hashes);
        c->at = 7;
    }
    ds_set_u64((uint8_t *)&c->hashes[c->at++], hash);
    c->size += size;
    bool cut = c->size >= c->max;
    if (!cut && c->size >= c->min) {
        /* h < floor(size * 2^32 / target), without the division: target <= 2^30, so nothing
         * overflows. */
        cut = size >= c->target ||
              ((ds_xxh3_64(c->hashes + c->at - 8, 64) >> 32) + 1) * c->target <= size << 32;
    }
    if (cut)
        c->size = 0;
    return cut;
}

void ds_cutter_resume(ds_cutter *c, const uint64_t *hashes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ds_cutter_record(c, hashes[i], 0);
}

/* ---- hashes of records ---- */

#define SMALL                                                                                      \
    1024 /* up to here one call hashes it all, which is much faster than a running state */
#define STEP ((size_t)1 << 20)

typedef struct state {
    XXH3_state_t *x;
    size_t n; /* bytes in small, when not running */
    bool running;
    uint8_t small[SMALL];
} state;

int ds_rowhash_init(ds_rowhash *h, ds_err *err)
{
    state *s = calloc(1, sizeof *s);
    *h = (ds_rowhash){0};
    if (s)
        s->x = XXH3_createState();
    if (!s || !s->x) {
        free(s);
        return ds_fail_nomem(err);
    }
    h->state = s;
    return 0;
}

void ds_rowhash_fini(ds_rowhash *h)
{
    state *s = h->state;
    if (s)
        XXH3_freeState(s->x);
    free(s);
    *h = (ds_rowhash){0};
}

void ds_rowhash_begin(ds_rowhash *h)
{
    state *s = h->state;
    s->n = 0;
    s->running = false;
    h->size = 8;
}

static void put(state *s, const void *p, size_t len)
{
    if (!s->running && len <= SMALL - s->n) {
        if (len)
            memcpy(s->small + s->n, p, len);
        s->n += len;
        return;
    }
    if (!s->running) {
        XXH3_64bits_reset(s->x);
        ds_xxh3_64_put(s->x, s->small, s->n);
        s->running = true;
    }
    ds_xxh3_64_put(s->x, p, len);
}

/* A value's bytes that the head is not part of, as the row hash and the derived key see them. */
static const uint8_t *value_bytes(const ds_colview *v, const ds_value *x, uint8_t *bit, size_t *len)
{
    if (v->type == DS_BOOL) {
        *bit = (uint8_t)x->i;
        *len = 1;
        return bit;
    }
    *len = x->len;
    return x->p;
}

void ds_rowhash_value(ds_rowhash *h, const ds_colview *v, const ds_value *x)
{
    state *s = h->state;
    uint8_t pre[9] = {0}, bit;
    size_t len;
    if (x->null) {
        put(s, pre, 1);
        return;
    }
    const uint8_t *p = value_bytes(v, x, &bit, &len);
    pre[0] = 1;
    ds_set_u64(pre + 1, x->head_len + len);
    put(s, pre, 9);
    put(s, x->head, x->head_len);
    for (size_t at = 0; at < len; at += STEP) {
        size_t n = len - at < STEP ? len - at : STEP;
        put(s, p + at, n);
        if (v->spool && len > STEP)
            ds_spool_release(v->spool, (size_t)(p - v->p) + at + n);
    }
    h->size += x->head_len + len;
}

uint64_t ds_rowhash_end(ds_rowhash *h, uint64_t *size)
{
    state *s = h->state;
    *size = h->size;
    return s->running ? XXH3_64bits_digest(s->x) : ds_xxh3_64(s->small, s->n);
}

/* ---- pieces: FastCDC ---- */

#define PIECE_MIN ((size_t)256 << 10)
#define PIECE_NORMAL ((size_t)512 << 10)
#define MASK_S UINT64_C(0x0000d91767537000) /* 21 bits: before the normal size, cuts are rarer */
#define MASK_L UINT64_C(0x0000d90703537000) /* 17 bits */

/* Two bytes a step from pair *i to pair `to`; the cut or 0. */
static size_t scan(const uint8_t *p, size_t *i, size_t to, uint64_t mask, uint64_t *hash)
{
    uint64_t h = *hash, mask_ls = mask << 1;
    size_t k = *i, cut = 0;
    for (; k < to; k++) {
        h = (h << 2) + (ds_gear[p[2 * k]] << 1);
        if (!(h & mask_ls)) {
            cut = 2 * k;
            break;
        }
        h += ds_gear[p[2 * k + 1]];
        if (!(h & mask)) {
            cut = 2 * k + 1;
            break;
        }
    }
    *hash = h;
    *i = k;
    return cut;
}

/* The first piece of n bytes of which only the first `have` can be looked at; `have` when it goes
 * on past them. */
static size_t piece(const uint8_t *p, size_t have, uint64_t n)
{
    if (n <= PIECE_MIN)
        return (size_t)n;
    size_t end = n < DS_PIECE_MAX ? (size_t)n : DS_PIECE_MAX;
    if (end > have)
        end = have;
    size_t norm = end < PIECE_NORMAL ? end : PIECE_NORMAL;
    size_t i = PIECE_MIN / 2;
    uint64_t h = 0;
    size_t cut = scan(p, &i, norm / 2, MASK_S, &h);
    if (!cut)
        cut = scan(p, &i, end / 2, MASK_L, &h);
    return cut ? cut : end;
}

size_t ds_piece_len(const uint8_t *p, size_t n)
{
    return piece(p, n, n);
}

bool ds_piece_ok(const uint8_t *p, size_t len, size_t have, uint64_t left)
{
    return len > 0 && len <= left && piece(p, have, left) == len;
}

/* ---- derived keys ---- */

int ds_key_derive(char out[33], struct ds_hasher *h, const ds_schema *s, const ds_colview *views,
                  const ds_value *values, ds_err *err)
{
    static const char tag[] = "ds.key";
    static const char hex[] = "0123456789abcdef";
    ds_sha sha;
    int rc = ds_hasher_reset(h, err);
    if (!rc)
        rc = ds_hasher_put(h, tag, sizeof tag, err);
    for (size_t i = 0; i < s->n && !rc; i++) {
        const ds_value *x = &values[i];
        uint8_t there = !x->null, bit;
        size_t len;
        if (!s->keyed[i])
            continue;
        rc = ds_hasher_put(h, &there, 1, err);
        if (rc || x->null)
            continue;
        const uint8_t *p = value_bytes(&views[i], x, &bit, &len);
        rc = ds_hasher_u64(h, x->head_len + len, err);
        if (!rc)
            rc = ds_hasher_put(h, x->head, x->head_len, err);
        for (size_t at = 0; at < len && !rc; at += STEP) {
            size_t n = len - at < STEP ? len - at : STEP;
            rc = ds_hasher_put(h, p + at, n, err);
            if (views[i].spool && len > STEP)
                ds_spool_release(views[i].spool, (size_t)(p - views[i].p) + at + n);
        }
    }
    if (!rc)
        rc = ds_hasher_end(h, &sha, err);
    for (size_t i = 0; i < 16 && !rc; i++) {
        out[2 * i] = hex[sha.b[i] >> 4];
        out[2 * i + 1] = hex[sha.b[i] & 15];
    }
    out[32] = '\0';
    return rc;
}
