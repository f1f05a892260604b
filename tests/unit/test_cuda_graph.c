/* Work that is captured (kernels.h, rtgraph.cc) over the emulated run time: whole steps have the
 * bits that they have one launch at a time, whatever changes from one to the next; what does not
 * hold of work is an error, and what was begun goes; every call of it fails once.
 */
#include "cuda_help.h"
#include "net_priv.h"
#include "optim.h"
#include "philox.h"

/* ---- whole steps ---- */

enum { ROW = 12, STEPS = 4, VOCAB = 23, PROMPT = 2 };

/* A batch of one row: another one for each (step, micro), cut into sequences in its own way. */
typedef struct row {
    int32_t ids[ROW], pos[ROW], target[ROW], cu[ROW + 1];
    float weight[ROW];
    ds_netbatch b;
} row;

static int32_t drawn(uint64_t step, uint64_t micro, uint64_t i, uint32_t below)
{
    return (int32_t)(ds_philox(step, micro, i) % below);
}

/* 3 or 4 sequences: the same launches. Each begins with some of the virtual tokens. */
static void make_row(row *r, uint64_t step, uint64_t micro, int32_t virtual)
{
    int32_t n = 3 + drawn(step, micro, 0, 2), s = 0;

    for (int i = 1; i < n; i++)
        r->cu[i] = r->cu[i - 1] + 1 + drawn(step, micro, (uint64_t)i, 3);
    r->cu[n] = ROW;
    for (int i = 0; i < ROW; i++) {
        s += i == r->cu[s + 1];
        r->ids[i] = drawn(step, micro, 100 + (uint64_t)i, VOCAB);
        r->target[i] = drawn(step, micro, 200 + (uint64_t)i, VOCAB);
        r->weight[i] = drawn(step, micro, 300 + (uint64_t)i, 3) ? 1.0f : 0.0f;
        r->pos[i] = i - r->cu[s];
        if (r->pos[i] < virtual)
            r->ids[i] = VOCAB + drawn(step, micro, 400 + (uint64_t)i, (uint32_t) virtual);
    }
    r->b = (ds_netbatch){.t = ROW,
                         .ids = r->ids,
                         .pos = r->pos,
                         .target = r->target,
                         .weight = r->weight,
                         .seqs = {r->cu, n},
                         .seed = 5,
                         .step = step,
                         .first_token = micro * ROW};
}

/* How a net is trained. */
typedef struct training {
    enum ds_arch arch;
    enum ds_kfmt f;
    enum ds_recompute recompute;
    enum ds_optim_kind kind;
    bool lora, dora, stochastic, prompt;
} training;

static ds_net *make_net(ds_kernels *k, const training *t)
{
    static const char *const targets[] = {"q_proj", "down_proj", "kv_b_proj", NULL};
    const ds_lora_conf lora = {
        .r = 4, .alpha = 8, .dropout = 0.1, .lr_ratio = 1, .dora = t->dora, .targets = targets};
    ds_modelconf c;
    ds_err err = {0};
    ds_net *n;

    assert_int_equal(ds_modelconf_preset(&c, t->arch, "tiny", VOCAB, &err), 0);
    c.hidden = 16;
    c.ffn = 24;
    c.layers = t->lora ? 2 : 1;
    c.heads = 2;
    c.kv_heads = t->arch == DS_DEEPSEEK_V2 ? 2 : 1;
    c.head_dim = 8;
    c.init_range = 0.2f;
    c.tied = t->arch == DS_QWEN2;
    if (t->arch == DS_DEEPSEEK_V2) {
        c.q_lora = 0;
        c.kv_lora = 8;
        c.qk_nope = c.qk_rope = c.v_dim = 4;
        c.experts = 3;
        c.experts_used = 2;
        c.moe_ffn = 8;
    }
    ok(ds_net_new(&n, k, &c, t->f, ROW, &err), &err, "net");
    ok(ds_net_init(n, 3, &err), &err, "init");
    ds_net_params(n)->lone = t->stochastic;
    ok(t->lora ? ds_net_add_lora(n, &lora, 9, &err) : ds_net_train_full(n, NULL, &err), &err,
       "trained");
    if (t->prompt)
        ok(ds_net_add_prompt(n, PROMPT, &err), &err, "prompt");
    ok(ds_optim_prepare(ds_net_params(n), t->kind, &err), &err, "optimizer");
    return n;
}

