/* rtmem.cu - memory of a device: one piece that was reserved, what is asked for beside it, scratch,
 * and the ring through which numbers of the host come. Host code; no kernel is here. */
#include "rt.h"

#include <cstdlib>

/* ---- pieces ---- */

static int ask(dev_rt *rt, void **p, size_t bytes, ds_err *err)
{
    rt_mem *m = rt_mem_of(rt);
    const size_t room = ds_device_room(bytes);

    if (m->n == m->cap) {
        const size_t cap = m->cap ? m->cap * 2 : 64;
        rt_piece *grown = static_cast<rt_piece *>(realloc(m->pieces, cap * sizeof *grown));
        if (!grown)
            return ds_fail_nomem(err);
        m->pieces = grown;
        m->cap = cap;
    }
    TRY(rt_system_alloc(rt, p, room, err));
    m->pieces[m->n++] = rt_piece{*p, room};
    m->about.allocations++;
    m->about.held += (int64_t)room;
    m->about.peak = m->about.held > m->about.peak ? m->about.held : m->about.peak;
    return 0;
}

/* What is given back was most often asked for late. What lies in the arena stays, and so does the
 * arena, whose address is that of what lies first in it. */
static void give_back(dev_rt *rt, void *p)
{
    rt_mem *m = rt_mem_of(rt);

    for (size_t i = p && p != m->arena ? m->n : 0; i-- > 0;)
        if (m->pieces[i].p == p) {
            m->about.held -= (int64_t)m->pieces[i].bytes;
            rt_system_free(rt, p);
            m->pieces[i] = m->pieces[--m->n];
            return;
        }
}

int rt_mem_open(dev_rt *rt, void **workspace, ds_err *err)
{
    rt_mem *m = rt_mem_of(rt);
    void *p;

    TRY(ask(rt, workspace, DS_DEVICE_WORKSPACE, err));
    TRY(ask(rt, &p, DS_DEVICE_NUMBERS, err));
    m->numbers = static_cast<char *>(p);
    TRY(ask(rt, &p, DS_DEVICE_RING, err));
    m->ring = static_cast<char *>(p);
    TRY(rt_host_alloc(rt, &p, RT_RING, err));
    m->pinned = static_cast<char *>(p);
    return 0;
}

void rt_mem_close(dev_rt *rt)
{
    rt_mem *m = rt_mem_of(rt);

    m->arena = NULL;
    while (m->n > 0)
        give_back(rt, m->pieces[m->n - 1].p);
    free(m->pieces);
    m->pieces = NULL;
    rt_host_free(rt, m->pinned);
}

/* Room in what was reserved; NULL when there is none left. */
static void *carve(rt_mem *m, size_t bytes)
{
    const size_t room = ds_device_room(bytes);

    if (!m->arena || m->size - m->used < room)
        return NULL;
    m->used += room;
    return m->arena + m->used - room;
}

int rt_alloc(dev_rt *rt, void **p, size_t bytes, ds_err *err)
{
    *p = carve(rt_mem_of(rt), bytes);
    if (!*p)
        TRY(ask(rt, p, bytes, err));
    return rt_zero(rt, *p, bytes, err);
}

void rt_free(dev_rt *rt, void *p)
{
    give_back(rt, p);
}

int rt_reserve(dev_rt *rt, size_t bytes, const size_t scratch[DS_KSLOTS], ds_err *err)
{
    rt_mem *m = rt_mem_of(rt);
    size_t size = bytes;
    void *p;

    if (m->arena)
        return ds_fail(err, DS_FAIL, "cuda: memory was reserved already");
    for (int i = 0; i < DS_KSLOTS; i++)
        size += scratch[i] ? ds_device_room(scratch[i]) : 0;
    TRY(ask(rt, &p, size, err));
    m->arena = static_cast<char *>(p);
    m->size = size;
    for (int i = 0; i < DS_KSLOTS; i++)
        if (scratch[i]) {
            m->scratch[i] = carve(m, scratch[i]);
            m->room[i] = scratch[i];
        }
    return 0;
}

