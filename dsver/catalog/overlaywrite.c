/* overlaywrite.c - erasures that are published, carried through, joined. See overlay.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "overlay_priv.h"
#include "refs.h"

enum { HEX = DS_OVERLAY_HEX, FILES = 256 };

/* ---- publishing ---- */

typedef struct press {
    ds_catalog *cat;
    ds_gitpack *pack;
    const ds_overlay *old; /* may be NULL */
    git_oid tree;
} press;

/* "ADDRESS TEXT\n" */
static int put_line(ds_buf *out, const ds_ovlines *from, const ds_ovline *l)
{
    return ds_buf_put(out, from->text.data + l->at - HEX - 1, l->len + HEX + 2);
}

/* Those of `fresh`, and those of old whose line is not replaced, as files by the address's first
 * byte. */
static int put_lines(press *p, const ds_ovlines *old, const ds_ovlines *fresh,
                     const ds_ovlines *replaced, git_oid *id, ds_err *err)
{
    ds_buf tree = {0}, text = {0};
    size_t a = 0, b = 0, len;
    const size_t n = old ? old->n : 0;
    bool bad = false;
    int rc = 0;
    for (unsigned file = 0; !rc && file < FILES; file++) {
        ds_buf_reset(&text);
        for (;;) {
            const ds_ovline *x = a < n ? &old->v[a] : NULL, *y = b < fresh->n ? &fresh->v[b] : NULL;
            const bool first = x && (!y || ds_ovline_cmp(x, y) <= 0);
            const ds_ovline *l = first ? x : y;
            if (!l || l->address.b[0] != file)
                break;
            if (!first || !ds_ovlines_find(replaced, &l->address, &len))
                bad = bad || put_line(&text, first ? old : fresh, l);
            a += first;
            b += !first;
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

/* Addresses of pieces as lines of files, by their first byte. */
static int put_gone(press *p, const ds_buf *gone, git_oid *id, ds_err *err)
{
    const ds_sha *v = (const ds_sha *)(const void *)gone->data;
    const size_t n = gone->len / sizeof *v;
    ds_buf tree = {0}, text = {0};
    int rc = 0;
    for (size_t i = 0, end; !rc && i < n; i = end) {
        char name[8];
        git_oid blob;
        bool bad = false;
        ds_buf_reset(&text);
        for (end = i; end < n && v[end].b[0] == v[i].b[0]; end++)
            bad = bad || ds_buf_hex(&text, v[end].b, sizeof *v) || ds_buf_putc(&text, '\n');
        snprintf(name, sizeof name, "%02x", v[i].b[0]);
        rc = bad ? ds_fail_nomem(err)
                 : ds_gitpack_put(p->pack, &blob, GIT_OBJECT_BLOB, text.data, text.len, err);
        if (!rc && ds_gittree_put(&tree, false, name, &blob))
            rc = ds_fail_nomem(err);
    }
    rc = rc ? rc : ds_gitpack_put(p->pack, id, GIT_OBJECT_TREE, tree.data, tree.len, err);
    ds_buf_fini(&tree);
    ds_buf_fini(&text);
    return rc;
}

/* Adds the pieces that a line, or lines, name. */
static int add_named(ds_buf *out, const uint8_t *text, size_t len, ds_err *err)
{
    for (size_t i = 0; text && i + HEX < len; i++) {
        ds_sha id;
        if ((text[i] == ':' || text[i] == ',') &&
            ds_sha_parse(&id, (const char *)text + i + 1, HEX) && ds_buf_put(out, &id, sizeof id))
            return ds_fail_nomem(err);
    }
    return 0;
}

/* The pieces that the lines name stay: they are no longer gone. */
static int spare_lines(ds_buf *gone, const ds_overlay *fresh, ds_err *err)
{
    ds_buf named = {0};
    int rc = add_named(&named, fresh->lines.text.data, fresh->lines.text.len, err);
    ds_overlay_sort_shas(&named);
    ds_sha *v = (ds_sha *)(void *)gone->data;
    size_t n = gone->len / sizeof *v, to = 0;
    for (size_t i = 0; !rc && i < n; i++)
        if (!named.len || !bsearch(&v[i], named.data, named.len / sizeof *v, sizeof *v, ds_sha_cmp))
            v[to++] = v[i];
    gone->len = rc ? gone->len : to * sizeof *v;
    ds_buf_fini(&named);
    return rc;
}

typedef struct statements {
    ds_buf tree;
    git_oid *ids;
    size_t n, cap;
} statements;

static void statements_fini(statements *s)
{
    ds_buf_fini(&s->tree);
    free(s->ids);
}

/* One more, unless it is among them. */
static int add_statement(statements *s, const git_oid *blob, ds_err *err)
{
    char name[32];
    for (size_t i = 0; i < s->n; i++)
        if (git_oid_equal(&s->ids[i], blob))
            return 0;
    if (ds_grow(&s->ids, &s->cap, s->n, sizeof *s->ids))
        return ds_fail_nomem(err);
    s->ids[s->n++] = *blob;
    snprintf(name, sizeof name, "%06zu.json", s->n);
    return ds_gittree_put(&s->tree, false, name, blob) ? ds_fail_nomem(err) : 0;
}

static int add_statements(statements *s, ds_catalog *c, const ds_overlay *of, ds_err *err)
{
    git_object *o = NULL;
    char spec[128];
    int rc = 0;
    if (!of)
        return 0;
    snprintf(spec, sizeof spec, "%s:statements", git_oid_tostr_s(&of->commit));
    if (git_revparse_single(&o, ds_catalog_repo(c), spec) < 0)
        rc = ds_fail_git_read(err, "%s: no statements", DS_REF_ERASED);
    else if (git_object_type(o) != GIT_OBJECT_TREE)
        rc = ds_fail(err, DS_CORRUPT, "%s: no statements", DS_REF_ERASED);
    const git_tree *t = (const git_tree *)o;
    for (size_t n = 0; !rc && n < git_tree_entrycount(t); n++)
        rc = add_statement(s, git_tree_entry_id(git_tree_entry_byindex(t, n)), err);
    git_object_free(o);
    return rc;
}

static int move_ref(ds_catalog *c, const git_oid *from, const git_oid *to, ds_err *err)
{
    const int rc = ds_ref_move(c, DS_REF_ERASED, from, to, err);
    return rc == 0  ? ds_fail(err, DS_LOCKED, "%s moved meanwhile: try again", DS_REF_ERASED)
           : rc < 0 ? rc
                    : 0;
}

static int put_commit(press *p, const ds_note_new *by, ds_err *err)
{
    git_oid id;
    ds_note_new note = *by;
    note.tree = p->tree;
    note.parent = p->old ? &p->old->commit : NULL;
    int rc = ds_note_put(p->pack, &id, &note, err);
    rc = rc ? rc : ds_gitpack_publish(p->pack, err);
    return rc ? rc : move_ref(p->cat, note.parent, &id, err);
}

typedef struct parts {
    git_oid lines, rows, gone, statements;
    bool has_rows; /* erasures of old have none */
} parts;

static int put_root(press *p, const parts *k, bool pending, ds_err *err)
{
    ds_buf root = {0};
    git_oid blob;
    int rc = pending ? ds_gitpack_put(p->pack, &blob, GIT_OBJECT_BLOB, "\n", 1, err) : 0;
    if (!rc && (ds_gittree_put(&root, true, "gone", &k->gone) ||
                ds_gittree_put(&root, true, "lines", &k->lines) ||
                (pending && ds_gittree_put(&root, false, "pending", &blob)) ||
                (k->has_rows && ds_gittree_put(&root, true, "rows", &k->rows)) ||
                ds_gittree_put(&root, true, "statements", &k->statements)))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : ds_gitpack_put(p->pack, &p->tree, GIT_OBJECT_TREE, root.data, root.len, err);
    ds_buf_fini(&root);
    return rc;
}

/* Lines and pieces that are gone, of `old` and fresh together. */
static int put_erased(press *p, ds_overlay *fresh, parts *k, ds_err *err)
{
    const ds_overlay *old = p->old;
    int rc = 0;
    ds_ovlines_sort(&fresh->lines);
    ds_ovlines_sort(&fresh->rows);
    if (old && ds_buf_put(&fresh->gone, old->gone.data, old->gone.len))
        rc = ds_fail_nomem(err);
    ds_overlay_sort_shas(&fresh->gone);
    rc = rc ? rc : spare_lines(&fresh->gone, fresh, err);
    rc = rc ? rc : ds_catalog_pack(&p->pack, p->cat, err);
    rc = rc ? rc
            : put_lines(p, old ? &old->lines : NULL, &fresh->lines, &fresh->lines, &k->lines, err);
    k->has_rows = true;
    rc =
        rc ? rc : put_lines(p, old ? &old->rows : NULL, &fresh->rows, &fresh->lines, &k->rows, err);
    return rc ? rc : put_gone(p, &fresh->gone, &k->gone, err);
}

/* The rows of two lines, of which one is to be read in place of the other or one in place of both:
 * 1, 0 when they are not known of both, < 0. */
static int merge_rows(ds_buf *text, const ds_sha *address, const ds_ovlines *a, const ds_ovlines *b,
                      bool later, ds_err *err)
{
    size_t n = 0, m = 0;
    const uint8_t *x = ds_ovlines_find(a, address, &n), *y = ds_ovlines_find(b, address, &m);
    if (!x || !y)
        return 0;
    const int rc = ds_erasedrows_merge(text, x - 1, n + 1, y - 1, m + 1, later, err);
    return rc ? rc : 1;
}

/* The same as a line of its own. */
static int add_merged(ds_buf *out, const ds_sha *address, const ds_ovlines *a, const ds_ovlines *b,
                      bool later, ds_err *err)
{
    ds_buf text = {0};
    int rc = merge_rows(&text, address, a, b, later, err);
    if (rc > 0)
        rc = ds_buf_hex(out, address->b, sizeof address->b) ||
                     ds_buf_put(out, text.data, text.len) || ds_buf_putc(out, '\n')
                 ? ds_fail_nomem(err)
                 : 0;
    ds_buf_fini(&text);
    return rc;
}

int ds_overlay_joined_rows(const ds_overlay *a, const ds_overlay *b, const ds_sha *address,
                           ds_buf *rows, ds_err *err)
{
    ds_buf text = {0};
    const int known = merge_rows(&text, address, &a->rows, &b->rows, false, err);
    const int rc = known > 0 ? ds_erasedrows_parse(rows, text.data, text.len, err) : 0;
    ds_buf_fini(&text);
    return rc ? rc : known;
}

/* Rows that an erasure told, with those that were tombstones before. */
static int take_rows(ds_overlay *fresh, const ds_overlay *old, const ds_buf *told, ds_err *err)
{
    ds_ovlines own = {.n = 0};
    ds_buf all = {0};
    size_t len;
    int rc = ds_ovlines_add(&own, told->data, told->len, err);
    ds_ovlines_sort(&own);
    for (size_t i = 0; !rc && i < own.n; i++) {
        const ds_sha *address = &own.v[i].address;
        if (ds_overlay_find(old, address, &len))
            rc = add_merged(&all, address, &old->rows, &own, true, err);
        else if (put_line(&all, &own, &own.v[i]))
            rc = ds_fail_nomem(err);
    }
    rc = rc ? rc : ds_ovlines_add(&fresh->rows, all.data, all.len, err);
    ds_ovlines_fini(&own);
    ds_buf_fini(&all);
    return rc;
}

static void fini_parts(ds_overlay *o)
{
    ds_ovlines_fini(&o->lines);
    ds_ovlines_fini(&o->rows);
    ds_buf_fini(&o->gone);
}

int ds_overlay_publish(ds_catalog *c, const ds_erasure *e, const ds_note_new *by, ds_err *err)
{
    press p = {.cat = c};
    ds_overlay *old = NULL, fresh = {0};
    statements st = {.n = 0};
    parts k;
    git_oid blob, at;
    int rc = ds_ref_get(c, DS_REF_ERASED, &at, err);
    rc = rc > 0 ? ds_overlay_load_at(&old, c, &at, err) : rc;
    p.old = old;
    if (!rc && ds_buf_put(&fresh.gone, e->gone->data, e->gone->len))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : ds_ovlines_add(&fresh.lines, e->lines->data, e->lines->len, err);
    rc = rc ? rc : take_rows(&fresh, old, e->rows, err);
    rc = rc ? rc : put_erased(&p, &fresh, &k, err);
    rc = rc ? rc : add_statements(&st, c, old, err);
    rc = rc ? rc
            : ds_gitpack_put(p.pack, &blob, GIT_OBJECT_BLOB, e->statement->data, e->statement->len,
                             err);
    rc = rc ? rc : add_statement(&st, &blob, err);
    rc =
        rc ? rc
           : ds_gitpack_put(p.pack, &k.statements, GIT_OBJECT_TREE, st.tree.data, st.tree.len, err);
    rc = rc ? rc : put_root(&p, &k, true, err);
    rc = rc ? rc : put_commit(&p, by, err);
    ds_gitpack_free(p.pack);
    statements_fini(&st);
    fini_parts(&fresh);
    ds_overlay_free(old);
    return rc;
}

/* 1 there, 0 not, < 0 error */
static int entry_of(ds_catalog *c, const git_oid *commit, const char *name, git_oid *id,
                    ds_err *err)
{
    git_object *o = NULL;
    char spec[128];
    snprintf(spec, sizeof spec, "%s:%s", git_oid_tostr_s(commit), name);
    const int rc = git_revparse_single(&o, ds_catalog_repo(c), spec);
    if (rc < 0)
        return rc == GIT_ENOTFOUND ? 0 : ds_fail_git_read(err, "%s: %s", DS_REF_ERASED, name);
    *id = *git_object_id(o);
    git_object_free(o);
    return 1;
}

static int need_entry(ds_catalog *c, const git_oid *commit, const char *name, git_oid *id,
                      ds_err *err)
{
    const int rc = entry_of(c, commit, name, id, err);
    return rc == 0 ? ds_fail(err, DS_CORRUPT, "%s: no %s", DS_REF_ERASED, name) : rc < 0 ? rc : 0;
}

/* The same tree without `pending`. */
static int settle(press *p, const ds_note_new *by, ds_err *err)
{
    const git_oid *at = &p->old->commit;
    parts k;
    int rc = ds_catalog_pack(&p->pack, p->cat, err);
    rc = rc ? rc : need_entry(p->cat, at, "lines", &k.lines, err);
    rc = rc ? rc : need_entry(p->cat, at, "statements", &k.statements, err);
    if (!rc) {
        rc = entry_of(p->cat, at, "rows", &k.rows, err);
        k.has_rows = rc > 0;
        rc = rc < 0 ? rc : 0;
    }
    rc = rc ? rc : put_gone(p, &p->old->gone, &k.gone, err);
    rc = rc ? rc : put_root(p, &k, false, err);
    rc = rc ? rc : put_commit(p, by, err);
    ds_gitpack_free(p->pack);
    return rc;
}

int ds_overlay_done(ds_catalog *c, const ds_note_new *by, ds_err *err)
{
    ds_overlay *old = NULL;
    git_oid id, from;
    int rc = ds_ref_get(c, DS_REF_ERASED, &id, err);
    if (rc <= 0)
        return rc;
    rc = ds_overlay_load_at(&old, c, &id, err);
    press p = {.cat = c, .old = old};
    if (!rc && old->pending)
        rc = settle(&p, by, err);
    if (!rc && (rc = ds_ref_get(c, DS_REF_ERASING, &from, err)) > 0)
        rc = ds_ref_delete(c, DS_REF_ERASING, &from, err);
    ds_overlay_free(old);
    return rc < 0 ? rc : 0;
}

/* ---- those of another store ---- */

int ds_overlay_adopt(ds_catalog *c, const git_oid *from, const git_oid *to, ds_err *err)
{
    git_oid at;
    int rc = ds_ref_get(c, DS_REF_ERASING, &at, err);
    if (rc == 0) /* from here on the next gc carries it through */
        rc = ds_ref_move(c, DS_REF_ERASING, NULL, to, err);
    return rc < 0 ? rc : move_ref(c, from, to, err);
}

/* What the two had in place of a line is gone as well, where another is in their place now. */
static int add_replaced(ds_buf *gone, const ds_overlay *joined, const ds_overlay *of, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < joined->lines.n; i++) {
        size_t len = 0;
        const uint8_t *p = ds_overlay_find(of, &joined->lines.v[i].address, &len);
        rc = add_named(gone, p, len, err);
    }
    return rc;
}

/* Lines and rows of the two, but for those that only `ours` has. */
static int add_both(ds_overlay *both, const ds_overlay *joined, const ds_overlay *ours,
                    const ds_overlay *theirs, ds_err *err)
{
    ds_buf lines = {0}, rows = {0};
    size_t len;
    int rc = 0;
    for (size_t i = 0; !rc && i < theirs->lines.n; i++)
        if (!ds_overlay_find(joined, &theirs->lines.v[i].address, &len) &&
            put_line(&lines, &theirs->lines, &theirs->lines.v[i]))
            rc = ds_fail_nomem(err);
    for (size_t i = 0; !rc && i < theirs->rows.n; i++)
        if (!ds_overlay_find(joined, &theirs->rows.v[i].address, &len) &&
            put_line(&rows, &theirs->rows, &theirs->rows.v[i]))
            rc = ds_fail_nomem(err);
    for (size_t i = 0; !rc && i < joined->lines.n; i++)
        rc = add_merged(&rows, &joined->lines.v[i].address, &ours->rows, &theirs->rows, false, err);
    rc = rc ? rc : ds_ovlines_add(&both->lines, lines.data, lines.len, err);
    rc = rc ? rc
            : ds_ovlines_add(&both->lines, joined->lines.text.data, joined->lines.text.len, err);
    rc = rc ? rc : ds_ovlines_add(&both->rows, rows.data, rows.len, err);
    ds_buf_fini(&lines);
    ds_buf_fini(&rows);
    return rc;
}

int ds_overlay_join(git_oid *id, ds_catalog *c, const ds_overlay *ours, const ds_overlay *theirs,
                    const ds_buf *lines, const ds_note_new *by, ds_err *err)
{
    press p = {.cat = c, .old = ours};
    ds_overlay both = {0}, joined = {0};
    statements st = {.n = 0};
    parts k;
    ds_note_new note = *by;
    int rc = ds_ovlines_add(&joined.lines, lines->data, lines->len, err);
    ds_ovlines_sort(&joined.lines);
    rc = rc ? rc : add_both(&both, &joined, ours, theirs, err);
    if (!rc && ds_buf_put(&both.gone, theirs->gone.data, theirs->gone.len))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : add_replaced(&both.gone, &joined, ours, err);
    rc = rc ? rc : add_replaced(&both.gone, &joined, theirs, err);
    rc = rc ? rc : put_erased(&p, &both, &k, err);
    rc = rc ? rc : add_statements(&st, c, theirs, err);
    rc = rc ? rc : add_statements(&st, c, ours, err);
    rc =
        rc ? rc
           : ds_gitpack_put(p.pack, &k.statements, GIT_OBJECT_TREE, st.tree.data, st.tree.len, err);
    rc = rc ? rc : put_root(&p, &k, false, err);
    note.tree = p.tree;
    note.parent = &theirs->commit;
    note.merged = &ours->commit;
    rc = rc ? rc : ds_note_put(p.pack, id, &note, err);
    rc = rc ? rc : ds_gitpack_publish(p.pack, err);
    ds_gitpack_free(p.pack);
    statements_fini(&st);
    fini_parts(&both);
    fini_parts(&joined);
    return rc;
}
