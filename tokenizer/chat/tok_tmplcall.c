/* tok_tmplcall.c - functions and methods of templates, and how arguments are found. Each does what
 * jinja2 and Python do, for the arguments it takes; others are refused. */
#include "tok_tmplpriv.h"

#include <string.h>

enum {
    M_STRIP,
    M_LSTRIP,
    M_RSTRIP,
    M_SPLIT,
    M_STARTSWITH,
    M_ENDSWITH,
    M_UPPER,
    M_LOWER,
    M_REPLACE,
    M_GET,
    M_ITEMS,
    M_KEYS,
    M_VALUES,
    M_JOIN
};
const tm_callee ds_tm_methods[] = {
    {"strip", 1, ""},      {"lstrip", 1, ""},   {"rstrip", 1, ""}, {"split", 2, "sep maxsplit"},
    {"startswith", 1, ""}, {"endswith", 1, ""}, {"upper", 0, ""},  {"lower", 0, ""},
    {"replace", 2, ""},    {"get", 2, ""},      {"items", 0, ""},  {"keys", 0, ""},
    {"values", 0, ""},     {"join", 1, ""},     {NULL, 0, NULL}};

enum { G_NAMESPACE, G_RAISE, G_RANGE, G_DICT, G_NOW };
const tm_callee ds_tm_globals[] = {{"namespace", 0, "*"},   {"raise_exception", 1, ""},
                                   {"range", 3, ""},        {"dict", 0, "*"},
                                   {"strftime_now", 1, ""}, {NULL, 0, NULL}};

int ds_tm_number_of(const tm_callee *table, const tm_str *name)
{
    for (int i = 0; table[i].name; i++)
        if (ds_tm_str_is(name, table[i].name))
            return i;
    return -1;
}

tm_val ds_tm_wrong(tm_ctx *c, const tm_node *n, const tm_val *v)
{
    return ds_tm_fail(c, "%.*s does not take %s", (int)(n->text.len < 60 ? n->text.len : 60),
                      (const char *)n->text.p, ds_tm_type_name(v));
}

const tm_val *ds_tm_arg(const tm_args *a, size_t i, const char *name)
{
    for (size_t k = 0; k < a->n; k++)
        if (name && a->name[k].len && ds_tm_str_is(&a->name[k], name))
            return &a->v[k];
    return i < a->n && a->name[i].len == 0 ? &a->v[i] : NULL;
}

const tm_str *ds_tm_text_arg(tm_ctx *c, const tm_node *n, const tm_args *a, size_t i,
                             const char *name)
{
    const tm_val *v = ds_tm_arg(a, i, name);
    if (v && v->type == TM_STR)
        return &v->u.s;
    if (v && v->type != TM_NONE)
        (void)ds_tm_wrong(c, n, v);
    return NULL;
}

/* startswith and endswith: of a string, or of one of several. */
static bool has_affix(tm_ctx *c, const tm_node *n, const tm_str *s, const tm_val *v)
{
    if (v && v->type == TM_LIST) {
        for (size_t i = 0; i < v->u.list->n && !failed(c); i++)
            if (v->u.list->v[i].type != TM_LIST && has_affix(c, n, s, &v->u.list->v[i]))
                return true;
        return false;
    }
    if (!v || v->type != TM_STR) {
        (void)ds_tm_fail(c, "startswith and endswith take a string");
        return false;
    }
    const tm_str *x = &v->u.s;
    return x->len == 0 ||
           (x->len <= s->len &&
            memcmp(n->op == M_STARTSWITH ? s->p : s->p + (s->len - x->len), x->p, x->len) == 0);
}

static tm_val string_method(tm_ctx *c, const tm_node *n, const tm_str *s, const tm_args *a)
{
    if (n->op == M_JOIN && a->n == 1 && a->v[0].type == TM_LIST)
        return ds_tm_join(c, a->v[0].u.list, s);
    if (n->op == M_STARTSWITH || n->op == M_ENDSWITH)
        return tm_bool(has_affix(c, n, s, ds_tm_arg(a, 0, NULL)));
    const tm_str *x = ds_tm_text_arg(c, n, a, 0, n->op == M_SPLIT ? "sep" : NULL);
    const tm_val *most = ds_tm_arg(a, 1, "maxsplit");
    if (failed(c))
        return tm_none();
    switch (n->op) {
    case M_STRIP:
        return ds_tm_strip(c, s, x, true, true);
    case M_LSTRIP:
        return ds_tm_strip(c, s, x, true, false);
    case M_RSTRIP:
        return ds_tm_strip(c, s, x, false, true);
    case M_SPLIT:
        return ds_tm_split(c, s, x, most && most->type == TM_INT ? most->u.i : -1);
    case M_UPPER:
    case M_LOWER:
        return ds_tm_change_case(c, s, n->op == M_UPPER);
    case M_REPLACE:
        return ds_tm_replace(c, s, x, ds_tm_text_arg(c, n, a, 1, NULL));
    }
    return ds_tm_fail(c, "a string has no method %.*s here", (int)n->text.len,
                      (const char *)n->text.p);
}

