/* gitrun.c - see gitrun.h. */
#include "gitrun.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalog.h"
#include "child.h"
#include "io.h"
#include "packdir.h"
#include "packjoin.h"
#include "pushrepo.h"
#include "refs.h"
#include "remoteurl.h"
#include "rmtree.h"
#include "sharing.h"

/* ---- refs of another repository ---- */

void ds_gitrefs_fini(ds_gitrefs *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->v[i].name);
    free(r->v);
    *r = (ds_gitrefs){0};
}

int ds_gitrefs_add(ds_gitrefs *r, char *name, const git_oid *id, ds_err *err)
{
    if (!name || ds_grow(&r->v, &r->cap, r->n, sizeof *r->v)) {
        free(name);
        return ds_fail_nomem(err);
    }
    r->v[r->n++] = (ds_gitref){.name = name, .id = *id};
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const ds_gitref *)a)->name, ((const ds_gitref *)b)->name);
}

const git_oid *ds_gitrefs_find(const ds_gitrefs *r, const char *name)
{
    ds_gitref key = {.name = ds_child_arg(name)};
    const ds_gitref *f = r->n ? bsearch(&key, r->v, r->n, sizeof *r->v, by_name) : NULL;
    return f ? &f->id : NULL;
}

static bool ours(const char *name)
{
    int valid = 0;
    return (strncmp(name, "refs/heads/", 11) == 0 || strncmp(name, "refs/tags/", 10) == 0 ||
            strncmp(name, "refs/dsver/runs/", 16) == 0 || strcmp(name, "refs/dsver/erased") == 0) &&
           git_reference_name_is_valid(&valid, name) == 0 && valid && strlen(name) < 512;
}

static int parse_refs(ds_gitrefs *r, const ds_buf *text, ds_err *err)
{
    const char *s = (const char *)text->data;
    for (size_t at = 0; at < text->len;) {
        const char *line = s + at, *nl = memchr(line, '\n', text->len - at);
        size_t n = nl ? (size_t)(nl - line) : text->len - at;
        ds_gitref one;
        at += n + 1;
        if (n < GIT_OID_HEXSZ + 2 || line[GIT_OID_HEXSZ] != '\t' ||
            git_oid_fromstrn(&one.id, line, GIT_OID_HEXSZ) != 0)
            return ds_fail(err, DS_CORRUPT, "git ls-remote says what cannot be understood");
        one.name = strndup(line + GIT_OID_HEXSZ + 1, n - GIT_OID_HEXSZ - 1);
        if (!one.name)
            return ds_fail_nomem(err);
        if (!ours(one.name)) { /* "x^{}", what a tag leads to, is not valid either */
            free(one.name);
            continue;
        }
        if (ds_gitrefs_add(r, one.name, &one.id, err))
            return DS_NOMEM;
    }
    if (r->n)
        qsort(r->v, r->n, sizeof *r->v, by_name);
    return 0;
}

int ds_git_refs(ds_gitrefs *out, const char *url, ds_err *err)
{
    ds_buf text = {0}, bad = {0};
    int status = 0;
    char *argv[] = {ds_child_arg("git"), ds_child_arg("ls-remote"), ds_child_arg("--quiet"),
                    ds_child_arg("--"),  ds_child_arg(url),         NULL};
    *out = (ds_gitrefs){0};
    int rc = ds_git_url_check(url, err);
    rc = rc ? rc : ds_child_run(argv, NULL, 0, &text, &bad, &status, err);
    if (!rc && status)
        rc = ds_fail(err, DS_IO, "git cannot read %s: %s", url, ds_child_said(&bad));
    rc = rc ? rc : ds_git_begin(err);
    rc = rc ? rc : parse_refs(out, &text, err);
    if (rc)
        ds_gitrefs_fini(out);
    ds_buf_fini(&text);
    ds_buf_fini(&bad);
    return rc;
}

/* ---- objects ---- */

