/* erasecheck.c - see erasecheck.h. */
#include "erasecheck.h"

#include <inttypes.h>
#include <string.h>

#include "history.h"
#include "recblock.h"
#include "sig.h"
#include "sourcepage.h"
#include "tombstone.h"

typedef struct check {
    ds_store *store;
    const ds_overlay *old, *fresh;
    ds_shaset open;  /* blocks and pages that are to be read otherwise than now */
    ds_shaset done;  /* of these, looked at */
    ds_oidset files; /* of manifests, seen already */
    ds_shaset *want; /* when only that is asked */
    ds_objtx *make;  /* when they are to be made */
    const ds_version *version;
    ds_schema schema; /* of it */
} check;

/* A line that is replaced, and what is to be in its place. */
typedef struct pair {
    ds_sha was;
    const ds_manline *now, *then;
} pair;

static int find_open(check *c, ds_err *err)
{
    ds_sha address;
    const uint8_t *text, *p;
    size_t len, other = 0;
    int rc = 0;
    for (size_t i = 0; !rc && ds_overlay_line(c->fresh, i, &address, &text, &len); i++) {
        p = ds_overlay_find(c->old, &address, &other);
        if (!p || other != len || memcmp(p, text, len) != 0)
            rc = ds_shaset_add(&c->open, &address, NULL, err);
    }
    for (size_t i = 0; !rc && c->old && ds_overlay_line(c->old, i, &address, &text, &len); i++)
        if (!ds_overlay_find(c->fresh, &address, &other)) {
            char hex[65];
            ds_sha_hex(hex, &address);
            rc = ds_fail(err, DS_CORRUPT, "what was erased before of block %s is not erased in it",
                         hex);
        }
    return rc;
}

/* ---- where ---- */

static int open_scan(ds_manscan *at, const check *c, const char *what, ds_err *err)
{
    const int rc = ds_manscan_open(at, c->store->cat, &c->version->tree, what, err);
    at->overlay = c->old;
    return rc;
}

/* The number of a block or page in the version, from 0, and how many rows come before it. */
static int find_place(const check *c, const char *what, const ds_sha *was, uint64_t *block,
                      uint64_t *before, ds_err *err)
{
    ds_manscan at = {0};
    ds_manline line = {0};
    *block = *before = 0;
    int rc = open_scan(&at, c, what, err);
    while (!rc && (rc = ds_manscan_next(&at, &line, err)) > 0) {
        ds_sha address, origin;
        rc = ds_manscan_addr(&at, &line, &address, &origin, err);
        if (rc || ds_sha_eq(&address, was))
            break;
        ++*block;
        *before += line.rows;
    }
    ds_manscan_close(&at);
    ds_manline_fini(&line);
    return rc;
}

/* column NULL: of a page of sources. */
static int refuse(const check *c, const pair *p, uint64_t row, const char *column, const char *how,
                  ds_err *err)
{
    uint64_t block, before;
    const int rc = find_place(c, column ? "blocks" : "sources", &p->was, &block, &before, err);
    if (rc)
        return rc;
    const char *set = c->version->dataset, *id = git_oid_tostr_s(&c->version->id);
    if (!column)
        return ds_fail(err, DS_CORRUPT,
                       "%s, version %.12s, page %" PRIu64 " of sources, source %" PRIu64 ": %s",
                       set, id, block, before + row, how);
    return ds_fail(err, DS_CORRUPT,
                   "%s, version %.12s, block %" PRIu64 ", record %" PRIu64 ", column %s: %s", set,
                   id, block, before + row, column, how);
}

/* ---- a block ---- */

/* The first column that differs; -1: none. */
static int differs(const check *c, const ds_recblock *now, const ds_recblock *then)
{
    for (size_t i = 0; i < c->schema.n; i++)
        if (!ds_value_same(&now->views[i], &now->values[i], &then->views[i], &then->values[i]))
            return (int)i;
    return -1;
}

static int compare_record(const check *c, const pair *p, uint64_t row, const ds_recblock *now,
                          const ds_recblock *then, ds_err *err)
{
    const int at = differs(c, now, then);
    if (at < 0)
        return 0;
    if (!ds_tombstone_is(then))
        return refuse(c, p, row, c->schema.cols[at].name,
                      "is another than it was, and the record is not erased", err);
    for (size_t i = c->schema.explicit_key ? 1 : 0; i < c->schema.n; i++)
        if (!ds_tombstone_left(&now->views[i], &now->values[i], &then->values[i]))
            return refuse(c, p, row, c->schema.cols[i].name,
                          "is not what is left of an erased record", err);
    return 0;
}

