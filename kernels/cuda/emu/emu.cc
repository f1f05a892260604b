/* emu.cc - fibers in place of threads. One goes on where it was by a jump on x86-64; elsewhere by
 * swapcontext, which asks the system each time. AddressSanitizer is told. */
#include "emu.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#if defined(__x86_64__) && !defined(EMU_SWAPCONTEXT)
#define EMU_SWITCH 1
#else
#define EMU_SWITCH 0
#include <ucontext.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace emu {
thread_state *self;
dim3 block_at, block_dim, grid_dim;
unsigned char *dynamic;
const watcher *watching;

namespace {
constexpr size_t STACK = 128 << 10;
/* Stacks that all began at the same place of a page would share few lines of a cache: so each
 * begins three lines further than the one before it. */
constexpr size_t STAGGER = 192, STAGGERS = 43;

struct meeting { /* of a block or of a warp */
    unsigned here = 0, members = 0;
    uint64_t turn = 0;
};

/* Where a fiber, or the scheduler, goes on. */
#if EMU_SWITCH
struct place {
    void *stack, *next, *frame;
};
#else
using place = ucontext_t;
#endif

/* What a lane makes together with the others of its warp, and where its source has it. */
struct step {
    const char *what;
    spot at;
};

struct fiber {
    thread_state state;
    place at;
    const meeting *waits = nullptr;
    uint64_t turn = 0; /* of the meeting it waits for */
    step last = {};    /* which is there */
    bool done = false;
    void *fake = nullptr;
    std::unique_ptr<unsigned char[]> stack;
};

struct lanes {
    meeting met;
    unsigned char slot[2][32 * 64]; /* in turns, so that one barrier an exchange is enough */
    unsigned flip[32];
    /* Since all its lanes met: the steps, as the first lane to come made them; how many each has.
     */
    std::vector<step> steps;
    unsigned made[32];
};

/* A product that a warpgroup was asked for, as the first of its threads asked. */
struct asked {
    uint64_t left, right;
    spot at;
};

place home;
void *home_fake;
const void *home_stack;
size_t home_size;
std::vector<std::unique_ptr<fiber>> fibers; /* those that a block needs come first */
/* What of a block, or of one of its warps, is not done, in the order of the last turn. */
std::vector<fiber *> left;
std::vector<std::vector<fiber *>> left_of;
std::vector<lanes> warps;
std::vector<std::vector<asked>> groups; /* of four warps: products since the block began */
const char *kernel_name = "";
meeting everyone;
const std::function<void()> *body;
uint64_t random_state;

} // namespace

