/* firstpass.c - see firstpass.h. */
#include "firstpass.h"

#include <stdlib.h>
#include <string.h>

int ds_firstpass_run(ds_firstpass *p, char **paths, int n, ds_err *err)
{
    int rc = ds_instream_open(&p->in, paths, n, err);
    if (rc == 0)
        rc = p->begin(p->ctx, err);
    if (rc == 0) {
        ds_progress_begin(&p->progress, "comparing", ds_instream_size(p->in), true);
        rc = ds_blockpipe_run(p->in, p->ops, p->ctx, p->threads, err);
        ds_progress_end(&p->progress);
    }
    ds_instream_free(p->in);
    p->in = NULL;
    return rc;
}

int ds_firstpass_against(ds_firstpass *p, const ds_opt_list *files, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < files->n; i++) {
        char *path = strdup(files->v[i]);
        rc = path ? ds_firstpass_run(p, &path, 1, err) : ds_fail_nomem(err);
        if (rc)
            ds_err_prefix(err, "--against");
        free(path);
    }
    return rc;
}

void ds_firstpass_at(ds_firstpass *p)
{
    ds_progress_at(&p->progress, ds_instream_pos(p->in));
}
