/* tok_model.c - see tok_model.h. */
#include "tok_model.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

struct merge_list;
typedef struct walk {
    ds_tok *t;
    const uint8_t *begin, *p, *end;
    struct merge_list *list;
    const uint8_t *merges; /* where they begin, when the vocabulary comes behind */
    bool vocab;            /* seen */
    ds_err *err;
} walk;

/* A token that is not in the index yet. */
typedef struct fresh {
    uint64_t hash;
    uint32_t id;
} fresh;

static int bad(walk *w, const char *what)
{
    return ds_fail(w->err, DS_FAIL, "offset %zu: %s", (size_t)(w->p - w->begin), what);
}

static inline void space(walk *w)
{
    while (w->p < w->end && (*w->p == ' ' || *w->p == '\n' || *w->p == '\r' || *w->p == '\t'))
        w->p++;
}
static inline bool at(walk *w, char c)
{
    if (w->p < w->end && *w->p == (uint8_t)c)
        return true;
    space(w);
    return w->p < w->end && *w->p == (uint8_t)c;
}
static inline bool take(walk *w, char c)
{
    bool is = at(w, c);
    w->p += is;
    return is;
}

static int hex4(walk *w, uint32_t *out)
{
    if (w->end - w->p < 4)
        return bad(w, "a \\u escape without four digits");
    *out = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t c = *w->p++, low = c | 0x20;
        uint32_t d = (uint8_t)(c - '0') < 10    ? c - 48u
                     : (uint8_t)(low - 'a') < 6 ? low - 'a' + 10u
                                                : 16;
        if (d > 15)
            return bad(w, "a \\u escape without four digits");
        *out = *out << 4 | d;
    }
    return 0;
}

static int escape(walk *w, uint8_t **to)
{
    static const char from[] = "\"\\/bfnrt", is[] = "\"\\/\b\f\n\r\t";
    if (w->p == w->end)
        return bad(w, "the text ends inside a string");
    uint8_t c = *w->p++;
    const char *k = c != 0 ? strchr(from, c) : NULL;
    uint32_t cp, low;
    if (k != NULL) {
        *(*to)++ = (uint8_t)is[k - from];
        return 0;
    }
    if (c != 'u')
        return bad(w, "an escape that JSON does not have");
    int rc = hex4(w, &cp);
    if (rc == 0 && cp >= 0xd800 && cp < 0xdc00) {
        if (w->end - w->p < 2 || w->p[0] != '\\' || w->p[1] != 'u')
            return bad(w, "half of a surrogate pair");
        w->p += 2;
        rc = hex4(w, &low);
        if (rc == 0 && (low < 0xdc00 || low > 0xdfff))
            return bad(w, "half of a surrogate pair");
        cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
    } else if (rc == 0 && ((cp >= 0xdc00 && cp <= 0xdfff) || cp == 0)) {
        return bad(w, cp == 0 ? "a token with a NUL" : "half of a surrogate pair");
    }
    if (rc == 0)
        *to += ds_uni_put(*to, cp);
    return rc;
}

/* The bytes of eight that have to be looked at, quotes, backslashes and control characters, as
 * their upper bits; those above the first one may be wrong. */
static inline uint64_t odd_bytes(uint64_t v)
{
    const uint64_t ones = UINT64_MAX / 255, high = ones << 7;
    uint64_t q = v ^ ones * '"', b = v ^ ones * '\\';
    return (((q - ones) & ~q) | ((b - ones) & ~b) | ((v - ones * 0x20) & ~v)) & high;
}

/* Plain bytes at w->p to o; returns behind them. Whole words are written. */
static inline uint8_t *plain_bytes(walk *w, uint8_t *o)
{
    const uint8_t *p = w->p;
    uint64_t v, odd = 0;
    while (w->end - p >= 8) {
        memcpy(&v, p, 8);
        memcpy(o, &v, 8);
        odd = odd_bytes(v);
        if (odd != 0)
            break;
        p += 8;
        o += 8;
    }
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (odd != 0) {
        unsigned n = (unsigned)__builtin_ctzll(odd) / 8;
        w->p = p + n;
        return o + n;
    }
#endif
    while (p < w->end && *p != '"' && *p != '\\' && *p >= 0x20)
        *o++ = *p++;
    w->p = p;
    return o;
}

