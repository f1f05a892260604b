/* filesink.c - see filesink.h. */
#include "filesink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dsr_column.h"
#include "filerec.h"
#include "io.h"
#include "rmtree.h"
#include "sig.h"
#include "strlist.h"

#define PART ((size_t)4 << 20)

struct ds_filesink {
    ds_filesink_opts o;
    char *dir, *beside;
    int lock; /* on the latter */
    const ds_schema *schema;
    ds_filecols col;
    ds_colview *views;
    ds_value *values; /* of a row */
    ds_treeput *tree;
    ds_buf name, target;
    bool ended, erased; /* erased: there was a tombstone */
    uint64_t files, bytes;
};

static void count(ds_filesink *k, size_t bytes)
{
    k->bytes += bytes;
    if (k->o.progress)
        k->o.progress(k->o.ctx, k->bytes);
}

static int plain_file(ds_filesink *k, const ds_treefile *f, const ds_value *v, const ds_chunk *c,
                      ds_err *err)
{
    if (v->len <= DS_TREEPUT_SMALL) {
        count(k, v->len);
        return ds_treeput_small(k->tree, f, v->p, v->len, err);
    }
    const size_t at = (size_t)(v->p - c->body);
    int rc = ds_treeput_add(k->tree, f, err);

    for (size_t done = 0; done < v->len && !rc;) {
        const size_t n = v->len - done < PART ? v->len - done : PART;
        rc = ds_check_interrupt(err);
        rc = rc ? rc : ds_treeput_write(k->tree, v->p + done, n, err);
        done += n;
        if (c->spool)
            ds_spool_release(c->spool, at + done);
        count(k, n);
    }
    return rc ? rc : ds_treeput_close(k->tree, err);
}

/* Another name of a file that was erased goes with it. */
static bool is_erased(ds_filesink *k, const ds_treefile *f)
{
    return k->erased && f->kind == DS_FILE_HARDLINK && f->target &&
           ds_treeput_has(k->tree, f->target, NULL) == 0;
}

static int one_file(ds_filesink *k, const ds_value *v, const ds_chunk *c, ds_err *err)
{
    if (ds_filerec_erased(&v[k->col.key], &v[k->col.kind])) {
        k->erased = true;
        return 0;
    }
    ds_treefile f = {.mode = v[k->col.mode].i};
    int rc = ds_filerec_name(&k->name, &v[k->col.key], err);

    rc = rc ? rc : ds_filerec_kind(&f.kind, &v[k->col.kind], err);
    if (!rc && !v[k->col.target].null) {
        rc = ds_filerec_name(&k->target, &v[k->col.target], err);
        f.target = (const char *)k->target.data;
    }
    f.name = (const char *)k->name.data;
    const int picked = rc || !k->o.pick ? 1 : k->o.pick(k->o.pick_ctx, &f, err);
    if (rc || picked <= 0 || is_erased(k, &f))
        return rc ? rc : picked < 0 ? picked : 0;
    if (k->col.mtime >= 0) {
        f.has_mtime = true;
        f.mtime = v[k->col.mtime].i;
    }
    rc = f.kind == DS_FILE_PLAIN ? plain_file(k, &f, &v[k->col.content], c, err)
                                 : ds_treeput_add(k->tree, &f, err);
    k->files += !rc;
    return rc;
}

int ds_filesink_bare(ds_filesink *k, const ds_value *v, ds_err *err)
{
    return one_file(k, v, NULL, err);
}

int ds_filesink_block(ds_filesink *k, const ds_block *b, ds_err *err)
{
    const ds_schema *s = k->schema;
    int rc = ds_block_views(b, s, k->views, err);

    for (uint64_t row = 0; !rc && row < b->rows; row++) {
        for (size_t i = 0; i < s->n; i++)
            ds_colview_next(&k->views[i], &k->values[i]);
        rc = one_file(k, k->values, &b->chunks[k->col.content], err);
    }
    return rc;
}

/* ---- the folder ---- */

/* A folder can take the name that nothing has, or an empty folder. */
static int refuse_used(const char *dir, ds_err *err)
{
    ds_strlist names = {0};
    int rc = ds_strlist_folder_if_there(&names, dir, NULL);

    if (rc || names.n)
        rc = ds_fail(err, DS_FAIL, "%s: is there and is no empty folder: nothing is written over",
                     dir);
    ds_strlist_fini(&names);
    return rc;
}

static int find_paths(ds_filesink *k, const char *dir, ds_err *err)
{
    k->dir = strndup(dir, ds_path_len(dir));
    if (!k->dir)
        return ds_fail_nomem(err);
    const int rc = refuse_used(dir, err);
    return rc ? rc : ds_beside_folder(&k->beside, &k->lock, k->dir, err);
}

int ds_filesink_open(ds_filesink **out, const char *dir, const ds_schema *schema,
                     const ds_filesink_opts *o, ds_err *err)
{
    ds_filesink *k = calloc(1, sizeof *k);

    *out = NULL;
    if (!k)
        return ds_fail_nomem(err);
    k->o = *o;
    k->erased = o->erased;
    k->schema = schema;
    k->lock = -1;
    int rc = ds_filerec_find(&k->col, schema, err);
    if (!rc && (!(k->views = calloc(schema->n, sizeof *k->views)) ||
                !(k->values = calloc(schema->n, sizeof *k->values))))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : find_paths(k, dir, err);
    rc = rc ? rc : ds_treeput_open(&k->tree, k->beside, o->setuid, o->threads, err);
    if (rc)
        ds_filesink_free(k);
    else
        *out = k;
    return rc;
}

int ds_filesink_end(ds_filesink *k, int rc, ds_err *err)
{
    ds_err earlier = {0};

    if (rc && ds_treeput_settle(k->tree, &earlier)) {
        ds_err_clear(err);
        rc = ds_fail_as(err, &earlier);
    }
    rc = rc ? rc : ds_treeput_end(k->tree, k->o.sync, err);
    if (!rc && ds_io_active->rename(k->beside, k->dir) != 0)
        rc = ds_fail_errno(err, errno, "%s", k->dir);
    k->ended = !rc;
    return rc || !k->o.sync ? rc : ds_fsync_parent(k->dir, err);
}

uint64_t ds_filesink_files(const ds_filesink *k)
{
    return k->files;
}

uint64_t ds_filesink_bytes(const ds_filesink *k)
{
    return k->bytes;
}

void ds_filesink_free(ds_filesink *k)
{
    if (!k)
        return;
    ds_treeput_free(k->tree);
    if (k->beside && !k->ended)
        ds_remove_tree(k->beside);
    (void)ds_close(&k->lock, k->dir, NULL);
    ds_buf_fini(&k->name);
    ds_buf_fini(&k->target);
    free(k->views);
    free(k->values);
    free(k->dir);
    free(k->beside);
    free(k);
}
