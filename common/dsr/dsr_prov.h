/* dsr_prov.h - provenance: the graph of steps that made a stream. Each tool appends one step.
 *
 * step := {"id":"<first 16 hex digits of SHA-256 over the canonical step without
 * id>","parents":[ids],"tool":"dsprep tokenize","version":"0.1.0","options":{...},"digests":{...}}
 * No time, host, absolute path, secret or thread count belongs in it.
 */
#ifndef DS_DSR_PROV_H
#define DS_DSR_PROV_H

#include "json.h"

/* Appends a step to the canonical array `in` (len 0 = empty array) and writes the new array to out.
 * Parents are the steps of `in` that no other step names. options and digests are objects
 * (borrowed; NULL = {}); members are sorted by name. */
int ds_prov_append(ds_buf *out, const void *in, size_t len, const char *tool, const json_t *options,
                   const json_t *digests, ds_err *err);
/* The steps of both arrays: those of a, then those of b that a does not have. */
int ds_prov_union(ds_buf *out, const void *a, size_t alen, const void *b, size_t blen, ds_err *err);

/* An array of steps, canonical, ids right, every parent standing before its children. */
int ds_prov_check(const void *p, size_t len, ds_err *err);

#endif
