/* filepart.c - see filepart.h.
 *
 * Records are looked at from the last to the first. The file that a hard link is another name of
 * comes before it, so that whoever needs a record has been met when it comes.
 */
#include "filepart.h"

#include <fnmatch.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "recblock.h"
#include "sig.h"
#include "strlist.h"

enum { AHEAD = 16 }; /* blocks whose keys are asked for before they are read */

/* A record that is needed for one that is chosen. */
typedef struct needed {
    char *name;
    char *as; /* the chosen name that it is made under; NULL: its own, being a folder */
    bool found;
} needed;

typedef struct row {
    size_t name, target; /* in `names`; the latter 0: none */
    enum ds_filekind kind;
} row;

struct ds_filepart {
    ds_verside side;
    ds_filecols col;
    ds_strlist patterns;
    bool *hit;                    /* of each pattern */
    bool *keys_only, *no_content; /* columns */
    ds_recblock keys, facts;
    bool *bare, *content;  /* of each block: it has folders or symbolic links; others */
    void *folders, *files; /* trees of `needed` */
    ds_buf name, names, rows;
    bool erased, bare_done;
};

/* ---- names ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const needed *)a)->name, ((const needed *)b)->name);
}

static void drop(void *node)
{
    needed *n = node;
    free(n->name);
    free(n->as);
    free(n);
}

static needed *find(void *const *tree, char *name)
{
    const needed key = {.name = name};
    needed *const *at = tfind(&key, tree, by_name);
    return at ? *at : NULL;
}

/* Takes `name` over; *out = the one that was there, or a new one without `as`. */
static int add(needed **out, bool *fresh, void **tree, char *name, ds_err *err)
{
    needed *n = name ? find(tree, name) : NULL;
    *out = n;
    *fresh = !n;
    if (n) {
        free(name);
        return 0;
    }
    if (name && (n = calloc(1, sizeof *n))) {
        n->name = name;
        if (tsearch(n, tree, by_name)) {
            *out = n;
            return 0;
        }
    }
    free(n);
    free(name);
    return ds_fail_nomem(err);
}

/* The pattern is the name or one of the folders before it, or matches one of them. */
static bool matches(const char *pattern, char *name)
{
    for (char *end = name + strcspn(name, "/");; end += 1 + strcspn(end + 1, "/")) {
        const char kept = *end;
        *end = '\0';
        const bool yes = strcmp(pattern, name) == 0 || fnmatch(pattern, name, 0) == 0;
        *end = kept;
        if (yes || !kept)
            return yes;
    }
}

static bool chosen(const ds_filepart *p, char *name)
{
    for (size_t i = 0; i < p->patterns.n; i++)
        if (matches(p->patterns.v[i], name))
            return true;
    return false;
}

/* ---- one record ---- */

static int need_folders(ds_filepart *p, const char *name, ds_err *err)
{
    const char *end = strrchr(name, '/');
    needed *n = NULL;
    bool fresh = true; /* else those before it are there as well */
    int rc = 0;
    while (!rc && end && fresh) {
        rc = add(&n, &fresh, &p->folders, strndup(name, (size_t)(end - name)), err);
        end = memrchr(name, '/', (size_t)(end - name));
    }
    return rc;
}

/* The first of several names is met last, and stays. */
static int need_file(ds_filepart *p, char *target, const char *as, ds_err *err)
{
    needed *n = NULL;
    bool fresh;
    if (chosen(p, target))
        return 0;
    char *mine = strdup(as);
    int rc = mine ? add(&n, &fresh, &p->files, strdup(target), err) : ds_fail_nomem(err);
    if (rc) {
        free(mine);
        return rc;
    }
    free(n->as);
    n->as = mine;
    return 0;
}

/* Marks the record's block if it is chosen or needed, and says what that needs in turn. */
static int take(ds_filepart *p, size_t block, const row *r, ds_err *err)
{
    char *text = (char *)p->names.data, *name = text + r->name;
    needed *folder = find(&p->folders, name), *file = find(&p->files, name);
    const char *as = file ? file->as : NULL;
    bool any = false;
    int rc = 0;
    for (size_t i = 0; i < p->patterns.n; i++)
        if (matches(p->patterns.v[i], name))
            p->hit[i] = any = true;
    if (file)
        file->found = true;
    if (folder)
        folder->found = true;
    if (any) {
        as = name;
        rc = need_folders(p, name, err);
    }
    if (r->kind == DS_FILE_FOLDER)
        p->bare[block] |= any || folder;
    else if (as)
        *(r->kind == DS_FILE_SYMLINK ? &p->bare[block] : &p->content[block]) = true;
    if (!rc && as && r->kind == DS_FILE_HARDLINK && r->target)
        rc = need_file(p, text + r->target, as, err);
    return rc;
}

