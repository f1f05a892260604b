/* erasedrows.c - see erasedrows.h. */
#include "erasedrows.h"

#include <inttypes.h>
#include <string.h>

int ds_erasedrows_put(ds_buf *text, const ds_erasedrow *v, size_t n)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++)
        rc = ds_buf_printf(text, " %" PRIu64 "%s%s", v[i].row, *v[i].name ? ":" : "", v[i].name);
    return rc;
}

static int malformed(ds_err *err)
{
    return ds_fail(err, DS_CORRUPT, "refs/dsver/erased: malformed rows");
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

/* One of them, from *at on, where its blank is. */
static bool next_row(const uint8_t *p, size_t len, size_t *at, ds_erasedrow *r)
{
    size_t i = *at + 1, name = 0;
    *r = (ds_erasedrow){.row = 0};
    if (p[*at] != ' ' || i == len || !is_digit(p[i]) ||
        (p[i] == '0' && i + 1 < len && is_digit(p[i + 1])))
        return false;
    for (; i < len && is_digit(p[i]); i++) {
        if (r->row > (UINT64_MAX - 9) / 10)
            return false;
        r->row = 10 * r->row + (p[i] - '0');
    }
    if (i < len && p[i] == ':') {
        for (i++; i < len && is_hex(p[i]) && name < sizeof r->name - 1; i++)
            r->name[name++] = (char)p[i];
        if (name != sizeof r->name - 1)
            return false;
    }
    *at = i;
    return true;
}

int ds_erasedrows_parse(ds_buf *out, const uint8_t *text, size_t len, ds_err *err)
{
    ds_erasedrow r, last = {.row = 0};
    for (size_t at = 0; at < len; last = r) {
        const bool first = at == 0;
        if (!next_row(text, len, &at, &r) || (!first && r.row <= last.row))
            return malformed(err);
        if (ds_buf_put(out, &r, sizeof r))
            return ds_fail_nomem(err);
    }
    return 0;
}

static int merge(ds_buf *text, const ds_buf *a, const ds_buf *b, bool later)
{
    const ds_erasedrow *x = (const ds_erasedrow *)(const void *)a->data,
                       *y = (const ds_erasedrow *)(const void *)b->data;
    const size_t n = a->len / sizeof *x, m = b->len / sizeof *y;
    int rc = 0;
    for (size_t i = 0, k = 0; !rc && (i < n || k < m);) {
        const bool left = k == m || (i < n && x[i].row <= y[k].row),
                   right = i == n || (k < m && y[k].row <= x[i].row);
        const bool second =
            right && (!left || later || memcmp(y[k].name, x[i].name, sizeof x->name) < 0);
        rc = ds_erasedrows_put(text, second ? &y[k] : &x[i], 1);
        i += left;
        k += right;
    }
    return rc;
}

int ds_erasedrows_merge(ds_buf *text, const uint8_t *a, size_t alen, const uint8_t *b, size_t blen,
                        bool later, ds_err *err)
{
    ds_buf x = {0}, y = {0};
    int rc = ds_erasedrows_parse(&x, a, alen, err);
    rc = rc ? rc : ds_erasedrows_parse(&y, b, blen, err);
    if (!rc && merge(text, &x, &y, later))
        rc = ds_fail_nomem(err);
    ds_buf_fini(&x);
    ds_buf_fini(&y);
    return rc;
}
