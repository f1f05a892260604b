/* fieldvalue.h - FIELD=VALUE: records by the value of a column, or of a member of JSON in one.
 *
 * Versions have different columns, so the name is looked up in each. A ds_fieldvalue is read only
 * once made and may be shared by threads. Members that stand twice in an object are all looked at.
 */
#ifndef DS_FIELDVALUE_H
#define DS_FIELDVALUE_H

#include "dsr_column.h"
#include "dsr_schema.h"

typedef struct ds_fieldvalue {
    char *field; /* as it was written */
    char *parts; /* of it (colpath.h) */
    size_t nparts;
    const char *value; /* behind field */
} ds_fieldvalue;

/* DS_USAGE where `text` is no FIELD=VALUE. Zeroed or fini'd before. */
int ds_fieldvalue_init(ds_fieldvalue *f, const char *text, ds_err *err);
void ds_fieldvalue_fini(ds_fieldvalue *f);

typedef struct ds_fieldplace {
    size_t column;
    const char *below; /* members, of a column of JSON; NULL: the column itself */
    bool guessed;      /* no column is called so: in that for all that has none */
    int64_t number;    /* the value, where the column has numbers */
} ds_fieldplace;

/* Where the field is among these columns: 1; 0 where there is none such; DS_USAGE where its column
 * is of a type that has no such values. */
int ds_fieldvalue_place(ds_fieldplace *out, const ds_fieldvalue *f, const ds_schema *s,
                        ds_err *err);

/* What else was met beside the value. */
typedef struct ds_fieldmet {
    bool member; /* the member, with whatever value */
    bool inner;  /* as an object or an array, which is no such value */
} ds_fieldmet;

/* Whether a record's value in that column is it: 1 or 0, or DS_NOMEM. */
int ds_fieldvalue_is(const ds_fieldvalue *f, const ds_fieldplace *at, enum ds_type type,
                     const ds_value *x, ds_fieldmet *met, ds_err *err);

#endif
