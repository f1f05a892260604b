/* fuzz_lineage.c - lineage.json and the pieces of a ledger row: what is read writes the same bytes
 * again. The first byte of the input says which of the two the rest is. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lineage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok)
{
    if (!ok)
        abort();
}

static void document(const uint8_t *p, size_t n)
{
    ds_lineage l;
    ds_buf b = {0};
    ds_sha digest;
    ds_err err = {0};

    if (ds_lineage_parse(&l, p, n, "input", &err)) {
        require(err.code == DS_CORRUPT || err.code == DS_NOMEM);
        return;
    }
    require(ds_lineage_dump(&b, &l, &err) == 0 && b.len == n && !memcmp(b.data, p, n));
    require(ds_run_digest(&digest, &l.run, &err) == 0);
    ds_buf_fini(&b);
    ds_lineage_fini(&l);
}

static void pieces(const uint8_t *p, size_t n)
{
    const uint64_t firsts[] = {0, 10, 10, 1000};
    ds_buf spans = {0}, again = {0};
    ds_err err = {0};

    if (ds_spans_decode(&spans, p, n, firsts, 4, &err) == 0)
        require(ds_spans_encode(&again, (const ds_span *)(const void *)spans.data,
                                spans.len / sizeof(ds_span), firsts, 4, &err) == 0);
    else
        require(err.code == DS_CORRUPT || err.code == DS_NOMEM);
    ds_buf_fini(&spans);
    ds_buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1)
        return 0;
    if (data[0] & 1)
        pieces(data + 1, len - 1);
    else
        document(data + 1, len - 1);
    return 0;
}
