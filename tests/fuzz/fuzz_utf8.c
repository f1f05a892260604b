/* fuzz_utf8.c - the whole check and the check in parts must agree; the first byte of the input sets
 * the size of the parts. Error messages made of the input must stay printable. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "json.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok)
{
    if (!ok)
        abort();
}

static void in_parts(const uint8_t *p, size_t len, size_t step)
{
    ds_utf8_state s = {0};
    _Bool ok = 1;
    size_t want = ds_utf8_check(p, len);
    for (size_t at = 0; at < len && ok; at += step)
        ok = ds_utf8_feed(&s, p + at, len - at < step ? len - at : step);
    ok = ok && ds_utf8_end(&s);
    require(ok == (want == len));
    require(s.offset == want);
}

/* What is written as a JSON string reads back as the same bytes. */
static void json_round_trip(const uint8_t *p, size_t len)
{
    ds_buf b = {0};
    json_t *v = NULL;
    require(ds_json_str(&b, (const char *)p, len) == 0);
    if (!memchr(p, 0, len)) {
        require(ds_json_parse(&v, b.data, b.len, "text", NULL) == 0);
        require(json_string_length(v) == len && memcmp(json_string_value(v), p, len) == 0);
    }
    json_decref(v);
    ds_buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1)
        return 0;
    size_t step = data[0] % 61 + 1;
    uint8_t *copy = malloc(len - 1 + (len == 1)); /* reading past the text is seen */
    if (!copy)
        return 0;
    memcpy(copy, data + 1, len - 1);
    in_parts(copy, len - 1, step);
    if (len > 1 && ds_utf8_check(copy, len - 1) == len - 1)
        json_round_trip(copy, len - 1);
    ds_err err = {0};
    ds_fail(&err, DS_FAIL, "%.*s", (int)(len - 1), (const char *)copy);
    for (const char *s = err.msg; *s; s++)
        require((unsigned char)*s >= 0x20 && *s != 0x7f);
    free(copy);
    return 0;
}
