/* runs.h - training runs that a store knows of: what they consumed (docs/lineage-format.md, "Runs
 * in the catalog").
 *
 * refs/dsver/runs/DATASET/DIGEST16 is no dataset's version: log and ls do not show it. Its commits
 * have the versions that the run consumed among their parents, so whatever keeps the run keeps its
 * data.
 */
#ifndef DS_RUNS_H
#define DS_RUNS_H

#include "segments.h"
#include "store.h"

#define DS_RUN_REFS "refs/dsver/runs/"

/* Adds a checkpoint: its lineage.json (the bytes that l was read from or written to), the ledger
 * up to it, and what was abandoned on the way, all from the checkpoint's folder. Durable on return.
 * Nothing changes when it is there already. The store must be open for writing. */
int ds_run_register(ds_store *s, const ds_lineage *l, const void *lineage_json, size_t len,
                    const char *run_name, const char *checkpoint, ds_err *err);

/* Has the catalog this very lineage.json? Not that of a run (absent) or a step (new) that it has
 * none of, nor where all that it ever had of the step are others. Lost: of a run that it has not,
 * and that by the operation log it has. */
enum ds_run_standing { DS_RUN_ABSENT, DS_RUN_LOST, DS_RUN_NEW, DS_RUN_KNOWN, DS_RUN_OTHER };
int ds_run_standing(enum ds_run_standing *out, ds_store *s, const ds_lineage *l, ds_err *err);

/* What a run in this folder is called; DS_USAGE where no run can be called so. malloc'd. */
int ds_run_name(char **out, const char *folder, ds_err *err);

/* A registered run. */
typedef struct ds_run_ref {
    const char *name;   /* of the ref */
    const char *digest; /* its last part */
    git_oid commit, tree;
} ds_run_ref;
/* Each run, in order of the refs. Non-zero from fn stops and is returned. */
typedef int (*ds_run_fn)(void *ctx, const ds_run_ref *r, ds_err *err);
int ds_run_each(ds_store *s, ds_run_fn fn, void *ctx, ds_err *err);

/* What is registered of it. */
typedef struct ds_run_info {
    char *name;      /* of its folder */
    ds_lineage last; /* of the checkpoint with the most steps */
    uint64_t *steps; /* checkpoints, ascending */
    size_t nsteps;
} ds_run_info;
int ds_run_info_read(ds_run_info *i, ds_store *s, const ds_run_ref *r,
                     ds_err *err); /* zeroed or fini'd before */
void ds_run_info_fini(ds_run_info *i);

#endif
