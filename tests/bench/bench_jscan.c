/* bench_jscan.c - how fast one core scans JSON lines, beside what memory and `wc -l` would allow.
 *
 *   bench_jscan FILE [PASSES]
 *
 * Takes the whole lines in the first 256 MiB of FILE into memory and goes over them PASSES times
 * (default 5); of each measurement the best counts, in processor time of the one thread. Prints, in
 * GB/s: the scan (lines found, every text checked, its members listed), the same with the check for
 * UTF-8 that `dsprep text` makes before it, looking for newlines alone, and copying.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "jscan.h"
#include "utf8.h"

#define MOST ((size_t)256 << 20)

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static size_t whole_lines(uint8_t *p, const char *path)
{
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(p, 1, MOST, f) : 0;
    if (f)
        fclose(f);
    while (n > 0 && p[n - 1] != '\n')
        n--;
    return n;
}

/* 0, or the number of the first line that is no JSON. */
static size_t scan(ds_jscan *s, const uint8_t *p, size_t n, size_t *members)
{
    size_t line = 0;
    for (size_t at = 0; at < n;) {
        const uint8_t *end = memchr(p + at, '\n', n - at);
        size_t len = (size_t)(end - p) - at;
        line++;
        if (ds_jscan_text(s, p + at, len, DS_JSCAN_DEPTH_MAX) != 0)
            return line;
        *members += s->n;
        at += len + 1;
    }
    return 0;
}

static size_t count_lines(const uint8_t *p, size_t n)
{
    size_t lines = 0;
    for (const uint8_t *q = p, *end = p + n; (q = memchr(q, '\n', (size_t)(end - q))); q++)
        lines++;
    return lines;
}

enum { SCAN, CHECKED, NEWLINES, COPY, WHAT };

static void best(double *t, double from)
{
    double d = now() - from;
    if (*t == 0 || d < *t)
        *t = d;
}

/* One pass of each; false when a line is bad. */
static bool pass(ds_jscan *s, const uint8_t *p, size_t n, uint8_t *copy, double t[WHAT])
{
    size_t members = 0, bad;
    double from = now();
    bad = scan(s, p, n, &members);
    best(&t[SCAN], from);
    from = now();
    bool utf8 = ds_utf8_check(p, n) == n;
    bad |= scan(s, p, n, &members);
    best(&t[CHECKED], from);
    from = now();
    size_t lines = count_lines(p, n);
    best(&t[NEWLINES], from);
    from = now();
    memcpy(copy, p, n);
    best(&t[COPY], from);
    if (bad || !utf8)
        fprintf(stderr, "bench_jscan: line %zu of %zu is bad: %s\n", bad, lines,
                bad ? s->why : "not UTF-8");
    return !bad && utf8 && members > 0;
}

int main(int argc, char **argv)
{
    uint8_t *p = malloc(MOST), *copy = malloc(MOST);
    double t[WHAT] = {0}, n = 0;
    ds_jscan s = {0};
    long passes = argc > 2 ? strtol(argv[2], NULL, 10) : 5;
    bool good = p && copy && argc > 1;
    if (good) {
        memset(copy, 1, MOST);
        n = (double)whole_lines(p, argv[1]);
        good = n > 0;
    }
    for (long i = 0; good && i < passes; i++)
        good = pass(&s, p, (size_t)n, copy, t);
    if (good)
        printf("scan %.2f checked %.2f newlines %.2f copy %.2f\n", n / t[SCAN] * 1e-9,
               n / t[CHECKED] * 1e-9, n / t[NEWLINES] * 1e-9, n / t[COPY] * 1e-9);
    else
        fprintf(stderr, "usage: bench_jscan FILE [PASSES]: FILE holds JSON lines\n");
    ds_jscan_fini(&s);
    free(p);
    free(copy);
    return good ? 0 : 1;
}
