/* mdsread.c - see mdsread.h. A shard lies in a spool while its samples are taken: in memory while
 * small, in $TMPDIR else; its sizes are checked against the index, and digests that are known
 * against its bytes. */
#include "mdsread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fmtdigest.h"
#include "fmtguess.h"
#include "fmtin.h"
#include "json.h"
#include "mdscode.h"

#define INDEX_MAX ((size_t)256 << 20)

typedef struct reader {
    ds_fmtread o;
    json_t *index;
    const json_t *shards;
    ds_mdscode code[256]; /* of the current shard */
    const char *name[256];
    size_t ncols;
    long column[256]; /* by column of the shard; -1: the list of nulls, or none */
    long nulls;
    ds_fval *values;
    ds_spool raw;
    ds_fmtdigest digest;
} reader;

int ds_mdsread_open(void **out, const ds_fmtread *o, ds_err *err)
{
    reader *r = *out = calloc(1, sizeof *r);
    ds_buf text = {0};
    char *path = NULL;
    if (!r || asprintf(&path, "%s/" DS_MDS_INDEX, o->path) < 0)
        return ds_fail_nomem(err);
    r->o = *o;
    int rc = ds_read_file(&text, path, INDEX_MAX, err);
    if (rc == 0)
        rc = ds_json_parse(&r->index, text.data, text.len, path, err);
    r->shards = json_object_get(r->index, "shards");
    if (rc == 0 && (json_integer_value(json_object_get(r->index, "version")) != 2 ||
                    !json_is_array(r->shards)))
        rc = ds_fail(err, DS_FAIL, "%s: no index of MDS, version 2", path);
    ds_buf_fini(&text);
    free(path);
    return rc;
}

static const char *text_of(const json_t *o, const char *member)
{
    return json_string_value(json_object_get(o, member));
}

/* Names and encodings of a shard's columns. */
static int columns_of(reader *r, const json_t *shard, ds_err *err)
{
    const json_t *names = json_object_get(shard, "column_names");
    const json_t *codes = json_object_get(shard, "column_encodings");
    const json_t *sizes = json_object_get(shard, "column_sizes");
    const char *format = text_of(shard, "format");
    r->ncols = json_array_size(names);
    if (!format || strcmp(format, "mds") != 0)
        return ds_fail(err, DS_FAIL, "%s: a shard is not of format mds", r->o.name);
    if (r->ncols == 0 || r->ncols > 256 || json_array_size(codes) != r->ncols ||
        json_array_size(sizes) != r->ncols)
        return ds_fail(err, DS_FAIL, "%s: a shard's columns are not 1 to 256", r->o.name);
    for (size_t i = 0; i < r->ncols; i++) {
        const char *code = json_string_value(json_array_get(codes, i));
        const json_int_t size = json_integer_value(json_array_get(sizes, i));
        r->name[i] = json_string_value(json_array_get(names, i));
        if (!code || !r->name[i])
            return ds_fail(err, DS_FAIL, "%s: a column without name or encoding", r->o.name);
        if (!ds_mdscode_parse(&r->code[i], code))
            return ds_fail(err, DS_FAIL, "%s: column %s: the encoding '%s' is not read", r->o.name,
                           r->name[i], code);
        if (size != (json_int_t)r->code[i].size)
            return ds_fail(err, DS_FAIL, "%s: column %s: %s is not of %lld bytes", r->o.name,
                           r->name[i], code, (long long)size);
    }
    return 0;
}

int ds_mdsread_schema(void *v, ds_schema *s, ds_err *err)
{
    reader *r = v;
    const char *key = r->o.key ? r->o.key : "key";
    bool explicit_key = false, nulls = false;
    if (json_array_size(r->shards) == 0)
        return ds_fail(err, DS_FAIL, "%s: no shards, and so no columns", r->o.name);
    int rc = columns_of(r, json_array_get(r->shards, 0), err);
    for (size_t i = 0; rc == 0 && i < r->ncols; i++) {
        explicit_key |= strcmp(r->name[i], key) == 0;
        nulls |= strcmp(r->name[i], DS_MDS_NULLS) == 0;
    }
    if (rc == 0 && r->o.key && !explicit_key)
        return ds_fail(err, DS_FAIL, "%s: no column '%s'", r->o.name, r->o.key);
    if (rc == 0)
        rc = ds_fmtschema_begin(s, explicit_key, err);
    for (size_t i = 0; rc == 0 && i < r->ncols; i++)
        if (strcmp(r->name[i], key) != 0 && strcmp(r->name[i], DS_MDS_NULLS) != 0)
            rc = ds_schema_add(s, NULL, r->name[i], r->code[i].type, nulls ? DS_COL_NULLABLE : 0,
                               NULL, err);
    return rc ? rc : ds_fmtschema_end(s, err);
}

