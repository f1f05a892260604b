/* tok_model.c - see tok_model.h.
 *
 * The list of merges is read beside the vocabulary by a thread that looks for it itself, and its
 * second half is looked up there too.
 */
#include "tok_model.h"

#include <stdlib.h>
#include <string.h>

#include "pool.h"
#include "tok_table.h"
#include "tok_walk.h"
#include "utf8.h"

#define MANY 262144 /* bytes of text that are worth a thread */

/* A token that is not in the index yet. */
typedef struct fresh {
    uint32_t hash, id;
} fresh;

/* A merge as the text has it: two parts with a byte between. Once looked up, its ids. */
typedef struct pending {
    union {
        uint32_t at; /* in the JSON text; with DECODED, in the list's own */
        uint32_t to; /* the merged token, with BYTES when both parts are single bytes */
    };
    uint32_t len[2];
    union {
        uint32_t hash[2];
        uint32_t id[2];
    };
} pending;
#define DECODED ((uint32_t)1 << 31)
#define BYTES ((uint32_t)1 << 31)

typedef struct merge_list {
    tok_walk w;
    const ds_tok *t;
    ds_err err;
    ds_buf text; /* of merges that do not stand in the JSON as "a b" */
    pending *v;
    size_t n, cap;
    const uint8_t *from; /* its bracket */
    int rc;
    ds_beside beside;
} merge_list;

typedef struct reader {
    tok_walk w;
    ds_tok *t;
    merge_list *list;
    const uint8_t *merges; /* where they begin, when the vocabulary comes behind */
    bool vocab, listed;    /* seen */
} reader;

static int number(tok_walk *w, const char *name, uint32_t *id)
{
    uint64_t v = 0;
    tok_walk_space(w);
    const uint8_t *from = w->p;
    while (w->p < w->end && (uint8_t)(*w->p - '0') < 10 && v <= TOK_ID_MAX)
        v = v * 10 + (*w->p++ - '0');
    if (w->p == w->end)
        return ds_tok_walk_bad(w, "the text ends inside a value");
    uint8_t c = *w->p;
    bool ends = c == ',' || c == '}' || c == ' ' || c == '\t' || c == '\r' || c == '\n';
    if (w->p == from || !ends || v > TOK_ID_MAX || (*from == '0' && w->p - from > 1))
        return ds_fail(w->err, DS_FAIL, "model.vocab: token %s has no id in 0..%u", name,
                       TOK_ID_MAX);
    *id = (uint32_t)v;
    return 0;
}

/* How many tokens or merges the rest of the file may have: so much memory is had at once, and twice
 * as much whenever it does not do. */
static size_t likely(const tok_walk *w)
{
    size_t n = (size_t)(w->end - w->p) / 56;
    return n < 1024 ? 1024 : n;
}

static int entry_room(reader *r, uint32_t id, size_t *cap)
{
    ds_tok *t = r->t;
    if (id >= *cap) {
        size_t more = *cap == 0 ? likely(&r->w) : *cap * 2;
        while (more <= id)
            more *= 2;
        tok_entry *e = ds_tok_table(more * sizeof *e);
        if (e == NULL)
            return ds_fail_nomem(r->w.err);
        if (*cap > 0)
            memcpy(e, t->entry, *cap * sizeof *e);
        free(t->entry);
        memset(e + *cap, 0, (more - *cap) * sizeof *e);
        t->entry = e;
        *cap = more;
    }
    if (id >= t->n_entries)
        t->n_entries = id + 1;
    return 0;
}

