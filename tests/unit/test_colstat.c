/* Statistics of columns: of a chunk, of chunks in parts and in any order, as bytes; and how far two
 * are apart, beside numbers that were computed elsewhere. */
#include "unit.h"

#include <math.h>
#include <stdio.h>

#include "colstat.h"
#include "drift.h"
#include "statmember.h"

static uint64_t seed;

static uint32_t draw(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

/* A chunk of what was built. */
static void take_chunk(ds_colstat *s, const ds_column *c, ds_colbuild *b, bool key)
{
    ds_buf head = {0}, all = {0};
    ds_chunk k;
    ds_err err = {0};
    assert_int_equal(ds_colbuild_chunk(b, &head, &k, &err), 0);
    assert_int_equal(ds_buf_put(&all, k.head, k.head_len), 0);
    assert_int_equal(ds_buf_put(&all, k.body, k.body_len), 0);
    assert_int_equal(ds_colstat_chunk(s, c, all.data, all.len, b->rows, key, NULL, &err), 0);
    ds_colbuild_reset(b);
    ds_buf_fini(&head);
    ds_buf_fini(&all);
}

static void take(ds_colstat *s, const ds_column *c, ds_colbuild *b)
{
    take_chunk(s, c, b, false);
}

static void as_bytes(ds_buf *out, const ds_colstat *s, bool chunk)
{
    ds_buf_reset(out);
    assert_int_equal(ds_colstat_put(out, s, chunk), 0);
}

static void texts_have_one_form(void **state)
{
    static char name[] = "t";
    static const ds_column col = {.name = name, .type = DS_UTF8, .nullable = true};
    static const char *const rows[] = {"the cat", NULL, "The CAT 12", "\xe6\xbc\xa2\xe5\xad\x97"};
    ds_colbuild b = {0};
    ds_colstat s = {0}, back = {0};
    ds_buf x = {0}, y = {0}, hex = {0};
    ds_err err = {0};

    (void)state;
    ds_colbuild_init(&b, DS_UTF8, DS_UTF8, true);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(rows[i] ? ds_colbuild_bytes(&b, rows[i], strlen(rows[i]), &err)
                                 : ds_colbuild_null(&b, &err),
                         0);
    take(&s, &col, &b);
    assert_int_equal(s.rows, 4);
    assert_int_equal(s.nulls, 1);
    assert_int_equal(s.len_sum, 7 + 10 + 6);
    assert_int_equal(s.len_min, 6);
    assert_int_equal(s.len_max, 10);
    assert_int_equal(s.words, 7); /* the cat the cat 00, and two characters */
    assert_int_equal(s.values.used, 3);
    assert_int_equal(s.nlow, 3);
    as_bytes(&x, &s, true);
    assert_int_equal(ds_buf_hex(&hex, x.data, 8), 0);
    assert_string_equal(ds_buf_cstr(&hex), "02040117060a03e0");
    ds_colstat_init(&back, &col);
    assert_int_equal(ds_colstat_add(&back, x.data, x.len, &err), 0);
    assert_memory_equal(back.registers, s.registers, sizeof s.registers);
    as_bytes(&y, &back, false);
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.data, y.data, x.len);
    ds_sha sum;
    char digest[65];
    assert_int_equal(ds_sha_bytes(&sum, x.data, x.len, &err), 0);
    ds_sha_hex(digest, &sum);
    assert_string_equal(digest, "121c1ad5d2fd54bed7afbc7b9ae2091ac0a978480dd2bcf300b33ff3747ddc7a");
    ds_colstat_fini(&s);
    ds_colstat_fini(&back);
    ds_colbuild_fini(&b);
    ds_buf_fini(&x);
    ds_buf_fini(&y);
    ds_buf_fini(&hex);
}

/* Names of patients may be keys: none is kept. How many there are is known all the same. */
static void keys_are_not_told(void **state)
{
    static char name[] = "key";
    static const ds_column col = {.name = name, .type = DS_UTF8};
    ds_colbuild b = {0};
    ds_colstat s = {0}, back = {0};
    ds_buf x = {0};
    ds_err err = {0};

    (void)state;
    ds_colbuild_init(&b, DS_UTF8, DS_UTF8, false);
    for (int i = 0; i < 100; i++) {
        char key[16];
        const int n = snprintf(key, sizeof key, "patient %d", i);
        assert_int_equal(ds_colbuild_bytes(&b, key, (size_t)n, &err), 0);
    }
    take_chunk(&s, &col, &b, true);
    assert_true(s.values.full && ds_colstat_distinct(&s) == 100);
    as_bytes(&x, &s, true);
    assert_null(memmem(x.data, x.len, "patient", 7));
    ds_colstat_init(&back, &col);
    assert_int_equal(ds_colstat_add(&back, x.data, x.len, &err), 0);
    assert_memory_equal(back.registers, s.registers, sizeof s.registers);
    assert_true(back.values.full);
    ds_colstat_fini(&s);
    ds_colstat_fini(&back);
    ds_colbuild_fini(&b);
    ds_buf_fini(&x);
}

