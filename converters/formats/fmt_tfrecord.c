/* fmt_tfrecord.c - TFRecord files of tf.train.Example, written. Reading is tfread.c's.
 *
 *   record  := u64 length, u32 masked CRC-32C of it, data, u32 masked CRC-32C of the data
 *   Example := 1: Features;  Features := 1: repeated { 1: name, 2: Feature }
 *   Feature := 1: { 1: repeated bytes } | 2: { 1: packed float } | 3: { 1: packed int64 }
 *
 * A column without a value is a feature that is not there. Texts, bytes and JSON are bytes; whole
 * numbers, truths, times and tokens int64; real numbers float, which has 32 bits; runs int64,
 * length and value in turn; a tensor its data as bytes, with NAME/shape and NAME/dtype beside it.
 */
#include <stdlib.h>
#include <string.h>

#include "crc32c.h"
#include "fmtout.h"
#include "tfread.h"

typedef struct writer {
    ds_fmtout out; /* first: ds_fmtwriter_put */
    ds_fmtwrite o;
    size_t *lost; /* by column: number of the loss and 1 */
} writer;

static int begin(void **out, const ds_fmtwrite *o, const ds_schema *s, ds_fmtloss *l, ds_err *err)
{
    writer *w = *out = calloc(1, sizeof *w);
    int rc = 0;
    if (!w || !(w->lost = calloc(s->n + 1, sizeof *w->lost)))
        return ds_fail_nomem(err);
    w->o = *o;
    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        const ds_column *c = &s->cols[i];
        if ((c->type == DS_LIST ? c->item : c->type) != DS_F64)
            continue;
        rc = ds_fmtloss_count(l, &w->lost[i], c->name, "numbers are rounded to 32 bits", err);
        w->lost[i]++;
    }
    return rc;
}

static int open_out(void *v, ds_err *err)
{
    writer *w = v;
    w->out.ext = ".tfrecord";
    w->out.shard_size = w->o.shard_size;
    return ds_fmtout_open(&w->out, w->o.path, w->o.shards, false, err);
}

/* ---- features ---- */

enum { BYTES = 1, FLOATS = 2, INTS = 3 };

/* A list: what was made for it lies in b->scratch; of bytes, one value may follow from elsewhere.
 */
typedef struct feature {
    const char *name, *suffix;
    int kind;
    size_t at, made;
    const uint8_t *p;
    size_t len;
} feature;

typedef struct example {
    feature v[3 * 256];
    size_t n;
} example;

static size_t varint_size(uint64_t v)
{
    size_t n = 1;
    for (; v > 127; v >>= 7)
        n++;
    return n;
}

/* A feature whose list will be what is put to b->scratch from now on. */
static feature *feature_new(example *e, ds_fmtblock *b, const char *name, const char *suffix,
                            int kind)
{
    feature *f = &e->v[e->n++];
    *f = (feature){.name = name, .suffix = suffix, .kind = kind, .at = b->scratch.len};
    return f;
}

static int one_bytes(feature *f, ds_fmtblock *b, const uint8_t *p, size_t len, ds_err *err)
{
    f->p = p;
    f->len = len;
    if (ds_buf_putc(&b->scratch, 0x0a) || ds_buf_varint(&b->scratch, len))
        return ds_fail_nomem(err);
    f->made = b->scratch.len - f->at;
    return 0;
}

/* Bytes that were put to b->row.out, into the scratch. */
static int text_bytes(feature *f, ds_fmtblock *b, const void *p, size_t len, ds_err *err)
{
    int rc = one_bytes(f, b, NULL, 0, err);
    b->scratch.len = f->at;
    if (rc == 0 && (ds_buf_putc(&b->scratch, 0x0a) || ds_buf_varint(&b->scratch, len) ||
                    ds_buf_put(&b->scratch, p, len)))
        rc = ds_fail_nomem(err);
    f->made = b->scratch.len - f->at;
    return rc;
}

/* Puts the head of a packed list before the numbers that were put since f->at. */
static int pack(feature *f, ds_fmtblock *b, ds_err *err)
{
    ds_buf *s = &b->scratch;
    const size_t len = s->len - f->at, head = 1 + varint_size(len);
    f->made = len ? len + head : 0;
    if (!len)
        return 0;
    if (ds_buf_reserve(s, head))
        return ds_fail_nomem(err);
    memmove(s->data + f->at + head, s->data + f->at, len);
    s->len = f->at;
    if (ds_buf_putc(s, 0x0a) || ds_buf_varint(s, len))
        return ds_fail_nomem(err);
    s->len += len;
    return 0;
}

