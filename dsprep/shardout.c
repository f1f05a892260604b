/* shardout.c - see shardout.h. */
#include "shardout.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stageout.h"
#include "strlist.h"

#define WAITING_MAX 200
#define NAME_MAX_LEN 4096

typedef struct shard {
    ds_stageout out;
    ds_rows *rows;
    uint64_t sources; /* told of */
    char *path;
} shard;

struct ds_shardout {
    ds_shardopts o;
    const ds_schema *schema;
    const void *prov;
    size_t prov_len;
    shard *now; /* NULL: the next record opens one */
    shard *waiting[WAITING_MAX];
    size_t nwaiting;
    shard **done; /* whole, still under their temporary names */
    size_t ndone, cap, opened;
    bool published, made; /* the folder was not there before */
    char *stage;          /* folder inside o.dir that holds the shards until all are done */
};

static void shard_free(shard *d)
{
    if (!d)
        return;
    ds_rows_free(d->rows);
    ds_stageout_fini(&d->out);
    free(d->path);
    free(d);
}

static int shard_open(ds_shardout *s, ds_err *err)
{
    shard *d = calloc(1, sizeof *d);
    char path[NAME_MAX_LEN];
    if (!d)
        return ds_fail_nomem(err);
    if (s->o.dir) {
        int n = snprintf(path, sizeof path, "%s/shard-%05zu.dsr", s->stage, s->opened);
        d->path = n > 0 && (size_t)n < sizeof path ? strdup(path) : NULL;
        if (!d->path) {
            free(d);
            return ds_fail(err, DS_USAGE, "%s: the path is too long", s->o.dir);
        }
    }
    s->now = d;
    int rc =
        ds_stageout_open(&d->out, d->path, s->schema, s->prov, s->prov_len, (int)s->o.level, err);
    if (rc == 0)
        rc = ds_rows_new(&d->rows, d->out.writer, s->schema, err);
    s->opened++;
    return rc;
}

/* A folder with shards in it would become a mixture of two runs. */
static int refuse_used(const char *dir, ds_err *err)
{
    ds_strlist names = {0};
    int rc = ds_strlist_folder(&names, dir, err);
    for (size_t i = 0; rc == 0 && i < names.n; i++)
        if (strncmp(names.v[i], "shard-", 6) == 0)
            rc = ds_fail(err, DS_FAIL, "%s: holds shards already (%s): name an empty folder", dir,
                         names.v[i]);
    ds_strlist_fini(&names);
    return rc;
}

/* Shards are written where nobody takes them for a finished run, not even after a kill. */
static int make_stage(ds_shardout *s, ds_err *err)
{
    char path[NAME_MAX_LEN];
    int n = snprintf(path, sizeof path, "%s/.shards-XXXXXX", s->o.dir);
    if (n < 0 || (size_t)n >= sizeof path)
        return ds_fail(err, DS_USAGE, "%s: the path is too long", s->o.dir);
    if (!mkdtemp(path))
        return ds_fail_errno(err, errno, "%s: cannot make a folder", path);
    s->stage = strdup(path);
    if (s->stage)
        return 0;
    rmdir(path);
    return ds_fail_nomem(err);
}

