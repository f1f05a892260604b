/* bench_logscan.c - how fast one core parses the records of a log, beside what memory and the
 * search for line ends would allow.
 *
 *   bench_logscan FORMAT FILE [PASSES]
 *
 * Takes the whole lines in the first 256 MiB of FILE into memory and parses them PASSES times
 * (default 5), 256 KiB at a time as `dsprep logs` does; of each measurement the best counts, in
 * processor time of the one thread. Prints, in GB/s: parsing into typed cells, looking for newlines
 * alone; and how many records there were.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "logsource.h"

#define MOST ((size_t)256 << 20)
#define STEP ((size_t)256 << 10)

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static size_t lines_of(const uint8_t *p, size_t n)
{
    size_t lines = 0;
    for (const uint8_t *q = p, *end = p + n; (q = memchr(q, '\n', (size_t)(end - q))); q++)
        lines++;
    return lines;
}

/* How many records were read; 0 when one was not, or memory ran out. */
static size_t parse(const ds_logsource *s, ds_textbatch *b, const uint8_t *p, size_t n)
{
    size_t records = 0;
    ds_buf before = {0};
    for (size_t at = 0, len; at < n; at += len) {
        len = n - at < STEP ? n - at : STEP;
        while (p[at + len - 1] != '\n')
            len--;
        ds_textbatch_reset(b);
        const ds_textblock k = {.p = p + at, .len = len, .base = at, .before = &before};
        bool good =
            ds_logsource_records(s, b, &k) == 0 && ds_logsource_pass(s, &before, p + at, len) == 0;
        for (size_t i = 0; good && i < b->n; i++)
            good = b->v[i].cells != NULL;
        records = good ? records + b->n : 0;
        if (!good)
            break;
    }
    ds_buf_fini(&before);
    return records;
}

static void best(double *t, double from)
{
    const double d = now() - from;
    if (*t == 0 || d < *t)
        *t = d;
}

static int format_of(const char *name)
{
    for (int i = 0; ds_logformat_names[i]; i++)
        if (strcmp(ds_logformat_names[i], name) == 0)
            return i;
    return DS_LOG_AUTO;
}

int main(int argc, char **argv)
{
    uint8_t *p = malloc(MOST);
    FILE *f = argc > 2 ? fopen(argv[2], "rb") : NULL;
    size_t n = p && f ? fread(p, 1, MOST, f) : 0, records = 0, lines = 0, used;
    const long passes = argc > 3 ? strtol(argv[3], NULL, 10) : 5;
    const ds_logopts o = {.max_record = 64 << 20, .max_depth = 100};
    const int format = argc > 2 ? format_of(argv[1]) : DS_LOG_AUTO;
    ds_logsource *s = NULL;
    const char *why;
    ds_textbatch b = {0};
    double parsed = 0, found = 0;
    if (f)
        fclose(f);
    while (n > 0 && p[n - 1] != '\n')
        n--;
    bool good = n > 0 && format != DS_LOG_AUTO &&
                ds_logsource_make(&s, &o, (enum ds_logformat)format, p, n, &used, &why) == 0;
    for (long i = 0; good && i < passes; i++) {
        double from = now();
        records = parse(s, &b, p, n);
        best(&parsed, from);
        from = now();
        lines = lines_of(p, n);
        best(&found, from);
        good = records > 0;
    }
    if (good)
        printf("parse %.2f newlines %.2f records %zu lines %zu\n", (double)n / parsed * 1e-9,
               (double)n / found * 1e-9, records, lines);
    else
        fprintf(stderr, "usage: bench_logscan FORMAT FILE [PASSES]: FILE holds lines of it\n");
    ds_textbatch_fini(&b);
    if (s)
        ds_logsource_close(s);
    free(p);
    return good ? 0 : 1;
}
