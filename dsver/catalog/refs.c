/* refs.c - see refs.h. */
#include "refs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io.h"
#include "notedlock.h"
#include "packedrefs.h"
#include "sharing.h"
#include "strlist.h"

enum { REF_NAME_MAX = 512, REF_TRIES = 200, REF_DEPTH = 64 };

/* Lets other processes finish: 1 to 16 ms, different in each process. */
static void short_wait(void)
{
    struct timespec now, ts = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    ts.tv_nsec = 1000000 + (now.tv_nsec / 1000 * 7919 + (long)getpid() * 104729) % 15000000;
    nanosleep(&ts, NULL);
}

int ds_ref_get(ds_catalog *c, const char *name, git_oid *id, ds_err *err)
{
    git_reference *r = NULL;
    git_object *o = NULL;
    int rc = git_reference_lookup(&r, ds_catalog_repo(c), name);
    if (rc == GIT_ENOTFOUND || rc == GIT_EINVALIDSPEC)
        return 0;
    if (rc < 0)
        return ds_fail_git_read(err, "catalog ref %s", name);
    rc = git_reference_peel(&o, r, GIT_OBJECT_COMMIT);
    if (rc < 0)
        rc = ds_fail_git_read(err, "catalog ref %s", name);
    else
        *id = *git_object_id(o);
    git_object_free(o);
    git_reference_free(r);
    return rc < 0 ? rc : 1;
}

/* While the lock is held its file names the ref being moved: whoever gets it after one who died in
 * the middle removes what git's library left. A ref that is deleted may stand in packed-refs. */
static int ref_lock(ds_catalog *c, int *fd, const char *name, ds_err *err)
{
    ds_buf left = {0};
    char *path = NULL;
    bool died = false;
    int valid = 0;
    int rc = ds_notedlock_take(fd, ds_catalog_lock(c), name, &left, &died, err);
    const char *old = !rc && died ? ds_buf_cstr(&left) : NULL;
    if (old && git_reference_name_is_valid(&valid, old) == 0 && valid &&
        asprintf(&path, "%s/%s", ds_catalog_dir(c), old) >= 0) {
        ds_gitlock_drop(path);
        free(path);
        if (asprintf(&path, "%s/packed-refs", ds_catalog_dir(c)) >= 0) {
            ds_gitlock_drop(path);
            free(path);
        }
    }
    ds_buf_fini(&left);
    return rc;
}

/* Where git's library could not remove its lock, the next holder does. */
static void ref_unlock(ds_catalog *c, int *fd, const char *name)
{
    char *lock = NULL;
    if (asprintf(&lock, "%s/%s.lock", ds_catalog_dir(c), name) < 0)
        lock = NULL;
    ds_notedlock_release(fd, ds_catalog_lock(c), lock && *name && ds_path_exists(lock));
    free(lock);
}

/* What a ref names: 1, or 0 when it is not there or names another ref. */
static int raw_ref(ds_catalog *c, const char *name, git_oid *id, ds_err *err)
{
    git_reference *r = NULL;
    int rc = git_reference_lookup(&r, ds_catalog_repo(c), name);
    if (rc == GIT_ENOTFOUND)
        return 0;
    if (rc < 0)
        return ds_fail_git_read(err, "catalog ref %s", name);
    const git_oid *to = git_reference_target(r);
    if (to)
        *id = *to;
    git_reference_free(r);
    return to != NULL;
}

/* libgit2's own listing leaves out, without a word, what it cannot read - and what is not listed,
 * gc removes. So refs are listed here: loose ones, then packed ones; any error is one. */

static int list_loose(ds_catalog *c, ds_strlist *l, const char *rel, unsigned depth, ds_err *err);

/* One entry of the folder `rel`: a folder, or a ref. */
static int loose_entry(ds_catalog *c, ds_strlist *l, const char *rel, const char *name,
                       unsigned depth, ds_err *err)
{
    char *sub = NULL, *path = NULL;
    struct stat st;
    size_t len = strlen(name);
    int rc = 0, valid = 0;
    if (len > 5 && strcmp(name + len - 5, ".lock") == 0)
        return 0;
    if (asprintf(&sub, "%s/%s", rel, name) < 0 ||
        asprintf(&path, "%s/%s", ds_catalog_dir(c), sub) < 0)
        rc = ds_fail_nomem(err);
    else if (lstat(path, &st) != 0)
        rc = errno == ENOENT ? 0 : ds_fail_errno(err, errno, "%s", path);
    else if (S_ISDIR(st.st_mode))
        rc = list_loose(c, l, sub, depth + 1, err);
    else if (git_reference_name_is_valid(&valid, sub) == 0 && valid)
        rc = ds_strlist_add(l, sub, err);
    free(path);
    free(sub);
    return rc;
}

