/* fuzz_textrow.c - rows do not depend on how the input is cut into blocks: what a run of many
 * threads relies on. The first byte of the input sets the format and the cut of documents, the
 * second the size of the blocks. Formats with the high bit set are of sources that are bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "textrow.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok)
{
    if (!ok)
        abort();
}

static void put(ds_buf *b, const void *p, size_t len)
{
    require(ds_buf_u64(b, p ? len : UINT64_MAX) == 0 && (!p || ds_buf_put(b, p, len) == 0));
}

/* Everything that a sink gets to see of the rows, as bytes. */
static void record(ds_buf *out, const ds_textbatch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        const ds_textrow *r = &b->v[i];
        put(out, r->reason, r->reason ? strlen(r->reason) : 0);
        put(out, r->why, r->why ? strlen(r->why) : 0);
        put(out, r->key, r->key_len);
        put(out, r->text, r->text_len);
        put(out, r->meta, r->meta_len);
        put(out, r->raw, r->raw ? (size_t)r->len : 0);
        require(ds_buf_u64(out, r->offset) == 0 && ds_buf_u64(out, r->len) == 0);
        if (r->reason)
            require(ds_buf_u64(out, r->at) == 0 && r->at >= r->offset &&
                    r->at <= r->offset + r->len);
        else
            require(r->text && ds_utf8_check(r->text, r->text_len) == r->text_len &&
                    (!r->meta || ds_utf8_check(r->meta, r->meta_len) == r->meta_len));
    }
}

static void whole(ds_buf *out, const ds_textopts *o, const ds_texthead *h, const uint8_t *p,
                  size_t len)
{
    ds_textbatch b = {0};
    const ds_textblock k = {.p = p, .len = len, .last = true};
    require(ds_textbatch_records(&b, o, o->format, h, &k) == 0);
    record(out, &b);
    ds_textbatch_fini(&b);
}

static void blocks(ds_buf *out, const ds_textopts *o, const ds_texthead *h, const uint8_t *p,
                   size_t len, size_t step)
{
    ds_textbatch b = {0};
    ds_csvrec scratch = {0};
    for (size_t from = 0, to = 0; from < len;) {
        to = len - to < step ? len : to + step;
        uint8_t *part = malloc(to - from + 1); /* reading past it is seen */
        require(part != NULL);
        memcpy(part, p + from, to - from);
        size_t n = to == len   ? len - from
                   : to > from ? ds_text_whole(&scratch, o, o->format, h, part, to - from)
                               : 0;
        require(n <= to - from);
        ds_textbatch_reset(&b);
        const ds_textblock k = {.p = part, .len = n, .base = from, .last = from + n == len};
        require(ds_textbatch_records(&b, o, o->format, h, &k) == 0);
        record(out, &b);
        free(part);
        from += n;
    }
    ds_csv_fini(&scratch);
    ds_textbatch_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 3)
        return 0;
    static const enum ds_textformat formats[] = {DS_TEXT_JSONL, DS_TEXT_CSV, DS_TEXT_TSV,
                                                 DS_TEXT_PLAIN};
    ds_textopts o = {
        .field = "t", .max_record = 300, .max_depth = 5, .split_bytes = 5, .meta = true};
    static const enum ds_textformat bytes[] = {DS_TEXT_WARC, DS_TEXT_MBOX, DS_TEXT_EML,
                                               DS_TEXT_WARC};
    const bool keyed = data[0] & 0x80;
    o.format = (keyed ? bytes : formats)[data[0] & 3];
    o.split = (enum ds_split)(1 + (data[0] >> 2) % 3);
    o.explicit_key = o.format != DS_TEXT_PLAIN && (data[0] & 16);
    o.key_field = o.explicit_key && !keyed ? "k" : NULL;
    if (keyed) {
        o.split = (enum ds_split)(data[0] >> 2 & 3);
        o.max_record = 3000;
        o.limits.max_ratio = 200;
    }
    ds_texthead head = {0};
    ds_csvrec scratch = {0};
    ds_buf one = {0}, many = {0};
    size_t used = 0, step = (data[1] % 100 + 1) * (keyed ? 7 : 1);
    const uint8_t *p = data + 2;
    bool table = ds_textformat_headed(o.format), go = true;
    len -= 2;
    if (table)
        go = ds_texthead_read(&head, &scratch, &o, o.format, "x", p, len, &used, NULL) == 0;
    if (go) {
        whole(&one, &o, &head, p + used, len - used);
        blocks(&many, &o, &head, p + used, len - used, step);
        require(one.len == many.len && (one.len == 0 || memcmp(one.data, many.data, one.len) == 0));
    }
    ds_texthead_fini(&head);
    ds_csv_fini(&scratch);
    ds_buf_fini(&one);
    ds_buf_fini(&many);
    return 0;
}
