/* tok_train.c - the merging half of the trainer.
 *
 * Symbols of all distinct words stand in one array, each word's at its beginning. Every pair of
 * neighbours has its exact count and the words where it stood when it came into being; a word is
 * looked at again when its pair is merged. A heap holds (count, pair): counts only fall while an
 * entry waits, except for pairs that are pushed anew, so an entry whose count is out of date is put
 * back with the right one.
 */
#include "tok_train.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "hash.h"
#include "tok_like.h"
#include "tok_runs.h"
#include "tok_table.h"
#include "tok_write.h"

#define NONE UINT32_MAX
#define AHEAD 4 /* words whose symbols memory is asked for */

typedef struct word_list {
    uint32_t *v;
    uint32_t n, cap;
} word_list;

typedef struct pair_info {
    uint64_t pair; /* a << 32 | b */
    uint64_t count;
    word_list words; /* ascending, but for what was added later */
    uint32_t stamp;  /* merge at which it was last pushed */
    bool merged; /* in the list of merges; pairs come back when a token is reached in two ways */
} pair_info;

typedef struct heap_entry {
    uint64_t count, pair;
} heap_entry;

typedef struct trainer {
    tok_table table; /* tokens so far */
    uint32_t *sym;
    struct {
        uint64_t count;
        uint32_t at, len; /* its symbols */
    } * word;
    size_t n_words;
    uint32_t *width; /* by token: its length in bytes */
    uint64_t longest;
    pair_info *info;
    size_t n_info, cap_info;
    uint32_t *index; /* hash of pair -> info, NONE = empty */
    size_t index_mask;
    heap_entry *heap;
    size_t n_heap, cap_heap;
    uint32_t *fresh; /* infos whose count grew during this merge */
    size_t n_fresh, cap_fresh;
    uint32_t stamp;
} trainer;

static size_t pair_slot(const trainer *t, uint64_t pair)
{
    size_t i = (size_t)((pair * 0x9e3779b97f4a7c15u) >> 16) & t->index_mask;
    while (t->index[i] != NONE && t->info[t->index[i]].pair != pair)
        i = (i + 1) & t->index_mask;
    return i;
}

static int grow_index(trainer *t)
{
    size_t cap = (t->index_mask + 1) * 2;
    uint32_t *index = ds_tok_table(cap * sizeof *index);
    if (index == NULL)
        return DS_NOMEM;
    memset(index, 0xff, cap * sizeof *index);
    free(t->index);
    t->index = index;
    t->index_mask = cap - 1;
    for (size_t k = 0; k < t->n_info; k++)
        t->index[pair_slot(t, t->info[k].pair)] = (uint32_t)k;
    return 0;
}

static pair_info *pair_get(trainer *t, uint64_t pair)
{
    size_t i = pair_slot(t, pair);
    if (t->index[i] != NONE)
        return &t->info[t->index[i]];
    if (t->n_info >= NONE - 1 || ds_grow(&t->info, &t->cap_info, t->n_info, sizeof *t->info) != 0)
        return NULL;
    t->index[i] = (uint32_t)t->n_info;
    t->info[t->n_info] = (pair_info){.pair = pair, .stamp = NONE};
    if (++t->n_info * 2 > t->index_mask && grow_index(t) != 0)
        return NULL;
    return &t->info[t->n_info - 1];
}

static bool before(const heap_entry *a, const heap_entry *b)
{
    return a->count != b->count ? a->count > b->count : a->pair < b->pair;
}

static int heap_push(trainer *t, heap_entry e)
{
    if (ds_grow(&t->heap, &t->cap_heap, t->n_heap, sizeof *t->heap) != 0)
        return DS_NOMEM;
    size_t i = t->n_heap++;
    for (; i > 0 && before(&e, &t->heap[(i - 1) / 2]); i = (i - 1) / 2)
        t->heap[i] = t->heap[(i - 1) / 2];
    t->heap[i] = e;
    return 0;
}

static heap_entry heap_pop(trainer *t)
{
    heap_entry top = t->heap[0], e = t->heap[--t->n_heap];
    size_t i = 0;
    for (size_t c; (c = 2 * i + 1) < t->n_heap; i = c) {
        if (c + 1 < t->n_heap && before(&t->heap[c + 1], &t->heap[c]))
            c++;
        if (!before(&t->heap[c], &e))
            break;
        t->heap[i] = t->heap[c];
    }
    t->heap[i] = e;
    return top;
}

