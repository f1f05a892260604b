/* dcmsearch.c - see dcmproof.h.
 *
 * Text: each id hangs on its longest word; a word of the text is looked up by its hash behind a
 * bitmap, and what hangs there is compared from where the id would begin. Tensors: of the last 8
 * bytes of an id all 5 runs of 4 bytes are entered, so only every fifth position of the input has
 * to be looked at, with one load, one multiplication and one bit.
 */
#include <stdlib.h>
#include <string.h>

#include "dcmids.h"
#include "dcmword.h"

#define GAP 4     /* bytes that may stand between two words of an id */
#define RECENT 64 /* words remembered; ids of more words than that hang on their first */
#define STRIDE (DCM_RAW_MIN - 3)
#define DIGEST                                                                                     \
    16 /* a run of so many hex digits is a digest or a pseudonym: numbers in it mean nothing */

typedef struct entry {
    uint64_t hash;
    uint32_t id, next;
    uint32_t before; /* words of the id in front of this one; bytes, of a raw entry */
} entry;

typedef struct lookup {
    uint32_t *heads; /* index + 1 */
    size_t nheads;
    entry *v;
    size_t n, cap;
    uint64_t *bits;
    unsigned shift; /* 64 - log2 of the number of bits */
} lookup;

struct dcm_search {
    dcm_ids *ids;
    bool weak;
    lookup words, raw;
};

static bool lookup_may(const lookup *l, uint64_t hash)
{
    uint64_t b = hash >> l->shift;
    return l->bits[b >> 6] >> (b & 63) & 1;
}

static uint64_t raw_hash(uint32_t four)
{
    return (uint64_t)four * UINT64_C(0x9e3779b97f4a7c15);
}

static void link_entry(lookup *l, uint32_t i)
{
    entry *e = &l->v[i];
    uint32_t *head = &l->heads[e->hash >> 20 & (l->nheads - 1)];
    uint64_t b = e->hash >> l->shift;
    e->next = *head;
    *head = i + 1;
    l->bits[b >> 6] |= UINT64_C(1) << (b & 63);
}

/* Room for `more` entries: twice as many heads, 32 bits an entry up to 2 MiB of bits. */
static int lookup_room(lookup *l, size_t more, ds_err *err)
{
    size_t cap = l->cap ? l->cap : 32, heads = 64, bytes;
    unsigned bits = 16;
    if (l->n + more <= l->cap)
        return 0;
    while (cap < l->n + more)
        cap *= 2;
    while (heads < 2 * cap)
        heads *= 2;
    while (bits < 24 && (size_t)1 << bits < 32 * cap)
        bits++;
    entry *v = ds_mul_size(cap, sizeof *v, &bytes) ? realloc(l->v, bytes) : NULL;
    if (v)
        l->v = v;
    uint32_t *h = calloc(heads, sizeof *h);
    uint64_t *b = calloc((size_t)1 << (bits - 6), sizeof *b);
    if (!v || !h || !b) {
        free(h);
        free(b);
        return ds_fail_nomem(err);
    }
    free(l->heads);
    free(l->bits);
    l->heads = h;
    l->bits = b;
    l->cap = cap;
    l->nheads = heads;
    l->shift = 64 - bits;
    for (size_t i = 0; i < l->n; i++)
        link_entry(l, (uint32_t)i);
    return 0;
}

/* There is room. */
static void lookup_add(lookup *l, uint64_t hash, uint32_t id, uint32_t before)
{
    l->v[l->n] = (entry){.hash = hash, .id = id, .before = before};
    link_entry(l, (uint32_t)l->n++);
}

static void lookup_fini(lookup *l)
{
    free(l->heads);
    free(l->v);
    free(l->bits);
}

static void hang(dcm_search *s, uint32_t id)
{
    const uint8_t *p = s->ids->text.data + s->ids->v[id].words;
    size_t len = s->ids->v[id].nwords, pos = 0, best = 0;
    uint64_t hash = 0;
    uint32_t before = 0, at = 0;
    dcm_word w;
    for (; dcm_word_next(p, len, &pos, &w); at++)
        if (at == 0 || (w.folded >= best && at < RECENT)) {
            best = w.folded;
            hash = w.hash;
            before = at;
        }
    if (at > 0)
        lookup_add(&s->words, hash, id, before);
}

static void hang_raw(dcm_search *s, uint32_t id)
{
    uint32_t n = s->ids->v[id].nraw;
    for (uint32_t k = n - DCM_RAW_MIN; n && k + 4 <= n; k++)
        lookup_add(&s->raw, raw_hash(ds_get_u32(s->ids->text.data + s->ids->v[id].raw + k)), id, k);
}

/* Hangs the ids from the first-th on. */
static int hang_from(dcm_search *s, size_t first, ds_err *err)
{
    size_t n = s->ids->n;
    int rc = lookup_room(&s->words, n - first, err);
    if (rc == 0)
        rc = lookup_room(&s->raw, (n - first) * STRIDE, err);
    for (size_t i = first; i < n && rc == 0; i++) {
        if (s->ids->v[i].gone || (s->ids->v[i].weak && !s->weak))
            continue;
        hang(s, (uint32_t)i);
        hang_raw(s, (uint32_t)i);
    }
    return rc;
}

