/* sourcelater.c - see sourcelater.h. */
#include "sourcelater.h"

#include <string.h>

int ds_sourcelater_put(ds_sourcelater *s, const ds_source *src, ds_err *err)
{
    return ds_buf_u64(&s->bytes, src->len) || ds_buf_u64(&s->bytes, src->size) ||
                   ds_buf_put(&s->bytes, src->sha.b, sizeof src->sha) ||
                   ds_buf_put(&s->bytes, src->name, src->len)
               ? ds_fail_nomem(err)
               : 0;
}

bool ds_sourcelater_next(const ds_sourcelater *s, size_t *at, ds_source *out)
{
    if (*at >= s->bytes.len)
        return false;
    const uint8_t *p = s->bytes.data + *at;
    *out = (ds_source){.len = (size_t)ds_get_u64(p), .size = ds_get_u64(p + 8)};
    memcpy(out->sha.b, p + 16, sizeof out->sha);
    out->name = (const char *)p + 16 + sizeof out->sha;
    *at += 16 + sizeof out->sha + out->len;
    return true;
}

int ds_sourcelater_tell(const ds_sourcelater *s, ds_rows *rows, ds_err *err)
{
    ds_source src;
    int rc = 0;
    for (size_t at = 0; rc == 0 && ds_sourcelater_next(s, &at, &src);)
        rc = ds_rows_source(rows, &src, err);
    return rc;
}

void ds_sourcelater_fini(ds_sourcelater *s)
{
    ds_buf_fini(&s->bytes);
}