static int map_columns(reader *r, const ds_schema *s, ds_err *err)
{
    r->nulls = -1;
    for (size_t i = 0; i < r->ncols; i++) {
        const bool nulls = strcmp(r->name[i], DS_MDS_NULLS) == 0;
        r->column[i] = ds_fmtschema_column(s, r->o.key, r->name[i], strlen(r->name[i]));
        if (nulls)
            r->nulls = (long)i;
        else if (r->column[i] < 0)
            return ds_fail(err, DS_FAIL, "%s: column %s is in no column of the schema", r->o.name,
                           r->name[i]);
    }
    return 0;
}

/* ---- a shard ---- */

/* The bytes of the file that is there, unpacked, into r->raw. */
typedef struct file {
    const char *base;
    uint64_t bytes;
    const json_t *hashes;
} file;

static bool file_of(const json_t *shard, const char *member, file *f)
{
    const json_t *o = json_object_get(shard, member);
    f->base = text_of(o, "basename");
    f->bytes = (uint64_t)json_integer_value(json_object_get(o, "bytes"));
    f->hashes = json_object_get(o, "hashes");
    return f->base && *f->base && !strchr(f->base, '/') && strcmp(f->base, "..") != 0;
}

static int check_digests(reader *r, const file *f, const uint8_t *p, size_t len, ds_err *err)
{
    unsigned want = 0;
    for (unsigned i = 0; i < DS_DIGESTS; i++)
        if (json_object_get(f->hashes, ds_digest_names[i]))
            want |= 1u << i;
    if (len != f->bytes)
        return ds_fail(err, DS_CORRUPT, "%s: %zu bytes, but the index says %llu", f->base, len,
                       (unsigned long long)f->bytes);
    int rc = ds_fmtdigest_begin(&r->digest, want, err);
    if (rc == 0)
        rc = ds_fmtdigest_put(&r->digest, p, len, err);
    if (rc == 0)
        rc = ds_fmtdigest_end(&r->digest, err);
    for (unsigned i = 0; rc == 0 && i < DS_DIGESTS; i++) {
        const char *is = json_string_value(json_object_get(f->hashes, ds_digest_names[i]));
        if (is && strcmp(is, r->digest.hex[i]) != 0)
            rc = ds_fail(err, DS_CORRUPT, "%s: its %s is not what the index says", f->base,
                         ds_digest_names[i]);
    }
    return rc;
}

static int load(reader *r, const file *raw, const file *zip, ds_fmtin *in, char **name, ds_err *err)
{
    const file *f = zip->base ? zip : raw;
    char *path;
    if (asprintf(&path, "%s/%s", r->o.path, f->base) < 0)
        return ds_fail_nomem(err);
    if (zip->base && !ds_path_exists(path)) {
        free(path);
        if (asprintf(&path, "%s/%s", r->o.path, raw->base) < 0)
            return ds_fail_nomem(err);
    }
    *name = path;
    ds_fmtread o = r->o;
    o.path = path;
    o.name = raw->base;
    ds_spool_reset(&r->raw);
    int rc = ds_fmtin_open(in, &o, err);
    while (rc == 0) {
        rc = ds_fmtin_want(in, (size_t)256 << 10, err);
        const size_t have = ds_fmtin_have(in);
        if (rc || have == 0)
            break;
        if (in->pos + have > raw->bytes)
            return ds_fail(err, DS_CORRUPT, "%s: longer than the index says", raw->base);
        rc = ds_spool_put(&r->raw, ds_fmtin_at(in), have, err);
        ds_fmtin_skip(in, have);
    }
    return rc;
}

/* Which columns have no value, of the list in the record. */
static void take_nulls(reader *r, const ds_schema *s, const ds_fval *list)
{
    for (size_t at = 0; at < list->len;) {
        const uint8_t *p = list->p + at;
        const uint8_t *comma = memchr(p, ',', list->len - at);
        size_t n = comma ? (size_t)(comma - p) : list->len - at;
        long k = ds_fmtschema_column(s, r->o.key, (const char *)p, n);
        /* Names may hold commas: the longest that is one. */
        while (k < 0 && comma) {
            comma = memchr(p + n + 1, ',', list->len - at - n - 1);
            n = comma ? (size_t)(comma - p) : list->len - at;
            k = ds_fmtschema_column(s, r->o.key, (const char *)p, n);
        }
        if (k >= 0)
            r->values[k] = (ds_fval){.kind = DS_FV_NULL};
        at += n + 1;
    }
}