static void look_on(ds_net *n, const row *r, ds_buf *out)
{
    float loss[ROW];
    ds_err err = {0};

    n->k->unlisted = true;
    ok(ds_net_step(n, &r->b, 0.0f, false, DS_AGAIN_NONE, loss, &err), &err, "evaluation");
    n->k->unlisted = false;
    assert_int_equal(ds_buf_put(out, loss, sizeof loss), 0);
}

/* Losses of all steps, and the weights after them. */
static void run(const training *t, bool eager, ds_buf *out, int64_t *captured, int64_t *launched)
{
    const size_t scratch[DS_KSLOTS] = {1 << 18, 1 << 18, 1 << 18, 1 << 18};
    const ds_optim_conf o = {.lr = 1e-2,
                             .schedule = DS_COSINE,
                             .steps = STEPS + 1,
                             .beta1 = 0.9,
                             .beta2 = 0.99,
                             .eps = 1e-8,
                             .clip = 0.1,
                             .kind = t->kind,
                             .stochastic = t->stochastic,
                             .seed = 5};
    ds_kernels *k = open_device();
    row r[2] = {0};
    ds_err err = {0};
    ds_net *n;

    k->eager = eager;
    ok(k->reserve(k, 4 << 20, scratch, &err), &err, "memory");
    n = make_net(k, t);
    ok(ds_net_reserve(n, 1 << 20, &err), &err, "memory");
    for (uint64_t step = 1; step <= STEPS; step++) {
        float loss[ROW];
        double norm;
        for (uint64_t m = 0; m < 2; m++)
            make_row(&r[m], step, m, t->prompt ? PROMPT : 0);
        r[0].b.next = &r[1].b;
        for (int m = 0; m < 2; m++) {
            ok(ds_net_step(n, &r[m].b, 0.5f / (float)step, true, t->recompute, loss, &err), &err,
               "step");
            assert_int_equal(ds_buf_put(out, loss, sizeof loss), 0);
        }
        ok(ds_net_finish_grads(n, &err), &err, "gradients");
        ok(ds_optim_step(ds_net_params(n), &o, step, NULL, &norm, &err), &err, "optimizer");
        assert_int_equal(ds_buf_put(out, &norm, sizeof norm), 0);
        look_on(n, &r[0], out);
    }
    if (t->lora) { /* from here on the same shape is other work */
        ok(ds_net_merge_lora(n, &err), &err, "merge");
        for (int i = 0; i < 3; i++)
            look_on(n, &r[i % 2], out);
    }
    for (size_t i = 0; i < ds_net_params(n)->n; i++) {
        const ds_param *p = ds_net_params(n)->p[i];
        float *w;
        if (!p->train)
            continue;
        ok(ds_param_get(ds_net_params(n), p, &w, &err), &err, "weights");
        assert_int_equal(ds_buf_put(out, w, (size_t)ds_param_count(p) * sizeof *w), 0);
        free(w);
    }
    ds_net_free(n);
    k->worked(k, captured, launched);
    k->close(k);
}

