/* hivepath.c - see hivepath.h. */
#include "hivepath.h"

#include <stdlib.h>
#include <string.h>

#include "try.h"
#include "utf8.h"

static const char NOTHING[] = "__HIVE_DEFAULT_PARTITION__";

static void clear(ds_hivepath *h)
{
    for (size_t i = 0; i < h->n; i++) {
        free(h->v[i].name);
        ds_buf_fini(&h->v[i].value);
    }
    h->n = 0;
}

/* Of the part of a path that begins at p, up to its slash; the last part has none, and is a file.
 */
static bool is_part(const char *p, size_t *len)
{
    *len = strcspn(p, "/");
    const char *equal = memchr(p, '=', *len);
    return p[*len] == '/' && equal && equal > p;
}

bool ds_hivepath_first(const char *name, size_t *at, size_t *len)
{
    for (*at = 0; name[*at]; *at += *len + (name[*at + *len] == '/'))
        if (is_part(name + *at, len))
            return true;
    return false;
}

/* Appends bytes with %XX undone. */
static int put_plain(ds_buf *out, const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const int a = i + 2 < len && p[i] == '%' ? ds_hex_digit((uint8_t)p[i + 1]) : -1,
                  b = a < 0 ? -1 : ds_hex_digit((uint8_t)p[i + 2]);
        if (ds_buf_putc(out, b < 0 ? (uint8_t)p[i] : (uint8_t)(a << 4 | b)))
            return DS_NOMEM;
        i += b < 0 ? 0 : 2;
    }
    return 0;
}

static bool is_text(const ds_buf *b)
{
    return b->len == 0 || ds_utf8_check(b->data, b->len) == b->len;
}

static int add_part(ds_hivepath *h, const char *p, size_t len, ds_err *err)
{
    const size_t n = strcspn(p, "=");
    ds_buf name = {0};

    if (ds_grow(&h->v, &h->cap, h->n, sizeof *h->v))
        return ds_fail_nomem(err);
    ds_hivepart *part = &h->v[h->n];
    *part = (ds_hivepart){.null = len - n - 1 == sizeof NOTHING - 1 &&
                                  memcmp(p + n + 1, NOTHING, sizeof NOTHING - 1) == 0};
    int rc = put_plain(&name, p, n) || put_plain(&part->value, p + n + 1, len - n - 1) ||
                     !(part->name = strndup((const char *)name.data, name.len))
                 ? ds_fail_nomem(err)
                 : 0;
    if (!rc && (!is_text(&name) || !is_text(&part->value)))
        rc = ds_fail(err, DS_FAIL, "the folder '%.*s': it is not UTF-8", (int)len, p);
    for (size_t i = 0; !rc && i < h->n; i++)
        if (strcmp(h->v[i].name, part->name) == 0)
            rc = ds_fail(err, DS_FAIL, "the folder '%.*s': the column is there twice", (int)len, p);
    ds_buf_fini(&name);
    h->n++;
    return rc;
}

int ds_hivepath_of(ds_hivepath *h, const char *name, ds_err *err)
{
    size_t at = 0, len;

    clear(h);
    for (const char *p = name; ds_hivepath_first(p, &at, &len); p += at + len + 1)
        TRY(add_part(h, p + at, len, err));
    return 0;
}

void ds_hivepath_fini(ds_hivepath *h)
{
    clear(h);
    free(h->v);
    *h = (ds_hivepath){0};
}
