/* mixplan.h - the columns of several streams in one: those of the first, then what others have
 * more; what one lacks is null there.
 *
 * Columns of one name must have one type and the same attributes (tokens of two tokenizers are not
 * mixed), keys must all be explicit, or derived from the same columns.
 */
#ifndef DS_MIXPLAN_H
#define DS_MIXPLAN_H

#include "mixin.h"

/* Sets `column` of each. label: a column more, for the names of the streams; NULL: none. DS_FAIL
 * names what does not go together. */
int ds_mixplan_schema(ds_schema *out, ds_mixin *in, size_t n, const char *label, ds_err *err);

/* Whether all keys that went by differ: in memory that does not grow. */
typedef struct ds_mixkeys {
    struct ds_extsort *sort; /* NULL: nobody asked */
} ds_mixkeys;
int ds_mixkeys_new(ds_mixkeys *k, size_t memory, ds_err *err);
int ds_mixkeys_put(ds_mixkeys *k, const void *key, size_t len, ds_err *err);
/* DS_FAIL names a key that was there twice. */
int ds_mixkeys_end(ds_mixkeys *k, ds_err *err);
void ds_mixkeys_fini(ds_mixkeys *k);

#endif
