/* loader.c - see loader.h. One producer thread fills a ring of micro-batches; the consumer gives
 * them back. */
#include "loader.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "net_priv.h"

struct ds_loader {
    ds_loader_conf c;
    uint32_t *lengths;
    uint64_t *firsts;
    ds_packing *packing;
    ds_minibatch *ring;
    int depth, filled, head,
        taken; /* ready ones; the oldest of them; handed out and not yet back */
    bool done, stop;
    ds_err err; /* the producer's */
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t change;
};

static int gather_lengths(uint32_t **out, const ds_run *run, ds_dataset **datasets, ds_err *err)
{
    uint64_t total = 0, at = 0;

    for (size_t i = 0; i < run->ndatasets; i++)
        total += ds_dataset_about(datasets[i])->records;
    uint32_t *l = malloc((size_t)(total ? total : 1) * sizeof *l);
    if (!l)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < run->ndatasets; i++) {
        const ds_dataset_info *d = ds_dataset_about(datasets[i]);
        if (d->records)
            memcpy(l + at, d->lengths, (size_t)d->records * sizeof *l);
        at += d->records;
    }
    *out = l;
    return 0;
}

int ds_loader_count(uint64_t *rows, const ds_run *run, ds_dataset **datasets, uint32_t epochs,
                    ds_err *err)
{
    ds_packing_conf conf;
    ds_packing *p = NULL;
    uint32_t *lengths = NULL;
    const ds_span *s;
    uint64_t row;
    size_t n;
    int rc = gather_lengths(&lengths, run, datasets, err);

    *rows = 0;
    if (!rc) {
        ds_run_packing(&conf, run, lengths);
        rc = ds_packing_new(&p, &conf, err);
    }
    while (!rc) {
        rc = ds_packing_next(p, &row, &s, &n, err);
        if (rc || ds_packing_epoch(p) >= epochs)
            break;
        *rows = row + 1;
    }
    ds_packing_free(p);
    free(lengths);
    return rc;
}

/* ---- one micro-batch ---- */

static void mini_fini(ds_minibatch *m, uint64_t rows)
{
    free(m->ids);
    free(m->pos);
    free(m->target);
    free(m->cu);
    free(m->weight);
    free(m->targets);
    for (uint64_t i = 0; m->pieces && i < rows; i++)
        ds_buf_fini(&m->pieces[i]);
    free(m->pieces);
}

/* Room for n more tokens and one more sequence. */
static int mini_grow(ds_minibatch *m, int64_t n, ds_err *err)
{
    const size_t t = (size_t)(m->t + n) + 1;
    void **arrays[] = {(void **)&m->ids, (void **)&m->pos, (void **)&m->target,
                       (void **)&m->weight};

    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        void *grown = realloc(*arrays[i], t * 4);
        if (!grown)
            return ds_fail_nomem(err);
        *arrays[i] = grown;
    }
    int32_t *cu = realloc(m->cu, ((size_t)m->nseqs + 2) * sizeof *cu);
    if (!cu)
        return ds_fail_nomem(err);
    m->cu = cu;
    return 0;
}

/* Beyond the vocabulary lie the virtual tokens: an id of the data must not reach them. */
static int check_ids(const ds_loader *l, const int32_t *ids, const ds_span *s, size_t d,
                     ds_err *err)
{
    for (uint32_t i = 0; i < s->len; i++)
        if (ids[i] < 0 || ids[i] >= l->c.vocab)
            return ds_fail(err, DS_FAIL,
                           "dataset '%s', record %llu: token %d is not in the model's vocabulary "
                           "of %d",
                           ds_dataset_about(l->c.datasets[d])->name,
                           (unsigned long long)(s->record - l->firsts[d]), (int)ids[i],
                           (int)l->c.vocab);
    return 0;
}

static int add_sequence(ds_loader *l, ds_minibatch *m, const ds_span *s, uint64_t *targets,
                        ds_err *err)
{
    const int32_t lead = l->c.virtual_tokens;
    size_t d = l->c.run->ndatasets - 1;

    while (d > 0 && l->firsts[d] > s->record)
        d--;
    TRY(mini_grow(m, (int64_t)s->len + lead, err));
    for (int32_t i = 0; i < lead; i++)
        m->ids[m->t + i] = l->c.vocab + i;
    TRY(ds_dataset_tokens(l->c.datasets[d], s->record - l->firsts[d], s->offset, s->len,
                          m->ids + m->t + lead, err));
    TRY(check_ids(l, m->ids + m->t + lead, s, d, err));
    const int64_t n = (int64_t)s->len + lead;
    for (int64_t i = 0; i < n; i++) {
        const bool learn =
            i + 1 < n && i + 1 > lead; /* the record's own first token is no target */
        m->pos[m->t + i] = (int32_t)i;
        m->target[m->t + i] = learn ? m->ids[m->t + i + 1] : 0;
        m->weight[m->t + i] = learn ? 1.0f : 0.0f;
        *targets += learn;
    }
    m->t += n;
    m->tokens += s->len;
    m->cu[++m->nseqs] = (int32_t)m->t;
    return 0;
}

static int add_padding(ds_minibatch *m, int64_t n, ds_err *err)
{
    if (n == 0)
        return 0;
    TRY(mini_grow(m, n, err));
    for (int64_t i = 0; i < n; i++) {
        m->ids[m->t + i] = m->target[m->t + i] = 0;
        m->pos[m->t + i] = (int32_t)i;
        m->weight[m->t + i] = 0.0f;
    }
    m->t += n;
    m->cu[++m->nseqs] = (int32_t)m->t;
    return 0;
}

