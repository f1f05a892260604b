/* The fast ways of encoding against the plain ones: masks of every instruction set, windows against
 * scanners, caches of any size, streams cut anywhere, batches by any number of threads. */
#include "unit.h"

#include <stdlib.h>

#include "tok_make.h"
#include "tok_scan.h"
#include "tok_shelf.h"
#include "tok_window.h"

static uint64_t seed = 88172645463325252u;
static uint32_t rnd(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % n;
}

static const char *const bits[] = {"a",
                                   "Z",
                                   "the",
                                   " the",
                                   "hello",
                                   " ",
                                   "  ",
                                   "\t",
                                   "\n",
                                   "\r\n",
                                   "\n\n",
                                   "\v",
                                   "'s",
                                   "'T",
                                   "'ll",
                                   "'",
                                   "'\xc5\xbf",
                                   "1",
                                   "23",
                                   "4567",
                                   "!",
                                   "...",
                                   "(",
                                   "<s>",
                                   "_",
                                   "\xc3\xa9",
                                   "e\xcc\x81",
                                   "\xcc\x81",
                                   "\xe4\xb8\xad",
                                   "\xe6\x96\x87\xe5\xad\x97",
                                   "\xe9\xbe\xa5",
                                   "\xe9\xbe\xa6",
                                   "\xe4\xb7\xbf",
                                   "\xe3\x81\x82",
                                   "\xe3\x83\xbb",
                                   "\xe3\x81\x80",
                                   "\xe3\x80\x82",
                                   "\xef\xbc\x8c",
                                   "\xe3\x80\x80",
                                   "\xc2\xa0",
                                   "\xc2\x85",
                                   "\xe2\x80\xa8",
                                   "\xd9\xa1",
                                   "\xc2\xb2",
                                   "\xea\xb0\x80",
                                   "\xd0\xb6",
                                   "\xf0\x9f\xa6\x99",
                                   "\xf0\xa0\x80\x80",
                                   "\x01",
                                   "\x7f",
                                   "\xe2\x80\x8b",
                                   "$",
                                   "\xe2\x82\xac",
                                   "a.b",
                                   "((x",
                                   "\xe2\x80\x9c",
                                   "\xe2\x80\x9dq",
                                   ".\n",
                                   "!\r\n\n",
                                   " \n ",
                                   " .",
                                   "\t.",
                                   "abcdefghijklmnopqrst"};

static size_t text_make(uint8_t *out, size_t cap)
{
    size_t n = 0, want = rnd((uint32_t)cap);
    while (n < want) {
        const char *b = bits[rnd(sizeof bits / sizeof *bits)];
        size_t len = strlen(b), times = rnd(12) == 0 ? 1 + rnd(40) : 1;
        for (; times > 0 && n + len <= want; times--, n += len)
            memcpy(out + n, b, len);
        if (n + len > want)
            break;
    }
    return n;
}

static void masks(void **state)
{
    (void)state;
    static uint8_t cls[DS_UNI_MAX];
    const char *name;
    tok_classify portable = ds_tok_classifier("portable");
    ds_uni_fill(cls);
    for (unsigned round = 0; round < 3000; round++) {
        uint8_t text[256] = {0};
        tok_masks want, got;
        if (round % 2)
            text_make(text, sizeof text - 80);
        else
            for (size_t i = 0; i < 200; i++)
                text[i] = (uint8_t)rnd(256); /* not even text */
        const uint8_t *p = text + rnd(60);
        portable(p, &want);
        for (unsigned k = 0; (name = ds_tok_classifier_name(k)) != NULL; k++) {
            tok_classify fn = ds_tok_classifier(name);
            if (fn == NULL)
                continue;
            fn(p, &got);
            if (want.high == 0) /* these matter only where there are any */
                got.cjk = want.cjk, got.cont = want.cont;
            assert_memory_equal(&got, &want, sizeof got);
        }
        for (unsigned i = 0; i < TOK_WINDOW; i++) {
            uint8_t c = p[i], f = c < 0x80 ? cls[c] : 0;
            assert_int_equal(want.letter >> i & 1, c < 0x80 && (f & DS_UNI_L) != 0);
            assert_int_equal(want.digit >> i & 1, c < 0x80 && (f & DS_UNI_N) != 0);
            assert_int_equal((want.space | want.newline | want.blank) >> i & 1,
                             (f & DS_UNI_WS) != 0);
            assert_int_equal(want.control >> i & 1,
                             c < 0x80 && (f & (DS_UNI_L | DS_UNI_N | DS_UNI_PS | DS_UNI_WS)) == 0);
        }
    }
}

