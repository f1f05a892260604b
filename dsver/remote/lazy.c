/* lazy.c - see lazy.h. */
#include "lazy.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "objcore.h"
#include "pool.h"
#include "remotesync.h"

/* Pieces that are fetched together: few at first, so that who waits for the first goes on soon. */
enum { EXPECTED_MAX = 4096, BATCH_FIRST = 32, BATCH_MOST = 512 };

struct ds_lazy {
    ds_store *store;
    char *name;
    pthread_mutex_t lock; /* of what follows, up to link */
    pthread_cond_t change;
    bool busy;           /* somebody fetches */
    unsigned waiting;    /* readers who stand before a piece */
    ds_shaset expected;  /* in the order in which they were named */
    ds_shaset under_way; /* is fetched now */
    size_t batch;
    bool started, stop;
    bool failed; /* the last fetch: nothing goes ahead of readers until one of theirs is well */
    pthread_t thread;
    ds_link link; /* of whoever is busy */
    bool open;
};

static bool here(ds_lazy *z, const ds_sha *id)
{
    return ds_objstore_has(z->store->objs, id);
}

static void *go_ahead(void *arg);

static void expect(void *ctx, const ds_sha *id)
{
    ds_lazy *z = ctx;
    if (here(z, id))
        return;
    pthread_mutex_lock(&z->lock);
    if (z->expected.n < EXPECTED_MAX && !ds_shaset_has(&z->under_way, id))
        (void)ds_shaset_add(&z->expected, id, NULL, NULL);
    /* without a thread, readers fetch what was named along with what they miss */
    if (!z->started)
        z->started = ds_thread_begin(&z->thread, go_ahead, z);
    pthread_cond_broadcast(&z->change);
    pthread_mutex_unlock(&z->lock);
}

/* The first of what is expected is under way from now on. With the lock held. */
static void take_batch(ds_lazy *z)
{
    ds_shaset rest = {0};
    for (size_t i = 0; i < z->expected.n; i++)
        (void)ds_shaset_add(i < z->batch ? &z->under_way : &rest, &z->expected.ids[i], NULL, NULL);
    ds_shaset_fini(&z->expected);
    z->expected = rest;
    z->busy = true;
}

/* With the lock held. */
static void settle(ds_lazy *z, int rc)
{
    ds_shaset_fini(&z->under_way);
    z->under_way = (ds_shaset){0};
    z->busy = false;
    z->failed = rc != 0;
    z->batch = z->batch < BATCH_MOST ? 2 * z->batch : BATCH_MOST;
    pthread_cond_broadcast(&z->change);
}

static int fetch(ds_lazy *z, const ds_shaset *want, ds_err *err)
{
    ds_remotestate state;
    ds_moved moved;
    int rc = 0;
    if (!z->open) {
        rc = ds_link_open(&z->link, z->store, z->name, err);
        if (!rc)
            (void)ds_remoteindex_avoid(z->link.index, DS_AVOID_NEW);
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
    rc = ds_sync_get(&moved, &state, &z->link, &t, want, err);
    ds_objstore_release(z->store->objs);
    return rc;
}

/* A piece with those that are expected; alone, when one of these is what is wrong. */
static int fetch_with(ds_lazy *z, const ds_sha *id, ds_err *err)
{
    ds_shaset alone = {0};
    ds_err why = {0};
    if (z->under_way.n > 1 && fetch(z, &z->under_way, &why) == 0)
        return 0;
    int rc = ds_shaset_add(&alone, id, NULL, err);
    rc = rc ? rc : fetch(z, &alone, err);
    ds_shaset_fini(&alone);
    return rc;
}

static int miss(void *ctx, const ds_sha *id, ds_err *err)
{
    ds_lazy *z = ctx;
    pthread_mutex_lock(&z->lock);
    z->waiting++;
    while (z->busy)
        pthread_cond_wait(&z->change, &z->lock);
    z->waiting--;
    pthread_cond_broadcast(&z->change);
    if (here(z, id)) {
        pthread_mutex_unlock(&z->lock);
        return 1;
    }
    take_batch(z);
    int rc = ds_shaset_add(&z->under_way, id, NULL, err);
    pthread_mutex_unlock(&z->lock);

    rc = rc ? rc : fetch_with(z, id, err);

    pthread_mutex_lock(&z->lock);
    settle(z, rc);
    pthread_mutex_unlock(&z->lock);
    if (rc)
        return ds_err_prefix(err, "a piece that is not here yet");
    if (here(z, id))
        return 1;
    char hex[65];
    ds_sha_hex(hex, id);
    return ds_fail(err, DS_CORRUPT,
                   "piece %s is not here yet, and %s lacks it; where records were erased there, "
                   "dsver fetch brings what is read in their place",
                   hex, ds_remote_place(z->link.remote));
}

/* The thread: fetches what readers named while none of them stands before a piece. What goes wrong
 * is said to the reader who misses the piece. */
static void *go_ahead(void *arg)
{
    ds_lazy *z = arg;
    pthread_mutex_lock(&z->lock);
    while (!z->stop) {
        if (z->busy || z->waiting || z->failed || z->expected.n == 0) {
            pthread_cond_wait(&z->change, &z->lock);
            continue;
        }
        take_batch(z);
        pthread_mutex_unlock(&z->lock);
        ds_err why = {0};
        int rc = fetch(z, &z->under_way, &why);
        pthread_mutex_lock(&z->lock);
        settle(z, rc);
    }
    pthread_mutex_unlock(&z->lock);
    return NULL;
}

/* The first remote that is lazy; NULL when none is. */
static int find_remote(char **name, const char *dir, ds_err *err)
{
    ds_strlist l = {0};
    int rc = ds_remoteconf_names(&l, dir, err);
    *name = NULL;
    for (size_t i = 0; !rc && !*name && i < l.n; i++) {
        ds_remoteconf c = {.lazy = false};
        if (ds_remoteconf_get(&c, dir, l.v[i], NULL) == 0 && c.lazy && !(*name = strdup(l.v[i])))
            rc = ds_fail_nomem(err);
        ds_remoteconf_fini(&c);
    }
    ds_strlist_fini(&l);
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
    pthread_cond_init(&z->change, NULL);
    z->batch = BATCH_FIRST;
    s->lazy = z;
    if (s->objs)
        ds_objstore_on_miss(s->objs, miss, expect, z);
    return 0;
}

const char *ds_lazy_name(const ds_lazy *z)
{
    return z->name;
}

void ds_lazy_free(ds_lazy *z)
{
    if (!z)
        return;
    pthread_mutex_lock(&z->lock);
    z->stop = true;
    pthread_cond_broadcast(&z->change);
    pthread_mutex_unlock(&z->lock);
    if (z->started)
        pthread_join(z->thread, NULL);
    if (z->open)
        ds_link_close(&z->link);
    pthread_mutex_destroy(&z->lock);
    pthread_cond_destroy(&z->change);
    ds_shaset_fini(&z->expected);
    ds_shaset_fini(&z->under_way);
    free(z->name);
    free(z);
}
