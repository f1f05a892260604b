/* textrules.c - see textrules.h. Thresholds: Rae et al. 2021 (Gopher, table A1 and section A.1.1),
 * Raffel et al. 2020 (C4), Penedo et al. 2024 (FineWeb), with the details of datatrove's filters.
 */
#include "textrules.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    QUALITY = 1,
    REPETITION = 2,
    C4 = 4,
    C4_PUNCTUATION = 8,
    FINEWEB = 16,
};

typedef struct rule_row {
    const char *name;
    double limit;
    bool least; /* the limit is the least that is kept, not the most */
    unsigned sets;
} rule_row;

static const rule_row rules[DS_NRULES] = {
    [DS_RULE_BYTES_MIN] = {"length.bytes_min", 0, true, 0},
    [DS_RULE_BYTES_MAX] = {"length.bytes_max", 0, false, 0},
    [DS_RULE_CHARS_MIN] = {"length.chars_min", 0, true, 0},
    [DS_RULE_CHARS_MAX] = {"length.chars_max", 0, false, 0},
    [DS_RULE_WORDS_MIN] = {"length.words_min", 0, true, 0},
    [DS_RULE_WORDS_MAX] = {"length.words_max", 0, false, 0},
    [DS_RULE_G_WORDS_MIN] = {"gopher.words_min", 50, true, QUALITY},
    [DS_RULE_G_WORDS_MAX] = {"gopher.words_max", 100000, false, QUALITY},
    [DS_RULE_G_LENGTH_MIN] = {"gopher.word_length_min", 3, true, QUALITY},
    [DS_RULE_G_LENGTH_MAX] = {"gopher.word_length_max", 10, false, QUALITY},
    [DS_RULE_G_HASHES] = {"gopher.hashes_max", 0.1, false, QUALITY},
    [DS_RULE_G_ELLIPSES] = {"gopher.ellipses_max", 0.1, false, QUALITY},
    [DS_RULE_G_BULLETS] = {"gopher.bullet_lines_max", 0.9, false, QUALITY},
    [DS_RULE_G_ELLIPSIS_ENDS] = {"gopher.ellipsis_lines_max", 0.3, false, QUALITY},
    [DS_RULE_G_ALPHA] = {"gopher.alpha_words_min", 0.8, true, QUALITY},
    [DS_RULE_G_STOP_WORDS] = {"gopher.stop_words_min", 2, true, QUALITY},
    [DS_RULE_R_PARAS] = {"gopher.dup_paragraphs_max", 0.3, false, REPETITION},
    [DS_RULE_R_PARA_CHARS] = {"gopher.dup_paragraph_chars_max", 0.2, false, REPETITION},
    [DS_RULE_R_LINES] = {"gopher.dup_lines_max", 0.3, false, REPETITION},
    [DS_RULE_R_LINE_CHARS] = {"gopher.dup_line_chars_max", 0.2, false, REPETITION},
    [DS_RULE_R_TOP2] = {"gopher.top_2_gram_max", 0.2, false, REPETITION},
    [DS_RULE_R_TOP3] = {"gopher.top_3_gram_max", 0.18, false, REPETITION},
    [DS_RULE_R_TOP4] = {"gopher.top_4_gram_max", 0.16, false, REPETITION},
    [DS_RULE_R_DUP5] = {"gopher.dup_5_grams_max", 0.15, false, REPETITION},
    [DS_RULE_R_DUP6] = {"gopher.dup_6_grams_max", 0.14, false, REPETITION},
    [DS_RULE_R_DUP7] = {"gopher.dup_7_grams_max", 0.13, false, REPETITION},
    [DS_RULE_R_DUP8] = {"gopher.dup_8_grams_max", 0.12, false, REPETITION},
    [DS_RULE_R_DUP9] = {"gopher.dup_9_grams_max", 0.11, false, REPETITION},
    [DS_RULE_R_DUP10] = {"gopher.dup_10_grams_max", 0.10, false, REPETITION},
    [DS_RULE_C_WORD_CHARS] = {"c4.word_chars_max", 1000, false, C4},
    [DS_RULE_C_LINE_WORDS] = {"c4.line_words_min", 3, true, C4},
    [DS_RULE_C_PUNCTUATION] = {"c4.line_punctuation", 1, true, C4_PUNCTUATION},
    [DS_RULE_C_JAVASCRIPT] = {"c4.line_javascript", 0, false, C4},
    [DS_RULE_C_POLICY] = {"c4.line_policy", 0, false, C4},
    [DS_RULE_C_LOREM_IPSUM] = {"c4.lorem_ipsum", 0, false, C4},
    [DS_RULE_C_CURLY_BRACKET] = {"c4.curly_bracket", 0, false, C4},
    [DS_RULE_C_SENTENCES] = {"c4.sentences_min", 5, true, C4},
    [DS_RULE_F_EMPTY] = {"fineweb.lines_min", 1, true, FINEWEB},
    [DS_RULE_F_ENDED_LINES] = {"fineweb.ended_lines_min", 0.12, true, FINEWEB},
    [DS_RULE_F_SHORT_LINES] = {"fineweb.short_lines_max", 0.67, false, FINEWEB},
    [DS_RULE_F_DUP_CHARS] = {"fineweb.dup_line_chars_max", 0.01, false, FINEWEB},
    [DS_RULE_F_NEWLINES] = {"fineweb.newlines_max", 0.3, false, FINEWEB},
};

