/* pool.c - see pool.h.
 *
 * A ring of `window` slots in the order of submission. Workers take slots from `next`; the producer
 * takes results from `head`. One mutex guards all of it: jobs are large beside a lock.
 */
#include "pool.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct slot {
    void *job;
    bool done;
};

struct ds_pool {
    ds_job_fn fn;
    void *ctx;
    pthread_t *threads;
    int n_threads; /* 0: jobs run inside ds_pool_submit */
    struct slot *ring;
    size_t window;
    size_t head; /* oldest job in flight */
    size_t next; /* first job that no worker has taken; counts up, as head and tail do */
    size_t tail; /* where the next job goes */
    bool stop;
    bool sync_ready; /* the mutex and the conditions exist */
    pthread_mutex_t lock;
    pthread_cond_t work, done;
};

static void *worker(void *arg)
{
    ds_pool *p = arg;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->next == p->tail && !p->stop)
            pthread_cond_wait(&p->work, &p->lock);
        if (p->next == p->tail)
            break;
        struct slot *s = &p->ring[p->next++ % p->window];
        pthread_mutex_unlock(&p->lock);
        p->fn(s->job, p->ctx);
        pthread_mutex_lock(&p->lock);
        s->done = true;
        pthread_cond_signal(&p->done);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

bool ds_thread_begin(pthread_t *thread, void *(*fn)(void *), void *arg)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    bool begun = pthread_create(thread, NULL, fn, arg) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return begun;
}

static void *run_beside(void *arg)
{
    const ds_beside *b = arg;
    b->fn(b->arg);
    return NULL;
}

void ds_beside_begin(ds_beside *b, bool thread, void (*fn)(void *arg), void *arg)
{
    *b = (ds_beside){.fn = fn, .arg = arg};
    b->begun = thread && ds_thread_begin(&b->thread, run_beside, b);
}

void ds_beside_end(ds_beside *b, bool still)
{
    if (b->begun)
        pthread_join(b->thread, NULL);
    else if (b->fn && still)
        b->fn(b->arg);
    *b = (ds_beside){.fn = NULL};
}

/* Starts as many workers as the system gives; with none, jobs run in the producer. */
static void start(ds_pool *p, int threads)
{
    while (p->n_threads < threads && ds_thread_begin(&p->threads[p->n_threads], worker, p))
        p->n_threads++;
}

int ds_pool_new(ds_pool **out, int threads, int window, ds_job_fn fn, void *ctx, ds_err *err)
{
    *out = NULL;
    if (window < 1)
        window = 1;
    ds_pool *p = calloc(1, sizeof *p);
    if (!p)
        return ds_fail_nomem(err);
    p->fn = fn;
    p->ctx = ctx;
    p->window = (size_t)window;
    p->ring = calloc(p->window, sizeof *p->ring);
    if (threads > 1)
        p->threads = calloc((size_t)threads, sizeof *p->threads);
    if (!p->ring || (threads > 1 && !p->threads)) {
        ds_pool_free(p);
        return ds_fail_nomem(err);
    }
    if (threads > 1) {
        pthread_mutex_init(&p->lock, NULL);
        pthread_cond_init(&p->work, NULL);
        pthread_cond_init(&p->done, NULL);
        p->sync_ready = true;
        start(p, threads);
    }
    *out = p;
    return 0;
}

int ds_pool_submit(ds_pool *p, void *job, ds_err *err)
{
    if (ds_pool_full(p))
        return ds_fail(err, DS_FAIL, "thread pool: submit to a full window");
    struct slot *s = &p->ring[p->tail % p->window];
    *s = (struct slot){.job = job};
    if (p->n_threads == 0) {
        p->fn(job, p->ctx);
        s->done = true;
        p->tail++;
        return 0;
    }
    pthread_mutex_lock(&p->lock);
    p->tail++;
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
    return 0;
}

/* head and tail are moved by the producer alone, so it may read them without the lock. */
bool ds_pool_full(const ds_pool *p)
{
    return p->tail - p->head >= p->window;
}

bool ds_pool_empty(const ds_pool *p)
{
    return p->tail == p->head;
}

void *ds_pool_next(ds_pool *p)
{
    if (ds_pool_empty(p))
        return NULL;
    struct slot *s = &p->ring[p->head % p->window];
    if (p->n_threads > 0) {
        pthread_mutex_lock(&p->lock);
        while (!s->done)
            pthread_cond_wait(&p->done, &p->lock);
        pthread_mutex_unlock(&p->lock);
    }
    p->head++;
    return s->job;
}

void ds_pool_free(ds_pool *p)
{
    if (!p)
        return;
    if (p->n_threads > 0) {
        pthread_mutex_lock(&p->lock);
        p->stop = true;
        pthread_cond_broadcast(&p->work);
        pthread_mutex_unlock(&p->lock);
        for (int i = 0; i < p->n_threads; i++)
            pthread_join(p->threads[i], NULL);
    }
    if (p->sync_ready) {
        pthread_mutex_destroy(&p->lock);
        pthread_cond_destroy(&p->work);
        pthread_cond_destroy(&p->done);
    }
    free(p->threads);
    free(p->ring);
    free(p);
}

int ds_cpu_count(void)
{
    cpu_set_t set;
    int n = 0;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        n = CPU_COUNT(&set);
    if (n < 1) /* more processors than the set has room for */
        n = (int)sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n;
}
