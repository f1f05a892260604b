/* scratch.h - memory for one job of a loop, kept for the next one.
 *
 * What a job needs is the same for all jobs of a loop, and large: fresh from the system it would be
 * cleared page by page, and taken from all processors when it goes back. Any thread may take and
 * give.
 */
#ifndef DS_SCRATCH_H
#define DS_SCRATCH_H

#include <stddef.h>

#define DS_SCRATCH_KEPT 64 /* what more threads than that give back is freed */

typedef struct ds_scratch {
    void *kept[DS_SCRATCH_KEPT]; /* read and written atomically */
} ds_scratch;

/* 64-byte aligned, not zeroed; NULL when out of memory. */
float *ds_scratch_take(ds_scratch *s, size_t floats);
void ds_scratch_give(ds_scratch *s, float *p); /* NULL: nothing */
void ds_scratch_fini(ds_scratch *s);

#endif