static const struct {
    const char *name;
    unsigned sets;
} presets[] = {
    {"gopher", QUALITY | REPETITION},
    {"gopher-quality", QUALITY},
    {"gopher-repetition", REPETITION},
    {"c4", C4 | C4_PUNCTUATION},
    {"fineweb", QUALITY | REPETITION | C4 | FINEWEB},
    {"fineweb-quality", FINEWEB},
};

const char *ds_rule_name(unsigned r)
{
    return rules[r].name;
}

void ds_textrules_limit(ds_textrules *r, enum ds_rule which, double limit)
{
    r->on[which] = true;
    r->limit[which] = limit;
    r->rewrites = r->rewrites || (which >= DS_RULE_C_WORD_CHARS && which <= DS_RULE_C_SENTENCES);
}

/* Rules of a least and a most stand one behind the other, and are called so. */
int ds_textrules_check(const ds_textrules *r, ds_err *err)
{
    for (unsigned i = 0; i + 1 < DS_NRULES; i++) {
        const char *least = rules[i].name, *most = rules[i + 1].name;
        const size_t n = strlen(least);
        if (r->on[i] && r->on[i + 1] && r->limit[i] > r->limit[i + 1] && n == strlen(most) &&
            strcmp(least + n - 3, "min") == 0 && strcmp(most + n - 3, "max") == 0 &&
            memcmp(least, most, n - 3) == 0)
            return ds_fail(err, DS_USAGE, "%s=%.15g is above %s=%.15g: no text passes both", least,
                           r->limit[i], most, r->limit[i + 1]);
    }
    return 0;
}

int ds_textrules_preset(ds_textrules *r, const char *name, ds_err *err)
{
    unsigned sets = 0;
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        sets |= strcmp(presets[i].name, name) == 0 ? presets[i].sets : 0;
    if (sets == 0)
        return ds_fail(err, DS_USAGE,
                       "--preset %s: it is one of gopher, gopher-quality, gopher-repetition, c4, "
                       "fineweb, fineweb-quality",
                       name);
    for (unsigned i = 0; i < DS_NRULES; i++)
        if (rules[i].sets & sets)
            ds_textrules_limit(r, (enum ds_rule)i, rules[i].limit);
    return 0;
}

int ds_textrules_set(ds_textrules *r, const char *text, ds_err *err)
{
    const char *eq = strchr(text, '=');
    unsigned i = 0;
    while (i < DS_NRULES && !(eq && strlen(rules[i].name) == (size_t)(eq - text) &&
                              strncmp(rules[i].name, text, (size_t)(eq - text)) == 0))
        i++;
    if (i == DS_NRULES)
        return ds_fail(err, DS_USAGE,
                       "--set %s: RULE=VALUE is wanted, such as gopher.words_min=20; "
                       "docs/transforms.md lists the rules",
                       text);
    if (strcmp(eq + 1, "off") == 0) {
        r->on[i] = false;
        return 0;
    }
    char *end;
    const double v = strtod(eq + 1, &end);
    if (end == eq + 1 || *end || !isfinite(v))
        return ds_fail(err, DS_USAGE, "--set %s: the value is a number, or off", text);
    ds_textrules_limit(r, (enum ds_rule)i, v);
    return 0;
}

static bool any_on(const ds_textrules *r, unsigned from, unsigned to)
{
    bool any = false;
    for (unsigned i = from; i < to; i++)
        any = any || r->on[i];
    return any;
}

