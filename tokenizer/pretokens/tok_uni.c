/* tok_uni.c - see tok_uni.h. Normal forms are made of runs: from the code point before the first
 * one that may combine up to the next one that cannot; everything between runs is copied. */
#include "tok_uni.h"

#include <stdlib.h>
#include <string.h>

#include "utf8.h"

enum {
    S_BASE = 0xac00,
    L_BASE = 0x1100,
    V_BASE = 0x1161,
    T_BASE = 0x11a7, /* Unicode 3.12 */
    L_N = 19,
    V_N = 21,
    T_N = 28,
    S_N = L_N * V_N * T_N
};

void ds_uni_fill(uint8_t cls[DS_UNI_MAX])
{
    memset(cls, 0, DS_UNI_MAX);
    for (unsigned i = 0; i < ds_uni_cls_n; i++)
        memset(cls + ds_uni_cls[i].first, ds_uni_cls[i].v, ds_uni_cls[i].n);
    for (unsigned i = 0; i < ds_uni_ccc_n; i++)
        for (unsigned j = 0; j < ds_uni_ccc[i].n; j++)
            cls[ds_uni_ccc[i].first + j] |= DS_UNI_COMBINES;
    for (unsigned c = V_BASE; c < V_BASE + V_N; c++)
        cls[c] |= DS_UNI_COMBINES;
    for (unsigned c = T_BASE + 1; c < T_BASE + T_N; c++)
        cls[c] |= DS_UNI_COMBINES;
    /* A decomposition that does not compose again changes the character itself. */
    for (unsigned i = 0; i < ds_uni_decomp_n; i++)
        cls[ds_uni_decomp[i].cp] |= DS_UNI_COMBINES;
    for (unsigned i = 0; i < ds_uni_comp_n; i++)
        cls[ds_uni_comp[i].c] &= (uint8_t)~DS_UNI_COMBINES;
    for (unsigned i = 0; i < ds_uni_comp_n; i++) /* what composed may compose again */
        cls[ds_uni_comp[i].b] |= DS_UNI_COMBINES;
    for (unsigned c = 0x4e00; c <= 0x9fa5; c++)
        cls[c] |= DS_UNI_CJK;
    for (unsigned c = 0x3040; c <= 0x30ff; c++)
        cls[c] |= DS_UNI_CJK;
}

static const ds_uni_range *range_of(const ds_uni_range *v, unsigned n, uint32_t c)
{
    unsigned lo = 0, hi = n;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (c < v[mid].first)
            hi = mid;
        else if (c >= v[mid].first + v[mid].n)
            lo = mid + 1;
        else
            return &v[mid];
    }
    return NULL;
}

bool ds_uni_in(const ds_uni_range *v, unsigned n, uint32_t cp)
{
    return range_of(v, n, cp) != NULL;
}

static const ds_uni_map *map_of(const ds_uni_map *v, unsigned n, uint32_t c)
{
    unsigned lo = 0, hi = n;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (v[mid].cp == c)
            return &v[mid];
        if (c < v[mid].cp)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

uint32_t ds_uni_small(uint32_t cp)
{
    unsigned lo = 0, hi = ds_uni_lower_n;
    if (cp < 0x80)
        return cp - 'A' < 26 ? cp + 32 : cp;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (ds_uni_lower[mid].cp == cp)
            return ds_uni_lower[mid].to;
        if (cp < ds_uni_lower[mid].cp)
            hi = mid;
        else
            lo = mid + 1;
    }
    return cp;
}

static inline bool is_compat(enum ds_uni_form form)
{
    return form == DS_UNI_NFKC || form == DS_UNI_NFKD;
}
static inline bool is_composed(enum ds_uni_form form)
{
    return form == DS_UNI_NFC || form == DS_UNI_NFKC;
}
/* No code point between these two is there for compatibility, which skips most of Chinese. */
static inline const ds_uni_map *compat_of(uint32_t c)
{
    return c < 0xa0 || c - 0x3400u < 0xa69c - 0x3400u ? NULL
                                                      : map_of(ds_uni_compat, ds_uni_compat_n, c);
}

/* May a character change under the form, by itself or with what stands before it? */
static inline bool changes(const uint8_t *cls, enum ds_uni_form form, uint32_t c)
{
    if (cls[c] & DS_UNI_COMBINES)
        return true;
    if (!is_composed(form) &&
        (c - S_BASE < S_N || (c >= 0xc0 && map_of(ds_uni_decomp, ds_uni_decomp_n, c) != NULL)))
        return true;
    return is_compat(form) && compat_of(c) != NULL;
}

bool ds_uni_is_form(const uint8_t cls[DS_UNI_MAX], enum ds_uni_form form, const uint8_t *p,
                    size_t len)
{
    const uint8_t *end = p + len;
    while (p < end) {
        unsigned n;
        if (*p < (form == DS_UNI_NFC ? 0xcc : 0x80)) { /* nothing below U+0300 combines */
            p += *p < 0x80 ? 1 : 2;
            continue;
        }
        if (changes(cls, form, ds_uni_get(p, &n)))
            return false;
        p += n;
    }
    return true;
}

static unsigned ccc_of(uint32_t c)
{
    const ds_uni_range *r = range_of(ds_uni_ccc, ds_uni_ccc_n, c);
    return r != NULL ? r->v : 0;
}

