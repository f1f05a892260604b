/* Runs of words in common: against runs compared as strings, one by one. */
#include "unit.h"

#include <stdio.h>

#include "dsr_make.h"
#include "gramindex.h"

enum { RECORDS = 12, TEXTS = 2, LONGEST = 14, VOCABULARY = 4, FOUND = 8 };

/* A text as numbers of words; "w0 w3 ..." as bytes, each word two of them. */
typedef struct words {
    unsigned n, v[4 * LONGEST];
} words;

typedef struct eval {
    unsigned ntexts;
    words text[TEXTS];
} eval;

static ds_wordfold *fold;

static int setup(void **state)
{
    (void)state;
    ds_err err = {0};
    return ds_wordfold_new(&fold, &err);
}

static int teardown(void **state)
{
    (void)state;
    ds_wordfold_free(fold);
    return 0;
}

static void random_text(words *w, uint64_t *r, unsigned most)
{
    w->n = (unsigned)(make_random(r) % (most + 1));
    for (unsigned i = 0; i < w->n; i++)
        w->v[i] = (unsigned)(make_random(r) % VOCABULARY);
}

static void spell(ds_buf *b, const words *w)
{
    ds_buf_reset(b);
    for (unsigned i = 0; i < w->n; i++)
        assert_int_equal(ds_buf_printf(b, "%s%c%u", i ? " " : "", i % 2 ? 'W' : 'w', w->v[i]), 0);
}

/* ---- the other reckoning ---- */

typedef struct gram {
    const unsigned *v;
    unsigned n;
} gram;

static bool same(gram a, gram b)
{
    return a.n == b.n && memcmp(a.v, b.v, a.n * sizeof *a.v) == 0;
}

static bool among(const gram *g, unsigned n, gram x)
{
    for (unsigned i = 0; i < n; i++)
        if (same(g[i], x))
            return true;
    return false;
}

/* The different runs of a record, in `out`. */
static unsigned runs_of(const eval *e, const ds_gramrules *r, gram *out)
{
    unsigned n = 0;
    for (unsigned t = 0; t < e->ntexts; t++) {
        const words *w = &e->text[t];
        const unsigned len = w->n < r->n ? w->n : r->n;
        for (unsigned i = 0; w->n >= r->least && i + len <= w->n; i++)
            if (!among(out, n, (gram){w->v + i, len}))
                out[n++] = (gram){w->v + i, len};
    }
    return n;
}

typedef struct reckoning {
    gram runs[RECORDS][TEXTS * LONGEST];
    unsigned n[RECORDS];
    uint64_t few;
} reckoning;

static void reckon(reckoning *k, const eval *e, const ds_gramrules *r)
{
    static reckoning all;
    all.few = 0;
    for (unsigned i = 0; i < RECORDS; i++) {
        all.n[i] = runs_of(&e[i], r, all.runs[i]);
        all.few += all.n[i] == 0;
    }
    *k = all;
    for (unsigned i = 0; i < RECORDS; i++) {
        k->n[i] = 0;
        for (unsigned g = 0; g < all.n[i]; g++) {
            unsigned who = 0;
            for (unsigned m = 0; m < RECORDS; m++)
                who += among(all.runs[m], all.n[m], all.runs[i][g]);
            if (!r->common || who <= r->common)
                k->runs[i][k->n[i]++] = all.runs[i][g];
        }
    }
}

/* What record i has in common with a text; of is 0 where nothing is. */
static ds_gramhit common_of(const reckoning *k, unsigned i, const words *t)
{
    ds_gramhit h = {.record = i};
    unsigned first = UINT32_MAX, shortest = 0;
    for (unsigned g = 0; g < k->n[i]; g++) {
        const gram x = k->runs[i][g];
        for (unsigned at = 0; at + x.n <= t->n; at++) {
            if (!same(x, (gram){t->v + at, x.n}))
                continue;
            h.common++;
            h.of = k->n[i];
            if (at < first || (at == first && x.n < shortest)) {
                first = at;
                shortest = x.n;
            }
            break;
        }
    }
    h.from = 3 * first; /* "w0 " */
    h.to = 3 * (first + shortest) - 1;
    return h;
}

static bool better(const ds_gramhit *a, const ds_gramhit *b)
{
    const uint64_t x = (uint64_t)a->common * b->of, y = (uint64_t)b->common * a->of;
    return x != y ? x > y : a->common != b->common ? a->common > b->common : a->record < b->record;
}

/* ---- both side by side ---- */

