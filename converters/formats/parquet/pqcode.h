/* pqcode.h - Parquet's encodings, read one value after the other (Apache Parquet, Encodings.md).
 *
 * Nothing is allocated but what a value that is put together from the one before needs. Each step
 * says NULL, or (static) what is wrong. One thread.
 */
#ifndef DS_PQCODE_H
#define DS_PQCODE_H

#include "pqfile.h"

enum ds_pqencoding { /* parquet.thrift: Encoding */
                     DS_PQ_ENC_PLAIN = 0,
                     DS_PQ_ENC_PLAIN_DICTIONARY = 2,
                     DS_PQ_ENC_RLE = 3,
                     DS_PQ_ENC_BIT_PACKED = 4,
                     DS_PQ_ENC_DELTA = 5,
                     DS_PQ_ENC_DELTA_LENGTH = 6,
                     DS_PQ_ENC_DELTA_BYTES = 7,
                     DS_PQ_ENC_DICTIONARY = 8,
                     DS_PQ_ENC_SPLIT = 9
};

/* Runs of one value and groups of eight that are packed into bits, in turn. */
typedef struct ds_pqrle {
    const uint8_t *p;
    size_t len, at;
    int bits;
    uint64_t left; /* of the run */
    bool packed;
    uint32_t value;
    uint64_t bit; /* of the next packed value, from p */
} ds_pqrle;

void ds_pqrle_init(ds_pqrle *r, const uint8_t *p, size_t len, int bits);
const char *ds_pqrle_next(ds_pqrle *r, uint32_t *v);
int ds_pq_bits(uint32_t most); /* that numbers up to it take */

/* Differences, in blocks of bits. */
typedef struct ds_pqdelta {
    const uint8_t *p;
    size_t len, at;
    uint64_t left, in_mini, size, minis, mini;
    uint64_t value, least;
    const uint8_t *widths;
    uint64_t bit; /* of the next difference, from p */
    int width;
    bool first;
} ds_pqdelta;

/* A value of a leaf: bytes where it is bytes or of fixed length (INT96, too), else a number. */
typedef struct ds_pqvalue {
    const uint8_t *p;
    size_t len;
    int64_t i;
    double f;
} ds_pqvalue;

/* The values of a page. Those of a dictionary are looked up by who has it: i is their number. */
typedef struct ds_pqvalues {
    enum ds_pqtype type;
    int width; /* of a value of fixed width; 0: of bytes */
    enum ds_pqencoding encoding;
    const uint8_t *p;
    size_t len, at;
    uint64_t number; /* of the next one */
    ds_pqrle rle;
    ds_pqdelta lens, prefixes;
    ds_buf before; /* the last value, where the next one shares bytes with it */
    size_t most;   /* bytes of a value */
} ds_pqvalues;

const char *ds_pqvalues_init(ds_pqvalues *v, const ds_pqnode *n, enum ds_pqencoding e,
                             const uint8_t *p, size_t len, size_t most);
/* DS_NOMEM, or 1 with *why. What x points to stays until the next call, or, where its encoding is
 * plain or of lengths, as long as the page. */
int ds_pqvalues_next(ds_pqvalues *v, ds_pqvalue *x, const char **why);
void ds_pqvalues_fini(ds_pqvalues *v);

#endif
