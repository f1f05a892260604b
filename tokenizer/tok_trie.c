/* tok_trie.c - added tokens in a text: leftmost, of those the longest, with the reference's
 * treatment of single words and of white space around a token. */
#include "tok_priv.h"

#include <stdlib.h>
#include <string.h>

static int by_text(const void *pa, const void *pb)
{
    const tok_pattern *a = pa, *b = pb;
    size_t n = a->len < b->len ? a->len : b->len;
    int c = memcmp(a->text, b->text, n);
    if (c != 0)
        return c;
    return a->len < b->len ? -1 : a->len > b->len;
}

/* Builds the node for v[0..n), which share their first `depth` bytes and are sorted. */
static int build_node(tok_trie *t, uint32_t node, const tok_pattern *v, size_t n, size_t depth)
{
    tok_trie_node *nd = &t->nodes[node];
    nd->id = DS_TOK_NONE;
    size_t i = 0;
    for (; i < n && v[i].len == depth; i++) { /* of equal tokens the first counts */
        if (nd->id == DS_TOK_NONE) {
            nd->id = v[i].id;
            nd->strip = v[i].strip;
        }
    }
    nd->edges = t->n_edges;
    for (size_t j = i; j < n; j++)
        if (j == i || v[j].text[depth] != v[j - 1].text[depth])
            t->edges[t->n_edges++] = (tok_trie_edge){v[j].text[depth], t->n_nodes++};
    nd->n_edges = t->n_edges - nd->edges;
    return 0;
}

typedef struct pending {
    uint32_t node;
    size_t from, n, depth;
} pending;

static int build_all(tok_trie *t, const tok_pattern *v, size_t n, ds_buf *work)
{
    pending root = {0, 0, n, 0};
    t->n_nodes = 1;
    int rc = ds_buf_put(work, &root, sizeof root);
    while (rc == 0 && work->len > 0) {
        pending w;
        work->len -= sizeof w;
        memcpy(&w, work->data + work->len, sizeof w);
        build_node(t, w.node, v + w.from, w.n, w.depth);
        tok_trie_node *nd = &t->nodes[w.node];
        size_t i = w.from, end = w.from + w.n;
        while (i < end && v[i].len == w.depth)
            i++;
        for (uint32_t e = 0; e < nd->n_edges && rc == 0; e++) {
            size_t j = i;
            while (j < end && v[j].text[w.depth] == t->edges[nd->edges + e].byte)
                j++;
            pending child = {t->edges[nd->edges + e].to, i, j - i, w.depth + 1};
            rc = ds_buf_put(work, &child, sizeof child);
            i = j;
        }
    }
    return rc;
}

static void trie_facts(tok_trie *t, const tok_pattern *v, size_t n)
{
    unsigned firsts = 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = v[i].text[0];
        if (!t->first[c]) {
            t->first[c] = true;
            t->only_first = c;
            firsts++;
        }
        if (v[i].len > t->longest)
            t->longest = v[i].len;
    }
    if (firsts != 1)
        t->only_first = -1;
}

int ds_tok_trie_build(tok_trie *t, const tok_pattern *patterns, size_t n, ds_err *err)
{
    memset(t, 0, sizeof *t);
    t->only_first = -1;
    if (n == 0)
        return 0;
    size_t bytes = 1;
    for (size_t i = 0; i < n; i++)
        bytes += patterns[i].len;
    if (bytes > UINT32_MAX / 2)
        return ds_fail(err, DS_FAIL, "added tokens are too long: %zu bytes together", bytes);
    tok_pattern *v = malloc(n * sizeof *v);
    t->nodes = calloc(bytes, sizeof *t->nodes);
    t->edges = calloc(bytes, sizeof *t->edges);
    ds_buf work = {0};
    int rc = v == NULL || t->nodes == NULL || t->edges == NULL ? DS_NOMEM : 0;
    if (rc == 0) {
        memcpy(v, patterns, n * sizeof *v);
        qsort(v, n, sizeof *v, by_text);
        rc = build_all(t, v, n, &work);
        trie_facts(t, v, n);
    }
    ds_buf_fini(&work);
    free(v);
    return rc == 0 ? 0 : ds_fail_nomem(err);
}

void ds_tok_trie_fini(tok_trie *t)
{
    free(t->nodes);
    free(t->edges);
    memset(t, 0, sizeof *t);
}

size_t ds_tok_trie_at(const tok_trie *t, const uint8_t *p, size_t len, uint32_t *node)
{
    uint32_t at = 0;
    size_t found = 0;
    for (size_t i = 0; i < len; i++) {
        const tok_trie_edge *e = t->edges + t->nodes[at].edges;
        uint32_t lo = 0, hi = t->nodes[at].n_edges;
        while (lo < hi) {
            uint32_t mid = (lo + hi) / 2;
            if (e[mid].byte < p[i])
                lo = mid + 1;
            else
                hi = mid;
        }
        if (lo == t->nodes[at].n_edges || e[lo].byte != p[i])
            break;
        at = e[lo].to;
        if (t->nodes[at].id != DS_TOK_NONE) {
            found = i + 1;
            *node = at;
        }
    }
    return found;
}

static bool word_before(const uint8_t *cls, const uint8_t *p, size_t at)
{
    unsigned n;
    return at > 0 && (cls[ds_uni_get(ds_uni_back(p, p + at), &n)] & DS_UNI_WORD);
}
static bool word_after(const uint8_t *cls, const uint8_t *p, size_t len, size_t at)
{
    unsigned n;
    return at < len && (cls[ds_uni_get(p + at, &n)] & DS_UNI_WORD);
}

static size_t next_start(const tok_trie *t, const uint8_t *p, size_t len, size_t i)
{
    if (t->only_first >= 0) {
        const uint8_t *q = i < len ? memchr(p + i, t->only_first, len - i) : NULL;
        return q != NULL ? (size_t)(q - p) : len;
    }
    while (i < len && !t->first[p[i]])
        i++;
    return i;
}

bool ds_tok_trie_find(const tok_trie *t, const uint8_t *cls, const uint8_t *p, size_t len,
                      size_t from, size_t floor, tok_match *m, size_t *next)
{
    if (t->longest == 0)
        return false;
    for (size_t i = from; (i = next_start(t, p, len, i)) < len;) {
        uint32_t node = 0;
        size_t n = ds_tok_trie_at(t, p + i, len - i, &node);
        if (n == 0) {
            i++;
            continue;
        }
        const tok_trie_node *nd = &t->nodes[node];
        size_t start = i, end = i + n;
        i = end; /* a match is passed over whole, even one that does not count */
        if ((nd->strip & TOK_SINGLE_WORD) &&
            (word_before(cls, p, start) || word_after(cls, p, len, end)))
            continue;
        *next = end;
        unsigned k;
        if (nd->strip & TOK_LSTRIP) {
            while (start > floor) {
                const uint8_t *q = ds_uni_back(p, p + start);
                if (!(cls[ds_uni_get(q, &k)] & DS_UNI_WS))
                    break;
                start = (size_t)(q - p);
            }
            if (start < floor)
                start = floor;
        }
        if (nd->strip & TOK_RSTRIP)
            while (end < len && (cls[ds_uni_get(p + end, &k)] & DS_UNI_WS))
                end += k;
        *m = (tok_match){start, end, nd->id};
        return true;
    }
    return false;
}
