/* hivepath.h - columns that stand in the names of folders, dt=2026-01-01/country=DE/part-0.parquet,
 * as Hive, Spark and DuckDB lay tables out: of a file's name, the parts before the last that are
 * NAME=VALUE. Values are text; %XX is a byte, __HIVE_DEFAULT_PARTITION__ no value. A zeroed object
 * is valid. One thread.
 */
#ifndef DS_HIVEPATH_H
#define DS_HIVEPATH_H

#include "buf.h"
#include "error.h"

typedef struct ds_hivepart {
    char *name;
    ds_buf value;
    bool null;
} ds_hivepart;

typedef struct ds_hivepath {
    ds_hivepart *v;
    size_t n, cap;
} ds_hivepath;

/* Has the name such a part? *len is that part's, *at where it begins. */
bool ds_hivepath_first(const char *name, size_t *at, size_t *len);
/* Its parts, in place of what was there. DS_FAIL: a name or value is not UTF-8, or a name is there
 * twice. */
int ds_hivepath_of(ds_hivepath *h, const char *name, ds_err *err);
void ds_hivepath_fini(ds_hivepath *h);

#endif
