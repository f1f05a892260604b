/* jsonmember.c - see jsonmember.h. */
#include "jsonmember.h"

/* Behind the string that begins at p[at]; 0 when it does not end. */
static size_t string_end(const uint8_t *p, size_t len, size_t at)
{
    for (at++; at < len && p[at] != '"'; at++)
        at += p[at] == '\\';
    return at < len ? at + 1 : 0;
}

/* The comma or bracket behind the value that begins at p[at]; 0 when there is none. */
static size_t value_end(const uint8_t *p, size_t len, size_t at)
{
    for (size_t depth = 0; at < len;) {
        const uint8_t c = p[at];
        if (depth == 0 && (c == ',' || c == '}' || c == ']'))
            return c == ']' ? 0 : at;
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        at = c == '"' ? string_end(p, len, at) : at + 1;
        if (at == 0)
            break;
    }
    return 0;
}

void ds_jsonmembers_begin(ds_jsonmembers *it, const void *text, size_t len)
{
    *it = (ds_jsonmembers){.p = text, .len = len};
    it->at = len >= 2 && it->p[0] == '{' ? 1 : len;
}

bool ds_jsonmembers_next(ds_jsonmembers *it, ds_jsonmember *m)
{
    const size_t at = it->at;
    if (at >= it->len || it->p[at] == '}')
        return false;
    const size_t colon = it->p[at] == '"' ? string_end(it->p, it->len, at) : 0;
    const bool named = colon && colon < it->len && it->p[colon] == ':';
    const size_t end = named ? value_end(it->p, it->len, colon + 1) : 0;
    it->at = it->len;
    if (end <= colon + 1)
        return false;
    *m = (ds_jsonmember){.name = it->p + at + 1,
                         .name_len = colon - at - 2,
                         .value = it->p + colon + 1,
                         .value_len = end - colon - 1};
    it->at = end + (it->p[end] == ',');
    return true;
}

bool ds_jsonmembers_whole(const ds_jsonmembers *it)
{
    return it->at < it->len && it->at == it->len - 1 && it->p[it->at] == '}';
}
