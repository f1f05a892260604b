/* zonefile.h - a time zone by its name (Europe/Berlin), from the system's files of time zones
 * (tzdata): TZif of RFC 9636, versions 1 to 4, through the rule at its end up to the year 2261.
 *
 * The process's own zone and its locale are not looked at. Files differ between machines, so who
 * uses one keeps its digest. A local time that is there twice, when clocks go back, has two
 * instants; one that is skipped, when they go forward, is reckoned as the clock was before. Hostile
 * files are refused. Reading: one thread; looking up: any.
 */
#ifndef DS_ZONEFILE_H
#define DS_ZONEFILE_H

#include "hash.h"

typedef struct ds_zone ds_zone;

/* Below $TZDIR or /usr/share/zoneinfo. DS_FAIL names the zone and the folder. */
int ds_zone_open(ds_zone **out, const char *name, ds_err *err);
/* The same, of a file's bytes. */
int ds_zone_parse(ds_zone **out, const uint8_t *p, size_t len, ds_err *err);
const ds_sha *ds_zone_digest(const ds_zone *z);
/* A clock's seconds since 1970 in the zone, as if it were UTC, to seconds since 1970 in UTC: the
 * earlier and the later instant, which are the same but when clocks go back. */
void ds_zone_utc(const ds_zone *z, int64_t local, int64_t *earlier, int64_t *later);
void ds_zone_free(ds_zone *z);

#endif
