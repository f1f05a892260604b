/* catalog.c - see catalog.h. */
#include "catalog.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gitlib.h"
#include "io.h"
#include "openpacks.h"
#include "overlay.h"
#include "refs.h"
#include "sharing.h"
#include "sign.h"
#include "storefind.h"
#include "utf8.h"

enum {
    NAME_MAX_LEN = 128,
    MESSAGE_MAX = 1 << 20,
    LIST_TRIES = 10,
    OPEN_PACKS = 64 /* libgit2 has no limit of its own, and takes a pack that it cannot open for
                       one that is not there */
};

struct ds_catalog {
    git_repository *repo;
    git_odb *odb;
    char *dir, *pack_dir, *lock;
    ds_oplog *log;
    ds_overlay *erased;
    bool erased_known;
    bool noted; /* among those that are open */
    bool pass_damaged;
};

/* Git's library puts the system's words behind its own, and keeps no number. */
static bool says(const git_error *e, int errnum)
{
    return e && e->message && strstr(e->message, strerror(errnum));
}

static int code_of(int rc, const git_error *e)
{
    if (rc == GIT_ELOCKED)
        return DS_LOCKED;
    switch (e ? e->klass : GIT_ERROR_NONE) {
    case GIT_ERROR_NOMEMORY:
        return DS_NOMEM;
    case GIT_ERROR_OS:
        return says(e, ENOSPC) || says(e, EDQUOT) ? DS_NOROOM : DS_IO;
    case GIT_ERROR_ODB:
    case GIT_ERROR_OBJECT:
    case GIT_ERROR_ZLIB:
    case GIT_ERROR_TREE:
    case GIT_ERROR_INDEXER:
        return DS_CORRUPT;
    default:
        return DS_FAIL;
    }
}

static int fail(ds_err *err, int code, const git_error *e, const char *fmt, va_list ap)
{
    char what[512];
    vsnprintf(what, sizeof what, fmt, ap);
    return ds_fail(err, code, "%s: %s", what, e && e->message ? e->message : "git error");
}

int ds_fail_git(ds_err *err, int git_rc, const char *fmt, ...)
{
    const git_error *e = git_error_last();
    va_list ap;
    va_start(ap, fmt);
    const int code = fail(err, code_of(git_rc, e), e, fmt, ap);
    va_end(ap);
    return code;
}

int ds_fail_git_read(ds_err *err, const char *fmt, ...)
{
    const git_error *e = git_error_last();
    int code = code_of(0, e);
    ds_err why = {0};
    char what[512];
    va_list ap;
    code = code == DS_FAIL || says(e, ENOENT) ? DS_CORRUPT : code;
    va_start(ap, fmt);
    if (code == DS_CORRUPT && ds_openpacks_check(&why) != 0) {
        vsnprintf(what, sizeof what, fmt, ap);
        code = ds_fail(err, why.code, "%s: %s", what, why.msg);
    } else {
        code = fail(err, code, e, fmt, ap);
    }
    va_end(ap);
    return code;
}

/* ---- the repository ---- */

static int begun; /* or a negative error code */

static void begin(void)
{
    begun = ds_gitlib_init();
    if (begun >= 0) /* off by default: a commit could vanish */
        begun = git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
    if (begun >= 0)
        begun = git_libgit2_opts(GIT_OPT_SET_MWINDOW_FILE_LIMIT, (size_t)OPEN_PACKS);
}

int ds_git_begin(ds_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, begin);
    return begun < 0 ? ds_fail(err, DS_FAIL, "libgit2 does not start") : 0;
}