static void windows(void **state)
{
    (void)state;
    static uint8_t cls[DS_UNI_MAX];
    size_t told = 0, scanned = 0;
    ds_uni_fill(cls);
    for (unsigned kind = 0; kind <= TOK_STEP_DEEPSEEK; kind++) {
        uint8_t kinds[256];
        ds_tok_kinds(kinds, (enum tok_step_kind)kind);
        tok_window w = {ds_tok_classifier("portable"), kinds, cls, (enum tok_step_kind)kind, NULL};
        for (unsigned round = 0; round < 20000; round++) {
            uint8_t text[400] = {0};
            size_t len = text_make(text, round % 3 ? 100 : 300);
            const uint8_t *p = text, *end = text + len;
            while (p < end) {
                uint64_t starts = 0;
                size_t n = ds_tok_window_starts(&w, p, (size_t)(end - p), &starts), at = 0;
                told += n;
                while (at < n) {
                    if (!(starts >> at & 1))
                        fail_msg("pattern %u: no pretoken at %zu of '%s'", kind, at,
                                 (const char *)p);
                    size_t step = scan_pretoken(cls, w.step, p + at, end);
                    uint64_t inside =
                        step > 1 ? ((UINT64_MAX >> (65 - (step < 65 ? step : 65))) << 1) << at : 0;
                    if (at + step > n || (starts & inside) != 0)
                        fail_msg("pattern %u: pretoken of %zu at %zu of '%s'", kind, step, at,
                                 (const char *)p);
                    at += step;
                }
                size_t one = n > 0 ? 0 : scan_pretoken(cls, w.step, p, end);
                scanned += one;
                p += n + one;
            }
        }
    }
    assert_true(told > scanned); /* even of such text */
}

/* With a table of what may join, Chinese is cut where nothing does, and nothing else is. */
static void window_parts(void **state)
{
    (void)state;
    static uint8_t cls[DS_UNI_MAX];
    static tok_join join;
    size_t cuts = 0, joined = 0;
    ds_uni_fill(cls);
    ds_tok_join_add(&join, (const uint8_t *)"\xe6\x96\x87", 3, (const uint8_t *)"\xe5\xad\x97", 3);
    for (unsigned kind = 0; kind <= TOK_STEP_DEEPSEEK; kind++) {
        uint8_t kinds[256];
        ds_tok_kinds(kinds, (enum tok_step_kind)kind);
        tok_window w = {ds_tok_classifier(NULL), kinds, cls, (enum tok_step_kind)kind, &join};
        w.classify = w.classify != NULL ? w.classify : ds_tok_classifier("portable");
        for (unsigned round = 0; round < 20000; round++) {
            uint8_t text[400] = {0};
            size_t len = text_make(text, 100), n = 0;
            for (const uint8_t *p = text, *end = text + len; p < end; p += n) {
                uint64_t starts = 0;
                n = ds_tok_window_starts(&w, p, (size_t)(end - p), &starts);
                size_t whole = 0;
                for (size_t at = 0; at < n; at++) {
                    bool is = starts >> at & 1;
                    unsigned k, before;
                    if (at == whole) {
                        assert_true(is);
                        whole += scan_pretoken(cls, w.step, p + at, end);
                    } else if ((p[at] & 0xc0) != 0x80) {
                        uint32_t c = ds_uni_get(p + at, &k),
                                 b = ds_uni_get(ds_uni_back(p, p + at), &before);
                        bool may = tok_join_may(&join, b, p[at - 1], c, p[at]);
                        assert_false(is && may);
                        if (b >= 0x4e00 && b < 0x9f80 && c >= 0x4e00 && c < 0x9f80)
                            assert_true(is || may);
                        cuts += is;
                        joined += may;
                    } else {
                        assert_false(is);
                    }
                }
                if (n == 0)
                    n = scan_pretoken(cls, w.step, p, end);
            }
        }
    }
    assert_true(cuts > 1000 && joined > 1000);
}