static bool put_float(ds_buf *s, double d, bool *rounded)
{
    const float f = (float)d;
    uint32_t u;
    memcpy(&u, &f, 4);
    *rounded |= (double)f != d && d == d;
    return ds_buf_u32(s, u) != 0;
}

static int list_feature(feature *f, ds_fmtblock *b, size_t i, bool *rounded, ds_err *err)
{
    const ds_column *c = &b->schema->cols[i];
    ds_items it;
    ds_value x;
    bool bad = false;
    if (c->item == DS_TOKENS16 || c->item == DS_TOKENS32) {
        f->kind = BYTES;
        int rc = ds_fmtblock_json(b, i, err);
        return rc ? rc : text_bytes(f, b, b->row.out.data, b->row.out.len, err);
    }
    ds_value_items(&it, &b->row.views[i], &b->row.values[i]);
    while (!bad && ds_items_next(&it, &x)) {
        if (f->kind == BYTES)
            bad = ds_buf_putc(&b->scratch, 0x0a) || ds_buf_varint(&b->scratch, x.len) ||
                  ds_buf_put(&b->scratch, x.p, x.len);
        else
            bad = f->kind == FLOATS ? put_float(&b->scratch, x.f, rounded)
                                    : ds_buf_varint(&b->scratch, (uint64_t)x.i);
    }
    f->made = b->scratch.len - f->at;
    if (bad)
        return ds_fail_nomem(err);
    return f->kind == BYTES ? 0 : pack(f, b, err);
}

static int numbers(feature *f, ds_fmtblock *b, size_t i, bool *rounded, ds_err *err)
{
    const ds_value *x = &b->row.values[i];
    const ds_colview *v = &b->row.views[i];
    bool bad = false;
    size_t pos = 0;
    if (f->kind == FLOATS)
        bad = put_float(&b->scratch, x->f, rounded);
    else if (v->type == DS_TOKENS16 || v->type == DS_TOKENS32)
        for (uint64_t k = 0; !bad && k < x->count; k++)
            bad = ds_buf_varint(&b->scratch, ds_value_token(v, x, k));
    else if (v->type == DS_RUNS)
        for (uint64_t k = 0, u = 0; !bad && k < 2 * x->count; k++)
            bad = !ds_varint_get(x->p, x->len, &pos, &u) || ds_buf_varint(&b->scratch, u);
    else
        bad = ds_buf_varint(&b->scratch, (uint64_t)x->i);
    return bad ? ds_fail_nomem(err) : pack(f, b, err);
}

static int tensor(example *e, ds_fmtblock *b, size_t i, ds_err *err)
{
    const char *name = b->schema->cols[i].name;
    const ds_value *x = &b->row.values[i];
    const char *dtype = ds_dtype_name(x->dtype);
    feature *f = feature_new(e, b, name, "", BYTES);
    int rc = one_bytes(f, b, x->p, x->len, err);
    if (rc == 0)
        rc = text_bytes(feature_new(e, b, name, "/dtype", BYTES), b, dtype, strlen(dtype), err);
    if (rc)
        return rc;
    f = feature_new(e, b, name, "/shape", INTS);
    for (int k = 0; k < x->ndim; k++)
        if (ds_buf_varint(&b->scratch, x->dims[k]))
            return ds_fail_nomem(err);
    return pack(f, b, err);
}

static int column(example *e, const writer *w, ds_fmtblock *b, size_t i, ds_err *err)
{
    const ds_column *c = &b->schema->cols[i];
    const ds_value *x = &b->row.values[i];
    const enum ds_type t = c->type == DS_LIST ? c->item : c->type;
    const bool bytes = t == DS_UTF8 || t == DS_BYTES || t == DS_JSON;
    bool rounded = false;
    int rc;
    if (x->null)
        return 0;
    if (c->type == DS_TENSOR)
        return tensor(e, b, i, err);
    feature *f = feature_new(e, b, c->name, "", bytes ? BYTES : t == DS_F64 ? FLOATS : INTS);
    if (c->type == DS_LIST)
        rc = list_feature(f, b, i, &rounded, err);
    else
        rc = bytes ? one_bytes(f, b, x->p, x->len, err) : numbers(f, b, i, &rounded, err);
    if (rounded)
        b->lost[w->lost[i] - 1]++;
    return rc;
}

