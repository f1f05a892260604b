/* tok_spans.c - see tok_spans.h. Added tokens are looked for in the whole text and those that count
 * cut it; what stands between is encoded as plain text, and its tokens are laid over it by the
 * bytes that they stand for. */
#include "tok_spans.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "tok_priv.h"
#include "utf8.h"

typedef struct spans_run {
    const ds_tok *tok;
    ds_tok_state *st;
    const uint8_t *p;
    size_t len;
    const ds_span *spans;
    size_t n;
    ds_ids *ids;
    ds_places *at;
    ds_buf bytes, norm;
    ds_err *err;
} spans_run;

void ds_places_fini(ds_places *p)
{
    free(p->v);
    memset(p, 0, sizeof *p);
}

int ds_spantext_put(ds_spantext *t, const void *p, size_t len, ds_span like, ds_err *err)
{
    if (len == 0)
        return 0;
    if (ds_grow(&t->v, &t->cap, t->n, sizeof *t->v) || ds_buf_put(&t->text, p, len))
        return ds_fail_nomem(err);
    const ds_span *last = t->n ? &t->v[t->n - 1] : NULL;
    like.end = t->text.len;
    if (last && last->trust == like.trust && last->role == like.role && last->target == like.target)
        t->v[t->n - 1].end = like.end;
    else
        t->v[t->n++] = like;
    return 0;
}

void ds_spantext_reset(ds_spantext *t)
{
    ds_buf_reset(&t->text);
    t->n = 0;
}

void ds_spantext_fini(ds_spantext *t)
{
    ds_buf_fini(&t->text);
    free(t->v);
    memset(t, 0, sizeof *t);
}

static int put_place(spans_run *r, size_t start, size_t end)
{
    ds_places *at = r->at;
    if (ds_grow(&at->v, &at->cap, at->n, sizeof *at->v))
        return ds_fail_nomem(r->err);
    at->v[at->n++] = (ds_place){start, end};
    return 0;
}

/* ---- normalised text back to the text ---- */

/* The next stretch that NFC may change, at or after *at: [*start, *end) of p, as ds_uni_to_form
 * sees it. False when there is none. */
static bool next_cluster(const uint8_t *cls, const uint8_t *p, size_t len, size_t at, size_t *start,
                         size_t *end)
{
    size_t prev = SIZE_MAX;
    unsigned n;
    for (; at < len && !(cls[ds_uni_get(p + at, &n)] & DS_UNI_COMBINES); at += n)
        prev = at;
    if (at >= len)
        return false;
    *start = prev != SIZE_MAX ? prev : at;
    for (; at < len; at += n)
        if (!(cls[ds_uni_get(p + at, &n)] & DS_UNI_COMBINES))
            break;
    *end = at;
    return true;
}

/* Walks the text beside its normal form. [start, end) changed into `size` bytes that begin at
 * `norm`; before it both run in step. */
typedef struct lockstep {
    const uint8_t *cls, *p;
    size_t len, start, end, norm, size;
    ds_buf scratch;
} lockstep;

/* Past this cluster, to the next. */
static int step_on(lockstep *l, ds_err *err)
{
    size_t from = l->end, norm = l->norm + l->size;
    if (!next_cluster(l->cls, l->p, l->len, from, &l->start, &l->end)) {
        l->start = l->end = l->len;
        l->norm = norm + (l->len - from);
        l->size = 0;
        return 0;
    }
    ds_buf_reset(&l->scratch);
    int rc =
        ds_uni_to_form(&l->scratch, l->cls, DS_UNI_NFC, l->p + l->start, l->end - l->start, err);
    l->norm = norm + (l->start - from);
    l->size = l->scratch.len;
    return rc;
}

/* Offset in the text of offset x of its normal form; inside a changed cluster its beginning, or its
 * end when `up`. x never falls from call to call. */
