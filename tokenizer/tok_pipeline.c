/* tok_pipeline.c - normalizer, pre-tokenizer, post-processor and decoder of tokenizer.json.
 *
 * Known patterns are recognised by their exact text and get a hand-written scanner.
 */
#include "tok_json.h"
#include "tok_parts.h"
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

static int add_step(ds_tok *t, enum tok_step_kind kind, unsigned max, ds_err *err)
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

static int add_split(ds_tok *t, const char *pattern, size_t len, bool literal,
                     enum tok_behavior behavior, bool invert, ds_err *err)
{
    /* These patterns match every character, so that there is nothing between matches to keep or
     * not. */
    if (!literal && (behavior == TOK_ISOLATED || (behavior == TOK_REMOVED && invert))) {
        if (is_pattern(llama3, pattern, len))
            return add_step(t, TOK_STEP_LLAMA3, 0, err);
        if (is_pattern(qwen2, pattern, len))
            return add_step(t, TOK_STEP_QWEN2, 0, err);
        if (is_pattern(gpt2, pattern, len))
            return add_step(t, TOK_STEP_GPT2, 0, err);
    }
    if (!literal && behavior == TOK_ISOLATED && is_pattern(digits3, pattern, len))
        return add_step(t, TOK_STEP_DIGITS, TOK_PATTERN_DIGITS, err);
    int rc = add_step(t, TOK_STEP_REGEX, 0, err);
    if (rc != 0)
        return rc;
    tok_step *s = &t->step[t->n_steps - 1];
    s->behavior = behavior;
    s->invert = invert;
    if (!literal && behavior == TOK_ISOLATED && !invert && ds_tok_set_read(t, pattern, len)) {
        s->re.pattern = strdup(pattern);
        return s->re.pattern != NULL ? 0 : ds_fail_nomem(err);
    }
    return ds_tok_regex_compile(&s->re, "Split", pattern, len, literal, err);
}

static bool step_is_regex(const tok_step *s, const char *pattern)
{
    return (s->kind == TOK_STEP_REGEX || s->kind == TOK_STEP_SET) && s->behavior == TOK_ISOLATED &&
           strcmp(s->re.pattern, pattern) == 0;
}

static void step_fini(tok_step *s)
{
    ds_tok_regex_fini(&s->re);
    memset(s, 0, sizeof *s);
}

/* May a text be cut before a space that a letter stands before? Words do not merge across. */
static bool cut_before_space(const ds_tok *t, const char *space)
{
    unsigned n;
    uint32_t c = ds_uni_get((const uint8_t *)space, &n);
    if (!t->in_parts)
        return false;
    for (unsigned i = 0; i < 52; i++) {
        uint8_t a = (uint8_t)((i < 26 ? 'A' : 'a' - 26) + i);
        if (tok_join_may(t->join, a, a, c, (uint8_t)*space))
            return false;
    }
    return true;
}

/* A cut must not change what the steps before the last one do. */
static bool can_cut(ds_tok *t)
{
    const tok_step *s = t->step;
    const char *space;
    unsigned k = 0;
    if (t->norms.n > 0 && t->normal.longest > 0)
        return false; /* added tokens that only the normalised text shows */
    if (!ds_tok_norms_local(&t->norms, &space))
        return false;
    if (ds_tok_sets_cut(t))
        return strcmp(space, " ") == 0;
    while (k < t->n_steps &&
           (s[k].kind == TOK_STEP_DIGITS || (k == 0 && s[k].kind == TOK_STEP_PREFIX)))
        k++;
    if (k < t->n_steps && s[k].kind == TOK_STEP_METASPACE)
        t->only_before_space = k == 0 && t->n_steps == 1 && cut_before_space(t, s[k].meta.text);
    else if (k == t->n_steps)
        t->only_before_space = cut_before_space(t, space);
    else
        return k + 1 == t->n_steps && s[k].kind <= TOK_STEP_DEEPSEEK && strcmp(space, " ") == 0;
    return t->only_before_space;
}

/* DeepSeek's triple becomes one step; and it is seen whether texts can be cut (tok_encode.c). */
void ds_tok_fuse_steps(ds_tok *t)
{
    tok_step *s = t->step;
    if (t->n_steps == 3 && s[0].kind == TOK_STEP_DIGITS && s[0].max == TOK_PATTERN_DIGITS &&
        step_is_regex(&s[1], cjk) && step_is_regex(&s[2], deepseek)) {
        step_fini(&s[1]);
        step_fini(&s[2]);
        s[0] = (tok_step){.kind = TOK_STEP_DEEPSEEK};
        t->n_steps = 1;
    }
    if (t->n_steps > 0)
        ds_tok_kinds(t->kinds, s[t->n_steps - 1].kind);
    ds_tok_sets_end(t);
    t->cuttable = can_cut(t);
}

