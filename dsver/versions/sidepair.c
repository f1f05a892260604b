/* sidepair.c - see sidepair.h. */
#include "sidepair.h"

#include <stdlib.h>
#include <string.h>

typedef struct listing {
    ds_buf *into;
    bool nomem;
} listing;

static bool collect(void *ctx, const git_oid *file)
{
    listing *l = ctx;
    if (ds_buf_put(l->into, file, sizeof *file))
        l->nomem = true;
    return true;
}

static int by_oid(const void *a, const void *b)
{
    return git_oid_cmp(a, b);
}

int ds_sidepair_files(ds_sidepair *p, ds_store *s, const git_oid *const ids[2], ds_err *err)
{
    int rc = 0;
    for (int i = 0; !rc && i < 2; i++) {
        ds_verside v;
        listing l = {.into = &p->files[i]};
        rc = ds_verside_open(&v, s, ids[i], collect, &l, err);
        if (!rc)
            ds_verside_fini(&v);
        if (!rc && l.nomem)
            rc = ds_fail_nomem(err);
        if (!rc && l.into->len)
            qsort(l.into->data, l.into->len / sizeof(git_oid), sizeof(git_oid), by_oid);
    }
    return rc;
}

static size_t count_of(const ds_buf *ids, const git_oid *id)
{
    const git_oid *p = (const git_oid *)(const void *)ids->data;
    size_t n = ids->len / sizeof *p, lo = 0, hi = n, k = 0;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (git_oid_cmp(&p[mid], id) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    while (lo + k < n && git_oid_equal(&p[lo + k], id))
        k++;
    return k;
}

bool ds_sidepair_shared(const ds_sidepair *p, const git_oid *file)
{
    const size_t n = count_of(&p->files[0], file);
    return n > 0 && n == count_of(&p->files[1], file);
}

static bool shared(void *ctx, const git_oid *file)
{
    return ds_sidepair_shared(ctx, file);
}

int ds_sidepair_open(ds_sidepair *p, ds_store *s, const git_oid *const ids[2], ds_err *err)
{
    int rc = 0;
    for (int i = 0; !rc && i < 2; i++) {
        rc = ds_verside_open(&p->side[i], s, ids[i], shared, p, err);
        if (!rc && p->side[i].n >= UINT32_MAX)
            rc = ds_fail(err, DS_FAIL, "too many blocks to compare");
        if (!rc && !(p->both[i] = calloc(p->side[i].n + 1, sizeof *p->both[i])))
            rc = ds_fail_nomem(err);
    }
    return rc;
}

/* ---- blocks ---- */

typedef struct known {
    ds_sha sum;
    size_t block;
    int side;
} known;

static int by_sum(const void *x, const void *y)
{
    const known *a = x, *b = y;
    int c = memcmp(a->sum.b, b->sum.b, sizeof a->sum.b);
    return c                    ? c
           : a->side != b->side ? a->side - b->side
                                : (a->block > b->block) - (a->block < b->block);
}

int ds_sidepair_match(ds_sidepair *p, ds_blocksum_fn sum, void *ctx, ds_err *err)
{
    const size_t n = p->side[0].n + p->side[1].n;
    known *k = malloc((n + 1) * sizeof *k);
    size_t at = 0;
    int rc = k ? 0 : ds_fail_nomem(err);
    for (int s = 0; s < 2; s++)
        for (size_t i = 0; !rc && i < p->side[s].n; i++, at++) {
            k[at] = (known){.block = i, .side = s};
            rc = sum(ctx, s, i, &k[at].sum, err);
        }
    if (!rc)
        qsort(k, n, sizeof *k, by_sum);
    for (size_t i = 0; !rc && i < n;) { /* of each sum: first those before, then those after */
        size_t mid, end;
        for (mid = i; mid < n && k[mid].side == 0 && ds_sha_eq(&k[mid].sum, &k[i].sum); mid++)
            ;
        for (end = mid; end < n && ds_sha_eq(&k[end].sum, &k[i].sum); end++)
            ;
        for (size_t j = 0; i + j < mid && mid + j < end; j++)
            p->both[0][k[i + j].block] = p->both[1][k[mid + j].block] = true;
        i = end;
    }
    free(k);
    return rc;
}

int ds_sidepair_address(void *pair, int side, size_t block, ds_sha *out, ds_err *err)
{
    const ds_sidepair *p = pair;
    (void)err;
    *out = p->side[side].was[block];
    return 0;
}

void ds_sidepair_fini(ds_sidepair *p)
{
    for (int i = 0; i < 2; i++) {
        ds_verside_fini(&p->side[i]);
        free(p->both[i]);
        ds_buf_fini(&p->files[i]);
    }
    *p = (ds_sidepair){0};
}
