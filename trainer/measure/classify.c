/* classify.c - see classify.h. */
#include "classify.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "elementary.h"

struct ds_classifier {
    ds_classify_conf c;
    ds_tok_state *st;
    int32_t lead; /* virtual tokens before every sequence */
    ds_buf text;
    ds_ids *ids;  /* of each label: the whole sequence */
    int32_t *cu;  /* nlabels + 1 */
    int32_t *box; /* ids, positions and targets of the batch */
    float *w;     /* weights and losses of the batch */
    size_t cap;   /* tokens that fit in both */
};

int ds_classifier_new(ds_classifier **out, const ds_classify_conf *c, ds_err *err)
{
    const ds_param *prompt = ds_params_find(ds_net_params(c->net), "prompt_embeddings");
    ds_classifier *l;
    int rc;

    if (c->nlabels < 2)
        return ds_fail(err, DS_USAGE, "there must be two labels at least");
    l = calloc(1, sizeof *l);
    if (!l)
        return ds_fail_nomem(err);
    l->c = *c;
    l->lead = prompt ? (int32_t)prompt->rows : 0;
    l->ids = calloc(c->nlabels, sizeof *l->ids);
    l->cu = calloc(c->nlabels + 1, sizeof *l->cu);
    rc = l->ids && l->cu ? ds_tok_state_new(&l->st, c->tok, err) : ds_fail_nomem(err);
    if (rc)
        ds_classifier_free(l);
    else
        *out = l;
    return rc;
}

void ds_classifier_free(ds_classifier *l)
{
    if (!l)
        return;
    for (size_t i = 0; l->ids && i < l->c.nlabels; i++)
        ds_ids_fini(&l->ids[i]);
    ds_tok_state_free(l->st);
    ds_buf_fini(&l->text);
    free(l->ids);
    free(l->cu);
    free(l->box);
    free(l->w);
    free(l);
}

static int encode(ds_classifier *l, size_t label, const void *text, size_t len, ds_err *err)
{
    size_t n;
    const uint32_t *prefix = ds_tok_prefix(l->c.tok, &n);
    ds_ids *ids = &l->ids[label];

    ds_buf_reset(&l->text);
    ids->n = 0;
    if (ds_buf_put(&l->text, text, len) || ds_buf_puts(&l->text, l->c.before) ||
        ds_buf_puts(&l->text, l->c.labels[label]) || ds_buf_puts(&l->text, l->c.after) ||
        (n && ds_ids_put(ids, prefix, n)))
        return ds_fail_nomem(err);
    const int rc =
        ds_tok_encode(l->c.tok, l->st, l->text.data, l->text.len, DS_TOK_NO_SPECIAL, ids, err);
    for (size_t i = 0; !rc && i < ids->n; i++)
        if (ids->v[i] >= (uint32_t)ds_net_conf(l->c.net)->vocab)
            return ds_fail(err, DS_FAIL, "token %u: the model's vocabulary has %d", ids->v[i],
                           (int)ds_net_conf(l->c.net)->vocab);
    return rc;
}

/* How many tokens two sequences have in common at their beginning. */
static size_t alike(const ds_ids *a, const ds_ids *b)
{
    size_t n = 0;

    while (n < a->n && n < b->n && a->v[n] == b->v[n])
        n++;
    return n;
}

/* *common: of all; fails when one ends where another goes on. */
static int find_common(const ds_classifier *l, size_t *common, ds_err *err)
{
    *common = l->ids[0].n;
    for (size_t i = 0; i < l->c.nlabels; i++)
        for (size_t j = 0; j < i; j++) {
            const size_t n = alike(&l->ids[i], &l->ids[j]);
            if (n == l->ids[i].n || n == l->ids[j].n)
                return ds_fail(err, DS_FAIL,
                               "labels '%s' and '%s': the tokens of one begin those of the other "
                               "(a text after the label tells them apart)",
                               l->c.labels[j], l->c.labels[i]);
            *common = n < *common ? n : *common;
        }
    return *common ? 0 : ds_fail(err, DS_FAIL, "there is no token before the labels");
}

