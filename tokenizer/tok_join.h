/* tok_join.h - between which characters no merge can ever happen.
 *
 * A merge of x and y across the boundary of two characters needs x to end with (the end of) the one
 * and y to begin with (the beginning of) the other. So where no merge of the vocabulary has such a
 * junction, byte pair encoding on the left and on the right are independent of each other, and a
 * pretoken may be encoded in parts: most of all Chinese, whose pretokens are whole clauses, falls
 * into words of a few characters this way. The table may claim a junction that is not there, which
 * costs time only.
 */
#ifndef DS_TOK_JOIN_H
#define DS_TOK_JOIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tok_uni.h"

#define TOK_JOIN_BITS 20

typedef struct tok_join {
    uint64_t pairs[((size_t)1 << TOK_JOIN_BITS) / 64]; /* hashed pairs of whole characters */
    uint64_t parts[256][4]; /* last byte, first byte of junctions with part of a character */
} tok_join;

/* Notes the junction of a merge of x and y; one inside of a character does not count. */
void ds_tok_join_add(tok_join *j, const uint8_t *x, size_t x_len, const uint8_t *y, size_t y_len);
/* Adds the junctions of another table. */
void ds_tok_join_merge(tok_join *j, const tok_join *other);

static inline size_t tok_join_slot(uint32_t a, uint32_t b)
{
    return (size_t)((a * 0x9e3779b1u ^ b) * 0x85ebca6bu >> (32 - TOK_JOIN_BITS));
}

/* May something merge there that is a part of a character? */
static inline bool tok_join_part_may(const tok_join *j, uint8_t last, uint8_t first)
{
    return j->parts[last][first / 64] >> first % 64 & 1;
}

/* May something merge across the boundary of a and b, whose adjacent bytes are given as well? As
 * good as random in Chinese, so that there is no branch. */
static inline bool tok_join_may(const tok_join *j, uint32_t a, uint8_t last, uint32_t b,
                                uint8_t first)
{
    size_t i = tok_join_slot(a, b);
    return (j->pairs[i / 64] >> i % 64 | j->parts[last][first / 64] >> first % 64) & 1;
}

/* Length of the part of the valid UTF-8 text (p, len) up to the first boundary where nothing can
 * merge; len > 0. */
static inline size_t tok_join_part(const tok_join *j, const uint8_t *p, size_t len)
{
    unsigned n;
    uint32_t a = ds_uni_get(p, &n), b;
    size_t at = n;
    while (at < len) {
        b = ds_uni_get(p + at, &n);
        if (!tok_join_may(j, a, p[at - 1], b, p[at]))
            break;
        a = b;
        at += n;
    }
    return at;
}

#endif