bool ds_textrules_any(const ds_textrules *r)
{
    return any_on(r, 0, DS_NRULES);
}

json_t *ds_textrules_json(const ds_textrules *r)
{
    json_t *j = json_object();
    int rc = j ? 0 : -1;
    for (unsigned i = 0; rc == 0 && i < DS_NRULES; i++)
        if (r->on[i])
            rc = json_object_set_new(j, rules[i].name, json_real(r->limit[i]));
    if (rc == 0)
        return j;
    json_decref(j);
    return NULL;
}

/* ---- judging ---- */

static double over(uint64_t a, uint64_t b)
{
    return b ? (double)a / (double)b : 0;
}

/* Rules that look at the facts alone. */
static double measured(const ds_textjudge *j, unsigned r, size_t len)
{
    const ds_textfacts *f = &j->m.f;
    switch (r) {
    case DS_RULE_BYTES_MIN:
    case DS_RULE_BYTES_MAX:
        return (double)len;
    case DS_RULE_CHARS_MIN:
    case DS_RULE_CHARS_MAX:
        return (double)f->chars;
    case DS_RULE_WORDS_MIN:
    case DS_RULE_WORDS_MAX:
        return (double)f->words;
    case DS_RULE_G_WORDS_MIN:
    case DS_RULE_G_WORDS_MAX:
        return (double)f->real_words;
    case DS_RULE_G_LENGTH_MIN:
    case DS_RULE_G_LENGTH_MAX:
        return over(f->real_chars, f->real_words);
    case DS_RULE_G_HASHES:
        return over(f->hashes, f->words);
    case DS_RULE_G_ELLIPSES:
        return over(f->ellipses, f->words);
    case DS_RULE_G_BULLETS:
        return over(f->bullet_lines, f->lines);
    case DS_RULE_G_ELLIPSIS_ENDS:
        return over(f->ellipsis_ends, f->lines);
    case DS_RULE_G_ALPHA:
        return over(f->alpha_words, f->words);
    case DS_RULE_G_STOP_WORDS:
        return (double)f->stop_words;
    case DS_RULE_R_PARAS:
        return over(f->dup_paras, f->paras);
    case DS_RULE_R_PARA_CHARS:
        return over(f->dup_para_chars, f->chars);
    case DS_RULE_R_LINES:
        return over(f->dup_rlines, f->rlines);
    case DS_RULE_R_LINE_CHARS:
        return over(f->dup_rline_chars, f->chars);
    case DS_RULE_C_LOREM_IPSUM:
        return j->c4.lorem_ipsum;
    case DS_RULE_C_CURLY_BRACKET:
        return j->c4.curly_bracket;
    case DS_RULE_C_SENTENCES:
        return (double)j->c4.sentences;
    case DS_RULE_F_EMPTY:
        return (double)f->full_lines;
    case DS_RULE_F_ENDED_LINES:
        return over(f->ended_lines, f->full_lines);
    case DS_RULE_F_SHORT_LINES:
        return over(f->short_lines, f->full_lines);
    case DS_RULE_F_DUP_CHARS:
        return over(f->dup_full_chars, f->chars - f->newlines);
    default: /* DS_RULE_F_NEWLINES */
        return over(f->newlines, f->words);
    }
}

static bool fails(const ds_textrules *r, unsigned i, double v)
{
    return rules[i].least ? v < r->limit[i] : v > r->limit[i];
}

/* The first rule of [from, to) that fails, or -1. */
static int first_failing(ds_textjudge *j, const ds_textrules *r, unsigned from, unsigned to,
                         size_t len)
{
    for (unsigned i = from; i < to; i++) {
        if (!r->on[i])
            continue;
        j->found = measured(j, i, len);
        if (fails(r, i, j->found))
            return (int)i;
    }
    return -1;
}

/* So many characters are not too many, however the quotient is rounded. */
static uint64_t below(double limit, double chars)
{
    const double c = limit * chars - 1;
    return c < 0 ? 0 : c > 1e15 ? (uint64_t)1e15 : (uint64_t)c;
}

