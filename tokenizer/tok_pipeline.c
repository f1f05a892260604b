/* tok_pipeline.c - normalizer, pre-tokenizer, post-processor and decoder of tokenizer.json.
 *
 * Known patterns are recognised by their exact text and get a hand-written scanner.
 */
#include "tok_json.h"
#include "tok_window.h"

#include <stdlib.h>
#include <string.h>

#define SPACE "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
static const char llama3[] = CONTRACTION "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACE;
static const char qwen2[] = CONTRACTION "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACE;
static const char gpt2[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
static const char digits3[] = "\\p{N}{1,3}";
static const char cjk[] =
    "[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+";
static const char deepseek[] =
    "[!\"#$%&'()*+,\\-./"
    ":;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
    " ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+";

const char *ds_tok_llama3_pattern(void)
{
    return llama3;
}

int ds_tok_add_step(ds_tok *t, enum tok_step_kind kind, unsigned max, ds_err *err)
{
    if (t->n_steps == TOK_STEPS)
        return ds_fail(err, DS_FAIL, "pre_tokenizer: more than %d steps", TOK_STEPS);
    tok_step *s = &t->step[t->n_steps++];
    s->kind = kind;
    s->max = max;
    return 0;
}

static bool is_pattern(const char *known, const char *pattern, size_t len)
{
    return strlen(known) == len && memcmp(known, pattern, len) == 0;
}

int ds_tok_add_split(ds_tok *t, const char *pattern, size_t len, bool literal, bool drop_match,
                     bool drop_gap, ds_err *err)
{
    /* The two patterns of Llama and Qwen match every character, so that gaps do not exist. */
    if (!literal && !drop_match && is_pattern(llama3, pattern, len))
        return ds_tok_add_step(t, TOK_STEP_LLAMA3, 0, err);
    if (!literal && !drop_match && is_pattern(qwen2, pattern, len))
        return ds_tok_add_step(t, TOK_STEP_QWEN2, 0, err);
    if (!literal && !drop_match && is_pattern(gpt2, pattern, len))
        return ds_tok_add_step(t, TOK_STEP_GPT2, 0, err);
    if (!literal && !drop_match && !drop_gap && is_pattern(digits3, pattern, len))
        return ds_tok_add_step(t, TOK_STEP_DIGITS, 3, err);
    int rc = ds_tok_add_step(t, TOK_STEP_REGEX, 0, err);
    if (rc != 0)
        return rc;
    tok_step *s = &t->step[t->n_steps - 1];
    s->drop_match = drop_match;
    s->drop_gap = drop_gap;
    s->pattern = strdup(pattern);
    if (s->pattern == NULL)
        return ds_fail_nomem(err);
    return ds_tok_regex_compile(s, pattern, len, literal, err);
}

static bool step_is_regex(const tok_step *s, const char *pattern)
{
    return s->kind == TOK_STEP_REGEX && !s->drop_match && !s->drop_gap &&
           strcmp(s->pattern, pattern) == 0;
}

static void step_fini(tok_step *s)
{
    pcre2_code_free(s->re);
    free(s->pattern);
    memset(s, 0, sizeof *s);
}

/* DeepSeek's triple becomes one step; and it is seen whether texts can be cut (tok_encode.c). */
void ds_tok_fuse_steps(ds_tok *t)
{
    tok_step *s = t->step;
    if (t->n_steps == 3 && s[0].kind == TOK_STEP_DIGITS && s[0].max == 3 &&
        step_is_regex(&s[1], cjk) && step_is_regex(&s[2], deepseek)) {
        step_fini(&s[1]);
        step_fini(&s[2]);
        s[0] = (tok_step){.kind = TOK_STEP_DEEPSEEK};
        t->n_steps = 1;
    }
    unsigned k = 0; /* a cut must not change what the steps before the scanner do */
    while (k < t->n_steps &&
           (s[k].kind == TOK_STEP_DIGITS || (k == 0 && s[k].kind == TOK_STEP_PREFIX)))
        k++;
    t->cuttable = k + 1 == t->n_steps && s[k].kind <= TOK_STEP_DEEPSEEK;
    for (unsigned i = 1; i < t->n_steps; i++)
        t->cuttable = t->cuttable && s[i].kind != TOK_STEP_PREFIX;
    if (t->n_steps > 0)
        ds_tok_kinds(t->kinds, s[t->n_steps - 1].kind);
    if (t->nfc && t->normal.longest > 0)
        t->cuttable = false; /* added tokens that only the normalised text shows */
}

void ds_tok_steps_fini(ds_tok *t)
{
    for (unsigned k = 0; k < TOK_STEPS; k++)
        step_fini(&t->step[k]);
}

static const char *type_of(const json_t *o)
{
    return json_string_value(json_object_get(o, "type"));
}

/* The parts of a Sequence under `member`; depth guards against a file made to nest. */
static int each(ds_tok *t, const json_t *o, const char *what, const char *member, int depth,
                int (*fn)(ds_tok *, const json_t *, int, ds_err *), ds_err *err)
{
    const json_t *list = json_object_get(o, member);
    if (!json_is_array(list))
        return ds_fail(err, DS_FAIL, "%s: Sequence without a list of %s", what, member);
    if (depth > 8)
        return ds_fail(err, DS_FAIL, "%s: Sequences nest too deeply", what);
    int rc = 0;
    for (size_t i = 0; i < json_array_size(list) && rc == 0; i++)
        rc = fn(t, json_array_get(list, i), depth + 1, err);
    return rc;
}

static int need_object(const json_t *o, const char *what, const char **type, ds_err *err)
{
    if (!json_is_object(o))
        return ds_fail(err, DS_FAIL, "%s is not an object", what);
    *type = type_of(o);
    return *type != NULL ? 0 : ds_fail(err, DS_FAIL, "%s has no type", what);
}

static int normalizer(ds_tok *t, const json_t *o, int depth, ds_err *err)
{
    const char *type;
    if (o == NULL || json_is_null(o))
        return 0;
    int rc = need_object(o, "normalizer", &type, err);
    if (rc != 0)
        return rc;
    if (strcmp(type, "Sequence") == 0)
        return each(t, o, "normalizer", "normalizers", depth, normalizer, err);
    if (strcmp(type, "NFC") != 0)
        return ds_fail(err, DS_FAIL, "normalizer %s is not supported (NFC is)", type);
    t->nfc = true;
    return 0;
}

int ds_tok_read_normalizer(ds_tok *t, const json_t *o, ds_err *err)
{
    return normalizer(t, o, 0, err);
}

static int flag(const json_t *o, const char *name, bool missing, bool *out, const char *what,
                ds_err *err)
{
    const json_t *v = json_object_get(o, name);
    if (v == NULL) {
        *out = missing;
        return 0;
    }
    if (!json_is_boolean(v))
        return ds_fail(err, DS_FAIL, "%s: %s is neither true nor false", what, name);
    *out = json_is_true(v);
    return 0;
}

static int split_step(ds_tok *t, const json_t *o, ds_err *err)
{
    const char *behavior = json_string_value(json_object_get(o, "behavior"));
    const json_t *pattern = json_object_get(o, "pattern"), *v = json_object_get(pattern, "Regex");
    bool literal = v == NULL, invert = false, removed;
    if (literal)
        v = json_object_get(pattern, "String");
    if (!json_is_string(v) || json_string_length(v) == 0)
        return ds_fail(err, DS_FAIL, "pre_tokenizer Split has no pattern");
    int rc = flag(o, "invert", false, &invert, "pre_tokenizer Split", err);
    if (rc != 0)
        return rc;
    if (behavior == NULL)
        return ds_fail(err, DS_FAIL, "pre_tokenizer Split has no behavior");
    removed = strcmp(behavior, "Removed") == 0;
    if (!removed && strcmp(behavior, "Isolated") != 0)
        return ds_fail(
            err, DS_FAIL,
            "pre_tokenizer Split with behavior %s is not supported (Isolated, Removed are)",
            behavior);
    return ds_tok_add_split(t, json_string_value(v), json_string_length(v), literal,
                            removed && !invert, removed && invert, err);
}

static int byte_level_step(ds_tok *t, const json_t *o, ds_err *err)
{
    bool prefix = false, regex = false;
    int rc = flag(o, "add_prefix_space", true, &prefix, "pre_tokenizer ByteLevel", err);
    if (rc == 0)
        rc = flag(o, "use_regex", true, &regex, "pre_tokenizer ByteLevel", err);
    if (rc == 0 && prefix)
        rc = ds_tok_add_step(t, TOK_STEP_PREFIX, 0, err);
    if (rc == 0 && regex)
        rc = ds_tok_add_step(t, TOK_STEP_GPT2, 0, err);
    t->byte_level = true;
    return rc;
}

static int pre_tokenizer(ds_tok *t, const json_t *o, int depth, ds_err *err)
{
    const char *type;
    int rc = need_object(o, "pre_tokenizer", &type, err);
    if (rc != 0)
        return rc;
    if (strcmp(type, "Sequence") == 0)
        return each(t, o, "pre_tokenizer", "pretokenizers", depth, pre_tokenizer, err);
    if (t->byte_level)
        return ds_fail(err, DS_FAIL, "pre_tokenizer %s after ByteLevel is not supported", type);
    if (strcmp(type, "Split") == 0)
        return split_step(t, o, err);
    if (strcmp(type, "ByteLevel") == 0)
        return byte_level_step(t, o, err);
    if (strcmp(type, "Digits") == 0) {
        bool one = false;
        rc = flag(o, "individual_digits", false, &one, "pre_tokenizer Digits", err);
        return rc == 0 ? ds_tok_add_step(t, TOK_STEP_DIGITS, one ? 1 : 0, err) : rc;
    }
    return ds_fail(err, DS_FAIL, "pre_tokenizer %s is not supported (Split, Digits, ByteLevel are)",
                   type);
}

int ds_tok_read_pre_tokenizer(ds_tok *t, const json_t *o, ds_err *err)
{
    if (o == NULL || json_is_null(o))
        return ds_fail(err, DS_FAIL,
                       "pre_tokenizer is missing: only byte-level tokenizers are supported");
    int rc = pre_tokenizer(t, o, 0, err);
    if (rc == 0 && !t->byte_level)
        rc = ds_fail(err, DS_FAIL,
                     "pre_tokenizer has no ByteLevel: only byte-level tokenizers are supported");
    return rc;
}

static int put_special(ds_tok *t, const json_t *map, const json_t *part, uint32_t **v, size_t *n,
                       ds_err *err)
{
    const char *name = json_string_value(json_object_get(part, "id"));
    const json_t *ids = name ? json_object_get(json_object_get(map, name), "ids") : NULL;
    if (!json_is_array(ids))
        return ds_fail(err, DS_FAIL, "post_processor: special token %s is not defined",
                       name ? name : "(no id)");
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        json_int_t x = json_integer_value(id);
        if (!json_is_integer(id) || x < 0 || x >= (json_int_t)t->n_entries ||
            !(t->entry[x].flags & TOK_EXISTS))
            return ds_fail(err, DS_FAIL,
                           "post_processor: special token %s has an id that is not in use", name);
        uint32_t *p = realloc(*v, (*n + 1) * sizeof *p);
        if (p == NULL)
            return ds_fail_nomem(err);
        *v = p;
        p[(*n)++] = (uint32_t)x;
    }
    return 0;
}

