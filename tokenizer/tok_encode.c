/* tok_encode.c - a text to ids, segment by segment.
 *
 * A segment ends where every pipeline has a boundary for certain (tok_cut.h). Added tokens are
 * respected: no cut inside, right before or right after one.
 */
#include "tok_priv.h"
#include "tok_cut.h"
#include "utf8.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT ((size_t)1 << 20)

int ds_tok_state_new(ds_tok_state **out, const ds_tok *tok, ds_err *err)
{
    ds_tok_state *st = calloc(1, sizeof *st);
    *out = NULL;
    if (st == NULL)
        return ds_fail_nomem(err);
    st->tok = tok;
    st->segment = SEGMENT;
    st->classify = ds_tok_classifier(getenv("DS_SIMD")); /* for tests */
    st->of_parts = tok->ignore_merges ? &st->parts : &st->cache;
    st->out = malloc((TOK_OUT + TOK_OUT_SLACK) * sizeof *st->out);
    st->mctx = ds_tok_regex_limits();
    st->jit = pcre2_jit_stack_create(32 << 10, 4 << 20, NULL);
    bool ok = ds_tok_state_memory(st, TOK_CACHE_DEFAULT, NULL) == 0 && st->out != NULL &&
              st->mctx != NULL;
    st->char_id = calloc(65536, sizeof *st->char_id);
    ok = ok && st->char_id != NULL;
    for (unsigned k = 0; k < tok->n_steps && ok; k++) {
        if (tok->step[k].re.re != NULL) {
            st->md[k] = pcre2_match_data_create(1, NULL);
            ok = st->md[k] != NULL;
        }
    }
    if (!ok) {
        ds_tok_state_free(st);
        return ds_fail_nomem(err);
    }
    if (st->jit != NULL)
        pcre2_jit_stack_assign(st->mctx, NULL, st->jit);
    *out = st;
    return 0;
}

void ds_tok_state_free(ds_tok_state *st)
{
    if (st == NULL)
        return;
    for (unsigned k = 0; k < TOK_STEPS; k++) {
        pcre2_match_data_free(st->md[k]);
        ds_buf_fini(&st->with_space[k]);
    }
    pcre2_match_context_free(st->mctx);
    pcre2_jit_stack_free(st->jit);
    ds_buf_fini(&st->norm[0]);
    ds_buf_fini(&st->norm[1]);
    ds_tok_cache_fini(&st->cache);
    ds_tok_cache_fini(&st->parts);
    free(st->out);
    free(st->char_id);
    free(st->link);
    free(st->heap);
    free(st);
}

int ds_tok_state_memory(ds_tok_state *st, size_t bytes, ds_err *err)
{
    bool two = st->of_parts == &st->parts, ok;
    ds_tok_cache_fini(&st->cache);
    ds_tok_cache_fini(&st->parts);
    ds_tok_cache_init(&st->cache, two ? bytes / 2 : bytes);
    ds_tok_cache_init(&st->parts, bytes / 2);
    ok = ds_tok_cache_start(&st->cache) && (!two || ds_tok_cache_start(&st->parts));
    return ok ? 0 : ds_fail_nomem(err);
}

void ds_tok_state_segment(ds_tok_state *st, size_t bytes)
{
    st->segment = bytes ? bytes : SEGMENT;
}

int ds_tok_flush(ds_tok_state *st)
{
    size_t n = st->out_n;
    if (n == 0)
        return 0;
    st->out_n = 0;
    return st->sink(st->ctx, st->out, n, st->consumed, st->err);
}

/* Text between added tokens, after normalisation. */
static int plain(ds_tok_state *st, const uint8_t *p, size_t len, enum tok_place place)
{
    return ds_tok_piece(st, 0, p, len, place);
}

/* Cuts added tokens of `t` out of (p, len); what stands between goes on to `rest`. */
static int cut_added(ds_tok_state *st, const tok_trie *t, const uint8_t *p, size_t len,
                     enum tok_place place,
                     int (*rest)(ds_tok_state *, const uint8_t *, size_t, enum tok_place))
{
    size_t done = 0, from = 0;
    int rc = 0;
    tok_match m;
    while (rc == 0 && !(st->flags & DS_TOK_NO_ADDED) &&
           ds_tok_trie_find(t, st->tok->cls, p, len, from, done, &m, &from)) {
        if (m.start > done)
            rc = rest(st, p + done, m.start - done, done > 0 ? TOK_PIECE : place);
        if (rc == 0)
            rc = ds_tok_emit(st, m.id);
        done = m.end;
    }
    if (rc == 0 && done < len)
        rc = rest(st, p + done, len - done, done > 0 ? TOK_PIECE : place);
    return rc;
}

static int normalised(ds_tok_state *st, const uint8_t *p, size_t len, enum tok_place place)
{
    const ds_tok *t = st->tok;
    int rc = 0;
    if (t->norms.n > 0)
        rc = ds_tok_norms_apply(&t->norms, t->cls, st->norm, place != TOK_GOES_ON, p, len, &p, &len,
                                st->err);
    return rc ? rc : cut_added(st, &t->normal, p, len, place, plain);
}

/* Does an added token that begins before the cut reach it, or one begin at it? */
static bool cut_token(const tok_trie *t, const uint8_t *p, size_t len, size_t at)
{
    size_t from = at > t->longest ? at - t->longest : 0;
    if (t->longest == 0)
        return false;
    for (size_t i = from; i <= at && i < len; i++) {
        uint32_t node;
        if (t->first[p[i]] && i + ds_tok_trie_at(t, p + i, len - i, &node) >= at &&
            ds_tok_trie_at(t, p + i, len - i, &node) > 0)
            return true;
    }
    return false;
}

