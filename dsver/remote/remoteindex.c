/* remoteindex.c - see remoteindex.h. */
#include "remoteindex.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "io.h"
#include "pool.h"
#include "remotemarks.h"
#include "sig.h"
#include "store.h"
#include "sumvfs.h"

enum { FETCHERS = 8 };

typedef ds_listed listed;

struct ds_remoteindex {
    ds_remote *remote;
    ds_objindex *ix; /* NULL: not opened yet */
    char *path;
    ds_buf list; /* listed, sorted by name */
    const ds_shaset *skip;
    enum ds_avoid avoid;
    int lock; /* shared by all who use the cache: nobody empties it under others. -1: none */
    bool own; /* ix is ours alone */
};

void ds_remote_pack_name(char out[80], const ds_sha *pack, const char *ending)
{
    char hex[65];
    ds_sha_hex(hex, pack);
    snprintf(out, 80, "packs/%s.%s", hex, ending);
}

/* A cache that cannot be read is made anew. */
static int open_cache(ds_remoteindex *x, ds_err *err)
{
    ds_err why = {0};
    int rc = ds_objindex_open(&x->ix, x->path, DS_INDEX_AFAR, &why);
    if (rc == 0 || ds_is_io(rc) || rc == DS_NOMEM || rc == DS_LOCKED)
        return rc ? ds_fail_as(err, &why) : 0;
    ds_sumdb_remove(x->path);
    return ds_objindex_open(&x->ix, x->path, DS_INDEX_AFAR, err);
}

/* A store that cannot be written does without. */
static int share_cache(ds_remoteindex *x, const char *folder, ds_err *err)
{
    char *path = NULL;
    if (asprintf(&path, "%s/lock", folder) < 0)
        return ds_fail_nomem(err);
    x->lock = ds_io_active->open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (x->lock >= 0)
        (void)flock(x->lock, LOCK_SH);
    free(path);
    return 0;
}

int ds_remoteindex_open(ds_remoteindex **out, const char *dir, const char *name, ds_remote *r,
                        ds_err *err)
{
    ds_remoteindex *x = calloc(1, sizeof *x);
    char *folder = NULL;
    *out = NULL;
    if (!x)
        return ds_fail_nomem(err);
    x->remote = r;
    x->lock = -1;
    int rc = 0;
    if (asprintf(&folder, "%s/remotes/%s", dir, name) < 0 ||
        asprintf(&x->path, "%s/index.db", folder) < 0)
        rc = ds_fail_nomem(err);
    rc = rc ? rc : ds_mkdirs(folder, err);
    rc = rc ? rc : share_cache(x, folder, err);
    free(folder);
    if (rc) {
        ds_remoteindex_close(x);
        return rc;
    }
    *out = x;
    return 0;
}

void ds_remoteindex_close(ds_remoteindex *x)
{
    if (!x)
        return;
    ds_objindex_close(x->ix);
    ds_buf_fini(&x->list);
    if (x->lock >= 0)
        close(x->lock);
    free(x->path);
    free(x);
}

ds_objindex *ds_remoteindex_get(ds_remoteindex *x)
{
    return x->ix;
}

/* ---- the listing ---- */

static listed *list_at(const ds_remoteindex *x)
{
    return (listed *)(void *)x->list.data;
}

static size_t list_n(const ds_remoteindex *x)
{
    return x->list.len / sizeof(listed);
}

static int on_file(void *ctx, const ds_remote_file *file, ds_err *err)
{
    ds_remoteindex *x = ctx;
    const char *name = file->name;
    listed l = {.pack = UINT64_MAX, .heads = UINT64_MAX};
    if (strlen(name) < 69 || !ds_sha_parse(&l.name, name, 64))
        return 0;
    if (strcmp(name + 64, ".pack") == 0)
        l.pack = file->size;
    else if (strcmp(name + 64, ".heads") == 0)
        l.heads = file->size;
    else
        return 0;
    return ds_buf_put(&x->list, &l, sizeof l) ? ds_fail_nomem(err) : 0;
}

/* One entry for a pack and its heads. */
static void join_listed(ds_remoteindex *x)
{
    listed *l = list_at(x);
    size_t n = list_n(x), to = 0;
    if (n)
        qsort(l, n, sizeof *l, ds_sha_cmp);
    for (size_t i = 0; i < n; i++)
        if (to && ds_sha_eq(&l[to - 1].name, &l[i].name)) {
            l[to - 1].pack = l[i].pack < l[to - 1].pack ? l[i].pack : l[to - 1].pack;
            l[to - 1].heads = l[i].heads < l[to - 1].heads ? l[i].heads : l[to - 1].heads;
        } else {
            l[to++] = l[i];
        }
    x->list.len = to * sizeof *l;
}

