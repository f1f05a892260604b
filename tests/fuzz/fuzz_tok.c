/* fuzz_tok.c - encoding: ids do not depend on how the text is cut into segments nor on caches, text
 * without special treatment comes back, and any text is encoded or refused. The first byte of the
 * input chooses the pipeline, the second the length of segments. A '{' first: a tokenizer.json. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tok.h"
#include "tok_train.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define KINDS 36

static void require(int ok)
{
    if (!ok)
        abort();
}

static const char learn[] =
    "the cat's hat, the bat's mat; they'll 123 1234 said\n\n  then\t\xe4\xb8\xad"
    "\xe6\x96\x87\xe3\x80\x82\xe4\xb8\xad\xe6\x96\x87 e\xcc\x81\xc3\xa9 <s>the<s> ";

/* Replaces one text in the JSON by another. */
static void replace(ds_buf *b, const char *from, const char *to)
{
    char *at = strstr(ds_buf_cstr(b), from);
    ds_buf out = {0};
    require(at != NULL);
    size_t head = (size_t)(at - (char *)b->data);
    require(ds_buf_put(&out, b->data, head) == 0 && ds_buf_puts(&out, to) == 0 &&
            ds_buf_puts(&out, at + strlen(from)) == 0);
    ds_buf_fini(b);
    *b = out;
}

static ds_tok *make(unsigned kind)
{
    static const char *const special[] = {"<s>", "the ", "<s>the"};
    ds_train_options o = {.vocab_size = 330, .special = special, .n_special = 3};
    ds_words *w;
    ds_buf json = {0};
    ds_tok *t = NULL;
    uint32_t n;
    require(ds_words_new(&w, NULL) == 0);
    require(ds_words_add(w, learn, sizeof learn - 1, NULL) == 0);
    require(ds_words_add(w, learn, sizeof learn - 1, NULL) == 0);
    require(ds_tok_train(&json, &n, w, &o, NULL) == 0);
    if (kind & 1)
        replace(&json, "\"normalizer\": null", "\"normalizer\": {\"type\": \"NFC\"}");
    if (kind & 2)
        replace(&json, "\\\\p{N}{1,3}", "\\\\p{N}");
    if (kind & 4)
        replace(&json, "\"rstrip\": false", "\"rstrip\": true");
    if (kind & 8)
        replace(&json, "|\\\\s+(?!\\\\S)|\\\\s+\"}", "|\\\\s+(?!\\\\S)\"}"); /* not a known one */
    if (kind & 16)
        replace(&json, "\"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": false",
                "\"add_prefix_space\": true, \"trim_offsets\": true, \"use_regex\": true");
    require(ds_tok_parse(&t, json.data, json.len, "fuzz", NULL) == 0);
    ds_buf_fini(&json);
    ds_words_free(w);
    return t;
}

/* Characters with byte fallback: Prepend and Replace, Metaspace, or parts with what is before them.
 */
static ds_tok *make_chars(unsigned kind)
{
    static const char *const pre[] = {
        "null",
        "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\",\"split\":"
        "false}",
        "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"always\"}",
        "{\"type\":\"Split\",\"pattern\":{\"String\":\" "
        "\"},\"behavior\":\"MergedWithPrevious\",\"invert\":false}"};
    static const char *const norm[] = {
        "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"_\"},"
        "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"_\"}]}",
        "null", "{\"type\":\"NFC\"}",
        "{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true}"};
    ds_buf b = {0};
    ds_tok *t = NULL;
    require(ds_buf_printf(&b,
                          "{\"normalizer\":%s,\"pre_tokenizer\":%s,\"model\":{\"type\":\"BPE\","
                          "\"byte_fallback\":%s,\"unk_token\":\"u\",\"fuse_unk\":true,\"vocab\":{",
                          norm[kind], pre[kind], kind == 3 ? "false" : "true") == 0);
    for (unsigned i = 0; i < 256; i++)
        require(ds_buf_printf(&b, "\"<0x%02X>\":%u,", i, i) == 0);
    require(
        ds_buf_puts(
            &b,
            "\"_\":256,\"t\":257,\"h\":258,\"e\":259,\"a\":260,\"u\":261,\"th\":262,\"the\":263,"
            "\"_the\":264,\"__\":265,\"aa\":266,\"\xe4\xb8\xad\":267,\"a\xe4\xb8\xad\":268},"
            "\"merges\":[\"t h\",\"th e\",\"_ the\",\"_ _\",\"a a\",\"a \xe4\xb8\xad\"]},"
            "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteFallback\"},"
            "{\"type\":\"Fuse\"}]}}") == 0);
    ds_err err = {0};
    require(ds_tok_parse(&t, b.data, b.len, "fuzz", &err) == 0);
    ds_buf_fini(&b);
    return t;
}

