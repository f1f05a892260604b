/* fmt_arrow.c - Apache Arrow's files and streams (IPC), read: what `datasets` keeps on a disk, and
 * Feather of version 2. Whoever reads them reads Parquet, too, which is written (fmt_parquet.c).
 */
#include "ipcread.h"

extern const ds_format ds_format_arrow;
const ds_format ds_format_arrow = {
    .name = "arrow",
    .summary = "Apache Arrow files and streams, Feather; import only",
    .ext = ".arrow",
    .flags = DS_FORMAT_PIPE | DS_FORMAT_COLUMNS | DS_FORMAT_LAKE,
    .read_open = ds_ipcread_open,
    .schema = ds_ipcread_schema,
    .read = ds_ipcread_read,
    .close = ds_ipcread_close,
};
