/* segments.h - the ledger of a run, from a checkpoint's folder or from the catalog
 * (docs/lineage-format.md, "Ledger").
 *
 * Rows are given as they are recorded; a ds_chain says whether each follows from those before it.
 * One thread.
 */
#ifndef DS_SEGMENTS_H
#define DS_SEGMENTS_H

#include "catalog.h"
#include "ledger.h"
#include "lineage.h"

typedef struct ds_segment {
    uint64_t first, last; /* steps */
    char *path;           /* of the file, or a name for messages */
    git_oid blob;         /* zero: a file */
} ds_segment;

/* Sorted by their first step. Zeroed is valid. */
typedef struct ds_segments {
    ds_segment *v;
    size_t n, cap;
} ds_segments;
void ds_segments_fini(ds_segments *l);
int ds_segments_dir(ds_segments *l, const char *dir,
                    ds_err *err); /* DS_FAIL for files of other names */
int ds_segments_tree(ds_segments *l, ds_catalog *c, const git_oid *tree,
                     ds_err *err); /* of a run's commit */
/* Steps `after` + 1 to `steps`, without a gap or an overlap. DS_FAIL names where it breaks. */
int ds_segments_check(const ds_segments *l, uint64_t after, uint64_t steps, ds_err *err);

/* Segments that a resume went back from: a stretch of steps after `from`. Numbers count up as they
 * were abandoned; v is sorted by falling numbers. Zeroed is valid. */
typedef struct ds_stretch {
    uint64_t number, from;
    ds_segments segments;
    ds_sha start; /* the chain where it departed, once that was read */
    bool reached;
} ds_stretch;
typedef struct ds_stretches {
    ds_stretch *v;
    size_t n, cap;
} ds_stretches;
void ds_stretches_fini(ds_stretches *s);
/* abandoned/ of a checkpoint, or of a run's tree in the catalog; none where there is no such
 * folder. Each has segments without a gap from its first step on. */
int ds_stretches_dir(ds_stretches *s, const char *checkpoint, ds_err *err);
int ds_stretches_tree(ds_stretches *s, ds_catalog *c, const git_oid *tree, ds_err *err);
/* All rows. `c` is for segments of the catalog. */
int ds_segments_scan(const ds_segments *l, ds_catalog *c, ds_ledger_fn fn, void *ctx, ds_err *err);

/* Follows a run's rows from its first. */
typedef struct ds_chain {
    const ds_run *run;
    ds_sha value;
    uint64_t rows; /* so far */
} ds_chain;
int ds_chain_begin(ds_chain *c, const ds_run *run, ds_err *err);
/* DS_FAIL: the row is not the next one, or does not follow; the chain then goes on from what it
 * says. */
int ds_chain_row(ds_chain *c, const ds_ledger_row *r, ds_err *err);

/* Stretches begin where they departed from the ledger, or from one abandoned after them: so the
 * ledger is read first, then the stretches as they are sorted. After each step of what is read
 * (`self`: a stretch, or NULL for the ledger; step 0 is the beginning): */
void ds_stretches_step(ds_stretches *s, const ds_stretch *self, uint64_t step, const ds_chain *c);
/* Where a stretch's rows are to follow. DS_FAIL: nothing that was read has the step. */
int ds_stretch_begin(ds_chain *c, const ds_stretch *s, const ds_run *run, ds_err *err);

#endif
