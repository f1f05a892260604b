/* tok_write.c - see tok_write.h. */
#include "tok_write.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "hash.h"
#include "tok_json.h"
#include "json.h"
#include "utf8.h"

#define NONE UINT32_MAX

static size_t find_slot(const tok_table *t, const uint8_t *p, size_t len)
{
    size_t i = (size_t)ds_xxh64(p, len) & t->mask;
    while (t->slot[i] != NONE) {
        const tok_text *x = &t->text[t->slot[i]];
        if (x->len == len && memcmp(t->pool.data + x->at, p, len) == 0)
            break;
        i = (i + 1) & t->mask;
    }
    return i;
}

static int grow_slots(tok_table *t)
{
    size_t cap = t->slot != NULL ? (t->mask + 1) * 2 : 4096;
    uint32_t *slot = malloc(cap * sizeof *slot);
    if (slot == NULL)
        return DS_NOMEM;
    memset(slot, 0xff, cap * sizeof *slot);
    free(t->slot);
    t->slot = slot;
    t->mask = cap - 1;
    for (uint32_t id = 0; id < t->n; id++)
        t->slot[find_slot(t, t->pool.data + t->text[id].at, t->text[id].len)] = id;
    return 0;
}

/* The token whose text was just appended to the pool at `at`: an old one, or a new one. */
static int enter(tok_table *t, size_t at, uint32_t *id)
{
    size_t len = t->pool.len - at, i = find_slot(t, t->pool.data + at, len);
    if (t->slot[i] != NONE) {
        t->pool.len = at;
        *id = t->slot[i];
        return 0;
    }
    if (ds_grow(&t->text, &t->cap_text, t->n, sizeof *t->text) != 0)
        return DS_NOMEM;
    t->text[t->n] = (tok_text){at, (uint32_t)len};
    t->slot[i] = *id = t->n++;
    return (size_t)t->n * 2 > t->mask ? grow_slots(t) : 0;
}

static int add_special(tok_table *t, const char *s, ds_err *err)
{
    size_t len = strlen(s), at = t->pool.len;
    uint32_t id;
    if (len == 0 || ds_utf8_check((const uint8_t *)s, len) != len)
        return ds_fail(err, DS_USAGE, "special token '%s' is empty or not UTF-8", s);
    if (ds_buf_put(&t->pool, s, len) != 0 || enter(t, at, &id) != 0)
        return ds_fail_nomem(err);
    if (id != t->n_special)
        return ds_fail(err, DS_USAGE, "special token '%s' is given twice", s);
    t->n_special++;
    return 0;
}

static int by_cp(const void *pa, const void *pb)
{
    uint32_t a = ds_tok_byte_cp(*(const uint8_t *)pa), b = ds_tok_byte_cp(*(const uint8_t *)pb);
    return a < b ? -1 : a > b;
}

int ds_tok_table_init(tok_table *t, const char *const *special, size_t n, ds_err *err)
{
    uint8_t order[256];
    int rc = grow_slots(t) == 0 ? 0 : ds_fail_nomem(err);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = add_special(t, special[i], err);
    for (unsigned b = 0; b < 256; b++)
        order[b] = (uint8_t)b;
    qsort(order, 256, 1, by_cp);
    for (unsigned i = 0; i < 256 && rc == 0; i++) {
        uint8_t text[4];
        size_t at = t->pool.len;
        unsigned len = ds_utf8_put(text, ds_tok_byte_cp(order[i]));
        if (ds_buf_put(&t->pool, text, len) != 0 || enter(t, at, &t->byte_id[order[i]]) != 0)
            rc = ds_fail_nomem(err);
    }
    return rc;
}

void ds_tok_table_fini(tok_table *t)
{
    ds_buf_fini(&t->pool);
    free(t->text);
    free(t->merge);
    free(t->slot);
    memset(t, 0, sizeof *t);
}

int ds_tok_table_merge(tok_table *t, uint32_t a, uint32_t b, bool note, uint32_t *id)
{
    size_t at = t->pool.len, need = (size_t)t->text[a].len + t->text[b].len;
    if (need > UINT32_MAX || ds_buf_reserve(&t->pool, need) != 0 ||
        ds_grow(&t->merge, &t->cap_merges, t->n_merges, sizeof *t->merge) != 0)
        return DS_NOMEM;
    memcpy(t->pool.data + at, t->pool.data + t->text[a].at, t->text[a].len);
    memcpy(t->pool.data + at + t->text[a].len, t->pool.data + t->text[b].at, t->text[b].len);
    t->pool.len += need;
    if (note)
        t->merge[t->n_merges++] = (uint64_t)a << 32 | b;
    return enter(t, at, id);
}

