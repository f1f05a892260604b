/* loader.c - see loader.h. A ring of places: a thread takes the next free one, plans its rows while
 * no other plans, and fetches their tokens while others fetch theirs; the consumer takes places in
 * order and gives them back. */
#include "loader.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "net_priv.h"

#define THREADS_MAX 8
#define FULL_LONG 64 /* micro-batches handed out from a full queue before a thread rests */

typedef struct place {
    ds_minibatch m;
    ds_buf spans;   /* ds_span of all rows */
    size_t *counts; /* spans of each row */
    bool ready;
    ds_err err;
} place;

struct ds_loader {
    ds_loader_conf c;
    uint32_t *lengths;
    uint64_t *firsts;
    ds_packing *packing;
    uint64_t row; /* the next to plan */
    place *ring;
    int depth;
    uint64_t planned, given, back; /* micro-batches so far */
    uint64_t total;
    bool stop;
    pthread_t threads[THREADS_MAX];
    int most, started, wanted;
    int full; /* handed out from a full queue, one after the other */
    ds_loader_stats stats;
    pthread_mutex_t plan; /* who plans holds it; taken before lock */
    pthread_mutex_t lock; /* of what is counted */
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
    ds_packing *p = NULL;
    uint32_t *lengths = NULL;
    const ds_span *s;
    uint64_t row;
    size_t n;
    int rc = gather_lengths(&lengths, run, datasets, err);

    *rows = 0;
    rc = rc ? rc : ds_run_packing(&p, run, lengths, err);
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

/* ---- what cannot be trained on ---- */

static int no_such_token(const ds_dataset *d, uint64_t record, int64_t id, int32_t vocab,
                         ds_err *err)
{
    return ds_fail(err, DS_FAIL,
                   "dataset '%s', record %llu: token %lld is not in the model's vocabulary of %d "
                   "(dstrain resize gives new tokens rows)",
                   ds_dataset_about(d)->name, (unsigned long long)record, (long long)id,
                   (int)vocab);
}

int ds_loader_check(const ds_run *run, ds_dataset **datasets, int32_t vocab, ds_err *err)
{
    for (size_t i = 0; i < run->ndatasets; i++) {
        const ds_dataset_info *d = ds_dataset_about(datasets[i]);
        if (d->largest >= (uint32_t)vocab)
            return no_such_token(datasets[i], d->largest_at, d->largest, vocab, err);
        for (uint64_t r = 0; run->longer == DS_LONG_ERROR && r < d->records; r++)
            if (d->lengths[r] > run->seq_len)
                return ds_fail(err, DS_FAIL,
                               "dataset '%s', record %llu has %u tokens, a row holds %u (%s)",
                               d->name, (unsigned long long)r, d->lengths[r], run->seq_len,
                               d->paired ? "both sides of a pair lie in it: a larger --seq-len, or "
                                           "dsprep tokenize --max-tokens"
                                         : "--long split or truncate takes it");
    }
    return 0;
}

/* ---- one micro-batch ---- */

static void mini_fini(ds_minibatch *m, uint64_t rows)
{
    free(m->ids);
    free(m->pos);
    free(m->target);
    free(m->cu);
    free(m->side);
    free(m->weight);
    free(m->learn);
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
    uint8_t *learn = realloc(m->learn, (size_t)n + 1);
    if (!learn)
        return ds_fail_nomem(err);
    m->learn = learn;
    int32_t *cu = realloc(m->cu, ((size_t)m->nseqs + 2) * sizeof *cu);
    if (!cu)
        return ds_fail_nomem(err);
    m->cu = cu;
    uint8_t *side = realloc(m->side, (size_t)m->nseqs + 1);
    if (!side)
        return ds_fail_nomem(err);
    m->side = side;
    return 0;
}

/* Beyond the vocabulary lie the virtual tokens: an id of the data must not reach them. */
static int check_ids(const ds_loader *l, const int32_t *ids, const ds_span *s, size_t d,
                     ds_err *err)
{
    for (uint32_t i = 0; i < s->len; i++)
        if (ids[i] < 0 || ids[i] >= l->c.vocab)
            return no_such_token(l->c.datasets[d], s->record - l->firsts[d], ids[i], l->c.vocab,
                                 err);
    return 0;
}

static int add_sequence(ds_loader *l, ds_minibatch *m, size_t d, const ds_span *s,
                        enum ds_side side, uint64_t *targets, ds_err *err)
{
    const int32_t lead = l->c.virtual_tokens;
    const bool gone = ds_dataset_erased(l->c.datasets[d], s->record - l->firsts[d]);

