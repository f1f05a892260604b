/* mapcol.h - a column that is made from the others of its record: a value of another type, a text
 * from a template, members of a JSON object (docs/transforms.md).
 *
 * Conversions are checked: a value becomes another type only where nothing of it is lost, but for
 * decimal text, which becomes the nearest double. Null stays null. A ds_mapcol is read only once
 * made and may be shared by threads; it borrows the input and its schema. A ds_mapwork (zeroed at
 * first) belongs to one thread and one column.
 */
#ifndef DS_MAPCOL_H
#define DS_MAPCOL_H

#include "rowstage.h"
#include "where.h"

typedef struct ds_mapcol ds_mapcol;

/* What an expression gives, as `type`, or with DS_NTYPES as its own type. DS_USAGE when there is no
 * such conversion. */
int ds_mapcol_value(ds_mapcol **out, const char *expr, size_t len, enum ds_type type,
                    const ds_colnames *names, ds_err *err);
/* "Q: {q}\nA: {meta.a}": expressions between braces, as texts; \n \t \\ \{ \} are escapes. */
int ds_mapcol_text(ds_mapcol **out, const char *template, const ds_colnames *names, ds_err *err);
/* The JSON object in column `base` of the input (-1: an empty one) with the members below. */
int ds_mapcol_object(ds_mapcol **out, long base, const ds_colnames *names, ds_err *err);
/* A member more: of the value that `expr` has, or dropped when it is NULL. DS_USAGE when it was
 * named before, or m is no object. */
int ds_mapcol_member(ds_mapcol *m, const char *name, const char *expr, ds_err *err);
void ds_mapcol_free(ds_mapcol *m); /* NULL is fine */
enum ds_type ds_mapcol_type(const ds_mapcol *m);

typedef struct ds_mapwork {
    ds_wherework *where; /* by part */
    size_t n;
    ds_buf out, why; /* the value; why there is none, ends with NUL */
    ds_jscan scan;
} ds_mapwork;

/* The value of a record, to `out`. 0; 1 when it cannot be made: then null was put, and k->why says
 * what was there. */
int ds_mapcol_make(const ds_mapcol *m, ds_mapwork *k, const ds_colview *views,
                   const ds_value *values, ds_madecol *out, ds_err *err);
void ds_mapwork_fini(ds_mapwork *k);

#endif
