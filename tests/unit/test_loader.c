/* The loader: the same micro-batches in the same order for any number of fetching threads; targets
 * under a loss mask; an error comes where its row does. */
#include "unit.h"

#include <stdio.h>

#include "dsr_rows.h"
#include "loader.h"

enum { RECORDS = 400, VOCAB = 500, SEQ_LEN = 64, ROWS = 96 };

static uint32_t length_of(uint32_t i)
{
    return i * 37 % 90;
}

static uint32_t token_of(uint32_t i, uint32_t k)
{
    return (i * 31 + k * k) % VOCAB;
}

/* Tokens i..i+n of record i have mask (i + k) / 5 odd; every 9th record has none. */
static bool masked(uint32_t i, uint32_t k)
{
    return i % 9 && (i + k) / 5 % 2 == 0;
}

static void put_mask(ds_colbuild *c, uint32_t i, uint32_t n, ds_err *err)
{
    uint64_t runs[2 * 90];

    for (uint32_t k = 0; k < n; k++) {
        runs[2 * k] = 1;
        runs[2 * k + 1] = !masked(i, k);
    }
    assert_int_equal(i % 9 ? ds_colbuild_runs(c, runs, n, err) : ds_colbuild_null(c, err), 0);
}

static void make_data(const char *path, uint32_t bad)
{
    const ds_writer_opts o = {.level = 1};
    uint32_t ids[90];
    ds_schema s;
    ds_atomic f;
    ds_out out = {0};
    ds_writer *w = NULL;
    ds_rows *r = NULL;
    ds_err err = {0};

    ds_schema_init(&s);
    assert_int_equal(
        ds_schema_add(&s, NULL, "n", DS_I64, DS_COL_PRIMARY | DS_COL_KEYED, NULL, &err), 0);
    assert_int_equal(ds_schema_add(&s, NULL, "tokens", DS_TOKENS16, 0, NULL, &err), 0);
    assert_int_equal(ds_schema_add(&s, NULL, "loss", DS_RUNS, DS_COL_NULLABLE, NULL, &err), 0);
    assert_int_equal(ds_atomic_open(&f, path, 0644, &err), 0);
    assert_int_equal(ds_out_init(&out, f.fd, path, &err), 0);
    assert_int_equal(ds_writer_new(&w, &out, &s, "[]", 2, &o, &err), 0);
    assert_int_equal(ds_rows_new(&r, w, &s, &err), 0);
    for (uint32_t i = 0; i < RECORDS; i++) {
        const uint32_t n = length_of(i);
        for (uint32_t k = 0; k < n; k++)
            ids[k] = i == bad ? 60000 : token_of(i, k);
        assert_int_equal(ds_rows_begin(r, &err), 0);
        assert_int_equal(ds_colbuild_i64(ds_rows_col(r, 0), i, &err), 0);
        assert_int_equal(ds_colbuild_tokens(ds_rows_col(r, 1), ids, n, &err), 0);
        put_mask(ds_rows_col(r, 2), i, n, &err);
        assert_int_equal(ds_rows_end(r, &err), 0);
    }
    assert_int_equal(ds_rows_finish(r, &err), 0);
    assert_int_equal(ds_writer_end(w, NULL, NULL, &err), 0);
    assert_int_equal(ds_out_flush(&out, &err), 0);
    assert_int_equal(ds_atomic_commit(&f, &err), 0);
    ds_rows_free(r);
    ds_writer_free(w);
    ds_out_fini(&out);
    ds_schema_fini(&s);
}

typedef struct fixture {
    ds_dataset *data[1];
    ds_run_dataset told;
    ds_run run;
} fixture;

static void open_data(fixture *f, const char *mask, uint32_t bad)
{
    ds_err err = {0};

    make_data(unit_path("data.dsr"), bad);
    assert_int_equal(
        ds_dataset_open(&f->data[0], unit_path("data.dsr"), NULL, "tokens", mask, &err), 0);
    f->told = (ds_run_dataset){.records = ds_dataset_about(f->data[0])->records};
    f->run = (ds_run){.datasets = &f->told,
                      .ndatasets = 1,
                      .seed = 11,
                      .steps = ROWS,
                      .rows = 1,
                      .seq_len = SEQ_LEN,
                      .window = 50,
                      .longer = DS_LONG_SPLIT};
}

static ds_loader *start_with(const ds_loader_conf *c)
{
    ds_loader *l = NULL;
    ds_err err = {0};

    if (ds_loader_new(&l, c, &err))
        fail_msg("%s", err.msg);
    return l;
}