static void index_all(ds_gramindex **x, const ds_gramrules *r, const eval *e, size_t n)
{
    ds_err err = {0};
    ds_buf b = {0};
    assert_int_equal(ds_gramindex_new(x, r, fold, &err), 0);
    for (size_t i = 0; i < n; i++) {
        char key[16];
        const int len = snprintf(key, sizeof key, "q%zu", i);
        if (i == 0 || i == n / 2)
            assert_int_equal(ds_gramindex_set(*x, i ? "second" : "first", &err), 0);
        assert_int_equal(ds_gramindex_record(*x, key, (size_t)len, &err), 0);
        for (unsigned t = 0; t < e[i].ntexts; t++) {
            spell(&b, &e[i].text[t]);
            assert_int_equal(ds_gramindex_text(*x, b.data, b.len, &err), 0);
        }
        assert_int_equal(ds_gramindex_end(*x, &err), 0);
    }
    assert_int_equal(ds_gramindex_build(*x, &err), 0);
    ds_buf_fini(&b);
}

static void compare_hits(const ds_gramindex *x, ds_gramwork *w, const ds_gramrules *r,
                         const reckoning *k, const words *t)
{
    ds_err err = {0};
    ds_buf b = {0};
    spell(&b, t);
    assert_int_equal(ds_gramindex_find(x, w, b.data, b.len, &err), 0);
    const ds_gramhit *h = (const ds_gramhit *)(const void *)w->hits.data;
    const size_t n = w->hits.len / sizeof *h;
    size_t want = 0;
    for (unsigned i = 0; i < RECORDS; i++) {
        const ds_gramhit a = common_of(k, i, t);
        want += a.of && a.common >= r->hits && a.common >= r->share * a.of;
    }
    assert_int_equal(n, want);
    for (size_t i = 0; i < n; i++) {
        const ds_gramhit a = common_of(k, h[i].record, t);
        assert_memory_equal(&a, &h[i], sizeof a);
        assert_true(i == 0 || better(&h[i - 1], &h[i]));
    }
    ds_buf_fini(&b);
}

static void what_is_found_is_what_is_there(void **state)
{
    (void)state;
    static const double shares[] = {0, 0.25, 0.5, 1}; /* products of them are exact */
    static reckoning k;
    uint64_t r = 3;
    ds_gramwork w = {0};
    for (unsigned round = 0; round < 300; round++) {
        eval e[RECORDS] = {{0}};
        ds_gramindex *x = NULL;
        ds_gramrules rules = {.n = 1 + (unsigned)(make_random(&r) % 5),
                              .hits = 1 + make_random(&r) % 3,
                              .share = shares[make_random(&r) % 4],
                              .common = make_random(&r) % 4,
                              .memory = 1 << 20};
        rules.least = 1 + (unsigned)(make_random(&r) % rules.n);
        for (unsigned i = 0; i < RECORDS; i++) {
            e[i].ntexts = (unsigned)(make_random(&r) % (TEXTS + 1));
            for (unsigned t = 0; t < e[i].ntexts; t++)
                random_text(&e[i].text[t], &r, LONGEST);
            if (i && make_random(&r) % 5 == 0)
                e[i] = e[i - 1]; /* the same once more */
        }
        index_all(&x, &rules, e, RECORDS);
        reckon(&k, e, &rules);
        assert_int_equal(ds_gramindex_records(x), RECORDS);
        assert_int_equal(ds_gramindex_short(x), k.few);
        for (unsigned i = 0; i < FOUND; i++) {
            words t;
            random_text(&t, &r, 4 * LONGEST);
            compare_hits(x, &w, &rules, &k, i < RECORDS && e[i].ntexts ? &e[i].text[0] : &t);
            compare_hits(x, &w, &rules, &k, &t);
        }
        ds_gramindex_free(x);
    }
    ds_gramwork_fini(&w);
}

static void names_and_digests(void **state)
{
    (void)state;
    const ds_gramrules r = {.n = 3, .least = 2, .hits = 1, .memory = 1 << 20};
    eval e[4] = {{.ntexts = 1, .text = {{4, {0, 1, 2, 3}}}},
                 {.ntexts = 1, .text = {{1, {0}}}},
                 {.ntexts = 0},
                 {.ntexts = 1, .text = {{2, {3, 3}}}}};
    ds_gramindex *x = NULL;
    ds_err err = {0};
    ds_sha one, two;
    const char *set;
    const uint8_t *key;
    size_t len;
    index_all(&x, &r, e, 4);
    assert_int_equal(ds_gramindex_short(x), 2);
    ds_gramindex_name(x, 3, &set, &key, &len);
    assert_string_equal(set, "second");
    assert_int_equal(len, 2);
    assert_memory_equal(key, "q3", 2);
    ds_gramindex_name(x, 0, &set, &key, &len);
    assert_string_equal(set, "first");
    assert_memory_equal(key, "q0", 2);
    assert_int_equal(ds_gramindex_digest(x, &one, &err), 0);
    ds_gramindex_free(x);
    index_all(&x, &r, e, 4);
    assert_int_equal(ds_gramindex_digest(x, &two, &err), 0);
    assert_true(ds_sha_eq(&one, &two));
    ds_gramindex_free(x);
    e[3].text[0].v[1] = 2;
    index_all(&x, &r, e, 4);
    assert_int_equal(ds_gramindex_digest(x, &two, &err), 0);
    assert_false(ds_sha_eq(&one, &two));
    ds_gramindex_free(x);
}

