/* tok_tmplrun.c - running a template: expressions, statements, output. */
#include "tok_tmplpriv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

#define MEMORY_MAX ((size_t)256 << 20)
#define OUTPUT_MAX ((size_t)256 << 20)
#define DEPTH_MAX 1024

static tm_val eval(tm_ctx *c, const tm_node *n);
static tm_val run_macro(tm_ctx *c, const tm_node *n, const tm_args *a);
static void run_list(tm_ctx *c, const tm_node *n);

static const tm_val undefined = {.type = TM_UNDEFINED};

static tm_val *find(const tm_ctx *c, const tm_str *name)
{
    for (tm_frame *f = c->top; f; f = f->up) {
        tm_val *v = ds_tm_get(&f->vars, name->p, name->len);
        if (v)
            return v;
    }
    return NULL;
}

static void args_of(tm_ctx *c, const tm_node *n, tm_args *a)
{
    a->n = 0;
    for (const tm_node *x = n; x && !failed(c) && a->n < TM_ARGS; x = x->next) {
        a->name[a->n] = x->name;
        a->v[a->n++] = eval(c, x);
    }
}

/* ---- members ---- */

static tm_val member(tm_ctx *c, const tm_val *of, const tm_str *key)
{
    if (of->type == TM_UNDEFINED)
        return ds_tm_fail(c, "'%.*s' of something undefined", (int)(key->len < 60 ? key->len : 60),
                          (const char *)key->p);
    const tm_val *v = of->type == TM_MAP ? ds_tm_get(of->u.map, key->p, key->len) : NULL;
    return v ? *v : undefined;
}

/* Byte offset of the code point i, or of the end. */
static size_t offset_of(const tm_str *s, uint64_t i)
{
    size_t at = 0;
    for (; at < s->len; at++)
        if ((s->p[at] & 0xc0) != 0x80 && i-- == 0)
            break;
    return at;
}

static int64_t count_of(const tm_val *v)
{
    return (int64_t)(v->type == TM_LIST ? v->u.list->n : ds_utf8_count(v->u.s.p, v->u.s.len));
}

static tm_val item(tm_ctx *c, const tm_val *of, const tm_val *key)
{
    if (key->type == TM_STR)
        return member(c, of, &key->u.s);
    if ((of->type != TM_LIST && of->type != TM_STR) || key->type != TM_INT)
        return of->type == TM_UNDEFINED ? ds_tm_fail(c, "an item of something undefined")
                                        : undefined;
    int64_t n = count_of(of), i = key->u.i < 0 ? key->u.i + n : key->u.i;
    if (i < 0 || i >= n)
        return undefined;
    if (of->type == TM_LIST)
        return of->u.list->v[i];
    size_t from = offset_of(&of->u.s, (uint64_t)i);
    return ds_tm_sub(c, &of->u.s, from, offset_of(&of->u.s, (uint64_t)i + 1));
}

static tm_val slice(tm_ctx *c, const tm_node *n)
{
    tm_val of = eval(c, n->a), part[3] = {tm_none(), tm_none(), tm_none()};
    const tm_node *const nodes[3] = {n->b, n->c, n->d};
    for (int i = 0; i < 3 && !failed(c); i++)
        if (nodes[i])
            part[i] = eval(c, nodes[i]);
    if (failed(c))
        return tm_none();
    if (of.type != TM_LIST && of.type != TM_STR)
        return ds_tm_fail(c, "a slice of %s", ds_tm_type_name(&of));
    int64_t step = part[2].type == TM_INT ? part[2].u.i : 1, count = count_of(&of);
    int64_t lo = 0, hi = count;
    if (step != 1 && (step != -1 || of.type != TM_LIST || nodes[0] || nodes[1]))
        return ds_tm_fail(c, "slices with steps are not supported, but [::-1] of a list");
    if (part[0].type == TM_INT)
        lo = part[0].u.i < 0 ? part[0].u.i + count : part[0].u.i;
    if (part[1].type == TM_INT)
        hi = part[1].u.i < 0 ? part[1].u.i + count : part[1].u.i;
    lo = lo < 0 ? 0 : lo > count ? count : lo;
    hi = hi < lo ? lo : hi > count ? count : hi;
    if (of.type == TM_STR)
        return ds_tm_sub(c, &of.u.s, offset_of(&of.u.s, (uint64_t)lo),
                         offset_of(&of.u.s, (uint64_t)hi));
    tm_val out = ds_tm_list(c);
    for (int64_t i = lo; i < hi && !failed(c); i++)
        ds_tm_push(c, out.u.list, of.u.list->v[step < 0 ? count - 1 - i : i]);
    return out;
}

