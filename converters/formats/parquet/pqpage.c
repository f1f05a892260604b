/* pqpage.c - see pqpage.h. */
#include "pqpage.h"

#include <zlib.h>
#include <zstd.h>

#include "pqcode.h"

enum { DATA_PAGE = 0, DICTIONARY_PAGE = 2, GROUP = 8 };
#define KEPT ((size_t)8 << 20) /* more than this is not kept for the next page */

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

static void empty(ds_buf *b)
{
    if (b->cap > KEPT)
        ds_buf_fini(b);
    ds_buf_reset(b);
}

void ds_pqpart_reset(ds_pqpart *p)
{
    empty(&p->reps);
    empty(&p->defs);
    empty(&p->values);
    p->n = p->nulls = 0;
    p->any = false;
}

void ds_pqpart_fini(ds_pqpart *p)
{
    ds_buf_fini(&p->reps);
    ds_buf_fini(&p->defs);
    ds_buf_fini(&p->values);
}

/* ---- runs ---- */

static size_t run_at(const uint32_t *v, size_t n)
{
    size_t i = 1;

    while (i < n && v[i] == v[0])
        i++;
    return i;
}

/* Groups of eight values, `bits` bits each; what the last one lacks is 0. */
static int put_groups(ds_buf *out, const uint32_t *v, size_t n, int bits)
{
    const size_t groups = (n + GROUP - 1) / GROUP;
    uint64_t word = 0;
    int held = 0;
    int rc = ds_buf_varint(out, (uint64_t)groups << 1 | 1);

    for (size_t i = 0; i < groups * GROUP && !rc; i++) {
        word |= (uint64_t)(i < n ? v[i] : 0) << held;
        for (held += bits; held >= 8 && !rc; held -= 8, word >>= 8)
            rc = ds_buf_putc(out, (uint8_t)word);
    }
    return rc;
}

static int put_run(ds_buf *out, uint32_t v, size_t n, int bits)
{
    int rc = ds_buf_varint(out, (uint64_t)n << 1);

    for (int k = 0; k < bits && !rc; k += 8)
        rc = ds_buf_putc(out, (uint8_t)(v >> k));
    return rc;
}

/* Runs of eight and more, and between them groups of eight. */
static int put_runs(ds_buf *out, const uint32_t *v, size_t n, int bits)
{
    int rc = 0;

    for (size_t i = 0; i < n && !rc;) {
        const size_t run = run_at(v + i, n - i);
        size_t end = i;
        if (run >= GROUP || run == n - i) {
            rc = put_run(out, v[i], run, bits);
            i += run;
            continue;
        }
        do {
            end = n - end < GROUP ? n : end + GROUP;
        } while (end < n && run_at(v + end, n - end) < GROUP);
        rc = put_groups(out, v + i, end - i, bits);
        i = end;
    }
    return rc;
}

