/* overlay.c - see overlay.h. */
#include "overlay_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "refs.h"

enum { HEX = DS_OVERLAY_HEX };

/* ---- lines ---- */

int ds_ovline_cmp(const void *a, const void *b)
{
    return memcmp(((const ds_ovline *)a)->address.b, ((const ds_ovline *)b)->address.b,
                  sizeof(ds_sha));
}

void ds_ovlines_fini(ds_ovlines *t)
{
    ds_buf_fini(&t->text);
    free(t->v);
    *t = (ds_ovlines){.n = 0};
}

int ds_ovlines_add(ds_ovlines *t, const void *text, size_t len, ds_err *err)
{
    size_t from = t->text.len;
    if (ds_buf_put(&t->text, text, len))
        return ds_fail_nomem(err);
    while (from < t->text.len) {
        const uint8_t *p = t->text.data + from, *nl = memchr(p, '\n', t->text.len - from);
        ds_ovline l = {.at = from + HEX + 1};
        if (!nl || nl - p <= HEX + 1 || p[HEX] != ' ' ||
            !ds_sha_parse(&l.address, (const char *)p, HEX))
            return ds_fail(err, DS_CORRUPT, "%s: a malformed line", DS_REF_ERASED);
        l.len = (size_t)(nl - p) - HEX - 1;
        if (ds_grow(&t->v, &t->cap, t->n, sizeof *t->v))
            return ds_fail_nomem(err);
        t->v[t->n++] = l;
        from += (size_t)(nl - p) + 1;
    }
    return 0;
}

void ds_ovlines_sort(ds_ovlines *t)
{
    if (t->n)
        qsort(t->v, t->n, sizeof *t->v, ds_ovline_cmp);
}

const uint8_t *ds_ovlines_find(const ds_ovlines *t, const ds_sha *address, size_t *len)
{
    const ds_ovline key = {.address = *address};
    const ds_ovline *l = t->n ? bsearch(&key, t->v, t->n, sizeof key, ds_ovline_cmp) : NULL;
    if (!l)
        return NULL;
    *len = l->len;
    return t->text.data + l->at;
}

/* ---- loading ---- */

void ds_overlay_free(ds_overlay *o)
{
    if (!o)
        return;
    ds_ovlines_fini(&o->lines);
    ds_ovlines_fini(&o->rows);
    ds_buf_fini(&o->gone);
    free(o);
}

/* Every file of a folder of the tree, one after the other. */
typedef int (*file_fn)(ds_overlay *o, const ds_buf *text, ds_err *err);

static int each_file(ds_overlay *o, ds_catalog *c, const git_tree *root, const char *folder,
                     file_fn fn, ds_err *err)
{
    const git_tree_entry *e = git_tree_entry_byname(root, folder);
    git_tree *t = NULL;
    ds_buf b = {0};
    int rc = 0;
    if (!e)
        return ds_fail(err, DS_CORRUPT, "%s: no %s", DS_REF_ERASED, folder);
    if (git_tree_lookup(&t, ds_catalog_repo(c), git_tree_entry_id(e)) < 0)
        return ds_fail_git_read(err, "%s: %s", DS_REF_ERASED, folder);
    for (size_t i = 0; !rc && i < git_tree_entrycount(t); i++) {
        rc = ds_catalog_blob(&b, c, git_tree_entry_id(git_tree_entry_byindex(t, i)), err);
        rc = rc ? rc : fn(o, &b, err);
    }
    git_tree_free(t);
    ds_buf_fini(&b);
    return rc;
}

static int add_lines(ds_overlay *o, const ds_buf *text, ds_err *err)
{
    return ds_ovlines_add(&o->lines, text->data, text->len, err);
}

static int add_rows(ds_overlay *o, const ds_buf *text, ds_err *err)
{
    return ds_ovlines_add(&o->rows, text->data, text->len, err);
}

static int add_gone(ds_overlay *o, const ds_buf *text, ds_err *err)
{
    for (size_t at = 0; at < text->len; at += HEX + 1) {
        ds_sha id;
        if (text->len - at <= HEX || text->data[at + HEX] != '\n' ||
            !ds_sha_parse(&id, (const char *)text->data + at, HEX))
            return ds_fail(err, DS_CORRUPT, "%s: a malformed address", DS_REF_ERASED);
        if (ds_buf_put(&o->gone, &id, sizeof id))
            return ds_fail_nomem(err);
    }
    return 0;
}

void ds_overlay_sort_shas(ds_buf *b)
{
    ds_sha *v = (ds_sha *)(void *)b->data;
    size_t n = b->len / sizeof *v, to = 0;
    if (n)
        qsort(v, n, sizeof *v, ds_sha_cmp);
    for (size_t i = 0; i < n; i++)
        if (!to || !ds_sha_eq(&v[to - 1], &v[i]))
            v[to++] = v[i];
    b->len = to * sizeof *v;
}

