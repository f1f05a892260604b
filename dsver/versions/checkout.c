/* checkout.c - see checkout.h. */
#include "checkout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "streamfeed.h"
#include "filerec.h"
#include "filepart.h"
#include "filesink.h"
#include "lineout.h"
#include "readback.h"
#include "rmtree.h"
#include "sig.h"
#include "strlist.h"

enum { MARK_MAX = 1 << 20 };

static const char *const names[] = {
    [DS_CHECKOUT_DSR] = "shard-00000.dsr",
    [DS_CHECKOUT_JSONL] = "records.jsonl",
};

/* ---- what is there already ---- */

/* The marker: a line `XXH3-128 NAME` for each file; of older checkouts `SHA-256 NAME`. It is there
 * to see whether somebody went on working with the file, so that it need not withstand anybody. */
typedef struct marked {
    size_t digits;
    uint8_t sum[sizeof(ds_sha)];
    const char *name;
    int name_len; /* 0: it is no such line */
} marked;

static marked read_mark(const char *line, size_t len)
{
    marked m = {0};
    const char *blank = memchr(line, ' ', len);
    m.digits = blank ? (size_t)(blank - line) : 0;
    if ((m.digits != 2 * sizeof(ds_x128) && m.digits != 2 * sizeof(ds_sha)) ||
        !ds_hex_decode(line, m.digits, m.sum, m.digits / 2))
        return m;
    m.name = blank + 1;
    m.name_len = (int)(len - m.digits - 1);
    return m;
}

/* *same: the file is what the marker says. */
static int compare(const marked *m, const char *path, bool *same, ds_err *err)
{
    ds_x128 quick;
    ds_sha sha;
    const bool brief = m->digits == 2 * sizeof quick;
    int rc = brief ? ds_xxh128_file(&quick, path, err) : ds_sha_file(&sha, NULL, path, err);
    *same = !rc && memcmp(m->sum, brief ? quick.b : sha.b, m->digits / 2) == 0;
    return rc;
}

static int check_file(const char *dir, const char *line, size_t len, ds_err *err)
{
    const marked m = read_mark(line, len);
    char *path = NULL;
    struct stat st;
    bool same = false;
    if (m.name_len == 0 || memchr(m.name, '/', (size_t)m.name_len))
        return ds_fail(err, DS_FAIL, "%s/%s: not a marker of dsver checkout", dir,
                       DS_CHECKOUT_MARK);
    if (asprintf(&path, "%s/%.*s", dir, m.name_len, m.name) < 0)
        return ds_fail_nomem(err);
    int rc = 0;
    if (lstat(path, &st) != 0) { /* somebody removed it: nothing is lost */
        rc = errno == ENOENT ? 0 : ds_fail_errno(err, errno, "%s", path);
    } else {
        rc = S_ISREG(st.st_mode) ? compare(&m, path, &same, err) : 0;
        if (!rc && !same)
            rc = ds_fail(err, DS_FAIL, "%s: was changed since it was checked out", path);
    }
    free(path);
    return rc;
}

static bool is_listed(const ds_buf *mark, const char *name)
{
    const size_t n = strlen(name);
    if (strcmp(name, DS_CHECKOUT_MARK) == 0)
        return true;
    for (size_t at = 0; at < mark->len;) {
        const char *p = (const char *)mark->data + at, *nl = memchr(p, '\n', mark->len - at);
        const size_t len = nl ? (size_t)(nl - p) : mark->len - at;
        const marked m = read_mark(p, len);
        if (m.name_len && (size_t)m.name_len == n && memcmp(m.name, name, n) == 0)
            return true;
        at += len + 1;
    }
    return false;
}

static int check_names(const char *dir, const ds_buf *mark, bool *empty, ds_err *err)
{
    ds_strlist there = {0};
    int rc = ds_strlist_folder(&there, dir, err);
    *empty = there.n == 0;
    for (size_t i = 0; !rc && i < there.n; i++)
        if (!is_listed(mark, there.v[i]) || !mark->len)
            rc = ds_fail(err, DS_FAIL, "%s: holds '%s', which no checkout put there", dir,
                         there.v[i]);
    ds_strlist_fini(&there);
    return rc;
}

