/* drain.h - templates of log lines, mined from their shapes.
 *
 * Drain (He, Zhu, Zheng, Lyu: Drain: An Online Log Parsing Approach with Fixed Depth Tree, ICWS
 * 2017) with a tree of depth 4, as Drain3 has it by default: shapes are grouped by their number of
 * words and their first word, and join the template that equals them in the largest share of words,
 * when that is at least `similarity`; words that differ become <*>. It is run over the distinct
 * shapes in the order of their first lines, when all of them are known: a word that holds a digit
 * and was ever different within its shape is <*> from the start. So the templates are a function of
 * the lines and their order, and a line has the template that the whole stream gives it. One
 * thread.
 */
#ifndef DS_DRAIN_H
#define DS_DRAIN_H

#include "hash.h"
#include "shapes.h"

typedef struct ds_drainopts {
    double similarity; /* 0.4 */
    size_t children;   /* first words told apart, for each number of words: 100 */
} ds_drainopts;

typedef struct ds_template {
    char id[17];      /* the first 16 hex digits of the tagged SHA-256 of its text */
    size_t text, len; /* in the bytes of all: words with one space between */
    size_t open;      /* where the numbers of its open words begin */
    uint32_t nopen, shapes;
    uint64_t count; /* lines */
    uint32_t first; /* the shape that began it */
} ds_template;

typedef struct ds_drain {
    ds_template *v; /* in the order of their first lines */
    size_t n;
    uint32_t *of; /* template of each shape */
    ds_buf bytes;
    ds_buf open; /* uint32_t */
} ds_drain;

int ds_drain_mine(ds_drain *d, const ds_shapes *s, const ds_drainopts *o, ds_err *err);
void ds_drain_fini(ds_drain *d);

#endif