static int template(ds_tok *t, const json_t *o, ds_err *err)
{
    const json_t *single = json_object_get(o, "single"),
                 *map = json_object_get(o, "special_tokens");
    if (!json_is_array(single))
        return ds_fail(err, DS_FAIL, "post_processor TemplateProcessing has no list \"single\"");
    bool seen = false;
    int rc = 0;
    if (t->n_prefix > 0 || t->n_suffix > 0)
        return ds_fail(err, DS_FAIL,
                       "post_processor: more than one TemplateProcessing is not supported");
    for (size_t i = 0; i < json_array_size(single) && rc == 0; i++) {
        const json_t *part = json_array_get(single, i),
                     *special = json_object_get(part, "SpecialToken");
        const char *seq =
            json_string_value(json_object_get(json_object_get(part, "Sequence"), "id"));
        if (special != NULL)
            rc = seen ? put_special(t, map, special, &t->suffix, &t->n_suffix, err)
                      : put_special(t, map, special, &t->prefix, &t->n_prefix, err);
        else if (seq != NULL && strcmp(seq, "A") == 0 && !seen)
            seen = true;
        else
            rc = ds_fail(err, DS_FAIL,
                         "post_processor TemplateProcessing: \"single\" part %zu is not understood",
                         i);
    }
    if (rc == 0 && !seen)
        rc =
            ds_fail(err, DS_FAIL, "post_processor TemplateProcessing: \"single\" lacks Sequence A");
    return rc;
}

