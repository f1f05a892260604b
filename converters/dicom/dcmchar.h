/* dcmchar.h - text of DICOM values to UTF-8: PS3.3 C.12.1.1.2 and PS3.5 6.1.2.5.
 *
 * Single byte sets, ISO 2022 code extensions (own splitter over iconv: JIS X 0201, 0208, 0212, KS X
 * 1001, GB 2312), ISO_IR 192, GB18030, GBK. Escapes reset at the delimiters of the VR. Undeclared
 * bytes above 0x7f: strict UTF-8 when it is that, else the fallback of the site; either way
 * flagged. Latin-1 that all texts of an object deny (dcmdoubt.h) counts as not declared.
 */
#ifndef DS_DCMCHAR_H
#define DS_DCMCHAR_H

#include "dcmdoubt.h"
#include "dcmtree.h"

typedef struct dcm_char dcm_char;
enum dcm_char_flag { DCM_CHAR_UNDECLARED = 1, DCM_CHAR_REPLACED = 2, DCM_CHAR_UNKNOWN_SET = 4 };
/* For the (0008,0005) that holds in this set (its own, else its parents'). fallback: an iconv name
 * or NULL. */
int dcm_char_new(dcm_char **c, const dcm_set *s, const char *fallback, ds_err *err);
/* Appends; flags are or-ed. What cannot be converted becomes U+FFFD. */
int dcm_char_utf8(dcm_char *c, uint16_t vr, const void *p, size_t len, ds_buf *out, unsigned *flags,
                  ds_err *err);
/* Weighs a value that it would take for Latin-1, or for one of no known set. */
void dcm_char_weigh(const dcm_char *c, uint16_t vr, const void *p, size_t len, dcm_doubt *d);
/* What was weighed holds from now on. */
void dcm_char_believe(dcm_char *c, const dcm_doubt *d);
void dcm_char_free(dcm_char *c);

/* Converts every text of the tree; a UN that the dictionary knows becomes what it is. (0008,0005)
 * then says ISO_IR 192, or what it said when all is ASCII; those of items are gone. A second time
 * changes nothing. */
int dcm_tree_utf8(dcm_tree *t, const char *fallback, unsigned *flags, ds_err *err);

#endif
