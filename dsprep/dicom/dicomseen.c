/* dicomseen.c - see dicomseen.h. Keys are known by half of their SHA-256: two that share it are not
 * to be met with. */
#include "dicomseen.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"

#define HALF 16

typedef struct ds_seen_object {
    uint8_t key[HALF], sha[HALF];
    bool used;
} object;

static object *find(object *v, size_t cap, const uint8_t *key)
{
    size_t i = (size_t)ds_get_u64(key) & (cap - 1);
    while (v[i].used && memcmp(v[i].key, key, HALF) != 0)
        i = (i + 1) & (cap - 1);
    return &v[i];
}

static int grow(ds_dicom_seen *s, ds_err *err)
{
    size_t cap = s->cap ? s->cap * 2 : 256;
    if (s->n < s->cap / 2 + s->cap / 4)
        return 0;
    object *v = cap > s->cap ? calloc(cap, sizeof *v) : NULL;
    if (!v)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < s->cap; i++)
        if (s->v[i].used)
            *find(v, cap, s->v[i].key) = s->v[i];
    free(s->v);
    s->v = v;
    s->cap = cap;
    return 0;
}

int ds_dicom_seen_put(ds_dicom_seen *s, const void *key, size_t len, const ds_sha *sha,
                      enum ds_seen *what, ds_err *err)
{
    ds_sha k;
    int rc = grow(s, err);
    if (rc == 0)
        rc = ds_sha_bytes(&k, key, len, err);
    if (rc != 0)
        return rc;
    object *o = find(s->v, s->cap, k.b);
    *what = !o->used                            ? DS_SEEN_NEW
            : memcmp(o->sha, sha->b, HALF) == 0 ? DS_SEEN_SAME
                                                : DS_SEEN_OTHER;
    if (!o->used) {
        memcpy(o->key, k.b, HALF);
        memcpy(o->sha, sha->b, HALF);
        o->used = true;
        s->n++;
    }
    return 0;
}

void ds_dicom_seen_fini(ds_dicom_seen *s)
{
    free(s->v);
    memset(s, 0, sizeof *s);
}
