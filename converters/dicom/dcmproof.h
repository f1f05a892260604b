/* dcmproof.h - the identifiers that inputs held, and a search for them in what was written.
 *
 * An id set is a set of texts with the attribute they came from. A searcher is compiled from a set
 * and is read only. Text is compared word by word (dcmword.h: case, accents, leading zeros and what
 * stands between words do not count), tensors byte by byte. What is too short or too common to
 * mean a person is left out and counted; docs/dicom-deid.md has the thresholds and the list.
 *
 * One word of a name, alone, is found strictly in what was made of its own object. In other objects
 * it may be a term (Baker cyst), or a word of language (lung fields): dcmcontext.h tells by what
 * stands around it. Names of two words and more, numbers, places and UIDs count everywhere.
 *
 * An id is *weak* when it is good enough to be scrubbed from the free text of its own file but
 * would be met by chance in other output: numbers of 4 and 5 digits. Dates count within their own
 * study alone: shifted dates of others may well be equal. Neither is merged or searched for.
 */
#ifndef DS_DCMPROOF_H
#define DS_DCMPROOF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"

enum dcm_id_kind { DCM_ID_NAME = 1, DCM_ID_CODE, DCM_ID_DATE, DCM_ID_UID, DCM_ID_PLACE };

typedef struct dcm_ids dcm_ids;
int dcm_ids_new(dcm_ids **s, ds_err *err);
/* Adds a value in UTF-8 (one, not several between backslashes) and the variants under which it may
 * turn up: components of a name and their orders, other forms of a date. tag: the attribute that
 * held it. */
int dcm_ids_add(dcm_ids *s, uint32_t tag, enum dcm_id_kind kind, const void *p, size_t len,
                ds_err *err);
/* Takes out a date (YYYYMMDD) that the output holds rightly: another one was shifted to it. */
void dcm_ids_allow_date(dcm_ids *s, const char *yyyymmdd);
int dcm_ids_merge(dcm_ids *into, const dcm_ids *from,
                  ds_err *err); /* all but dates and weak ones */
size_t dcm_ids_count(const dcm_ids *s);
size_t dcm_ids_left_out(const dcm_ids *s); /* too short or too common */
/* Bytes to send to another process, and back; appended, parsed under bounds. */
int dcm_ids_write(const dcm_ids *s, ds_buf *out, ds_err *err);
int dcm_ids_read(dcm_ids *s, const void *p, size_t len, ds_err *err);
void dcm_ids_free(dcm_ids *s);

typedef struct dcm_hit {
    uint32_t tag; /* what it was */
    enum dcm_id_kind kind;
    size_t at, len;
} dcm_hit;
typedef struct dcm_search dcm_search;
/* The set may be freed at once. */
int dcm_search_new(dcm_search **s, const dcm_ids *ids, ds_err *err);
int dcm_search_new_scrub(dcm_search **s, const dcm_ids *ids, ds_err *err); /* weak ones too */
/* Adds what is in `more` and not yet looked for, as dcm_ids_merge would: a search that grows with a
 * run costs what is new. */
int dcm_search_grow(dcm_search *s, const dcm_ids *more, ds_err *err);
/* What is looked for in the output of one object alone, until the next call: dates of `ids`, and
 * single words of names wherever they stand. NULL: nothing. */
int dcm_search_own(dcm_search *s, const dcm_ids *ids, ds_err *err);
/* Names of these words alone are not looked for in the output of other objects: words, to the site.
 * Before the first call of dcm_search_grow. */
int dcm_search_spare(dcm_search *s, const void *word, size_t len, ds_err *err);
size_t dcm_search_count(const dcm_search *s);
/* 1 and the first hit at or after `from` in text (whole words), 0 for none. raw: bytes of a tensor,
 * where only identifiers of 8 bytes and more are looked for, as they stood in the input. */
int dcm_search_text(const dcm_search *s, const void *p, size_t len, size_t from, dcm_hit *hit);
/* JSON text: escapes in strings are what they stand for. scratch is used as it pleases. */
int dcm_search_json(const dcm_search *s, const void *p, size_t len, ds_buf *scratch, dcm_hit *hit,
                    ds_err *err);
int dcm_search_raw(const dcm_search *s, const void *p, size_t len, size_t from, dcm_hit *hit);
void dcm_search_free(dcm_search *s);

#endif
