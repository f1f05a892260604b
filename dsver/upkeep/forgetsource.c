/* forgetsource.c - see forget_priv.h. */
#include <stdlib.h>
#include <string.h>

#include "dsr_origin.h"
#include "dsr_sources.h"
#include "forget_priv.h"
#include "sourcepage.h"

/* ---- sources ---- */

typedef struct census { /* of a version's sources */
    uint64_t *all, *gone;
    size_t n;
} census;

static void count_range(census *c, const ds_range *r, bool gone)
{
    if (r->source >= c->n) /* one that is not described: the head of a stream */
        return;
    c->all[r->source]++;
    c->gone[r->source] += gone;
}

/* How many records of each source go, and how many it has. */
static int count_sources(const ds_forgetting *f, const ds_verside *v, census *c, ds_err *err)
{
    ds_origin_state st = {0};
    ds_buf body = {0}, one = {0};
    int rc = 0;
    for (size_t i = 0; !rc && i < v->n; i++) {
        const ds_manline *l = &v->lines[i];
        const size_t last = l->nchunks - 1, n = ds_manline_npieces(l, last);
        const ds_forgethit *h = ds_forget_hit(f, &v->was[i]);
        uint64_t rows = 0;
        size_t pos = 0, k = 0;
        rc = ds_objstore_get_all(f->store->objs,
                                 ds_manline_pieces(l) + l->pieces.len / sizeof(ds_sha) - n, n,
                                 &body, err);
        if (!rc && !ds_varint_get(body.data, body.len, &pos, &rows))
            rc = ds_fail(err, DS_CORRUPT, "a block's origins are malformed");
        for (uint64_t row = 0; !rc && row < rows; row++) {
            const bool gone = h && k < h->n && ds_forget_rows(f, h)[k] == row;
            k += gone;
            rc = ds_origin_get(body.data, body.len, &pos, &st, &one, err);
            for (size_t r = 0; !rc && r < one.len / sizeof(ds_range); r++)
                count_range(c, (const ds_range *)(const void *)one.data + r, gone);
        }
    }
    ds_buf_fini(&body);
    ds_buf_fini(&one);
    return rc;
}

/* 1 when the name is a key, or has one between slashes, before a dot, or at its end. */
static int names_key(const ds_forgetting *f, const char *name, size_t len, ds_err *err)
{
    for (size_t at = 0; f->longest && at < len; at++) {
        const size_t most = len - at < f->longest ? len - at : f->longest;
        if (at && name[at - 1] != '/')
            continue;
        for (size_t n = f->shortest; n <= most; n++) {
            ds_sha sum;
            if (at + n != len && name[at + n] != '/' && name[at + n] != '.')
                continue;
            int rc = ds_sha_bytes(&sum, name + at, n, err);
            if (rc || ds_shaset_has(&f->erased, &sum))
                return rc ? rc : 1;
        }
    }
    return 0;
}

static int note_sources(ds_forgetting *f, const git_oid *tree, const census *c, ds_err *err)
{
    ds_manscan at = {0};
    ds_manline line = {0};
    ds_buf page = {0};
    uint64_t number = 0;
    int rc = ds_manscan_open(&at, f->store->cat, tree, "sources", err);
    while (!rc && (rc = ds_manscan_next(&at, &line, err)) > 0) {
        ds_sha origin;
        ds_forgetpage h = {.rows = line.rows, .piece = *ds_manline_pieces(&line)};
        rc = ds_manscan_addr(&at, &line, &h.was, &origin, err);
        rc = rc ? rc : ds_objstore_get(f->store->objs, &h.piece, true, &page, err);
        for (size_t pos = 0; !rc && pos < page.len; number++, h.row++) {
            ds_source src;
            uint64_t blocks;
            rc = ds_page_next(page.data, page.len, &pos, &blocks, &src, err);
            const bool only = number < c->n && c->gone[number] && c->gone[number] == c->all[number];
            rc = rc || only ? rc : names_key(f, src.name, src.len, err);
            if (rc == 1 || (!rc && only))
                rc = ds_buf_put(&f->pages, &h, sizeof h) ? ds_fail_nomem(err) : 0;
        }
    }
    ds_manscan_close(&at);
    ds_manline_fini(&line);
    ds_buf_fini(&page);
    return rc;
}

int ds_forget_sources(ds_forgetting *f, const ds_verside *v, ds_err *err)
{
    ds_meta m = {0};
    int rc = ds_meta_read(&m, f->store->cat, &v->version.tree, err);
    if (rc || m.sources == 0) {
        ds_meta_fini(&m);
        return rc;
    }
    census c = {.n = (size_t)m.sources};
    c.all = calloc(c.n, sizeof *c.all);
    c.gone = calloc(c.n, sizeof *c.gone);
    rc = c.all && c.gone ? count_sources(f, v, &c, err) : ds_fail_nomem(err);
    rc = rc ? rc : note_sources(f, &v->version.tree, &c, err);
    free(c.all);
    free(c.gone);
    ds_meta_fini(&m);
    return rc;
}
