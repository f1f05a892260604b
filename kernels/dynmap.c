/* dynmap.c - the 256 values of the 8-bit optimizer state: dynamic tree quantisation (Dettmers 2016;
 * Dettmers et al. 2022, section 2.1).
 *
 * The bits after the sign are: E zeros, which mean a factor 10^-E, a one, and a fraction that lies
 * linearly between 0.1 and 1, at the middles of its steps. 0 and 1 complete the table. Without a
 * sign there is one more bit of fraction.
 */
#include <math.h>
#include <stdlib.h>

#include "kernels.h"

static int by_value(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

void ds_dynamic_map(float map[256], bool sign)
{
    int n = 0;
    double factor = 1.0;

    for (int e = 0; e < 7; e++, factor /= 10.0) {
        const int steps = 1 << (sign ? 6 - e : 7 - e);
        for (int i = 0; i < steps; i++) {
            const double x = factor * (0.1 + 0.9 * (i + 0.5) / steps);
            map[n++] = (float)x;
            if (sign)
                map[n++] = (float)-x;
        }
    }
    map[n++] = 0.0f;
    map[n] = 1.0f;
    qsort(map, 256, sizeof *map, by_value);
}
