/* dcmsearch.c - see dcmproof.h.
 *
 * Text: each id hangs on its longest word; a word of the text is looked up by its hash behind a
 * bitmap, and what hangs there is compared from where the id would begin. What base64 in a text
 * stands for is text as well. Tensors: dcmneedle.h.
 */
#include <stdlib.h>
#include <string.h>

#include "dcmcoded.h"
#include "dcmcontext.h"
#include "dcmids.h"
#include "dcmneedle.h"
#include "dcmword.h"
#include "utf8.h"

#define GAP 4     /* bytes that may stand between two words of an id */
#define RECENT 64 /* words remembered; ids of more words than that hang on their first */
#define FEW 16    /* bytes that may look like text by chance... */
#define LONG 6    /* ...and an id that they hardly hold then */
#define DIGEST                                                                                     \
    16 /* a run of so many hex digits is a digest or a pseudonym: numbers in it mean nothing */

/* Ids by one of their words. */
typedef struct hung {
    dcm_ids *ids;
    dcm_lookup words;
    bool terms; /* one word of a name may be a term here */
} hung;

struct dcm_search {
    hung all, own;   /* own: of one file, see dcm_search_own */
    dcm_ids *spared; /* may be NULL */
    bool weak;
    dcm_needles raw;
};

static void hang(hung *h, uint32_t id)
{
    const uint8_t *p = h->ids->text.data + h->ids->v[id].words;
    size_t len = h->ids->v[id].nwords, pos = 0, best = 0;
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
        dcm_lookup_add(&h->words, hash, id, before);
}

static bool is_spared(const dcm_search *s, const dcm_ids *ids, const dcm_id *id)
{
    return id->alone && s->spared && dcm_ids_has(s->spared, ids->text.data + id->words, id->nwords);
}

static bool is_sought(const dcm_search *s, const dcm_id *id)
{
    return !id->gone && (!id->weak || s->weak);
}

/* Hangs the ids from the first-th on. */
static int hang_from(const dcm_search *s, hung *h, size_t first, ds_err *err)
{
    int rc = dcm_lookup_room(&h->words, h->ids->n - first, err);
    for (size_t i = first; i < h->ids->n && rc == 0; i++)
        if (is_sought(s, &h->ids->v[i]) && !(h->terms && is_spared(s, h->ids, &h->ids->v[i])))
            hang(h, (uint32_t)i);
    return rc;
}

/* Those of one value may come in several spellings: each is looked for. */
static int add_needles(dcm_search *s, const dcm_ids *ids, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < ids->n && rc == 0; i++)
        if (ids->v[i].nraw && is_sought(s, &ids->v[i]))
            rc = dcm_needles_add(&s->raw, ids->v[i].tag, ids->v[i].kind,
                                 ids->text.data + ids->v[i].raw, ids->v[i].nraw, err);
    return rc;
}

static int search_new(dcm_search **out, const dcm_ids *ids, bool weak, ds_err *err)
{
    dcm_search *s = *out = calloc(1, sizeof *s);
    int rc = s ? dcm_ids_new(&s->all.ids, err) : ds_fail_nomem(err);
    if (rc == 0)
        rc = dcm_ids_new(&s->own.ids, err);
    if (rc == 0) {
        s->weak = weak;
        s->all.terms = !weak; /* of his own object's text a name is scrubbed wherever it stands */
        rc = dcm_ids_take(s->all.ids, ids, true, err);
    }
    if (rc == 0)
        rc = hang_from(s, &s->all, 0, err);
    if (rc == 0)
        rc = add_needles(s, ids, err);
    if (rc != 0) {
        dcm_search_free(s);
        *out = NULL;
    }
    return rc;
}

int dcm_search_grow(dcm_search *s, const dcm_ids *more, ds_err *err)
{
    size_t first = s->all.ids->n;
    int rc = dcm_ids_merge(s->all.ids, more, err);
    if (rc == 0)
        rc = hang_from(s, &s->all, first, err);
    return rc == 0 ? add_needles(s, more, err) : rc;
}

