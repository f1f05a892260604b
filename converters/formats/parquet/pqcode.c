/* pqcode.c - see pqcode.h. */
#include "pqcode.h"

#include <string.h>

static const char SHORT[] = "a page ends in the midst of its values";

/* `width` bits (at most 64) from bit number `bit`, least significant first. They must be there. */
static uint64_t bits_at(const uint8_t *p, uint64_t bit, int width)
{
    const uint8_t *from = p + bit / 8;
    const int shift = (int)(bit % 8), bytes = (shift + width + 7) / 8;
    uint64_t v = 0;

    for (int i = 0; i < bytes && i < 8; i++)
        v |= (uint64_t)from[i] << 8 * i;
    v >>= shift;
    if (bytes == 9)
        v |= (uint64_t)from[8] << (64 - shift);
    return width == 64 ? v : v & (((uint64_t)1 << width) - 1);
}

/* ---- runs ---- */

int ds_pq_bits(uint32_t most)
{
    return most ? 32 - __builtin_clz(most) : 0;
}

void ds_pqrle_init(ds_pqrle *r, const uint8_t *p, size_t len, int bits)
{
    *r = (ds_pqrle){.p = p, .len = len, .bits = bits};
}

static const char *next_run(ds_pqrle *r)
{
    const size_t bytes = (size_t)(r->bits + 7) / 8;
    uint64_t head;

    if (!ds_varint_get_any(r->p, r->len, &r->at, &head))
        return SHORT;
    r->packed = head & 1;
    if (!r->packed) {
        if (head < 2 || bytes > r->len - r->at)
            return head < 2 ? "a run of no values" : SHORT;
        r->left = head >> 1;
        r->value = (uint32_t)bits_at(r->p + r->at, 0, 8 * (int)bytes);
        r->at += bytes;
        return NULL;
    }
    /* The last group may be cut where no more values follow. */
    const uint64_t have = 8 * (uint64_t)(r->len - r->at), groups = head >> 1;
    if (!groups || groups > UINT32_MAX)
        return "a run of no values";
    r->left = 8 * groups;
    r->bit = 8 * (uint64_t)r->at;
    if (r->bits && r->left > have / (unsigned)r->bits)
        r->left = have / (unsigned)r->bits;
    r->at += groups * (unsigned)r->bits < r->len - r->at ? (size_t)groups * (size_t)r->bits
                                                         : r->len - r->at;
    return r->left ? NULL : SHORT;
}

const char *ds_pqrle_next(ds_pqrle *r, uint32_t *v)
{
    const char *why;

    if (!r->left && (why = next_run(r)))
        return why;
    r->left--;
    if (r->packed) {
        *v = r->bits ? (uint32_t)bits_at(r->p, r->bit, r->bits) : 0;
        r->bit += (unsigned)r->bits;
    } else {
        *v = r->value;
    }
    return NULL;
}

/* ---- differences ---- */

static const char *delta_init(ds_pqdelta *d, const uint8_t *p, size_t len)
{
    uint64_t block, minis, count, first;

    *d = (ds_pqdelta){.p = p, .len = len, .first = true};
    if (!ds_varint_get_any(p, len, &d->at, &block) || !ds_varint_get_any(p, len, &d->at, &minis) ||
        !ds_varint_get_any(p, len, &d->at, &count) || !ds_varint_get_any(p, len, &d->at, &first))
        return SHORT;
    if (block == 0 || block > 1 << 20 || minis == 0 || minis > 4096 || block % minis ||
        block / minis % 8)
        return "differences in blocks of a size that is none";
    d->size = block / minis;
    d->minis = minis;
    d->mini = minis;
    d->left = count;
    d->value = (uint64_t)ds_unzigzag(first);
    return NULL;
}

static const char *next_mini(ds_pqdelta *d)
{
    uint64_t least;

    if (d->mini == d->minis) {
        if (!ds_varint_get_any(d->p, d->len, &d->at, &least) || d->minis > d->len - d->at)
            return SHORT;
        d->least = (uint64_t)ds_unzigzag(least);
        d->widths = d->p + d->at;
        d->at += (size_t)d->minis;
        d->mini = 0;
    }
    d->width = d->widths[d->mini++];
    if (d->width > 64)
        return "differences of more than 64 bits";
    const uint64_t bytes = d->size / 8 * (unsigned)d->width;
    if (bytes > d->len - d->at)
        return SHORT;
    d->bit = 8 * (uint64_t)d->at;
    d->at += (size_t)bytes;
    d->in_mini = d->size;
    return NULL;
}