uint32_t draw()
{
    const char *seed = random_state ? nullptr : std::getenv("DS_EMU_SEED");

    if (random_state == 0)
        random_state = seed ? std::strtoull(seed, nullptr, 10) | 1 : 1;
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

namespace {
uint32_t draw_below(uint32_t n)
{
    return (uint32_t)((uint64_t)draw() * n >> 31);
}

fiber *running()
{
    return reinterpret_cast<fiber *>(self); /* state is its first member */
}

[[noreturn]] void die(const char *what)
{
    std::fprintf(stderr, "emulated device: %s (%s, block %u,%u,%u)\n", what, kernel_name,
                 block_at.x, block_at.y, block_at.z);
    std::abort();
}

/* With the thread, and what it is at. */
[[noreturn]] void die_at(const char *what, unsigned thread, const step &s)
{
    char text[512];

    std::snprintf(text, sizeof text, "%s: thread %u at %s, %s:%u", what, thread, s.what,
                  s.at.file_name(), (unsigned)s.at.line());
    die(text);
}

#if defined(__SANITIZE_ADDRESS__)
void leaves(void **fake, const void *stack, size_t bytes)
{
    __sanitizer_start_switch_fiber(fake, stack, bytes);
}
void arrives(void *fake, const void **stack, size_t *bytes)
{
    __sanitizer_finish_switch_fiber(fake, stack, bytes);
}
#else
void leaves(void **, const void *, size_t) {}
void arrives(void *, const void **, size_t *) {}
#endif

#if EMU_SWITCH
/* Where its stack is, what comes next and the frame's register are kept; of the others the compiler
 * keeps what it needs. */
inline void go(place *from, place *to)
{
    asm volatile("movq %%rsp, (%0)\n\t"
                 "leaq 1f(%%rip), %%rax\n\t"
                 "movq %%rax, 8(%0)\n\t"
                 "movq %%rbp, 16(%0)\n\t"
                 "movq (%1), %%rsp\n\t"
                 "movq 16(%1), %%rbp\n\t"
                 "jmp *8(%1)\n"
                 "1:\tendbr64"
                 : "+D"(from), "+S"(to)
                 :
                 : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
                   "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                   "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "st", "st(1)", "st(2)",
                   "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "memory", "cc");
}
#else
inline void go(place *from, place *to)
{
    swapcontext(from, to);
}
#endif

inline void go_home()
{
    fiber *f = running();

    leaves(&f->fake, home_stack, home_size);
    go(&f->at, &home);
    arrives(f->fake, nullptr, nullptr);
}
inline void go_to(fiber *f)
{
    leaves(&home_fake, f->stack.get(), STACK);
    go(&home, &f->at);
    arrives(home_fake, nullptr, nullptr);
}

/* A fiber runs a thread of each block that has so many. */
void enter()
{
    arrives(nullptr, &home_stack, &home_size);
    for (;;) {
        (*body)();
        if (!self->copies.empty())
            die("a thread ends before its copies to shared memory do");
        if (!self->products.empty())
            die("a thread ends before its products do");
        together("its end", spot());
        running()->done = true;
        go_home();
    }
}

/* All lanes of it are at one place: what they did to come there need not be known. */
void all_here(lanes *w)
{
    w->steps.clear();
    std::memset(w->made, 0, sizeof w->made);
}

inline bool same_place(const spot &a, const spot &b)
{
    return a.line() == b.line() &&
           (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

inline void meet(meeting *m, const char *what, spot at)
{
    fiber *f = running();

    together(what, at);
    f->last = step{what, at};
    if (++m->here == m->members) {
        m->here = 0;
        m->turn++;
        if (m == &everyone)
            for (lanes &w : warps)
                all_here(&w);
        else
            all_here(&warps[f->state.warp]);
    } else {
        f->waits = m;
        f->turn = m->turn;
    }
    go_home(); /* the last to come yields as well: who goes on first is drawn */
}

inline void resume(fiber *f)
{
    self = &f->state;
    go_to(f);
    self = nullptr;
}

bool runnable(const fiber &f)
{
    return !f.done && !(f.waits && f.waits->turn == f.turn);
}

/* Each of these as far as its next barrier, in a new order; false when none could move. */
bool run_once(std::vector<fiber *> *these)
{
    bool moved = false, done = false;

    for (size_t i = these->size(); i > 1; i--)
        std::swap((*these)[i - 1], (*these)[draw_below((uint32_t)i)]);
    for (fiber *f : *these) {
        if (!runnable(*f))
            continue;
        f->waits = nullptr;
        resume(f);
        moved = true;
        done |= f->done;
    }
    if (done)
        std::erase_if(*these, [](const fiber *f) { return f->done; });
    return moved;
}

/* Runs the fibers of a block until all are done. Now and then one warp goes on alone for as long as
 * it can, so that it overtakes the others as far as the barriers of the block allow. */
void run_block()
{
    const unsigned all = (unsigned)warps.size();

    while (!left.empty()) {
        if (!run_once(&left)) {
            const thread_state &t = left[0]->state;
            die_at("some threads wait at a barrier that others never reach", t.warp * 32 + t.lane,
                   left[0]->last);
        }
        const unsigned ahead = draw_below(2 * all);
        if (ahead >= all)
            continue;
        while (run_once(&left_of[ahead]))
            ;
        std::erase_if(left, [](const fiber *f) { return f->done; });
    }
}

#if EMU_SWITCH
/* It begins as if enter had been called, by nobody. */
void set_out(fiber *f, size_t below)
{
    void **top = reinterpret_cast<void **>(
        (reinterpret_cast<uintptr_t>(f->stack.get()) + STACK - below) / 16 * 16);

    top[-1] = nullptr;
    f->at = place{top - 1, reinterpret_cast<void *>(enter), nullptr};
}
#else
void set_out(fiber *f, size_t below)
{
    getcontext(&f->at);
    f->at.uc_stack.ss_sp = f->stack.get();
    f->at.uc_stack.ss_size = STACK - below;
    f->at.uc_link = nullptr;
    makecontext(&f->at, enter, 0);
}
#endif

void add_fiber()
{
    std::unique_ptr<fiber> f(new fiber);

    f->stack.reset(new unsigned char[STACK]);
    set_out(f.get(), fibers.size() % STAGGERS * STAGGER);
    fibers.push_back(std::move(f));
}

/* Those of a launch whose blocks have n threads. */
void set_fibers(unsigned n)
{
    while (fibers.size() < n)
        add_fiber();
    warps.resize(n / 32);
    left_of.resize(n / 32);
    groups.resize((n + 127) / 128);
    for (unsigned i = 0; i < n; i++) {
        thread_state *t = &fibers[i]->state;
        t->tid =
            dim3(i % block_dim.x, i / block_dim.x % block_dim.y, i / block_dim.x / block_dim.y);
        t->lane = i % 32;
        t->warp = i / 32;
    }
}

void begin_block(unsigned n)
{
    everyone = meeting();
    everyone.members = n;
    left.clear();
    for (unsigned w = 0; w < n / 32; w++) {
        warps[w].met = meeting();
        warps[w].met.members = 32;
        std::memset(warps[w].flip, 0, sizeof warps[w].flip);
        all_here(&warps[w]);
        left_of[w].clear();
    }
    for (std::vector<asked> &g : groups)
        g.clear();
    for (unsigned i = 0; i < n; i++) {
        fiber *f = fibers[i].get();
        thread_state *t = &f->state;
        t->groups = t->product_groups = t->block_syncs = t->warp_syncs = 0;
        t->products_asked = 0;
        t->fenced = false;
        f->waits = nullptr;
        f->done = false;
        left.push_back(f);
        left_of[i / 32].push_back(f);
    }
}

/* ---- device memory: one reservation, unreadable between launches ---- */

constexpr size_t PAGE = 4096;

struct span {
    size_t at, bytes;
};

unsigned char *space;
std::vector<span> spans; /* in use, ascending, with an unreadable page after each */

bool is_open;

void protect(const span &s, bool open)
{
    if (mprotect(space + s.at, s.bytes, open ? PROT_READ | PROT_WRITE : PROT_NONE))
        die("memory cannot be protected");
}

} // namespace

void open_memory()
{
    for (const span &s : spans)
        if (!is_open)
            protect(s, true);
    is_open = true;
}

/* One time in four: it costs two system calls an allocation, and whoever touches device memory does
 * so again and again. */
void close_memory()
{
    if (draw() % 4)
        return;
    for (const span &s : spans)
        protect(s, false);
    is_open = false;
}

void launch(const char *name, dim3 grid, dim3 block, size_t shared,
            const std::function<void()> &kernel)
{
    std::vector<unsigned char> memory(shared + 2048);

    kernel_name = name;
    if (grid.x == 0 || grid.y == 0 || grid.z == 0)
        die("an empty grid");
    if (block.x * block.y * block.z > 1024 || block.x * block.y * block.z % 32)
        die("a block is up to 1024 threads, whole warps");
    if (shared > 227 << 10)
        die("more shared memory than a device has");
    dynamic = memory.data() + (1024 - (uintptr_t)memory.data() % 1024);
    body = &kernel;
    grid_dim = grid;
    block_dim = block;
    open_memory();
    set_fibers(block.x * block.y * block.z);
    if (watching)
        watching->launch(shared);
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                block_at = dim3(x, y, z);
                std::memset(memory.data(), 0xff, memory.size());
                begin_block(block.x * block.y * block.z);
                if (watching)
                    watching->block();
                run_block();
            }
    close_memory();
    body = nullptr;
}

void together(const char *what, spot at)
{
    lanes *w = &warps[self->warp];
    const unsigned n = w->made[self->lane]++;

    if (n == w->steps.size()) {
        w->steps.push_back(step{what, at});
        return;
    }
    const step &s = w->steps[n];
    if ((s.what == what || std::strcmp(s.what, what) == 0) && same_place(s.at, at))
        return;
    char text[256];
    std::snprintf(text, sizeof text, "lanes of a warp part: one is at %s, %s:%u, and", s.what,
                  s.at.file_name(), (unsigned)s.at.line());
    die_at(text, self->warp * 32 + self->lane, step{what, at});
}

void barrier(spot at)
{
    meet(&everyone, "__syncthreads", at);
    self->block_syncs++;
}

void lockstep(spot at)
{
    meet(&warps[self->warp].met, "lockstep", at);
}

void warp_barrier(spot at)
{
    meet(&warps[self->warp].met, "__syncwarp", at);
    self->warp_syncs++;
}

const unsigned char *exchange(const void *mine, size_t bytes, const char *what, spot at)
{
    lanes *w = &warps[self->warp];
    unsigned char *slot = w->slot[w->flip[self->lane]++ & 1];

    if (bytes > 64)
        die("an exchange of more than 64 bytes");
    if (bytes == 4) /* most of them */
        std::memcpy(slot + 64 * self->lane, mine, 4);
    else
        std::memcpy(slot + 64 * self->lane, mine, bytes);
    meet(&w->met, what, at);
    return slot;
}

void aligned16(const void *p)
{
    if ((uintptr_t)p % 16)
        die("an address that is no multiple of 16");
}

alignas(16) const unsigned char zeros[16] = {};

void copy_later(void *to, const void *from)
{
    aligned16(to);
    aligned16(from);
    if (watching)
        watching->touch(to, 16, true);
    std::memset(to, 0xff, 16);
    self->copies.push_back(copy{to, from, self->groups});
}

void copies_commit()
{
    self->groups++;
}

void copies_wait(unsigned left)
{
    std::erase_if(self->copies, [left](const copy &c) {
        if (c.group + left >= self->groups)
            return false;
        if (watching) {
            watching->touch(c.from, 16, false);
            watching->touch(c.to, 16, true);
        }
        std::memcpy(c.to, c.from, 16);
        return true;
    });
}

void products_fence(spot at)
{
    together("wgmma.fence", at);
    self->fenced = true;
}

namespace {
constexpr uint32_t AWAY = 0x7fa5a5a5; /* of sums that are elsewhere: a signalling NaN, which turns
                                       * into a quiet one when something is made of it */

sums *sums_at(const float *at)
{
    for (sums &s : self->sums_of)
        if (s.at == at)
            return &s;
    return nullptr;
}

/* What has products on their way is as it was left. */
void check_away(const sums &s)
{
    for (size_t i = 0; i < s.of.size(); i++)
        if (std::memcmp(s.at + i, &AWAY, sizeof AWAY) != 0)
            die("sums of a product were touched before it was waited for");
}

void make_product(product *p)
{
    if (!p->made)
        p->make(sums_at(p->at)->of.data());
    p->made = true;
}

/* Swizzled rows begin at a multiple of eight of them: descriptors here tell of no other offset. */
bool within_eight_rows(uint64_t descriptor)
{
    return (descriptor & 0x3fff) << 4 >> 7 & 7;
}

/* The n-th product that a thread asks for is the n-th of the others of its warpgroup. */
void check_operands(const operands &of, spot at)
{
    std::vector<asked> *all = &groups[self->warp / 4];
    const unsigned n = self->products_asked++;
    const step here = {"wgmma.mma_async", at};

    if ((!of.words && within_eight_rows(of.left)) || within_eight_rows(of.right))
        die_at("an operand does not begin at the first of eight rows", self->warp * 32 + self->lane,
               here);
    if (n == all->size())
        all->push_back(asked{of.left, of.right, at});
    const asked &first = (*all)[n];
    if (first.left != of.left || first.right != of.right || !same_place(first.at, at))
        die_at("a warpgroup's threads ask for different products", self->warp * 32 + self->lane,
               here);
}

void end_product(product *p)
{
    sums *s = sums_at(p->at);

    p->read();
    make_product(p);
    check_away(*s);
    if (p->left && std::memcmp(p->left, p->was, sizeof p->was) != 0)
        die("a product's left operand was touched before it was waited for");
    if (--s->products > 0)
        return;
    std::memcpy(s->at, s->of.data(), s->of.size() * sizeof(float));
    self->sums_of.erase(self->sums_of.begin() + (s - self->sums_of.data()));
}
} // namespace

void product_later(float *at, unsigned n, const operands &of, std::function<void()> read,
                   std::function<void(float *)> make, spot where)
{
    product p = {at, std::move(read), std::move(make), false, self->product_groups, of.words, {}};
    sums *s = sums_at(at);

    together("wgmma.mma_async", where);
    if (!self->fenced)
        die("a product of a warpgroup without wgmma.fence before it");
    check_operands(of, where);
    p.read();
    if (s) {
        check_away(*s);
    } else {
        self->sums_of.push_back(sums{at, std::vector<float>(at, at + n), 0});
        s = &self->sums_of.back();
        for (unsigned i = 0; i < n; i++)
            std::memcpy(at + i, &AWAY, sizeof AWAY);
    }
    s->products++;
    if (of.words)
        std::memcpy(p.was, of.words, sizeof p.was);
    self->products.push_back(std::move(p));
    if (draw() % 2)
        for (product &q : self->products)
            make_product(&q);
}

void products_commit(spot at)
{
    together("wgmma.commit_group", at);
    self->product_groups++;
}

void products_wait(unsigned left, spot at)
{
    std::vector<product> *all = &self->products;
    size_t done = 0;

    together("wgmma.wait_group", at);
    for (; done < all->size() && (*all)[done].group + left < self->product_groups; done++)
        end_product(&(*all)[done]);
    all->erase(all->begin(), all->begin() + (long)done);
    self->fenced = false;
}

void *device_alloc(size_t bytes)
{
    const size_t size = (bytes + PAGE - 1) / PAGE * PAGE + (bytes == 0 ? PAGE : 0);
    size_t at = 0, i = 0;

    if (!space) {
        void *p = mmap(nullptr, DEVICE_SPACE, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED)
            return nullptr;
        space = static_cast<unsigned char *>(p);
    }
    for (; i < spans.size() && spans[i].at - at < size + PAGE; i++)
        at = spans[i].at + spans[i].bytes + PAGE;
    if (bytes > DEVICE_SPACE || at + size + PAGE > DEVICE_SPACE)
        return nullptr;
    spans.insert(spans.begin() + (long)i, span{at, size});
    if (is_open)
        protect(spans[i], true);
    /* what is asked for ends where its last page ends, but for alignment: an index that is one too
     * large leaves the mapping */
    return space + at + (size - (bytes + 63) / 64 * 64);
}

void device_free(void *p)
{
    const size_t at = (size_t)(static_cast<unsigned char *>(p) - space);

    for (size_t i = 0; p && i < spans.size(); i++)
        if (at >= spans[i].at && at < spans[i].at + spans[i].bytes) {
            protect(spans[i], false);
            madvise(space + spans[i].at, spans[i].bytes, MADV_DONTNEED);
            spans.erase(spans.begin() + (long)i);
            return;
        }
    if (p)
        die("memory is freed that was not allocated");
}

const unsigned char *device_space()
{
    return space;
}

void device_copy(void *dst, const void *src, size_t bytes)
{
    open_memory();
    std::memmove(dst, src, bytes);
    close_memory();
}

void device_fill(void *dst, int value, size_t bytes)
{
    open_memory();
    std::memset(dst, value, bytes);
    close_memory();
}
} // namespace emu
