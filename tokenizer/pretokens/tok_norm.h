/* tok_norm.h - the normalizer of tokenizer.json: a list of steps over text.
 *
 * Each piece of text between added tokens is normalised by itself. Steps that change a text at its
 * beginning or end, and replacements of more than one character, keep a text from being encoded in
 * segments (tok_encode.c).
 */
#ifndef DS_TOK_NORM_H
#define DS_TOK_NORM_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"
#include "tok_replace.h"
#include "tok_uni.h"

enum tok_norm_kind {
    TOK_NORM_FORM,
    TOK_NORM_LOWER,   /* character by character: no final sigma */
    TOK_NORM_ACCENTS, /* without marks */
    TOK_NORM_NMT,     /* without control characters; white space of some kinds is U+0020 */
    TOK_NORM_STRIP,
    TOK_NORM_PREPEND,
    TOK_NORM_REPLACE
};

typedef struct tok_norm {
    enum tok_norm_kind kind;
    enum ds_uni_form form;
    bool left, right;    /* Strip */
    tok_replace replace; /* Prepend has `to` only */
} tok_norm;

#define TOK_NORMS 16

typedef struct tok_norms {
    tok_norm v[TOK_NORMS];
    unsigned n;
    char name[64]; /* of the steps, for people; "none" */
} tok_norms;

int ds_tok_norms_read(tok_norms *out, const json_t *normalizer, ds_err *err);
void ds_tok_norms_fini(tok_norms *n);
/* True when cutting before a space cannot change anything: what is done to one part does not depend
 * on the other. *space is what a space becomes (U+0020 as a rule), always one character. */
bool ds_tok_norms_local(const tok_norms *n, const char **space);

/* Normalises (p, len), valid UTF-8. The result is lent: the text itself or one of the two buffers,
 * valid until they are used again. `first`: the text begins a piece, rather than going on with one.
 */
int ds_tok_norms_apply(const tok_norms *n, const uint8_t *cls, ds_buf work[2], bool first,
                       const uint8_t *p, size_t len, const uint8_t **out, size_t *out_len,
                       ds_err *err);

#endif