static void a_step_has_the_bits_of_its_launches(void **state)
{
    static const training all[] = {
        {.arch = DS_LLAMA},
        {.arch = DS_QWEN2,
         .f = DS_KBF16,
         .recompute = DS_AGAIN_LAYER,
         .kind = DS_ADAMW8,
         .stochastic = true},
        {.arch = DS_QWEN2, .f = DS_KF16, .lora = true, .recompute = DS_AGAIN_ATTENTION},
        {.arch = DS_LLAMA, .f = DS_KBF16, .lora = true, .dora = true, .recompute = DS_AGAIN_MLP},
        {.arch = DS_LLAMA, .lora = true, .prompt = true},
        {.arch = DS_DEEPSEEK_V2, .lora = true, .dora = true}, /* of experts too */
        {.arch = DS_DEEPSEEK_V2},
        {.arch = DS_DEEPSEEK_V2, .f = DS_KBF16, .recompute = DS_AGAIN_LAYER},
        {.arch = DS_DEEPSEEK_V2, .lora = true, .recompute = DS_AGAIN_MLP},
        {.arch = DS_QWEN2, .f = DS_KBF16, .prompt = true},
    };

    (void)state;
    for (size_t i = 0; i<sizeof all / sizeof *all; i += SOME> 1 ? 10 : 1) {
        ds_buf want = {0}, got = {0};
        int64_t captured, launched;
        run(&all[i], true, &want, &captured, &launched);
        assert_int_equal(captured + launched, 0);
        run(&all[i], false, &got, &captured, &launched);
        assert_int_equal(want.len, got.len);
        for (size_t b = 0; b < want.len; b++)
            if (want.data[b] != got.data[b])
                fail_msg("training %zu: byte %zu of %zu is another", i, b, want.len);
        /* Training, looking on, the optimizer, looking on again: once as it comes, captured the
         * second time, and launched from then on. */
        const bool merged = all[i].lora;
        assert_int_equal(captured, 3 + merged);
        assert_int_equal(launched, 4 * STEPS - 3 + 2 * merged);
        ds_buf_fini(&want);
        ds_buf_fini(&got);
    }
}

/* ---- work in small ---- */

enum { D = 8, ROWS = 7, MOST = 12 };

typedef struct job {
    ds_kernels *k;
    float *table, *x, *sums, *attended, *lse;
} job;

/* What a work is given: other bytes every time. */
typedef struct numbers {
    int32_t rows[MOST], cu[MOST + 1];
    ds_kstep step;
    ds_kpiece p[3];
    ds_kwork w;
} numbers;

static void make_numbers(numbers *m, const job *j, int64_t t, int32_t n, uint64_t turn)
{
    for (int i = 0; i < t; i++)
        m->rows[i] = drawn(turn, 7, (uint64_t)i, ROWS);
    for (int i = 0; i <= n; i++)
        m->cu[i] = i < n ? i : (int32_t)t;
    m->step = (ds_kstep){.seed = 3, .step = turn, .first = 4 * turn};
    m->p[0] = (ds_kpiece){m->rows, (size_t)t * sizeof *m->rows};
    m->p[1] = (ds_kpiece){m->cu, ((size_t)n + 1) * sizeof *m->cu};
    m->p[2] = (ds_kpiece){&m->step, sizeof m->step};
    m->w = (ds_kwork){.of = j->table, .t = t, .seqs = n, .numbers = m->p, .n = 3};
}

/* All kinds of numbers: as they are, a part of them, what is made of them. */
static int ask(const job *j, const numbers *m, ds_err *err)
{
    const ds_kattn heads = {1, 1, D, D, 0.5f};
    const ds_kseqs seqs = {m->cu, m->w.seqs};
    const int64_t t = m->w.t, some = t / 2;
    ds_kernels *k = j->k;
    int rc = k->embed(k, j->x, j->table, DS_KF32, m->rows, t, D, err);

    rc = rc ? rc : k->embed(k, j->x, j->table, DS_KF32, m->rows + (t - some), some, D, err);
    rc = rc ? rc : k->dropout(k, j->x, j->x, DS_KF32, t, D, 0.3f, &m->step, 4, err);
    rc = rc ? rc : k->embed_back(k, j->sums, j->x, DS_KF32, m->rows, t, D, err);
    rc = rc ? rc
            : k->attention(k, j->attended, j->lse, j->x, j->x, j->x, DS_KF32, &heads, &seqs, err);
    return rc ? rc : k->zero(k, j->lse, sizeof(float), err);
}