int ds_shardout_open(ds_shardout **out, const ds_shardopts *o, const ds_schema *schema,
                     const void *prov, size_t prov_len, ds_err *err)
{
    ds_shardout *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return ds_fail_nomem(err);
    *s = (ds_shardout){.o = *o, .schema = schema, .prov = prov, .prov_len = prov_len};
    if (s->o.level < 0)
        s->o.level = o->dir ? 3 : 0;
    s->o.size = o->size ? o->size : DS_SHARD_SIZE;
    int rc = !o->dir && o->size ? ds_fail(err, DS_USAGE, "--shard-size needs -o DIR") : 0;
    if (rc == 0 && o->dir) {
        s->made = !ds_path_exists(o->dir);
        rc =
            strcmp(o->dir, "-") == 0
                ? ds_fail(err, DS_USAGE,
                          "-o -: a folder is wanted; without -o the stream goes to standard output")
                : ds_mkdirs(o->dir, err);
        if (rc == 0)
            rc = refuse_used(o->dir, err);
        if (rc == 0)
            rc = make_stage(s, err);
    }
    /* A pipe's reader sees the header at once. */
    if (rc == 0)
        rc = shard_open(s, err);
    if (rc != 0) {
        ds_shardout_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

int ds_shardout_rows(ds_shardout *s, ds_rows **rows, ds_err *err)
{
    int rc = s->now ? 0 : shard_open(s, err);
    *rows = rc == 0 ? s->now->rows : NULL;
    return rc;
}

/* Keeps a shard that has all its bytes until everything is done. */
static int keep_done(ds_shardout *s, shard *d, ds_err *err)
{
    if (ds_grow(&s->done, &s->cap, s->ndone, sizeof *s->done)) {
        shard_free(d);
        return ds_fail_nomem(err);
    }
    s->done[s->ndone++] = d;
    return 0;
}

/* End frame and rename. A pipe is finished for good here; a file that must go again is known by its
 * path. */
static int shard_close(ds_shardout *s, shard *d, const ds_counts *counts, ds_err *err)
{
    int rc = ds_stageout_end(&d->out, counts, err);
    if (rc == 0) {
        ds_rows_free(d->rows);
        d->rows = NULL;
        ds_stageout_fini(&d->out);
        d->out = (ds_stageout){.file = {.fd = -1}};
        return keep_done(s, d, err);
    }
    shard_free(d);
    return rc;
}

/* The block that was just written filled the shard. It cannot end before the source that is being
 * read has. */
static int rotate(ds_shardout *s, ds_err *err)
{
    int rc = ds_rows_finish(s->now->rows, err);
    if (rc != 0)
        return rc;
    s->waiting[s->nwaiting++] = s->now;
    s->now = NULL;
    return 0;
}

int ds_shardout_row(ds_shardout *s, uint64_t offset, uint64_t len, ds_err *err)
{
    shard *d = s->now;
    int rc = ds_rows_origin(d->rows, d->sources, offset, len, err);
    if (rc == 0)
        rc = ds_rows_end(d->rows, err);
    /* Only the writing of a block moves the position, so it passes the size at a block bound. */
    if (rc == 0 && s->o.dir && d->out.out.pos >= (uint64_t)s->o.size && s->nwaiting < WAITING_MAX)
        rc = rotate(s, err);
    return rc;
}

int ds_shardout_late(ds_shardout *s, const ds_rows_late *late, const ds_storeid *store, ds_err *err)
{
    if (s->o.dir || !s->now)
        return ds_fail(err, DS_FAIL, "references are for a pipe");
    ds_rows_set_late(s->now->rows, late);
    ds_writer_refs(s->now->out.writer, store);
    return 0;
}

int ds_shardout_row_late(ds_shardout *s, uint64_t len, uint64_t hash, uint64_t size, ds_err *err)
{
    shard *d = s->now;
    int rc = ds_rows_origin(d->rows, d->sources, 0, len, err);
    return rc ? rc : ds_rows_end_late(d->rows, hash, size, err);
}

int ds_shardout_source(ds_shardout *s, const ds_source *src, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < s->nwaiting; i++) {
        shard *d = s->waiting[i];
        s->waiting[i] = NULL;
        rc = ds_writer_source(d->out.writer, src, err);
        if (rc == 0)
            rc = shard_close(s, d, NULL, err);
        else
            shard_free(d);
    }
    bool told = s->nwaiting > 0;
    if (rc == 0)
        s->nwaiting = 0;
    if (rc != 0 || (told && !s->now))
        return rc;
    if (!s->now && (rc = shard_open(s, err)) != 0)
        return rc;
    s->now->sources++;
    return ds_rows_source(s->now->rows, src, err);
}

int ds_shardout_joined(ds_shardout *s, const uint64_t *sources, const uint64_t *sizes, size_t n,
                       ds_err *err)
{
    shard *d = s->now;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = ds_rows_origin(d->rows, d->sources + sources[i], 0, sizes[i], err);
    return rc == 0 ? ds_rows_end(d->rows, err) : rc;
}

int ds_shardout_sources(ds_shardout *s, const ds_source *v, size_t n, ds_err *err)
{
    int rc = s->now ? 0 : shard_open(s, err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        s->now->sources++;
        rc = ds_rows_source(s->now->rows, &v[i], err);
    }
    if (rc != 0 || !s->o.dir || s->now->out.out.pos < (uint64_t)s->o.size)
        return rc;
    shard *d = s->now;
    rc = ds_rows_finish(d->rows, err);
    if (rc == 0) {
        s->now = NULL;
        rc = shard_close(s, d, NULL, err);
    }
    return rc;
}

int ds_shardout_finish(ds_shardout *s, const ds_counts *counts, ds_err *err)
{
    int rc = 0;
    bool counted = counts && (counts->nheld > 0 || counts->nfailed > 0);
    if (!s->now && (counted || s->ndone == 0))
        rc = shard_open(s, err);
    if (rc == 0 && s->now) {
        shard *d = s->now;
        rc = ds_rows_finish(d->rows, err);
        if (rc == 0) {
            s->now = NULL;
            rc = shard_close(s, d, counts, err);
        }
    }
    return rc;
}

const char *ds_shardout_stage(const ds_shardout *s)
{
    return s->stage;
}

/* All shards are on disk: moves them to where they belong, in order. */
int ds_shardout_publish(ds_shardout *s, ds_err *err)
{
    char to[NAME_MAX_LEN];
    if (!s->o.dir)
        return 0;
    for (size_t i = 0; i < s->ndone; i++) {
        const char *from = s->done[i]->path;
        int n = snprintf(to, sizeof to, "%s/%s", s->o.dir, strrchr(from, '/') + 1);
        if (n < 0 || (size_t)n >= sizeof to)
            return ds_fail(err, DS_USAGE, "%s: the path is too long", s->o.dir);
        if (ds_io_active->rename(from, to) != 0)
            return ds_fail_errno(err, errno, "%s: cannot rename", from);
        char *path = strdup(to);
        if (!path)
            return ds_fail_nomem(err);
        free(s->done[i]->path);
        s->done[i]->path = path;
    }
    int rc = ds_fsync_parent(to, err);
    if (rc == 0)
        s->published = true;
    return rc;
}

int ds_shardout_end(ds_shardout *s, const ds_counts *counts, ds_err *err)
{
    int rc = ds_shardout_finish(s, counts, err);
    return rc == 0 ? ds_shardout_publish(s, err) : rc;
}

void ds_shardout_abort(ds_shardout *s, const char *reason)
{
    if (s && s->now)
        ds_stageout_abort(&s->now->out, reason);
}

void ds_shardout_free(ds_shardout *s)
{
    if (!s)
        return;
    shard_free(s->now);
    for (size_t i = 0; i < s->nwaiting; i++)
        shard_free(s->waiting[i]);
    for (size_t i = 0; i < s->ndone; i++) {
        if (!s->published && s->done[i]->path)
            ds_io_active->unlink(s->done[i]->path);
        shard_free(s->done[i]);
    }
    if (s->stage)
        rmdir(s->stage);
    if (s->made && !s->published)
        rmdir(s->o.dir);
    free(s->stage);
    free(s->done);
    free(s);
}
