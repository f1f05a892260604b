/* statbytes.c - statistics of a column as bytes, and added up from them; see colstat.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "colstat.h"
#include "hash.h"
#include "statmember.h"
#include "statwords.h"

enum { FORM = 2 /* of the bytes */ };

/* A profile that has all hashes says what is in them. */
static int put_registers(ds_buf *b, const ds_colstat *s)
{
    const uint8_t *r = s->registers;
    size_t n = 0, last = 0;
    for (size_t i = 0; s->nlow == DS_STAT_LOW && i < DS_STAT_REGISTERS; i++)
        n += r[i] != 0;
    int rc = ds_buf_varint(b, n);
    if (n > DS_STAT_REGISTERS / 2) /* all of them */
        return rc ? rc : ds_buf_put(b, r, DS_STAT_REGISTERS);
    for (size_t i = 0; !rc && n && i < DS_STAT_REGISTERS; i++) {
        if (!r[i])
            continue;
        rc = ds_buf_varint(b, i - last);
        rc = rc ? rc : ds_buf_putc(b, r[i]);
        last = i;
    }
    return rc;
}

static bool is_real(const ds_colstat *s)
{
    return s->item == DS_F64 || s->member;
}

static int put_numbers(ds_buf *b, const ds_colstat *s)
{
    uint64_t ends[2] = {(uint64_t)s->imin, (uint64_t)s->imax};
    int rc = ds_buf_varint(b, s->nans);
    if (is_real(s)) {
        memcpy(&ends[0], &s->fmin, sizeof ends[0]);
        memcpy(&ends[1], &s->fmax, sizeof ends[1]);
    }
    rc = rc ? rc : ds_buf_putc(b, s->any);
    rc = rc || !s->any ? rc : ds_buf_u64(b, ends[0]);
    rc = rc || !s->any ? rc : ds_buf_u64(b, ends[1]);
    return rc ? rc : ds_tally_put(b, &s->nums);
}

static int put_members(ds_buf *b, const ds_colstat *s, bool chunk)
{
    ds_buf one = {0};
    int rc = ds_buf_varint(b, s->nmembers);
    for (size_t i = 0; !rc && i < s->nmembers; i++) {
        const struct ds_statmember *m = &s->members[i];
        ds_buf_reset(&one);
        rc = ds_colstat_put(&one, &m->stat, chunk);
        rc = rc ? rc : ds_buf_varint(b, m->len);
        rc = rc ? rc : ds_buf_put(b, m->name, m->len);
        rc = rc ? rc : ds_buf_varint(b, one.len);
        rc = rc ? rc : ds_buf_put(b, one.data, one.len);
    }
    ds_buf_fini(&one);
    return rc;
}

int ds_colstat_put(ds_buf *b, const ds_colstat *s, bool chunk)
{
    const ds_names *words = chunk ? &s->seen : &s->top;
    int rc = ds_buf_putc(b, FORM);

    rc = rc ? rc : ds_buf_varint(b, s->rows);
    rc = rc ? rc : ds_buf_varint(b, s->nulls);
    rc = rc ? rc : ds_buf_varint(b, s->len_sum);
    rc = rc ? rc : ds_buf_varint(b, s->len_min);
    rc = rc ? rc : ds_buf_varint(b, s->len_max);
    rc = rc ? rc : ds_tally_put(b, &s->lens);
    rc = rc ? rc : put_numbers(b, s);
    rc = rc ? rc : put_registers(b, s);
    rc = rc ? rc : ds_buf_varint(b, s->nlow);
    for (size_t i = 0; !rc && i < s->nlow; i++)
        rc = ds_buf_u64(b, s->low[i]);
    rc = rc ? rc : ds_buf_putc(b, s->values.full);
    if (!s->values.full)
        rc = rc ? rc : ds_names_put(b, &s->values, DS_BY_BYTES, SIZE_MAX);
    rc = rc ? rc : ds_buf_varint(b, s->words);
    rc = rc ? rc : ds_buf_varint(b, s->looked);
    for (size_t i = 0; !rc && s->words && i < DS_STAT_BUCKETS; i++)
        rc = ds_buf_varint(b, s->buckets[i]);
    if (s->words)
        rc = rc ? rc
                : ds_names_put(b, words, DS_BY_COUNT, chunk ? DS_STAT_CHUNK_WORDS : DS_STAT_WORDS);
    if (s->item == DS_JSON && !s->member)
        rc = rc ? rc : put_members(b, s, chunk);
    return rc ? DS_NOMEM : 0;
}

/* What is read from bytes; ok becomes false at the first that is wrong. */
typedef struct in {
    const uint8_t *p;
    size_t len, pos;
    bool ok;
} in;

static uint64_t num(in *r)
{
    uint64_t v = 0;
    r->ok = r->ok && ds_varint_get(r->p, r->len, &r->pos, &v);
    return r->ok ? v : 0;
}

static uint8_t byte(in *r)
{
    r->ok = r->ok && r->pos < r->len;
    return r->ok ? r->p[r->pos++] : 0;
}

static uint64_t word(in *r)
{
    r->ok = r->ok && r->len - r->pos >= 8;
    if (!r->ok)
        return 0;
    r->pos += 8;
    return ds_get_u64(r->p + r->pos - 8);
}

static void plus(uint64_t *to, uint64_t n)
{
    if (__builtin_add_overflow(*to, n, to))
        *to = UINT64_MAX;
}

