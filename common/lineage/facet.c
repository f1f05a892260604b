/* facet.c - see facet.h. */
#include "facet.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "jsonmember.h"

const char *const ds_facet_names[] = {"label", "lang", "language", "source", NULL};

ds_facet *ds_facet_new(const char *name, ds_err *err)
{
    ds_facet *f = calloc(1, sizeof *f);

    if (f && !(f->name = strdup(name))) {
        free(f);
        f = NULL;
    }
    if (!f)
        ds_fail_nomem(err);
    return f;
}

void ds_facet_free(ds_facet *f)
{
    if (!f)
        return;
    ds_buf_fini(&f->ids);
    ds_buf_fini(&f->text);
    free(f->name);
    free(f);
}

const char *ds_facet_value(const ds_facet *f, uint16_t id, size_t *len)
{
    const size_t i = (size_t)id - DS_FACET_FIRST;
    const uint32_t from = i ? f->ends[i - 1] : 0;

    *len = f->ends[i] - from;
    return (const char *)f->text.data + from;
}

static int put(ds_facet *f, uint16_t id, ds_err *err)
{
    f->present += id != DS_FACET_ABSENT;
    return ds_buf_put(&f->ids, &id, sizeof id) ? ds_fail_nomem(err) : 0;
}

/* Number of a text, which gets one where there is room; 0 when memory is short. */
static uint16_t number_of(ds_facet *f, const uint8_t *p, size_t len)
{
    const size_t slots = sizeof f->table / sizeof *f->table;
    size_t at = (size_t)(ds_xxh64(p, len) % slots), n;

    for (; f->table[at]; at = (at + 1) % slots) {
        const char *s = ds_facet_value(f, f->table[at], &n);
        if (n == len && !memcmp(s, p, n))
            return f->table[at];
    }
    if (f->values == DS_FACET_VALUES)
        return DS_FACET_OTHER;
    if (ds_buf_put(&f->text, p, len))
        return 0;
    f->ends[f->values] = (uint32_t)f->text.len;
    f->table[at] = (uint16_t)(DS_FACET_FIRST + f->values++);
    return f->table[at];
}

/* Names go into JSON and to terminals: short ones without control characters. */
static bool can_be_named(const uint8_t *p, size_t len)
{
    if (len > DS_FACET_LENGTH)
        return false;
    for (size_t i = 0; i < len; i++)
        if (p[i] < 0x20 || p[i] == 0x7f)
            return false;
    return true;
}

static int add_text(ds_facet *f, const uint8_t *p, size_t len, ds_err *err)
{
    const uint16_t id = can_be_named(p, len) ? number_of(f, p, len) : DS_FACET_OTHER;

    return id ? put(f, id, err) : ds_fail_nomem(err);
}

int ds_facet_add(ds_facet *f, enum ds_type type, const ds_value *x, ds_err *err)
{
    char text[32];

    if (x->null)
        return put(f, DS_FACET_ABSENT, err);
    if (type == DS_UTF8)
        return add_text(f, x->p, x->len, err);
    if (type == DS_BOOL)
        snprintf(text, sizeof text, "%s", x->i ? "true" : "false");
    else
        snprintf(text, sizeof text, "%" PRId64, x->i);
    return add_text(f, (const uint8_t *)text, strlen(text), err);
}

int ds_facet_add_member(ds_facet *f, const char *member, const ds_value *x, ds_err *err)
{
    const size_t name_len = strlen(member);
    ds_jsonmembers it;
    ds_jsonmember m;
    bool found = false;

    ds_jsonmembers_begin(&it, x->p, x->null ? 0 : x->len);
    while (!found && ds_jsonmembers_next(&it, &m)) /* the first of that name, as it is spelled */
        found = m.name_len == name_len && !memcmp(m.name, member, name_len);
    if (!found || *m.value == '{' || *m.value == '[' || *m.value == 'n')
        return put(f, DS_FACET_ABSENT, err);
    if (*m.value != '"')
        return add_text(f, m.value, m.value_len, err);
    if (memchr(m.value, '\\', m.value_len))
        return put(f, DS_FACET_OTHER, err);
    return add_text(f, m.value + 1, m.value_len - 2, err);
}
