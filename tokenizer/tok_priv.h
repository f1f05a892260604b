/* tok_priv.h - what the parts of the tokenizer library share. Not for users of the library.
 *
 * Steps of the pre-tokenizer form a chain: each cuts its piece of text and hands the parts to the
 * next, the last one is BPE. Everything here runs on text that was checked to be UTF-8.
 */
#ifndef DS_TOK_PRIV_H
#define DS_TOK_PRIV_H

#include <string.h>

#include "tok.h"
#include "tok_cache.h"
#include "tok_join.h"
#include "tok_masks.h"
#include "tok_merges.h"
#include "tok_norm.h"
#include "tok_regex.h"
#include "tok_scan.h"
#include "tok_uni.h"

enum {
    TOK_EXISTS = 1,
    TOK_ADDED = 2,
    TOK_SPECIAL = 4,
    TOK_BYTES = 8,  /* spelled in the byte alphabet */
    TOK_MODEL = 16, /* of the model's vocabulary */
    TOK_RESPELLED =
        32 /* added; `bytes` are what normalisation made of its text, which it decodes to */
};

typedef struct tok_entry {
    uint32_t text_at, bytes_at; /* into ds_tok.pool; the same when the text is the bytes */
    uint32_t text_len, bytes_len;
    uint8_t flags;
} tok_entry;

/* Open addressing, power of two, by the upper bits of a hash. A slot holds a token's hash and id.
 */
typedef struct tok_index {
    uint64_t *slot;
    size_t mask, n;
    unsigned shift;
} tok_index;
#define TOK_EMPTY UINT64_MAX

enum { TOK_SINGLE_WORD = 1, TOK_LSTRIP = 2, TOK_RSTRIP = 4 };

/* Added tokens as a trie over bytes; children of a node are a sorted run of edges. */
typedef struct tok_trie_node {
    uint32_t edges, n_edges; /* into ds_tok trie's edge array */
    uint32_t id;             /* token that ends here, or DS_TOK_NONE */
    uint8_t strip;           /* TOK_SINGLE_WORD ... of that token */
} tok_trie_node;
typedef struct tok_trie_edge {
    uint8_t byte;
    uint32_t to;
} tok_trie_edge;
typedef struct tok_trie {
    tok_trie_node *nodes;
    tok_trie_edge *edges;
    uint32_t n_nodes, n_edges;
    size_t longest;  /* bytes of the longest token, 0 = no tokens */
    bool first[256]; /* bytes that some token begins with */
    int only_first;  /* the one byte all tokens begin with, or -1 */
} tok_trie;

typedef struct tok_pattern {
    const uint8_t *text;
    size_t len;
    uint32_t id;
    uint8_t strip;
} tok_pattern;
int ds_tok_trie_build(tok_trie *t, const tok_pattern *v, size_t n, ds_err *err);
void ds_tok_trie_fini(tok_trie *t);

typedef struct tok_match {
    size_t start, end;
    uint32_t id;
} tok_match;
/* The first match at or after `from` in (p, len) that counts; `floor` is where the last one ended.
 * False when there is none. */
bool ds_tok_trie_find(const tok_trie *t, const uint8_t *cls, const uint8_t *p, size_t len,
                      size_t from, size_t floor, tok_match *m, size_t *next);
/* Length of the longest token that begins at p, 0 when none. */
size_t ds_tok_trie_at(const tok_trie *t, const uint8_t *p, size_t len, uint32_t *node);

#define TOK_PATTERN_DIGITS 3 /* the maximum of \p{N}{1,3}; Digits has 0 or 1 */

enum tok_behavior {
    TOK_ISOLATED,
    TOK_REMOVED,
    TOK_WITH_PREVIOUS, /* a match belongs to what stands before it */
    TOK_WITH_NEXT,
    TOK_CONTIGUOUS /* neighbouring matches are one piece */
};

enum tok_prepend { TOK_PREPEND_ALWAYS, TOK_PREPEND_FIRST, TOK_PREPEND_NEVER };
typedef struct tok_metaspace {
    char text[5]; /* one character, with a NUL */
    size_t len;
    enum tok_prepend prepend;
    bool split;
} tok_metaspace;

