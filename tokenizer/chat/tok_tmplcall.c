/* tok_tmplcall.c - what templates can call: filters, tests, methods, functions. Each does what
 * jinja2 and Python do, for the arguments it takes; others are refused. */
#include "tok_tmplpriv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    F_TRIM,
    F_LENGTH,
    F_COUNT,
    F_UPPER,
    F_LOWER,
    F_JOIN,
    F_FIRST,
    F_LAST,
    F_LIST,
    F_STRING,
    F_INT,
    F_DEFAULT,
    F_D,
    F_REPLACE,
    F_TOJSON,
    F_SAFE,
    F_ITEMS,
    F_REVERSE,
    F_SELECTATTR,
    F_REJECTATTR,
    F_MAP,
    F_ABS
};
static const char *const filters[] = {
    "trim",  "length",  "count",      "upper",      "lower", "join",    "first",  "last",
    "list",  "string",  "int",        "default",    "d",     "replace", "tojson", "safe",
    "items", "reverse", "selectattr", "rejectattr", "map",   "abs",     NULL};

enum {
    T_DEFINED,
    T_UNDEFINED,
    T_NONE,
    T_STRING,
    T_MAPPING,
    T_ITERABLE,
    T_SEQUENCE,
    T_NUMBER,
    T_INTEGER,
    T_BOOLEAN,
    T_TRUE,
    T_FALSE,
    T_EQ,
    T_EQUALTO,
    T_NE,
    T_IN
};
static const char *const tests[] = {"defined",  "undefined", "none",   "string",  "mapping",
                                    "iterable", "sequence",  "number", "integer", "boolean",
                                    "true",     "false",     "eq",     "equalto", "ne",
                                    "in",       NULL};

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
static const char *const methods[] = {"strip",    "lstrip", "rstrip", "split",   "startswith",
                                      "endswith", "upper",  "lower",  "replace", "get",
                                      "items",    "keys",   "values", "join",    NULL};

enum { G_NAMESPACE, G_RAISE, G_RANGE, G_DICT };
static const char *const globals[] = {"namespace", "raise_exception", "range", "dict", NULL};

static int number_of(const char *const *names, const tm_str *s)
{
    for (int i = 0; names[i]; i++)
        if (ds_tm_str_is(s, names[i]))
            return i;
    return -1;
}

int ds_tm_filter(const tm_str *name)
{
    return number_of(filters, name);
}
int ds_tm_test(const tm_str *name)
{
    return number_of(tests, name);
}
int ds_tm_method(const tm_str *name)
{
    return number_of(methods, name);
}
int ds_tm_global(const tm_str *name)
{
    return number_of(globals, name);
}

static tm_val wrong(tm_ctx *c, const tm_node *n, const tm_val *v)
{
    return ds_tm_fail(c, "%.*s does not take %s", (int)(n->text.len < 60 ? n->text.len : 60),
                      (const char *)n->text.p, ds_tm_type_name(v));
}

/* The argument at position i, or the one of that name; NULL when it is not given. */
static const tm_val *arg(const tm_args *a, size_t i, const char *name)
{
    for (size_t k = 0; k < a->n; k++)
        if (name && a->name[k].len && ds_tm_str_is(&a->name[k], name))
            return &a->v[k];
    return i < a->n && a->name[i].len == 0 ? &a->v[i] : NULL;
}

static const tm_str *text_arg(tm_ctx *c, const tm_node *n, const tm_args *a, size_t i,
                              const char *name)
{
    const tm_val *v = arg(a, i, name);
    if (v && v->type == TM_STR)
        return &v->u.s;
    if (v && v->type != TM_NONE)
        (void)wrong(c, n, v);
    return NULL;
}

/* ---- strings ---- */

/* Length of the white space (as Python's str.isspace) at p, 0 when there is none. */
static size_t space_at(const uint8_t *p, size_t len)
{
    if (p[0] < 0x80)
        return (p[0] >= 9 && p[0] <= 13) || (p[0] >= 0x1c && p[0] <= 0x20);
    if (len >= 2 && p[0] == 0xc2 && (p[1] == 0x85 || p[1] == 0xa0))
        return 2;
    if (len < 3)
        return 0;
    uint32_t cp = (uint32_t)(p[0] & 15) << 12 | (uint32_t)(p[1] & 63) << 6 | (p[2] & 63u);
    bool is =
        (p[0] & 0xf0) == 0xe0 && (cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 ||
                                  cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000);
    return is ? 3 : 0;
}

