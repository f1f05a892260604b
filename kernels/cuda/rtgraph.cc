/* rtgraph.cc - work that is asked for again and again (kernels.h), captured as CUDA graphs.
 *
 * The first time that work of a shape is asked for it is done as it comes: products find their
 * algorithms and memory is taken then, which a captured stream could not. The second time it is
 * captured, and from then on launched. A graph's nodes never change. What does, the numbers of the
 * host, lies in one place that all graphs read (rt_mem.numbers, one launch after the other): before
 * a launch they are copied there from the ring, where they may be already, and what is made of them
 * is made anew. So nothing of a graph is a pointer to the host's memory.
 */
#include "rt.h"

#include <cstdlib>
#include <new>

#define GRAPHS 8 /* that are kept */
#define STALE 64 /* works since a graph's last launch, after which another may take its place */
#define SEEN 64  /* shapes that were seen and are remembered */
#define PIECES 8
#define MADES 8
#define ROOM 4 /* times the pieces: what they and all that is made of them take at most */

struct shape {
    const void *of;
    int64_t t;
    int32_t seqs;
    uint32_t how;
};

struct made {
    rt_made is;   /* from: of the launch at hand */
    int piece;    /* that it is made of; -1: of nothing */
    size_t place; /* in the numbers */
};

struct graph {
    shape of;
    cudaGraphExec_t exec; /* NULL: there is none */
    size_t place[PIECES], bytes[PIECES];
    bool read[PIECES]; /* the piece itself is */
    made mades[MADES];
    int nmades;
    size_t room;   /* of all numbers */
    uint64_t last; /* its last launch, by the count of works */
};

struct rt_graphs {
    graph kept[GRAPHS];
    shape seen[SEEN];
    unsigned nseen; /* so far: number i stands at i % SEEN */
    ds_kwork work;  /* under way; without numbers: none is */
    graph fresh;    /* while it is captured */
    bool capturing;
    uint64_t works; /* begun so far */
    int64_t captured, launches;
};

int rt_graphs_open(dev_rt *rt, ds_err *err)
{
    rt_graphs *g = new (std::nothrow) rt_graphs();

    *rt_graphs_of(rt) = g;
    return g ? 0 : ds_fail_nomem(err);
}

static void drop(graph *g)
{
    if (g->exec)
        cudaGraphExecDestroy(g->exec);
    *g = graph();
}

void rt_graphs_drop(dev_rt *rt)
{
    for (graph &k : (*rt_graphs_of(rt))->kept)
        drop(&k);
}

void rt_graphs_close(dev_rt *rt)
{
    if (*rt_graphs_of(rt))
        rt_work_forget(rt, NULL);
    delete *rt_graphs_of(rt);
    *rt_graphs_of(rt) = NULL;
}

void rt_work_forget(dev_rt *rt, const void *of)
{
    rt_graphs *g = *rt_graphs_of(rt);

    for (graph &k : g->kept)
        if (!of || k.of.of == of)
            drop(&k);
    for (shape &s : g->seen)
        if (!of || s.of == of)
            s = shape();
}

void rt_worked(dev_rt *rt, int64_t *captured, int64_t *launched)
{
    *captured = (*rt_graphs_of(rt))->captured;
    *launched = (*rt_graphs_of(rt))->launches;
}

/* ---- shapes ---- */

static shape shape_of(const ds_kwork *w)
{
    return shape{w->of, w->t, rt_seqs_room(w->seqs), w->how};
}

static bool same(const shape &a, const shape &b)
{
    return a.of == b.of && a.t == b.t && a.seqs == b.seqs && a.how == b.how;
}

static graph *find(rt_graphs *g, const shape &s)
{
    for (graph &k : g->kept)
        if (k.exec && same(k.of, s))
            return &k;
    return NULL;
}

/* Was it seen before? It is from here on. */
static bool see(rt_graphs *g, const shape &s)
{
    for (const shape &was : g->seen)
        if (same(was, s))
            return true;
    g->seen[g->nseen++ % SEEN] = s;
    return false;
}

/* Where the next graph may be kept; NULL: nowhere. More shapes that take turns than there are
 * places would be captured again and again, if the one that was launched longest ago always went.
 */
static graph *place_for_one(rt_graphs *g)
{
    graph *oldest = &g->kept[0];

    for (graph &k : g->kept)
        if (!k.exec || (oldest->exec && k.last < oldest->last))
            oldest = &k;
    return !oldest->exec || g->works - oldest->last > STALE ? oldest : NULL;
}

/* ---- numbers ---- */