/* ---- operators ---- */

static tm_val no_operator(tm_ctx *c, const tm_val *a, const tm_val *b)
{
    return ds_tm_fail(c, "no such operation between %s and %s", ds_tm_type_name(a),
                      ds_tm_type_name(b));
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static tm_val arithmetic(tm_ctx *c, unsigned op, const tm_val *a, const tm_val *b)
{
    int64_t r = 0;
    bool over = false;
    if (a->type != TM_INT || b->type != TM_INT)
        return no_operator(c, a, b);
    int64_t x = a->u.i, y = b->u.i;
    if ((op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD) && (y == 0 || y == -1))
        return ds_tm_fail(c, "division by %" PRId64, y);
    switch (op) {
    case OP_ADD:
        over = __builtin_add_overflow(x, y, &r);
        break;
    case OP_SUB:
        over = __builtin_sub_overflow(x, y, &r);
        break;
    case OP_MUL:
        over = __builtin_mul_overflow(x, y, &r);
        break;
    case OP_DIV:
        return (tm_val){.type = TM_REAL, .u.f = (double)x / (double)y};
    case OP_FLOORDIV:
        r = floor_div(x, y);
        break;
    default:
        r = x - floor_div(x, y) * y;
    }
    return over ? ds_tm_fail(c, "a number beyond 64 bits") : tm_int(r);
}

static tm_val order(tm_ctx *c, unsigned op, const tm_val *a, const tm_val *b)
{
    int cmp;
    if (a->type == TM_STR && b->type == TM_STR) {
        size_t n = a->u.s.len < b->u.s.len ? a->u.s.len : b->u.s.len;
        cmp = n ? memcmp(a->u.s.p, b->u.s.p, n) : 0;
        if (cmp == 0)
            cmp = a->u.s.len < b->u.s.len ? -1 : a->u.s.len > b->u.s.len;
    } else if (a->type == TM_INT && b->type == TM_INT) {
        cmp = a->u.i < b->u.i ? -1 : a->u.i > b->u.i;
    } else {
        return no_operator(c, a, b);
    }
    return tm_bool(op == OP_LT   ? cmp < 0
                   : op == OP_LE ? cmp <= 0
                   : op == OP_GT ? cmp > 0
                                 : cmp >= 0);
}

static tm_val add(tm_ctx *c, const tm_val *a, const tm_val *b)
{
    if (a->type == TM_STR && b->type == TM_STR)
        return ds_tm_concat(c, &a->u.s, &b->u.s);
    if (a->type != TM_LIST || b->type != TM_LIST)
        return arithmetic(c, OP_ADD, a, b);
    tm_val l = ds_tm_list(c);
    for (size_t i = 0; i < a->u.list->n && !failed(c); i++)
        ds_tm_push(c, l.u.list, a->u.list->v[i]);
    for (size_t i = 0; i < b->u.list->n && !failed(c); i++)
        ds_tm_push(c, l.u.list, b->u.list->v[i]);
    return l;
}

static tm_val is_in(tm_ctx *c, const tm_node *n, const tm_val *a, const tm_val *b)
{
    static const tm_str in = {(const uint8_t *)"in", 2, NULL, 0};
    tm_node test = {.text = in, .op = (unsigned)ds_tm_number_of(ds_tm_tests, &in), .line = n->line};
    const tm_args args = {.v = {*b}, .n = 1};
    if (b->type == TM_STR && a->type != TM_STR)
        return no_operator(c, a, b);
    return tm_bool(ds_tm_apply_test(c, &test, *a, &args) != n->negate);
}

static tm_val binary(tm_ctx *c, const tm_node *n)
{
    tm_val a = eval(c, n->a);
    tm_val b = failed(c) ? tm_none() : eval(c, n->b);
    if (failed(c))
        return tm_none();
    switch (n->op) {
    case OP_ADD:
        return add(c, &a, &b);
    case OP_CONCAT:
        a = ds_tm_string(c, &a);
        b = failed(c) ? tm_none() : ds_tm_string(c, &b);
        return failed(c) ? tm_none() : ds_tm_concat(c, &a.u.s, &b.u.s);
    case OP_EQ:
        return tm_bool(ds_tm_equal(c, &a, &b, 0));
    case OP_NE:
        return tm_bool(!ds_tm_equal(c, &a, &b, 0));
    case OP_IN:
        return is_in(c, n, &a, &b);
    case OP_LT:
    case OP_LE:
    case OP_GT:
    case OP_GE:
        return order(c, n->op, &a, &b);
    default:
        return arithmetic(c, n->op, &a, &b);
    }
}

static tm_val literal(tm_ctx *c, const tm_node *n)
{
    bool dict = n->kind == TN_DICTLIT;
    tm_val out = dict ? ds_tm_map(c) : ds_tm_list(c);
    for (const tm_node *x = n->a; x && !failed(c); x = x->next) {
        tm_val v = eval(c, x);
        if (failed(c))
            break;
        if (!dict) {
            ds_tm_push(c, out.u.list, v);
            continue;
        }
        if (v.type != TM_STR)
            return ds_tm_fail(c, "the names of a mapping are strings");
        x = x->next;
        tm_val of = eval(c, x);
        if (!failed(c))
            ds_tm_put(c, out.u.map, v.u.s, of);
    }
    return out;
}

/* Apart from eval_kind, whose frames stand on each other: arguments take room. */
static tm_val call(tm_ctx *c, const tm_node *n, tm_val v)
{
    tm_args a;
    args_of(c, n->b, &a);
    if (failed(c))
        return tm_none();
    if (n->kind == TN_CALL && !n->a && n->op == TM_MACRO)
        return run_macro(c, n, &a);
    return n->kind == TN_CALL     ? ds_tm_call(c, n, v, &a)
           : n->kind == TN_FILTER ? ds_tm_apply_filter(c, n, v, &a)
                                  : tm_bool(ds_tm_apply_test(c, n, v, &a) != n->negate);
}

static tm_val eval_kind(tm_ctx *c, const tm_node *n)
{
    tm_val v, k;
    switch (n->kind) {
    case TN_CONST:
        return n->val;
    case TN_NAME: {
        const tm_val *x = find(c, &n->text);
        return x ? *x : undefined;
    }
    case TN_LISTLIT:
    case TN_DICTLIT:
        return literal(c, n);
    case TN_SLICE:
        return slice(c, n);
    case TN_BINARY:
        return binary(c, n);
    case TN_COND:
        v = eval(c, n->b);
        if (failed(c))
            return tm_none();
        return ds_tm_truth(&v) ? eval(c, n->a) : n->c ? eval(c, n->c) : undefined;
    default:
        break;
    }
    v = n->a ? eval(c, n->a) : tm_none();
    if (failed(c))
        return tm_none();
    c->line = n->line;
    switch (n->kind) {
    case TN_ATTR:
        return member(c, &v, &n->text);
    case TN_INDEX:
        k = eval(c, n->b);
        return failed(c) ? tm_none() : item(c, &v, &k);
    case TN_NOT:
        return tm_bool(!ds_tm_truth(&v));
    case TN_NEG:
        k = tm_int(0);
        return arithmetic(c, OP_SUB, &k, &v);
    case TN_AND:
        return ds_tm_truth(&v) ? eval(c, n->b) : v;
    case TN_OR:
        return ds_tm_truth(&v) ? v : eval(c, n->b);
    default:
        break;
    }
    return call(c, n, v);
}

static tm_val eval(tm_ctx *c, const tm_node *n)
{
    ds_tm_work(c, 1);
    if (failed(c))
        return tm_none();
    if (++c->depth > DEPTH_MAX)
        return ds_tm_fail(c, "nested too deeply");
    unsigned line = c->line;
    c->line = n->line;
    tm_val v = eval_kind(c, n);
    if (v.type == TM_STR) /* what is done with it may walk it */
        ds_tm_work(c, v.u.s.len >> 10);
    if (!failed(c))
        c->line = line;
    c->depth--;
    return v;
}

/* ---- statements ---- */

static void emit(tm_ctx *c, const tm_str *s)
{
    ds_tmplout *o = c->out;
    const tm_run whole = {s->len, 0};
    const tm_run *r = s->n ? s->runs : &whole;
    size_t n = s->n ? s->n : 1, base = o->text.len;
    if (s->len == 0)
        return;
    if (s->len > OUTPUT_MAX - base) {
        (void)ds_tm_fail(c, "more than %zu MiB of output", OUTPUT_MAX >> 20);
        return;
    }
    int rc = ds_buf_put(&o->text, s->p, s->len);
    for (size_t i = 0; i < n && rc == 0; i++) {
        ds_tmplrun run = {base + r[i].end, r[i].source, c->turn, c->generation};
        size_t k = o->runs.len / sizeof run;
        ds_tmplrun *last = k ? (ds_tmplrun *)(void *)o->runs.data + k - 1 : NULL;
        if (last && last->source == run.source && last->turn == run.turn &&
            last->generation == run.generation)
            last->end = run.end;
        else
            rc = ds_buf_put(&o->runs, &run, sizeof run);
    }
    if (rc)
        ds_fail_nomem(c->err);
}

/* What statements write, as a string, with its sources. */
static tm_val written(tm_ctx *c, const tm_node *body)
{
    ds_tmplout *out = c->out, own = {0};
    c->out = &own;
    run_list(c, body);
    c->out = out;
    const size_t k = own.runs.len / sizeof(ds_tmplrun);
    tm_val v = failed(c) ? tm_none() : ds_tm_text(c, own.text.data, own.text.len, 0);
    tm_run *runs = failed(c) ? NULL : ds_tm_alloc(&c->arena, (k + 1) * sizeof *runs);
    for (size_t i = 0; runs && i < k; i++) {
        const ds_tmplrun *r = (const ds_tmplrun *)(const void *)own.runs.data + i;
        runs[i] = (tm_run){r->end, r->source};
    }
    ds_tmplout_fini(&own);
    if (failed(c))
        return tm_none();
    if (!runs)
        return ds_tm_nomem(c);
    v.u.s.runs = runs;
    v.u.s.n = k;
    return v;
}

/* The argument that a macro's parameter, the i-th, is given; else its default, which sees those
 * before it. */
static tm_val parameter(tm_ctx *c, const tm_node *x, size_t i, const tm_args *a)
{
    for (size_t k = 0; k < a->n; k++)
        if (a->name[k].len == x->text.len && memcmp(a->name[k].p, x->text.p, x->text.len) == 0)
            return a->v[k];
    if (i < a->n && a->name[i].len == 0)
        return a->v[i];
    return x->a ? eval(c, x->a) : undefined;
}

/* It sees its parameters and what is set outside of all loops, as it is now. */
static tm_val run_macro(tm_ctx *c, const tm_node *n, const tm_args *a)
{
    const tm_val *f = find(c, &n->text);
    tm_frame frame = {0}, *top = c->top;
    size_t i = 0;
    if (!f || f->type != TM_FUNC)
        return ds_tm_fail(c, "'%.*s' is called before its macro", (int)n->text.len,
                          (const char *)n->text.p);
    const tm_node *m = f->u.macro;
    for (frame.up = top; frame.up->up;)
        frame.up = frame.up->up;
    c->top = &frame;
    for (const tm_node *x = m->a; x && !failed(c); x = x->next) {
        const tm_val v = parameter(c, x, i++, a);
        if (!failed(c))
            ds_tm_put(c, &frame.vars, x->text, v);
    }
    const tm_val v = failed(c) ? tm_none() : written(c, m->b);
    c->top = top;
    c->leave = 0;
    return v;
}

static void assign(tm_ctx *c, const tm_node *n)
{
    const tm_val v = n->a ? eval(c, n->a) : written(c, n->b);
    if (failed(c))
        return;
    if (n->text2.len == 0) {
        ds_tm_put(c, &c->top->vars, n->text, v);
        return;
    }
    tm_val *to = find(c, &n->text);
    if (!to || to->type != TM_MAP || !to->is_namespace)
        (void)ds_tm_fail(c, "only attributes of a namespace can be set");
    else
        ds_tm_put(c, to->u.map, n->text2, v);
}

static void put_name(tm_ctx *c, tm_map *m, const char *name, tm_val v)
{
    if (!failed(c))
        ds_tm_put(c, m, tm_lit(name, strlen(name)), v);
}

static void loop_vars(tm_ctx *c, const tm_list *l, size_t i)
{
    tm_val loop = ds_tm_map(c);
    if (failed(c))
        return;
    tm_map *m = loop.u.map;
    put_name(c, m, "index", tm_int((int64_t)i + 1));
    put_name(c, m, "index0", tm_int((int64_t)i));
    put_name(c, m, "revindex", tm_int((int64_t)(l->n - i)));
    put_name(c, m, "revindex0", tm_int((int64_t)(l->n - i) - 1));
    put_name(c, m, "first", tm_bool(i == 0));
    put_name(c, m, "last", tm_bool(i + 1 == l->n));
    put_name(c, m, "length", tm_int((int64_t)l->n));
    if (i > 0)
        put_name(c, m, "previtem", l->v[i - 1]);
    if (i + 1 < l->n)
        put_name(c, m, "nextitem", l->v[i + 1]);
    put_name(c, &c->top->vars, "loop", loop);
}

static void bind_names(tm_ctx *c, const tm_node *n, const tm_val *v)
{
    if (n->text2.len == 0) {
        ds_tm_put(c, &c->top->vars, n->text, *v);
    } else if (v->type != TM_LIST || v->u.list->n != 2) {
        (void)ds_tm_fail(c, "two names for what is not a pair");
    } else {
        ds_tm_put(c, &c->top->vars, n->text, v->u.list->v[0]);
        ds_tm_put(c, &c->top->vars, n->text2, v->u.list->v[1]);
    }
}

/* What a loop goes over: a list, the names of a mapping, the characters of a string. */
static tm_val loop_list(tm_ctx *c, const tm_node *n)
{
    tm_val v = eval(c, n->a), l = ds_tm_list(c);
    if (failed(c) || v.type == TM_UNDEFINED)
        return l;
    c->line = n->line;
    if (v.type == TM_STR) {
        for (size_t at = 0, end; at < v.u.s.len && !failed(c); at = end) {
            for (end = at + 1; end < v.u.s.len && (v.u.s.p[end] & 0xc0) == 0x80;)
                end++;
            ds_tm_push(c, l.u.list, ds_tm_sub(c, &v.u.s, at, end));
        }
    } else if (v.type == TM_MAP) {
        for (size_t i = 0; i < v.u.map->n && !failed(c); i++)
            ds_tm_push(c, l.u.list, (tm_val){.type = TM_STR, .u.s = v.u.map->v[i].key});
    } else if (v.type != TM_LIST) {
        return ds_tm_fail(c, "a loop over %s", ds_tm_type_name(&v));
    } else if (!n->d) {
        return v;
    } else {
        l = v;
    }
    return l;
}

/* The items that the loop's own "if" lets through. */
static tm_val filtered(tm_ctx *c, const tm_node *n, const tm_list *from)
{
    tm_val l = ds_tm_list(c);
    for (size_t i = 0; i < from->n && !failed(c); i++) {
        tm_frame frame = {.up = c->top};
        c->top = &frame;
        bind_names(c, n, &from->v[i]);
        tm_val keep = failed(c) ? tm_none() : eval(c, n->d);
        c->top = frame.up;
        if (!failed(c) && ds_tm_truth(&keep))
            ds_tm_push(c, l.u.list, from->v[i]);
    }
    return l;
}

static void run_for(tm_ctx *c, const tm_node *n)
{
    tm_val over = loop_list(c, n);
    if (!failed(c) && n->d)
        over = filtered(c, n, over.u.list);
    if (failed(c))
        return;
    const tm_list *l = over.u.list;
    size_t count = l->n;
    uint32_t turn = c->turn;
    for (size_t i = 0; i < count && !failed(c); i++) {
        tm_frame frame = {.up = c->top};
        c->top = &frame;
        if (l->v[i].type == TM_MAP && l->v[i].message)
            c->turn = l->v[i].message;
        bind_names(c, n, &l->v[i]);
        loop_vars(c, l, i);
        if (!failed(c))
            run_list(c, n->b);
        c->top = frame.up;
        int leave = c->leave;
        c->leave = 0;
        if (leave == TN_BREAK)
            break;
    }
    c->turn = turn;
    if (count == 0)
        run_list(c, n->c);
}

static void run_one(tm_ctx *c, const tm_node *n)
{
    tm_val v;
    bool generation = c->generation;
    switch (n->kind) {
    case TN_TEXT:
        emit(c, &n->text);
        break;
    case TN_PRINT:
        v = eval(c, n->a);
        if (!failed(c))
            v = ds_tm_string(c, &v);
        if (!failed(c))
            emit(c, &v.u.s);
        break;
    case TN_IF:
        v = eval(c, n->a);
        if (!failed(c))
            run_list(c, ds_tm_truth(&v) ? n->b : n->c);
        break;
    case TN_FOR:
        run_for(c, n);
        break;
    case TN_SET:
        assign(c, n);
        break;
    case TN_MACRO:
        v = (tm_val){.type = TM_FUNC, .u.macro = n};
        if (c->top->up)
            (void)ds_tm_fail(c, "a macro in a loop is not supported");
        else
            ds_tm_put(c, &c->top->vars, n->text, v);
        break;
    case TN_GENERATION:
        c->generation = true;
        run_list(c, n->b);
        c->generation = generation;
        break;
    default:
        c->leave = (int)n->kind;
    }
}

static void run_list(tm_ctx *c, const tm_node *n)
{
    if (++c->depth > DEPTH_MAX)
        (void)ds_tm_fail(c, "nested too deeply");
    for (; n && !failed(c) && !c->leave; n = n->next) {
        c->line = n->line;
        ds_tm_work(c, 1);
        if (!failed(c))
            run_one(c, n);
    }
    c->depth--;
}

int ds_tmpl_render(const ds_tmpl *t, const ds_tmplvars *vars, ds_tmplout *out, ds_err *err)
{
    ds_err own = {0};
    tm_frame globals = {0};
    tm_ctx c = {.t = t, .arena = {.limit = MEMORY_MAX}, .out = out, .top = &globals, .err = &own};
    ds_buf_reset(&out->text);
    ds_buf_reset(&out->runs);
    out->generation = t->generation;
    put_name(&c, &globals.vars, "messages", ds_tm_messages(&c, vars->messages));
    if (!failed(&c))
        put_name(&c, &globals.vars, "tools",
                 vars->tools ? ds_tm_json(&c, vars->tools, DS_TMPL_DATA, 1) : tm_none());
    put_name(&c, &globals.vars, "documents", tm_none());
    put_name(&c, &globals.vars, "add_generation_prompt", tm_bool(vars->add_generation_prompt));
    put_name(&c, &globals.vars, "bos_token", ds_tm_text(&c, vars->bos, strlen(vars->bos), 0));
    put_name(&c, &globals.vars, "eos_token", ds_tm_text(&c, vars->eos, strlen(vars->eos), 0));
    if (!failed(&c))
        run_list(&c, t->body);
    ds_tm_arena_fini(&c.arena);
    return own.code ? ds_fail_as(err, &own) : 0;
}

void ds_tmplout_fini(ds_tmplout *out)
{
    ds_buf_fini(&out->text);
    ds_buf_fini(&out->runs);
}
