/* preference.h - what a pair of answers, one preferred, tells of a model: losses of
 * preference optimisation and their gradients.
 *
 * With d = (log p(chosen) - log p0(chosen)) - (log p(rejected) - log p0(rejected)), where p0 is the
 * model before training and the log probability of an answer is the sum over its targets, the loss
 * of a pair is
 *
 *   dpo    -(1 - e) log sigmoid(b d) - e log sigmoid(-b d)
 *   ipo    (d' - 1 / (2 b))^2, where d' is d of means over targets
 *   hinge  max(0, 1 - b d)
 *
 * and without p0, where m is log p of an answer over its targets and o = log(p' / (1 - p')) with p'
 * = exp m,
 *
 *   simpo  as dpo, with b (m(chosen) - m(rejected)) - g in the place of b d
 *   orpo   -m(chosen) - b log sigmoid(o(chosen) - o(rejected))
 *
 * where 1 - p' is never taken for less than 2^-25: losses in f32 tell no smaller one from 0.
 *
 * To all but the last a times -m(chosen) may be added.
 *
 * Sources: Rafailov et al. 2023 (dpo), Mitchell 2023 (its e), Azar et al. 2023 (ipo), Zhao et al.
 * 2023 (hinge), Meng et al. 2024 (simpo), Hong et al. 2024 (orpo), Pang et al. 2024 (a).
 *
 * All in f64, with the same bits everywhere.
 */
#ifndef DS_PREFERENCE_H
#define DS_PREFERENCE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"

enum ds_pref_kind {
    DS_PREF_NONE,
    DS_PREF_DPO,
    DS_PREF_IPO,
    DS_PREF_HINGE,
    DS_PREF_SIMPO,
    DS_PREF_ORPO
};
#define DS_PREF_KINDS 6
extern const char *const DS_PREF_NAMES[DS_PREF_KINDS + 1]; /* none, and so on; NULL */
#define DS_PREF_BETA 0.1
#define DS_PREF_SIMPO_BETA 2.0 /* of means, which are smaller than sums */
#define DS_PREF_SIMPO_GAMMA 0.5

typedef struct ds_pref_conf {
    enum ds_pref_kind kind;
    double beta, smoothing; /* b > 0; e of dpo and simpo, from 0 to below 1/2 */
    double gamma, alpha;    /* g of simpo, and a; both 0 or more */
} ds_pref_conf;

/* Is it a loss of the model before, too? */
static inline bool ds_pref_compares(const ds_pref_conf *c)
{
    return c->kind == DS_PREF_DPO || c->kind == DS_PREF_IPO || c->kind == DS_PREF_HINGE;
}
/* Is e one of its numbers? */
static inline bool ds_pref_smooths(const ds_pref_conf *c)
{
    return c->kind == DS_PREF_DPO || c->kind == DS_PREF_SIMPO;
}

/* Of an answer: its log probability, that by the model before, and its targets. */
typedef struct ds_pref_answer {
    double logp, base;
    uint64_t targets;
} ds_pref_answer;

/* What is added up over pairs. A reward is b (log p - log p0), or b m; and logp m, where there is
 * no p0. */
enum {
    DS_PREF_LOSS,
    DS_PREF_CHOSEN,   /* reward of the one that is preferred */
    DS_PREF_REJECTED, /* of the other */
    DS_PREF_RIGHT,    /* 1 where the first is larger */
    DS_PREF_LOGP_CHOSEN,
    DS_PREF_LOGP_REJECTED,
    DS_PREF_NLL,   /* -m of the chosen one, where it is part of the loss */
    DS_PREF_ODDS,  /* of orpo, the difference of o */
    DS_PREF_RATIO, /* log sigmoid of that */
    DS_PREF_SUMS
};

/* Adds a pair to sums. slope[i]: the loss's derivative by -log p of each target of the chosen (0)
 * and of the rejected answer (1). */
void ds_pref_pair(const ds_pref_conf *c, const ds_pref_answer answer[2], double sums[DS_PREF_SUMS],
                  double slope[2]);
/* Of means over pairs: members of a JSON object, each with a comma before it, as logs of preference
 * tuning name them. What does not fit is cut. */
void ds_pref_tell(char *out, size_t size, const ds_pref_conf *c, const double mean[DS_PREF_SUMS]);
#define DS_PREF_TOLD 480 /* bytes that are enough for it */
/* The member `preference` of o, a run's description; and back. */
int ds_pref_describe(json_t *o, const ds_pref_conf *c, ds_err *err);
int ds_pref_described(ds_pref_conf *c, const json_t *o, ds_err *err);

#endif
