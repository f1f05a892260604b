/* colstat.c - see colstat.h. */
#include "colstat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "elementary.h"
#include "hash.h"
#include "json.h"
#include "statmember.h"
#include "statwords.h"

enum {
    SAMPLED = 8 << 10, /* of a chunk of more bytes so many are looked at for words, or fewer, */
    SAMPLE = 64,       /* but one stretch in so many at least */
    CHUNK_SEEN = 1024, /* different words of a chunk that are counted by themselves */
    WHOLE = 1 << 20,   /* a longer value is hashed in part: */
    ENDS = 64 << 10    /* so much from each end */
};

static const int64_t day = (int64_t)86400 * 1000000000;

/* Values have lengths. */
static bool sized(enum ds_type t)
{
    return t != DS_BOOL && t != DS_I64 && t != DS_F64 && t != DS_TIMESTAMP;
}

/* Values are numbers. */
static bool numeric(enum ds_type t)
{
    return t == DS_I64 || t == DS_F64 || t == DS_TIMESTAMP;
}

static bool is_tokens(enum ds_type t)
{
    return t == DS_TOKENS16 || t == DS_TOKENS32;
}

/* Values have words or tokens. */
static bool worded(enum ds_type t)
{
    return t == DS_UTF8 || t == DS_JSON || is_tokens(t);
}

void ds_colstat_init(ds_colstat *s, const ds_column *c)
{
    *s = (ds_colstat){.type = c->type, .item = c->type == DS_LIST ? c->item : c->type};
    s->values.most = DS_STAT_VALUES;
    s->top.most = DS_STAT_PRUNE;
    s->seen.most = CHUNK_SEEN;
}

void ds_colstat_fini(ds_colstat *s)
{
    ds_tally_fini(&s->lens);
    ds_tally_fini(&s->nums);
    ds_names_fini(&s->values);
    ds_names_fini(&s->top);
    ds_names_fini(&s->seen);
    ds_statmember_reset(s);
    *s = (ds_colstat){0};
}

static void restart(ds_colstat *s, const ds_column *c)
{
    ds_statmember_reset(s);
    const ds_colstat was = *s;
    *s = (ds_colstat){.type = c->type, .item = c->type == DS_LIST ? c->item : c->type};
    s->lens = was.lens;
    s->nums = was.nums;
    s->values = was.values;
    s->top = was.top;
    s->seen = was.seen;
    ds_tally_reset(&s->lens);
    ds_tally_reset(&s->nums);
    ds_names_reset(&s->values);
    ds_names_reset(&s->top);
    ds_names_reset(&s->seen);
    s->values.most = DS_STAT_CHUNK_VALUES;
    s->seen.most = CHUNK_SEEN;
}

/* ---- buckets ---- */

int64_t ds_stat_bucket(double v)
{
    const double a = fabs(v);
    uint64_t bits;
    memcpy(&bits, &a, sizeof bits);
    return v >= 0 ? (int64_t)(bits >> 47) : -(int64_t)(bits >> 47) - 1;
}

double ds_stat_bucket_from(int64_t bucket)
{
    /* A negative bucket holds (-upper, -lower]: it begins where the next magnitude does. */
    const uint64_t bits = (uint64_t)(bucket >= 0 ? bucket : -bucket) << 47;
    double v;
    memcpy(&v, &bits, sizeof v);
    return bucket >= 0 ? v : -v;
}

/* The greatest value of the bucket before is below this; whole numbers below 64 are alone in
 * theirs. */
static double middle(int64_t bucket, bool days)
{
    if (days)
        return ((double)bucket + 0.5) * (double)day;
    const double a = ds_stat_bucket_from(bucket), b = ds_stat_bucket_from(bucket + 1);
    if (fabs(a) < 64 && a >= 0 && a == floor(a))
        return a;
    if (fabs(b) < 64 && bucket < 0 && b == floor(b))
        return b;
    return isfinite(b) && isfinite(a) ? a + (b - a) / 2 : a;
}

double ds_stat_quantile(const ds_buf *sorted, bool days, double q, double lo, double hi)
{
    const ds_tallied *t = (const ds_tallied *)(const void *)sorted->data;
    const size_t n = sorted->len / sizeof *t;
    double all = 0, sum = 0;
    size_t i = 0;

    for (size_t k = 0; k < n; k++)
        all += (double)t[k].n;
    for (; i + 1 < n; i++) {
        sum += (double)t[i].n;
        if (sum >= q * all)
            break;
    }
    const double v = n ? middle(t[i].key, days) : 0;
    return v < lo ? lo : v > hi ? hi : v;
}

/* ---- values ---- */

static uint64_t hash_of(const uint8_t *p, size_t len)
{
    uint64_t ends[3];
    if (len <= WHOLE)
        return ds_xxh64(p, len);
    ends[0] = ds_xxh64(p, ENDS);
    ends[1] = ds_xxh64(p + len - ENDS, ENDS);
    ends[2] = len;
    return ds_xxh64(ends, sizeof ends);
}