typedef struct tok_step {
    enum tok_step_kind kind;
    unsigned max;
    enum tok_behavior behavior;
    bool invert; /* what lies between matches counts as matched */
    tok_regex re;
    uint8_t set;     /* the bit in ds_tok.sets */
    bool space, run; /* \s? before it; + behind it */
    bool words;      /* " ?[A-Za-z]+" that this step cuts out is cut by no later one */
    tok_metaspace meta;
} tok_step;

enum tok_decoder_kind {
    TOK_DECODE_BYTE_LEVEL,
    TOK_DECODE_BYTE_FALLBACK,
    TOK_DECODE_FUSE,
    TOK_DECODE_REPLACE,
    TOK_DECODE_STRIP,
    TOK_DECODE_METASPACE
};
typedef struct tok_decoder {
    enum tok_decoder_kind kind;
    tok_replace replace; /* Strip has `from` only */
    unsigned start, stop;
    bool drop_first; /* Metaspace: those of the first token vanish */
} tok_decoder;
#define TOK_DECODERS 16

#define TOK_STEPS 16
#define TOK_ALPHABET 0x180 /* code points up to those of two bytes below C6; 0x144 are in use */

/* Where a piece of text begins. */
enum tok_place {
    TOK_GOES_ON,
    TOK_PIECE,
    TOK_TEXT
}; /* nowhere; behind an added token; at the text's beginning */

struct ds_tok {
    uint8_t cls[DS_UNI_MAX];
    int16_t alphabet[TOK_ALPHABET]; /* code point -> byte, or -1 */
    uint8_t kinds[256];             /* of the last step, see tok_window.h */
    ds_sha digest;
    ds_buf pool; /* texts and bytes of all tokens */
    tok_entry *entry;
    uint32_t n_entries; /* max id + 1 */
    uint32_t n_tokens, n_model, n_added, n_special;
    tok_index by_text;  /* every token */
    tok_index by_bytes; /* model tokens, for ignore_merges */
    uint32_t byte_id[256];
    tok_merges merges;
    tok_join *join; /* where merges can cross from one character to the next */
    size_t longest; /* bytes of the longest model token */
    bool ignore_merges, cuttable;
    bool byte_level; /* pretokens are bytes; else characters, see tok_bpe.c */
    bool in_parts;   /* pretokens may be encoded in parts: no character is dropped or unknown */
    bool only_before_space; /* where a text may be cut */
    bool byte_fallback, fuse_unk;
    uint32_t unk;
    tok_norms norms;
    tok_decoder decoder[TOK_DECODERS];
    unsigned n_decoders;
    tok_trie raw, normal; /* added tokens matched before and after normalisation */
    tok_step step[TOK_STEPS];
    unsigned n_steps;
    uint8_t *sets; /* by code point, a bit for each of TOK_STEP_SET */
    unsigned n_sets;
    uint32_t *prefix, *suffix;
    size_t n_prefix, n_suffix;
};

/* tok.c: NULL when the id is not in use. */
const tok_entry *ds_tok_entry_of(const ds_tok *tok, uint32_t id);

/* tok_vocab.c: the byte alphabet. */
uint32_t ds_tok_byte_cp(uint8_t b); /* byte -> code point */
int ds_tok_cp_byte(uint32_t cp);    /* code point -> byte or -1 */
uint32_t ds_tok_hash_long(const void *p, size_t n);
/* Of a token's text; most are short, and then this is a few multiplications. */
static inline uint32_t ds_tok_hash(const void *text, size_t n)
{
    const uint8_t *p = text;
    const uint64_t k = 0x9e3779b97f4a7c15u;
    uint64_t a = 0, b = 0;
    if (n > 16)
        return ds_tok_hash_long(p, n);
    if (n >= 8) {
        memcpy(&a, p, 8);
        memcpy(&b, p + n - 8, 8);
    } else if (n >= 4) {
        memcpy(&a, p, 4);
        memcpy(&b, p + n - 4, 4);
    } else if (n > 0) {
        a = (uint64_t)p[0] << 16 | (uint64_t)p[n / 2] << 8 | p[n - 1];
    }
    a = (a ^ n << 56) * k;
    a = (a ^ a >> 32 ^ b) * 0xc2b2ae3d27d4eb4fu;
    return (uint32_t)((a ^ a >> 29) * k >> 32);
}