/* The string at w->p to `to`. */
static int token_text(tok_walk *w, uint8_t *to, size_t *len, enum tok_spelling *how)
{
    tok_glance g;
    uint8_t *end = to;
    *how = TOK_ANYHOW;
    if (tok_walk_at(w, '"') && tok_walk_glance(w, &g)) {
        unsigned n = tok_walk_plain(w, &g);
        if (n < TOK_GLANCE) {
            memcpy(to, w->p + 1, TOK_GLANCE); /* there is room, see read_vocab */
            w->p += n + 2;
            *len = n;
            uint32_t other = g.other & (((uint32_t)1 << n) - 1);
            if (other == 0)
                *how = TOK_ASCII;
            else if (other == 3 && to[0] == 0xc4 && to[1] == 0xa0)
                *how = TOK_SPACE_ASCII;
            return 0;
        }
    }
    int rc = ds_tok_walk_string(w, &end);
    *len = (size_t)(end - to);
    return rc;
}

/* One "token": id of the vocabulary. */
static int vocab_member(reader *r, size_t *cap, ds_buf *list)
{
    ds_tok *t = r->t;
    tok_walk *w = &r->w;
    uint8_t *from = t->pool.data + t->pool.len;
    uint32_t id = 0;
    size_t len;
    enum tok_spelling how;
    int rc = token_text(w, from, &len, &how);
    if (rc != 0)
        return rc;
    from[len] = 0;
    if (!tok_walk_take(w, ':'))
        return ds_tok_walk_bad(w, "a colon is expected");
    rc = number(w, (const char *)from, &id);
    if (rc == 0)
        rc = entry_room(r, id, cap);
    if (rc != 0)
        return rc;
    if (t->entry[id].flags & TOK_EXISTS)
        return ds_fail(w->err, DS_FAIL, "model.vocab: tokens %s and %s have the same id %u",
                       ds_tok_text(t, id, NULL), (const char *)from, id);
    t->pool.len += len + 1;
    ds_tok_entry_fill(t, id, t->pool.len - len - 1, len, how);
    t->entry[id].flags |= TOK_MODEL;
    fresh f = {ds_tok_hash(from, len), id};
    return ds_buf_put(list, &f, sizeof f) == 0 ? 0 : ds_fail_nomem(w->err);
}

static int index_all(reader *r, const ds_buf *list)
{
    const fresh *f = (const fresh *)(const void *)list->data;
    size_t n = list->len / sizeof *f;
    tok_index *ix = &r->t->by_text;
    int rc = ds_tok_index_init(ix, n, r->w.err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (i + 16 < n)
            ds_tok_index_ask(ix, f[i + 16].hash);
        uint32_t same = ds_tok_index_put(r->t, ix, f[i].id, f[i].hash, false);
        if (same != DS_TOK_NONE)
            rc =
                ds_fail(r->w.err, DS_FAIL, "model.vocab: token %s stands there twice, as %u and %u",
                        ds_tok_text(r->t, same, NULL), same, f[i].id);
    }
    return rc;
}

static int read_vocab(reader *r)
{
    ds_tok *t = r->t;
    tok_walk *w = &r->w;
    ds_buf list = {0};
    size_t cap = 0, left = (size_t)(w->end - w->p);
    if (r->vocab)
        return ds_tok_walk_bad(w, "model.vocab stands there twice");
    r->vocab = true;
    /* text and bytes of the tokens together are never longer than twice their text in the file */
    int rc = left < UINT32_MAX / 4 && ds_tok_table_buf(&t->pool, left * 2 + 64) == 0 &&
                     ds_tok_table_buf(&list, likely(w) * sizeof(fresh)) == 0
                 ? 0
                 : ds_fail_nomem(w->err);
    w->p++;
    while (rc == 0 && !(list.len == 0 && tok_walk_take(w, '}'))) {
        rc = vocab_member(r, &cap, &list);
        if (rc == 0 && tok_walk_take(w, '}'))
            break;
        if (rc == 0 && !tok_walk_take(w, ','))
            rc = ds_tok_walk_bad(w, "a comma is expected");
    }
    if (rc == 0)
        rc = index_all(r, &list);
    ds_buf_fini(&list);
    t->n_tokens = t->n_model = (uint32_t)t->by_text.n;
    return rc;
}

