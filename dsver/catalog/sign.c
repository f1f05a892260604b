/* sign.c - see sign.h. */
#include "sign.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "io.h"
#include "store.h"

struct ds_signer {
    bool ssh;
    bool literal; /* the key is in a temporary file, and its private half with the agent */
    char *program, *key;
};

/* ---- settings ---- */

/* *out: the value, NULL when it is not set. */
static int setting(char **out, const char *store, const char *name, ds_err *err)
{
    ds_buf v = {0};
    *out = NULL;
    int rc = ds_config_get(&v, store, name, true, err);
    if (rc > 0) {
        const char *s = ds_buf_cstr(&v);
        *out = s ? strdup(s) : NULL;
        rc = *out ? 0 : ds_fail_nomem(err);
    }
    ds_buf_fini(&v);
    return rc;
}

static int is_on(bool *on, const char *store, const char *name, ds_err *err)
{
    char *v = NULL;
    int yes = 0, rc = setting(&v, store, name, err);
    *on = false;
    if (!rc && v && git_config_parse_bool(&yes, v) < 0)
        rc = ds_fail(err, DS_USAGE, "%s '%s' is neither true nor false", name, v);
    *on = yes != 0;
    free(v);
    return rc;
}

/* A path of git's configuration: ~/ is the home folder. */
static int expand(char **path, ds_err *err)
{
    const char *home = getenv("HOME");
    char *full = NULL;
    if (strncmp(*path, "~/", 2) != 0 || !home)
        return 0;
    if (asprintf(&full, "%s/%s", home, *path + 2) < 0)
        return ds_fail_nomem(err);
    free(*path);
    *path = full;
    return 0;
}

/* ---- the key ---- */

static int find_program(ds_signer *s, const char *store, const char *format, ds_err *err)
{
    static const struct {
        const char *format, *setting, *older, *program;
    } known[] = {{"openpgp", "gpg.openpgp.program", "gpg.program", "gpg"},
                 {"x509", "gpg.x509.program", NULL, "gpgsm"},
                 {"ssh", "gpg.ssh.program", NULL, "ssh-keygen"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].format, format) != 0)
            continue;
        s->ssh = strcmp(format, "ssh") == 0;
        int rc = setting(&s->program, store, known[i].setting, err);
        if (!rc && !s->program && known[i].older)
            rc = setting(&s->program, store, known[i].older, err);
        if (!rc && !s->program && !(s->program = strdup(known[i].program)))
            rc = ds_fail_nomem(err);
        return rc ? rc : expand(&s->program, err);
    }
    return ds_fail(err, DS_USAGE, "gpg.format '%s' is none of openpgp, x509, ssh", format);
}

/* A public key itself instead of a file: ssh-keygen wants it in one. */
static int literal_key(ds_signer *s, ds_err *err)
{
    const char *text = strncmp(s->key, "key::", 5) == 0  ? s->key + 5
                       : strncmp(s->key, "ssh-", 4) == 0 ? s->key
                                                         : NULL;
    if (!text)
        return expand(&s->key, err);
    const char *tmp = getenv("TMPDIR");
    char *path = NULL;
    if (asprintf(&path, "%s/dsver-key-XXXXXX", tmp && *tmp ? tmp : "/tmp") < 0)
        return ds_fail_nomem(err);
    int fd = mkstemp(path);
    int rc = fd < 0 ? ds_fail_errno(err, errno, "%s", path)
                    : ds_write_full(fd, path, text, strlen(text), err);
    if (fd >= 0 && !rc)
        rc = ds_write_full(fd, path, "\n", 1, err);
    if (fd >= 0) {
        (void)ds_close(&fd, path, NULL);
        free(s->key);
        s->key = path;
        s->literal = true;
    } else {
        free(path);
    }
    return rc;
}

static int find_key(ds_signer *s, const char *store, const char *who, ds_err *err)
{
    int rc = setting(&s->key, store, "user.signingkey", err);
    if (!rc && !s->key && s->ssh)
        rc = ds_fail(err, DS_FAIL,
                     "user.signingkey is not set: with gpg.format ssh it names the key file");
    if (!rc && !s->key && !(s->key = strdup(who)))
        rc = ds_fail_nomem(err);
    return rc || !s->ssh ? rc : literal_key(s, err);
}

int ds_signer_find(ds_signer **out, const char *store, enum ds_signing want, bool tag,
                   const char *who, ds_err *err)
{
    bool on = want == DS_SIGN_YES;
    char *format = NULL;
    *out = NULL;
    int rc =
        want == DS_SIGN_CONFIG ? is_on(&on, store, tag ? "tag.gpgsign" : "commit.gpgsign", err) : 0;
    if (rc || !on)
        return rc;
    ds_signer *s = calloc(1, sizeof *s);
    rc = s ? setting(&format, store, "gpg.format", err) : ds_fail_nomem(err);
    rc = rc ? rc : find_program(s, store, format ? format : "openpgp", err);
    rc = rc ? rc : find_key(s, store, who, err);
    free(format);
    if (rc)
        ds_signer_free(s);
    else
        *out = s;
    return rc;
}

void ds_signer_free(ds_signer *s)
{
    if (!s)
        return;
    if (s->literal)
        (void)ds_io_active->unlink(s->key);
    free(s->program);
    free(s->key);
    free(s);
}

/* ---- signing ---- */