bool rt_capturing(const dev_rt *rt)
{
    return (*rt_graphs_of(const_cast<dev_rt *>(rt)))->capturing;
}

const ds_kpiece *rt_work_piece(const dev_rt *rt, const void *host, size_t bytes)
{
    const ds_kwork *w = &(*rt_graphs_of(const_cast<dev_rt *>(rt)))->work;
    const uintptr_t at = (uintptr_t)host;

    for (int i = 0; i < w->n; i++) {
        const uintptr_t p = (uintptr_t)w->numbers[i].p;
        if (at >= p && at - p <= w->numbers[i].bytes && bytes <= w->numbers[i].bytes - (at - p))
            return &w->numbers[i];
    }
    return NULL;
}

static int stranger(size_t bytes, ds_err *err)
{
    return ds_fail(err, DS_FAIL,
                   "cuda: %zu bytes of the host's memory are none of the numbers of the work that "
                   "is captured (--graphs off)",
                   bytes);
}

static size_t take(graph *g, size_t bytes)
{
    const size_t at = g->room;

    g->room += ds_device_room(bytes);
    return at;
}

int rt_work_place(dev_rt *rt, void **dev, const void *host, size_t bytes, ds_err *err)
{
    rt_graphs *g = *rt_graphs_of(rt);
    const ds_kpiece *piece = rt_work_piece(rt, host, bytes);

    if (!piece)
        return stranger(bytes, err);
    const ptrdiff_t i = piece - g->work.numbers;
    g->fresh.read[i] = true;
    *dev = rt_mem_of(rt)->numbers + g->fresh.place[i] +
           (static_cast<const char *>(host) - static_cast<const char *>(piece->p));
    return 0;
}

static bool same_made(const rt_made &a, const rt_made &b)
{
    return a.make == b.make && a.from == b.from && a.bytes == b.bytes && a.how[0] == b.how[0] &&
           a.how[1] == b.how[1];
}

int rt_work_place_made(dev_rt *rt, void **dev, const rt_made *m, ds_err *err)
{
    rt_graphs *g = *rt_graphs_of(rt);
    const ds_kpiece *piece = rt_work_piece(rt, m->from, m->from_bytes);
    const bool nothing = m->from_bytes == 0;
    graph *f = &g->fresh;
    int i = 0;

    if (!nothing && (!piece || piece->p != m->from || piece->bytes != m->from_bytes))
        return stranger(m->from_bytes, err);
    while (i < f->nmades && !same_made(f->mades[i].is, *m))
        i++;
    if (i == f->nmades) {
        if (i == MADES || f->room + ds_device_room(m->bytes) > DS_DEVICE_NUMBERS)
            return ds_fail(err, DS_FAIL, "cuda: no room for the numbers of captured work");
        const int of = nothing ? -1 : (int)(piece - g->work.numbers);
        f->mades[f->nmades++] = made{*m, of, take(f, m->bytes)};
    }
    *dev = rt_mem_of(rt)->numbers + f->mades[i].place;
    return 0;
}

/* ---- a launch ---- */

/* What was staged, to where the graph reads it. */
static int put(dev_rt *rt, size_t place, const void *staged, size_t bytes, ds_err *err)
{
    CUDA(cudaMemcpyAsync(rt_mem_of(rt)->numbers + place, staged, bytes, cudaMemcpyDeviceToDevice,
                         rt_stream(rt)),
         "numbers of captured work");
    return 0;
}

static rt_made made_now(const made *m, const ds_kwork *w)
{
    rt_made now = m->is;

    now.from = m->piece < 0 ? NULL : w->numbers[m->piece].p;
    now.from_bytes = m->piece < 0 ? 0 : w->numbers[m->piece].bytes;
    return now;
}

static int put_numbers(dev_rt *rt, const graph *k, const ds_kwork *w, ds_err *err)
{
    void *staged;

    for (int i = 0; i < w->n; i++) {
        if (!k->read[i])
            continue;
        if (w->numbers[i].bytes != k->bytes[i])
            return ds_fail(err, DS_FAIL, "cuda: %zu bytes of numbers, captured work has %zu",
                           w->numbers[i].bytes, k->bytes[i]);
        TRY(rt_stage(rt, &staged, w->numbers[i].p, k->bytes[i], err));
        TRY(put(rt, k->place[i], staged, k->bytes[i], err));
    }
    for (int i = 0; i < k->nmades; i++) {
        const rt_made m = made_now(&k->mades[i], w);
        TRY(rt_stage_made(rt, &staged, &m, err));
        TRY(put(rt, k->mades[i].place, staged, m.bytes, err));
    }
    return 0;
}