static int merge_bad(tok_walk *w, size_t rank)
{
    return ds_fail(w->err, DS_FAIL, "model.merges[%zu] is neither \"a b\" nor [\"a\", \"b\"]",
                   rank);
}

/* "a b" as nearly all are; false when it is not that simple. */
static inline bool merge_plain(tok_walk *w, pending *m)
{
    tok_glance g;
    if (!tok_walk_at(w, '"') || !tok_walk_glance(w, &g))
        return false;
    unsigned n = tok_walk_plain(w, &g);
    if (n == TOK_GLANCE)
        return false;
    uint32_t blank = g.blank & (((uint32_t)1 << n) - 1);
    if (blank == 0 || (blank & (blank - 1)) != 0)
        return false;
    m->at = (uint32_t)(w->p + 1 - w->begin);
    m->len[0] = (uint32_t)__builtin_ctz(blank);
    m->len[1] = n - m->len[0] - 1;
    w->p += n + 2;
    return true;
}

/* Decodes "a b" or ["a", "b"] to *to. */
static int merge_parts(merge_list *l, pending *m, uint8_t **to)
{
    tok_walk *w = &l->w;
    uint8_t *from = *to;
    bool list = tok_walk_take(w, '[');
    if (!tok_walk_at(w, '"'))
        return merge_bad(w, l->n);
    int rc = ds_tok_walk_string(w, to);
    if (rc != 0)
        return rc;
    m->at = (uint32_t)(from - l->text.data) | DECODED;
    if (list) {
        m->len[0] = (uint32_t)(*to - from);
        *(*to)++ = ' ';
        if (!tok_walk_take(w, ',') || !tok_walk_at(w, '"'))
            return merge_bad(w, l->n);
        rc = ds_tok_walk_string(w, to);
        m->len[1] = (uint32_t)(*to - from) - m->len[0] - 1;
        return rc != 0 ? rc : tok_walk_take(w, ']') ? 0 : merge_bad(w, l->n);
    }
    uint8_t *sp = memchr(from, ' ', (size_t)(*to - from));
    if (sp == NULL || memchr(sp + 1, ' ', (size_t)(*to - sp - 1)) != NULL)
        return merge_bad(w, l->n);
    m->len[0] = (uint32_t)(sp - from);
    m->len[1] = (uint32_t)(*to - sp - 1);
    return 0;
}

static const uint8_t *merge_text(const merge_list *l, const pending *m)
{
    return m->at & DECODED ? l->text.data + (m->at & ~DECODED) : l->w.begin + m->at;
}

static bool list_room(merge_list *l)
{
    if (l->n < l->cap)
        return true;
    size_t cap = l->cap ? l->cap * 2 : likely(&l->w);
    pending *v = ds_tok_table(cap * sizeof *v);
    if (v == NULL)
        return false;
    if (l->n > 0)
        memcpy(v, l->v, l->n * sizeof *v);
    free(l->v);
    l->v = v;
    l->cap = cap;
    return true;
}

/* The list whose bracket is at l->w.p. */
static int list_read(merge_list *l)
{
    tok_walk *w = &l->w;
    l->from = w->p++;
    if (ds_buf_reserve(&l->text, (size_t)(w->end - w->p)) != 0)
        return ds_fail_nomem(w->err);
    uint8_t *to = l->text.data;
    int rc = 0;
    for (bool more = !tok_walk_take(w, ']'); more && rc == 0; l->n++) {
        if (!list_room(l))
            return ds_fail_nomem(w->err);
        pending *m = &l->v[l->n];
        if (!merge_plain(w, m))
            rc = merge_parts(l, m, &to);
        if (rc != 0)
            break;
        const uint8_t *p = merge_text(l, m);
        m->hash[0] = ds_tok_hash(p, m->len[0]);
        m->hash[1] = ds_tok_hash(p + m->len[0] + 1, m->len[1]);
        more = !tok_walk_take(w, ']');
        if (more && !tok_walk_take(w, ','))
            rc = ds_tok_walk_bad(w, "a comma is expected");
    }
    return rc;
}

