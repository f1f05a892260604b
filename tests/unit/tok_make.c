/* tok_make.c - see tok_make.h. */
#include "tok_make.h"

#include "unit.h"

#include "json.h"
#include "tok_priv.h"
#include "utf8.h"

#define SPLIT(rx)                                                                                  \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" rx                                             \
    "\"},\"behavior\":\"Isolated\",\"invert\":false}"
#define BYTES                                                                                      \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":"      \
    "false}"
#define SEQ(parts) "{\"type\":\"Sequence\",\"pretokenizers\":[" parts "]}"
#define WORDS "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|"
#define REST "| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define ADDED(id, text, special)                                                                   \
    "{\"id\":" id ",\"content\":\"" text                                                           \
    "\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"                                  \
    "\"normalized\":false,\"special\":" special "}"

const tok_spec TOK_SPEC = {
    .dropout = "null",
    .continuing_subword_prefix = "null",
    .end_of_word_suffix = "null",
    .ignore_merges = "false",
    .extra = "",
    .merges = "[\"h e\",\"l l\",[\"he\",\"ll\"],\"hell o\",\"\xc4\xa0 hello\"]",
    .added = "[" ADDED("261", "<s>", "true") "," ADDED("262", "</s>", "true") "," ADDED(
        "263", "<think>", "false") "]",
    .normalizer = "null",
    .pre = SEQ(SPLIT(WORDS "\\\\p{N}{1,3}" REST) "," BYTES),
    .post = "null",
    .decoder = "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_"
               "regex\":true}",
};

const char *const TOK_PRE_QWEN2 = SEQ(SPLIT(WORDS "\\\\p{N}" REST) "," BYTES);
const char *const TOK_PRE_GPT2 =
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true}";
const char *const TOK_PRE_DEEPSEEK =
    SEQ(
        SPLIT("\\\\p{N}{1,3}") "," SPLIT(
            "[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-"
            "\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+") "," SPLIT("[!\\\"#$%&'()*+,\\\\-./"
                                                                 ":;<=>?@\\\\[\\\\\\\\\\\\]^_`{|}~]"
                                                                 "[A-Za-z]+|[^\\r\\n\\\\p{L}\\\\p{"
                                                                 "P}\\\\p{S}]?"
                                                                 "[\\\\p{L}\\\\p{M}]+| "
                                                                 "?[\\\\p{P}\\\\p{S}]+[\\r\\n]*|"
                                                                 "\\\\s*[\\r\\n]+|\\\\s+(?!\\\\S)|"
                                                                 "\\\\s+") "," BYTES);

void tok_spec_set(tok_spec *s, const char *name, const char *value)
{
    const struct {
        const char *name, **to;
    } parts[] = {{"dropout", &s->dropout},
                 {"continuing_subword_prefix", &s->continuing_subword_prefix},
                 {"end_of_word_suffix", &s->end_of_word_suffix},
                 {"ignore_merges", &s->ignore_merges},
                 {"extra", &s->extra},
                 {"merges", &s->merges},
                 {"added", &s->added},
                 {"normalizer", &s->normalizer},
                 {"pre", &s->pre},
                 {"post", &s->post},
                 {"decoder", &s->decoder}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (strcmp(parts[i].name, name) == 0) {
            *parts[i].to = value;
            return;
        }
    }
    fail_msg("no part %s", name);
}

void tok_spec_write(ds_buf *b, const tok_spec *s)
{
    ds_buf_printf(b,
                  "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":%s,",
                  s->added);
    ds_buf_printf(b, "\"normalizer\":%s,\"pre_tokenizer\":%s,\"post_processor\":%s,\"decoder\":%s,",
                  s->normalizer, s->pre, s->post, s->decoder);
    ds_buf_printf(b, "\"model\":{\"type\":\"BPE\",\"dropout\":%s,\"unk_token\":null,", s->dropout);
    ds_buf_printf(b, "\"continuing_subword_prefix\":%s,\"end_of_word_suffix\":%s,",
                  s->continuing_subword_prefix, s->end_of_word_suffix);
    ds_buf_printf(b, "\"fuse_unk\":false,\"byte_fallback\":false,\"ignore_merges\":%s,\"vocab\":{",
                  s->ignore_merges);
    for (unsigned i = 0; i < 256; i++) {
        uint8_t text[4];
        unsigned n = ds_utf8_put(text, ds_tok_byte_cp((uint8_t)i));
        ds_json_str(b, (const char *)text, n);
        ds_buf_printf(b, ":%u,", i);
    }
    ds_buf_printf(
        b,
        "\"he\":256,\"ll\":257,\"hell\":258,\"hello\":259,\"\xc4\xa0hello\":260%s},\"merges\":%s}}",
        s->extra, s->merges);
}

ds_tok *tok_make(const tok_spec *s)
{
    ds_tok *t = NULL;
    ds_err err = {0};
    ds_buf b = {0};
    tok_spec_write(&b, s);
    if (ds_tok_parse(&t, b.data, b.len, "test", &err) != 0)
        fail_msg("%s", err.msg);
    ds_buf_fini(&b);
    return t;
}
