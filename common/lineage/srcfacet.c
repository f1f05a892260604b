/* srcfacet.c - see srcfacet.h. */
#include "srcfacet.h"

#include "hash.h"

void ds_srcfacet_fini(ds_srcfacet *s)
{
    ds_buf_fini(&s->ranges);
    ds_buf_fini(&s->first);
    ds_buf_fini(&s->names);
    ds_buf_fini(&s->ends);
    *s = (ds_srcfacet){0};
}

int ds_srcfacet_block(ds_srcfacet *s, const uint8_t *p, size_t len, uint64_t rows, ds_err *err)
{
    size_t pos = 0;
    uint64_t n;

    if (!ds_varint_get(p, len, &pos, &n) || n != rows)
        return ds_fail(err, DS_CORRUPT, "origins: wrong number of rows");
    for (uint64_t i = 0; i < rows; i++) {
        uint64_t source = UINT64_MAX;
        const int rc = ds_origin_get(p, len, &pos, &s->state, &s->ranges, err);
        if (rc)
            return rc;
        if (s->ranges.len)
            source = ((const ds_range *)(const void *)s->ranges.data)->source;
        if (ds_buf_put(&s->first, &source, sizeof source))
            return ds_fail_nomem(err);
    }
    return 0;
}

int ds_srcfacet_source(ds_srcfacet *s, const ds_source *x, ds_err *err)
{
    uint64_t end;

    if (ds_buf_put(&s->names, x->name, x->len))
        return ds_fail_nomem(err);
    end = s->names.len;
    return ds_buf_put(&s->ends, &end, sizeof end) ? ds_fail_nomem(err) : 0;
}

/* A name that is too long stands for the folder in it that is not. */
static size_t named_length(const char *name, size_t len)
{
    size_t n = DS_FACET_LENGTH;

    if (len <= DS_FACET_LENGTH)
        return len;
    while (n > 0 && name[n - 1] != '/')
        n--;
    return n ? n : len;
}

static int add_value(const ds_srcfacet *s, ds_facet *f, uint64_t source, ds_err *err)
{
    const uint64_t *ends = (const uint64_t *)(const void *)s->ends.data;
    ds_value x = {.null = source >= s->ends.len / sizeof *ends};

    if (!x.null) {
        const uint64_t from = source ? ends[source - 1] : 0;
        x.p = s->names.data + from;
        x.len = named_length((const char *)x.p, (size_t)(ends[source] - from));
    }
    return ds_facet_add(f, DS_UTF8, &x, err);
}

int ds_srcfacet_end(ds_srcfacet *s, ds_facet *f, ds_err *err)
{
    const uint64_t *first = (const uint64_t *)(const void *)s->first.data;
    int rc = 0;

    for (size_t i = 0; !rc && i < s->first.len / sizeof *first; i++)
        rc = add_value(s, f, first[i], err);
    ds_srcfacet_fini(s);
    return rc;
}