static int list_loose(ds_catalog *c, ds_strlist *l, const char *rel, unsigned depth, ds_err *err)
{
    ds_strlist names = {0};
    char *path = NULL;
    int rc = 0;
    if (depth > REF_DEPTH)
        return ds_fail(err, DS_CORRUPT, "catalog: %s: folders too deep", rel);
    if (asprintf(&path, "%s/%s", ds_catalog_dir(c), rel) < 0)
        return ds_fail_nomem(err);
    rc = depth == 0 ? ds_strlist_folder(&names, path, err)
                    : ds_strlist_folder_if_there(&names, path, err);
    for (size_t i = 0; !rc && i < names.n; i++)
        rc = loose_entry(c, l, rel, names.v[i], depth, err);
    ds_strlist_fini(&names);
    free(path);
    return rc;
}

typedef struct found {
    ds_buf names, ids; /* char *, git_oid */
} found;

static int note_found(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    found *f = ctx;
    char *copy = strdup(name);
    if (copy && !ds_buf_put(&f->ids, id, sizeof *id) && !ds_buf_put(&f->names, &copy, sizeof copy))
        return 0;
    free(copy);
    return ds_fail_nomem(err);
}

/* The first entries of a store from before there was a log. */
static int begin_log(ds_catalog *c, ds_err *err)
{
    found f = {0};
    int rc = ds_ref_each_raw(c, note_found, &f, err);
    char **names = (char **)(void *)f.names.data;
    const size_t n = f.names.len / sizeof *names;
    ds_opmove *m = calloc(n + 1, sizeof *m);
    if (!rc && !m)
        rc = ds_fail_nomem(err);
    for (size_t i = 0; !rc && i < n; i++)
        m[i] = (ds_opmove){.ref = names[i], .after = (const git_oid *)(const void *)f.ids.data + i};
    if (!rc && n)
        rc = ds_oplog_append(ds_catalog_oplog(c), m, n, "there when the log began", err);
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(m);
    ds_buf_fini(&f.names);
    ds_buf_fini(&f.ids);
    return rc;
}

/* The entry for what is about to happen. */
static int log_move(ds_catalog *c, const ds_opmove *m, const char *detail, ds_err *err)
{
    ds_oplog *log = ds_catalog_oplog(c);
    int rc = ds_oplog_begun(log) ? 0 : begin_log(c, err);
    return rc ? rc : ds_oplog_append(log, m, m != NULL, detail, err);
}

int ds_ref_note(ds_catalog *c, const char *detail, ds_err *err)
{
    int fd = -1;
    int rc = ref_lock(c, &fd, "", err);
    rc = rc ? rc : log_move(c, NULL, detail, err);
    ref_unlock(c, &fd, "");
    return rc;
}

int ds_ref_hold(ds_catalog *c, int *fd, ds_err *err)
{
    *fd = -1;
    if (faccessat(AT_FDCWD, ds_catalog_dir(c), W_OK, AT_EACCESS) != 0 ||
        ds_open(fd, ds_catalog_lock(c), O_RDWR | O_CREAT, 0666, NULL) != 0)
        return 0;
    return ds_notedlock_wait(*fd, ds_catalog_lock(c), err);
}

void ds_ref_release(ds_catalog *c, int *fd)
{
    ds_close(fd, ds_catalog_lock(c), NULL);
}

static int set_ref(ds_catalog *c, const char *name, const git_oid *expected, const git_oid *to,
                   ds_err *err)
{
    static const git_oid none;
    git_reference *r = NULL;
    int rc = 0;
    for (int tries = 0;; tries++) {
        const ds_sharing_scope scope = ds_sharing_begin(ds_catalog_dir(c));
        rc = git_reference_create_matching(&r, ds_catalog_repo(c), name, to, 1,
                                           expected ? expected : &none, "dsver");
        ds_sharing_end(scope);
        /* Only a git command from outside can hold git's lock now. */
        if (rc != GIT_ELOCKED || tries == REF_TRIES)
            break;
        short_wait();
    }
    git_reference_free(r);
    if (rc == GIT_EMODIFIED || rc == GIT_ENOTFOUND)
        return 0;
    return rc == 0 ? 1 : ds_fail_git(err, rc, "cannot move %s", name);
}