static const listed *find_listed(const ds_remoteindex *x, const ds_sha *name)
{
    return list_n(x) ? bsearch(name, list_at(x), list_n(x), sizeof(listed), ds_sha_cmp) : NULL;
}

bool ds_remoteindex_listed(const ds_remoteindex *x, const ds_sha *pack, uint64_t *size)
{
    const listed *l = find_listed(x, pack);
    if (!l || l->pack == UINT64_MAX)
        return false;
    *size = l->pack;
    return true;
}

void ds_remoteindex_skip(ds_remoteindex *x, const ds_shaset *packs)
{
    x->skip = packs;
}

enum ds_avoid ds_remoteindex_avoid(ds_remoteindex *x, enum ds_avoid condemned)
{
    const enum ds_avoid was = x->avoid;
    x->avoid = condemned;
    return was;
}

static bool skipped(const ds_remoteindex *x, const ds_sha *pack)
{
    return x->skip && ds_shaset_has(x->skip, pack);
}

bool ds_remoteindex_entry(const ds_remoteindex *x, size_t i, ds_listed *out)
{
    if (i >= list_n(x))
        return false;
    *out = ((const listed *)(const void *)x->list.data)[i];
    return true;
}

int ds_remoteindex_heads(ds_remoteindex *x, const ds_sha *pack, ds_packheads_fn fn, void *ctx,
                         ds_err *err)
{
    const listed *l = find_listed(x, pack);
    ds_buf text = {0};
    char name[80];
    uint64_t objects;
    if (!l || l->pack == UINT64_MAX || l->heads > l->pack)
        return 0; /* holds nothing for anybody */
    ds_remote_pack_name(name, pack, "heads");
    int rc = ds_remote_get_buf(x->remote, name, 0, l->heads, &text, err);
    rc = rc ? rc : ds_packheads_each(text.data, text.len, l->pack, &objects, fn, ctx, err);
    ds_buf_fini(&text);
    return rc;
}

static int add_name(void *ctx, int64_t n, const ds_packrow *p)
{
    (void)n;
    return ds_buf_put(ctx, &p->name, sizeof p->name);
}

int ds_remoteindex_waiting(ds_remoteindex *x, ds_packheads_fn fn, void *ctx, ds_err *err)
{
    ds_buf names = {0};
    int rc = ds_objindex_waiting(x->ix, add_name, &names, err);
    const ds_sha *v = (const ds_sha *)(const void *)names.data;
    for (size_t i = 0; !rc && i < names.len / sizeof *v; i++) {
        ds_err why = {0};
        rc = ds_remoteindex_heads(x, &v[i], fn, ctx, &why);
        if (rc && rc != DS_CORRUPT)
            ds_fail_as(err, &why);
        rc = rc == DS_CORRUPT ? 0 : rc; /* damaged heads hold nothing */
    }
    ds_buf_fini(&names);
    return rc;
}

/* ---- what is known ---- */

typedef struct known {
    ds_remoteindex *x;
    ds_buf names; /* ds_sha, in order */
    bool gone;    /* a pack that was known has vanished, or its heads, or it has another length */
} known;

static int on_known(void *ctx, int64_t n, const ds_packrow *p)
{
    known *k = ctx;
    const listed *l = find_listed(k->x, &p->name);
    (void)n;
    if (!l || l->pack != p->size || l->heads == UINT64_MAX || skipped(k->x, &p->name))
        k->gone = true;
    return ds_buf_put(&k->names, p->name.b, sizeof p->name);
}

static int on_row(void *ctx, const ds_objloc *loc)
{
    return ds_buf_put(ctx, &loc->row, sizeof loc->row);
}

static int on_pack(void *ctx, int64_t n, const ds_packrow *p)
{
    (void)p;
    return ds_buf_put(ctx, &n, sizeof n);
}

/* Packs that went take pieces with them that others may hold as well: all is taken in anew. */
static int empty_cache(ds_remoteindex *x, ds_err *err)
{
    ds_buf rows = {0}, packs = {0};
    int rc = ds_objindex_pieces(x->ix, 0, on_row, &rows, err);
    rc = rc ? rc : ds_objindex_packs(x->ix, on_pack, &packs, err);
    rc = rc ? rc : ds_objindex_begin(x->ix, err);
    const int64_t *v = (const int64_t *)(const void *)rows.data;
    for (size_t i = 0; !rc && i < rows.len / sizeof *v; i++)
        rc = ds_objindex_remove(x->ix, v[i], err);
    v = (const int64_t *)(const void *)packs.data;
    for (size_t i = 0; !rc && i < packs.len / sizeof *v; i++)
        rc = ds_objindex_remove_pack(x->ix, v[i], err);
    rc = rc ? rc : ds_objindex_commit(x->ix, err);
    if (rc)
        ds_objindex_rollback(x->ix);
    ds_buf_fini(&rows);
    ds_buf_fini(&packs);
    return rc;
}