/* tok_vocab.c: tables. `bytes`: the index is of the tokens' bytes, not of their text. */
/* Are n bytes the same? For texts of tokens, which are short. */
static inline bool ds_tok_same(const uint8_t *p, const uint8_t *q, size_t n)
{
    uint64_t a[2], b[2];
    uint32_t c[2], d[2];
    if (n > 16)
        return memcmp(p, q, n) == 0;
    if (n >= 8) {
        memcpy(&a[0], p, 8);
        memcpy(&a[1], p + n - 8, 8);
        memcpy(&b[0], q, 8);
        memcpy(&b[1], q + n - 8, 8);
        return ((a[0] ^ b[0]) | (a[1] ^ b[1])) == 0;
    }
    if (n >= 4) {
        memcpy(&c[0], p, 4);
        memcpy(&c[1], p + n - 4, 4);
        memcpy(&d[0], q, 4);
        memcpy(&d[1], q + n - 4, 4);
        return ((c[0] ^ d[0]) | (c[1] ^ d[1])) == 0;
    }
    return n == 0 || (((p[0] ^ q[0]) | (p[n / 2] ^ q[n / 2]) | (p[n - 1] ^ q[n - 1])) == 0);
}
int ds_tok_index_init(tok_index *ix, size_t n, ds_err *err);
/* Puts a token in whose key has this hash; there is room. When there is an equal one already, that
 * is returned, else DS_TOK_NONE. */
uint32_t ds_tok_index_put(const ds_tok *t, tok_index *ix, uint32_t id, uint32_t hash, bool bytes);
int ds_tok_index_add(const ds_tok *t, tok_index *ix, uint32_t id, bool bytes, ds_err *err);
static inline size_t ds_tok_index_first(const tok_index *ix, uint32_t hash)
{
    return hash >> ix->shift;
}
static inline void ds_tok_index_ask(const tok_index *ix, uint32_t hash)
{
    __builtin_prefetch(&ix->slot[ds_tok_index_first(ix, hash)]);
}
/* The first token that has this hash, or DS_TOK_NONE. */
static inline uint32_t ds_tok_index_guess(const tok_index *ix, uint32_t hash)
{
    for (size_t i = ds_tok_index_first(ix, hash); ix->slot[i] != TOK_EMPTY; i = (i + 1) & ix->mask)
        if (ix->slot[i] >> 32 == hash)
            return (uint32_t)ix->slot[i];
    return DS_TOK_NONE;
}
int ds_tok_set_size(ds_tok *t, uint32_t n, ds_err *err); /* room for ids below n */
/* What is known of a token's spelling: U+0120, a space in the byte alphabet, may stand before. */
enum tok_spelling { TOK_ANYHOW, TOK_ASCII, TOK_SPACE_ASCII };
/* Makes the entry of a text that lies in the pool, which has room for as much again and some more.
 */
void ds_tok_entry_fill(ds_tok *t, uint32_t id, size_t at, size_t len, enum tok_spelling how);
/* An added token decodes to what the normalizer makes of it. */
int ds_tok_respell(ds_tok *t, uint32_t id, const uint8_t *p, size_t len, ds_err *err);
int ds_tok_add_entry(ds_tok *t, uint32_t id, const char *text, size_t len, ds_err *err);
/* Notes in a table where a merge of two tokens joins characters. True when both are single bytes:
 * then the merge is to be told with ds_tok_merge_bytes before it is put. */
bool ds_tok_join_tokens(tok_join *join, const ds_tok *t, uint32_t a, uint32_t b);
void ds_tok_merge_bytes(ds_tok *t, uint32_t a, uint32_t b);
/* Junctions by what tokens are spelled as, not by their bytes: when pretokens are characters. */
void ds_tok_join_texts(ds_tok *t);
uint32_t ds_tok_by_bytes(const ds_tok *t, const uint8_t *p, size_t len);

/* tok_pipeline.c */
void ds_tok_fuse_steps(ds_tok *t); /* after all steps and added tokens are known */
void ds_tok_steps_fini(ds_tok *t);