static int step_to(lockstep *l, size_t x, bool up, size_t *out, ds_err *err)
{
    int rc = 0;
    while (rc == 0 && l->end < l->len && x >= l->norm + l->size)
        rc = step_on(l, err);
    if (x <= l->norm)
        *out = l->start - (l->norm - x);
    else if (x >= l->norm + l->size)
        *out = l->end + (x - l->norm - l->size);
    else
        *out = up ? l->end : l->start;
    return rc;
}

/* ---- a stretch without added tokens ---- */

static int lay_straight(spans_run *r, size_t start, size_t from, size_t shift)
{
    size_t at = 0, n;
    int rc = 0;
    for (size_t i = from; rc == 0 && i < r->ids->n; i++) {
        (void)ds_tok_bytes(r->tok, r->ids->v[i], &n);
        size_t a = at > shift ? at - shift : 0, b = at + n > shift ? at + n - shift : 0;
        rc = put_place(r, start + a, start + b);
        at += n;
    }
    return rc;
}

static int lay_normal(spans_run *r, size_t start, size_t len, size_t from, size_t shift)
{
    /* Ends and starts are asked for in two walks, so that each never goes back. */
    lockstep a = {.cls = r->tok->cls, .p = r->p + start, .len = len}, b = a;
    size_t at = 0, n;
    int rc = 0;
    for (size_t i = from; rc == 0 && i < r->ids->n; i++) {
        size_t lo = 0, hi = 0;
        (void)ds_tok_bytes(r->tok, r->ids->v[i], &n);
        rc = step_to(&a, at > shift ? at - shift : 0, false, &lo, r->err);
        if (rc == 0)
            rc = step_to(&b, at + n > shift ? at + n - shift : 0, true, &hi, r->err);
        if (rc == 0)
            rc = put_place(r, start + lo, start + hi);
        at += n;
    }
    ds_buf_fini(&a.scratch);
    ds_buf_fini(&b.scratch);
    return rc;
}

static bool holds(const ds_buf *b, size_t shift, const uint8_t *p, size_t len)
{
    return b->len == len + shift && (shift == 0 || b->data[0] == ' ') &&
           (len == 0 || memcmp(b->data + shift, p, len) == 0);
}

/* The bytes of the tokens from `from` on, one after the other, to r->bytes. Merges may spell a
 * special token's text: then plain text gave it without being allowed to. */
static int spell(spans_run *r, size_t from)
{
    ds_buf_reset(&r->bytes);
    for (size_t i = from; i < r->ids->n; i++) {
        size_t n = 0;
        const uint8_t *b = ds_tok_bytes(r->tok, r->ids->v[i], &n);
        if (b == NULL || ds_buf_put(&r->bytes, b, n))
            return ds_fail_nomem(r->err);
        if (ds_tok_is_special(r->tok, r->ids->v[i]))
            return ds_fail(r->err, DS_FAIL,
                           "plain text gives the special token %.100s by merging: this tokenizer "
                           "cannot tell them apart",
                           ds_tok_text(r->tok, r->ids->v[i], NULL));
    }
    return 0;
}

static int stretch(spans_run *r, size_t start, size_t len)
{
    const uint8_t *p = r->p + start;
    size_t from = r->ids->n;
    int rc =
        ds_tok_encode(r->tok, r->st, p, len, DS_TOK_NO_ADDED | DS_TOK_NO_SPECIAL, r->ids, r->err);
    if (rc == 0)
        rc = spell(r, from);
    for (size_t shift = 0; rc == 0 && shift < 2; shift++)
        if (holds(&r->bytes, shift, p, len))
            return lay_straight(r, start, from, shift);
    ds_buf_reset(&r->norm);
    if (rc == 0)
        rc = ds_uni_to_form(&r->norm, r->tok->cls, DS_UNI_NFC, p, len, r->err);
    for (size_t shift = 0; rc == 0 && shift < 2; shift++)
        if (holds(&r->bytes, shift, r->norm.data, r->norm.len))
            return lay_normal(r, start, len, from, shift);
    return rc ? rc
              : ds_fail(r->err, DS_FAIL,
                        "this tokenizer changes the text: where its tokens stand in it cannot be "
                        "told");
}

