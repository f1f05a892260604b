/* rtnccl.cc - several devices by NCCL, which is loaded when it is asked for: $DS_NCCL, or
 * libnccl.so.2 where the system finds it. What is used of its interface (since 2.7) is declared
 * here, so its header is not needed; where that is there, the two are compared.
 *
 * Only bytes are moved. NCCL's sums are not used: their order follows rings and trees that it
 * chooses by version, topology and size, and that is not the order of ranks, in which one process
 * adds up the same slices (trainer/slices.h).
 */
#include "rt.h"

#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <new>
#if !defined DS_EMU && __has_include(<nccl.h>)
#include <nccl.h>
#endif

namespace {
struct unique_id {
    char word[DS_KPEERS_ID];
};
enum { SUCCESS = 0, BYTES = 0 /* ncclInt8 */ };

struct library {
    int (*version)(int *);
    const char *(*explain)(int);
    int (*make_id)(unique_id *);
    int (*join)(void **comm, int size, unique_id id, int rank);
    int (*drop)(void *comm);
    int (*begin)(void);
    int (*end)(void);
    int (*send)(const void *, size_t, int type, int peer, void *comm, cudaStream_t);
    int (*receive)(void *, size_t, int type, int peer, void *comm, cudaStream_t);
    int (*gather)(const void *, void *, size_t, int type, void *comm, cudaStream_t);
    int (*spread)(const void *, void *, size_t, int type, int root, void *comm, cudaStream_t);
};

#ifdef NCCL_UNIQUE_ID_BYTES
static_assert(sizeof(ncclUniqueId) == sizeof(unique_id) && ncclInt8 == (int)BYTES &&
                  ncclSuccess == (int)SUCCESS && sizeof(ncclComm_t) == sizeof(void *),
              "NCCL's types are not those that are declared here");
#endif

struct symbol {
    const char *name;
    size_t at; /* in library */
};
#define SYMBOL(name, member)                                                                       \
    {                                                                                              \
        name, offsetof(library, member)                                                            \
    }
const symbol SYMBOLS[] = {SYMBOL("ncclGetVersion", version),  SYMBOL("ncclGetErrorString", explain),
                          SYMBOL("ncclGetUniqueId", make_id), SYMBOL("ncclCommInitRank", join),
                          SYMBOL("ncclCommAbort", drop),      SYMBOL("ncclGroupStart", begin),
                          SYMBOL("ncclGroupEnd", end),        SYMBOL("ncclSend", send),
                          SYMBOL("ncclRecv", receive),        SYMBOL("ncclAllGather", gather),
                          SYMBOL("ncclBroadcast", spread)};
} // namespace

struct rt_peers {
    library lib;
    void *comm;
    int size;
    char name[64];
};

static int nccl(const rt_peers *p, int status, const char *what, ds_err *err)
{
    return status == SUCCESS ? 0
                             : ds_fail(err, DS_FAIL, "NCCL: %s: %s (NCCL_DEBUG=WARN says more)",
                                       what, p->lib.explain(status));
}

/* What is loaded stays loaded. */
static int load(library *lib, ds_err *err)
{
    const char *named = getenv("DS_NCCL"), *file = named && *named ? named : "libnccl.so.2";
    void *so = dlopen(file, RTLD_NOW | RTLD_LOCAL);

    if (!so)
        return ds_fail(err, DS_FAIL, "NCCL cannot be loaded: %s", dlerror());
    for (const symbol &s : SYMBOLS) {
        void *fn = dlsym(so, s.name);
        if (!fn)
            return ds_fail(err, DS_FAIL, "%s has no %s: 2.7 is the oldest NCCL that will do", file,
                           s.name);
        memcpy(reinterpret_cast<char *>(lib) + s.at, &fn, sizeof fn);
    }
    return 0;
}

static int find(dev_rt *rt, rt_peers **out, ds_err *err)
{
    rt_peers **p = rt_peers_of(rt);
    int version = 0;

    if (!*p) {
        rt_peers *fresh = new (std::nothrow) rt_peers();
        if (!fresh)
            return ds_fail_nomem(err);
        int rc = load(&fresh->lib, err);
        rc = rc ? rc : nccl(fresh, fresh->lib.version(&version), "its version", err);
        if (rc) {
            delete fresh;
            return rc;
        }
        /* 2.28.3 is 22803 */
        snprintf(fresh->name, sizeof fresh->name, "NCCL %d.%d.%d", version / 10000,
                 version / 100 % 100, version % 100);
        *p = fresh;
    }
    *out = *p;
    return 0;
}

int rt_peers_id(dev_rt *rt, char id[DS_KPEERS_ID], ds_err *err)
{
    unique_id u;
    rt_peers *p = NULL;

    TRY(find(rt, &p, err));
    if (!id)
        return 0;
    TRY(nccl(p, p->lib.make_id(&u), "a group's id", err));
    memcpy(id, u.word, sizeof u.word);
    return 0;
}

int rt_peers_join(dev_rt *rt, const char id[DS_KPEERS_ID], int rank, int size, ds_err *err)
{
    unique_id u;
    rt_peers *p = NULL;

    TRY(find(rt, &p, err));
    TRY(rt_sync(rt, err)); /* a group is joined by the thread's device: now that is this one */
    memcpy(u.word, id, sizeof u.word);
    p->size = size;
    return nccl(p, p->lib.join(&p->comm, size, u, rank), "joining the other devices", err);
}

const char *rt_peers_name(dev_rt *rt)
{
    return (*rt_peers_of(rt))->name;
}

int rt_peers_gather(dev_rt *rt, void *all, const void *mine, size_t bytes, ds_err *err)
{
    const rt_peers *p = *rt_peers_of(rt);

    return nccl(p, p->lib.gather(mine, all, bytes, BYTES, p->comm, rt_stream(rt)), "gathering",
                err);
}

int rt_peers_spread(dev_rt *rt, void *data, size_t bytes, int root, ds_err *err)
{
    const rt_peers *p = *rt_peers_of(rt);

    return nccl(p, p->lib.spread(data, data, bytes, BYTES, root, p->comm, rt_stream(rt)),
                "spreading", err);
}

/* Sends and receives of a group go on side by side. */
int rt_peers_exchange(dev_rt *rt, void *all, const void *mine, size_t bytes, ds_err *err)
{
    const rt_peers *p = *rt_peers_of(rt);
    const cudaStream_t stream = rt_stream(rt);
    int rc;

    TRY(nccl(p, p->lib.begin(), "exchanging", err));
    rc = SUCCESS;
    for (int i = 0; i < p->size && rc == SUCCESS; i++) {
        rc = p->lib.send(static_cast<const char *>(mine) + (size_t)i * bytes, bytes, BYTES, i,
                         p->comm, stream);
        if (rc == SUCCESS)
            rc = p->lib.receive(static_cast<char *>(all) + (size_t)i * bytes, bytes, BYTES, i,
                                p->comm, stream);
    }
    const int ended = p->lib.end();
    return nccl(p, rc == SUCCESS ? ended : rc, "exchanging", err);
}

/* Aborted, not destroyed: nothing is on its way, and destroying waits for the others. */
void rt_peers_leave(dev_rt *rt)
{
    rt_peers **p = rt_peers_of(rt);

    if (*p && (*p)->comm)
        (*p)->lib.drop((*p)->comm);
    delete *p;
    *p = NULL;
}
