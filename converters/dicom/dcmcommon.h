/* dcmcommon.h - words that are names of people and of other things as well: alone they identify
 * nobody, and to scrub them would take words of medicine out of reports. docs/dicom-deid.md. */
#ifndef DS_DCMCOMMON_H
#define DS_DCMCOMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool dcm_is_common(const uint8_t *folded, size_t n);

#endif
