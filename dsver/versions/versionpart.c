/* versionpart.c - see versionpart.h. */
#include "versionpart.h"

#include <stdlib.h>
#include <string.h>

#include "keyread.h"
#include "recblock.h"
#include "sig.h"

typedef struct part {
    const ds_versionpart *p;
    ds_verside v;
    bool *columns; /* of the schema, and the origins */
    ds_keyread *keys;
    ds_shaset *out;
    ds_partsize *size;
} part;

static int take_columns(part *a, ds_err *err)
{
    const ds_schema *s = &a->v.schema;
    if (!(a->columns = calloc(s->n + 1, sizeof *a->columns)))
        return ds_fail_nomem(err);
    for (size_t i = 0; a->p->ncolumns == 0 && i <= s->n; i++)
        a->columns[i] = true;
    for (size_t i = 0; i < a->p->ncolumns; i++) {
        const long at = ds_schema_find(s, a->p->columns[i]);
        if (at < 0)
            return ds_fail(err, DS_FAIL, "dataset '%s' has no column '%s'", a->v.version.dataset,
                           a->p->columns[i]);
        a->columns[at] = true;
    }
    return 0;
}

static int order(const char *key, size_t len, const char *limit)
{
    const size_t n = strlen(limit);
    const int c = memcmp(key, limit, len < n ? len : n);
    return c ? c : (len > n) - (len < n);
}

/* 1 when a record of the block has a key that is asked for. */
static int has_key(part *a, size_t block, ds_err *err)
{
    const char *key;
    size_t len;
    if (!a->keys)
        return 1;
    int rc = ds_keyread_block(a->keys, block, err);
    while (!rc && (rc = ds_keyread_next(a->keys, &key, &len, err)) > 0) {
        if ((!a->p->from_key || order(key, len, a->p->from_key) >= 0) &&
            (!a->p->to_key || order(key, len, a->p->to_key) <= 0))
            return 1;
        rc = 0;
    }
    return rc ? rc : ds_check_interrupt(err);
}

static int add_block(part *a, size_t block, ds_err *err)
{
    const ds_manline *l = &a->v.lines[block];
    const ds_sha *id = ds_manline_pieces(l);
    int rc = 0;
    for (size_t i = 0; i < l->nchunks; i++)
        for (size_t n = ds_manline_npieces(l, i); !rc && n > 0; n--, id++)
            rc = a->columns[i] ? ds_shaset_add(a->out, id, NULL, err) : 0;
    a->size->blocks++;
    a->size->records += l->rows;
    return rc;
}

static int add_blocks(part *a, ds_err *err)
{
    uint64_t shard = 0;
    int rc = 0;
    for (size_t i = 0; !rc && i < a->v.n; i++) {
        shard += i && !git_oid_equal(&a->v.files[i], &a->v.files[i - 1]);
        if (shard < a->p->from_shard || shard > a->p->to_shard)
            continue;
        rc = has_key(a, i, err);
        if (rc > 0)
            rc = add_block(a, i, err);
    }
    if (!rc && a->p->from_shard && shard < a->p->from_shard)
        rc = ds_fail(err, DS_FAIL, "dataset '%s' has no shard %llu, the last one is %llu",
                     a->v.version.dataset, (unsigned long long)a->p->from_shard,
                     (unsigned long long)shard);
    if (!rc && a->keys && a->size->blocks == 0)
        rc = ds_fail(err, DS_FAIL, "dataset '%s' has no record with such a key",
                     a->v.version.dataset);
    return rc;
}

static int add_sources(part *a, ds_err *err)
{
    ds_manscan s = {0};
    ds_manline l = {0};
    int rc = ds_manscan_open(&s, a->v.store->cat, &a->v.version.tree, "sources", err);
    while (!rc && (rc = ds_manscan_next(&s, &l, err)) > 0) {
        rc = 0;
        for (size_t i = 0; !rc && i < l.pieces.len / sizeof(ds_sha); i++)
            rc = ds_shaset_add(a->out, &ds_manline_pieces(&l)[i], NULL, err);
    }
    ds_manscan_close(&s);
    ds_manline_fini(&l);
    return rc;
}

int ds_versionpart_pieces(ds_shaset *out, ds_partsize *size, ds_store *s, const git_oid *commit,
                          const ds_versionpart *p, ds_err *err)
{
    part a = {.p = p, .out = out, .size = size};
    *size = (ds_partsize){.of = 0};
    int rc = ds_verside_open(&a.v, s, commit, NULL, NULL, err);
    if (rc)
        return rc;
    size->of = a.v.n;
    rc = take_columns(&a, err);
    if (!rc && (p->from_key || p->to_key))
        rc = ds_keyread_open(&a.keys, s, commit, err);
    rc = rc ? rc : add_blocks(&a, err);
    if (!rc && p->ncolumns == 0)
        rc = add_sources(&a, err);
    ds_keyread_close(a.keys);
    free(a.columns);
    ds_verside_fini(&a.v);
    return rc;
}
