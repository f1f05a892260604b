/* npzread.c - see npzread.h. */
#include "npzread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fmtfile.h"
#include "fmtguess.h"
#include "io.h"
#include "npy.h"
#include "npzarray.h"
#include "unpack.h"
#include "utf8.h"

enum { ARRAYS_MAX = 256 * DS_NPZ_PARTS, STEP = 256 << 10 };

typedef struct array {
    char *name; /* without .npy */
    ds_spool data;
    ds_npyhead h;
    const uint8_t *p; /* elements */
} array;

/* The arrays of one name. */
typedef struct group {
    const char *name;
    array *part[DS_NPZ_PARTS];
    long column; /* of the schema */
} group;

typedef struct reader {
    ds_fmtread o;
    int fd;
    uint64_t size, records;
    ds_sha sha;
    array *arrays;
    size_t narrays;
    group *groups;
    size_t ngroups;
    ds_fval *values;
    ds_buf text;
} reader;

static int bad(const reader *r, const char *array_name, const char *why, ds_err *err)
{
    return ds_fail(err, DS_FAIL, "%s: %s: %s", r->o.name, array_name, why);
}

/* ---- the zip ---- */

static int read_data(reader *r, ds_unpack *u, array *a, ds_err *err)
{
    const uint8_t *p;
    size_t len, got = STEP;
    uint8_t *buf = malloc(STEP);
    int rc = buf ? 0 : ds_fail_nomem(err);
    while (rc == 0 && got == STEP) {
        rc = ds_unpack_read(u, buf, STEP, &got, err);
        rc = rc ? rc : ds_spool_put(&a->data, buf, got, err);
    }
    free(buf);
    rc = rc ? rc : ds_spool_view(&a->data, &p, &len, err);
    if (rc)
        return rc;
    const char *why = ds_npyhead_parse(&a->h, p, len);
    if (!why && a->h.bytes != len - a->h.used)
        why = "its data is not what its shape demands";
    a->p = why ? NULL : p + a->h.used;
    return why ? bad(r, a->name, why, err) : 0;
}

static int add_array(reader *r, ds_unpack *u, const ds_member *m, ds_err *err)
{
    const size_t n = m->name ? strlen(m->name) : 0;
    if (m->kind == DS_MEMBER_FOLDER)
        return 0;
    if (m->kind != DS_MEMBER_FILE || n < 4 || strcmp(m->name + n - 4, ".npy") != 0)
        return bad(r, m->name ? m->name : "a member", "is no .npy file", err);
    if (r->narrays == ARRAYS_MAX)
        return ds_fail(err, DS_FAIL, "%s: more than %d arrays", r->o.name, ARRAYS_MAX);
    array *a = &r->arrays[r->narrays++];
    a->data.limit = 256 << 10;
    a->name = strndup(m->name, n - 4);
    if (!a->name)
        return ds_fail_nomem(err);
    for (size_t i = 0; i + 1 < r->narrays; i++)
        if (strcmp(r->arrays[i].name, a->name) == 0)
            return bad(r, a->name, "is there twice", err);
    return read_data(r, u, a, err);
}

static int read_arrays(reader *r, ds_err *err)
{
    const ds_unpack_limits limits = {
        .max_ratio = r->o.max_ratio, .max_members = ARRAYS_MAX, .whole = true};
    uint8_t head[DS_PACKMARK_SNIFF];
    size_t got = 0;
    ds_unpack *u = NULL;
    ds_member m;
    int more = 1, rc = ds_read_full(r->fd, r->o.name, head, sizeof head, &got, err);
    if (rc == 0 && ds_packmark_sniff(head, got) != DS_PACK_ZIP)
        rc = ds_fail(err, DS_FAIL, "%s: it is no zip", r->o.name);
    if (rc == 0 && lseek(r->fd, 0, SEEK_SET) != 0)
        rc = ds_fail_errno(err, errno, "%s: seek", r->o.name);
    rc = rc ? rc : ds_unpack_new(&u, r->fd, r->o.name, NULL, 0, DS_PACK_ZIP, &limits, err);
    while (rc == 0 && (more = ds_unpack_next(u, &m, err)) == 1)
        rc = add_array(r, u, &m, err);
    ds_unpack_free(u);
    return rc ? rc : more < 0 ? more : 0;
}

