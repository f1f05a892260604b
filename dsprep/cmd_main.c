/* cmd_main.c - dsprep: one line for each command. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "instream.h"
#include "opt.h"

#define COMMANDS(X)                                                                                \
    X(text)                                                                                        \
    X(logs)                                                                                        \
    X(templates)                                                                                   \
    X(dicom)                                                                                       \
    X(files)                                                                                       \
    X(filter)                                                                                      \
    X(map)                                                                                         \
    X(dedup)                                                                                       \
    X(lang)                                                                                        \
    X(decontaminate)                                                                               \
    X(redact)                                                                                      \
    X(split)                                                                                       \
    X(sample)                                                                                      \
    X(mix)                                                                                         \
    X(sort)                                                                                        \
    X(shuffle)                                                                                     \
    X(export)                                                                                      \
    X(import)                                                                                      \
    X(tokenize)                                                                                    \
    X(cat)                                                                                         \
    X(show)                                                                                        \
    X(head)                                                                                        \
    X(restore)                                                                                     \
    X(check)                                                                                       \
    X(info)

#define DECLARE(name) extern const ds_command ds_cmd_##name;
COMMANDS(DECLARE)

#define ENTRY(name) &ds_cmd_##name,
static const ds_command *const commands[] = {COMMANDS(ENTRY) NULL};

/* What these make of a record depends on no other: of streams that follow each other in a pipe they
 * make as many. The others refuse a second one. */
static const char *const by_record[] = {"filter",   "map", "redact", "lang",
                                        "tokenize", "cat", "check",  NULL};

static bool splits(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && by_record[i]; i++)
        if (strcmp(argv[1], by_record[i]) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    int status, worst = 0;
    char **args = calloc((size_t)argc + 1, sizeof *args); /* parsing moves them about */
    if (!args) {
        fputs("dsprep: out of memory\n", stderr);
        return ds_exit_code(DS_NOMEM);
    }
    if (splits(argc, argv))
        ds_instream_split();
    do {
        memcpy(args, argv, (size_t)argc * sizeof *args);
        status = ds_program_main("dsprep",
                                 "files into streams of typed records, and what is done to them",
                                 commands, argc, args);
        worst = status ? status : worst;
    } while ((status == 0 || status == ds_exit_code(DS_PARTIAL)) && ds_instream_waits());
    free(args);
    return worst;
}
