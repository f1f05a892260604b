/* overlay.c - see overlay.h. */
#include "overlay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "refs.h"

enum { HEX = 64, FILES = 256 };

typedef struct line {
    ds_sha address;
    size_t at, len; /* in text */
} line;

struct ds_overlay {
    ds_buf text;
    line *lines;
    size_t n, cap;
    size_t statements;
    bool pending;
    git_oid commit;
};

static int by_address(const void *a, const void *b)
{
    return memcmp(((const line *)a)->address.b, ((const line *)b)->address.b, sizeof(ds_sha));
}

void ds_overlay_free(ds_overlay *o)
{
    if (!o)
        return;
    ds_buf_fini(&o->text);
    free(o->lines);
    free(o);
}

/* Takes apart what was appended to the text at `from`. */
static int take_lines(ds_overlay *o, size_t from, ds_err *err)
{
    while (from < o->text.len) {
        const uint8_t *p = o->text.data + from, *nl = memchr(p, '\n', o->text.len - from);
        line l = {.at = from + HEX + 1};
        if (!nl || nl - p <= HEX + 1 || p[HEX] != ' ' ||
            !ds_sha_parse(&l.address, (const char *)p, HEX))
            return ds_fail(err, DS_CORRUPT, "%s: a malformed line", DS_REF_ERASED);
        l.len = (size_t)(nl - p) - HEX - 1;
        if (o->n == o->cap) {
            size_t cap = o->cap ? 2 * o->cap : 64;
            line *v = realloc(o->lines, cap * sizeof *v);
            if (!v)
                return ds_fail_nomem(err);
            o->lines = v;
            o->cap = cap;
        }
        o->lines[o->n++] = l;
        from += (size_t)(nl - p) + 1;
    }
    return 0;
}

static int load_lines(ds_overlay *o, ds_catalog *c, const git_tree *root, ds_err *err)
{
    const git_tree_entry *e = git_tree_entry_byname(root, "lines");
    git_tree *t = NULL;
    ds_buf b = {0};
    int rc = 0;
    if (!e || git_tree_lookup(&t, ds_catalog_repo(c), git_tree_entry_id(e)) < 0)
        return ds_fail(err, DS_CORRUPT, "%s: no lines", DS_REF_ERASED);
    for (size_t i = 0; !rc && i < git_tree_entrycount(t); i++) {
        const size_t from = o->text.len;
        rc = ds_catalog_blob(&b, c, git_tree_entry_id(git_tree_entry_byindex(t, i)), err);
        if (!rc && ds_buf_put(&o->text, b.data, b.len))
            rc = ds_fail_nomem(err);
        rc = rc ? rc : take_lines(o, from, err);
    }
    if (!rc && o->n)
        qsort(o->lines, o->n, sizeof *o->lines, by_address);
    git_tree_free(t);
    ds_buf_fini(&b);
    return rc;
}

int ds_overlay_load(ds_overlay **out, ds_catalog *c, ds_err *err)
{
    git_oid id;
    git_commit *k = NULL;
    git_tree *root = NULL, *sub = NULL;
    *out = NULL;
    int rc = ds_ref_get(c, DS_REF_ERASED, &id, err);
    if (rc <= 0)
        return rc;
    ds_overlay *o = calloc(1, sizeof *o);
    rc = o ? 0 : ds_fail_nomem(err);
    if (!rc &&
        (git_commit_lookup(&k, ds_catalog_repo(c), &id) < 0 || git_commit_tree(&root, k) < 0))
        rc = ds_fail(err, DS_CORRUPT, "%s: %s", DS_REF_ERASED, git_error_last()->message);
    rc = rc ? rc : load_lines(o, c, root, err);
    if (!rc) {
        const git_tree_entry *e = git_tree_entry_byname(root, "statements");
        o->commit = id;
        o->pending = git_tree_entry_byname(root, "pending") != NULL;
        if (e && git_tree_lookup(&sub, ds_catalog_repo(c), git_tree_entry_id(e)) == 0)
            o->statements = git_tree_entrycount(sub);
    }
    git_tree_free(sub);
    git_tree_free(root);
    git_commit_free(k);
    if (rc)
        ds_overlay_free(o);
    else
        *out = o;
    return rc;
}