static int make_room(ds_classifier *l, size_t tokens, ds_err *err)
{
    if (tokens <= l->cap)
        return 0;
    if (tokens > INT32_MAX / 4)
        return ds_fail(err, DS_FAIL, "%zu tokens of all labels are too many", tokens);
    free(l->box);
    free(l->w);
    l->box = malloc(tokens * 3 * sizeof *l->box);
    l->w = malloc(tokens * 2 * sizeof *l->w);
    l->cap = l->box && l->w ? tokens : 0;
    return l->cap ? 0 : ds_fail_nomem(err);
}

/* Puts label i's sequence at `at` of a batch of t tokens, without its first `skip` tokens. */
static void put_sequence(ds_classifier *l, size_t i, int32_t at, int32_t t, size_t skip,
                         size_t common)
{
    const ds_ids *s = &l->ids[i];
    const int32_t n = (int32_t)(s->n - skip), vocab = ds_net_conf(l->c.net)->vocab;
    int32_t *id = l->box + at, *pos = id + t, *target = pos + t;
    float *w = l->w + at;

    for (int32_t j = 0; j < l->lead + n; j++) {
        const int32_t k = j - l->lead;
        id[j] = k < 0 ? vocab + j : (int32_t)s->v[skip + (size_t)k];
        pos[j] = j;
        target[j] = k + 1 >= 0 && k + 1 < n ? (int32_t)s->v[skip + (size_t)(k + 1)] : 0;
        w[j] = k + 1 < n && skip + (size_t)(k + 1) >= common && k >= 0 ? 1.0f : 0.0f;
    }
}

/* Tokens to leave out at the beginning so that the longest sequence fits. */
static int find_skip(const ds_classifier *l, size_t common, size_t *skip, ds_err *err)
{
    const int32_t room = l->c.positions - l->lead;
    size_t longest = 0;

    for (size_t i = 0; i < l->c.nlabels; i++)
        longest = l->ids[i].n > longest ? l->ids[i].n : longest;
    *skip = room > 0 && longest <= (size_t)room ? 0 : longest - (size_t)(room > 0 ? room : 0);
    return *skip < common
               ? 0
               : ds_fail(err, DS_FAIL, "the model has room for %d tokens: too few for the labels",
                         (int)room);
}

int ds_classify(ds_classifier *l, const void *text, size_t len, double *log_likelihood, bool *cut,
                ds_err *err)
{
    const size_t k = l->c.nlabels;
    size_t common = 0, skip = 0, total = 0;
    int rc = 0;

    for (size_t i = 0; !rc && i < k; i++)
        rc = encode(l, i, text, len, err);
    rc = rc ? rc : find_common(l, &common, err);
    rc = rc ? rc : find_skip(l, common, &skip, err);
    for (size_t i = 0; !rc && i < k; i++)
        total += (size_t)l->lead + l->ids[i].n - skip;
    rc = rc ? rc : make_room(l, total, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < k; i++) {
        l->cu[i + 1] = l->cu[i] + l->lead + (int32_t)(l->ids[i].n - skip);
        put_sequence(l, i, l->cu[i], (int32_t)total, skip, common);
    }
    const ds_netbatch b = {.t = (int64_t)total,
                           .ids = l->box,
                           .pos = l->box + total,
                           .target = l->box + 2 * total,
                           .weight = l->w,
                           .seqs = {l->cu, (int32_t)k}};
    rc = ds_net_step(l->c.net, &b, 1.0f, false, DS_AGAIN_NONE, l->w + total, err);
    for (size_t i = 0; !rc && i < k; i++) {
        log_likelihood[i] = 0;
        for (int32_t j = l->cu[i]; j < l->cu[i + 1]; j++)
            log_likelihood[i] -= (double)l->w[total + (size_t)j];
        if (!isfinite(log_likelihood[i]))
            rc = ds_fail(err, DS_FAIL, "the likelihood of label '%s' is not a finite number",
                         l->c.labels[i]);
    }
    *cut = skip > 0;
    return rc;
}

size_t ds_label_odds(double *odds, const double *log_likelihood, size_t k)
{
    size_t best = 0;
    double sum = 0;

    for (size_t i = 1; i < k; i++)
        best = log_likelihood[i] > log_likelihood[best] ? i : best;
    for (size_t i = 0; i < k; i++)
        sum += odds[i] = ds_exp(log_likelihood[i] - log_likelihood[best]);
    for (size_t i = 0; i < k; i++)
        odds[i] /= sum;
    return best;
}