/* *there: a folder that may go. */
static int check_old(const char *dir, bool *there, ds_err *err)
{
    struct stat st;
    ds_buf mark = {0};
    char *path = NULL;
    bool empty = false;
    *there = false;
    if (lstat(dir, &st) != 0)
        return errno == ENOENT ? 0 : ds_fail_errno(err, errno, "%s", dir);
    *there = true;
    if (!S_ISDIR(st.st_mode))
        return ds_fail(err, DS_FAIL, "%s: is there already, and is no folder", dir);
    int rc = ds_store_path(&path, dir, DS_CHECKOUT_MARK, err);
    if (!rc && ds_path_exists(path))
        rc = ds_read_file(&mark, path, MARK_MAX, err);
    rc = rc ? rc : check_names(dir, &mark, &empty, err);
    for (size_t at = 0; !rc && at < mark.len;) {
        const char *p = (const char *)mark.data + at;
        const char *nl = memchr(p, '\n', mark.len - at);
        const size_t len = nl ? (size_t)(nl - p) : mark.len - at;
        rc = check_file(dir, p, len, err);
        at += len + 1;
    }
    ds_buf_fini(&mark);
    free(path);
    return rc;
}

/* ---- writing ---- */

typedef struct written {
    ds_xxhasher *sum;
    int fd;
    bool lax;
    uint64_t bytes, sent; /* before what is about to be written; of that to the disk */
} written;

/* The file's sum is made on the way to it. */
static int on_write(void *ctx, const void *p, size_t n, ds_err *err)
{
    written *w = ctx;
    (void)err;
    if (!w->lax)
        ds_write_behind(w->fd, &w->sent, w->bytes);
    ds_xxhasher_put(w->sum, p, n);
    w->bytes += n;
    return 0;
}

static int write_file(ds_x128 *sum, const char *path, ds_store *s, const git_oid *commit,
                      const ds_checkout_opts *o, uint64_t *bytes, ds_err *err)
{
    const ds_readback_opts back = {.threads = o->threads,
                                   .writer = {.level = o->level, .index = true}};
    ds_out out = {0};
    written w = {.fd = -1, .lax = o->lax};
    int rc = ds_xxhasher_new(&w.sum, err);
    rc = rc ? rc : ds_open(&w.fd, path, O_WRONLY | O_CREAT | O_EXCL, 0666, err);
    rc = rc ? rc : ds_out_init(&out, w.fd, path, err);
    out.tap = on_write;
    out.tap_ctx = &w;
    if (!rc)
        rc = o->form == DS_CHECKOUT_DSR ? ds_readback_write(&out, s, commit, &back, err)
                                        : ds_lineout_write(&out, s, commit, o->threads, err);
    rc = rc ? rc : ds_out_flush(&out, err);
    rc = rc || o->lax ? rc : ds_fsync(w.fd, path, err);
    if (!rc)
        *sum = ds_xxhasher_end(w.sum);
    *bytes = w.bytes;
    ds_out_fini(&out);
    ds_xxhasher_free(w.sum);
    if (ds_close(&w.fd, path, rc ? NULL : err) && !rc)
        rc = DS_IO;
    return rc;
}

static int write_lax(const char *path, const ds_buf *b, ds_err *err)
{
    int fd = -1, rc = ds_open(&fd, path, O_WRONLY | O_CREAT | O_EXCL, 0666, err);
    rc = rc ? rc : ds_write_full(fd, path, b->data, b->len, err);
    const int closed = ds_close(&fd, path, rc ? NULL : err);
    return rc ? rc : closed;
}

static int write_mark(const char *dir, const char *name, const ds_x128 *sum, bool lax, ds_err *err)
{
    ds_buf b = {0};
    char *mark = NULL;
    int rc = ds_store_path(&mark, dir, DS_CHECKOUT_MARK, err);
    if (!rc && (ds_buf_hex(&b, sum->b, sizeof sum->b) || ds_buf_printf(&b, " %s\n", name)))
        rc = ds_fail_nomem(err);
    if (!rc)
        rc = lax ? write_lax(mark, &b, err) : ds_atomic_write(mark, 0666, b.data, b.len, err);
    ds_buf_fini(&b);
    free(mark);
    return rc;
}

