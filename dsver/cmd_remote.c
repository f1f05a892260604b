/* cmd_remote.c - dsver remote: places where versions lie for others. */
#include <stdlib.h>
#include <string.h>

#include "cmd_verb.h"
#include "io.h"
#include "refs.h"
#include "remoteconf.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_remote;
const ds_command ds_ver_remote = {
    .prog = "dsver",
    .name = "remote",
    .summary = "name places where versions lie for others",
    .operands = "[add NAME URL | remove NAME | list]",
    .max_operands = 3,
    .example = "dsver remote add origin /mnt/share/datasets\n"
               "dsver remote add origin 's3://bucket/datasets?endpoint=https://rgw.lan' "
               "--catalog git@host:datasets.git",
    .description =
        "A remote has two parts: packs with the data, in a folder (/PATH or file:///PATH) or an "
        "S3-compatible object store (s3://BUCKET/PREFIX), and the catalog, a git repository that "
        "git's own means reach. A folder holds both, the catalog in its catalog.git; for an object "
        "store --catalog says where it is.\n\n"
        "An s3:// URL takes ?endpoint=http[s]://HOST[:PORT], region=, profile=, style=path and "
        "style=virtual, joined by &. Without an endpoint it is Amazon's, or what AWS_ENDPOINT_URL "
        "says. Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and "
        "AWS_SESSION_TOKEN) in the environment or from a file as ~/.aws/credentials, which "
        "--credentials or AWS_SHARED_CREDENTIALS_FILE may name; never from the command line or "
        "the URL. A server's certificate is held against the system's authorities, or those in the "
        "file that AWS_CA_BUNDLE, CURL_CA_BUNDLE or SSL_CERT_FILE names, or in the folder of "
        "SSL_CERT_DIR (git has http.sslCAInfo for the catalog). Requests that fail are tried up to "
        "eight times (DS_REMOTE_TRIES, 1 to 9).",
    .run = run,
};

typedef struct remote_args {
    bool json;
    const char *store, *catalog, *credentials;
} remote_args;

/* did: what was done to it, or NULL. */
static void say(const remote_args *a, const ds_remoteconf *c, const char *did)
{
    if (a->json) {
        printf("{\"type\":\"remote\",");
        if (did)
            printf("\"did\":\"%s\",", did);
        printf("\"name\":");
        verb_json(stdout, c->name);
        printf(",\"url\":");
        verb_json(stdout, c->url);
        printf(",\"catalog\":");
        verb_json(stdout, c->catalog);
        printf(",\"lazy\":%s}\n", c->lazy ? "true" : "false");
        return;
    }
    printf("%s  ", c->name);
    verb_text(stdout, c->url, strlen(c->url));
    printf("  catalog ");
    verb_text(stdout, c->catalog, strlen(c->catalog));
    printf("%s\n", c->lazy ? "  (lazy)" : "");
}

static int list(const remote_args *a, const char *dir, ds_err *err)
{
    ds_strlist l = {0};
    int rc = ds_remoteconf_names(&l, dir, err);
    for (size_t i = 0; !rc && i < l.n; i++) {
        ds_remoteconf c = {.lazy = false};
        if ((rc = ds_remoteconf_get(&c, dir, l.v[i], err)) == 0)
            say(a, &c, NULL);
        ds_remoteconf_fini(&c);
    }
    ds_strlist_fini(&l);
    return rc;
}

typedef struct dropping {
    ds_catalog *cat;
    char prefix[128];
} dropping;

static int drop(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    dropping *d = ctx;
    if (strncmp(name, d->prefix, strlen(d->prefix)) != 0)
        return 0;
    int rc = ds_ref_delete(d->cat, name, id, err);
    return rc < 0 ? rc : 0;
}

/* With the remote goes what was known of it. */
static int remove_remote(const char *dir, const char *name, ds_err *err)
{
    static const char *const files[] = {"index.db", "index.db-wal", "index.db-shm", "lock"};
    ds_store s = {0};
    dropping d;
    int rc = ds_remoteconf_remove(dir, name, err);
    rc = rc ? rc : ds_store_open(&s, dir, DS_OBJ_READ, err);
    rc = rc ? rc : ds_store_act(&s, "remote", NULL, NULL, err);
    if (!rc) {
        snprintf(d.prefix, sizeof d.prefix, DS_REF_REMOTES "%s/", name);
        d.cat = s.cat;
        rc = ds_ref_each(s.cat, drop, &d, err);
    }
    for (size_t i = 0; !rc && i < sizeof files / sizeof *files; i++) {
        char *path = NULL;
        if (asprintf(&path, "%s/remotes/%s/%s", dir, name, files[i]) < 0)
            rc = ds_fail_nomem(err);
        else
            (void)remove(path);
        free(path);
    }
    ds_store_close(&s);
    return rc;
}

/* NAME and URL the other way round. */
static int check_order(const char *name, const char *url, ds_err *err)
{
    if (!strpbrk(name, "/:") && (!ds_path_exists(name) || ds_path_exists(url)))
        return 0;
    return strpbrk(url, "/:.")
               ? 0
               : ds_fail(err, DS_USAGE, "the name comes first: dsver remote add %s %s", url, name);
}

static int add(const remote_args *a, const char *dir, const char *name, const char *url,
               ds_err *err)
{
    const int rc = check_order(name, url, err);
    return rc ? rc : ds_remoteconf_add(dir, name, url, a->catalog, a->credentials, err);
}

/* As it was or is, to machines alone: people know what they asked for. */
static int change(const remote_args *a, const char *dir, char **v, bool adds, ds_err *err)
{
    ds_remoteconf c = {.lazy = false};
    int rc = adds ? add(a, dir, v[1], v[2], err) : 0;
    if (!rc && a->json)
        rc = ds_remoteconf_get(&c, dir, v[1], err);
    rc = rc || adds ? rc : remove_remote(dir, v[1], err);
    if (!rc && a->json)
        say(a, &c, adds ? "added" : "removed");
    ds_remoteconf_fini(&c);
    return rc;
}

static int act(const remote_args *a, const char *dir, char **v, int n, ds_err *err)
{
    if ((a->catalog || a->credentials) && (n == 0 || strcmp(v[0], "add") != 0))
        return ds_fail(err, DS_USAGE, "--%s goes with add", a->catalog ? "catalog" : "credentials");
    if (n == 0 || (strcmp(v[0], "list") == 0 && n == 1))
        return list(a, dir, err);
    if (strcmp(v[0], "add") == 0 && n == 3)
        return change(a, dir, v, true, err);
    if (strcmp(v[0], "remove") == 0 && n == 2)
        return change(a, dir, v, false, err);
    return ds_fail(err, DS_USAGE, "it is add NAME URL, remove NAME, or list");
}

static int run(int argc, char **argv)
{
    remote_args a = {.json = false};
    const ds_opt opts[] = {
        OPT_STR(0, "catalog", a.catalog, "GITURL", "the git repository that holds the catalog"),
        OPT_STR(0, "credentials", a.credentials, "FILE", "a file as ~/.aws/credentials"),
        VERB_STORE(a.store),
        VERB_JSON(a.json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_remote, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    char *dir = NULL;
    if (ds_store_find(&dir, a.store, &err) == 0)
        act(&a, dir, operands, n, &err);
    free(dir);
    return ds_command_end(&ds_ver_remote, &err, a.json);
}