int ds_sign(ds_buf *out, const ds_signer *s, const void *data, size_t len, ds_err *err)
{
    ds_buf bad = {0};
    int status = 0;
    char *gpg[] = {s->program, ds_child_arg("--status-fd=2"), ds_child_arg("-bsau"), s->key, NULL};
    char *ssh[] = {s->program,
                   ds_child_arg("-Y"),
                   ds_child_arg("sign"),
                   ds_child_arg("-n"),
                   ds_child_arg("git"),
                   ds_child_arg("-f"),
                   s->key,
                   s->literal ? ds_child_arg("-U") : NULL,
                   NULL};
    ds_buf_reset(out);
    int rc = ds_child_run(s->ssh ? ssh : gpg, data, len, out, &bad, &status, err);
    if (!rc && (status || !out->len))
        rc = ds_fail(err, DS_FAIL, "%s cannot sign with key %s: %s", s->program, s->key,
                     ds_child_said(&bad));
    if (!rc && out->data[out->len - 1] != '\n' && ds_buf_putc(out, '\n'))
        rc = ds_fail_nomem(err);
    ds_buf_fini(&bad);
    return rc;
}

/* ---- verifying ---- */

/* "-c NAME=VALUE" for what the store's own configuration says of signatures. */
typedef struct settings {
    ds_buf args; /* char * */
    ds_err *err;
} settings;

static int add_arg(settings *s, char *arg)
{
    if (arg && !ds_buf_put(&s->args, &arg, sizeof arg))
        return 0;
    free(arg);
    return ds_fail_nomem(s->err);
}

static int add_setting(void *ctx, const char *name, const char *value)
{
    settings *s = ctx;
    char *arg = NULL;
    if (strncmp(name, "gpg.", 4) != 0)
        return 0;
    if (asprintf(&arg, "%s=%s", name, value) < 0)
        arg = NULL;
    int rc = add_arg(s, strdup("-c"));
    if (!rc)
        return add_arg(s, arg);
    free(arg);
    return rc;
}

static int verify_args(settings *s, const char *store, git_repository *repo, const char *verb,
                       const git_oid *id)
{
    char *dir = NULL;
    if (asprintf(&dir, "--git-dir=%s", git_repository_path(repo)) < 0)
        dir = NULL;
    int rc = add_arg(s, strdup("git"));
    if (rc)
        free(dir);
    rc = rc ? rc : add_arg(s, dir);
    rc = rc ? rc : ds_config_each(store, add_setting, s, s->err);
    rc = rc ? rc : add_arg(s, strdup(verb));
    rc = rc ? rc : add_arg(s, strdup(git_oid_tostr_s(id)));
    static char *const end = NULL;
    return rc ? rc : ds_buf_put(&s->args, &end, sizeof end) ? ds_fail_nomem(s->err) : 0;
}

/* 1 signed, 0 not, < 0 error. *verb: of git, for an object of its kind. */
static int look(const char **verb, git_repository *repo, const git_oid *id, ds_err *err)
{
    git_object *o = NULL;
    git_buf sig = {0}, body = {0};
    int rc = git_object_lookup(&o, repo, id, GIT_OBJECT_ANY);
    if (rc < 0)
        return ds_fail_git_read(err, "catalog object %s", git_oid_tostr_s(id));
    const bool tag = git_object_type(o) == GIT_OBJECT_TAG;
    *verb = tag ? "verify-tag" : "verify-commit";
    if (tag) {
        const char *m = git_tag_message((const git_tag *)o);
        rc = m && (strstr(m, "-----BEGIN PGP") || strstr(m, "-----BEGIN SSH") ||
                   strstr(m, "-----BEGIN SIGNED"));
    } else {
        git_oid copy = *id;
        rc = git_commit_extract_signature(&sig, &body, repo, &copy, NULL) == 0;
    }
    git_buf_dispose(&sig);
    git_buf_dispose(&body);
    git_object_free(o);
    return rc;
}

/* Of what gpg and ssh-keygen say in C's language: is it the key that they do not like? */
static bool blames_key(ds_buf *said)
{
    static const char *const words[] = {"No public key", "key has expired", "key has been revoked",
                                        "No principal matched"};
    const char *s = ds_buf_cstr(said);
    bool key = false;
    for (size_t i = 0; s && i < sizeof words / sizeof *words; i++)
        key = key || strstr(s, words[i]);
    return key && !strstr(s, "BAD signature") && !strstr(s, "incorrect signature");
}

int ds_verify(ds_verdict *v, const char *store, git_repository *repo, const git_oid *id,
              ds_err *err)
{
    settings s = {.err = err};
    ds_buf out = {0}, bad = {0};
    const char *verb = "";
    int status = 0;
    ds_verdict_fini(v);
    int rc = look(&verb, repo, id, err);
    v->is_signed = rc > 0;
    if (rc > 0) {
        rc = verify_args(&s, store, repo, verb, id);
        rc = rc ? rc
                : ds_child_run((char *const *)(void *)s.args.data, NULL, 0, &out, &bad, &status,
                               err);
        v->good = !rc && status == 0;
        v->untrusted = !rc && !v->good && blames_key(&bad);
    }
    const char *said = v->is_signed ? ds_child_said(&bad) : "not signed";
    if (!rc && (ds_buf_puts(&v->said, said) || !ds_buf_cstr(&v->said)))
        rc = ds_fail_nomem(err);
    char **arg = (char **)(void *)s.args.data;
    for (size_t i = 0; i < s.args.len / sizeof *arg; i++)
        free(arg[i]);
    ds_buf_fini(&s.args);
    ds_buf_fini(&out);
    ds_buf_fini(&bad);
    return rc < 0 ? rc : 0;
}

const char *ds_verdict_word(const ds_verdict *v)
{
    return v->good ? "good" : v->untrusted ? "untrusted" : v->is_signed ? "bad" : "none";
}

void ds_verdict_fini(ds_verdict *v)
{
    ds_buf_fini(&v->said);
    *v = (ds_verdict){0};
}
