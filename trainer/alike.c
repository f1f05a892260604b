/* alike.c - see alike.h. */
#include "alike.h"

#include <stddef.h>
#include <string.h>

#include "try.h"

/* Without holes; zeros where there is nothing. */
typedef struct facts {
    ds_sha binary, model, roots, eval, run;
    uint64_t batch, accumulate, checkpoint_every, eval_every, stretches;
    uint64_t step;
    ds_sha head; /* of the ledger */
} facts;

#define FACT(member) offsetof(facts, member), sizeof((facts *)NULL)->member

/* What is looked at first says more: the digest of the run covers most of it. */
static const struct fact {
    size_t at, bytes;
    const char *what;
} FACTS[] = {
    {FACT(binary), "program"},
    {FACT(model), "base model"},
    {FACT(roots), "version of the data"},
    {FACT(eval), "version of the evaluation data"},
    {FACT(run), "seed or setting of the training"},
    {FACT(batch), "--batch"},
    {FACT(accumulate), "--accumulate"},
    {FACT(checkpoint_every), "--checkpoint-every"},
    {FACT(eval_every), "--eval-every"},
    {FACT(stretches), "--eval-batches"},
    {FACT(step), "step in the checkpoint that it resumes"},
    {FACT(head), "ledger in the checkpoint that it resumes"},
};

static int compare(const ds_ranks *r, const facts *mine, int rc, ds_err *err)
{
    facts first = *mine;

    r->spread(r, &first, sizeof first, 0);
    for (size_t i = 0; !rc && i < sizeof FACTS / sizeof *FACTS; i++)
        if (memcmp((const char *)&first + FACTS[i].at, (const char *)mine + FACTS[i].at,
                   FACTS[i].bytes) != 0)
            rc = ds_fail(err, DS_FAIL, "this has another %s than process 0: all compute one run",
                         FACTS[i].what);
    return ds_ranks_agree(r, rc, err);
}

/* The order of datasets counts, and what had been erased from each. */
static int sum_data(ds_sha *out, ds_dataset *const *data, size_t n, ds_err *err)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < n; i++) {
        const ds_dataset_info *d = ds_dataset_about(data[i]);
        ds_sha all[3] = {*out, d->root};
        rc = ds_sha_bytes(&all[2], d->left_out, d->nleft_out * sizeof *d->left_out, err);
        rc = rc ? rc : ds_sha_bytes(out, all, sizeof all, err);
    }
    return rc;
}

int ds_alike_run(const ds_trainer *t, ds_err *err)
{
    const ds_trainconf *c = &t->c;
    facts f = {.binary = t->lineage.binary,
               .model = t->lineage.run.model,
               .run = t->run,
               .batch = c->batch,
               .accumulate = c->accumulate,
               .checkpoint_every = c->checkpoint_every};

    if (t->ranks->size == 1)
        return 0;
    int rc = sum_data(&f.roots, t->data, c->ndata, err);
    rc = rc ? rc : sum_data(&f.eval, t->eval, c->neval, err);
    if (c->neval) {
        f.eval_every = c->eval_every;
        f.stretches = c->eval_stretches;
    }
    return compare(t->ranks, &f, rc, err);
}

int ds_alike_state(const ds_ranks *r, const ds_ckpt_state *state, ds_err *err)
{
    const facts f = {.step = state->step, .head = state->head};

    return r->size == 1 ? 0 : compare(r, &f, 0, err);
}
