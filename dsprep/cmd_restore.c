/* cmd_restore.c - dsprep restore: the files that dsprep files read, in a folder again. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "filechoice.h"
#include "filesink.h"
#include "instream.h"
#include "options.h"
#include "pool.h"
#include "sig.h"
#include "strlist.h"
#include "term.h"
#include "twice.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_restore;
const ds_command ds_cmd_restore = {
    .prog = "dsprep",
    .name = "restore",
    .summary = "records of dsprep files into a folder, as the files they were",
    .operands = "DIR [FILE...]",
    .min_operands = 1,
    .max_operands = -1,
    .example = "dsver cat raw@v3 | dsprep restore raw-v3/\n"
               "dsprep restore --only march --only '*.json' some/ raw.dsr",
    .description =
        "Reads a stream that dsprep files made and makes the files, folders and links of its "
        "records below DIR, which must not be there or be empty. DIR appears when everything "
        "is in it: until then it is made beside, under another name, which is removed when "
        "anything fails. A record whose name leads out of DIR, or through a symbolic link, is "
        "refused, and nothing is ever written over. Permissions are restored (set-user-id and "
        "set-group-id bits only with --setuid), times where the records have them.\n\n"
        "--only restores a file, a folder with all below it, or what a shell pattern matches, "
        "in which * and ? match a / too, with the folders that lead there. A hard link whose "
        "file is not chosen becomes that file. The input is then read twice, and what comes "
        "from a pipe is copied to $TMPDIR first; of a version in a store, dsver checkout "
        "--only reads no more than it restores.",
    .run = run,
};

typedef int (*take_block)(void *ctx, const ds_block *b, ds_err *err);

static int all_blocks(ds_instream *in, take_block take, void *ctx, ds_err *err)
{
    enum ds_event ev = DS_EV_BLOCK;
    int rc = 0;

    while (!rc && !(ev == DS_EV_END && ds_instream_last(in))) {
        rc = ds_check_interrupt(err);
        rc = rc ? rc : ds_instream_next(in, &ev, err);
        if (!rc && ev == DS_EV_BLOCK)
            rc = take(ctx, ds_reader_block(ds_instream_reader(in)), err);
    }
    return rc;
}

static int restore_block(void *sink, const ds_block *b, ds_err *err)
{
    return ds_filesink_block(sink, b, err);
}

/* ---- what is chosen ---- */

typedef struct part {
    ds_filechoice *choice;
    const ds_schema *schema;
    ds_filecols col;
    ds_colview *views;
    ds_value *values;
    ds_buf name, target;
    ds_strlist links; /* of each hard link, as they come: its name, and what it is to */
    bool erased;
} part;

/* Hard links are for later: they are looked at from the last to the first. */
static int see(part *p, ds_err *err)
{
    const ds_value *v = p->values;
    enum ds_filekind kind;
    bool made;

    if (ds_filerec_erased(&v[p->col.key], &v[p->col.kind]))
        return p->erased = true, 0;
    int rc = ds_filerec_kind(&kind, &v[p->col.kind], err);
    rc = rc ? rc : ds_filerec_name(&p->name, &v[p->col.key], err);
    const bool link = !rc && kind == DS_FILE_HARDLINK && !v[p->col.target].null;
    if (rc || !link)
        return rc ? rc
                  : ds_filechoice_take(p->choice, (char *)p->name.data, kind, NULL, &made, err);
    rc = ds_filerec_name(&p->target, &v[p->col.target], err);
    rc = rc ? rc : ds_strlist_add(&p->links, (const char *)p->name.data, err);
    return rc ? rc : ds_strlist_add(&p->links, (const char *)p->target.data, err);
}

static int see_block(void *ctx, const ds_block *b, ds_err *err)
{
    part *p = ctx;
    int rc = ds_block_views(b, p->schema, p->views, err);

    for (uint64_t row = 0; !rc && row < b->rows; row++) {
        for (size_t i = 0; i < p->schema->n; i++)
            ds_colview_next(&p->views[i], &p->values[i]);
        rc = see(p, err);
    }
    return rc;
}

