/* runrows.h - the rows of the ledger that the catalog has of a run, checked as they are read: all
 * steps, each row following from the one before, and at the end the head that the run's newest
 * lineage.json tells of. A catalog in which one of these is not so answers nothing: DS_CORRUPT,
 * naming the run's ref. One thread.
 */
#ifndef DS_RUNROWS_H
#define DS_RUNROWS_H

#include "runs.h"

/* stretch: what was abandoned; NULL: the ledger. Non-zero stops and is returned. */
typedef int (*ds_runrow_fn)(void *ctx, const ds_ledger_row *row, const ds_stretch *stretch,
                            ds_err *err);
/* fn gets the ledger's rows, then with `abandoned` those that the run went back from, the stretch
 * abandoned last first. last: of the run's ds_run_info. */
int ds_runrows_each(ds_store *s, const ds_run_ref *r, const ds_lineage *last, bool abandoned,
                    ds_runrow_fn fn, void *ctx, ds_err *err);
/* Can all that the catalog has of a run be read, and is it so? */
int ds_runrows_check(ds_store *s, const ds_run_ref *r, ds_err *err);

#endif
