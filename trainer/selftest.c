/* selftest.c - see selftest.h. A trial trains adapters for a few steps on made-up tokens and ends
 * in one digest of losses, norms, weights and moments; trials that must agree have the same digest.
 */
#include "selftest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "net_priv.h"
#include "optim.h"
#include "philox.h"

#define ROWS 8
#define ROW 32
#define STEPS 4
#define TOKENS (ROWS * ROW)

static const int32_t CUTS[] = {0, 9, 20, ROW}; /* sequences of a row */

typedef struct trial {
    const char *isa;
    int threads, micro; /* rows of a micro-batch */
    enum ds_recompute recompute;
    int stop_after; /* 0, or the step after which everything is taken out and put into a new net */
} trial;

typedef struct tokens {
    int32_t ids[TOKENS], pos[TOKENS], target[TOKENS], cu[ROWS * 3 + 1];
    float weight[TOKENS], loss[TOKENS];
    uint64_t targets;
} tokens;

/* A loss mask takes targets away: some here and there, of one row all. */
static bool is_masked(uint64_t step, int i)
{
    return i / ROW == (int)(step % ROWS) || ds_philox(18, step, (uint64_t)(i / 5)) % 3 == 0;
}

static void make_tokens(tokens *t, uint64_t step, int32_t vocab)
{
    t->targets = 0;
    for (int i = 0; i < TOKENS; i++)
        t->ids[i] = (int32_t)(ds_philox(17, step, (uint64_t)i) % (uint32_t)vocab);
    for (int r = 0; r < ROWS; r++)
        for (int s = 0; s < 3; s++)
            for (int i = r * ROW + CUTS[s]; i < r * ROW + CUTS[s + 1]; i++) {
                const bool learn = i + 1 < r * ROW + CUTS[s + 1] && !is_masked(step, i + 1);
                t->pos[i] = i - r * ROW - CUTS[s];
                t->target[i] = learn ? t->ids[i + 1] : 0;
                t->weight[i] = learn ? 1.0f : 0.0f;
                t->targets += learn;
            }
}

/* Rows [row, row + n) as one micro-batch. */
static ds_netbatch micro_batch(tokens *t, int row, int n, uint64_t step)
{
    const int at = row * ROW;

    for (int r = 0; r < n; r++)
        for (int s = 0; s < 3; s++)
            t->cu[3 * r + s] = r * ROW + CUTS[s];
    t->cu[3 * n] = n * ROW;
    return (ds_netbatch){.t = n * ROW,
                         .ids = t->ids + at,
                         .pos = t->pos + at,
                         .target = t->target + at,
                         .weight = t->weight + at,
                         .seqs = {t->cu, 3 * n},
                         .seed = 5,
                         .step = step,
                         .first_token = (uint64_t)at};
}

/* ---- a network with adapters ---- */

static int make_net(ds_kernels **k, ds_net **net, const char *model, const trial *t, ds_err *err)
{
    static const char *const targets[] = {"q_proj",    "v_proj",    "o_proj",
                                          "down_proj", "kv_b_proj", NULL};
    const ds_lora_conf lora = {
        .r = 4, .alpha = 8, .dropout = 0.1, .lr_ratio = 1, .targets = targets};
    ds_modelconf c = {0};
    int rc = model ? ds_modelconf_read(&c, model, err)
                   : ds_modelconf_preset(&c, DS_LLAMA, "tiny", 256, err);

    if (!rc && !model) {
        c.hidden = 64;
        c.ffn = 96;
        c.layers = 2;
        c.head_dim = 16;
    }
    rc = rc ? rc : ds_kernels_cpu(k, t->threads, t->isa, err);
    rc = rc ? rc : ds_net_new(net, *k, &c, DS_KF32, ROW, err);
    if (!rc)
        rc = model ? ds_net_load(*net, model, err) : ds_net_init(*net, 1, err);
    rc = rc ? rc : ds_net_add_lora(*net, &lora, 1, err);
    rc = rc ? rc : ds_optim_prepare(ds_net_params(*net), DS_ADAMW, err);
    ds_modelconf_fini(&c);
    return rc;
}

