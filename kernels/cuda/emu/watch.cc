/* watch.cc - who touches what in a launch. The kernels' sources, compiled for the host with
 * -fsanitize=thread, call what is here in place of that sanitizer's library: so each read and write
 * of theirs is held against the last ones of the same bytes.
 *
 * What it finds, and ends the run for: two threads of a block, one of which writes, without a
 * barrier between them (__syncthreads, or __syncwarp inside a warp: neither shuffles nor products
 * order memory); two blocks, one of which writes; shared memory that is read before its block wrote
 * it; shared memory that a product of a warpgroup reads without fence.proxy.async between its
 * writing and the barrier; 2 to 16 bytes at an address that is no multiple of them, and shared
 * memory past what was asked for. It does so whatever order the threads ran in.
 *
 * Memory is noted in fours of bytes, and by single bytes where less than four were touched.
 */
#include "emu.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

extern "C" char __executable_start[];
extern "C" char __data_start[], _end[]; /* the program's variables: static shared memory */

namespace {
constexpr uint16_t MANY = UINT16_MAX; /* threads of one warp */
constexpr uint8_t WARPS = UINT8_MAX;  /* threads of several */

struct note {
    uint32_t block;              /* by number, from 1 on; 0: nobody */
    uint32_t from;               /* the code, from the program's beginning on */
    uint16_t thread, syncs, own; /* its barriers of the block and of the warp before it */
    uint16_t fences;             /* and its proxy fences */
    uint8_t warp;
    bool blocks; /* others of the launch did so before */
};
struct cell {
    note wrote, read;
    bool parts; /* single bytes were touched */
};

/* Cells of a stretch of memory, made when they are touched. */
struct stretch {
    uintptr_t at;
    size_t bytes;
    cell *fours, *single;
};

stretch device, dynamic, fixed;
uint32_t number, first; /* of the block that runs, and of the launch's first one */
/* By thread of the block: at each of its proxy fences, the barriers of the block before it. */
std::vector<unsigned> fences[1024];

[[noreturn]] void die(const char *what, uintptr_t p, const note &was, uint32_t from)
{
    const emu::thread_state *t = emu::self;

    std::fprintf(stderr,
                 "emulated device: %s: %#lx (%s), thread %u of block %u,%u, at %#x; before: thread "
                 "%u of %s block, at %#x\n",
                 what, (unsigned long)p,
                 p - device.at < device.bytes ? "global memory" : "shared memory",
                 t->warp * 32 + t->lane, emu::block_at.x, emu::block_at.y, from, was.thread,
                 was.block == number ? "this" : "another", was.from);
    std::abort();
}

cell *cells(size_t n)
{
    void *p = mmap(nullptr, n * sizeof(cell), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED) {
        std::perror("emulated device: notes of its memory");
        std::abort();
    }
    madvise(p, n * sizeof(cell), MADV_NOHUGEPAGE);
    return static_cast<cell *>(p);
}

/* A stretch of at most so many bytes. */
void begin(stretch *s, const void *at, size_t bytes, size_t most)
{
    if (!s->fours) {
        s->fours = cells(most / 4 + 1);
        s->single = cells(most + 4);
    }
    s->at = (uintptr_t)at;
    s->bytes = bytes;
}

/* Did what is noted come before what the running thread does now? */
bool ordered(const stretch &s, const note &n)
{
    const emu::thread_state *t = emu::self;

    if (n.block != number) /* nobody, of another launch, or of another block's shared memory */
        return n.block < first || &s != &device;
    return (uint16_t)t->block_syncs != n.syncs ||
           (n.warp == t->warp &&
            (n.thread == t->warp * 32 + t->lane || (uint16_t)t->warp_syncs != n.own));
}

note mine(uint32_t from)
{
    const emu::thread_state *t = emu::self;
    const unsigned thread = t->warp * 32 + t->lane;

    return note{number,
                from,
                (uint16_t)thread,
                (uint16_t)t->block_syncs,
                (uint16_t)t->warp_syncs,
                (uint16_t)fences[thread].size(),
                (uint8_t)t->warp,
                false};
}

/* One more reader: those between the same barriers are noted together. */
void add_reader(note *was, const note &now)
{
    const bool others = was->block >= first && (was->block != number || was->blocks);

    if (was->block == number && was->syncs == now.syncs && was->thread != now.thread) {
        if (was->warp != now.warp) {
            was->warp = WARPS;
            was->thread = MANY;
        } else if (was->own == now.own) {
            was->thread = MANY;
        } else {
            *was = now;
        }
    } else {
        *was = now;
    }
    was->blocks = others;
}

void check(const stretch &s, const cell &c, uintptr_t p, bool write, uint32_t from)
{
    if (!ordered(s, c.wrote))
        die(write ? "written by two" : "read beside a write", p, c.wrote, from);
    if (write && !(ordered(s, c.read) && (&s != &device || c.read.block < first || !c.read.blocks)))
        die("written beside a read", p, c.read, from);
}

void note_down(cell *c, bool write, uint32_t from)
{
    if (write)
        c->wrote = mine(from);
    else
        add_reader(&c->read, mine(from));
}

/* What single bytes were written and read for is over: a write of all four came after it. */
void forget_parts(const stretch &s, size_t at)
{
    for (size_t i = 0; i < 4; i++)
        s.single[at + i] = cell{};
    s.fours[at / 4].parts = false;
}

void touch_part(const stretch &s, uintptr_t p, bool write, uint32_t from)
{
    const size_t at = p - s.at;
    cell *c = &s.single[at];

    s.fours[at / 4].parts = true;
    check(s, *c, p, write, from);
    check(s, s.fours[at / 4], p, write, from);
    if (!write && &s != &device && c->wrote.block != number &&
        s.fours[at / 4].wrote.block != number && (&s == &dynamic || c->wrote.block > 0))
        die("read before it is written", p, c->wrote, from);
    note_down(c, write, from);
}

bool wrote_parts(const stretch &s, size_t at)
{
    for (size_t i = 0; i < 4; i++)
        if (s.single[at + i].wrote.block != number)
            return false;
    return true;
}

void touch_four(const stretch &s, uintptr_t p, bool write, uint32_t from)
{
    const size_t at = p - s.at;
    cell *c = &s.fours[at / 4];

    check(s, *c, p, write, from);
    for (size_t i = 0; c->parts && i < 4; i++)
        check(s, s.single[at + i], p + i, write, from);
    if (!write && &s != &device && c->wrote.block != number &&
        (&s == &dynamic || c->wrote.block > 0) && !(c->parts && wrote_parts(s, at)))
        die("read before it is written", p, c->wrote, from);
    if (write && c->parts)
        forget_parts(s, at);
    note_down(c, write, from);
}

/* Where p lies; NULL: neither in the device's memory nor shared. */
const stretch *stretch_of(uintptr_t p)
{
    if (p - device.at < device.bytes)
        return &device;
    if (p - dynamic.at < dynamic.bytes + 1024) /* and a little past its end */
        return &dynamic;
    return p - fixed.at < fixed.bytes ? &fixed : nullptr;
}

void touch_in(const stretch &s, uintptr_t p, size_t bytes, bool write, uint32_t from)
{
    const uintptr_t end = p + bytes;

    if (end > s.at + s.bytes)
        die("past the end of shared memory", p, note{}, from);
    while (p < end)
        if (p % 4 == 0 && end - p >= 4) {
            touch_four(s, p, write, from);
            p += 4;
        } else {
            touch_part(s, p, write, from);
            p++;
        }
}

void touch_from(uintptr_t p, size_t bytes, bool write, uint32_t from)
{
    const stretch *s = emu::self ? stretch_of(p) : nullptr;

    if (s)
        touch_in(*s, p, bytes, write, from);
}

void touch(const void *p, size_t bytes, bool write)
{
    touch_from((uintptr_t)p, bytes, write, 0);
}

/* Who wrote this made it visible to the other proxy before the barrier that the reader passed. */
void check_visible(const note &wrote, uintptr_t p)
{
    if (wrote.block != number)
        return;
    const std::vector<unsigned> &after = fences[wrote.thread];
    if (wrote.fences >= after.size() || after[wrote.fences] >= emu::self->block_syncs)
        die("read by a product without a proxy fence behind its writing", p, wrote, 0);
}

void product(const void *p, size_t bytes)
{
    touch(p, bytes, false);
    for (size_t i = 0; i < bytes; i += 4) {
        const size_t at = (uintptr_t)p + i - dynamic.at;
        const cell &c = dynamic.fours[at / 4];
        check_visible(c.wrote, (uintptr_t)p + i);
        for (size_t b = 0; c.parts && b < 4; b++)
            check_visible(dynamic.single[at + b].wrote, (uintptr_t)p + i + b);
    }
}

void visible()
{
    const emu::thread_state *t = emu::self;

    fences[t->warp * 32 + t->lane].push_back(t->block_syncs);
}

void launch(size_t shared)
{
    const size_t variables = (size_t)(_end - __data_start);

    begin(&dynamic, emu::dynamic, shared, 227 << 10);
    begin(&fixed, __data_start, variables, variables);
    begin(&device, emu::device_space(), emu::DEVICE_SPACE, emu::DEVICE_SPACE);
    first = number + 1;
}

void block()
{
    number++;
    for (std::vector<unsigned> &f : fences)
        f.clear();
}

const emu::watcher here = {touch, product, visible, launch, block};

uint32_t code(const void *from)
{
    return (uint32_t)((uintptr_t)from - (uintptr_t)__executable_start);
}

/* `bytes` that begin at a multiple of them. Most are of a thread's own memory, which is found out
 * in place. */
[[gnu::always_inline]] inline void aligned(const void *p, size_t bytes, bool write,
                                           const void *from)
{
    const uintptr_t at = (uintptr_t)p;
    const stretch *s = emu::self ? stretch_of(at) : nullptr;

    if (!s)
        return;
    if (at % bytes)
        die("an address that is no multiple of what is moved", at, note{}, code(from));
    touch_in(*s, at, bytes, write, code(from));
}
} // namespace

