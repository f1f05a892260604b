/* flatbuf.c - see flatbuf.h. */
#include "flatbuf.h"

#include "buf.h"

static bool is_in(ds_flat *f, size_t at, size_t n)
{
    if (at <= f->len && n <= f->len - at)
        return true;
    f->bad = true;
    return false;
}

int64_t ds_flat_number(ds_flat *f, size_t at, int width)
{
    uint64_t v = 0;

    if (!is_in(f, at, (size_t)width))
        return 0;
    for (int i = width; i-- > 0;)
        v = v << 8 | f->p[at + (size_t)i];
    const int spare = 64 - 8 * width;
    return (int64_t)(v << spare) >> spare;
}

static uint32_t u32_at(ds_flat *f, size_t at)
{
    return (uint32_t)ds_flat_number(f, at, 4);
}

size_t ds_flat_root(ds_flat *f)
{
    return u32_at(f, 0);
}

/* Where a field lies; 0 where it has its default. */
static size_t field_at(ds_flat *f, size_t table, int field)
{
    const size_t entry = 4 + 2 * (size_t)field;

    if (!table || !is_in(f, table, 4))
        return 0;
    const int64_t vtable = (int64_t)table - ds_flat_number(f, table, 4);
    if (vtable < 0 || !is_in(f, (size_t)vtable, 4)) {
        f->bad = true;
        return 0;
    }
    if (entry + 2 > (uint16_t)ds_flat_number(f, (size_t)vtable, 2))
        return 0;
    const size_t off = (uint16_t)ds_flat_number(f, (size_t)vtable + entry, 2);
    return off ? table + off : 0;
}

int64_t ds_flat_int(ds_flat *f, size_t table, int field, int width, int64_t otherwise)
{
    const size_t at = field_at(f, table, field);

    return at ? ds_flat_number(f, at, width) : otherwise;
}

static size_t follow(ds_flat *f, size_t at)
{
    const size_t to = at ? at + u32_at(f, at) : 0;

    return to && is_in(f, to, 4) ? to : 0;
}

size_t ds_flat_table(ds_flat *f, size_t table, int field)
{
    return follow(f, field_at(f, table, field));
}

ds_flatvec ds_flat_vector(ds_flat *f, size_t table, int field, size_t width)
{
    const size_t at = follow(f, field_at(f, table, field));
    const size_t n = at ? u32_at(f, at) : 0;

    if (!n || !is_in(f, at + 4, n * width))
        return (ds_flatvec){0};
    return (ds_flatvec){at + 4, n};
}

size_t ds_flat_element(ds_flat *f, ds_flatvec v, size_t i)
{
    return follow(f, v.at + 4 * i);
}

const char *ds_flat_text(ds_flat *f, size_t table, int field, size_t *len)
{
    const size_t at = follow(f, field_at(f, table, field));

    *len = at ? u32_at(f, at) : 0;
    if (!at || !is_in(f, at + 4, *len)) {
        *len = 0;
        return at ? "" : NULL;
    }
    return (const char *)f->p + at + 4;
}