static void drop_net(ds_kernels *k, ds_net *net)
{
    ds_net_free(net);
    if (k)
        k->close(k);
}

/* Weights and moments of what is trained, one after the other, into out or back from it. */
static int state(ds_net *net, ds_buf *out, bool back, ds_err *err)
{
    ds_kernels *k = net->k;
    size_t at = 0;

    for (size_t i = 0; i < net->params.n; i++) {
        const ds_param *p = net->params.p[i];
        const size_t bytes = (size_t)ds_param_count(p) * 4; /* adapters are f32 */
        void *parts[] = {p->w, p->m, p->v};
        for (size_t j = 0; p->train && j < 3; j++, at += bytes) {
            if (back) {
                TRY(k->upload(k, parts[j], out->data + at, bytes, err));
                continue;
            }
            uint8_t *host = malloc(bytes);
            int rc = host ? k->download(k, host, parts[j], bytes, err) : ds_fail_nomem(err);
            if (!rc && ds_buf_put(out, host, bytes))
                rc = ds_fail_nomem(err);
            free(host);
            if (rc)
                return rc;
        }
    }
    return 0;
}

/* ---- a trial ---- */

static int one_step(ds_net *net, tokens *x, const trial *t, uint64_t step, ds_buf *log, ds_err *err)
{
    const ds_optim_conf optim = {.lr = 1e-2,
                                 .schedule = DS_COSINE,
                                 .steps = STEPS + 2,
                                 .beta1 = 0.9,
                                 .beta2 = 0.999,
                                 .eps = 1e-8,
                                 .clip = 0.5};
    double said[2] = {0, 0};

    make_tokens(x, step, ds_net_conf(net)->vocab);
    for (int row = 0; row < ROWS; row += t->micro) {
        const ds_netbatch b = micro_batch(x, row, t->micro, step);
        TRY(ds_net_step(net, &b, (float)(1.0 / (double)x->targets), true, t->recompute,
                        x->loss + (ptrdiff_t)row * ROW, err));
    }
    for (int i = 0; i < TOKENS; i++)
        said[0] += (double)x->loss[i];
    TRY(ds_net_finish_grads(net, err));
    TRY(ds_optim_step(ds_net_params(net), &optim, step, NULL, &said[1], err));
    if (!isfinite(said[1]))
        return ds_fail(err, DS_FAIL, "the model's gradient is not a finite number");
    return ds_buf_put(log, said, sizeof said) ? ds_fail_nomem(err) : 0;
}

static int run_trial(ds_sha *out, const char *model, const trial *t, ds_err *err)
{
    tokens *x = calloc(1, sizeof *x);
    ds_buf log = {0}, kept = {0};
    ds_kernels *k = NULL;
    ds_net *net = NULL;
    int rc = x ? make_net(&k, &net, model, t, err) : ds_fail_nomem(err);

    for (uint64_t step = 1; !rc && step <= STEPS; step++) {
        rc = one_step(net, x, t, step, &log, err);
        if (!rc && t->stop_after == (int)step) {
            rc = state(net, &kept, false, err);
            drop_net(k, net);
            k = NULL;
            net = NULL;
            rc = rc ? rc : make_net(&k, &net, model, t, err);
            rc = rc ? rc : state(net, &kept, true, err);
        }
    }
    rc = rc ? rc : state(net, &log, false, err);
    rc = rc ? rc : ds_sha_bytes(out, log.data, log.len, err);
    drop_net(k, net);
    ds_buf_fini(&log);
    ds_buf_fini(&kept);
    free(x);
    return rc;
}

