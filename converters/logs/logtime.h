/* logtime.h - the timestamps of logs, to nanoseconds since 1970-01-01 UTC.
 *
 * Known are RFC 3339 / ISO 8601 ("2024-01-15T10:11:12.5+01:00", also with a space, slashes, or a
 * comma before the fraction), the common log format ("10/Oct/2000:13:55:36 -0700"), RFC 3164
 * ("Oct 11 22:14:15", with a year where one is written), asctime ("Wed Oct 11 14:32:52.1 2000") and
 * numbers (seconds, or milli-, micro-, nanoseconds by their number of digits). Zones are written as
 * offsets, as UTC, GMT or Z, or by a name that means one offset wherever it is used (docs/logs.md);
 * a time that says no zone is in the zone given. Second 60 counts as the next minute's first.
 * Digits past the ninth of a fraction are cut off. Years 1678 to 2261. No clock and no data base of
 * zones is looked at here. Proleptic Gregorian calendar. Pure functions.
 */
#ifndef DS_LOGTIME_H
#define DS_LOGTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ds_logtime {
    int64_t ns;
    bool yearless;      /* ns means nothing until ds_logtime_settle */
    bool local;         /* it says no zone: the one that was given is in ns */
    uint8_t month, day; /* of a time without a year: in its own zone */
    int64_t rest;       /* of one: ns since the beginning of that day in UTC */
} ds_logtime;

/* Each reads a time that begins at p and returns its length; 0 = none. `zone`: seconds east of UTC
 * for times that do not say. */
size_t ds_logtime_iso(const uint8_t *p, size_t len, int32_t zone, ds_logtime *t);
size_t ds_logtime_clf(const uint8_t *p, size_t len, ds_logtime *t);
size_t ds_logtime_bsd(const uint8_t *p, size_t len, int32_t zone, ds_logtime *t);
size_t ds_logtime_asc(const uint8_t *p, size_t len, int32_t zone, ds_logtime *t);
/* "Oct 11 2026 22:14:15.5 UTC": with a year, and perhaps a zone. */
size_t ds_logtime_event(const uint8_t *p, size_t len, int32_t zone, ds_logtime *t);
/* Decimal digits, with a fraction or without: all of (p, len). */
bool ds_logtime_epoch(const uint8_t *p, size_t len, ds_logtime *t);
/* Any of them but numbers. */
size_t ds_logtime_any(const uint8_t *p, size_t len, int32_t zone, ds_logtime *t);

/* Gives a time without a year its year: false when there is no such day in it. */
bool ds_logtime_settle(ds_logtime *t, int year);
/* "UTC", "Z", "+01:00", "-0730". */
bool ds_logtime_zone(const char *s, int32_t *zone);
/* The last date (2024-01-15, 20240115, 2024_01_15) in a file's name. */
bool ds_logtime_name(const char *name, int *year, int *month, int *day);

#endif
