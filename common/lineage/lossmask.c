/* lossmask.c - see lossmask.h. */
#include "lossmask.h"

#include <inttypes.h>
#include <string.h>

#define EVERY 64

void ds_lossmask_fini(ds_lossmask *m)
{
    ds_buf_fini(&m->bytes);
    ds_buf_fini(&m->index);
    *m = (ds_lossmask){0};
}

/* Number and first value of the runs, and that they cover the tokens. */
static int check_runs(const ds_lossmask *m, const ds_value *x, uint64_t tokens, uint64_t *first,
                      ds_err *err)
{
    uint64_t all = 0, len, value;
    size_t pos = 0;

    for (uint64_t i = 0; i < x->count; i++) {
        if (!ds_varint_get(x->p, x->len, &pos, &len) || !ds_varint_get(x->p, x->len, &pos, &value))
            return ds_fail(err, DS_CORRUPT, "record %" PRIu64 ": its mask ends early", m->records);
        if (value > 1)
            return ds_fail(err, DS_FAIL,
                           "record %" PRIu64 ": its mask holds %" PRIu64 ": 0 and 1 are known",
                           m->records, value);
        if (i == 0)
            *first = value;
        if (__builtin_add_overflow(all, len, &all))
            all = UINT64_MAX;
    }
    if (all != tokens)
        return ds_fail(err, DS_FAIL,
                       "record %" PRIu64 ": its mask is of %" PRIu64 " tokens, it has %" PRIu64,
                       m->records, all, tokens);
    return 0;
}

int ds_lossmask_add(ds_lossmask *m, const ds_value *x, uint64_t tokens, ds_err *err)
{
    const uint64_t at = m->bytes.len;
    uint64_t first = 1, len, value;
    size_t pos = 0;
    int rc = x->null ? 0 : check_runs(m, x, tokens, &first, err);

    if (rc)
        return rc;
    if (m->records % EVERY == 0)
        rc = ds_buf_put(&m->index, &at, sizeof at);
    rc = rc ? rc : ds_buf_varint(&m->bytes, x->null ? 1 : 2 * x->count + first);
    for (uint64_t i = 0; !rc && !x->null && i < x->count; i++) {
        ds_varint_get(x->p, x->len, &pos, &len);
        ds_varint_get(x->p, x->len, &pos, &value);
        rc = ds_buf_varint(&m->bytes, len);
        if (value)
            m->targets += len - (i == 0); /* nothing stands before a record's first token */
    }
    if (x->null && tokens)
        m->targets += tokens - 1;
    m->records++;
    return rc ? ds_fail_nomem(err) : 0;
}

/* Runs of one record, one after the other. */
typedef struct walk {
    const ds_lossmask *m;
    size_t pos;
    uint64_t runs;
    bool value; /* of the next run */
    bool whole; /* one run without an end */
} walk;

static void walk_begin(walk *w, const ds_lossmask *m, uint64_t record)
{
    uint64_t head = 1, len;

    *w = (walk){.m = m, .value = true, .whole = true};
    if (!m || record >= m->records)
        return;
    w->pos = (size_t)((const uint64_t *)(const void *)m->index.data)[record / EVERY];
    for (uint64_t skip = record % EVERY;; skip--) {
        ds_varint_get(m->bytes.data, m->bytes.len, &w->pos, &head);
        if (skip == 0)
            break;
        for (uint64_t i = 0; i < head / 2; i++)
            ds_varint_get(m->bytes.data, m->bytes.len, &w->pos, &len);
    }
    w->runs = head / 2;
    w->value = head & 1;
    w->whole = w->runs == 0;
}

/* The next run; behind the last one of no end, of what cannot be asked for. */
static uint64_t walk_next(walk *w, bool *value)
{
    uint64_t len = UINT64_MAX;

    *value = w->value;
    if (w->whole || w->runs == 0)
        return len;
    ds_varint_get(w->m->bytes.data, w->m->bytes.len, &w->pos, &len);
    w->runs--;
    w->value = !w->value;
    return len;
}

void ds_lossmask_get(const ds_lossmask *m, uint64_t record, uint32_t offset, uint32_t n,
                     uint8_t *out)
{
    const uint64_t end = (uint64_t)offset + n;
    uint64_t at = 0;
    bool value;
    walk w;

    walk_begin(&w, m, record);
    while (at < end) {
        const uint64_t len = walk_next(&w, &value), to = len > end - at ? end : at + len,
                       from = at < offset ? offset : at;
        if (from < to)
            memset(out + (from - offset), value, (size_t)(to - from));
        at = to;
    }
}

bool ds_lossmask_split(const ds_lossmask *m, uint64_t record, uint32_t n, uint32_t *at)
{
    bool value;
    walk w;

    walk_begin(&w, m, record);
    if (w.whole || w.runs != 2 || w.value)
        return false;
    const uint64_t first = walk_next(&w, &value);
    *at = (uint32_t)first;
    return first > 0 && first < n;
}

uint64_t ds_lossmask_targets(const ds_lossmask *m, uint64_t record, uint32_t offset, uint32_t n)
{
    const uint64_t first = (uint64_t)offset + 1, end = (uint64_t)offset + n;
    uint64_t at = 0, targets = 0;
    bool value;
    walk w;

    walk_begin(&w, m, record);
    while (at < end) {
        const uint64_t len = walk_next(&w, &value), to = len > end - at ? end : at + len,
                       from = at < first ? first : at;
        if (value && from < to)
            targets += to - from;
        at = to;
    }
    return targets;
}
