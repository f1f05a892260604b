/* tok.h - BPE tokenizers, by bytes or by characters, read from a Hugging Face tokenizer.json.
 *
 * Ids are exactly those of the reference implementation (the `tokenizers` library) for every
 * pipeline that is accepted; a pipeline that is not known is refused by name, never approximated:
 *
 *   normalizer      null, NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Nmt, Strip, Prepend,
 *                   Replace (a string or a regex), Sequence of these
 *   pre_tokenizer   null, Split (regex or string, every behavior, invert), Digits, Punctuation,
 *                   ByteLevel (last), Metaspace, Whitespace, WhitespaceSplit, CharDelimiterSplit,
 *                   BertPreTokenizer, Sequence
 *   model           BPE without dropout or affixes; ignore_merges, byte_fallback, unk_token,
 *                   fuse_unk; merges as "a b" or ["a", "b"]
 *   post_processor  null, ByteLevel, TemplateProcessing (the single template), Sequence of these
 *   decoder         null, ByteLevel, ByteFallback, Fuse, Replace (a string or a regex), Strip,
 *                   Metaspace, Sequence of these
 *
 * Truncation and padding settings of the file are ignored: nothing is ever cut.
 *
 * Threads: a ds_tok is immutable after loading and shared freely; every thread has its own
 * ds_tok_state (caches and scratch), bound to the ds_tok it was made for.
 *
 * Memory: a text is encoded in segments of about 1 MiB, cut only where every pipeline step surely
 * has a boundary, so that memory does not depend on its length. Exceptions: where such places are
 * not known (a regex that is not one of the well-known ones; Strip, Nmt, and Replace of more than
 * a space), the text is gone through as a whole; a single pretoken (a run of letters without end)
 * needs 20 bytes a byte while merging. The caches of a state stay below what ds_tok_state_memory
 * says.
 *
 * The environment variable DS_SIMD (avx512, avx2, neon, portable, scalar) chooses the instructions
 * that pretokens are found with, for tests; ids never depend on it.
 */
#ifndef DS_TOK_H
#define DS_TOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"
#include "hash.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DS_TOK_FILE_MAX ((size_t)256 << 20) /* largest tokenizer.json read */
#define DS_TOK_NONE UINT32_MAX              /* no id */

typedef struct ds_tok ds_tok;
typedef struct ds_tok_state ds_tok_state;

int ds_tok_load(ds_tok **out, const char *path, ds_err *err);
/* The same from memory; `name` stands for the path in messages. */
int ds_tok_parse(ds_tok **out, const void *json, size_t len, const char *name, ds_err *err);
void ds_tok_free(ds_tok *tok);

/* SHA-256 of the bytes of tokenizer.json: two files that differ in white space only have different
 * digests, equal digests always mean equal ids. */
const ds_sha *ds_tok_digest(const ds_tok *tok);

/* Tokens. Text is the token as it is spelled in the file (byte-level alphabet), not its bytes. */
uint32_t ds_tok_vocab_size(const ds_tok *tok); /* distinct tokens, added ones included */
uint32_t ds_tok_max_id(const ds_tok *tok); /* largest id in use: ids fit u16 when it is <= 65535 */
uint32_t ds_tok_id(const ds_tok *tok, const char *text,
                   size_t len); /* DS_TOK_NONE when there is none */
/* Lends the text of a token, NULL when the id is not in use; *len may be NULL. Also NUL-terminated.
 */
const char *ds_tok_text(const ds_tok *tok, uint32_t id, size_t *len);
/* Lends the bytes a token decodes to; NULL when the id is not in use. */
const uint8_t *ds_tok_bytes(const ds_tok *tok, uint32_t id, size_t *len);
bool ds_tok_is_added(const ds_tok *tok, uint32_t id);
bool ds_tok_is_special(const ds_tok *tok, uint32_t id);
/* Ids that the post-processor puts before and after a text; lent, *n may be 0. */
const uint32_t *ds_tok_prefix(const ds_tok *tok, size_t *n);
const uint32_t *ds_tok_suffix(const ds_tok *tok, size_t *n);

