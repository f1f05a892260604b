/* tok_batch.c - many texts to ids, by several threads. */
#include "tok_priv.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "pool.h"

#define THREADS 1024

typedef struct batch {
    const ds_tok *tok;
    const ds_tok_span *texts;
    size_t n;
    unsigned flags;
    ds_ids *out;
    atomic_size_t next;
} batch;

typedef struct worker {
    batch *b;
    pthread_t thread;
    size_t failed; /* number of the text */
    ds_err err;
    int rc;
} worker;

static void *run(void *arg)
{
    worker *w = arg;
    batch *b = w->b;
    ds_tok_state *st = NULL;
    size_t i = 0;
    w->failed = b->n;
    w->rc = ds_tok_state_new(&st, b->tok, &w->err);
    while (w->rc == 0 && (i = atomic_fetch_add(&b->next, 1)) < b->n) {
        w->rc = ds_tok_encode(b->tok, st, b->texts[i].p, b->texts[i].len, b->flags, &b->out[i],
                              &w->err);
        if (w->rc != 0)
            w->failed = i;
    }
    ds_tok_state_free(st);
    return NULL;
}

/* Of several failures the one of the first text is told of: texts are taken in order, so that every
 * text before it was encoded. */
static int first_failure(const worker *w, unsigned n, ds_err *err)
{
    const worker *first = NULL;
    for (unsigned i = 0; i < n; i++)
        if (w[i].rc != 0 && (first == NULL || w[i].failed < first->failed))
            first = &w[i];
    if (first == NULL)
        return 0;
    if (err != NULL)
        *err = first->err;
    if (first->failed < w->b->n)
        ds_err_prefix(err, "text %zu", first->failed);
    return first->rc;
}

int ds_tok_encode_batch(const ds_tok *tok, const ds_tok_span *texts, size_t n, unsigned flags,
                        unsigned threads, ds_ids *out, ds_err *err)
{
    batch b = {.tok = tok, .texts = texts, .n = n, .flags = flags, .out = out};
    threads = threads < 1 ? 1 : threads > THREADS ? THREADS : threads;
    if (threads > n)
        threads = n > 0 ? (unsigned)n : 1;
    worker *w = calloc(threads, sizeof *w);
    if (w == NULL)
        return ds_fail_nomem(err);
    unsigned started = 1;
    for (unsigned i = 0; i < threads; i++)
        w[i].b = &b;
    while (started < threads && ds_thread_begin(&w[started].thread, run, &w[started]))
        started++; /* with fewer threads than asked for it takes longer */
    run(&w[0]);
    for (unsigned i = 1; i < started; i++)
        (void)pthread_join(w[i].thread, NULL);
    int rc = first_failure(w, started, err);
    free(w);
    return rc;
}
