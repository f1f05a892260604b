/* paper.c - see paper.h. */
#include "paper.h"

#include <stdlib.h>
#include <string.h>

#include "devroom.h"

/* Functions that do nothing have their parameters for the table's sake. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

#define FIRST ((uintptr_t)1 << 20)

typedef struct paper {
    uintptr_t next;
    int64_t bytes, room;
    size_t scratch[DS_KSLOTS];
    struct sheet {
        void *at;
        int64_t bytes;
    } * sheets; /* what is allocated, in no order that matters */
    size_t n, cap;
} paper;

int64_t ds_paper_bytes(const ds_kernels *k)
{
    return ((const paper *)k->ctx)->bytes;
}

int64_t ds_paper_room(const ds_kernels *k, size_t scratch[DS_KSLOTS])
{
    const paper *s = k->ctx;

    memcpy(scratch, s->scratch, sizeof s->scratch);
    return s->room;
}

static int paper_alloc(ds_kernels *k, void **p, size_t bytes, ds_err *err)
{
    paper *s = k->ctx;

    if (bytes > INT64_MAX / 4 || s->next > UINTPTR_MAX / 2)
        return ds_fail_nomem(err);
    if (s->n == s->cap) {
        const size_t cap = s->cap ? s->cap * 2 : 256;
        struct sheet *grown = realloc(s->sheets, cap * sizeof *grown);
        if (!grown)
            return ds_fail_nomem(err);
        s->sheets = grown;
        s->cap = cap;
    }
    *p = (void *)s->next;
    s->sheets[s->n++] = (struct sheet){*p, (int64_t)bytes};
    s->next += (bytes + 127) / 64 * 64;
    s->bytes += (int64_t)bytes;
    s->room += (int64_t)ds_device_room(bytes);
    return 0;
}

/* What is freed was most often allocated late. */
static void paper_free(ds_kernels *k, void *p)
{
    paper *s = k->ctx;

    for (size_t i = p ? s->n : 0; i-- > 0;)
        if (s->sheets[i].at == p) {
            s->bytes -= s->sheets[i].bytes;
            s->room -= (int64_t)ds_device_room((size_t)s->sheets[i].bytes);
            s->sheets[i] = s->sheets[--s->n];
            return;
        }
}

static int paper_download(ds_kernels *k, void *host, const void *src, size_t bytes, ds_err *err)
{
    memset(host, 0, bytes);
    return 0;
}

static void paper_close(ds_kernels *k)
{
    if (k && k->ctx)
        free(((paper *)k->ctx)->sheets);
    if (k)
        free(k->ctx);
    free(k);
}

static void paper_memory(ds_kernels *k, ds_kmem *m)
{
    *m = (ds_kmem){.held = ds_paper_bytes(k)};
}

/* ---- what they would take for themselves ---- */

static int take(ds_kernels *k, int slot, size_t bytes)
{
    paper *s = k->ctx;

    s->scratch[slot] = bytes > s->scratch[slot] ? bytes : s->scratch[slot];
    return 0;
}

static int paper_matmul(ds_kernels *k, void *c, enum ds_kfmt fc, const void *a, enum ds_kfmt fa,
                        bool ta, const void *b, enum ds_kfmt fb, bool tb, int64_t m, int64_t n,
                        int64_t kk, float alpha, bool accumulate, ds_err *err)
{
    size_t slot[DS_KSLOTS];

    ds_scratch_product(slot, fc, fa, fb, ta, tb, m, n, kk);
    for (int i = 0; i < DS_KSLOTS; i++)
        take(k, i, slot[i]);
    return 0;
}

static int paper_matmul2(ds_kernels *k, void *c, enum ds_kfmt fc, enum ds_kfmt f, bool tb,
                         const ds_kterm term[2], int64_t m, int64_t n, bool accumulate, ds_err *err)
{
    return paper_matmul(k, c, fc, term[0].a, f, false, term[0].b, f, tb, m, n, term[0].k, 1.0f,
                        accumulate, err);
}

