/* options.h - options that several commands of dsprep have: rows for their tables (opt.h), each
 * with one text, one default and one range.
 */
#ifndef DS_OPTIONS_H
#define DS_OPTIONS_H

#include "badlog.h"
#include "opt.h"
#include "shardout.h"

#define DSPREP_THREADS(v)                                                                          \
    OPT_INT('j', "threads", v, "N", 1, 256, "threads; default one for each processor")
#define DSPREP_QUIET(v) OPT_FLAG('q', "quiet", v, "no words on standard error but for failure")

/* ---- who reads raw inputs ---- */

#define DSPREP_JSON(v)                                                                             \
    OPT_JSON_ASIDE(v, "what is said on standard error as JSON lines, an error too")
#define DSPREP_BAD_INPUT(what, file)                                                               \
    OPT_CHOICE(0, "on-error", what, "WHAT", ds_onerror_names, "what to do with bad input"),        \
        OPT_STR(0, "quarantine", file, "FILE",                                                     \
                "where --on-error=quarantine puts it, as JSON lines")
#define DSPREP_RECORDS_AT(at)                                                                      \
    OPT_STR(0, "records-at", at, "PATH",                                                           \
            "of a document of JSON: the array whose elements are the records, such as Records, "   \
            "hits.hits, or . for the document itself")
#define DSPREP_DELIMITER(v)                                                                        \
    OPT_STR(0, "delimiter", v, "CHAR",                                                             \
            "what separates the fields of a table: a character, or tab; default a comma")
#define DSPREP_MAX_RATIO(v)                                                                        \
    OPT_INT(0, "max-ratio", v, "N", 0, INT64_MAX,                                                  \
            "how many times its size an archive may unpack to; default 200, 0 = any")
/* o: a ds_shardopts that began as DS_SHARDOPTS_DEFAULTS. */
#define DSPREP_SHARDS(o)                                                                           \
    OPT_STR('o', "output", (o).dir, "DIR", "write shard files into a folder"),                     \
        OPT_SIZE(0, "shard-size", (o).size, "SIZE",                                                \
                 "bytes after which a shard ends; default 64M"),                                   \
        OPT_INT('z', "level", (o).level, "N", 0, 19,                                               \
                "zstd level, 0 = none; default 0 to a pipe, 3 to files")

/* ---- stages, from a stream to a stream ---- */

#define DSPREP_OUTPUT(v)                                                                           \
    OPT_STR('o', "output", v, "FILE", "write a file, which appears when it is whole")
#define DSPREP_LEVEL(v)                                                                            \
    OPT_INT('z', "level", v, "N", 0, 19, "zstd level, 0 = none; default 0 to a pipe, 3 to a file")
#define DSPREP_SUMMARY(json, quiet)                                                                \
    OPT_JSON_ASIDE(json, "the summary as a line of JSON on standard error, an error too"),         \
        OPT_FLAG('q', "quiet", quiet, "no summary on standard error")

#endif
