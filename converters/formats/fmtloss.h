/* fmtloss.h - what a format cannot hold of a stream: said before, or counted while it is written.
 *
 * What follows from the schema alone is said by a writer's `begin`, each once; what depends on
 * values is declared there and counted, by number, while records are encoded. One thread, but for
 * counts, which encoders keep for themselves (ds_fmtblock) and which are added in order.
 */
#ifndef DS_FMTLOSS_H
#define DS_FMTLOSS_H

#include "buf.h"
#include "dsr_schema.h"

typedef struct ds_loss {
    char *column; /* NULL: the stream as a whole */
    char *what;
    bool counted; /* depends on values: lost where count > 0 */
    uint64_t count;
} ds_loss;

typedef struct ds_fmtloss {
    ds_loss *v;
    size_t n, cap;
} ds_fmtloss;

/* `what` reads well after the column's name: "is rounded to 32 bits". */
int ds_fmtloss_say(ds_fmtloss *l, const char *column, const char *what, ds_err *err);
/* The same where values decide: *number is what they are counted by. */
int ds_fmtloss_count(ds_fmtloss *l, size_t *number, const char *column, const char *what,
                     ds_err *err);
/* What a column may lose as JSON text, if any: *number is 1 more, or 0. */
int ds_fmtloss_json(ds_fmtloss *l, size_t *number, const ds_column *c, ds_err *err);
size_t ds_fmtloss_lost(const ds_fmtloss *l); /* how many entries are losses */
void ds_fmtloss_fini(ds_fmtloss *l);

#endif
