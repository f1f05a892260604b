/* piifold.h - a text as its reader sees it: in full width written in ASCII, digits of other scripts
 * as those of ASCII, and without characters that nobody sees (soft hyphens, U+200B to U+200D,
 * U+2060, U+FEFF). What points to a person is looked for there, and masked in the text itself.
 *
 * A ds_piifold (zeroed at first) belongs to one thread. Texts are valid UTF-8.
 */
#ifndef DS_PIIFOLD_H
#define DS_PIIFOLD_H

#include "buf.h"

typedef struct ds_piifold {
    ds_buf text;       /* folded */
    const uint8_t *of; /* the original, lent */
    ds_buf places; /* pairs of u64: from this byte of it on, from that byte of the original on */
} ds_piifold;

/* Is there a letter, digit or @ in full width, a digit of another script, or something unseen? */
bool ds_piifold_needed(const uint8_t *p, size_t len);
int ds_piifold_set(ds_piifold *f, const uint8_t *p, size_t len); /* 0 or DS_NOMEM */
/* Where the bytes [at, end) of the folded text, at < end, stand in the original. */
void ds_piifold_range(const ds_piifold *f, size_t *at, size_t *end);
void ds_piifold_fini(ds_piifold *f);

#endif