/* ---- blocks ---- */

static int put_name(ds_filepart *p, size_t *at, const ds_value *v, ds_err *err)
{
    int rc = ds_filerec_name(&p->name, v, err);
    *at = p->names.len;
    if (!rc && ds_buf_put(&p->names, p->name.data, p->name.len + 1))
        rc = ds_fail_nomem(err);
    return rc;
}

static int take_block(ds_filepart *p, size_t block, ds_err *err)
{
    int rc = ds_recblock_load(&p->facts, &p->side, block, false, err);
    p->names.len = p->rows.len = 0;
    if (!rc && ds_buf_putc(&p->names, 0)) /* 0 is no place of a name */
        rc = ds_fail_nomem(err);
    while (!rc && ds_recblock_next(&p->facts)) {
        const ds_value *v = p->facts.values;
        row r = {0};
        if (ds_filerec_erased(&v[p->col.key], &v[p->col.kind])) {
            p->erased = true;
            continue;
        }
        rc = ds_filerec_kind(&r.kind, &v[p->col.kind], err);
        rc = rc ? rc : put_name(p, &r.name, &v[p->col.key], err);
        if (!rc && r.kind == DS_FILE_HARDLINK && !v[p->col.target].null)
            rc = put_name(p, &r.target, &v[p->col.target], err);
        if (!rc && ds_buf_put(&p->rows, &r, sizeof r))
            rc = ds_fail_nomem(err);
    }
    const row *rows = (const row *)(const void *)p->rows.data;
    for (size_t i = p->rows.len / sizeof *rows; !rc && i > 0; i--)
        rc = take(p, block, &rows[i - 1], err);
    return rc;
}

/* 1 when a record of the block may be chosen or needed, going by its key. */
static int is_of_use(ds_filepart *p, size_t block, ds_err *err)
{
    static const ds_value no_kind = {0};
    int rc = ds_recblock_load(&p->keys, &p->side, block, false, err);
    while (!rc && ds_recblock_next(&p->keys)) {
        const ds_value *key = &p->keys.values[p->col.key];
        rc = ds_filerec_name(&p->name, key, err);
        char *name = (char *)p->name.data;
        if (!rc && (ds_filerec_erased(key, &no_kind) || chosen(p, name) || find(&p->files, name) ||
                    find(&p->folders, name)))
            return 1;
    }
    return rc;
}

static int look(ds_filepart *p, ds_err *err)
{
    int rc = 0;
    for (size_t i = p->side.n; !rc && i > 0; i--) {
        const size_t next = i > AHEAD ? i - AHEAD : 0;
        if (next)
            ds_recblock_expect(p->keys_only, &p->side, next - 1, false);
        rc = is_of_use(p, i - 1, err);
        if (rc > 0)
            rc = take_block(p, i - 1, err);
        rc = rc ? rc : ds_check_interrupt(err);
    }
    return rc;
}

/* ---- the whole ---- */

static void note_lost(const void *node, VISIT visit, void *lost)
{
    const needed *n = *(needed *const *)node;
    if ((visit == postorder || visit == leaf) && !n->found)
        *(const char **)lost = n->as ? n->as : n->name;
}

static const char *lost_of(const void *tree)
{
    const char *lost = NULL;
    twalk_r(tree, note_lost, &lost);
    return lost;
}

/* Folders that come after what lies in them are met by a second look. */
static int find_all(ds_filepart *p, ds_err *err)
{
    int rc = look(p, err);
    if (!rc && lost_of(p->folders))
        rc = look(p, err);
    for (size_t i = 0; !rc && i < p->patterns.n; i++)
        if (!p->hit[i])
            rc = ds_fail(err, DS_FAIL, "--only '%s': the version has no such file or folder",
                         p->patterns.v[i]);
    const char *lost = rc || p->erased ? NULL : lost_of(p->files);
    if (lost)
        rc = ds_fail(err, DS_FAIL, "'%s': the file that it is another name of is not there", lost);
    return rc;
}

