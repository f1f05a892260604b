/* filesum.h - one digest for a folder of files (docs/lineage-format.md, "lineage.json"): SHA-256
 * over a line
 * "<hex SHA-256> <size> <path>\n" for each regular file, in byte order of the paths. Symbolic links
 * are followed to files, refused else. */
#ifndef DS_FILESUM_H
#define DS_FILESUM_H

#include "hash.h"

/* `except` (may be NULL): a file name at the top that is left out. */
int ds_filesum_dir(ds_sha *out, const char *dir, const char *except, ds_err *err);

/* Digest of a model folder's config.json, *.safetensors and index, as ds_filesum_dir over these
 * alone. */
int ds_model_sum(ds_sha *out, const char *dir, ds_err *err);
/* The same beside other work, by a thread of its own. End waits for it, and must be called; out
 * NULL: nobody asks any more, and it ends soon. */
typedef struct ds_model_job ds_model_job;
int ds_model_sum_begin(ds_model_job **job, const char *dir, ds_err *err);
int ds_model_sum_end(ds_model_job *job, ds_sha *out, ds_err *err);

#endif