/* ---- mappings ---- */

tm_val ds_tm_entries(tm_ctx *c, const tm_map *m, bool keys, bool values)
{
    tm_val l = ds_tm_list(c);
    for (size_t i = 0; i < m->n && !failed(c); i++) {
        const tm_val key = {.type = TM_STR, .u.s = m->v[i].key};
        tm_val v = keys ? key : m->v[i].val;
        if (keys && values) {
            v = ds_tm_list(c);
            if (!failed(c))
                (void)(ds_tm_push(c, v.u.list, key) || ds_tm_push(c, v.u.list, m->v[i].val));
        }
        if (!failed(c))
            ds_tm_push(c, l.u.list, v);
    }
    return l;
}

static tm_val map_method(tm_ctx *c, const tm_node *n, const tm_map *m, const tm_args *a)
{
    const tm_val *other = ds_tm_arg(a, 1, NULL), *v;
    switch (n->op) {
    case M_GET:
        if (a->n < 1 || a->v[0].type != TM_STR)
            return ds_tm_fail(c, "get takes a string");
        v = ds_tm_get(m, a->v[0].u.s.p, a->v[0].u.s.len);
        return v ? *v : other ? *other : tm_none();
    case M_ITEMS:
        return ds_tm_entries(c, m, true, true);
    case M_KEYS:
        return ds_tm_entries(c, m, true, false);
    case M_VALUES:
        return ds_tm_entries(c, m, false, true);
    }
    return ds_tm_fail(c, "a mapping has no method %.*s here", (int)n->text.len,
                      (const char *)n->text.p);
}

/* ---- functions ---- */

static tm_val range(tm_ctx *c, const tm_args *a)
{
    int64_t v[3] = {0, 0, 1};
    for (size_t i = 0; i < a->n && i < 3; i++) {
        if (a->v[i].type != TM_INT)
            return ds_tm_fail(c, "range takes numbers");
        v[i] = a->v[i].u.i;
    }
    if (a->n == 1) {
        v[1] = v[0];
        v[0] = 0;
    }
    if (a->n < 1 || a->n > 3 || v[2] == 0 || v[0] < -(1 << 30) || v[0] > 1 << 30 ||
        v[1] < -(1 << 30) || v[1] > 1 << 30 || v[2] < -(1 << 30) || v[2] > 1 << 30)
        return ds_tm_fail(c, "range: numbers that it does not take");
    tm_val l = ds_tm_list(c);
    for (int64_t i = v[0]; !failed(c) && (v[2] > 0 ? i < v[1] : i > v[1]); i += v[2])
        ds_tm_push(c, l.u.list, tm_int(i));
    return l;
}

static tm_val global(tm_ctx *c, const tm_node *n, const tm_args *a)
{
    if (n->op == G_RANGE)
        return range(c, a);
    if (n->op == G_RAISE) {
        const tm_str *s = ds_tm_text_arg(c, n, a, 0, NULL);
        return ds_tm_fail(c, "the template says: %.*s", s ? (int)(s->len < 400 ? s->len : 400) : 0,
                          s ? (const char *)s->p : "");
    }
    if (n->op == G_NOW) /* a template that asks whether it is defined does not get here */
        return ds_tm_fail(c, "there is no clock here: strftime_now is not defined");
    tm_val m = ds_tm_map(c);
    for (size_t i = 0; i < a->n && !failed(c); i++) {
        ds_tm_put(c, m.u.map, a->name[i], a->v[i]);
    }
    m.is_namespace = n->op == G_NAMESPACE;
    return m;
}

tm_val ds_tm_call(tm_ctx *c, const tm_node *n, tm_val self, const tm_args *a)
{
    if (!n->a)
        return global(c, n, a);
    if (self.type == TM_STR)
        return string_method(c, n, &self.u.s, a);
    if (self.type == TM_MAP)
        return map_method(c, n, self.u.map, a);
    return ds_tm_fail(c, "%s has no method %.*s", ds_tm_type_name(&self), (int)n->text.len,
                      (const char *)n->text.p);
}