static ds_loader *start(const fixture *f, uint64_t first, uint64_t rows, int threads)
{
    const ds_loader_conf c = {.run = &f->run,
                              .datasets = (ds_dataset **)(uintptr_t)f->data,
                              .first = first,
                              .rows = rows,
                              .count = ROWS - first,
                              .vocab = VOCAB,
                              .depth = 3,
                              .threads = threads};

    return start_with(&c);
}

/* Everything that comes, from row `first` on, as bytes. */
static void drain(const fixture *f, ds_buf *out, uint64_t first, uint64_t rows, int threads)
{
    ds_loader *l = start(f, first, rows, threads);
    ds_minibatch *m;
    uint64_t next = first;
    ds_err err = {0};

    ds_buf_reset(out);
    while (ds_loader_next(l, &m, &err) > 0) {
        assert_int_equal(m->row, next);
        next += m->rows;
        for (int64_t i = 0; i < m->t; i++) {
            const int32_t x[] = {m->ids[i], m->pos[i], m->target[i], m->weight[i] > 0};
            assert_int_equal(ds_buf_put(out, x, sizeof x), 0);
        }
        for (uint64_t i = 0; i < m->rows; i++)
            assert_int_equal(ds_buf_put(out, &m->targets[i], sizeof *m->targets) ||
                                 ds_buf_put(out, m->pieces[i].data, m->pieces[i].len),
                             0);
        ds_loader_give_back(l, m);
    }
    assert_int_equal(err.code, 0);
    assert_int_equal(next, ROWS);
    const ds_loader_stats s = ds_loader_about(l);
    assert_true(s.most >= 1 && s.threads >= 1 && s.most <= (threads > 8 ? 8 : threads));
    ds_loader_free(l);
}

static void any_number_of_threads(void **state)
{
    fixture f;
    ds_buf one = {0}, more = {0};

    (void)state;
    open_data(&f, NULL, RECORDS);
    for (uint64_t rows = 1; rows <= 5; rows += 2) {
        drain(&f, &one, 0, rows, 1);
        for (int threads = 2; threads <= 9; threads += 3) {
            drain(&f, &more, 0, rows, threads);
            assert_int_equal(one.len, more.len);
            assert_memory_equal(one.data, more.data, one.len);
        }
    }
    /* from the middle on: the end of the same */
    drain(&f, &one, 0, 1, 1);
    drain(&f, &more, 40, 1, 4);
    assert_true(more.len < one.len);
    assert_memory_equal(one.data + one.len - more.len, more.data, more.len);
    ds_buf_fini(&one);
    ds_buf_fini(&more);
    ds_dataset_close(f.data[0]);
}

/* Position k of a piece that begins at `offset` asks for token k + 1, where its mask is 1. */
static void check_row(const ds_minibatch *m, const ds_span *s, size_t n, bool mask)
{
    int64_t at = 0;
    uint64_t targets = 0;

    for (size_t i = 0; i < n; i++, at += s[i - 1].len)
        for (uint32_t k = 0; k < s[i].len; k++) {
            const uint32_t record = (uint32_t)s[i].record, t = s[i].offset + k + 1;
            const bool learn = k + 1 < s[i].len && (!mask || !masked(record, t));
            assert_int_equal(m->ids[at + k], token_of(record, s[i].offset + k));
            assert_int_equal(m->pos[at + k], k);
            assert_int_equal(m->weight[at + k] > 0, learn);
            if (learn)
                assert_int_equal(m->target[at + k], token_of(record, t));
            targets += learn;
        }
    for (; at < m->t; at++)
        assert_true(m->weight[at] == 0);
    assert_int_equal(m->targets[0], targets);
}

static void targets_under_a_mask(void **state)
{
    static const uint64_t firsts[] = {0};

    (void)state;
    for (int mask = 0; mask < 2; mask++) {
        fixture f;
        ds_minibatch *m;
        ds_buf spans = {0};
        ds_err err = {0};
        open_data(&f, mask ? "loss" : "none", RECORDS);
        ds_loader *l = start(&f, 0, 1, 2);
        while (ds_loader_next(l, &m, &err) > 0) {
            ds_buf_reset(&spans);
            assert_int_equal(
                ds_spans_decode(&spans, m->pieces[0].data, m->pieces[0].len, firsts, 1, &err), 0);
            check_row(m, (const ds_span *)(const void *)spans.data, spans.len / sizeof(ds_span),
                      mask);
            ds_loader_give_back(l, m);
        }
        ds_loader_free(l);
        ds_buf_fini(&spans);
        ds_dataset_close(f.data[0]);
    }
}

