/* dsr_sources.c - see dsr_sources.h. */
#include "dsr_sources.h"

#include <string.h>

#include "utf8.h"

bool ds_source_name_ok(const char *name, size_t len)
{
    return len >= 1 && len <= DS_SOURCE_NAME_MAX && !memchr(name, 0, len) &&
           ds_utf8_check((const uint8_t *)name, len) == len;
}

int ds_source_put(ds_buf *b, const ds_source *s)
{
    size_t before = b->len;
    int rc = ds_buf_varint(b, s->len);
    if (!rc)
        rc = ds_buf_put(b, s->name, s->len);
    if (!rc)
        rc = ds_buf_varint(b, s->size);
    if (!rc)
        rc = ds_buf_put(b, s->sha.b, sizeof s->sha.b);
    if (rc)
        b->len = before;
    return rc;
}

bool ds_source_get(const uint8_t *p, size_t len, size_t *pos, ds_source *s)
{
    uint64_t n;
    if (!ds_varint_get(p, len, pos, &n) || n > len - *pos)
        return false;
    s->name = (const char *)p + *pos;
    s->len = (size_t)n;
    *pos += s->len;
    if (!ds_source_name_ok(s->name, s->len) || !ds_varint_get(p, len, pos, &s->size) ||
        len - *pos < sizeof s->sha.b)
        return false;
    memcpy(s->sha.b, p + *pos, sizeof s->sha.b);
    *pos += sizeof s->sha.b;
    return true;
}