/* With their length before them. */
static int put_levels(ds_buf *out, const ds_buf *levels, int most)
{
    const size_t at = out->len;
    ds_buf wide = {0};
    int rc = 0;

    if (!most)
        return 0;
    for (size_t i = 0; i < levels->len && !rc; i++)
        rc = ds_buf_u32(&wide, levels->data[i]);
    rc = rc || ds_buf_u32(out, 0) ||
         put_runs(out, (const uint32_t *)(const void *)wide.data, levels->len,
                  ds_pq_bits((uint32_t)most));
    if (!rc)
        ds_set_u32(out->data + at, (uint32_t)(out->len - at - 4));
    ds_buf_fini(&wide);
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

/* As many bits as the highest of them takes. */
static int put_numbers(ds_buf *out, const ds_buf *numbers)
{
    const uint32_t *v = (const uint32_t *)(const void *)numbers->data;
    const size_t n = numbers->len / 4;
    uint32_t most = 0;

    for (size_t i = 0; i < n; i++)
        most = v[i] > most ? v[i] : most;
    const int bits = ds_pq_bits(most);
    return ds_buf_putc(out, (uint8_t)bits) || put_runs(out, v, n, bits) ? DS_NOMEM : 0;
}

/* Nothing but the values as they are. */
static bool bare(const ds_pqpart *p, const ds_pqnode *leaf, const ds_buf *numbers)
{
    return p->values.len && !leaf->rep && !leaf->def && !numbers && leaf->type != DS_PQ_BOOLEAN;
}

static int put_body(ds_buf *out, const ds_pqpart *p, const ds_pqnode *leaf, const ds_buf *numbers)
{
    int rc = put_levels(out, &p->reps, leaf->rep);

    rc = rc ? rc : put_levels(out, &p->defs, leaf->def);
    if (rc || numbers)
        return rc ? rc : put_numbers(out, numbers);
    return leaf->type == DS_PQ_BOOLEAN ? put_truths(out, &p->values)
                                       : ds_buf_put(out, p->values.data, p->values.len);
}

void ds_pqpress_reset(ds_pqpress *x)
{
    empty(&x->body);
    empty(&x->packed);
    empty(&x->page);
}

void ds_pqpress_fini(ds_pqpress *x)
{
    ZSTD_freeCCtx(x->zstd);
    ds_buf_fini(&x->body);
    ds_buf_fini(&x->packed);
    ds_buf_fini(&x->page);
    *x = (ds_pqpress){0};
}

static int pack(ds_pqpress *x, const ds_buf *body, int level)
{
    ds_buf *out = &x->packed;
    const size_t room = ZSTD_compressBound(body->len);

    ds_buf_reset(out);
    if (ds_buf_reserve(out, room) || (!x->zstd && !(x->zstd = ZSTD_createCCtx())))
        return DS_NOMEM;
    const size_t n = ZSTD_compressCCtx(x->zstd, out->data, room, body->data, body->len, level);
    out->len = ZSTD_isError(n) ? 0 : n;
    return ZSTD_isError(n) ? DS_NOMEM : 0;
}

/* PageHeader, with that of its kind: a page of data says how levels are written, too. */
static void put_head(ds_thriftout *t, int kind, uint64_t values, int encoding, size_t size,
                     const ds_buf *body)
{
    const uint32_t crc = (uint32_t)crc32_z(0, body->data, body->len);

    ds_thrift_put_int(t, 1, DS_THRIFT_I32, kind);
    ds_thrift_put_int(t, 2, DS_THRIFT_I32, (int64_t)size);
    ds_thrift_put_int(t, 3, DS_THRIFT_I32, (int64_t)body->len);
    ds_thrift_put_int(t, 4, DS_THRIFT_I32, (int32_t)crc);
    const int before = ds_thrift_put_open(t, kind == DATA_PAGE ? 5 : 7);
    ds_thrift_put_int(t, 1, DS_THRIFT_I32, (int64_t)values);
    ds_thrift_put_int(t, 2, DS_THRIFT_I32, encoding);
    if (kind == DATA_PAGE) {
        ds_thrift_put_int(t, 3, DS_THRIFT_I32, DS_PQ_ENC_RLE);
        ds_thrift_put_int(t, 4, DS_THRIFT_I32, DS_PQ_ENC_RLE);
    }
    ds_thrift_put_end(t, before);
    ds_thrift_put_end(t, 0);
}

static int make_page(ds_pqpress *x, int kind, uint64_t values, int encoding, const ds_buf *body,
                     int level, ds_err *err)
{
    ds_thriftout head = {0};
    int rc = level && pack(x, body, level) ? ds_fail_nomem(err) : 0;

    ds_buf_reset(&x->page);
    if (!rc) {
        const ds_buf *b = level ? &x->packed : body;
        put_head(&head, kind, values, encoding, body->len, b);
        x->raw = head.b.len + body->len;
        if (head.failed || ds_buf_put(&x->page, head.b.data, head.b.len) ||
            ds_buf_put(&x->page, b->data, b->len))
            rc = ds_fail_nomem(err);
    }
    ds_buf_fini(&head.b);
    return rc;
}

int ds_pqpage_make(ds_pqpress *x, const ds_pqpart *p, const ds_pqnode *leaf, const ds_buf *numbers,
                   int level, ds_err *err)
{
    const ds_buf *body = bare(p, leaf, numbers) ? &p->values : &x->body;

    ds_buf_reset(&x->body);
    if (body == &x->body && (put_body(&x->body, p, leaf, numbers) || ds_buf_reserve(&x->body, 1)))
        return ds_fail_nomem(err);
    if (body->len > INT32_MAX / 2 || p->n > INT32_MAX)
        return ds_fail(
            err, DS_FAIL,
            "%s: %zu bytes in one value and what is with it: a page of Parquet holds 1 GiB",
            leaf->name, body->len);
    return make_page(x, DATA_PAGE, p->n, numbers ? DS_PQ_ENC_DICTIONARY : DS_PQ_ENC_PLAIN, body,
                     level, err);
}

int ds_pqpage_make_dictionary(ds_pqpress *x, const ds_pqdict *d, int level, ds_err *err)
{
    return make_page(x, DICTIONARY_PAGE, ds_pqdict_size(d), DS_PQ_ENC_PLAIN, &d->values, level,
                     err);
}