/* ---- parts ---- */

enum { ROWS = 4000, PART = 250 };

static void add_row(ds_colbuild *b)
{
    ds_err err = {0};
    ds_buf t = {0};
    assert_int_equal(ds_buf_printf(&t, "{\"label\":\"%c\",\"n\":%u,\"x\":%s,\"o\":{\"label\":1}",
                                   'a' + draw(3), draw(100000), draw(2) ? "null" : "-1.5e3"),
                     0);
    assert_int_equal(ds_buf_puts(&t, draw(2) ? ",\"rare\":true}" : "}"), 0);
    assert_int_equal(ds_colbuild_bytes(b, t.data, t.len, &err), 0);
    ds_buf_fini(&t);
}

/* Chunks' bytes one after the other, and where they end. */
static void make_parts(const ds_column *col, ds_buf parts[ROWS / PART])
{
    ds_colbuild b = {0};
    ds_colstat s = {0};
    seed = 17;
    ds_colbuild_init(&b, col->type, col->type, false);
    for (size_t i = 0; i < ROWS / PART; i++) {
        for (size_t k = 0; k < PART; k++)
            add_row(&b);
        take(&s, col, &b);
        as_bytes(&parts[i], &s, true);
    }
    ds_colstat_fini(&s);
    ds_colbuild_fini(&b);
}

static void order_of_parts_is_nothing(void **state)
{
    static char name[] = "meta";
    static const ds_column col = {.name = name, .type = DS_JSON};
    ds_buf parts[ROWS / PART] = {{0}}, x = {0}, y = {0}, half = {0};
    ds_colstat a = {0}, b = {0}, c = {0};
    ds_err err = {0};
    const size_t n = ROWS / PART;

    (void)state;
    make_parts(&col, parts);
    ds_colstat_init(&a, &col);
    ds_colstat_init(&b, &col);
    ds_colstat_init(&c, &col);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(ds_colstat_add(&a, parts[i].data, parts[i].len, &err), 0);
        assert_int_equal(ds_colstat_add(&b, parts[n - 1 - i].data, parts[n - 1 - i].len, &err), 0);
    }
    for (size_t i = 0; i < n / 2; i++)
        assert_int_equal(ds_colstat_add(&c, parts[i].data, parts[i].len, &err), 0);
    as_bytes(&half, &c, false);
    ds_colstat_fini(&c);
    ds_colstat_init(&c, &col);
    assert_int_equal(ds_colstat_add(&c, half.data, half.len, &err), 0);
    for (size_t i = n / 2; i < n; i++)
        assert_int_equal(ds_colstat_add(&c, parts[i].data, parts[i].len, &err), 0);
    as_bytes(&x, &a, false);
    as_bytes(&y, &b, false);
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.data, y.data, x.len);
    as_bytes(&y, &c, false);
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.data, y.data, x.len);
    ds_colstat_settle(&a);
    assert_int_equal(a.rows, ROWS);
    assert_int_equal(a.nmembers, 5);
    assert_string_equal(a.members[0].name, "label");
    assert_int_equal(a.members[0].stat.values.used, 3);
    assert_int_equal(a.members[1].stat.values.full, true);
    assert_true(a.members[1].stat.fmin >= 0 && a.members[1].stat.fmax < 100000);
    assert_true(fabs(ds_colstat_distinct(&a.members[1].stat) - ROWS) < ROWS / 8);
    assert_int_equal(a.members[3].stat.rows, ROWS); /* an object: there, and nothing more */
    assert_string_equal(a.members[4].name, "rare");
    assert_in_range(a.members[4].stat.nulls, ROWS / 3, 2 * ROWS / 3);
    for (size_t i = 0; i < n; i++)
        ds_buf_fini(&parts[i]);
    ds_colstat_fini(&a);
    ds_colstat_fini(&b);
    ds_colstat_fini(&c);
    ds_buf_fini(&x);
    ds_buf_fini(&y);
    ds_buf_fini(&half);
}