size_t ds_tok_segment_end(const ds_tok_state *st, const uint8_t *p, size_t len, size_t *from,
                          bool whole)
{
    const ds_tok *t = st->tok;
    size_t ahead = t->raw.longest > t->normal.longest ? t->raw.longest : t->normal.longest;
    size_t end = whole ? len : len > ahead + 8 ? len - ahead - 8 : 0;
    if (*from < st->segment)
        *from = st->segment;
    for (; t->cuttable && *from < end; ++*from)
        if (ds_tok_cut_chars(p, len, *from) && !(t->only_before_space && p[*from] != ' ') &&
            !cut_token(&t->raw, p, len, *from) && !cut_token(&t->normal, p, len, *from))
            return *from;
    return whole ? len : 0;
}

int ds_tok_segment(ds_tok_state *st, const uint8_t *p, size_t len)
{
    size_t good = ds_utf8_check(p, len);
    if (good != len)
        return ds_fail(st->err, DS_FAIL, "not UTF-8 at byte %" PRIu64, st->consumed + good);
    int rc = cut_added(st, &st->tok->raw, p, len, st->consumed == 0 ? TOK_TEXT : TOK_GOES_ON,
                       normalised);
    st->consumed += len;
    return rc == 0 ? ds_tok_flush(st) : rc;
}

static int emit_ids(ds_tok_state *st, const uint32_t *ids, size_t n)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0 && !(st->flags & DS_TOK_NO_SPECIAL); i++)
        rc = ds_tok_emit(st, ids[i]);
    return rc;
}

int ds_tok_begin(ds_tok_state *st, unsigned flags, ds_tok_sink sink, void *ctx, ds_err *err)
{
    st->out_n = 0;
    st->consumed = 0;
    st->flags = flags;
    st->sink = sink;
    st->ctx = ctx;
    st->err = err;
    return emit_ids(st, st->tok->prefix, st->tok->n_prefix);
}

int ds_tok_end(ds_tok_state *st)
{
    int rc = emit_ids(st, st->tok->suffix, st->tok->n_suffix);
    return rc == 0 ? ds_tok_flush(st) : rc;
}

/* What one huge text without a place to cut needed is not kept for the next ones. */
void ds_tok_give_back(ds_tok_state *st)
{
    const size_t keep = 4 * SEGMENT;
    for (unsigned k = 0; k < 2; k++)
        if (st->norm[k].cap > keep)
            ds_buf_fini(&st->norm[k]);
    for (unsigned k = 0; k < TOK_STEPS; k++)
        if (st->with_space[k].cap > keep)
            ds_buf_fini(&st->with_space[k]);
}

int ds_tok_encode_to(const ds_tok *tok, ds_tok_state *st, const void *text, size_t len,
                     unsigned flags, ds_tok_sink sink, void *ctx, ds_err *err)
{
    if (st->tok != tok)
        return ds_fail(err, DS_FAIL, "this state belongs to another tokenizer");
    const uint8_t *p = text;
    int rc = ds_tok_begin(st, flags, sink, ctx, err);
    for (size_t at = 0, n; at < len && rc == 0; at += n) {
        size_t from = 0;
        n = ds_tok_segment_end(st, p + at, len - at, &from, true);
        rc = ds_tok_segment(st, p + at, n);
    }
    if (rc == 0)
        rc = ds_tok_end(st);
    ds_tok_give_back(st);
    st->err = NULL;
    return rc;
}

int ds_tok_words(ds_tok_state *st, const void *text, size_t len, tok_word_fn fn, void *ctx,
                 ds_err *err)
{
    tok_classify by_windows = st->classify;
    st->classify = NULL; /* windows give ids at once */
    st->word = fn;
    st->word_ctx = ctx;
    int rc = ds_tok_encode_to(st->tok, st, text, len, DS_TOK_NO_ADDED | DS_TOK_NO_SPECIAL, NULL,
                              NULL, err);
    st->word = NULL;
    st->classify = by_windows;
    return rc;
}

int ds_ids_put(ds_ids *ids, const uint32_t *v, size_t n)
{
    size_t need, bytes;
    if (!ds_add_size(ids->n, n, &need))
        return DS_NOMEM;
    if (need > ids->cap) {
        size_t cap = ids->cap + ids->cap / 2;
        if (cap < need)
            cap = need < 64 ? 64 : need;
        uint32_t *p = ds_mul_size(cap, sizeof *p, &bytes) ? realloc(ids->v, bytes) : NULL;
        if (p == NULL)
            return DS_NOMEM;
        ids->v = p;
        ids->cap = cap;
    }
    if (n > 0)
        memcpy(ids->v + ids->n, v, n * sizeof *v);
    ids->n = need;
    return 0;
}

void ds_ids_fini(ds_ids *ids)
{
    free(ids->v);
    memset(ids, 0, sizeof *ids);
}

static int collect(void *ctx, const uint32_t *ids, size_t n, uint64_t consumed, ds_err *err)
{
    (void)consumed;
    return ds_ids_put(ctx, ids, n) == 0 ? 0 : ds_fail_nomem(err);
}

int ds_tok_encode(const ds_tok *tok, ds_tok_state *st, const void *text, size_t len, unsigned flags,
                  ds_ids *out, ds_err *err)
{
    size_t before = out->n;
    int rc = ds_tok_encode_to(tok, st, text, len, flags, collect, out, err);
    if (rc != 0)
        out->n = before;
    return rc;
}