/* What cannot be read here is as good as not here, and fsck's matter. */
static bool is_damage(int rc)
{
    return rc == DS_CORRUPT || rc == DS_FAIL;
}

static int compare_block(const check *c, const pair *p, ds_err *err)
{
    ds_manline was = *p->now, is = *p->then;
    const ds_verside
        a = {.store = c->store, .version = *c->version, .schema = c->schema, .n = 1, .lines = &was},
        b = {.store = c->store, .version = *c->version, .schema = c->schema, .n = 1, .lines = &is};
    ds_recblock now = {.side = NULL}, then = {.side = NULL};
    ds_err why = {0};
    int rc = ds_recblock_load(&now, &a, 0, false, &why);
    const bool damaged = is_damage(rc);
    if (rc && !damaged)
        rc = ds_fail_as(err, &why);
    else if (!damaged)
        rc = ds_recblock_load(&then, &b, 0, false, err);
    for (uint64_t row = 0; !rc && ds_recblock_next(&now) && ds_recblock_next(&then); row++)
        rc = compare_record(c, p, row, &now, &then, err);
    ds_recblock_fini(&now);
    ds_recblock_fini(&then);
    return damaged ? 0 : rc;
}

/* ---- a page ---- */

static const char *compare_source(const ds_source *x, const ds_source *y)
{
    static const ds_source none;
    if (ds_tombstone_source(y))
        return y->size == 0 && ds_sha_eq(&y->sha, &none.sha)
                   ? NULL
                   : "is not what is left of an erased source";
    return x->len == y->len && memcmp(x->name, y->name, x->len) == 0 && x->size == y->size &&
                   ds_sha_eq(&x->sha, &y->sha)
               ? NULL
               : "is another than it was, and is not erased";
}

static int compare_page(const check *c, const pair *p, ds_err *err)
{
    ds_objstore *objs = c->store->objs;
    ds_buf a = {0}, b = {0};
    ds_err why = {0};
    size_t x = 0, y = 0;
    int rc = ds_objstore_get(objs, ds_manline_pieces(p->now), true, &a, &why);
    const bool damaged = is_damage(rc);
    if (rc && !damaged)
        rc = ds_fail_as(err, &why);
    else if (!damaged)
        rc = ds_objstore_get(objs, ds_manline_pieces(p->then), true, &b, err);
    for (uint64_t row = 0; !rc && (x < a.len || y < b.len); row++) {
        ds_source one, two;
        uint64_t before, after;
        const char *how =
            x == a.len || y == b.len ? "there are more or fewer than there were" : NULL;
        rc = how ? 0 : ds_page_next(a.data, a.len, &x, &before, &one, err);
        rc = rc || how ? rc : ds_page_next(b.data, b.len, &y, &after, &two, err);
        if (!rc && !how)
            how = before == after ? compare_source(&one, &two) : "stands at another place";
        rc = rc || !how ? rc : refuse(c, p, row, NULL, how, err);
    }
    ds_buf_fini(&a);
    ds_buf_fini(&b);
    return damaged ? 0 : rc;
}

/* ---- what is lacking ---- */

/* rows: ds_erasedrow. */
static int make_block(const check *c, const pair *p, ds_manline *made, ds_buf *rows, ds_err *err)
{
    ds_manline was = *p->now;
    const ds_verside side = {
        .store = c->store, .version = *c->version, .schema = c->schema, .n = 1, .lines = &was};
    return ds_tombstone_block(made, &side, 0, rows, NULL, c->make, err);
}

static int make_page(const check *c, const pair *p, ds_manline *made, ds_buf *rows, ds_err *err)
{
    ds_buf page = {0};
    int rc = ds_objstore_get(c->store->objs, ds_manline_pieces(p->now), true, &page, err);
    rc =
        rc ? rc
           : ds_tombstone_page(made, &page, p->now->rows, rows, NULL, c->store->objs, c->make, err);
    ds_buf_fini(&page);
    return rc;
}

static int make(const check *c, const ds_manscan *at, const pair *p, ds_err *err)
{
    ds_manline made = {0};
    ds_buf rows = {0};
    ds_err why = {0};
    int rc = ds_overlay_rows(c->fresh, &p->was, &rows, err);
    if (rc > 0) {
        rc = at->pages ? make_page(c, p, &made, &rows, &why) : make_block(c, p, &made, &rows, &why);
        if (rc && !is_damage(rc))
            rc = ds_fail_as(err, &why);
        else
            rc = 0;
    }
    ds_manline_fini(&made);
    ds_buf_fini(&rows);
    return rc;
}

/* ---- all ---- */

