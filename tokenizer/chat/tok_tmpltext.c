/* tok_tmpltext.c - what methods and filters do with strings, as Python does it. */
#include "tok_tmplpriv.h"

#include <string.h>

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

tm_val ds_tm_strip(tm_ctx *c, const tm_str *s, const tm_str *set, bool left, bool right)
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

tm_val ds_tm_change_case(tm_ctx *c, const tm_str *s, bool upper)
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

tm_val ds_tm_split(tm_ctx *c, const tm_str *s, const tm_str *sep, int64_t most)
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
tm_val ds_tm_join(tm_ctx *c, const tm_list *l, const tm_str *sep)
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

tm_val ds_tm_replace(tm_ctx *c, const tm_str *s, const tm_str *from, const tm_str *to)
{
    if (!from || !to || from->len == 0)
        return failed(c) ? tm_none()
                         : ds_tm_fail(c, "replace takes two strings, the first not empty");
    tm_val parts = ds_tm_split(c, s, from, -1);
    return failed(c) ? tm_none() : ds_tm_join(c, parts.u.list, to);
}
