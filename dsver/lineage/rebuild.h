/* rebuild.h - a version made again from its sources, by the steps that its provenance records, and
 * compared with what is in the store.
 *
 * The steps have to be a chain that begins with a command that reads raw inputs. They run as
 * programs beside this one, of this version; their stream must tell of the same steps, or it is not
 * the same work that was done. Nothing is written to the store, the sources or anywhere else. One
 * thread.
 */
#ifndef DS_REBUILD_H
#define DS_REBUILD_H

#include "pipeline.h"
#include "sourcefind.h"
#include "store.h"

typedef struct ds_rebuild_opts {
    const char *const *sources; /* folders and files */
    size_t nsources;
    const char *const *files; /* that steps read */
    size_t nfiles;
    const char *key_file; /* NULL: none */
} ds_rebuild_opts;

typedef struct ds_rebuild {
    ds_argv *stages;
    size_t n;
    ds_sourcelist sources;
    uint64_t packed;  /* sources that are compared when they are read */
    uint64_t records; /* that the steps made */
    ds_sha want, root;
    char *differs; /* in words: what differs first; NULL when the roots are the same */
    struct json_t *steps;
    /* where the words come from */
    ds_sourcefind found, given;
} ds_rebuild;

/* Finds and checks sources and files, and makes the stages. DS_FAIL names what is missing, differs
 * or cannot be rebuilt. */
int ds_rebuild_plan(ds_rebuild *r, ds_store *s, const git_oid *commit, const ds_rebuild_opts *o,
                    ds_err *err);
/* Runs them. 0 also when the result differs: see `differs`. */
int ds_rebuild_run(ds_rebuild *r, ds_store *s, const git_oid *commit, ds_err *err);
void ds_rebuild_fini(ds_rebuild *r);

#endif
