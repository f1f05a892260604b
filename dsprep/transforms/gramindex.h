/* gramindex.h - which records of evaluation sets share runs of words with a text.
 *
 * Of each record all runs of n words (normwords.h) are kept by their 64-bit hashes; a record of
 * fewer words, but at least `least`, is one run of all of its words; one of fewer still is counted
 * as short and not looked for. With m runs kept, a run of a text is taken for one of them by
 * mistake with probability m / 2^64.
 *
 * Memory: 32 bytes a run while it is built, then at most 28; each record's key and 16 bytes, and 25
 * for each thread that looks, as one text may overlap all of them; no more than the limit, or
 * DS_FAIL. Beside that a thread takes 28 bytes a word of the text in hand. Built by one thread,
 * then only read; a ds_gramwork (zeroed at first) belongs to one thread.
 */
#ifndef DS_GRAMINDEX_H
#define DS_GRAMINDEX_H

#include "hash.h"
#include "normwords.h"

typedef struct ds_gramrules {
    unsigned n, least; /* 1 <= least <= n <= DS_GRAM_MAX */
    bool zero;         /* numbers are 0 */
    uint64_t hits;     /* at least so many different runs in common */
    double share;      /* and at least this share of those that the record has */
    uint64_t common;   /* runs that more records than this have do not count; 0: all do */
    size_t memory;
    unsigned threads; /* that will look, at most */
} ds_gramrules;

enum { DS_GRAM_MAX = 64 };

typedef struct ds_gramindex ds_gramindex;
int ds_gramindex_new(ds_gramindex **out, const ds_gramrules *r, const ds_wordfold *fold,
                     ds_err *err);
void ds_gramindex_free(ds_gramindex *x);
/* The records that follow are of this set (name copied). */
int ds_gramindex_set(ds_gramindex *x, const char *name, ds_err *err);
/* One record: its key, and one text of it after the other until ds_gramindex_end. */
int ds_gramindex_record(ds_gramindex *x, const void *key, size_t len, ds_err *err);
int ds_gramindex_text(ds_gramindex *x, const uint8_t *p, size_t len, ds_err *err);
int ds_gramindex_end(ds_gramindex *x, ds_err *err);
/* After the last record, before the first look-up. */
int ds_gramindex_build(ds_gramindex *x, ds_err *err);

uint64_t ds_gramindex_records(const ds_gramindex *x);
uint64_t ds_gramindex_short(const ds_gramindex *x); /* of these, too short to be looked for */
/* SHA-256 over all runs and the records that have them: what was looked for. */
int ds_gramindex_digest(const ds_gramindex *x, ds_sha *out, ds_err *err);
void ds_gramindex_name(const ds_gramindex *x, uint32_t record, const char **set,
                       const uint8_t **key, size_t *len);

/* A record that overlaps, and where in the text the first of the common runs is. */
typedef struct ds_gramhit {
    uint32_t record, from, to; /* bytes of the text */
    uint32_t common, of;       /* different runs */
} ds_gramhit;

typedef struct ds_gramwork {
    ds_buf words, places, found;
    ds_buf slots; /* u32 by record: its hit's number + 1; all 0 between look-ups */
    ds_buf hits;  /* of ds_gramhit: what the last look-up found, the best first */
} ds_gramwork;

/* All records that a text of less than 4 GiB overlaps by the rules: most of them first, then the
 * earlier record. */
int ds_gramindex_find(const ds_gramindex *x, ds_gramwork *w, const uint8_t *p, size_t len,
                      ds_err *err);
void ds_gramwork_fini(ds_gramwork *w);

#endif
