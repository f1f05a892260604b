/* tok_split.c - a piece of text through the steps of the pre-tokenizer. */
#include "tok_priv.h"
#include "tok_queue.h"
#include "tok_scan.h"
#include "tok_window.h"

#include <string.h>

/* The last step: pretokens by windows of 64 bytes, and one by one where a window cannot tell. */
static int scan_windows(ds_tok_state *st, enum tok_step_kind kind, const uint8_t *p, size_t len)
{
    const ds_tok *t = st->tok;
    const uint8_t *end = p + len;
    const tok_window w = {.classify = st->classify,
                          .kinds = t->kinds,
                          .cls = t->cls,
                          .step = kind,
                          .join = t->in_parts && !t->ignore_merges ? t->join : NULL};
    uint8_t tail[2 * (TOK_WINDOW + TOK_SLACK)];
    tok_queue q;
    bool copied = false;
    int rc = 0;
    tok_queue_begin(&q, p);
    while (p < end && rc == 0) {
        size_t left = (size_t)(end - p), n;
        uint64_t starts;
        if (!copied && left < TOK_WINDOW + TOK_SLACK) { /* so that reading on is allowed */
            rc = ds_tok_queue_drain(st, &q, p);
            memcpy(tail, p, left);
            memset(tail + left, 0, sizeof tail - left);
            p = tail;
            end = tail + left;
            copied = true;
            tok_queue_begin(&q, p);
            if (rc != 0)
                break;
        }
        n = ds_tok_window_starts(&w, p, left, &starts);
        if (n != 0) {
            tok_queue_push(&q, p, starts);
        } else {
            n = scan_pretoken(t->cls, kind, p, end);
            if (n <= TOK_LONG) {
                tok_queue_push(&q, p, 1);
            } else {
                rc = ds_tok_queue_drain(st, &q, p);
                rc = rc ? rc : ds_tok_pretoken(st, p, n);
                tok_queue_begin(&q, p + n);
            }
        }
        p += n;
        if (tok_queue_full(&q)) {
            rc = ds_tok_queue_drain(st, &q, p);
            tok_queue_begin(&q, p);
        }
    }
    return rc ? rc : ds_tok_queue_drain(st, &q, p);
}

static int scan_piece(ds_tok_state *st, unsigned k, const uint8_t *p, size_t len,
                      enum tok_place place)
{
    const uint8_t *cls = st->tok->cls, *begin = p, *end = p + len;
    enum tok_step_kind kind = st->tok->step[k].kind;
    bool last = k + 1 == st->tok->n_steps;
    int rc = 0;
    if (last && st->classify != NULL)
        return scan_windows(st, kind, p, len);
    while (p < end && rc == 0) {
        size_t n = scan_pretoken(cls, kind, p, end);
        rc = last ? ds_tok_pretoken(st, p, n)
                  : ds_tok_piece(st, k + 1, p, n, tok_part_place(place, p == begin));
        p += n;
    }
    return rc;
}

/* \p{N}, or what the Digits pre-tokenizer takes for a number, which is a little more. */
static bool is_number(const uint8_t *cls, const tok_step *s, const uint8_t *p, unsigned *n)
{
    if (scan_cls(cls, p, n) & DS_UNI_N)
        return true;
    return *n == 4 && s->max != TOK_PATTERN_DIGITS &&
           ds_uni_in(ds_uni_digits, ds_uni_digits_n, ds_uni_get(p, n));
}

static int digits_piece(ds_tok_state *st, unsigned k, const uint8_t *p, size_t len,
                        enum tok_place place)
{
    const tok_step *s = &st->tok->step[k];
    const uint8_t *cls = st->tok->cls, *begin = p, *end = p + len;
    unsigned n;
    int rc = 0;
    while (p < end && rc == 0) {
        const uint8_t *q = p;
        while (q < end && !is_number(cls, s, q, &n))
            q += n;
        if (q == p)
            for (unsigned i = 0; q < end && (s->max == 0 || i < s->max) && is_number(cls, s, q, &n);
                 i++)
                q += n;
        rc = ds_tok_piece(st, k + 1, p, (size_t)(q - p), tok_part_place(place, p == begin));
        p = q;
    }
    return rc;
}

/* Runs of characters that are not white space; with `words`, of word characters or of others. */
static int words_piece(ds_tok_state *st, unsigned k, const uint8_t *p, size_t len,
                       enum tok_place place, bool words)
{
    const uint8_t *cls = st->tok->cls, *begin = p, *end = p + len;
    int rc = 0;
    while (p < end && rc == 0) {
        const uint8_t *q = p;
        if (words)
            q = scan_run(cls, p, end, DS_UNI_WORD, 0);
        if (q == p)
            q = scan_run_not(cls, p, end, words ? DS_UNI_WORD | DS_UNI_WS : DS_UNI_WS);
        if (q > p)
            rc = ds_tok_piece(st, k + 1, p, (size_t)(q - p), tok_part_place(place, p == begin));
        p = q;
        for (unsigned n; p < end && (scan_cls(cls, p, &n) & DS_UNI_WS);)
            p += n;
    }
    return rc;
}

