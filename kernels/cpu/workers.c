/* workers.c - see workers.h. A loop is handed out by an atomic counter. Workers join it when they
 * get to it: the caller waits for those that did, not for one that the system has yet to wake. They
 * look for the next loop for some microseconds before they sleep, because the loops of a network
 * follow each other closely.
 */
#include "workers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "pool.h"

#define LOOKS 400 /* of some 40 ns */

struct ds_workers {
    int threads; /* the caller's included */
    int looks;
    pthread_t *ids;
    int started;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    atomic_uint_least64_t turn; /* counts loops */
    atomic_int inside;          /* workers in the loop; joined under the lock */
    int asleep;
    bool open; /* the loop may be joined */
    bool stop;
    ds_work_fn fn;
    void *arg;
    int64_t n;
    atomic_int_least64_t next;
};

static void look_again(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void run_share(ds_workers *w)
{
    for (;;) {
        int64_t i = atomic_fetch_add_explicit(&w->next, 1, memory_order_relaxed);
        if (i >= w->n)
            return;
        w->fn(w->arg, i);
    }
}

static void *worker_main(void *p)
{
    ds_workers *w = p;
    uint64_t seen = 0;

    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        pthread_mutex_unlock(&w->lock);
        for (int i = 0; i < w->looks && atomic_load(&w->turn) == seen; i++)
            look_again();
        pthread_mutex_lock(&w->lock);
        w->asleep++;
        while (!w->stop && atomic_load(&w->turn) == seen)
            pthread_cond_wait(&w->work, &w->lock);
        w->asleep--;
        seen = atomic_load(&w->turn);
        if (w->stop || !w->open)
            continue;
        atomic_fetch_add(&w->inside, 1);
        pthread_mutex_unlock(&w->lock);
        run_share(w);
        pthread_mutex_lock(&w->lock);
        if (atomic_fetch_sub(&w->inside, 1) == 1)
            pthread_cond_signal(&w->done);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

int ds_workers_new(ds_workers **out, int threads, ds_err *err)
{
    ds_workers *w = calloc(1, sizeof *w);

    if (!w)
        return ds_fail_nomem(err);
    w->threads = threads < 1 ? 1 : threads;
    w->looks = w->threads <= ds_cpu_count() ? LOOKS : 0;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, NULL);
    pthread_cond_init(&w->done, NULL);
    w->ids = calloc((size_t)w->threads, sizeof *w->ids);
    if (!w->ids) {
        ds_workers_free(w);
        return ds_fail_nomem(err);
    }
    for (int i = 1; i < w->threads; i++) {
        int rc = pthread_create(&w->ids[w->started], NULL, worker_main, w);
        if (rc) {
            ds_workers_free(w);
            return ds_fail_errno(err, rc, "cannot start a thread");
        }
        w->started++;
    }
    *out = w;
    return 0;
}

int ds_workers_count(const ds_workers *w)
{
    return w->threads;
}

void ds_workers_run(ds_workers *w, int64_t n, ds_work_fn fn, void *arg)
{
    if (w->started == 0 || n <= 1) {
        for (int64_t i = 0; i < n; i++)
            fn(arg, i);
        return;
    }
    pthread_mutex_lock(&w->lock);
    w->fn = fn;
    w->arg = arg;
    w->n = n;
    atomic_store(&w->next, 0);
    w->open = true;
    atomic_fetch_add(&w->turn, 1);
    if (w->asleep > 0)
        pthread_cond_broadcast(&w->work);
    pthread_mutex_unlock(&w->lock);
    run_share(w);
    for (int i = 0; i < w->looks && atomic_load(&w->inside) > 0; i++)
        look_again();
    pthread_mutex_lock(&w->lock);
    w->open = false;
    while (atomic_load(&w->inside) > 0)
        pthread_cond_wait(&w->done, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

void ds_workers_free(ds_workers *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->work);
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < w->started; i++)
        pthread_join(w->ids[i], NULL);
    free(w->ids);
    pthread_cond_destroy(&w->done);
    pthread_cond_destroy(&w->work);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
