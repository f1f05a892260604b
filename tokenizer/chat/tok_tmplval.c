/* tok_tmplval.c - values of the template interpreter: strings that know their sources, lists, maps,
 * and JSON in and out. A string without runs is all template. */
#include "tok_tmplpriv.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define DEPTH_MAX 128
#define STEPS_MAX ((uint64_t)1 << 24)

typedef struct tm_chunk {
    struct tm_chunk *next;
    size_t used, cap;
    max_align_t bytes[];
} tm_chunk;

void *ds_tm_alloc(tm_arena *a, size_t n)
{
    tm_chunk *c = a->chunks;
    if (n > SIZE_MAX / 2 || a->used + n > a->limit)
        return NULL;
    n = (n + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (!c || c->cap - c->used < n) {
        size_t cap = n > 16384 ? n : 16384;
        if (!(c = malloc(sizeof *c + cap)))
            return NULL;
        *c = (tm_chunk){.next = a->chunks, .cap = cap};
        a->chunks = c;
    }
    void *p = (uint8_t *)c->bytes + c->used;
    c->used += n;
    a->used += n;
    memset(p, 0, n);
    return p;
}

void ds_tm_arena_fini(tm_arena *a)
{
    while (a->chunks) {
        tm_chunk *c = a->chunks;
        a->chunks = c->next;
        free(c);
    }
}

tm_val ds_tm_fail(tm_ctx *c, const char *fmt, ...)
{
    char words[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(words, sizeof words, fmt, ap);
    va_end(ap);
    ds_fail(c->err, DS_FAIL, "%s: line %u: %s", c->t->name, c->line, n < 0 ? "?" : words);
    return tm_none();
}

tm_val ds_tm_nomem(tm_ctx *c)
{
    if (c->arena.used + 4096 > c->arena.limit / 2)
        return ds_tm_fail(c, "the record needs more memory than a template may use");
    ds_fail_nomem(c->err);
    return tm_none();
}

const char *ds_tm_type_name(const tm_val *v)
{
    static const char *const names[] = {"undefined", "none",   "a boolean", "a number",  "a number",
                                        "a string",  "a list", "a mapping", "a function"};
    return names[v->type];
}

bool ds_tm_truth(const tm_val *v)
{
    switch (v->type) {
    case TM_BOOL:
        return v->u.b;
    case TM_INT:
        return v->u.i != 0;
    case TM_REAL:
        return v->u.f != 0;
    case TM_STR:
        return v->u.s.len > 0;
    case TM_LIST:
        return v->u.list->n > 0;
    case TM_MAP:
        return v->is_namespace || v->u.map->n > 0;
    default:
        return v->type == TM_FUNC;
    }
}

void ds_tm_work(tm_ctx *c, uint64_t steps)
{
    c->steps += steps;
    if (c->steps > STEPS_MAX && !failed(c))
        (void)ds_tm_fail(c, "more than %" PRIu64 " steps", STEPS_MAX);
}

static double number(const tm_val *v)
{
    return v->type == TM_REAL ? v->u.f : v->type == TM_BOOL ? (double)v->u.b : (double)v->u.i;
}

static bool equal_maps(tm_ctx *c, const tm_map *a, const tm_map *b, unsigned depth)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        const tm_val *v = ds_tm_get(b, a->v[i].key.p, a->v[i].key.len);
        if (!v || !ds_tm_equal(c, &a->v[i].val, v, depth + 1))
            return false;
    }
    return true;
}

bool ds_tm_equal(tm_ctx *c, const tm_val *a, const tm_val *b, unsigned depth)
{
    ds_tm_work(c, 1);
    bool na = a->type >= TM_BOOL && a->type <= TM_REAL;
    bool nb = b->type >= TM_BOOL && b->type <= TM_REAL;
    if (na && nb)
        return a->type == TM_INT && b->type == TM_INT
                   ? a->u.i == b->u.i
                   : !(number(a) < number(b)) && !(number(a) > number(b));
    if (a->type != b->type || depth > DEPTH_MAX || failed(c))
        return false;
    if (a->type == TM_STR)
        return a->u.s.len == b->u.s.len &&
               (a->u.s.len == 0 || memcmp(a->u.s.p, b->u.s.p, a->u.s.len) == 0);
    if (a->type == TM_MAP)
        return a->u.map == b->u.map || equal_maps(c, a->u.map, b->u.map, depth);
    if (a->type != TM_LIST)
        return true;
    bool same = a->u.list->n == b->u.list->n;
    for (size_t i = 0; same && i < a->u.list->n; i++)
        same = ds_tm_equal(c, &a->u.list->v[i], &b->u.list->v[i], depth + 1);
    return same;
}

/* ---- strings ---- */

bool ds_tm_str_is(const tm_str *s, const char *text)
{
    size_t n = strlen(text);
    return s->len == n && (n == 0 || memcmp(s->p, text, n) == 0);
}