/* ---- which arrays go together ---- */

static array *find(const reader *r, const char *name, size_t len, enum ds_npzpart part)
{
    for (size_t i = 0; i < r->narrays; i++)
        if (strncmp(r->arrays[i].name, name, len) == 0 &&
            strcmp(r->arrays[i].name + len, ds_npz_suffix[part]) == 0)
            return &r->arrays[i];
    return NULL;
}

/* Is it a part of an array that is there? */
static bool is_part(const reader *r, const char *name)
{
    const size_t n = strlen(name);
    for (int p = DS_NPZ_OFFSETS; p < DS_NPZ_PARTS; p++) {
        const size_t s = strlen(ds_npz_suffix[p]);
        if (n >= s && strcmp(name + n - s, ds_npz_suffix[p]) == 0 &&
            find(r, name, n - s, DS_NPZ_DATA))
            return true;
    }
    return false;
}

static int64_t offset_at(const group *g, uint64_t i)
{
    return (int64_t)ds_get_u64(g->part[DS_NPZ_OFFSETS]->p + 8 * (size_t)i);
}

/* The parts of one name: of the types and sizes that npzarray.h says, with offsets in order. */
static const char *check_parts(const group *g, uint64_t n)
{
    const array *data = g->part[DS_NPZ_DATA], *off = g->part[DS_NPZ_OFFSETS];
    const array *valid = g->part[DS_NPZ_VALID], *dtype = g->part[DS_NPZ_DTYPE],
                *shape = g->part[DS_NPZ_SHAPE];
    if (valid && (valid->h.kind != 'b' || valid->h.ndim != 1 || valid->h.dims[0] != n))
        return "its .valid is no array of truth values, one for each record";
    if (!dtype != !shape || (dtype && !off))
        return "its tensors lack .dtype, .shape or .offsets";
    if (dtype && (data->h.dtype != DS_U8 || data->h.kind != 'u' || dtype->h.kind != 'U' ||
                  dtype->h.width != 16 || dtype->h.ndim != 1 || dtype->h.dims[0] != n ||
                  shape->h.dtype != DS_I64T || shape->h.ndim != 2 || shape->h.dims[0] != n ||
                  shape->h.dims[1] != 8))
        return "its .dtype and .shape are not those of tensors";
    if (!off)
        return NULL;
    if (data->h.ndim != 1 || (data->h.kind != 'u' && data->h.kind != 'i' && data->h.kind != 'f'))
        return "with .offsets it must be numbers of one dimension";
    if (offset_at(g, 0) != 0 || (uint64_t)offset_at(g, n) != data->h.dims[0])
        return "its .offsets do not begin with 0 and end where it does";
    for (uint64_t i = 0; i < n; i++)
        if (offset_at(g, i + 1) < offset_at(g, i))
            return "its .offsets fall";
    return NULL;
}

/* How many records its arrays have; *why when they cannot be told. */
static uint64_t length_of(const group *g, const char **why)
{
    const array *off = g->part[DS_NPZ_OFFSETS], *data = g->part[DS_NPZ_DATA];
    *why = NULL;
    if (off && (off->h.dtype != DS_I64T || off->h.ndim != 1 || off->h.dims[0] == 0))
        *why = "its .offsets are no whole numbers of 64 bits";
    else if (!off && data->h.ndim == 0)
        *why = "has no dimension, so it is no column";
    if (*why)
        return 0;
    const uint64_t n = off ? off->h.dims[0] - 1 : data->h.dims[0];
    /* Records of nothing cost no bytes, but time. */
    if (!off && data->h.bytes == 0 && n > 65536)
        *why = "has many elements of no size";
    return n;
}

