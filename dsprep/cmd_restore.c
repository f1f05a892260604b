/* cmd_restore.c - dsprep restore: the files that dsprep files read, in a folder again. */
#include <inttypes.h>
#include <stdio.h>

#include "filesink.h"
#include "instream.h"
#include "options.h"
#include "pool.h"
#include "sig.h"
#include "term.h"

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

static int all_blocks(ds_filesink *k, ds_instream *in, ds_err *err)
{
    enum ds_event ev = DS_EV_BLOCK;
    int rc = 0;

    while (!rc && !(ev == DS_EV_END && ds_instream_last(in))) {
        rc = ds_check_interrupt(err);
        rc = rc ? rc : ds_instream_next(in, &ev, err);
        if (!rc && ev == DS_EV_BLOCK)
            rc = ds_filesink_block(k, ds_reader_block(ds_instream_reader(in)), err);
    }
    return ds_filesink_end(k, rc, err);
}

static void progress(void *ctx, uint64_t bytes)
{
    ds_progress_at(ctx, bytes);
}

static int run(int argc, char **argv)
{
    bool quiet = false;
    int64_t threads = 0;
    ds_progress bar = {0};
    ds_filesink_opts o = {.progress = progress, .ctx = &bar};
    const ds_opt opts[] = {
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
    ds_instream *in = NULL;
    ds_filesink *k = NULL;
    ds_sig_setup();
    if (quiet)
        ds_log_level = 0;
    rc = ds_instream_open(&in, operands + 1, n - 1, &err);
    ds_progress_begin(&bar, "restoring", in ? ds_instream_size(in) : 0, true);
    rc = rc ? rc : ds_filesink_open(&k, operands[0], ds_instream_schema(in), &o, &err);
    rc = rc ? rc : all_blocks(k, in, &err);
    ds_progress_end(&bar);
    if (!rc && ds_log_level > 0)
        fprintf(stderr, "dsprep restore: %" PRIu64 " files, %" PRIu64 " bytes\n",
                ds_filesink_files(k), ds_filesink_bytes(k));
    ds_filesink_free(k);
    ds_instream_free(in);
    rc = ds_command_end(&ds_cmd_restore, &err, false);
    ds_sig_reraise();
    return rc;
}
