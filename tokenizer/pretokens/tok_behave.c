/* tok_behave.c - what becomes of matches and of what lies between: the behaviors of Split.
 *
 * As the reference folds its list of parts: a match joins what stands before it, or behind it, only
 * when that is no match. Empty parts count for that, but give no piece.
 */
#include "tok_priv.h"

static int hand_on(tok_behave *b, size_t from, size_t to)
{
    enum tok_place place = from == 0 && b->place == TOK_TEXT ? TOK_TEXT : TOK_PIECE;
    return from < to ? ds_tok_piece(b->st, b->step + 1, b->p + from, to - from, place) : 0;
}

/* Gives on what is held, and holds the new part instead. */
static int hold(tok_behave *b, size_t from, size_t to)
{
    int rc = b->held ? hand_on(b, b->from, b->to) : 0;
    b->held = true;
    b->from = from;
    b->to = to;
    return rc;
}

int ds_tok_behave_part(tok_behave *b, size_t from, size_t to, bool match)
{
    const tok_step *s = &b->st->tok->step[b->step];
    bool is = match != s->invert, was = b->matched, join;
    b->matched = is;
    switch (s->behavior) {
    case TOK_ISOLATED:
        return hand_on(b, from, to);
    case TOK_REMOVED:
        return is ? 0 : hand_on(b, from, to);
    case TOK_WITH_PREVIOUS:
        join = is && !was;
        break;
    case TOK_CONTIGUOUS:
        join = is == was;
        break;
    default: /* a match waits for what is behind it */
        join = b->held && was && !is;
    }
    if (!join || !b->held)
        return hold(b, from, to);
    b->to = to;
    return 0;
}

int ds_tok_behave_end(tok_behave *b)
{
    return b->held ? hand_on(b, b->from, b->to) : 0;
}