/* Length of what may be stripped at p: white space, or one of the characters of `set`. */
static size_t strip_at(const uint8_t *p, size_t len, const tm_str *set)
{
    size_t n = 1;
    if (!set)
        return space_at(p, len);
    while (n < len && (p[n] & 0xc0) == 0x80)
        n++;
    const tm_str one = {.p = p, .len = n};
    return ds_tm_find(set, 0, &one) != SIZE_MAX ? n : 0;
}

static tm_val strip(tm_ctx *c, const tm_str *s, const tm_str *set, bool left, bool right)
{
    size_t from = 0, to = s->len, n;
    while (left && from < to && (n = strip_at(s->p + from, to - from, set)) > 0)
        from += n;
    while (right && to > from) {
        size_t k = to - 1;
        while (k > from && (s->p[k] & 0xc0) == 0x80)
            k--;
        if (strip_at(s->p + k, to - k, set) != to - k)
            break;
        to = k;
    }
    return ds_tm_sub(c, s, from, to);
}

static tm_val change_case(tm_ctx *c, const tm_str *s, bool upper)
{
    tm_val v = {.type = TM_STR, .u.s = *s};
    uint8_t *p = ds_tm_alloc(&c->arena, s->len + 1);
    if (!p)
        return ds_tm_nomem(c);
    for (size_t i = 0; i < s->len; i++) {
        uint8_t b = s->p[i];
        if (b >= 0x80)
            return ds_tm_fail(c, "upper and lower are for ASCII text only");
        bool turn = upper ? b >= 'a' && b <= 'z' : b >= 'A' && b <= 'Z';
        p[i] = turn ? b ^ 0x20 : b;
    }
    v.u.s.p = p;
    return v;
}

static tm_val split(tm_ctx *c, const tm_str *s, const tm_str *sep, int64_t most)
{
    tm_val l = ds_tm_list(c);
    size_t at = 0, hit;
    if (failed(c))
        return l;
    if (sep && sep->len == 0)
        return ds_tm_fail(c, "split: an empty separator");
    while (sep && !failed(c) && most != 0 && (hit = ds_tm_find(s, at, sep)) != SIZE_MAX) {
        ds_tm_push(c, l.u.list, ds_tm_sub(c, s, at, hit));
        at = hit + sep->len;
        most -= most > 0;
    }
    while (!sep && !failed(c)) { /* by white space */
        size_t n, from;
        while (at < s->len && (n = space_at(s->p + at, s->len - at)) > 0)
            at += n;
        if (at >= s->len)
            return l;
        if (most == 0)
            break;
        for (from = at; at < s->len && space_at(s->p + at, s->len - at) == 0;)
            at++;
        ds_tm_push(c, l.u.list, ds_tm_sub(c, s, from, at));
        most -= most > 0;
    }
    if (!failed(c))
        ds_tm_push(c, l.u.list, ds_tm_sub(c, s, at, s->len));
    return l;
}

/* The strings of a list with `sep` between, in one go: a run of joins would take quadratic room. */
static tm_val join(tm_ctx *c, const tm_list *l, const tm_str *sep)
{
    const tm_str none = {0};
    tm_val v = {.type = TM_STR};
    size_t len = 0, runs = 1, at = 0;
    if (!sep)
        sep = &none;
    tm_str *parts = ds_tm_alloc(&c->arena, (l->n + 1) * sizeof *parts);
    for (size_t i = 0; parts && i < l->n && !failed(c); i++) {
        tm_val s = ds_tm_string(c, &l->v[i]);
        parts[i] = s.type == TM_STR ? s.u.s : none;
        len += parts[i].len + sep->len;
        runs += parts[i].n + sep->n + 2;
        if (len > c->arena.limit)
            return ds_tm_nomem(c);
    }
    uint8_t *p = parts && !failed(c) ? ds_tm_alloc(&c->arena, len + 1) : NULL;
    tm_run *r = p ? ds_tm_alloc(&c->arena, runs * sizeof *r) : NULL;
    if (!r)
        return failed(c) ? tm_none() : ds_tm_nomem(c);
    size_t n = 0;
    for (size_t i = 0; i < 2 * l->n; i++) {
        const tm_str *s = i % 2 ? sep : &parts[i / 2];
        if (i + 1 == 2 * l->n || s->len == 0)
            continue;
        memcpy(p + at, s->p, s->len);
        for (size_t k = 0; k < s->n; k++)
            r[n++] = (tm_run){at + s->runs[k].end, s->runs[k].source};
        at += s->len;
        if (s->n == 0)
            r[n++] = (tm_run){at, 0};
    }
    v.u.s = (tm_str){p, at, r, n};
    return v;
}

