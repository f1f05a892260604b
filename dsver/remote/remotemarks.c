/* remotemarks.c - see remotemarks.h. */
#include "remotemarks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"

#define FOLDER "gc/"
#define CONDEMNED ".condemned"
#define DELETING ".deleting"
#define NOW "now-"

int ds_marks_me(ds_marks *m, ds_err *err)
{
    int rc = 0;
    while (!rc && !m->me)
        rc = ds_random(&m->me, sizeof m->me, err);
    return rc;
}

/* Whose it is stands behind it; those of other times have no number. */
static bool is_deleting(const char *name)
{
    return strlen(name) > 64 && strncmp(name + 64, DELETING, sizeof DELETING - 1) == 0;
}

static int on_file(void *ctx, const ds_remote_file *f, ds_err *err)
{
    ds_marks *m = ctx;
    ds_packmark k = {.condemned = 0};
    char mine[32];
    snprintf(mine, sizeof mine, DELETING "-%016" PRIx64, m->me);
    if (strlen(f->name) < 65 || !ds_sha_parse(&k.pack, f->name, 64))
        return 0;
    if (strcmp(f->name + 64, CONDEMNED) == 0)
        k.condemned = f->time;
    else if (is_deleting(f->name))
        k.deleting = f->time;
    else
        return 0;
    k.mine = m->me && strcmp(f->name + 64, mine) == 0;
    return ds_buf_put(&m->v, &k, sizeof k) ? ds_fail_nomem(err) : 0;
}

static void join_mark(ds_packmark *to, const ds_packmark *k)
{
    if (k->condemned > to->condemned)
        to->condemned = k->condemned;
    if (k->deleting > to->deleting)
        to->deleting = k->deleting;
    to->mine = to->mine || k->mine;
}

int ds_marks_list(ds_marks *m, ds_remote *r, ds_err *err)
{
    ds_buf_reset(&m->v);
    int rc = ds_remote_list(r, FOLDER, on_file, m, err);
    ds_packmark *v = (ds_packmark *)(void *)m->v.data;
    size_t n = m->v.len / sizeof *v, to = 0;
    if (n)
        qsort(v, n, sizeof *v, ds_sha_cmp);
    for (size_t i = 0; i < n; i++)
        if (to && ds_sha_eq(&v[to - 1].pack, &v[i].pack))
            join_mark(&v[to - 1], &v[i]);
        else
            v[to++] = v[i];
    m->v.len = to * sizeof *v;
    return rc;
}

const ds_packmark *ds_marks_find(const ds_marks *m, const ds_sha *pack)
{
    const size_t n = m->v.len / sizeof(ds_packmark);
    return n ? bsearch(pack, m->v.data, n, sizeof(ds_packmark), ds_sha_cmp) : NULL;
}

void ds_marks_fini(ds_marks *m)
{
    ds_buf_fini(&m->v);
}

enum { NAME = 128 };

/* me 0: the first mark. */
static void mark_name(char out[NAME], const ds_sha *pack, uint64_t me)
{
    char hex[65];
    ds_sha_hex(hex, pack);
    if (me)
        snprintf(out, NAME, FOLDER "%s" DELETING "-%016" PRIx64, hex, me);
    else
        snprintf(out, NAME, FOLDER "%s" CONDEMNED, hex);
}

static int put(ds_remote *r, const char *name, ds_err *err)
{
    ds_remote_body b = {.data = "\n", .fd = -1, .n = 1};
    int rc = ds_sha_bytes(&b.sum, b.data, b.n, err);
    rc = rc ? rc : ds_remote_put(r, name, &b, err);
    return rc < 0 ? rc : 0;
}

static int put_mark(ds_remote *r, const ds_sha *pack, uint64_t me, ds_err *err)
{
    char name[NAME];
    mark_name(name, pack, me);
    return put(r, name, err);
}

static int drop_mark(ds_remote *r, const ds_sha *pack, uint64_t me, ds_err *err)
{
    char name[NAME];
    mark_name(name, pack, me);
    return ds_remote_delete(r, name, err);
}

int ds_marks_condemn(ds_remote *r, const ds_sha *pack, ds_err *err)
{
    return put_mark(r, pack, 0, err);
}

int ds_marks_spare(ds_remote *r, const ds_sha *pack, ds_err *err)
{
    return drop_mark(r, pack, 0, err);
}

int ds_marks_claim(const ds_marks *m, ds_remote *r, const ds_sha *pack, ds_err *err)
{
    return put_mark(r, pack, m->me, err);
}

int ds_marks_let_go(const ds_marks *m, ds_remote *r, const ds_sha *pack, ds_err *err)
{
    return drop_mark(r, pack, m->me, err);
}

typedef struct watch {
    const char *name;
    int64_t time;
} watch;

static int on_watch(void *ctx, const ds_remote_file *f, ds_err *err)
{
    watch *w = ctx;
    (void)err;
    if (strcmp(f->name, w->name) == 0)
        w->time = f->time;
    return 0;
}

int ds_marks_now(int64_t *now, ds_remote *r, ds_err *err)
{
    char name[64];
    uint64_t salt = 0;
    int rc = ds_random(&salt, sizeof salt, err);
    if (rc)
        return rc;
    snprintf(name, sizeof name, FOLDER NOW "%016" PRIx64, salt);
    watch w = {.name = name + sizeof FOLDER - 1, .time = INT64_MAX};
    rc = put(r, name, err);
    rc = rc ? rc : ds_remote_list(r, FOLDER, on_watch, &w, err);
    (void)ds_remote_delete(r, name, NULL);
    if (!rc && w.time == INT64_MAX)
        rc = ds_fail(err, DS_IO, "%s: does not tell how old its files are", ds_remote_place(r));
    *now = w.time;
    return rc;
}

typedef struct burial {
    int64_t before;
    ds_buf names; /* NUL behind each */
    uint64_t marks;
} burial;

static int on_old(void *ctx, const ds_remote_file *f, ds_err *err)
{
    burial *b = ctx;
    ds_sha pack;
    const bool mark = is_deleting(f->name) && ds_sha_parse(&pack, f->name, 64);
    if (f->time > b->before || (!mark && strncmp(f->name, NOW, sizeof NOW - 1) != 0))
        return 0;
    b->marks += mark;
    return ds_buf_put(&b->names, f->name, strlen(f->name) + 1) ? ds_fail_nomem(err) : 0;
}

int ds_marks_bury(uint64_t *n, ds_remote *r, int64_t now, ds_err *err)
{
    burial b = {.before = now - DS_MARK_DEAD};
    int rc = ds_remote_list(r, FOLDER, on_old, &b, err);
    const char *name = (const char *)b.names.data;
    for (size_t at = 0; !rc && at < b.names.len; at += strlen(name + at) + 1) {
        char path[NAME + 64];
        snprintf(path, sizeof path, FOLDER "%s", name + at);
        rc = ds_remote_delete(r, path, err);
    }
    *n = b.marks;
    ds_buf_fini(&b.names);
    return rc;
}
