/* pqpage.c - see pqpage.h. */
#include "pqpage.h"

#include <zlib.h>
#include <zstd.h>

#include "pqcode.h"

enum { DATA_PAGE = 0, GROUP = 8 };

int ds_pqpart_level(ds_pqpart *p, const ds_pqnode *leaf, int rep, int def)
{
    p->n++;
    p->nulls += def < leaf->def;
    if (leaf->rep && ds_buf_putc(&p->reps, (uint8_t)rep))
        return DS_NOMEM;
    return leaf->def ? ds_buf_putc(&p->defs, (uint8_t)def) : 0;
}

void ds_pqpart_range(ds_pqpart *p, int64_t least, int64_t most)
{
    p->least = !p->any || least < p->least ? least : p->least;
    p->most = !p->any || most > p->most ? most : p->most;
    p->any = true;
}

void ds_pqpart_reset(ds_pqpart *p)
{
    ds_buf_reset(&p->reps);
    ds_buf_reset(&p->defs);
    ds_buf_reset(&p->values);
    p->n = p->nulls = 0;
    p->any = false;
}

void ds_pqpart_fini(ds_pqpart *p)
{
    ds_buf_fini(&p->reps);
    ds_buf_fini(&p->defs);
    ds_buf_fini(&p->values);
}

/* ---- levels ---- */

static size_t run_at(const uint8_t *v, size_t n)
{
    size_t i = 1;

    while (i < n && v[i] == v[0])
        i++;
    return i;
}

/* Groups of eight values, `bits` bits each; what the last one lacks is 0. */
static int put_groups(ds_buf *out, const uint8_t *v, size_t n, int bits)
{
    const size_t groups = (n + GROUP - 1) / GROUP;
    int rc = ds_buf_varint(out, (uint64_t)groups << 1 | 1);

    for (size_t g = 0; g < groups && !rc; g++) {
        uint64_t word = 0;
        for (size_t i = 0; i < GROUP && g * GROUP + i < n; i++)
            word |= (uint64_t)v[g * GROUP + i] << (i * (unsigned)bits);
        for (int k = 0; k < bits && !rc; k++)
            rc = ds_buf_putc(out, (uint8_t)(word >> 8 * k));
    }
    return rc;
}

/* With their length before them: runs of eight and more, and between them groups of eight. */
static int put_levels(ds_buf *out, const uint8_t *v, size_t n, int most)
{
    const int bits = ds_pq_bits((uint32_t)most);
    const size_t at = out->len;
    int rc = most ? ds_buf_u32(out, 0) : 0;

    for (size_t i = 0; most && i < n && !rc;) {
        const size_t run = run_at(v + i, n - i);
        size_t end = i;
        if (run >= GROUP || run == n - i) {
            rc = ds_buf_varint(out, (uint64_t)run << 1) || ds_buf_putc(out, v[i]);
            i += run;
            continue;
        }
        do {
            end = n - end < GROUP ? n : end + GROUP;
        } while (end < n && run_at(v + end, n - end) < GROUP);
        rc = put_groups(out, v + i, end - i, bits);
        i = end;
    }
    if (!rc && most)
        ds_set_u32(out->data + at, (uint32_t)(out->len - at - 4));
    return rc ? DS_NOMEM : 0;
}

/* ---- the page ---- */

static int put_truths(ds_buf *out, const ds_buf *values)
{
    uint8_t byte = 0;
    int rc = 0;

    for (size_t i = 0; i < values->len && !rc; i++) {
        byte |= (uint8_t)(values->data[i] << i % 8);
        if (i % 8 == 7 || i + 1 == values->len) {
            rc = ds_buf_putc(out, byte);
            byte = 0;
        }
    }
    return rc;
}

static int put_body(ds_buf *out, const ds_pqpart *p, const ds_pqnode *leaf)
{
    int rc = put_levels(out, p->reps.data, p->reps.len, leaf->rep);

    rc = rc ? rc : put_levels(out, p->defs.data, p->defs.len, leaf->def);
    if (rc)
        return rc;
    return leaf->type == DS_PQ_BOOLEAN ? put_truths(out, &p->values)
                                       : ds_buf_put(out, p->values.data, p->values.len);
}

static int pack(ds_buf *out, const ds_buf *body, int level)
{
    const size_t room = ZSTD_compressBound(body->len);

    if (ds_buf_reserve(out, room))
        return DS_NOMEM;
    const size_t n = ZSTD_compress(out->data, room, body->data, body->len, level);
    out->len = ZSTD_isError(n) ? 0 : n;
    return ZSTD_isError(n) ? DS_NOMEM : 0;
}

/* PageHeader */
static void put_head(ds_thriftout *t, const ds_pqpart *p, size_t size, const ds_buf *body)
{
    const uint32_t crc = (uint32_t)crc32_z(0, body->data, body->len);

    ds_thrift_put_int(t, 1, DS_THRIFT_I32, DATA_PAGE);
    ds_thrift_put_int(t, 2, DS_THRIFT_I32, (int64_t)size);
    ds_thrift_put_int(t, 3, DS_THRIFT_I32, (int64_t)body->len);
    ds_thrift_put_int(t, 4, DS_THRIFT_I32, (int32_t)crc);
    const int before = ds_thrift_put_open(t, 5);
    ds_thrift_put_int(t, 1, DS_THRIFT_I32, (int64_t)p->n);
    ds_thrift_put_int(t, 2, DS_THRIFT_I32, DS_PQ_ENC_PLAIN);
    ds_thrift_put_int(t, 3, DS_THRIFT_I32, DS_PQ_ENC_RLE);
    ds_thrift_put_int(t, 4, DS_THRIFT_I32, DS_PQ_ENC_RLE);
    ds_thrift_put_end(t, before);
    ds_thrift_put_end(t, 0);
}

int ds_pqpage_put(ds_buf *out, const ds_pqpart *p, const ds_pqnode *leaf, int level, uint64_t *raw,
                  ds_err *err)
{
    ds_buf body = {0}, packed = {0};
    ds_thriftout head = {0};
    int rc = put_body(&body, p, leaf) || ds_buf_reserve(&body, 1) ? ds_fail_nomem(err) : 0;

    if (!rc && (body.len > INT32_MAX / 2 || p->n > INT32_MAX))
        rc = ds_fail(err, DS_FAIL,
                     "%s: %zu bytes in one value and what is with it: a page of "
                     "Parquet holds 1 GiB",
                     leaf->name, body.len);
    if (!rc && level && pack(&packed, &body, level))
        rc = ds_fail_nomem(err);
    if (!rc) {
        put_head(&head, p, body.len, level ? &packed : &body);
        *raw = head.b.len + body.len;
        if (head.failed || ds_buf_put(out, head.b.data, head.b.len) ||
            ds_buf_put(out, level ? packed.data : body.data, level ? packed.len : body.len))
            rc = ds_fail_nomem(err);
    }
    ds_buf_fini(&head.b);
    ds_buf_fini(&packed);
    ds_buf_fini(&body);
    return rc;
}
