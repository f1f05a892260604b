/* delta.h - which piece a new piece is stored against.
 *
 * The most similar known piece S is the one whose sketch shares most hashes, newer before older; with no such piece,
 * the first hint that is known. What the delta is made against is not S but, as in Subversion's skip-deltas, one
 * of S or S's bases: if S has number n in its chain, the new piece gets n + 1 and its base is the one with number
 * (n + 1) & n. So a piece has at most as many bases as its number has bits set, and a chain of 50 versions is 5 deep.
 * After number 63 a whole piece begins the next chain.
 */
#ifndef DS_DELTA_H
#define DS_DELTA_H

#include "objindex.h"

#define DS_DELTA_MIN 512   /* shorter pieces are never deltas */
#define DS_DELTA_LAST 63   /* highest number in a chain */
#define DS_DELTA_DEPTH 8   /* most bases under a new delta */
#define DS_DELTA_SHARING 8 /* pieces looked at for one hash */

typedef struct ds_votes {
    struct {
        int64_t key;
        unsigned votes;
    } v[2 * DS_SKETCH_MAX * DS_DELTA_SHARING];
    size_t n;
} ds_votes;

void ds_votes_add(ds_votes *v, int64_t key);
/* The key with most votes, at least a quarter of the sketch's n; the larger key where equal. False when none. */
bool ds_votes_best(const ds_votes *v, unsigned n, int64_t *key);

/* chain[0..n): S and its bases. *at = index of the base to use, *number of the new piece. False: store it whole. */
bool ds_delta_base(const ds_objloc *chain, size_t n, size_t *at, uint16_t *number);

#endif
