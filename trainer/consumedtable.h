/* consumedtable.h - what a checkpoint's lineage tells of the data of its last steps, as rows of an
 * HTML table. */
#ifndef DS_CONSUMEDTABLE_H
#define DS_CONSUMEDTABLE_H

#include "lineage.h"

extern const char ds_consumed_table_head[]; /* with <table> and the heads of its columns */

/* A row for each data set; nothing where the lineage does not tell. */
int ds_consumed_table_rows(ds_buf *h, const ds_lineage *l, ds_err *err);

#endif
