/* valueset.c - see valueset.h. The table is made when all values are there, for their number: so
 * nothing is hashed twice, and nothing is looked up while the values still move. */
#include "valueset.h"

#include <stdlib.h>
#include <string.h>

#include "xxh.h"

#define PLACE_BITS 40
#define PLACE_MASK ((UINT64_C(1) << PLACE_BITS) - 1)

int ds_valueset_add(ds_valueset *s, const void *p, size_t len, ds_err *err)
{
    uint8_t head[4];
    if (len > DS_VALUESET_MOST)
        return ds_fail(err, DS_FAIL, "a value of %zu bytes: %d are the most", len,
                       DS_VALUESET_MOST);
    if (ds_spool_len(&s->values) + len + sizeof head >= PLACE_MASK)
        return ds_fail(err, DS_FAIL, "the values are more than 1 TiB");
    ds_set_u32(head, (uint32_t)len);
    s->n++;
    int rc = ds_spool_put(&s->values, head, sizeof head, err);
    return rc || !len ? rc : ds_spool_put(&s->values, p, len, err);
}

static bool same(const ds_valueset *s, uint64_t slot, const void *p, size_t len)
{
    const uint8_t *v = s->p + (slot & PLACE_MASK) - 1;
    return ds_get_u32(v) == len && memcmp(v + 4, p, len) == 0;
}

/* The slot that holds the value, or the empty one where it would stand. */
static uint64_t *find(const ds_valueset *s, const void *p, size_t len, uint64_t *tag)
{
    const uint64_t hash = XXH3_64bits(p, len);
    uint64_t i = hash & s->mask;
    *tag = hash >> PLACE_BITS << PLACE_BITS;
    while (s->slots[i] && ((s->slots[i] & ~PLACE_MASK) != *tag || !same(s, s->slots[i], p, len)))
        i = (i + 1) & s->mask;
    return &s->slots[i];
}

int ds_valueset_done(ds_valueset *s, ds_err *err)
{
    const uint8_t *p;
    uint64_t slots = 16, tag;
    size_t at = 0, len;
    int rc = ds_spool_view(&s->values, &s->p, &s->len, err);
    if (rc || s->n == 0)
        return rc;
    while (slots / 4 * 3 < s->n)
        slots *= 2;
    s->mask = slots - 1;
    s->slots = calloc(slots, sizeof *s->slots);
    if (!s->slots)
        return ds_fail_nomem(err);
    s->n = 0;
    for (size_t from = 0; ds_valueset_next(s, &at, &p, &len); from = at) {
        uint64_t *slot = find(s, p, len, &tag);
        s->n += !*slot;
        *slot = *slot ? *slot : tag | (from + 1);
    }
    return 0;
}

bool ds_valueset_has(const ds_valueset *s, const void *p, size_t len)
{
    uint64_t tag;
    return s->slots && *find(s, len ? p : "", len, &tag);
}

bool ds_valueset_next(const ds_valueset *s, size_t *at, const uint8_t **p, size_t *len)
{
    if (*at >= s->len)
        return false;
    *len = ds_get_u32(s->p + *at);
    *p = s->p + *at + 4;
    *at += 4 + *len;
    return true;
}

void ds_valueset_fini(ds_valueset *s)
{
    ds_spool_fini(&s->values);
    free(s->slots);
    *s = (ds_valueset){0};
}