static int launch(dev_rt *rt, graph *k, const ds_kwork *w, ds_err *err)
{
    rt_graphs *g = *rt_graphs_of(rt);

    rt_spoil(rt, rt_mem_of(rt)->numbers, k->room);
    TRY(put_numbers(rt, k, w, err));
    CUDA(cudaGraphLaunch(k->exec, rt_stream(rt)), "captured work (--graphs off)");
    k->last = g->works;
    g->launches++;
    return rt_launched(rt, "captured work", err);
}

/* Before there is a graph it is not known what of the pieces is read, nor what is made of them. */
int rt_work_ahead(dev_rt *rt, const ds_kwork *w, ds_err *err)
{
    const graph *k = find(*rt_graphs_of(rt), shape_of(w));

    for (int i = 0; i < w->n; i++)
        if (w->numbers[i].bytes && (!k || k->read[i]))
            TRY(rt_ahead(rt, w->numbers[i].p, w->numbers[i].bytes, err));
    for (int i = 0; k && i < k->nmades; i++) {
        const rt_made m = made_now(&k->mades[i], w);
        if (k->mades[i].piece < w->n)
            TRY(rt_ahead_made(rt, &m, err));
    }
    return 0;
}

/* ---- from begin to end ---- */

static int start_capture(dev_rt *rt, const shape &s, ds_err *err)
{
    rt_graphs *g = *rt_graphs_of(rt);

    CUDA(cudaStreamBeginCapture(rt_stream(rt), cudaStreamCaptureModeThreadLocal),
         "work is to be captured (--graphs off)");
    g->capturing = true;
    g->fresh = graph();
    g->fresh.of = s;
    for (int i = 0; i < g->work.n; i++) {
        g->fresh.bytes[i] = g->work.numbers[i].bytes;
        g->fresh.place[i] = take(&g->fresh, g->fresh.bytes[i]);
    }
    return 0;
}

static bool too_large(const ds_kwork *w)
{
    size_t bytes = 0;

    for (int i = 0; i < w->n; i++)
        bytes += w->numbers[i].bytes;
    return bytes > DS_DEVICE_NUMBERS / ROOM;
}

int rt_work_begin(dev_rt *rt, const ds_kwork *w, bool capture, bool *done, ds_err *err)
{
    rt_graphs *g = *rt_graphs_of(rt);
    const shape s = shape_of(w);
    graph *k;

    *done = false;
    g->works++;
    if (w->n > PIECES)
        return ds_fail(err, DS_FAIL, "cuda: %d pieces of numbers of work", w->n);
    if (!capture || too_large(w)) {
        g->work = *w;
        return 0;
    }
    k = find(g, s);
    if (k) {
        *done = true;
        return launch(rt, k, w, err);
    }
    g->work = *w;
    if (!see(g, s) || !place_for_one(g))
        return 0;
    const int rc = start_capture(rt, s, err);
    if (rc)
        g->work = ds_kwork();
    return rc;
}

static int free_memory(size_t *bytes, ds_err *err)
{
    size_t total;

    CUDA(cudaMemGetInfo(bytes, &total), "free memory");
    return 0;
}

/* The driver's part of memory is taken when a graph is made, or first launched; it does not say how
 * much. */
static int keep(dev_rt *rt, cudaGraph_t captured, const ds_kwork *w, ds_err *err)
{
    rt_graphs *g = *rt_graphs_of(rt);
    graph *k = place_for_one(g);
    size_t before, after;

    drop(k);
    TRY(free_memory(&before, err));
    CUDA(cudaGraphInstantiate(&g->fresh.exec, captured, 0), "captured work (--graphs off)");
    *k = g->fresh;
    g->captured++;
    TRY(launch(rt, k, w, err));
    TRY(free_memory(&after, err));
    rt_mem_of(rt)->about.graphs += before > after ? (int64_t)(before - after) : 0;
    return 0;
}

int rt_work_end(dev_rt *rt, bool whole, ds_err *err)
{
    rt_graphs *g = *rt_graphs_of(rt);
    const ds_kwork w = g->work;
    cudaGraph_t captured = NULL;
    int rc = 0;

    g->work = ds_kwork();
    if (!g->capturing)
        return 0;
    g->capturing = false;
    const cudaError_t status = cudaStreamEndCapture(rt_stream(rt), &captured);
    if (status != cudaSuccess && whole)
        rc = rt_failed(status, "work that was captured (--graphs off)", err);
    else if (status == cudaSuccess && whole)
        rc = keep(rt, captured, &w, err);
    else
        cudaGetLastError(); /* the caller has what went wrong */
    if (captured)
        cudaGraphDestroy(captured);
    return rc;
}
