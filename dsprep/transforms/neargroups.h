/* neargroups.h - groups of records that a division must not cut: those of one group by a rule of
 * the user's, those whose texts are nearly the same (minhash.h), and what belongs together with the
 * same record.
 *
 * Each record is told its part as if it were alone; a group has the part of its first record. So a
 * record that comes later moves nobody, but where it joins two groups of different parts: then the
 * later one follows. One byte and four a record, outside of memory (dupset.h). After
 * ds_neargroups_read any number of threads may look.
 */
#ifndef DS_NEARGROUPS_H
#define DS_NEARGROUPS_H

#include "nearopts.h"
#include "where.h"

enum { DS_NEAR_NOPART = 255 };

typedef struct ds_nearrule {
    const char *by;     /* an expression; NULL: a record's group is its text */
    const char *column; /* the text */
    ds_nearopts near;
    int64_t memory;
    int threads;
    /* The part of a group by itself. Any thread. */
    int (*part)(const void *ctx, const uint8_t *group, size_t len, uint8_t *part, ds_err *err);
    const void *ctx;
} ds_nearrule;

typedef struct ds_neargroups ds_neargroups;
/* `rule` and what it points to must outlive it. */
int ds_neargroups_new(ds_neargroups **out, const ds_nearrule *rule, ds_err *err);
int ds_neargroups_read(ds_neargroups *g, char **paths, int n, ds_err *err);
uint64_t ds_neargroups_records(const ds_neargroups *g);
/* DS_NEAR_NOPART: its group is null. */
uint8_t ds_neargroups_part(const ds_neargroups *g, uint64_t record);
/* How many groups there are, and how many records the largest has. */
void ds_neargroups_count(const ds_neargroups *g, uint64_t *groups, uint64_t *largest);
void ds_neargroups_free(ds_neargroups *g);

#endif