static int put(void *ctx, const uint32_t *ids, size_t n, uint64_t consumed, ds_err *err)
{
    (void)consumed;
    (void)err;
    return ds_ids_put(ctx, ids, n);
}

/* In pieces. */
static void stream(ds_tok_state *st, const uint8_t *text, size_t len, size_t piece, unsigned flags,
                   ds_ids *ids)
{
    ds_tok_stream *s;
    int rc = 0;
    require(ds_tok_stream_new(&s, st, flags, put, ids, NULL) == 0);
    for (size_t at = 0; at < len && rc == 0; at += piece)
        rc = ds_tok_stream_put(s, text + at, piece < len - at ? piece : len - at, NULL);
    if (rc == 0)
        rc = ds_tok_stream_end(s, NULL);
    require((rc == 0) == (ds_utf8_check(text, len) == len));
    ds_tok_stream_free(s);
}

/* With a state that has seen other texts before. */
static void encode(ds_tok_state *st, ds_tok *t, const uint8_t *text, size_t len, size_t segment,
                   unsigned flags, ds_ids *ids)
{
    ds_err err = {0};
    ds_tok_state_segment(st, segment);
    int rc = ds_tok_encode(t, st, text, len, flags, ids, &err);
    require((rc == 0) == (ds_utf8_check(text, len) == len));
    require(rc == 0 || err.msg[0] != 0);
}

static void same(ds_tok *t, const uint8_t *text, size_t len, size_t segment, unsigned kind)
{
    static ds_tok_state *states[KINDS][2];
    ds_tok_state **st = states[kind];
    for (int i = 0; i < 2; i++)
        require(st[i] != NULL || ds_tok_state_new(&st[i], t, NULL) == 0);
    for (unsigned flags = 0; flags <= DS_TOK_NO_ADDED; flags += DS_TOK_NO_ADDED) {
        ds_ids a = {0}, b = {0};
        ds_buf back = {0};
        encode(st[0], t, text, len, 0, flags, &a);
        encode(st[1], t, text, len, segment, flags, &b);
        require(a.n == b.n && (a.n == 0 || memcmp(a.v, b.v, a.n * sizeof *a.v) == 0));
        if (ds_utf8_check(text, len) == len) {
            b.n = 0;
            stream(st[1], text, len, segment % 7 + 1, flags, &b);
            require(a.n == b.n && (a.n == 0 || memcmp(a.v, b.v, a.n * sizeof *a.v) == 0));
        }
        if (a.n > 0 && kind == 0) {
            require(ds_tok_decode(t, a.v, a.n, 0, &back, NULL) == 0);
            require(back.len == len && memcmp(back.data, text, len) == 0);
        }
        ds_buf_fini(&back);
        ds_ids_fini(&a);
        ds_ids_fini(&b);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static ds_tok *made[KINDS];
    if (len < 2)
        return 0;
    if (data[0] == '{') {
        ds_tok *t = NULL;
        ds_err err = {0};
        int rc = ds_tok_parse(&t, data, len, "fuzz", &err);
        require((rc == 0) == (t != NULL) && (rc == 0 || err.msg[0] != 0));
        ds_tok_free(t);
        return 0;
    }
    unsigned kind = data[0] % KINDS;
    if (made[kind] == NULL)
        made[kind] = kind < 32 ? make(kind) : make_chars(kind - 32);
    uint8_t *text = malloc(len - 1); /* of its own, so that reading past it is seen */
    require(text != NULL);
    memcpy(text, data + 2, len - 2);
    same(made[kind], text, len - 2, data[1] % 64 + 1u, kind);
    free(text);
    return 0;
}
