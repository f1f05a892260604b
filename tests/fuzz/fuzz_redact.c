/* fuzz_redact.c - texts and JSON that are redacted: matches lie in the text, in order; what is
 * UTF-8 stays so, and JSON stays JSON. */
#include <stdlib.h>
#include <string.h>

#include "dsr_jsoncheck.h"
#include "redact.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    ds_redactor r = {.kinds = ~0u};
    ds_redactwork w = {0};
    ds_spool out = {0};
    ds_piimatch m = {0};
    ds_err err = {0};
    const uint8_t *q;
    size_t n, at, found = 0;
    if (ds_utf8_check(data, len) != len)
        return 0;
    uint8_t *p = malloc(len ? len : 1);
    require(p != NULL);
    if (len)
        memcpy(p, data, len);
    for (size_t from = 0; ds_pii_next(p, len, from, r.kinds, &m); from = m.end, found++)
        require(m.at >= from && m.end > m.at && m.end <= len && m.kind < DS_NPII);
    require(ds_redact_text(&r, &w, p, len, &out, &err) == 0);
    require(ds_spool_view(&out, &q, &n, &err) == 0 && ds_utf8_check(q, n) == n);
    uint64_t counted = 0;
    for (unsigned i = 0; i < DS_NPII; i++)
        counted += w.counts[i];
    require(counted == found || ds_piifold_needed(p, len));
    if (ds_jsoncheck(p, len, NULL, 0, &at) == NULL) {
        r.key = (const uint8_t *)"0123456789abcdef";
        r.key_len = 16;
        ds_spool_reset(&out);
        require(ds_redact_json(&r, &w, p, len, &out, &err) == 0);
        require(ds_spool_view(&out, &q, &n, &err) == 0);
        require(ds_jsoncheck(q, n, NULL, 0, &at) == NULL);
    }
    ds_spool_fini(&out);
    ds_redactwork_fini(&w);
    free(p);
    return 0;
}
