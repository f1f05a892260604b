/* dsr_schema.c - see dsr_schema.h; docs/dsr-format.md, section 2. */
#include "dsr_schema.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "utf8.h"

#define COLUMNS_MAX 256
#define NAME_MAX_BYTES 128
#define JSON_MAX_BYTES ((size_t)1 << 20)
#define BLOCK_MAX_BYTES ((uint64_t)1 << 30)

static const char *const type_names[DS_NTYPES] = {
    [DS_UTF8] = "utf8",           [DS_BYTES] = "bytes",   [DS_JSON] = "json",
    [DS_BOOL] = "bool",           [DS_I64] = "i64",       [DS_F64] = "f64",
    [DS_TIMESTAMP] = "timestamp", [DS_TENSOR] = "tensor", [DS_TOKENS16] = "tokens16",
    [DS_TOKENS32] = "tokens32",   [DS_RUNS] = "runs",     [DS_LIST] = "list",
};

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [DS_U8] = {"u8", 1},   [DS_I8] = {"i8", 1},     [DS_U16] = {"u16", 2}, [DS_I16] = {"i16", 2},
    [DS_U32] = {"u32", 4}, [DS_I32] = {"i32", 4},   [DS_U64] = {"u64", 8}, [DS_I64T] = {"i64", 8},
    [DS_F16] = {"f16", 2}, [DS_BF16] = {"bf16", 2}, [DS_F32] = {"f32", 4}, [DS_F64T] = {"f64", 8},
};

size_t ds_dtype_size(int dtype)
{
    return dtype >= DS_U8 && dtype <= DS_F64T ? dtypes[dtype].size : 0;
}

bool ds_tensor_size(uint64_t *bytes, int dtype, int ndim, const uint64_t *dims)
{
    uint64_t n = ds_dtype_size(dtype);
    if (n == 0 || ndim < 0 || ndim > 8)
        return false;
    for (int i = 0; i < ndim; i++)
        if (__builtin_mul_overflow(n, dims[i], &n))
            return false;
    *bytes = n;
    return true;
}

const char *ds_dtype_name(int dtype)
{
    return dtype >= DS_U8 && dtype <= DS_F64T ? dtypes[dtype].name : "?";
}

int ds_dtype_named(const void *name, size_t len)
{
    for (int d = DS_U8; d <= DS_F64T; d++)
        if (strlen(dtypes[d].name) == len && memcmp(dtypes[d].name, name, len) == 0)
            return d;
    return 0;
}

const char *ds_type_name(enum ds_type t)
{
    return (unsigned)t < DS_NTYPES ? type_names[t] : "?";
}

static bool type_find(enum ds_type *t, const char *name)
{
    for (int i = 0; name && i < DS_NTYPES; i++)
        if (strcmp(name, type_names[i]) == 0) {
            *t = (enum ds_type)i;
            return true;
        }
    return false;
}

void ds_schema_init(ds_schema *s)
{
    *s = (ds_schema){.block_min = 65536, .block_target = 262144, .block_max = 1048576};
}

void ds_schema_fini(ds_schema *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->cols[i].name);
        free(s->cols[i].attrs);
    }
    free(s->cols);
    free(s->primary);
    free(s->keyed);
    *s = (ds_schema){0};
}

static int add(ds_schema *s, size_t *index, const ds_column *col, bool primary, bool keyed,
               ds_err *err)
{
    if (s->n >= COLUMNS_MAX)
        return ds_fail(err, DS_FAIL, "schema: more than %d columns", COLUMNS_MAX);
    if (ds_schema_find(s, col->name) >= 0)
        return ds_fail(err, DS_FAIL, "schema: two columns are named \"%s\"", col->name);
    if (s->n % 16 == 0) {
        size_t cap = s->n + 16;
        void *c = realloc(s->cols, cap * sizeof *s->cols);
        if (c)
            s->cols = c;
        uint8_t *p = realloc(s->primary, cap);
        if (p)
            s->primary = p;
        uint8_t *k = realloc(s->keyed, cap);
        if (k)
            s->keyed = k;
        if (!c || !p || !k)
            return ds_fail_nomem(err);
    }
    ds_column copy = *col;
    copy.name = strdup(col->name);
    copy.attrs = col->attrs ? strdup(col->attrs) : NULL;
    if (!copy.name || (col->attrs && !copy.attrs)) {
        free(copy.name);
        free(copy.attrs);
        return ds_fail_nomem(err);
    }
    s->cols[s->n] = copy;
    s->primary[s->n] = primary;
    s->keyed[s->n] = keyed;
    if (index)
        *index = s->n;
    s->n++;
    return 0;
}