static int sample(reader *r, const ds_fmtsink *sink, const uint8_t *p, size_t len, uint64_t offset,
                  ds_err *err)
{
    const ds_schema *s = sink->schema;
    ds_fval nulls = {.kind = DS_FV_NULL};
    size_t at = 0, sizes = 0;
    for (size_t i = 0; i < r->ncols; i++)
        at += r->code[i].size ? 0 : 4;
    for (size_t i = 0; i < s->n; i++)
        r->values[i] = (ds_fval){.kind = DS_FV_NULL};
    if (at > len)
        return sink->bad(sink->ctx, "sample", offset, offset, p, len, false,
                         "a sample is shorter than its sizes", err);
    for (size_t i = 0; i < r->ncols; i++) {
        size_t n = r->code[i].size;
        ds_fval v;
        if (!n) {
            n = ds_get_u32(p + sizes);
            sizes += 4;
        }
        if (n > len - at || !ds_mdscode_value(&r->code[i], p + at, n, &v))
            return sink->bad(sink->ctx, "sample", offset + at, offset, p, len, false,
                             "a value is not of its column's encoding", err);
        at += n;
        /* Where a list says what is missing, JSON's null is a value. */
        if (r->nulls >= 0 && v.kind == DS_FV_JSON && r->column[i] >= 0 &&
            s->cols[r->column[i]].type == DS_JSON)
            v.kind = DS_FV_TEXT;
        if ((long)i == r->nulls)
            nulls = v;
        else
            r->values[r->column[i]] = v;
    }
    if (at != len)
        return sink->bad(sink->ctx, "sample", offset + at, offset, p, len, false,
                         "a sample is longer than its values", err);
    if (nulls.kind == DS_FV_TEXT)
        take_nulls(r, s, &nulls);
    return sink->row(sink->ctx, r->values, offset, len, err);
}

static int samples(reader *r, const ds_fmtsink *sink, const char *name, uint64_t want,
                   const uint8_t *p, size_t len, ds_err *err)
{
    const uint64_t n = len >= 8 ? ds_get_u32(p) : 0;
    if (len < 8 || n != want || 4 + 4 * (n + 1) > len)
        return ds_fail(err, DS_CORRUPT, "%s: offset 0: not of as many samples as the index says",
                       name);
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < n; i++) {
        const uint64_t from = ds_get_u32(p + 4 + 4 * i), to = ds_get_u32(p + 8 + 4 * i);
        if (from < 4 + 4 * (n + 1) || to < from || to > len)
            return ds_fail(err, DS_CORRUPT,
                           "%s: offset %llu: sample %llu lies outside of the shard", name,
                           (unsigned long long)(4 + 4 * i), (unsigned long long)i);
        if (to - from > r->o.max_record)
            rc = sink->bad(sink->ctx, "too_large", from, from, NULL, 0, false,
                           "a sample is longer than --max-record", err);
        else
            rc = sample(r, sink, p + from, (size_t)(to - from), from, err);
        if (to - from > (size_t)1 << 20)
            ds_spool_release(&r->raw, (size_t)to);
    }
    return rc;
}

static int read_shard(reader *r, const json_t *shard, const ds_fmtsink *sink, ds_err *err)
{
    const char *compression = text_of(shard, "compression");
    file raw, zip = {0};
    ds_fmtin in = {0};
    char *name = NULL;
    const uint8_t *p = NULL;
    size_t len = 0;
    if (!file_of(shard, "raw_data", &raw) || (compression && !file_of(shard, "zip_data", &zip)))
        return ds_fail(err, DS_FAIL, "%s: a shard's file has no sound name", r->o.name);
    int rc = columns_of(r, shard, err);
    if (rc == 0)
        rc = map_columns(r, sink->schema, err);
    if (rc == 0)
        rc = load(r, &raw, &zip, &in, &name, err);
    if (rc == 0)
        rc = ds_spool_view(&r->raw, &p, &len, err);
    if (rc == 0)
        rc = check_digests(r, &raw, p, len, err);
    if (rc == 0)
        rc = samples(r, sink, raw.base,
                     (uint64_t)json_integer_value(json_object_get(shard, "samples")), p, len, err);
    if (rc == 0)
        rc = ds_fmtin_end(&in, sink, err);
    ds_fmtin_close(&in);
    free(name);
    return rc;
}

int ds_mdsread_read(void *v, const ds_fmtsink *sink, ds_err *err)
{
    reader *r = v;
    r->values = calloc(sink->schema->n + 1, sizeof *r->values);
    int rc = r->values ? 0 : ds_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < json_array_size(r->shards); i++)
        rc = read_shard(r, json_array_get(r->shards, i), sink, err);
    return rc;
}

void ds_mdsread_close(void *v)
{
    reader *r = v;
    if (!r)
        return;
    json_decref(r->index);
    free(r->values);
    ds_spool_fini(&r->raw);
    ds_fmtdigest_fini(&r->digest);
    free(r);
}
