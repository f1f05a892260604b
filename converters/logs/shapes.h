/* shapes.h - lines of logs by their shape: the line with every word that holds a digit left open.
 *
 * What templates are mined from: a log of millions of lines has thousands of shapes. A set numbers
 * them in the order in which they come, keeps the first line of each, and of its open words knows
 * which were ever different. Sets of consecutive parts of a stream, merged in order, are the set of
 * the whole: it does not matter where a stream is cut. Words are what white space (space, tab)
 * separates; only the first line of a text counts; a word of control characters is like others. Of
 * a line longer than DS_SHAPE_LINE bytes the rest, from the word that passes them, is one open
 * word. One thread a set.
 */
#ifndef DS_SHAPES_H
#define DS_SHAPES_H

#include "buf.h"
#include "error.h"

#define DS_SHAPE_LINE 4096
#define DS_SHAPE_NONE UINT32_MAX

typedef struct ds_shape {
    size_t line;   /* of its first line: offset in the set's bytes */
    uint32_t len;  /* and length */
    uint32_t open; /* open words */
    size_t varied; /* where their flags begin: 1 = not always the same */
    uint32_t left; /* flags still 0 */
    uint64_t hash;
    uint64_t count;
} ds_shape;

typedef struct ds_shapes {
    ds_shape *v;
    size_t n, cap;
    size_t max;      /* no more than so many; 0 = any number */
    uint32_t *table; /* open addressing: number + 1 */
    size_t slots;
    ds_buf bytes, flags;
    ds_buf key; /* scratch */
} ds_shapes;

/* A word of a line. */
typedef struct ds_word {
    uint32_t at, len;
    bool open; /* it holds a digit, or is the rest of a long line */
} ds_word;

/* Length of what counts of a text: its first line without the white space around it; *from is where
 * it begins. */
size_t ds_shape_line(const uint8_t *p, size_t len, size_t *from);
/* The words of such a line; `words` has room for DS_SHAPE_LINE / 2 + 1. Returns how many. */
size_t ds_shape_words(const uint8_t *line, size_t len, ds_word *words);

/* The number of the shape of a text: DS_SHAPE_NONE when it is new and the set is full. */
int ds_shapes_add(ds_shapes *s, const uint8_t *p, size_t len, uint32_t *number, ds_err *err);
/* Adds what `from` holds, in its order; map[i] is the number in s of its i-th. */
int ds_shapes_merge(ds_shapes *s, const ds_shapes *from, uint32_t *map, ds_err *err);
void ds_shapes_reset(ds_shapes *s); /* empty, memory kept */
void ds_shapes_fini(ds_shapes *s);

#endif