/* Repeated n-grams. */
static int judge_grams(ds_textjudge *j, const ds_textrules *r, int *rule, ds_err *err)
{
    const double chars = (double)j->m.f.chars;
    uint64_t c;
    int rc = 0;
    for (unsigned i = DS_RULE_R_TOP2; rc == 0 && i <= DS_RULE_R_DUP10; i++) {
        const bool top = i < DS_RULE_R_DUP5;
        const unsigned n = top ? i - DS_RULE_R_TOP2 + DS_TOP_MIN : i - DS_RULE_R_DUP5 + DS_DUP_MIN;
        if (!r->on[i])
            continue;
        const uint64_t enough = below(r->limit[i], chars);
        rc = top ? ds_textgrams_top(&j->m.grams, n, enough, &c, err)
                 : ds_textgrams_dups(&j->m.grams, n, enough, &c, err);
        j->found = chars > 0 ? (double)c / chars : 0;
        if (rc == 0 && fails(r, i, j->found)) {
            *rule = (int)i;
            break;
        }
    }
    return rc;
}

/* C4's lines: the text that is left is measured anew for the rules behind. */
static int judge_lines(ds_textjudge *j, const ds_textrules *r, const ds_textclass *c, bool known,
                       int *rule, ds_err *err)
{
    const ds_c4opts o = {
        .word_chars = r->on[DS_RULE_C_WORD_CHARS] ? r->limit[DS_RULE_C_WORD_CHARS] : INFINITY,
        .line_words = r->on[DS_RULE_C_LINE_WORDS] ? r->limit[DS_RULE_C_LINE_WORDS] : 0,
        .punctuation = r->on[DS_RULE_C_PUNCTUATION],
        .javascript = r->on[DS_RULE_C_JAVASCRIPT],
        .policy = r->on[DS_RULE_C_POLICY]};
    int rc = known ? 0 : ds_textbits_set(&j->m.bits, c, j->text, j->len, err);
    if (rc == 0)
        rc = ds_c4lines_set(&j->c4, &o, &j->m.bits, err);
    if (rc)
        return rc;
    *rule = first_failing(j, r, DS_RULE_C_LOREM_IPSUM, DS_RULE_F_EMPTY, j->len);
    j->text = j->c4.text.data;
    j->len = j->c4.text.len;
    return *rule < 0 && any_on(r, DS_RULE_F_EMPTY, DS_NRULES)
               ? ds_textmeasure_set(&j->m, c, j->text, j->len, DS_WANT_FULL, err)
               : 0;
}

static unsigned wanted(const ds_textrules *r)
{
    return (any_on(r, DS_RULE_G_WORDS_MIN, DS_RULE_R_PARAS) ? DS_WANT_WORDS : 0u) |
           (any_on(r, DS_RULE_G_BULLETS, DS_RULE_G_ALPHA) ? DS_WANT_LINES : 0u) |
           (any_on(r, DS_RULE_R_PARAS, DS_RULE_R_TOP2) ? DS_WANT_PARTS : 0u) |
           (any_on(r, DS_RULE_R_TOP2, DS_RULE_C_WORD_CHARS) ? DS_WANT_GRAMS : 0u) |
           (!r->rewrites && any_on(r, DS_RULE_F_EMPTY, DS_NRULES) ? DS_WANT_FULL : 0u);
}

int ds_textjudge_text(ds_textjudge *j, const ds_textrules *r, const ds_textclass *c,
                      const uint8_t *p, size_t len, int *rule, ds_err *err)
{
    j->text = p;
    j->len = len;
    *rule = first_failing(j, r, DS_RULE_BYTES_MIN, DS_RULE_CHARS_MIN, len);
    if (*rule >= 0)
        return 0;
    const bool known = any_on(r, DS_RULE_CHARS_MIN, DS_RULE_C_WORD_CHARS) ||
                       (!r->rewrites && any_on(r, DS_RULE_F_EMPTY, DS_NRULES));
    int rc = known ? ds_textmeasure_set(&j->m, c, p, len, wanted(r), err) : 0;
    if (rc == 0)
        *rule = first_failing(j, r, DS_RULE_CHARS_MIN, DS_RULE_R_TOP2, len);
    if (rc == 0 && *rule < 0)
        rc = judge_grams(j, r, rule, err);
    if (rc == 0 && *rule < 0 && r->rewrites)
        rc = judge_lines(j, r, c, known, rule, err);
    if (rc == 0 && *rule < 0)
        *rule = first_failing(j, r, DS_RULE_F_EMPTY, DS_NRULES, len);
    return rc;
}

void ds_textjudge_fini(ds_textjudge *j)
{
    ds_textmeasure_fini(&j->m);
    ds_c4lines_fini(&j->c4);
}
