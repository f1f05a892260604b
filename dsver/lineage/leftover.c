/* leftover.c - see leftover.h. */
#include "leftover.h"

#include <string.h>

#include "tombstone.h"
#include "verdiff.h"

long ds_record_differs(const ds_recblock *rec, const ds_colview *views, const ds_value *values)
{
    for (size_t i = 0; i < rec->side->schema.n; i++) {
        const ds_x128 a = ds_value_digest(&rec->views[i], &rec->values[i], 0);
        const ds_x128 b = ds_value_digest(&views[i], &values[i], 0);
        if (memcmp(a.b, b.b, sizeof a.b) != 0)
            return (long)i;
    }
    return -1;
}

static int load_next(ds_leftover *l, ds_err *err)
{
    ds_sha block, origin;
    int rc = ds_manline_addr(&l->side->lines[l->next], &block, &origin, err);
    rc = rc ? rc : ds_recblock_load(&l->rec, l->side, l->next, false, err);
    l->erased = !rc && !ds_sha_eq(&block, &l->side->was[l->next]);
    l->next++;
    return rc;
}

/* To the next record that is no tombstone; none at hand: there is none. */
static int advance(ds_leftover *l, ds_err *err)
{
    int rc = 0;
    while (!rc && !l->have) {
        if (l->rec.loaded && ds_recblock_next(&l->rec)) {
            l->have = !l->erased || !ds_tombstone_is(&l->rec);
            l->pending += !l->have;
            l->gone += !l->have;
            l->ordinal += !l->have;
        } else if (l->next < l->side->n) {
            rc = load_next(l, err);
        } else {
            break;
        }
    }
    return rc;
}

int ds_leftover_take(ds_leftover *l, const ds_colview *views, const ds_value *values, long *column,
                     ds_err *err)
{
    int rc = advance(l, err);
    *column = !rc && l->have ? ds_record_differs(&l->rec, views, values) : -1;
    if (rc)
        return rc;
    if (l->have && *column < 0) {
        l->have = false;
        l->pending = 0;
        l->ordinal++;
        return 1;
    }
    if (!l->pending)
        return 0;
    l->pending--;
    return 1;
}

int ds_leftover_end(ds_leftover *l, ds_err *err)
{
    const int rc = advance(l, err);
    return rc ? rc : !l->have;
}

void ds_leftover_fini(ds_leftover *l)
{
    ds_recblock_fini(&l->rec);
}