static int regex_piece(ds_tok_state *st, unsigned k, const uint8_t *p, size_t len,
                       enum tok_place place)
{
    tok_behave b = {.st = st, .step = k, .p = p, .place = place};
    tok_matches m = {
        .r = &st->tok->step[k].re, .p = p, .len = len, .md = st->md[k], .mctx = st->mctx};
    size_t prev = 0, start, end;
    int rc = 0, more;
    while (rc == 0 && (more = ds_tok_regex_next(&m, &start, &end, st->err)) != 0) {
        if (more < 0)
            return more;
        if (start > prev)
            rc = ds_tok_behave_part(&b, prev, start, false);
        rc = rc ? rc : ds_tok_behave_part(&b, start, end, true);
        prev = end;
    }
    if (rc == 0 && prev < len)
        rc = ds_tok_behave_part(&b, prev, len, false);
    return rc ? rc : ds_tok_behave_end(&b);
}

static bool is_punct(const uint8_t *cls, uint32_t c)
{
    if (c < 0x80)
        return cls[c] & DS_UNI_PS;
    return ds_uni_in(ds_uni_punct, ds_uni_punct_n, c);
}

/* Every punctuation character is a match of its own. */
static int punct_piece(ds_tok_state *st, unsigned k, const uint8_t *p, size_t len,
                       enum tok_place place)
{
    tok_behave b = {.st = st, .step = k, .p = p, .place = place};
    size_t prev = 0;
    unsigned n;
    int rc = 0;
    for (size_t at = 0; at < len && rc == 0; at += n) {
        if (!is_punct(st->tok->cls, ds_uni_get(p + at, &n)))
            continue;
        if (at > prev)
            rc = ds_tok_behave_part(&b, prev, at, false);
        rc = rc ? rc : ds_tok_behave_part(&b, at, at + n, true);
        prev = at + n;
    }
    if (rc == 0 && prev < len)
        rc = ds_tok_behave_part(&b, prev, len, false);
    return rc ? rc : ds_tok_behave_end(&b);
}

static int prefix_piece(ds_tok_state *st, unsigned k, const uint8_t *p, size_t len,
                        enum tok_place place)
{
    if (place == TOK_GOES_ON || *p == ' ')
        return ds_tok_piece(st, k + 1, p, len, place);
    ds_buf *b = &st->with_space[k];
    ds_buf_reset(b);
    if (ds_buf_putc(b, ' ') != 0 || ds_buf_put(b, p, len) != 0)
        return ds_fail_nomem(st->err);
    return ds_tok_piece(st, k + 1, b->data, b->len, place);
}

/* The replacement for every space, and before the piece; then, with `split`, cut before each. */
static int metaspace_piece(ds_tok_state *st, unsigned k, const uint8_t *p, size_t len,
                           enum tok_place place)
{
    const tok_metaspace *m = &st->tok->step[k].meta;
    const uint8_t *end = p + len, *at;
    ds_buf *b = &st->with_space[k];
    bool has = *p == ' ' || (len >= m->len && memcmp(p, m->text, m->len) == 0);
    bool add = m->prepend == TOK_PREPEND_ALWAYS
                   ? place != TOK_GOES_ON
                   : m->prepend == TOK_PREPEND_FIRST && place == TOK_TEXT;
    ds_buf_reset(b);
    int rc = add && !has ? ds_buf_put(b, m->text, m->len) : 0;
    while (rc == 0 && (at = memchr(p, ' ', (size_t)(end - p))) != NULL) {
        rc = ds_buf_put(b, p, (size_t)(at - p));
        rc = rc ? rc : ds_buf_put(b, m->text, m->len);
        p = at + 1;
    }
    rc = rc ? rc : ds_buf_put(b, p, (size_t)(end - p));
    if (rc != 0)
        return ds_fail_nomem(st->err);
    if (!m->split)
        return ds_tok_piece(st, k + 1, b->data, b->len, place);
    const uint8_t *begin = p = b->data;
    for (end = p + b->len; p < end && rc == 0; p = at) {
        at = (size_t)(end - p) > m->len ? memmem(p + 1, (size_t)(end - p) - 1, m->text, m->len)
                                        : NULL;
        at = at != NULL ? at : end;
        rc = ds_tok_piece(st, k + 1, p, (size_t)(at - p), tok_part_place(place, p == begin));
    }
    return rc;
}

int ds_tok_piece(ds_tok_state *st, unsigned k, const uint8_t *p, size_t len, enum tok_place place)
{
    if (len == 0)
        return 0;
    if (k == st->tok->n_steps)
        return ds_tok_pretoken(st, p, len);
    switch (st->tok->step[k].kind) {
    case TOK_STEP_REGEX:
        return regex_piece(st, k, p, len, place);
    case TOK_STEP_PUNCT:
        return punct_piece(st, k, p, len, place);
    case TOK_STEP_SET:
        return ds_tok_set_piece(st, k, p, len, place);
    case TOK_STEP_TRAIL:
        return ds_tok_trail_piece(st, k, p, len, place);
    case TOK_STEP_DIGITS:
        return digits_piece(st, k, p, len, place);
    case TOK_STEP_PREFIX:
        return prefix_piece(st, k, p, len, place);
    case TOK_STEP_METASPACE:
        return metaspace_piece(st, k, p, len, place);
    case TOK_STEP_WORDS:
    case TOK_STEP_NONSPACE:
        return words_piece(st, k, p, len, place, st->tok->step[k].kind == TOK_STEP_WORDS);
    default:
        return scan_piece(st, k, p, len, place);
    }
}