/* What the compiler has put before reads and writes. */
extern "C" {
#define HERE __builtin_return_address(0)
#define WATCHED(n)                                                                                 \
    void __tsan_read##n(const void *p)                                                             \
    {                                                                                              \
        aligned(p, n, false, HERE);                                                                \
    }                                                                                              \
    void __tsan_write##n(const void *p)                                                            \
    {                                                                                              \
        aligned(p, n, true, HERE);                                                                 \
    }                                                                                              \
    void __tsan_unaligned_read##n(const void *p)                                                   \
    {                                                                                              \
        touch_from((uintptr_t)p, n, false, code(HERE));                                            \
    }                                                                                              \
    void __tsan_unaligned_write##n(const void *p)                                                  \
    {                                                                                              \
        touch_from((uintptr_t)p, n, true, code(HERE));                                             \
    }
WATCHED(1)
WATCHED(2)
WATCHED(4)
WATCHED(8)
WATCHED(16)
void __tsan_read_range(const void *p, size_t bytes)
{
    touch_from((uintptr_t)p, bytes, false, code(HERE));
}
void __tsan_write_range(const void *p, size_t bytes)
{
    touch_from((uintptr_t)p, bytes, true, code(HERE));
}
void __tsan_vptr_update(void **, void *) {}
void __tsan_vptr_read(void **) {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit(void) {}
void __tsan_init(void)
{
    emu::watching = &here;
}
}
