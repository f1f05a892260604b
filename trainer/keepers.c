/* keepers.c - see keepers.h. */
#include "keepers.h"

#include "net_priv.h"

#define ALL (-1) /* everybody keeps it */

static bool several(const ds_params *s)
{
    return s->ranks && s->ranks->size > 1;
}

static bool is_dealt(const ds_param *p)
{
    return p->train && !p->wide;
}

void ds_keepers_deal(ds_params *s)
{
    int64_t all = 0, before = 0;

    for (size_t i = 0; i < s->n; i++)
        all += is_dealt(s->p[i]) ? ds_param_count(s->p[i]) : 0;
    for (size_t i = 0; i < s->n; i++) {
        ds_param *p = s->p[i];
        const int64_t n = is_dealt(p) ? ds_param_count(p) : 0;
        p->keeper = ALL;
        if (several(s) && n) /* whose share its middle lies in */
            p->keeper = (int)((double)(before + n / 2) / (double)all * s->ranks->size);
        before += n;
    }
}

bool ds_keepers_mine(const ds_params *s, const ds_param *p)
{
    return p->keeper == ALL || !several(s) || p->keeper == s->ranks->rank;
}

/* ---- weights ---- */

/* Everybody goes through all of it, whatever fails. */
static int spread_one(ds_params *s, ds_param *p, char *host, ds_err *err)
{
    const int64_t bytes = ds_param_count(p) * (int64_t)ds_kfmt_size(p->f);
    const bool mine = ds_keepers_mine(s, p);
    int rc = 0;

    for (int64_t at = 0; at < bytes; at += DS_RANKS_PART) {
        const int64_t n = bytes - at < DS_RANKS_PART ? bytes - at : DS_RANKS_PART;
        char *w = (char *)p->w + at;
        if (mine)
            rc = rc ? rc : s->k->download(s->k, host, w, (size_t)n, err);
        s->ranks->spread(s->ranks, host, (int)n, p->keeper);
        if (!mine)
            rc = rc ? rc : s->k->upload(s->k, w, host, (size_t)n, err);
    }
    return rc;
}

/* From device to device. Who fails leaves the others waiting for its own. */
static int spread_there(ds_params *s, ds_err *err)
{
    int rc = 0;

    s->ranks->wait(s->ranks, DS_RANKS_DEVICES, false);
    for (size_t i = 0; !rc && i < s->n; i++) {
        const ds_param *p = s->p[i];
        if (is_dealt(p))
            rc = s->k->peers_spread(s->k, p->w, (size_t)ds_param_count(p) * ds_kfmt_size(p->f),
                                    p->keeper, err);
    }
    rc = rc ? rc : s->k->sync(s->k, err);
    if (rc)
        s->ranks->quit(s->ranks, err->msg);
    s->ranks->wait(s->ranks, NULL, false);
    return rc;
}

int ds_keepers_spread(ds_params *s, int rc, ds_err *err)
{
    if (!several(s))
        return rc;
    TRY(ds_ranks_agree(s->ranks, rc, err));
    if (s->peers)
        return spread_there(s, err);
    for (size_t i = 0; i < s->n; i++)
        if (is_dealt(s->p[i])) {
            const int failed = spread_one(s, s->p[i], s->ranks->part, err);
            rc = rc ? rc : failed;
        }
    return ds_ranks_agree(s->ranks, rc, err);
}

/* ---- what rank 0 asks for ---- */

int ds_keepers_ask(ds_params *s, const ds_keepers_part *p, void *host, ds_err *err)
{
    ds_keepers_part asked = *p;
    ds_err answer = {0};

    s->ranks->spread(s->ranks, &asked, (int)sizeof asked, 0);
    s->ranks->pass(s->ranks, &answer, (int)sizeof answer, (int)p->keeper, 0);
    s->ranks->pass(s->ranks, host, (int)p->bytes, (int)p->keeper, 0);
    return answer.code ? ds_fail_as(err, &answer) : 0;
}

void ds_keepers_done(ds_params *s)
{
    ds_keepers_part done = {.keeper = -1};

    if (several(s))
        s->ranks->spread(s->ranks, &done, (int)sizeof done, 0);
}

void ds_keepers_serve(ds_params *s, ds_keepers_find find, void *ctx)
{
    char *host = s->ranks->part;
    ds_keepers_part p;

    for (;;) {
        ds_err err = {0};
        s->ranks->spread(s->ranks, &p, (int)sizeof p, 0);
        if (p.keeper < 0)
            return;
        if (p.keeper != s->ranks->rank)
            continue;
        if (find)
            find(ctx, host, &p, &err);
        else
            ds_fail_nomem(&err);
        s->ranks->pass(s->ranks, &err, (int)sizeof err, s->ranks->rank, 0);
        s->ranks->pass(s->ranks, host, (int)p.bytes, s->ranks->rank, 0);
    }
}
