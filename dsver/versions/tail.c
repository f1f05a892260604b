/* tail.c - see tail.h. */
#include "tail.h"

#include <stdlib.h>
#include <string.h>

#include "recut.h"

/* Of all records of the loaded block. */
static int hash_rows(ds_recblock *b, ds_rowhash *h, ds_buf *out, ds_err *err)
{
    const ds_schema *s = &b->side->schema;
    while (ds_recblock_next(b)) {
        uint64_t size, hash;
        ds_rowhash_begin(h);
        for (size_t i = 0; i < s->n; i++)
            if (s->primary[i])
                ds_rowhash_value(h, &b->views[i], &b->values[i]);
        hash = ds_rowhash_end(h, &size);
        if (ds_buf_put(out, &hash, sizeof hash))
            return ds_fail_nomem(err);
    }
    return 0;
}

/* From the last kept block backward until there are enough. */
static int fill_window(ds_tail *t, ds_err *err)
{
    bool *only = calloc(t->side.schema.n + 1, sizeof *only);
    ds_recblock b = {.only = only};
    ds_rowhash h = {0};
    ds_buf hashes = {0};
    uint64_t *end = t->window + DS_TAIL_WINDOW;
    int rc = only ? ds_rowhash_init(&h, err) : ds_fail_nomem(err);
    for (size_t i = 0; only && i < t->side.schema.n; i++)
        only[i] = t->side.schema.primary[i];
    for (size_t i = t->keep; !rc && i-- > 0 && t->nwindow < DS_TAIL_WINDOW;) {
        ds_buf_reset(&hashes);
        rc = ds_recblock_load(&b, &t->side, i, false, err);
        rc = rc ? rc : hash_rows(&b, &h, &hashes, err);
        size_t n = hashes.len / sizeof(uint64_t), want = DS_TAIL_WINDOW - t->nwindow;
        n = n < want ? n : want;
        if (!rc && n)
            memcpy(end - t->nwindow - n, hashes.data + hashes.len - n * sizeof(uint64_t),
                   n * sizeof(uint64_t));
        t->nwindow += rc ? 0 : n;
    }
    memmove(t->window, end - t->nwindow, t->nwindow * sizeof *t->window);
    ds_recblock_fini(&b);
    ds_rowhash_fini(&h);
    ds_buf_fini(&hashes);
    free(only);
    return rc;
}

/* Origins are relative to the one before: all of them lead to the last. */
static int follow_origins(ds_tail *t, const ds_tail *before, ds_err *err)
{
    const size_t column = t->side.schema.n;
    ds_buf chunk = {0};
    size_t i = 0;
    int rc = 0;
    if (before && before->keep <= t->keep) {
        i = before->keep;
        t->origin = before->origin;
    }
    for (; !rc && i < t->keep; i++) {
        const ds_manline *l = &t->side.lines[i];
        const size_t n = ds_manline_npieces(l, column), all = l->pieces.len / sizeof(ds_sha);
        uint64_t lowest, highest;
        rc = ds_objstore_get_all(t->side.store->objs, ds_manline_pieces(l) + all - n, n, &chunk,
                                 err);
        rc =
            rc ? rc
               : ds_origin_scan(chunk.data, chunk.len, l->rows, &t->origin, &lowest, &highest, err);
    }
    ds_buf_fini(&chunk);
    return rc;
}

int ds_tail_open(ds_tail *t, ds_store *s, const git_oid *commit, const ds_tail *before, ds_err *err)
{
    bool erased = false;
    *t = (ds_tail){0};
    int rc = ds_recut_needed(&erased, s, commit, err);
    rc = rc ? rc : ds_verside_open(&t->side, s, commit, NULL, NULL, err);
    rc = rc ? rc : ds_version_meta(&t->meta, s->cat, &t->side.version, err);
    rc =
        rc ? rc
           : ds_catalog_file(&t->provenance, s->cat, &t->side.version.tree, "provenance.json", err);
    if (!rc && erased)
        rc = ds_fail(err, DS_FAIL,
                     "records were erased from version %s: commit what dsver cat gives of it anew, "
                     "then go on from that",
                     git_oid_tostr_s(commit));
    t->keep = t->side.n ? t->side.n - 1 : 0;
    rc = rc ? rc : fill_window(t, err);
    rc = rc ? rc : follow_origins(t, before, err);
    if (rc)
        ds_tail_fini(t);
    return rc;
}

void ds_tail_fini(ds_tail *t)
{
    ds_buf_fini(&t->provenance);
    ds_meta_fini(&t->meta);
    ds_verside_fini(&t->side);
    *t = (ds_tail){0};
}