/* A pair stands once more in a word; `fresh` asks for a push at the end of this merge. */
static int pair_add(trainer *t, uint32_t a, uint32_t b, uint32_t word, bool fresh)
{
    if (fresh && (uint64_t)t->width[a] + t->width[b] >= t->longest)
        return 0;
    pair_info *p = pair_get(t, (uint64_t)a << 32 | b);
    if (p == NULL)
        return DS_NOMEM;
    word_list *l = &p->words;
    if (l->n == 0 || l->v[l->n - 1] != word) {
        size_t cap = l->cap;
        if (ds_grow(&l->v, &cap, l->n, sizeof *l->v) != 0 || cap > NONE)
            return DS_NOMEM;
        l->cap = (uint32_t)cap;
        l->v[l->n++] = word;
    }
    p->count += t->word[word].count;
    if (!fresh || p->stamp == t->stamp)
        return 0;
    p->stamp = t->stamp;
    if (ds_grow(&t->fresh, &t->cap_fresh, t->n_fresh, sizeof *t->fresh) != 0)
        return DS_NOMEM;
    t->fresh[t->n_fresh++] = (uint32_t)(p - t->info);
    return 0;
}

/* A pair that would be too long was never counted. */
static void pair_drop(trainer *t, uint32_t a, uint32_t b, uint32_t word)
{
    uint32_t k = t->index[pair_slot(t, (uint64_t)a << 32 | b)];
    if (k != NONE && t->info[k].count > 0)
        t->info[k].count -= t->word[word].count;
}

/* Merges wherever the pair stands in a word, from the left: "aaa" is (aa)a. */
static int merge_word(trainer *t, uint32_t word, uint32_t a, uint32_t b, uint32_t id)
{
    uint32_t *s = t->sym + t->word[word].at, n = t->word[word].len, out = 0;
    int rc = 0;
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        if (s[i] != a || i + 1 == n || s[i + 1] != b) {
            s[out++] = s[i];
            continue;
        }
        uint32_t left = out > 0 ? s[out - 1] : NONE, after = i + 2 < n ? s[i + 2] : NONE;
        pair_drop(t, a, b, word);
        if (left != NONE) {
            pair_drop(t, left, a, word);
            rc = pair_add(t, left, id, word, true);
        }
        if (after != NONE) {
            pair_drop(t, b, after, word);
            rc = rc ? rc : pair_add(t, id, after, word, true);
        }
        s[out++] = id;
        i++;
    }
    t->word[word].len = out;
    return rc;
}

static int by_word(const void *pa, const void *pb)
{
    uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
    return a < b ? -1 : a > b;
}

static int merge_pair(trainer *t, uint64_t pair, uint32_t id)
{
    pair_info *p = pair_get(t, pair);
    if (p == NULL)
        return DS_NOMEM;
    word_list list = p->words;
    p->words = (word_list){0};
    t->stamp++;
    t->n_fresh = 0;
    qsort(list.v, list.n, sizeof *list.v, by_word); /* memory is walked upwards */
    int rc = 0;
    for (uint32_t i = 0; i < list.n && rc == 0; i++) {
        if (i + 2 * AHEAD < list.n)
            __builtin_prefetch(&t->word[list.v[i + 2 * AHEAD]]);
        if (i + AHEAD < list.n)
            __builtin_prefetch(t->sym + t->word[list.v[i + AHEAD]].at, 1);
        if (i == 0 || list.v[i] != list.v[i - 1])
            rc = merge_word(t, list.v[i], (uint32_t)(pair >> 32), (uint32_t)pair, id);
    }
    free(list.v);
    for (size_t i = 0; i < t->n_fresh && rc == 0; i++) {
        const pair_info *f = &t->info[t->fresh[i]];
        if (f->count > 0)
            rc = heap_push(t, (heap_entry){f->count, f->pair});
    }
    return rc;
}

/* Lists have no room that they do not need: most of them never grow. */
static void trim(trainer *t)
{
    for (size_t k = 0; k < t->n_info; k++) {
        word_list *l = &t->info[k].words;
        uint32_t *v = l->n < l->cap ? realloc(l->v, l->n * sizeof *v) : NULL;
        if (v != NULL) {
            l->v = v;
            l->cap = l->n;
        }
    }
}

/* The words to symbols; their texts are given up on the way. */
static int take_words(trainer *t, ds_words *w, ds_err *err)
{
    tok_words_walk walk = {.w = w};
    tok_run_word x;
    uint32_t at = 0;
    int more;
    while ((more = ds_words_next(&walk, &x, err)) > 0) {
        if (t->n_words == w->distinct || x.len > w->text - at)
            return ds_fail(err, DS_CORRUPT, "temporary file: a run of words is damaged");
        t->word[t->n_words].count = x.count;
        t->word[t->n_words].at = at;
        t->word[t->n_words++].len = (uint32_t)x.len;
        for (size_t k = 0; k < x.len; k++)
            t->sym[at++] = t->table.byte_id[x.p[k]];
    }
    ds_words_give_up(w);
    return more;
}