/* What is known is begun anew: in the cache, when nobody else uses it and it is for all. */
static int begin_anew(ds_remoteindex *x, ds_err *err)
{
    if (x->own)
        return empty_cache(x, err);
    if (!x->skip && x->lock >= 0 && flock(x->lock, LOCK_EX | LOCK_NB) == 0) {
        int rc = empty_cache(x, err);
        (void)flock(x->lock, LOCK_SH);
        return rc;
    }
    if (x->lock >= 0) /* a try that fails may have lost it */
        (void)flock(x->lock, LOCK_SH);
    ds_objindex *ix = NULL;
    int rc = ds_objindex_open(&ix, "", DS_INDEX_AFAR, err);
    if (rc)
        return rc;
    ds_objindex_close(x->ix);
    x->ix = ix;
    x->own = true;
    return 0;
}

/* ---- taking in ---- */

typedef struct fetch {
    const listed *what;
    ds_buf text;
    int rc;
    ds_err err;
} fetch;

static void fetch_heads(void *job, void *ctx)
{
    fetch *f = job;
    ds_remoteindex *x = ctx;
    char name[80];
    f->err = (ds_err){0};
    ds_remote_pack_name(name, &f->what->name, "heads");
    if (f->what->heads > f->what->pack) /* heads are a part of the pack */
        f->rc = ds_fail(&f->err, DS_CORRUPT, "its heads are longer than the pack");
    else
        f->rc = ds_remote_get_buf(x->remote, name, 0, f->what->heads, &f->text, &f->err);
}

static bool is_known(const ds_buf *names, const ds_sha *pack)
{
    return names->len &&
           bsearch(pack, names->data, names->len / sizeof(ds_sha), sizeof(ds_sha), ds_sha_cmp);
}

/* When packs have come, what waited for bases is taken in again: it is known no more. */
static int forget_waiting(ds_remoteindex *x, ds_buf *names, ds_err *err)
{
    ds_buf waiting = {0};
    bool fresh = false;
    for (size_t i = 0; !fresh && i < list_n(x); i++) {
        const listed *l = &list_at(x)[i];
        fresh = l->pack != UINT64_MAX && l->heads != UINT64_MAX && !skipped(x, &l->name) &&
                !is_known(names, &l->name);
    }
    int rc = fresh ? ds_objindex_waiting(x->ix, add_name, &waiting, err) : 0;
    ds_sha *v = (ds_sha *)(void *)names->data;
    size_t to = 0;
    for (size_t i = 0; !rc && waiting.len && i < names->len / sizeof *v; i++)
        if (!is_known(&waiting, &v[i]))
            v[to++] = v[i];
    if (!rc && waiting.len)
        names->len = to * sizeof *v;
    ds_buf_fini(&waiting);
    return rc;
}

typedef struct taking {
    ds_objindex *ix;
    int64_t pack;
} taking;

static int check_only(void *ctx, const ds_objhead *h, uint64_t off, ds_err *err)
{
    (void)ctx;
    (void)h;
    (void)off;
    (void)err;
    return 0;
}

static int take_head(void *ctx, const ds_objhead *h, uint64_t off, ds_err *err)
{
    const taking *t = ctx;
    return ds_objindex_adopt_object(t->ix, t->pack, h, off, err);
}

static int take_heads(ds_remoteindex *x, const fetch *f, ds_remotestate *state, ds_err *err)
{
    ds_err why = {0};
    char name[80];
    taking t = {.ix = x->ix};
    ds_packrow row = {.name = f->what->name, .size = f->what->pack};
    int rc = f->rc ? ds_fail(&why, f->rc, "%s", f->err.msg)
                   : ds_packheads_each(f->text.data, f->text.len, row.size, &row.objects,
                                       check_only, NULL, &why);
    if (rc && rc != DS_CORRUPT)
        return ds_fail_as(err, &why);
    if (rc) {
        ds_remote_pack_name(name, &row.name, "pack");
        if (state->damaged++ == 0)
            snprintf(state->first, sizeof state->first, "%.70s: %.80s", name, why.msg);
        return 0;
    }
    state->packs++;
    rc = ds_objindex_adopt_pack(x->ix, &row, &t.pack, err);
    return rc ? rc
              : ds_packheads_each(f->text.data, f->text.len, row.size, &row.objects, take_head, &t,
                                  err);
}

/* The largest first; what is not there is behind all. */
static int by_size(const void *a, const void *b)
{
    const listed *x = *(const listed *const *)a, *y = *(const listed *const *)b;
    const uint64_t n = x->pack + 1, m = y->pack + 1;
    return n != m ? (n < m) - (n > m) : ds_sha_cmp(&x->name, &y->name);
}

