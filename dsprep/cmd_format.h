/* cmd_format.h - what export and import share: a format by its name. */
#ifndef DS_CMD_FORMAT_H
#define DS_CMD_FORMAT_H

#include "format.h"

#define DS_FORMAT_MOST "jsonl, csv, mds, tfrecord, webdataset, megatron, llmc, npy, npz"
#define DS_FORMAT_WRITTEN DS_FORMAT_MOST ", nifti or parquet"
#define DS_FORMAT_NAMES DS_FORMAT_MOST ", nifti, parquet or arrow"

/* name NULL: by the end of `path`'s name, or what is in that folder, or how a file (standard input,
 * where it is one) begins: then it is said. DS_USAGE with the names there are. */
int ds_format_named(const ds_format **f, const char *name, const char *path, ds_err *err);

#endif
