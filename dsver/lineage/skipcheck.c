/* skipcheck.c - see skipcheck.h. */
#include "skipcheck.h"

#include <inttypes.h>
#include <string.h>

int ds_skipcheck_init(ds_skipcheck *c, const ds_run *run, ds_err *err)
{
    ds_spike_conf conf;
    json_t *training = NULL;
    int rc = 0;

    memset(c, 0, sizeof *c);
    c->rows = run->rows;
    if (run->training)
        rc = ds_json_parse(&training, run->training, strlen(run->training), "run description", err);
    rc = rc ? rc : ds_spike_described(&conf, training, err);
    rc = rc ? rc : ds_lossscale_described(&c->scaling, training, err);
    c->scale = ds_lossscale_begin(&c->scaling);
    json_decref(training);
    return rc ? rc : ds_spike_init(&c->spike, &conf, err);
}

/* A step that was no spike: with an update, or without one for its gradient. */
static void see_overflow(ds_skipcheck *c, const ds_ledger_row *r)
{
    const bool overflow = r->norm == DS_LEDGER_OVERFLOW;

    if (ds_lossscale_see(&c->scale, &c->scaling, !overflow) || c->why.code)
        return;
    ds_fail(&c->why, DS_FAIL, "step %" PRIu64 " is without an update, and %s", r->step,
            c->scaling.first ? "its loss scale could not be halved" : "the run has no loss scale");
}

void ds_skipcheck_row(ds_skipcheck *c, const ds_ledger_row *r)
{
    const bool skipped = r->norm == DS_LEDGER_SKIPPED;
    double loss, limit;

    if ((r->row + 1) % c->rows) /* not the last of its step */
        return;
    memcpy(&loss, &r->loss, sizeof loss);
    const bool spike = ds_spike_see(&c->spike, loss, &limit);
    c->steps++;
    c->skipped += skipped;
    if (!spike && !skipped)
        see_overflow(c, r);
    if (skipped == spike || c->why.code)
        return;
    if (c->spike.c.policy == DS_SPIKE_OFF)
        ds_fail(&c->why, DS_FAIL, "step %" PRIu64 " was skipped, and the run skips none", r->step);
    else if (skipped)
        ds_fail(&c->why, DS_FAIL,
                "step %" PRIu64
                " was skipped, and its loss of %.9g is no spike: the limit was %.9g",
                r->step, loss, limit);
    else
        ds_fail(&c->why, DS_FAIL,
                "step %" PRIu64 " was not skipped, and its loss of %.9g is a spike: the limit was "
                "%.9g",
                r->step, loss, limit);
}

void ds_skipcheck_fini(ds_skipcheck *c)
{
    ds_spike_fini(&c->spike);
}
