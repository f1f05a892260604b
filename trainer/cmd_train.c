/* cmd_train.c - see cmd_train.h. */
#include "cmd_train.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter.h"
#include "elementary.h"
#include "plugin.h"

const char *const TRAIN_GRAPHS_HOW[] = {"on", "off", NULL};
const char *const TRAIN_OPTIMS[] = {"adamw", "adamw8bit", NULL};
const char *const TRAIN_ROUNDINGS[] = {"nearest", "stochastic", NULL};
const char *const TRAIN_RECOMPUTES[] = {"auto", "none", "attention", "mlp", "layer", NULL};

int train_open_model(ds_kernels **k, ds_net **net, const train_use *u, int32_t positions,
                     ds_err *err)
{
    ds_modelconf c = {0};
    int rc = ds_modelconf_read(&c, u->model, err);

    rc = rc ? ds_checkpoint_meant(u->model, err) : 0;
    *k = NULL;
    *net = NULL;
    rc = rc ? rc : ds_kernels_open(k, u->device ? u->device : "cpu", (int)u->threads, err);
    rc = rc ? rc
            : ds_net_new(net, *k, &c, (enum ds_kfmt)u->format,
                         positions > 0 && positions < c.max_pos ? positions : c.max_pos, err);
    rc = rc ? rc : ds_net_load(*net, u->model, err);
    if (!rc && u->adapter && ds_adapter_load(*net, u->adapter, err))
        rc = ds_checkpoint_meant(u->adapter, err);
    ds_modelconf_fini(&c);
    if (rc) {
        ds_net_free(*net);
        *net = NULL;
        if (*k)
            (*k)->close(*k);
        *k = NULL;
    }
    return rc;
}

void train_say_result(char words[TRAIN_WORDS], const ds_eval_result *r, bool pairs)
{
    const double loss = ds_eval_loss(r);

    if (pairs)
        snprintf(words, TRAIN_WORDS, "loss %.6f  accuracy %.4f  margin %.6f", loss,
                 ds_eval_mean(r, DS_PREF_RIGHT),
                 ds_eval_mean(r, DS_PREF_CHOSEN) - ds_eval_mean(r, DS_PREF_REJECTED));
    else
        snprintf(words, TRAIN_WORDS, "loss %.6f  perplexity %.4f", loss, ds_exp(loss));
}

int train_put_result(ds_buf *b, const ds_eval_result *r, const ds_pref_conf *pref)
{
    char told[DS_PREF_TOLD];
    double mean[DS_PREF_SUMS];

    if (!pref->kind) {
        const double x = ds_exp(ds_eval_loss(r));
        char perplexity[40] = "null"; /* of a loss above 709: JSON has no infinity */
        if (isfinite(x))
            snprintf(perplexity, sizeof perplexity, "%.9g", x);
        return ds_buf_printf(b, ",\"perplexity\":%s,\"targets\":%" PRIu64, perplexity, r->targets);
    }
    for (int i = 0; i < DS_PREF_SUMS; i++)
        mean[i] = ds_eval_mean(r, i);
    ds_pref_tell(told, sizeof told, pref, mean);
    return ds_buf_printf(b, ",\"pairs\":%" PRIu64 "%s", r->targets, told);
}

/* What a loss has no place for would be read and change nothing. */
static int pref_fits(const ds_pref_conf *c, const train_pref *said, ds_err *err)
{
    if (!c->kind && !isnan(said->beta))
        return ds_fail(err, DS_USAGE, "--beta is for --preference");
    if (said->smoothing != 0 && !ds_pref_smooths(c))
        return ds_fail(err, DS_USAGE, "--label-smoothing is for --preference dpo and simpo");
    if (!isnan(said->gamma) && c->kind != DS_PREF_SIMPO)
        return ds_fail(err, DS_USAGE, "--simpo-gamma is for --preference simpo");
    if (said->alpha != 0 && (!c->kind || c->kind == DS_PREF_ORPO))
        return ds_fail(err, DS_USAGE, "--rpo-alpha is for --preference, %s",
                       c->kind ? "and orpo has that loss already" : "which is not there");
    return 0;
}

int train_preference(ds_pref_conf *c, const train_pref *said, ds_err *err)
{
    const bool simpo = said->kind == DS_PREF_SIMPO;

    *c = (ds_pref_conf){.kind = (enum ds_pref_kind)said->kind,
                        .beta = !isnan(said->beta) ? said->beta
                                : simpo            ? DS_PREF_SIMPO_BETA
                                                   : DS_PREF_BETA,
                        .smoothing = said->smoothing,
                        .gamma = !simpo               ? 0
                                 : isnan(said->gamma) ? DS_PREF_SIMPO_GAMMA
                                                      : said->gamma,
                        .alpha = said->alpha};
    if (pref_fits(c, said, err))
        return DS_USAGE;
    if (!(c->beta > 0 && c->beta < INFINITY))
        return ds_fail(err, DS_USAGE, "--beta %g: more than 0", c->beta);
    if (!(c->gamma >= 0 && c->gamma < INFINITY))
        return ds_fail(err, DS_USAGE, "--simpo-gamma %g: 0 or more", c->gamma);
    if (!(c->alpha >= 0 && c->alpha < INFINITY))
        return ds_fail(err, DS_USAGE, "--rpo-alpha %g: 0 or more", c->alpha);
    return c->smoothing >= 0 && c->smoothing < 0.5
               ? 0
               : ds_fail(err, DS_USAGE, "--label-smoothing %g: 0 or more, and less than 0.5",
                         c->smoothing);
}

/* The strings of a list option, ended by NULL. */
static const char **ended(const ds_opt_list *l)
{
    const char **v = calloc(l->n + 1, sizeof *v);

    if (v && l->n)
        memcpy(v, l->v, l->n * sizeof *v);
    return v;
}

int train_shape_end(train_shape *s, ds_err *err)
{
    s->target_names = ended(&s->targets);
    s->token_names = ended(&s->tokens);
    s->only_names = ended(&s->only);
    return s->target_names && s->token_names && s->only_names ? 0 : ds_fail_nomem(err);
}

void train_shape_fini(train_shape *s)
{
    free(s->target_names);
    free(s->token_names);
    free(s->only_names);
    ds_opt_list_fini(&s->data);
    ds_opt_list_fini(&s->targets);
    ds_opt_list_fini(&s->tokens);
    ds_opt_list_fini(&s->only);
}
