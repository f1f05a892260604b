/* statwords.h - the words of a text, or the tokens of a sequence, counted for colstat.h.
 *
 * A word is a run of ASCII letters and digits and of characters of two bytes; letters count as
 * lower case, digits as 0. A character of three or four bytes is a word of its own. All else stands
 * between words. Of large chunks one stretch in some is looked at, by its number in the value, and
 * counts manifold: a function of the chunk's content alone.
 */
#ifndef DS_STATWORDS_H
#define DS_STATWORDS_H

#include "colstat.h"

/* `weight` 1: everything; 16: the stretches whose number is a multiple of 16, where the value's
 * first one has the number `first`. DS_NOMEM. */
int ds_statwords_text(ds_colstat *s, const uint8_t *p, size_t len, uint64_t first, unsigned weight);
int ds_statwords_tokens(ds_colstat *s, const ds_colview *v, const ds_value *x, uint64_t first,
                        unsigned weight);

#endif
