/* cmd_clone.c - dsver clone. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd_sync.h"
#include "cmd_verb.h"
#include "io.h"
#include "refs.h"
#include "rmtree.h"
#include "sig.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_clone;
const ds_command ds_ver_clone = {
    .prog = "dsver",
    .name = "clone",
    .summary = "make a store with the versions of a remote",
    .operands = "URL [DIR]",
    .min_operands = 1,
    .max_operands = 2,
    .example = "dsver clone /mnt/share/datasets\n"
               "dsver clone --lazy 's3://bucket/datasets?endpoint=https://rgw.lan' --catalog "
               "git@host:datasets.git work",
    .description =
        "Makes DIR (by default named like the last part of URL), a store in it with the remote as "
        "origin, and brings all its versions. URL and --catalog are those of dsver remote. With "
        "--lazy only the catalog is brought: pieces are fetched when something reads them (and, "
        "where "
        "it reads in order, the next ones meanwhile), checked and kept; dsver prefetch brings "
        "those "
        "of a version, or of some keys, shards or columns, before they are read. A clone that was "
        "killed goes on when the same command is given again; one that nothing came of leaves "
        "nothing.",
    .run = run,
};

typedef struct cloning {
    sync_words words;
    bool lazy;
    const char *url, *catalog, *credentials;
    char *dir;
    bool made; /* the store, by this run */
    int shared;
} cloning;

/* The last part of the URL that is a name. */
static int default_dir(char **dir, const char *url, ds_err *err)
{
    ds_remote_url u = {.s3 = false};
    int rc = ds_remote_url_parse(&u, url, err);
    if (rc)
        return rc;
    const char *s = !u.s3 ? u.path : *u.prefix ? u.prefix : u.bucket;
    const size_t n = ds_path_len(s);
    size_t at = n;
    while (at && s[at - 1] != '/')
        at--;
    *dir = strndup(s + at, n - at);
    rc = !*dir   ? ds_fail_nomem(err)
         : **dir ? 0
                 : ds_fail(err, DS_USAGE, "'%s' gives no name for the folder: say DIR", url);
    ds_remote_url_fini(&u);
    return rc;
}

/* The store: a new one, or one that an earlier clone of the same remote began. */
static int make_store(cloning *c, ds_store *s, ds_err *err)
{
    int rc = ds_store_init(c->dir, (enum ds_sharing)c->shared, &c->made, err);
    rc = rc ? rc : ds_store_open(s, c->dir, DS_OBJ_WRITE, err);
    rc = rc ? rc : ds_store_act(s, "clone", NULL, NULL, err);
    if (!rc && !c->made) {
        ds_remoteconf there;
        ds_err none = {0};
        if (ds_remoteconf_get(&there, s->dir, "origin", &none) != 0) {
            ds_objtotals t;
            rc = ds_objstore_totals(s->objs, &t, err);
            if (!rc && t.pieces)
                rc = ds_fail(err, DS_FAIL, "%s: a store is there already", c->dir);
        }
        ds_remoteconf_fini(&there);
    }
    rc = rc ? rc : ds_remoteconf_add(s->dir, "origin", c->url, c->catalog, c->credentials, err);
    if (rc == DS_FAIL && !c->made)
        return ds_err_prefix(err, "%s: another store is there", c->dir);
    return !rc && c->lazy ? ds_remoteconf_lazy(s->dir, "origin", true, err) : rc;
}

/* A wrong URL, say: what this run made and nothing has come into is in nobody's way. */
static void unmake(const cloning *c, ds_store *s)
{
    ds_objtotals t = {.pieces = 1};
    char *dir = NULL;
    if (c->made && s->dir && !ds_ref_any(s->cat, NULL) &&
        ds_objstore_totals(s->objs, &t, NULL) == 0 && t.pieces == 0)
        dir = strdup(s->dir);
    ds_store_close(s);
    if (dir) {
        ds_remove_tree(dir);
        (void)rmdir(c->dir); /* which there may be more in */
    }
    free(dir);
}

static int clone(cloning *c, ds_err *err)
{
    ds_store s = {0};
    ds_link l = {.store = NULL};
    ds_sync_opts o = {.lazy = c->lazy, .anew = true}, b = {.fn = sync_say_ref, .ctx = &c->words};
    ds_synced done = {.refs = 0}, branches = {.refs = 0};
    int rc = ds_sync_check_url(c->url, c->catalog, err);
    rc = rc ? rc : make_store(c, &s, err);
    rc = rc ? rc : ds_link_open(&l, &s, "origin", err);
    rc = rc ? rc : ds_sync_fetch(&done, &l, &o, err);
    rc = rc ? rc : ds_sync_branches(&branches, &l, &b, err);
    if (!rc && !c->words.json && !c->words.quiet && !ds_ref_any(s.cat, NULL))
        printf("nothing lies there yet\n");
    else if (!rc)
        sync_say_end(&c->words, &done);
    ds_link_close(&l);
    if (rc)
        unmake(c, &s);
    else
        ds_store_close(&s);
    return rc;
}

static int run(int argc, char **argv)
{
    cloning c = {.words = {.what = "clone"}};
    const ds_opt opts[] = {
        OPT_FLAG(0, "lazy", c.lazy, "leave the data there until it is read"),
        OPT_CHOICE(0, "shared", c.shared, "WHOM", ds_sharing_words,
                   "who may use the clone, as for dsver init: umask, group or all"),
        OPT_STR(0, "catalog", c.catalog, "GITURL", "the git repository that holds the catalog"),
        OPT_STR(0, "credentials", c.credentials, "FILE", "a file as ~/.aws/credentials"),
        VERB_QUIET(c.words.quiet),
        VERB_JSON(c.words.json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_clone, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    ds_sig_setup();
    c.url = operands[0];
    int rc = 0;
    if (n > 1 && !(c.dir = strdup(operands[1])))
        rc = ds_fail_nomem(&err);
    else if (n == 1)
        rc = default_dir(&c.dir, c.url, &err);
    if (!rc)
        clone(&c, &err);
    free(c.dir);
    status = ds_command_end(&ds_ver_clone, &err, c.words.json);
    ds_sig_reraise();
    return status;
}
