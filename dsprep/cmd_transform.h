/* cmd_transform.h - what the commands over records share. */
#ifndef DS_CMD_TRANSFORM_H
#define DS_CMD_TRANSFORM_H

#include "rowstage.h"

/* The accounts of a run on standard error, unless -q was given. */
void ds_transform_say(const ds_rowresult *r, const ds_rowplan *p);

#endif
