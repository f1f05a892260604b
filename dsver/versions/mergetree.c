/* mergetree.c - whether merged records of files (filerec.h) are a folder that can be made.
 *
 * Each of the two versions is one. So what cannot be made has a record that one of them changed in
 * it, and a name that the other one did: only these are read.
 */
#include <stdlib.h>
#include <string.h>

#include "filerec.h"
#include "merge_priv.h"

typedef struct touched { /* a record that one of the two changed */
    enum ds_mergeside side;
    ds_recplace at;
    bool there; /* in what comes out; else it went */
} touched;

/* Names of what comes out. */
typedef struct tree {
    ds_merge *m;
    ds_filecols col;
    bool only[256];
    touched *v;
    size_t n, cap;
    ds_buf places, nofiles; /* uint64_t, hashes: what is no folder; what no link can be to */
    ds_buf there;           /* of what is there: key and target, NUL behind each */
} tree;

static int by_place(const void *x, const void *y)
{
    const touched *a = x, *b = y;
    return a->side != b->side           ? (a->side > b->side) - (a->side < b->side)
           : a->at.block != b->at.block ? (a->at.block > b->at.block) - (a->at.block < b->at.block)
                                        : (a->at.row > b->at.row) - (a->at.row < b->at.row);
}

static int by_hash(const void *x, const void *y)
{
    uint64_t a, b;
    memcpy(&a, x, sizeof a);
    memcpy(&b, y, sizeof b);
    return (a > b) - (a < b);
}

static int add(tree *t, enum ds_mergeside side, ds_recplace at, bool there, ds_err *err)
{
    if (ds_grow(&t->v, &t->cap, t->n, sizeof *t->v))
        return ds_fail_nomem(err);
    t->v[t->n++] = (touched){side, at, there};
    return 0;
}

static int find_touched(tree *t, ds_err *err)
{
    const ds_mergechanges *ours = &t->m->ours, *theirs = &t->m->theirs;
    int rc = 0;
    for (size_t i = 0; !rc && i < ours->n; i++) {
        const ds_diffitem *it = &ours->v[i].it;
        const ds_mergechange *other = ds_mergechange_find(theirs, it->digest.key);
        if (other && other->what != DS_MERGE_KEEP)
            continue;
        rc = it->change == DS_REMOVED ? add(t, DS_MERGE_BASE, it->a, false, err)
                                      : add(t, DS_MERGE_OURS, it->b, true, err);
    }
    for (size_t i = 0; !rc && i < theirs->n; i++) {
        const ds_mergechange *c = &theirs->v[i];
        if (c->what == DS_MERGE_DROP)
            rc = add(t, DS_MERGE_BASE, c->it.a, false, err);
        else if (c->what != DS_MERGE_KEEP)
            rc = add(t, DS_MERGE_THEIRS, c->it.b, true, err);
    }
    if (t->n)
        qsort(t->v, t->n, sizeof *t->v, by_place);
    return rc;
}

static bool is_kind(const ds_value *v, enum ds_filekind kind)
{
    const char *name = ds_filekind_names[kind];
    return v->len == strlen(name) && memcmp(v->p, name, v->len) == 0;
}

static int put_text(ds_buf *b, const void *p, size_t len)
{
    return ds_buf_put(b, p, len) ? DS_NOMEM : ds_buf_putc(b, 0);
}

static int note(tree *t, const ds_recblock *rec, bool there)
{
    const ds_value *key = &rec->values[t->col.key], *kind = &rec->values[t->col.kind],
                   *target = &rec->values[t->col.target];
    const uint64_t hash = ds_xxh64(key->p, key->len);
    const bool folder = is_kind(kind, DS_FILE_FOLDER), link = is_kind(kind, DS_FILE_HARDLINK);
    if (there && !folder && ds_buf_put(&t->places, &hash, sizeof hash))
        return DS_NOMEM;
    if ((!there || folder) && ds_buf_put(&t->nofiles, &hash, sizeof hash))
        return DS_NOMEM;
    if (!there)
        return 0;
    return put_text(&t->there, key->p, key->len) ||
                   put_text(&t->there, target->p, link && !target->null ? target->len : 0)
               ? DS_NOMEM
               : 0;
}

static int read_touched(tree *t, ds_err *err)
{
    ds_recblock rec = {.only = t->only};
    int rc = 0;
    for (size_t i = 0; !rc && i < t->n; i++) {
        const touched *k = &t->v[i];
        if (i && k->side != k[-1].side) {
            ds_recblock_fini(&rec);
            rec = (ds_recblock){.only = t->only};
        }
        rc = ds_recblock_at(&rec, ds_merge_side(t->m, k->side), k->at.block, k->at.row, err);
        if (!rc && note(t, &rec, k->there))
            rc = ds_fail_nomem(err);
    }
    ds_recblock_fini(&rec);
    return rc;
}

static bool has(const ds_buf *hashes, const char *name, size_t len)
{
    const uint64_t h = ds_xxh64(name, len);
    return hashes->len &&
           bsearch(&h, hashes->data, hashes->len / sizeof h, sizeof h, by_hash) != NULL;
}

static int check(const tree *t, const char *key, const char *target, ds_err *err)
{
    static const char hint[] = "nothing was changed (--ours or --theirs may decide it, or else a "
                               "version of one of the two in which it is not so)";
    for (const char *slash = strchr(key, '/'); slash; slash = strchr(slash + 1, '/'))
        if (has(&t->places, key, (size_t)(slash - key)))
            return ds_fail(err, DS_FAIL,
                           "'%s' of one version would lie in '%.*s', which is no folder in the "
                           "other: %s",
                           key, (int)(slash - key), key, hint);
    if (*target && has(&t->nofiles, target, strlen(target)))
        return ds_fail(err, DS_FAIL,
                       "'%s' of one version is another name of '%s' (a hard link), which is no "
                       "file any more in the other: %s",
                       key, target, hint);
    return 0;
}

static int check_all(tree *t, ds_err *err)
{
    int rc = 0;
    ds_buf *const sets[] = {&t->places, &t->nofiles};
    for (size_t i = 0; i < 2; i++)
        if (sets[i]->len)
            qsort(sets[i]->data, sets[i]->len / sizeof(uint64_t), sizeof(uint64_t), by_hash);
    for (size_t at = 0; !rc && at < t->there.len;) {
        const char *key = (const char *)t->there.data + at, *target = key + strlen(key) + 1;
        rc = check(t, key, target, err);
        at += strlen(key) + strlen(target) + 2;
    }
    return rc;
}

int ds_merge_check_tree(ds_merge *m, ds_err *err)
{
    const ds_schema *s = &ds_merge_side(m, DS_MERGE_OURS)->schema;
    tree t = {.m = m};
    if (m->stats.conflicts || ds_filerec_find(&t.col, s, NULL) != 0)
        return 0;
    t.only[t.col.key] = t.only[t.col.kind] = t.only[t.col.target] = true;
    int rc = find_touched(&t, err);
    rc = rc ? rc : read_touched(&t, err);
    rc = rc ? rc : check_all(&t, err);
    free(t.v);
    ds_buf_fini(&t.places);
    ds_buf_fini(&t.nofiles);
    ds_buf_fini(&t.there);
    return rc;
}
