/* tok_scan.h - hand-written scanners for the well-known pre-tokenizer patterns.
 *
 * Each returns the length of the piece that begins at p (p < end), what the regex would match
 * there; its comments name the alternatives of the pattern, in its order. White space is tried last
 * everywhere, and is the same in all patterns:   \s*[\r\n]+ | \s+(?!\S) | \s+
 */
#ifndef DS_TOK_SCAN_H
#define DS_TOK_SCAN_H

#include <string.h>

#include "tok_uni.h"

/* The steps of a pre-tokenizer. */
enum tok_step_kind {
    TOK_STEP_LLAMA3, /* hand-written scanners, see tok_scan.h */
    TOK_STEP_QWEN2,
    TOK_STEP_GPT2,
    TOK_STEP_DEEPSEEK,  /* its three splits in one pass */
    TOK_STEP_DIGITS,    /* runs of at most `max` numbers, 0 = any length */
    TOK_STEP_REGEX,     /* by a pattern */
    TOK_STEP_SET,       /* by a pattern that is a set of characters, see tok_set.c */
    TOK_STEP_TRAIL,     /* \s+$ */
    TOK_STEP_PREFIX,    /* a space before every piece that has none */
    TOK_STEP_METASPACE, /* spaces become another character, see tok_metaspace */
    TOK_STEP_WORDS,     /* \w+|[^\w\s]+, nothing else is kept */
    TOK_STEP_NONSPACE,  /* \S+, nothing else is kept */
    TOK_STEP_PUNCT      /* by punctuation, character by character */
};

static inline uint8_t scan_cls(const uint8_t *cls, const uint8_t *p, unsigned *n)
{
    if (*p < 0x80) {
        *n = 1;
        return cls[*p];
    }
    return cls[ds_uni_get(p, n)];
}

/* End of the run of characters that have a bit of `any` and none of `not`. */
static inline const uint8_t *scan_run(const uint8_t *cls, const uint8_t *p, const uint8_t *end,
                                      unsigned any, unsigned not )
{
    unsigned n;
    while (p < end) {
        unsigned f = scan_cls(cls, p, &n);
        if (!(f & any) || (f & not ))
            break;
        p += n;
    }
    return p;
}
/* End of the run of characters that have no bit of `not`. */
static inline const uint8_t *scan_run_not(const uint8_t *cls, const uint8_t *p, const uint8_t *end,
                                          unsigned not )
{
    unsigned n;
    while (p < end && !(scan_cls(cls, p, &n) & not ))
        p += n;
    return p;
}
static inline const uint8_t *scan_newlines(const uint8_t *p, const uint8_t *end)
{
    while (p < end && (*p == '\n' || *p == '\r'))
        p++;
    return p;
}

/* \s*[\r\n]+ | \s+(?!\S) | \s+ at a white space character. `hard`: characters with these bits count
 * as the end of the text. `newlines` = false leaves the first alternative out. */