/* Only what a checkout puts there. */
static void drop(const char *dir)
{
    const char *const all[] = {names[0], names[1], DS_CHECKOUT_MARK};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char *path = NULL;
        if (ds_store_path(&path, dir, all[i], NULL) == 0)
            ds_io_active->unlink(path);
        free(path);
    }
    rmdir(dir);
}

/* The new folder under its name; where there is one they change places, in one step if the file
 * system can. */
static int put_in_place(const char *tmp, const char *dir, bool there, bool lax, ds_err *err)
{
    char *aside = NULL;
    int rc = 0;
    if (there && ds_io_active->exchange(tmp, dir) == 0) {
        rc = lax ? 0 : ds_fsync_parent(dir, err);
        if (!rc)
            drop(tmp);
        return rc;
    }
    if (there && asprintf(&aside, "%s.old", tmp) < 0)
        return ds_fail_nomem(err);
    if (there && ds_io_active->rename(dir, aside) != 0)
        rc = ds_fail_errno(err, errno, "%s: cannot be moved aside", dir);
    if (!rc && ds_io_active->rename(tmp, dir) != 0) {
        rc = ds_fail_errno(err, errno, "%s: cannot be renamed to %s", tmp, dir);
        if (there && ds_io_active->rename(aside, dir) != 0)
            rc = ds_fail(err, DS_IO, "the old folder is %s", aside);
        there = false;
    }
    rc = rc || lax ? rc : ds_fsync_parent(dir, err);
    if (!rc && there)
        drop(aside);
    free(aside);
    return rc;
}

/* ---- files ---- */

typedef struct reading {
    ds_store *store;
    const git_oid *commit;
    const bool *only; /* blocks; NULL: all */
    int threads;
} reading;

static int write_stream(void *ctx, int fd, ds_err *err)
{
    const reading *r = ctx;
    const ds_readback_opts back = {.threads = r->threads, .only = r->only};
    ds_out out = {0};
    int rc = ds_out_init(&out, fd, "the version's stream", err);
    rc = rc ? rc : ds_readback_write(&out, r->store, r->commit, &back, err);
    rc = rc ? rc : ds_out_flush(&out, err);
    ds_out_fini(&out);
    return rc;
}

static int take_blocks(ds_filesink *k, ds_reader *in, ds_err *err)
{
    enum ds_event ev = DS_EV_BLOCK;
    int rc = 0;
    while (!rc && ev != DS_EV_END) {
        rc = ds_check_interrupt(err);
        rc = rc ? rc : ds_reader_next(in, &ev, err);
        if (!rc && ev == DS_EV_BLOCK)
            rc = ds_filesink_block(k, ds_reader_block(in), err);
    }
    return ds_filesink_end(k, rc, err);
}

/* The stream's end says that its roots are the version's: before that the folder has no name.
 * part: NULL for all files. */
static int write_files(ds_checkedout *out, const reading *from, ds_filepart *part, const char *dir,
                       const ds_checkout_opts *o, ds_err *err)
{
    ds_filesink_opts how = {.setuid = o->setuid, .sync = !o->lax, .threads = o->threads};
    reading r = *from;
    ds_feed feed;
    ds_reader *in = NULL;
    ds_filesink *k = NULL;
    if (part) {
        r.only = ds_filepart_blocks(part);
        ds_filepart_pick(part, &how);
    }
    int rc = ds_feed_begin(&feed, write_stream, &r, err);
    if (rc)
        return rc;
    rc = ds_reader_new(&in, feed.fd, "the version's stream", err);
    rc = rc ? rc : ds_filesink_open(&k, dir, ds_reader_schema(in), &how, err);
    if (!rc && part)
        rc = ds_filepart_bare(part, k, err);
    rc = rc ? rc : take_blocks(k, in, err);
    if (!rc) {
        out->files = ds_filesink_files(k);
        out->bytes = ds_filesink_bytes(k);
    }
    ds_filesink_free(k);
    ds_reader_free(in);
    return ds_feed_end(&feed, rc, err);
}

