/* fmtloss.c - see fmtloss.h. */
#include "fmtloss.h"

#include <stdlib.h>
#include <string.h>

static int add(ds_fmtloss *l, const char *column, const char *what, bool counted, ds_err *err)
{
    if (ds_grow(&l->v, &l->cap, l->n, sizeof *l->v))
        return ds_fail_nomem(err);
    ds_loss *v = &l->v[l->n++];
    *v = (ds_loss){
        .column = column ? strdup(column) : NULL, .what = strdup(what), .counted = counted};
    return (column && !v->column) || !v->what ? ds_fail_nomem(err) : 0;
}

int ds_fmtloss_say(ds_fmtloss *l, const char *column, const char *what, ds_err *err)
{
    return add(l, column, what, false, err);
}

int ds_fmtloss_count(ds_fmtloss *l, size_t *number, const char *column, const char *what,
                     ds_err *err)
{
    *number = l->n;
    return add(l, column, what, true, err);
}

int ds_fmtloss_json(ds_fmtloss *l, size_t *number, const ds_column *c, ds_err *err)
{
    const enum ds_type t = c->type == DS_LIST ? c->item : c->type;
    const char *what =
        t == DS_F64 ? "NaN and infinities become null" : "a JSON null becomes no value";
    size_t k = 0;
    *number = 0;
    if (t != DS_F64 && !(c->type == DS_JSON && c->nullable))
        return 0;
    int rc = ds_fmtloss_count(l, &k, c->name, what, err);
    *number = k + 1;
    return rc;
}

size_t ds_fmtloss_lost(const ds_fmtloss *l)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++)
        n += !l->v[i].counted || l->v[i].count > 0;
    return n;
}

void ds_fmtloss_fini(ds_fmtloss *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->v[i].column);
        free(l->v[i].what);
    }
    free(l->v);
    memset(l, 0, sizeof *l);
}