void ds_tok_steps_fini(ds_tok *t)
{
    for (unsigned k = 0; k < TOK_STEPS; k++)
        step_fini(&t->step[k]);
}

int ds_tok_read_normalizer(ds_tok *t, const json_t *o, ds_err *err)
{
    return ds_tok_norms_read(&t->norms, o, err);
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

static int behavior_of(const json_t *o, const char *type, enum tok_behavior *out, ds_err *err)
{
    static const char *const names[] = {"Isolated", "Removed", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    const char *name = json_string_value(json_object_get(o, "behavior"));
    for (unsigned k = 0; name != NULL && k < sizeof names / sizeof *names; k++) {
        if (strcmp(name, names[k]) == 0) {
            *out = (enum tok_behavior)k;
            return 0;
        }
    }
    return ds_fail(err, DS_FAIL, "pre_tokenizer %s: behavior %s is not known", type,
                   name != NULL ? name : "(none)");
}

static int punctuation_step(ds_tok *t, const json_t *o, ds_err *err)
{
    enum tok_behavior behavior = TOK_ISOLATED;
    int rc =
        json_object_get(o, "behavior") != NULL ? behavior_of(o, "Punctuation", &behavior, err) : 0;
    rc = rc ? rc : add_step(t, TOK_STEP_PUNCT, 0, err);
    if (rc == 0)
        t->step[t->n_steps - 1].behavior = behavior;
    return rc;
}

static int delimiter_step(ds_tok *t, const json_t *o, ds_err *err)
{
    const json_t *v = json_object_get(o, "delimiter");
    unsigned n = 0;
    if (json_is_string(v) && json_string_length(v) > 0)
        ds_uni_get((const uint8_t *)json_string_value(v), &n);
    if (n == 0 || n != json_string_length(v))
        return ds_fail(err, DS_FAIL,
                       "pre_tokenizer CharDelimiterSplit: delimiter is not one character");
    return add_split(t, json_string_value(v), n, true, TOK_REMOVED, false, err);
}

static int split_step(ds_tok *t, const json_t *o, ds_err *err)
{
    enum tok_behavior behavior;
    const json_t *pattern = json_object_get(o, "pattern"), *v = json_object_get(pattern, "Regex");
    bool literal = v == NULL, invert = false;
    if (literal)
        v = json_object_get(pattern, "String");
    if (!json_is_string(v) || json_string_length(v) == 0)
        return ds_fail(err, DS_FAIL, "pre_tokenizer Split has no pattern");
    int rc = flag(o, "invert", false, &invert, "pre_tokenizer Split", err);
    if (rc != 0)
        return rc;
    rc = behavior_of(o, "Split", &behavior, err);
    return rc ? rc
              : add_split(t, json_string_value(v), json_string_length(v), literal, behavior, invert,
                          err);
}

int ds_tok_metaspace_read(tok_metaspace *m, const json_t *o, const char *what, ds_err *err)
{
    const json_t *text = json_object_get(o, "replacement"),
                 *scheme = json_object_get(o, "prepend_scheme");
    static const char *const names[] = {"always", "first", "never"};
    const char *name =
        scheme == NULL || json_is_null(scheme) ? "always" : json_string_value(scheme);
    bool prefix = true;
    unsigned n = 0, k = 0;
    memset(m, 0, sizeof *m);
    m->split = true;
    if (json_is_string(text) && json_string_length(text) > 0)
        ds_uni_get((const uint8_t *)json_string_value(text), &n);
    if (n == 0 || n != json_string_length(text))
        return ds_fail(err, DS_FAIL, "%s Metaspace: replacement is not one character", what);
    memcpy(m->text, json_string_value(text), n);
    m->len = n;
    while (k < 3 && (name == NULL || strcmp(name, names[k]) != 0))
        k++;
    if (k == 3)
        return ds_fail(err, DS_FAIL, "%s Metaspace: prepend_scheme is not known", what);
    m->prepend = (enum tok_prepend)k;
    int rc = flag(o, "split", true, &m->split, what, err);
    if (rc == 0)
        rc = flag(o, "add_prefix_space", true, &prefix, what, err);
    if (rc == 0 && !prefix && m->prepend != TOK_PREPEND_NEVER)
        rc = ds_fail(err, DS_FAIL, "%s Metaspace: add_prefix_space and prepend_scheme disagree",
                     what);
    return rc;
}

static int metaspace_step(ds_tok *t, const json_t *o, ds_err *err)
{
    int rc = add_step(t, TOK_STEP_METASPACE, 0, err);
    return rc ? rc : ds_tok_metaspace_read(&t->step[t->n_steps - 1].meta, o, "pre_tokenizer", err);
}

static int byte_level_step(ds_tok *t, const json_t *o, ds_err *err)
{
    bool prefix = false, regex = false;
    int rc = flag(o, "add_prefix_space", true, &prefix, "pre_tokenizer ByteLevel", err);
    if (rc == 0)
        rc = flag(o, "use_regex", true, &regex, "pre_tokenizer ByteLevel", err);
    if (rc == 0 && prefix)
        rc = add_step(t, TOK_STEP_PREFIX, 0, err);
    if (rc == 0 && regex)
        rc = add_step(t, TOK_STEP_GPT2, 0, err);
    t->byte_level = true;
    return rc;
}

static int pre_tokenizer(void *ctx, const json_t *o, const char *type, ds_err *err)
{
    ds_tok *t = ctx;
    int rc;
    if (t->byte_level)
        return ds_fail(err, DS_FAIL, "pre_tokenizer %s after ByteLevel is not supported", type);
    if (strcmp(type, "Split") == 0)
        return split_step(t, o, err);
    if (strcmp(type, "ByteLevel") == 0)
        return byte_level_step(t, o, err);
    if (strcmp(type, "Digits") == 0) {
        bool one = false;
        rc = flag(o, "individual_digits", false, &one, "pre_tokenizer Digits", err);
        return rc == 0 ? add_step(t, TOK_STEP_DIGITS, one ? 1 : 0, err) : rc;
    }
    if (strcmp(type, "Metaspace") == 0)
        return metaspace_step(t, o, err);
    if (strcmp(type, "Whitespace") == 0)
        return add_step(t, TOK_STEP_WORDS, 0, err);
    if (strcmp(type, "WhitespaceSplit") == 0)
        return add_step(t, TOK_STEP_NONSPACE, 0, err);
    if (strcmp(type, "Punctuation") == 0)
        return punctuation_step(t, o, err);
    if (strcmp(type, "CharDelimiterSplit") == 0)
        return delimiter_step(t, o, err);
    if (strcmp(type, "BertPreTokenizer") == 0) {
        rc = add_step(t, TOK_STEP_NONSPACE, 0, err);
        return rc ? rc : add_step(t, TOK_STEP_PUNCT, 0, err);
    }
    return ds_fail(err, DS_FAIL,
                   "pre_tokenizer %s is not supported (Split, Digits, Punctuation, ByteLevel, "
                   "Metaspace, Whitespace, WhitespaceSplit, CharDelimiterSplit, BertPreTokenizer "
                   "are)",
                   type);
}

int ds_tok_read_pre_tokenizer(ds_tok *t, const json_t *o, ds_err *err)
{
    return ds_tok_parts_each(o, "pre_tokenizer", "pretokenizers", pre_tokenizer, t, err);
}

static int put_special(ds_tok *t, const json_t *map, const json_t *part, uint32_t **v, size_t *n,
                       ds_err *err)
{
    const char *name = json_string_value(json_object_get(part, "id"));
    const json_t *ids = name ? json_object_get(json_object_get(map, name), "ids") : NULL;
    if (!json_is_array(ids))
        return ds_fail(err, DS_FAIL, "post_processor: special token %s is not defined",
                       name ? name : "(no id)");
    uint32_t *more = reallocarray(*v, *n + json_array_size(ids) + 1, sizeof *more);
    if (more == NULL)
        return ds_fail_nomem(err);
    *v = more;
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        json_int_t x = json_integer_value(id);
        if (!json_is_integer(id) || x < 0 || x >= (json_int_t)t->n_entries ||
            !(t->entry[x].flags & TOK_EXISTS))
            return ds_fail(err, DS_FAIL,
                           "post_processor: special token %s has an id that is not in use", name);
        (*v)[(*n)++] = (uint32_t)x;
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

static int post_processor(void *ctx, const json_t *o, const char *type, ds_err *err)
{
    if (strcmp(type, "ByteLevel") == 0)
        return 0; /* moves offsets only */
    if (strcmp(type, "TemplateProcessing") == 0)
        return template(ctx, o, err);
    return ds_fail(err, DS_FAIL,
                   "post_processor %s is not supported (TemplateProcessing, ByteLevel are)", type);
}

int ds_tok_read_post_processor(ds_tok *t, const json_t *o, ds_err *err)
{
    return ds_tok_parts_each(o, "post_processor", "processors", post_processor, t, err);
}
