/* textfact.c - see textfact.h. */
#include "textfact.h"

#include <string.h>

#include "json.h"
#include "utf8.h"

/* ISO-8859-1 as UTF-8, in the batch's memory. */
static const uint8_t *from_latin1(ds_textbatch *b, const uint8_t *p, size_t *len)
{
    uint8_t *out = ds_textbatch_alloc(b, *len * 2);
    size_t n = 0;
    for (size_t i = 0; out && i < *len; i++)
        n += ds_utf8_put(out + n, p[i]);
    *len = n;
    return out;
}

static int add(ds_textfacts *f, ds_textbatch *b, const char *name, const void *p, size_t len,
               bool json)
{
    if (f->n == DS_TEXTFACTS_MAX || (len == 0 && f->n > 0))
        return 0;
    ds_textfact *to = &f->v[f->n++];
    *to = (ds_textfact){.name = name, .len = len, .json = json};
    to->value =
        ds_utf8_check(p, len) == len ? ds_textbatch_copy(b, p, len) : from_latin1(b, p, &to->len);
    return to->value ? 0 : DS_NOMEM;
}

int ds_textfacts_add(ds_textfacts *f, ds_textbatch *b, const char *name, const void *p, size_t len)
{
    return add(f, b, name, p, len, false);
}

int ds_textfacts_json(ds_textfacts *f, ds_textbatch *b, const char *name, const void *p, size_t len)
{
    return add(f, b, name, p, len, true);
}

int ds_textfacts_note(ds_buf *note, const ds_textopts *o)
{
    return o->meta
               ? 0
               : ds_buf_puts(note, "what its records say of themselves is left out: there is no "
                                   "column meta where the first input is a text (--format "
                                   "reads them apart)");
}

static const ds_textfact *key_of(const ds_textfacts *f, const ds_textopts *o)
{
    for (size_t i = 0; o->key_field && i < f->n; i++)
        if (strcmp(f->v[i].name, o->key_field) == 0 && !f->v[i].json)
            return &f->v[i];
    return o->key_field || f->n == 0 ? NULL : &f->v[0];
}

/* The facts but the key, as an object. */
static int make_meta(const ds_textfacts *f, ds_textbatch *b, const ds_textfact *key, ds_textrow *r)
{
    ds_buf *s = &b->scratch;
    s->len = 0;
    for (size_t i = 0; i < f->n; i++) {
        const ds_textfact *k = &f->v[i];
        if (k == key || k->len == 0)
            continue;
        if (ds_buf_puts(s, s->len ? ",\"" : "{\"") != 0 || ds_buf_puts(s, k->name) != 0 ||
            ds_buf_puts(s, "\":") != 0 ||
            (k->json ? ds_buf_put(s, k->value, k->len)
                     : ds_json_str(s, (const char *)k->value, k->len)) != 0)
            return DS_NOMEM;
    }
    if (s->len == 0)
        return 0;
    if (ds_buf_putc(s, '}') != 0 || !(r->meta = ds_textbatch_copy(b, s->data, s->len)))
        return DS_NOMEM;
    r->meta_len = s->len;
    return 0;
}

static int refuse(ds_textbatch *b, const ds_textrow *w, const char *reason, const char *why)
{
    return ds_textbatch_problem(b, reason, w->offset, w->offset, w->raw, (size_t)w->len, "%s", why);
}

int ds_textfacts_rows(const ds_textfacts *f, ds_textbatch *b, const ds_textopts *o,
                      const ds_textrow *where, const uint8_t *text, size_t len)
{
    ds_textrow row = {.offset = where->offset, .len = where->len};
    const ds_textfact *key = o->explicit_key ? key_of(f, o) : NULL;
    if (len > o->max_record)
        return ds_textbatch_problem(
            b, "too long", where->offset, where->offset, where->raw, (size_t)where->len,
            "its text is longer than %zu bytes (--max-record)", o->max_record);
    if (len > 0 && memchr(text, 0, len))
        return refuse(b, where, "NUL byte", "a NUL byte: this is not text");
    if (o->explicit_key) {
        const char *why = key && key->len ? ds_key_unfit(key->value, key->len)
                                          : "it has nothing that it can be keyed by (--key-field, "
                                            "--keys derived)";
        if (why)
            return refuse(b, where, key && key->len ? "bad key" : "no key", why);
        row.key = key->value;
        row.key_len = key->len;
    }
    if (o->meta && make_meta(f, b, key, &row) != 0)
        return DS_NOMEM;
    row.text = text;
    const bool cut = o->split != DS_SPLIT_NONE;
    for (size_t at = 0, start = 0, n = 0;;) {
        if (cut && !ds_textcut_next(o->split, o->split_bytes, text, len, &at, &start, &n))
            return 0;
        ds_textrow *to = ds_textbatch_row(b, 0, 0);
        if (!to)
            return DS_NOMEM;
        *to = row;
        to->text = text + start;
        to->text_len = cut ? n : len;
        if (!cut)
            return 0;
    }
}
