/* delta.h - which pieces a new piece is stored against.
 *
 * Similarity is the number of hashes that two sketches share. The most similar known piece, newer
 * before older, gives the new piece its number: one more than its own; 0 is a whole piece. Pieces
 * of one version that are like older versions' take the highest number among them, so that they are
 * built on the same versions: pieces side by side are then read with each other's bases.
 *
 * As in Subversion's skip-deltas the number bounds the depth: a piece is at most as deep as the sum
 * of its number's digits, written with a last digit in base 3, one before it in base 4, and all
 * others in base 2. A digit's base is a trade: each costs (1 - 1/base) times what changed over the
 * distance that one of its units stands for, which is stored again, and (base - 1) / 2 in depth.
 * Changes over long distances overlap, so the low digits are where a larger base saves most.
 *
 * Among the pieces that may serve - those that share hashes, and all that those are built on - the
 * ones that cover most of the new piece's hashes are taken, up to four: where a cut between two
 * pieces went away, both are needed.
 */
#ifndef DS_DELTA_H
#define DS_DELTA_H

#include "objindex.h"

#define DS_DELTA_MIN 512   /* shorter pieces are never deltas */
#define DS_DELTA_OWN 63    /* highest number of a piece like one of its own version */
#define DS_DELTA_PIECES 16 /* most pieces that a new delta is built on, directly or not */
#define DS_DELTA_SHARING 8 /* pieces looked at for one hash */

/* Who shares which hash: bit i of mask = hash i of the sketch. */
typedef struct ds_votes {
    struct {
        int64_t key;
        unsigned mask;
    } v[2 * DS_SKETCH_MAX * DS_DELTA_SHARING];
    size_t n;
} ds_votes;

void ds_votes_add(ds_votes *v, int64_t key, int hash);
void ds_votes_drop(ds_votes *v, int64_t key);
/* The key that shares most of the hashes in `of`; the larger key where equal. *mask = what it
 * shares. */
bool ds_votes_best(const ds_votes *v, unsigned of, int64_t *key, unsigned *mask);

/* Longest way down from each of v[0..n) to a whole piece; v holds all that its pieces are built on.
 */
void ds_delta_depths(const ds_objloc *v, size_t n, unsigned *depth);
/* How deep the bases of a piece with this number may be. */
unsigned ds_delta_room(unsigned number);
/* The piece of v not deeper than room, other than those in `taken`, that covers most hashes in
 * `of`; earlier ones first where equal. *mask = what it covers. NULL when it covers none. */
const ds_objloc *ds_delta_best(const ds_sketch *s, const ds_objloc *v, const unsigned *depth,
                               size_t n, unsigned room, unsigned of, const ds_bases *taken,
                               unsigned *mask);

#endif