static bool head_is_good(const char *path)
{
    ds_buf b = {0};
    git_oid id;
    int valid = 0;
    bool good = ds_read_file(&b, path, 4096, NULL) == 0 && ds_buf_cstr(&b);
    char *text = good ? (char *)b.data : NULL, *end = text ? strchr(text, '\n') : NULL;
    good = good && end;
    if (good)
        *end = '\0';
    if (good && strncmp(text, "ref: refs/heads/", 16) == 0)
        good = git_reference_name_is_valid(&valid, text + 5) == 0 && valid;
    else
        good = good && strlen(text) == GIT_OID_HEXSZ && git_oid_fromstr(&id, text) == 0;
    ds_buf_fini(&b);
    return good;
}

/* Git dies of a value that it cannot understand as much as of a line. */
static bool config_is_good(const char *path)
{
    static const char *const flags[] = {"core.bare", "core.filemode"};
    git_config *c = NULL;
    int32_t version = 0;
    int flag;
    bool good = ds_path_exists(path) && git_config_open_ondisk(&c, path) == 0;
    for (size_t i = 0; good && i < sizeof flags / sizeof *flags; i++) {
        const int rc = git_config_get_bool(&flag, c, flags[i]);
        good = rc == 0 || rc == GIT_ENOTFOUND;
    }
    if (good) {
        const int rc = git_config_get_int32(&version, c, "core.repositoryformatversion");
        good = rc == 0 || rc == GIT_ENOTFOUND;
    }
    git_config_free(c);
    return good;
}

const char *ds_catalog_closed(const char *dir)
{
    static const char *const names[] = {"config", "HEAD"};
    const char *closed = NULL;
    if (ds_git_begin(NULL))
        return NULL;
    for (size_t i = 0; !closed && i < 2; i++) {
        char *path = NULL;
        if (ds_store_path(&path, dir, names[i], NULL))
            break;
        if (!(i == 0 ? config_is_good(path) : head_is_good(path)))
            closed = names[i];
        free(path);
    }
    return closed;
}

/* For git's own commands: how files are shared, as dsver has it. */
static int tell_sharing(git_repository *repo, const char *dir, ds_err *err)
{
    const enum ds_sharing how = ds_sharing_of(dir);
    const char *const name = "core.sharedRepository";
    git_config *c = NULL;
    int rc = git_repository_config(&c, repo);
    if (rc == 0 && how != DS_SHARED_UMASK)
        rc = git_config_set_string(c, name, ds_sharing_words[how]);
    else if (rc == 0 && (rc = git_config_delete_entry(c, name)) == GIT_ENOTFOUND)
        rc = 0;
    git_config_free(c);
    return rc < 0 ? ds_fail_git(err, rc, "%s/config", dir) : 0;
}

int ds_catalog_share(ds_catalog *c, ds_err *err)
{
    const ds_sharing_scope scope = ds_sharing_begin(c->dir);
    const int rc = tell_sharing(c->repo, c->dir, err);
    ds_sharing_end(scope);
    return rc;
}

int ds_catalog_create(const char *dir, ds_err *err)
{
    git_repository *repo = NULL;
    git_repository_init_options o;
    git_repository_init_options_init(&o, GIT_REPOSITORY_INIT_OPTIONS_VERSION);
    o.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_MKPATH;
    o.initial_head = DS_BRANCH;
    int rc = ds_git_begin(err);
    const ds_sharing_scope scope = ds_sharing_begin(dir);
    if (!rc && (rc = git_repository_init_ext(&repo, dir, &o)) < 0)
        rc = ds_fail_git(err, rc, "%s: cannot create the catalog", dir);
    if (!rc && ds_sharing_of(dir) != DS_SHARED_UMASK)
        rc = tell_sharing(repo, dir, err);
    ds_sharing_end(scope);
    git_repository_free(repo);
    return rc;
}

static int find_paths(ds_catalog *c, const char *store, ds_err *err)
{
    if (asprintf(&c->dir, "%s/catalog.git", store) < 0 ||
        asprintf(&c->lock, "%s/locks/refs.lock", store) < 0 ||
        asprintf(&c->pack_dir, "%s/objects/pack", c->dir) < 0)
        return ds_fail_nomem(err);
    return 0;
}