/* The first one is what every other way must give. */
static void encode(const ds_tok *t, const char *simd, size_t memory, const uint8_t *p, size_t len,
                   ds_ids *ids)
{
    ds_tok_state *st;
    ds_err err = {0};
    setenv("DS_SIMD", simd, 1);
    assert_int_equal(ds_tok_state_new(&st, t, &err), 0);
    assert_int_equal(ds_tok_state_memory(st, memory, &err), 0);
    for (int again = 0; again < 2; again++) {
        ids->n = 0;
        if (ds_tok_encode(t, st, p, len, 0, ids, &err) != 0)
            fail_msg("%s", err.msg);
    }
    ds_tok_state_free(st);
    unsetenv("DS_SIMD");
}

static void same(const ds_ids *a, const ds_ids *b)
{
    assert_int_equal(a->n, b->n);
    if (a->n > 0)
        assert_memory_equal(a->v, b->v, a->n * sizeof *a->v);
}

static ds_tok *pipeline(unsigned k)
{
    tok_spec s = TOK_SPEC;
    const char *const pre[] = {TOK_SPEC.pre, TOK_PRE_QWEN2, TOK_PRE_GPT2, TOK_PRE_DEEPSEEK};
    s.pre = pre[k % 4];
    s.ignore_merges = k >= 4 ? "true" : "false";
    return tok_make(&s);
}

static void every_level(void **state)
{
    (void)state;
    static uint8_t text[5000];
    for (unsigned k = 0; k < 8; k++) {
        ds_tok *t = pipeline(k);
        for (unsigned round = 0; round < 40; round++) {
            size_t len = text_make(text, sizeof text);
            ds_ids want = {0}, got = {0};
            const char *name;
            encode(t, "scalar", 0, text, len, &want);
            for (unsigned i = 0; (name = ds_tok_classifier_name(i)) != NULL; i++) {
                encode(t, name, i % 2 ? 0 : 1 << 20, text, len, &got);
                same(&want, &got);
            }
            ds_ids_fini(&want);
            ds_ids_fini(&got);
        }
        ds_tok_free(t);
    }
}

static int collect(void *ctx, const uint32_t *ids, size_t n, uint64_t consumed, ds_err *err)
{
    (void)consumed;
    return ds_ids_put(ctx, ids, n) == 0 ? 0 : ds_fail_nomem(err);
}

static void streams(void **state)
{
    (void)state;
    static uint8_t text[3000];
    ds_err err = {0};
    for (unsigned k = 0; k < 4; k++) {
        ds_tok *t = pipeline(k);
        ds_tok_state *st;
        assert_int_equal(ds_tok_state_new(&st, t, &err), 0);
        for (unsigned round = 0; round < 100; round++) {
            size_t len = text_make(text, sizeof text);
            ds_ids want = {0}, got = {0}, other = {0};
            ds_tok_stream *s;
            encode(t, "", 0, text, len, &want);
            ds_tok_state_segment(st, 1 + rnd(200));
            assert_int_equal(ds_tok_stream_new(&s, st, 0, collect, &got, &err), 0);
            for (int again = 0; again < 2; again++) {
                got.n = 0;
                for (size_t at = 0, n; at < len; at += n) {
                    n = 1 + rnd(rnd(2) ? 3 : 300);
                    n = n < len - at ? n : len - at;
                    assert_int_equal(ds_tok_stream_put(s, text + at, n, &err), 0);
                    if (rnd(9) == 0) { /* the state is free between calls */
                        other.n = 0;
                        assert_int_equal(ds_tok_encode(t, st, "hello", 5, 0, &other, &err), 0);
                    }
                }
                assert_int_equal(ds_tok_stream_end(s, &err), 0);
                same(&want, &got);
            }
            ds_tok_stream_free(s);
            ds_ids_fini(&want);
            ds_ids_fini(&got);
            ds_ids_fini(&other);
        }
        ds_tok_state_free(st);
        ds_tok_free(t);
    }
}