static int work_of(const job *j, int64_t t, int32_t seqs, uint64_t turn, ds_err *err)
{
    ds_kernels *k = j->k;
    bool done;
    numbers *m = malloc(sizeof *m); /* nowhere twice */

    assert_non_null(m);
    make_numbers(m, j, t, seqs, turn);
    int rc = k->work_begin(k, &m->w, &done, err);
    if (!rc && !done) {
        rc = ask(j, m, err);
        const int end = k->work_end(k, rc == 0, err);
        rc = rc ? rc : end;
    }
    memset(m, 0xff, sizeof *m);
    free(m);
    return rc;
}

/* 3 or 4 sequences: the same launches. */
static int work(const job *j, int64_t t, uint64_t turn, ds_err *err)
{
    return work_of(j, t, t < 5 ? 1 : 3 + (int32_t)(turn % 2), turn, err);
}

static int open_job(job *j, ds_err *err)
{
    float *x = kh_fill(4, ROWS * D);
    ds_kernels *k = NULL;
    int rc = ds_cuda_open(&k, DS_KERNELS_ABI, 0, err);

    *j = (job){.k = k};
    float **all[] = {&j->table, &j->x, &j->sums, &j->attended, &j->lse};
    for (size_t i = 0; !rc && i < sizeof all / sizeof *all; i++)
        rc = k->alloc(k, (void **)all[i], MOST * D * sizeof *x, err);
    rc = rc ? rc : k->upload(k, j->table, x, ROWS * D * sizeof *x, err);
    free(x);
    return rc;
}

static int results(const job *j, float out[3][MOST * D], ds_err *err)
{
    const float *from[] = {j->sums, j->attended, j->lse};
    int rc = 0;

    for (int i = 0; !rc && i < 3; i++)
        rc = j->k->download(j->k, out[i], from[i], sizeof out[i], err);
    return rc;
}

static void same_results(const job *a, const job *b, const char *what)
{
    float x[2][3][MOST * D];
    ds_err err = {0};

    ok(results(a, x[0], &err), &err, what);
    ok(results(b, x[1], &err), &err, what);
    if (memcmp(x[0], x[1], sizeof x[0]) != 0)
        fail_msg("%s: results are others", what);
}

static void open_two(job j[2])
{
    ds_err err = {0};

    for (int i = 0; i < 2; i++)
        ok(open_job(&j[i], &err), &err, "device");
    j[1].k->eager = true;
}

static void close_two(job j[2])
{
    for (int i = 0; i < 2; i++)
        j[i].k->close(j[i].k);
    assert_int_equal(ds_emu_left(), 0);
}

static void expect_worked(const job *j, int64_t captured, int64_t launched)
{
    int64_t c, l;

    j->k->worked(j->k, &c, &l);
    assert_int_equal(c, captured);
    assert_int_equal(l, launched);
}

/* Gradients of steps whose weights are known after the losses; taken: places of graphs that others
 * have. */