static const char *delta_next(ds_pqdelta *d, int64_t *v)
{
    const char *why;

    if (!d->left)
        return SHORT;
    d->left--;
    if (!d->first) {
        if (!d->in_mini && (why = next_mini(d)))
            return why;
        d->in_mini--;
        d->value += d->least + bits_at(d->p, d->bit, d->width);
        d->bit += (unsigned)d->width;
    }
    d->first = false;
    *v = (int64_t)d->value;
    return NULL;
}

/* Where what follows the differences begins. */
static const char *end_of(const ds_pqdelta *from, size_t *end)
{
    ds_pqdelta d = *from;
    const char *why;

    if (d.left)
        d.left--;
    for (; d.left; d.left -= d.left < d.size ? d.left : d.size)
        if ((why = next_mini(&d)))
            return why;
    *end = d.at;
    return NULL;
}

/* ---- values ---- */

static int width_of(const ds_pqnode *n)
{
    static const int widths[] = {[DS_PQ_INT32] = 4, [DS_PQ_INT64] = 8,  [DS_PQ_INT96] = 12,
                                 [DS_PQ_FLOAT] = 4, [DS_PQ_DOUBLE] = 8, [DS_PQ_FIXED] = 0};

    return n->type == DS_PQ_FIXED ? n->length : widths[n->type];
}

/* Lengths of bytes that lie end to end behind them. */
static const char *begin_lengths(ds_pqvalues *v)
{
    const char *why = delta_init(&v->lens, v->p + v->at, v->len - v->at);
    size_t end = 0;

    if (!why)
        why = end_of(&v->lens, &end);
    v->at += why ? 0 : end;
    return why;
}

const char *ds_pqvalues_init(ds_pqvalues *v, const ds_pqnode *n, enum ds_pqencoding e,
                             const uint8_t *p, size_t len, size_t most)
{
    const bool whole = n->type == DS_PQ_INT32 || n->type == DS_PQ_INT64,
               bytes = n->type == DS_PQ_BYTES || n->type == DS_PQ_FIXED;
    const ds_buf before = v->before;
    const char *why;
    size_t end = 0;
    static const char no[] = "an encoding that its type cannot have";

    *v = (ds_pqvalues){.type = n->type,
                       .width = width_of(n),
                       .encoding = e == DS_PQ_ENC_PLAIN_DICTIONARY ? DS_PQ_ENC_DICTIONARY : e,
                       .p = p,
                       .len = len,
                       .most = most,
                       .before = before};
    ds_buf_reset(&v->before);
    switch (v->encoding) {
    case DS_PQ_ENC_PLAIN:
        return NULL;
    case DS_PQ_ENC_DICTIONARY:
        if (!len)
            return NULL; /* of no values */
        if (p[0] > 32)
            return "numbers of a dictionary of more than 32 bits";
        ds_pqrle_init(&v->rle, p + 1, len - 1, p[0]);
        return NULL;
    case DS_PQ_ENC_RLE:
        if (n->type != DS_PQ_BOOLEAN || len < 4 || ds_get_u32(p) > len - 4)
            return n->type == DS_PQ_BOOLEAN ? SHORT : no;
        ds_pqrle_init(&v->rle, p + 4, ds_get_u32(p), 1);
        return NULL;
    case DS_PQ_ENC_DELTA:
        return whole ? delta_init(&v->lens, p, len) : no;
    case DS_PQ_ENC_DELTA_LENGTH:
        return n->type == DS_PQ_BYTES ? begin_lengths(v) : no;
    case DS_PQ_ENC_DELTA_BYTES:
        why = bytes ? delta_init(&v->prefixes, p, len) : no;
        why = why ? why : end_of(&v->prefixes, &end);
        v->at = end;
        return why ? why : begin_lengths(v);
    case DS_PQ_ENC_SPLIT:
        return v->width && n->type != DS_PQ_INT96 ? NULL : no;
    default:
        return "an encoding that is not known";
    }
}

