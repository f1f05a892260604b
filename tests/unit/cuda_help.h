/* cuda_help.h - what the tests of the CUDA backend share: it and the CPU's, side by side. Without a
 * device the kernels run on the host, under emulation (kernels/cuda/emu.h); DS_TEST_DEVICE=cuda
 * loads the plugin. */
#ifndef DS_CUDA_HELP_H
#define DS_CUDA_HELP_H

#include <errno.h>

#include "emuhooks.h"
#include "kern_help.h"
#include "plugin.h"

static ds_kernels *K[2]; /* the CPU's and the device's */
static bool real;        /* a device, not its emulation */

/* Fibers are slow under AddressSanitizer: one of so many shapes and calls will do there;
 * 5 goes through all formats, and both of what alternates. */
#ifdef __SANITIZE_ADDRESS__
#define SOME 5
#else
#define SOME 1
#endif

int ds_cuda_open(ds_kernels **k, int abi, int device, ds_err *err);

static inline void ok(int rc, const ds_err *err, const char *what)
{
    if (rc)
        fail_msg("%s: %s", what, err->msg);
}

/* Says that the test is left out where a sanitizer would take fibers for threads. */
static inline bool threads_are_watched(void)
{
#ifdef __SANITIZE_THREAD__
    puts("1..0 # skip fibers are no threads");
    return true;
#else
    return false;
#endif
}

static inline ds_kernels *open_device(void)
{
    const char *device = getenv("DS_TEST_DEVICE");
    ds_kernels *k = NULL;
    ds_err err = {0};

    real = device && *device;
    ok(real ? ds_kernels_open(&k, device, 0, &err) : ds_cuda_open(&k, DS_KERNELS_ABI, 0, &err),
       &err, "the device's backend");
    return k;
}

static inline int open_both(void **state)
{
    ds_err err = {0};

    (void)state;
    ok(ds_kernels_cpu(&K[0], 2, NULL, &err), &err, "the CPU's backend");
    K[1] = open_device();
    return 0;
}

/* A device taken for one before compute capability 9.0 in K[1]'s place, which is returned; and
 * back.
 */
static inline ds_kernels *older_begin(void)
{
    ds_kernels *newer = K[1];

    assert_return_code(setenv("DS_CUDA_SM", "80", 1), errno);
    K[1] = open_device();
    assert_return_code(unsetenv("DS_CUDA_SM"), errno);
    return newer;
}
static inline void older_end(ds_kernels *newer)
{
    K[1]->close(K[1]);
    K[1] = newer;
}

static inline int close_both(void **state)
{
    (void)state;
    for (int s = 0; s < 2; s++)
        K[s]->close(K[s]);
    return real ? 0 : ds_emu_left();
}

/* Runs all of something as often as it makes calls (or SOME of them), one of which fails each time:
 * it is told of, and nothing is left behind. *before: calls that were made before the backend was
 * closed. */
static inline void fail_each_call(int (*whole)(long *before, ds_err *err), long least)
{
    long failed = 0, before;
    bool over = false;

    for (long at = 1; !over; at += SOME) {
        ds_err err = {0};
        ds_emu_fail(at);
        const int rc = whole(&before, &err);
        over = ds_emu_calls() < at;
        if (rc == 0 && !over && at <= before)
            fail_msg("call %ld failed, and nobody heard of it", at);
        if (rc != 0 && (!err.msg[0] || !strstr(err.msg, "cuda")))
            fail_msg("call %ld: '%s'", at, err.msg);
        if (ds_emu_left())
            fail_msg("call %ld failed, and something was left behind", at);
        failed += rc != 0;
    }
    ds_emu_fail(0);
    assert_true(failed > least / SOME);
}

#endif
