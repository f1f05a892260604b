/* shalanes.h - SHA-256 of several messages, two side by side (FIPS 180-4), by the processor's own
 * instructions.
 *
 * One message alone waits for each of its rounds: sha256rnds2 takes four cycles, and the next one
 * needs its result. A second message fills these waits, so that two take little longer than one.
 * Any thread; nothing is allocated and nothing can fail. hash.h is what others call: it has
 * libcrypto for processors without these instructions.
 */
#ifndef DS_SHALANES_H
#define DS_SHALANES_H

#include "hash.h"

/* Has this processor the instructions? Without them call nothing else. */
bool ds_shalanes_here(void);

/* out[i] = SHA-256(tag || v[i]), for a tag of at most DS_SHALANES_TAG bytes. */
#define DS_SHALANES_TAG 63
void ds_shalanes(ds_sha *out, const void *tag, size_t tag_len, const ds_bytes *v, size_t n);

#endif