int dcm_search_own(dcm_search *s, const dcm_ids *ids, ds_err *err)
{
    dcm_ids_clear(s->own.ids);
    dcm_lookup_clear(&s->own.words);
    int rc = ids ? dcm_ids_take_own(s->own.ids, ids, err) : 0;
    return rc == 0 ? hang_from(s, &s->own, 0, err) : rc;
}

int dcm_search_spare(dcm_search *s, const void *word, size_t len, ds_err *err)
{
    int rc = s->spared ? 0 : dcm_ids_new(&s->spared, err);
    return rc == 0 ? dcm_ids_add(s->spared, 0, DCM_ID_NAME, word, len, err) : rc;
}

size_t dcm_search_count(const dcm_search *s)
{
    return s->all.ids->n;
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
    dcm_ids_free(s->all.ids);
    dcm_ids_free(s->own.ids);
    dcm_ids_free(s->spared);
    dcm_lookup_fini(&s->all.words);
    dcm_lookup_fini(&s->own.words);
    dcm_needles_fini(&s->raw);
    free(s);
}

/* ---- text ---- */

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
static bool matches(const hung *h, const dcm_id *id, const uint8_t *p, size_t len, size_t start,
                    dcm_hit *hit)
{
    const uint8_t *want = h->ids->text.data + id->words;
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
    if ((id->word && !dcm_is_written_as_name(p, len, hit->at, hit->len)) ||
        (id->alone && h->terms && dcm_is_in_term(p, len, hit->at, hit->len)))
        return false;
    return !by_chance(p, len, hit->at, hit->len, dotted);
}

typedef struct scan {
    const uint8_t *p;
    size_t len;
    size_t starts[RECENT];
    size_t nwords; /* seen, this one included */
    dcm_hit_fn *fn;
    void *ctx;
} scan;

static bool look(scan *c, const hung *h, uint64_t hash)
{
    const dcm_lookup *l = &h->words;
    for (uint32_t i = dcm_lookup_chain(l, hash); i; i = l->v[i - 1].next) {
        const dcm_entry *e = &l->v[i - 1];
        dcm_hit hit;
        if (e->hash == hash && e->before < c->nwords && e->before < RECENT &&
            matches(h, &h->ids->v[e->id], c->p, c->len,
                    c->starts[(c->nwords - 1 - e->before) % RECENT], &hit) &&
            c->fn(c->ctx, &hit))
            return true;
    }
    return false;
}

/* The date in front of a time: 20200105123000. */
static bool look_date(scan *c, const hung *h, const dcm_word *w)
{
    dcm_word d = {.at = w->at, .len = 8, .kind = DCM_WORD_DIGITS, .folded = 8};
    const dcm_lookup *l = &h->words;
    if (w->at >= 2 && c->p[w->at - 1] == '.' && is_digit(c->p[w->at - 2]))
        return false; /* a part of a UID */
    d.hash = dcm_word_hash(c->p + w->at, 8);
    for (uint32_t i = dcm_lookup_chain(l, d.hash); i; i = l->v[i - 1].next) {
        const dcm_id *id = &h->ids->v[l->v[i - 1].id];
        if (l->v[i - 1].hash == d.hash && id->kind == DCM_ID_DATE && id->nwords == 8 &&
            memcmp(h->ids->text.data + id->words, c->p + w->at, 8) == 0) {
            const dcm_hit hit = {id->tag, DCM_ID_DATE, w->at, w->len};
            return c->fn(c->ctx, &hit);
        }
    }
    return false;
}

static bool look_word(scan *c, const hung *h, const dcm_word *w)
{
    return h->words.n > 0 && ((dcm_lookup_may(&h->words, w->hash) && look(c, h, w->hash)) ||
                              (w->kind == DCM_WORD_DIGITS && w->len >= 10 && w->len <= 14 &&
                               w->folded == w->len && look_date(c, h, w)));
}