static void broken_bytes_are_refused(void **state)
{
    static char name[] = "meta";
    static const ds_column col = {.name = name, .type = DS_JSON};
    ds_buf parts[ROWS / PART] = {{0}};
    ds_colstat s = {0};

    (void)state;
    make_parts(&col, parts);
    for (size_t cut = 0; cut < parts[0].len; cut += 1 + cut / 16) {
        ds_err err = {0};
        ds_colstat_init(&s, &col);
        assert_int_equal(ds_colstat_add(&s, parts[0].data, cut, &err), DS_CORRUPT);
        ds_colstat_fini(&s);
    }
    for (size_t i = 0; i < 3000; i++) { /* any answer, but no crash */
        ds_err err = {0};
        const size_t at = draw((uint32_t)parts[1].len);
        const uint8_t was = parts[1].data[at];
        parts[1].data[at] ^= (uint8_t)(1 + draw(255));
        ds_colstat_init(&s, &col);
        (void)ds_colstat_add(&s, parts[1].data, parts[1].len, &err);
        ds_colstat_fini(&s);
        parts[1].data[at] = was;
    }
    for (size_t i = 0; i < ROWS / PART; i++)
        ds_buf_fini(&parts[i]);
}

static void broken_json_is_survived(void **state)
{
    static const char text[] = "{\"a\":[1,{\"b\":\"\\\"x\"}],\"c\":\"d\\\\\",\"e\":1e5,\"f\":null}";
    static char name[] = "j";
    static const ds_column col = {.name = name, .type = DS_JSON};
    (void)state;
    seed = 3;
    for (size_t i = 0; i < 20000; i++) {
        char *t = malloc(sizeof text);
        const size_t n = draw(sizeof text);
        ds_colstat s = {0};
        assert_non_null(t);
        memcpy(t, text, n);
        if (n)
            t[draw((uint32_t)n)] = "{}[]\",:\\x1"[draw(10)];
        t = realloc(t, n + 1); /* so that a sanitizer sees a byte too far */
        ds_colstat_init(&s, &col);
        assert_int_equal(ds_statmember_value(&s, (const uint8_t *)t, n), 0);
        ds_colstat_fini(&s);
        free(t);
    }
}

/* ---- numbers ---- */

static void numbers_of(ds_colstat *s, ds_colbuild *b, const double *v, size_t n)
{
    static char name[] = "x";
    static const ds_column col = {.name = name, .type = DS_F64};
    ds_err err = {0};
    for (size_t i = 0; i < n; i++)
        assert_int_equal(ds_colbuild_f64(b, v[i], &err), 0);
    take(s, &col, b);
}

static void quantiles_are_near(void **state)
{
    double v[10001];
    ds_colbuild b = {0};
    ds_colstat s = {0};
    ds_buf sorted = {0};

    (void)state;
    ds_colbuild_init(&b, DS_F64, DS_F64, false);
    for (int i = 0; i <= 10000; i++)
        v[i] = -5000 + (i * 7919 % 10001);
    numbers_of(&s, &b, v, 10001);
    assert_true(s.fmin <= -5000 && s.fmin >= -5000 && s.fmax >= 5000 && s.fmax <= 5000);
    assert_int_equal(ds_tally_sorted(&sorted, &s.nums), 0);
    for (int p = 1; p < 100; p++) {
        const double q = ds_stat_quantile(&sorted, false, p / 100.0, s.fmin, s.fmax),
                     want = -5000 + 100.0 * p;
        assert_true(fabs(q - want) <= fabs(want) / 64 + 1);
    }
    for (int i = -63; i < 64; i++) { /* small whole numbers are alone in their buckets */
        const int64_t k = ds_stat_bucket(i);
        assert_true(k > ds_stat_bucket(i - 1));
        assert_true(ds_stat_bucket_from(k) <= i && ds_stat_bucket_from(k + 1) >= i);
    }
    ds_colstat_fini(&s);
    ds_colbuild_fini(&b);
    ds_buf_fini(&sorted);
}

static void near(double a, double b)
{
    if (fabs(a - b) > 1e-9)
        fail_msg("%.12g is not %.12g", a, b);
}

