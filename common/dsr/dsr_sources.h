/* dsr_sources.h - a source as it stands in S frames and in the digest of sources
 * (docs/dsr-format.md, "S: sources"). */
#ifndef DS_DSR_SOURCES_H
#define DS_DSR_SOURCES_H

#include "dsr_io.h"

#define DS_SOURCES_BYTES ((size_t)256 << 10) /* of an S frame, its count left out */
#define DS_SOURCE_NAME_MAX 65535

int ds_source_put(ds_buf *b, const ds_source *s); /* 0 or DS_NOMEM */
/* Reads one at *pos; the name is lent from p. False when it is malformed. */
bool ds_source_get(const uint8_t *p, size_t len, size_t *pos, ds_source *s);
bool ds_source_name_ok(const char *name, size_t len);

#endif
