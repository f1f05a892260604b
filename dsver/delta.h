/* delta.h - which pieces a new piece is stored against.
 *
 * Similarity is the number of hashes that two sketches share. The most similar known piece S, newer before older, gives the new
 * piece its number: one more than that of S, 0 for a piece without a similar one. As in Subversion's skip-deltas,
 * the number k bounds what it may be built on: pieces of a depth of at most the bits set in k & (k - 1). So no piece is
 * deeper than the bits set in its number, and version 50 is at most 5 deep; after number 63 a whole piece begins
 * anew. Among the pieces that may serve - those that share hashes, and all that those are built on - the ones that cover
 * most of the new piece's hashes are taken, up to three: where a cut between two pieces went away, both are needed.
 */
#ifndef DS_DELTA_H
#define DS_DELTA_H

#include "objindex.h"

#define DS_DELTA_MIN 512   /* shorter pieces are never deltas */
#define DS_DELTA_LAST 63   /* highest number */
#define DS_DELTA_PIECES 12 /* most pieces that a new delta is built on, directly or not */
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
/* The key that shares most of the hashes in `of`; the larger key where equal. *mask = what it shares. False when there is none. */
bool ds_votes_best(const ds_votes *v, unsigned of, int64_t *key, unsigned *mask);

/* Longest way down from each of v[0..n) to a whole piece; v holds all that its pieces are built on. */
void ds_delta_depths(const ds_objloc *v, size_t n, unsigned *depth);
/* Depth allowed under a piece with this number. */
unsigned ds_delta_room(unsigned number);
/* The piece of v not deeper than room, other than those in `taken`, that covers most hashes in `of`; earlier ones first where
 * equal. *mask = what it covers. NULL when it covers none. */
const ds_objloc *ds_delta_best(const ds_sketch *s, const ds_objloc *v, const unsigned *depth, size_t n, unsigned room,
                               unsigned of, const ds_bases *taken, unsigned *mask);

#endif
