/* secondstore.c - see secondstore.h. */
#include "secondstore.h"

#include <stdlib.h>

#include "remotesync.h"

/* All versions, and of their pieces those that are read. */
static int clone_lazily(ds_store *s, const ds_remoteconf *c, ds_err *err)
{
    ds_link l = {.store = NULL};
    const ds_sync_opts o = {.lazy = true};
    ds_synced done = {.refs = 0};
    int rc = ds_store_act(s, "clone", NULL, NULL, err);
    rc = rc ? rc : ds_remoteconf_add(s->dir, "origin", c->url, c->catalog, c->credentials, err);
    rc = rc ? rc : ds_remoteconf_lazy(s->dir, "origin", true, err);
    rc = rc ? rc : ds_link_open(&l, s, "origin", err);
    rc = rc ? rc : ds_sync_fetch(&done, &l, &o, err);
    rc = rc ? rc : ds_sync_branches(&done, &l, &o, err);
    ds_link_close(&l);
    return rc;
}

int ds_secondstore_open(ds_secondstore *s, const char *store, const char *from, ds_err *err)
{
    ds_err why = {0};
    ds_remoteconf conf = {.lazy = false};
    const ds_remoteconf given = {.url = (char *)(uintptr_t)from};
    char *found = NULL;
    *s = (ds_secondstore){.dir = NULL};
    const bool folder = ds_store_find(&found, from, &why) == 0;
    free(found);
    if (folder)
        return ds_store_open(&s->store, from, DS_OBJ_READ, err);
    const bool named = ds_remoteconf_get(&conf, store, from, &why) == 0;
    int rc = named ? 0 : ds_sync_check_url(from, NULL, err);
    rc = rc ? rc : ds_store_open_temp(&s->store, &s->dir, err);
    rc = rc ? rc : clone_lazily(&s->store, named ? &conf : &given, err);
    ds_store_close(&s->store); /* what is lazy is known when it is opened */
    rc = rc ? rc : ds_store_open(&s->store, s->dir, DS_OBJ_WRITE, err);
    ds_remoteconf_fini(&conf);
    return rc;
}

void ds_secondstore_close(ds_secondstore *s)
{
    ds_store_close_temp(&s->store, &s->dir);
    *s = (ds_secondstore){.dir = NULL};
}
