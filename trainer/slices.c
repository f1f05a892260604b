/* slices.c - see slices.h. Between ranks each adds up one part of every stretch of the gradients:
 * what the others have of it comes to it, and the sum goes to all. On devices that joined it is the
 * same, from one to the other, where they lie. */
#include "slices.h"

#include <stdlib.h>
#include <string.h>

#include "try.h"

struct ds_slices {
    const ds_ranks *ranks;
    ds_params *params;
    size_t n, mine;    /* slices in all, and this rank's */
    size_t done;       /* of mine */
    size_t count;      /* floats of all gradients, a multiple of part x ranks */
    size_t part;       /* floats */
    float *kept;       /* of my slices one after the other; their sum when there is one rank */
    float *others;     /* parts: of slice i of every rank, for each i */
    float *sum, *read; /* of a part; gradients on their way */
    double (*told)[DS_SLICES_TOLD], (*all)[DS_SLICES_TOLD]; /* by my slices; by all */
    /* Of devices that joined: gradients of my slices, where there are several, one set after the
     * other; parts as `others`. */
    float *dev_kept, *bucket;
    size_t dev_part; /* floats */
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Floats that each of so many ranks adds up, in whole steps; what is left is less than one for
 * each.
 */
static size_t share(size_t n, size_t ranks)
{
    return n / ranks / DS_PARAM_STEP * DS_PARAM_STEP;
}

/* Floats of a part on devices; what is left of a row fits too. */
static size_t device_part(const ds_params *p, size_t ranks)
{
    const size_t each = least(share(p->ngrads, ranks), DS_SLICES_PART),
                 rest = DS_PARAM_STEP * ranks;

    return each > rest ? each : rest;
}

void ds_slices_room(const ds_params *p, uint32_t ranks, uint32_t n, size_t *kept, size_t *bucket)
{
    *kept = n > ranks ? n / ranks * p->ngrads * sizeof(float) : 0;
    *bucket = n * device_part(p, ranks) * sizeof(float);
}

size_t ds_slices_held(const ds_params *p, size_t sums)
{
    return (sums * p->ngrads + least(p->ngrads, DS_SLICES_PART)) * sizeof(float);
}

static int device_room(ds_slices *s, ds_err *err)
{
    ds_kernels *k = s->params->k;
    size_t kept, bucket;

    ds_slices_room(s->params, (uint32_t)s->ranks->size, (uint32_t)s->n, &kept, &bucket);
    s->dev_part = device_part(s->params, (size_t)s->ranks->size);
    TRY(k->alloc(k, (void **)&s->bucket, bucket, err));
    return kept ? k->alloc(k, (void **)&s->dev_kept, kept, err) : 0;
}

static int host_room(ds_slices *s, ds_err *err)
{
    const size_t ranks = (size_t)s->ranks->size;

    if (s->n > 1) {
        s->kept = calloc(ranks > 1 ? s->mine * s->count : s->count, sizeof *s->kept);
        s->read = malloc(least(s->count, DS_SLICES_PART) * sizeof *s->read);
    }
    if (ranks > 1) {
        s->others = malloc(s->n * s->part * sizeof *s->others);
        s->sum = malloc(s->part * sizeof *s->sum);
    }
    return (s->n > 1 && (!s->kept || !s->read)) || (ranks > 1 && (!s->others || !s->sum))
               ? ds_fail_nomem(err)
               : 0;
}

int ds_slices_new(ds_slices **out, const ds_ranks *r, ds_params *p, uint32_t n, ds_err *err)
{
    const size_t ranks = (size_t)r->size, count = p->ngrads;
    ds_slices *s = calloc(1, sizeof *s);

    *out = s;
    if (!s)
        return ds_fail_nomem(err);
    s->ranks = r;
    s->params = p;
    s->n = n;
    s->mine = n / ranks;
    s->part = least(count / ranks + 1, DS_SLICES_PART);
    s->count = (count + s->part * ranks - 1) / (s->part * ranks) * s->part * ranks;
    s->told = calloc(s->mine, sizeof *s->told);
    s->all = calloc(n, sizeof *s->all);
    int rc = s->told && s->all ? 0 : ds_fail_nomem(err);
    if (!rc)
        rc = p->peers ? device_room(s, err) : host_room(s, err);
    if (rc) {
        ds_slices_free(s);
        *out = NULL;
    }
    return rc;
}

void ds_slices_free(ds_slices *s)
{
    if (!s)
        return;
    s->params->k->free(s->params->k, s->dev_kept);
    s->params->k->free(s->params->k, s->bucket);
    free(s->kept);
    free(s->others);
    free(s->sum);
    free(s->read);
    free(s->told);
    free(s->all);
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

/* The one slice of a process stays in the gradients. */
static int keep_there(ds_slices *s, ds_err *err)
{
    ds_kernels *k = s->params->k;
    const size_t n = s->params->ngrads;

    if (s->mine == 1)
        return 0;
    TRY(k->convert(k, s->dev_kept + s->done * n, DS_KF32, s->params->grads, DS_KF32, (int64_t)n,
                   err));
    return ds_params_zero(s->params, err);
}

static int keep_here(ds_slices *s, ds_err *err)
{
    ds_kernels *k = s->params->k;
    const bool alone = s->ranks->size == 1, first = !alone || s->done == 0;
    float *to = s->n > 1 ? s->kept + (alone ? 0 : s->done * s->count) : NULL;
    const size_t n = s->params->ngrads;

    if (s->n == 1)
        return 0;
    if (first)
        TRY(k->download(k, to, s->params->grads, n * sizeof *to, err));
    for (size_t at = 0, part; !first && at < n; at += part) {
        part = least(n - at, DS_SLICES_PART);
        TRY(k->download(k, s->read, s->params->grads + at, part * sizeof *to, err));
        add(to + at, s->read, part);
    }
    return ds_params_zero(s->params, err);
}

int ds_slices_keep(ds_slices *s, const double told[DS_SLICES_TOLD], ds_err *err)
{
    memcpy(s->told[s->done], told, sizeof *s->told);
    TRY(s->params->peers ? keep_there(s, err) : keep_here(s, err));
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
            s->ranks->exchange(s->ranks, s->others + i * ranks * part, s->kept + i * s->count + at,
                               bytes);
        memcpy(s->sum, s->others, (size_t)bytes);
        for (size_t j = 1; j < s->n; j++)
            add(s->sum, s->others + (j % s->mine * ranks + j / s->mine) * part, part);
        s->ranks->gather(s->ranks, s->kept + at, s->sum, bytes);
    }
}

/* ---- on devices that joined ---- */

/* The slices' values of a part, `n` floats of each in the order of s->others, become their sum, in
 * the first's place. */
static int add_up(ds_slices *s, size_t n, ds_err *err)
{
    ds_kernels *k = s->params->k;
    float *x = s->bucket;

    for (size_t j = 1; j < s->n; j++)
        TRY(k->add(k, x, x, x + (j % s->mine * (size_t)s->ranks->size + j / s->mine) * n, 1.0f,
                   DS_KF32, (int64_t)n, err));
    return 0;
}

/* Each rank adds up `part` floats of a stretch, until less than a step is left for each; of the
 * rest all add up all. */
static int add_there(ds_slices *s, ds_err *err)
{
    ds_kernels *k = s->params->k;
    const size_t ranks = (size_t)s->ranks->size, n = s->params->ngrads,
                 rest = n % (ranks * DS_PARAM_STEP);
    const float *from = s->mine > 1 ? s->dev_kept : s->params->grads;
    float *g = s->params->grads;

    s->ranks->wait(s->ranks, DS_RANKS_DEVICES, false);
    for (size_t at = 0, part; at < n - rest; at += part * ranks) {
        part = least(share(n - at, ranks), s->dev_part);
        for (size_t i = 0; i < s->mine; i++)
            TRY(k->peers_exchange(k, s->bucket + i * ranks * part, from + i * n + at,
                                  part * sizeof *g, err));
        TRY(add_up(s, part, err));
        TRY(k->peers_gather(k, g + at, s->bucket, part * sizeof *g, err));
    }
    for (size_t i = 0; rest && i < s->mine; i++)
        TRY(k->peers_gather(k, s->bucket + i * ranks * rest, from + i * n + n - rest,
                            rest * sizeof *g, err));
    if (rest) {
        TRY(add_up(s, rest, err));
        TRY(k->convert(k, g + n - rest, DS_KF32, s->bucket, DS_KF32, (int64_t)rest, err));
    }
    TRY(k->sync(k, err));
    s->ranks->wait(s->ranks, NULL, false);
    return 0;
}

int ds_slices_sum(ds_slices *s, int rc, double told[DS_SLICES_TOLD], ds_err *err)
{
    s->done = 0;
    TRY(ds_ranks_agree(s->ranks, rc, err));
    if (s->ranks->size > 1) {
        s->ranks->gather(s->ranks, s->all, s->told, (int)(s->mine * sizeof *s->told));
        if (!s->params->peers)
            add_ranks(s);
        else if (add_there(s, err))
            s->ranks->quit(s->ranks, err->msg); /* the others wait for this device */
    } else {
        memcpy(s->all, s->told, s->n * sizeof *s->told);
    }
    for (size_t j = 0; j < DS_SLICES_TOLD; j++) {
        told[j] = 0;
        for (size_t i = 0; i < s->n; i++)
            told[j] += s->all[i][j];
    }
    if (s->n == 1 || s->params->peers)
        return 0;
    rc = s->params->k->upload(s->params->k, s->params->grads, s->kept,
                              s->params->ngrads * sizeof *s->kept, err);
    return ds_ranks_agree(s->ranks, rc, err);
}
