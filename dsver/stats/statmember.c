/* statmember.c - see statmember.h. */
#include "statmember.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"

enum { NUMBER = 63 };

void ds_statmember_reset(ds_colstat *s)
{
    for (size_t i = 0; i < s->nmembers; i++) {
        ds_colstat_fini(&s->members[i].stat);
        free(s->members[i].name);
    }
    free(s->members);
    s->members = NULL;
    s->nmembers = s->cap_members = 0;
}

ds_colstat *ds_statmember_at(ds_colstat *s, const void *name, size_t len, size_t hint, size_t most)
{
    static const ds_column none = {.type = DS_JSON};
    for (size_t k = 0; k < s->nmembers; k++) {
        struct ds_statmember *m = &s->members[(hint + k) % s->nmembers];
        if (m->len == len && memcmp(m->name, name, len) == 0)
            return &m->stat;
    }
    if (s->nmembers == most)
        return NULL;
    if (ds_grow(&s->members, &s->cap_members, s->nmembers, sizeof *s->members))
        return NULL;
    struct ds_statmember *v = s->members + s->nmembers;
    v->len = len;
    v->name = malloc(len + 1);
    if (!v->name)
        return NULL;
    memcpy(v->name, name, len);
    v->name[len] = 0;
    ds_colstat_init(&v->stat, &none);
    v->stat.member = true;
    v->stat.values.most = most == DS_STAT_MEMBERS ? DS_STAT_VALUES : DS_STAT_CHUNK_VALUES;
    s->nmembers++;
    return &v->stat;
}

/* ---- one object's text: minified and valid where it was committed, but not relied on ---- */

/* Behind the string that begins at p[i]; len when it does not end. */
static size_t string_end(const uint8_t *p, size_t len, size_t i)
{
    for (i++; i < len && p[i] != '"'; i++)
        i += p[i] == '\\';
    return i < len ? i + 1 : len;
}

static size_t value_end(const uint8_t *p, size_t len, size_t i)
{
    size_t depth = 0;
    while (i < len) {
        if (p[i] == '"')
            i = string_end(p, len, i);
        else if (p[i] == '{' || p[i] == '[') {
            depth++;
            i++;
        } else if ((p[i] == '}' || p[i] == ']' || p[i] == ',') && !depth)
            return i;
        else {
            depth -= p[i] == '}' || p[i] == ']';
            i++;
        }
        if (!depth && i < len && (p[i] == ',' || p[i] == '}' || p[i] == ']'))
            return i;
    }
    return len;
}

static int number(ds_colstat *m, const uint8_t *p, size_t len)
{
    char text[NUMBER + 1];
    if (len > NUMBER)
        return 0;
    memcpy(text, p, len);
    text[len] = 0;
    const double v = strtod(text, NULL);
    return isfinite(v) ? ds_colstat_number(m, v) : 0;
}

static int take(ds_colstat *m, const uint8_t *p, size_t len)
{
    const uint8_t c = len ? p[0] : 0;
    int rc = 0;
    if (c == 'n') {
        m->nulls++;
    } else if (c != '{' && c != '[' && c) {
        rc = ds_colstat_scalar(m, p, len);
        if (!rc && c == '"')
            rc = ds_colstat_length(m, len > 2 ? len - 2 : 0);
        else if (!rc && c != 't' && c != 'f')
            rc = number(m, p, len);
    }
    m->rows++;
    return rc;
}

int ds_statmember_value(ds_colstat *s, const uint8_t *p, size_t len)
{
    int rc = 0;
    if (!len || p[0] != '{')
        return 0;
    for (size_t i = 1, k = 0; !rc && i < len && p[i] == '"'; k++) {
        const size_t name = i + 1, name_end = string_end(p, len, i);
        if (name_end >= len || p[name_end] != ':')
            break;
        const size_t at = name_end + 1, end = value_end(p, len, at);
        ds_colstat *m =
            ds_statmember_at(s, p + name, name_end - 1 - name, k, DS_STAT_CHUNK_MEMBERS);
        if (m)
            rc = take(m, p + at, end - at);
        else if (s->nmembers < DS_STAT_CHUNK_MEMBERS)
            rc = DS_NOMEM;
        i = end < len && p[end] == ',' ? end + 1 : len;
    }
    return rc;
}
