/* Taking packs into an index: a few that a crash left out, or all of them into a new one. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>

#include "objcore.h"
#include "sumvfs.h"

typedef struct adoption {
    ds_objindex *ix;
    int64_t pack;
    char file[96]; /* "packs/....pack" */
    ds_objproblem_fn bad;
    void *ctx;
    ds_scrubstats stats;
    ds_err *err;
} adoption;

static void name_file(adoption *a, const ds_sha *name)
{
    char hex[65];
    ds_sha_hex(hex, name);
    snprintf(a->file, sizeof a->file, "packs/%s.pack", hex);
}

static int take_object(void *ctx, const ds_objhead *h, uint64_t off, const uint8_t *object,
                       size_t n)
{
    adoption *a = ctx;
    (void)object;
    a->stats.objects++;
    a->stats.bytes += n;
    return ds_objindex_adopt_object(a->ix, a->pack, h, off, a->err);
}

static int tell(void *ctx, uint64_t off, const ds_sha *id, const char *reason)
{
    adoption *a = ctx;
    ds_objproblem p = {.file = a->file, .offset = off, .id = id, .reason = reason};
    a->stats.problems++;
    return a->bad ? a->bad(a->ctx, &p) : 0;
}

static void tell_orphan(void *ctx, const ds_sha *id, const ds_sha *pack, uint64_t off,
                        const char *why)
{
    adoption *a = ctx;
    name_file(a, pack);
    (void)tell(a, off, id, why);
}

static int adopt_pack(adoption *a, const char *dir, const ds_sha *name, ds_err *err)
{
    size_t cap = strlen(dir) + 80;
    char *path = malloc(cap);
    ds_packrow row = {.name = *name};
    if (!path)
        return ds_fail_nomem(err);
    ds_pack_path(path, cap, dir, name);
    name_file(a, name);
    ds_packscan scan = {.path = path, .full = true, .object = take_object, .bad = tell, .ctx = a};
    const uint64_t before = a->stats.problems;
    int rc = ds_objindex_adopt_pack(a->ix, &row, &a->pack, err);
    if (rc == 0)
        rc = ds_pack_scan(&scan, err);
    /* more than it has rows, where something is damaged: gc knows by that */
    const uint64_t objects = scan.objects + a->stats.problems - before;
    if (rc == 0)
        rc = ds_objindex_adopt_sized(a->ix, a->pack, scan.size, objects, err);
    a->stats.packs++;
    free(path);
    return rc;
}

static int collect_name(void *ctx, int64_t n, const ds_packrow *pack)
{
    (void)n;
    return ds_buf_put(ctx, pack->name.b, sizeof pack->name);
}

int ds_objcore_adopt(ds_objindex *ix, const char *dir, bool all, ds_objproblem_fn bad, void *ctx,
                     ds_scrubstats *stats, ds_err *err)
{
    adoption a = {.ix = ix, .bad = bad, .ctx = ctx, .err = err};
    ds_buf known = {0};
    ds_sha *names = NULL;
    size_t n = 0, strange = 0;
    bool begun = false;
    int rc = ds_pack_list(dir, &names, &n, &strange, err);
    if (rc == 0 && !all)
        rc = ds_objindex_packs(ix, collect_name, &known, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (known.len &&
            bsearch(&names[i], known.data, known.len / sizeof(ds_sha), sizeof(ds_sha), ds_sha_cmp))
            continue;
        if (!begun)
            rc = ds_objindex_adopt_begin(ix, err);
        begun = true;
        if (rc == 0)
            rc = adopt_pack(&a, dir, &names[i], err);
    }
    if (rc == 0 && begun)
        rc = ds_objindex_adopt_end(ix, tell_orphan, &a, err);
    if (rc && begun)
        ds_objindex_adopt_cancel(ix);
    if (stats)
        *stats = a.stats;
    free(names);
    ds_buf_fini(&known);
    return rc;
}

/* ---- reindex ---- */

static void remove_file(const char *path, const char *suffix)
{
    ds_buf b = {0};
    if (ds_buf_printf(&b, "%s%s", path, suffix) == 0 && ds_buf_cstr(&b))
        (void)ds_io_active->unlink(ds_buf_cstr(&b));
    ds_buf_fini(&b);
}

static int build(const char *dir, const char *path, bool in_memory, ds_objproblem_fn report,
                 void *ctx, ds_scrubstats *stats, ds_err *err)
{
    ds_objindex *ix = NULL;
    int rc = ds_objindex_open(&ix, path, DS_INDEX_BUILD, err);
    if (rc == 0 && in_memory)
        ds_objindex_in_memory(ix);
    if (rc == 0)
        rc = ds_objcore_adopt(ix, dir, true, report, ctx, stats, err);
    rc = rc ? rc : ds_objindex_flush(ix, err);
    ds_objindex_close(ix);
    if (rc)
        ds_sumdb_remove(path);
    return rc;
}

/* The old index's WAL must not be taken for the new one's. Gone before the rename: a crash in
 * between leaves an index that lacks what was in the WAL, and the next opening adopts it. */
static int replace_index(const char *from, const char *to, ds_err *err)
{
    int fd = -1;
    int rc = ds_open(&fd, from, O_RDONLY, 0, err);
    if (rc == 0)
        rc = ds_fsync(fd, from, err);
    (void)ds_close(&fd, from, NULL);
    if (rc)
        return rc;
    remove_file(to, "-wal");
    remove_file(to, "-shm");
    if (ds_io_active->rename(from, to) != 0)
        return ds_fail_errno(err, errno, "%s: cannot be renamed to %s", from, to);
    return ds_fsync_parent(to, err);
}

int ds_objcore_reindex(const char *dir, bool in_memory, ds_objproblem_fn report, void *ctx,
                       ds_scrubstats *stats, ds_err *err)
{
    ds_buf tmp = {0}, index = {0};
    uint64_t r = 0;
    int rc = ds_random(&r, sizeof r, err);
    if (rc == 0 &&
        (ds_buf_printf(&tmp, "%s/tmp/index-%016" PRIx64 ".db", dir, r) || !ds_buf_cstr(&tmp) ||
         ds_buf_printf(&index, "%s/index.db", dir) || !ds_buf_cstr(&index)))
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = build(dir, ds_buf_cstr(&tmp), in_memory, report, ctx, stats, err);
    if (rc == 0 && (rc = replace_index(ds_buf_cstr(&tmp), ds_buf_cstr(&index), err)) != 0)
        ds_sumdb_remove(ds_buf_cstr(&tmp));
    ds_buf_fini(&tmp);
    ds_buf_fini(&index);
    return rc;
}

int ds_objstore_reindex(const char *dir, ds_objproblem_fn report, void *ctx, ds_scrubstats *stats,
                        ds_err *err)
{
    ds_buf folder = {0};
    ds_scrubstats mine = {0};
    int fd = -1, alone = -1, rc = 0;
    if (ds_buf_printf(&folder, "%s/packs", dir) || !ds_buf_cstr(&folder))
        rc = ds_fail_nomem(err);
    else if (!ds_path_exists(ds_buf_cstr(&folder)))
        rc = ds_fail(err, DS_NOSTORE, "%s: no store here", dir);
    rc = rc ? rc : ds_objcore_alone(&alone, dir, true, err);
    rc = rc ? rc : ds_objcore_shut(&fd, dir, true, err);
    rc = rc ? rc : ds_objcore_reindex(dir, false, report, ctx, &mine, err);
    if (stats)
        *stats = mine;
    (void)ds_close(&fd, dir, NULL);
    (void)ds_close(&alone, dir, NULL);
    ds_buf_fini(&folder);
    return rc;
}