static int clash(const char *name, const char *other, ds_err *err)
{
    return ds_fail(err, DS_FAIL,
                   "%s cannot be made beside %s: git keeps names like files, and one of the two "
                   "would be a folder",
                   name, other);
}

/* Of packed refs below the name git's library is to find the clash. */
int ds_ref_check_new(ds_catalog *c, const char *name, ds_err *err)
{
    char part[REF_NAME_MAX];
    ds_strlist below = {0};
    git_oid id;
    int rc = 0;
    for (const char *s = strchr(name, '/'); !rc && s; s = strchr(s + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(s - name), name);
        rc = git_reference_name_to_id(&id, ds_catalog_repo(c), part) == 0 ? clash(name, part, err)
                                                                          : 0;
    }
    /* What is no folder has nothing below it. */
    if (!rc && list_loose(c, &below, name, 1, NULL) == 0 && below.n)
        rc = clash(name, below.v[0], err);
    ds_strlist_fini(&below);
    return rc;
}

int ds_ref_move(ds_catalog *c, const char *name, const git_oid *expected, const git_oid *to,
                ds_err *err)
{
    const ds_opmove m = {.ref = name, .before = expected, .after = to};
    git_oid at;
    int fd = -1;
    if (strlen(name) >= REF_NAME_MAX)
        return ds_fail(err, DS_USAGE, "ref name too long: %s", name);
    int rc = ref_lock(c, &fd, name, err);
    rc = rc ? rc : raw_ref(c, name, &at, err);
    if (rc < 0)
        goto out;
    if (rc != (expected != NULL) || (rc && !git_oid_equal(&at, expected))) {
        rc = 0;
        goto out;
    }
    rc = expected ? 0 : ds_ref_check_new(c, name, err);
    rc = rc ? rc : log_move(c, &m, NULL, err);
    rc = rc ? rc : set_ref(c, name, expected, to, err);
out:
    ref_unlock(c, &fd, name);
    return rc;
}

/* ---- many new ones ---- */

int ds_newref_cmp(const void *a, const void *b)
{
    return strcmp(((const ds_newref *)a)->name, ((const ds_newref *)b)->name);
}

/* One of them is where another wants a folder. */
static bool in_the_way(const ds_newref *v, size_t n, const char *name)
{
    char part[REF_NAME_MAX];
    bool is = false;
    for (const char *s = strchr(name, '/'); !is && s; s = strchr(s + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(s - name), name);
        const ds_newref key = {.name = part};
        is = bsearch(&key, v, n, sizeof *v, ds_newref_cmp) != NULL;
    }
    return is;
}

static int look_at_new(ds_catalog *c, ds_newref *r, ds_err *err)
{
    ds_err why = {0};
    git_oid at;
    int rc = raw_ref(c, r->name, &at, err);
    if (rc == 0)
        rc = ds_ref_check_new(c, r->name, &why);
    r->made = rc == 0;
    return rc < 0 && rc != DS_FAIL ? ds_fail(err, rc, "%s", why.msg) : 0;
}

static int log_new(ds_catalog *c, const ds_newref *v, size_t n, ds_err *err)
{
    ds_oplog *log = ds_catalog_oplog(c);
    ds_opmove *m = calloc(n, sizeof *m);
    size_t made = 0;
    int rc = !m ? ds_fail_nomem(err) : ds_oplog_begun(log) ? 0 : begin_log(c, err);
    for (size_t i = 0; !rc && i < n; i++)
        if (v[i].made)
            m[made++] = (ds_opmove){.ref = v[i].name, .after = &v[i].to};
    rc = rc || !made ? rc : ds_oplog_append(log, m, made, NULL, err);
    free(m);
    return rc;
}

