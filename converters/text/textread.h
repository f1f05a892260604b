/* textread.h - files, folders, archives and pipes into rows of text, in order, with threads.
 *
 * What is named is walked in a fixed order; small files are read and parsed by workers ahead of
 * time, large ones are cut into blocks of whole records that workers parse; rows, sources and
 * problems reach the sink in the order of the input, on the caller's thread, the same for any
 * number of threads. Memory is bounded by max_record and the number of threads, not by the input.
 *
 * Keys: when rows have keys, a document's is its name, and a record's comes from key_field; a file
 * of records in such a run without key_field is a problem.
 */
#ifndef DS_TEXTREAD_H
#define DS_TEXTREAD_H

#include "hash.h"
#include "textrow.h"

/* One thing that is not right with the input. */
typedef struct ds_textproblem {
    const char *source;    /* name of the file or member */
    const char *reason;    /* a slug, counted by */
    const char *why;       /* in words */
    enum ds_textfate fate; /* whether anything is wrong at all */
    bool located;          /* offset and len mean something */
    bool lost;             /* nobody knows how much is missing: the rest of a file, an archive */
    bool named;            /* the source is an operand itself: not of a folder, not in an archive */
    uint64_t offset, len;  /* range of the record in the source */
    uint64_t at;           /* offset of the fault */
    const uint8_t *bytes;  /* of the record, or its beginning; NULL when they are not at hand */
    size_t nbytes;
} ds_textproblem;

/* Where everything goes. Each call returns 0 or, with err set, a code that ends the run. */
typedef struct ds_textsink {
    void *ctx;
    int (*row)(void *ctx, const ds_textrow *row, uint64_t source, ds_err *err);
    /* A document too large for memory: begin, parts, then end with its range, or drop. */
    int (*begin)(void *ctx, const char *key, ds_err *err);
    int (*part)(void *ctx, const void *p, size_t len, ds_err *err);
    int (*end)(void *ctx, uint64_t source, uint64_t offset, uint64_t len, ds_err *err);
    int (*drop)(void *ctx, ds_err *err);
    int (*source)(void *ctx, const char *name, uint64_t size, const ds_sha *sha, ds_err *err);
    int (*problem)(void *ctx, const ds_textproblem *p, ds_err *err);
    /* What a parser says of a source, ahead of its rows; never called without one. */
    int (*note)(void *ctx, const char *source, const char *words, ds_err *err);
    void (*progress)(void *ctx, uint64_t bytes); /* decoded bytes seen so far */
} ds_textsink;

typedef struct ds_textread ds_textread;
/* Borrows the operands; looks at the first input's name (and at the first member's, of an archive),
 * no further. */
int ds_textread_new(ds_textread **r, const ds_textopts *o, char *const *operands, size_t n,
                    int threads, ds_err *err);
/* Format of the first input: what o->format says, or its name. */
enum ds_textformat ds_textread_first(const ds_textread *r);
/* Runs to the end. `o` is what ds_textread_new got, with explicit_key and meta decided. */
int ds_textread_run(ds_textread *r, const ds_textopts *o, const ds_textsink *sink, ds_err *err);
/* Symbolic links and special files left out so far, in folders and archives, and stores of dsver.
 */
void ds_textread_left_out(const ds_textread *r, uint64_t *links, uint64_t *special,
                          uint64_t *stores);
void ds_textread_free(ds_textread *r);

#endif
