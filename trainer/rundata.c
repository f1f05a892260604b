/* rundata.c - see rundata.h. */
#include "rundata.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "try.h"
#include "utf8.h"

static int open_eval(ds_trainer *t, const char *tokenizer, ds_err *err)
{
    const ds_trainconf *c = &t->c;

    t->eval = calloc(c->neval + 1, sizeof(ds_dataset *));
    if (!t->eval)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < c->neval; i++) {
        TRY(ds_dataset_open(&t->eval[i], c->eval_data[i], c->store, c->column, c->mask, err));
        if (!ds_dataset_about(t->eval[i])->tokens)
            return ds_fail(err, DS_FAIL, "'%s' has no token to evaluate on", c->eval_data[i]);
        TRY(ds_dataset_tokenizer(t->eval[i], tokenizer, err));
        TRY(ds_dataset_want_pairs(t->eval[i], c->preference.kind, err));
    }
    return 0;
}

/* Dataset i; was: the run that is gone on with or computed again, without datasets where there is
 * none. It left out what had been erased when it began, and so it does now. */
static int open_dataset(ds_trainer *t, size_t i, const ds_run *was, ds_err *err)
{
    const ds_trainconf *c = &t->c;
    ds_run *r = &t->lineage.run;

    TRY(ds_dataset_open(&t->data[i], c->data[i], c->store, c->column,
                        c->masks ? c->masks[i] : c->mask, err));
    const ds_dataset_info *d = ds_dataset_about(t->data[i]);
    if (i < was->ndatasets && ds_sha_eq(&was->datasets[i].root, &d->root))
        TRY(ds_dataset_leave_out(t->data[i], was->datasets[i].erased, was->datasets[i].nerased,
                                 err));
    ds_run_dataset *to = &r->datasets[r->ndatasets++];
    to->name = strdup(d->name);
    to->column = strdup(c->column);
    to->tokenizer = strdup(d->tokenizer);
    to->mask = *d->mask ? strdup(d->mask) : NULL;
    to->erased = d->nleft_out ? calloc(d->nleft_out, sizeof *to->erased) : NULL;
    if (!to->name || !to->column || !to->tokenizer || (*d->mask && !to->mask) ||
        (d->nleft_out && !to->erased))
        return ds_fail_nomem(err);
    if (d->nleft_out)
        memcpy(to->erased, d->left_out, d->nleft_out * sizeof *to->erased);
    to->nerased = d->nleft_out;
    to->weight = c->weights ? c->weights[i] : 0;
    to->root = d->root;
    to->records = d->records;
    snprintf(to->commit, sizeof to->commit, "%s", d->commit);
    return 0;
}

int ds_rundata_open(ds_trainer *t, ds_err *err)
{
    const ds_trainconf *c = &t->c;
    const char *from = c->again ? c->again : c->resume;
    char tokenizer[DS_DIGEST_TEXT];
    ds_lineage was = {0};
    int rc = ds_tokenizer_digest(tokenizer, c->model, err);

    t->data = calloc(c->ndata + 1, sizeof *t->data);
    t->lineage.run.datasets = calloc(c->ndata + 1, sizeof *t->lineage.run.datasets);
    if (!rc && (!t->data || !t->lineage.run.datasets))
        rc = ds_fail_nomem(err);
    if (!rc && from && ds_lineage_read(&was, from, err))
        rc = ds_checkpoint_meant(from, err);
    for (size_t i = 0; !rc && i < c->ndata; i++) {
        rc = open_dataset(t, i, &was.run, err);
        rc = rc ? rc : ds_dataset_tokenizer(t->data[i], tokenizer, err);
        rc = rc ? rc : ds_dataset_want_pairs(t->data[i], c->preference.kind, err);
    }
    ds_lineage_fini(&was);
    return rc ? rc : open_eval(t, tokenizer, err);
}

/* Into o, what is evaluated on. */
static int describe_eval(json_t *o, const ds_dataset *data, ds_err *err)
{
    const ds_dataset_info *d = ds_dataset_about(data);
    const size_t len = strlen(d->name);
    char root[80] = "sha256:";

    if (ds_utf8_check((const uint8_t *)d->name, len) != len)
        return ds_fail(err, DS_FAIL, "%s: not UTF-8, and with --patience the name is told",
                       d->name);
    ds_sha_hex(root + strlen(root), &d->root);
    return json_object_set_new(o, "dataset", json_string(d->name)) ||
                   json_object_set_new(o, "root", json_string(root)) ||
                   json_object_set_new(o, "mask", json_string(d->mask))
               ? ds_fail_nomem(err)
               : 0;
}

/* Of several datasets a list. */
static int describe_evals(json_t *o, const ds_trainer *t, ds_err *err)
{
    json_t *list;

    if (t->c.neval == 1)
        return describe_eval(o, t->eval[0], err);
    list = json_array();
    if (json_object_set_new(o, "datasets", list))
        return ds_fail_nomem(err);
    for (size_t i = 0; i < t->c.neval; i++) {
        json_t *one = json_object();
        if (json_array_append_new(list, one))
            return ds_fail_nomem(err);
        TRY(describe_eval(one, t->eval[i], err));
    }
    return 0;
}

int ds_rundata_early_stop(ds_trainer *t, ds_err *err)
{
    ds_trainconf *c = &t->c;
    json_t *o;

    if (!c->patience || !c->neval)
        return 0;
    c->early_stop = t->early_stop = o = json_object();
    TRY(describe_evals(o, t, err));
    return json_object_set_new(o, "every", json_integer((json_int_t)c->eval_every)) ||
                   json_object_set_new(o, "stretches",
                                       json_integer((json_int_t)c->eval_stretches)) ||
                   json_object_set_new(o, "patience", json_integer((json_int_t)c->patience)) ||
                   json_object_set_new(o, "min_delta", json_real(c->min_delta))
               ? ds_fail_nomem(err)
               : 0;
}

void ds_rundata_close(ds_trainer *t)
{
    for (size_t i = 0; t->data && i < t->c.ndata; i++)
        ds_dataset_close(t->data[i]);
    free(t->data);
    for (size_t i = 0; t->eval && i < t->c.neval; i++)
        ds_dataset_close(t->eval[i]);
    free(t->eval);
    json_decref(t->early_stop);
}
