/* tok_window.h - where pretokens begin in the next 64 bytes, for the well-known patterns.
 *
 * The patterns never look behind the beginning of a match, so a window that starts where a pretoken
 * does needs to know nothing of what came before. What the bits cannot say (a pretoken that does
 * not end in the window, rare characters) is left to the scanners of tok_scan.h, which the bits
 * agree with.
 */
#ifndef DS_TOK_WINDOW_H
#define DS_TOK_WINDOW_H

#include "tok_masks.h"
#include "tok_priv.h"

/* What a character beyond ASCII is to a pattern, by its class byte (tok_uni.h). */
void ds_tok_kinds(uint8_t kinds[256], enum tok_step_kind step);

typedef struct tok_window {
    tok_classify classify;
    const uint8_t *kinds; /* 256 */
    const uint8_t *cls;
    enum tok_step_kind step;
    const tok_join *join; /* Chinese is cut where nothing can merge; NULL: it is not */
} tok_window;

/* A pretoken begins at p; left >= 1 bytes are there, and TOK_WINDOW + TOK_SLACK can be read.
 * Returns how many bytes hold whole pretokens, 0 when it cannot tell even one; *starts has a bit
 * for the first byte of each of them. */
size_t ds_tok_window_starts(const tok_window *w, const uint8_t *p, size_t left, uint64_t *starts);

#endif
