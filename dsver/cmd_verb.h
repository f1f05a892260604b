/* cmd_verb.h - what the commands of dsver share: options, and numbers for people and for machines.
 */
#ifndef DS_CMD_VERB_H
#define DS_CMD_VERB_H

#include <stdio.h>

#include "opt.h"
#include "sign.h"
#include "store.h"

#define VERB_STORE(v)                                                                              \
    OPT_STR(0, "store", v, "DIR",                                                                  \
            "the store, or the folder that holds it; default $DSVER_STORE, or the nearest from "   \
            "here upwards")
#define VERB_JSON(v) OPT_FLAG(0, "json", v, "print JSON lines")
#define VERB_QUIET(v) OPT_FLAG('q', "quiet", v, "print nothing but errors")
#define VERB_THREADS(v)                                                                            \
    OPT_INT('j', "threads", v, "N", 1, 1024, "threads; default one for each processor")
#define VERB_MESSAGE(v, what) OPT_STR('m', "message", v, "MSG", what)
#define VERB_AUTHOR(v)                                                                             \
    OPT_STR(0, "author", v, "WHO", "\"Name <mail>\" (default: git's, else dsver)")
#define VERB_REASON(v) OPT_STR(0, "reason", v, "TEXT", "why: it stands in the operation log")
#define VERB_WAIT(v) OPT_SWITCH(0, "wait", v, "wait for writers to finish (the default)")
/* -S and --no-sign; v is a verb_signing. */
#define VERB_SIGN(v, letter_)                                                                      \
    OPT_FLAG(letter_, "sign", (v).yes, "sign it with git's key (user.signingkey, gpg.format)"),    \
        OPT_FLAG(0, "no-sign", (v).no, "do not, whatever commit.gpgsign says")

typedef struct verb_signing {
    bool yes, no;
} verb_signing;
enum ds_signing verb_sign(const verb_signing *v);

/* A record stream from a file, or with "-" from standard input, which is not to be a terminal;
 * usage: the command with a file. *fd: STDIN_FILENO before. */
int verb_open_stream(int *fd, const char *file, const char *usage, ds_err *err);
void verb_close_stream(int *fd, const char *file);

int verb_threads(int64_t asked);                  /* 0: as many as there are processors */
const char *verb_bytes(char out[32], uint64_t n); /* "3.1 MB" */
void verb_json(FILE *f, const char *s);           /* a JSON string */
void verb_text(FILE *f, const void *p, size_t n); /* for a terminal: control bytes become '?' */
void verb_cell(const char *s, unsigned width);    /* the same to stdout, with blanks behind it */
void verb_words(const char *s);                   /* the same of a string, to standard output */
void verb_subject(const ds_version *v);           /* the first line of its message, so too */
/* An object about a version, left open; "parent" and "merged" are null where there is none. */
void verb_json_version(const ds_version *v);
void verb_json_buf(FILE *f, const void *p, size_t n);
/* What a version's message says of its root and number of records is what its manifest says, or
 * DS_CORRUPT stands in *first; of others after that one a warning says so. So a list goes on, and
 * ends with *first. < 0: it cannot be told. */
int verb_check_version(ds_catalog *c, const ds_version *v, ds_err *first, ds_err *err);
/* The value of an option that is a SHA-256: 64 hex digits, with or without "sha256:" before them.
 */
int verb_sha(ds_sha *out, const char *option, const char *text, ds_err *err);
/* A file of keys, one a line, - for standard input: into text, and each that is not empty to fn,
 * lent from there. A byte order mark at its beginning is no part of a key. */
int verb_key_file(ds_buf *text, const char *file,
                  int (*fn)(void *ctx, const char *key, size_t len, ds_err *err), void *ctx,
                  ds_err *err);
/* A line of JSON about a name of a dataset's version. what: "branch" or "tag". */
void verb_json_named(const char *what, const char *dataset, size_t len, const char *name,
                     const ds_version *v);

#endif
