/* rebuild.h - a version made again from its sources, by the steps that its provenance records, and
 * compared with what is in the store.
 *
 * The steps have to be a chain, of which the last command that reads raw inputs is run and all that
 * follow it. They run as programs beside this one, of this version; their stream must tell of the
 * same steps, or it is not the same work that was done. Nothing is written to the store or the
 * sources; names behind pseudonyms lie in a folder of the owner's below $TMPDIR meanwhile. One
 * thread.
 */
#ifndef DS_REBUILD_H
#define DS_REBUILD_H

#include "pipeline.h"
#include "recompare.h"
#include "sourcefind.h"
#include "store.h"

typedef struct ds_rebuild_opts {
    const char *const *sources; /* folders and files */
    size_t nsources;
    const char *const *files; /* that steps read; WHAT=FILE for one that no digest tells of */
    size_t nfiles;
    const char *key_file; /* NULL: none */
    bool dry_run;         /* nothing will be run */
    bool as_is; /* the steps get the sources as they are now: nothing of them is compared */
} ds_rebuild_opts;

typedef struct ds_rebuild {
    ds_argv *stages; /* the steps from `first` on */
    size_t n, first;
    ds_sourcelist sources; /* without those that were erased */
    ds_sha want;
    ds_recompared got;
    struct json_t *steps;
    /* where the words come from */
    ds_sourcefind found, given;
    const char **paths; /* of the files: those found by content, then those named */
    size_t npaths;
    const char **named; /* WHAT=FILE; NULL: was taken */
    size_t nnamed;
    char *dir, *map; /* a folder of its own, and in it the names behind pseudonyms; or NULL */
} ds_rebuild;

/* Finds and checks sources and files, and makes the stages. DS_FAIL names what is missing, differs
 * or cannot be rebuilt. */
int ds_rebuild_plan(ds_rebuild *r, ds_store *s, const git_oid *commit, const ds_rebuild_opts *o,
                    ds_err *err);
/* Runs them. 0 also when the result differs: see `got`. */
int ds_rebuild_run(ds_rebuild *r, ds_store *s, const git_oid *commit, ds_err *err);
void ds_rebuild_fini(ds_rebuild *r);

#endif
