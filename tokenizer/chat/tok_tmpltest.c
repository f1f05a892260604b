/* tok_tmpltest.c - the tests of templates: value is NAME(argument). */
#include "tok_tmplpriv.h"

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
const tm_callee ds_tm_tests[] = {{"defined", 0, ""},  {"undefined", 0, ""}, {"none", 0, ""},
                                 {"string", 0, ""},   {"mapping", 0, ""},   {"iterable", 0, ""},
                                 {"sequence", 0, ""}, {"number", 0, ""},    {"integer", 0, ""},
                                 {"boolean", 0, ""},  {"true", 0, ""},      {"false", 0, ""},
                                 {"eq", 1, ""},       {"equalto", 1, ""},   {"ne", 1, ""},
                                 {"in", 1, ""},       {NULL, 0, NULL}};

static bool contains(tm_ctx *c, const tm_node *n, const tm_val *in, const tm_val *v)
{
    if (in->type == TM_STR && v->type == TM_STR)
        return ds_tm_find(&in->u.s, 0, &v->u.s) != SIZE_MAX;
    if (in->type == TM_MAP)
        return v->type == TM_STR && ds_tm_get(in->u.map, v->u.s.p, v->u.s.len);
    if (in->type != TM_LIST) {
        if (in->type != TM_UNDEFINED)
            (void)ds_tm_wrong(c, n, in);
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
        (void)ds_tm_fail(c, "%s takes one argument", ds_tm_tests[n->op].name);
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
