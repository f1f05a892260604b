/* sidecar.c - see sidecar.h. */
#include "sidecar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dsr_prov.h"
#include "io.h"
#include "json.h"

#define SIDECAR_MAX ((size_t)64 << 20)

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static char *path_of(const char *out)
{
    char *path;
    const char *sep = !is_folder(out) ? "." : out[strlen(out) - 1] == '/' ? "" : "/";
    return asprintf(&path, "%s%s%s", out, sep, DS_SIDECAR_NAME) < 0 ? NULL : path;
}

int ds_sidecar_begin(ds_atomic *a, const char *out, const ds_schema *s, const char *format,
                     uint64_t records, const ds_buf *prov, ds_err *err)
{
    ds_buf t = {0};
    char *path = NULL;
    int rc = asprintf(&path, "%.*s." DS_SIDECAR_NAME, (int)ds_path_len(out), out) >= 0 &&
                     !ds_buf_puts(&t, "{\"dsr_schema\":")
                 ? ds_schema_dump(&t, s, err)
                 : ds_fail_nomem(err);
    if (rc == 0 && (ds_buf_printf(&t, ",\"format\":\"%s\",\"records\":%llu,\"provenance\":", format,
                                  (unsigned long long)records) ||
                    (prov->len ? ds_buf_put(&t, prov->data, prov->len) : ds_buf_puts(&t, "[]")) ||
                    ds_buf_puts(&t, "}\n")))
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = ds_atomic_open(a, path, 0666, err);
    if (rc == 0)
        rc = ds_write_full(a->fd, path, t.data, t.len, err);
    if (rc == 0)
        rc = ds_fsync(a->fd, path, err);
    ds_buf_fini(&t);
    free(path);
    return rc;
}

int ds_sidecar_commit(ds_atomic *a, const char *out, ds_err *err)
{
    char *path = path_of(out); /* now it is seen whether that is a folder */
    if (!path)
        return ds_fail_nomem(err);
    free(a->path);
    a->path = path;
    return ds_atomic_commit(a, err);
}

static int take(ds_sidecar *c, const json_t *j, ds_err *err)
{
    const json_t *schema = json_object_get(j, "dsr_schema");
    const json_t *steps = json_object_get(j, "provenance");
    ds_buf t = {0};
    int rc = json_is_object(schema) ? ds_json_dump(&t, schema, err)
                                    : ds_fail(err, DS_FAIL, "no object \"dsr_schema\"");
    if (rc == 0)
        rc = ds_schema_parse(&c->schema, t.data, t.len, err);
    if (rc == 0 && json_array_size(steps) > 0)
        rc = ds_json_dump(&c->provenance, steps, err);
    if (rc == 0 && c->provenance.len)
        rc = ds_prov_check(c->provenance.data, c->provenance.len, err);
    ds_buf_fini(&t);
    return rc;
}

int ds_sidecar_read(ds_sidecar *c, const char *path, ds_err *err)
{
    ds_buf text = {0};
    json_t *j = NULL;
    int rc = ds_read_file(&text, path, SIDECAR_MAX, err);
    if (rc == 0)
        rc = ds_json_parse(&j, text.data, text.len, path, err);
    if (rc == 0 && (rc = take(c, j, err)) != 0)
        ds_err_prefix(err, "%s", path);
    json_decref(j);
    ds_buf_fini(&text);
    return rc;
}

int ds_sidecar_find(ds_sidecar *c, bool *found, const char *input, ds_err *err)
{
    char *path = path_of(input);
    int rc = path ? 0 : ds_fail_nomem(err);
    *found = path && ds_path_exists(path);
    if (path && !*found && !is_folder(input)) {
        const char *slash = strrchr(input, '/');
        free(path);
        if (asprintf(&path, "%.*s%s", slash ? (int)(slash - input) + 1 : 0, input,
                     DS_SIDECAR_NAME) < 0)
            return ds_fail_nomem(err);
        *found = ds_path_exists(path);
    }
    if (rc == 0 && *found)
        rc = ds_sidecar_read(c, path, err);
    free(path);
    return rc;
}

void ds_sidecar_fini(ds_sidecar *c)
{
    ds_schema_fini(&c->schema);
    ds_buf_fini(&c->provenance);
}
