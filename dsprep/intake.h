/* intake.h - what the commands that read raw inputs have in common: where they read, where they
 * write, what becomes of bad input, and the accounts at the end.
 *
 * A command fills in the schema and the provenance between _open and _run and gives _run its sink,
 * of which ds_intake_sink sets what is the same for all. One thread. A zeroed object is valid for
 * _fini.
 */
#ifndef DS_INTAKE_H
#define DS_INTAKE_H

#include <jansson.h>

#include "options.h"
#include "term.h"
#include "textread.h"

typedef struct ds_intake_args {
    int on_error;
    const char *encoding, *quarantine, *delimiter;
    ds_shardopts shards;
    bool quiet, json;
    int64_t max_record, max_depth, max_ratio, max_unpacked, threads;
} ds_intake_args;

#define DS_INTAKE_DEFAULTS                                                                         \
    {                                                                                              \
        .max_record = 64 << 20, .max_depth = 100, .max_ratio = 200,                                \
        .shards = DS_SHARDOPTS_DEFAULTS                                                            \
    }

/* The options of the table that fill in `a`. */
#define DS_INTAKE_OPTIONS(a)                                                                       \
    OPT_STR(0, "encoding", (a).encoding, "NAME",                                                   \
            "encoding of the text, such as GB18030; default UTF-8"),                               \
        DSPREP_DELIMITER((a).delimiter), DSPREP_BAD_INPUT((a).on_error, (a).quarantine),           \
        DSPREP_SHARDS((a).shards),                                                                 \
        OPT_SIZE(0, "max-record", (a).max_record, "SIZE",                                          \
                 "longest line, table record or page; default 64M"),                               \
        OPT_INT(0, "max-depth", (a).max_depth, "N", 1, DS_JSCAN_DEPTH_MAX,                         \
                "deepest nesting of JSON; default 100"),                                           \
        DSPREP_MAX_RATIO((a).max_ratio),                                                           \
        OPT_SIZE(0, "max-unpacked", (a).max_unpacked, "SIZE",                                      \
                 "how much an archive may unpack to; default any"),                                \
        DSPREP_THREADS((a).threads), DSPREP_JSON((a).json), DSPREP_QUIET((a).quiet)

typedef struct ds_intake {
    const ds_intake_args *a;
    char *const *operands;
    size_t noperands;
    ds_schema schema;
    ds_buf prov;
    ds_textread *read;
    ds_shardout *out;
    ds_badlog bad;
    ds_progress progress;
    uint64_t records;
    ds_counts before;    /* of streams that ended before */
    const char *foreign; /* the reason why a source is none for this command; or NULL */
    uint64_t nforeign;   /* left out for it: they lay in a folder or archive */
    ds_counts left;      /* records that are no documents, by kind: those "held" */
} ds_intake;

/* What the arguments say of reading, into o: DS_USAGE when they cannot be. */
int ds_intake_limits(const ds_intake_args *a, ds_textopts *o, ds_err *err);
/* Opens inputs and quarantine; borrows everything. */
int ds_intake_open(ds_intake *in, const ds_intake_args *a, const ds_textopts *o,
                   char *const *operands, size_t n, ds_err *err);
/* Sets source, problem and progress of a sink, whose ctx must begin with the ds_intake. */
void ds_intake_sink(ds_textsink *sink);
int ds_intake_source(void *ctx, const char *name, uint64_t size, const ds_sha *sha, ds_err *err);
/* Reads everything into the sink and ends the output, or says in it why it failed. */
int ds_intake_run(ds_intake *in, const ds_textopts *o, const ds_textsink *sink, ds_err *err);
/* "dsprep text: 3 input = 3 output + 0 held + 0 failed"; with --json as an object, and the members
 * of `more` (NULL: none). */
void ds_intake_say(ds_intake *in, const char *command, const json_t *more);
bool ds_intake_partial(const ds_intake *in); /* something was left out */
void ds_intake_fini(ds_intake *in);

#endif
