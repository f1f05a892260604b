/* forget.c - see forget.h. */
#include <stdlib.h>
#include <string.h>

#include "forget_priv.h"
#include "rmtree.h"

static int read_keys(ds_forgetting *f, ds_err *err)
{
    const ds_buf *b = f->o->keys;
    int rc = 0;
    for (size_t at = 0; !rc && b && at < b->len;) {
        const size_t len = strlen((const char *)b->data + at);
        ds_sha sum;
        rc = ds_sha_bytes(&sum, b->data + at, len, err);
        rc = rc ? rc : ds_shaset_add(&f->keys, &sum, NULL, err);
        at += len + 1;
    }
    return rc;
}

static void forget_fini(ds_forgetting *f)
{
    ds_objtx_abort(f->tx);
    ds_shaset_fini(&f->keys);
    ds_shaset_fini(&f->erased);
    ds_oidset_fini(&f->commits);
    ds_oidset_fini(&f->files);
    ds_buf_fini(&f->avoid);
    ds_buf_fini(&f->hits);
    ds_buf_fini(&f->rows);
    ds_buf_fini(&f->lines);
    ds_buf_fini(&f->told);
    ds_buf_fini(&f->pages);
    for (size_t i = 0; i < f->nversions; i++)
        ds_buf_fini(&f->versions[i].ordinals);
    free(f->versions);
}

/* What producers know of files names them, with digests of their contents. */
static int drop_files(const ds_store *s, ds_err *err)
{
    char *path = NULL;
    const int rc = ds_store_path(&path, s->dir, DS_STORE_FILES, err);
    if (!rc)
        ds_remove_tree(path);
    free(path);
    return rc;
}

int ds_forget_run(ds_forgotten *out, ds_store *s, const ds_forget_opts *o, ds_err *err)
{
    ds_forgetting f = {.store = s, .o = o, .out = out};
    ds_objgc *gc = NULL;
    ds_objtotals before = {0};
    *out = (ds_forgotten){0};
    int rc = read_keys(&f, err);
    rc = rc || o->dry_run ? rc : ds_collect_alone(&gc, s, o->wait, err);
    rc = rc ? rc : ds_forget_find(&f, err);
    rc = rc ? rc : ds_taint_find(out, s, o->dataset, ds_forget_ordinals, &f, err);
    if (!rc && !o->dry_run) {
        rc = ds_objstore_totals(s->objs, &before, err);
        rc = rc ? rc : ds_forget_replace(&f, err);
        rc = rc ? rc : ds_forget_publish(&f, err);
        rc = rc ? rc : drop_files(s, err);
        rc = rc ? rc : ds_collect_purge(&out->gone, s, gc, o->threads, err);
        out->gone.objs.bytes_before = before.pack_bytes;
    }
    forget_fini(&f);
    ds_objgc_end(gc);
    return rc;
}

void ds_forgotten_fini(ds_forgotten *f)
{
    for (size_t i = 0; i < f->ntaints; i++) {
        free(f->taints[i].run);
        free(f->taints[i].digest);
        free(f->taints[i].absent);
        ds_buf_fini(&f->taints[i].checkpoints);
    }
    free(f->taints);
    ds_buf_fini(&f->touched);
    ds_strlist_fini(&f->datasets);
    ds_strlist_fini(&f->unmet);
    *f = (ds_forgotten){0};
}