/* How many pieces of a line are read: a block's origins are not replaced. */
static size_t count_pieces(const ds_manscan *at, const ds_manline *l)
{
    const size_t n = l->pieces.len / sizeof(ds_sha);
    return at->pages ? n : n - ds_manline_npieces(l, l->nchunks - 1);
}

static bool is_here(const check *c, const ds_manscan *at, const ds_manline *l)
{
    for (size_t i = 0; i < count_pieces(at, l); i++)
        if (!ds_objstore_has(c->store->objs, &ds_manline_pieces(l)[i]))
            return false;
    return true;
}

static int look(check *c, ds_manscan *at, const pair *p, ds_err *err)
{
    const ds_manline *l = p->then;
    int rc = 0;
    if (!is_here(c, at, p->now) || (c->make && is_here(c, at, l)))
        return 0;
    if (!at->pages && (p->now->nchunks != c->schema.n + 1 || l->nchunks != c->schema.n + 1))
        return ds_fail(err, DS_CORRUPT, "%s, version %.12s: a block of %zu chunks for %zu columns",
                       c->version->dataset, git_oid_tostr_s(&c->version->id), l->nchunks,
                       c->schema.n);
    for (size_t i = 0; !rc && c->want && i < count_pieces(at, l); i++)
        rc = ds_shaset_add(c->want, &ds_manline_pieces(l)[i], NULL, err);
    if (rc || c->want)
        return rc;
    if (c->make)
        return make(c, at, p, err);
    return at->pages ? compare_page(c, p, err) : compare_block(c, p, err);
}

static int scan(check *c, const char *what, ds_err *err)
{
    ds_manscan at = {0};
    ds_manline now = {0}, then = {0};
    pair p = {.now = &now, .then = &then};
    int rc = open_scan(&at, c, what, err);
    at.once = &c->files;
    while (!rc && c->done.n < c->open.n && (rc = ds_manscan_next(&at, &now, err)) > 0) {
        ds_sha origin;
        bool first = false;
        rc = ds_manscan_addr(&at, &now, &p.was, &origin, err);
        if (!rc && ds_shaset_has(&c->open, &p.was))
            rc = ds_shaset_add(&c->done, &p.was, &first, err);
        if (!rc && first && (rc = ds_manscan_instead(&at, c->fresh, &p.was, &now, &then, err)) > 0)
            rc = look(c, &at, &p, err);
        rc = rc ? rc : ds_check_interrupt(err);
    }
    ds_manscan_close(&at);
    ds_manline_fini(&now);
    ds_manline_fini(&then);
    return rc;
}

static int look_at(void *ctx, const git_oid *id, const ds_version *v, const ds_err *why,
                   ds_err *err)
{
    check *c = ctx;
    (void)id;
    (void)why;
    if (!v || !*v->dataset)
        return 0;
    c->version = v;
    ds_schema_init(&c->schema);
    int rc = ds_version_schema(&c->schema, c->store->cat, &v->tree, err);
    rc = rc ? rc : scan(c, "blocks", err);
    rc = rc ? rc : scan(c, "sources", err);
    ds_schema_fini(&c->schema);
    return rc ? rc : c->done.n == c->open.n; /* stops */
}

static int run(check *c, ds_err *err)
{
    int rc = find_open(c, err);
    rc = rc || !c->open.n ? rc : ds_history_each(c->store->cat, look_at, c, err);
    ds_shaset_fini(&c->open);
    ds_shaset_fini(&c->done);
    ds_oidset_fini(&c->files);
    return rc < 0 ? rc : 0;
}

int ds_erasecheck_want(ds_shaset *want, ds_store *s, const ds_overlay *old, const ds_overlay *fresh,
                       ds_err *err)
{
    check c = {.store = s, .old = old, .fresh = fresh, .want = want};
    return run(&c, err);
}

int ds_erasecheck_make(ds_store *s, const ds_overlay *old, const ds_overlay *fresh, ds_err *err)
{
    check c = {.store = s, .old = old, .fresh = fresh};
    size_t n;
    int rc = ds_objtx_begin(&c.make, s->objs, 1, err);
    if (rc)
        return rc;
    const ds_sha *gone = ds_overlay_gone(fresh, &n); /* nothing is stored against what is to go */
    ds_objtx_avoid(c.make, gone, n);
    rc = run(&c, err);
    if (!rc)
        return ds_objtx_finish(c.make, NULL, err);
    ds_objtx_abort(c.make);
    return rc;
}

int ds_erasecheck(ds_store *s, const ds_overlay *old, const ds_overlay *fresh, ds_err *err)
{
    check c = {.store = s, .old = old, .fresh = fresh};
    return run(&c, err);
}
