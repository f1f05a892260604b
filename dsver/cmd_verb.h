/* cmd_verb.h - what the commands of dsver share: options, and numbers for people and for machines.
 */
#ifndef DS_CMD_VERB_H
#define DS_CMD_VERB_H

#include <stdio.h>

#include "opt.h"
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
#define VERB_END                                                                                   \
    {                                                                                              \
        .name = NULL                                                                               \
    }

int verb_threads(int64_t asked);                  /* 0: as many as there are processors */
const char *verb_bytes(char out[32], uint64_t n); /* "3.1 MB" */
void verb_json(FILE *f, const char *s);           /* a JSON string */
void verb_text(FILE *f, const void *p, size_t n); /* for a terminal: control bytes become '?' */
void verb_json_buf(FILE *f, const void *p, size_t n);

#endif