static void distances_are_those_of_the_books(void **state)
{
    const double before[] = {50, 30, 20}, after[] = {40, 30, 30};
    const double x[] = {1, 2, 3, 4}, y[] = {3, 4, 5, 6};
    ds_driftpart p;
    ds_colbuild b = {0};
    ds_colstat s = {0}, t = {0};
    ds_drift d = {0};
    ds_err err = {0};

    (void)state;
    ds_drift_bins(&p, before, after, 3);
    near(p.psi, 0.06088405513673144);
    near(p.kl, 0.031335119753373095);
    near(p.js, 0.010925641317753948);
    near(p.noise, 2 * (1 / 100.0 + 1 / 100.0));
    ds_drift_bins(&p, before, before, 3);
    near(p.psi, 0);
    near(p.kl, 0);
    near(p.js, 0);
    ds_colbuild_init(&b, DS_F64, DS_F64, false);
    numbers_of(&s, &b, x, 4);
    numbers_of(&t, &b, y, 4);
    assert_int_equal(ds_drift_make(&d, &s, &t, &err), 0);
    near(d.parts[DS_DRIFT_NUMBERS].ks, 0.5);
    assert_int_equal(d.parts[DS_DRIFT_NUMBERS].bins, 5); /* four, and what is above */
    assert_int_equal(d.parts[DS_DRIFT_VALUES].bins, 6);
    near(d.similarity, 2 / 6.0);
    assert_int_equal(d.fresh.len / sizeof(void *), 2);
    assert_int_equal(d.gone.len / sizeof(void *), 2);
    ds_drift_fini(&d);
    assert_int_equal(ds_drift_make(&d, &t, &s, &err),
                     0); /* below all of it: a bin of its own too */
    assert_int_equal(d.parts[DS_DRIFT_NUMBERS].bins, 5);
    near(d.parts[DS_DRIFT_NUMBERS].ks, 0.5);
    ds_drift_fini(&d);
    ds_colstat_fini(&s);
    ds_colstat_fini(&t);
    ds_colbuild_fini(&b);
}

/* Both without any on one side, and partly no numbers: neither is alike. */
static void nothing_is_not_alike(void **state)
{
    const double x[] = {1, 2, 3, NAN}, none[] = {NAN, NAN, NAN, NAN};
    const double p[] = {3.5 / 5, 1.5 / 5}, q[] = {0.5 / 5, 4.5 / 5};
    ds_colbuild b = {0};
    ds_colstat s = {0}, t = {0}, empty = {.type = DS_F64, .item = DS_F64};
    ds_drift d = {0};
    ds_err err = {0};

    (void)state;
    ds_colbuild_init(&b, DS_F64, DS_F64, false);
    numbers_of(&s, &b, x, 4);
    numbers_of(&t, &b, none, 4);
    assert_int_equal(ds_drift_make(&d, &s, &t, &err), 0);
    near(d.nans[0], 0.25);
    near(d.nans[1], 1);
    assert_true(d.parts[DS_DRIFT_NUMBERS].there);
    assert_int_equal(d.parts[DS_DRIFT_NUMBERS].bins, 2);
    near(d.parts[DS_DRIFT_NUMBERS].ks, 0.75);
    near(d.parts[DS_DRIFT_NUMBERS].psi,
         (q[0] - p[0]) * log(q[0] / p[0]) + (q[1] - p[1]) * log(q[1] / p[1]));
    ds_drift_fini(&d);
    for (int turn = 0; turn < 2; turn++) {
        assert_int_equal(ds_drift_make(&d, turn ? &empty : &s, turn ? &s : &empty, &err), 0);
        assert_true(d.parts[DS_DRIFT_NUMBERS].there && d.parts[DS_DRIFT_VALUES].there);
        near(d.parts[DS_DRIFT_NUMBERS].ks, 0.75);
        assert_true(d.profiled);
        near(d.similarity, 0);
        ds_drift_fini(&d);
    }
    assert_int_equal(ds_drift_make(&d, &empty, &empty, &err), 0);
    assert_false(d.profiled || d.parts[DS_DRIFT_NUMBERS].there || d.parts[DS_DRIFT_VALUES].there);
    ds_drift_fini(&d);
    ds_colstat_fini(&s);
    ds_colstat_fini(&t);
    ds_colbuild_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_have_one_form),
        cmocka_unit_test(keys_are_not_told),
        cmocka_unit_test(order_of_parts_is_nothing),
        cmocka_unit_test(broken_bytes_are_refused),
        cmocka_unit_test(broken_json_is_survived),
        cmocka_unit_test(quantiles_are_near),
        cmocka_unit_test(distances_are_those_of_the_books),
        cmocka_unit_test(nothing_is_not_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
