/* test_launch.c - what launchers say in the environment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "launch.h"

/* An environment of nothing but these, "NAME=value" one after the other. */
static int reads(ds_launch *l, ds_err *err, const char *const *env)
{
    const char *form = getenv("CMOCKA_MESSAGE_OUTPUT"); /* how the tests are told of */
    char *kept = form ? strdup(form) : NULL;
    clearenv();
    if (kept)
        setenv("CMOCKA_MESSAGE_OUTPUT", kept, 1);
    free(kept);
    for (; *env; env++) {
        char name[64];
        const size_t n = strcspn(*env, "=");
        assert_true(n < sizeof name);
        memcpy(name, *env, n);
        name[n] = '\0';
        assert_int_equal(setenv(name, *env + n + 1, 1), 0);
    }
    ds_err_clear(err);
    return ds_launch_read(l, err);
}
#define READS(...) reads(&l, &err, (const char *const[]){__VA_ARGS__, NULL})

static void test_alone(void **state)
{
    ds_launch l;
    ds_err err = {0};

    (void)state;
    assert_int_equal(READS(NULL), 0);
    assert_int_equal(l.size, 1);
    /* what a batch script of Slurm sees, which srun has not started */
    assert_int_equal(READS("SLURM_NTASKS=4", "SLURM_PROCID=0", "SLURM_JOB_ID=7"), 0);
    assert_int_equal(l.size, 1);
    assert_int_equal(READS("WORLD_SIZE=1"), 0);
    assert_int_equal(l.size, 1);
}

static void test_torchrun(void **state)
{
    ds_launch l;
    ds_err err = {0};

    (void)state;
    assert_int_equal(READS("RANK=3", "WORLD_SIZE=4", "LOCAL_RANK=1", "LOCAL_WORLD_SIZE=2",
                           "MASTER_ADDR=node1", "MASTER_PORT=29500", "SLURM_STEP_NUM_TASKS=2",
                           "SLURM_PROCID=1"),
                     0);
    assert_int_equal(l.rank, 3);
    assert_int_equal(l.size, 4);
    assert_int_equal(l.local, 1);
    assert_true(l.tcp && !l.mpi && !l.here);
    assert_string_equal(l.host, "node1");
    assert_int_equal(l.port, 29500);
    assert_int_equal(READS("RANK=1", "WORLD_SIZE=2", "LOCAL_WORLD_SIZE=2", "MASTER_ADDR=node1",
                           "MASTER_PORT=29500", "TORCHELASTIC_USE_AGENT_STORE=True",
                           "DS_RANKS_TIMEOUT=9", "DS_RANKS_WAIT=7"),
                     0);
    assert_int_equal(l.port, 29501); /* torchrun's own is the other */
    assert_int_equal(l.local, -1);
    assert_int_equal(l.timeout, 9);
    assert_int_equal(l.patience, 7);
    assert_true(l.here);
    assert_int_equal(READS("RANK=1", "WORLD_SIZE=2", "MASTER_ADDR=localhost", "MASTER_PORT=29500",
                           "DS_RANKS_PORT=3000"),
                     0);
    assert_int_equal(l.port, 3000);
    assert_true(l.here);
    assert_int_equal(READS("RANK=1", "WORLD_SIZE=2", "MASTER_ADDR=node1"), 0);
    assert_false(l.tcp || l.mpi);
}

static void test_mpirun(void **state)
{
    ds_launch l;
    ds_err err = {0};

    (void)state;
    assert_int_equal(READS("OMPI_COMM_WORLD_SIZE=2", "OMPI_COMM_WORLD_RANK=1",
                           "OMPI_COMM_WORLD_LOCAL_RANK=1", "WORLD_SIZE=8"),
                     0);
    assert_int_equal(l.size, 2);
    assert_int_equal(l.rank, 1);
    assert_true(l.mpi && !l.tcp);
    assert_int_equal(READS("OMPI_COMM_WORLD_SIZE=2", "OMPI_COMM_WORLD_RANK=1", "DS_RANKS=tcp",
                           "MASTER_ADDR=a", "MASTER_PORT=1"),
                     0);
    assert_true(l.tcp && !l.mpi);
    assert_int_equal(READS("PMI_SIZE=2", "PMI_RANK=0"), 0);
    assert_true(l.mpi);
}