    TRY(mini_grow(m, (int64_t)s->len + lead, err));
    for (int32_t i = 0; i < lead; i++)
        m->ids[m->t + i] = l->c.vocab + i;
    TRY(ds_dataset_tokens(l->c.datasets[d], s->record - l->firsts[d], s->offset, s->len,
                          m->ids + m->t + lead, err));
    TRY(check_ids(l, m->ids + m->t + lead, s, d, err));
    const int64_t n = (int64_t)s->len + lead;
    ds_dataset_targets(l->c.datasets[d], s->record - l->firsts[d], s->offset, s->len, m->learn);
    for (int64_t i = 0; i < n; i++) {
        const bool learn = i + 1 < n && i >= lead && m->learn[i + 1 - lead];
        m->pos[m->t + i] = (int32_t)i;
        m->target[m->t + i] = learn ? m->ids[m->t + i + 1] : 0;
        m->weight[m->t + i] = learn && !gone ? 1.0f : 0.0f;
        *targets += learn;
        m->learnt += learn && !gone;
    }
    m->t += n;
    m->tokens += s->len;
    m->side[m->nseqs] = (uint8_t)side;
    m->cu[++m->nseqs] = (int32_t)m->t;
    return 0;
}

/* A piece is a sequence; of a pair, whose pieces are whole records, it is two. */
static int add_piece(ds_loader *l, ds_minibatch *m, const ds_span *s, uint64_t *targets,
                     ds_err *err)
{
    size_t d = l->c.run->ndatasets - 1;
    uint32_t at;

    while (d > 0 && l->firsts[d] > s->record)
        d--;
    if (!ds_dataset_pair(l->c.datasets[d], s->record - l->firsts[d], &at))
        return add_sequence(l, m, d, s, DS_SIDE_NONE, targets, err);
    const ds_span one = {s->record, 0, at}, other = {s->record, at, s->len - at};
    const bool gone = ds_dataset_erased(l->c.datasets[d], s->record - l->firsts[d]);
    m->pairs += !gone;
    TRY(add_sequence(l, m, d, &one, gone ? DS_SIDE_NONE : DS_SIDE_CHOSEN, targets, err));
    return add_sequence(l, m, d, &other, gone ? DS_SIDE_NONE : DS_SIDE_REJECTED, targets, err);
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
    m->side[m->nseqs] = DS_SIDE_NONE;
    m->cu[++m->nseqs] = (int32_t)m->t;
    return 0;
}

static int fetch_row(ds_loader *l, ds_minibatch *m, uint64_t i, const ds_span *spans, size_t n,
                     ds_err *err)
{
    int64_t used = 0;

    ds_buf_reset(&m->pieces[i]);
    m->targets[i] = 0;
    TRY(ds_spans_encode(&m->pieces[i], spans, n, l->firsts, l->c.run->ndatasets, err));
    for (size_t s = 0; s < n; s++) {
        TRY(add_piece(l, m, &spans[s], &m->targets[i], err));
        used += spans[s].len;
    }
    return l->c.virtual_tokens ? 0 : add_padding(m, l->c.run->seq_len - used, err);
}

/* The next of the few lengths, from n up. */
static int64_t even_length(int64_t n)
{
    int64_t step = 8;

    while (step * 16 <= n)
        step *= 2;
    return (n + step - 1) / step * step;
}

/* By sequences that are no longer than a row. */
static int pad_evenly(ds_minibatch *m, int64_t seq_len, ds_err *err)
{
    const int64_t to = even_length(m->t);

    while (m->t < to)
        TRY(add_padding(m, to - m->t < seq_len ? to - m->t : seq_len, err));
    return 0;
}

int ds_loader_longest(int64_t *tokens, const ds_loader_conf *c, ds_err *err)
{
    const int64_t lead = c->virtual_tokens;
    ds_packing *p = NULL;
    uint32_t *lengths = NULL;
    const ds_span *s;
    int64_t t = 0;
    uint64_t row;
    size_t n;
    int rc = gather_lengths(&lengths, c->run, c->datasets, err);

    *tokens = 0;
    rc = rc ? rc : ds_run_packing(&p, c->run, lengths, err);
    for (uint64_t i = 0; !rc && i < c->first + c->count; i++) {
        rc = ds_packing_next(p, &row, &s, &n, err);
        if (rc || i < c->first)
            continue;
        t = (i - c->first) % c->rows ? t : 0;
        for (size_t j = 0; j < n && lead; j++)
            t += s[j].len + lead;
        t += lead ? 0 : c->run->seq_len;
        *tokens = t > *tokens ? t : *tokens;
    }
    if (c->even && lead)
        *tokens = even_length(*tokens);
    ds_packing_free(p);
    free(lengths);
    return rc;
}

/* The tokens of what was planned. */
static int fetch(ds_loader *l, place *p, ds_err *err)
{
    const ds_span *spans = (const ds_span *)(const void *)p->spans.data;
    ds_minibatch *m = &p->m;

    m->t = 0;
    m->nseqs = 0;
    m->tokens = 0;
    m->pairs = m->learnt = 0;
    TRY(mini_grow(m, 0, err));
    m->cu[0] = 0;
    for (uint64_t i = 0; i < m->rows; i++) {
        TRY(fetch_row(l, m, i, spans, p->counts[i], err));
        spans += p->counts[i];
    }
    return l->c.even && l->c.virtual_tokens ? pad_evenly(m, l->c.run->seq_len, err) : 0;
}

/* The rows of the next micro-batch; by one thread at a time. */
static int plan(ds_loader *l, place *p, ds_err *err)
{
    const uint64_t left = l->c.count - (l->row - l->c.first);
    const ds_span *spans;
    uint64_t row;
    size_t n;

    p->m.row = l->row;
    p->m.rows = left < l->c.rows ? left : l->c.rows;
    l->row += p->m.rows;
    ds_buf_reset(&p->spans);
    for (uint64_t i = 0; i < p->m.rows; i++) {
        TRY(ds_packing_next(l->packing, &row, &spans, &n, err));
        p->counts[i] = n;
        if (ds_buf_put(&p->spans, spans, n * sizeof *spans))
            return ds_fail_nomem(err);
    }
    return 0;
}

/* ---- the threads ---- */

/* Waits for a free place and plans it; NULL when there is no more to do. */
static place *next_place(ds_loader *l)
{
    place *p = NULL;

    pthread_mutex_lock(&l->plan);
    pthread_mutex_lock(&l->lock);
    while (!l->stop && l->planned < l->total && l->planned - l->back == (uint64_t)l->depth)
        pthread_cond_wait(&l->change, &l->lock);
    if (!l->stop && l->planned < l->total)
        p = &l->ring[l->planned % (uint64_t)l->depth];
    pthread_mutex_unlock(&l->lock);
    if (p) {
        p->ready = false;
        p->err = (ds_err){0};
        plan(l, p, &p->err);
        pthread_mutex_lock(&l->lock);
        l->planned++;
        if (p->err.code)
            l->total = l->planned; /* nothing can follow */
        pthread_mutex_unlock(&l->lock);
    }
    pthread_mutex_unlock(&l->plan);
    return p;
}

typedef struct hand {
    ds_loader *l;
    int number;
} hand;

/* Rests while fewer threads are wanted; false: it is over. */
static bool wanted(ds_loader *l, int number)
{
    pthread_mutex_lock(&l->lock);
    while (!l->stop && number >= l->wanted && l->planned < l->total)
        pthread_cond_wait(&l->change, &l->lock);
    const bool go = !l->stop && l->planned < l->total;
    pthread_mutex_unlock(&l->lock);
    return go;
}

static void *produce(void *arg)
{
    const hand h = *(hand *)arg;
    ds_loader *l = h.l;
    place *p;

    free(arg);
    while (wanted(l, h.number) && (p = next_place(l))) {
        if (!p->err.code)
            fetch(l, p, &p->err);
        pthread_mutex_lock(&l->lock);
        p->ready = true;
        pthread_cond_broadcast(&l->change);
        pthread_mutex_unlock(&l->lock);
    }
    pthread_mutex_lock(&l->lock);
    pthread_cond_broadcast(&l->change);
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* One more thread, if there may be one. Called with the lock held. */
static int add_thread(ds_loader *l, ds_err *err)
{
    int e = 0;

    if (l->wanted < l->most && ++l->wanted > l->started) {
        hand *h = malloc(sizeof *h);
        if (!h)
            return ds_fail_nomem(err);
        *h = (hand){l, l->started};
        e = pthread_create(&l->threads[l->started], NULL, produce, h);
        if (e)
            free(h);
        else
            l->started++;
    }
    if (e && l->started == 0)
        return ds_fail_errno(err, e, "cannot start a thread");
    if (e)
        l->most = l->wanted = l->started; /* those that there are will do */
    l->stats.most = l->wanted > l->stats.most ? l->wanted : l->stats.most;
    pthread_cond_broadcast(&l->change);
    return 0;
}

/* ---- the consumer ---- */

static int prepare(ds_loader *l, ds_err *err)
{
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
        place *p = &l->ring[i];
        p->counts = calloc((size_t)l->c.rows, sizeof *p->counts);
        p->m.targets = calloc((size_t)l->c.rows, sizeof *p->m.targets);
        p->m.pieces = calloc((size_t)l->c.rows, sizeof *p->m.pieces);
        if (!p->counts || !p->m.targets || !p->m.pieces)
            return ds_fail_nomem(err);
    }
    TRY(ds_run_packing(&l->packing, l->c.run, l->lengths, err));
    for (uint64_t i = 0; i < l->c.first; i++)
        TRY(ds_packing_next(l->packing, &row, &spans, &n, err));
    return 0;
}

int ds_loader_new(ds_loader **out, const ds_loader_conf *c, ds_err *err)
{
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    ds_loader *l = calloc(1, sizeof *l);
    int rc;

    if (!l)
        return ds_fail_nomem(err);
    l->c = *c;
    l->most = c->threads > 0 ? c->threads : cpus > 0 ? (int)(cpus < 64 ? cpus : 64) : 1;
    l->most = l->most > THREADS_MAX ? THREADS_MAX : l->most;
    l->depth = (c->depth < 2 ? 2 : c->depth) + l->most;
    l->row = c->first;
    l->total = (c->count + c->rows - 1) / c->rows;
    pthread_mutex_init(&l->plan, NULL);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->change, NULL);
    rc = prepare(l, err);
    if (!rc) {
        pthread_mutex_lock(&l->lock);
        rc = add_thread(l, err);
        pthread_mutex_unlock(&l->lock);
    }
    if (rc)
        ds_loader_free(l);
    else
        *out = l;
    return rc;
}