/* ---- added tokens ---- */

static bool allowed(spans_run *r, size_t start, size_t end, uint32_t id)
{
    uint8_t need = ds_tok_is_special(r->tok, id) ? DS_TRUST_ALL : DS_TRUST_MARKUP;
    size_t k = 0, hi = r->n;
    while (k < hi) { /* the span that `start` lies in */
        size_t mid = k + (hi - k) / 2;
        if (r->spans[mid].end <= start)
            k = mid + 1;
        else
            hi = mid;
    }
    for (; k < r->n; k++) {
        if (r->spans[k].trust < need)
            return false;
        if (r->spans[k].end >= end)
            return true;
    }
    return false;
}

/* The next match of a trie that counts, at or after *from; `floor` is where the last one ended. */
static bool next_added(spans_run *r, const tok_trie *t, size_t len, size_t *from, size_t floor,
                       tok_match *m)
{
    while (ds_tok_trie_find(t, r->tok->cls, r->p, len, *from, floor, m, from)) {
        size_t n, core = m->start;
        const char *text = ds_tok_text(r->tok, m->id, &n);
        while (core + n < m->end && memcmp(r->p + core, text, n) != 0)
            core++; /* past what lstrip takes along */
        if (allowed(r, core, core + n, m->id))
            return true;
        *from = core + 1;
    }
    return false;
}

/* Between tokens that are matched before normalisation, those that are matched after it. Spellings
 * in templates are normal. */
static int between(spans_run *r, size_t start, size_t end)
{
    size_t done = start, from = start;
    int rc = 0;
    tok_match m;
    while (rc == 0 && next_added(r, &r->tok->normal, end, &from, done, &m)) {
        if (m.start > done)
            rc = stretch(r, done, m.start - done);
        if (rc == 0 && ds_ids_put(r->ids, &m.id, 1))
            rc = ds_fail_nomem(r->err);
        if (rc == 0)
            rc = put_place(r, m.start, m.end);
        done = m.end;
    }
    return rc == 0 && done < end ? stretch(r, done, end - done) : rc;
}

static int whole(spans_run *r)
{
    size_t done = 0, from = 0;
    int rc = 0;
    tok_match m;
    while (rc == 0 && next_added(r, &r->tok->raw, r->len, &from, done, &m)) {
        if (m.start > done)
            rc = between(r, done, m.start);
        if (rc == 0 && ds_ids_put(r->ids, &m.id, 1))
            rc = ds_fail_nomem(r->err);
        if (rc == 0)
            rc = put_place(r, m.start, m.end);
        done = m.end;
    }
    return rc == 0 && done < r->len ? between(r, done, r->len) : rc;
}

int ds_tok_encode_spans(const ds_tok *tok, ds_tok_state *st, const ds_spantext *text, ds_ids *ids,
                        ds_places *at, ds_err *err)
{
    spans_run r = {.tok = tok,
                   .st = st,
                   .p = text->text.data,
                   .len = text->text.len,
                   .spans = text->v,
                   .n = text->n,
                   .ids = ids,
                   .at = at,
                   .err = err};
    size_t ids_before = ids->n, at_before = at->n, good = r.len ? ds_utf8_check(r.p, r.len) : 0;
    int rc = good == r.len ? 0 : ds_fail(err, DS_FAIL, "not UTF-8 at byte %zu", good);
    if (rc == 0 && r.len > 0)
        rc = whole(&r);
    if (rc) {
        ids->n = ids_before;
        at->n = at_before;
    }
    ds_buf_fini(&r.bytes);
    ds_buf_fini(&r.norm);
    return rc;
}
