/* partset.c - see partset.h. */
#include "partset.h"

#include <stdlib.h>
#include <string.h>

#include "extsort.h"
#include "spool.h"

enum { ENTRY = DS_PART_HASH + 8 }; /* hash, record and part in big endian order */

struct ds_partset {
    ds_extsort *sort, *copies;     /* of entries; of record and part */
    uint64_t records, parts, part; /* told of; the next one of the last record */
    ds_spool list;                 /* of u64 */
    const uint64_t *again;
    size_t nagain;
};

int ds_partset_new(ds_partset **out, size_t memory, ds_err *err)
{
    ds_partset *s = *out = calloc(1, sizeof *s);
    if (!s)
        return ds_fail_nomem(err);
    int rc = ds_extsort_new(&s->sort, ENTRY, memory / 4 * 3, NULL, err);
    if (rc == 0)
        rc = ds_extsort_new(&s->copies, 8, memory / 4, NULL, err);
    if (rc) {
        ds_partset_free(s);
        *out = NULL;
    }
    return rc;
}

void ds_partset_free(ds_partset *s)
{
    if (!s)
        return;
    ds_extsort_free(s->sort);
    ds_extsort_free(s->copies);
    ds_spool_fini(&s->list);
    free(s);
}

int ds_partset_record(ds_partset *s, ds_err *err)
{
    if (s->records == UINT32_MAX)
        return ds_fail(err, DS_FAIL, "more than %u records: use parts", UINT32_MAX);
    s->records++;
    s->part = 0;
    return 0;
}

int ds_partset_part(ds_partset *s, const uint8_t hash[DS_PART_HASH], ds_err *err)
{
    uint8_t e[ENTRY];
    memcpy(e, hash, DS_PART_HASH);
    ds_set_big32(e + DS_PART_HASH, (uint32_t)(s->records - 1));
    ds_set_big32(e + DS_PART_HASH + 4, (uint32_t)s->part++); /* a text has less than 4 Gi */
    s->parts++;
    return ds_extsort_put(s->sort, e, err);
}

uint64_t ds_partset_records(const ds_partset *s)
{
    return s->records;
}

uint64_t ds_partset_parts(const ds_partset *s)
{
    return s->parts;
}

/* From all entries to those that are copies. */
static int find_copies(ds_partset *s, uint64_t before, unsigned reach, ds_err *err)
{
    uint8_t hash[DS_PART_HASH];
    uint64_t first = 0;
    bool any = false;
    const void *next;
    int got, rc = 0;
    while (rc == 0 && (got = ds_extsort_next(s->sort, &next, err)) != 0) {
        const uint8_t *e = next;
        const uint64_t at = ds_get_big(e + DS_PART_HASH);
        if (got < 0)
            return got;
        if (!any || memcmp(hash, e, DS_PART_HASH) != 0) {
            memcpy(hash, e, DS_PART_HASH);
            first = at;
            any = true;
        } else if (at >> 32 >= before && (at >> 32 != first >> 32 || at - first >= reach)) {
            rc = ds_extsort_put(s->copies, e + DS_PART_HASH, err);
        }
    }
    return rc;
}

int ds_partset_join(ds_partset *s, uint64_t before, unsigned reach, ds_err *err)
{
    const uint8_t *view;
    const void *e;
    size_t len;
    int got = 0, rc = ds_extsort_sort(s->sort, err);
    if (rc == 0)
        rc = find_copies(s, before, reach, err);
    ds_extsort_free(s->sort);
    s->sort = NULL;
    if (rc == 0)
        rc = ds_extsort_sort(s->copies, err);
    while (rc == 0 && (got = ds_extsort_next(s->copies, &e, err)) > 0) {
        const uint64_t at = ds_get_big(e);
        rc = ds_spool_put(&s->list, &at, sizeof at, err);
    }
    rc = rc ? rc : got;
    ds_extsort_free(s->copies);
    s->copies = NULL;
    if (rc == 0)
        rc = ds_spool_view(&s->list, &view, &len, err);
    if (rc == 0) {
        s->again = (const uint64_t *)(const void *)view;
        s->nagain = len / sizeof *s->again;
    }
    return rc;
}

/* The first that is not below. */
static size_t lower(const uint64_t *v, size_t n, uint64_t least)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (v[mid] < least)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

const uint64_t *ds_partset_again(const ds_partset *s, uint64_t record, size_t *n)
{
    const size_t at = lower(s->again, s->nagain, record << 32);
    *n = lower(s->again + at, s->nagain - at, (record + 1) << 32);
    return s->again + at;
}
