/* tidy.h - the catalog's own packs: what dead writers left goes, many packs become one, and objects
 * that nothing leads to are left out of it.
 *
 * What any ref leads to is found before writers are shut out; then only what they added is looked
 * at. Objects in packs younger than the time of grace stay: git commands from outside, which know
 * none of our locks, may be about to use them. One thread.
 */
#ifndef DS_TIDY_H
#define DS_TIDY_H

#include "catalog.h"

typedef struct ds_tidied {
    uint64_t leftovers; /* files of dead writers */
    uint64_t joined;    /* packs that became one */
    uint64_t pruned;    /* objects left out */
} ds_tidied;

typedef struct ds_tidy ds_tidy;
/* young: packs made after it (seconds since 1970) keep all they hold. */
int ds_tidy_new(ds_tidy **out, ds_catalog *c, int64_t young, ds_err *err);
/* What no ref leads to and is needed all the same, with all that it leads to: a reader's commit. */
int ds_tidy_keep(ds_tidy *t, const git_oid *id, ds_err *err);
/* With writers shut out, unless dry_run. */
int ds_tidy_run(ds_tidy *t, bool dry_run, ds_tidied *out, ds_err *err);
void ds_tidy_free(ds_tidy *t); /* NULL is fine */

#endif