static tm_val replace(tm_ctx *c, const tm_str *s, const tm_str *from, const tm_str *to)
{
    if (!from || !to || from->len == 0)
        return failed(c) ? tm_none()
                         : ds_tm_fail(c, "replace takes two strings, the first not empty");
    tm_val parts = split(c, s, from, -1);
    return failed(c) ? tm_none() : join(c, parts.u.list, to);
}

static tm_val string_method(tm_ctx *c, const tm_node *n, const tm_str *s, const tm_args *a)
{
    if (n->op == M_JOIN && a->n == 1 && a->v[0].type == TM_LIST)
        return join(c, a->v[0].u.list, s);
    const tm_str *x = text_arg(c, n, a, 0, NULL);
    const tm_val *most = arg(a, 1, "maxsplit");
    if (failed(c))
        return tm_none();
    switch (n->op) {
    case M_STRIP:
        return strip(c, s, x, true, true);
    case M_LSTRIP:
        return strip(c, s, x, true, false);
    case M_RSTRIP:
        return strip(c, s, x, false, true);
    case M_SPLIT:
        return split(c, s, x, most && most->type == TM_INT ? most->u.i : -1);
    case M_STARTSWITH:
    case M_ENDSWITH:
        if (!x)
            return ds_tm_fail(c, "startswith and endswith take a string");
        return tm_bool(
            x->len == 0 ||
            (x->len <= s->len &&
             memcmp(n->op == M_STARTSWITH ? s->p : s->p + (s->len - x->len), x->p, x->len) == 0));
    case M_UPPER:
    case M_LOWER:
        return change_case(c, s, n->op == M_UPPER);
    case M_REPLACE:
        return replace(c, s, x, text_arg(c, n, a, 1, NULL));
    }
    return ds_tm_fail(c, "a string has no method %.*s here", (int)n->text.len,
                      (const char *)n->text.p);
}

/* ---- mappings ---- */

