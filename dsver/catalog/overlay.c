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
    ds_buf gone; /* ds_sha, sorted */
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
    ds_buf_fini(&o->gone);
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
        if (ds_grow(&o->lines, &o->cap, o->n, sizeof *o->lines))
            return ds_fail_nomem(err);
        o->lines[o->n++] = l;
        from += (size_t)(nl - p) + 1;
    }
    return 0;
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
    if (!e || git_tree_lookup(&t, ds_catalog_repo(c), git_tree_entry_id(e)) < 0)
        return ds_fail(err, DS_CORRUPT, "%s: no %s", DS_REF_ERASED, folder);
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
    const size_t from = o->text.len;
    return ds_buf_put(&o->text, text->data, text->len) ? ds_fail_nomem(err)
                                                       : take_lines(o, from, err);
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

/* Sorted, each once. */
static void sort_shas(ds_buf *b)
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

static int load_tree(ds_overlay *o, ds_catalog *c, const git_tree *root, ds_err *err)
{
    int rc = each_file(o, c, root, "lines", add_lines, err);
    if (!rc && git_tree_entry_byname(root, "gone")) /* erasures of old have none */
        rc = each_file(o, c, root, "gone", add_gone, err);
    if (rc)
        return rc;
    if (o->n)
        qsort(o->lines, o->n, sizeof *o->lines, by_address);
    sort_shas(&o->gone);
    o->pending = git_tree_entry_byname(root, "pending") != NULL;
    return 0;
}

int ds_overlay_load_at(ds_overlay **out, ds_catalog *c, const git_oid *id, ds_err *err)
{
    git_commit *k = NULL;
    git_tree *root = NULL;
    ds_overlay *o = calloc(1, sizeof *o);
    int rc = o ? 0 : ds_fail_nomem(err);
    *out = NULL;
    if (!rc && (git_commit_lookup(&k, ds_catalog_repo(c), id) < 0 || git_commit_tree(&root, k) < 0))
        rc = ds_fail(err, DS_CORRUPT, "%s: %s", DS_REF_ERASED, git_error_last()->message);
    rc = rc ? rc : load_tree(o, c, root, err);
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

int ds_overlay_load(ds_overlay **out, ds_catalog *c, ds_err *err)
{
    git_oid id, from;
    *out = NULL;
    int rc = ds_ref_get(c, DS_REF_ERASED, &id, err);
    if (rc <= 0)
        return rc;
    rc = ds_overlay_load_at(out, c, &id, err);
    if (rc)
        return rc;
    rc = ds_ref_get(c, DS_REF_ERASING, &from, err);
    (*out)->pending = (*out)->pending || rc > 0;
    return rc < 0 ? rc : 0;
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
    if (!o || i >= o->n)
        return false;
    *address = o->lines[i].address;
    *text = o->text.data + o->lines[i].at;
    *len = o->lines[i].len;
    return true;
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
    int rc = add_named(&named, fresh->text.data, fresh->text.len, err);
    sort_shas(&named);
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
    if (git_revparse_single(&o, ds_catalog_repo(c), spec) < 0 ||
        git_object_type(o) != GIT_OBJECT_TREE)
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
    git_oid lines, gone, statements;
} parts;

static int put_root(press *p, const parts *k, bool pending, ds_err *err)
{
    ds_buf root = {0};
    git_oid blob;
    int rc = pending ? ds_gitpack_put(p->pack, &blob, GIT_OBJECT_BLOB, "\n", 1, err) : 0;
    if (!rc && (ds_gittree_put(&root, true, "gone", &k->gone) ||
                ds_gittree_put(&root, true, "lines", &k->lines) ||
                (pending && ds_gittree_put(&root, false, "pending", &blob)) ||
                ds_gittree_put(&root, true, "statements", &k->statements)))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : ds_gitpack_put(p->pack, &p->tree, GIT_OBJECT_TREE, root.data, root.len, err);
    ds_buf_fini(&root);
    return rc;
}

/* Lines and pieces that are gone, of `old` and fresh together. */
static int put_erased(press *p, ds_overlay *fresh, parts *k, ds_err *err)
{
    int rc = 0;
    if (fresh->n)
        qsort(fresh->lines, fresh->n, sizeof *fresh->lines, by_address);
    if (p->old && ds_buf_put(&fresh->gone, p->old->gone.data, p->old->gone.len))
        rc = ds_fail_nomem(err);
    sort_shas(&fresh->gone);
    rc = rc ? rc : spare_lines(&fresh->gone, fresh, err);
    rc = rc ? rc : ds_catalog_pack(&p->pack, p->cat, err);
    rc = rc ? rc : put_lines(p, fresh, &k->lines, err);
    return rc ? rc : put_gone(p, &fresh->gone, &k->gone, err);
}

int ds_overlay_publish(ds_catalog *c, const ds_erasure *e, const ds_note_new *by, ds_err *err)
{
    press p = {.cat = c};
    ds_overlay *old = NULL, fresh = {0};
    statements st = {.n = 0};
    parts k;
    git_oid blob;
    int rc = ds_overlay_load(&old, c, err);
    p.old = old;
    if (!rc && (ds_buf_put(&fresh.text, e->lines->data, e->lines->len) ||
                ds_buf_put(&fresh.gone, e->gone->data, e->gone->len)))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : take_lines(&fresh, 0, err);
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
    ds_buf_fini(&fresh.text);
    ds_buf_fini(&fresh.gone);
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

/* The same tree without `pending`. */
static int settle(press *p, const ds_note_new *by, ds_err *err)
{
    const git_oid *at = &p->old->commit;
    parts k;
    int rc = ds_catalog_pack(&p->pack, p->cat, err);
    rc = rc ? rc : entry_of(p->cat, at, "lines", &k.lines, err);
    rc = rc ? rc : entry_of(p->cat, at, "statements", &k.statements, err);
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
    for (size_t i = 0; !rc && i < joined->n; i++) {
        size_t len = 0;
        const uint8_t *p = ds_overlay_find(of, &joined->lines[i].address, &len);
        rc = add_named(gone, p, len, err);
    }
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
    int rc = ds_buf_put(&joined.text, lines->data, lines->len) ? ds_fail_nomem(err) : 0;
    rc = rc ? rc : take_lines(&joined, 0, err);
    if (joined.n)
        qsort(joined.lines, joined.n, sizeof *joined.lines, by_address);
    for (size_t i = 0, n; !rc && i < theirs->n; i++) {
        const line *l = &theirs->lines[i];
        if (!ds_overlay_find(&joined, &l->address, &n) &&
            ds_buf_put(&both.text, theirs->text.data + l->at - HEX - 1, l->len + HEX + 2))
            rc = ds_fail_nomem(err);
    }
    if (!rc && (ds_buf_put(&both.text, joined.text.data, joined.text.len) ||
                ds_buf_put(&both.gone, theirs->gone.data, theirs->gone.len)))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : add_replaced(&both.gone, &joined, ours, err);
    rc = rc ? rc : add_replaced(&both.gone, &joined, theirs, err);
    rc = rc ? rc : take_lines(&both, 0, err);
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
    ds_buf_fini(&both.text);
    ds_buf_fini(&both.gone);
    free(both.lines);
    ds_buf_fini(&joined.text);
    free(joined.lines);
    return rc;
}