static inline const uint8_t *scan_space(const uint8_t *cls, const uint8_t *p, const uint8_t *end,
                                        unsigned hard, bool newlines)
{
    const uint8_t *q = p, *last = p, *line = NULL;
    unsigned n, f = 0;
    while (q < end && ((f = scan_cls(cls, q, &n)) & DS_UNI_WS)) {
        last = q;
        if (*q == '\n' || *q == '\r')
            line = q + 1;
        q += n;
    }
    if (newlines && line != NULL)
        return line;
    if (q == end || (f & hard) || last == p)
        return q;
    return last;
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d) at an apostrophe; 0 when none. U+017F folds to s. */
static inline unsigned scan_contraction(const uint8_t *p, const uint8_t *end)
{
    size_t left = (size_t)(end - p);
    if (left < 2)
        return 0;
    unsigned a = p[1] | 0x20u;
    if (p[1] < 0x80 && (a == 's' || a == 't' || a == 'm' || a == 'd'))
        return 2;
    if (left < 3)
        return 0;
    if (p[1] == 0xc5 && p[2] == 0xbf)
        return 3;
    if (p[1] >= 0x80 || p[2] >= 0x80)
        return 0;
    unsigned b = p[2] | 0x20u;
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

/* The same with small letters only; m is its length. */
static inline bool scan_contraction_lower(const uint8_t *p, unsigned m)
{
    return p[1] >= 'a' && p[1] <= 'z' && (m == 2 || (p[2] >= 'a' && p[2] <= 'z'));
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,DIGITS}|
 * ?[^\s\p{L}\p{N}]+[\r\n]*|SPACE Llama 3 has DIGITS = 3, Qwen 2 has 1. */
static inline size_t scan_llama(const uint8_t *cls, const uint8_t *p, const uint8_t *end,
                                unsigned digits)
{
    const unsigned word = DS_UNI_WS | DS_UNI_L | DS_UNI_N;
    unsigned n, m, f = scan_cls(cls, p, &n);
    if (f & DS_UNI_L)
        return (size_t)(scan_run(cls, p + n, end, DS_UNI_L, 0) - p);
    if (*p == '\'' && (m = scan_contraction(p, end)) != 0)
        return m;
    if (f & DS_UNI_N) {
        const uint8_t *q = p + n;
        for (unsigned i = 1; i < digits && q < end && (scan_cls(cls, q, &n) & DS_UNI_N); i++)
            q += n;
        return (size_t)(q - p);
    }
    const uint8_t *q = p + n;
    unsigned g = q < end ? scan_cls(cls, q, &m) : DS_UNI_WS;
    if ((g & DS_UNI_L) && *p != '\r' && *p != '\n')
        return (size_t)(scan_run(cls, q + m, end, DS_UNI_L, 0) - p);
    if (!(f & DS_UNI_WS) || (*p == ' ' && !(g & word)))
        return (size_t)(scan_newlines(scan_run_not(cls, q, end, word), end) - p);
    return (size_t)(scan_space(cls, p, end, 0, true) - p);
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static inline size_t scan_gpt2(const uint8_t *cls, const uint8_t *p, const uint8_t *end)
{
    const unsigned word = DS_UNI_WS | DS_UNI_L | DS_UNI_N;
    unsigned n, m;
    if (*p == '\'' && (m = scan_contraction(p, end)) != 0 && scan_contraction_lower(p, m))
        return m;
    const uint8_t *q = p + (*p == ' ');
    unsigned f = q < end ? scan_cls(cls, q, &n) : DS_UNI_WS;
    if (f & DS_UNI_WS)
        return (size_t)(scan_space(cls, p, end, 0, false) - p);
    if (f & DS_UNI_L)
        q = scan_run(cls, q, end, DS_UNI_L, 0);
    else if (f & DS_UNI_N)
        q = scan_run(cls, q, end, DS_UNI_N, 0);
    else
        q = scan_run_not(cls, q, end, word);
    return (size_t)(q - p);
}

static inline bool scan_ascii_letter(uint8_t c)
{
    return (uint8_t)((c | 0x20) - 'a') < 26;
}

/* What stands between matches of DeepSeek's third split: control, format, unassigned characters
 * that no letter follows. One piece up to where something matches again. */
static inline const uint8_t *scan_deepseek_gap(const uint8_t *cls, const uint8_t *p,
                                               const uint8_t *end)
{
    const unsigned hard = DS_UNI_N | DS_UNI_CJK, lm = DS_UNI_L | DS_UNI_M;
    unsigned n, m;
    while (p < end) {
        unsigned f = scan_cls(cls, p, &n);
        if (f & (hard | lm | DS_UNI_PS | DS_UNI_WS))
            break;
        unsigned g = p + n < end ? scan_cls(cls, p + n, &m) : 0;
        if ((g & lm) && !(g & hard))
            break;
        p += n;
    }
    return p;
}

/* Inside a match of the second split the third one goes on: letters and marks, punctuation and
 * symbols (U+30A0, U+30FB, U+309B-309C), and what is not assigned (U+3040, U+3097-3098), alone or
 * before a letter, are pieces of their own. */
static inline size_t scan_deepseek_cjk(const uint8_t *cls, const uint8_t *p, const uint8_t *end)
{
    const unsigned lm = DS_UNI_L | DS_UNI_M, none = DS_UNI_CJK;
    unsigned n, f = scan_cls(cls, p, &n), kind = f & lm ? lm : f & DS_UNI_PS;
    const uint8_t *q = p + n;
    if (kind == 0) { /* unassigned: joins letters behind it, else more of its like */
        while (q < end && ((f = scan_cls(cls, q, &n)) & (lm | DS_UNI_PS | none)) == none) {
            unsigned m, g = q + n < end ? scan_cls(cls, q + n, &m) : 0;
            if ((g & none) && (g & lm))
                return (size_t)(q - p);
            q += n;
        }
        if (q != p + 3 || q == end || !(f & none) || !(f & lm))
            return (size_t)(q - p);
        kind = lm;
    }
    while (q < end && ((f = scan_cls(cls, q, &n)) & none) && (f & kind))
        q += n;
    return (size_t)(q - p);
}

/* Three splits in a row, in one pass: numbers and CJK are cut out first and bound everything else,
 * CJK is cut further.
 *   \p{N}{1,3}   [U+4E00-9FA5 U+3040-30FF]+
 *   [ASCII punctuation][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|SPACE
 */
static inline size_t scan_deepseek(const uint8_t *cls, const uint8_t *p, const uint8_t *end)
{
    const unsigned hard = DS_UNI_N | DS_UNI_CJK, lm = DS_UNI_L | DS_UNI_M;
    unsigned n, m, f = scan_cls(cls, p, &n);
    const uint8_t *q = p + n;
    if (f & DS_UNI_N) {
        for (unsigned i = 1; i < 3 && q < end && (scan_cls(cls, q, &n) & DS_UNI_N); i++)
            q += n;
        return (size_t)(q - p);
    }
    if (f & DS_UNI_CJK)
        return scan_deepseek_cjk(cls, p, end);
    if (f & lm)
        return (size_t)(scan_run(cls, q, end, lm, hard) - p);
    if (f & DS_UNI_PS) {
        if (*p < 0x80 && q < end && scan_ascii_letter(*q)) {
            while (q < end && scan_ascii_letter(*q))
                q++;
            return (size_t)(q - p);
        }
        return (size_t)(scan_newlines(scan_run(cls, q, end, DS_UNI_PS, hard), end) - p);
    }
    unsigned g = q < end ? scan_cls(cls, q, &m) : 0;
    if (g & hard)
        g = 0;
    if ((g & lm) && *p != '\r' && *p != '\n')
        return (size_t)(scan_run(cls, q + m, end, lm, hard) - p);
    if (*p == ' ' && (g & DS_UNI_PS))
        return (size_t)(scan_newlines(scan_run(cls, q + m, end, DS_UNI_PS, hard), end) - p);
    if (f & DS_UNI_WS)
        return (size_t)(scan_space(cls, p, end, hard, true) - p);
    return (size_t)(scan_deepseek_gap(cls, q, end) - p);
}

/* The pretoken of a well-known pattern (up to TOK_STEP_DEEPSEEK) that begins at p. */
static inline size_t scan_pretoken(const uint8_t *cls, enum tok_step_kind kind, const uint8_t *p,
                                   const uint8_t *end)
{
    switch (kind) {
    case TOK_STEP_LLAMA3:
        return scan_llama(cls, p, end, 3);
    case TOK_STEP_QWEN2:
        return scan_llama(cls, p, end, 1);
    case TOK_STEP_GPT2:
        return scan_gpt2(cls, p, end);
    default:
        return scan_deepseek(cls, p, end);
    }
}

#endif
