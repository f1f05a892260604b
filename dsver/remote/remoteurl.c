/* remoteurl.c - see remoteurl.h. */
#include "remoteurl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "io.h"

void ds_remote_url_fini(ds_remote_url *u)
{
    free(u->path);
    free(u->bucket);
    free(u->prefix);
    free(u->endpoint);
    free(u->region);
    free(u->profile);
    *u = (ds_remote_url){.s3 = false};
}

static bool clean(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return true;
}

/* An absolute path, without links and dots as far as its folder is there. */
static int absolute(char **out, const char *path, ds_err *err)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if ((*out = realpath(path, NULL)))
        return 0;
    char *folder = slash == path ? strdup("/")
                   : slash       ? strndup(path, (size_t)(slash - path))
                                 : strdup(".");
    char *real = folder && *name && strcmp(name, "..") != 0 ? realpath(folder, NULL) : NULL;
    char *cwd = real || *path == '/' ? NULL : getcwd(NULL, 0);
    int n = -1;
    if (real)
        n = asprintf(out, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name);
    else if (*path == '/')
        n = asprintf(out, "%s", path);
    else if (cwd)
        n = asprintf(out, "%s/%s", strcmp(cwd, "/") == 0 ? "" : cwd, path);
    free(folder);
    free(real);
    free(cwd);
    if (n >= 0)
        return 0;
    *out = NULL;
    return errno == ENOMEM ? ds_fail_nomem(err)
                           : ds_fail_errno(err, errno, "cannot tell the working directory");
}

static int parse_folder(ds_remote_url *u, const char *text, ds_err *err)
{
    if (strncmp(text, "file://", 7) == 0) {
        text += 7;
        if (*text != '/')
            return ds_fail(err, DS_USAGE, "'file://%s': a path follows, beginning with '/'", text);
    }
    int rc = absolute(&u->path, text, err);
    if (!rc)
        u->path[ds_path_len(u->path)] = '\0';
    return rc;
}

/* len bytes with %XX taken apart. */
static char *decoded(const char *s, size_t len)
{
    char *out = malloc(len + 1);
    uint8_t byte;
    size_t n = 0;
    for (size_t i = 0; out && i < len; i++)
        if (s[i] == '%' && i + 2 < len && ds_hex_decode(s + i + 1, 2, &byte, 1)) {
            out[n++] = (char)byte;
            i += 2;
        } else {
            out[n++] = s[i];
        }
    if (out)
        out[n] = '\0';
    return out;
}

static int check_endpoint(const char *e, ds_err *err)
{
    const char *host = strncmp(e, "https://", 8) == 0  ? e + 8
                       : strncmp(e, "http://", 7) == 0 ? e + 7
                                                       : NULL;
    if (!host || !*host)
        return ds_fail(err, DS_USAGE, "endpoint '%s' is not http://HOST or https://HOST", e);
    if (strchr(host, '@'))
        return ds_fail(err, DS_USAGE,
                       "an endpoint holds no user: credentials are read from a file "
                       "or the environment");
    if (strpbrk(host, "/?# \\") || !clean(host))
        return ds_fail(err, DS_USAGE, "endpoint '%s': only a host and a port may follow", e);
    return 0;
}

static int parameter(ds_remote_url *u, const char *s, size_t len, ds_err *err)
{
    const char *eq = memchr(s, '=', len);
    size_t name = eq ? (size_t)(eq - s) : len;
    char *v = decoded(eq ? eq + 1 : "", eq ? len - name - 1 : 0), **to = NULL;
    if (!v)
        return ds_fail_nomem(err);
    int rc = 0;
    if (name == 8 && memcmp(s, "endpoint", 8) == 0) {
        while (*v && v[strlen(v) - 1] == '/')
            v[strlen(v) - 1] = '\0';
        rc = check_endpoint(v, err);
        to = &u->endpoint;
    } else if (name == 6 && memcmp(s, "region", 6) == 0) {
        to = &u->region;
    } else if (name == 7 && memcmp(s, "profile", 7) == 0) {
        to = &u->profile;
    } else if (name == 5 && memcmp(s, "style", 5) == 0 && strcmp(v, "path") == 0) {
        u->path_style = true;
    } else if (name == 5 && memcmp(s, "style", 5) == 0 && strcmp(v, "virtual") == 0) {
        u->virtual_host = true;
    } else {
        rc = ds_fail(err, DS_USAGE,
                     "'%.*s' in an s3:// URL: it is one of endpoint=, region=, profile=, "
                     "style=path, style=virtual",
                     (int)len, s);
    }
    if (!rc && to && (!*v || !clean(v) || strpbrk(v, " /") == v))
        rc = ds_fail(err, DS_USAGE, "'%.*s' in an s3:// URL has no value", (int)len, s);
    if (!rc && to) {
        free(*to);
        *to = v;
        v = NULL;
    }
    free(v);
    return rc;
}

