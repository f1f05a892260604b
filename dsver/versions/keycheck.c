/* keycheck.c - see keycheck.h. */
#include "keycheck.h"

#include <stdlib.h>
#include <string.h>

#include "extsort.h"

/* As sorted: bytes of the hash, then the record's number, big end first. */
typedef struct entry {
    uint8_t hash[16], record[8];
} entry;

struct ds_keycheck {
    ds_extsort *sort;
    uint64_t records;
};

int ds_keyhash_make(ds_keyhash *out, ds_hasher *h, const void *key, size_t len, ds_err *err)
{
    static const char tag[] = "ds.keyhash";
    ds_sha s;
    int rc = ds_hasher_reset(h, err);
    if (!rc)
        rc = ds_hasher_put(h, tag, sizeof tag, err);
    if (!rc)
        rc = ds_hasher_put(h, key, len, err);
    if (!rc)
        rc = ds_hasher_end(h, &s, err);
    if (!rc)
        memcpy(out->b, s.b, sizeof out->b);
    return rc;
}

int ds_keycheck_new(ds_keycheck **out, const char *dir, size_t limit, ds_err *err)
{
    ds_keycheck *k = calloc(1, sizeof *k);
    *out = NULL;
    if (!k)
        return ds_fail_nomem(err);
    int rc = ds_extsort_new(&k->sort, sizeof(entry), limit, dir, err);
    if (rc) {
        free(k);
        return rc;
    }
    *out = k;
    return 0;
}

void ds_keycheck_free(ds_keycheck *k)
{
    if (!k)
        return;
    ds_extsort_free(k->sort);
    free(k);
}

int ds_keycheck_add(ds_keycheck *k, const ds_keyhash *h, ds_err *err)
{
    entry e;
    memcpy(e.hash, h->b, sizeof e.hash);
    for (unsigned i = 0; i < sizeof e.record; i++)
        e.record[i] = (uint8_t)(k->records >> (56 - 8 * i));
    k->records++;
    return ds_extsort_put(k->sort, &e, err);
}

static uint64_t number(const entry *e)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < sizeof e->record; i++)
        v = v << 8 | e->record[i];
    return v;
}

int ds_keycheck_end(ds_keycheck *k, uint64_t *a, uint64_t *b, ds_err *err)
{
    entry last = {0};
    bool any = false, dup = false;
    const void *p;
    *a = *b = 0;
    int rc = ds_extsort_sort(k->sort, err);
    while (!rc) {
        rc = ds_extsort_next(k->sort, &p, err);
        if (rc <= 0)
            break;
        rc = 0;
        const entry *e = p;
        if (any && memcmp(last.hash, e->hash, sizeof e->hash) == 0 && (!dup || number(e) < *b)) {
            *a = number(&last);
            *b = number(e);
            dup = true;
        }
        last = *e;
        any = true;
    }
    return rc ? rc : !dup;
}
