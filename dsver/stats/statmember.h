/* statmember.h - statistics of the members of JSON objects, for colstat.h: records of JSON lines
 * carry their labels and numbers in such a column.
 *
 * Members of the object itself, not of objects in it. Strings have lengths (of their JSON text) and
 * are values, numbers are numbers and values, true and false values; of arrays and objects only
 * their number is known.
 */
#ifndef DS_STATMEMBER_H
#define DS_STATMEMBER_H

#include "colstat.h"

enum {
    DS_STAT_CHUNK_MEMBERS = 32,
    DS_STAT_MEMBERS = 64
}; /* the first so many; of others nothing */

struct ds_statmember {
    char *name; /* JSON text between the quotes */
    size_t len;
    ds_colstat stat;
};

/* One value of the column. DS_NOMEM. */
int ds_statmember_value(ds_colstat *s, const uint8_t *p, size_t len);
/* The member of this name; made, when there is room. NULL: no room, or no memory. hint: where to
 * look first. */
ds_colstat *ds_statmember_at(ds_colstat *s, const void *name, size_t len, size_t hint, size_t most);
void ds_statmember_reset(ds_colstat *s);

#endif
