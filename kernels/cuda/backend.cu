/* backend.cu - the CUDA backend's table. */
#include "backend.h"

#include <cstdio>
#include <cstdlib>

#include "cudak.h"

struct cuda_backend {
    ds_kernels table; /* first: what is handed out is this */
    char detail[512];
};

static int dev_alloc(ds_kernels *k, void **p, size_t bytes, ds_err *err)
{
    return rt_alloc(rt_of(k), p, bytes, err);
}
static void dev_free(ds_kernels *k, void *p)
{
    rt_free(rt_of(k), p);
}
static int dev_upload(ds_kernels *k, void *dst, const void *host, size_t bytes, ds_err *err)
{
    return rt_upload(rt_of(k), dst, host, bytes, err);
}
static int dev_download(ds_kernels *k, void *host, const void *src, size_t bytes, ds_err *err)
{
    return rt_download(rt_of(k), host, src, bytes, err);
}
static int dev_zero(ds_kernels *k, void *p, size_t bytes, ds_err *err)
{
    return rt_zero(rt_of(k), p, bytes, err);
}
static int dev_sync(ds_kernels *k, ds_err *err)
{
    return rt_sync(rt_of(k), err);
}
static void dev_memory(ds_kernels *k, ds_kmem *m)
{
    *m = rt_mem_of(rt_of(k))->about;
    rt_system_memory(rt_of(k), &m->free, &m->total);
}
static int dev_reserve(ds_kernels *k, size_t bytes, const size_t scratch[DS_KSLOTS], ds_err *err)
{
    return rt_reserve(rt_of(k), bytes, scratch, err);
}
static void dev_keep(ds_kernels *, const void *) /* nothing is made of operands that could stay */
{
}
static int work_begin(ds_kernels *k, const ds_kwork *w, bool *done, ds_err *err)
{
    return rt_work_begin(rt_of(k), w, !k->eager, done, err);
}
static int work_end(ds_kernels *k, bool whole, ds_err *err)
{
    return rt_work_end(rt_of(k), whole, err);
}
static int work_ahead(ds_kernels *k, const ds_kwork *w, ds_err *err)
{
    return rt_work_ahead(rt_of(k), w, err);
}
static void work_forget(ds_kernels *k, const void *of)
{
    rt_work_forget(rt_of(k), of);
}
static void worked(ds_kernels *k, int64_t *captured, int64_t *launched)
{
    rt_worked(rt_of(k), captured, launched);
}
static int peers_id(ds_kernels *k, char id[DS_KPEERS_ID], ds_err *err)
{
    return rt_peers_id(rt_of(k), id, err);
}
/* What they are joined by is no part of what bits depend on, so it stands behind a semicolon. */
static int peers_join(ds_kernels *k, const char id[DS_KPEERS_ID], int rank, int size, ds_err *err)
{
    cuda_backend *b = reinterpret_cast<cuda_backend *>(k);

    TRY(rt_peers_join(rt_of(k), id, rank, size, err));
    const size_t n = strlen(b->detail);
    snprintf(b->detail + n, sizeof b->detail - n, "; %s", rt_peers_name(rt_of(k)));
    return 0;
}
static int peers_gather(ds_kernels *k, void *all, const void *mine, size_t bytes, ds_err *err)
{
    return rt_peers_gather(rt_of(k), all, mine, bytes, err);
}
static int peers_exchange(ds_kernels *k, void *all, const void *mine, size_t bytes, ds_err *err)
{
    return rt_peers_exchange(rt_of(k), all, mine, bytes, err);
}
static int peers_spread(ds_kernels *k, void *data, size_t bytes, int root, ds_err *err)
{
    return rt_peers_spread(rt_of(k), data, bytes, root, err);
}
static void dev_close(ds_kernels *k)
{
    if (!k)
        return;
    if (k->ctx)
        rt_close(rt_of(k));
    free(k); /* the backend begins with it */
}

