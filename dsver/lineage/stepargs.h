/* stepargs.h - a step of provenance back into the command that made it.
 *
 * Nothing is guessed: a program, version or setting that is not known here is refused by name, and
 * so is a file that a step read and that is not at hand (found by its SHA-256).
 */
#ifndef DS_STEPARGS_H
#define DS_STEPARGS_H

#include "hash.h"
#include "json.h"
#include "pipeline.h"

typedef struct ds_stepfiles {
    /* The file with this digest; *path is lent, NULL when there is none. */
    int (*find)(void *ctx, const ds_sha *sha, const char **path, ds_err *err);
    /* The file that the user named for `what`, the next one with each call; NULL: none is left. */
    const char *(*named)(void *ctx, const char *what);
    void *ctx;
    const char *key_file; /* the secret of pseudonyms, or NULL */
} ds_stepfiles;

/* What files can be named for: those that no digest tells of. */
bool ds_step_file_known(const char *what, size_t len);

/* Commands that read raw inputs: what a pipeline begins with. */
bool ds_step_reads(const json_t *step);
/* Of those: inputs are given as they are named, and compared as they are read. */
bool ds_step_as_given(const json_t *step);
/* Appends name of the command and options, without inputs, to `out`, which holds the program.
 * DS_FAIL. */
int ds_step_args(ds_argv *out, const json_t *step, const ds_stepfiles *files, ds_err *err);
const char *ds_step_tool(const json_t *step); /* "dsprep text"; "?" */

#endif