size_t ds_tm_find(const tm_str *s, size_t from, const tm_str *what)
{
    if (from > s->len || what->len > s->len - from)
        return SIZE_MAX;
    if (what->len == 0)
        return from;
    const uint8_t *at = memmem(s->p + from, s->len - from, what->p, what->len);
    return at ? (size_t)(at - s->p) : SIZE_MAX;
}

tm_val ds_tm_text(tm_ctx *c, const void *p, size_t len, uint32_t source)
{
    tm_val v = {.type = TM_STR};
    uint8_t *to = ds_tm_alloc(&c->arena, len ? len : 1);
    tm_run *run = source ? ds_tm_alloc(&c->arena, sizeof *run) : NULL;
    if (!to || (source && !run))
        return ds_tm_nomem(c);
    if (len)
        memcpy(to, p, len);
    if (run)
        *run = (tm_run){len, source};
    v.u.s = (tm_str){to, len, run, run ? 1 : 0};
    return v;
}

/* Runs of s[from, to), moved to `at`, to the end of a list that has room. */
static size_t clip(tm_run *out, size_t n, const tm_str *s, size_t from, size_t to, size_t at)
{
    const tm_run whole = {s->len, 0};
    const tm_run *r = s->n ? s->runs : &whole;
    size_t k = s->n ? s->n : 1, start = 0;
    for (size_t i = 0; i < k && start < to; start = r[i++].end) {
        size_t lo = start > from ? start : from, hi = r[i].end < to ? r[i].end : to;
        if (hi <= lo)
            continue;
        if (n && out[n - 1].source == r[i].source)
            out[n - 1].end = at + hi - from;
        else
            out[n++] = (tm_run){at + hi - from, r[i].source};
    }
    return n;
}

tm_val ds_tm_sub(tm_ctx *c, const tm_str *s, size_t from, size_t to)
{
    tm_val v = {.type = TM_STR, .u.s = {.p = s->p ? s->p + from : NULL, .len = to - from}};
    if (s->n == 0 || from == to)
        return v;
    tm_run *runs = ds_tm_alloc(&c->arena, s->n * sizeof *runs);
    if (!runs)
        return ds_tm_nomem(c);
    v.u.s.runs = runs;
    v.u.s.n = clip(runs, 0, s, from, to, 0);
    return v;
}

tm_val ds_tm_concat(tm_ctx *c, const tm_str *a, const tm_str *b)
{
    tm_val v = {.type = TM_STR};
    if (a->len == 0 || b->len == 0)
        return (tm_val){.type = TM_STR, .u.s = a->len ? *a : *b};
    uint8_t *p = ds_tm_alloc(&c->arena, a->len + b->len);
    tm_run *runs = a->n || b->n ? ds_tm_alloc(&c->arena, (a->n + b->n + 2) * sizeof *runs) : NULL;
    if (!p || ((a->n || b->n) && !runs))
        return ds_tm_nomem(c);
    memcpy(p, a->p, a->len);
    memcpy(p + a->len, b->p, b->len);
    v.u.s = (tm_str){.p = p, .len = a->len + b->len, .runs = runs};
    if (runs) {
        size_t n = clip(runs, 0, a, 0, a->len, 0);
        v.u.s.n = clip(runs, n, b, 0, b->len, a->len);
    }
    return v;
}

/* As Python's repr of a float. */
static int put_real(ds_buf *b, double f)
{
    char text[40];
    if (isnan(f) || isinf(f))
        return ds_buf_puts(b, isnan(f) ? "NaN" : f < 0 ? "-Infinity" : "Infinity");
    int digits = 1;
    for (; digits < 17; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, f);
        if (strtod(text, NULL) == f)
            break;
    }
    snprintf(text, sizeof text, "%.*e", digits - 1, f);
    const char *e = strchr(text, 'e');
    long exp10 = e ? strtol(e + 1, NULL, 10) : 0;
    if (exp10 < -4 || exp10 >= 16) /* Python writes at least two digits too */
        return ds_buf_puts(b, text);
    int after = digits - 1 - (int)exp10;
    return ds_buf_printf(b, "%.*f", after > 1 ? after : 1, f);
}

tm_val ds_tm_string(tm_ctx *c, const tm_val *v)
{
    ds_buf b = {0};
    int rc = 0;
    switch (v->type) {
    case TM_STR:
        return *v;
    case TM_UNDEFINED:
        return (tm_val){.type = TM_STR};
    case TM_NONE:
        return ds_tm_text(c, "None", 4, 0);
    case TM_BOOL:
        return ds_tm_text(c, v->u.b ? "True" : "False", v->u.b ? 4 : 5, 0);
    case TM_INT:
        rc = ds_buf_printf(&b, "%" PRId64, v->u.i);
        break;
    case TM_REAL:
        rc = put_real(&b, v->u.f);
        break;
    default:
        return ds_tm_fail(c, "%s cannot be written as text (tojson can)", ds_tm_type_name(v));
    }
    tm_val s = rc ? ds_tm_nomem(c) : ds_tm_text(c, b.data, b.len, 0);
    ds_buf_fini(&b);
    return s;
}