static int make_groups(reader *r, ds_err *err)
{
    r->groups = calloc(r->narrays + 1, sizeof *r->groups);
    if (!r->groups)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < r->narrays; i++) {
        const char *name = r->arrays[i].name, *why;
        if (is_part(r, name))
            continue;
        group *g = &r->groups[r->ngroups++];
        *g = (group){.name = name, .column = -1};
        for (int p = 0; p < DS_NPZ_PARTS; p++)
            g->part[p] = find(r, name, strlen(name), (enum ds_npzpart)p);
        const uint64_t n = length_of(g, &why);
        if (why)
            return bad(r, name, why, err);
        if (r->ngroups == 1)
            r->records = n;
        if (n != r->records)
            return ds_fail(
                err, DS_FAIL,
                "%s: '%s' has %llu elements and '%s' %llu: they are no columns of one table",
                r->o.name, r->groups[0].name, (unsigned long long)r->records, name,
                (unsigned long long)n);
        if ((why = check_parts(g, n)))
            return bad(r, name, why, err);
    }
    return r->ngroups ? 0 : ds_fail(err, DS_FAIL, "%s: no arrays in it", r->o.name);
}

int ds_npzread_open(void **out, const ds_fmtread *o, ds_err *err)
{
    reader *r = *out = calloc(1, sizeof *r);
    if (!r)
        return ds_fail_nomem(err);
    r->o = *o;
    r->fd = -1;
    r->arrays = calloc(ARRAYS_MAX, sizeof *r->arrays);
    int rc = r->arrays ? ds_fmtfile_open(&r->fd, &r->size, &r->sha, o, err) : ds_fail_nomem(err);
    rc = rc ? rc : read_arrays(r, err);
    return rc ? rc : make_groups(r, err);
}

/* ---- columns ---- */

/* Bytes end to end: is each value text? */
static bool all_text(const reader *r, const group *g)
{
    const uint8_t *p = g->part[DS_NPZ_DATA]->p;
    for (uint64_t i = 0; i < r->records; i++) {
        const size_t from = (size_t)offset_at(g, i), len = (size_t)offset_at(g, i + 1) - from;
        if (ds_utf8_check(p + from, len) != len)
            return false;
    }
    return true;
}

static bool all_text_fixed(const reader *r, const array *a)
{
    return ds_utf8_check(a->p, (size_t)(r->records * a->h.width)) == r->records * a->h.width;
}

/* The narrowest type that holds the group; *item of lists. */
static enum ds_type type_of(const reader *r, const group *g, enum ds_type *item)
{
    const array *a = g->part[DS_NPZ_DATA];
    *item = a->h.kind == 'f' ? DS_F64 : DS_I64;
    if (g->part[DS_NPZ_DTYPE] || a->h.ndim > 1)
        return a->h.kind == 'U' || a->h.kind == 'S' || a->h.kind == 'M' ? DS_LIST : DS_TENSOR;
    if (g->part[DS_NPZ_OFFSETS])
        return a->h.dtype == DS_U8    ? (all_text(r, g) ? DS_UTF8 : DS_BYTES)
               : a->h.dtype == DS_U16 ? DS_TOKENS16
               : a->h.dtype == DS_U32 ? DS_TOKENS32
                                      : DS_LIST;
    switch (a->h.kind) {
    case 'b':
        return DS_BOOL;
    case 'f':
        return DS_F64;
    case 'M':
        return DS_TIMESTAMP;
    case 'U':
        return DS_UTF8;
    case 'S':
        return all_text_fixed(r, a) ? DS_UTF8 : DS_BYTES;
    default:
        return DS_I64;
    }
}

int ds_npzread_schema(void *v, ds_schema *s, ds_err *err)
{
    reader *r = v;
    const char *key = r->o.key ? r->o.key : "key";
    bool keyed = false;
    for (size_t i = 0; i < r->ngroups; i++)
        keyed |= strcmp(r->groups[i].name, key) == 0;
    if (r->o.key && !keyed)
        return ds_fail(err, DS_FAIL, "%s: no array '%s' for --key-field", r->o.name, key);
    int rc = ds_fmtschema_begin(s, keyed, err);
    for (size_t i = 0; rc == 0 && i < r->ngroups; i++) {
        const group *g = &r->groups[i];
        enum ds_type item;
        const enum ds_type t = type_of(r, g, &item);
        const bool null = g->part[DS_NPZ_VALID] || g->part[DS_NPZ_DATA]->h.kind == 'M';
        if (keyed && strcmp(g->name, key) == 0)
            continue;
        if (t == DS_LIST && !g->part[DS_NPZ_OFFSETS])
            return bad(r, g->name, "is of texts or times in more than one dimension", err);
        rc = t == DS_LIST
                 ? ds_schema_add_list(s, NULL, g->name, item, null, err)
                 : ds_schema_add(s, NULL, g->name, t, null ? DS_COL_NULLABLE : 0, NULL, err);
    }
    return rc ? rc : ds_fmtschema_end(s, err);
}

