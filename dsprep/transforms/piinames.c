/* piinames.c - see piinames.h. */
#include "piinames.h"

#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "utf8.h"

#define FILE_MAX ((size_t)64 << 20)

typedef struct name {
    const uint8_t *p;
    size_t len;
} name;

struct ds_piinames {
    ds_buf text;
    name *v; /* sorted */
    size_t n;
    bool first[256];
    uint32_t from[65537]; /* by the first two bytes, big endian: where their names begin */
};

static unsigned two(const uint8_t *p, size_t len)
{
    return (unsigned)p[0] << 8 | (len > 1 ? p[1] : 0u);
}

static int compare(const void *a, const void *b)
{
    const name *x = a, *y = b;
    const size_t n = x->len < y->len ? x->len : y->len;
    const int c = memcmp(x->p, y->p, n);
    return c ? c : (x->len > y->len) - (x->len < y->len);
}

static int put_names(ds_piinames *s, ds_err *err)
{
    size_t lines = 1;
    for (size_t i = 0; i < s->text.len; i++)
        lines += s->text.data[i] == '\n';
    s->v = calloc(lines, sizeof *s->v);
    if (!s->v)
        return ds_fail_nomem(err);
    for (size_t at = ds_utf8_mark(s->text.data, s->text.len); at < s->text.len;) {
        const uint8_t *p = s->text.data + at, *nl = memchr(p, '\n', s->text.len - at);
        size_t len = nl ? (size_t)(nl - p) : s->text.len - at;
        at += len + 1;
        while (len && ds_ascii_white(p[len - 1]))
            len--;
        while (len && ds_ascii_white(*p))
            p++, len--;
        if (len && *p != '#')
            s->v[s->n++] = (name){p, len};
    }
    qsort(s->v, s->n, sizeof *s->v, compare);
    for (size_t i = 0; i < s->n; i++) {
        s->first[s->v[i].p[0]] = true;
        s->from[two(s->v[i].p, s->v[i].len) + 1]++;
    }
    for (size_t i = 0; i < 65536; i++)
        s->from[i + 1] += s->from[i];
    return 0;
}

int ds_piinames_load(ds_piinames **out, const char *path, ds_sha *digest, ds_err *err)
{
    ds_piinames *s = *out = calloc(1, sizeof *s);
    if (!s)
        return ds_fail_nomem(err);
    int rc = ds_read_file(&s->text, path, FILE_MAX, err);
    if (rc == 0 && ds_utf8_check(s->text.data, s->text.len) != s->text.len)
        rc = ds_fail(err, DS_FAIL, "%s: byte %zu: not valid UTF-8", path,
                     ds_utf8_check(s->text.data, s->text.len));
    if (rc == 0)
        rc = ds_sha_bytes(digest, s->text.data, s->text.len, err);
    return rc ? rc : put_names(s, err);
}

void ds_piinames_free(ds_piinames *s)
{
    if (!s)
        return;
    ds_buf_fini(&s->text);
    free(s->v);
    free(s);
}

bool ds_piinames_first(const ds_piinames *s, uint8_t c)
{
    return s->first[c];
}

static bool wordly(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_';
}

/* Sorted names that begin with the same two bytes: the last one that stands here is the longest,
 * since a name sorts behind its own beginnings. */
static size_t longest(const ds_piinames *s, unsigned key, const uint8_t *p, size_t len, size_t at)
{
    for (size_t i = s->from[key + 1]; i-- > s->from[key];) {
        const name *w = &s->v[i];
        const size_t end = at + w->len;
        if (w->len <= len - at && memcmp(w->p, p + at, w->len) == 0 &&
            !(end < len && wordly(p[end]) && w->p[w->len - 1] < 0x80))
            return end;
    }
    return 0;
}

size_t ds_piinames_at(const ds_piinames *s, const uint8_t *p, size_t len, size_t at)
{
    if (!s->first[p[at]] || (p[at] < 0x80 && at > 0 && (wordly(p[at - 1]) || p[at - 1] >= 0x80)) ||
        (p[at] & 0xc0) == 0x80)
        return 0;
    const size_t end = longest(s, two(p + at, len - at), p, len, at);
    return end ? end : longest(s, (unsigned)p[at] << 8, p, len, at); /* names of one byte */
}
