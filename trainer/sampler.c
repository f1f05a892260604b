/* sampler.c - see sampler.h. Candidates are put in order by the digits of their logits: a
 * vocabulary of 150,000 in a tenth of the time that comparing them takes. */
#include "sampler.h"

#include <stdlib.h>
#include <string.h>

#include "elementary.h"
#include "net_priv.h"
#include "philox.h"

#define STREAM UINT64_C(0x67656e) /* of random numbers */
#define DIGIT 11                  /* bits; three make 32 */
#define PASSES 3

typedef struct candidate {
    uint32_t key; /* ascends as the logit falls */
    int32_t id;
} candidate;

struct ds_sampler {
    ds_sampler_conf c;
    int32_t vocab;
    candidate *order, *spare;
    double *odds; /* of each in order, to the likeliest */
};

int ds_sampler_new(ds_sampler **out, const ds_sampler_conf *c, int32_t vocab, ds_err *err)
{
    ds_sampler *s = *out = calloc(1, sizeof *s);

    if (!s)
        return ds_fail_nomem(err);
    s->c = *c;
    s->vocab = vocab;
    if (c->temperature <= 0)
        return 0;
    s->order = calloc((size_t)vocab, sizeof *s->order);
    s->spare = calloc((size_t)vocab, sizeof *s->spare);
    s->odds = calloc((size_t)vocab, sizeof *s->odds);
    return s->order && s->spare && s->odds ? 0 : ds_fail_nomem(err);
}

void ds_sampler_free(ds_sampler *s)
{
    if (!s)
        return;
    free(s->order);
    free(s->spare);
    free(s->odds);
    free(s);
}

static int32_t likeliest(const float *z, int32_t vocab)
{
    int32_t best = 0;

    for (int32_t v = 1; v < vocab; v++)
        best = z[v] > z[best] ? v : best;
    return best;
}

/* Numbers of IEEE 754 are in the order of their bits, negative ones backwards. */
static uint32_t key_of(float z)
{
    const float same = z + 0.0f; /* both zeros are one */
    uint32_t u;

    memcpy(&u, &same, sizeof u);
    return u >> 31 ? u : ~u & 0x7fffffff;
}

/* Equal keys stay as they are: by id. */
static void sort_by(uint32_t shift, const candidate *from, candidate *to, int32_t n)
{
    uint32_t at[1 << DIGIT] = {0}, sum = 0;
    const uint32_t mask = (1 << DIGIT) - 1;

    for (int32_t i = 0; i < n; i++)
        at[from[i].key >> shift & mask]++;
    for (uint32_t d = 0; d <= mask; d++) {
        const uint32_t many = at[d];
        at[d] = sum;
        sum += many;
    }
    for (int32_t i = 0; i < n; i++)
        to[at[from[i].key >> shift & mask]++] = from[i];
}

/* From the likeliest on. */
static void put_in_order(ds_sampler *s, const float *z)
{
    for (int32_t v = 0; v < s->vocab; v++)
        s->order[v] = (candidate){key_of(z[v]), v};
    for (uint32_t pass = 0; pass < PASSES; pass++) {
        candidate *sorted = s->spare;
        sort_by(pass * DIGIT, s->order, sorted, s->vocab);
        s->spare = s->order;
        s->order = sorted;
    }
}

int32_t ds_sampler_next(ds_sampler *s, const float *z, uint64_t i)
{
    const ds_sampler_conf *c = &s->c;
    int32_t n = c->top_k > 0 && c->top_k < s->vocab ? (int32_t)c->top_k : s->vocab;
    double sum = 0, kept = 0;

    if (c->temperature <= 0)
        return likeliest(z, s->vocab);
    put_in_order(s, z);
    const double most = (double)z[s->order[0].id];
    for (int32_t v = 0; v < n; v++) {
        s->odds[v] = ds_exp(((double)z[s->order[v].id] - most) / c->temperature);
        sum += s->odds[v];
    }
    for (int32_t v = 0; v < n && c->top_p < 1; v++) {
        kept += s->odds[v];
        if (kept >= c->top_p * sum) {
            n = v + 1;
            sum = kept;
        }
    }
    double at = (double)ds_philox(c->seed, STREAM, i) / 4294967296.0 * sum;
    for (int32_t v = 0; v < n; v++) {
        at -= s->odds[v];
        if (at < 0)
            return s->order[v].id;
    }
    return s->order[n - 1].id;
}