static void add_numbers(ds_colstat *s, in *r)
{
    plus(&s->nans, num(r));
    if (byte(r)) {
        const uint64_t lo = word(r), hi = word(r);
        double flo, fhi;
        memcpy(&flo, &lo, sizeof flo);
        memcpy(&fhi, &hi, sizeof fhi);
        s->imin = !s->any || (int64_t)lo < s->imin ? (int64_t)lo : s->imin;
        s->imax = !s->any || (int64_t)hi > s->imax ? (int64_t)hi : s->imax;
        if (is_real(s)) {
            s->fmin = !s->any || flo < s->fmin ? flo : s->fmin;
            s->fmax = !s->any || fhi > s->fmax ? fhi : s->fmax;
        }
        s->any = true;
    }
    r->ok = r->ok && ds_tally_get(&s->nums, r->p, r->len, &r->pos);
}

static void add_registers(ds_colstat *s, in *r)
{
    const uint64_t n = num(r);
    size_t at = 0;
    for (uint64_t i = 0; r->ok && i < (n > DS_STAT_REGISTERS / 2 ? DS_STAT_REGISTERS : n); i++) {
        const uint64_t step = n > DS_STAT_REGISTERS / 2 ? i != 0 : num(r);
        const uint8_t rank = byte(r);
        r->ok = r->ok && step < DS_STAT_REGISTERS - at;
        if (r->ok && rank > s->registers[at += (size_t)step])
            s->registers[at] = rank;
    }
}

static void add_low(ds_colstat *s, in *r)
{
    uint64_t mine[2 * DS_STAT_LOW];
    const size_t had = s->nlow, n = (size_t)num(r);
    size_t a = 0, b = had, end;

    r->ok = r->ok && n <= DS_STAT_LOW;
    memcpy(mine, s->low, had * sizeof *mine);
    for (size_t i = 0; r->ok && i < n; i++)
        ds_colstat_register(s, mine[had + i] = word(r));
    for (s->nlow = 0, end = had + n; r->ok && s->nlow < DS_STAT_LOW && (a < had || b < end);) {
        const bool first = b == end || (a < had && mine[a] <= mine[b]);
        const uint64_t h = first ? mine[a++] : mine[b++];
        if (!s->nlow || s->low[s->nlow - 1] != h)
            s->low[s->nlow++] = h;
    }
}

static void add_values(ds_colstat *s, in *r)
{
    if (byte(r))
        s->values.full = true;
    else
        r->ok = r->ok && ds_names_get(&s->values, r->p, r->len, &r->pos);
    if (s->values.full && s->values.used) { /* none is known: the memory can go */
        ds_names_fini(&s->values);
        s->values.full = true;
    }
}

static void add_words(ds_colstat *s, in *r)
{
    const uint64_t n = num(r);
    plus(&s->words, n);
    plus(&s->looked, num(r));
    for (size_t i = 0; n && r->ok && i < DS_STAT_BUCKETS; i++)
        plus(&s->buckets[i], num(r));
    if (!n || !r->ok)
        return;
    r->ok = ds_names_get(&s->top, r->p, r->len, &r->pos);
    if (r->ok && s->top.used > DS_STAT_PRUNE - DS_STAT_BUCKETS)
        r->ok = ds_names_prune(&s->top, DS_STAT_PRUNE / 2) == 0;
}

static void add_members(ds_colstat *s, in *r)
{
    for (uint64_t i = num(r), k = 0; r->ok && k < i; k++) {
        const uint64_t name_len = num(r);
        const uint8_t *name = r->p + r->pos;
        r->ok = r->ok && name_len <= r->len - r->pos;
        r->pos += r->ok ? (size_t)name_len : 0;
        const uint64_t size = num(r);
        r->ok = r->ok && size <= r->len - r->pos;
        if (!r->ok)
            return;
        ds_colstat *m = ds_statmember_at(s, name, (size_t)name_len, (size_t)k, DS_STAT_MEMBERS);
        if (m)
            r->ok = ds_colstat_add(m, r->p + r->pos, (size_t)size, NULL) == 0;
        r->pos += (size_t)size;
    }
}

int ds_colstat_add(ds_colstat *s, const uint8_t *p, size_t len, ds_err *err)
{
    in r = {.p = p, .len = len, .ok = true};
    r.ok = byte(&r) == FORM;
    const uint64_t rows = num(&r), nulls = num(&r), sum = num(&r), min = num(&r), max = num(&r);
    const bool first = !s->lens.used;

    if (r.ok && r.pos < len && p[r.pos]) { /* there are lengths */
        s->len_min = first || min < s->len_min ? min : s->len_min;
        s->len_max = first || max > s->len_max ? max : s->len_max;
    }
    r.ok = r.ok && nulls <= rows;
    plus(&s->rows, rows);
    plus(&s->nulls, nulls);
    plus(&s->len_sum, sum);
    r.ok = r.ok && ds_tally_get(&s->lens, p, len, &r.pos);
    add_numbers(s, &r);
    add_registers(s, &r);
    add_low(s, &r);
    add_values(s, &r);
    add_words(s, &r);
    if (s->item == DS_JSON && !s->member)
        add_members(s, &r);
    return r.ok && r.pos == len ? 0 : ds_fail(err, DS_CORRUPT, "statistics that make no sense");
}

void ds_colstat_settle(ds_colstat *s)
{
    for (size_t i = 0; i < s->nmembers; i++) {
        ds_colstat *m = &s->members[i].stat;
        const uint64_t all = s->rows - s->nulls;
        if (s->type != DS_JSON || m->rows > all) /* of lists: it is not known how many there were */
            continue;
        m->nulls += all - m->rows;
        m->rows = all;
    }
}
