/* remoteconf.c - see remoteconf.h. */
#include "remoteconf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ds_remoteconf_fini(ds_remoteconf *c)
{
    free(c->name);
    free(c->url);
    free(c->catalog);
    free(c->credentials);
    *c = (ds_remoteconf){.lazy = false};
}

static int check_name(const char *name, ds_err *err)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    size_t n = strlen(name);
    if (n == 0 || n > 64 || *name == '-' || strspn(name, allowed) != n)
        return ds_fail(err, DS_USAGE,
                       "'%s' cannot be the name of a remote: 1 to 64 letters, digits, '_' and '-', "
                       "not '-' first",
                       name);
    return 0;
}

/* The setting as text: NULL when it is not there. */
static int get(char **out, const char *dir, const char *name, const char *key, ds_err *err)
{
    ds_buf v = {0};
    char full[128];
    snprintf(full, sizeof full, "remote.%s.%s", name, key);
    *out = NULL;
    int rc = ds_config_get(&v, dir, full, false, err);
    if (rc > 0) {
        const char *s = ds_buf_cstr(&v);
        *out = s ? strdup(s) : NULL;
        rc = *out ? 0 : ds_fail_nomem(err);
    }
    ds_buf_fini(&v);
    return rc < 0 ? rc : 0;
}

static int set(const char *dir, const char *name, const char *key, const char *value, ds_err *err)
{
    char full[128];
    snprintf(full, sizeof full, "remote.%s.%s", name, key);
    return ds_config_set(dir, full, value, err);
}

/* ---- which there are ---- */

typedef struct names {
    ds_strlist *l;
    ds_err *err;
} names;

static int on_setting(void *ctx, const char *name, const char *value)
{
    names *x = ctx;
    const char *end = strrchr(name, '.');
    (void)value;
    if (strncmp(name, "remote.", 7) != 0 || !end || strcmp(end, ".url") != 0 || end <= name + 7)
        return 0;
    name += 7;
    const size_t len = (size_t)(end - name);
    for (size_t i = 0; i < x->l->n; i++)
        if (strlen(x->l->v[i]) == len && memcmp(x->l->v[i], name, len) == 0)
            return 0;
    return ds_strlist_add_part(x->l, name, len, x->err);
}

int ds_remoteconf_names(ds_strlist *out, const char *dir, ds_err *err)
{
    names x = {.l = out, .err = err};
    int rc = ds_config_each(dir, on_setting, &x, err);
    ds_strlist_sort(out);
    return rc;
}

static int default_name(char **name, const char *dir, ds_err *err)
{
    ds_strlist l = {0};
    size_t pick = 0;
    int rc = ds_remoteconf_names(&l, dir, err);
    for (size_t i = 0; i < l.n; i++)
        if (strcmp(l.v[i], "origin") == 0)
            pick = i;
    if (!rc && l.n == 0)
        rc = ds_fail(err, DS_FAIL, "%s: knows no remote; name one with dsver remote add", dir);
    else if (!rc && l.n > 1 && strcmp(l.v[pick], "origin") != 0)
        rc = ds_fail(err, DS_USAGE, "which remote? There are %zu, and none is named origin", l.n);
    else if (!rc && !(*name = strdup(l.v[pick])))
        rc = ds_fail_nomem(err);
    ds_strlist_fini(&l);
    return rc;
}

/* ---- one ---- */