static void in_parts(const training *t, int taken, bool parts, ds_buf *out, int64_t *launched)
{
    const size_t scratch[DS_KSLOTS] = {1 << 18, 1 << 18, 1 << 18, 1 << 18};
    ds_kernels *k = open_device();
    float loss[ROW], weight[ROW];
    int64_t captured;
    row r = {0};
    ds_err err = {0};
    ds_net *n;

    ok(k->reserve(k, 4 << 20, scratch, &err), &err, "memory");
    n = make_net(k, t);
    ok(ds_net_reserve(n, 1 << 20, &err), &err, "memory");
    make_row(&r, 1, 0, 0);
    for (int i = 0; i < 2 * taken; i++) {
        ds_netbatch other = r.b;
        other.t = 1 + i / 2;
        other.seqs = (ds_kseqs){(const int32_t[]){0, 1 + i / 2}, 1};
        ok(ds_net_step(n, &other, 1.0f, false, DS_AGAIN_NONE, loss, &err), &err, "another");
    }
    for (uint64_t step = 1; step <= STEPS; step++) {
        make_row(&r, step, 0, 0);
        for (int i = 0; i < ROW; i++)
            weight[i] = 0.25f * (float)(int)step * r.weight[i] * (float)(i - 5);
        ok(ds_net_look(n, &r.b, loss, &err), &err, "the model before");
        if (parts)
            ok(ds_net_ahead(n, &r.b, 0.5f, t->recompute, loss, &err), &err, "ahead");
        r.b.weight = weight;
        ok(parts ? ds_net_back(n, &r.b, 0.5f, t->recompute, loss, &err)
                 : ds_net_step(n, &r.b, 0.5f, true, t->recompute, loss, &err),
           &err, "back");
        assert_int_equal(ds_buf_put(out, loss, sizeof loss), 0);
    }
    ok(ds_net_finish_grads(n, &err), &err, "gradients");
    const ds_params *p = ds_net_params(n);
    float *all = malloc(p->ngrads * sizeof *all);
    ok(k->download(k, all, p->grads, p->ngrads * sizeof *all, &err), &err, "gradients");
    assert_int_equal(ds_buf_put(out, all, p->ngrads * sizeof *all), 0);
    free(all);
    ds_net_free(n);
    k->worked(k, &captured, launched);
    k->close(k);
}

/* Also where only the way forward has a place among the graphs, and the way back, which is asked
 * for anew, has to go it again. */
static void a_step_in_parts_has_the_bits_of_a_whole_one(void **state)
{
    static const training all[] = {
        {.arch = DS_LLAMA, .lora = true, .dora = true, .recompute = DS_AGAIN_LAYER},
        {.arch = DS_QWEN2, .f = DS_KBF16, .lora = true},
        {.arch = DS_DEEPSEEK_V2, .lora = true, .recompute = DS_AGAIN_MLP},
    };

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i += SOME > 1 ? 3 : 1) {
        ds_buf want = {0};
        int64_t launched;
        in_parts(&all[i], 0, false, &want, &launched);
        for (int taken = 0; taken < 8; taken += 6) {
            ds_buf got = {0};
            in_parts(&all[i], taken, true, &got, &launched);
            assert_int_equal(want.len, got.len);
            assert_memory_equal(want.data, got.data, want.len);
            assert_int_equal(launched, taken + (STEPS - 1) * (taken ? 2 : 3));
            ds_buf_fini(&got);
        }
        ds_buf_fini(&want);
    }
}

/* More shapes than are kept, in turns; later only one, and another takes a place that is stale. */
static void as_many_are_kept_as_have_room(void **state)
{
    ds_err err = {0};
    job j[2];

    (void)state;
    open_two(j);
    for (uint64_t turn = 0; turn < 4; turn++)
        for (int64_t t = 1; t <= MOST; t++)
            for (int i = 0; i < 2; i++)
                ok(work(&j[i], t, turn * MOST + (uint64_t)t, &err), &err, "work");
    same_results(&j[0], &j[1], "many shapes");
    expect_worked(&j[0], 8, 3 * 8);
    for (uint64_t turn = 100; turn < 180; turn++)
        for (int i = 0; i < 2; i++)
            ok(work(&j[i], turn < 170 ? 2 : MOST, turn, &err), &err, "work");
    same_results(&j[0], &j[1], "one shape, then another");
    expect_worked(&j[0], 9, 3 * 8 + 80);
    expect_worked(&j[1], 0, 0);
    close_two(j);
}

