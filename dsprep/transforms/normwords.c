/* normwords.c - see normwords.h. */
#include "normwords.h"

#include <string.h>

#include "tok_uni.h"

#define WORD_SEED UINT64_C(0xcbf29ce484222325)
#define WORD_PRIME UINT64_C(0x100000001b3)

typedef struct out {
    ds_buf *hashes, *places;
} out;

static int put_word(const out *o, uint64_t hash, size_t from, size_t to)
{
    const uint64_t h = ds_norm_mix(hash);
    ds_buf *b = o->hashes;
    if (b->cap - b->len < sizeof h && ds_buf_reserve(b, sizeof h))
        return DS_NOMEM;
    memcpy(b->data + b->len, &h, sizeof h);
    b->len += sizeof h;
    if (!o->places)
        return 0;
    const uint32_t place[2] = {(uint32_t)from, (uint32_t)to};
    return ds_buf_put(o->places, place, sizeof place);
}

typedef struct walk {
    out o;
    uint64_t h;
    size_t from, end; /* of the word */
    bool in, digits;  /* within a word; its last character was a digit */
    bool zero;
} walk;

static int end_word(walk *w)
{
    const int rc = w->in ? put_word(&w->o, w->h, w->from, w->end) : 0;
    w->h = WORD_SEED;
    w->in = w->digits = false;
    return rc;
}

/* One entry of the fold, of a character that stands at [at, end). */
static inline int put_part(walk *w, uint32_t e, size_t at, size_t end)
{
    const uint32_t c = e & 0xffffff;
    switch (e >> 24) {
    case DS_FOLD_NOTHING:
        return 0;
    case DS_FOLD_IDEOGRAPH: {
        const int rc = end_word(w);
        return rc ? rc : put_word(&w->o, (WORD_SEED ^ c) * WORD_PRIME, at, end);
    }
    case DS_FOLD_LETTER:
    case DS_FOLD_NUMBER: {
        const bool number = w->zero && e >> 24 == DS_FOLD_NUMBER;
        w->from = w->in ? w->from : at;
        w->end = end;
        if (!number)
            w->h = (w->h ^ c) * WORD_PRIME;
        else if (!w->digits)
            w->h = (w->h ^ '0') * WORD_PRIME;
        w->in = true;
        w->digits = number;
        return 0;
    }
    default:
        return end_word(w);
    }
}

static int put_several(walk *w, const ds_wordfold *f, uint32_t e, size_t at, size_t end)
{
    const uint32_t *v = (const uint32_t *)(const void *)f->several.data + (e & 0xffffff);
    int rc = 0;
    for (uint32_t i = 1; rc == 0 && i <= v[0]; i++)
        rc = put_part(w, v[i], at, end);
    return rc;
}

int ds_normwords(ds_buf *hashes, ds_buf *places, const ds_wordfold *fold, bool zero,
                 const uint8_t *p, size_t len)
{
    walk w = {.o = {hashes, places}, .h = WORD_SEED, .zero = zero};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < len;) {
        unsigned size = 1;
        const uint32_t c = p[i] < 0x80 ? p[i] : ds_uni_get(p + i, &size), e = fold->of[c];
        rc = e >> 24 == DS_FOLD_SEVERAL ? put_several(&w, fold, e, i, i + size)
                                        : put_part(&w, e, i, i + size);
        i += size;
    }
    return rc ? rc : end_word(&w);
}