static void list_run(void *arg)
{
    merge_list *l = arg;
    tok_walk *w = &l->w;
    const char name[] = "\"merges\"";
    const uint8_t *p = ds_tok_walk_find(w, name, sizeof name - 1);
    if (p == NULL)
        return;
    w->p = p + sizeof name - 1;
    if (tok_walk_take(w, ':') && tok_walk_at(w, '['))
        l->rc = list_read(l);
}

static void list_start(merge_list *l, const reader *r)
{
    l->w = r->w;
    l->w.err = &l->err;
    l->t = r->t;
    ds_beside_begin(&l->beside, r->w.end - r->w.p > MANY, list_run, l);
}

static uint32_t find(const ds_tok *t, const uint8_t *p, size_t len)
{
    return len > 0 ? ds_tok_id(t, (const char *)p, len) : DS_TOK_NONE;
}

static int unknown(size_t rank, const uint8_t *p, size_t len, ds_err *err)
{
    return ds_fail(err, DS_FAIL, "model.merges[%zu]: token %.*s is not in the vocabulary", rank,
                   (int)(len < 200 ? len : 200), (const char *)p);
}

/* Some merges of the list are looked up. */
typedef struct lookup {
    const merge_list *l;
    tok_join *join;
    size_t from, to;
    uint32_t guess;
    ds_buf merged;
    ds_err err;
    int rc;
} lookup;

/* The merged token is nearly always the one behind the last one. */
static int merged_id(lookup *u, const pending *m, uint32_t *id)
{
    const ds_tok *t = u->l->t;
    const uint8_t *p = merge_text(u->l, m), *q = p + m->len[0] + 1;
    const size_t len = (size_t)m->len[0] + m->len[1];
    if (u->guess < t->n_entries && t->entry[u->guess].text_len == len &&
        (t->entry[u->guess].flags & TOK_EXISTS)) {
        const uint8_t *text = t->pool.data + t->entry[u->guess].text_at;
        if (ds_tok_same(text, p, m->len[0]) && ds_tok_same(text + m->len[0], q, m->len[1])) {
            *id = u->guess++;
            return 0;
        }
    }
    ds_buf_reset(&u->merged);
    if (ds_buf_put(&u->merged, p, m->len[0]) != 0 || ds_buf_put(&u->merged, q, m->len[1]) != 0)
        return ds_fail_nomem(&u->err);
    *id = find(t, u->merged.data, len);
    u->guess = *id + 1;
    return *id != DS_TOK_NONE ? 0 : unknown((size_t)(m - u->l->v), u->merged.data, len, &u->err);
}

/* The ids of a merge's parts, given what half of their hashes fit. */
static int part_ids(lookup *u, const pending *m, uint32_t id[2])
{
    const ds_tok *t = u->l->t;
    const uint8_t *p = merge_text(u->l, m);
    for (size_t k = 0; k < 2; p += m->len[k++] + 1) {
        const tok_entry *e = id[k] != DS_TOK_NONE ? &t->entry[id[k]] : NULL;
        if (e == NULL || e->text_len != m->len[k] || m->len[k] == 0 ||
            !ds_tok_same(t->pool.data + e->text_at, p, m->len[k]))
            id[k] = find(t, p, m->len[k]);
        if (id[k] == DS_TOK_NONE)
            return unknown((size_t)(m - u->l->v), p, m->len[k], &u->err);
    }
    return 0;
}

