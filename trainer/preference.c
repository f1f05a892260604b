/* preference.c - see preference.h. */
#include "preference.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "elementary.h"

const char *const DS_PREF_NAMES[DS_PREF_KINDS + 1] = {"none",  "dpo",  "ipo", "hinge",
                                                      "simpo", "orpo", NULL};

/* log(1 + exp(x)) */
static double softplus(double x)
{
    const double e = ds_exp(x < 0 ? x : -x);
    const double log1p = e < 1e-5 ? e - e * e / 2 : ds_log(1 + e);

    return (x > 0 ? x : 0) + log1p;
}

static double sigmoid(double x)
{
    const double e = ds_exp(x < 0 ? x : -x);

    return x < 0 ? e / (1 + e) : 1 / (1 + e);
}

/* 1 - exp(x), x <= 0; at least what f32 does not tell from 0 beside 1, since a loss in f32 is 0
 * there: odds without end would make one answer that the model is certain of the end of a run. */
static double rest(double x)
{
    const double least = 0x1p-25, q = x > -1e-5 ? -(x + x * x / 2 + x * x * x / 6) : 1 - ds_exp(x);

    return q < least ? least : q; /* no number stays none */
}

/* Of means m over n targets. With p' and q' = 1 - p' of both answers, and E = p'(chosen) /
 * p'(rejected), the derivatives of -log sigmoid(z) by m are -1 / (E q'(rejected) + q'(chosen)) and,
 * by the other's, that times -q'(chosen) / q'(rejected): nothing in them overflows before the loss
 * does. */
static double odds(double beta, const double m[2], const double n[2], double sums[DS_PREF_SUMS],
                   double slope[2])
{
    const double q[2] = {rest(m[0]), rest(m[1])};
    const double z = m[0] - m[1] - (ds_log(q[0]) - ds_log(q[1]));
    const double by = beta / (ds_exp(m[0] - m[1]) * q[1] + q[0]);

    slope[0] = (1 + by) / n[0];
    slope[1] = -by * q[0] / q[1] / n[1];
    sums[DS_PREF_NLL] -= m[0];
    sums[DS_PREF_ODDS] += z;
    sums[DS_PREF_RATIO] -= softplus(-z);
    return -m[0] + beta * softplus(-z);
}

/* Of means: no model before is looked at. */
static void alone(const ds_pref_conf *c, const ds_pref_answer answer[2], double sums[DS_PREF_SUMS],
                  double slope[2])
{
    const double n[2] = {(double)answer[0].targets, (double)answer[1].targets};
    const double m[2] = {answer[0].logp / n[0], answer[1].logp / n[1]};
    const double b = c->beta, e = c->smoothing;

    if (c->kind == DS_PREF_ORPO) {
        sums[DS_PREF_LOSS] += odds(b, m, n, sums, slope);
    } else {
        const double z = b * (m[0] - m[1]) - c->gamma;
        const double by = b * (e * sigmoid(z) - (1 - e) * sigmoid(-z));
        slope[0] = -by / n[0];
        slope[1] = by / n[1];
        sums[DS_PREF_LOSS] += (1 - e) * softplus(-z) + (e > 0 ? e * softplus(z) : 0);
    }
    sums[DS_PREF_CHOSEN] += b * m[0];
    sums[DS_PREF_REJECTED] += b * m[1];
    sums[DS_PREF_RIGHT] += b * m[0] > b * m[1];
    sums[DS_PREF_LOGP_CHOSEN] += m[0];
    sums[DS_PREF_LOGP_REJECTED] += m[1];
}

static void compared(const ds_pref_conf *c, const ds_pref_answer answer[2],
                     double sums[DS_PREF_SUMS], double slope[2])
{
    const double gain[2] = {answer[0].logp - answer[0].base, answer[1].logp - answer[1].base};
    const double b = c->beta, e = c->smoothing, z = b * (gain[0] - gain[1]);
    double loss, by; /* by: derivative by d */

    slope[0] = slope[1] = 1;
    if (c->kind == DS_PREF_IPO) {
        const double n[2] = {(double)answer[0].targets, (double)answer[1].targets};
        const double left = gain[0] / n[0] - gain[1] / n[1] - 1 / (2 * b);
        loss = left * left;
        by = 2 * left;
        slope[0] = 1 / n[0];
        slope[1] = 1 / n[1];
    } else if (c->kind == DS_PREF_HINGE) {
        loss = z < 1 ? 1 - z : 0;
        by = z < 1 ? -b : 0;
    } else {
        loss = (1 - e) * softplus(-z) + (e > 0 ? e * softplus(z) : 0);
        by = b * (e * sigmoid(z) - (1 - e) * sigmoid(-z));
    }
    slope[0] *= -by;
    slope[1] *= by;
    sums[DS_PREF_LOSS] +=
        isnan(z) ? z : loss; /* no number is no number, whatever it is compared with */
    sums[DS_PREF_CHOSEN] += b * gain[0];
    sums[DS_PREF_REJECTED] += b * gain[1];
    sums[DS_PREF_RIGHT] += b * gain[0] > b * gain[1];
    sums[DS_PREF_LOGP_CHOSEN] += answer[0].logp;
    sums[DS_PREF_LOGP_REJECTED] += answer[1].logp;
}