static int open_repo(ds_catalog *c, ds_err *err)
{
    int rc = git_repository_open_bare(&c->repo, c->dir);
    if (rc == GIT_EOWNER)
        return ds_fail(err, DS_FAIL,
                       "%s: the catalog belongs to somebody else; to trust it: "
                       "git config --global --add safe.directory %s",
                       c->dir, c->dir);
    if (rc < 0)
        return ds_fail_git_read(err, "%s: cannot open the catalog", c->dir);
    rc = git_repository_odb(&c->odb, c->repo);
    return rc < 0 ? ds_fail_git(err, rc, "%s: cannot open the catalog's objects", c->dir) : 0;
}

int ds_catalog_open(ds_catalog **out, const char *store, ds_err *err)
{
    ds_catalog *c = calloc(1, sizeof *c);
    int rc = c ? find_paths(c, store, err) : ds_fail_nomem(err);
    rc = rc ? rc : ds_git_begin(err);
    rc = rc ? rc : ds_oplog_new(&c->log, store, err);
    if (!rc && (rc = ds_openpacks_add(c->pack_dir, err)) == 0)
        c->noted = true;
    rc = rc ? rc : open_repo(c, err);
    if (rc) {
        ds_catalog_close(c);
        return rc;
    }
    *out = c;
    return 0;
}

int ds_catalog_reopen(ds_catalog *c, ds_err *err)
{
    git_odb_free(c->odb);
    git_repository_free(c->repo);
    c->odb = NULL;
    c->repo = NULL;
    return open_repo(c, err);
}

void ds_catalog_close(ds_catalog *c)
{
    if (!c)
        return;
    ds_overlay_free(c->erased);
    ds_oplog_free(c->log);
    git_odb_free(c->odb);
    git_repository_free(c->repo);
    if (c->noted)
        ds_openpacks_drop(c->pack_dir);
    free(c->dir);
    free(c->pack_dir);
    free(c->lock);
    free(c);
}

void ds_catalog_pass_damaged(ds_catalog *c)
{
    c->pass_damaged = true;
}

bool ds_catalog_passes_damaged(const ds_catalog *c)
{
    return c->pass_damaged;
}

git_repository *ds_catalog_repo(ds_catalog *c)
{
    return c->repo;
}

git_odb *ds_catalog_odb(ds_catalog *c)
{
    return c->odb;
}

const char *ds_catalog_dir(const ds_catalog *c)
{
    return c->dir;
}

const char *ds_catalog_lock(const ds_catalog *c)
{
    return c->lock;
}

ds_oplog *ds_catalog_oplog(const ds_catalog *c)
{
    return c->log;
}

int ds_catalog_overlay(const ds_overlay **out, ds_catalog *c, bool anew, ds_err *err)
{
    int rc = 0;
    if (anew || !c->erased_known) {
        ds_overlay_free(c->erased);
        c->erased = NULL;
        rc = ds_overlay_load(&c->erased, c, err);
        c->erased_known = !rc;
    }
    *out = c->erased;
    return rc;
}

void ds_catalog_use_overlay(ds_catalog *c, ds_overlay *o)
{
    ds_overlay_free(c->erased);
    c->erased = o;
    c->erased_known = true;
}

int ds_catalog_lay_over(ds_catalog *c, ds_catalog *under, ds_err *err)
{
    char *objects = NULL;
    git_oid erased;
    if (asprintf(&objects, "%s/objects", under->dir) < 0)
        return ds_fail_nomem(err);
    int rc = git_odb_add_disk_alternate(c->odb, objects);
    rc = rc < 0 ? ds_fail_git(err, rc, "%s", objects)
                : ds_ref_get(under, DS_REF_ERASED, &erased, err);
    if (rc > 0)
        rc = ds_ref_move(c, DS_REF_ERASED, NULL, &erased, err);
    free(objects);
    return rc < 0 ? rc : 0;
}

