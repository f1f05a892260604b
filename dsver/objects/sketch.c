/* sketch.c - see delta.h. */
#include <pthread.h>
#include <string.h>

#include "objstore.h"

enum { PART = 64, PASS = 512 }; /* of samples: bytes of a part, and those passed over behind it */

void ds_sketch_add(ds_sketch *s, uint32_t h)
{
    int i = s->n;
    if (s->n == DS_SKETCH_MAX && h >= s->h[s->n - 1])
        return;
    while (i > 0 && s->h[i - 1] > h)
        i--;
    if (i > 0 && s->h[i - 1] == h)
        return;
    int keep = s->n < DS_SKETCH_MAX ? s->n : DS_SKETCH_MAX - 1;
    memmove(s->h + i + 1, s->h + i, (size_t)(keep - i) * sizeof s->h[0]);
    s->h[i] = h;
    s->n = (uint8_t)(keep + 1);
}

/* A gear hash (Xia et al. 2014): the table's values are any fixed noise. */
static uint64_t gear[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill_gear(void)
{
    uint64_t x = 0x6473766572u; /* splitmix64 */
    for (int i = 0; i < 256; i++) {
        uint64_t z = x += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        gear[i] = z ^ z >> 31;
    }
}

void ds_sketch_bytes(ds_sketch *s, uint32_t salt, const void *data, size_t len)
{
    const uint8_t *p = data;
    size_t start = 0;
    uint64_t h = 0;
    pthread_once(&once, fill_gear);
    for (size_t i = 0; i < len; i++) {
        h = (h << 1) + gear[p[i]];
        /* One place in 512 ends a part; the last 64 bytes decide. */
        if (h >> 55 != 0 && i + 1 < len)
            continue;
        if (i + 1 - start < 64 && i + 1 < len)
            continue;
        ds_sketch_add(s, (uint32_t)ds_xxh64(p + start, i + 1 - start) ^ salt);
        start = i + 1;
    }
}

/* The part is what decides about its end, so that it needs no beginning: behind one a stretch can
 * be passed over, unread. Two sequences of parts that came apart meet again where both end one. */
void ds_sketch_sample(ds_sketch *s, uint32_t salt, const void *data, size_t len)
{
    const uint8_t *p = data;
    pthread_once(&once, fill_gear);
    for (size_t at = 0; len - at > PART;) {
        uint64_t h = 0;
        size_t i = at;
        for (; i < at + PART; i++) /* older bytes have left the hash by then */
            h = (h << 1) + gear[p[i]];
        while (h >> 56 != 0 && i < len)
            h = (h << 1) + gear[p[i++]];
        if (h >> 56 == 0)
            ds_sketch_add(s, (uint32_t)ds_xxh64(p + i - PART, PART) ^ salt);
        at = len - i > PASS ? i + PASS : len;
    }
}
