/* dcmdate.h - dates of DICOM (DA, DT) in the proleptic Gregorian calendar. */
#ifndef DS_DCMDATE_H
#define DS_DCMDATE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct dcm_date {
    int year, month, day;
} dcm_date;

/* The date at the front of (p, len): YYYYMMDD with whatever a DT has behind it, or YYYY.MM.DD and
 * YYYY-MM-DD, which old files have. A date that is none is refused. */
bool dcm_date_parse(dcm_date *d, const char *p, size_t len);
bool dcm_date_valid(int year, int month, int day);
/* What this and other tools write in place of dates: in 1900 or before. */
bool dcm_date_is_dummy(const dcm_date *d);
/* False when it would leave the years 1 to 9999. */
bool dcm_date_shift(dcm_date *d, int days);

#endif