static const char *text_of(const tok_table *t, uint32_t id)
{
    return (const char *)t->pool.data + t->text[id].at;
}

static int put_text(ds_buf *out, const tok_table *t, uint32_t id)
{
    return ds_json_str(out, text_of(t, id), t->text[id].len);
}

static int put_head(ds_buf *out, const tok_table *t)
{
    int rc = ds_buf_puts(
        out, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"
             "  \"added_tokens\": [");
    for (uint32_t id = 0; id < t->n_special && rc == 0; id++) {
        rc = ds_buf_printf(out, "%s\n    {\"id\": %u, \"content\": ", id ? "," : "", id);
        if (rc == 0)
            rc = put_text(out, t, id);
        if (rc == 0)
            rc = ds_buf_puts(out, ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                                  "\"normalized\": false, \"special\": true}");
    }
    const char *pattern = ds_tok_llama3_pattern();
    if (rc == 0)
        rc = ds_buf_printf(
            out,
            "%s],\n  \"normalizer\": null,\n  \"pre_tokenizer\": {\"type\": \"Sequence\", "
            "\"pretokenizers\": [\n    {\"type\": \"Split\", \"pattern\": {\"Regex\": ",
            t->n_special ? "\n  " : "");
    if (rc == 0)
        rc = ds_json_str(out, pattern, strlen(pattern));
    if (rc == 0)
        rc = ds_buf_puts(
            out,
            "}, \"behavior\": \"Isolated\", \"invert\": false},\n"
            "    {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, "
            "\"use_regex\": false}\n  ]},\n"
            "  \"post_processor\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
            "\"trim_offsets\": false, \"use_regex\": false},\n"
            "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
            "\"trim_offsets\": true, \"use_regex\": true},\n");
    return rc;
}

int ds_tok_write_vocab(ds_buf *out, const tok_table *t)
{
    int rc = ds_buf_putc(out, '{');
    for (uint32_t id = 0; id < t->n && rc == 0; id++) {
        rc = ds_buf_puts(out, id ? ",\n      " : "\n      ");
        if (rc == 0)
            rc = put_text(out, t, id);
        if (rc == 0)
            rc = ds_buf_printf(out, ": %u", id);
    }
    return rc ? rc : ds_buf_puts(out, "\n    }");
}

int ds_tok_write_merges(ds_buf *out, const tok_table *t)
{
    int rc = ds_buf_putc(out, '[');
    for (size_t i = 0; i < t->n_merges && rc == 0; i++) {
        ds_buf both = {0};
        uint32_t a = (uint32_t)(t->merge[i] >> 32), b = (uint32_t)t->merge[i];
        rc = ds_buf_put(&both, text_of(t, a), t->text[a].len);
        if (rc == 0)
            rc = ds_buf_putc(&both, ' ');
        if (rc == 0)
            rc = ds_buf_put(&both, text_of(t, b), t->text[b].len);
        if (rc == 0)
            rc = ds_buf_puts(out, i ? ",\n      " : "\n      ");
        if (rc == 0)
            rc = ds_json_str(out, (const char *)both.data, both.len);
        ds_buf_fini(&both);
    }
    return rc ? rc : ds_buf_puts(out, t->n_merges ? "\n    ]" : "]");
}

int ds_tok_write_json(ds_buf *out, const tok_table *t)
{
    int rc = put_head(out, t);
    if (rc == 0)
        rc = ds_buf_puts(
            out, "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    "
                 "\"unk_token\": null,\n"
                 "    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n"
                 "    \"fuse_unk\": false,\n    \"byte_fallback\": false,\n    \"ignore_merges\": "
                 "false,\n"
                 "    \"vocab\": ");
    rc = rc ? rc : ds_tok_write_vocab(out, t);
    rc = rc ? rc : ds_buf_puts(out, ",\n    \"merges\": ");
    rc = rc ? rc : ds_tok_write_merges(out, t);
    return rc ? rc : ds_buf_puts(out, "\n  }\n}\n");
}