static void number(ds_pqvalue *x, enum ds_pqtype type, const uint8_t *p)
{
    float f;

    if (type == DS_PQ_INT32)
        x->i = (int32_t)ds_get_u32(p);
    else if (type == DS_PQ_INT64)
        x->i = (int64_t)ds_get_u64(p);
    else if (type == DS_PQ_FLOAT)
        memcpy(&f, p, sizeof f), x->f = (double)f;
    else if (type == DS_PQ_DOUBLE)
        memcpy(&x->f, p, sizeof x->f);
}

static const char *plain(ds_pqvalues *v, ds_pqvalue *x)
{
    size_t n = (size_t)v->width;

    if (v->type == DS_PQ_BOOLEAN) {
        if (v->number / 8 >= v->len)
            return SHORT;
        x->i = v->p[v->number / 8] >> v->number % 8 & 1;
        return NULL;
    }
    if (v->type == DS_PQ_BYTES) {
        if (v->len - v->at < 4)
            return SHORT;
        n = ds_get_u32(v->p + v->at);
        v->at += 4;
    }
    if (n > v->len - v->at)
        return SHORT;
    *x = (ds_pqvalue){.p = v->p + v->at, .len = n};
    number(x, v->type, x->p);
    v->at += n;
    return NULL;
}

static const char *by_length(ds_pqvalues *v, ds_pqvalue *x)
{
    int64_t n;
    const char *why = delta_next(&v->lens, &n);

    if (why)
        return why;
    if (n < 0 || (uint64_t)n > v->len - v->at)
        return SHORT;
    *x = (ds_pqvalue){.p = v->p + v->at, .len = (size_t)n};
    v->at += (size_t)n;
    return NULL;
}

/* The first bytes of the value before, and some more. */
static int by_prefix(ds_pqvalues *v, ds_pqvalue *x, const char **why)
{
    int64_t n;

    *why = delta_next(&v->prefixes, &n);
    *why = *why ? *why : by_length(v, x);
    if (!*why && (n < 0 || (uint64_t)n > v->before.len))
        *why = "a value shares more bytes with the one before than that has";
    if (!*why && (uint64_t)n + x->len > v->most)
        *why = "a value is longer than --max-record";
    if (!*why && v->width && (uint64_t)n + x->len != (unsigned)v->width)
        *why = "a value is not of its type's length";
    if (*why)
        return 1;
    v->before.len = (size_t)n;
    if (ds_buf_put(&v->before, x->p, x->len) || ds_buf_reserve(&v->before, 1))
        return DS_NOMEM;
    *x = (ds_pqvalue){.p = v->before.data, .len = v->before.len};
    return 0;
}

/* Byte k of all values, then byte k + 1. */
static int split(ds_pqvalues *v, ds_pqvalue *x, const char **why)
{
    const size_t w = (size_t)v->width, n = v->len / w;

    *why = v->number < n ? NULL : SHORT;
    if (*why)
        return 1;
    ds_buf_reset(&v->before);
    if (ds_buf_reserve(&v->before, w))
        return DS_NOMEM;
    for (size_t k = 0; k < w; k++)
        v->before.data[k] = v->p[k * n + (size_t)v->number];
    *x = (ds_pqvalue){.p = v->before.data, .len = w};
    number(x, v->type, x->p);
    return 0;
}

int ds_pqvalues_next(ds_pqvalues *v, ds_pqvalue *x, const char **why)
{
    uint32_t u = 0;
    int rc = 0;

    *why = NULL;
    *x = (ds_pqvalue){0};
    switch (v->encoding) {
    case DS_PQ_ENC_PLAIN:
        *why = plain(v, x);
        break;
    case DS_PQ_ENC_DICTIONARY:
    case DS_PQ_ENC_RLE:
        *why = v->len ? ds_pqrle_next(&v->rle, &u) : SHORT;
        x->i = u;
        break;
    case DS_PQ_ENC_DELTA:
        *why = delta_next(&v->lens, &x->i);
        x->i = v->type == DS_PQ_INT32 ? (int32_t)(uint32_t)(uint64_t)x->i : x->i;
        break;
    case DS_PQ_ENC_DELTA_LENGTH:
        *why = by_length(v, x);
        break;
    case DS_PQ_ENC_DELTA_BYTES:
        rc = by_prefix(v, x, why);
        break;
    default:
        rc = split(v, x, why);
    }
    v->number++;
    return rc ? rc : *why != NULL;
}

void ds_pqvalues_fini(ds_pqvalues *v)
{
    ds_buf_fini(&v->before);
}
