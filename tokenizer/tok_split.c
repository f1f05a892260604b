/* tok_split.c - a piece of text through the steps of the pre-tokenizer. */
#include "tok_priv.h"
#include "tok_scan.h"

#include <string.h>

/* One loop for each scanner, so that it is inlined; the last step feeds BPE without a detour. */
#define SCAN_ALL(call)                                                                             \
    while (p < end && rc == 0) {                                                                   \
        size_t n = (call);                                                                         \
        rc = last ? ds_tok_pretoken(st, p, n) : ds_tok_piece(st, k + 1, p, n, true);               \
        p += n;                                                                                    \
    }

static int scan_piece(ds_tok_state *st, unsigned k, const uint8_t *p, size_t len)
{
    const uint8_t *cls = st->tok->cls, *end = p + len;
    bool last = k + 1 == st->tok->n_steps;
    int rc = 0;
    switch (st->tok->step[k].kind) {
    case TOK_STEP_LLAMA3:
        SCAN_ALL(scan_llama(cls, p, end, 3))
        break;
    case TOK_STEP_QWEN2:
        SCAN_ALL(scan_llama(cls, p, end, 1))
        break;
    case TOK_STEP_GPT2:
        SCAN_ALL(scan_gpt2(cls, p, end))
        break;
    default:
        SCAN_ALL(scan_deepseek(cls, p, end))
    }
    return rc;
}

static int digits_piece(ds_tok_state *st, unsigned k, const uint8_t *p, size_t len)
{
    const uint8_t *cls = st->tok->cls, *end = p + len;
    unsigned max = st->tok->step[k].max, n;
    int rc = 0;
    while (p < end && rc == 0) {
        const uint8_t *q = scan_run_not(cls, p, end, DS_UNI_N);
        if (q == p)
            for (unsigned i = 0;
                 q < end && (max == 0 || i < max) && (scan_cls(cls, q, &n) & DS_UNI_N); i++)
                q += n;
        rc = ds_tok_piece(st, k + 1, p, (size_t)(q - p), true);
        p = q;
    }
    return rc;
}

static int prefix_piece(ds_tok_state *st, unsigned k, const uint8_t *p, size_t len, bool first)
{
    if (!first || *p == ' ')
        return ds_tok_piece(st, k + 1, p, len, first);
    ds_buf *b = &st->with_space[k];
    ds_buf_reset(b);
    if (ds_buf_putc(b, ' ') != 0 || ds_buf_put(b, p, len) != 0)
        return ds_fail_nomem(st->err);
    return ds_tok_piece(st, k + 1, b->data, b->len, first);
}

int ds_tok_piece(ds_tok_state *st, unsigned k, const uint8_t *p, size_t len, bool first)
{
    if (len == 0)
        return 0;
    if (k == st->tok->n_steps)
        return ds_tok_pretoken(st, p, len);
    switch (st->tok->step[k].kind) {
    case TOK_STEP_REGEX:
        return ds_tok_regex_piece(st, k, p, len);
    case TOK_STEP_DIGITS:
        return digits_piece(st, k, p, len);
    case TOK_STEP_PREFIX:
        return prefix_piece(st, k, p, len, first);
    default:
        return scan_piece(st, k, p, len);
    }
}