static int search_new(dcm_search **out, const dcm_ids *ids, bool weak, ds_err *err)
{
    dcm_search *s = *out = calloc(1, sizeof *s);
    int rc = s ? dcm_ids_new(&s->ids, err) : ds_fail_nomem(err);
    if (rc == 0) {
        s->weak = weak;
        rc = dcm_ids_take(s->ids, ids, true, err);
    }
    if (rc == 0)
        rc = hang_from(s, 0, err);
    if (rc != 0) {
        dcm_search_free(s);
        *out = NULL;
    }
    return rc;
}

int dcm_search_grow(dcm_search *s, const dcm_ids *more, ds_err *err)
{
    size_t first = s->ids->n;
    int rc = dcm_ids_merge(s->ids, more, err);
    return rc == 0 ? hang_from(s, first, err) : rc;
}

size_t dcm_search_count(const dcm_search *s)
{
    return s->ids->n;
}

int dcm_search_new(dcm_search **s, const dcm_ids *ids, ds_err *err)
{
    return search_new(s, ids, false, err);
}

int dcm_search_new_scrub(dcm_search **s, const dcm_ids *ids, ds_err *err)
{
    return search_new(s, ids, true, err);
}

void dcm_search_free(dcm_search *s)
{
    if (!s)
        return;
    dcm_ids_free(s->ids);
    lookup_fini(&s->words);
    lookup_fini(&s->raw);
    free(s);
}

/* ---- text ---------------------------------------------------------------------------------------
 */

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* A part of a digest, of a decimal number, or of a longer UID is met by chance. */
static bool by_chance(const uint8_t *p, size_t len, size_t at, size_t n, bool dotted)
{
    size_t lo = at, hi = at + n;
    while (lo > 0 && is_hex(p[lo - 1]))
        lo--;
    while (hi < len && is_hex(p[hi]))
        hi++;
    if (hi - lo >= DIGEST && hi - lo > n)
        return true;
    return dotted && ((at >= 2 && p[at - 1] == '.' && is_digit(p[at - 2])) ||
                      (len - at - n >= 2 && p[at + n] == '.' && is_digit(p[at + n + 1])));
}

/* Is the id there, beginning with the word at `start`? */
static bool matches(const dcm_search *s, const dcm_id *id, const uint8_t *p, size_t len,
                    size_t start, dcm_hit *hit)
{
    const uint8_t *want = s->ids->text.data + id->words;
    size_t left = id->nwords, pos = start, end = 0;
    bool dotted = id->kind == DCM_ID_UID || (!memchr(want, ' ', left) && is_digit(want[0]));
    dcm_word w;
    while (left > 0) {
        const uint8_t *space = memchr(want, ' ', left);
        size_t n = space ? (size_t)(space - want) : left;
        do {
            if (!dcm_word_next(p, len, &pos, &w))
                return false;
        } while (w.folded == 0);
        if ((end > 0 && w.at - end > GAP) || !dcm_word_is(p, &w, want, n))
            return false;
        if (end == 0)
            hit->at = w.at;
        end = w.at + w.len;
        want += space ? n + 1 : n;
        left -= space ? n + 1 : n;
    }
    hit->tag = id->tag;
    hit->kind = (enum dcm_id_kind)id->kind;
    hit->len = end - hit->at;
    return !by_chance(p, len, hit->at, hit->len, dotted);
}

typedef struct scan {
    const dcm_search *s;
    const uint8_t *p;
    size_t len;
    size_t starts[RECENT];
    size_t nwords; /* seen, this one included */
    dcm_hit_fn *fn;
    void *ctx;
} scan;

static bool look(scan *c, uint64_t hash)
{
    const lookup *l = &c->s->words;
    for (uint32_t i = l->heads[hash >> 20 & (l->nheads - 1)]; i; i = l->v[i - 1].next) {
        const entry *e = &l->v[i - 1];
        dcm_hit hit;
        if (e->hash == hash && e->before < c->nwords && e->before < RECENT &&
            matches(c->s, &c->s->ids->v[e->id], c->p, c->len,
                    c->starts[(c->nwords - 1 - e->before) % RECENT], &hit) &&
            c->fn(c->ctx, &hit))
            return true;
    }
    return false;
}

/* The date in front of a time: 20200105123000. */
static bool look_date(scan *c, const dcm_word *w)
{
    dcm_word d = {.at = w->at, .len = 8, .kind = DCM_WORD_DIGITS, .folded = 8};
    const lookup *l = &c->s->words;
    if (w->at >= 2 && c->p[w->at - 1] == '.' && is_digit(c->p[w->at - 2]))
        return false; /* a part of a UID */
    d.hash = dcm_word_hash(c->p + w->at, 8);
    for (uint32_t i = l->heads[d.hash >> 20 & (l->nheads - 1)]; i; i = l->v[i - 1].next) {
        const dcm_id *id = &c->s->ids->v[l->v[i - 1].id];
        if (l->v[i - 1].hash == d.hash && id->kind == DCM_ID_DATE && id->nwords == 8 &&
            memcmp(c->s->ids->text.data + id->words, c->p + w->at, 8) == 0) {
            const dcm_hit hit = {id->tag, DCM_ID_DATE, w->at, w->len};
            return c->fn(c->ctx, &hit);
        }
    }
    return false;
}