/* ---- the record ---- */

static size_t name_len(const feature *f)
{
    return strlen(f->name) + strlen(f->suffix);
}

static uint64_t feature_size(const feature *f)
{
    const uint64_t list = (uint64_t)f->made + f->len;
    return 1 + varint_size(list) + list;
}

static uint64_t entry_size(const feature *f)
{
    const uint64_t body = feature_size(f);
    return 1 + varint_size(name_len(f)) + name_len(f) + 1 + varint_size(body) + body;
}

/* Bytes of the record, with the checksum over them. */
typedef struct tally {
    ds_fmtblock *b;
    uint32_t crc;
    ds_err *err;
} tally;

static int put_part(tally *t, const void *p, size_t len)
{
    t->crc = ds_crc32c(t->crc, p, len);
    return ds_fmtblock_put(t->b, p, len, t->err);
}

static int put_tag(tally *t, uint8_t tag, uint64_t len)
{
    uint8_t head[11] = {tag};
    size_t n = 1;
    for (; len > 127; len >>= 7)
        head[n++] = (uint8_t)(len | 128);
    head[n++] = (uint8_t)len;
    return put_part(t, head, n);
}

static int put_feature(tally *t, const feature *f)
{
    int rc = put_tag(t, 0x0a, entry_size(f));
    rc = rc ? rc : put_tag(t, 0x0a, name_len(f));
    rc = rc ? rc : put_part(t, f->name, strlen(f->name));
    rc = rc ? rc : put_part(t, f->suffix, strlen(f->suffix));
    rc = rc ? rc : put_tag(t, 0x12, feature_size(f));
    rc = rc ? rc : put_tag(t, (uint8_t)(f->kind << 3 | 2), (uint64_t)f->made + f->len);
    rc = rc ? rc : put_part(t, t->b->scratch.data + f->at, f->made);
    return rc ? rc : put_part(t, f->p, f->len);
}

static int row(const void *v, ds_fmtblock *b, ds_err *err)
{
    example e;
    uint8_t head[12];
    uint64_t features = 0;
    tally t = {.b = b, .err = err};
    int rc = 0;
    e.n = 0;
    ds_buf_reset(&b->scratch);
    if (ds_buf_reserve(&b->scratch, 1)) /* it lies somewhere */
        return ds_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < b->schema->n; i++)
        rc = column(&e, v, b, i, err);
    for (size_t i = 0; i < e.n; i++)
        features += 1 + varint_size(entry_size(&e.v[i])) + entry_size(&e.v[i]);
    ds_set_u64(head, 1 + varint_size(features) + features);
    ds_set_u32(head + 8, ds_crc32c_mask(ds_crc32c(0, head, 8)));
    if (rc == 0)
        rc = ds_fmtblock_put(b, head, sizeof head, err);
    if (rc == 0)
        rc = put_tag(&t, 0x0a, features);
    for (size_t i = 0; rc == 0 && i < e.n; i++)
        rc = put_feature(&t, &e.v[i]);
    return rc ? rc : ds_fmtblock_u32(b, ds_crc32c_mask(t.crc), err);
}

static void free_writer(void *v)
{
    writer *w = v;
    if (!w)
        return;
    ds_fmtout_abort(&w->out);
    free(w->lost);
    free(w);
}

extern const ds_format ds_format_tfrecord;
const ds_format ds_format_tfrecord = {
    .name = "tfrecord",
    .summary = "TFRecord files of tf.train.Example",
    .ext = ".tfrecord",
    .flags = DS_FORMAT_PIPE | DS_FORMAT_SHARDS,
    .begin = begin,
    .open = open_out,
    .row = row,
    .put = ds_fmtwriter_put,
    .finish = ds_fmtwriter_finish,
    .free = free_writer,
    .read_open = ds_tfread_open,
    .schema = ds_tfread_schema,
    .read = ds_tfread_read,
    .close = ds_tfread_close,
};