static int put_in_order(const listed ***out, const ds_remoteindex *x, ds_err *err)
{
    *out = calloc(list_n(x) + 1, sizeof **out);
    if (!*out)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < list_n(x); i++)
        (*out)[i] = &list_at(x)[i];
    if (list_n(x))
        qsort(*out, list_n(x), sizeof **out, by_size);
    return 0;
}

/* Fetches by many, takes in one after the other. */
static int take_new(ds_remoteindex *x, const ds_buf *names, ds_remotestate *state, ds_err *err)
{
    const listed **order = NULL;
    fetch jobs[FETCHERS];
    ds_pool *pool = NULL;
    size_t next = 0, idle = 0;
    fetch *free_jobs[FETCHERS], *f;
    memset(jobs, 0, sizeof jobs);
    for (size_t i = 0; i < FETCHERS; i++)
        free_jobs[idle++] = &jobs[i];
    int rc = put_in_order(&order, x, err);
    rc = rc ? rc : ds_pool_new(&pool, FETCHERS, FETCHERS, fetch_heads, x, err);
    while (!rc) {
        for (; !rc && idle && next < list_n(x); next++) {
            const listed *l = order[next];
            if (is_known(names, &l->name) || skipped(x, &l->name))
                continue;
            if (l->pack == UINT64_MAX || l->heads == UINT64_MAX) {
                state->bare += l->pack != UINT64_MAX;
                continue;
            }
            f = free_jobs[--idle];
            f->what = l;
            rc = ds_pool_submit(pool, f, err);
        }
        if (rc || !(f = ds_pool_next(pool)))
            break;
        rc = take_heads(x, f, state, err);
        rc = rc ? rc : ds_check_interrupt(err);
        free_jobs[idle++] = f;
    }
    while (pool && ds_pool_next(pool))
        ;
    ds_pool_free(pool);
    for (size_t i = 0; i < FETCHERS; i++)
        ds_buf_fini(&jobs[i].text);
    free(order);
    return rc;
}

/* Takes those out of the list that are condemned; those that are known stay, unless all go. */
static int leave_out(ds_remoteindex *x, const ds_marks *marks, ds_err *err)
{
    ds_buf names = {0};
    listed *l = list_at(x);
    size_t to = 0;
    int rc = x->ix ? 0 : open_cache(x, err);
    if (!rc && x->avoid == DS_AVOID_NEW && ds_objindex_packs(x->ix, add_name, &names, err))
        rc = ds_fail_nomem(err);
    if (names.len)
        qsort(names.data, names.len / sizeof(ds_sha), sizeof(ds_sha), ds_sha_cmp);
    for (size_t i = 0; !rc && i < list_n(x); i++)
        if (!ds_marks_find(marks, &l[i].name) || is_known(&names, &l[i].name))
            l[to++] = l[i];
    if (!rc)
        x->list.len = to * sizeof *l;
    ds_buf_fini(&names);
    return rc;
}

int ds_remoteindex_list(ds_remoteindex *x, ds_err *err)
{
    ds_marks marks = {.me = 0};
    ds_buf_reset(&x->list);
    int rc = x->avoid != DS_AVOID_NONE ? ds_marks_list(&marks, x->remote, err) : 0;
    rc = rc ? rc : ds_remote_list(x->remote, "packs/", on_file, x, err);
    if (!rc)
        join_listed(x);
    if (!rc && marks.v.len)
        rc = leave_out(x, &marks, err);
    ds_marks_fini(&marks);
    return rc;
}

int ds_remoteindex_take(ds_remoteindex *x, ds_remotestate *state, ds_err *err)
{
    known k = {.x = x};
    *state = (ds_remotestate){.packs = 0};
    int rc = x->ix ? 0 : open_cache(x, err);
    rc = rc ? rc : ds_objindex_packs(x->ix, on_known, &k, err);
    if (!rc && k.gone) {
        ds_buf_reset(&k.names);
        rc = begin_anew(x, err);
    }
    rc = rc ? rc : forget_waiting(x, &k.names, err);
    state->gone = k.gone;
    state->packs = k.names.len / sizeof(ds_sha);
    bool begun = !rc;
    rc = rc ? rc : ds_objindex_adopt_begin(x->ix, err);
    rc = rc ? rc : take_new(x, &k.names, state, err);
    rc = rc ? rc : ds_objindex_adopt_end(x->ix, NULL, NULL, err);
    if (rc && begun)
        ds_objindex_adopt_cancel(x->ix);
    if (!rc)
        ds_objindex_settle(x->ix);
    ds_buf_fini(&k.names);
    return rc;
}

int ds_remoteindex_refresh(ds_remoteindex *x, ds_remotestate *state, ds_err *err)
{
    *state = (ds_remotestate){.packs = 0};
    int rc = ds_remoteindex_list(x, err);
    return rc ? rc : ds_remoteindex_take(x, state, err);
}