const uint8_t *ds_overlay_find(const ds_overlay *o, const ds_sha *address, size_t *len)
{
    const line key = {.address = *address};
    const line *l = o && o->n ? bsearch(&key, o->lines, o->n, sizeof key, by_address) : NULL;
    if (!l)
        return NULL;
    *len = l->len;
    return o->text.data + l->at;
}

bool ds_overlay_pending(const ds_overlay *o)
{
    return o && o->pending;
}

size_t ds_overlay_statements(const ds_overlay *o)
{
    return o ? o->statements : 0;
}

/* ---- publishing ---- */

typedef struct press {
    ds_catalog *cat;
    ds_gitpack *pack;
    const ds_overlay *old; /* may be NULL */
    git_oid tree;
} press;

/* The new lines, and those of old that are not replaced, as files by the address's first byte. */
static int put_lines(press *p, const ds_overlay *fresh, git_oid *id, ds_err *err)
{
    ds_buf tree = {0}, text = {0};
    size_t a = 0, b = 0;
    const size_t n = p->old ? p->old->n : 0;
    bool bad = false;
    int rc = 0;
    for (unsigned file = 0; !rc && file < FILES; file++) {
        ds_buf_reset(&text);
        for (;;) {
            const line *x = a < n ? &p->old->lines[a] : NULL,
                       *y = b < fresh->n ? &fresh->lines[b] : NULL;
            const int c = !x ? 1 : !y ? -1 : by_address(x, y);
            const line *l = c < 0 ? x : y;
            const ds_overlay *from = c < 0 ? p->old : fresh;
            if (!l || l->address.b[0] != file)
                break;
            bad = bad || ds_buf_put(&text, from->text.data + l->at - HEX - 1, l->len + HEX + 2);
            a += c <= 0;
            b += c >= 0;
        }
        char name[8];
        git_oid blob;
        if (!text.len)
            continue;
        snprintf(name, sizeof name, "%02x", file);
        rc = ds_gitpack_put(p->pack, &blob, GIT_OBJECT_BLOB, text.data, text.len, err);
        bad = bad || (!rc && ds_gittree_put(&tree, false, name, &blob));
    }
    if (!rc && bad)
        rc = ds_fail_nomem(err);
    rc = rc ? rc : ds_gitpack_put(p->pack, id, GIT_OBJECT_TREE, tree.data, tree.len, err);
    ds_buf_fini(&tree);
    ds_buf_fini(&text);
    return rc;
}

/* The statements before, and one more. */
static int put_statements(press *p, const ds_buf *statement, git_oid *id, ds_err *err)
{
    ds_buf tree = {0};
    git_oid blob;
    git_object *o = NULL;
    char name[32];
    size_t n = 0;
    int rc = 0;
    if (p->old) {
        char spec[128];
        snprintf(spec, sizeof spec, "%s:statements", git_oid_tostr_s(&p->old->commit));
        if (git_revparse_single(&o, ds_catalog_repo(p->cat), spec) < 0)
            return ds_fail(err, DS_CORRUPT, "%s: no statements", DS_REF_ERASED);
        const git_tree *t = (const git_tree *)o;
        for (; !rc && n < git_tree_entrycount(t); n++) {
            const git_tree_entry *e = git_tree_entry_byindex(t, n);
            if (ds_gittree_put(&tree, false, git_tree_entry_name(e), git_tree_entry_id(e)))
                rc = ds_fail_nomem(err);
        }
        git_object_free(o);
    }
    snprintf(name, sizeof name, "%06zu.json", n + 1);
    rc = rc ? rc
            : ds_gitpack_put(p->pack, &blob, GIT_OBJECT_BLOB, statement->data, statement->len, err);
    if (!rc && ds_gittree_put(&tree, false, name, &blob))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : ds_gitpack_put(p->pack, id, GIT_OBJECT_TREE, tree.data, tree.len, err);
    ds_buf_fini(&tree);
    return rc;
}

