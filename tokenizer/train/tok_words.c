/* tok_words.c - counting pretokens. */
#include "tok_words.h"

#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "tok_cut.h"
#include "tok_priv.h"
#include "tok_runs.h"
#include "tok_scan.h"
#include "utf8.h"

int ds_words_new(ds_words **out, ds_err *err)
{
    ds_words *w = calloc(1, sizeof *w);
    *out = NULL;
    if (w == NULL)
        return ds_fail_nomem(err);
    w->mask = 4095;
    w->slot = calloc(w->mask + 1, sizeof *w->slot);
    if (w->slot == NULL) {
        free(w);
        return ds_fail_nomem(err);
    }
    ds_uni_fill(w->cls);
    *out = w;
    return 0;
}

void ds_words_give_up(ds_words *w)
{
    ds_buf_fini(&w->bytes);
    free(w->slot);
    w->slot = NULL;
    w->mask = 0;
}

void ds_words_free(ds_words *w)
{
    if (w == NULL)
        return;
    ds_buf_fini(&w->bytes);
    ds_tok_state_free(w->like);
    free(w->slot);
    free(w);
}

uint64_t ds_words_distinct(const ds_words *w)
{
    return w->distinct > 0 ? w->distinct : w->n;
}
uint64_t ds_words_total(const ds_words *w)
{
    return w->total;
}

static int grow(ds_words *w)
{
    size_t cap = (w->mask + 1) * 2, bytes;
    tok_word *slot = ds_mul_size(cap, sizeof *slot, &bytes) ? calloc(1, bytes) : NULL;
    if (slot == NULL)
        return DS_NOMEM;
    for (size_t i = 0; i <= w->mask; i++) {
        if (w->slot[i].count == 0)
            continue;
        size_t j = (size_t)w->slot[i].hash & (cap - 1);
        while (slot[j].count != 0)
            j = (j + 1) & (cap - 1);
        slot[j] = w->slot[i];
    }
    free(w->slot);
    w->slot = slot;
    w->mask = cap - 1;
    return 0;
}

void ds_words_limit(ds_words *w, ds_word_runs *runs, size_t bytes)
{
    w->runs = runs;
    w->limit = bytes;
}

/* What the table takes with another word, at the worst time: while it is copied to one of twice its
 * size, or sorted, which takes as much again as the words in it. */
static bool fits(const ds_words *w, size_t len)
{
    size_t slots = (w->mask + 1) * sizeof *w->slot;
    if (w->limit == 0 || w->n == 0)
        return true;
    if ((w->n + 1) * 3 > w->mask * 2)
        slots *= 2;
    return slots / 3 * 5 + w->bytes.len + len <= w->limit;
}

/* Hands all words over and begins anew. */
static int spill(ds_words *w, ds_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i <= w->mask; i++)
        if (w->slot[i].count != 0)
            w->slot[n++] = w->slot[i];
    int rc = ds_word_runs_put(w->runs, w->slot, n, &w->bytes, err);
    memset(w->slot, 0, (w->mask + 1) * sizeof *w->slot);
    ds_buf_reset(&w->bytes);
    w->n = 0;
    return rc;
}

/* A word that is not there yet, at its empty slot. */
static int add_word(ds_words *w, size_t slot, const uint8_t *p, tok_word word, ds_err *err)
{
    if (!fits(w, word.len)) {
        int rc = spill(w, err);
        if (rc != 0)
            return rc;
        slot = (size_t)word.hash & w->mask;
    }
    word.at = w->bytes.len;
    if (ds_buf_put(&w->bytes, p, word.len) != 0)
        return ds_fail_nomem(err);
    w->slot[slot] = word;
    return ++w->n * 3 > w->mask * 2 && grow(w) != 0 ? ds_fail_nomem(err) : 0;
}

static int count_word(ds_words *w, const uint8_t *p, size_t len, uint64_t hash, uint64_t count,
                      ds_err *err)
{
    size_t i = (size_t)hash & w->mask;
    for (; w->slot[i].count != 0; i = (i + 1) & w->mask) {
        tok_word *s = &w->slot[i];
        if (s->hash == hash && s->len == len && memcmp(w->bytes.data + s->at, p, len) == 0) {
            s->count += count;
            return 0;
        }
    }
    if (len > UINT32_MAX)
        return ds_fail(err, DS_FAIL, "a word of %zu bytes is too long", len);
    return add_word(w, i, p, (tok_word){hash, count, 0, (uint32_t)len}, err);
}

static int add_like(void *ctx, const uint8_t *p, size_t len, ds_err *err)
{
    ds_words *w = ctx;
    int rc = count_word(w, p, len, ds_xxh64(p, len), 1, err);
    w->total += rc == 0;
    return rc;
}

int ds_words_add(ds_words *w, const void *text, size_t len, ds_err *err)
{
    const uint8_t *p = text, *end = p + len;
    size_t good = ds_utf8_check(p, len);
    int rc = 0;
    if (good != len)
        return ds_fail(err, DS_FAIL, "not UTF-8 at byte %zu", good);
    if (w->like != NULL)
        return ds_tok_words(w->like, text, len, add_like, w, err);
    while (p < end && rc == 0) {
        size_t n = scan_llama(w->cls, p, end, 3);
        rc = count_word(w, p, n, ds_xxh64(p, n), 1, err);
        w->total += rc == 0;
        p += n;
    }
    return rc;
}

int ds_words_merge(ds_words *to, const ds_words *from, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; i <= from->mask && rc == 0; i++) {
        const tok_word *s = &from->slot[i];
        if (s->count != 0)
            rc = count_word(to, from->bytes.data + s->at, s->len, s->hash, s->count, err);
    }
    to->total += from->total;
    return rc;
}

int ds_words_finish(ds_words *w, int (*tick)(void *ctx, uint64_t words, ds_err *err), void *ctx,
                    ds_err *err)
{
    int rc = 0;
    if (w->runs != NULL && !ds_word_runs_empty(w->runs)) {
        if (w->n > 0)
            rc = spill(w, err);
        ds_words_give_up(w);
        rc = rc ? rc : ds_word_runs_join(w->runs, tick, ctx, err);
        ds_word_runs_size(w->runs, &w->distinct, &w->text);
    } else {
        w->runs = NULL;
        w->distinct = w->n;
        w->text = w->bytes.len;
    }
    return rc;
}

uint64_t ds_words_need(const ds_words *w)
{
    return w->distinct * 16 + w->text * 12;
}

int ds_words_next(tok_words_walk *walk, tok_run_word *word, ds_err *err)
{
    const ds_words *w = walk->w;
    if (w->runs != NULL)
        return ds_word_runs_next(w->runs, word, err);
    if (w->slot == NULL)
        return 0;
    while (walk->i <= w->mask && w->slot[walk->i].count == 0)
        walk->i++;
    if (walk->i > w->mask)
        return 0;
    const tok_word *s = &w->slot[walk->i++];
    *word = (tok_run_word){.count = s->count, .p = w->bytes.data + s->at, .len = s->len};
    return 1;
}

size_t ds_words_cut(const void *text, size_t len, size_t from)
{
    for (size_t at = from > 0 ? from : 1; at < len; at++)
        if (ds_tok_cut_chars(text, len, at))
            return at;
    return len;
}
