/* thrift.c - see thrift.h. */
#include "thrift.h"

#include <limits.h>

enum { DEPTH_MAX = 64 };

/* ---- reading ---- */

static uint8_t byte(ds_thrift *t)
{
    if (t->bad || t->at >= t->len) {
        t->bad = true;
        return 0;
    }
    return t->p[t->at++];
}

static uint64_t varint(ds_thrift *t)
{
    uint64_t v = 0;

    t->bad = t->bad || !ds_varint_get_any(t->p, t->len, &t->at, &v);
    return t->bad ? 0 : v;
}

bool ds_thrift_field(ds_thrift *t, ds_thrift_at *f)
{
    const uint8_t head = byte(t);

    if (t->bad || head == 0)
        return false;
    f->type = head & 15;
    if (head >> 4) {
        f->id += head >> 4;
    } else {
        const int64_t id = ds_unzigzag(varint(t));
        t->bad |= id < INT16_MIN || id > INT16_MAX;
        f->id = (int)(t->bad ? 0 : id);
    }
    return !t->bad;
}

int64_t ds_thrift_int(ds_thrift *t, int type)
{
    if (type == DS_THRIFT_BYTE)
        return (int8_t)byte(t);
    if (type < DS_THRIFT_I16 || type > DS_THRIFT_I64) {
        t->bad = true;
        return 0;
    }
    return ds_unzigzag(varint(t));
}

bool ds_thrift_bool(ds_thrift *t, int type)
{
    t->bad |= type != DS_THRIFT_TRUE && type != DS_THRIFT_FALSE;
    return type == DS_THRIFT_TRUE;
}

size_t ds_thrift_binary(ds_thrift *t, int type, const uint8_t **p)
{
    const uint64_t n = type == DS_THRIFT_BINARY ? varint(t) : UINT64_MAX;

    *p = t->p + t->at;
    if (t->bad || n > t->len - t->at) {
        t->bad = true;
        return 0;
    }
    t->at += (size_t)n;
    return (size_t)n;
}

size_t ds_thrift_list(ds_thrift *t, int type, int *item)
{
    uint64_t n = 0;

    *item = 0;
    if (type != DS_THRIFT_LIST && type != DS_THRIFT_SET) {
        t->bad = true;
        return 0;
    }
    const uint8_t head = byte(t);
    *item = head & 15;
    n = head >> 4 == 15 ? varint(t) : head >> 4;
    t->bad |= n > t->len - t->at;
    return t->bad ? 0 : (size_t)n;
}

static void skip(ds_thrift *t, int type, bool item, int depth);

static void skip_items(ds_thrift *t, int type, int depth)
{
    int item;

    for (size_t n = ds_thrift_list(t, type, &item); n && !t->bad; n--)
        skip(t, item, true, depth);
}

static void skip_map(ds_thrift *t, int depth)
{
    const uint64_t n = varint(t);
    const uint8_t kinds = n ? byte(t) : 0;

    t->bad |= n > t->len - t->at;
    for (uint64_t i = 0; i < n && !t->bad; i++) {
        skip(t, kinds >> 4, true, depth);
        skip(t, kinds & 15, true, depth);
    }
}

/* A truth value is in the head of a field, and a byte as an item. */
static void skip(ds_thrift *t, int type, bool item, int depth)
{
    const uint8_t *p;
    ds_thrift_at f;

    t->bad |= depth > DEPTH_MAX;
    switch (t->bad ? 0 : type) {
    case DS_THRIFT_TRUE:
    case DS_THRIFT_FALSE:
        if (item)
            byte(t);
        break;
    case DS_THRIFT_BYTE:
        byte(t);
        break;
    case DS_THRIFT_I16:
    case DS_THRIFT_I32:
    case DS_THRIFT_I64:
        varint(t);
        break;
    case DS_THRIFT_DOUBLE:
        t->bad |= t->len - t->at < 8;
        t->at += t->bad ? 0 : 8;
        break;
    case DS_THRIFT_BINARY:
        ds_thrift_binary(t, type, &p);
        break;
    case DS_THRIFT_LIST:
    case DS_THRIFT_SET:
        skip_items(t, type, depth + 1);
        break;
    case DS_THRIFT_MAP:
        skip_map(t, depth + 1);
        break;
    case DS_THRIFT_STRUCT:
        for (ds_thrift_begin(t, &f); ds_thrift_field(t, &f);)
            skip(t, f.type, false, depth + 1);
        break;
    default:
        t->bad = true;
    }
}

void ds_thrift_skip(ds_thrift *t, int type)
{
    skip(t, type, false, 0);
}

/* ---- writing ---- */

static void put_head(ds_thriftout *t, int id, int type)
{
    const int step = id - t->last;

    if (step > 0 && step < 16)
        t->failed |= ds_buf_putc(&t->b, (uint8_t)(step << 4 | type)) != 0;
    else
        t->failed |= ds_buf_putc(&t->b, (uint8_t)type) || ds_buf_varint(&t->b, ds_zigzag(id));
    t->last = id;
}

void ds_thrift_put_int(ds_thriftout *t, int id, int type, int64_t v)
{
    put_head(t, id, type);
    ds_thrift_put_item_int(t, v);
}

void ds_thrift_put_bool(ds_thriftout *t, int id, bool v)
{
    put_head(t, id, v ? DS_THRIFT_TRUE : DS_THRIFT_FALSE);
}

void ds_thrift_put_binary(ds_thriftout *t, int id, const void *p, size_t len)
{
    put_head(t, id, DS_THRIFT_BINARY);
    ds_thrift_put_item_binary(t, p, len);
}

int ds_thrift_put_open(ds_thriftout *t, int id)
{
    if (id)
        put_head(t, id, DS_THRIFT_STRUCT);
    const int before = t->last;
    t->last = 0;
    return before;
}

void ds_thrift_put_end(ds_thriftout *t, int before)
{
    t->failed |= ds_buf_putc(&t->b, 0) != 0;
    t->last = before;
}

void ds_thrift_put_list(ds_thriftout *t, int id, int item, size_t n)
{
    put_head(t, id, DS_THRIFT_LIST);
    if (n < 15)
        t->failed |= ds_buf_putc(&t->b, (uint8_t)(n << 4 | (unsigned)item)) != 0;
    else
        t->failed |= ds_buf_putc(&t->b, (uint8_t)(0xf0 | item)) || ds_buf_varint(&t->b, n);
}

void ds_thrift_put_item_int(ds_thriftout *t, int64_t v)
{
    t->failed |= ds_buf_varint(&t->b, ds_zigzag(v)) != 0;
}

void ds_thrift_put_item_binary(ds_thriftout *t, const void *p, size_t len)
{
    t->failed |= ds_buf_varint(&t->b, len) || ds_buf_put(&t->b, p, len);
}
