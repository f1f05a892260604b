/* remoteconf.h - the remotes that a store knows by name, in its configuration:
 *
 *     [remote "NAME"]
 *         url = where the packs lie (remoteurl.h)
 *         catalog = the git repository; when it is missing: catalog.git in the folder of the packs
 *         credentials = a file (s3cred.h)
 *         lazy = true: pieces are fetched when they are read
 */
#ifndef DS_REMOTECONF_H
#define DS_REMOTECONF_H

#include "remote.h"
#include "store.h"
#include "strlist.h"

typedef struct ds_remoteconf {
    char *name, *url, *catalog, *credentials;
    bool lazy;
} ds_remoteconf;
void ds_remoteconf_fini(ds_remoteconf *c);

/* name NULL: "origin", or the only one there is. DS_FAIL when there is none. */
int ds_remoteconf_get(ds_remoteconf *c, const char *dir, const char *name, ds_err *err);
/* The names of all, in order, into an empty list. */
int ds_remoteconf_names(ds_strlist *names, const char *dir, ds_err *err);
/* Checks everything first. catalog, credentials: NULL when not given. */
int ds_remoteconf_add(const char *dir, const char *name, const char *url, const char *catalog,
                      const char *credentials, ds_err *err);
int ds_remoteconf_remove(const char *dir, const char *name, ds_err *err);
int ds_remoteconf_lazy(const char *dir, const char *name, bool lazy, ds_err *err);
/* Opens where its packs lie. */
int ds_remoteconf_open(ds_remote **out, const ds_remoteconf *c, ds_err *err);

#endif
