/* export.h - a stream into another format: blocks become bytes on many threads, and go to the
 * format in order.
 *
 * One call is one export: outputs appear when all of it is whole. The outcome is the same for any
 * number of threads. Memory: a few blocks a thread, and what the format itself keeps.
 */
#ifndef DS_EXPORT_H
#define DS_EXPORT_H

#include "format.h"
#include "instream.h"

typedef struct ds_exported {
    uint64_t records;
    ds_fmtwritten written;
    ds_fmtloss loss;
    ds_buf provenance; /* of the first input */
    /* The caller's, or NULL: called when all records are known, before an output appears. What
     * fails then leaves nothing behind. */
    int (*whole)(void *ctx, ds_err *err);
    void *ctx;
} ds_exported; /* a zeroed object is valid */

/* `strict`: a loss is an error, before anything is written where the schema alone tells. */
int ds_export_run(ds_exported *done, ds_instream *in, const ds_format *f, const ds_fmtwrite *o,
                  bool strict, ds_err *err);
void ds_exported_fini(ds_exported *e);

#endif