int ds_ref_make(ds_catalog *c, ds_newref *v, size_t n, ds_err *err)
{
    int fd = -1, rc = 0;
    for (size_t i = 0; i < n; i++)
        if (strlen(v[i].name) >= REF_NAME_MAX)
            return 0;
    if (n == 0)
        return 0;
    qsort(v, n, sizeof *v, ds_newref_cmp);
    rc = ref_lock(c, &fd, v[0].name, err);
    for (size_t i = 0; !rc && i < n; i++) {
        rc = look_at_new(c, &v[i], err);
        v[i].made = v[i].made && !in_the_way(v, n, v[i].name);
    }
    rc = rc ? rc : log_new(c, v, n, err);
    const int added = rc ? rc : ds_packedrefs_add(c, v, n, err);
    ref_unlock(c, &fd, v[0].name);
    for (size_t i = 0; added <= 0 && i < n; i++)
        v[i].made = false;
    return added < 0 ? added : 0;
}

/* The commit that a ref leads to: 1, or 0 when it is gone meanwhile or leads to something else. */
static int peel_ref(ds_catalog *c, const char *name, git_oid *id, ds_err *err)
{
    git_reference *r = NULL;
    git_object *o = NULL;
    int rc = git_reference_lookup(&r, ds_catalog_repo(c), name);
    if (rc == GIT_ENOTFOUND)
        return 0;
    if (rc < 0)
        return ds_fail_git_read(err, "catalog ref %s", name);
    rc = git_reference_peel(&o, r, GIT_OBJECT_COMMIT);
    git_reference_free(r);
    if (rc == GIT_EINVALIDSPEC || rc == GIT_EPEEL)
        return 0; /* a tag of something that is no commit */
    if (rc < 0)
        return ds_fail_git_read(err, "catalog ref %s", name);
    *id = *git_object_id(o);
    git_object_free(o);
    return 1;
}

/* Names of all refs, in order, each once: many are loose and packed. */
static int list_all(ds_catalog *c, ds_strlist *l, ds_err *err)
{
    size_t n = 0;
    int rc = list_loose(c, l, "refs", 0, err);
    rc = rc ? rc : ds_packedrefs_list(l, ds_catalog_dir(c), err);
    ds_strlist_sort(l);
    for (size_t i = 0; i < l->n; i++) {
        if (n > 0 && strcmp(l->v[i], l->v[n - 1]) == 0)
            free(l->v[i]);
        else
            l->v[n++] = l->v[i];
    }
    l->n = n;
    return rc;
}

static int each(ds_catalog *c, int (*look)(ds_catalog *, const char *, git_oid *, ds_err *),
                ds_ref_fn fn, void *ctx, ds_err *err)
{
    ds_strlist l = {0};
    int rc = list_all(c, &l, err);
    for (size_t i = 0; !rc && i < l.n; i++) {
        git_oid id;
        ds_err why = {0};
        rc = look(c, l.v[i], &id, &why);
        if (rc > 0)
            rc = fn(ctx, l.v[i], &id, err);
        else if (rc == DS_CORRUPT && ds_catalog_passes_damaged(c))
            rc = 0;
        else if (rc < 0)
            ds_fail_as(err, &why);
    }
    ds_strlist_fini(&l);
    return rc;
}

int ds_ref_damaged(ds_catalog *c, ds_badref_fn fn, void *ctx, uint64_t *n, ds_err *err)
{
    ds_strlist l = {0};
    int rc = list_all(c, &l, err);
    *n = 0;
    for (size_t i = 0; !rc && i < l.n; i++) {
        git_oid id;
        ds_err why = {0};
        const int got = peel_ref(c, l.v[i], &id, &why);
        if (got == DS_CORRUPT) {
            ++*n;
            fn(ctx, l.v[i], &why);
        } else if (got < 0) {
            rc = ds_fail_as(err, &why);
        }
    }
    ds_strlist_fini(&l);
    return rc;
}

int ds_ref_each(ds_catalog *c, ds_ref_fn fn, void *ctx, ds_err *err)
{
    return each(c, peel_ref, fn, ctx, err);
}

int ds_ref_each_raw(ds_catalog *c, ds_ref_fn fn, void *ctx, ds_err *err)
{
    return each(c, raw_ref, fn, ctx, err);
}

static int any_ref(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    (void)ctx;
    (void)name;
    (void)id;
    (void)err;
    return 1;
}

static int add_commit(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    (void)name;
    return ds_buf_put(ctx, id, sizeof *id) ? ds_fail_nomem(err) : 0;
}

int ds_ref_commits(ds_buf *commits, ds_catalog *c, ds_err *err)
{
    return ds_ref_each(c, add_commit, commits, err);
}

