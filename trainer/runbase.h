/* runbase.h - where the model lies that a run began with: a symbolic link `base` in the run's
 * folder. A convenience for whoever replays: no checkpoint holds it, and the model that is found is
 * compared with the digest in lineage.json like any other. One thread.
 */
#ifndef DS_RUNBASE_H
#define DS_RUNBASE_H

#include "io.h"

/* The folder of the run, which the checkpoint lies in. */
int ds_runbase_folder(char out[DS_PATH], const char *checkpoint, ds_err *err);
/* Replaces what was there. A file system without links goes without. DS_IO, DS_NOMEM. */
int ds_runbase_write(const char *run_dir, const char *model, ds_err *err);
/* RUN/base of RUN/step-NNNNNN, the caller's; DS_USAGE: there is none, or it leads nowhere. */
int ds_runbase_find(char **model, const char *checkpoint, ds_err *err);

#endif
