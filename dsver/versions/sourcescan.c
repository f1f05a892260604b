/* sourcescan.c - see sourcescan.h. */
#include "sourcescan.h"

#include "sourcepage.h"

int ds_sourcescan_open(ds_sourcescan *s, ds_store *store, const git_oid *tree, ds_err *err)
{
    *s = (ds_sourcescan){.store = store};
    return ds_manscan_open(&s->at, store->cat, tree, "sources", err);
}

int ds_sourcescan_next(ds_sourcescan *s, ds_source *out, ds_err *err)
{
    uint64_t blocks = 0;
    while (s->pos == s->page.len) {
        int rc = ds_manscan_next(&s->at, &s->line, err);
        if (rc <= 0)
            return rc;
        if (s->line.pieces.len != sizeof(ds_sha))
            return ds_fail(err, DS_CORRUPT, "manifest file %s: a page of sources is one piece",
                           git_oid_tostr_s(&s->at.file));
        rc = ds_objstore_get(s->store->objs, ds_manline_pieces(&s->line), true, &s->page, err);
        if (rc)
            return rc;
        s->pos = 0;
    }
    int rc = ds_page_next(s->page.data, s->page.len, &s->pos, &blocks, out, err);
    s->blocks += blocks;
    return rc ? rc : 1;
}

void ds_sourcescan_close(ds_sourcescan *s)
{
    ds_manscan_close(&s->at);
    ds_manline_fini(&s->line);
    ds_buf_fini(&s->page);
    *s = (ds_sourcescan){0};
}
