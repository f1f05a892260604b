/* cmd_main.c - dsprep: one line for each command. */
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

int main(int argc, char **argv)
{
    return ds_program_main("dsprep",
                           "files into streams of typed records, and what is done to them",
                           commands, argc, argv);
}
