/* Drawing the next token: the order of candidates, whatever their logits are, and how often each is
 * drawn. */
#include "unit.h"

#include <math.h>

#include "elementary.h"
#include "net_priv.h"
#include "philox.h"
#include "sampler.h"

#define VOCAB 997

static float logits[VOCAB];

static int by_logit(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

    return logits[x] != logits[y] ? (logits[x] < logits[y] ? 1 : -1) : (x > y) - (x < y);
}

/* As the header says, by comparing. */
static int32_t expected(const ds_sampler_conf *c, uint64_t i)
{
    int32_t order[VOCAB], n = c->top_k ? (int32_t)c->top_k : VOCAB;
    double odds[VOCAB], sum = 0, kept = 0;

    for (int32_t v = 0; v < VOCAB; v++)
        order[v] = v;
    qsort(order, VOCAB, sizeof *order, by_logit);
    for (int32_t v = 0; v < n; v++) {
        odds[v] = ds_exp(((double)logits[order[v]] - (double)logits[order[0]]) / c->temperature);
        sum += odds[v];
    }
    for (int32_t v = 0; v < n && c->top_p < 1; v++)
        if ((kept += odds[v]) >= c->top_p * sum) {
            n = v + 1;
            sum = kept;
        }
    double at = (double)ds_philox(c->seed, 0x67656e, i) / 4294967296.0 * sum;
    for (int32_t v = 0; v < n; v++)
        if ((at -= odds[v]) < 0)
            return order[v];
    return order[n - 1];
}

static void what_comparing_gives(void **state)
{
    static const ds_sampler_conf confs[] = {
        {1.0, 0, 1, 1}, {0.3, 40, 1, 2}, {2.0, 0, 0.9, 3}, {0.7, 200, 0.5, 4}, {1e3, 1, 1, 5}};
    static const float odd[] = {0.0f, -0.0f, 1e-42f, -1e-42f, -3e38f, 3e38f, 1.0f, 1.0f};
    ds_err err = {0};

    (void)state;
    for (size_t k = 0; k < sizeof confs / sizeof *confs; k++) {
        ds_sampler *s;
        assert_int_equal(ds_sampler_new(&s, &confs[k], VOCAB, &err), 0);
        for (uint64_t i = 0; i < 200; i++) {
            for (uint64_t v = 0; v < VOCAB; v++) /* of few values: many are equal */
                logits[v] = (float)(ds_philox(9, i, v) % 61) / 4 - 9;
            for (size_t v = 0; i % 2 && v < sizeof odd / sizeof *odd; v++)
                logits[(i * 31 + v * 7) % VOCAB] = odd[v];
            assert_int_equal(ds_sampler_next(s, logits, i), expected(&confs[k], i));
        }
        ds_sampler_free(s);
    }
}

static void the_likeliest(void **state)
{
    static const float z[] = {-1, 2, 5, 5, -0.0f};
    const ds_sampler_conf greedy = {.top_p = 1};
    ds_err err = {0};
    ds_sampler *s;

    (void)state;
    assert_int_equal(ds_sampler_new(&s, &greedy, 5, &err), 0);
    assert_int_equal(ds_sampler_next(s, z, 0), 2);
    ds_sampler_free(s);
    ds_sampler_free(NULL);
}

static void as_often_as_its_odds(void **state)
{
    const float z[] = {logf(1), logf(2), logf(5)};
    const ds_sampler_conf c = {.temperature = 1, .top_p = 1, .seed = 7};
    ds_err err = {0};
    ds_sampler *s;
    int drawn[3] = {0};

    (void)state;
    assert_int_equal(ds_sampler_new(&s, &c, 3, &err), 0);
    for (uint64_t i = 0; i < 8000; i++)
        drawn[ds_sampler_next(s, z, i)]++;
    assert_in_range(drawn[0], 900, 1100);
    assert_in_range(drawn[1], 1850, 2150);
    assert_in_range(drawn[2], 4850, 5150);
    ds_sampler_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comparing_gives),
        cmocka_unit_test(the_likeliest),
        cmocka_unit_test(as_often_as_its_odds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