/* Micro-batches of prompt tuning with few lengths are those without, and padding behind them. */
static void few_lengths(void **state)
{
    enum { TOKENS = 3, TOGETHER = 4 };
    ds_loader_conf c = {.rows = TOGETHER,
                        .count = ROWS,
                        .vocab = VOCAB,
                        .virtual_tokens = TOKENS,
                        .depth = 3,
                        .threads = 1};
    ds_minibatch *m[2];
    int64_t longest, most = 0;
    bool padded = false;
    fixture f;
    ds_err err = {0};

    (void)state;
    open_data(&f, NULL, RECORDS);
    c.run = &f.run;
    c.datasets = f.data;
    ds_loader *plain = start_with(&c);
    c.even = true;
    ds_loader *even = start_with(&c);
    assert_int_equal(ds_loader_longest(&longest, &c, &err), 0);
    while (ds_loader_next(plain, &m[0], &err) > 0) {
        assert_int_equal(ds_loader_next(even, &m[1], &err), 1);
        const int64_t t = m[0]->t, all = m[1]->t;
        int64_t step = 8;
        while (step * 16 <= t)
            step *= 2;
        assert_true(all % step == 0 && all >= t && all < t + step);
        assert_memory_equal(m[0]->ids, m[1]->ids, (size_t)t * 4);
        assert_memory_equal(m[0]->pos, m[1]->pos, (size_t)t * 4);
        assert_memory_equal(m[0]->target, m[1]->target, (size_t)t * 4);
        assert_memory_equal(m[0]->weight, m[1]->weight, (size_t)t * 4);
        assert_memory_equal(m[0]->cu, m[1]->cu, ((size_t)m[0]->nseqs + 1) * 4);
        assert_int_equal(m[1]->cu[m[1]->nseqs], all);
        for (int64_t i = t; i < all; i++)
            assert_true(m[1]->weight[i] == 0 && m[1]->ids[i] == 0 && m[1]->pos[i] < SEQ_LEN);
        for (int32_t s = m[0]->nseqs; s < m[1]->nseqs; s++)
            assert_in_range(m[1]->cu[s + 1] - m[1]->cu[s], 1, SEQ_LEN);
        padded = padded || all > t;
        most = all > most ? all : most;
        ds_loader_give_back(plain, m[0]);
        ds_loader_give_back(even, m[1]);
    }
    assert_int_equal(err.code, 0);
    assert_true(padded && longest == most);
    ds_loader_free(plain);
    ds_loader_free(even);
    ds_dataset_close(f.data[0]);
}

/* The record that row `row` begins with. */
static uint32_t record_in(uint64_t row)
{
    static const uint64_t firsts[] = {0};
    fixture f;
    ds_minibatch *m;
    ds_buf spans = {0};
    ds_err err = {0};

    open_data(&f, NULL, RECORDS);
    ds_loader *l = start(&f, row, 1, 1);
    assert_int_equal(ds_loader_next(l, &m, &err), 1);
    assert_int_equal(ds_spans_decode(&spans, m->pieces[0].data, m->pieces[0].len, firsts, 1, &err),
                     0);
    const uint32_t record = (uint32_t)((const ds_span *)(const void *)spans.data)->record;
    ds_loader_free(l);
    ds_buf_fini(&spans);
    ds_dataset_close(f.data[0]);
    return record;
}

static void an_error_comes_in_its_place(void **state)
{
    const uint32_t bad = record_in(60);
    fixture f;
    uint64_t where[2] = {0};
    char text[64];

    (void)state;
    snprintf(text, sizeof text, "record %u: token 60000", (unsigned)bad);
    open_data(&f, NULL, bad);
    for (int i = 0; i < 2; i++) {
        ds_loader *l = start(&f, 0, 1, i ? 6 : 1);
        ds_minibatch *m;
        ds_err err = {0};
        int rc;
        while ((rc = ds_loader_next(l, &m, &err)) > 0) {
            where[i]++;
            ds_loader_give_back(l, m);
        }
        assert_int_equal(rc, DS_FAIL);
        assert_non_null(strstr(err.msg, text));
        ds_loader_free(l);
    }
    assert_true(where[0] == where[1] && where[0] <= 60);
    /* given up in the middle, with threads at work */
    ds_loader_free(start(&f, 0, 1, 8));
    ds_dataset_close(f.data[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_threads),
        cmocka_unit_test(targets_under_a_mask),
        cmocka_unit_test(few_lengths),
        cmocka_unit_test(an_error_comes_in_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, unit_dir_remove);
}