/* ---- lists and maps ---- */

tm_val ds_tm_list(tm_ctx *c)
{
    tm_val v = {.type = TM_LIST, .u.list = ds_tm_alloc(&c->arena, sizeof *v.u.list)};
    return v.u.list ? v : ds_tm_nomem(c);
}

int ds_tm_push(tm_ctx *c, tm_list *l, tm_val v)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 4;
        tm_val *p = ds_tm_alloc(&c->arena, cap * sizeof *p);
        if (!p)
            return ds_tm_nomem(c), -1;
        if (l->n)
            memcpy(p, l->v, l->n * sizeof *p);
        l->v = p;
        l->cap = cap;
    }
    l->v[l->n++] = v;
    return 0;
}

tm_val ds_tm_map(tm_ctx *c)
{
    tm_val v = {.type = TM_MAP, .u.map = ds_tm_alloc(&c->arena, sizeof *v.u.map)};
    return v.u.map ? v : ds_tm_nomem(c);
}

tm_val *ds_tm_get(const tm_map *m, const void *key, size_t len)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->v[i].key.len == len && (len == 0 || memcmp(m->v[i].key.p, key, len) == 0))
            return &m->v[i].val;
    return NULL;
}

/* Adds without looking for the key. */
static int append(tm_ctx *c, tm_map *m, tm_str key, tm_val v)
{
    if (m->n == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 4;
        tm_entry *p = ds_tm_alloc(&c->arena, cap * sizeof *p);
        if (!p)
            return ds_tm_nomem(c), -1;
        if (m->n)
            memcpy(p, m->v, m->n * sizeof *p);
        m->v = p;
        m->cap = cap;
    }
    m->v[m->n++] = (tm_entry){key, v};
    return 0;
}

int ds_tm_put(tm_ctx *c, tm_map *m, tm_str key, tm_val v)
{
    tm_val *old = ds_tm_get(m, key.p, key.len);
    if (old)
        *old = v;
    return old ? 0 : append(c, m, key, v);
}

/* ---- JSON ---- */

static tm_val from_object(tm_ctx *c, const json_t *j, uint32_t source, unsigned depth)
{
    tm_val m = ds_tm_map(c);
    json_t *o = json_incref((json_t *)(uintptr_t)j); /* its iterators want one that can change */
    for (void *it = json_object_iter(o); it && !failed(c); it = json_object_iter_next(o, it)) {
        const char *k = json_object_iter_key(it);
        tm_val key = ds_tm_text(c, k, strlen(k), source);
        tm_val v = ds_tm_json(c, json_object_iter_value(it), source, depth + 1);
        if (!failed(c))
            append(c, m.u.map, key.u.s, v);
    }
    json_decref(o);
    return m;
}

tm_val ds_tm_json(tm_ctx *c, const json_t *j, uint32_t source, unsigned depth)
{
    if (depth > DEPTH_MAX)
        return ds_tm_fail(c, "data nested deeper than %d", DEPTH_MAX);
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        return from_object(c, j, source, depth);
    case JSON_ARRAY: {
        tm_val l = ds_tm_list(c);
        for (size_t i = 0; i < json_array_size(j) && !failed(c); i++) {
            tm_val v = ds_tm_json(c, json_array_get(j, i), source, depth + 1);
            if (!failed(c))
                ds_tm_push(c, l.u.list, v);
        }
        return l;
    }
    case JSON_STRING:
        return ds_tm_text(c, json_string_value(j), json_string_length(j), source);
    case JSON_INTEGER:
        return tm_int(json_integer_value(j));
    case JSON_REAL:
        return (tm_val){.type = TM_REAL, .u.f = json_real_value(j)};
    case JSON_NULL:
        return tm_none();
    default:
        return tm_bool(json_is_true(j));
    }
}

static bool known_role(const tm_val *v)
{
    static const char *const roles[] = {"system", "user",      "assistant",
                                        "tool",   "developer", "ipython"};
    for (size_t i = 0; v->type == TM_STR && i < sizeof roles / sizeof *roles; i++)
        if (ds_tm_str_is(&v->u.s, roles[i]))
            return true;
    return false;
}