static int lay_out(trainer *t, ds_words *w, const ds_train_options *o, ds_err *err)
{
    int rc = ds_words_finish(w, NULL, NULL, err);
    if (rc != 0)
        return rc;
    if (w->text >= NONE || w->distinct >= NONE)
        return ds_fail(err, DS_FAIL,
                       "too much text: the %" PRIu64 " distinct words have %" PRIu64
                       " bytes, at most 4 GiB are possible",
                       w->distinct, w->text);
    t->longest = o->max_token_length ? o->max_token_length : UINT64_MAX;
    t->sym = ds_tok_table((w->text ? (size_t)w->text : 1) * sizeof *t->sym);
    t->word = ds_tok_table((w->distinct ? (size_t)w->distinct : 1) * sizeof *t->word);
    t->width = calloc((size_t)o->vocab_size + 1, sizeof *t->width);
    t->index = malloc(1024 * sizeof *t->index);
    if (!t->sym || !t->word || !t->width || !t->index)
        return ds_fail_nomem(err);
    memset(t->index, 0xff, 1024 * sizeof *t->index);
    t->index_mask = 1023;
    for (unsigned b = 0; b < 256; b++)
        t->width[t->table.byte_id[b]] = 1;
    if ((rc = take_words(t, w, err)) != 0)
        return rc;
    for (uint32_t i = 0; i < t->n_words && rc == 0; i++)
        for (uint32_t k = 0; k + 1 < t->word[i].len && rc == 0; k++)
            rc = pair_add(t, t->sym[t->word[i].at + k], t->sym[t->word[i].at + k + 1], i, false);
    trim(t);
    for (size_t k = 0; k < t->n_info && rc == 0; k++)
        rc = heap_push(t, (heap_entry){t->info[k].count, t->info[k].pair});
    return rc == 0 ? 0 : ds_fail_nomem(err);
}

static int merge_all(trainer *t, const ds_train_options *o, ds_err *err)
{
    uint64_t least = o->min_count > 0 ? o->min_count : 1;
    int rc = 0;
    while (rc == 0 && t->table.n < o->vocab_size && t->n_heap > 0) {
        heap_entry top = heap_pop(t);
        pair_info *info = &t->info[t->index[pair_slot(t, top.pair)]];
        uint64_t now = info->count;
        if (now != top.count) {
            if (now > 0 && heap_push(t, (heap_entry){now, top.pair}) != 0)
                rc = ds_fail_nomem(err);
            continue;
        }
        if (now < least)
            break;
        uint32_t id = 0;
        int bad = ds_tok_table_merge(&t->table, (uint32_t)(top.pair >> 32), (uint32_t)top.pair,
                                     !info->merged, &id);
        info->merged = true;
        if (bad == 0)
            t->width[id] = t->width[top.pair >> 32] + t->width[(uint32_t)top.pair];
        if (bad != 0 || merge_pair(t, top.pair, id) != 0)
            rc = ds_fail_nomem(err);
        if (rc == 0 && o->progress != NULL && t->table.n % 256 == 0)
            rc = o->progress(o->ctx, t->table.n, err);
    }
    return rc;
}

static void trainer_fini(trainer *t)
{
    for (size_t i = 0; i < t->n_info; i++)
        free(t->info[i].words.v);
    free(t->info);
    free(t->sym);
    free(t->word);
    free(t->width);
    free(t->index);
    free(t->heap);
    free(t->fresh);
    ds_tok_table_fini(&t->table);
}

static int begin_table(tok_table *table, const ds_train_options *o, size_t n, ds_err *err)
{
    if (o->like == NULL)
        return ds_tok_table_init(table, o->special, n, err);
    const char **all = ds_tok_like_special(o->like, o->special, o->n_special);
    int rc = all != NULL ? ds_tok_table_init(table, all, n, err) : ds_fail_nomem(err);
    free(all);
    return rc;
}

int ds_tok_train(ds_buf *json, uint32_t *tokens, ds_words *words, const ds_train_options *opts,
                 ds_err *err)
{
    trainer t = {0};
    size_t before_len = json->len;
    size_t n = opts->n_special + (opts->like != NULL ? ds_tok_like_added(opts->like) : 0);
    int rc = 0;
    if (n > 65536 || opts->vocab_size < 256 + n || opts->vocab_size > 1u << 24)
        rc = ds_fail(err, DS_USAGE,
                     "vocabulary size %u: it is between 256 + %zu special tokens and 16777216",
                     opts->vocab_size, n);
    if (rc == 0)
        rc = begin_table(&t.table, opts, n, err);
    if (rc == 0)
        rc = lay_out(&t, words, opts, err);
    if (rc == 0)
        rc = merge_all(&t, opts, err);
    if (rc == 0 && opts->like != NULL)
        rc = ds_tok_like_write(json, opts->like, &t.table, err);
    else if (rc == 0 && ds_tok_write_json(json, &t.table) != 0)
        rc = ds_fail_nomem(err);
    if (rc != 0)
        json->len = before_len;
    *tokens = t.table.n;
    trainer_fini(&t);
    return rc;
}
