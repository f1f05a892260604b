/* Scores of a classifier: known values, ties, classes that are missing, the same interval for the
 * same seed; and the noise that texts are tried with. */
#include <math.h>

#include "scores.h"
#include "textnoise.h"
#include "unit.h"
#include "utf8.h"

static void near(double got, double want)
{
    if (!(fabs(got - want) < 1e-12))
        fail_msg("%.15g, not %.15g", got, want);
}

static void f1_of_known_matrices(void **state)
{
    /* precision 2/3, 1/2 and recall 2/3, 1/2: F1 2/3 and 1/2 */
    static const uint64_t two[4] = {2, 1, 1, 1}, none[4] = {0};
    /* class 2 is neither truth nor answer: not counted; class 1 is never answered: 0 */
    static const uint64_t three[9] = {3, 0, 0, 1, 0, 0, 0, 0, 0};

    (void)state;
    near(ds_accuracy(two, 2), 3.0 / 5);
    near(ds_majority(two, 2), 3.0 / 5);
    near(ds_macro_f1(two, 2), (2.0 / 3 + 1.0 / 2) / 2);
    near(ds_accuracy(three, 3), 3.0 / 4);
    near(ds_macro_f1(three, 3), (6.0 / 7) / 2);
    near(ds_accuracy(none, 2), 0);
    near(ds_macro_f1(none, 2), 0);
}

static void auc_counts_pairs(void **state)
{
    static const double score[6] = {0.1, 0.4, 0.35, 0.8, 0.4, 0.4};
    static const bool positive[6] = {false, false, true, true, true, false},
                      all[6] = {true, true, true, true, true, true};
    double auc = 0, pairs = 0;

    (void)state;
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 6; j++)
            if (positive[i] && !positive[j])
                pairs += score[i] > score[j] ? 1 : score[i] < score[j] ? 0 : 0.5;
    assert_int_equal(ds_auc(&auc, score, positive, 6, NULL), 0);
    near(auc, pairs / 9);
    assert_int_equal(ds_auc(&auc, score, all, 6, NULL), 0);
    assert_true(isnan(auc));
    assert_int_equal(ds_auc(&auc, score, positive, 0, NULL), 0);
    assert_true(isnan(auc));
}

static void auc_of_ties_is_half(void **state)
{
    static const double same[4] = {2, 2, 2, 2}, bad[4] = {1, (double)NAN, 0, 2};
    static const bool positive[4] = {true, false, false, true};
    double auc = 0;

    (void)state;
    assert_int_equal(ds_auc(&auc, same, positive, 4, NULL), 0);
    near(auc, 0.5);
    assert_int_equal(ds_auc(&auc, bad, positive, 4, NULL), DS_FAIL);
}

static void macro_auc_leaves_out_missing_classes(void **state)
{
    /* class 2 is nobody's truth */
    static const double score[3 * 3] = {.7, .2, .1, .4, .5, .1, .2, .7, .1};
    static const int32_t truth[3] = {0, 1, 1}, one[3] = {0, 0, 0};
    double auc = 0;

    (void)state;
    assert_int_equal(ds_macro_auc(&auc, score, truth, 3, 3, NULL), 0);
    near(auc, 1);
    assert_int_equal(ds_macro_auc(&auc, score, one, 3, 3, NULL), 0);
    assert_true(isnan(auc));
}

static void quantiles_are_by_nearest_rank(void **state)
{
    double v[5] = {5, 1, 4, 2, 3};

    (void)state;
    near(ds_quantile(v, 5, 0), 1);
    near(ds_quantile(v, 5, 0.5), 3);
    near(ds_quantile(v, 5, 0.95), 5);
    near(ds_quantile(v, 5, 1), 5);
    assert_true(isnan(ds_quantile(v, 0, 0.5)));
}