int ds_remoteconf_get(ds_remoteconf *c, const char *dir, const char *name, ds_err *err)
{
    ds_remote_url u = {.s3 = false};
    char *lazy = NULL;
    *c = (ds_remoteconf){.lazy = false};
    int rc = name ? check_name(name, err) : default_name(&c->name, dir, err);
    if (!rc && name && !(c->name = strdup(name)))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : get(&c->url, dir, c->name, "url", err);
    if (!rc && !c->url)
        rc = ds_fail(err, DS_FAIL, "no remote '%s' (see dsver remote list)", c->name);
    rc = rc ? rc : get(&c->catalog, dir, c->name, "catalog", err);
    rc = rc ? rc : get(&c->credentials, dir, c->name, "credentials", err);
    rc = rc ? rc : get(&lazy, dir, c->name, "lazy", err);
    c->lazy = lazy && strcmp(lazy, "true") == 0;
    if (!rc && !c->catalog) {
        rc = ds_remote_url_parse(&u, c->url, err);
        rc = rc ? rc : ds_remote_url_catalog(&c->catalog, &u, err);
        ds_remote_url_fini(&u);
    }
    free(lazy);
    if (rc)
        ds_remoteconf_fini(c);
    return rc;
}

int ds_remoteconf_add(const char *dir, const char *name, const char *url, const char *catalog,
                      const char *credentials, ds_err *err)
{
    ds_remote_url u = {.s3 = false};
    char *there = NULL, *full = NULL, *cat = NULL, *cred = NULL;
    int rc = check_name(name, err);
    rc = rc ? rc : ds_remote_url_parse(&u, url, err);
    if (!rc && !catalog)
        rc = ds_remote_url_catalog(&cat, &u, err);
    rc = rc ? rc : get(&there, dir, name, "url", err);
    rc = rc ? rc : ds_remote_url_text(&full, url, err);
    if (!rc && there && strcmp(there, full) != 0)
        rc = ds_fail(err, DS_FAIL, "remote '%s' is there already: %s", name, there);
    if (!rc && catalog) {
        free(cat);
        cat = NULL;
        /* host:path is git's, for ssh; a path is made absolute */
        bool path = !strchr(catalog, ':') || *catalog == '/' || *catalog == '.';
        rc = ds_git_url_check(catalog, err);
        rc = rc     ? rc
             : path ? ds_remote_url_text(&cat, catalog, err)
                    : ((cat = strdup(catalog)) ? 0 : ds_fail_nomem(err));
    }
    if (!rc && credentials)
        rc = ds_remote_url_text(&cred, credentials, err);
    /* url comes last: it makes the remote */
    if (!rc && catalog)
        rc = set(dir, name, "catalog", cat, err);
    if (!rc && cred)
        rc = set(dir, name, "credentials", cred, err);
    rc = rc ? rc : set(dir, name, "url", full, err);
    ds_remote_url_fini(&u);
    free(there);
    free(full);
    free(cat);
    free(cred);
    return rc;
}

int ds_remoteconf_remove(const char *dir, const char *name, ds_err *err)
{
    static const char *const keys[] = {"url", "catalog", "credentials", "lazy"};
    ds_remoteconf c;
    int rc = ds_remoteconf_get(&c, dir, name, err);
    if (rc)
        return rc;
    ds_remoteconf_fini(&c);
    for (size_t i = 0; !rc && i < sizeof keys / sizeof *keys; i++) {
        char *v = NULL;
        rc = get(&v, dir, name, keys[i], err);
        if (!rc && v)
            rc = set(dir, name, keys[i], NULL, err);
        free(v);
    }
    return rc;
}

int ds_remoteconf_lazy(const char *dir, const char *name, bool lazy, ds_err *err)
{
    return set(dir, name, "lazy", lazy ? "true" : "false", err);
}

int ds_remoteconf_open(ds_remote **out, const ds_remoteconf *c, ds_err *err)
{
    ds_remote_url u = {.s3 = false};
    ds_remote_opts o = {.credentials = c->credentials};
    const char *tries = getenv("DS_REMOTE_TRIES");
    if (tries && *tries >= '1' && *tries <= '9' && !tries[1])
        o.tries = (unsigned)(*tries - '0');
    int rc = ds_remote_url_parse(&u, c->url, err);
    rc = rc ? rc : ds_remote_open(out, &u, &o, err);
    ds_remote_url_fini(&u);
    return rc;
}