static int paper_linear(ds_kernels *k, void *y, enum ds_kfmt f, const ds_kterm term[2],
                        const void *bias, int64_t t, int64_t n, ds_err *err)
{
    return paper_matmul2(k, y, f, f, true, term, t, n, false, err);
}

static int paper_linear_back(ds_kernels *k, float *dw, float *db, const void *dy, const void *x,
                             enum ds_kfmt f, int64_t t, int64_t n, int64_t kk, ds_err *err)
{
    return take(k, 0, ds_scratch_sums(t, n));
}

static int paper_groups(ds_kernels *k, const ds_kgroups *p, ds_err *err)
{
    return take(k, 0, ds_scratch_groups(p->n));
}

static int paper_rmsnorm_back(ds_kernels *k, void *dx, float *dg, const void *dy, const void *x,
                              const void *g, const float *rstd, enum ds_kfmt f, int64_t t,
                              int64_t d, bool accumulate, ds_err *err)
{
    return take(k, 0, dg ? ds_scratch_sums(t, d) : 0);
}

static int paper_bias_back(ds_kernels *k, float *db, const void *dy, enum ds_kfmt f, int64_t t,
                           int64_t n, ds_err *err)
{
    return take(k, 0, ds_scratch_sums(t, n));
}

static int paper_col_dot(ds_kernels *k, float *dg, const void *a, const void *b, const float *c,
                         enum ds_kfmt f, int64_t t, int64_t n, ds_err *err)
{
    return take(k, 0, ds_scratch_sums(t, n));
}

static int paper_col_dot_chosen(ds_kernels *k, float *const *dg, const void *a, const void *b,
                                const float *const *c, enum ds_kfmt f, const ds_kchoices *ch,
                                int64_t n, ds_err *err)
{
    return take(k, 0, ds_scratch_chosen(ch, n));
}

static int paper_attention_back(ds_kernels *k, void *dq, void *dk, void *dv, const void *dout,
                                const void *q, const void *kk, const void *v, const void *o,
                                const float *lse, enum ds_kfmt f, const ds_kattn *p,
                                const ds_kseqs *s, ds_err *err)
{
    return take(k, 0, ds_scratch_delta(s->cu[s->n], p->heads));
}

static int paper_norm2(ds_kernels *k, double *sum, const float *const *x, const int64_t *n,
                       int64_t count, ds_err *err)
{
    *sum = 0;
    return take(k, 0, (size_t)ds_norm_blocks(n, count) * sizeof(double));
}

static int paper_sort(ds_kernels *k, const ds_kchoices *c, ds_err *err)
{
    return take(k, 0, ds_scratch_sort(c));
}

/* ---- what takes nothing for itself, and does nothing ---- */

static int idle_upload(ds_kernels *k, void *dst, const void *host, size_t bytes, ds_err *err)
{
    return 0;
}

static int idle_zero(ds_kernels *k, void *p, size_t bytes, ds_err *err)
{
    return 0;
}

static int idle_sync(ds_kernels *k, ds_err *err)
{
    return 0;
}

static int idle_reserve(ds_kernels *k, size_t bytes, const size_t scratch[DS_KSLOTS], ds_err *err)
{
    return 0;
}

static int idle_embed(ds_kernels *k, void *out, const void *table, enum ds_kfmt f,
                      const int32_t *ids, int64_t t, int64_t d, ds_err *err)
{
    return 0;
}

static int idle_embed_back(ds_kernels *k, float *dtable, const void *dout, enum ds_kfmt f,
                           const int32_t *ids, int64_t t, int64_t d, ds_err *err)
{
    return 0;
}

static int idle_rmsnorm(ds_kernels *k, void *y, float *rstd, const void *x, const void *g,
                        enum ds_kfmt f, int64_t t, int64_t d, float eps, ds_err *err)
{
    return 0;
}

static int idle_add_rmsnorm(ds_kernels *k, void *sum, void *y, float *rstd, const void *x,
                            const void *r, const void *g, enum ds_kfmt f, int64_t t, int64_t d,
                            float eps, ds_err *err)
{
    return 0;
}

