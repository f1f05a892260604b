/* cmd_transform.h - what the commands over records share. */
#ifndef DS_CMD_TRANSFORM_H
#define DS_CMD_TRANSFORM_H

#include "rowstage.h"

/* At the beginning: signals, and what -q and --json keep from standard error. */
void ds_transform_begin(const ds_rowopts *o);
/* Says an error, and gives the exit status; partial: done, but some input was left out, because it
 * was bad. */
int ds_transform_end(const ds_command *cmd, const ds_rowopts *o, const ds_err *err, bool partial);

/* The accounts of a run on standard error: a sentence, unless -q was given, or with --json a line
 * of JSON, to which `more` (borrowed, may be NULL) adds its members. */
void ds_transform_say(const ds_rowopts *o, const ds_rowresult *r, const ds_rowplan *p,
                      const json_t *more);
/* The same where all records stay. */
void ds_transform_say_all(const ds_rowopts *o, const char *tool, uint64_t records);

#endif
