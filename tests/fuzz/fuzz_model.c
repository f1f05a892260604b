/* fuzz_model.c - models of strangers: safetensors files and config.json. The first byte of the
 * input says which the rest is, and whether the length before a safetensors header is made right.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "modelconf.h"
#include "safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok)
{
    if (!ok)
        abort();
}

/* Every element, in stretches. */
static void numbers(const ds_st_tensor *t)
{
    float out[64];
    size_t count = 1;
    ds_err err = {0};

    for (int i = 0; i < t->ndim; i++)
        count *= (size_t)t->dims[i];
    for (size_t at = 0; at < count; at += 64)
        if (ds_st_to_f32(out, t, at, count - at < 64 ? count - at : 64, &err)) {
            require(*err.msg);
            return;
        }
}

static void tensors(const uint8_t *p, size_t n)
{
    char path[64];
    ds_st_file f = {0};
    ds_err err = {0};
    size_t bytes = 0;
    const int fd = memfd_create("tensors", MFD_CLOEXEC);

    require(fd >= 0 && write(fd, p, n) == (ssize_t)n);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (ds_st_open(&f, path, &err)) {
        require(*err.msg);
        f = (ds_st_file){0};
    }
    for (size_t i = 0; i < f.n; i++) {
        require(ds_st_find(&f, f.t[i].name) == &f.t[i]);
        numbers(&f.t[i]);
        bytes += f.t[i].bytes;
    }
    require(bytes <= n);
    ds_st_close(&f);
    close(fd);
}

/* What was read writes a file that says the same. */
static void config(const uint8_t *p, size_t n)
{
    ds_modelconf c = {0}, d = {0};
    ds_buf once = {0}, twice = {0};
    ds_err err = {0};

    if (ds_modelconf_parse(&c, p, n, "input", &err)) {
        require(*err.msg);
        ds_modelconf_fini(&c);
        return;
    }
    require(ds_modelconf_check(&c, &err) == 0);
    require(ds_qk_dim(&c) > 0 && ds_v_dim(&c) > 0);
    require(ds_modelconf_dump(&once, &c, &err) == 0);
    require(ds_modelconf_parse(&d, once.data, once.len, "output", &err) == 0);
    require(ds_modelconf_dump(&twice, &d, &err) == 0);
    require(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    ds_buf_fini(&once);
    ds_buf_fini(&twice);
    ds_modelconf_fini(&c);
    ds_modelconf_fini(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1)
        return 0;
    if (data[0] % 2) {
        config(data + 1, len - 1);
        return 0;
    }
    uint8_t *p = malloc(len);
    const size_t n = len - 1;

    require(p != NULL);
    memcpy(p, data + 1, n);
    if (data[0] & 2 && n >= 8) { /* up to the last closing brace */
        const uint8_t *end = memrchr(p + 8, '}', n - 8);
        ds_set_u64(p, end ? (uint64_t)(end - p) - 7 : 0);
    }
    tensors(p, n);
    free(p);
    return 0;
}
