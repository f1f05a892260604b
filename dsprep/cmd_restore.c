/* cmd_restore.c - dsprep restore: the files that dsprep files read, in a folder again. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dsr_column.h"
#include "filerec.h"
#include "instream.h"
#include "io.h"
#include "opt.h"
#include "rmtree.h"
#include "sig.h"
#include "term.h"
#include "treeput.h"

#define PART ((size_t)4 << 20)

static int run(int argc, char **argv);

extern const ds_command ds_cmd_restore;
const ds_command ds_cmd_restore = {
    .prog = "dsprep",
    .name = "restore",
    .summary = "records of dsprep files into a folder, as the files they were",
    .operands = "DIR [FILE...]",
    .min_operands = 1,
    .max_operands = -1,
    .example = "dsver cat raw@v3 | dsprep restore raw-v3/",
    .description =
        "Reads a stream that dsprep files made and makes the files, folders and links of its "
        "records below DIR, which must not be there or be empty. DIR appears when everything is in "
        "it: until then it is made beside, under another name, which is removed when "
        "anything fails. A record whose name leads out of DIR, or through a symbolic link, is "
        "refused, and nothing is ever written over. Permissions are restored (set-user-id and "
        "set-group-id bits only with --setuid), times where the records have them.",
    .run = run,
};

typedef struct restore {
    ds_filecols col;
    ds_colview *views;
    ds_treeput *tree;
    ds_buf name, target;
    ds_progress progress;
    bool sync;
    uint64_t files, bytes;
} restore;

static int kind_of(enum ds_filekind *k, const ds_value *v, ds_err *err)
{
    for (int i = 0; ds_filekind_names[i]; i++)
        if (v->len == strlen(ds_filekind_names[i]) &&
            memcmp(v->p, ds_filekind_names[i], v->len) == 0) {
            *k = (enum ds_filekind)i;
            return 0;
        }
    return ds_fail(err, DS_FAIL, "a record of the kind '%.*s', which is none", (int)v->len,
                   (const char *)v->p);
}

/* The value as the bytes of a name, NUL behind; one with a NUL in it is no name. */
static int name_of(ds_buf *b, const ds_value *v, ds_err *err)
{
    b->len = 0;
    int rc = ds_filename_of(b, v->p, v->len, err);
    if (!rc && memchr(b->data, 0, b->len))
        rc = ds_fail(err, DS_FAIL, "a name with a NUL byte in it");
    return rc || ds_buf_cstr(b) ? rc : ds_fail_nomem(err);
}

static int content(restore *r, const ds_value *v, ds_spool *spool, size_t at, ds_err *err)
{
    int rc = 0;

    for (size_t done = 0; done < v->len && !rc;) {
        const size_t n = v->len - done < PART ? v->len - done : PART;
        rc = ds_check_interrupt(err);
        rc = rc ? rc : ds_treeput_write(r->tree, v->p + done, n, err);
        done += n;
        if (spool)
            ds_spool_release(spool, at + done);
        r->bytes += n;
        ds_progress_at(&r->progress, r->bytes);
    }
    return rc ? rc : ds_treeput_close(r->tree, err);
}

static int one_file(restore *r, const ds_value *v, const ds_chunk *c, ds_err *err)
{
    const ds_value *body = &v[r->col.content];
    ds_treefile f = {.mode = v[r->col.mode].i};
    int rc = name_of(&r->name, &v[r->col.key], err);

    rc = rc ? rc : kind_of(&f.kind, &v[r->col.kind], err);
    if (!rc && !v[r->col.target].null) {
        rc = name_of(&r->target, &v[r->col.target], err);
        f.target = (const char *)r->target.data;
    }
    if (rc)
        return rc;
    f.name = (const char *)r->name.data;
    if (r->col.mtime >= 0) {
        f.has_mtime = true;
        f.mtime = v[r->col.mtime].i;
    }
    rc = ds_treeput_add(r->tree, &f, err);
    if (!rc && f.kind == DS_FILE_PLAIN)
        rc = content(r, body, c->spool, body->len ? (size_t)(body->p - c->body) : 0, err);
    r->files += !rc;
    return rc;
}

