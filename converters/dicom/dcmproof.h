/* dcmproof.h - the identifiers that inputs held, and a search for them in what was written.
 *
 * An id set is a set of byte strings with the attribute they came from. A searcher is compiled from
 * a set (Aho-Corasick or better) and is read only. Matching is on normalised text: case folded, in
 * UTF-8, runs of white space as one; values shorter than a stated length or too common (a list that
 * is documented) are left out and counted as such.
 */
#ifndef DS_DCMPROOF_H
#define DS_DCMPROOF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"

typedef struct dcm_ids dcm_ids;
int dcm_ids_new(dcm_ids **s, ds_err *err);
/* kind: DCM_TAG of the attribute. Adds the value and the variants under which it may turn up (name
 * components, dates in other forms). */
int dcm_ids_add(dcm_ids *s, uint32_t tag, const void *p, size_t len, ds_err *err);
int dcm_ids_merge(dcm_ids *into, const dcm_ids *from, ds_err *err);
size_t dcm_ids_count(const dcm_ids *s);
/* Bytes to send to another process, and back; appended, parsed under bounds. */
int dcm_ids_write(const dcm_ids *s, ds_buf *out, ds_err *err);
int dcm_ids_read(dcm_ids *s, const void *p, size_t len, ds_err *err);
void dcm_ids_free(dcm_ids *s);

typedef struct dcm_hit {
    uint32_t tag; /* what it was */
    size_t at, len;
} dcm_hit;
typedef struct dcm_search dcm_search;
int dcm_search_new(dcm_search **s, const dcm_ids *ids, ds_err *err);
/* 1 and the first hit at or after `from` in text (whole words), 0 for none. raw: bytes of a tensor,
 * where only long identifiers are looked for, as they stand. */
int dcm_search_text(const dcm_search *s, const void *p, size_t len, size_t from, dcm_hit *hit);
int dcm_search_raw(const dcm_search *s, const void *p, size_t len, size_t from, dcm_hit *hit);
void dcm_search_free(dcm_search *s);

#endif