tm_val ds_tm_messages(tm_ctx *c, const json_t *j)
{
    tm_val l = ds_tm_list(c);
    for (size_t i = 0; i < json_array_size(j) && !failed(c); i++) {
        tm_val m = ds_tm_json(c, json_array_get(j, i), (uint32_t)i + 1, 1);
        if (failed(c))
            break;
        if (m.type != TM_MAP)
            return ds_tm_fail(c, "message %zu is not an object", i);
        m.message = (uint32_t)i + 1;
        tm_val *role = ds_tm_get(m.u.map, "role", 4);
        if (role && known_role(role)) { /* as good as the template's own */
            role->u.s.runs = NULL;
            role->u.s.n = 0;
        }
        ds_tm_push(c, l.u.list, m);
    }
    return l;
}

/* JSON as it is written, with the source of each stretch. */
typedef struct writer {
    tm_ctx *c;
    ds_buf text, runs;
    int indent;
} writer;

static int wrote(writer *w, int rc, uint32_t source)
{
    tm_run r = {w->text.len, source}, *last = (void *)w->runs.data;
    size_t n = w->runs.len / sizeof r;
    if (rc == 0 && n && last[n - 1].source == source)
        last[n - 1].end = r.end;
    else if (rc == 0)
        rc = ds_buf_put(&w->runs, &r, sizeof r);
    if (rc == 0 && w->text.len > w->c->arena.limit / 4)
        rc = DS_NOMEM;
    return rc;
}

static int put_line(writer *w, unsigned depth)
{
    int rc = w->indent >= 0 ? ds_buf_putc(&w->text, '\n') : 0;
    for (unsigned i = 0; rc == 0 && w->indent > 0 && i < depth * (unsigned)w->indent; i++)
        rc = ds_buf_putc(&w->text, ' ');
    return wrote(w, rc, 0);
}

static int put_json(writer *w, const tm_val *v, unsigned depth);

static int put_string(writer *w, const tm_str *s)
{
    /* A string of several sources counts as the first that is data. */
    uint32_t source = 0;
    for (size_t i = 0; i < s->n && !source; i++)
        source = s->runs[i].source;
    return wrote(w, ds_json_str(&w->text, (const char *)s->p, s->len), source);
}

static int put_items(writer *w, const tm_val *v, unsigned depth)
{
    bool map = v->type == TM_MAP;
    size_t n = map ? v->u.map->n : v->u.list->n;
    int rc = wrote(w, ds_buf_putc(&w->text, map ? '{' : '['), 0);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (i)
            rc = wrote(w, ds_buf_puts(&w->text, w->indent >= 0 ? "," : ", "), 0);
        if (rc == 0)
            rc = put_line(w, depth + 1);
        if (rc == 0 && map)
            rc = put_string(w, &v->u.map->v[i].key);
        if (rc == 0 && map)
            rc = wrote(w, ds_buf_puts(&w->text, ": "), 0);
        if (rc == 0)
            rc = put_json(w, map ? &v->u.map->v[i].val : &v->u.list->v[i], depth + 1);
    }
    if (rc == 0 && n)
        rc = put_line(w, depth);
    return rc ? rc : wrote(w, ds_buf_putc(&w->text, map ? '}' : ']'), 0);
}

static int put_json(writer *w, const tm_val *v, unsigned depth)
{
    if (depth > DEPTH_MAX)
        return DS_FAIL;
    switch (v->type) {
    case TM_NONE:
        return wrote(w, ds_buf_puts(&w->text, "null"), 0);
    case TM_BOOL:
        return wrote(w, ds_buf_puts(&w->text, v->u.b ? "true" : "false"), 0);
    case TM_INT:
        return wrote(w, ds_buf_printf(&w->text, "%" PRId64, v->u.i), 0);
    case TM_REAL:
        return wrote(w, put_real(&w->text, v->u.f), 0);
    case TM_STR:
        return put_string(w, &v->u.s);
    case TM_LIST:
    case TM_MAP:
        return put_items(w, v, depth);
    default:
        return DS_FAIL;
    }
}

tm_val ds_tm_tojson(tm_ctx *c, const tm_val *v, int indent)
{
    writer w = {.c = c, .indent = indent};
    tm_val s = {.type = TM_STR};
    int rc = put_json(&w, v, 0);
    if (rc == DS_FAIL) {
        s = ds_tm_fail(c, "tojson: %s cannot be written as JSON", ds_tm_type_name(v));
    } else if (rc) {
        s = ds_tm_nomem(c);
    } else {
        s = ds_tm_text(c, w.text.data, w.text.len, 0);
        tm_run *runs = failed(c) ? NULL : ds_tm_alloc(&c->arena, w.runs.len);
        if (!failed(c) && !runs)
            s = ds_tm_nomem(c);
        if (runs) {
            memcpy(runs, w.runs.data, w.runs.len);
            s.u.s.runs = runs;
            s.u.s.n = w.runs.len / sizeof *runs;
        }
    }
    ds_buf_fini(&w.text);
    ds_buf_fini(&w.runs);
    return s;
}