static tm_val entries(tm_ctx *c, const tm_map *m, bool keys, bool values)
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
    const tm_val *other = arg(a, 1, "default"), *v;
    switch (n->op) {
    case M_GET:
        if (a->n < 1 || a->v[0].type != TM_STR)
            return ds_tm_fail(c, "get takes a string");
        v = ds_tm_get(m, a->v[0].u.s.p, a->v[0].u.s.len);
        return v ? *v : other ? *other : tm_none();
    case M_ITEMS:
        return entries(c, m, true, true);
    case M_KEYS:
        return entries(c, m, true, false);
    case M_VALUES:
        return entries(c, m, false, true);
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
        const tm_str *s = text_arg(c, n, a, 0, NULL);
        return ds_tm_fail(c, "the template says: %.*s", s ? (int)(s->len < 400 ? s->len : 400) : 0,
                          s ? (const char *)s->p : "");
    }
    tm_val m = ds_tm_map(c);
    for (size_t i = 0; i < a->n && !failed(c); i++) {
        if (a->name[i].len == 0)
            return ds_tm_fail(c, "namespace takes arguments by name");
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

/* ---- tests ---- */

static bool contains(tm_ctx *c, const tm_node *n, const tm_val *in, const tm_val *v)
{
    if (in->type == TM_STR && v->type == TM_STR)
        return ds_tm_find(&in->u.s, 0, &v->u.s) != SIZE_MAX;
    if (in->type == TM_MAP)
        return v->type == TM_STR && ds_tm_get(in->u.map, v->u.s.p, v->u.s.len);
    if (in->type != TM_LIST) {
        if (in->type != TM_UNDEFINED)
            (void)wrong(c, n, in);
        return false;
    }
    for (size_t i = 0; i < in->u.list->n && !failed(c); i++)
        if (ds_tm_equal(c, &in->u.list->v[i], v, 0))
            return true;
    return false;
}

bool ds_tm_apply_test(tm_ctx *c, const tm_node *n, tm_val v, const tm_args *a)
{
    if (n->op >= T_EQ && a->n != 1) {
        (void)ds_tm_fail(c, "%s takes one argument", tests[n->op]);
        return false;
    }
    switch (n->op) {
    case T_DEFINED:
        return v.type != TM_UNDEFINED;
    case T_UNDEFINED:
        return v.type == TM_UNDEFINED;
    case T_NONE:
        return v.type == TM_NONE;
    case T_STRING:
        return v.type == TM_STR;
    case T_MAPPING:
        return v.type == TM_MAP && !v.is_namespace;
    case T_ITERABLE:
    case T_SEQUENCE: /* of jinja2 an undefined value is one too */
        return v.type == TM_STR || v.type == TM_LIST || v.type == TM_MAP || v.type == TM_UNDEFINED;
    case T_NUMBER:
        return v.type == TM_INT || v.type == TM_REAL || v.type == TM_BOOL;
    case T_INTEGER:
        return v.type == TM_INT;
    case T_BOOLEAN:
        return v.type == TM_BOOL;
    case T_TRUE:
        return v.type == TM_BOOL && v.u.b;
    case T_FALSE:
        return v.type == TM_BOOL && !v.u.b;
    case T_EQ:
    case T_EQUALTO:
        return ds_tm_equal(c, &v, &a->v[0], 0);
    case T_NE:
        return !ds_tm_equal(c, &v, &a->v[0], 0);
    default:
        return contains(c, n, &a->v[0], &v);
    }
}

/* ---- filters ---- */

static size_t code_points(const tm_str *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->len; i++)
        n += (s->p[i] & 0xc0) != 0x80;
    return n;
}

static tm_val length(tm_ctx *c, const tm_node *n, const tm_val *v)
{
    switch (v->type) {
    case TM_STR:
        return tm_int((int64_t)code_points(&v->u.s));
    case TM_LIST:
        return tm_int((int64_t)v->u.list->n);
    case TM_MAP:
        return tm_int((int64_t)v->u.map->n);
    case TM_UNDEFINED:
        return tm_int(0);
    default:
        return wrong(c, n, v);
    }
}

/* As a list: what a loop would see. */
static tm_val as_list(tm_ctx *c, const tm_node *n, const tm_val *v)
{
    if (v->type == TM_LIST)
        return *v;
    if (v->type == TM_MAP)
        return entries(c, v->u.map, true, false);
    return v->type == TM_UNDEFINED ? ds_tm_list(c) : wrong(c, n, v);
}

/* selectattr(name[, test[, value]]), rejectattr, map(attribute=name) */
static tm_val by_attribute(tm_ctx *c, const tm_node *n, const tm_list *l, const tm_args *a)
{
    const tm_str *name = text_arg(c, n, a, 0, n->op == F_MAP ? "attribute" : NULL);
    const tm_str *test = n->op == F_MAP ? NULL : text_arg(c, n, a, 1, NULL);
    tm_node t = {.text = test ? *test : (tm_str){0}, .line = n->line};
    tm_val out = ds_tm_list(c);
    if (failed(c))
        return out;
    if (!name || (n->op == F_MAP && a->name[0].len == 0))
        return ds_tm_fail(c, "%s: only by the name of an attribute", filters[n->op]);
    int k = test ? ds_tm_test(test) : 0;
    if (k < 0 && ds_tm_str_is(test, "=="))
        k = T_EQ;
    if (k < 0)
        return ds_tm_fail(c, "no such test here: '%.*s'", (int)test->len, (const char *)test->p);
    t.op = (unsigned)k;
    for (size_t i = 0; i < l->n && !failed(c); i++) {
        const tm_val *v =
            l->v[i].type == TM_MAP ? ds_tm_get(l->v[i].u.map, name->p, name->len) : NULL;
        tm_val x = v ? *v : (tm_val){.type = TM_UNDEFINED};
        tm_args rest = {.n = a->n > 2, .v = {a->n > 2 ? a->v[2] : tm_none()}};
        if (n->op == F_MAP)
            ds_tm_push(c, out.u.list, x);
        else if ((test ? ds_tm_apply_test(c, &t, x, &rest) : ds_tm_truth(&x)) ==
                     (n->op == F_SELECTATTR) &&
                 !failed(c))
            ds_tm_push(c, out.u.list, l->v[i]);
    }
    return out;
}