static int idle_bias(ds_kernels *k, void *y, const void *b, enum ds_kfmt f, int64_t t, int64_t n,
                     ds_err *err)
{
    return 0;
}

static int idle_rope(ds_kernels *k, void *x, enum ds_kfmt f, const int32_t *pos, const float *cs,
                     int64_t t, int64_t stride, int64_t first, int32_t heads, int32_t hd,
                     int32_t rot, bool interleaved, bool back, ds_err *err)
{
    return 0;
}

static int idle_swiglu(ds_kernels *k, void *y, const void *a, const void *b, enum ds_kfmt f,
                       int64_t n, ds_err *err)
{
    return 0;
}

static int idle_swiglu_back(ds_kernels *k, void *da, void *db, const void *dy, const void *a,
                            const void *b, enum ds_kfmt f, int64_t n, ds_err *err)
{
    return 0;
}

static int idle_add(ds_kernels *k, void *y, const void *a, const void *b, float s, enum ds_kfmt f,
                    int64_t n, ds_err *err)
{
    return 0;
}

static int idle_convert(ds_kernels *k, void *dst, enum ds_kfmt fd, const void *src, enum ds_kfmt fs,
                        int64_t n, ds_err *err)
{
    return 0;
}

static int idle_dropout(ds_kernels *k, void *y, const void *x, enum ds_kfmt f, int64_t t, int64_t d,
                        float p, const ds_kstep *at, uint32_t module, ds_err *err)
{
    return 0;
}

static int idle_dropout_chosen(ds_kernels *k, void *y, const void *x, enum ds_kfmt f,
                               const ds_kchoices *c, int64_t d, float p, const ds_kstep *at,
                               uint32_t module, uint32_t each, ds_err *err)
{
    return 0;
}

static int idle_dropout_matmul(ds_kernels *k, void *y, const void *x, const void *b, enum ds_kfmt f,
                               int64_t t, int64_t n, int64_t kk, float alpha, float p,
                               const ds_kstep *at, uint32_t module, ds_err *err)
{
    return 0;
}

static int idle_copy_cols(ds_kernels *k, void *dst, int64_t dstride, const void *src,
                          int64_t sstride, enum ds_kfmt f, int64_t t, int64_t n, bool accumulate,
                          ds_err *err)
{
    return 0;
}

static int idle_row_dot(ds_kernels *k, float *out, const void *a, const void *b, enum ds_kfmt f,
                        int64_t t, int64_t d, ds_err *err)
{
    return 0;
}

static int idle_scale_cols(ds_kernels *k, void *y, const void *x, const float *g, enum ds_kfmt f,
                           int64_t t, int64_t n, bool accumulate, ds_err *err)
{
    return 0;
}

static int idle_scale_cols_chosen(ds_kernels *k, void *y, const void *x, const float *const *g,
                                  enum ds_kfmt f, const ds_kchoices *ch, int64_t n, bool accumulate,
                                  ds_err *err)
{
    return 0;
}

static int idle_row_norm(ds_kernels *k, float *norm, float *gain, const float *m, const float *v,
                         int64_t rows, int64_t cols, ds_err *err)
{
    return 0;
}

static int idle_attention(ds_kernels *k, void *o, float *lse, const void *q, const void *kk,
                          const void *v, enum ds_kfmt f, const ds_kattn *p, const ds_kseqs *s,
                          ds_err *err)
{
    return 0;
}

static int idle_attention_past(ds_kernels *k, void *o, const void *q, const void *kk, const void *v,
                               enum ds_kfmt f, const ds_kattn *p, int64_t past, int64_t t,
                               ds_err *err)
{
    return 0;
}

static int idle_xent(ds_kernels *k, void *grad, enum ds_kfmt fg, float *loss, void *logits,
                     enum ds_kfmt f, const int32_t *target, const float *weight, int64_t t,
                     int64_t v, const ds_kstep *at, ds_err *err)
{
    return 0;
}

