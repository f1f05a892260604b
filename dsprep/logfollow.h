/* logfollow.h - logs that grow into streams that follow each other.
 *
 * What the logs bring is gathered; when so much time has passed since the first of it, or it comes
 * to 8 MiB, it becomes one whole stream with its sources and counts, and the next one begins. Lines
 * that may go on wait for the one behind them, but no longer than that. A signal ends the last
 * stream in order. After each stream the state is written: a run that begins with it goes on behind
 * what was written out; one that begins with a version (logresume.h) behind what that holds. Such a
 * run first tells of the sources as they were then, so that whoever takes the streams can see
 * whether they go on with what it has. One thread.
 */
#ifndef DS_LOGFOLLOW_H
#define DS_LOGFOLLOW_H

#include "logsink.h"
#include "logsource.h"

typedef struct ds_follow_opts {
    const ds_logopts *log;
    int64_t seconds;
    const char *state; /* NULL: none is kept */
    const char *from;  /* DATASET[@BRANCH] whose newest version says how far; NULL: none does */
    int level;         /* zstd */
} ds_follow_opts;

/* The sink has its schema, provenance and bad log. Until a signal comes or all inputs are pipes
 * that have ended. */
int ds_logfollow_run(ds_logsink *s, const ds_follow_opts *o, char *const *paths, size_t n,
                     ds_err *err);

#endif
