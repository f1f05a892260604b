/* stageout.c - see stageout.h. */
#include "stageout.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "instream.h"
#include "term.h"

static bool is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

int ds_stageout_open(ds_stageout *o, const char *path, const ds_schema *schema, const void *prov,
                     size_t prov_len, int level, ds_err *err)
{
    const bool named = path && strcmp(path, "-") != 0, special = named && is_special(path);
    int rc = 0, fd = STDOUT_FILENO;
    *o = (ds_stageout){.file = {.fd = -1}, .to_file = named && !special};
    if (named && !special)
        rc = ds_instream_one_file(path, err);
    if (rc != 0)
        return rc;
    if (special) {
        rc = ds_open(&fd, path, O_WRONLY, 0, err);
        o->fd_plus1 = rc ? 0 : fd + 1;
    } else if (named) {
        rc = ds_atomic_open(&o->file, path, 0666, err);
        fd = o->file.fd;
    } else {
        rc = ds_refuse_tty(STDOUT_FILENO, "pipe it on, or give -o FILE", err);
    }
    if (rc == 0)
        rc = ds_out_init(&o->out, fd, named ? path : "standard output", err);
    if (rc == 0) {
        const ds_writer_opts opts = {.level = level, .index = o->to_file};
        rc = ds_writer_new(&o->writer, &o->out, schema, prov, prov_len, &opts, err);
        if (rc == 0 && !o->to_file)
            rc = ds_out_flush(&o->out, err); /* whoever reads it sees that a stream begins */
    }
    return rc;
}

int ds_stageout_level(const char *path, int64_t given)
{
    return given >= 0 ? (int)given : path && strcmp(path, "-") != 0 ? 3 : 0;
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
    if (o->fd_plus1)
        close(o->fd_plus1 - 1); /* what it has to say was said by the flush */
    o->fd_plus1 = 0;
}