/* Losses of the tokens of packed rows, and of every sequence by itself. */
static int packed(bool *same, const char *model, ds_err *err)
{
    const trial t = {.micro = ROWS};
    tokens *x = calloc(1, sizeof *x);
    float *alone = calloc(TOKENS, sizeof *alone);
    ds_kernels *k = NULL;
    ds_net *net = NULL;
    int rc = x && alone ? make_net(&k, &net, model, &t, err) : ds_fail_nomem(err);

    if (!rc) {
        make_tokens(x, 1, ds_net_conf(net)->vocab);
        const ds_netbatch b = micro_batch(x, 0, ROWS, 1);
        rc = ds_net_step(net, &b, 1.0f, false, DS_AGAIN_NONE, x->loss, err);
    }
    for (int s = 0; !rc && s < 3 * ROWS; s++) {
        const int32_t at = x->cu[s], cu[2] = {0, x->cu[s + 1] - at};
        const ds_netbatch b = {.t = cu[1],
                               .ids = x->ids + at,
                               .pos = x->pos + at,
                               .target = x->target + at,
                               .weight = x->weight + at,
                               .seqs = {cu, 1}};
        rc = ds_net_step(net, &b, 1.0f, false, DS_AGAIN_NONE, alone + at, err);
    }
    *same = !rc && memcmp(alone, x->loss, TOKENS * sizeof *alone) == 0;
    drop_net(k, net);
    free(alone);
    free(x);
    return rc;
}

/* ---- all of them ---- */

static const struct promise {
    const char *name;
    trial t;
} PROMISES[] = {
    {"the same run twice", {.micro = ROWS}},
    {"accumulation 8 x 1 = 1 x 8", {.micro = 1}},
    {"accumulation 2 x 4 = 1 x 8", {.micro = 4}},
    {"attention computed again = kept", {.micro = ROWS, .recompute = DS_AGAIN_ATTENTION}},
    {"mlp computed again = kept", {.micro = ROWS, .recompute = DS_AGAIN_MLP}},
    {"layers computed again = kept", {.micro = ROWS, .recompute = DS_AGAIN_LAYER}},
    {"resumed = not interrupted", {.micro = ROWS, .stop_after = 2}},
    {"1 thread", {.micro = ROWS, .threads = 1}},
    {"3 threads", {.micro = ROWS, .threads = 3}},
    {"instructions: base", {.micro = ROWS, .isa = "base"}},
    {"instructions: avx2", {.micro = ROWS, .isa = "avx2"}},
    {"instructions: avx512", {.micro = ROWS, .isa = "avx512"}},
    {"instructions: avx512bf16", {.micro = ROWS, .isa = "avx512bf16"}},
};

static bool has_isa(const char *isa)
{
    ds_kernels *k = NULL;

    if (isa && ds_kernels_cpu(&k, 1, isa, NULL))
        return false;
    if (k)
        k->close(k);
    return true;
}

int ds_selftest(const char *model, ds_selftest_fn fn, void *ctx, int *failed, ds_err *err)
{
    const trial plain = {.micro = ROWS};
    ds_sha want, got;
    bool same;

    *failed = 0;
    TRY(packed(&same, model, err));
    fn(ctx, "packed = unpacked", same ? DS_SELFTEST_OK : DS_SELFTEST_FAILED,
       same ? "" : "losses of the same sequences differ");
    *failed += !same;
    TRY(run_trial(&want, model, &plain, err));
    for (size_t i = 0; i < sizeof PROMISES / sizeof *PROMISES; i++) {
        const struct promise *p = &PROMISES[i];
        if (!has_isa(p->t.isa)) {
            fn(ctx, p->name, DS_SELFTEST_SKIPPED, "this processor does not have them");
            continue;
        }
        TRY(run_trial(&got, model, &p->t, err));
        same = ds_sha_eq(&want, &got);
        fn(ctx, p->name, same ? DS_SELFTEST_OK : DS_SELFTEST_FAILED,
           same ? "" : "losses, weights or moments differ");
        *failed += !same;
    }
    return 0;
}