/* Seven of a hundred runs are a share of 0.07, though 0.07 times 100 is more than 7. */
static void a_share_is_a_fraction(void **state)
{
    (void)state;
    ds_err err = {0};
    ds_gramwork w = {0};
    for (unsigned part = 1; part <= 100; part++) {
        const ds_gramrules r = {
            .n = 1, .least = 1, .hits = 1, .share = part / 100.0, .memory = 1 << 20};
        ds_gramindex *x = NULL;
        ds_buf b = {0};
        size_t enough = 0, all;
        for (unsigned i = 0; i < 100; i++) {
            assert_int_equal(ds_buf_printf(&b, "x%u ", i), 0);
            enough = i + 1 == part ? b.len : enough;
        }
        all = b.len;
        assert_int_equal(ds_gramindex_new(&x, &r, fold, &err), 0);
        assert_int_equal(ds_gramindex_set(x, "s", &err), 0);
        assert_int_equal(ds_gramindex_record(x, "k", 1, &err), 0);
        assert_int_equal(ds_gramindex_text(x, b.data, all, &err), 0);
        assert_int_equal(ds_gramindex_end(x, &err), 0);
        assert_int_equal(ds_gramindex_build(x, &err), 0);
        assert_int_equal(ds_gramindex_find(x, &w, b.data, enough, &err), 0);
        assert_int_equal(w.hits.len, sizeof(ds_gramhit));
        assert_int_equal(ds_gramindex_find(x, &w, b.data + 3, enough - 3, &err), 0);
        assert_int_equal(w.hits.len, 0);
        ds_gramindex_free(x);
        ds_buf_fini(&b);
    }
    ds_gramwork_fini(&w);
}

static void nothing_finds_nothing(void **state)
{
    (void)state;
    const ds_gramrules r = {.n = 1, .least = 1, .hits = 1, .memory = 1 << 16};
    ds_gramindex *x = NULL;
    ds_gramwork w = {0};
    ds_err err = {0};
    ds_sha sha;
    index_all(&x, &r, NULL, 0);
    assert_int_equal(ds_gramindex_digest(x, &sha, &err), 0);
    assert_int_equal(ds_gramindex_find(x, &w, (const uint8_t *)"a b c", 5, &err), 0);
    assert_int_equal(w.hits.len, 0);
    assert_int_equal(ds_gramindex_find(x, &w, NULL, 0, &err), 0);
    assert_int_equal(w.hits.len, 0);
    ds_gramwork_fini(&w);
    ds_gramindex_free(x);
}

/* The limit holds for runs, for the keys of records that have none, and for what threads take. */
static void memory_is_a_limit(void **state)
{
    (void)state;
    const ds_gramrules r = {.n = 2, .least = 2, .hits = 1, .memory = 1 << 16, .threads = 3};
    const char key[100] = {0};
    for (int texts = 0; texts < 2; texts++) {
        ds_gramindex *x = NULL;
        ds_err err = {0};
        int rc = ds_gramindex_new(&x, &r, fold, &err);
        size_t n = 0, held = 0;
        rc = rc ? rc : ds_gramindex_set(x, "s", &err);
        for (; rc == 0 && n < 10000; n++) {
            rc = ds_gramindex_record(x, key, texts ? 1 : sizeof key, &err);
            if (rc == 0 && texts)
                rc = ds_gramindex_text(x, (const uint8_t *)"a b c", 5, &err);
            if (rc == 0)
                rc = ds_gramindex_end(x, &err);
            held += rc == 0 ? (texts ? 1 + 2 * 32 : sizeof key) + 16 + 3 * 25 : 0;
        }
        assert_int_equal(rc, DS_FAIL);
        assert_non_null(strstr(err.msg, "--memory"));
        assert_true(held <= r.memory && held > r.memory - 300);
        ds_err_clear(&err);
        ds_gramindex_free(x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_found_is_what_is_there),
        cmocka_unit_test(names_and_digests),
        cmocka_unit_test(a_share_is_a_fraction),
        cmocka_unit_test(nothing_finds_nothing),
        cmocka_unit_test(memory_is_a_limit),
    };
    return cmocka_run_group_tests_name("gramindex", tests, setup, teardown);
}