/* Encoding. */
typedef int (*tok_word_fn)(void *ctx, const uint8_t *p, size_t len, ds_err *err);
struct ds_tok_state {
    const ds_tok *tok;
    tok_classify classify; /* NULL: scanners go character by character */
    tok_cache cache;       /* ids of pretokens */
    tok_cache parts;     /* with ignore_merges, of parts of pretokens: those do not look up words */
    tok_cache *of_parts; /* the one or the other */
    size_t segment;
    ds_buf norm[2]; /* a normalised segment */
    ds_buf with_space[TOK_STEPS];
    pcre2_match_data *md[TOK_STEPS];
    pcre2_match_context *mctx;
    pcre2_jit_stack *jit;
    uint32_t *char_id; /* of the characters of U+0000-FFFF, as found out so far; tok_bpe.c */
    uint32_t *link;    /* scratch of long pretokens: ids, next, prev */
    size_t link_cap;
    uint64_t *heap;
    size_t heap_n, heap_cap;
    /* of the running call */
    uint32_t *out;
    size_t out_n;
    uint64_t consumed;
    unsigned flags;
    ds_tok_sink sink;
    void *ctx;
    ds_err *err;
    tok_word_fn word; /* takes pretokens that then get no ids */
    void *word_ctx;
};
#define TOK_QUEUE (128 + TOK_WINDOW) /* pretokens looked up together, see tok_queue.h */
#define TOK_OUT 16384                /* ids given on at once; a queue may write a few more */
#define TOK_OUT_SLACK ((size_t)(TOK_QUEUE + 1) * TOK_VALUE)

int ds_tok_flush(ds_tok_state *st);
static inline int ds_tok_emit(ds_tok_state *st, uint32_t id)
{
    if (st->out_n >= TOK_OUT) {
        int rc = ds_tok_flush(st);
        if (rc != 0)
            return rc;
    }
    st->out[st->out_n++] = id;
    return 0;
}
/* tok_encode.c: a text in segments: begin, segments, end. `whole`: (p, len) is all that is left of
 * the text; else the end is 0 as long as it is not certain, and *from (0 at first) says how far was
 * looked. */
int ds_tok_begin(ds_tok_state *st, unsigned flags, ds_tok_sink sink, void *ctx, ds_err *err);
size_t ds_tok_segment_end(const ds_tok_state *st, const uint8_t *p, size_t len, size_t *from,
                          bool whole);
int ds_tok_segment(ds_tok_state *st, const uint8_t *p, size_t len);
int ds_tok_end(ds_tok_state *st);
/* A text's pretokens, after normalisation, in order; added tokens in it are plain text. */
int ds_tok_words(ds_tok_state *st, const void *text, size_t len, tok_word_fn fn, void *ctx,
                 ds_err *err);
void ds_tok_give_back(ds_tok_state *st); /* buffers that one huge text needed */

/* tok_bpe.c: one pretoken to ids; and one that is known not to be in the short cache. */
int ds_tok_pretoken(ds_tok_state *st, const uint8_t *p, size_t len);
int ds_tok_pretoken_new(ds_tok_state *st, const uint8_t *p, size_t len);
/* tok_split.c: a piece of text through the steps from k on. */
int ds_tok_piece(ds_tok_state *st, unsigned k, const uint8_t *p, size_t len, enum tok_place place);
/* tok_set.c: makes the last step one by a set when its pattern is no more than that; false
 * otherwise. Then: looks at all steps; and does one. */
bool ds_tok_set_read(ds_tok *t, const char *pattern, size_t len);
void ds_tok_sets_end(ds_tok *t);
bool ds_tok_sets_cut(const ds_tok *t);
int ds_tok_set_piece(ds_tok_state *st, unsigned k, const uint8_t *p, size_t len,
                     enum tok_place place);
int ds_tok_trail_piece(ds_tok_state *st, unsigned k, const uint8_t *p, size_t len,
                       enum tok_place place);
/* Parts that a step makes of a piece: only the first one begins where the piece does. */
static inline enum tok_place tok_part_place(enum tok_place place, bool first)
{
    return first && place == TOK_TEXT ? TOK_TEXT : TOK_PIECE;
}
/* tok_behave.c: parts of a piece that match or do not, in order, to pieces as a behavior has it.
 * Zeroed but for the first four members at first; the end must be told. */
typedef struct tok_behave {
    ds_tok_state *st;
    unsigned step;
    const uint8_t *p;
    enum tok_place place;
    size_t from, to; /* what is held back */
    bool held, matched;
} tok_behave;
int ds_tok_behave_part(tok_behave *b, size_t from, size_t to, bool match);
int ds_tok_behave_end(tok_behave *b);

#endif
