/* sourcepage.h - a stream's sources, stored as pages: pieces of some hundred rows, cut by content.
 *
 * row := varint blocks since the source before (or the start) | varint length, name | varint size |
 * 32 bytes SHA-256
 *
 * A page ends behind a row whose hash says so (512 rows on average), or before it would pass 512
 * KiB: a source more in the middle changes one page. The first field keeps where in the stream a
 * source stood. One thread each.
 */
#ifndef DS_SOURCEPAGE_H
#define DS_SOURCEPAGE_H

#include "dsr_io.h"

typedef struct ds_pagebuild {
    ds_buf bytes; /* the page so far: take it by exchange when ds_pagebuild_add says so, then reset
                     rows */
    uint64_t rows;
    uint64_t blocks; /* blocks before the source last added */
} ds_pagebuild;

/* `blocks`: how many blocks came before. *full: the page is complete with (after) or without
 * (before) this row: when `before` is set the row was not added; take the page and call again. */
int ds_pagebuild_add(ds_pagebuild *b, const ds_source *s, uint64_t blocks, bool *before,
                     bool *after, ds_err *err);

/* Reads the row at *pos. Lends the name. DS_CORRUPT. */
int ds_page_next(const uint8_t *p, size_t len, size_t *pos, uint64_t *blocks, ds_source *s,
                 ds_err *err);

#endif
