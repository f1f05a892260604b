/* fuzz_colstat.c - statistics of columns as a cache may give them: what is taken in is written
 * again, and that is taken in and says the same. The first byte of the input is the column's type.
 */
#include <stdlib.h>
#include <string.h>

#include "colstat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok)
{
    if (!ok)
        abort();
}

static void put(ds_buf *out, const ds_colstat *s)
{
    ds_buf_reset(out);
    require(ds_colstat_put(out, s, false) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1)
        return 0;
    const ds_column col = {.type = (enum ds_type)(data[0] % DS_NTYPES),
                           .item = (enum ds_type)(data[0] / DS_NTYPES % DS_TENSOR)};
    ds_colstat s = {0}, t = {0};
    ds_buf once = {0}, twice = {0};
    ds_err err = {0};

    ds_colstat_init(&s, &col);
    ds_colstat_init(&t, &col);
    if (ds_colstat_add(&s, data + 1, len - 1, &err)) {
        require((err.code == DS_CORRUPT || err.code == DS_NOMEM) && *err.msg);
    } else {
        put(&once, &s);
        require(ds_colstat_add(&t, once.data, once.len, &err) == 0);
        put(&twice, &t);
        require(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
        ds_colstat_settle(&t);
        require(ds_colstat_distinct(&t) >= 0);
    }
    ds_buf_fini(&once);
    ds_buf_fini(&twice);
    ds_colstat_fini(&s);
    ds_colstat_fini(&t);
    return 0;
}