/* An operand in f32, in scratch where it is not. */
static int as_f32(ds_kernels *k, int slot, const size_t room[DS_KSLOTS], const void **x,
                  enum ds_kfmt *f, ds_err *err)
{
    void *to;

    if (*f == DS_KF32)
        return 0;
    TRY(rt_scratch(rt_of(k), slot, &to, room[slot], err));
    TRY(k->convert(k, to, DS_KF32, *x, *f, (int64_t)(room[slot] / sizeof(float)), err));
    *x = to;
    *f = DS_KF32;
    return 0;
}

static size_t plans(ds_kernels *k, const ds_kplan **list)
{
    return rt_plans(rt_of(k), list);
}
static int plans_again(ds_kernels *k, const ds_kplan *list, size_t n, ds_err *err)
{
    return rt_plans_again(rt_of(k), list, n, err);
}

/* What the library cannot do beside a product is done after it. */
static int product(ds_kernels *k, const rt_product *p, ds_err *err)
{
    rt_product plain = *p;
    bool none;

    TRY(rt_matmul(rt_of(k), p, &none, err));
    if (!none)
        return 0;
    if (!p->bias)
        return ds_cuda_product(rt_of(k), p, err);
    plain.bias = NULL;
    TRY(product(k, &plain, err));
    return k->bias(k, p->c, p->bias, p->fc, p->m, p->n, err);
}

/* The library multiplies operands of one format, into f32 or into theirs: the rest goes through
 * conversions. It splits no sum, so thin products are not its own; those that it once computed in a
 * run stay. */
static int matmul(ds_kernels *k, void *c, enum ds_kfmt fc, const void *a, enum ds_kfmt fa, bool ta,
                  const void *b, enum ds_kfmt fb, bool tb, int64_t m, int64_t n, int64_t kk,
                  float alpha, bool accumulate, ds_err *err)
{
    rt_product p = {c,          a, b, fc, fa,    fb,           ta,   tb,
                    accumulate, m, n, kk, alpha, !k->unlisted, NULL, NULL};
    size_t room[DS_KSLOTS];
    void *full;

    if (m <= 0 || n <= 0)
        return 0;
    if (kk <= 0)
        return accumulate ? 0 : rt_zero(rt_of(k), c, (size_t)(m * n) * ds_kfmt_size(fc), err);
    ds_scratch_product(room, fc, fa, fb, ta, tb, m, n, kk);
    if (room[0] && fits16(a) && fits16(b) && !rt_told(rt_of(k), &p))
        return ds_cuda_thin(rt_of(k), &p, room[0], err);
    if (fa != fb) {
        TRY(as_f32(k, 1, room, &p.a, &p.fa, err));
        TRY(as_f32(k, 2, room, &p.b, &p.fb, err));
    }
    if (!room[3])
        return product(k, &p, err);
    TRY(rt_scratch(rt_of(k), 3, &full, room[3], err));
    if (accumulate)
        TRY(k->convert(k, full, DS_KF32, c, fc, m * n, err));
    p.c = full;
    p.fc = DS_KF32;
    TRY(product(k, &p, err));
    return k->convert(k, c, fc, full, DS_KF32, m * n, err);
}

/* One product after the other. Into two bytes the shorter sum comes first: an adapter's, whose
 * rounding is small beside that of the whole; so the result is not written in f32 in between. */
static int matmul2(ds_kernels *k, void *c, enum ds_kfmt fc, enum ds_kfmt f, bool tb,
                   const ds_kterm term[2], int64_t m, int64_t n, bool accumulate, ds_err *err)
{
    const int first = fc != DS_KF32 && term[1].k < term[0].k;

    for (int i = 0; i < 2; i++) {
        const ds_kterm *t = &term[i ^ first];
        TRY(matmul(k, c, fc, t->a, f, false, t->b, f, tb, m, n, t->k, 1.0f, accumulate || i == 1,
                   err));
    }
    return 0;
}

/* Operands and result have one format: nothing is converted. The bias comes with what is added
 * last, the product itself; the shorter one, an adapter's, comes first. */