/* What the file holds, for `dstok info`. */
typedef struct ds_tok_facts {
    uint32_t model_tokens, merges, added_tokens, special_tokens;
    const char *normalizer;    /* "none", or its steps: "NFC", "Prepend, Replace" */
    const char *pre_tokenizer; /* "deepseek-v3", "qwen2", "llama3", "gpt2", "none", "general" */
    bool ignore_merges;
    bool has_decoder;
    bool byte_level;  /* tokens are of bytes; else of characters */
    uint32_t unknown; /* what stands for a character that the vocabulary lacks, or DS_TOK_NONE */
} ds_tok_facts;
void ds_tok_get_facts(const ds_tok *tok, ds_tok_facts *facts);

int ds_tok_state_new(ds_tok_state **out, const ds_tok *tok, ds_err *err);
void ds_tok_state_free(ds_tok_state *st);
/* Segment length in bytes, 0 = the default. Results never depend on it; tests make it tiny. */
void ds_tok_state_segment(ds_tok_state *st, size_t bytes);

enum ds_tok_flags {
    DS_TOK_NO_ADDED = 1,     /* added tokens in the text are plain text: for text from strangers */
    DS_TOK_NO_SPECIAL = 2,   /* the post-processor adds nothing (add_special_tokens = false) */
    DS_TOK_SKIP_SPECIAL = 4, /* decode: special tokens give nothing */
    DS_TOK_LOSSY = 8 /* decode: bytes that are not UTF-8 become U+FFFD, as the reference does */
};

/* Receives ids in order; n > 0 but in the last call, where it may be 0. The first `consumed` bytes
 * of the text are not needed any more (they may be looked at again, but seldom). Non-zero ends the
 * encoding with that code. */
typedef int (*ds_tok_sink)(void *ctx, const uint32_t *ids, size_t n, uint64_t consumed,
                           ds_err *err);

/* Encodes a text of any length through the sink. Text that is not UTF-8 is an error that names the
 * offset; ids of what came before it may have been delivered already. */
int ds_tok_encode_to(const ds_tok *tok, ds_tok_state *st, const void *text, size_t len,
                     unsigned flags, ds_tok_sink sink, void *ctx, ds_err *err);

/* The most that the caches of pretokens take, in bytes (64 MiB at first); empties them. Results
 * never depend on it. */
int ds_tok_state_memory(ds_tok_state *st, size_t bytes, ds_err *err);

/* A text that comes in pieces of any length, cut anywhere, even inside of a character: the ids are
 * those of the whole. The sink is called in put and end. A stream borrows the state, which may be
 * used for other texts between calls. After end the stream is as new; after an error it can only be
 * freed. */
typedef struct ds_tok_stream ds_tok_stream;
int ds_tok_stream_new(ds_tok_stream **out, ds_tok_state *st, unsigned flags, ds_tok_sink sink,
                      void *ctx, ds_err *err);
int ds_tok_stream_put(ds_tok_stream *s, const void *text, size_t len, ds_err *err);
int ds_tok_stream_end(ds_tok_stream *s, ds_err *err);
void ds_tok_stream_free(ds_tok_stream *s);

/* A growing array of ids; zeroed is empty. */
typedef struct ds_ids {
    uint32_t *v;
    size_t n, cap;
} ds_ids;
int ds_ids_put(ds_ids *ids, const uint32_t *v, size_t n); /* DS_NOMEM with nothing added */
void ds_ids_fini(ds_ids *ids);

/* Appends the ids of a text to out. */
int ds_tok_encode(const ds_tok *tok, ds_tok_state *st, const void *text, size_t len, unsigned flags,
                  ds_ids *out, ds_err *err);

/* Many texts by several threads: the ids of texts[i] are appended to out[i]. When texts fail, the
 * message is about the first of them; the others' ids may or may not be there. */
typedef struct ds_tok_span {
    const void *p;
    size_t len;
} ds_tok_span;
int ds_tok_encode_batch(const ds_tok *tok, const ds_tok_span *texts, size_t n, unsigned flags,
                        unsigned threads, ds_ids *out, ds_err *err);

/* Appends the text of ids to out. Ids that are not in use are an error that names the position. */
int ds_tok_decode(const ds_tok *tok, const uint32_t *ids, size_t n, unsigned flags, ds_buf *out,
                  ds_err *err);

#ifdef __cplusplus
}
#endif

#endif
