/* rankguard.c - see rankguard.h. */
#include "rankguard.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "pool.h"

typedef struct guard {
    const ds_ranks *r;
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t over;
    bool stop;
    const char *what; /* is waited for; NULL: nothing */
    bool together;
    double until;
} guard;

static void wait_for(const ds_ranks *r, const char *what, bool together)
{
    guard *g = r->guard;

    pthread_mutex_lock(&g->lock);
    g->what = what;
    g->together = together;
    g->until = ds_seconds() + (together ? r->timeout : r->patience);
    pthread_mutex_unlock(&g->lock);
}

/* The clock is looked at once a second, so that a wait costs who waits nothing but a lock. */
static void *look(void *arg)
{
    guard *g = arg;
    char why[256] = "";

    pthread_mutex_lock(&g->lock);
    while (!g->stop && !(g->what && ds_seconds() >= g->until)) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        t.tv_sec++;
        pthread_cond_timedwait(&g->over, &g->lock, &t);
    }
    if (!g->stop)
        snprintf(why, sizeof why, "%s did not come within %d s (%s)", g->what,
                 g->together ? g->r->timeout : g->r->patience,
                 g->together ? "DS_RANKS_TIMEOUT" : "DS_RANKS_WAIT");
    pthread_mutex_unlock(&g->lock);
    if (*why)
        g->r->quit(g->r, why);
    return NULL;
}

int ds_rankguard_begin(ds_ranks *r, ds_err *err)
{
    pthread_condattr_t clock;
    guard *g = calloc(1, sizeof *g);

    if (!g)
        return ds_fail_nomem(err);
    g->r = r;
    pthread_mutex_init(&g->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&g->over, &clock);
    pthread_condattr_destroy(&clock);
    if (!ds_thread_begin(&g->thread, look, g)) {
        pthread_cond_destroy(&g->over);
        pthread_mutex_destroy(&g->lock);
        free(g);
        return ds_fail(err, DS_FAIL, "the system gives no thread");
    }
    r->wait = wait_for;
    r->guard = g;
    return 0;
}

void ds_rankguard_end(ds_ranks *r)
{
    guard *g = r->guard;

    if (!g)
        return;
    pthread_mutex_lock(&g->lock);
    g->stop = true;
    pthread_cond_signal(&g->over);
    pthread_mutex_unlock(&g->lock);
    pthread_join(g->thread, NULL);
    pthread_cond_destroy(&g->over);
    pthread_mutex_destroy(&g->lock);
    free(g);
    r->guard = NULL;
}