/* The queue told something about the threads: too few, or too many for long. */
static int adapt(ds_loader *l, bool waits, ds_err *err)
{
    bool full = l->planned - l->back == (uint64_t)l->depth;

    for (uint64_t i = l->given; full && i < l->planned; i++)
        full = l->ring[i % (uint64_t)l->depth].ready;
    l->full = full ? l->full + 1 : 0;
    if (l->full == FULL_LONG) {
        l->full = 0;
        l->wanted -= l->wanted > 1;
    }
    return waits ? add_thread(l, err) : 0;
}

int ds_loader_next(ds_loader *l, ds_minibatch **m, ds_err *err)
{
    place *p = &l->ring[l->given % (uint64_t)l->depth];
    int rc = 0;

    pthread_mutex_lock(&l->lock);
    if (l->given < l->total) {
        const bool waits = l->given >= l->planned || !p->ready;
        const double from = waits ? ds_seconds() : 0;
        rc = adapt(l, waits && l->given > 0, err); /* the first has nothing to hide behind */
        while (!rc && l->given < l->total && (l->given >= l->planned || !p->ready))
            pthread_cond_wait(&l->change, &l->lock);
        if (waits) {
            l->stats.waits++;
            l->stats.waited += ds_seconds() - from;
        }
    }
    if (!rc && l->given < l->total) {
        rc = p->err.code ? ds_fail_as(err, &p->err) : 1;
        *m = &p->m;
        l->given += rc > 0;
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}

const ds_minibatch *ds_loader_peek(ds_loader *l, uint64_t after)
{
    const ds_minibatch *m = NULL;

    pthread_mutex_lock(&l->lock);
    const uint64_t at = l->given + after;
    const place *p = &l->ring[at % (uint64_t)l->depth];
    if (at < l->total && at < l->planned && p->ready && !p->err.code)
        m = &p->m;
    pthread_mutex_unlock(&l->lock);
    return m;
}

void ds_loader_give_back(ds_loader *l, ds_minibatch *m)
{
    (void)m; /* micro-batches come back in the order in which they went out */
    pthread_mutex_lock(&l->lock);
    l->back++;
    pthread_cond_broadcast(&l->change);
    pthread_mutex_unlock(&l->lock);
}

ds_loader_stats ds_loader_about(ds_loader *l)
{
    pthread_mutex_lock(&l->lock);
    ds_loader_stats s = l->stats;
    s.threads = l->wanted;
    pthread_mutex_unlock(&l->lock);
    return s;
}

void ds_loader_free(ds_loader *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->change);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->started; i++)
        pthread_join(l->threads[i], NULL);
    for (int i = 0; l->ring && i < l->depth; i++) {
        mini_fini(&l->ring[i].m, l->c.rows);
        ds_buf_fini(&l->ring[i].spans);
        free(l->ring[i].counts);
    }
    free(l->ring);
    ds_packing_free(l->packing);
    free(l->lengths);
    free(l->firsts);
    pthread_cond_destroy(&l->change);
    pthread_mutex_destroy(&l->lock);
    pthread_mutex_destroy(&l->plan);
    free(l);
}