static int block(restore *r, const ds_block *b, const ds_schema *s, ds_err *err)
{
    ds_value *v = calloc(s->n, sizeof *v);
    int rc = v ? ds_block_views(b, s, r->views, err) : ds_fail_nomem(err);

    for (uint64_t row = 0; !rc && row < b->rows; row++) {
        for (size_t i = 0; i < s->n; i++)
            ds_colview_next(&r->views[i], &v[i]);
        rc = one_file(r, v, &b->chunks[r->col.content], err);
    }
    free(v);
    return rc;
}

static int all_blocks(restore *r, ds_instream *in, ds_err *err)
{
    const ds_schema *s = ds_instream_schema(in);
    enum ds_event ev = DS_EV_BLOCK;
    int rc = ds_filerec_find(&r->col, s, err);

    r->views = calloc(s->n, sizeof *r->views);
    rc = rc || r->views ? rc : ds_fail_nomem(err);
    while (!rc && !(ev == DS_EV_END && ds_instream_last(in))) {
        rc = ds_check_interrupt(err);
        rc = rc ? rc : ds_instream_next(in, &ev, err);
        if (!rc && ev == DS_EV_BLOCK)
            rc = block(r, ds_reader_block(ds_instream_reader(in)), s, err);
    }
    return rc ? rc : ds_treeput_end(r->tree, r->sync, err);
}

/* Whether a folder can take this name: nothing has it, or an empty folder. */
static bool may_become(const char *dir)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    size_t n = 0;

    if (!d)
        return errno == ENOENT;
    while ((e = readdir(d)) != NULL)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return n == 0;
}

/* Makes everything in a folder beside, which then takes the name. */
static int into_folder(restore *r, const char *dir, bool setuid, ds_instream *in, ds_err *err)
{
    char beside[4096];
    size_t len = strlen(dir);

    while (len > 1 && dir[len - 1] == '/')
        len--;
    if (snprintf(beside, sizeof beside, "%.*s.part-%ld", (int)len, dir, (long)getpid()) >=
        (int)sizeof beside)
        return ds_fail(err, DS_USAGE, "%s: the path is too long", dir);
    if (!may_become(dir))
        return ds_fail(err, DS_FAIL, "%s: is there and is no empty folder: nothing is written over",
                       dir);
    int rc = ds_treeput_open(&r->tree, beside, setuid, err);
    if (rc)
        return rc;
    rc = all_blocks(r, in, err);
    ds_treeput_free(r->tree);
    if (!rc && rename(beside, dir) != 0)
        rc = ds_fail_errno(err, errno, "%s", dir);
    if (!rc && r->sync)
        rc = ds_fsync_parent(dir, err);
    if (rc)
        ds_remove_tree(beside);
    return rc;
}

static int run(int argc, char **argv)
{
    bool setuid = false, quiet = false;
    restore r = {0};
    const ds_opt opts[] = {
        {.name = "setuid",
         .type = DS_OPT_FLAG,
         .var = &setuid,
         .help = "restore set-user-id and set-group-id bits too"},
        {.name = "sync",
         .type = DS_OPT_FLAG,
         .var = &r.sync,
         .help = "end when everything is on disk"},
        {.letter = 'q',
         .name = "quiet",
         .type = DS_OPT_FLAG,
         .var = &quiet,
         .help = "no words on standard error but for failure"},
        {0},
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_restore, opts, argc, argv, &operands, &n);

    if (rc >= 0)
        return rc;
    ds_err err = {0};
    ds_instream *in = NULL;
    ds_sig_setup();
    if (quiet)
        ds_log_level = 0;
    rc = ds_instream_open(&in, operands + 1, n - 1, &err);
    ds_progress_begin(&r.progress, "restoring", in ? ds_instream_size(in) : 0, true);
    rc = rc ? rc : into_folder(&r, operands[0], setuid, in, &err);
    ds_progress_end(&r.progress);
    if (!rc && ds_log_level > 0)
        fprintf(stderr, "dsprep restore: %" PRIu64 " files, %" PRIu64 " bytes\n", r.files, r.bytes);
    ds_instream_free(in);
    ds_buf_fini(&r.name);
    ds_buf_fini(&r.target);
    free(r.views);
    rc = ds_command_end(&ds_cmd_restore, &err, false);
    ds_sig_reraise();
    return rc;
}