static void stream_refuses(void **state)
{
    (void)state;
    ds_err err = {0};
    ds_tok *t = pipeline(3);
    ds_tok_state *st;
    ds_tok_stream *s;
    ds_ids got = {0};
    assert_int_equal(ds_tok_state_new(&st, t, &err), 0);
    ds_tok_state_segment(st, 4);
    assert_int_equal(ds_tok_stream_new(&s, st, 0, collect, &got, &err), 0);
    assert_int_equal(ds_tok_stream_put(s, "hello hello hello \xc3", 19, &err), 0);
    assert_int_not_equal(ds_tok_stream_end(s, &err), 0);
    assert_non_null(strstr(err.msg, "byte 18"));
    ds_tok_stream_free(s);
    ds_tok_state_free(st);
    ds_ids_fini(&got);
    ds_tok_free(t);
}

static void batches(void **state)
{
    (void)state;
    enum { N = 60 };
    static uint8_t text[N][600];
    ds_err err = {0};
    ds_tok *t = pipeline(0);
    ds_tok_span v[N];
    ds_ids want[N] = {{0}};
    for (size_t i = 0; i < N; i++) {
        v[i] = (ds_tok_span){text[i], text_make(text[i], sizeof text[i])};
        encode(t, "", 0, text[i], v[i].len, &want[i]);
    }
    for (unsigned threads = 0; threads < 6; threads++) {
        ds_ids got[N] = {{0}};
        assert_int_equal(ds_tok_encode_batch(t, v, N, 0, threads, got, &err), 0);
        for (size_t i = 0; i < N; i++) {
            same(&want[i], &got[i]);
            ds_ids_fini(&got[i]);
        }
    }
    for (unsigned threads = 1; threads < 6; threads++) {
        ds_ids got[N] = {{0}};
        v[20] = (ds_tok_span){"ab\xff", 3};
        v[40] = (ds_tok_span){"\xff", 1};
        memset(&err, 0, sizeof err);
        assert_int_not_equal(ds_tok_encode_batch(t, v, N, 0, threads, got, &err), 0);
        assert_non_null(strstr(err.msg, "text 20"));
        for (size_t i = 0; i < N; i++)
            ds_ids_fini(&got[i]);
    }
    assert_int_equal(ds_tok_encode_batch(t, v, 0, 0, 3, NULL, &err), 0);
    for (size_t i = 0; i < N; i++)
        ds_ids_fini(&want[i]);
    ds_tok_free(t);
}

/* The last one given back is lent first, and none is made while one is there. */
static void shelf(void **x)
{
    (void)x;
    ds_err err = {0};
    ds_tok_shelf s = {0};
    ds_tok_state *a, *b, *c;
    ds_tok_shelf_fini(&s); /* of none */
    ds_tok *t = pipeline(0);
    ds_tok_shelf_init(&s, t);
    assert_int_equal(ds_tok_shelf_take(&s, &a, &err), 0);
    assert_int_equal(ds_tok_shelf_take(&s, &b, &err), 0);
    assert_ptr_not_equal(a, b);
    ds_tok_shelf_give(&s, b);
    ds_tok_shelf_give(&s, a);
    ds_tok_shelf_give(&s, NULL);
    assert_int_equal(ds_tok_shelf_take(&s, &c, &err), 0);
    assert_ptr_equal(c, a);
    assert_int_equal(ds_tok_shelf_take(&s, &c, &err), 0);
    assert_ptr_equal(c, b);
    ds_tok_shelf_give(&s, a);
    ds_tok_shelf_give(&s, b);
    ds_tok_shelf_fini(&s);
    ds_tok_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks),          cmocka_unit_test(windows), cmocka_unit_test(window_parts),
        cmocka_unit_test(every_level),    cmocka_unit_test(streams), cmocka_unit_test(batches),
        cmocka_unit_test(stream_refuses), cmocka_unit_test(shelf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