void ds_pref_pair(const ds_pref_conf *c, const ds_pref_answer answer[2], double sums[DS_PREF_SUMS],
                  double slope[2])
{
    const double n = (double)answer[0].targets, nll = -answer[0].logp / n;

    if (ds_pref_compares(c))
        compared(c, answer, sums, slope);
    else
        alone(c, answer, sums, slope);
    if (!(c->alpha > 0))
        return;
    slope[0] += c->alpha / n;
    sums[DS_PREF_LOSS] += c->alpha * nll;
    sums[DS_PREF_NLL] += nll;
}

void ds_pref_tell(char *out, size_t size, const ds_pref_conf *c, const double mean[DS_PREF_SUMS])
{
    const int n =
        snprintf(out, size,
                 ",\"rewards/chosen\":%.9g,\"rewards/rejected\":%.9g,\"rewards/accuracies\":%.9g,"
                 "\"rewards/margins\":%.9g,\"logps/chosen\":%.9g,\"logps/rejected\":%.9g",
                 mean[DS_PREF_CHOSEN], mean[DS_PREF_REJECTED], mean[DS_PREF_RIGHT],
                 mean[DS_PREF_CHOSEN] - mean[DS_PREF_REJECTED], mean[DS_PREF_LOGP_CHOSEN],
                 mean[DS_PREF_LOGP_REJECTED]);
    const size_t at = n > 0 && (size_t)n < size ? (size_t)n : size;

    if (c->kind == DS_PREF_ORPO)
        snprintf(out + at, size - at,
                 ",\"nll_loss\":%.9g,\"log_odds_chosen\":%.9g,\"log_odds_ratio\":%.9g",
                 mean[DS_PREF_NLL], mean[DS_PREF_ODDS], mean[DS_PREF_RATIO]);
    else if (c->alpha > 0)
        snprintf(out + at, size - at, ",\"nll_loss\":%.9g", mean[DS_PREF_NLL]);
}

int ds_pref_describe(json_t *o, const ds_pref_conf *c, ds_err *err)
{
    json_t *p;

    if (!c->kind)
        return 0;
    p = json_pack("{s:s, s:f}", "loss", DS_PREF_NAMES[c->kind], "beta", c->beta);
    if (ds_pref_smooths(c))
        json_object_set_new(p, "label_smoothing", json_real(c->smoothing));
    if (c->kind == DS_PREF_SIMPO)
        json_object_set_new(p, "gamma", json_real(c->gamma));
    if (c->alpha > 0)
        json_object_set_new(p, "rpo_alpha", json_real(c->alpha));
    return json_object_set_new(o, "preference", p) ? ds_fail_nomem(err) : 0;
}

int ds_pref_described(ds_pref_conf *c, const json_t *o, ds_err *err)
{
    const json_t *p = json_object_get(o, "preference");
    const char *loss = json_string_value(json_object_get(p, "loss"));

    *c = (ds_pref_conf){.beta = json_number_value(json_object_get(p, "beta")),
                        .smoothing = json_number_value(json_object_get(p, "label_smoothing")),
                        .gamma = json_number_value(json_object_get(p, "gamma")),
                        .alpha = json_number_value(json_object_get(p, "rpo_alpha"))};
    for (int i = DS_PREF_DPO; loss && i < DS_PREF_KINDS; i++)
        if (!strcmp(loss, DS_PREF_NAMES[i]))
            c->kind = (enum ds_pref_kind)i;
    return p && (!c->kind || !(c->beta > 0) || !(c->smoothing >= 0 && c->smoothing < 0.5) ||
                 !(c->gamma >= 0) || !(c->alpha >= 0))
               ? ds_fail(err, DS_CORRUPT, "run description: preference of '%s'",
                         loss ? loss : "(none)")
               : 0;
}
