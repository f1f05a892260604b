/* keyread.c - see keyread.h. */
#include "keyread.h"

#include <stdlib.h>

struct ds_keyread {
    ds_colread **cols; /* of the columns that the key is made of; NULL for the others */
    ds_buf *bufs;
    ds_colview *views;
    ds_value *values;
    const ds_schema *schema; /* the first reader's */
    const ds_colread *any;
    size_t n;
    uint64_t left; /* in the block */
    ds_hasher *hasher;
    char hex[33];
};

void ds_keyread_close(ds_keyread *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < k->n; i++) {
        ds_colread_close(k->cols[i]);
        ds_buf_fini(&k->bufs[i]);
    }
    free(k->cols);
    free(k->bufs);
    free(k->views);
    free(k->values);
    ds_hasher_free(k->hasher);
    free(k);
}

static int read_schema(ds_schema *out, ds_store *s, const git_oid *commit, ds_err *err)
{
    ds_version v = {0};
    int rc = ds_version_get(&v, s->cat, commit, err);

    rc = rc ? rc : ds_version_schema(out, s->cat, &v.tree, err);
    ds_version_fini(&v);
    return rc;
}

static int open_columns(ds_keyread *k, ds_store *s, const git_oid *commit, const ds_schema *schema,
                        ds_err *err)
{
    int rc = 0;

    k->cols = calloc(schema->n, sizeof(ds_colread *));
    k->bufs = calloc(schema->n, sizeof *k->bufs);
    k->views = calloc(schema->n, sizeof *k->views);
    k->values = calloc(schema->n, sizeof *k->values);
    if (!k->cols || !k->bufs || !k->views || !k->values)
        return ds_fail_nomem(err);
    k->n = schema->n;
    for (size_t i = 0; !rc && i < schema->n; i++) {
        if (!ds_schema_is_key(schema, i))
            continue;
        rc = ds_colread_open(&k->cols[i], s, commit, schema->cols[i].name, err);
        if (!rc && !k->any) {
            k->any = k->cols[i];
            k->schema = ds_colread_schema(k->any);
        }
    }
    if (!rc && !k->any)
        rc = ds_fail(err, DS_CORRUPT, "version %s: its records have no key",
                     git_oid_tostr_s(commit));
    return rc;
}

int ds_keyread_open(ds_keyread **out, ds_store *s, const git_oid *commit, ds_err *err)
{
    ds_keyread *k = calloc(1, sizeof *k);
    ds_schema schema;
    int rc;

    if (!k)
        return ds_fail_nomem(err);
    ds_schema_init(&schema);
    rc = read_schema(&schema, s, commit, err);
    rc = rc ? rc : ds_hasher_new(&k->hasher, err);
    rc = rc ? rc : open_columns(k, s, commit, &schema, err);
    ds_schema_fini(&schema);
    if (rc)
        ds_keyread_close(k);
    else
        *out = k;
    return rc;
}

size_t ds_keyread_blocks(const ds_keyread *k)
{
    return ds_colread_blocks(k->any);
}

uint64_t ds_keyread_erased(const ds_keyread *k)
{
    return ds_colread_erased(k->any);
}

int ds_keyread_block(ds_keyread *k, size_t block, ds_err *err)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < k->n; i++)
        if (k->cols[i])
            rc = ds_colread_block(k->cols[i], block, &k->bufs[i], &k->views[i], err);
    k->left = ds_colread_first(k->any, block + 1) - ds_colread_first(k->any, block);
    return rc;
}

static int step(ds_keyread *k, ds_err *err)
{
    for (size_t i = 0; i < k->n; i++)
        if (k->cols[i] && !ds_colview_next(&k->views[i], &k->values[i]))
            return ds_fail(err, DS_CORRUPT, "column '%s' ends early", k->schema->cols[i].name);
    return 0;
}

static int make(ds_keyread *k, const char **key, size_t *len, ds_err *err)
{
    int rc = 0;

    if (k->schema->explicit_key) {
        *key = (const char *)k->values[0].p;
        *len = k->values[0].len;
    } else {
        rc = ds_key_derive(k->hex, k->hasher, k->schema, k->views, k->values, err);
        *key = k->hex;
        *len = 32;
    }
    return rc;
}

int ds_keyread_next(ds_keyread *k, const char **key, size_t *len, ds_err *err)
{
    if (k->left == 0)
        return 0;
    k->left--;
    int rc = step(k, err);
    rc = rc ? rc : make(k, key, len, err);
    return rc ? rc : 1;
}

int ds_keyread_at(ds_keyread *k, uint64_t record, const char **key, size_t *len, ds_err *err)
{
    if (record >= ds_colread_records(k->any))
        return ds_fail(err, DS_FAIL, "there is no record %llu", (unsigned long long)record);
    const size_t block = ds_colread_find(k->any, record);
    int rc = ds_keyread_block(k, block, err);

    for (uint64_t at = ds_colread_first(k->any, block); !rc && at <= record; at++)
        rc = step(k, err);
    return rc ? rc : make(k, key, len, err);
}