int ds_catalog_pack(ds_gitpack **out, ds_catalog *c, ds_err *err)
{
    return ds_gitpack_new(out, c->odb, c->pack_dir, err);
}

static int add_object(const git_oid *id, void *ids)
{
    return ds_buf_put(ids, id, sizeof *id) ? 1 : 0;
}

/* A pack that libgit2 knows of and that went ends its listing, and it never forgets one: so each
 * time it looks anew. */
int ds_catalog_objects(ds_buf *ids, const ds_catalog *c, ds_err *err)
{
    char *dir = NULL;
    if (asprintf(&dir, "%s/objects", c->dir) < 0)
        return ds_fail_nomem(err);
    int rc = -1; /* git's; 1 from add_object */
    for (int tries = 0; rc < 0 && tries < LIST_TRIES; tries++) {
        git_odb *odb = NULL;
        ds_buf_reset(ids);
        rc = git_odb_open(&odb, dir);
        rc = rc < 0 ? rc : git_odb_foreach(odb, add_object, ids);
        git_odb_free(odb);
    }
    free(dir);
    if (rc > 0)
        return ds_fail_nomem(err);
    return rc ? ds_fail_git_read(err, "%s: its objects cannot be listed", c->dir) : 0;
}

/* ---- names ---- */

/* The length of what is before a byte that is banned, here or by git. */
static size_t allowed(const char *name, const char *banned)
{
    size_t n = strcspn(name, "^:?*[\\ \x7f");
    const size_t other = strcspn(name, banned);
    n = other < n ? other : n;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] < ' ')
            return i;
    return n;
}

static int name_check(const char *name, const char *what, const char *banned, ds_err *err)
{
    size_t len = strlen(name);
    char ref[NAME_MAX_LEN + 64];
    if (len == 0 || len > NAME_MAX_LEN)
        return ds_fail(err, DS_USAGE, "a %s name has 1 to %d bytes", what, NAME_MAX_LEN);
    const size_t at = allowed(name, banned);
    const unsigned char bad = (unsigned char)name[at];
    if (bad > ' ' && bad < 0x7f)
        return ds_fail(err, DS_USAGE, "%s name '%s': '%c' is not allowed", what, name, bad);
    if (bad)
        return ds_fail(err, DS_USAGE, "%s name '%s': byte %zu, %s (0x%02x), is not allowed", what,
                       name, at + 1, bad == ' ' ? "a blank" : "a control byte", bad);
    if (*name == '-')
        return ds_fail(err, DS_USAGE, "%s name '%s' begins with '-'", what, name);
    if (ds_utf8_check((const uint8_t *)name, len) != len)
        return ds_fail(err, DS_USAGE, "a %s name must be UTF-8", what);
    int valid = 0;
    snprintf(ref, sizeof ref, "refs/heads/%s/x", name);
    const int rc = ds_git_begin(err); /* names are looked at before there is a repository */
    if (rc)
        return rc;
    if (git_reference_name_is_valid(&valid, ref) < 0 || !valid)
        return ds_fail(err, DS_USAGE,
                       "%s name '%s': git would refuse it ('..', '//', a '.' or '/' at either end, "
                       "'.lock' at the end; see git-check-ref-format(1))",
                       what, name);
    return 0;
}

int ds_dataset_check(const char *name, ds_err *err)
{
    return name_check(name, "dataset", "/@~", err);
}

int ds_branch_check(const char *name, ds_err *err)
{
    return name_check(name, "branch", "@~", err);
}

int ds_tag_check(const char *name, ds_err *err)
{
    return name_check(name, "tag", "@~", err);
}

/* ---- objects ---- */

