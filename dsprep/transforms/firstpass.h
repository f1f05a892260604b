/* firstpass.h - the first of two readings of a stream: all of its blocks are looked at, and nothing
 * is written.
 *
 * What is open is lent to the worker (blockpipe.h), whose `done` says how far it is.
 */
#ifndef DS_FIRSTPASS_H
#define DS_FIRSTPASS_H

#include "blockpipe.h"
#include "opt.h"
#include "term.h"

typedef struct ds_firstpass {
    const ds_blockpipe_ops *ops;
    int (*begin)(void *ctx, ds_err *err); /* the stream is open: its columns can be looked for */
    void *ctx;
    int threads;
    /* while it is read */
    ds_instream *in;
    ds_progress progress;
} ds_firstpass;

int ds_firstpass_run(ds_firstpass *p, char **paths, int n, ds_err *err);
/* Each of the files of --against. */
int ds_firstpass_against(ds_firstpass *p, const ds_opt_list *files, ds_err *err);
void ds_firstpass_at(ds_firstpass *p); /* a block is done */

#endif