void ds_colstat_register(ds_colstat *s, uint64_t h)
{
    const uint64_t rest = h << 10 | 1u << 9;
    uint8_t *reg = &s->registers[h >> 54];
    const uint8_t rank = (uint8_t)(__builtin_clzll(rest) + 1);
    if (rank > *reg)
        *reg = rank;
}

static void profile(ds_colstat *s, uint64_t h)
{
    ds_colstat_register(s, h);
    if (s->nlow == DS_STAT_LOW && h >= s->low[DS_STAT_LOW - 1])
        return;
    size_t at = s->nlow;
    while (at && s->low[at - 1] > h)
        at--;
    if (at && s->low[at - 1] == h)
        return;
    s->nlow += s->nlow < DS_STAT_LOW;
    memmove(s->low + at + 1, s->low + at, (s->nlow - 1 - at) * sizeof *s->low);
    s->low[at] = h;
}

int ds_colstat_length(ds_colstat *s, uint64_t len)
{
    const bool first = !s->lens.used;
    s->len_min = first || len < s->len_min ? len : s->len_min;
    s->len_max = first || len > s->len_max ? len : s->len_max;
    if (__builtin_add_overflow(s->len_sum, len, &s->len_sum))
        s->len_sum = UINT64_MAX;
    return ds_tally_add(&s->lens, ds_stat_bucket((double)len), 1);
}

int ds_colstat_number(ds_colstat *s, double v)
{
    if (isnan(v)) {
        s->nans++;
        return 0;
    }
    s->fmin = !s->any || v < s->fmin ? v : s->fmin;
    s->fmax = !s->any || v > s->fmax ? v : s->fmax;
    s->any = true;
    return ds_tally_add(&s->nums, ds_stat_bucket(v), 1);
}

static int number(ds_colstat *s, const ds_value *x)
{
    if (s->item == DS_F64)
        return ds_colstat_number(s, x->f);
    s->imin = !s->any || x->i < s->imin ? x->i : s->imin;
    s->imax = !s->any || x->i > s->imax ? x->i : s->imax;
    s->any = true;
    if (s->item == DS_TIMESTAMP)
        return ds_tally_add(&s->nums, x->i / day - (x->i % day < 0), 1);
    return ds_tally_add(&s->nums, ds_stat_bucket((double)x->i), 1);
}

static int value(ds_colstat *s, uint64_t h, const void *p, size_t len, uint64_t n)
{
    if (s->values.full)
        return 0;
    if (len > DS_STAT_VALUE) {
        s->values.full = true;
        return 0;
    }
    return ds_names_add(&s->values, h, p, len, n);
}

int ds_colstat_scalar(ds_colstat *s, const uint8_t *p, size_t len)
{
    const uint64_t h = hash_of(p, len);
    profile(s, h);
    return value(s, h, p, len, 1);
}

/* "u16[512,512]" */
static int shape(ds_colstat *s, const ds_value *x)
{
    ds_buf b = {0};
    int rc = ds_buf_puts(&b, ds_dtype_name(x->dtype));
    for (int i = 0; !rc && i < x->ndim; i++)
        rc = ds_buf_printf(&b, "%s%llu", i ? "," : "[", (unsigned long long)x->dims[i]);
    rc = rc ? rc : x->ndim ? ds_buf_putc(&b, ']') : 0;
    rc = rc ? DS_NOMEM : value(s, ds_xxh64(b.data, b.len), b.data, b.len, 1);
    ds_buf_fini(&b);
    return rc;
}

/* The number of a value's first stretch. Made of the value and of its place in the chunk: by the
 * value alone, of a column of few different texts all of one would be looked at, none of another.
 */
static uint64_t first_stretch(ds_colstat *s, uint64_t hash)
{
    uint64_t x = hash + s->nth++ * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 32) * 0x9e3779b97f4a7c15u;
    return x >> 40;
}

/* A value that is no list: of a row, or an item. */
static int leaf(ds_colstat *s, const ds_colview *v, const ds_value *x, unsigned weight)
{
    uint8_t fixed[8];
    uint64_t h;
    int rc;

    if (s->item == DS_BOOL) {
        fixed[0] = x->i != 0;
        return value(s, ds_xxh64(fixed, 1), fixed, 1, 1);
    }
    if (numeric(s->item)) {
        ds_set_u64(fixed, (uint64_t)x->i);
        if (s->item == DS_F64)
            memcpy(fixed, &x->f,
                   sizeof fixed); /* this machine's are little endian, as the file's */
        h = ds_xxh64(fixed, sizeof fixed);
        profile(s, h);
        rc = value(s, h, fixed, sizeof fixed, 1);
        return rc ? rc : number(s, x);
    }
    h = hash_of(x->p, x->len);
    profile(s, h);
    if (s->item == DS_TENSOR)
        return shape(s, x);
    if (is_tokens(s->item)) {
        s->values.full = true;
        return weight ? ds_statwords_tokens(s, v, x, first_stretch(s, h), weight) : 0;
    }
    rc = value(s, h, x->p, x->len, 1);
    if (!rc && s->item == DS_JSON && x->len <= DS_STAT_LARGE)
        rc = ds_statmember_value(s, x->p, x->len);
    if (rc || !weight || !worded(s->item))
        return rc;
    return ds_statwords_text(s, x->p, x->len, first_stretch(s, h), weight);
}

