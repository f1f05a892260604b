/* scratch.c - see scratch.h. How many floats there are lies in the 64 bytes before them. */
#include "scratch.h"

#include <stdlib.h>
#include <string.h>

#include "cpu.h"

#define HEAD 16 /* floats */

static size_t length_of(const float *p)
{
    size_t n;

    memcpy(&n, p - HEAD, sizeof n);
    return n;
}

static void drop(float *p)
{
    if (p)
        free(p - HEAD);
}

float *ds_scratch_take(ds_scratch *s, size_t floats)
{
    for (int i = 0; i < DS_SCRATCH_KEPT; i++) {
        if (!__atomic_load_n(&s->kept[i], __ATOMIC_RELAXED))
            continue;
        float *p = __atomic_exchange_n(&s->kept[i], NULL, __ATOMIC_ACQUIRE);
        if (p && length_of(p) >= floats)
            return p;
        drop(p);
    }
    float *raw = floats <= SIZE_MAX - HEAD ? ds_cpu_scratch(floats + HEAD) : NULL;
    if (!raw)
        return NULL;
    memcpy(raw, &floats, sizeof floats);
    return raw + HEAD;
}

void ds_scratch_give(ds_scratch *s, float *p)
{
    for (int i = 0; p && i < DS_SCRATCH_KEPT; i++) {
        void *none = NULL;
        if (!__atomic_load_n(&s->kept[i], __ATOMIC_RELAXED) &&
            __atomic_compare_exchange_n(&s->kept[i], &none, p, false, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED))
            return;
    }
    drop(p);
}

void ds_scratch_fini(ds_scratch *s)
{
    for (int i = 0; i < DS_SCRATCH_KEPT; i++)
        drop(s->kept[i]);
    memset(s, 0, sizeof *s);
}