int ds_catalog_blob(ds_buf *out, ds_catalog *c, const git_oid *id, ds_err *err)
{
    git_odb_object *o = NULL;
    int rc = git_odb_read(&o, c->odb, id);
    if (rc < 0)
        return ds_fail_git_read(err, "catalog object %s", git_oid_tostr_s(id));
    if (git_odb_object_type(o) != GIT_OBJECT_BLOB) {
        rc = ds_fail(err, DS_CORRUPT, "catalog object %s is not a file", git_oid_tostr_s(id));
    } else {
        ds_buf_reset(out);
        if (ds_buf_put(out, git_odb_object_data(o), git_odb_object_size(o)))
            rc = ds_fail_nomem(err);
    }
    git_odb_object_free(o);
    return rc;
}

int ds_catalog_entry(git_oid *id, ds_catalog *c, const git_oid *tree, const char *path, ds_err *err)
{
    git_tree *t = NULL;
    git_tree_entry *e = NULL;
    int rc = git_tree_lookup(&t, c->repo, tree);
    rc = rc < 0 ? rc : git_tree_entry_bypath(&e, t, path);
    if (rc == 0)
        *id = *git_tree_entry_id(e);
    const git_error *why = rc < 0 ? git_error_last() : NULL;
    const bool absent = t && rc == GIT_ENOTFOUND && !(why && why->klass == GIT_ERROR_ODB);
    if (rc < 0 && !absent)
        rc = ds_fail_git_read(err, "catalog tree %s: %s", git_oid_tostr_s(tree), path);
    git_tree_entry_free(e);
    git_tree_free(t);
    return absent ? 0 : rc < 0 ? rc : 1;
}

int ds_catalog_file(ds_buf *out, ds_catalog *c, const git_oid *tree, const char *path, ds_err *err)
{
    git_tree *t = NULL;
    int rc = git_tree_lookup(&t, c->repo, tree);
    if (rc < 0)
        return ds_fail_git_read(err, "catalog tree %s", git_oid_tostr_s(tree));
    const git_tree_entry *e = git_tree_entry_byname(t, path);
    if (!e)
        rc = ds_fail(err, DS_CORRUPT, "catalog tree %s has no %s", git_oid_tostr_s(tree), path);
    else
        rc = ds_catalog_blob(out, c, git_tree_entry_id(e), err);
    git_tree_free(t);
    return rc;
}

static const char trailer_root[] = "Dsver-Root: sha256:";
static const char trailer_records[] = "Dsver-Records: ";
static const char trailer_dataset[] = "Dsver-Dataset: ";

bool ds_version_claimed(const char *message)
{
    static const char *const all[] = {trailer_root, trailer_records, trailer_dataset};
    for (const char *line = message; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            if (strncmp(line, all[i], strcspn(all[i], " ")) == 0)
                return true;
    }
    return false;
}

/* Trailers are the last lines of the message, each of a known form, so that a message cannot forge
 * them. */
static void read_trailers(ds_version *v, char *msg)
{
    char *lines[3], *end = msg + strlen(msg);
    while (end > msg && end[-1] == '\n')
        *--end = '\0';
    for (int i = 2; i >= 0; i--) {
        char *nl = strrchr(msg, '\n');
        if (!nl)
            return;
        lines[i] = nl + 1;
        *nl = '\0';
    }
    size_t nroot = sizeof trailer_root - 1, nrec = sizeof trailer_records - 1,
           nset = sizeof trailer_dataset - 1;
    const char *number = lines[1] + nrec;
    if (strncmp(lines[0], trailer_root, nroot) != 0 ||
        strncmp(lines[1], trailer_records, nrec) != 0 ||
        strncmp(lines[2], trailer_dataset, nset) != 0 ||
        !ds_sha_parse(&v->root, lines[0] + nroot, strlen(lines[0] + nroot)))
        return;
    if (!ds_digits_next(&number, &v->records) || *number)
        return;
    free(v->dataset);
    v->dataset = strdup(lines[2] + nset);
}

