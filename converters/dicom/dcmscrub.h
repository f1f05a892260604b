/* dcmscrub.h - free text without the people in it.
 *
 * What a searcher finds of the file's own identifiers, and what looks like a date, a telephone
 * number, a record number, an address of mail, web or street, a UID, a name behind a title or a
 * role, an age above 89. Each becomes a word in brackets that says what it was: [NAME] [ID] [DATE]
 * [PHONE] [EMAIL] [URL] [UID] [PLACE]; an age becomes 90+. Text is UTF-8.
 */
#ifndef DS_DCMSCRUB_H
#define DS_DCMSCRUB_H

#include "dcmproof.h"

/* Appends the text to out. *found: how many places were replaced. s may be NULL. keep_dates: dates
 * are left alone (where the policy keeps them). */
int dcm_scrub(const dcm_search *s, const void *p, size_t len, bool keep_dates, ds_buf *out,
              unsigned *found, ds_err *err);

/* The patterns alone, for dcmscrub.c: the end of what begins at `at`, or 0. */
enum dcm_pattern {
    DCM_PAT_DATE = 1,
    DCM_PAT_PHONE,
    DCM_PAT_ID,
    DCM_PAT_EMAIL,
    DCM_PAT_URL,
    DCM_PAT_UID,
    DCM_PAT_NAME,
    DCM_PAT_PLACE,
    DCM_PAT_AGE
};
size_t dcm_pattern_at(const uint8_t *p, size_t len, size_t at, enum dcm_pattern *what,
                      size_t *begin);

#endif