static void sequences_lie_in_buckets(void **state)
{
    ds_err err = {0};
    job j[2];

    (void)state;
    open_two(j);
    for (uint64_t turn = 0; turn < 4; turn++)
        for (int32_t n = MOST; n >= 1; n--)
            for (int i = 0; i < 2; i++)
                ok(work_of(&j[i], MOST, n, turn * MOST + (uint64_t)n, &err), &err, "work");
    same_results(&j[0], &j[1], "sequences");
    expect_worked(&j[0], 5, 4 * MOST - 5); /* of up to 1, 2, 4, 8 and 16 */
    close_two(j);
}

/* What a buffer's owner takes back is not launched again. */
static void what_is_forgotten_is_captured_anew(void **state)
{
    ds_err err = {0};
    job j[2];

    (void)state;
    open_two(j);
    for (uint64_t turn = 0; turn < 9; turn++)
        for (int i = 0; i < 2; i++) {
            ds_kernels *k = j[i].k;
            if (turn == 5) {
                k->work_forget(k, j[i].table);
                k->free(k, j[i].attended);
                ok(k->alloc(k, (void **)&j[i].x, MOST * D * 64, &err), &err, "alloc");
                ok(k->alloc(k, (void **)&j[i].attended, MOST * D * 4, &err), &err, "alloc");
            }
            k->work_forget(k, j[i].sums); /* another's */
            ok(work(&j[i], 6, turn, &err), &err, "work");
        }
    same_results(&j[0], &j[1], "forgotten");
    expect_worked(&j[0], 2, 4 + 3);
    close_two(j);
}

static int sum_rows(const job *j, int64_t t, bool *done, ds_err *err)
{
    const ds_kwork w = {.of = j->table, .t = t};
    ds_kernels *k = j->k;
    int rc = k->work_begin(k, &w, done, err);

    if (rc || *done)
        return rc;
    rc = k->bias_back(k, j->sums, j->table, DS_KF32, t, D, err);
    const int end = k->work_end(k, rc == 0, err);
    return rc ? rc : end;
}

/* Where nothing was reserved scratch grows, and captured work has the place where it was. */
static void scratch_that_grows_takes_what_was_captured_along(void **state)
{
    enum { MANY = 5000 };
    ds_err err = {0};
    bool done;
    float *many;
    job j[2];

    (void)state;
    open_two(j);
    for (uint64_t turn = 0; turn < 8; turn++)
        for (int i = 0; i < 2; i++) {
            ds_kernels *k = j[i].k;
            if (turn == 4) {
                ok(k->alloc(k, (void **)&many, MANY * D * sizeof *many, &err), &err, "alloc");
                ok(k->bias_back(k, j[i].attended, many, DS_KF32, MANY, D, &err), &err, "grows");
            }
            ok(sum_rows(&j[i], ROWS, &done, &err), &err, "work");
            assert_int_equal(done, i == 0 && turn > 1 && turn != 4);
        }
    same_results(&j[0], &j[1], "scratch");
    expect_worked(&j[0], 2, 3 + 4);
    close_two(j);
}

/* What is sent ahead, and what is made of it, has not to be sent at the launch: but for the step's
 * numbers it makes no call for them. */
static void numbers_are_sent_ahead(void **state)
{
    long calls[2];
    ds_err err = {0};
    job j[2];

    (void)state;
    open_two(j);
    for (uint64_t turn = 0; turn < 6; turn++)
        for (int i = 0; i < 2; i++) {
            const ds_kernels *k = j[i].k;
            numbers m;
            if (turn > 2) {
                make_numbers(&m, &j[i], 6, 3 + (int32_t)(turn % 2), turn);
                m.w.n = 2;
                ok(k->work_ahead(j[i].k, &m.w, &err), &err, "ahead");
            }
            const long before = ds_emu_calls();
            ok(work(&j[i], 6, turn, &err), &err, "work");
            if (i == 0 && (turn == 2 || turn == 3))
                calls[turn - 2] = ds_emu_calls() - before;
        }
    same_results(&j[0], &j[1], "sent ahead");
    /* Rows and groups of rows: a copy and an event each; and they are waited for at once. The items
     * of attention were there both times, from launches before. */
    assert_int_equal(calls[0] - calls[1], 2 * 2 + 1);
    close_two(j);
}

