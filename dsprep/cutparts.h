/* cutparts.h - dsprep dedup --parts: lines, paragraphs or runs of words that stood in the stream
 * before are cut out of the texts. */
#ifndef DS_CUTPARTS_H
#define DS_CUTPARTS_H

#include "cmd_transform.h"

typedef struct ds_cutopts {
    const ds_rowopts *row;
    const ds_opt_list *against;
    const char *column, *parts; /* line, paragraph, words=N */
    int64_t memory, chars;
    bool near, mark;
} ds_cutopts;

int ds_cutparts_run(const ds_cutopts *o, char **operands, int n, ds_err *err);

#endif
