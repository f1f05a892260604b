/* dcmcommon.h - words that are names of people and of other things as well: alone they identify
 * nobody, and to scrub them would take words of medicine out of reports. docs/dicom-deid.md. */
#ifndef DS_DCMCOMMON_H
#define DS_DCMCOMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool dcm_is_common(const uint8_t *folded, size_t n);
/* A name that is a word as well: which of both, dcmcontext.h tells by how it is written. Some are
 * common words, too. */
bool dcm_is_name_word(const uint8_t *folded, size_t n);
extern const char *const dcm_name_words[]; /* sorted; for dcmcommon.c */
extern const size_t dcm_name_words_n;

#endif
