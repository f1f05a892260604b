/* opt_help.h - what is written from an option table: help, manual page, completion. Used by opt.c
 * and program.c.
 *
 * Everything goes to the stream given; write errors are found by whoever closes it. Lines have at
 * most 80 columns.
 */
#ifndef DS_OPT_HELP_H
#define DS_OPT_HELP_H

#include "opt.h"

void ds_help_command(FILE *f, const ds_command *cmd, const ds_opt *opts);
void ds_help_usage(FILE *f, const ds_command *cmd); /* the short form: usage and one example */
void ds_help_man(FILE *f, const ds_command *cmd, const ds_opt *opts);
void ds_help_words(FILE *f, const ds_opt *opts); /* option names, one a line, for completion */

/* The same for a whole program; `commands` ends with NULL. */
void ds_help_program(FILE *f, const char *prog, const char *summary,
                     const ds_command *const *commands);
void ds_help_program_man(FILE *f, const char *prog, const char *summary,
                         const ds_command *const *commands);
/* False when the shell is not known. */
bool ds_help_completion(FILE *f, const char *prog, const ds_command *const *commands,
                        const char *shell);

/* Which of n words was meant by `word`: the nearest at an edit distance of at most 2, or NULL. */
const char *ds_help_nearest(const char *word, const char *const *words, size_t n);

#endif
