/* nccl.cc - as much of NCCL as the backend uses (rtnccl.cc), for emulated devices that are each in
 * a process of its own: a library that is loaded as NCCL is. What they give each other goes through
 * a file that all of them have mapped, a part at a time. A call returns when all have made it,
 * where NCCL's would go on on the device: its stream moves when the host lets it only.
 *
 * DS_EMU_PEERS=N: call number N fails, in the process of rank 1. DS_EMU_PEERS_HANG=N: it does not
 * come back; 0 is that of joining.
 */
#include <cuda_runtime.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/futex.h>
#include <new>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

namespace {
constexpr int MOST = 16;
constexpr size_t PART = 32 << 10;
enum { SUCCESS = 0, SYSTEM_ERROR = 2, INTERNAL_ERROR = 3, INVALID_ARGUMENT = 4 };

struct common_room { /* begins as zeros */
    std::atomic<uint32_t> here, turn;
    char part[MOST][MOST][PART]; /* from whom, for whom */
};

struct unique_id {
    char path[128];
};

struct group_of { /* one of those that are joined */
    common_room *room;
    int rank, size, calls, fails_at, hangs_at;
};

struct message {
    int peer;
    const char *from; /* or, of one that is received: */
    char *to;
    size_t bytes;
};

thread_local int depth;
thread_local std::vector<message> messages;
thread_local group_of *messages_of;
thread_local cudaStream_t messages_on;

/* All are here, and none goes on before. */
void meet(group_of *g)
{
    const uint32_t turn = g->room->turn;

    if (++g->room->here == (uint32_t)g->size) {
        g->room->here = 0;
        g->room->turn++;
        syscall(SYS_futex, &g->room->turn, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    }
    while (g->room->turn == turn)
        syscall(SYS_futex, &g->room->turn, FUTEX_WAIT, turn, NULL, NULL, 0);
}

/* Everybody passes as many bytes at a time. */
void pass(group_of *g, const std::vector<message> &all)
{
    const size_t bytes = all.empty() ? 0 : all[0].bytes;

    for (size_t at = 0; at < bytes; at += PART) {
        const size_t n = bytes - at < PART ? bytes - at : PART;
        for (const message &m : all)
            if (m.from)
                std::memcpy(g->room->part[g->rank][m.peer], m.from + at, n);
        meet(g);
        for (const message &m : all)
            if (m.to)
                std::memcpy(m.to + at, g->room->part[m.peer][g->rank], n);
        meet(g);
    }
}

/* The number that rank 1 is told of; -1: none. */
int number_of(const char *name, int rank)
{
    const char *v = rank == 1 ? std::getenv(name) : NULL;

    return v && *v ? (int)std::strtol(v, NULL, 10) : -1;
}

void may_hang(const group_of *g)
{
    while (g->calls == g->hangs_at)
        pause();
}

int passed(group_of *g, std::vector<message> all, cudaStream_t stream)
{
    if (++g->calls == g->fails_at)
        return INTERNAL_ERROR;
    may_hang(g);
    for (const message &m : all)
        if (m.peer < 0 || m.peer >= g->size || m.bytes != all[0].bytes)
            return INVALID_ARGUMENT;
    stream->add([=, all = std::move(all)] { pass(g, all); });
    stream->finish();
    return SUCCESS;
}
} // namespace

#define SHOWN extern "C" __attribute__((visibility("default")))

SHOWN int ncclGetVersion(int *version)
{
    *version = 22803;
    return SUCCESS;
}
SHOWN const char *ncclGetErrorString(int status)
{
    return status == SUCCESS          ? "no error"
           : status == INTERNAL_ERROR ? "the emulated device was told to fail"
                                      : "the emulated devices cannot be joined";
}

SHOWN int ncclGetUniqueId(unique_id *id)
{
    const char *dir = std::getenv("TMPDIR");

    std::memset(id, 0, sizeof *id);
    const int n =
        std::snprintf(id->path, sizeof id->path, "%s/ds-peers-XXXXXX", dir && *dir ? dir : "/tmp");
    const int fd = n < (int)sizeof id->path ? mkostemp(id->path, O_CLOEXEC) : -1;
    const int rc = fd >= 0 && ftruncate(fd, sizeof(common_room)) == 0 ? SUCCESS : SYSTEM_ERROR;
    if (fd >= 0)
        close(fd);
    return rc;
}

SHOWN int ncclCommInitRank(void **comm, int size, unique_id id, int rank)
{
    const int fd = open(id.path, O_RDWR | O_CLOEXEC);

    *comm = NULL;
    if (fd < 0 || size < 1 || size > MOST || rank < 0 || rank >= size) {
        if (fd >= 0)
            close(fd);
        return INVALID_ARGUMENT;
    }
    void *at = mmap(NULL, sizeof(common_room), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    group_of *g = new (std::nothrow) group_of();
    close(fd);
    if (at == MAP_FAILED || !g) {
        delete g;
        return SYSTEM_ERROR;
    }
    g->room = static_cast<common_room *>(at);
    g->rank = rank;
    g->size = size;
    g->fails_at = number_of("DS_EMU_PEERS", rank);
    g->hangs_at = number_of("DS_EMU_PEERS_HANG", rank);
    may_hang(g);
    meet(g);
    if (rank == 0)
        unlink(id.path);
    *comm = g;
    return SUCCESS;
}
SHOWN int ncclCommAbort(void *comm)
{
    group_of *g = static_cast<group_of *>(comm);

    munmap(g->room, sizeof *g->room);
    delete g;
    return SUCCESS;
}

SHOWN int ncclGroupStart(void)
{
    depth++;
    return SUCCESS;
}
SHOWN int ncclGroupEnd(void)
{
    if (depth < 1)
        return INVALID_ARGUMENT;
    if (--depth > 0 || messages.empty())
        return SUCCESS;
    std::vector<message> all;
    all.swap(messages);
    return passed(messages_of, std::move(all), messages_on);
}

static int one_more(const message &m, int type, void *comm, cudaStream_t stream)
{
    if (depth < 1 || type != 0)
        return INVALID_ARGUMENT;
    messages_of = static_cast<group_of *>(comm);
    messages_on = stream;
    messages.push_back(m);
    return SUCCESS;
}
SHOWN int ncclSend(const void *p, size_t bytes, int type, int peer, void *comm, cudaStream_t stream)
{
    return one_more(message{peer, static_cast<const char *>(p), NULL, bytes}, type, comm, stream);
}
SHOWN int ncclRecv(void *p, size_t bytes, int type, int peer, void *comm, cudaStream_t stream)
{
    return one_more(message{peer, NULL, static_cast<char *>(p), bytes}, type, comm, stream);
}

SHOWN int ncclAllGather(const void *mine, void *to, size_t bytes, int type, void *comm,
                        cudaStream_t stream)
{
    group_of *g = static_cast<group_of *>(comm);
    std::vector<message> all;

    for (int i = 0; i < g->size; i++) {
        all.push_back(message{i, static_cast<const char *>(mine), NULL, bytes});
        all.push_back(message{i, NULL, static_cast<char *>(to) + (size_t)i * bytes, bytes});
    }
    return type == 0 ? passed(g, std::move(all), stream) : INVALID_ARGUMENT;
}
SHOWN int ncclBroadcast(const void *from, void *to, size_t bytes, int type, int root, void *comm,
                        cudaStream_t stream)
{
    group_of *g = static_cast<group_of *>(comm);
    std::vector<message> all;

    for (int i = 0; i < g->size && g->rank == root; i++)
        all.push_back(message{i, static_cast<const char *>(from), NULL, bytes});
    all.push_back(message{root, NULL, static_cast<char *>(to), bytes});
    return type == 0 ? passed(g, std::move(all), stream) : INVALID_ARGUMENT;
}