#define BATCH 64
/* All ids are looked up in steps, so that the memory accesses of many overlap. */
static int resolve(lookup *u, pending *v, size_t n)
{
    const ds_tok *t = u->l->t;
    uint32_t id[BATCH][2];
    int rc = 0;
    for (size_t i = 0; i < 2 * n; i++)
        ds_tok_index_ask(&t->by_text, v[i / 2].hash[i % 2]);
    for (size_t i = 0; i < 2 * n; i++) {
        id[i / 2][i % 2] = ds_tok_index_guess(&t->by_text, v[i / 2].hash[i % 2]);
        if (id[i / 2][i % 2] != DS_TOK_NONE)
            __builtin_prefetch(&t->entry[id[i / 2][i % 2]]);
    }
    for (size_t i = 0; i < 2 * n; i++)
        if (id[i / 2][i % 2] != DS_TOK_NONE)
            __builtin_prefetch(t->pool.data + t->entry[id[i / 2][i % 2]].text_at);
    for (size_t i = 0; i < n && rc == 0; i++) {
        uint32_t to = 0;
        rc = part_ids(u, &v[i], id[i]);
        if (rc == 0)
            rc = merged_id(u, &v[i], &to);
        if (rc == 0) {
            bool bytes = ds_tok_join_tokens(u->join, t, id[i][0], id[i][1]);
            v[i].to = to | (bytes ? BYTES : 0);
            memcpy(v[i].id, id[i], sizeof id[i]);
        }
    }
    return rc;
}

static void lookup_run(void *arg)
{
    lookup *u = arg;
    for (size_t i = u->from; i < u->to && u->rc == 0; i += BATCH)
        u->rc = resolve(u, u->l->v + i, u->to - i < BATCH ? u->to - i : BATCH);
    ds_buf_fini(&u->merged);
}

/* All merges, by two threads when they are many; of errors that of the first merge counts. */
static int look_up(const merge_list *l, ds_err *err)
{
    ds_beside beside;
    size_t half = l->n > MANY / 64 ? l->n / 2 : l->n;
    lookup a = {.l = l, .join = l->t->join, .to = half};
    lookup b = {.l = l, .join = l->t->join, .from = half, .to = l->n};
    tok_join *own = half < l->n ? calloc(1, sizeof *own) : NULL;
    if (own != NULL)
        b.join = own;
    ds_beside_begin(&beside, own != NULL, lookup_run, &b);
    lookup_run(&a);
    ds_beside_end(&beside, a.rc == 0);
    if (own != NULL)
        ds_tok_join_merge(l->t->join, own);
    free(own);
    if (a.rc == 0 && b.rc == 0)
        return 0;
    return ds_fail(err, a.rc ? a.rc : b.rc, "%s", a.rc ? a.err.msg : b.err.msg);
}

static int read_merges(reader *r)
{
    merge_list *l = r->list;
    ds_beside_end(&l->beside, false);
    if (l->from != r->w.p) {
        l->n = 0;
        l->w = r->w;
        l->w.err = &l->err;
        l->rc = list_read(l);
    }
    r->w.p = l->w.p;
    if (l->rc != 0)
        return ds_fail(r->w.err, l->rc, "%s", l->err.msg);
    if (l->n >= TOK_NO_MERGE)
        return ds_fail(r->w.err, DS_FAIL, "model: too many merges");
    int rc = look_up(l, r->w.err);
    if (rc == 0 && !ds_tok_merges_room(&r->t->merges, l->n))
        rc = ds_fail_nomem(r->w.err);
    for (size_t i = 0; i < l->n && rc == 0; i++) {
        const pending *m = &l->v[i];
        if (i + 16 < l->n)
            ds_tok_merges_ask(&r->t->merges, m[16].id[0], m[16].id[1]);
        if (m->to & BYTES)
            ds_tok_merge_bytes(r->t, m->id[0], m->id[1]);
        ds_tok_merges_put(&r->t->merges, m->id[0], m->id[1], m->to & ~BYTES);
    }
    return rc;
}