static int choose(part *p, const ds_opt_list *only, char **operands, int n, ds_err *err)
{
    ds_instream *in = NULL;
    bool made;
    int rc = ds_filechoice_new(&p->choice, only->v, only->n, "the stream", err);

    rc = rc ? rc : ds_instream_open(&in, operands, n, err);
    p->schema = rc ? NULL : ds_instream_schema(in);
    rc = rc ? rc : ds_filerec_find(&p->col, p->schema, err);
    if (!rc && (!(p->views = calloc(p->schema->n, sizeof *p->views)) ||
                !(p->values = calloc(p->schema->n, sizeof *p->values))))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : all_blocks(in, see_block, p, err);
    for (size_t i = p->links.n; !rc && i > 0; i -= 2)
        rc = ds_filechoice_take(p->choice, p->links.v[i - 2], DS_FILE_HARDLINK, p->links.v[i - 1],
                                &made, err);
    ds_instream_free(in);
    return rc ? rc : ds_filechoice_check(p->choice, err);
}

static int pick(void *ctx, ds_treefile *f, ds_err *err)
{
    return ds_filechoice_pick(((part *)ctx)->choice, f, err);
}

static void part_fini(part *p)
{
    ds_filechoice_free(p->choice);
    ds_strlist_fini(&p->links);
    ds_buf_fini(&p->name);
    ds_buf_fini(&p->target);
    free(p->views);
    free(p->values);
}

/* ---- the command ---- */

static void progress(void *ctx, uint64_t bytes)
{
    ds_progress_at(ctx, bytes);
}

/* only: NULL for all. */
static int restore(const char *dir, char **operands, int n, ds_filesink_opts *o,
                   const ds_opt_list *only, ds_err *err)
{
    ds_instream *in = NULL;
    ds_filesink *k = NULL;
    part p = {0};
    int rc = ds_instream_open(&in, operands, n, err);

    if (only) {
        o->pick = pick;
        o->pick_ctx = &p;
    }
    ds_progress_begin(o->ctx, "restoring", in ? ds_instream_size(in) : 0, true);
    rc = rc ? rc : ds_filesink_open(&k, dir, ds_instream_schema(in), o, err);
    if (!rc) {
        rc = only ? choose(&p, only, operands, n, err) : 0;
        rc = rc ? rc : all_blocks(in, restore_block, k, err);
        if (!rc && only && !p.erased)
            rc = ds_filechoice_check_links(p.choice, err);
        rc = ds_filesink_end(k, rc, err);
    }
    ds_progress_end(o->ctx);
    if (!rc && ds_log_level > 0)
        fprintf(stderr, "dsprep restore: %" PRIu64 " files, %" PRIu64 " bytes\n",
                ds_filesink_files(k), ds_filesink_bytes(k));
    ds_filesink_free(k);
    ds_instream_free(in);
    part_fini(&p);
    return rc;
}

static int restore_part(const char *dir, char **operands, int n, ds_filesink_opts *o,
                        const ds_opt_list *only, ds_err *err)
{
    ds_twice input = {0};
    int rc = ds_twice_open(&input, operands, n, err);

    rc = rc ? rc : restore(dir, input.paths, input.n, o, only, err);
    ds_twice_fini(&input);
    return rc;
}

static int run(int argc, char **argv)
{
    bool quiet = false;
    int64_t threads = 0;
    ds_opt_list only = {0};
    ds_progress bar = {0};
    ds_filesink_opts o = {.progress = progress, .ctx = &bar};
    const ds_opt opts[] = {
        OPT_LIST(0, "only", only, "PATTERN", "restore these alone; may be given again"),
        OPT_FLAG(0, "setuid", o.setuid, "restore set-user-id and set-group-id bits too"),
        DSPREP_THREADS(threads),
        OPT_FLAG(0, "sync", o.sync, "end when everything is on disk"),
        DSPREP_QUIET(quiet),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_restore, opts, argc, argv, &operands, &n);

    if (rc >= 0)
        return rc;
    o.threads = threads ? (int)threads : ds_cpu_count();
    ds_err err = {0};
    ds_sig_setup();
    if (quiet)
        ds_log_level = 0;
    if (only.n)
        (void)restore_part(operands[0], operands + 1, n - 1, &o, &only, &err);
    else
        (void)restore(operands[0], operands + 1, n - 1, &o, NULL, &err);
    ds_opt_list_fini(&only);
    rc = ds_command_end(&ds_cmd_restore, &err, false);
    ds_sig_reraise();
    return rc;
}
