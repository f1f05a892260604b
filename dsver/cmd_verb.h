/* cmd_verb.h - what the commands of dsver share: options, and numbers for people and for machines.
 */
#ifndef DS_CMD_VERB_H
#define DS_CMD_VERB_H

#include <stdio.h>

#include "opt.h"
#include "sign.h"
#include "store.h"

#define VERB_STORE(v)                                                                              \
    {                                                                                              \
        .name = "store", .type = DS_OPT_STR, .var = &(v), .arg = "DIR",                            \
        .help = "the store, or the folder that holds it"                                           \
    }
#define VERB_JSON(v)                                                                               \
    {                                                                                              \
        .name = "json", .type = DS_OPT_FLAG, .var = &(v), .help = "print JSON lines"               \
    }
#define VERB_THREADS(v)                                                                            \
    {                                                                                              \
        .letter = 'j', .name = "threads", .type = DS_OPT_INT, .var = &(v), .arg = "N",             \
        .help = "threads; default one for each processor", .min = 1, .max = 1024                   \
    }
#define VERB_MESSAGE(v, what)                                                                      \
    {                                                                                              \
        .letter = 'm', .name = "message", .type = DS_OPT_STR, .var = &(v), .arg = "MSG",           \
        .help = what                                                                               \
    }
#define VERB_AUTHOR(v)                                                                             \
    {                                                                                              \
        .name = "author", .type = DS_OPT_STR, .var = &(v), .arg = "WHO",                           \
        .help = "\"Name <mail>\" (default: git's, else dsver)"                                     \
    }
#define VERB_REASON(v)                                                                             \
    {                                                                                              \
        .name = "reason", .type = DS_OPT_STR, .var = &(v), .arg = "TEXT",                          \
        .help = "why: it stands in the operation log"                                              \
    }
/* -S and --no-sign; v is a verb_signing. */
#define VERB_SIGN(v, letter_)                                                                      \
    {.letter = letter_,                                                                            \
     .name = "sign",                                                                               \
     .type = DS_OPT_FLAG,                                                                          \
     .var = &(v).yes,                                                                              \
     .help = "sign it with git's key (user.signingkey, gpg.format)"},                              \
    {                                                                                              \
        .name = "no-sign", .type = DS_OPT_FLAG, .var = &(v).no,                                    \
        .help = "do not, whatever commit.gpgsign says"                                             \
    }
#define VERB_END                                                                                   \
    {                                                                                              \
        .name = NULL                                                                               \
    }

typedef struct verb_signing {
    bool yes, no;
} verb_signing;
enum ds_signing verb_sign(const verb_signing *v);

int verb_threads(int64_t asked);                  /* 0: as many as there are processors */
const char *verb_bytes(char out[32], uint64_t n); /* "3.1 MB" */
void verb_json(FILE *f, const char *s);           /* a JSON string */
void verb_text(FILE *f, const void *p, size_t n); /* for a terminal: control bytes become '?' */
void verb_json_buf(FILE *f, const void *p, size_t n);

#endif
