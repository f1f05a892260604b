/* opt.h - one table describes a command: parser, --help, manual page and completion come from it.
 *
 * GNU conventions: long options, --no-x for flags that say so, -abc bundling, --opt=value, `--`,
 * options after operands, "did you mean". -h/--help prints help on stdout (80 columns, an example
 * first), --man a man(7) page, both exit 0. A command without needed operands prints the short
 * usage on stderr and exits 2.
 */
#ifndef DS_OPT_H
#define DS_OPT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "error.h"

enum ds_opt_type {
    DS_OPT_FLAG,   /* bool *        */
    DS_OPT_STR,    /* const char ** */
    DS_OPT_INT,    /* int64_t *, range [min, max] */
    DS_OPT_SIZE,   /* int64_t * bytes: 64K, 4M, 1G (powers of 1024) */
    DS_OPT_TIME,   /* int64_t * seconds: 90, 90s, 30m, 12h, 14d, 2w */
    DS_OPT_REAL,   /* double *      */
    DS_OPT_CHOICE, /* int *: index into `choices`, a NULL-terminated list */
    DS_OPT_LIST,   /* ds_opt_list *: may be given repeatedly */
    DS_OPT_GROUP   /* no option: `name` stands above those that follow, in help and manual */
};

typedef struct ds_opt_list {
    const char **v;
    size_t n, cap;
} ds_opt_list;

typedef struct ds_opt {
    char letter;      /* 0 = none */
    const char *name; /* without the dashes; NULL ends the table */
    enum ds_opt_type type;
    void *var;
    const char *arg;  /* name of the value in help; NULL for flags */
    const char *help; /* one sentence, lower case, no full stop */
    int64_t min, max; /* INT, SIZE, TIME: both 0 = no limit */
    const char *const *choices;
    bool negatable; /* FLAG: --no-NAME exists */
    bool aside;     /* FLAG json: of standard error, as standard output is for records */
} ds_opt;

typedef struct ds_command {
    const char *prog;                  /* "dsprep" */
    const char *name;                  /* "text" */
    const char *summary;               /* one line */
    const char *operands;              /* "[FILE...]" */
    int min_operands, max_operands;    /* max -1 = any */
    const char *example;               /* one or more whole shell lines, separated by \n */
    const char *description;           /* paragraphs separated by a blank line */
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns the exit status */
} ds_command;

/* Rows of an option table, which OPT_END ends: OPT_KIND(letter or 0, name, the variable, name of
 * its value, ..., help). A variable of another type than its kind has does not compile. */
#define OPT_AT(t, v) _Generic(&(v), t * : &(v))
#define OPT_FLAG(l, n, v, h)                                                                       \
    {                                                                                              \
        .letter = l, .name = n, .type = DS_OPT_FLAG, .var = OPT_AT(bool, v), .help = h             \
    }
#define OPT_SWITCH(l, n, v, h) /* --n and --no-n */                                                \
    {                                                                                              \
        .letter = l, .name = n, .type = DS_OPT_FLAG, .var = OPT_AT(bool, v), .help = h,            \
        .negatable = true                                                                          \
    }
#define OPT_JSON_ASIDE(v, h) /* --json of a command that writes records */                         \
    {                                                                                              \
        .name = "json", .type = DS_OPT_FLAG, .var = OPT_AT(bool, v), .help = h, .aside = true      \
    }
#define OPT_VALUE(l, n, k, t, v, a, h)                                                             \
    {                                                                                              \
        .letter = l, .name = n, .type = k, .var = OPT_AT(t, v), .arg = a, .help = h                \
    }
#define OPT_RANGE(l, n, k, v, a, from, to, h)                                                      \
    {                                                                                              \
        .letter = l, .name = n, .type = k, .var = OPT_AT(int64_t, v), .arg = a, .min = from,       \
        .max = to, .help = h                                                                       \
    }
#define OPT_STR(l, n, v, a, h) OPT_VALUE(l, n, DS_OPT_STR, const char *, v, a, h)
#define OPT_INT(l, n, v, a, from, to, h) OPT_RANGE(l, n, DS_OPT_INT, v, a, from, to, h)
#define OPT_SIZE(l, n, v, a, h) OPT_VALUE(l, n, DS_OPT_SIZE, int64_t, v, a, h)
#define OPT_SIZE_IN(l, n, v, a, from, to, h) OPT_RANGE(l, n, DS_OPT_SIZE, v, a, from, to, h)
#define OPT_TIME(l, n, v, a, h) OPT_VALUE(l, n, DS_OPT_TIME, int64_t, v, a, h)
#define OPT_TIME_IN(l, n, v, a, from, to, h) OPT_RANGE(l, n, DS_OPT_TIME, v, a, from, to, h)
#define OPT_REAL(l, n, v, a, h) OPT_VALUE(l, n, DS_OPT_REAL, double, v, a, h)
#define OPT_LIST(l, n, v, a, h) OPT_VALUE(l, n, DS_OPT_LIST, ds_opt_list, v, a, h)
#define OPT_CHOICE(l, n, v, a, words, h)                                                           \
    {                                                                                              \
        .letter = l, .name = n, .type = DS_OPT_CHOICE, .var = OPT_AT(int, v), .arg = a,            \
        .choices = words, .help = h                                                                \
    }
#define OPT_HEADING(text) /* begins a group */                                                     \
    {                                                                                              \
        .name = text, .type = DS_OPT_GROUP                                                         \
    }
#define OPT_END                                                                                    \
    {                                                                                              \
        .name = NULL                                                                               \
    }

/* Parses argv[1..argc). On success returns 0 with *operands pointing into argv (permuted) and *n
 * set. When it returns 1 the help or manual was printed: exit 0. On error: DS_USAGE with a message.
 */
int ds_opt_parse(const ds_command *cmd, const ds_opt *opts, int argc, char **argv, char ***operands,
                 int *n, ds_err *err);
void ds_opt_list_fini(ds_opt_list *l);

/* The whole of a command's start: parses, prints help or the usage error. Returns -1 to go on, or
 * the exit status. */
int ds_opt_begin(const ds_command *cmd, const ds_opt *opts, int argc, char **argv, char ***operands,
                 int *n);

/* main() of a program made of commands: `prog -h`, `prog --version`, `prog --completion bash|zsh`,
 * `prog CMD ...`. `commands` ends with NULL. Sets SIGPIPE to default, checks that stdout
 * was written. */
int ds_program_main(const char *prog, const char *summary, const ds_command *const *commands,
                    int argc, char **argv);

/* main() of a program that is one command of another: `dsprep-dicom ARGS` is `dsprep dicom ARGS`.
 */
int ds_program_single(const ds_command *cmd, int argc, char **argv);

/* Ends a command: prints "prog name: message" when err is set (as a JSON line
 * {"type":"exit","code":N,"error":...} on stdout too when json), and returns the exit status. */
int ds_command_end(const ds_command *cmd, const ds_err *err, bool json);
/* The same where standard output is for records: that JSON line alone, on standard error. */
int ds_command_end_aside(const ds_err *err);

#endif
