/* Runs in the catalog: registered once, moved forward, keeping the ledger of the checkpoint with
 * the most steps. */
#include "unit.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit.h"
#include "runname.h"
#include "runs.h"
#include "runset.h"

static ds_err bad; /* of OK */
#define OK(call)                                                                                   \
    do {                                                                                           \
        bad = (ds_err){0};                                                                         \
        int ok_rc_ = (call);                                                                       \
        if (ok_rc_ != 0)                                                                           \
            fail_msg("%s: %d: %s", #call, ok_rc_, bad.msg);                                        \
    } while (0)

enum { ROWS = 2 }; /* a step */

static char docs[] = "docs", tokens[] = "tokens", none[] = "", version[] = "0.1.0", base[] = "base";
static ds_run_dataset dataset;

static ds_store store;
static char dir[256];

static ds_lineage lineage_at(char name[32], uint64_t seed, uint64_t step)
{
    dataset = (ds_run_dataset){
        .name = docs, .column = tokens, .tokenizer = none, .root = {{1}}, .records = 10};
    snprintf(name, 32, "step-%06u", (unsigned)step);
    return (ds_lineage){.name = name,
                        .run = {.datasets = &dataset,
                                .ndatasets = 1,
                                .seed = seed,
                                .steps = 100,
                                .rows = ROWS,
                                .seq_len = 8,
                                .window = 4,
                                .trainer = version},
                        .model_name = base,
                        .step = step,
                        .rows = step * ROWS};
}

/* Segments of the given last steps in a checkpoint's folder; the head of the chain. */
static ds_sha make_ledger(const char *name, const ds_run *run, const uint64_t *ends, size_t n)
{
    ds_sha chain, digest;
    uint64_t row = 0, count;
    char path[400];
    ds_err err = {0};

    snprintf(dir, sizeof dir, "%s", unit_path(name));
    snprintf(path, sizeof path, "%s/ledger", dir);
    OK(ds_mkdirs(path, &bad));
    OK(ds_run_digest(&digest, run, &bad));
    OK(ds_ledger_first(&chain, &digest, &bad));
    for (size_t i = 0; i < n; i++) {
        char file[64];
        ds_ledger *l = NULL;
        ds_ledger_name(file, row / ROWS + 1, ends[i]);
        snprintf(path, sizeof path, "%s/ledger/%s", dir, file);
        OK(ds_ledger_create(&l, path, &chain, &bad));
        for (; row < ends[i] * ROWS; row++) {
            const uint8_t pieces[] = {1, 0, (uint8_t)(row % 10), 0, 5};
            const ds_ledger_row r = {.step = row / ROWS + 1,
                                     .row = row,
                                     .targets = 4,
                                     .pieces = pieces,
                                     .pieces_len = sizeof pieces};
            assert_int_equal(ds_ledger_add(l, &r, &err), 0);
        }
        OK(ds_ledger_finish(l, &chain, &count, &bad));
    }
    return chain;
}

static int put(const char *name, uint64_t seed, uint64_t step, const uint64_t *ends, size_t n,
               ds_err *err)
{
    char text[32];
    ds_lineage l = lineage_at(text, seed, step);
    ds_buf b = {0};
    int rc;

    l.head = make_ledger(name, &l.run, ends, n);
    rc = ds_lineage_dump(&b, &l, err);
    rc = rc ? rc : ds_run_register(&store, &l, b.data, b.len, "my run", dir, err);
    ds_buf_fini(&b);
    return rc;
}

typedef struct found {
    size_t runs, commits, rows;
    uint64_t steps[8];
    size_t nsteps, nsegments, all_steps;
    git_oid commit;
    ds_chain chain;
} found;

static int count_row(void *ctx, const ds_ledger_row *r, ds_err *err)
{
    found *f = ctx;
    f->rows++;
    return ds_chain_row(&f->chain, r, err);
}

static int on_run(void *ctx, const ds_run_ref *r, ds_err *err)
{
    found *f = ctx;
    ds_run_info i = {0};
    ds_segments l = {0};

    f->runs++;
    f->commit = r->commit;
    OK(ds_run_info_read(&i, &store, r, &bad));
    assert_string_equal(i.name, "my run");
    assert_int_equal(strncmp(r->name, "refs/dsver/runs/docs/", 21), 0);
    assert_int_equal(strlen(r->digest), 16);
    f->nsteps = i.nsteps;
    f->all_steps += i.nsteps;
    for (size_t k = 0; k < i.nsteps && k < 8; k++)
        f->steps[k] = i.steps[k];
    OK(ds_segments_tree(&l, store.cat, &r->tree, &bad));
    f->nsegments = l.n;
    f->rows = 0;
    OK(ds_segments_check(&l, 0, i.last.step, &bad));
    OK(ds_chain_begin(&f->chain, &i.last.run, &bad));
    OK(ds_segments_scan(&l, store.cat, count_row, f, &bad));
    assert_true(ds_sha_eq(&f->chain.value, &i.last.head));
    ds_segments_fini(&l);
    ds_run_info_fini(&i);
    (void)err;
    return 0;
}

static found look(void)
{
    found f = {0};
    OK(ds_run_each(&store, on_run, &f, &bad));
    return f;
}

static void registered_forward(void **state)
{
    (void)state;
    const uint64_t a[] = {2}, b[] = {2, 5}, other[] = {5};

    assert_int_equal(look().runs, 0);
    OK(put("a", 1, 2, a, 1, &bad));
    found f = look();
    assert_true(f.runs == 1 && f.nsteps == 1 && f.steps[0] == 2 && f.rows == 2 * ROWS);
    const git_oid first = f.commit;
    OK(put("a2", 1, 2, a, 1, &bad)); /* the same again is nothing */
    f = look();
    assert_true(f.runs == 1 && git_oid_equal(&f.commit, &first));
    OK(put("b", 1, 5, b, 2, &bad));
    f = look();
    assert_true(f.runs == 1 && f.nsteps == 2 && f.steps[0] == 2 && f.steps[1] == 5 &&
                f.rows == 5 * ROWS && f.nsegments == 2);
    ds_version v = {0};
    OK(ds_version_get(&v, store.cat, &f.commit, &bad));
    assert_true(v.has_parent && git_oid_equal(&v.parent, &first) && !*v.dataset);
    ds_version_fini(&v);
    /* an older checkpoint does not take the ledger back; one with other segments replaces it */
    OK(put("a3", 1, 2, a, 1, &bad));
    assert_int_equal(look().rows, 5 * ROWS);
    OK(put("c", 1, 5, other, 1, &bad));
    f = look();
    assert_true(f.nsegments == 1 && f.rows == 5 * ROWS);
    OK(put("d", 2, 2, a, 1, &bad)); /* another seed: another run */
    assert_int_equal(look().runs, 2);
}

static void refused(void **state)
{
    const uint64_t a[] = {2}, gap[] = {2, 4};
    ds_err err = {0};

    (void)state;
    assert_int_equal(put("e", 9, 3, a, 1, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "the segments end at step 2, not 3"));
    err.code = 0;
    assert_int_equal(put("f", 9, 3, gap, 2, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "ends behind step 3"));
    err.code = 0;
    unit_write(unit_path("e/ledger/stranger"), "x", 1);
    assert_int_equal(put("e", 9, 2, a, 1, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "not the name of a segment"));
    const found f = look();
    assert_int_equal(f.runs, 2); /* nothing came of them */
}

static void chains(void **state)
{
    char name[32];
    const ds_lineage l = lineage_at(name, 1, 1);
    ds_chain c;
    ds_sha value;
    const uint8_t pieces[] = {0};
    ds_ledger_row r = {.step = 1, .row = 0, .pieces = pieces, .pieces_len = 1};

    (void)state;
    OK(ds_chain_begin(&c, &l.run, &bad));
    value = c.value;
    OK(ds_ledger_next(&value, &r, &bad));
    r.chain = value.b;
    OK(ds_chain_row(&c, &r, &bad));
    ds_err err = {0};
    r.row = 1;
    assert_int_equal(ds_chain_row(&c, &r, &err), DS_FAIL); /* the chain is that of row 0 */
    assert_non_null(strstr(err.msg, "step 1, row 1: the row does not follow"));
    err.code = 0;
    r.row = 3;
    assert_int_equal(ds_chain_row(&c, &r, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "step 1, row 3 stands where step 2, row 2 belongs"));
}

/* Several processes register checkpoints of one run at once: none is lost. */
static void at_once(void **state)
{
    enum { N = 4 };
    pid_t child[N];

    (void)state;
    for (size_t i = 0; i < N; i++) {
        child[i] = fork();
        assert_int_not_equal(child[i], -1);
        if (child[i] == 0) {
            const uint64_t ends[] = {i + 1};
            char name[8] = {'p', (char)('0' + i)};
            ds_err err = {0};
            store = (ds_store){0}; /* the parent's is not to be used here */
            int rc = ds_store_open(&store, unit_dir(), DS_OBJ_WRITE, &err);
            rc = rc ? rc : put(name, 33, i + 1, ends, 1, &err);
            if (rc)
                fprintf(stderr, "%s\n", err.msg);
            _exit(rc ? 1 : 0);
        }
    }
    for (size_t i = 0; i < N; i++) {
        int status;
        assert_true(waitpid(child[i], &status, 0) == child[i] && WIFEXITED(status) &&
                    WEXITSTATUS(status) == 0);
    }
    const found f = look();
    assert_int_equal(f.runs, 3);
    assert_int_equal(f.all_steps, 2 + 1 + N);
}

static int setup(void **state)
{
    ds_err err = {0};

    (void)state;
    if (ds_store_init(unit_dir(), DS_SHARED_UMASK, NULL, &err) ||
        ds_store_open(&store, unit_dir(), DS_OBJ_WRITE, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        return -1;
    }
    return 0;
}

static int teardown(void **state)
{
    ds_store_close(&store);
    return unit_dir_remove(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registered_forward),
        cmocka_unit_test(refused),
        cmocka_unit_test(chains),
        cmocka_unit_test(at_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