int ds_ref_any(ds_catalog *c, ds_err *err)
{
    return ds_ref_each_raw(c, any_ref, NULL, err);
}

static int delete_ref(ds_catalog *c, const char *name, ds_err *err)
{
    git_reference *r = NULL;
    int rc = git_reference_lookup(&r, ds_catalog_repo(c), name);
    for (int tries = 0; rc == 0 || (rc == GIT_ELOCKED && tries < REF_TRIES); tries++) {
        const ds_sharing_scope scope = ds_sharing_begin(ds_catalog_dir(c)); /* of packed-refs */
        rc = git_reference_delete(r);
        ds_sharing_end(scope);
        if (rc != GIT_ELOCKED)
            break;
        short_wait();
    }
    git_reference_free(r);
    return rc == 0 ? 1 : ds_fail_git(err, rc, "cannot delete %s", name);
}

int ds_ref_delete(ds_catalog *c, const char *name, const git_oid *expected, ds_err *err)
{
    git_oid at;
    const ds_opmove m = {.ref = name, .before = &at};
    int fd = -1;
    int rc = ref_lock(c, &fd, name, err);
    if (!rc)
        rc = ds_ref_get(c, name, &at, err);
    if (rc > 0)
        rc = git_oid_equal(&at, expected) ? raw_ref(c, name, &at, err) : 0;
    if (rc > 0) {
        rc = log_move(c, &m, NULL, err);
        rc = rc ? rc : delete_ref(c, name, err);
    }
    ref_unlock(c, &fd, name);
    return rc;
}

/* ---- heads that a ref left behind ---- */

/* When what is left behind was left. Where the clock is behind the version itself it was set back,
 * or lost: the next gc, with a clock that is right, would take it for old. */
static int64_t kept_since(ds_catalog *c, const git_oid *id)
{
    const int64_t now = (int64_t)time(NULL);
    git_object *o = NULL, *commit = NULL;
    int64_t made = now;
    if (git_object_lookup(&o, ds_catalog_repo(c), id, GIT_OBJECT_ANY) == 0 &&
        git_object_peel(&commit, o, GIT_OBJECT_COMMIT) == 0)
        made = git_commit_time((const git_commit *)commit);
    git_object_free(commit);
    git_object_free(o);
    return made > now ? made : now;
}

int ds_ref_keep(ds_catalog *c, const char *name, const git_oid *id, ds_err *err)
{
    char kept[REF_NAME_MAX];
    const char *tail = strncmp(name, "refs/", 5) == 0 ? name + 5 : name;
    int n = snprintf(kept, sizeof kept, DS_REF_KEPT "%" PRId64 "-%.10s/%s", kept_since(c, id),
                     git_oid_tostr_s(id), tail);
    if (n < 0 || (size_t)n >= sizeof kept)
        return ds_fail(err, DS_USAGE, "ref name too long: %s", name);
    int rc = ds_ref_move(c, kept, NULL, id, err);
    return rc < 0 ? rc : 0; /* there already: the same head in the same second */
}

int ds_ref_drop(ds_catalog *c, const char *name, const git_oid *expected, ds_err *err)
{
    const int rc = ds_ref_keep(c, name, expected, err);
    return rc ? rc : ds_ref_delete(c, name, expected, err);
}

typedef struct expiry {
    ds_catalog *cat;
    int64_t until;
    uint64_t n;
    bool dry_run;
} expiry;

static int expire(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    expiry *x = ctx;
    const size_t pre = sizeof DS_REF_KEPT - 1;
    char *end;
    if (strncmp(name, DS_REF_KEPT, pre) != 0)
        return 0;
    errno = 0;
    const long long t = strtoll(name + pre, &end, 10);
    if (errno || end == name + pre || *end != '-' || t > x->until)
        return 0; /* not one of ours, or young */
    int rc = x->dry_run ? 0 : ds_ref_delete(x->cat, name, id, err);
    x->n += rc >= 0;
    return rc < 0 ? rc : 0;
}

int ds_ref_expire(ds_catalog *c, int64_t until, bool dry_run, uint64_t *n, ds_err *err)
{
    expiry x = {.cat = c, .until = until, .dry_run = dry_run};
    int rc = ds_ref_each(c, expire, &x, err);
    *n = x.n;
    return rc;
}
