/* remotemarks.c - see remotemarks.h. */
#include "remotemarks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define FOLDER "gc/"
static const char *const endings[] = {".condemned", ".deleting"};

static int by_pack(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(ds_sha));
}

static int on_file(void *ctx, const ds_remote_file *f, ds_err *err)
{
    ds_marks *m = ctx;
    ds_packmark k = {.condemned = 0};
    if (strlen(f->name) < 65 || !ds_sha_parse(&k.pack, f->name, 64))
        return 0;
    if (strcmp(f->name + 64, endings[0]) == 0)
        k.condemned = f->time;
    else if (strcmp(f->name + 64, endings[1]) == 0)
        k.deleting = f->time;
    else
        return 0;
    return ds_buf_put(&m->v, &k, sizeof k) ? ds_fail_nomem(err) : 0;
}

int ds_marks_list(ds_marks *m, ds_remote *r, ds_err *err)
{
    ds_buf_reset(&m->v);
    int rc = ds_remote_list(r, FOLDER, on_file, m, err);
    ds_packmark *v = (ds_packmark *)(void *)m->v.data;
    size_t n = m->v.len / sizeof *v, to = 0;
    if (n)
        qsort(v, n, sizeof *v, by_pack);
    for (size_t i = 0; i < n; i++)
        if (to && ds_sha_eq(&v[to - 1].pack, &v[i].pack)) {
            v[to - 1].condemned += v[i].condemned;
            v[to - 1].deleting += v[i].deleting;
        } else {
            v[to++] = v[i];
        }
    m->v.len = to * sizeof *v;
    return rc;
}

const ds_packmark *ds_marks_find(const ds_marks *m, const ds_sha *pack)
{
    const size_t n = m->v.len / sizeof(ds_packmark);
    return n ? bsearch(pack, m->v.data, n, sizeof(ds_packmark), by_pack) : NULL;
}

void ds_marks_fini(ds_marks *m)
{
    ds_buf_fini(&m->v);
}

static void mark_name(char out[96], const ds_sha *pack, bool deleting)
{
    char hex[65];
    ds_sha_hex(hex, pack);
    snprintf(out, 96, FOLDER "%s%s", hex, endings[deleting]);
}

static int put(ds_remote *r, const char *name, ds_err *err)
{
    ds_remote_body b = {.data = "\n", .fd = -1, .n = 1};
    int rc = ds_sha_bytes(&b.sum, b.data, b.n, err);
    rc = rc ? rc : ds_remote_put(r, name, &b, err);
    return rc < 0 ? rc : 0;
}

int ds_marks_put(ds_remote *r, const ds_sha *pack, bool deleting, ds_err *err)
{
    char name[96];
    mark_name(name, pack, deleting);
    return put(r, name, err);
}

int ds_marks_drop(ds_remote *r, const ds_sha *pack, bool deleting, ds_err *err)
{
    char name[96];
    mark_name(name, pack, deleting);
    return ds_remote_delete(r, name, err);
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
    if (getrandom(&salt, sizeof salt, 0) != sizeof salt)
        return ds_fail_errno(err, errno, "no random bytes from the system");
    snprintf(name, sizeof name, FOLDER "now-%016" PRIx64, salt);
    watch w = {.name = name + sizeof FOLDER - 1, .time = INT64_MAX};
    int rc = put(r, name, err);
    rc = rc ? rc : ds_remote_list(r, FOLDER, on_watch, &w, err);
    (void)ds_remote_delete(r, name, NULL);
    if (!rc && w.time == INT64_MAX)
        rc = ds_fail(err, DS_IO, "%s: does not tell how old its files are", ds_remote_place(r));
    *now = w.time;
    return rc;
}
