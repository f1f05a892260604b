/* nearopts.h - how texts that are nearly the same are found: options that several commands have,
 * with one text, one default and one range each.
 */
#ifndef DS_NEAROPTS_H
#define DS_NEAROPTS_H

#include <jansson.h>

#include "minhash.h"
#include "opt.h"

typedef struct ds_nearopts {
    int64_t bands, rows, words, seed;
} ds_nearopts;

#define DS_NEAROPTS_NONE                                                                           \
    {                                                                                              \
        .seed = -1                                                                                 \
    } /* nothing was said */
#define DS_NEAROPTS(o)                                                                             \
    OPT_INT(0, "bands", (o).bands, "N", 1, DS_MIN_MOST, "of --near; default 14"),                  \
        OPT_INT(0, "rows", (o).rows, "N", 1, DS_MIN_MOST, "minima of a band; default 8"),          \
        OPT_INT(0, "words", (o).words, "N", 1, 1000, "words of a run of --near; default 5"),       \
        OPT_INT(0, "seed", (o).seed, "N", 0, INT64_MAX,                                            \
                "of the hash functions of --near; default 1")

/* DS_USAGE where one was given and `near` is false (`needs`: what they are of), or where they are
 * too much together. Then what was not said has its default. */
int ds_nearopts_take(ds_nearopts *o, bool near, const char *needs, ds_err *err);
int ds_nearopts_minhash(ds_minhash *m, const ds_nearopts *o, const ds_wordfold *fold, ds_err *err);
json_t *ds_nearopts_json(const ds_nearopts *o); /* for a provenance step */

#endif