/* What the reader of JSON gets: runs of white space are one blank, half of it is indentation. */
static bool put_rest(ds_buf *rest, const uint8_t *p, const uint8_t *end)
{
    if (ds_buf_reserve(rest, (size_t)(end - p)) != 0)
        return false;
    uint8_t *to = rest->data + rest->len;
    for (bool in_string = false; p < end; p++) {
        if (in_string && *p == '\\' && p + 1 < end)
            *to++ = *p++;
        else if (*p == '"')
            in_string = !in_string;
        else if (!in_string && *p <= ' ' && to > rest->data && to[-1] == *p)
            continue;
        *to++ = *p;
    }
    rest->len = (size_t)(to - rest->data);
    return true;
}

/* Members of the object at w->p. In that of the root, `model` is gone into. */
static int object(reader *r, bool model, ds_buf *rest, const uint8_t **kept)
{
    tok_walk *w = &r->w;
    uint8_t name[16];
    int rc = 0;
    w->p++;
    for (bool first = true; rc == 0 && !tok_walk_take(w, '}'); first = false) {
        if (!first && !tok_walk_take(w, ','))
            return ds_tok_walk_bad(w, "a comma is expected");
        tok_walk_space(w);
        const uint8_t *from = w->p;
        if (!tok_walk_at(w, '"'))
            return ds_tok_walk_bad(w, "a name is expected");
        rc = ds_tok_walk_skip(w);
        size_t len = (size_t)(w->p - from);
        if (rc == 0 && !tok_walk_take(w, ':'))
            return ds_tok_walk_bad(w, "a colon is expected");
        tok_walk_space(w);
        memset(name, 0, sizeof name);
        memcpy(name, from, len < sizeof name ? len : 0);
        const uint8_t *value = w->p;
        const char *instead = NULL;
        if (rc == 0 && !model && memcmp(name, "\"model\"", 8) == 0 && tok_walk_at(w, '{')) {
            rc = object(r, true, rest, kept);
            continue;
        }
        if (rc == 0 && model && memcmp(name, "\"vocab\"", 8) == 0 && tok_walk_at(w, '{')) {
            rc = read_vocab(r);
            instead = "{}";
        } else if (rc == 0 && model && memcmp(name, "\"merges\"", 9) == 0 && tok_walk_at(w, '[')) {
            if (r->listed)
                return ds_tok_walk_bad(w, "model.merges stands there twice");
            r->listed = true;
            r->merges = r->vocab ? NULL : w->p;
            rc = r->vocab ? read_merges(r) : ds_tok_walk_skip(w);
            instead = "[]";
        } else if (rc == 0) {
            rc = ds_tok_walk_skip(w);
        }
        if (rc == 0 && instead != NULL) {
            if (!put_rest(rest, *kept, value) || ds_buf_puts(rest, instead) != 0)
                return ds_fail_nomem(w->err);
            *kept = w->p;
        }
    }
    return rc;
}

int ds_tok_model_read(ds_tok *t, const uint8_t *json, size_t len, ds_buf *rest, ds_err *err)
{
    merge_list list = {.rc = 0};
    reader r = {
        .w = {.begin = json, .p = json, .end = json + len, .err = err}, .t = t, .list = &list};
    const uint8_t *kept = json;
    if (len >= DECODED)
        return ds_fail(err, DS_FAIL, "larger than %u bytes", DECODED - 1);
    list_start(&list, &r);
    size_t good = ds_utf8_check(json, len);
    int rc = good == len ? 0 : ds_fail(err, DS_FAIL, "offset %zu: not UTF-8", good);
    if (rc == 0 && tok_walk_at(&r.w, '{'))
        rc = object(&r, false, rest, &kept);
    if (rc == 0 && r.merges != NULL && r.vocab) {
        r.w.p = r.merges;
        rc = read_merges(&r);
    }
    if (rc == 0 && t->merges.slot == NULL && !ds_tok_merges_room(&t->merges, 0))
        rc = ds_fail_nomem(err);
    if (rc == 0 && !put_rest(rest, kept, r.w.end))
        rc = ds_fail_nomem(err);
    ds_beside_end(&list.beside, false);
    ds_buf_fini(&list.text);
    free(list.v);
    return rc;
}