/* ---- records ---- */

static int put_character(ds_buf *b, uint32_t c)
{
    uint8_t p[4];
    if (c < 0x80)
        return ds_buf_putc(b, (uint8_t)c);
    const size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6)
        p[i] = (uint8_t)(0x80 | (c & 63));
    p[0] = (uint8_t)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | c);
    return ds_buf_put(b, p, n);
}

/* An element of texts: without the NULs that fill it up. 1: it is none. */
static int text_at(reader *r, const array *a, uint64_t i, ds_fval *v)
{
    const uint8_t *p = a->p + (size_t)i * a->h.width;
    const size_t w = a->h.kind == 'U' ? 4 : 1, from = r->text.len;
    size_t n = a->h.width / w;
    if (a->h.kind == 'S') {
        while (n && p[n - 1] == 0)
            n--;
        *v = (ds_fval){.kind = DS_FV_TEXT, .p = p, .len = n};
        return 0;
    }
    while (n && ds_get_u32(p + 4 * (n - 1)) == 0)
        n--;
    for (size_t k = 0; k < n; k++) {
        const uint32_t c = ds_get_u32(p + 4 * k);
        if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
            return 1;
        if (put_character(&r->text, c))
            return DS_NOMEM;
    }
    *v = (ds_fval){.kind = DS_FV_TEXT, .p = r->text.data + from, .len = r->text.len - from};
    return 0;
}

static const char *tensor_at(const group *g, uint64_t i, ds_fval *v)
{
    const uint8_t *name = g->part[DS_NPZ_DTYPE]->p + 16 * (size_t)i,
                  *shape = g->part[DS_NPZ_SHAPE]->p + 64 * (size_t)i;
    v->kind = DS_FV_ARRAY;
    for (int d = DS_U8; d <= DS_F64T; d++) {
        const char *s = ds_dtype_name(d);
        bool same = strlen(s) <= 4;
        for (size_t k = 0; same && k < 4; k++)
            same = ds_get_u32(name + 4 * k) == (k < strlen(s) ? (uint8_t)s[k] : 0u);
        if (same)
            v->dtype = d;
    }
    for (; v->ndim < 8 && (int64_t)ds_get_u64(shape + 8 * v->ndim) >= 0; v->ndim++)
        v->dims[v->ndim] = ds_get_u64(shape + 8 * v->ndim);
    return ds_fval_is_tensor(v) ? NULL : "a tensor's data is not what its shape and dtype demand";
}

/* Bytes and numbers that lie end to end. */
static const char *ragged_at(const group *g, const ds_column *c, uint64_t i, ds_fval *v)
{
    const array *a = g->part[DS_NPZ_DATA];
    const size_t from = (size_t)offset_at(g, i), n = (size_t)offset_at(g, i + 1) - from;
    const bool bytes = a->h.dtype == DS_U8 && c->type != DS_TOKENS16 && c->type != DS_TOKENS32;
    if (!bytes) {
        *v = ds_fval_ids(a->h.dtype, a->p + from * a->h.width, n);
        return NULL;
    }
    *v = (ds_fval){.kind = DS_FV_TEXT, .p = a->p + from, .len = n};
    return g->part[DS_NPZ_DTYPE] ? tensor_at(g, i, v) : NULL;
}

