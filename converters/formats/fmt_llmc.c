/* fmt_llmc.c - token ids as llm.c reads them: i32[256] with magic, version and number of ids, then
 * these: 20240520, 1 with u16 (GPT-2), 20240801, 7 with u32 (Llama 3). At most 2^31 - 1 in a file.
 */
#include "idstream.h"

enum { HEAD = 1024 }; /* 256 i32, of which three say something */

static const struct {
    uint32_t magic, version;
    int dtype;
} kinds[] = {{20240520, 1, DS_U16}, {20240801, 7, DS_U32}};

static int make(ds_buf *out, enum ds_type t, uint64_t n, ds_err *err)
{
    const size_t k = t == DS_TOKENS16 ? 0 : 1;
    if (n > INT32_MAX)
        return ds_fail(err, DS_FAIL, "llmc: more than 2^31 - 1 ids in a file: give --shard-size");
    if (ds_buf_u32(out, kinds[k].magic) || ds_buf_u32(out, kinds[k].version) ||
        ds_buf_u32(out, (uint32_t)n))
        return ds_fail_nomem(err);
    for (size_t i = 3; i < HEAD / 4; i++)
        if (ds_buf_u32(out, 0))
            return ds_fail_nomem(err);
    return 0;
}

static const char *parse(const uint8_t *p, size_t len, size_t *head, uint64_t *n, int *dtype)
{
    if (len < HEAD)
        return "shorter than a head of llm.c";
    *dtype = 0;
    for (size_t k = 0; k < 2; k++)
        if (ds_get_u32(p) == kinds[k].magic && ds_get_u32(p + 4) == kinds[k].version)
            *dtype = kinds[k].dtype;
    *head = HEAD;
    *n = ds_get_u32(p + 8);
    return !*dtype ? "no head of llm.c's data" : *n > INT32_MAX ? "a negative number of ids" : NULL;
}

static const ds_idhead heads = {.len = HEAD, .make = make, .parse = parse};

static int begin(void **w, const ds_fmtwrite *o, const ds_schema *s, ds_fmtloss *l, ds_err *err)
{
    return ds_idstream_begin(w, &heads, ".bin", o, s, l, err);
}

static int read_open(void **r, const ds_fmtread *o, ds_err *err)
{
    return ds_idread_open(r, &heads, o, err);
}

extern const ds_format ds_format_llmc;
const ds_format ds_format_llmc = {
    .name = "llmc",
    .summary = "token ids for llm.c",
    .ext = ".bin",
    .flags = DS_FORMAT_SHARDS | DS_FORMAT_IDS,
    .begin = begin,
    .open = ds_idstream_open,
    .row = ds_idstream_row,
    .put = ds_idstream_put,
    .finish = ds_idstream_finish,
    .free = ds_idstream_free,
    .read_open = read_open,
    .schema = ds_idread_schema,
    .read = ds_idread_read,
    .close = ds_idread_close,
};