int ds_git_fetch(const char *dir, const char *url, const git_oid *ids, size_t n, ds_err *err)
{
    ds_buf input = {0}, text = {0}, bad = {0};
    char *where = NULL;
    int status = 0, rc = ds_git_url_check(url, err);
    if (!rc && asprintf(&where, "--git-dir=%s", dir) < 0) {
        where = NULL;
        rc = ds_fail_nomem(err);
    }
    for (size_t i = 0; !rc && i < n; i++)
        if (ds_buf_printf(&input, "%s\n", git_oid_tostr_s(&ids[i])))
            rc = ds_fail_nomem(err);
    /* Objects and no refs, whatever a user has set: pruneTags makes tags, and deletes our own. */
    char *argv[] = {ds_child_arg("git"),
                    where,
                    ds_child_arg("-c"),
                    ds_child_arg("fetch.prune=false"),
                    ds_child_arg("-c"),
                    ds_child_arg("fetch.pruneTags=false"),
                    ds_child_arg("-c"),
                    ds_child_arg("fetch.unpackLimit=1"),
                    ds_child_arg("-c"),
                    ds_child_arg("fetch.fsckObjects=true"),
                    ds_child_arg("-c"),
                    ds_child_arg("core.fsync=all"),
                    ds_child_arg("fetch"),
                    ds_child_arg("--quiet"),
                    ds_child_arg("--no-tags"),
                    ds_child_arg("--no-write-fetch-head"),
                    ds_child_arg("--no-auto-maintenance"),
                    ds_child_arg("--no-recurse-submodules"),
                    ds_child_arg("--stdin"),
                    ds_child_arg("--"),
                    ds_child_arg(url),
                    NULL};
    if (!rc && n)
        rc = ds_child_run(argv, input.data, input.len, &text, &bad, &status, err);
    if (!rc && status)
        rc = ds_fail(err, DS_IO, "git cannot fetch from %s: %s", url, ds_child_said(&bad));
    free(where);
    ds_buf_fini(&input);
    ds_buf_fini(&text);
    ds_buf_fini(&bad);
    return rc;
}

/* ---- moving refs there ---- */

/* A user's push.followTags would bring a tag back that is deleted. */
static const char *const push_words[] = {"push", "--quiet", "--porcelain", "--no-verify",
                                         "--no-follow-tags"};
enum { PUSH_WORDS = sizeof push_words / sizeof *push_words };

/* A lease and a refspec for each. */
static int push_args(char ***out, const char *dir, const char *url, const ds_gitmove *m, size_t n,
                     ds_err *err)
{
    size_t k = 0;
    char **v = calloc(2 * n + 6 + PUSH_WORDS, sizeof *v);
    *out = v;
    if (!v)
        return ds_fail_nomem(err);
    bool ok = (v[k++] = strdup("git")) && asprintf(&v[k++], "--git-dir=%s", dir) >= 0;
    for (size_t i = 0; ok && i < PUSH_WORDS; i++)
        ok = (v[k++] = strdup(push_words[i])) != NULL;
    if (ok &&
        n > 1) /* one ref is atomic anyway, also where the other side does not know the word */
        ok = (v[k++] = strdup("--atomic")) != NULL;
    for (size_t i = 0; ok && i < n; i++)
        ok = asprintf(&v[k++], "--force-with-lease=%s:%s", m[i].name,
                      m[i].exists ? git_oid_tostr_s(&m[i].from) : "") >= 0;
    ok = ok && (v[k++] = strdup("--")) && (v[k++] = strdup(url));
    for (size_t i = 0; ok && i < n; i++)
        ok = asprintf(&v[k++], "%s:%s", git_oid_is_zero(&m[i].to) ? "" : git_oid_tostr_s(&m[i].to),
                      m[i].name) >= 0;
    if (!ok)
        v[k - 1] = NULL;
    return ok ? 0 : ds_fail_nomem(err);
}

/* All that repo has (pushrepo.h). A user's wish that leases be proven by a reflog is not for it. */
static int push_all_args(char ***out, const char *repo, const char *url, ds_err *err)
{
    size_t k = 0;
    char **v = calloc(12 + PUSH_WORDS, sizeof *v);
    *out = v;
    if (!v)
        return ds_fail_nomem(err);
    bool ok = (v[k++] = strdup("git")) && asprintf(&v[k++], "--git-dir=%s", repo) >= 0 &&
              (v[k++] = strdup("-c")) && (v[k++] = strdup("push.useForceIfIncludes=false")) &&
              (v[k++] = strdup("-c")) &&
              asprintf(&v[k++], "remote." DS_PUSHREPO_REMOTE ".url=%s", url) >= 0;
    for (size_t i = 0; ok && i < PUSH_WORDS; i++)
        ok = (v[k++] = strdup(push_words[i])) != NULL;
    ok = ok && (v[k++] = strdup("--atomic")) && (v[k++] = strdup("--force-with-lease")) &&
         (v[k++] = strdup("--")) && (v[k++] = strdup(DS_PUSHREPO_REMOTE)) &&
         (v[k++] = strdup(DS_PUSHREPO_SPEC));
    if (!ok)
        v[k - 1] = NULL;
    return ok ? 0 : ds_fail_nomem(err);
}

