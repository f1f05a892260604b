/* filerec.c - see filerec.h. */
#include "filerec.h"

#include <string.h>

#include "utf8.h"

#define MARK "\xef\xbf\xbd" /* U+FFFD */
#define ATTRS "{\"holds\":\"file\"}"
enum { KIND_SHOWN = 60 }; /* bytes of one that is none */

const char *const ds_filekind_names[] = {"file", "folder", "symlink", "hardlink", NULL};

int ds_filerec_schema(ds_schema *s, ds_filecols *c, bool mtime, ds_err *err)
{
    size_t at = 0;
    s->explicit_key = true;
    int rc = ds_schema_add(s, &c->key, "key", DS_UTF8, 0, NULL, err);

    if (!rc)
        rc = ds_schema_add(s, &c->kind, "kind", DS_UTF8, 0, NULL, err);
    if (!rc)
        rc = ds_schema_add(s, &c->mode, "mode", DS_I64, 0, NULL, err);
    if (!rc)
        rc = ds_schema_add(s, &c->target, "target", DS_UTF8, DS_COL_NULLABLE, NULL, err);
    if (!rc && mtime)
        rc = ds_schema_add(s, &at, "mtime", DS_TIMESTAMP, 0, NULL, err);
    c->mtime = mtime ? (long)at : -1;
    if (!rc)
        rc = ds_schema_add(s, &c->content, "content", DS_BYTES, DS_COL_PRIMARY, ATTRS, err);
    return rc ? rc : ds_schema_check(s, err);
}

/* The number of a column of this type, or SIZE_MAX. */
static size_t typed(const ds_schema *s, const char *name, enum ds_type type)
{
    const long i = ds_schema_find(s, name);

    return i >= 0 && s->cols[i].type == type ? (size_t)i : SIZE_MAX;
}

int ds_filerec_find(ds_filecols *c, const ds_schema *s, ds_err *err)
{
    c->key = typed(s, "key", DS_UTF8);
    c->kind = typed(s, "kind", DS_UTF8);
    c->mode = typed(s, "mode", DS_I64);
    c->target = typed(s, "target", DS_UTF8);
    c->content = typed(s, "content", DS_BYTES);
    const size_t mtime = typed(s, "mtime", DS_TIMESTAMP);
    c->mtime = mtime == SIZE_MAX ? -1 : (long)mtime;
    if (c->key == SIZE_MAX || c->kind == SIZE_MAX || c->mode == SIZE_MAX || c->target == SIZE_MAX ||
        c->content == SIZE_MAX)
        return ds_fail(err, DS_FAIL, "its records are no files (see dsprep files -h)");
    return 0;
}

int ds_filename_key(ds_buf *out, const void *name, size_t len, ds_err *err)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t *p = name;

    for (size_t i = 0; i < len;) {
        const size_t good = ds_utf8_check(p + i, len - i);
        const uint8_t *mark = good >= 3 ? memmem(p + i, good, MARK, 3) : NULL;
        const size_t plain = mark ? (size_t)(mark - (p + i)) : good;
        if (ds_buf_put(out, p + i, plain) != 0)
            return ds_fail_nomem(err);
        i += plain;
        for (size_t n = mark ? 3 : i < len ? 1 : 0; n > 0; n--, i++) {
            const char esc[] = {MARK[0], MARK[1], MARK[2], hex[p[i] >> 4], hex[p[i] & 15]};
            if (ds_buf_put(out, esc, sizeof esc) != 0)
                return ds_fail_nomem(err);
        }
    }
    return 0;
}

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int put_name(ds_buf *out, const void *key, size_t len, ds_err *err)
{
    const uint8_t *p = key;

    for (size_t i = 0; i < len;) {
        const uint8_t *mark = memmem(p + i, len - i, MARK, 3);
        const size_t plain = mark ? (size_t)(mark - (p + i)) : len - i;
        if (ds_buf_put(out, p + i, plain) != 0)
            return ds_fail_nomem(err);
        i += plain;
        if (!mark)
            break;
        const int hi = len - i >= 5 ? hex_digit(p[i + 3]) : -1,
                  lo = len - i >= 5 ? hex_digit(p[i + 4]) : -1;
        if (hi < 0 || lo < 0)
            return ds_fail(err, DS_FAIL, "a key that no name of a file has: U+FFFD at byte %zu", i);
        if (ds_buf_putc(out, (uint8_t)(hi << 4 | lo)) != 0)
            return ds_fail_nomem(err);
        i += 5;
    }
    return 0;
}

int ds_filerec_kind(enum ds_filekind *kind, const ds_value *v, ds_err *err)
{
    for (int i = 0; ds_filekind_names[i]; i++)
        if (v->len == strlen(ds_filekind_names[i]) &&
            memcmp(v->p, ds_filekind_names[i], v->len) == 0) {
            *kind = (enum ds_filekind)i;
            return 0;
        }
    return ds_fail(err, DS_FAIL, "a record of the kind '%.*s', which is none",
                   (int)ds_utf8_whole(v->p, v->len, KIND_SHOWN), (const char *)v->p);
}

int ds_filerec_name(ds_buf *out, const ds_value *v, ds_err *err)
{
    out->len = 0;
    int rc = put_name(out, v->p, v->len, err);
    if (!rc && out->len && memchr(out->data, 0, out->len))
        rc = ds_fail(err, DS_FAIL, "a name with a NUL byte in it");
    return rc || ds_buf_cstr(out) ? rc : ds_fail_nomem(err);
}

bool ds_filerec_erased(const ds_value *key, const ds_value *kind)
{
    static const char mark[] = "erased:";
    return kind->len == 0 && key->len == sizeof mark - 1 + 32 &&
           memcmp(key->p, mark, sizeof mark - 1) == 0;
}