/* ---- what does not hold of work ---- */

enum wrong { STRANGER, WAITS, ALLOCATES, FAILS, OTHER_SIZE };

static int ask_wrong(const job *j, enum wrong how, ds_err *err)
{
    int32_t own[4] = {0};
    float host;
    void *p;

    switch (how) {
    case STRANGER:
        return j->k->embed(j->k, j->x, j->table, DS_KF32, own, 4, D, err);
    case WAITS:
        return j->k->download(j->k, &host, j->x, sizeof host, err);
    case ALLOCATES:
        return j->k->alloc(j->k, &p, 64, err);
    default:
        return ds_fail(err, DS_FAIL, "the caller's own");
    }
}

static void what_does_not_hold_is_an_error(void **state)
{
    static const char *const says[] = {"16 bytes of the host's memory are none of the numbers",
                                       "not permitted when stream is capturing",
                                       "not permitted when stream is capturing", "caller's own",
                                       "20 bytes of numbers, captured work has 24"};

    (void)state;
    for (int how = STRANGER; how <= OTHER_SIZE; how++) {
        ds_err err = {0};
        job j[2];
        open_two(j);
        for (uint64_t turn = 0; turn < 5; turn++)
            for (int i = 0; i < 2; i++) {
                numbers m;
                bool done;
                if (i || turn != (how == OTHER_SIZE ? 3 : 1)) {
                    ok(work(&j[i], 6, turn, &err), &err, "work");
                    continue;
                }
                make_numbers(&m, &j[i], 6, 3, turn);
                m.p[0].bytes -= how == OTHER_SIZE ? 4 : 0;
                int rc = j->k->work_begin(j->k, &m.w, &done, &err);
                if (how != OTHER_SIZE) {
                    ok(rc, &err, "begin");
                    assert_false(done);
                    rc = ask_wrong(j, (enum wrong)how, &err);
                    assert_int_equal(j->k->work_end(j->k, false, &err), 0);
                }
                if (!rc || !strstr(err.msg, says[how]))
                    fail_msg("%d: '%s'", how, err.msg);
                ds_err_clear(&err);
                ok(work(j, 6, turn, &err), &err, "work again"); /* captured after all */
            }
        same_results(&j[0], &j[1], says[how]);
        close_two(j);
    }
}

static int whole(long *before, ds_err *err)
{
    job j;
    int rc = open_job(&j, err);

    for (uint64_t turn = 0; !rc && turn < 4; turn++)
        rc = work(&j, 6, turn, err);
    rc = !rc && j.k ? j.k->sync(j.k, err) : rc;
    *before = ds_emu_calls();
    if (j.k)
        j.k->close(j.k);
    return rc;
}

static void every_call_may_fail(void **state)
{
    (void)state;
    fail_each_call(whole, 60);
}

int main(void)
{
    if (threads_are_watched())
        return 77;
    const struct CMUnitTest anywhere[] = {
        cmocka_unit_test(a_step_has_the_bits_of_its_launches),
    };
    const struct CMUnitTest emulated[] = {
        cmocka_unit_test(a_step_in_parts_has_the_bits_of_a_whole_one),
        cmocka_unit_test(as_many_are_kept_as_have_room),
        cmocka_unit_test(sequences_lie_in_buckets),
        cmocka_unit_test(what_is_forgotten_is_captured_anew),
        cmocka_unit_test(scratch_that_grows_takes_what_was_captured_along),
        cmocka_unit_test(numbers_are_sent_ahead),
        cmocka_unit_test(what_does_not_hold_is_an_error),
        cmocka_unit_test(every_call_may_fail),
    };
    int failed = cmocka_run_group_tests(anywhere, NULL, NULL);
    if (!real)
        failed += cmocka_run_group_tests(emulated, NULL, NULL);
    return failed;
}
