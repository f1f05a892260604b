/* slices.c - see slices.h. Between ranks each adds up one part of every gradient: what the others
 * have of it comes to it, and the sum goes to all. */
#include "slices.h"

#include <stdlib.h>
#include <string.h>

#include "net_priv.h"

#define PART ((size_t)1 << 20) /* floats of a part that is exchanged at once */

struct ds_slices {
    const ds_ranks *ranks;
    ds_params *params;
    size_t n, mine;        /* slices in all, and this rank's */
    size_t done;           /* of mine */
    size_t count;          /* floats of all gradients, a multiple of part x ranks */
    size_t part;           /* floats */
    float *kept;           /* of my slices one after the other; their sum when there is one rank */
    float *others;         /* parts: of slice i of every rank, for each i */
    float *sum, *read;     /* of a part; a gradient on its way */
    double *loss, *losses; /* of my slices; of all */
};

static size_t room_for(const ds_params *p, size_t *largest)
{
    size_t all = 0;

    *largest = 0;
    for (size_t i = 0; i < p->n; i++) {
        const size_t n = p->p[i]->train ? (size_t)ds_param_count(p->p[i]) : 0;
        all += n;
        *largest = n > *largest ? n : *largest;
    }
    return all;
}

int ds_slices_new(ds_slices **out, const ds_ranks *r, ds_params *p, uint32_t n, ds_err *err)
{
    const size_t ranks = (size_t)r->size;
    ds_slices *s = calloc(1, sizeof *s);
    size_t largest, count = room_for(p, &largest);

    *out = s;
    if (!s)
        return ds_fail_nomem(err);
    s->ranks = r;
    s->params = p;
    s->n = n;
    s->mine = n / ranks;
    s->part = count / ranks < PART ? count / ranks + 1 : PART;
    s->count = (count + s->part * ranks - 1) / (s->part * ranks) * s->part * ranks;
    s->loss = calloc(s->mine, sizeof *s->loss);
    s->losses = calloc(n, sizeof *s->losses);
    if (n > 1) {
        s->kept = calloc(ranks > 1 ? s->mine * s->count : s->count, sizeof *s->kept);
        s->read = malloc(largest * sizeof *s->read);
    }
    if (ranks > 1) {
        s->others = malloc(n * s->part * sizeof *s->others);
        s->sum = malloc(s->part * sizeof *s->sum);
    }
    if (!s->loss || !s->losses || (n > 1 && (!s->kept || !s->read)) ||
        (ranks > 1 && (!s->others || !s->sum))) {
        ds_slices_free(s);
        *out = NULL;
        return ds_fail_nomem(err);
    }
    return 0;
}

void ds_slices_free(ds_slices *s)
{
    if (!s)
        return;
    free(s->kept);
    free(s->others);
    free(s->sum);
    free(s->read);
    free(s->loss);
    free(s->losses);
    free(s);
}

bool ds_slices_mine(const ds_slices *s, uint64_t slice)
{
    return slice / s->mine == (uint64_t)s->ranks->rank;
}

static void add(float *to, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += x[i];
}

int ds_slices_keep(ds_slices *s, double loss, ds_err *err)
{
    ds_kernels *k = s->params->k;
    const bool alone = s->ranks->size == 1;
    float *to = s->n > 1 ? s->kept + (alone ? 0 : s->done * s->count) : NULL;

    s->loss[s->done] = loss;
    for (size_t i = 0; s->n > 1 && i < s->params->n; i++) {
        ds_param *p = s->params->p[i];
        const size_t n = p->train ? (size_t)ds_param_count(p) : 0;
        const bool first = !alone || s->done == 0;
        if (!n)
            continue;
        TRY(k->download(k, first ? to : s->read, p->g, n * sizeof *to, err));
        if (!first)
            add(to, s->read, n);
        TRY(k->zero(k, p->g, n * sizeof *to, err));
        to += n;
    }
    s->done++;
    return 0;
}

/* Slice i of rank r has number r * mine + i. */
static void add_ranks(ds_slices *s)
{
    const size_t ranks = (size_t)s->ranks->size, part = s->part;
    const int bytes = (int)(part * sizeof *s->sum);

    for (size_t at = 0; at < s->count; at += part * ranks) {
        for (size_t i = 0; i < s->mine; i++)
            s->ranks->exchange(s->others + i * ranks * part, s->kept + i * s->count + at, bytes);
        memcpy(s->sum, s->others, (size_t)bytes);
        for (size_t j = 1; j < s->n; j++)
            add(s->sum, s->others + (j % s->mine * ranks + j / s->mine) * part, part);
        s->ranks->gather(s->kept + at, s->sum, bytes);
    }
}

static int give_back(ds_slices *s, ds_err *err)
{
    const float *from = s->kept;

    for (size_t i = 0; i < s->params->n; i++) {
        ds_param *p = s->params->p[i];
        const size_t n = p->train ? (size_t)ds_param_count(p) : 0;
        if (n)
            TRY(s->params->k->upload(s->params->k, p->g, from, n * sizeof *from, err));
        from += n;
    }
    return 0;
}

int ds_slices_sum(ds_slices *s, int rc, double *loss, ds_err *err)
{
    s->done = 0;
    TRY(ds_ranks_agree(s->ranks, rc, err));
    if (s->ranks->size > 1) {
        s->ranks->gather(s->losses, s->loss, (int)(s->mine * sizeof *s->loss));
        add_ranks(s);
    } else {
        memcpy(s->losses, s->loss, s->n * sizeof *s->loss);
    }
    *loss = 0;
    for (size_t i = 0; i < s->n; i++)
        *loss += s->losses[i];
    return s->n > 1 ? give_back(s, err) : 0;
}