bool dcm_search_each(const dcm_search *s, const uint8_t *p, size_t len, size_t from, dcm_hit_fn *fn,
                     void *ctx)
{
    scan c = {.s = s, .p = p, .len = len, .fn = fn, .ctx = ctx};
    size_t pos = from;
    dcm_word w;
    if (s->words.n == 0)
        return false;
    while (dcm_word_next(p, len, &pos, &w)) {
        if (w.folded == 0)
            continue;
        c.starts[c.nwords++ % RECENT] = w.at;
        if (lookup_may(&s->words, w.hash) && look(&c, w.hash))
            return true;
        if (w.kind == DCM_WORD_DIGITS && w.len >= 10 && w.len <= 14 && w.folded == w.len &&
            look_date(&c, &w))
            return true;
    }
    return false;
}

static bool first(void *ctx, const dcm_hit *hit)
{
    *(dcm_hit *)ctx = *hit;
    return true;
}

int dcm_search_text(const dcm_search *s, const void *p, size_t len, size_t from, dcm_hit *hit)
{
    return dcm_search_each(s, p, len, from, first, hit);
}

static int put_escape(ds_buf *out, const uint8_t *p, size_t len, size_t *at)
{
    uint8_t b[2];
    if (p[*at + 1] != 'u' || len - *at < 6 || !ds_hex_decode((const char *)p + *at + 2, 4, b, 2)) {
        uint8_t c = p[*at + 1];
        *at += 2;
        return ds_buf_putc(out, strchr("nrtbfu", c) && c ? ' ' : c);
    }
    unsigned u = (unsigned)b[0] << 8 | b[1];
    *at += 6;
    if (u < 0x80)
        return ds_buf_putc(out, u < 0x20 ? ' ' : (uint8_t)u);
    if (u < 0x800)
        return ds_buf_putc(out, (uint8_t)(0xc0 | u >> 6)) |
               ds_buf_putc(out, (uint8_t)(0x80 | (u & 0x3f)));
    return ds_buf_putc(out, (uint8_t)(0xe0 | u >> 12)) |
           ds_buf_putc(out, (uint8_t)(0x80 | (u >> 6 & 0x3f))) |
           ds_buf_putc(out, (uint8_t)(0x80 | (u & 0x3f)));
}

int dcm_search_json(const dcm_search *s, const void *data, size_t len, ds_buf *scratch,
                    dcm_hit *hit, ds_err *err)
{
    const uint8_t *p = data;
    if (len == 0 || !memchr(p, '\\', len))
        return dcm_search_text(s, p, len, 0, hit);
    ds_buf_reset(scratch);
    for (size_t at = 0; at < len;) {
        const uint8_t *esc = memchr(p + at, '\\', len - at);
        size_t n = esc ? (size_t)(esc - p) - at : len - at;
        if (ds_buf_put(scratch, p + at, n) != 0)
            return ds_fail_nomem(err);
        at += n;
        if (at + 1 >= len)
            break;
        if (put_escape(scratch, p, len, &at) != 0)
            return ds_fail_nomem(err);
    }
    return dcm_search_text(s, scratch->data, scratch->len, 0, hit);
}

/* ---- tensors ------------------------------------------------------------------------------------
 */

static bool raw_at(const dcm_search *s, const uint8_t *p, size_t len, size_t from, size_t at,
                   dcm_hit *hit)
{
    const lookup *l = &s->raw;
    uint64_t hash = raw_hash(ds_get_u32(p + at));
    for (uint32_t i = l->heads[hash >> 20 & (l->nheads - 1)]; i; i = l->v[i - 1].next) {
        const entry *e = &l->v[i - 1];
        const dcm_id *id = &s->ids->v[e->id];
        if (e->hash != hash || at - from < e->before || len - (at - e->before) < id->nraw ||
            memcmp(p + at - e->before, s->ids->text.data + id->raw, id->nraw) != 0)
            continue;
        *hit = (dcm_hit){id->tag, (enum dcm_id_kind)id->kind, at - e->before, id->nraw};
        return true;
    }
    return false;
}

int dcm_search_raw(const dcm_search *s, const void *data, size_t len, size_t from, dcm_hit *hit)
{
    const uint8_t *p = data;
    if (s->raw.n == 0 || len < DCM_RAW_MIN)
        return 0;
    for (size_t at = from; at + 4 <= len; at += STRIDE)
        if (lookup_may(&s->raw, raw_hash(ds_get_u32(p + at))) && raw_at(s, p, len, from, at, hit))
            return 1;
    return 0;
}