static uint32_t compose(uint32_t a, uint32_t b)
{
    if (a - L_BASE < L_N && b - V_BASE < V_N)
        return S_BASE + ((a - L_BASE) * V_N + (b - V_BASE)) * T_N;
    if (a - S_BASE < S_N && (a - S_BASE) % T_N == 0 && b > T_BASE && b < T_BASE + T_N)
        return a + (b - T_BASE);
    unsigned lo = 0, hi = ds_uni_comp_n;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        const ds_uni_pair *q = &ds_uni_comp[mid];
        if (q->a == a && q->b == b)
            return q->c;
        if (a < q->a || (a == q->a && b < q->b))
            hi = mid;
        else
            lo = mid + 1;
    }
    return 0;
}

/* A code point of a run: class above, place of arrival in the middle so that sorting is stable. */
typedef struct mark {
    uint32_t cp, at;
    uint8_t ccc;
} mark;

static int add_mark(ds_buf *run, uint32_t cp)
{
    mark m = {cp, (uint32_t)(run->len / sizeof(mark)), (uint8_t)ccc_of(cp)};
    return ds_buf_put(run, &m, sizeof m);
}

static int decompose(ds_buf *run, uint32_t c, enum ds_uni_form form)
{
    if (c - S_BASE < S_N) {
        uint32_t s = c - S_BASE;
        int rc = add_mark(run, L_BASE + s / (V_N * T_N));
        if (rc == 0)
            rc = add_mark(run, V_BASE + s % (V_N * T_N) / T_N);
        if (rc == 0 && s % T_N != 0)
            rc = add_mark(run, T_BASE + s % T_N);
        return rc;
    }
    const ds_uni_map *m = is_compat(form) ? compat_of(c) : NULL;
    if (m == NULL)
        m = map_of(ds_uni_decomp, ds_uni_decomp_n, c);
    if (m == NULL)
        return add_mark(run, c);
    int rc = 0;
    for (unsigned i = 0; i < m->n && rc == 0; i++)
        rc = add_mark(run, ds_uni_pool[m->at + i]);
    return rc;
}

static int by_class(const void *pa, const void *pb)
{
    const mark *a = pa, *b = pb;
    if (a->ccc != b->ccc)
        return a->ccc < b->ccc ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

static void order(mark *v, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t j = i + 1;
        if (v[i].ccc != 0) {
            bool sorted = true;
            for (; j < n && v[j].ccc != 0; j++)
                sorted = sorted && v[j - 1].ccc <= v[j].ccc;
            if (!sorted)
                qsort(v + i, j - i, sizeof *v, by_class);
        }
        i = j;
    }
}

/* Canonical composition in place (UAX #15); returns the new length. */
static size_t compose_run(mark *v, size_t n)
{
    size_t out = 0, starter = SIZE_MAX;
    unsigned last = 0; /* class of the last mark kept after the starter; 0 = none */
    for (size_t i = 0; i < n; i++) {
        bool blocked = starter != SIZE_MAX && out > starter + 1 && last >= v[i].ccc;
        if (starter != SIZE_MAX && !blocked) {
            uint32_t c = compose(v[starter].cp, v[i].cp);
            if (c != 0) {
                v[starter].cp = c;
                continue;
            }
        }
        if (v[i].ccc == 0)
            starter = out;
        last = v[i].ccc;
        v[out++] = v[i];
    }
    return out;
}

static int flush_run(ds_buf *out, ds_buf *run, enum ds_uni_form form)
{
    mark *v = (mark *)(void *)run->data;
    size_t n = run->len / sizeof *v;
    if (n == 0)
        return 0;
    order(v, n);
    if (is_composed(form))
        n = compose_run(v, n);
    int rc = ds_buf_reserve(out, n * 4);
    for (size_t i = 0; i < n && rc == 0; i++)
        out->len += ds_utf8_put(out->data + out->len, v[i].cp);
    ds_buf_reset(run);
    return rc;
}

int ds_uni_to_form(ds_buf *out, const uint8_t cls[DS_UNI_MAX], enum ds_uni_form form,
                   const uint8_t *p, size_t len, ds_err *err)
{
    const uint8_t *end = p + len, *kept = p,
                  *prev = NULL; /* kept: start of what is not yet written */
    ds_buf run = {0};
    int rc = 0;
    while (p < end && rc == 0) {
        unsigned n;
        uint32_t c = ds_uni_get(p, &n);
        if (!changes(cls, form, c)) {
            prev = p;
            p += n;
            continue;
        }
        const uint8_t *start = prev != NULL ? prev : p; /* the code point before takes part */
        rc = ds_buf_put(out, kept, (size_t)(start - kept));
        for (p = start; p < end && rc == 0; p += n) {
            c = ds_uni_get(p, &n);
            if (p != start && !changes(cls, form, c))
                break;
            rc = decompose(&run, c, form);
        }
        if (rc == 0)
            rc = flush_run(out, &run, form);
        kept = p;
        prev = NULL;
    }
    if (rc == 0)
        rc = ds_buf_put(out, kept, (size_t)(end - kept));
    ds_buf_fini(&run);
    return rc == 0 ? 0 : ds_fail_nomem(err);
}
