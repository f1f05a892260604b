/* tok_cut.h - where every well-known pre-tokenizer has a boundary, whatever stands around.
 *
 * Between a letter and a character that is neither a letter nor a mark and combines with nothing:
 * all the patterns match letters greedily, with nothing but letters (and marks) behind them, and
 * none looks back.
 */
#ifndef DS_TOK_CUT_H
#define DS_TOK_CUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool ds_tok_cut_letter(uint8_t c)
{
    return (uint8_t)((c | 0x20) - 'a') < 26;
}

/* May text be cut before p[at], 0 < at < len? Left: a letter of ASCII, or of U+5000-8FFF; right:
 * ASCII, or U+3000-3002, or U+FF0C. The text need not be valid UTF-8. */
static inline bool ds_tok_cut_chars(const uint8_t *p, size_t len, size_t at)
{
    const uint8_t *r = p + at;
    bool left = ds_tok_cut_letter(r[-1]) || (at >= 3 && r[-3] >= 0xe5 && r[-3] <= 0xe8 &&
                                             (r[-2] & 0xc0) == 0x80 && (r[-1] & 0xc0) == 0x80);
    if (!left || r[0] < 0x80)
        return left && !ds_tok_cut_letter(r[0]);
    return len - at > 2 && ((r[0] == 0xe3 && r[1] == 0x80 && r[2] >= 0x80 && r[2] <= 0x82) ||
                            (r[0] == 0xef && r[1] == 0xbc && r[2] == 0x8c));
}

#endif