int ds_schema_add(ds_schema *s, size_t *index, const char *name, enum ds_type type, unsigned flags,
                  const char *attrs, ds_err *err)
{
    ds_column col = {.type = type, .nullable = flags & DS_COL_NULLABLE};
    /* add() copies both. */
    col.name = (char *)(uintptr_t)name;
    col.attrs = (char *)(uintptr_t)attrs;
    if (type == DS_LIST)
        return ds_fail(err, DS_FAIL, "schema: column \"%s\": a list needs the type of its items",
                       name);
    return add(s, index, &col, flags & DS_COL_PRIMARY, flags & DS_COL_KEYED, err);
}

int ds_schema_add_list(ds_schema *s, size_t *index, const char *name, enum ds_type item,
                       bool nullable, ds_err *err)
{
    ds_column col = {.type = DS_LIST, .item = item, .nullable = nullable};
    col.name = (char *)(uintptr_t)name;
    return add(s, index, &col, false, false, err);
}

void ds_schema_drop(ds_schema *s, size_t i)
{
    const size_t behind = s->n - i - 1;
    free(s->cols[i].name);
    free(s->cols[i].attrs);
    memmove(s->cols + i, s->cols + i + 1, behind * sizeof *s->cols);
    memmove(s->primary + i, s->primary + i + 1, behind);
    memmove(s->keyed + i, s->keyed + i + 1, behind);
    s->n--;
}

int ds_schema_rename(ds_schema *s, size_t i, const char *name, ds_err *err)
{
    const long k = ds_schema_find(s, name);
    if (k >= 0 && (size_t)k != i)
        return ds_fail(err, DS_FAIL, "schema: two columns are named \"%s\"", name);
    char *copy = strdup(name);
    if (!copy)
        return ds_fail_nomem(err);
    free(s->cols[i].name);
    s->cols[i].name = copy;
    return 0;
}

int ds_schema_copy(ds_schema *to, const ds_schema *from, ds_err *err)
{
    ds_schema s;
    int rc = 0;
    ds_schema_init(&s);
    for (size_t i = 0; i < from->n && !rc; i++)
        rc = add(&s, NULL, &from->cols[i], from->primary[i], from->keyed[i], err);
    if (rc) {
        ds_schema_fini(&s);
        return rc;
    }
    s.explicit_key = from->explicit_key;
    s.block_min = from->block_min;
    s.block_target = from->block_target;
    s.block_max = from->block_max;
    *to = s;
    return 0;
}

long ds_schema_find(const ds_schema *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->cols[i].name, name) == 0)
            return (long)i;
    return -1;
}

bool ds_schema_is_key(const ds_schema *s, size_t column)
{
    return s->explicit_key ? column == 0 : s->keyed[column];
}

/* ---- rules ---- */

