/* s3cred.c - see s3cred.h. */
#include "s3cred.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"

enum { FILE_MAX = 1 << 20 };

static void wipe(char **s)
{
    if (*s)
        explicit_bzero(*s, strlen(*s));
    free(*s);
    *s = NULL;
}

void ds_s3_cred_fini(ds_s3_cred *c)
{
    wipe(&c->key);
    wipe(&c->secret);
    wipe(&c->token);
}

static int set(char **to, const char *s, size_t len, ds_err *err)
{
    wipe(to);
    *to = strndup(s, len);
    return *to ? 0 : ds_fail_nomem(err);
}

/* Takes the blanks off both ends. */
static void trim(const char **s, size_t *len)
{
    while (*len && (**s == ' ' || **s == '\t')) {
        ++*s;
        --*len;
    }
    while (*len && strchr(" \t\r", (*s)[*len - 1]))
        --*len;
}

static int setting(ds_s3_cred *c, const char *line, size_t len, ds_err *err)
{
    const char *eq = memchr(line, '=', len);
    if (!eq)
        return 0;
    const char *name = line, *value = eq + 1;
    size_t nlen = (size_t)(eq - line), vlen = len - nlen - 1;
    trim(&name, &nlen);
    trim(&value, &vlen);
    if (nlen == 17 && memcmp(name, "aws_access_key_id", 17) == 0)
        return set(&c->key, value, vlen, err);
    if (nlen == 21 && memcmp(name, "aws_secret_access_key", 21) == 0)
        return set(&c->secret, value, vlen, err);
    if (nlen == 17 && memcmp(name, "aws_session_token", 17) == 0)
        return set(&c->token, value, vlen, err);
    return 0;
}

int ds_s3_cred_read(ds_s3_cred *c, const char *text, size_t len, const char *profile, ds_err *err)
{
    bool in = false;
    int rc = 0;
    for (size_t at = 0; !rc && at < len;) {
        const char *line = text + at, *nl = memchr(line, '\n', len - at);
        size_t n = nl ? (size_t)(nl - line) : len - at;
        at += n + 1;
        trim(&line, &n);
        if (n == 0 || *line == '#' || *line == ';')
            continue;
        if (*line != '[') {
            rc = in ? setting(c, line, n, err) : 0;
            continue;
        }
        line++;
        n -= n > 1 && line[n - 2] == ']' ? 2 : 1;
        trim(&line, &n);
        if (n > 8 && memcmp(line, "profile ", 8) == 0) {
            line += 8;
            n -= 8;
        }
        in = n == strlen(profile) && memcmp(line, profile, n) == 0;
    }
    return rc ? rc : c->key && c->secret && *c->key && *c->secret;
}

static const char *env(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

static int from_env(ds_s3_cred *c, ds_err *err)
{
    const char *key = env("AWS_ACCESS_KEY_ID"), *secret = env("AWS_SECRET_ACCESS_KEY"),
               *token = env("AWS_SESSION_TOKEN");
    if (!key || !secret)
        return 0;
    int rc = set(&c->key, key, strlen(key), err);
    rc = rc ? rc : set(&c->secret, secret, strlen(secret), err);
    if (!rc && token)
        rc = set(&c->token, token, strlen(token), err);
    return rc ? rc : 1;
}

/* The file's path, caller frees; NULL when there is none to look for. */
static int default_file(char **path, ds_err *err)
{
    const char *file = env("AWS_SHARED_CREDENTIALS_FILE"), *home = env("HOME");
    *path = NULL;
    if (!file && !home)
        return 0;
    int n = file ? asprintf(path, "%s", file) : asprintf(path, "%s/.aws/credentials", home);
    if (n < 0) {
        *path = NULL;
        return ds_fail_nomem(err);
    }
    return 0;
}

static int from_file(ds_s3_cred *c, const char *file, const char *profile, ds_err *err)
{
    ds_buf b = {0};
    int rc = ds_read_file(&b, file, FILE_MAX, err);
    if (!rc && b.len)
        rc = ds_s3_cred_read(c, (const char *)b.data, b.len, profile, err);
    if (b.data)
        explicit_bzero(b.data, b.len);
    ds_buf_fini(&b);
    return rc;
}

int ds_s3_cred_find(ds_s3_cred *c, const char *file, const char *profile, ds_err *err)
{
    char *path = NULL;
    *c = (ds_s3_cred){.key = NULL};
    const char *p = profile ? profile : env("AWS_PROFILE") ? env("AWS_PROFILE") : "default";
    int rc = file || profile ? 0 : from_env(c, err);
    if (rc == 0 && !file)
        rc = default_file(&path, err);
    const char *where = file ? file : path;
    if (rc == 0 && where && (file || ds_path_exists(where)))
        rc = from_file(c, where, p, err);
    if (rc == 0)
        rc = ds_fail(err, DS_FAIL,
                     "no credentials for the object store: neither AWS_ACCESS_KEY_ID and "
                     "AWS_SECRET_ACCESS_KEY in the environment nor profile '%s' in %s",
                     p, where ? where : "~/.aws/credentials");
    free(path);
    if (rc < 0)
        ds_s3_cred_fini(c);
    return rc < 0 ? rc : 0;
}
