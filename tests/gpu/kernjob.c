/* kernjob.c - memory of one job, from the text of its shape. */
#include "kernjob.h"

#include <stdlib.h>
#include <string.h>

#include "devroom.h"
#include "philox.h"

bool ds_job_says(const ds_kernjob *j, const char *word)
{
    const size_t n = strlen(word);

    for (const char *at = j->shape; (at = strstr(at, word)); at += n)
        if ((at == j->shape || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
            return true;
    return false;
}

static void read_dims(ds_kernjob *j)
{
    char *end;

    for (const char *at = j->shape; *at; at = *end ? end + 1 : end) {
        end = strchr(at, ' ');
        end = end ? end : strchr(at, '\0');
        if (at[0] >= 'a' && at[0] <= 'z' && at[1] >= '0' && at[1] <= '9')
            j->dim[at[0] - 'a'] = strtoll(at + 1, NULL, 10);
    }
}

/* The product of the dimensions that *at names, up to what is no letter of one. */
static double product(const ds_kernjob *j, const char **at)
{
    double n = 1;

    for (; **at >= 'a' && **at <= 'z'; ++*at)
        n *= (double)ds_job_dim(j, **at);
    return n;
}

static double sum_of_products(const ds_kernjob *j, const char *at)
{
    double sum = 0;

    while (*at) {
        char *end;
        double factor = strtod(at, &end);
        factor = end == at ? 1 : factor;
        at = end;
        sum += factor * product(j, &at);
        at += *at == ' ';
    }
    return sum;
}

static int take(void **p, char *from, size_t *used, size_t size, size_t bytes, ds_err *err)
{
    const size_t room = ds_device_room(bytes);

    if (room > size - *used)
        return ds_fail(err, DS_FAIL, "%zu bytes more than the room of %zu", *used + room - size,
                       size);
    *p = from + *used;
    *used += room;
    return 0;
}

int ds_job_take(ds_kernjob *j, void **p, size_t bytes, ds_err *err)
{
    return take(p, j->room->work, &j->used[1], j->room->bytes, bytes, err);
}

/* Bytes of a number of the format at *at. */
static double width_of(const ds_kernjob *j, const char **at)
{
    const char f = **at;
    const bool wide = f == 'F' || (f == 'C' && ds_job_says(j, "to_f32")) ||
                      (f == 'A' && ds_job_says(j, "from_f32"));

    *at += f >= 'A' && f <= 'Z';
    return f == 'B' ? 1 : wide ? 4 : 2;
}

/* What is changed in place begins as random numbers. */
static int copy_random(const ds_kernjob *j, void *to, size_t bytes, ds_err *err)
{
    const int64_t row = 128, rows = (int64_t)(ds_device_room(bytes) / 256);

    return j->k->copy_cols(j->k, to, row, j->room->random, row, DS_KBF16, rows, row, false, err);
}

/* Reads one operand at *at, and leaves it behind. */
static int place(ds_kernjob *j, int i, const char **at, ds_err *err)
{
    const char role = **at == '=' || **at == '+' || **at == '~' ? *(*at)++ : ' ';
    const double width = width_of(j, at), moved = product(j, at) * width;
    const bool read = role != '=' || (i == 0 && ds_job_says(j, "acc"));
    double held = moved;

    if (**at == ':') {
        ++*at;
        held = product(j, at) * width;
    }
    *at += **at == ' ';
    j->bytes += moved * (read + (role == '=' || role == '+'));
    const size_t bytes = (size_t)held;
    if (bytes == 0)
        return 0;
    if (role == ' ')
        return take(&j->p[i], j->room->random, &j->used[0], j->room->bytes, bytes, err);
    const int rc = ds_job_take(j, &j->p[i], bytes, err);
    return rc || !read ? rc : copy_random(j, j->p[i], bytes, err);
}

static int host_numbers(ds_kernjob *j, ds_err *err)
{
    const int64_t t = ds_job_dim(j, 't'), v = ds_job_dim(j, 'v'), l = ds_job_dim(j, 'l');
    const size_t n = (size_t)t + 2;

    j->ids = calloc(n, sizeof *j->ids);
    j->pos = calloc(n, sizeof *j->pos);
    j->cu = calloc(n, sizeof *j->cu);
    j->ones = calloc(n, sizeof *j->ones);
    if (!j->ids || !j->pos || !j->cu || !j->ones)
        return ds_fail_nomem(err);
    for (int64_t i = 0; i < t; i++) {
        j->ids[i] = (int32_t)(ds_philox(1, 1, (uint64_t)i) % (uint64_t)(v > 0 ? v : 1));
        j->pos[i] = (int32_t)(l > 0 ? i % l : i);
        j->ones[i] = 1;
    }
    for (int64_t i = 0; l > 0 && i <= t / l; i++)
        j->cu[i] = (int32_t)(i * l);
    return 0;
}

int ds_job_init(ds_kernjob *j, ds_err *err)
{
    const char *at = j->kind->operands;

    read_dims(j);
    j->flops = sum_of_products(j, j->kind->flops);
    int rc = host_numbers(j, err);
    for (int i = 0; !rc && *at; i++)
        rc = place(j, i, &at, err);
    return rc || !j->kind->ready ? rc : j->kind->ready(j, err);
}

void ds_job_fini(ds_kernjob *j)
{
    free(j->ids);
    free(j->pos);
    free(j->cu);
    free(j->ones);
    free(j->groups);
}