/* Writes the canonical text of an attribute object, or says what is wrong with it. */
static int attrs_canonical(ds_buf *out, const char *text, const char *column, ds_err *err)
{
    json_t *v = NULL;
    int rc = ds_json_parse(&v, text, strlen(text), "schema: attributes", err);
    if (!rc && (!json_is_object(v) || json_object_size(v) == 0))
        rc = ds_fail(err, DS_FAIL,
                     "schema: column \"%s\": attributes are not an object with members", column);
    const char *name, *before = NULL;
    json_t *m;
    if (!rc)
        json_object_foreach(v, name, m)
        {
            if (!json_is_string(m))
                rc =
                    ds_fail(err, DS_FAIL, "schema: column \"%s\": attribute \"%s\" is not a string",
                            column, name);
            else if (before && strcmp(before, name) >= 0)
                rc = ds_fail(err, DS_FAIL, "schema: column \"%s\": attributes are not sorted",
                             column);
            if (rc)
                break;
            before = name;
        }
    if (!rc)
        rc = ds_json_dump(out, v, err);
    json_decref(v);
    return rc;
}

static int check_column(const ds_schema *s, size_t i, ds_err *err)
{
    const ds_column *c = &s->cols[i];
    size_t len = strlen(c->name);
    if (len < 1 || len > NAME_MAX_BYTES)
        return ds_fail(err, DS_FAIL, "schema: column %zu: a name has 1 to %d bytes, not %zu", i,
                       NAME_MAX_BYTES, len);
    if (ds_utf8_check((const uint8_t *)c->name, len) != len)
        return ds_fail(err, DS_FAIL, "schema: column %zu: the name is not UTF-8", i);
    if ((unsigned)c->type >= DS_NTYPES)
        return ds_fail(err, DS_FAIL, "schema: column \"%s\": no such type", c->name);
    if (c->type == DS_LIST && ((unsigned)c->item >= DS_NTYPES || c->item == DS_TENSOR ||
                               c->item == DS_RUNS || c->item == DS_LIST))
        return ds_fail(err, DS_FAIL, "schema: column \"%s\": a list of %s is not possible", c->name,
                       ds_type_name(c->item));
    if ((s->primary[i] || s->keyed[i]) && (c->type == DS_LIST || c->type == DS_RUNS))
        return ds_fail(err, DS_FAIL, "schema: column \"%s\": a %s can be neither primary nor keyed",
                       c->name, ds_type_name(c->type));
    if (strcmp(c->name, "key") == 0 && !s->explicit_key)
        return ds_fail(err, DS_FAIL, "schema: a column named \"key\" needs explicit keys");
    if (s->explicit_key && s->keyed[i])
        return ds_fail(err, DS_FAIL, "schema: column \"%s\": keys are explicit, no column is keyed",
                       c->name);
    for (size_t k = 0; k < i; k++)
        if (strcmp(s->cols[k].name, c->name) == 0)
            return ds_fail(err, DS_FAIL, "schema: two columns are named \"%s\"", c->name);
    return 0;
}

int ds_schema_check(const ds_schema *s, ds_err *err)
{
    size_t primary = 0, keyed = 0;
    if (s->n < 1 || s->n > COLUMNS_MAX)
        return ds_fail(err, DS_FAIL, "schema: %zu columns: there are 1 to %d", s->n, COLUMNS_MAX);
    for (size_t i = 0; i < s->n; i++) {
        int rc = check_column(s, i, err);
        if (rc)
            return rc;
        primary += s->primary[i] != 0;
        keyed += s->keyed[i] != 0;
    }
    const ds_column *c = &s->cols[0];
    if (s->explicit_key && (strcmp(c->name, "key") != 0 || c->type != DS_UTF8 || c->nullable))
        return ds_fail(err, DS_FAIL,
                       "schema: explicit keys need a first column \"key\", utf8 and never null");
    if (!primary)
        return ds_fail(err, DS_FAIL, "schema: no column is primary");
    if (!s->explicit_key && !keyed)
        return ds_fail(err, DS_FAIL, "schema: keys are derived, but no column is keyed");
    if (s->block_min < 1 || s->block_min > s->block_target || s->block_target > s->block_max ||
        s->block_max > BLOCK_MAX_BYTES)
        return ds_fail(err, DS_FAIL,
                       "schema: block sizes %" PRIu64 ", %" PRIu64 ", %" PRIu64
                       " do not rise from 1 to 1 GiB",
                       s->block_min, s->block_target, s->block_max);
    return 0;
}