static bool bucket_name(const char *s, size_t len)
{
    if (len < 3 || len > 63)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') ||
              (i && (s[i] == '-' || s[i] == '.'))))
            return false;
    return true;
}

static int parse_s3(ds_remote_url *u, const char *text, ds_err *err)
{
    const char *s = text + 5, *q = strchr(s, '?');
    size_t len = q ? (size_t)(q - s) : strlen(s), host = strcspn(s, "/?");
    u->s3 = true;
    if (memchr(s, '@', host))
        return ds_fail(err, DS_USAGE,
                       "an s3:// URL holds no user: credentials are read from a "
                       "file or the environment");
    if (!bucket_name(s, host))
        return ds_fail(err, DS_USAGE, "'%.*s' is not the name of a bucket", (int)host, s);
    u->bucket = strndup(s, host);
    const char *p = s + host;
    size_t plen = len - host;
    for (; plen && *p == '/'; plen--)
        p++;
    while (plen && p[plen - 1] == '/')
        plen--;
    if (!u->bucket || asprintf(&u->prefix, "%.*s%s", (int)plen, p, plen ? "/" : "") < 0)
        return ds_fail_nomem(err);
    if (strstr(u->prefix, "//") || strlen(u->prefix) > 512)
        return ds_fail(err, DS_USAGE, "'%s' cannot be a prefix", u->prefix);
    int rc = 0;
    while (!rc && q && *++q) {
        size_t n = strcspn(q, "&");
        rc = parameter(u, q, n, err);
        q = q[n] ? q + n : NULL;
    }
    return rc;
}

int ds_remote_url_parse(ds_remote_url *u, const char *text, ds_err *err)
{
    *u = (ds_remote_url){.s3 = false};
    if (!*text || !clean(text))
        return ds_fail(err, DS_USAGE, "'%s' is not the URL of a remote", text);
    int rc;
    if (strncmp(text, "s3://", 5) == 0)
        rc = parse_s3(u, text, err);
    else if (strstr(text, "://") && strncmp(text, "file://", 7) != 0)
        rc = ds_fail(err, DS_USAGE,
                     "'%.*s': packs lie in a folder or behind s3://; a git URL is given with "
                     "--catalog",
                     (int)strcspn(text, "@?"), text);
    else
        rc = parse_folder(u, text, err);
    if (rc)
        ds_remote_url_fini(u);
    return rc;
}

int ds_remote_url_text(char **out, const char *text, ds_err *err)
{
    if (strstr(text, "://")) {
        *out = strdup(text);
        return *out ? 0 : ds_fail_nomem(err);
    }
    return absolute(out, text, err);
}

int ds_remote_url_catalog(char **out, const ds_remote_url *u, ds_err *err)
{
    *out = NULL;
    if (u->s3)
        return ds_fail(err, DS_USAGE,
                       "object stores hold packs only: name the git repository that "
                       "takes the catalog with --catalog");
    if (asprintf(out, "%s/catalog.git", u->path) < 0) {
        *out = NULL;
        return ds_fail_nomem(err);
    }
    return 0;
}

int ds_git_url_check(const char *url, ds_err *err)
{
    const char *host = strstr(url, "://"), *at = host ? strchr(host + 3, '@') : NULL;
    const char *slash = host ? strchr(host + 3, '/') : NULL;
    if (!*url || *url == '-' || !clean(url))
        return ds_fail(err, DS_USAGE, "'%s' is not the URL of a git repository", url);
    if (strncmp(url, "ext::", 5) == 0 || strncmp(url, "fd::", 4) == 0)
        return ds_fail(err, DS_USAGE, "'%s': this transport of git is not used", url);
    if (at && (!slash || at < slash) && memchr(host + 3, ':', (size_t)(at - host - 3)))
        return ds_fail(err, DS_USAGE,
                       "a git URL with a password in it is not kept: use git's "
                       "credential helpers");
    return 0;
}
