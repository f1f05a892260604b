/* packheads.h - the heads of a pack's objects, in a file of their own beside the pack at a remote:
 * what is in it and where, without its payloads (docs/store-format.md, "Remotes").
 *
 *     heads := "dsvhead\n" u32 version=1 u32 0, the objects' heads in order, trailer
 *     trailer := "dsvhend\n" u64 objects u64 length of the pack u64 XXH3-64 of all before it
 */
#ifndef DS_PACKHEADS_H
#define DS_PACKHEADS_H

#include "packread.h"

enum { DS_HEADS_HEADER = 16, DS_HEADS_TRAILER = 32 };

/* Replaces out by the heads of the pack in the file at path. DS_CORRUPT when it is damaged. */
int ds_packheads_make(ds_buf *out, const char *path, ds_err *err);
/* Each head, with its place in the pack; non-zero from fn stops and is returned. `pack_size` is
 * what the pack is known to be long: heads that do not add up to it are DS_CORRUPT. */
typedef int (*ds_packheads_fn)(void *ctx, const ds_objhead *h, uint64_t off, ds_err *err);
int ds_packheads_each(const uint8_t *p, size_t len, uint64_t pack_size, uint64_t *objects,
                      ds_packheads_fn fn, void *ctx, ds_err *err);

#endif
