/* sqlrecord.c - the table of records; see sqlview_priv.h. */
#include <stdlib.h>
#include <string.h>

#include "jsonrow.h"
#include "sig.h"
#include "sqlview_priv.h"

typedef struct reading {
    ds_recblock rec;
    ds_jsonform form;
    ds_jsonrow json;
    ds_hasher *hasher;
    bool only[256], complex;
    long from[256]; /* of each column of the table: the version's, or -1 */
} reading;

static bool is_complex(enum ds_type t)
{
    return t == DS_TENSOR || t == DS_TOKENS16 || t == DS_TOKENS32 || t == DS_RUNS || t == DS_LIST;
}

static int bind(ds_sqlput *p, reading *r, long col, ds_err *err)
{
    const ds_value *x = col < 0 ? NULL : &r->rec.values[col];
    const enum ds_type t = col < 0 ? DS_UTF8 : r->rec.side->schema.cols[col].type;
    int rc = 0;
    if (!x || !r->only[col] || x->null)
        ds_sqlput_text(p, NULL, 0);
    else if (t == DS_UTF8 || t == DS_JSON)
        ds_sqlput_text(p, x->len ? (const void *)x->p : "", x->len);
    else if (t == DS_BYTES)
        ds_sqlput_blob(p, x->p, x->len);
    else if (t == DS_F64)
        ds_sqlput_real(p, x->f);
    else if (!is_complex(t))
        ds_sqlput_num(p, (uint64_t)x->i);
    else {
        ds_buf_reset(&r->json.out);
        rc = ds_jsonrow_value(&r->json, &r->form, &r->rec.lent, (size_t)col, err);
        if (!rc)
            ds_sqlput_text(p, r->json.out.data, r->json.out.len);
    }
    return rc;
}

static int block_rows(ds_sqlput *p, reading *r, uint64_t *record, ds_err *err)
{
    const ds_verside *s = r->rec.side;
    int rc = r->complex ? ds_jsonrow_open(&r->json, &r->form, &r->rec.lent, err) : 0;
    while (!rc && ds_recblock_next(&r->rec)) {
        char hex[33];
        rc = r->complex ? ds_jsonrow_step(&r->json, &r->form, err) : 0;
        if (rc)
            break;
        ds_sqlput_side_name(p, s);
        ds_sqlput_num(p, (*record)++);
        if (!p->v->columns[3])
            ds_sqlput_text(p, NULL, 0);
        else if (s->schema.explicit_key)
            ds_sqlput_text(p, r->rec.values[0].len ? (const void *)r->rec.values[0].p : "",
                           r->rec.values[0].len);
        else {
            rc = ds_key_derive(hex, r->hasher, &s->schema, r->rec.views, r->rec.values, err);
            ds_sqlput_text(p, hex, 32);
        }
        for (size_t i = 0; !rc && i < p->v->all.n; i++)
            rc = bind(p, r, r->from[i], err);
        rc = rc ? rc : ds_sqlput_row(p, err);
    }
    return rc;
}

/* What of the version is read. */
static int ready(reading *r, ds_sqlput *p, const ds_verside *s, ds_err *err)
{
    int rc = ds_hasher_new(&r->hasher, err);
    rc = rc ? rc : ds_jsonform_init(&r->form, &s->schema, NULL, false, false, false, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < s->schema.n; i++)
        r->only[i] = p->v->columns[3] && ds_schema_is_key(&s->schema, i);
    for (size_t i = 0; i < p->v->all.n; i++) {
        const long c = ds_schema_find(&s->schema, p->v->all.cols[i].name);
        r->from[i] = c;
        if (c >= 0 && p->v->columns[4 + i])
            r->only[c] = true;
    }
    for (size_t i = 0; i < s->schema.n; i++) {
        r->form.want[i] = r->only[i] && is_complex(s->schema.cols[i].type);
        r->complex |= r->form.want[i];
    }
    for (size_t i = 0; r->complex && i < s->schema.n; i++)
        r->only[i] = true; /* jsonrow steps through all of them */
    r->rec.only = r->only;
    return 0;
}

static int side_records(ds_sqlput *p, const ds_verside *s, ds_err *err)
{
    reading *r = calloc(1, sizeof *r);
    uint64_t record = 0;
    if (!r)
        return ds_fail_nomem(err);
    int rc = ready(r, p, s, err);
    for (size_t b = 0; !rc && b < s->n; b++) {
        rc = ds_recblock_load(&r->rec, s, b, false, err);
        rc = rc ? rc : block_rows(p, r, &record, err);
        rc = rc ? rc : ds_check_interrupt(err);
    }
    ds_recblock_fini(&r->rec);
    ds_jsonrow_fini(&r->json);
    if (r->form.schema)
        ds_jsonform_fini(&r->form);
    ds_hasher_free(r->hasher);
    free(r);
    return rc;
}

int ds_sqlfill_records(ds_sqlput *p, ds_err *err)
{
    return ds_sqlput_sides(p, side_records, err);
}