/* ---- text ---- */

static int put_names(ds_buf *b, const ds_schema *s, const uint8_t *flags)
{
    bool first = true;
    int rc = ds_buf_putc(b, '[');
    for (size_t i = 0; i < s->n && !rc; i++) {
        if (!flags[i])
            continue;
        if (!first)
            rc = ds_buf_putc(b, ',');
        first = false;
        if (!rc)
            rc = ds_json_str(b, s->cols[i].name, strlen(s->cols[i].name));
    }
    return rc ? rc : ds_buf_putc(b, ']');
}

static int put_column(ds_buf *b, const ds_column *c, ds_err *err)
{
    int rc = ds_buf_puts(b, "{\"name\":");
    if (!rc)
        rc = ds_json_str(b, c->name, strlen(c->name));
    if (!rc)
        rc = ds_buf_printf(b, ",\"type\":\"%s\"", ds_type_name(c->type));
    if (!rc && c->type == DS_LIST)
        rc = ds_buf_printf(b, ",\"item\":\"%s\"", ds_type_name(c->item));
    if (!rc && c->nullable)
        rc = ds_buf_puts(b, ",\"null\":true");
    if (!rc && c->attrs) {
        rc = ds_buf_puts(b, ",\"attrs\":");
        if (!rc)
            rc = attrs_canonical(b, c->attrs, c->name, err);
    }
    return rc ? rc : ds_buf_putc(b, '}');
}

int ds_schema_dump(ds_buf *out, const ds_schema *s, ds_err *err)
{
    size_t before = out->len;
    int rc = ds_schema_check(s, err);
    if (!rc)
        rc = ds_buf_puts(out, "{\"columns\":[");
    for (size_t i = 0; i < s->n && !rc; i++) {
        rc = i ? ds_buf_putc(out, ',') : 0;
        if (!rc)
            rc = put_column(out, &s->cols[i], err);
    }
    if (!rc)
        rc = ds_buf_printf(out,
                           "],\"key\":\"%s\",\"keyed\":", s->explicit_key ? "explicit" : "derived");
    if (!rc)
        rc = put_names(out, s, s->keyed);
    if (!rc)
        rc = ds_buf_puts(out, ",\"primary\":");
    if (!rc)
        rc = put_names(out, s, s->primary);
    if (!rc)
        rc = ds_buf_printf(out, ",\"block\":[%" PRIu64 ",%" PRIu64 ",%" PRIu64 "]}", s->block_min,
                           s->block_target, s->block_max);
    if (!rc && out->len - before > JSON_MAX_BYTES)
        rc = ds_fail(err, DS_FAIL, "schema: longer than 1 MiB");
    if (rc)
        out->len = before;
    return rc == DS_NOMEM ? ds_fail_nomem(err) : rc;
}

static int parse_column(ds_schema *s, json_t *v, ds_err *err)
{
    const char *name = json_string_value(json_object_get(v, "name"));
    json_t *attrs = json_object_get(v, "attrs");
    ds_column col = {.nullable = json_is_true(json_object_get(v, "null"))};
    ds_buf text = {0};
    int rc = 0;
    if (!name)
        return ds_fail(err, DS_CORRUPT, "schema: column %zu has no name", s->n);
    if (!type_find(&col.type, json_string_value(json_object_get(v, "type"))))
        return ds_fail(err, DS_CORRUPT, "schema: column \"%s\": unknown type", name);
    if (col.type == DS_LIST && !type_find(&col.item, json_string_value(json_object_get(v, "item"))))
        return ds_fail(err, DS_CORRUPT, "schema: column \"%s\": unknown type of items", name);
    if (attrs) {
        rc = ds_json_dump(&text, attrs, err);
        if (!rc && !ds_buf_cstr(&text))
            rc = ds_fail_nomem(err);
    }
    col.name = (char *)(uintptr_t)name;
    col.attrs = attrs ? (char *)text.data : NULL;
    if (!rc)
        rc = add(s, NULL, &col, false, false, err);
    ds_buf_fini(&text);
    return rc;
}