static void bootstrap_is_a_function_of_the_seed(void **state)
{
    double a[2], b[2], other[2];
    int8_t v[200], certain[50];

    (void)state;
    for (size_t i = 0; i < sizeof v; i++)
        v[i] = i % 4 != 0;
    memset(certain, 1, sizeof certain);
    assert_int_equal(ds_bootstrap(a, v, sizeof v, 1000, 7, NULL), 0);
    assert_int_equal(ds_bootstrap(b, v, sizeof v, 1000, 7, NULL), 0);
    assert_int_equal(ds_bootstrap(other, v, sizeof v, 1000, 8, NULL), 0);
    assert_memory_equal(a, b, sizeof a);
    assert_true(a[0] != other[0] || a[1] != other[1]);
    /* a standard error of sqrt(.75 * .25 / 200) = 0.0306, twice 1.96 of it */
    assert_true(a[0] < 0.75 && a[1] > 0.75);
    assert_true(a[1] - a[0] > 0.09 && a[1] - a[0] < 0.15);
    assert_int_equal(ds_bootstrap(a, certain, sizeof certain, 1000, 7, NULL), 0);
    near(a[0], 1);
    near(a[1], 1);
}

static void noise_hits_letters_alone(void **state)
{
    static const char text[] = "Eine Schraube M6x40, 100 Stück (Größe 2): 12,50 €";
    ds_buf none = {0}, some = {0}, again = {0}, other = {0}, digits = {0};

    (void)state;
    assert_int_equal(ds_textnoise(&none, text, sizeof text - 1, 0, 1, 0, NULL), 0);
    assert_int_equal(none.len, sizeof text - 1);
    assert_memory_equal(none.data, text, none.len);
    assert_int_equal(ds_textnoise(&some, text, sizeof text - 1, 1, 1, 0, NULL), 0);
    assert_int_equal(ds_textnoise(&again, text, sizeof text - 1, 1, 1, 0, NULL), 0);
    assert_int_equal(ds_textnoise(&other, text, sizeof text - 1, 1, 1, 1, NULL), 0);
    assert_int_equal(some.len, again.len);
    assert_memory_equal(some.data, again.data, some.len);
    assert_true(some.len != other.len || memcmp(some.data, other.data, some.len));
    assert_true(some.len != none.len || memcmp(some.data, none.data, none.len));
    assert_int_equal(ds_textnoise(&digits, "12,50 €", 9, 1, 1, 0, NULL), 0);
    assert_int_equal(digits.len, 9);
    assert_memory_equal(digits.data, "12,50 €", 9);
    ds_buf_fini(&none);
    ds_buf_fini(&some);
    ds_buf_fini(&again);
    ds_buf_fini(&other);
    ds_buf_fini(&digits);
}

static void noise_keeps_utf8_and_its_rate(void **state)
{
    char text[5000];
    ds_buf out = {0};
    size_t changed = 0;

    (void)state;
    for (uint64_t r = 0; r < 200; r++) {
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = (char)("az ZA"[i % 5] + (i % 5 == 0 ? (int)(r % 26) : 0));
        ds_buf_reset(&out);
        assert_int_equal(ds_textnoise(&out, text, 50, 0.5, r, r, NULL), 0);
        assert_int_equal(ds_utf8_check(out.data, out.len), out.len);
    }
    /* no swap and no look-alike of z after a space: a letter stays a letter, hit or not */
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 2 ? ' ' : 'z';
    ds_buf_reset(&out);
    assert_int_equal(ds_textnoise(&out, text, sizeof text, 0.1, 3, 0, NULL), 0);
    assert_int_equal(out.len, sizeof text);
    for (size_t i = 0; i < sizeof text; i++)
        changed += out.data[i] != (uint8_t)text[i];
    assert_true(changed > 180 && changed < 320); /* of 2500 letters: 250, 15 each way */
    ds_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f1_of_known_matrices),
        cmocka_unit_test(auc_counts_pairs),
        cmocka_unit_test(auc_of_ties_is_half),
        cmocka_unit_test(macro_auc_leaves_out_missing_classes),
        cmocka_unit_test(quantiles_are_by_nearest_rank),
        cmocka_unit_test(bootstrap_is_a_function_of_the_seed),
        cmocka_unit_test(noise_hits_letters_alone),
        cmocka_unit_test(noise_keeps_utf8_and_its_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