int ds_version_get(ds_version *v, ds_catalog *c, const git_oid *id, ds_err *err)
{
    git_commit *k = NULL;
    ds_version_fini(v);
    int rc = git_commit_lookup(&k, c->repo, id);
    if (rc < 0)
        return ds_fail_git_read(err, "catalog commit %s", git_oid_tostr_s(id));
    v->id = *id;
    v->tree = *git_commit_tree_id(k);
    v->has_parent = git_commit_parentcount(k) > 0;
    if (v->has_parent)
        v->parent = *git_commit_parent_id(k, 0);
    v->has_merged = git_commit_parentcount(k) > 1;
    if (v->has_merged)
        v->merged = *git_commit_parent_id(k, 1);
    v->time = git_commit_time(k);
    const git_signature *a = git_commit_author(k);
    if (asprintf(&v->author, "%s <%s>", a->name, a->email) < 0)
        v->author = NULL;
    v->dataset = strdup("");
    char *text = strdup(git_commit_message(k));
    v->message = strdup(git_commit_message(k));
    bool whole = text != NULL;
    if (text && v->message && v->dataset) {
        read_trailers(v, text);
        if (v->dataset && *v->dataset) {
            char *t = text + strlen(text);
            while (t > text && t[-1] == '\n')
                *--t = '\0';
            free(v->message);
            v->message = text;
            text = NULL;
        }
    }
    free(text);
    git_commit_free(k);
    if (!whole || !v->author || !v->message || !v->dataset) {
        ds_version_fini(v);
        return ds_fail_nomem(err);
    }
    return 0;
}

void ds_version_fini(ds_version *v)
{
    free(v->author);
    free(v->message);
    free(v->dataset);
    *v = (ds_version){0};
}

/* What stands in an author line: no line ends, no angle brackets. */
static int put_person(ds_buf *b, const char *role, const char *name, const char *mail, int64_t time)
{
    int rc = ds_buf_printf(b, "%s ", role);
    for (const char *s = name; !rc && *s; s++)
        if (!strchr("<>\n", *s))
            rc = ds_buf_putc(b, (uint8_t)*s);
    if (!rc)
        rc = ds_buf_puts(b, " <");
    for (const char *s = mail; !rc && *s; s++)
        if (!strchr("<>\n ", *s))
            rc = ds_buf_putc(b, (uint8_t)*s);
    return rc ? rc : ds_buf_printf(b, "> %" PRId64 " +0000\n", time);
}

/* Git's header of a signed commit, last before the empty line: what the signature is over is all
 * else. */
static int add_signature(ds_buf *b, const ds_signer *signer, ds_err *err)
{
    ds_buf sig = {0}, all = {0};
    const uint8_t *gap = signer ? memmem(b->data, b->len, "\n\n", 2) : NULL;
    if (!gap)
        return 0;
    const size_t head = (size_t)(gap - b->data) + 1;
    int rc = ds_sign(&sig, signer, b->data, b->len, err);
    bool bad = !rc && (ds_buf_put(&all, b->data, head) || ds_buf_puts(&all, "gpgsig"));
    for (size_t at = 0; !rc && !bad && at < sig.len;) {
        const uint8_t *s = sig.data + at, *nl = memchr(s, '\n', sig.len - at);
        const size_t n = nl ? (size_t)(nl - s) + 1 : sig.len - at;
        bad = ds_buf_putc(&all, ' ') || ds_buf_put(&all, s, n);
        at += n;
    }
    if (!rc && (bad || ds_buf_put(&all, b->data + head, b->len - head)))
        rc = ds_fail_nomem(err);
    ds_buf_fini(&sig);
    if (rc) {
        ds_buf_fini(&all);
    } else {
        ds_buf_fini(b);
        *b = all;
    }
    return rc;
}

static int put_commit(ds_gitpack *p, git_oid *id, ds_buf *b, const ds_signer *signer, ds_err *err)
{
    int rc = add_signature(b, signer, err);
    return rc ? rc : ds_gitpack_put(p, id, GIT_OBJECT_COMMIT, b->data, b->len, err);
}