static int linear(ds_kernels *k, void *y, enum ds_kfmt f, const ds_kterm term[2], const void *bias,
                  int64_t t, int64_t n, ds_err *err)
{
    const bool two = term[1].k > 0;
    rt_product p = {y,         term[0].a, term[0].b,    f,    f,   f, false, true, two, t, n,
                    term[0].k, 1.0f,      !k->unlisted, bias, NULL};

    if (t <= 0 || n <= 0)
        return 0;
    if (two)
        TRY(matmul(k, y, f, term[1].a, f, false, term[1].b, f, true, t, n, term[1].k, 1.0f, false,
                   err));
    return product(k, &p, err);
}

static int linear_back(ds_kernels *k, float *dw, float *db, const void *dy, const void *x,
                       enum ds_kfmt f, int64_t t, int64_t n, int64_t kk, ds_err *err)
{
    rt_product p = {dw, dy, x,    DS_KF32,      f,    f,   true, false, true, n,
                    kk, t,  1.0f, !k->unlisted, NULL, NULL};
    bool none;

    if (t <= 0)
        return 0;
    TRY(rt_scratch(rt_of(k), 0, &p.bias_back, ds_scratch_sums(t, n), err));
    TRY(rt_matmul(rt_of(k), &p, &none, err));
    if (!none)
        return ds_cuda_add_parts(rt_of(k), db, static_cast<const float *>(p.bias_back), 1, n, true,
                                 err);
    p.bias_back = NULL;
    TRY(product(k, &p, err));
    return k->bias_back(k, db, dy, f, t, n, err);
}

extern "C" int ds_cuda_open(ds_kernels **out, int abi, int device, ds_err *err)
{
    cuda_backend *b;
    dev_rt *rt;

    if (abi != DS_KERNELS_ABI)
        return ds_fail(err, DS_FAIL,
                       "the CUDA plugin speaks version %d of the interface, this "
                       "program version %d: they are of two builds",
                       DS_KERNELS_ABI, abi);
    b = static_cast<cuda_backend *>(calloc(1, sizeof *b));
    if (!b)
        return ds_fail_nomem(err);
    const int rc = rt_open(&rt, device, err);
    if (rc) {
        free(b);
        return rc;
    }
    ds_kernels *k = &b->table;
    snprintf(b->detail, sizeof b->detail, "%s", rt_name(rt));
    k->ctx = rt;
    k->name = "cuda";
    k->detail = b->detail;
    k->logits = DS_DEVICE_LOGITS;
    k->result = DS_DEVICE_RESULT;
    k->alloc = dev_alloc;
    k->free = dev_free;
    k->upload = dev_upload;
    k->download = dev_download;
    k->zero = dev_zero;
    k->sync = dev_sync;
    k->memory = dev_memory;
    k->reserve = dev_reserve;
    k->work_begin = work_begin;
    k->work_end = work_end;
    k->work_ahead = work_ahead;
    k->work_forget = work_forget;
    k->worked = worked;
    k->hold = dev_keep;
    k->release = dev_keep;
    k->close = dev_close;
    k->peers_id = peers_id;
    k->peers_join = peers_join;
    k->peers_gather = peers_gather;
    k->peers_exchange = peers_exchange;
    k->peers_spread = peers_spread;
    k->plans = plans;
    k->plans_again = plans_again;
    k->matmul = matmul;
    k->matmul2 = matmul2;
    k->linear = linear;
    k->linear_back = linear_back;
    ds_cuda_factors(k);
    ds_cuda_groups(k);
    ds_cuda_embed(k);
    ds_cuda_rows(k);
    ds_cuda_norm(k);
    ds_cuda_sums(k);
    ds_cuda_elements(k);
    ds_cuda_dropdown(k);
    ds_cuda_attention(k);
    ds_cuda_loss(k);
    ds_cuda_choices(k);
    ds_cuda_norm2(k);
    ds_cuda_adamw(k);
    ds_cuda_adamw8(k);
    ds_cuda_image(k);
    *out = k;
    return 0;
}
