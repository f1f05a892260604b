/* pqfile.h - what the footer of a Parquet file says (Apache Parquet, parquet.thrift 2.11): the tree
 * of its schema, and where the pages of each column of each group of rows lie.
 *
 * A leaf's values come with a repetition level and a definition level (Melnik et al. 2010,
 * "Dremel", section 4.1): `rep` and `def` of a node are the levels of what stands below it where
 * nothing is missing. A file is hostile: sizes are checked against its length, depth and number of
 * nodes are bounded. Owns its memory; a zeroed object is valid for _fini.
 */
#ifndef DS_PQFILE_H
#define DS_PQFILE_H

#include "buf.h"

enum ds_pqtype { /* parquet.thrift: Type */
                 DS_PQ_GROUP = -1,
                 DS_PQ_BOOLEAN,
                 DS_PQ_INT32,
                 DS_PQ_INT64,
                 DS_PQ_INT96,
                 DS_PQ_FLOAT,
                 DS_PQ_DOUBLE,
                 DS_PQ_BYTES,
                 DS_PQ_FIXED
};

enum ds_pqrepetition { DS_PQ_REQUIRED, DS_PQ_OPTIONAL, DS_PQ_REPEATED };

/* What values mean: of LogicalType, or of ConvertedType where only that is said. */
enum ds_pqmeaning {
    DS_PQ_PLAIN,
    DS_PQ_TEXT, /* STRING, ENUM */
    DS_PQ_JSON,
    DS_PQ_MAP,
    DS_PQ_LIST,
    DS_PQ_DECIMAL,
    DS_PQ_DATE,
    DS_PQ_TIME,
    DS_PQ_TIMESTAMP,
    DS_PQ_INTEGER,
    DS_PQ_UUID,
    DS_PQ_FLOAT16,
    DS_PQ_NOTHING /* UNKNOWN: all are null */
};

typedef struct ds_pqnode {
    char *name;
    size_t name_len;
    enum ds_pqtype type;
    enum ds_pqrepetition repetition;
    enum ds_pqmeaning meaning;
    int length;       /* of FIXED, bytes */
    int scale;        /* of a decimal */
    int64_t unit;     /* of a time: nanoseconds */
    int bits;         /* of an integer */
    bool is_unsigned; /* the integer */
    int rep, def;
    size_t leaf, leaf_end;   /* the leaves at or below it */
    size_t children, nchild; /* the first child and their number; the others follow by `next` */
    size_t next;             /* sibling; 0: none */
} ds_pqnode;

typedef struct ds_pqchunk {
    int codec;
    uint64_t at, len; /* of its pages */
    uint64_t values;  /* levels in all */
} ds_pqchunk;

typedef struct ds_pqgroup {
    uint64_t rows;
    size_t chunks; /* the first of nleaves in ds_pqfile.chunks */
} ds_pqgroup;

typedef struct ds_pqfile {
    ds_pqnode *nodes; /* 0 is the root */
    size_t nnodes, cap_nodes;
    size_t nleaves;
    size_t *leaves; /* their nodes */
    ds_pqchunk *chunks;
    size_t nchunks, cap_chunks;
    ds_pqgroup *groups;
    size_t ngroups, cap_groups;
} ds_pqfile;

#define DS_PQ_DEPTH 32         /* of the schema */
#define DS_PQ_DECIMAL_MOST 256 /* bytes */

/* Parses a footer of a file of `size` bytes. DS_NOMEM, or 1: *why (static) says what is wrong. */
int ds_pqfile_parse(ds_pqfile *f, const uint8_t *p, size_t len, uint64_t size, const char **why);
void ds_pqfile_fini(ds_pqfile *f);

#endif
