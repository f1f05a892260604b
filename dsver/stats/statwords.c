/* statwords.c - see statwords.h. */
#include "statwords.h"

enum { STRETCH = 512, IDS = 128, LONGEST = 1024, RELEASE = 1 << 20 };

static const uint64_t fnv_start = 0xcbf29ce484222325u; /* FNV-1a, 64 bits */

static uint64_t fnv(uint64_t h, uint8_t c)
{
    return (h ^ c) * 0x100000001b3u;
}

static int count(ds_colstat *s, uint64_t hash, const uint8_t *p, size_t len, unsigned weight)
{
    s->words += weight;
    s->looked++;
    s->buckets[(hash * 0x9e3779b97f4a7c15u) >> 57] += weight;
    return len <= DS_STAT_WORD ? ds_names_add(&s->seen, hash, p, len, weight) : 0;
}

/* As it counts; 0: not of a word; 1: a character of three or four bytes begins. */
static uint8_t fold(uint8_t c)
{
    static const uint8_t table[256] = {
#define D '0', '0', '0', '0', '0', '0', '0', '0', '0', '0'
#define L                                                                                          \
    'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', \
        't', 'u', 'v', 'w', 'x', 'y', 'z'
        [0x30] = D,
        [0x41] = L,
        [0x61] = L,
#undef D
#undef L
    };
    if (c < 0x80)
        return table[c];
    return c >= 0xe0 ? 1 : c;
}

static bool inner(uint8_t c)
{
    return fold(c) > 1;
}

/* The words that begin in [at, end). */
static int stretch(ds_colstat *s, const uint8_t *p, size_t len, size_t at, size_t end,
                   unsigned weight)
{
    int rc = 0;
    size_t i = at;

    while (i && i < end && inner(p[i]) && (inner(p[i - 1]) || (p[i] & 0xc0) == 0x80))
        i++; /* the rest of a word, or of a character */
    while (!rc && i < end) {
        uint8_t c = fold(p[i]), word[DS_STAT_WORD];
        uint64_t h = fnv_start;
        size_t n = 0;
        if (c == 0) {
            i++;
            continue;
        }
        const size_t most = c == 1 ? (p[i] >= 0xf0 ? 4 : 3) : LONGEST;
        while (n < most && i < len && (most < LONGEST || (c = fold(p[i])) > 1)) {
            c = most < LONGEST ? p[i] : c;
            h = fnv(h, c);
            if (n < DS_STAT_WORD)
                word[n] = c;
            n++;
            i++;
        }
        rc = count(s, h, word, n, weight);
    }
    return rc;
}

int ds_statwords_text(ds_colstat *s, const uint8_t *p, size_t len, uint64_t first, unsigned weight)
{
    int rc = 0;
    for (size_t at = 0, k = (size_t)first; !rc && at < len; at += STRETCH, k++) {
        if (k % weight == 0)
            rc = stretch(s, p, len, at, len - at < STRETCH ? len : at + STRETCH, weight);
        if (at % RELEASE == 0)
            ds_colstat_behind(s, p + at);
    }
    return rc;
}

int ds_statwords_tokens(ds_colstat *s, const ds_colview *v, const ds_value *x, uint64_t first,
                        unsigned weight)
{
    int rc = 0;
    uint64_t k = first;
    for (uint64_t at = 0; !rc && at < x->count; at += IDS, k++) {
        const uint64_t end = x->count - at < IDS ? x->count : at + IDS;
        for (uint64_t i = at; !rc && k % weight == 0 && i < end; i++) {
            uint8_t id[4];
            uint64_t h = fnv_start;
            ds_set_u32(id, ds_value_token(v, x, i));
            for (size_t b = 0; b < sizeof id; b++)
                h = fnv(h, id[b]);
            rc = count(s, h, id, sizeof id, weight);
        }
        if (at % RELEASE == 0)
            ds_colstat_behind(s, x->p + at);
    }
    return rc;
}