static void test_slurm(void **state)
{
    ds_launch l, other;
    ds_err err = {0};

    (void)state;
    assert_int_equal(READS("SLURM_STEP_NUM_TASKS=8", "SLURM_PROCID=5", "SLURM_LOCALID=1",
                           "SLURM_STEP_NUM_NODES=2", "SLURM_JOB_ID=4711", "SLURM_STEP_ID=0",
                           "SLURM_STEP_NODELIST=gpu[08-11]", "SLURM_JOB_NODELIST=gpu[07-11]"),
                     0);
    assert_int_equal(l.rank, 5);
    assert_int_equal(l.size, 8);
    assert_int_equal(l.local, 1);
    assert_true(l.tcp && !l.mpi && !l.here);
    assert_string_equal(l.host, "gpu08");
    assert_in_range(l.port, 15000, 29999);
    other = l;
    assert_int_equal(READS("SLURM_STEP_NUM_TASKS=8", "SLURM_PROCID=5", "SLURM_STEP_NUM_NODES=1",
                           "SLURM_JOB_ID=4711", "SLURM_STEP_ID=1", "SLURM_JOB_NODELIST=gpu08",
                           "PMIX_RANK=5"),
                     0);
    assert_true(l.tcp && l.mpi && l.here);
    assert_int_not_equal(l.port, other.port);
    assert_string_not_equal(l.run, other.run);
}

static void test_first_node(void **state)
{
    static const char *const LISTS[][2] = {
        {"node1", "node1"},
        {"a,b,c", "a"},
        {"n[3-5]", "n3"},
        {"a[0-1]b[2-3],c", "a0b2"},
        {"n[007,9-12],login", "n007"},
        {"r[1-2]c4,x", "r1c4"},
        {"[10-11]", "10"},
    };
    static const char *const WRONG[] = {"", ",a", "n[", "n[]", "n[a]", "n[1-2"};
    char out[256];
    ds_err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof LISTS / sizeof *LISTS; i++) {
        assert_int_equal(ds_launch_first_node(out, LISTS[i][0], &err), 0);
        assert_string_equal(out, LISTS[i][1]);
    }
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        ds_err_clear(&err);
        assert_int_not_equal(ds_launch_first_node(out, WRONG[i], &err), 0);
    }
    char longer[600];
    memset(longer, 'n', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    assert_int_not_equal(ds_launch_first_node(out, longer, &err), 0);
}

static void test_nonsense(void **state)
{
    ds_launch l;
    ds_err err = {0};

    (void)state;
    assert_int_equal(READS("WORLD_SIZE=3"), DS_USAGE);
    assert_non_null(strstr(err.msg, "WORLD_SIZE=3"));
    assert_int_equal(READS("RANK=3", "WORLD_SIZE=3", "MASTER_ADDR=a", "MASTER_PORT=1"), DS_USAGE);
    assert_non_null(strstr(err.msg, "RANK=3: not a number from 0 to 2"));
    assert_int_equal(READS("RANK=1x", "WORLD_SIZE=3", "MASTER_ADDR=a", "MASTER_PORT=1"), DS_USAGE);
    assert_int_equal(READS("RANK=1", "WORLD_SIZE=-3", "MASTER_ADDR=a", "MASTER_PORT=1"), DS_USAGE);
    assert_int_equal(READS("RANK=1", "WORLD_SIZE=3", "MASTER_ADDR=a", "MASTER_PORT=70000"),
                     DS_USAGE);
    assert_int_equal(READS("RANK=1", "WORLD_SIZE=99999999999999999999"), DS_USAGE);
    assert_int_equal(READS("RANK=1"), DS_USAGE);
    assert_non_null(strstr(err.msg, "RANK=1, and WORLD_SIZE does not say"));
    assert_int_equal(READS("RANK=1", "WORLD_SIZE=1"), DS_USAGE);
    assert_int_equal(READS("RANK=0", "WORLD_SIZE=1"), 0);
    assert_int_equal(READS("RANK=general"), 0);
    assert_int_equal(
        READS("RANK=1", "WORLD_SIZE=3", "MASTER_ADDR=a", "MASTER_PORT=1", "DS_RANKS=udp"),
        DS_USAGE);
    assert_non_null(strstr(err.msg, "DS_RANKS=udp: mpi or tcp"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone),      cmocka_unit_test(test_torchrun),
        cmocka_unit_test(test_mpirun),     cmocka_unit_test(test_slurm),
        cmocka_unit_test(test_first_node), cmocka_unit_test(test_nonsense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