static bool each_word(const dcm_search *s, const uint8_t *p, size_t len, size_t from,
                      dcm_hit_fn *fn, void *ctx)
{
    scan c = {.p = p, .len = len, .fn = fn, .ctx = ctx};
    size_t pos = from;
    dcm_word w;
    while (dcm_word_next(p, len, &pos, &w)) {
        if (w.folded == 0)
            continue;
        c.starts[c.nwords++ % RECENT] = w.at;
        if (look_word(&c, &s->own, &w) || look_word(&c, &s->all, &w))
            return true;
    }
    return false;
}

/* A hit in what a run stands for is one of the run. */
typedef struct run_hit {
    const dcm_coded *run;
    size_t least; /* shorter ones are met by chance */
    dcm_hit_fn *fn;
    void *ctx;
} run_hit;

static bool on_run(void *ctx, const dcm_hit *hit)
{
    const run_hit *r = ctx;
    dcm_hit whole = *hit;
    whole.at = r->run->at;
    whole.len = r->run->end - r->run->at;
    return hit->len >= r->least && r->fn(r->ctx, &whole);
}

/* Text, but that a piece may begin or end within a character. */
static bool is_text(const uint8_t *p, size_t len)
{
    size_t at = 0;
    while (at < len && at < 3 && (p[at] & 0xc0) == 0x80)
        at++;
    for (size_t i = at; i < len; i++)
        if (p[i] < 0x20 && p[i] != '\t' && p[i] != '\n' && p[i] != '\r')
            return false;
    return at + ds_utf8_check(p + at, len - at) + 4 > len;
}

/* Where it stands for no text it may hold one, as it was or of two bytes a character. */
static bool each_coded(const dcm_search *s, const uint8_t *p, size_t len, size_t from,
                       dcm_hit_fn *fn, void *ctx)
{
    dcm_coded c;
    c.end = from;
    c.more = 0;
    run_hit r = {.run = &c, .fn = fn, .ctx = ctx};
    while (dcm_coded_next(&c, p, len)) {
        dcm_hit hit;
        const bool text = is_text(c.bytes, c.n);
        if (c.n < FEW && !text)
            continue; /* a word */
        r.least = c.n < FEW ? LONG : 0;
        if (!text) {
            if (dcm_search_raw(s, c.bytes, c.n, 0, &hit) > 0 && on_run(&r, &hit))
                return true;
            size_t n = 0;
            for (size_t i = 0; i < c.n; i++)
                if (c.bytes[i])
                    c.bytes[n++] = c.bytes[i];
            c.n = n;
            r.least = DCM_RAW_MIN;
        }
        if (each_word(s, c.bytes, c.n, 0, on_run, &r))
            return true;
    }
    return false;
}

bool dcm_search_each(const dcm_search *s, const uint8_t *p, size_t len, size_t from, dcm_hit_fn *fn,
                     void *ctx)
{
    if (s->all.words.n == 0 && s->own.words.n == 0)
        return false;
    return each_word(s, p, len, from, fn, ctx) || each_coded(s, p, len, from, fn, ctx);
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
    uint8_t b[4];
    if (p[*at + 1] != 'u' || len - *at < 6 || !ds_hex_decode((const char *)p + *at + 2, 4, b, 2)) {
        uint8_t c = p[*at + 1];
        *at += 2;
        return ds_buf_putc(out, strchr("nrtbfu", c) && c ? ' ' : c);
    }
    unsigned u = (unsigned)b[0] << 8 | b[1];
    *at += 6;
    return ds_buf_put(out, b, ds_utf8_put(b, u < 0x20 ? ' ' : u));
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

int dcm_search_raw(const dcm_search *s, const void *data, size_t len, size_t from, dcm_hit *hit)
{
    return dcm_needles_find(&s->raw, data, len, from, hit);
}