static tm_val list_filter(tm_ctx *c, const tm_node *n, const tm_val *v, const tm_args *a)
{
    tm_val l = as_list(c, n, v), out;
    if (failed(c))
        return tm_none();
    const tm_list *x = l.u.list;
    switch (n->op) {
    case F_JOIN:
        return join(c, x, text_arg(c, n, a, 0, "d"));
    case F_FIRST:
        return x->n ? x->v[0] : (tm_val){.type = TM_UNDEFINED};
    case F_LAST:
        return x->n ? x->v[x->n - 1] : (tm_val){.type = TM_UNDEFINED};
    case F_REVERSE:
        out = ds_tm_list(c);
        for (size_t i = x->n; i > 0 && !failed(c); i--)
            ds_tm_push(c, out.u.list, x->v[i - 1]);
        return out;
    case F_LIST:
        return l;
    default:
        return by_attribute(c, n, x, a);
    }
}

static tm_val to_int(tm_ctx *c, const tm_node *n, const tm_val *v)
{
    if (v->type == TM_INT)
        return *v;
    if (v->type == TM_BOOL)
        return tm_int(v->u.b);
    if (v->type == TM_REAL && v->u.f > -9e15 && v->u.f < 9e15)
        return tm_int((int64_t)v->u.f);
    return wrong(c, n, v);
}

tm_val ds_tm_apply_filter(tm_ctx *c, const tm_node *n, tm_val v, const tm_args *a)
{
    const tm_val *x = arg(a, 0, "default_value"), *flag = arg(a, 1, "boolean");
    switch (n->op) {
    case F_DEFAULT:
    case F_D:
        if (v.type == TM_UNDEFINED || (flag && ds_tm_truth(flag) && !ds_tm_truth(&v)))
            return x ? *x : (tm_val){.type = TM_STR};
        return v;
    case F_LENGTH:
    case F_COUNT:
        return length(c, n, &v);
    case F_TOJSON:
        x = arg(a, 0, "indent");
        return ds_tm_tojson(
            c, &v, x && x->type == TM_INT && x->u.i >= 0 && x->u.i <= 16 ? (int)x->u.i : -1);
    case F_ITEMS:
        return v.type == TM_MAP         ? entries(c, v.u.map, true, true)
               : v.type == TM_UNDEFINED ? ds_tm_list(c)
                                        : wrong(c, n, &v);
    case F_INT:
        return to_int(c, n, &v);
    case F_ABS:
        v = to_int(c, n, &v);
        return failed(c) || v.u.i >= 0 ? v : tm_int(v.u.i == INT64_MIN ? INT64_MAX : -v.u.i);
    case F_STRING:
    case F_SAFE:
    case F_TRIM:
    case F_UPPER:
    case F_LOWER:
    case F_REPLACE:
        v = ds_tm_string(c, &v);
        break;
    default:
        return list_filter(c, n, &v, a);
    }
    if (failed(c) || n->op == F_STRING || n->op == F_SAFE)
        return v;
    if (n->op == F_TRIM)
        return strip(c, &v.u.s, text_arg(c, n, a, 0, "chars"), true, true);
    if (n->op == F_REPLACE)
        return replace(c, &v.u.s, text_arg(c, n, a, 0, NULL), text_arg(c, n, a, 1, NULL));
    return change_case(c, &v.u.s, n->op == F_UPPER);
}
