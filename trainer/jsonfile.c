/* jsonfile.c - see jsonfile.h. */
#include "jsonfile.h"

#include "io.h"

#define LARGEST ((size_t)16 << 20)

int ds_jsonfile_read(json_t **o, const char *dir, const char *name, ds_err *err)
{
    char path[DS_PATH];
    ds_buf b = {0};
    int rc = ds_path_join(path, dir, name, err);

    rc = rc ? rc : ds_read_file(&b, path, LARGEST, err);
    rc = rc ? rc : ds_json_parse(o, b.data, b.len, path, err);
    ds_buf_fini(&b);
    return rc;
}

int ds_jsonfile_write(const char *dir, const char *name, const json_t *o, ds_err *err)
{
    char path[DS_PATH];
    ds_buf b = {0};
    int rc = ds_path_join(path, dir, name, err);

    rc = rc ? rc : ds_json_dump_pretty(&b, o, err);
    if (!rc && ds_buf_putc(&b, '\n'))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : ds_atomic_write(path, 0644, b.data, b.len, err);
    ds_buf_fini(&b);
    return rc;
}
