/* bench_tok.c - how fast texts become ids: MB/s in the first pass and in later ones.
 *
 *   bench_tok TOKENIZER.json TEXT [THREADS [PASSES]]
 *
 * Prints one line: seconds to load (as a user waits, and the processor's: loading has threads of
 * its own), then MB/s cold (new states), MB/s warm (the best later pass), both once by the time
 * that passes and once by the processor's divided by the threads, which what else runs counts less
 * in, and the number of ids. The text is cut into documents of about 64 KiB at line ends, dealt to
 * the threads by an atomic counter. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io.h"
#include "tok.h"

#define DOC ((size_t)64 << 10)
#define THREADS 256

typedef struct doc {
    const uint8_t *p;
    size_t len;
} doc;

static doc *docs;
static size_t n_docs;
static const ds_tok *tok;
static atomic_size_t next_doc;

typedef struct worker {
    pthread_t thread;
    ds_tok_state *st;
    ds_ids ids;
    uint64_t total;
    ds_err err;
    int rc;
} worker;

static double time_of(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *work(void *arg)
{
    worker *w = arg;
    size_t i;
    w->total = 0;
    while (w->rc == 0 && (i = atomic_fetch_add(&next_doc, 1)) < n_docs) {
        w->ids.n = 0;
        w->rc = ds_tok_encode(tok, w->st, docs[i].p, docs[i].len, 0, &w->ids, &w->err);
        w->total += w->ids.n;
    }
    return NULL;
}

static int cut(const ds_buf *text)
{
    docs = calloc(text->len / DOC + 1, sizeof *docs);
    for (size_t at = 0; docs != NULL && at < text->len;) {
        size_t left = text->len - at, n = left;
        if (left > DOC) {
            const uint8_t *nl = memchr(text->data + at + DOC, '\n', left - DOC);
            n = nl != NULL ? (size_t)(nl - text->data) - at + 1 : left;
        }
        docs[n_docs++] = (doc){text->data + at, n};
        at += n;
    }
    return docs != NULL ? 0 : -1;
}

/* Seconds, and seconds of the processor. */
static int pass(worker *w, size_t threads, double secs[2], uint64_t *ids)
{
    double t0 = time_of(CLOCK_MONOTONIC), cpu = time_of(CLOCK_PROCESS_CPUTIME_ID);
    int rc = 0;
    atomic_store(&next_doc, 0);
    for (size_t i = 1; i < threads; i++)
        if (pthread_create(&w[i].thread, NULL, work, &w[i]) != 0)
            abort();
    work(&w[0]);
    *ids = w[0].total;
    rc = w[0].rc;
    for (size_t i = 1; i < threads; i++) {
        pthread_join(w[i].thread, NULL);
        *ids += w[i].total;
        rc = rc ? rc : w[i].rc;
    }
    secs[0] = time_of(CLOCK_MONOTONIC) - t0;
    secs[1] = (time_of(CLOCK_PROCESS_CPUTIME_ID) - cpu) / (double)threads;
    return rc;
}

int main(int argc, char **argv)
{
    static worker w[THREADS];
    ds_buf text = {0};
    ds_tok *t = NULL;
    ds_err err = {0};
    uint64_t ids = 0;
    size_t threads = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
    size_t passes = argc > 4 ? strtoul(argv[4], NULL, 10) : 3;
    double s[2], cold[2] = {0}, warm[2] = {0}, load, load_cpu;
    load = time_of(CLOCK_MONOTONIC);
    load_cpu = time_of(CLOCK_PROCESS_CPUTIME_ID);
    if (argc < 3 || threads < 1 || threads > THREADS)
        return 2;
    int rc = ds_tok_load(&t, argv[1], &err);
    load = time_of(CLOCK_MONOTONIC) - load;
    load_cpu = time_of(CLOCK_PROCESS_CPUTIME_ID) - load_cpu;
    if (rc == 0)
        rc = ds_read_file(&text, argv[2], (size_t)4 << 30, &err);
    if (rc == 0)
        rc = cut(&text);
    tok = t;
    for (size_t i = 0; i < threads && rc == 0; i++)
        rc = ds_tok_state_new(&w[i].st, t, &err);
    for (size_t i = 0; i < passes && rc == 0; i++) {
        rc = pass(w, threads, s, &ids);
        for (size_t k = 0; k < 2; k++) {
            double rate = (double)text.len / 1e6 / s[k];
            if (i == 0)
                cold[k] = rate;
            else if (rate > warm[k])
                warm[k] = rate;
        }
    }
    for (size_t i = 0; i < threads; i++) {
        if (w[i].rc != 0)
            err = w[i].err;
        ds_tok_state_free(w[i].st);
        ds_ids_fini(&w[i].ids);
    }
    if (rc != 0)
        fprintf(stderr, "bench_tok: %s\n", err.msg);
    else
        printf("load %.4f %.4f cold %.1f %.1f warm %.1f %.1f ids %llu\n", load, load_cpu, cold[0],
               cold[1], warm[0], warm[1], (unsigned long long)ids);
    free(docs);
    ds_buf_fini(&text);
    ds_tok_free(t);
    return rc == 0 ? 0 : 1;
}
