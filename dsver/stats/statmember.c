/* statmember.c - see statmember.h. */
#include "statmember.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "jsonmember.h"

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
    const uint8_t c = p[0];
    int rc = 0;
    if (c == 'n') {
        m->nulls++;
    } else if (c != '{' && c != '[') {
        rc = ds_colstat_scalar(m, p, len);
        if (!rc && c == '"')
            rc = ds_colstat_length(m, len - 2);
        else if (!rc && c != 't' && c != 'f')
            rc = number(m, p, len);
    }
    m->rows++;
    return rc;
}

int ds_statmember_value(ds_colstat *s, const uint8_t *p, size_t len)
{
    ds_jsonmembers it;
    ds_jsonmember x;
    int rc = 0;
    ds_jsonmembers_begin(&it, p, len);
    for (size_t k = 0; !rc && ds_jsonmembers_next(&it, &x); k++) {
        ds_colstat *m = ds_statmember_at(s, x.name, x.name_len, k, DS_STAT_CHUNK_MEMBERS);
        if (m)
            rc = take(m, x.value, x.value_len);
        else if (s->nmembers < DS_STAT_CHUNK_MEMBERS)
            rc = DS_NOMEM;
    }
    return rc;
}
