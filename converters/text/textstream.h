/* textstream.h - one open source into rows; the inner part of textread.h, which says what matters
 * to users. */
#ifndef DS_TEXTSTREAM_H
#define DS_TEXTSTREAM_H

#include "feed.h"
#include "pool.h"
#include "textread.h"

typedef struct ds_blockjob {
    ds_buf in, before;
    ds_textblock part; /* of `in`: what is to be parsed */
    ds_textbatch batch;
    const ds_texthead *head;
    enum ds_textformat format;
    int rc;
} ds_blockjob;

/* What all sources of a run share. */
typedef struct ds_textrun {
    const ds_textopts *o;
    const ds_textsink *sink;
    bool named;       /* what is read is an operand itself: its reader's to set */
    uint64_t sources; /* told so far: the ordinal of the current one */
    uint64_t rows;    /* of the current source */
    uint64_t bytes;   /* decoded, for progress */
    uint64_t links, special;
    ds_hasher *hasher;
    ds_pool *pool;
    ds_blockjob *jobs; /* a ring: job i % njobs */
    size_t njobs, submitted;
    ds_buf buf, kept;
    ds_textbatch batch;
    ds_csvrec csv;
} ds_textrun;

int ds_textrun_init(ds_textrun *r, const ds_textopts *o, const ds_textsink *sink, int threads,
                    ds_err *err);
void ds_textrun_fini(ds_textrun *r);

/* Hands rows [first, last) of a batch to the sink. */
int ds_textrun_emit(ds_textrun *r, const char *name, const ds_textbatch *b, size_t first,
                    size_t last, ds_err *err);
/* Tells the sink of a source and counts it. */
int ds_textrun_source(ds_textrun *r, const char *name, uint64_t size, const ds_sha *sha,
                      ds_err *err);
/* A problem with a whole file. */
int ds_textrun_refuse(ds_textrun *r, const char *name, const char *reason, bool lost,
                      const char *why, ds_err *err);
/* The reason for what could not be read to its end, for a code of feed.h or unpack.h. */
const char *ds_textstream_lost(int code, bool packed);
/* Reads a feed (hasher, encoding and the source of bytes set; begun and finished here) to its end.
 */
int ds_textrun_stream(ds_textrun *r, ds_feed *f, const char *name, enum ds_textformat format,
                      ds_err *err);

#endif