static int checkout_files(ds_checkedout *out, ds_store *s, const git_oid *commit, const char *dir,
                          const ds_checkout_opts *o, ds_err *err)
{
    const reading r = {.store = s, .commit = commit, .threads = o->threads};
    ds_filepart *part = NULL;
    int rc = o->nonly ? ds_filepart_open(&part, s, commit, o->only, o->nonly, err) : 0;
    rc = rc ? rc : write_files(out, &r, part, dir, o, err);
    ds_filepart_close(part);
    return rc;
}

/* Whether its records are files. */
static int find_form(enum ds_checkout_form *form, ds_store *s, const git_oid *commit, ds_err *err)
{
    ds_version v = {0};
    ds_schema schema;
    ds_filecols cols;
    ds_schema_init(&schema);
    int rc = ds_version_get(&v, s->cat, commit, err);
    rc = rc ? rc : ds_version_schema(&schema, s->cat, &v.tree, err);
    *form = !rc && ds_filerec_find(&cols, &schema, NULL) == 0 ? DS_CHECKOUT_FILES : DS_CHECKOUT_DSR;
    ds_schema_fini(&schema);
    ds_version_fini(&v);
    return rc;
}

static int checkout_shard(ds_checkedout *out, ds_store *s, const git_oid *commit, const char *dir,
                          const ds_checkout_opts *o, ds_err *err)
{
    char *tmp = NULL, *path = NULL, *bare = strndup(dir, ds_path_len(dir));
    ds_x128 sum;
    int lock = -1, rc = bare ? check_old(bare, &out->replaced, err) : ds_fail_nomem(err);
    rc = rc ? rc : ds_beside_folder(&tmp, &lock, bare, err);
    rc = rc ? rc : ds_store_path(&path, tmp, names[o->form], err);
    rc = rc ? rc : write_file(&sum, path, s, commit, o, &out->bytes, err);
    rc = rc ? rc : write_mark(tmp, names[o->form], &sum, o->lax, err);
    rc = rc ? rc : put_in_place(tmp, bare, out->replaced, o->lax, err);
    if (!rc && !(out->file = strdup(names[o->form])))
        rc = ds_fail_nomem(err);
    if (rc && tmp)
        drop(tmp);
    (void)ds_close(&lock, dir, NULL);
    free(tmp);
    free(path);
    free(bare);
    return rc;
}

int ds_checkout_run(ds_checkedout *out, ds_store *s, const git_oid *commit, const char *dir,
                    const ds_checkout_opts *o, ds_err *err)
{
    ds_checkout_opts how = *o;
    *out = (ds_checkedout){0};
    int rc = o->form == DS_CHECKOUT_AUTO ? find_form(&how.form, s, commit, err) : 0;
    if (!rc && o->level && how.form != DS_CHECKOUT_DSR)
        rc = ds_fail(err, DS_USAGE, "--level: only DSR is compressed; this is written as %s",
                     how.form == DS_CHECKOUT_FILES ? "files" : "JSON lines");
    if (!rc && o->setuid && how.form != DS_CHECKOUT_FILES)
        rc = ds_fail(err, DS_USAGE, "--setuid: only files have those bits; this is written as %s",
                     how.form == DS_CHECKOUT_DSR ? "DSR" : "JSON lines");
    if (!rc && o->nonly && how.form != DS_CHECKOUT_FILES)
        rc = ds_fail(err, DS_USAGE, "--only: only files have paths; this is written as %s",
                     how.form == DS_CHECKOUT_DSR ? "DSR" : "JSON lines");
    return rc                              ? rc
           : how.form == DS_CHECKOUT_FILES ? checkout_files(out, s, commit, dir, &how, err)
                                           : checkout_shard(out, s, commit, dir, &how, err);
}
