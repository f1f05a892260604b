/* format.h - a format of other tools that records can be written in and read from: the interface,
 * and the table of all of them.
 *
 * A format is one file, fmt_NAME.c, with one struct ds_format; formats.c lists them. Either half of
 * the functions may be left out: then the format is not written, or not read.
 *
 * Writing: `begin` looks at the schema and the options and says what the format cannot hold
 * (ds_fmtloss), touching nothing; `open` opens outputs; `row` turns one record into bytes, on any
 * thread; `put` takes these, in order, on one thread; `finish` makes outputs whole and gives them
 * their names. So the bytes do not depend on threads. Where `block` stands in place of `row` it
 * turns a whole block into bytes.
 *
 * Reading: `read_open` opens one input, `schema` says which columns it holds (having looked at its
 * beginning), `read` hands all records to a sink, as values of the input's own types, which the
 * sink converts. Inputs are hostile: sizes are checked before memory is taken.
 *
 * Records: "what it cannot hold" means key and columns. Origins and sources go into no format.
 */
#ifndef DS_FORMAT_H
#define DS_FORMAT_H

#include "fmtblock.h"
#include "fmtloss.h"
#include "fmtvalue.h"

enum {
    DS_FORMAT_PIPE = 1,    /* one file, which may be a pipe */
    DS_FORMAT_SHARDS = 2,  /* or, with a shard size, a folder of such files */
    DS_FORMAT_FOLDER = 4,  /* always a folder */
    DS_FORMAT_IDS = 8,     /* one column of tokens and nothing else */
    DS_FORMAT_PREFIX = 16, /* several files whose names begin with OUT */
    DS_FORMAT_LAKE = 32,   /* below a folder, what begins with _ or a dot is no data, like Hive's */
    DS_FORMAT_COLUMNS = 64, /* some columns can be read without the others */
    DS_FORMAT_EACH = 128,   /* each file of the folder is a record */
    DS_FORMAT_LEVEL = 256   /* it compresses */
};

typedef struct ds_fmtwrite {
    const char *path;    /* NULL or "-": standard output */
    uint64_t shard_size; /* bytes of a file; 0 = the format's own */
    bool shards;         /* a folder of files, where that is a choice */
    int level;           /* where the format compresses; 0 = not, -1 = its own */
    int threads;
    uint64_t memory;    /* bytes that may be held */
    const char *column; /* of formats of one column */
    int64_t separator;  /* id that stands before each record; -1 = none */
    const char *hashes; /* names, separated by commas, sorted */
} ds_fmtwrite;

typedef struct ds_fmtwritten {
    uint64_t files, bytes;
} ds_fmtwritten;

typedef struct ds_fmtread {
    const char *path;       /* to open; "-" is standard input */
    const char *name;       /* for sources and messages: relative */
    size_t max_record;      /* bytes of a record */
    uint64_t max_ratio;     /* of compressed inputs */
    const char *key;        /* field that is the key, or NULL */
    int64_t separator;      /* id that stands before each record; -1 = none */
    uint8_t delimiter;      /* of csv; 0 = a comma */
    const char *columns;    /* names of those to read, separated by commas; NULL: all */
    const char *records_at; /* of jsonl: a path (jitems.h); NULL = lines, or what is seen */
} ds_fmtread;

/* Where records go. Each returns 0 to go on. */
typedef struct ds_fmtsink {
    void *ctx;
    const ds_schema *schema;
    /* One value for each column of the schema. */
    int (*row)(void *ctx, const ds_fval *values, uint64_t offset, uint64_t len, ds_err *err);
    /* A record that is none. `lost`: nobody knows how much is missing. */
    int (*bad)(void *ctx, const char *reason, uint64_t at, uint64_t offset, const uint8_t *p,
               size_t len, bool lost, const char *why, ds_err *err);
    /* A file has been read to its end: rows since the one before came from it. */
    int (*source)(void *ctx, const char *name, uint64_t size, const ds_sha *sha, ds_err *err);
} ds_fmtsink;

typedef struct ds_format {
    const char *name;
    const char *summary;
    const char *ext;  /* of its files, with the dot */
    const char *mark; /* the file that tells a folder of it from others; NULL: there is none */
    unsigned flags;

    int (*begin)(void **w, const ds_fmtwrite *o, const ds_schema *s, ds_fmtloss *l, ds_err *err);
    int (*open)(void *w, ds_err *err);
    int (*row)(const void *w, ds_fmtblock *b, ds_err *err);
    int (*block)(const void *w, ds_fmtblock *b, ds_err *err);
    int (*put)(void *w, const uint8_t *p, size_t len, ds_err *err);
    int (*finish)(void *w, ds_fmtwritten *done, ds_err *err);
    void (*free)(void *w); /* drops what is not finished; NULL is fine */

    int (*read_open)(void **r, const ds_fmtread *o, ds_err *err);
    int (*schema)(void *r, ds_schema *s, ds_err *err);
    int (*read)(void *r, const ds_fmtsink *sink, ds_err *err);
    void (*close)(void *r); /* NULL is fine */
} ds_format;

extern const ds_format *const ds_formats[];        /* NULL at the end */
const ds_format *ds_format_find(const char *name); /* NULL: there is none */
/* By the end of an input's name, seen through .gz and the like. */
const ds_format *ds_format_of(const char *path);
/* By what is in a folder: a mark, or else files, in it and below it, whose names all end as those
 * of one format do. NULL when neither is so, or it cannot be read. */
const ds_format *ds_format_of_folder(const char *dir);

#endif
