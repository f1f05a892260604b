/* feed.h - the decoded bytes of one source: a file, a pipe, or a member of an archive, in UTF-8.
 *
 * Bytes pass in parts of any size. A byte order mark is not handed on. Counts and hashes what a
 * source is known by: for UTF-8 the bytes as they are (a mark included), otherwise the UTF-8 they
 * were converted to. Does not check UTF-8 itself. One thread.
 */
#ifndef DS_FEED_H
#define DS_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "charset.h"
#include "hash.h"
#include "unpack.h"

typedef struct ds_feed {
    /* where bytes come from: exactly one of the two */
    int fd;
    ds_unpack *unpack;    /* the current member; NULL = fd */
    const char *name;     /* for messages; borrowed */
    const char *encoding; /* NULL = UTF-8 or what a mark says */
    const uint8_t *head;  /* bytes that were read from fd already (borrowed) */
    size_t nhead;
    /* the rest belongs to feed.c */
    ds_charset *charset;
    ds_hasher *hasher; /* borrowed */
    ds_buf raw;
    uint64_t size;  /* decoded bytes so far */
    uint64_t taken; /* raw bytes so far */
    uint64_t had;   /* of a file: what there was of it at the beginning */
    bool started, eof;
    bool lost; /* a failure came from reading, not from the bytes */
} ds_feed;

/* Fill in the first part, zero the rest, set hasher. */
int ds_feed_begin(ds_feed *f, ds_err *err);
/* Appends about n decoded bytes to out; sets f->eof at the end. The first byte ever appended has
 * offset f->size before that call plus the length of a UTF-8 mark: see ds_feed_start. Returns 0;
 * DS_FAIL for bytes that are not in the encoding or cannot be unpacked (out holds what came
 * before); DS_IO. */
int ds_feed_fill(ds_feed *f, ds_buf *out, size_t n, ds_err *err);
/* Offset in the source of the first byte handed on: 3 behind a UTF-8 mark, else 0. Known after the
 * first fill. */
uint64_t ds_feed_start(const ds_feed *f);
/* What the source is: its size and digest so far. */
int ds_feed_end(ds_feed *f, uint64_t *size, ds_sha *sha, ds_err *err);
void ds_feed_fini(ds_feed *f);

/* As an encoding: none. Bytes are handed on as they are, whatever they begin with. */
extern const char DS_FEED_BYTES[];
/* Nothing is converted of this encoding. */
bool ds_feed_as_is(const char *encoding);

/* The mark at the start of `p` that `encoding` allows: NULL = none; for UTF-8 "UTF-8". */
const char *ds_feed_mark(const char *encoding, const uint8_t *p, size_t len, size_t *mark);

#endif
