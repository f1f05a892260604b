/* colpath.c - see colpath.h. */
#include "colpath.h"

#include <stdlib.h>
#include <string.h>

char *ds_colpath_parts(const char *name, size_t len, size_t *n)
{
    char *out = calloc(len + 2, 1), *to = out;
    *n = 1;
    for (size_t i = 0; out && i < len; i++) {
        if (name[i] == '`') {
            for (i++; i < len && name[i] != '`'; i++)
                *to++ = name[i];
        } else if (name[i] == '.') {
            *to++ = 0;
            ++*n;
        } else {
            *to++ = name[i];
        }
    }
    return out;
}

bool ds_colpath_named(const char *parts, size_t n)
{
    for (; n > 0 && *parts; n--)
        parts += strlen(parts) + 1;
    return n == 0;
}

long ds_colpath_find(const ds_schema *s, const char *parts, size_t n, const char **below)
{
    char joined[130];
    long found = -1;
    size_t at = 0, end = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t len = strlen(parts + at);
        if (end + len + 2 >= sizeof joined)
            break;
        if (i)
            joined[end++] = '.';
        memcpy(joined + end, parts + at, len + 1);
        end += len;
        at += len + 1;
        const long k = ds_schema_find(s, joined);
        if (k >= 0) {
            found = k;
            *below = i + 1 < n ? parts + at : NULL;
        }
    }
    return found;
}

long ds_colpath_rest(const ds_schema *s)
{
    static const char *const names[] = {"meta", "fields", "rest"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const long k = ds_schema_find(s, names[i]);
        if (k >= 0 && s->cols[k].type == DS_JSON)
            return k;
    }
    return -1;
}
