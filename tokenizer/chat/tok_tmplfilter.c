/* tok_tmplfilter.c - the filters of templates: value | NAME(arguments). Each does what jinja2 does,
 * for the arguments it takes; others are refused. */
#include "tok_tmplpriv.h"

#include "utf8.h"

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
    F_SELECT,
    F_REJECT,
    F_MAP,
    F_ABS
};
const tm_callee ds_tm_filters[] = {{"trim", 1, "chars"},
                                   {"length", 0, ""},
                                   {"count", 0, ""},
                                   {"upper", 0, ""},
                                   {"lower", 0, ""},
                                   {"join", 1, "d"},
                                   {"first", 0, ""},
                                   {"last", 0, ""},
                                   {"list", 0, ""},
                                   {"string", 0, ""},
                                   {"int", 1, "default"},
                                   {"default", 2, "default_value boolean"},
                                   {"d", 2, "default_value boolean"},
                                   {"replace", 2, ""},
                                   {"tojson", 0, "indent ensure_ascii sort_keys"},
                                   {"safe", 0, ""},
                                   {"items", 0, ""},
                                   {"reverse", 0, ""},
                                   {"selectattr", 3, ""},
                                   {"rejectattr", 3, ""},
                                   {"select", 2, ""},
                                   {"reject", 2, ""},
                                   {"map", 1, "attribute"},
                                   {"abs", 0, ""},
                                   {NULL, 0, NULL}};

static tm_val length(tm_ctx *c, const tm_node *n, const tm_val *v)
{
    switch (v->type) {
    case TM_STR:
        return tm_int((int64_t)ds_utf8_count(v->u.s.p, v->u.s.len));
    case TM_LIST:
        return tm_int((int64_t)v->u.list->n);
    case TM_MAP:
        return tm_int((int64_t)v->u.map->n);
    case TM_UNDEFINED:
        return tm_int(0);
    default:
        return ds_tm_wrong(c, n, v);
    }
}

/* As a list: what a loop would see. */
static tm_val as_list(tm_ctx *c, const tm_node *n, const tm_val *v)
{
    if (v->type == TM_LIST)
        return *v;
    if (v->type == TM_MAP)
        return ds_tm_entries(c, v->u.map, true, false);
    return v->type == TM_UNDEFINED ? ds_tm_list(c) : ds_tm_wrong(c, n, v);
}

/* The test that an argument names. */
static bool test_of(tm_ctx *c, const tm_str *test, tm_node *t)
{
    const tm_str equal = tm_lit("eq", 2);
    int k = ds_tm_number_of(ds_tm_tests, ds_tm_str_is(test, "==") ? &equal : test);
    if (k < 0)
        ds_tm_fail(c, "no such test here: '%.*s'", (int)test->len, (const char *)test->p);
    t->text = *test;
    t->op = k < 0 ? 0 : (unsigned)k;
    return k >= 0;
}

/* select(test[, value]) and reject: by the items themselves; without a test, by their truth */
static tm_val by_test(tm_ctx *c, const tm_node *n, const tm_list *l, const tm_args *a)
{
    const tm_str *test = ds_tm_text_arg(c, n, a, 0, NULL);
    tm_node t = {.line = n->line};
    tm_val out = ds_tm_list(c);
    if (!failed(c) && test && !test_of(c, test, &t))
        return out;
    for (size_t i = 0; i < l->n && !failed(c); i++) {
        tm_args rest = {.n = a->n > 1, .v = {a->n > 1 ? a->v[1] : tm_none()}};
        if ((test ? ds_tm_apply_test(c, &t, l->v[i], &rest) : ds_tm_truth(&l->v[i])) ==
                (n->op == F_SELECT) &&
            !failed(c))
            ds_tm_push(c, out.u.list, l->v[i]);
    }
    return out;
}

/* selectattr(name[, test[, value]]), rejectattr, map(attribute=name) */
static tm_val by_attribute(tm_ctx *c, const tm_node *n, const tm_list *l, const tm_args *a)
{
    const tm_str *name = ds_tm_text_arg(c, n, a, 0, n->op == F_MAP ? "attribute" : NULL);
    const tm_str *test = n->op == F_MAP ? NULL : ds_tm_text_arg(c, n, a, 1, NULL);
    tm_node t = {.line = n->line};
    tm_val out = ds_tm_list(c);
    if (failed(c))
        return out;
    if (!name || (n->op == F_MAP && a->name[0].len == 0))
        return ds_tm_fail(c, "%s: only by the name of an attribute", ds_tm_filters[n->op].name);
    if (test && !test_of(c, test, &t))
        return out;
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
        return ds_tm_join(c, x, ds_tm_text_arg(c, n, a, 0, "d"));
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
    case F_SELECT:
    case F_REJECT:
        return by_test(c, n, x, a);
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
    return ds_tm_wrong(c, n, v);
}

/* As transformers has it: ASCII or not is no choice of jinja2's own filter. */
static tm_val to_json(tm_ctx *c, const tm_val *v, const tm_args *a)
{
    static const char *const off[] = {"ensure_ascii", "sort_keys"};
    const tm_val *x = ds_tm_arg(a, TM_ARGS, "indent");
    for (size_t i = 0; i < 2; i++) {
        const tm_val *flag = ds_tm_arg(a, TM_ARGS, off[i]);
        if (flag && ds_tm_truth(flag))
            return ds_tm_fail(c, "tojson: %s is not supported", off[i]);
    }
    if (x && x->type != TM_NONE && !(x->type == TM_INT && x->u.i >= 0 && x->u.i <= 16))
        return ds_tm_fail(c, "tojson: indent is a number from 0 to 16");
    return ds_tm_tojson(c, v, x && x->type == TM_INT ? (int)x->u.i : -1);
}

tm_val ds_tm_apply_filter(tm_ctx *c, const tm_node *n, tm_val v, const tm_args *a)
{
    const tm_val *x = ds_tm_arg(a, 0, "default_value"), *flag = ds_tm_arg(a, 1, "boolean");
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
        return to_json(c, &v, a);
    case F_ITEMS:
        return v.type == TM_MAP         ? ds_tm_entries(c, v.u.map, true, true)
               : v.type == TM_UNDEFINED ? ds_tm_list(c)
                                        : ds_tm_wrong(c, n, &v);
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
        return ds_tm_strip(c, &v.u.s, ds_tm_text_arg(c, n, a, 0, "chars"), true, true);
    if (n->op == F_REPLACE)
        return ds_tm_replace(c, &v.u.s, ds_tm_text_arg(c, n, a, 0, NULL),
                             ds_tm_text_arg(c, n, a, 1, NULL));
    return ds_tm_change_case(c, &v.u.s, n->op == F_UPPER);
}
