/* dcmtree.h - a DICOM data set as a tree in plain C: what the parser hands on, what is
 * de-identified, rendered and written.
 *
 * Terms are those of PS3.5. Values are raw bytes as in the file, in little endian byte order
 * whatever the transfer syntax, padding included. Pixel data (7FE0,0008/0009/0010) is an element
 * without a value whose `bulk` is set: frames come from the parser (dcmshim.h). Elements of a set
 * are in ascending order of tags. Everything lives in the tree's arena and dies with it. One thread
 * a tree.
 */
#ifndef DS_DCMTREE_H
#define DS_DCMTREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"

#define DCM_VR(a, b) ((uint16_t)((a) << 8 | (b)))
#define DCM_TAG(g, e) ((uint32_t)(g) << 16 | (e))
#define DCM_TREE_DEPTH 64 /* sequences in sequences; more is refused */

struct dcm_set;
typedef struct dcm_elem {
    uint32_t tag;
    uint16_t vr; /* DCM_VR('P', 'N'); UN where it is not known */
    bool bulk;   /* pixel data: no value here */
    uint32_t len;
    const uint8_t *val;
    struct dcm_set **items; /* of SQ */
    uint32_t nitems;
    /* of a private element: its block's creator as UTF-8; NULL when none is there */
    const char *creator;
} dcm_elem;

typedef struct dcm_set {
    dcm_elem *elems;
    uint32_t n, cap;
    struct dcm_set *parent; /* NULL at the top */
} dcm_set;

typedef struct dcm_tree dcm_tree;
int dcm_tree_new(dcm_tree **t, ds_err *err);
void dcm_tree_free(dcm_tree *t);     /* NULL is fine */
dcm_set *dcm_tree_meta(dcm_tree *t); /* group 0002 */
dcm_set *dcm_tree_main(dcm_tree *t);
void *dcm_tree_alloc(dcm_tree *t, size_t n, ds_err *err);
/* Elements that stand in the file once more, wherever: no part of any set, but what they say of
 * people counts. The value is copied. */
int dcm_tree_aside(dcm_tree *t, uint32_t tag, uint16_t vr, const void *val, size_t len,
                   ds_err *err);
/* The i-th set of them, below the main one; NULL behind the last. */
dcm_set *dcm_tree_asides(const dcm_tree *t, uint32_t i);

dcm_elem *dcm_set_find(const dcm_set *s, uint32_t tag); /* NULL when absent */
/* Puts or replaces; the value is copied. The element is lent until the set changes. */
int dcm_set_put(dcm_tree *t, dcm_set *s, uint32_t tag, uint16_t vr, const void *val, size_t len,
                dcm_elem **out, ds_err *err);
int dcm_set_item(dcm_tree *t, dcm_set *s, uint32_t tag, dcm_set **item,
                 ds_err *err); /* a new last item of a sequence */
/* Its first item; NULL when there is none, or no set. */
const dcm_set *dcm_set_first(const dcm_set *s, uint32_t tag);
bool dcm_set_drop(dcm_set *s, uint32_t tag);

/* Values. Text: the k-th value between backslashes, spaces and NULs trimmed as the VR demands; raw
 * bytes, no character set applied (dcmchar.h). False when absent or empty. */
bool dcm_get_text(const dcm_set *s, uint32_t tag, unsigned k, const char **p, size_t *len);
bool dcm_elem_text(const dcm_elem *e, unsigned k, const char **p, size_t *len);
/* All values of a string one after the other, empty ones too, in one pass: the one that begins at
 * *next, which is 0 at first and moves on. False behind the last. */
bool dcm_elem_next(const dcm_elem *e, size_t *next, const char **p, size_t *len);
bool dcm_get_int(const dcm_set *s, uint32_t tag, unsigned k, int64_t *v); /* IS US SS UL SL UV SV */
bool dcm_get_real(const dcm_set *s, uint32_t tag, unsigned k,
                  double *v); /* DS FL FD and the above; correctly rounded */
unsigned dcm_get_count(const dcm_set *s, uint32_t tag);
/* A decimal string, in any locale; digits and a sign. */
bool dcm_parse_real(const char *p, size_t n, double *v);
bool dcm_parse_int(const char *p, size_t n, int64_t *v);
bool dcm_vr_is_text(uint16_t vr);   /* (0008,0005) holds for it: SH LO ST LT UC UT PN */
bool dcm_vr_is_string(uint16_t vr); /* characters, padded with spaces or (UI) a NUL */
/* Keyword and VR of the standard ("PatientName", PN); NULL where the dictionary has none. */
const char *dcm_keyword(uint32_t tag);
uint16_t dcm_dict_vr(uint32_t tag);

#endif