static int post_processor(ds_tok *t, const json_t *o, int depth, ds_err *err)
{
    const char *type;
    if (o == NULL || json_is_null(o))
        return 0;
    int rc = need_object(o, "post_processor", &type, err);
    if (rc != 0)
        return rc;
    if (strcmp(type, "Sequence") == 0)
        return each(t, o, "post_processor", "processors", depth, post_processor, err);
    if (strcmp(type, "ByteLevel") == 0)
        return 0; /* moves offsets only */
    if (strcmp(type, "TemplateProcessing") == 0)
        return template(t, o, err);
    return ds_fail(err, DS_FAIL,
                   "post_processor %s is not supported (TemplateProcessing, ByteLevel are)", type);
}

int ds_tok_read_post_processor(ds_tok *t, const json_t *o, ds_err *err)
{
    return post_processor(t, o, 0, err);
}

static int decoder(ds_tok *t, const json_t *o, int depth, ds_err *err)
{
    const char *type;
    if (o == NULL || json_is_null(o))
        return 0;
    int rc = need_object(o, "decoder", &type, err);
    if (rc != 0)
        return rc;
    if (strcmp(type, "Sequence") == 0)
        return each(t, o, "decoder", "decoders", depth, decoder, err);
    if (strcmp(type, "ByteLevel") != 0 || t->has_decoder)
        return ds_fail(err, DS_FAIL, "decoder %s%s is not supported (one ByteLevel is)", type,
                       t->has_decoder ? " after ByteLevel" : "");
    t->has_decoder = true;
    return 0;
}

int ds_tok_read_decoder(ds_tok *t, const json_t *o, ds_err *err)
{
    return decoder(t, o, 0, err);
}