static int put_commit(press *p, const ds_note_new *by, ds_err *err)
{
    git_oid id;
    ds_note_new note = *by;
    note.tree = p->tree;
    note.parent = p->old ? &p->old->commit : NULL;
    int rc = ds_note_put(p->pack, &id, &note, err);
    rc = rc ? rc : ds_gitpack_publish(p->pack, err);
    rc = rc ? rc : ds_ref_move(p->cat, DS_REF_ERASED, p->old ? &p->old->commit : NULL, &id, err);
    if (rc == 0)
        return ds_fail(err, DS_LOCKED, "%s moved meanwhile: try again", DS_REF_ERASED);
    return rc < 0 ? rc : 0;
}

static int put_root(press *p, const git_oid *lines, const git_oid *statements, bool pending,
                    ds_err *err)
{
    ds_buf root = {0};
    git_oid blob;
    int rc = pending ? ds_gitpack_put(p->pack, &blob, GIT_OBJECT_BLOB, "\n", 1, err) : 0;
    if (!rc && (ds_gittree_put(&root, true, "lines", lines) ||
                (pending && ds_gittree_put(&root, false, "pending", &blob)) ||
                ds_gittree_put(&root, true, "statements", statements)))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : ds_gitpack_put(p->pack, &p->tree, GIT_OBJECT_TREE, root.data, root.len, err);
    ds_buf_fini(&root);
    return rc;
}

int ds_overlay_publish(ds_catalog *c, const ds_buf *lines, const ds_buf *statement,
                       const ds_note_new *by, ds_err *err)
{
    press p = {.cat = c};
    ds_overlay *old = NULL, fresh = {0};
    git_oid ids[2];
    int rc = ds_overlay_load(&old, c, err);
    p.old = old;
    if (!rc && ds_buf_put(&fresh.text, lines->data, lines->len))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : take_lines(&fresh, 0, err);
    if (!rc && fresh.n)
        qsort(fresh.lines, fresh.n, sizeof *fresh.lines, by_address);
    rc = rc ? rc : ds_catalog_pack(&p.pack, c, err);
    rc = rc ? rc : put_lines(&p, &fresh, &ids[0], err);
    rc = rc ? rc : put_statements(&p, statement, &ids[1], err);
    rc = rc ? rc : put_root(&p, &ids[0], &ids[1], true, err);
    rc = rc ? rc : put_commit(&p, by, err);
    ds_gitpack_free(p.pack);
    ds_buf_fini(&fresh.text);
    free(fresh.lines);
    ds_overlay_free(old);
    return rc;
}

static int entry_of(ds_catalog *c, const git_oid *commit, const char *name, git_oid *id,
                    ds_err *err)
{
    git_object *o = NULL;
    char spec[128];
    snprintf(spec, sizeof spec, "%s:%s", git_oid_tostr_s(commit), name);
    if (git_revparse_single(&o, ds_catalog_repo(c), spec) < 0)
        return ds_fail(err, DS_CORRUPT, "%s: no %s", DS_REF_ERASED, name);
    *id = *git_object_id(o);
    git_object_free(o);
    return 0;
}

int ds_overlay_done(ds_catalog *c, const ds_note_new *by, ds_err *err)
{
    press p = {.cat = c};
    ds_overlay *old = NULL;
    git_oid ids[2];
    int rc = ds_overlay_load(&old, c, err);
    if (rc || !ds_overlay_pending(old))
        goto out;
    p.old = old;
    rc = ds_catalog_pack(&p.pack, c, err);
    rc = rc ? rc : entry_of(c, &old->commit, "lines", &ids[0], err);
    rc = rc ? rc : entry_of(c, &old->commit, "statements", &ids[1], err);
    rc = rc ? rc : put_root(&p, &ids[0], &ids[1], false, err);
    rc = rc ? rc : put_commit(&p, by, err);
out:
    ds_gitpack_free(p.pack);
    ds_overlay_free(old);
    return rc;
}
