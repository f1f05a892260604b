/* stageout.c - see stageout.h. */
#include "stageout.h"

#include <string.h>
#include <unistd.h>

#include "term.h"

int ds_stageout_open(ds_stageout *o, const char *path, const ds_schema *schema, const void *prov,
                     size_t prov_len, int level, ds_err *err)
{
    int rc;
    *o = (ds_stageout){.file = {.fd = -1}, .to_file = path && strcmp(path, "-") != 0};
    if (o->to_file)
        rc = ds_atomic_open(&o->file, path, 0666, err);
    else
        rc = ds_refuse_tty(STDOUT_FILENO, "pipe it on, or give -o FILE", err);
    if (rc == 0)
        rc = ds_out_init(&o->out, o->to_file ? o->file.fd : STDOUT_FILENO,
                         o->to_file ? path : "standard output", err);
    if (rc == 0) {
        const ds_writer_opts opts = {.level = level, .index = o->to_file};
        rc = ds_writer_new(&o->writer, &o->out, schema, prov, prov_len, &opts, err);
    }
    return rc;
}

int ds_stageout_end(ds_stageout *o, const ds_counts *counts, ds_err *err)
{
    int rc = ds_writer_end(o->writer, counts, NULL, err);
    if (rc == 0)
        rc = ds_out_flush(&o->out, err);
    if (rc == 0 && o->to_file)
        rc = ds_atomic_commit(&o->file, err);
    return rc;
}

void ds_stageout_abort(ds_stageout *o, const char *reason)
{
    if (o->writer && !o->to_file)
        ds_writer_abort(o->writer, reason);
}

void ds_stageout_fini(ds_stageout *o)
{
    ds_writer_free(o->writer);
    o->writer = NULL;
    ds_out_fini(&o->out);
    if (o->to_file)
        ds_atomic_abort(&o->file);
}
