/* stageout.h - where a stage writes its stream: standard output, or a file that appears when it is
 * whole. A path that is there and no file (a pipe with a name, /dev/null) is written to like
 * standard output, and stays what it is.
 *
 * A zeroed object is valid. ds_stageout_end finishes the stream; when anything failed before,
 * ds_stageout_abort tells the reader of the pipe why (an abort frame) and drops the file.
 * ds_stageout_fini frees, in every case.
 */
#ifndef DS_STAGEOUT_H
#define DS_STAGEOUT_H

#include "dsr_io.h"

typedef struct ds_stageout {
    ds_out out;
    ds_atomic file;
    bool to_file;
    int fd_plus1; /* of a path that is no file; 0 = none */
    ds_writer *writer;
} ds_stageout;

/* path NULL or "-" is standard output, refused when it is a terminal. A file gets a footer index.
 * level as in ds_writer_opts. */
int ds_stageout_open(ds_stageout *o, const char *path, const ds_schema *schema, const void *prov,
                     size_t prov_len, int level, ds_err *err);
/* What an option gave, or when it was not given (-1): 3 for a file, 0 for a pipe. */
int ds_stageout_level(const char *path, int64_t given);
int ds_stageout_end(ds_stageout *o, const ds_counts *counts, ds_err *err);
void ds_stageout_abort(ds_stageout *o, const char *reason);
void ds_stageout_fini(ds_stageout *o);

#endif