static int prepare(ds_filepart *p, ds_err *err)
{
    const size_t n = p->side.schema.n, blocks = p->side.n ? p->side.n : 1;
    int rc = ds_filerec_find(&p->col, &p->side.schema, err);
    if (rc)
        return rc;
    p->hit = calloc(p->patterns.n, sizeof *p->hit);
    p->keys_only = calloc(n, sizeof *p->keys_only);
    p->no_content = calloc(n, sizeof *p->no_content);
    p->bare = calloc(blocks, sizeof *p->bare);
    p->content = calloc(blocks, sizeof *p->content);
    if (!p->hit || !p->keys_only || !p->no_content || !p->bare || !p->content)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < n; i++)
        p->no_content[i] = i != p->col.content;
    p->keys_only[p->col.key] = true;
    p->keys.only = p->keys_only;
    p->facts.only = p->no_content;
    return 0;
}

static int add_patterns(ds_strlist *l, const char *const *patterns, size_t n, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        const char *from = strncmp(patterns[i], "./", 2) == 0 ? patterns[i] + 2 : patterns[i];
        rc = ds_strlist_add_part(l, from, ds_path_len(from), err);
    }
    return rc;
}

int ds_filepart_open(ds_filepart **out, ds_store *s, const git_oid *commit,
                     const char *const *patterns, size_t n, ds_err *err)
{
    ds_filepart *p = calloc(1, sizeof *p);
    *out = NULL;
    if (!p)
        return ds_fail_nomem(err);
    int rc = add_patterns(&p->patterns, patterns, n, err);
    rc = rc ? rc : ds_verside_open(&p->side, s, commit, NULL, NULL, err);
    rc = rc ? rc : prepare(p, err);
    rc = rc ? rc : find_all(p, err);
    if (rc)
        ds_filepart_close(p);
    else
        *out = p;
    return rc;
}

void ds_filepart_close(ds_filepart *p)
{
    if (!p)
        return;
    tdestroy(p->folders, drop);
    tdestroy(p->files, drop);
    ds_recblock_fini(&p->keys);
    ds_recblock_fini(&p->facts);
    ds_buf_fini(&p->name);
    ds_buf_fini(&p->names);
    ds_buf_fini(&p->rows);
    ds_strlist_fini(&p->patterns);
    free(p->hit);
    free(p->keys_only);
    free(p->no_content);
    free(p->bare);
    free(p->content);
    ds_verside_fini(&p->side);
    free(p);
}

const bool *ds_filepart_blocks(const ds_filepart *p)
{
    return p->content;
}

static int copy(ds_buf *b, const char *name, ds_err *err)
{
    b->len = 0;
    return ds_buf_put(b, name, strlen(name) + 1) ? ds_fail_nomem(err) : 0;
}

/* What a hard link is to; 0 when that is what it would be made as itself. */
static int find_target(ds_filepart *p, ds_treefile *f, ds_err *err)
{
    const int rc = copy(&p->name, f->target, err);
    char *target = (char *)p->name.data;
    const needed *n = rc || chosen(p, target) ? NULL : find(&p->files, target);
    if (n)
        f->target = n->as;
    return rc ? rc : strcmp(f->target, f->name) != 0;
}

static int pick(void *ctx, ds_treefile *f, ds_err *err)
{
    ds_filepart *p = ctx;
    const bool bare = f->kind == DS_FILE_FOLDER || f->kind == DS_FILE_SYMLINK;
    if (bare == p->bare_done)
        return 0;
    const int rc = copy(&p->name, f->name, err);
    if (rc)
        return rc;
    char *name = (char *)p->name.data;
    if (!chosen(p, name)) {
        if (f->kind == DS_FILE_FOLDER)
            return find(&p->folders, name) != NULL;
        const needed *n = find(&p->files, name);
        if (!n)
            return 0;
        f->name = n->as;
    }
    return f->kind == DS_FILE_HARDLINK && f->target ? find_target(p, f, err) : 1;
}

void ds_filepart_pick(ds_filepart *p, ds_filesink_opts *o)
{
    o->pick = pick;
    o->pick_ctx = p;
    o->erased = p->erased;
}

int ds_filepart_bare(ds_filepart *p, ds_filesink *k, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < p->side.n; i++) {
        if (!p->bare[i])
            continue;
        rc = ds_recblock_load(&p->facts, &p->side, i, false, err);
        while (!rc && ds_recblock_next(&p->facts))
            rc = ds_filesink_bare(k, p->facts.values, err);
        rc = rc ? rc : ds_check_interrupt(err);
    }
    p->bare_done = true;
    return rc;
}