/* Record i's value: 1 with *why when it is none. */
static int value_at(reader *r, const group *g, const ds_column *c, uint64_t i, ds_fval *v,
                    const char **why, ds_err *err)
{
    const array *a = g->part[DS_NPZ_DATA];
    const uint8_t *p = a->p + (g->part[DS_NPZ_OFFSETS] || !r->records
                                   ? 0
                                   : (size_t)i * (size_t)(a->h.bytes / r->records));
    int rc = 0;
    *why = NULL;
    *v = (ds_fval){.kind = DS_FV_NULL};
    if (g->part[DS_NPZ_VALID] && !g->part[DS_NPZ_VALID]->p[i])
        return 0;
    if (g->part[DS_NPZ_OFFSETS]) {
        *why = ragged_at(g, c, i, v);
    } else if (a->h.ndim > 1 && a->h.dtype) {
        *v = (ds_fval){.kind = DS_FV_ARRAY,
                       .p = p,
                       .len = (size_t)(a->h.bytes / r->records),
                       .dtype = a->h.dtype,
                       .ndim = a->h.ndim - 1};
        memcpy(v->dims, a->h.dims + 1, sizeof v->dims - sizeof *v->dims);
    } else if (a->h.kind == 'M') {
        const int64_t t = (int64_t)ds_get_u64(p);
        if (t == INT64_MIN && c->nullable && !g->part[DS_NPZ_VALID]) /* NaT */
            return 0;
        v->kind = DS_FV_INT;
        if (__builtin_mul_overflow(t, a->h.unit, &v->i))
            *why = "the time is out of range";
    } else if (a->h.dtype) {
        *why = ds_fval_number(v, a->h.dtype, p) ? NULL : "the number passes 63 bits";
    } else {
        rc = text_at(r, a, i, v);
        *why = rc == 1 ? "a character that is none" : NULL;
    }
    if (rc == 0 && !*why && v->len > r->o.max_record)
        *why = "a value is longer than --max-record";
    return rc < 0 ? ds_fail_nomem(err) : *why != NULL;
}

static int map_columns(reader *r, const ds_schema *s, ds_err *err)
{
    r->values = calloc(s->n + 1, sizeof *r->values);
    if (!r->values)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < r->ngroups; i++) {
        group *g = &r->groups[i];
        g->column = ds_fmtschema_column(s, r->o.key, g->name, strlen(g->name));
        if (g->column < 0)
            return bad(r, g->name, "is in no column of the schema", err);
    }
    return 0;
}

static int one_record(reader *r, const ds_fmtsink *sink, uint64_t i, ds_err *err)
{
    const ds_schema *s = sink->schema;
    const char *why = NULL;
    size_t need = 0;
    int rc = 0;
    ds_buf_reset(&r->text);
    for (size_t k = 0; k < r->ngroups; k++)
        need += r->groups[k].part[DS_NPZ_DATA]->h.kind == 'U'
                    ? r->groups[k].part[DS_NPZ_DATA]->h.width
                    : 0;
    /* All at once, so that the buffer does not move under values. */
    if (ds_buf_reserve(&r->text, need + 1))
        return ds_fail_nomem(err);
    for (size_t k = 0; k < s->n; k++)
        r->values[k] = (ds_fval){.kind = DS_FV_NULL};
    for (size_t k = 0; rc == 0 && k < r->ngroups; k++) {
        const group *g = &r->groups[k];
        rc = value_at(r, g, &s->cols[g->column], i, &r->values[g->column], &why, err);
    }
    if (rc == 1)
        return sink->bad(sink->ctx, "value", i, 0, NULL, (size_t)r->size, false, why, err);
    return rc ? rc : sink->row(sink->ctx, r->values, 0, r->size, err);
}

int ds_npzread_read(void *v, const ds_fmtsink *sink, ds_err *err)
{
    reader *r = v;
    int rc = map_columns(r, sink->schema, err);
    for (uint64_t i = 0; rc == 0 && i < r->records; i++)
        rc = one_record(r, sink, i, err);
    return rc ? rc : sink->source(sink->ctx, r->o.name, r->size, &r->sha, err);
}

void ds_npzread_close(void *v)
{
    reader *r = v;
    if (!r)
        return;
    for (size_t i = 0; i < r->narrays; i++) {
        free(r->arrays[i].name);
        ds_spool_fini(&r->arrays[i].data);
    }
    (void)ds_close(&r->fd, r->o.name, NULL);
    free(r->arrays);
    free(r->groups);
    free(r->values);
    ds_buf_fini(&r->text);
    free(r);
}
