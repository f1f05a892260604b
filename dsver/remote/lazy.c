/* lazy.c - see lazy.h. */
#include "lazy.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "objcore.h"
#include "remotesync.h"

enum { EXPECTED_MAX = 1024 };

struct ds_lazy {
    ds_store *store;
    char *name;
    pthread_mutex_t lock; /* of what follows, up to link */
    pthread_cond_t done;
    bool busy; /* somebody fetches */
    ds_shaset expected;
    ds_link link; /* of whoever is busy */
    bool open;
};

static bool here(ds_lazy *z, const ds_sha *id)
{
    return ds_objstore_has(z->store->objs, id);
}

static void expect(void *ctx, const ds_sha *id)
{
    ds_lazy *z = ctx;
    if (here(z, id))
        return;
    pthread_mutex_lock(&z->lock);
    if (z->expected.n < EXPECTED_MAX)
        (void)ds_shaset_add(&z->expected, id, NULL, NULL);
    pthread_mutex_unlock(&z->lock);
}

static int fetch(ds_lazy *z, const ds_shaset *want, ds_err *err)
{
    ds_remotestate state;
    ds_moved moved;
    int rc = 0;
    if (!z->open) {
        rc = ds_link_open(&z->link, z->store, z->name, err);
        rc = rc ? rc : ds_remoteindex_refresh(z->link.index, &state, err);
        z->open = rc == 0;
        if (rc)
            ds_link_close(&z->link);
    }
    ds_transfer t = {
        .objs = z->store->objs, .remote = z->link.remote, .index = z->link.index, .quiet = true};
    rc = rc ? rc : ds_objstore_hold(z->store->objs, err);
    if (rc)
        return rc;
    rc = ds_transfer_fetch(&moved, &t, want, err);
    ds_objstore_release(z->store->objs);
    return rc;
}

/* A piece with those that are expected; alone, when one of these is what is wrong. */
static int fetch_with(ds_lazy *z, const ds_sha *id, ds_shaset *expected, ds_err *err)
{
    ds_shaset alone = {0};
    ds_err why = {0};
    int rc = ds_shaset_add(&alone, id, NULL, err);
    if (!rc && expected->n) {
        rc = ds_shaset_add(expected, id, NULL, err);
        if (!rc && fetch(z, expected, &why) == 0) {
            ds_shaset_fini(&alone);
            return 0;
        }
    }
    rc = rc ? rc : fetch(z, &alone, err);
    ds_shaset_fini(&alone);
    return rc;
}

static int miss(void *ctx, const ds_sha *id, ds_err *err)
{
    ds_lazy *z = ctx;
    ds_shaset expected;
    pthread_mutex_lock(&z->lock);
    while (z->busy)
        pthread_cond_wait(&z->done, &z->lock);
    if (here(z, id)) {
        pthread_mutex_unlock(&z->lock);
        return 1;
    }
    z->busy = true;
    expected = z->expected;
    z->expected = (ds_shaset){0};
    pthread_mutex_unlock(&z->lock);

    int rc = fetch_with(z, id, &expected, err);
    ds_shaset_fini(&expected);

    pthread_mutex_lock(&z->lock);
    z->busy = false;
    pthread_cond_broadcast(&z->done);
    pthread_mutex_unlock(&z->lock);
    if (rc)
        return ds_err_prefix(err, "a piece that is not here yet");
    if (here(z, id))
        return 1;
    char hex[65];
    ds_sha_hex(hex, id);
    return ds_fail(err, DS_CORRUPT, "piece %s is not here yet, and %s lacks it", hex,
                   ds_remote_place(z->link.remote));
}

/* The first remote that is lazy; NULL when none is. */
static int find_remote(char **name, const char *dir, ds_err *err)
{
    char **v = NULL;
    size_t n = 0;
    int rc = ds_remoteconf_names(&v, &n, dir, err);
    *name = NULL;
    for (size_t i = 0; i < n; i++) {
        ds_remoteconf c = {.lazy = false};
        if (!rc && !*name && ds_remoteconf_get(&c, dir, v[i], NULL) == 0 && c.lazy) {
            *name = v[i];
            v[i] = NULL;
        }
        ds_remoteconf_fini(&c);
        free(v[i]);
    }
    free(v);
    return rc;
}

int ds_lazy_attach(ds_store *s, ds_err *err)
{
    char *name = NULL;
    int rc = find_remote(&name, s->dir, err);
    if (rc || !name)
        return rc;
    ds_lazy *z = calloc(1, sizeof *z);
    if (!z) {
        free(name);
        return ds_fail_nomem(err);
    }
    z->name = name;
    z->store = s;
    pthread_mutex_init(&z->lock, NULL);
    pthread_cond_init(&z->done, NULL);
    s->lazy = z;
    ds_objstore_on_miss(s->objs, miss, expect, z);
    return 0;
}

void ds_lazy_free(ds_lazy *z)
{
    if (!z)
        return;
    if (z->open)
        ds_link_close(&z->link);
    pthread_mutex_destroy(&z->lock);
    pthread_cond_destroy(&z->done);
    ds_shaset_fini(&z->expected);
    free(z->name);
    free(z);
}
