/* logtable.h - logs that name their fields themselves: tables with a header, and those whose head
 * may come again and change anywhere.
 *
 * A header of CSV is read once, and belongs to the source. W3C extended logs (#Fields:, #Date:;
 * https://www.w3.org/TR/WD-logfile), Zeek's (#separator, #fields, #path, ...) and the first line of
 * AWS VPC flow logs are lines among others, and hold until the next of their name. What holds at
 * some place is those lines themselves: ds_logtable_pass gathers them block by block, in order, and
 * ds_logtable_begin makes the table of them from which a block's records are parsed. A table
 * belongs to one thread, and is valid zeroed.
 */
#ifndef DS_LOGTABLE_H
#define DS_LOGTABLE_H

#include "logrow.h"

/* True of formats whose head may come again. */
bool ds_logtable_headed(enum ds_logformat f);
/* (p, len): a line without its end. *head: it is none of the records but part of a head, which the
 * table follows. 0 or DS_NOMEM. */
int ds_logtable_line(ds_logtable *t, enum ds_logformat f, const uint8_t *p, size_t len, bool *head);
/* The lines of all such formats that hold behind (p, len), whole lines: `before` are those that
 * hold before. 0 or DS_NOMEM. */
int ds_logtable_pass(ds_buf *before, const uint8_t *p, size_t len);
int ds_logtable_begin(ds_logtable *t, enum ds_logformat f, const ds_buf *before);

/* The header of CSV at p, *used bytes; a delimiter of 0 is a comma, or else a tab. DS_FAIL: it is
 * none, or names neither a time nor a text. */
int ds_logtable_csv(ds_logtable *t, uint8_t delimiter, const uint8_t *p, size_t len, size_t *used);
void ds_logtable_fini(ds_logtable *t);

#endif
