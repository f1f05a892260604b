/* pqdict.c - see pqdict.h. */
#include "pqdict.h"

#include <stdlib.h>

#include "hash.h"

enum { SLOTS_FIRST = 1024, LOOK = 1024 };

/* Bytes of the plain value that begins at `at`; whole values are there. */
static size_t width_at(const ds_pqnode *leaf, const ds_buf *values, size_t at)
{
    switch (leaf->type) {
    case DS_PQ_BYTES:
        return 4 + (size_t)ds_get_u32(values->data + at);
    case DS_PQ_INT32:
        return 4;
    default:
        return 8;
    }
}

/* The slot of a value, or the free one where it would go. */
static uint32_t *slot_of(const ds_pqdict *d, const ds_pqnode *leaf, const uint8_t *p, size_t len)
{
    for (size_t i = (size_t)ds_xxh64(p, len);; i++) {
        uint32_t *s = &d->slots[i & (d->nslots - 1)];
        if (!*s)
            return s;
        const size_t at = ds_get_u32(d->starts.data + 4 * (size_t)(*s - 1));
        if (width_at(leaf, &d->values, at) == len && memcmp(d->values.data + at, p, len) == 0)
            return s;
    }
}

/* Makes the slots anew for what is there, and for as many again. */
static int make_slots(ds_pqdict *d, const ds_pqnode *leaf)
{
    const uint32_t n = ds_pqdict_size(d);
    size_t slots = d->nslots ? d->nslots : SLOTS_FIRST;

    while (slots < 4 * (size_t)n)
        slots *= 2;
    free(d->slots);
    d->nslots = slots;
    d->slots = calloc(slots, sizeof *d->slots);
    if (!d->slots)
        return DS_NOMEM;
    for (uint32_t k = 0; k < n; k++) {
        const size_t at = ds_get_u32(d->starts.data + 4 * (size_t)k);
        *slot_of(d, leaf, d->values.data + at, width_at(leaf, &d->values, at)) = k + 1;
    }
    return 0;
}

static int number_of(ds_pqdict *d, const ds_pqnode *leaf, const uint8_t *p, size_t len, uint32_t *v)
{
    uint32_t *s = slot_of(d, leaf, p, len);

    if (!*s) {
        if (ds_buf_u32(&d->starts, (uint32_t)d->values.len) || ds_buf_put(&d->values, p, len))
            return DS_NOMEM;
        *s = ds_pqdict_size(d);
        *v = *s - 1;
        return 2 * (size_t)ds_pqdict_size(d) > d->nslots ? make_slots(d, leaf) : 0;
    }
    *v = *s - 1;
    return 0;
}

/* Drops what came since, and will take no more. */
static int give_up(ds_pqdict *d, size_t starts, size_t values)
{
    d->starts.len = starts;
    d->values.len = values;
    d->given_up = true;
    return 0;
}

int ds_pqdict_take(ds_pqdict *d, const ds_pqnode *leaf, const ds_buf *values, ds_buf *numbers)
{
    const size_t starts = d->starts.len, bytes = d->values.len;
    size_t n = 0;
    uint32_t v = 0;

    ds_buf_reset(numbers);
    if (d->given_up || leaf->type == DS_PQ_BOOLEAN) {
        d->given_up = true;
        return 0;
    }
    if (!d->slots && make_slots(d, leaf))
        return DS_NOMEM;
    for (size_t at = 0, len; at < values->len; at += len, n++) {
        len = width_at(leaf, values, at);
        if (number_of(d, leaf, values->data + at, len, &v) || ds_buf_u32(numbers, v))
            return DS_NOMEM;
        if (d->values.len > DS_PQDICT_BYTES)
            return give_up(d, starts, bytes);
    }
    return 2 * ((d->starts.len - starts) / 4) > n ? give_up(d, starts, bytes) : 0;
}

bool ds_pqdict_pays(const ds_pqnode *leaf, const ds_buf *values)
{
    uint64_t seen[2 * LOOK] = {0};
    size_t n = 0, fresh = 0;

    if (leaf->type == DS_PQ_BOOLEAN)
        return false;
    for (size_t at = 0, len; at < values->len && n < LOOK; at += len, n++) {
        len = width_at(leaf, values, at);
        const uint64_t hash = ds_xxh64(values->data + at, len) | 1;
        size_t i = (size_t)(hash >> 1) % (2 * LOOK);
        while (seen[i] && seen[i] != hash)
            i = (i + 1) % (2 * LOOK);
        fresh += !seen[i];
        seen[i] = hash;
    }
    return n > 1 && 2 * fresh <= n;
}

void ds_pqdict_reset(ds_pqdict *d)
{
    ds_buf_reset(&d->values);
    ds_buf_reset(&d->starts);
    free(d->slots);
    d->slots = NULL;
    d->nslots = 0;
    d->given_up = false;
}

void ds_pqdict_fini(ds_pqdict *d)
{
    ds_buf_fini(&d->values);
    ds_buf_fini(&d->starts);
    free(d->slots);
    *d = (ds_pqdict){0};
}