int rt_scratch(dev_rt *rt, int slot, void **p, size_t bytes, ds_err *err)
{
    rt_mem *m = rt_mem_of(rt);

    if (m->room[slot] < bytes) {
        TRY(rt_sync(rt, err));
        rt_graphs_drop(rt);
        give_back(rt, m->scratch[slot]);
        m->scratch[slot] = NULL;
        m->room[slot] = 0;
        TRY(ask(rt, &m->scratch[slot], bytes, err));
        m->room[slot] = bytes;
    }
    rt_spoil(rt, m->scratch[slot], m->room[slot]);
    *p = m->scratch[slot];
    return 0;
}

/* ---- the ring ---- */

/* Where the same bytes stand already; NULL: nowhere. */
static const rt_staged *find_staged(const rt_mem *m, const void *host, size_t bytes)
{
    const unsigned known = m->nstaged < RT_STAGED ? m->nstaged : RT_STAGED;

    for (unsigned i = 1; i <= known; i++) {
        const rt_staged *s = &m->staged[(m->nstaged - i) % RT_STAGED];
        if (s->bytes == bytes && memcmp(m->pinned + s->at, host, bytes) == 0)
            return s;
    }
    return NULL;
}

static bool has_room(const rt_mem *m, size_t need)
{
    return m->ring_used + need <= RT_RING;
}

/* There is room. */
static int send(dev_rt *rt, const rt_staged **out, const void *host, size_t bytes, ds_err *err)
{
    rt_mem *m = rt_mem_of(rt);
    const size_t at = m->ring_used;
    rt_staged *s = &m->staged[m->nstaged % RT_STAGED];

    memcpy(m->pinned + at, host, bytes);
    TRY(rt_send(rt, m->ring + at, m->pinned + at, bytes, err));
    *s = rt_staged{at, bytes, ++m->sent};
    m->nstaged++;
    m->ring_used += ds_device_room(bytes);
    *out = s;
    return 0;
}

static int stage(dev_rt *rt, void **dev, const void *host, size_t bytes, ds_err *err)
{
    rt_mem *m = rt_mem_of(rt);
    const size_t need = ds_device_room(bytes);
    const rt_staged *s = find_staged(m, host, bytes);

    if (!s && need > RT_RING / 3)
        return ds_fail(err, DS_FAIL, "cuda: %zu bytes of indices in one call", bytes);
    if (!s && !has_room(m, need)) {
        TRY(rt_settle(rt, err));
        m->ring_used = 0;
        m->nstaged = 0;
    }
    if (!s)
        TRY(send(rt, &s, host, bytes, err));
    if (s->turn > m->awaited) {
        TRY(rt_await(rt, err));
        m->awaited = m->sent;
    }
    *dev = m->ring + s->at;
    return 0;
}

/* Numbers of the work under way are staged in the pieces in which they will be sent ahead. */
int rt_stage(dev_rt *rt, void **dev, const void *host, size_t bytes, ds_err *err)
{
    const ds_kpiece *whole = rt_work_piece(rt, host, bytes);

    if (rt_capturing(rt))
        return rt_work_place(rt, dev, host, bytes, err);
    if (!whole)
        return stage(rt, dev, host, bytes, err);
    TRY(stage(rt, dev, whole->p, whole->bytes, err));
    *dev = static_cast<char *>(*dev) +
           (static_cast<const char *>(host) - static_cast<const char *>(whole->p));
    return 0;
}

static int make(void **host, const rt_made *m, ds_err *err)
{
    *host = malloc(m->bytes ? m->bytes : 1);
    return *host ? m->make(*host, m, err) : ds_fail_nomem(err);
}

int rt_stage_made(dev_rt *rt, void **dev, const rt_made *m, ds_err *err)
{
    if (rt_capturing(rt))
        return rt_work_place_made(rt, dev, m, err);
    void *host;
    int rc = make(&host, m, err);
    rc = rc ? rc : stage(rt, dev, host, m->bytes, err);
    free(host);
    return rc;
}

int rt_ahead(dev_rt *rt, const void *host, size_t bytes, ds_err *err)
{
    const rt_mem *m = rt_mem_of(rt);
    const rt_staged *s;

    return has_room(m, ds_device_room(bytes)) && !find_staged(m, host, bytes)
               ? send(rt, &s, host, bytes, err)
               : 0;
}

int rt_ahead_made(dev_rt *rt, const rt_made *m, ds_err *err)
{
    void *host;
    int rc = make(&host, m, err);

    rc = rc ? rc : rt_ahead(rt, host, m->bytes, err);
    free(host);
    return rc;
}
