/* rtpeersemu.cc - several emulated devices, each in a process of its own: what they give each other
 * goes through a file that all of them have mapped, a part at a time. DS_EMU_PEERS=0: there is
 * nothing to join them by; =N: call number N fails, in the process of rank 1.
 */
#include "rt.h"

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <new>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {
constexpr int MOST = 16;
constexpr size_t PART = 32 << 10;

struct common_room { /* begins as zeros */
    std::atomic<uint32_t> here, turn;
    char part[MOST][MOST][PART]; /* from whom, for whom */
};
} // namespace

struct rt_peers {
    common_room *room;
    int rank, size, calls, fails_at;
};

static int asked_to_fail()
{
    const char *v = getenv("DS_EMU_PEERS");

    return v ? (int)strtol(v, NULL, 10) : -1;
}

int rt_peers_id(dev_rt *, char id[DS_KPEERS_ID], ds_err *err)
{
    const char *dir = getenv("TMPDIR");

    if (asked_to_fail() == 0)
        return ds_fail(err, DS_FAIL, "the emulated device has no peers");
    if (!id)
        return 0;
    const int n = snprintf(id, DS_KPEERS_ID, "%s/ds-peers-XXXXXX", dir && *dir ? dir : "/tmp");
    const int fd = n < DS_KPEERS_ID ? mkostemp(id, O_CLOEXEC) : -1;
    const int rc = fd >= 0 && ftruncate(fd, sizeof(common_room)) == 0
                       ? 0
                       : ds_fail_errno(err, errno, "%s", id);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* All are here, and none goes on before. */
static void meet(rt_peers *p)
{
    const uint32_t turn = p->room->turn;

    if (++p->room->here == (uint32_t)p->size) {
        p->room->here = 0;
        p->room->turn++;
        syscall(SYS_futex, &p->room->turn, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    }
    while (p->room->turn == turn)
        syscall(SYS_futex, &p->room->turn, FUTEX_WAIT, turn, NULL, NULL, 0);
}

int rt_peers_join(dev_rt *rt, const char id[DS_KPEERS_ID], int rank, int size, ds_err *err)
{
    rt_peers *p = new (std::nothrow) rt_peers();
    const int fd = open(id, O_RDWR | O_CLOEXEC);

    *rt_peers_of(rt) = p;
    if (!p || fd < 0 || size > MOST) {
        if (fd >= 0)
            close(fd);
        return ds_fail(err, DS_FAIL, "%d emulated devices cannot be joined", size);
    }
    void *at = mmap(NULL, sizeof *p->room, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED)
        return ds_fail_errno(err, errno, "%s", id);
    p->room = static_cast<common_room *>(at);
    p->rank = rank;
    p->size = size;
    p->fails_at = rank == 1 ? asked_to_fail() : -1;
    meet(p);
    if (rank == 0)
        unlink(id);
    return 0;
}

const char *rt_peers_name(dev_rt *)
{
    return "emulated peers";
}

/* Everybody calls with the same bytes. `each`: mine has a piece for everyone; else all get the
 * same, of `from` alone where that is a rank. */
static int give(dev_rt *rt, char *all, const char *mine, size_t bytes, bool each, int from,
                ds_err *err)
{
    rt_peers *p = *rt_peers_of(rt);
    common_room *r = p->room;

    if (++p->calls == p->fails_at)
        return ds_fail(err, DS_FAIL, "the emulated device was told to fail");
    for (size_t at = 0; at < bytes; at += PART) {
        const size_t n = bytes - at < PART ? bytes - at : PART;
        for (int i = 0; i < p->size && (from < 0 || from == p->rank); i++)
            emu::device_copy(r->part[p->rank][i], mine + (each ? (size_t)i * bytes : 0) + at, n);
        meet(p);
        for (int i = 0; i < p->size; i++)
            if (from < 0 || from == i)
                emu::device_copy(all + (from < 0 ? (size_t)i * bytes : 0) + at, r->part[i][p->rank],
                                 n);
        meet(p);
    }
    return 0;
}

int rt_peers_gather(dev_rt *rt, void *all, const void *mine, size_t bytes, ds_err *err)
{
    return give(rt, static_cast<char *>(all), static_cast<const char *>(mine), bytes, false, -1,
                err);
}

int rt_peers_exchange(dev_rt *rt, void *all, const void *mine, size_t bytes, ds_err *err)
{
    return give(rt, static_cast<char *>(all), static_cast<const char *>(mine), bytes, true, -1,
                err);
}

int rt_peers_spread(dev_rt *rt, void *data, size_t bytes, int root, ds_err *err)
{
    return give(rt, static_cast<char *>(data), static_cast<const char *>(data), bytes, false, root,
                err);
}

void rt_peers_leave(dev_rt *rt)
{
    rt_peers **p = rt_peers_of(rt);

    if (*p && (*p)->room)
        munmap((*p)->room, sizeof *(*p)->room);
    delete *p;
    *p = NULL;
}