int ds_version_put(ds_gitpack *p, git_oid *id, const ds_version_new *v, ds_err *err)
{
    ds_buf b = {0};
    char hex[65];
    size_t len = strlen(v->message);
    while (len > 0 && (v->message[len - 1] == '\n' || v->message[len - 1] == ' '))
        len--;
    if (len > MESSAGE_MAX)
        return ds_fail(err, DS_USAGE, "the message is longer than %d bytes", MESSAGE_MAX);
    ds_sha_hex(hex, &v->root);
    int rc = ds_buf_printf(&b, "tree %s\n", git_oid_tostr_s(&v->tree));
    if (!rc && v->parent)
        rc = ds_buf_printf(&b, "parent %s\n", git_oid_tostr_s(v->parent));
    if (!rc && v->merged)
        rc = ds_buf_printf(&b, "parent %s\n", git_oid_tostr_s(v->merged));
    if (!rc)
        rc = put_person(&b, "author", v->name, v->mail, v->time);
    if (!rc)
        rc = put_person(&b, "committer", v->name, v->mail, v->time);
    if (!rc)
        rc = ds_buf_putc(&b, '\n');
    if (!rc)
        rc = ds_buf_put(&b, v->message, len);
    if (!rc)
        rc = ds_buf_printf(&b, "\n\n%s%s\n%s%" PRIu64 "\n%s%s\n", trailer_root, hex,
                           trailer_records, v->records, trailer_dataset, v->dataset);
    rc = rc ? ds_fail_nomem(err) : put_commit(p, id, &b, v->signer, err);
    ds_buf_fini(&b);
    return rc;
}

int ds_note_put(ds_gitpack *p, git_oid *id, const ds_note_new *n, ds_err *err)
{
    ds_buf b = {0};
    int rc = ds_buf_printf(&b, "tree %s\n", git_oid_tostr_s(&n->tree));
    if (!rc && n->parent)
        rc = ds_buf_printf(&b, "parent %s\n", git_oid_tostr_s(n->parent));
    if (!rc && n->merged)
        rc = ds_buf_printf(&b, "parent %s\n", git_oid_tostr_s(n->merged));
    if (!rc)
        rc = put_person(&b, "author", n->name, n->mail, n->time);
    if (!rc)
        rc = put_person(&b, "committer", n->name, n->mail, n->time);
    if (!rc)
        rc = ds_buf_printf(&b, "\n%s\n", n->message);
    rc = rc ? ds_fail_nomem(err) : put_commit(p, id, &b, n->signer, err);
    ds_buf_fini(&b);
    return rc;
}

int ds_tag_put(ds_gitpack *p, git_oid *id, const ds_tag_new *t, ds_err *err)
{
    ds_buf b = {0}, sig = {0};
    if (strlen(t->message) > MESSAGE_MAX)
        return ds_fail(err, DS_USAGE, "the message is longer than %d bytes", MESSAGE_MAX);
    int rc = ds_buf_printf(&b, "object %s\ntype commit\ntag %s/%s\n", git_oid_tostr_s(&t->target),
                           t->dataset, t->tag);
    if (!rc)
        rc = put_person(&b, "tagger", t->name, t->mail, t->time);
    if (!rc)
        rc = ds_buf_printf(&b, "\n%s\n", t->message);
    rc = rc ? ds_fail_nomem(err) : t->signer ? ds_sign(&sig, t->signer, b.data, b.len, err) : 0;
    if (!rc && ds_buf_put(&b, sig.data, sig.len)) /* a tag's stands behind its message */
        rc = ds_fail_nomem(err);
    rc = rc ? rc : ds_gitpack_put(p, id, GIT_OBJECT_TAG, b.data, b.len, err);
    ds_buf_fini(&sig);
    ds_buf_fini(&b);
    return rc;
}