static int parse_names(const ds_schema *s, uint8_t *flags, const json_t *v, const char *what,
                       ds_err *err)
{
    if (!json_is_array(v))
        return ds_fail(err, DS_CORRUPT, "schema: \"%s\" is not an array", what);
    for (size_t i = 0; i < json_array_size(v); i++) {
        const char *name = json_string_value(json_array_get(v, i));
        long at = name ? ds_schema_find(s, name) : -1;
        if (at < 0)
            return ds_fail(err, DS_CORRUPT, "schema: \"%s\" names no column in place %zu", what, i);
        flags[at] = 1;
    }
    return 0;
}

static int parse_tree(ds_schema *s, const json_t *root, ds_err *err)
{
    const json_t *cols = json_object_get(root, "columns"), *block = json_object_get(root, "block");
    const char *key = json_string_value(json_object_get(root, "key"));
    uint64_t sizes[3];
    int rc = 0;
    if (!json_is_array(cols))
        return ds_fail(err, DS_CORRUPT, "schema: no columns");
    for (size_t i = 0; i < json_array_size(cols) && !rc; i++)
        rc = parse_column(s, json_array_get(cols, i), err);
    if (rc)
        return rc;
    if (!key || (strcmp(key, "explicit") != 0 && strcmp(key, "derived") != 0))
        return ds_fail(err, DS_CORRUPT, "schema: \"key\" is neither explicit nor derived");
    s->explicit_key = strcmp(key, "explicit") == 0;
    if (s->n) {
        rc = parse_names(s, s->keyed, json_object_get(root, "keyed"), "keyed", err);
        if (!rc)
            rc = parse_names(s, s->primary, json_object_get(root, "primary"), "primary", err);
        if (rc)
            return rc;
    }
    if (!json_is_array(block) || json_array_size(block) != 3)
        return ds_fail(err, DS_CORRUPT, "schema: \"block\" is not three numbers");
    for (size_t i = 0; i < 3; i++) {
        const json_t *n = json_array_get(block, i);
        if (!json_is_integer(n) || json_integer_value(n) < 0)
            return ds_fail(err, DS_CORRUPT, "schema: \"block\" is not three numbers");
        sizes[i] = (uint64_t)json_integer_value(n);
    }
    s->block_min = sizes[0];
    s->block_target = sizes[1];
    s->block_max = sizes[2];
    return 0;
}

int ds_schema_parse(ds_schema *s, const void *json, size_t len, ds_err *err)
{
    ds_schema t;
    ds_buf again = {0};
    json_t *root = NULL;
    ds_err why = {0};
    ds_schema_init(&t);
    int rc = len > JSON_MAX_BYTES ? ds_fail(&why, DS_CORRUPT, "schema: longer than 1 MiB")
                                  : ds_json_parse(&root, json, len, "schema", &why);
    if (!rc)
        rc = parse_tree(&t, root, &why);
    if (!rc)
        rc = ds_schema_dump(&again, &t, &why);
    /* One form only: what differs in one byte from what we would write is refused. */
    if (!rc && (again.len != len || memcmp(again.data, json, len) != 0))
        rc = ds_fail(&why, DS_CORRUPT, "schema: not in canonical form");
    json_decref(root);
    ds_buf_fini(&again);
    if (rc) {
        ds_schema_fini(&t);
        return ds_fail(err, rc == DS_NOMEM ? DS_NOMEM : DS_CORRUPT, "%s", why.msg);
    }
    *s = t;
    return 0;
}

int ds_schema_digest(ds_sha *out, const ds_schema *s, ds_err *err)
{
    ds_buf b = {0};
    int rc = ds_schema_dump(&b, s, err);
    if (!rc)
        rc = ds_sha_tagged(out, "ds.schema", b.data, b.len, err);
    ds_buf_fini(&b);
    return rc;
}
