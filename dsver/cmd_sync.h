/* cmd_sync.h - what push, fetch, pull and clone share: how they say what became of refs. */
#ifndef DS_CMD_SYNC_H
#define DS_CMD_SYNC_H

#include "opt.h"
#include "remotesync.h"

typedef struct sync_words {
    bool json, quiet, dry_run;
    const char *what; /* "push" */
} sync_words;

void sync_say_ref(void *words, const ds_syncref *r);           /* a ds_sync_fn */
void sync_say_end(const sync_words *w, const ds_synced *done); /* totals */

/* When the word that should name a remote (NULL: none was said) is something else that a user has
 * in mind - a dataset, a place -, an error that says what to type. */
int sync_check_remote(const ds_command *cmd, const ds_store *s, const char *word, ds_err *err);

#endif
