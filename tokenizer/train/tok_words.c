/* tok_words.c - counting pretokens. */
#include "tok_words.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "tok_cut.h"
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
    free(w->slot);
    free(w);
}

uint64_t ds_words_distinct(const ds_words *w)
{
    return w->n;
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

static int count_word(ds_words *w, const uint8_t *p, size_t len, uint64_t hash, uint64_t count)
{
    size_t i = (size_t)hash & w->mask;
    for (; w->slot[i].count != 0; i = (i + 1) & w->mask) {
        tok_word *s = &w->slot[i];
        if (s->hash == hash && s->len == len && memcmp(w->bytes.data + s->at, p, len) == 0) {
            s->count += count;
            w->total += count;
            return 0;
        }
    }
    size_t at = w->bytes.len;
    if (len > UINT32_MAX || ds_buf_put(&w->bytes, p, len) != 0)
        return DS_NOMEM;
    w->slot[i] = (tok_word){hash, count, at, (uint32_t)len};
    w->total += count;
    return ++w->n * 3 > w->mask * 2 ? grow(w) : 0;
}

int ds_words_add(ds_words *w, const void *text, size_t len, ds_err *err)
{
    const uint8_t *p = text, *end = p + len;
    size_t good = ds_utf8_check(p, len);
    int rc = 0;
    if (good != len)
        return ds_fail(err, DS_FAIL, "not UTF-8 at byte %zu", good);
    while (p < end && rc == 0) {
        size_t n = scan_llama(w->cls, p, end, 3);
        rc = count_word(w, p, n, ds_xxh64(p, n), 1);
        p += n;
    }
    return rc == 0 ? 0 : ds_fail_nomem(err);
}

int ds_words_merge(ds_words *to, const ds_words *from, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; i <= from->mask && rc == 0; i++) {
        const tok_word *s = &from->slot[i];
        if (s->count != 0)
            rc = count_word(to, from->bytes.data + s->at, s->len, s->hash, s->count);
    }
    return rc == 0 ? 0 : ds_fail_nomem(err);
}

size_t ds_words_cut(const void *text, size_t len, size_t from)
{
    for (size_t at = from > 0 ? from : 1; at < len; at++)
        if (ds_tok_cut_chars(text, len, at))
            return at;
    return len;
}