/* Runs: how many positions have which value. */
static int runs(ds_colstat *s, const ds_value *x)
{
    uint64_t len, v, all = 0;
    size_t pos = 0;
    int rc = 0;

    while (!rc && pos < x->len && ds_varint_get(x->p, x->len, &pos, &len) &&
           ds_varint_get(x->p, x->len, &pos, &v)) {
        uint8_t fixed[8];
        ds_set_u64(fixed, v);
        all += len;
        rc = value(s, ds_xxh64(fixed, sizeof fixed), fixed, sizeof fixed, len);
    }
    profile(s, hash_of(x->p, x->len));
    return rc ? rc : ds_colstat_length(s, all);
}

static int row(ds_colstat *s, const ds_colview *v, const ds_value *x, unsigned weight)
{
    int rc;

    if (s->type == DS_RUNS)
        return runs(s, x);
    if (s->type == DS_LIST) {
        ds_items it;
        ds_value item;
        rc = ds_colstat_length(s, x->count);
        ds_value_items(&it, v, x);
        while (!rc && ds_items_next(&it, &item))
            rc = leaf(s, v, &item, weight);
        return rc;
    }
    rc = sized(s->type) ? ds_colstat_length(s, is_tokens(s->type) ? x->count : x->len) : 0;
    return rc ? rc : leaf(s, v, x, weight);
}

void ds_colstat_behind(ds_colstat *s, const uint8_t *p)
{
    if (s->spool)
        ds_spool_release(s->spool, (size_t)(p - s->base));
}

/* One stretch in how many is looked at. */
static unsigned sample(size_t len)
{
    unsigned w = 1;
    while (w < SAMPLE && len / w > SAMPLED)
        w *= 2;
    return w;
}

int ds_colstat_chunk(ds_colstat *s, const ds_column *c, const uint8_t *p, size_t len, uint64_t rows,
                     bool key, ds_spool *spool, ds_err *err)
{
    const unsigned weight = key ? 0 : sample(len);
    ds_colview v;
    ds_value x;
    int rc = ds_colview_open(&v, c, p, len, rows, err);

    if (rc)
        return rc;
    restart(s, c);
    s->key = s->values.full = key;
    s->spool = spool;
    s->base = p;
    for (; !rc && ds_colview_next(&v, &x); s->rows++) {
        if (x.null)
            s->nulls++;
        else
            rc = row(s, &v, &x, weight);
        if (x.p)
            ds_colstat_behind(s, x.p + x.len);
    }
    s->spool = NULL;
    return rc ? ds_fail_nomem(err) : 0;
}

/* ---- asking ---- */

double ds_colstat_distinct(const ds_colstat *s)
{
    const double m = DS_STAT_REGISTERS;
    double sum = 0;
    size_t zeros = 0;

    if (s->key)
        return (double)(s->rows - s->nulls);
    if (!s->values.full && s->item != DS_TENSOR && s->type != DS_RUNS)
        return (double)s->values.used;
    if (s->nlow < DS_STAT_LOW && s->item != DS_TENSOR)
        return (double)s->nlow;
    for (size_t i = 0; i < DS_STAT_REGISTERS; i++) {
        sum += ldexp(1, -s->registers[i]);
        zeros += !s->registers[i];
    }
    const double most = s->type == DS_LIST ? INFINITY : (double)(s->rows - s->nulls);
    double e = 0.7213 / (1 + 1.079 / m) * m * m / sum;
    if (e <= 2.5 * m && zeros)
        e = m * ds_log(m / (double)zeros);
    return e < most ? e : most;
}

int ds_colstat_value_text(ds_buf *out, const ds_colstat *s, const uint8_t *p, size_t len)
{
    const enum ds_type t = s->item;
    double f;
    if (t == DS_BOOL && len == 1)
        return ds_buf_puts(out, p[0] ? "true" : "false");
    if (len == 8 && t == DS_F64) {
        memcpy(&f, p, sizeof f);
        return isfinite(f) ? ds_json_real(out, f) : ds_buf_printf(out, "%g", f);
    }
    if (len == 8 && (t == DS_I64 || t == DS_TIMESTAMP))
        return ds_buf_printf(out, "%lld", (long long)(int64_t)ds_get_u64(p));
    if (len == 8 && t == DS_RUNS)
        return ds_buf_printf(out, "%llu", (unsigned long long)ds_get_u64(p));
    if (s->member && len >= 2 && p[0] == '"')
        return ds_buf_put(out, p + 1, len - 2);
    return ds_buf_put(out, p, len);
}

int ds_colstat_word_text(ds_buf *out, const ds_colstat *s, const uint8_t *p, size_t len)
{
    if (is_tokens(s->item) && len == 4)
        return ds_buf_printf(out, "%lu", (unsigned long)ds_get_u32(p));
    return ds_buf_put(out, p, len);
}