static int idle_topk(ds_kernels *k, float *prob, const ds_kchoices *c, float *w, const void *logits,
                     enum ds_kfmt f, float scale, bool normalise, ds_err *err)
{
    return 0;
}

static int idle_topk_back(ds_kernels *k, void *dlogits, enum ds_kfmt f, const float *prob,
                          const ds_kchoices *c, const float *dw, float scale, bool normalise,
                          ds_err *err)
{
    return 0;
}

/* dispatch and combine */
static int idle_rows(ds_kernels *k, void *y, const void *x, enum ds_kfmt f, const ds_kchoices *c,
                     const float *w, int64_t d, ds_err *err)
{
    return 0;
}

static int idle_adamw(ds_kernels *k, void *w, enum ds_kfmt f, float *master, float *m, float *v,
                      const float *g, int64_t n, const ds_kadamw *p, ds_err *err)
{
    return 0;
}

static int idle_adamw8(ds_kernels *k, void *w, enum ds_kfmt f, float *master, uint8_t *m,
                       float *mscale, uint8_t *v, float *vscale, const float *g, int64_t n,
                       const ds_kadamw *p, ds_err *err)
{
    return 0;
}

static int idle_image(ds_kernels *k, void *out, const void *image, const ds_kimage *p, ds_err *err)
{
    return 0;
}

static void idle_hold(ds_kernels *k, const void *x) {}

static const ds_kernels TABLE = {
    .name = "paper",
    .detail = "no memory, no arithmetic",
    .paper = true,
    .logits = DS_CPU_LOGITS,
    .alloc = paper_alloc,
    .free = paper_free,
    .upload = idle_upload,
    .download = paper_download,
    .zero = idle_zero,
    .sync = idle_sync,
    .memory = paper_memory,
    .reserve = idle_reserve,
    .hold = idle_hold,
    .release = idle_hold,
    .close = paper_close,
    .matmul = paper_matmul,
    .matmul2 = paper_matmul2,
    .matmul_groups = paper_groups,
    .linear = paper_linear,
    .linear_back = paper_linear_back,
    .embed = idle_embed,
    .embed_back = idle_embed_back,
    .rmsnorm = idle_rmsnorm,
    .add_rmsnorm = idle_add_rmsnorm,
    .rmsnorm_back = paper_rmsnorm_back,
    .bias = idle_bias,
    .bias_back = paper_bias_back,
    .rope = idle_rope,
    .swiglu = idle_swiglu,
    .swiglu_back = idle_swiglu_back,
    .add = idle_add,
    .convert = idle_convert,
    .dropout = idle_dropout,
    .dropout_chosen = idle_dropout_chosen,
    .dropout_matmul = idle_dropout_matmul,
    .copy_cols = idle_copy_cols,
    .row_dot = idle_row_dot,
    .scale_cols = idle_scale_cols,
    .col_dot = paper_col_dot,
    .scale_cols_chosen = idle_scale_cols_chosen,
    .col_dot_chosen = paper_col_dot_chosen,
    .row_norm = idle_row_norm,
    .attention = idle_attention,
    .attention_past = idle_attention_past,
    .attention_back = paper_attention_back,
    .softmax_xent = idle_xent,
    .topk = idle_topk,
    .sort_choices = paper_sort,
    .topk_back = idle_topk_back,
    .dispatch = idle_rows,
    .combine = idle_rows,
    .image = idle_image,
    .norm2 = paper_norm2,
    .adamw = idle_adamw,
    .adamw8 = idle_adamw8,
};

int ds_kernels_paper(ds_kernels **out, ds_err *err)
{
    ds_kernels *k = malloc(sizeof *k);
    paper *s = calloc(1, sizeof *s);

    if (!k || !s) {
        free(k);
        free(s);
        return ds_fail_nomem(err);
    }
    s->next = FIRST;
    *k = TABLE;
    k->ctx = s;
    *out = k;
    return 0;
}
