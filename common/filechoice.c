/* filechoice.c - see filechoice.h. */
#include "filechoice.h"

#include <fnmatch.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "strlist.h"

/* A record that is needed for one that is chosen. */
typedef struct needed {
    char *name;
    char *as; /* the chosen name that it is made under; NULL: its own, being a folder */
    bool found;
} needed;

struct ds_filechoice {
    const char *whole;
    ds_strlist patterns;
    bool *hit;             /* of each pattern */
    void *folders, *files; /* trees of `needed` */
    ds_buf name;
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

static bool chosen(const ds_filechoice *c, char *name)
{
    for (size_t i = 0; i < c->patterns.n; i++)
        if (matches(c->patterns.v[i], name))
            return true;
    return false;
}

/* ---- records ---- */

static int need_folders(ds_filechoice *c, const char *name, ds_err *err)
{
    const char *end = strrchr(name, '/');
    needed *n = NULL;
    bool fresh = true; /* else those before it are there as well */
    int rc = 0;
    while (!rc && end && fresh) {
        rc = add(&n, &fresh, &c->folders, strndup(name, (size_t)(end - name)), err);
        end = memrchr(name, '/', (size_t)(end - name));
    }
    return rc;
}

/* The first of several names is met last, and stays. */
static int need_file(ds_filechoice *c, char *target, const char *as, ds_err *err)
{
    needed *n = NULL;
    bool fresh;
    if (chosen(c, target))
        return 0;
    char *mine = strdup(as);
    int rc = mine ? add(&n, &fresh, &c->files, strdup(target), err) : ds_fail_nomem(err);
    if (rc) {
        free(mine);
        return rc;
    }
    free(n->as);
    n->as = mine;
    return 0;
}

int ds_filechoice_take(ds_filechoice *c, char *name, enum ds_filekind kind, char *target,
                       bool *made, ds_err *err)
{
    needed *folder = find(&c->folders, name), *file = find(&c->files, name);
    const char *as = file ? file->as : NULL;
    bool any = false;
    int rc = 0;
    for (size_t i = 0; i < c->patterns.n; i++)
        if (matches(c->patterns.v[i], name))
            c->hit[i] = any = true;
    if (file)
        file->found = true;
    if (folder)
        folder->found = true;
    if (any) {
        as = name;
        rc = need_folders(c, name, err);
    }
    *made = kind == DS_FILE_FOLDER ? any || folder : as != NULL;
    if (!rc && as && kind == DS_FILE_HARDLINK && target)
        rc = need_file(c, target, as, err);
    return rc;
}

bool ds_filechoice_wants(const ds_filechoice *c, char *name)
{
    return chosen(c, name) || find(&c->files, name) || find(&c->folders, name);
}

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

bool ds_filechoice_lacks_folder(const ds_filechoice *c)
{
    return lost_of(c->folders) != NULL;
}

int ds_filechoice_check(const ds_filechoice *c, ds_err *err)
{
    for (size_t i = 0; i < c->patterns.n; i++)
        if (!c->hit[i])
            return ds_fail(
                err, DS_FAIL,
                "--only '%s': %s has no such file or folder (dsprep cat shows the names as "
                "keys: they begin below the folder that was read)",
                c->patterns.v[i], c->whole);
    return 0;
}

int ds_filechoice_check_links(const ds_filechoice *c, ds_err *err)
{
    const char *lost = lost_of(c->files);
    return lost ? ds_fail(err, DS_FAIL, "'%s': the file that it is another name of is not there",
                          lost)
                : 0;
}

static int copy(ds_buf *b, const char *name, ds_err *err)
{
    b->len = 0;
    return ds_buf_put(b, name, strlen(name) + 1) ? ds_fail_nomem(err) : 0;
}

/* What a hard link is to; 0 when that is what it would be made as itself. */
static int find_target(ds_filechoice *c, ds_treefile *f, ds_err *err)
{
    const int rc = copy(&c->name, f->target, err);
    char *target = (char *)c->name.data;
    const needed *n = rc || chosen(c, target) ? NULL : find(&c->files, target);
    if (n)
        f->target = n->as;
    return rc ? rc : strcmp(f->target, f->name) != 0;
}

int ds_filechoice_pick(ds_filechoice *c, ds_treefile *f, ds_err *err)
{
    const int rc = copy(&c->name, f->name, err);
    if (rc)
        return rc;
    char *name = (char *)c->name.data;
    needed *n = find(&c->files, name);
    if (n)
        n->found = true;
    if (!chosen(c, name)) {
        if (f->kind == DS_FILE_FOLDER)
            return find(&c->folders, name) != NULL;
        if (!n)
            return 0;
        f->name = n->as;
    }
    return f->kind == DS_FILE_HARDLINK && f->target ? find_target(c, f, err) : 1;
}

/* ---- the whole ---- */

static int add_patterns(ds_strlist *l, const char *const *patterns, size_t n, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        const char *from = strncmp(patterns[i], "./", 2) == 0 ? patterns[i] + 2 : patterns[i];
        rc = ds_strlist_add_part(l, from, ds_path_len(from), err);
    }
    return rc;
}

int ds_filechoice_new(ds_filechoice **out, const char *const *patterns, size_t n, const char *whole,
                      ds_err *err)
{
    ds_filechoice *c = calloc(1, sizeof *c);
    *out = NULL;
    if (!c)
        return ds_fail_nomem(err);
    c->whole = whole;
    int rc = add_patterns(&c->patterns, patterns, n, err);
    if (!rc && !(c->hit = calloc(n + 1, sizeof *c->hit)))
        rc = ds_fail_nomem(err);
    if (rc)
        ds_filechoice_free(c);
    else
        *out = c;
    return rc;
}

void ds_filechoice_free(ds_filechoice *c)
{
    if (!c)
        return;
    tdestroy(c->folders, drop);
    tdestroy(c->files, drop);
    ds_strlist_fini(&c->patterns);
    ds_buf_fini(&c->name);
    free(c->hit);
    free(c);
}