static int load_tree(ds_overlay *o, ds_catalog *c, const git_tree *root, bool rows, ds_err *err)
{
    int rc = each_file(o, c, root, "lines", add_lines, err);
    if (!rc && git_tree_entry_byname(root, "gone")) /* erasures of old have none */
        rc = each_file(o, c, root, "gone", add_gone, err);
    if (!rc && rows && git_tree_entry_byname(root, "rows"))
        rc = each_file(o, c, root, "rows", add_rows, err);
    if (rc)
        return rc;
    ds_ovlines_sort(&o->lines);
    ds_ovlines_sort(&o->rows);
    ds_overlay_sort_shas(&o->gone);
    o->pending = git_tree_entry_byname(root, "pending") != NULL;
    return 0;
}

static int load(ds_overlay **out, ds_catalog *c, const git_oid *id, bool rows, ds_err *err)
{
    git_commit *k = NULL;
    git_tree *root = NULL;
    ds_overlay *o = calloc(1, sizeof *o);
    int rc = o ? 0 : ds_fail_nomem(err);
    *out = NULL;
    if (!rc && (git_commit_lookup(&k, ds_catalog_repo(c), id) < 0 || git_commit_tree(&root, k) < 0))
        rc = ds_fail_git_read(err, "%s", DS_REF_ERASED);
    rc = rc ? rc : load_tree(o, c, root, rows, err);
    git_tree_free(root);
    git_commit_free(k);
    if (rc) {
        ds_overlay_free(o);
        return rc;
    }
    o->commit = *id;
    *out = o;
    return 0;
}

int ds_overlay_load_at(ds_overlay **out, ds_catalog *c, const git_oid *id, ds_err *err)
{
    return load(out, c, id, true, err);
}

int ds_overlay_load(ds_overlay **out, ds_catalog *c, ds_err *err)
{
    git_oid id, from;
    *out = NULL;
    int rc = ds_ref_get(c, DS_REF_ERASED, &id, err);
    if (rc <= 0)
        return rc;
    rc = load(out, c, &id, false, err);
    if (rc)
        return rc;
    rc = ds_ref_get(c, DS_REF_ERASING, &from, err);
    (*out)->pending = (*out)->pending || rc > 0;
    return rc < 0 ? rc : 0;
}

const uint8_t *ds_overlay_find(const ds_overlay *o, const ds_sha *address, size_t *len)
{
    return o ? ds_ovlines_find(&o->lines, address, len) : NULL;
}

int ds_overlay_rows(const ds_overlay *o, const ds_sha *address, ds_buf *rows, ds_err *err)
{
    size_t len = 0;
    const uint8_t *p = ds_ovlines_find(&o->rows, address, &len);
    const int rc = p ? ds_erasedrows_parse(rows, p - 1, len + 1, err) : 0;
    return rc ? rc : p != NULL;
}

bool ds_overlay_pending(const ds_overlay *o)
{
    return o && o->pending;
}

const ds_sha *ds_overlay_gone(const ds_overlay *o, size_t *n)
{
    *n = o ? o->gone.len / sizeof(ds_sha) : 0;
    return *n ? (const ds_sha *)(const void *)o->gone.data : NULL;
}

bool ds_overlay_is_gone(const ds_overlay *o, const ds_sha *piece)
{
    size_t n;
    const ds_sha *gone = ds_overlay_gone(o, &n);
    return n && bsearch(piece, gone, n, sizeof *gone, ds_sha_cmp);
}

int ds_overlay_explain(const char *dir, const ds_sha *piece, ds_err *err)
{
    ds_catalog *c = NULL;
    ds_overlay *o = NULL;
    char hex[65];
    int rc = 0;
    if (ds_catalog_open(&c, dir, NULL) == 0 && ds_overlay_load(&o, c, NULL) == 0 &&
        ds_overlay_is_gone(o, piece)) {
        ds_sha_hex(hex, piece);
        rc = ds_fail(err, DS_FAIL,
                     "%s: records of this version were erased while it was read (piece %.16s is "
                     "gone): begin again",
                     dir, hex);
    }
    ds_overlay_free(o);
    ds_catalog_close(c);
    return rc;
}

bool ds_overlay_line(const ds_overlay *o, size_t i, ds_sha *address, const uint8_t **text,
                     size_t *len)
{
    if (!o || i >= o->lines.n)
        return false;
    *address = o->lines.v[i].address;
    *text = o->lines.text.data + o->lines.v[i].at;
    *len = o->lines.v[i].len;
    return true;
}
