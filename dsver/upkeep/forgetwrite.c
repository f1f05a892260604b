/* forgetwrite.c - see forget_priv.h. */
#include <stdlib.h>
#include <string.h>

#include "forget_priv.h"
#include "history.h"
#include "io.h"
#include "pin.h"
#include "sig.h"
#include "tombstone.h"

/* ---- replacing ---- */

static int put_line(ds_forgetting *f, const ds_sha *was, ds_manline *line, const ds_buf *rows,
                    ds_err *err)
{
    int rc = ds_buf_hex(&f->lines, was->b, sizeof was->b);
    rc = rc ? rc : ds_buf_putc(&f->lines, ' ');
    rc = rc ? rc : ds_manline_text(&f->lines, line);
    rc = rc ? rc : ds_buf_hex(&f->told, was->b, sizeof was->b);
    rc = rc ? rc
            : ds_erasedrows_put(&f->told, (const ds_erasedrow *)(const void *)rows->data,
                                rows->len / sizeof(ds_erasedrow));
    rc = rc ? rc : ds_buf_putc(&f->told, '\n');
    ds_manline_fini(line);
    return rc ? ds_fail_nomem(err) : 0;
}

static int replace_block(ds_forgetting *f, const ds_verside *side, size_t i, const ds_forgethit *h,
                         ds_err *err)
{
    const uint64_t *rows = ds_forget_rows(f, h);
    ds_manline line = {0};
    ds_buf erased = {0}; /* ds_erasedrow */
    int rc = 0;
    for (size_t k = 0; !rc && k < h->n; k++) {
        const ds_erasedrow r = {.row = rows[k]};
        rc = ds_buf_put(&erased, &r, sizeof r) ? ds_fail_nomem(err) : 0;
    }
    rc = rc ? rc : ds_tombstone_block(&line, side, i, &erased, f->salt, f->tx, err);
    rc = rc ? rc : put_line(f, &h->was, &line, &erased, err);
    ds_buf_fini(&erased);
    return rc;
}

/* Everything put so far is published. */
static int renew_tx(ds_forgetting *f, ds_err *err)
{
    int rc = f->tx ? ds_objtx_finish(f->tx, NULL, err) : 0;
    f->tx = NULL;
    rc = rc ? rc : ds_objtx_begin(&f->tx, f->store->objs, f->o->threads, err);
    if (!rc)
        ds_objtx_avoid(f->tx, (const ds_sha *)(const void *)f->avoid.data,
                       f->avoid.len / sizeof(ds_sha));
    return rc;
}

static int replace_blocks(void *ctx, const git_oid *id, const ds_version *v, const ds_err *why,
                          ds_err *err)
{
    ds_forgetting *f = ctx;
    ds_verside side = {0};
    (void)why;
    if (!v || !ds_forget_ordinals(f, id))
        return 0;
    int rc = ds_verside_open_raw(&side, f->store, id, NULL, NULL, err);
    for (size_t i = 0; !rc && i < side.n; i++) {
        const ds_forgethit *h = ds_forget_hit(f, &side.was[i]);
        bool fresh = false;
        if (!h)
            continue;
        rc = ds_shaset_add(&f->keys, &h->was, &fresh, err); /* each block once */
        if (rc || !fresh)
            continue;
        rc = replace_block(f, &side, i, h, err);
        rc = rc ? rc : ds_check_interrupt(err);
    }
    ds_verside_fini(&side);
    /* The next version's blocks resemble these: they are to be found in the store. */
    return rc ? rc : renew_tx(f, err);
}

static int replace_pin(void *ctx, const git_oid *commit, ds_err *err)
{
    ds_forgetting *f = ctx;
    return ds_history_from(f->store->cat, commit, &f->commits, replace_blocks, f, err);
}

static int by_page(const void *a, const void *b)
{
    const ds_forgetpage *x = a, *y = b;
    const int c = memcmp(x->was.b, y->was.b, sizeof(ds_sha));
    return c ? c : (x->row > y->row) - (x->row < y->row);
}

static int replace_pages(ds_forgetting *f, ds_err *err)
{
    ds_forgetpage *h = (ds_forgetpage *)(void *)f->pages.data;
    const size_t n = f->pages.len / sizeof *h;
    ds_buf page = {0}, rows = {0};
    int rc = 0;
    if (n)
        qsort(h, n, sizeof *h, by_page);
    for (size_t i = 0, end; !rc && i < n; i = end) {
        ds_manline line = {0};
        ds_buf_reset(&rows);
        for (end = i; !rc && end < n && ds_sha_eq(&h[end].was, &h[i].was); end++) {
            const ds_erasedrow r = {.row = h[end].row};
            if (end == i || h[end].row != h[end - 1].row)
                rc = ds_buf_put(&rows, &r, sizeof r) ? ds_fail_nomem(err) : 0;
        }
        f->out->sources += rows.len / sizeof(ds_erasedrow);
        rc = rc ? rc : ds_objstore_get(f->store->objs, &h[i].piece, true, &page, err);
        rc = rc ? rc
                : ds_tombstone_page(&line, &page, h[i].rows, &rows, f->salt, f->store->objs, f->tx,
                                    err);
        rc = rc ? rc : put_line(f, &h[i].was, &line, &rows, err);
    }
    ds_buf_fini(&page);
    ds_buf_fini(&rows);
    return rc;
}

int ds_forget_replace(ds_forgetting *f, ds_err *err)
{
    int rc = ds_random(f->salt, sizeof f->salt, err);
    if (rc)
        return rc;
    ds_shaset_fini(&f->keys);
    rc = renew_tx(f, err);
    ds_oidset_fini(&f->commits);
    rc = rc ? rc : ds_history_more(f->store->cat, &f->commits, replace_blocks, f, err);
    rc = rc ? rc : ds_pin_each(f->store, replace_pin, f, err);
    rc = rc ? rc : replace_pages(f, err);
    if (!rc) {
        rc = ds_objtx_finish(f->tx, NULL, err);
        f->tx = NULL;
    }
    return rc;
}
