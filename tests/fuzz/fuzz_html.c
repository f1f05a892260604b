/* fuzz_html.c - pages: whatever the markup, the text is valid UTF-8, bounded by the input, and has
 * no white space at its end. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "html.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    ds_buf out = {0}, title = {0};
    uint8_t *copy = malloc(len ? len : 1);
    if (!copy)
        return 0;
    memcpy(copy, data, len);
    if (ds_utf8_check(copy, len) == len) {
        require(ds_html_text(&out, &title, copy, len) == 0);
        require(ds_utf8_check(out.data, out.len) == out.len);
        require(ds_utf8_check(title.data, title.len) == title.len);
        require(out.len <= 2 * len && title.len <= 2 * len);
        require(out.len == 0 || !memchr(" \t\r\n", out.data[out.len - 1], 4));
    }
    ds_buf_fini(&out);
    ds_buf_fini(&title);
    free(copy);
    return 0;
}