/* The string at w->p to *to on, where there is room for as many bytes as the text has left. */
static int string(walk *w, uint8_t **to)
{
    if (!take(w, '"'))
        return bad(w, "a string is expected");
    uint8_t *o = *to;
    int rc = 0;
    while (rc == 0) {
        o = plain_bytes(w, o);
        if (w->p == w->end)
            return bad(w, "the text ends inside a string");
        uint8_t c = *w->p++;
        if (c == '"')
            break;
        if (c == '\\')
            rc = escape(w, &o);
        else
            return bad(w, "a control character inside a string");
    }
    *to = o;
    return rc;
}

/* Steps over a value of any kind; what is wrong inside is for the reader of the rest to say. */
static int skip(walk *w)
{
    size_t depth = 0;
    bool in_string = false;
    space(w);
    for (; w->p < w->end; w->p++) {
        uint8_t c = *w->p;
        if (in_string) {
            w->p += c == '\\' && w->p + 1 < w->end;
            in_string = c != '"';
            if (!in_string && depth == 0) {
                w->p++;
                return 0;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
            return 0;
        } else if (c == '}' || c == ']') {
            if (--depth == 0) {
                w->p++;
                return 0;
            }
        }
    }
    return bad(w, "the text ends inside a value");
}

static int number(walk *w, const char *name, uint32_t *id)
{
    uint64_t v = 0;
    space(w);
    const uint8_t *from = w->p;
    while (w->p < w->end && (uint8_t)(*w->p - '0') < 10 && v <= TOK_ID_MAX)
        v = v * 10 + (*w->p++ - '0');
    uint8_t c = w->p < w->end ? *w->p : 0;
    bool ends = c == ',' || c == '}' || c == ' ' || c == '\t' || c == '\r' || c == '\n';
    if (w->p == from || !ends || v > TOK_ID_MAX || (*from == '0' && w->p - from > 1))
        return ds_fail(w->err, DS_FAIL, "model.vocab: token %s has no id in 0..%u", name,
                       TOK_ID_MAX);
    *id = (uint32_t)v;
    return 0;
}

static int entry_room(walk *w, uint32_t id, size_t *cap)
{
    ds_tok *t = w->t;
    if (id >= *cap) {
        size_t more = *cap < 1024 ? 1024 : *cap * 2;
        while (more <= id)
            more *= 2;
        tok_entry *e = realloc(t->entry, more * sizeof *e);
        if (e == NULL)
            return ds_fail_nomem(w->err);
        memset(e + *cap, 0, (more - *cap) * sizeof *e);
        t->entry = e;
        *cap = more;
    }
    if (id >= t->n_entries)
        t->n_entries = id + 1;
    return 0;
}

/* One "token": id of the vocabulary. */
static int vocab_member(walk *w, size_t *cap, ds_buf *list)
{
    ds_tok *t = w->t;
    uint8_t *from = t->pool.data + t->pool.len, *to = from;
    uint32_t id = 0;
    int rc = string(w, &to);
    if (rc != 0)
        return rc;
    *to = 0;
    if (!take(w, ':'))
        return bad(w, "a colon is expected");
    rc = number(w, (const char *)from, &id);
    if (rc == 0)
        rc = entry_room(w, id, cap);
    if (rc != 0)
        return rc;
    if (t->entry[id].flags & TOK_EXISTS)
        return ds_fail(w->err, DS_FAIL, "model.vocab: tokens %s and %s have the same id %u",
                       ds_tok_text(t, id, NULL), (const char *)from, id);
    size_t len = (size_t)(to - from);
    t->pool.len += len + 1;
    ds_tok_entry_fill(t, id, t->pool.len - len - 1, len);
    t->entry[id].flags |= TOK_MODEL;
    fresh f = {ds_tok_hash(from, len), id};
    return ds_buf_put(list, &f, sizeof f) == 0 ? 0 : ds_fail_nomem(w->err);
}

static int index_all(walk *w, const ds_buf *list)
{
    const fresh *f = (const fresh *)(const void *)list->data;
    size_t n = list->len / sizeof *f;
    tok_index *ix = &w->t->by_text;
    int rc = ds_tok_index_init(ix, n, w->err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (i + 16 < n)
            __builtin_prefetch(&ix->slot[f[i + 16].hash & ix->mask]);
        uint32_t same = ds_tok_index_put(w->t, ix, f[i].id, f[i].hash, false);
        if (same != DS_TOK_NONE)
            rc = ds_fail(w->err, DS_FAIL, "model.vocab: token %s stands there twice, as %u and %u",
                         ds_tok_text(w->t, same, NULL), same, f[i].id);
    }
    return rc;
}

static int read_vocab(walk *w)
{
    ds_tok *t = w->t;
    ds_buf list = {0};
    size_t cap = 0, left = (size_t)(w->end - w->p);
    /* text and bytes of the tokens together are never longer than twice their text in the file */
    int rc = left < UINT32_MAX / 4 && ds_buf_reserve(&t->pool, left * 2 + 64) == 0
                 ? 0
                 : ds_fail_nomem(w->err);
    if (w->vocab)
        rc = bad(w, "model.vocab stands there twice");
    w->vocab = true;
    w->p++;
    while (rc == 0 && !(list.len == 0 && take(w, '}'))) {
        rc = vocab_member(w, &cap, &list);
        if (rc == 0 && take(w, '}'))
            break;
        if (rc == 0 && !take(w, ','))
            rc = bad(w, "a comma is expected");
    }
    if (rc == 0)
        rc = index_all(w, &list);
    ds_buf_fini(&list);
    t->n_tokens = t->n_model = (uint32_t)t->by_text.n;
    return rc;
}

#define BATCH 64
/* A merge as the text has it. Its two parts lie one behind the other in the list's text. */
typedef struct pending {
    const uint8_t *text;
    uint32_t len[2], id[2];
    uint64_t hash[2];
} pending;

/* All merges of the text. The list is read beside the vocabulary, by a thread that looks for it
 * itself, and taken when the walk comes to the same place. */
struct merge_list {
    walk w;
    ds_err err;
    ds_buf text, all;
    const uint8_t *from; /* its bracket */
    size_t n;
    int rc;
    pthread_t thread;
    bool started;
};

static int merge_bad(walk *w, size_t rank)
{
    return ds_fail(w->err, DS_FAIL, "model.merges[%zu] is neither \"a b\" nor [\"a\", \"b\"]",
                   rank);
}

/* Reads "a b" or ["a", "b"]. */
static int merge_parts(walk *w, pending *m, uint8_t **to, size_t rank)
{
    uint8_t *from = *to;
    bool list = take(w, '[');
    if (!at(w, '"'))
        return merge_bad(w, rank);
    int rc = string(w, to);
    if (rc != 0)
        return rc;
    m->text = from;
    if (list) {
        m->len[0] = (uint32_t)(*to - from);
        if (!take(w, ',') || !at(w, '"'))
            return merge_bad(w, rank);
        rc = string(w, to);
        m->len[1] = (uint32_t)(*to - from) - m->len[0];
        return rc != 0 ? rc : take(w, ']') ? 0 : merge_bad(w, rank);
    }
    uint8_t *sp = memchr(from, ' ', (size_t)(*to - from));
    if (sp == NULL || memchr(sp + 1, ' ', (size_t)(*to - sp - 1)) != NULL)
        return merge_bad(w, rank);
    m->len[0] = (uint32_t)(sp - from);
    m->len[1] = (uint32_t)(*to - sp - 1);
    memmove(sp, sp + 1, m->len[1]);
    (*to)--;
    return 0;
}

/* The list whose bracket is at l->w.p. */
static int list_read(struct merge_list *l)
{
    walk *w = &l->w;
    l->from = w->p++;
    if (ds_buf_reserve(&l->text, (size_t)(w->end - w->p)) != 0)
        return ds_fail_nomem(w->err);
    uint8_t *to = l->text.data;
    int rc = 0;
    for (bool more = !take(w, ']'); more && rc == 0; l->n++) {
        pending m = {.text = NULL};
        rc = merge_parts(w, &m, &to, l->n);
        if (rc != 0)
            break;
        m.hash[0] = ds_tok_hash(m.text, m.len[0]);
        m.hash[1] = ds_tok_hash(m.text + m.len[0], m.len[1]);
        if (ds_buf_put(&l->all, &m, sizeof m) != 0)
            return ds_fail_nomem(w->err);
        more = !take(w, ']');
        if (more && !take(w, ','))
            rc = bad(w, "a comma is expected");
    }
    return rc;
}

static void *list_run(void *arg)
{
    struct merge_list *l = arg;
    walk *w = &l->w;
    const char name[] = "\"merges\"";
    const uint8_t *p = memmem(w->p, (size_t)(w->end - w->p), name, sizeof name - 1);
    if (p == NULL)
        return NULL;
    w->p = p + sizeof name - 1;
    if (take(w, ':') && at(w, '['))
        l->rc = list_read(l);
    return NULL;
}

static void list_start(struct merge_list *l, const walk *w)
{
    l->w = *w;
    l->w.err = &l->err;
    l->started = w->end - w->p > 262144 && pthread_create(&l->thread, NULL, list_run, l) == 0;
}

static void list_wait(struct merge_list *l)
{
    if (l->started)
        (void)pthread_join(l->thread, NULL);
    l->started = false;
}

static uint32_t find(walk *w, const uint8_t *p, size_t len)
{
    return len > 0 ? ds_tok_id(w->t, (const char *)p, len) : DS_TOK_NONE;
}

/* The merged token is nearly always the one behind the last one. */
static uint32_t merged_id(walk *w, const pending *m, uint32_t guess)
{
    const ds_tok *t = w->t;
    size_t len = (size_t)m->len[0] + m->len[1];
    if (guess < t->n_entries && t->entry[guess].text_len == len &&
        (t->entry[guess].flags & TOK_EXISTS) &&
        memcmp(t->pool.data + t->entry[guess].text_at, m->text, len) == 0)
        return guess;
    return find(w, m->text, len);
}

static int unknown(walk *w, size_t rank, const uint8_t *p, size_t len)
{
    return ds_fail(w->err, DS_FAIL, "model.merges[%zu]: token %.*s is not in the vocabulary", rank,
                   (int)(len < 200 ? len : 200), (const char *)p);
}

/* All ids are looked up in steps, so that the memory accesses of many overlap. */
static int resolve(walk *w, pending *v, size_t n, size_t rank, uint32_t *guess)
{
    ds_tok *t = w->t;
    for (size_t i = 0; i < 2 * n; i++)
        ds_tok_index_ask(&t->by_text, v[i / 2].hash[i % 2]);
    for (size_t i = 0; i < 2 * n; i++) {
        pending *m = &v[i / 2];
        m->id[i % 2] = ds_tok_index_guess(&t->by_text, m->hash[i % 2]);
        if (m->id[i % 2] != DS_TOK_NONE)
            __builtin_prefetch(&t->entry[m->id[i % 2]]);
    }
    for (size_t i = 0; i < 2 * n; i++)
        if (v[i / 2].id[i % 2] != DS_TOK_NONE)
            __builtin_prefetch(t->pool.data + t->entry[v[i / 2].id[i % 2]].text_at);
    for (size_t i = 0; i < n; i++) {
        pending *m = &v[i];
        for (size_t k = 0; k < 2; k++) {
            const uint8_t *p = m->text + (k ? m->len[0] : 0);
            const tok_entry *e = m->id[k] != DS_TOK_NONE ? &t->entry[m->id[k]] : NULL;
            if (e == NULL || e->text_len != m->len[k] || m->len[k] == 0 ||
                memcmp(t->pool.data + e->text_at, p, m->len[k]) != 0)
                m->id[k] = find(w, p, m->len[k]);
            if (m->id[k] == DS_TOK_NONE)
                return unknown(w, rank + i, p, m->len[k]);
        }
        uint32_t id = merged_id(w, m, *guess);
        if (id == DS_TOK_NONE)
            return unknown(w, rank + i, m->text, (size_t)m->len[0] + m->len[1]);
        *guess = id + 1;
        if (!ds_tok_add_merge(t, m->id[0], m->id[1], id))
            return ds_fail_nomem(w->err);
    }
    return 0;
}

static int read_merges(walk *w)
{
    struct merge_list *l = w->list;
    uint32_t guess = 0;
    list_wait(l);
    if (l->from != w->p) {
        ds_buf_reset(&l->all);
        l->n = 0;
        l->w = *w;
        l->w.err = &l->err;
        l->rc = list_read(l);
    }
    w->p = l->w.p;
    if (l->rc != 0)
        return ds_fail(w->err, l->rc, "%s", l->err.msg);
    if (l->n >= TOK_NO_MERGE)
        return ds_fail(w->err, DS_FAIL, "model: too many merges");
    pending *v = (pending *)(void *)l->all.data;
    int rc = 0;
    for (size_t i = 0; i < l->n && rc == 0; i += BATCH)
        rc = resolve(w, v + i, l->n - i < BATCH ? l->n - i : BATCH, i, &guess);
    return rc;
}

/* Members of the object at w->p. In that of the root, `model` is gone into. */
static int object(walk *w, bool model, ds_buf *rest, const uint8_t **kept)
{
    uint8_t name[16];
    int rc = 0;
    w->p++;
    for (bool first = true; rc == 0 && !take(w, '}'); first = false) {
        if (!first && !take(w, ','))
            return bad(w, "a comma is expected");
        space(w);
        const uint8_t *from = w->p;
        if (!at(w, '"'))
            return bad(w, "a name is expected");
        rc = skip(w);
        size_t len = (size_t)(w->p - from);
        if (rc == 0 && !take(w, ':'))
            return bad(w, "a colon is expected");
        space(w);
        memset(name, 0, sizeof name);
        memcpy(name, from, len < sizeof name ? len : 0);
        const uint8_t *value = w->p;
        const char *instead = NULL;
        if (rc == 0 && !model && memcmp(name, "\"model\"", 8) == 0 && at(w, '{')) {
            rc = object(w, true, rest, kept);
            continue;
        }
        if (rc == 0 && model && memcmp(name, "\"vocab\"", 8) == 0 && at(w, '{')) {
            rc = read_vocab(w);
            instead = "{}";
        } else if (rc == 0 && model && memcmp(name, "\"merges\"", 9) == 0 && at(w, '[')) {
            w->merges = w->vocab ? NULL : w->p;
            rc = w->vocab ? read_merges(w) : skip(w);
            instead = "[]";
        } else if (rc == 0) {
            rc = skip(w);
        }
        if (rc == 0 && instead != NULL) {
            if (ds_buf_put(rest, *kept, (size_t)(value - *kept)) != 0 ||
                ds_buf_puts(rest, instead) != 0)
                return ds_fail_nomem(w->err);
            *kept = w->p;
        }
    }
    return rc;
}

int ds_tok_model_read(ds_tok *t, const uint8_t *json, size_t len, ds_buf *rest, ds_err *err)
{
    struct merge_list list = {.rc = 0};
    walk w = {.t = t, .begin = json, .p = json, .end = json + len, .list = &list, .err = err};
    const uint8_t *kept = json;
    size_t good = ds_utf8_check(json, len);
    if (good != len)
        return ds_fail(err, DS_FAIL, "offset %zu: not UTF-8", good);
    list_start(&list, &w);
    int rc = at(&w, '{') ? object(&w, false, rest, &kept) : 0;
    if (rc == 0 && w.merges != NULL && w.vocab) {
        w.p = w.merges;
        rc = read_merges(&w);
    }
    if (rc == 0 && !ds_tok_merges_finish(&t->merges))
        rc = ds_fail_nomem(err);
    if (rc == 0 && ds_buf_put(rest, kept, (size_t)(w.end - kept)) != 0)
        rc = ds_fail_nomem(err);
    list_wait(&list);
    ds_buf_fini(&list.text);
    ds_buf_fini(&list.all);
    return rc;
}
