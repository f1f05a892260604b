/* slices.c - see slices.h. Between ranks each adds up one part of every gradient: what the others
 * have of it comes to it, and the sum goes to all. On devices that joined it is the same, from one
 * to the other: gradient by gradient, where they lie. */
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
    /* Of devices that joined: gradients of my slices, where there are several, one set after the
     * other; parts as `others`. */
    float *dev_kept, *dev_parts;
    size_t dev_part; /* floats */
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

/* Floats of a part on devices: what is left of a gradient that is no multiple of `ranks` fits too.
 */
static size_t device_part(size_t largest, size_t ranks)
{
    const size_t each = largest / ranks < PART ? largest / ranks + 1 : PART;

    return each > ranks ? each : ranks;
}

void ds_slices_room(const ds_params *p, uint32_t ranks, uint32_t n, size_t *kept, size_t *parts)
{
    size_t largest;
    const size_t count = room_for(p, &largest);

    *kept = n > ranks ? n / ranks * count * sizeof(float) : 0;
    *parts = n * device_part(largest, ranks) * sizeof(float);
}

static int device_room(ds_slices *s, size_t largest, ds_err *err)
{
    ds_kernels *k = s->params->k;
    size_t kept, parts;

    ds_slices_room(s->params, (uint32_t)s->ranks->size, (uint32_t)s->n, &kept, &parts);
    s->dev_part = device_part(largest, (size_t)s->ranks->size);
    TRY(k->alloc(k, (void **)&s->dev_parts, parts, err));
    return kept ? k->alloc(k, (void **)&s->dev_kept, kept, err) : 0;
}

static int host_room(ds_slices *s, size_t largest, ds_err *err)
{
    const size_t ranks = (size_t)s->ranks->size;

    if (s->n > 1) {
        s->kept = calloc(ranks > 1 ? s->mine * s->count : s->count, sizeof *s->kept);
        s->read = malloc(largest * sizeof *s->read);
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
    int rc = s->loss && s->losses ? 0 : ds_fail_nomem(err);
    if (!rc)
        rc = p->peers ? device_room(s, largest, err) : host_room(s, largest, err);
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
    s->params->k->free(s->params->k, s->dev_parts);
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

/* The one slice of a process stays in the gradients. */
static int keep_there(ds_slices *s, ds_err *err)
{
    ds_kernels *k = s->params->k;
    size_t largest;
    float *to = s->dev_kept + s->done * room_for(s->params, &largest);

    for (size_t i = 0; s->mine > 1 && i < s->params->n; i++) {
        ds_param *p = s->params->p[i];
        const int64_t n = p->train ? ds_param_count(p) : 0;
        if (!n)
            continue;
        TRY(k->convert(k, to, DS_KF32, p->g, DS_KF32, n, err));
        TRY(k->zero(k, p->g, (size_t)n * sizeof *to, err));
        to += n;
    }
    return 0;
}

static int keep_here(ds_slices *s, ds_err *err)
{
    ds_kernels *k = s->params->k;
    const bool alone = s->ranks->size == 1;
    float *to = s->n > 1 ? s->kept + (alone ? 0 : s->done * s->count) : NULL;

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
    return 0;
}

int ds_slices_keep(ds_slices *s, double loss, ds_err *err)
{
    s->loss[s->done] = loss;
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
    float *x = s->dev_parts;

    for (size_t j = 1; j < s->n; j++)
        TRY(k->add(k, x, x, x + (j % s->mine * (size_t)s->ranks->size + j / s->mine) * n, 1.0f,
                   DS_KF32, (int64_t)n, err));
    return 0;
}

/* Of a gradient at g, whose values in slice i of this rank are at from + i * stride: each rank adds
 * up `part` floats of it, until less than that is left for each; of the rest all add up all. */
static int add_gradient(ds_slices *s, float *g, const float *from, size_t stride, size_t n,
                        ds_err *err)
{
    ds_kernels *k = s->params->k;
    const size_t ranks = (size_t)s->ranks->size;

    for (size_t at = 0, part; at < n; at += part * ranks) {
        const size_t left = (n - at) / ranks;
        part = left < s->dev_part ? left : s->dev_part;
        if (part == 0)
            break;
        for (size_t i = 0; i < s->mine; i++)
            TRY(k->peers_exchange(k, s->dev_parts + i * ranks * part, from + i * stride + at,
                                  part * sizeof *g, err));
        TRY(add_up(s, part, err));
        TRY(k->peers_gather(k, g + at, s->dev_parts, part * sizeof *g, err));
    }
    const size_t rest = n % ranks, at = n - rest;
    if (!rest)
        return 0;
    for (size_t i = 0; i < s->mine; i++)
        TRY(k->peers_gather(k, s->dev_parts + i * ranks * rest, from + i * stride + at,
                            rest * sizeof *g, err));
    TRY(add_up(s, rest, err));
    return k->convert(k, g + at, DS_KF32, s->dev_parts, DS_KF32, (int64_t)rest, err);
}

static int add_there(ds_slices *s, ds_err *err)
{
    size_t largest, at = 0;
    const size_t count = room_for(s->params, &largest);

    for (size_t i = 0; i < s->params->n; i++) {
        ds_param *p = s->params->p[i];
        const size_t n = p->train ? (size_t)ds_param_count(p) : 0;
        if (n)
            TRY(add_gradient(s, p->g, s->mine > 1 ? s->dev_kept + at : p->g, count, n, err));
        at += n;
    }
    return s->params->k->sync(s->params->k, err);
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
        s->ranks->gather(s->ranks, s->losses, s->loss, (int)(s->mine * sizeof *s->loss));
        if (!s->params->peers)
            add_ranks(s);
        else if (add_there(s, err))
            s->ranks->quit(s->ranks, err->msg); /* the others wait for this device */
    } else {
        memcpy(s->losses, s->loss, s->n * sizeof *s->loss);
    }
    *loss = 0;
    for (size_t i = 0; i < s->n; i++)
        *loss += s->losses[i];
    return s->n > 1 && !s->params->peers ? give_back(s, err) : 0;
}