/* Many go by a repository of their own. *repo: its folder; NULL: none was made. */
static int choose_args(char ***argv, char **repo, const char *dir, const char *url,
                       const ds_gitmove *m, size_t n, ds_err *err)
{
    bool many = n >= DS_REF_MANY;
    for (size_t i = 0; many && i < n; i++)
        many = !git_oid_is_zero(&m[i].to);
    if (!many)
        return push_args(argv, dir, url, m, n, err);
    int rc = ds_pushrepo_make(repo, dir, m, n, err);
    return rc ? rc : push_all_args(argv, *repo, url, err);
}

/* Of --porcelain's lines the first that says that a ref was rejected, rather one for itself than as
 * others were. */
static const char *rejected(ds_buf *text)
{
    char *found = NULL, *rest = NULL;
    if (!ds_buf_cstr(text))
        return NULL;
    for (char *line = strtok_r((char *)text->data, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        const bool others = strstr(line, "(atomic push fail") != NULL;
        if (strncmp(line, "!\t", 2) != 0)
            continue;
        if (!found || !others)
            found = line + 2;
        if (!others)
            break;
    }
    if (found && strchr(found, ':')) /* FROM:TO */
        found = strchr(found, ':') + 1;
    for (char *p = found; p && *p; p++)
        if (*p == '\t')
            *p = ' ';
    return found;
}

int ds_git_push(const char *dir, const char *url, const ds_gitmove *m, size_t n, ds_err *err)
{
    ds_buf text = {0}, bad = {0};
    char **argv = NULL, *repo = NULL;
    int status = 0, rc = ds_git_url_check(url, err);
    rc = rc ? rc : choose_args(&argv, &repo, dir, url, m, n, err);
    rc = rc ? rc : ds_child_run(argv, NULL, 0, &text, &bad, &status, err);
    if (repo)
        ds_remove_tree(repo);
    free(repo);
    if (!rc && status) {
        const char *why = rejected(&text);
        if (why && strstr(why, "(unpacker error)")) /* the other side could not write */
            why = NULL;
        if (!why)
            rc = ds_fail(err, DS_IO, "git cannot push to %s: %s", url, ds_child_said(&bad));
        else if (strstr(why, "declined")) /* by a hook of theirs, which says why */
            rc = ds_fail(err, DS_FAIL, "%s: rejected: %s: %s", url, why, ds_child_said(&bad));
        else if (strstr(why, "prohibited")) /* by its configuration */
            rc = ds_fail(err, DS_FAIL, "%s: rejected: %s", url, why);
        else
            rc = ds_fail(err, DS_FAIL,
                         "%s: rejected: %s (somebody pushed meanwhile? run dsver fetch and try "
                         "again)",
                         url, why);
    }
    for (size_t i = 0; argv && argv[i]; i++)
        free(argv[i]);
    free(argv);
    ds_buf_fini(&text);
    ds_buf_fini(&bad);
    return rc;
}

/* ---- a repository of our own ---- */

static const char config[] = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = "
                             "true\n\tfsync = all\n[receive]\n\tunpackLimit = 1\n\tfsckObjects = "
                             "true\n[gc]\n\tauto = 0\n";

static const char *local_path(const char *url)
{
    return strncmp(url, "file://", 7) == 0 ? url + 7 : url;
}

int ds_git_lacks(const char *url, ds_err *err)
{
    const char *path = local_path(url);
    char *file = NULL;
    if (*path != '/')
        return 0;
    if (asprintf(&file, "%s/HEAD", path) < 0)
        return ds_fail_nomem(err);
    const bool there = ds_path_exists(file);
    free(file);
    return !there;
}

static int write_config(const char *path, ds_err *err)
{
    const enum ds_sharing how = ds_sharing_of(path);
    ds_buf text = {0};
    int rc = ds_buf_put(&text, config, sizeof config - 1);
    if (!rc && how != DS_SHARED_UMASK)
        rc = ds_buf_printf(&text, "[core]\n\tsharedRepository = %s\n", ds_sharing_words[how]);
    rc = rc ? ds_fail_nomem(err) : ds_atomic_write(path, 0666, text.data, text.len, err);
    ds_buf_fini(&text);
    return rc;
}

static int make_bare(const char *dir, ds_err *err)
{
    git_repository *repo = NULL;
    char *file = NULL;
    git_repository_init_options o;
    git_repository_init_options_init(&o, GIT_REPOSITORY_INIT_OPTIONS_VERSION);
    o.flags = GIT_REPOSITORY_INIT_BARE;
    o.initial_head = "main";
    int rc = ds_git_begin(err);
    const ds_sharing_scope scope = ds_sharing_begin(dir);
    const int made = rc ? rc : git_repository_init_ext(&repo, dir, &o);
    ds_sharing_end(scope);
    if (!rc && made < 0)
        rc = ds_fail_git(err, made, "%s: cannot be made", dir);
    git_repository_free(repo);
    if (!rc && asprintf(&file, "%s/config", dir) < 0)
        return ds_fail_nomem(err);
    rc = rc ? rc : write_config(file, err);
    free(file);
    return rc;
}

/* Without slashes at its end; the folders that it is to lie in are made. */
static int place_for(char **dir, const char *path, ds_err *err)
{
    if (!(*dir = strndup(path, ds_path_len(path))))
        return ds_fail_nomem(err);
    char *slash = strrchr(*dir, '/');
    if (!slash || slash == *dir)
        return 0;
    *slash = '\0';
    int rc = ds_sharing_follow(*dir, err);
    rc = rc ? rc : ds_mkdirs(*dir, err);
    *slash = '/';
    return rc;
}

int ds_git_make(const char *url, ds_err *err)
{
    char *dir = NULL, *tmp = NULL;
    int lock = -1, rc = place_for(&dir, local_path(url), err);
    rc = rc ? rc : ds_beside_folder(&tmp, &lock, dir, err);
    rc = rc ? rc : make_bare(tmp, err);
    const bool mine = !rc && ds_io_active->rename(tmp, dir) == 0;
    const int why = errno;
    if (!rc && !mine && ds_git_lacks(url, NULL) != 0) /* else another push made it */
        rc = ds_fail_errno(err, why, "%s: cannot be made", dir);
    rc = rc ? rc : ds_fsync_parent(dir, err);
    if (tmp && !mine)
        ds_remove_tree(tmp);
    (void)ds_close(&lock, dir, NULL);
    free(dir);
    free(tmp);
    return rc;
}

static int count_packs(size_t *n, const char *dir, ds_err *err)
{
    ds_packdir d = {0};
    const int rc = ds_packdir_read(&d, dir, err);
    *n = d.names.n;
    ds_packdir_fini(&d);
    return rc;
}

static int repack(const char *dir, ds_err *err)
{
    ds_buf text = {0}, bad = {0};
    char *where = NULL;
    int status = 0;
    if (asprintf(&where, "--git-dir=%s", dir) < 0)
        return ds_fail_nomem(err);
    char *argv[] = {ds_child_arg("git"),
                    where,
                    ds_child_arg("repack"),
                    ds_child_arg("-q"),
                    ds_child_arg("-d"),
                    ds_child_arg("-l"),
                    ds_child_arg("--geometric=2"),
                    NULL};
    int rc = ds_child_run(argv, NULL, 0, &text, &bad, &status, err);
    if (!rc && status)
        rc = ds_fail(err, DS_IO, "%s: git cannot join its packs: %s", dir, ds_child_said(&bad));
    free(where);
    ds_buf_fini(&text);
    ds_buf_fini(&bad);
    return rc;
}

int ds_git_join(uint64_t *n, const char *url, ds_err *err)
{
    const char *dir = local_path(url);
    size_t before = 0, after = 0;
    *n = 0;
    int rc = *dir == '/' ? count_packs(&before, dir, err) : 0;
    if (rc || before <= DS_PACKJOIN_MAX)
        return rc;
    rc = repack(dir, err);
    rc = rc ? rc : count_packs(&after, dir, err);
    *n = !rc && after < before ? before - after : 0;
    return rc;
}
