/* fuzz_csv.c - tables: every byte belongs to one record, fields lie inside it, and records do not
 * depend on how the input is cut. The first byte of the input sets the cut and the delimiter. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok)
{
    if (!ok)
        abort();
}

static void check_fields(const ds_csvrec *r, const uint8_t *p, size_t used)
{
    for (size_t i = 0; i < r->n; i++) {
        const ds_csvfield *f = &r->v[i];
        uint8_t *out = malloc(f->len + 1);
        require(out != NULL && f->p >= p && f->len <= used && f->p + f->len <= p + used);
        require(ds_csv_unquote(out, f) <= f->len);
        free(out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    uint8_t delimiter = data[0] & 1 ? '\t' : ',';
    size_t cut = (data[0] >> 1) % len, n = len - 1, whole = 0;
    uint8_t *copy = malloc(n), *front = malloc(cut ? cut : 1);
    ds_csvrec r = {0};
    require(copy && front);
    memcpy(copy, data + 1, n);
    memcpy(front, data + 1, cut < n ? cut : n);
    if (cut > n)
        cut = n;
    if (cut > 0)
        whole = ds_csv_whole(&r, front, cut, delimiter);
    require(whole <= cut);
    bool met =
        whole == 0; /* the end of the whole part is the end of a record of the whole input, too */
    for (size_t at = 0, used = 0; at < n; at += used) {
        int rc = ds_csv_record(&r, copy + at, n - at, true, delimiter, &used);
        require(rc == 0 || rc == DS_FAIL);
        require(used > 0 && used <= n - at);
        if (rc == 0)
            check_fields(&r, copy + at, used);
        else
            require(r.why && r.at < used);
        met = met || at + used == whole;
    }
    require(met);
    ds_csv_fini(&r);
    free(copy);
    free(front);
    return 0;
}
