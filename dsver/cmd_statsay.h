/* cmd_statsay.h - statistics for people and for machines, and how two versions' differ: what dsver
 * stats and dsver diff --stats print.
 */
#ifndef DS_CMD_STATSAY_H
#define DS_CMD_STATSAY_H

#include "opt.h"
#include "statread.h"

struct ds_statmember;
/* "column.member", NUL-terminated. DS_NOMEM. */
int statsay_member(ds_buf *name, const char *column, const struct ds_statmember *m);
int statsay_all(const ds_verstats *v, const char *column, bool json, ds_err *err);

/* "psi=0.2,kl=0.1,js=0.1,ks=0.1,nulls=0.05,similarity=0.5"; negative: not asked for. */
typedef struct ds_limits {
    double psi, kl, js, ks, nulls, similarity;
    bool any;
} ds_limits;
int statsay_limits(ds_limits *l, const char *text, ds_err *err); /* DS_USAGE; text NULL: none */
/* only: the columns, or members of columns, to look at; none: all. DS_FAIL for one that is in
 * neither version. *crossed: how many limits were passed. */
int statsay_drift(const ds_verstats *before, const ds_verstats *after, const ds_opt_list *only,
                  const ds_limits *l, bool json, uint64_t *crossed, ds_err *err);

#endif
