/* ipcunpack.h - the compressions of Arrow's buffers: LZ4's frames and zstd (Message.fbs,
 * CompressionType). Buffers of any size: read and unpacked a part at a time.
 */
#ifndef DS_IPCUNPACK_H
#define DS_IPCUNPACK_H

#include "spool.h"

typedef struct ds_ipcpacked {
    int fd;
    const char *name;
    uint64_t at, len; /* in the file */
    uint64_t raw;     /* bytes it unpacks to */
    int codec;        /* 0 LZ4_FRAME, 1 ZSTD */
} ds_ipcpacked;

/* Appends exactly `raw` bytes. 1: it is damaged, and *why (static) says how. */
int ds_ipc_unpack(ds_spool *out, const ds_ipcpacked *p, const char **why, ds_err *err);

#endif
