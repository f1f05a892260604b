/* idstream.h - formats that are token ids and nothing else: which column, what is lost, and files
 * that are a head and all ids one after the other.
 *
 * In such files records have no bounds, unless an id that stands in none of them is put before each
 * (`separator`). Read without one, a file is one record.
 */
#ifndef DS_IDSTREAM_H
#define DS_IDSTREAM_H

#include "fmtin.h"
#include "fmtout.h"

/* The column that is written: the one named, or the only one of tokens. Says what is lost of all
 * else. */
int ds_idcolumn_find(size_t *column, const ds_schema *s, const char *name, ds_fmtloss *l,
                     ds_err *err);

/* ---- writing a head and ids ---- */

typedef struct ds_idhead {
    size_t len; /* of every head */
    /* The head of a file of n ids, appended; DS_FAIL when there are too many. */
    int (*make)(ds_buf *out, enum ds_type t, uint64_t n, ds_err *err);
    /* What a head says: how many ids, of which dtype. NULL, or why it is none. p holds `len` bytes.
     */
    const char *(*parse)(const uint8_t *p, size_t len, size_t *head, uint64_t *n, int *dtype);
} ds_idhead;

int ds_idstream_begin(void **w, const ds_idhead *h, const char *ext, const ds_fmtwrite *o,
                      const ds_schema *s, ds_fmtloss *l, ds_err *err);
int ds_idstream_open(void *w, ds_err *err);
int ds_idstream_row(const void *w, ds_fmtblock *b, ds_err *err);
int ds_idstream_put(void *w, const uint8_t *p, size_t len, ds_err *err);
int ds_idstream_finish(void *w, ds_fmtwritten *done, ds_err *err);
void ds_idstream_free(void *w);

int ds_idread_open(void **r, const ds_idhead *h, const ds_fmtread *o, ds_err *err);
int ds_idread_schema(void *r, ds_schema *s, ds_err *err);
int ds_idread_read(void *r, const ds_fmtsink *sink, ds_err *err);
void ds_idread_close(void *r);

/* The schema of ids alone: a column `tokens`. */
int ds_idschema(ds_schema *s, int dtype, ds_err *err);
/* Its column in a schema that was given, or -1. */
long ds_idschema_find(const ds_schema *s);

#endif
