/* colstat.h - what is known of a column without its values: counts, nulls, lengths, the
 * distribution of numbers, different values, the most frequent ones, words or tokens, and a
 * min-hash profile.
 *
 * Made of one chunk (a column of a block), and merged: rows, histograms, buckets, registers and
 * hashes do not depend on the order; the most frequent words do, once there are more than are kept,
 * so versions are merged in the order of their blocks. All integers, so the same on any machine.
 * docs/store-format.md, "Statistics", says what is counted, and the bytes.
 *
 * Distribution of numbers: logarithmic buckets of 32 an octave, as in HDR Histogram and DDSketch
 * (Masson, Rim, Lee: "DDSketch", VLDB 2019), so that a quantile is off by at most 1/64 of itself.
 * Different values: HyperLogLog (Flajolet et al., 2007) of 1,024 registers, 3.3 %. Profile: the 64
 * smallest hashes of values (bottom-k; Cohen, Kaplan, 2007). One thread.
 */
#ifndef DS_COLSTAT_H
#define DS_COLSTAT_H

#include "dsr_column.h"
#include "tally.h"

enum {
    DS_STAT_REGISTERS = 1024,
    DS_STAT_LOW = 64,
    DS_STAT_BUCKETS = 128,
    DS_STAT_VALUE = 64,         /* bytes of a value that is counted by itself */
    DS_STAT_CHUNK_VALUES = 128, /* different ones in a chunk, */
    DS_STAT_VALUES = 1024,      /* and in all; with more none is counted */
    DS_STAT_PRUNE = 8192,       /* words kept while chunks are merged, at most */
    DS_STAT_WORD = 32,          /* bytes of a word that is counted by itself */
    DS_STAT_CHUNK_WORDS = 32,   /* the most frequent that a chunk tells of, */
    DS_STAT_WORDS = 64,         /* and all */
    DS_STAT_LARGE = 1 << 20,    /* a JSON value of more bytes is not looked into */
};

typedef struct ds_colstat {
    enum ds_type type, item; /* item: what values are, in a list; else the same as type */
    uint64_t rows, nulls;
    /* Lengths: bytes; tokens; items; positions of runs; bytes of a tensor. */
    uint64_t len_sum, len_min, len_max;
    ds_tally lens; /* by bucket */
    /* Numbers; of a list, its items. */
    uint64_t nans;
    bool any; /* there is a least and a greatest */
    int64_t imin, imax;
    double fmin, fmax;
    ds_tally nums; /* by bucket */
    uint8_t registers[DS_STAT_REGISTERS];
    uint64_t low[DS_STAT_LOW]; /* ascending */
    size_t nlow;
    ds_names values; /* of runs: of each value, how many positions. full: none is known */
    uint64_t words;  /* or tokens; an estimate where a chunk was large */
    uint64_t looked; /* that were looked at */
    uint64_t buckets[DS_STAT_BUCKETS];
    ds_names top;
    ds_names seen; /* scratch: the words of a chunk */
    uint64_t nth;  /* scratch: number of the next value in the chunk whose words count */
    /* Of JSON: of its objects' members (statmember.h), in the order in which they were met. */
    struct ds_statmember *members;
    size_t nmembers, cap_members;
    bool member; /* this is one: numbers are doubles, values JSON text */
    bool key;    /* explicit keys: no two are the same */
    /* While a chunk is looked at that lies in a spool: its first byte is there. */
    ds_spool *spool;
    const uint8_t *base;
} ds_colstat;

/* Begins: zeroed or fini'd before. */
void ds_colstat_init(ds_colstat *s, const ds_column *c);
void ds_colstat_fini(ds_colstat *s);
/* Of one chunk, in place of what was there. `key`: the column of explicit keys, whose words and
 * values nobody asks for. The chunk's structure is checked; its values need not be valid. spool:
 * that it lies in, or NULL. */
int ds_colstat_chunk(ds_colstat *s, const ds_column *c, const uint8_t *p, size_t len, uint64_t rows,
                     bool key, ds_spool *spool, ds_err *err);
/* Nothing before p will be looked at again. */
void ds_colstat_behind(ds_colstat *s, const uint8_t *p);
void ds_colstat_register(ds_colstat *s, uint64_t hash); /* a value's, in its register */
/* One number, length or value, for statmember.h. DS_NOMEM. */
int ds_colstat_number(ds_colstat *s, double v);
int ds_colstat_length(ds_colstat *s, uint64_t len);
int ds_colstat_scalar(ds_colstat *s, const uint8_t *p, size_t len);
/* DS_NOMEM. */
int ds_colstat_put(ds_buf *out, const ds_colstat *s, bool chunk);
/* Adds what was put to s, of the same type. DS_CORRUPT. */
int ds_colstat_add(ds_colstat *s, const uint8_t *p, size_t len, ds_err *err);
/* When all was added: objects without a member count as its nulls. */
void ds_colstat_settle(ds_colstat *s);

/* ---- asking ---- */
/* Which bucket, and where it begins. days: of timestamps, whose buckets are days. */
int64_t ds_stat_bucket(double v);
double ds_stat_bucket_from(int64_t bucket);
/* The q-quantile (0..1) of a sorted tally (ds_tallied), within [lo, hi]. */
double ds_stat_quantile(const ds_buf *sorted, bool days, double q, double lo, double hi);
/* Different values, about, and never more than there are; exact while values are known, and up to
 * 63. */
double ds_colstat_distinct(const ds_colstat *s);
/* Text of a value as it is counted. Appended. DS_NOMEM. */
int ds_colstat_value_text(ds_buf *out, const ds_colstat *s, const uint8_t *p, size_t len);
int ds_colstat_word_text(ds_buf *out, const ds_colstat *s, const uint8_t *p, size_t len);

#endif