static int add_row(ds_loader *l, ds_minibatch *m, uint64_t i, ds_err *err)
{
    const ds_span *spans;
    int64_t used = 0;
    uint64_t row;
    size_t n;

    TRY(ds_packing_next(l->packing, &row, &spans, &n, err));
    ds_buf_reset(&m->pieces[i]);
    m->targets[i] = 0;
    TRY(ds_spans_encode(&m->pieces[i], spans, n, l->firsts, l->c.run->ndatasets, err));
    for (size_t s = 0; s < n; s++) {
        TRY(add_sequence(l, m, &spans[s], &m->targets[i], err));
        used += spans[s].len;
    }
    return l->c.virtual_tokens ? 0 : add_padding(m, l->c.run->seq_len - used, err);
}

static int fill(ds_loader *l, ds_minibatch *m, uint64_t row, ds_err *err)
{
    m->t = 0;
    m->nseqs = 0;
    m->tokens = 0;
    m->row = row;
    m->rows =
        l->c.count - (row - l->c.first) < l->c.rows ? l->c.count - (row - l->c.first) : l->c.rows;
    TRY(mini_grow(m, 0, err));
    m->cu[0] = 0;
    for (uint64_t i = 0; i < m->rows; i++)
        TRY(add_row(l, m, i, err));
    return 0;
}

/* ---- the producer ---- */

static void *produce(void *arg)
{
    ds_loader *l = arg;
    uint64_t row = l->c.first;
    int rc = 0;

    while (!rc && row < l->c.first + l->c.count) {
        pthread_mutex_lock(&l->lock);
        while (!l->stop && l->filled + l->taken == l->depth)
            pthread_cond_wait(&l->change, &l->lock);
        const bool stop = l->stop;
        ds_minibatch *m = &l->ring[(l->head + l->filled) % l->depth];
        pthread_mutex_unlock(&l->lock);
        if (stop)
            return NULL;
        rc = fill(l, m, row, &l->err);
        row += m->rows;
        pthread_mutex_lock(&l->lock);
        if (!rc)
            l->filled++;
        pthread_cond_broadcast(&l->change);
        pthread_mutex_unlock(&l->lock);
    }
    pthread_mutex_lock(&l->lock);
    l->done = true;
    pthread_cond_broadcast(&l->change);
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static int prepare(ds_loader *l, ds_err *err)
{
    ds_packing_conf conf;
    const ds_span *spans;
    uint64_t row = 0;
    size_t n;

    TRY(gather_lengths(&l->lengths, l->c.run, l->c.datasets, err));
    l->firsts = calloc(l->c.run->ndatasets + 1, sizeof *l->firsts);
    l->ring = calloc((size_t)l->depth, sizeof *l->ring);
    if (!l->firsts || !l->ring)
        return ds_fail_nomem(err);
    ds_run_firsts(l->c.run, l->firsts);
    for (int i = 0; i < l->depth; i++) {
        l->ring[i].targets = calloc((size_t)l->c.rows, sizeof *l->ring[i].targets);
        l->ring[i].pieces = calloc((size_t)l->c.rows, sizeof *l->ring[i].pieces);
        if (!l->ring[i].targets || !l->ring[i].pieces)
            return ds_fail_nomem(err);
    }
    ds_run_packing(&conf, l->c.run, l->lengths);
    TRY(ds_packing_new(&l->packing, &conf, err));
    for (uint64_t i = 0; i < l->c.first; i++)
        TRY(ds_packing_next(l->packing, &row, &spans, &n, err));
    return 0;
}

int ds_loader_new(ds_loader **out, const ds_loader_conf *c, ds_err *err)
{
    ds_loader *l = calloc(1, sizeof *l);
    int rc;

    if (!l)
        return ds_fail_nomem(err);
    l->c = *c;
    l->depth = c->depth < 2 ? 2 : c->depth;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->change, NULL);
    rc = prepare(l, err);
    if (!rc) {
        const int e = pthread_create(&l->thread, NULL, produce, l);
        rc = e ? ds_fail_errno(err, e, "cannot start a thread") : 0;
        l->started = !e;
    }
    if (rc)
        ds_loader_free(l);
    else
        *out = l;
    return rc;
}

int ds_loader_next(ds_loader *l, ds_minibatch **m, ds_err *err)
{
    int rc = 0;

    pthread_mutex_lock(&l->lock);
    while (l->filled == 0 && !l->done)
        pthread_cond_wait(&l->change, &l->lock);
    if (l->filled > 0) {
        *m = &l->ring[l->head];
        l->head = (l->head + 1) % l->depth;
        l->filled--;
        l->taken++;
        rc = 1;
    } else if (l->err.code) {
        rc = ds_fail(err, l->err.code, "%s", l->err.msg);
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}

void ds_loader_give_back(ds_loader *l, ds_minibatch *m)
{
    (void)m; /* micro-batches come back in the order in which they went out */
    pthread_mutex_lock(&l->lock);
    l->taken--;
    pthread_cond_broadcast(&l->change);
    pthread_mutex_unlock(&l->lock);
}

void ds_loader_free(ds_loader *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->change);
    pthread_mutex_unlock(&l->lock);
    if (l->started)
        pthread_join(l->thread, NULL);
    for (int i = 0; l->ring && i < l->depth; i++)
        mini_fini(&l->ring[i], l->c.rows);
    free(l->ring);
    ds_packing_free(l->packing);
    free(l->lengths);
    free(l->firsts);
    pthread_cond_destroy(&l->change);
    pthread_mutex_destroy(&l->lock);
    free(l);
}
