/* facet.h - a property of records that is counted, not trained on: label, language, source
 * (docs/lineage-format.md, "Consumed").
 *
 * Its values are known by number: 2 bytes a record. What has a name is bounded; the rest is
 * "other". Adding is for one thread.
 */
#ifndef DS_FACET_H
#define DS_FACET_H

#include "dsr_column.h"

enum { DS_FACET_ABSENT, DS_FACET_OTHER, DS_FACET_FIRST }; /* numbers; values from FIRST on */
#define DS_FACET_VALUES 1024 /* distinct values that have a name, in order of the records */
#define DS_FACET_LENGTH 64   /* bytes of a value that may have one */

typedef struct ds_facet {
    char *name;       /* "label", "meta.language" */
    uint64_t present; /* records that have a value */
    ds_buf ids;       /* uint16_t of each record */
    ds_buf text;      /* of the values, one after the other */
    uint32_t ends[DS_FACET_VALUES];
    size_t values;
    uint16_t table[4 * DS_FACET_VALUES]; /* by hash: number of a value, 0 = none */
} ds_facet;

/* The names that count, in their order; NULL at the end. */
extern const char *const ds_facet_names[];

ds_facet *ds_facet_new(const char *name, ds_err *err);
void ds_facet_free(ds_facet *f); /* NULL is fine */
/* The next record's value in a column: utf8, i64 or bool. */
int ds_facet_add(ds_facet *f, enum ds_type type, const ds_value *x, ds_err *err);
/* The next record's value as the member `member` at the top of minified JSON. */
int ds_facet_add_member(ds_facet *f, const char *member, const ds_value *json, ds_err *err);
/* The text of value number `id` >= DS_FACET_FIRST. */
const char *ds_facet_value(const ds_facet *f, uint16_t id, size_t *len);

#endif
