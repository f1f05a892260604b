/* thrift.h - Thrift's compact protocol (Apache Thrift, "Thrift Compact protocol encoding"), in
 * which Parquet's footer and the heads of its pages are written.
 *
 * Reading never leaves (p, len): what is cut short or malformed sets `bad`, after which everything
 * reads as nothing. A structure is read by
 *
 *     for (ds_thrift_begin(t, &f); ds_thrift_field(t, &f);)
 *         switch (f.id) { ...; default: ds_thrift_skip(t, f.type); }
 *
 * Writing appends to a ds_buf, DS_NOMEM being kept in `failed`. One thread.
 */
#ifndef DS_THRIFT_H
#define DS_THRIFT_H

#include "buf.h"

enum ds_thrift_type {
    DS_THRIFT_TRUE = 1,
    DS_THRIFT_FALSE,
    DS_THRIFT_BYTE,
    DS_THRIFT_I16,
    DS_THRIFT_I32,
    DS_THRIFT_I64,
    DS_THRIFT_DOUBLE,
    DS_THRIFT_BINARY,
    DS_THRIFT_LIST,
    DS_THRIFT_SET,
    DS_THRIFT_MAP,
    DS_THRIFT_STRUCT
};

typedef struct ds_thrift {
    const uint8_t *p;
    size_t len, at;
    bool bad;
} ds_thrift;

typedef struct ds_thrift_at {
    int id, type;
} ds_thrift_at;

static inline void ds_thrift_begin(const ds_thrift *t, ds_thrift_at *f)
{
    (void)t;
    *f = (ds_thrift_at){0};
}
bool ds_thrift_field(ds_thrift *t, ds_thrift_at *f); /* false: the structure's end */
/* Values of a field or an item: those of another type than `type` are bad. */
int64_t ds_thrift_int(ds_thrift *t, int type);
bool ds_thrift_bool(ds_thrift *t, int type);
size_t ds_thrift_binary(ds_thrift *t, int type, const uint8_t **p);
/* How many items follow, all of type *item: no more than there are bytes. */
size_t ds_thrift_list(ds_thrift *t, int type, int *item);
void ds_thrift_skip(ds_thrift *t, int type);

typedef struct ds_thriftout {
    ds_buf b;
    int last; /* id of the field before */
    bool failed;
} ds_thriftout;

void ds_thrift_put_int(ds_thriftout *t, int id, int type, int64_t v); /* I16, I32, I64 */
void ds_thrift_put_bool(ds_thriftout *t, int id, bool v);
void ds_thrift_put_binary(ds_thriftout *t, int id, const void *p, size_t len);
/* A structure as a field; _end restores what _open gave. Items of a list have no field: they are
 * opened with id 0. */
int ds_thrift_put_open(ds_thriftout *t, int id);
void ds_thrift_put_end(ds_thriftout *t, int before);
void ds_thrift_put_list(ds_thriftout *t, int id, int item, size_t n);
/* Items of lists. */
void ds_thrift_put_item_int(ds_thriftout *t, int64_t v);
void ds_thrift_put_item_binary(ds_thriftout *t, const void *p, size_t len);

#endif
