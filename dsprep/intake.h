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

#include "badlog.h"
#include "shardout.h"
#include "term.h"
#include "textread.h"

typedef struct ds_intake_args {
    int on_error;
    const char *encoding, *quarantine, *output;
    bool quiet, json;
    int64_t max_record, max_depth, max_ratio, max_unpacked, shard_size, level, threads;
} ds_intake_args;

#define DS_INTAKE_DEFAULTS                                                                         \
    {                                                                                              \
        .max_record = 64 << 20, .max_depth = 100, .max_ratio = 200, .shard_size = 64 << 20,        \
        .level = -1                                                                                \
    }

/* The options of the table that fill in `a`. */
#define DS_INTAKE_OPTIONS(a)                                                                       \
    {0,          "encoding",                                                                       \
     DS_OPT_STR, &(a).encoding,                                                                    \
     "NAME",     "encoding of the text, such as GB18030; default UTF-8",                           \
     0,          0,                                                                                \
     NULL,       false},                                                                           \
        {0, "on-error", DS_OPT_CHOICE,    &(a).on_error, "WHAT", "what to do with bad input",      \
         0, 0,          ds_onerror_names, false},                                                  \
        {0,          "quarantine",                                                                 \
         DS_OPT_STR, &(a).quarantine,                                                              \
         "FILE",     "where --on-error=quarantine puts bad records, as JSON lines",                \
         0,          0,                                                                            \
         NULL,       false},                                                                       \
        {'o', "output", DS_OPT_STR, &(a).output, "DIR", "write shard files into a folder",         \
         0,   0,        NULL,       false},                                                        \
        {0,           "shard-size",                                                                \
         DS_OPT_SIZE, &(a).shard_size,                                                             \
         "SIZE",      "bytes after which a shard ends; default 64M",                               \
         0,           0,                                                                           \
         NULL,        false},                                                                      \
        {'z',        "level", DS_OPT_INT,                                                          \
         &(a).level, "N",     "zstd level, 0 = none; default 0 to a pipe, 3 to files",             \
         0,          19,      NULL,                                                                \
         false},                                                                                   \
        {0,           "max-record",                                                                \
         DS_OPT_SIZE, &(a).max_record,                                                             \
         "SIZE",      "longest line, table record or page; default 64M",                           \
         0,           0,                                                                           \
         NULL,        false},                                                                      \
        {0,          "max-depth",                                                                  \
         DS_OPT_INT, &(a).max_depth,                                                               \
         "N",        "deepest nesting of JSON; default 100",                                       \
         1,          DS_JSCAN_DEPTH_MAX,                                                           \
         NULL,       false},                                                                       \
        {0,          "max-ratio",                                                                  \
         DS_OPT_INT, &(a).max_ratio,                                                               \
         "N",        "how many times its size an archive may unpack to; default 200, 0 = any",     \
         0,          INT64_MAX,                                                                    \
         NULL,       false},                                                                       \
        {0,           "max-unpacked",                                                              \
         DS_OPT_SIZE, &(a).max_unpacked,                                                           \
         "SIZE",      "how much an archive may unpack to; default any",                            \
         0,           0,                                                                           \
         NULL,        false},                                                                      \
        {'j', "threads", DS_OPT_INT, &(a).threads, "N", "threads; default one for each processor", \
         1,   256,       NULL,       false},                                                       \
        {0,         "json", DS_OPT_FLAG,                                                           \
         &(a).json, NULL,   "what is said on standard error as JSON lines, an error too",          \
         0,         0,      NULL,                                                                  \
         false},                                                                                   \
    {                                                                                              \
        'q', "quiet", DS_OPT_FLAG, &(a).quiet, NULL, "no words on standard error but for failure", \
            0, 0, NULL, false                                                                      \
    }

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
