/* cmd_status.c - dsver status. */
#include <stdlib.h>
#include <string.h>

#include "cmd_diffsay.h"
#include "cmd_verb.h"
#include "draft.h"
#include "io.h"
#include "rebuild.h"
#include "sig.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_status;
const ds_command ds_ver_status = {
    .prog = "dsver",
    .name = "status",
    .summary = "tell what changed in the sources since a version was made of them",
    .operands = "[DATASET[@REV]] PATH...",
    .min_operands = 1,
    .max_operands = -1,
    .example = "dsver status raw scans/\ndsver status --exit-code corpus@v3 /data/corpus --file "
               "tokenizer.json",
    .description =
        "Runs the steps that the version's provenance records on what PATH holds now (the "
        "folder, archive or file that was read then; several in the same order) and compares "
        "the records, as dsver diff does with a stream: what the next commit would change. "
        "Nothing is committed. With PATH alone: the newest version of the default dataset.\n\n"
        "For a version that dsprep files alone made, only files that changed are read, judged "
        "by size, times and inode, as with dsprep files --store. Anything else is read and "
        "processed again. For --file and --key-file, and for what can be processed again, see "
        "dsver rebuild, which also compares the sources themselves.",
    .run = run,
};

/* What the version's steps make of its sources now, against what they made then. */
static int compare(bool *differs, ds_store *s, const char *version, const ds_rebuild_opts *o,
                   const diffsay_opts *say, ds_err *err)
{
    ds_revision on = {0};
    ds_rebuild r = {0};
    ds_pipeline p = {.out = -1};
    ds_draft d = {.dir = NULL};
    int rc = ds_revision_find(&on, s, version, err);
    rc = rc ? rc : ds_rebuild_plan(&r, s, &on.id, o, err);
    if (!rc && setenv("DSVER_STORE", s->dir, 1) != 0) /* steps may read versions of this store */
        rc = ds_fail_nomem(err);
    if (!rc) {
        rc = ds_pipeline_begin(&p, r.stages, r.n, err);
        const ds_draft_input in = {.fd = p.out, .path = "what its steps make now"};
        rc = rc ? rc : ds_draft_make(&d, s, &on, &in, say->threads, err);
        rc = ds_pipeline_end(&p, rc, err);
    }
    rc = rc ? rc : diffsay_records(differs, &d.store, &on.id, &d.id, say, err);
    ds_draft_close(&d);
    ds_rebuild_fini(&r);
    ds_revision_fini(&on);
    return rc;
}

static int run(int argc, char **argv)
{
    diffsay_opts say = {.draft = true};
    bool exit_code = false, differs = false;
    const char *store = NULL;
    int64_t threads = 0;
    ds_opt_list files = {0};
    ds_rebuild_opts o = {.as_is = true};
    const ds_opt opts[] = {
        OPT_FLAG(0, "stat", say.stat, "only the numbers"),
        OPT_FLAG(0, "exit-code", exit_code, "exit 1 when anything differs"),
        OPT_LIST(0, "file", files, "FILE",
                 "a file that a step read, such as a tokenizer.json, or WHAT=FILE; may be given "
                 "repeatedly"),
        OPT_STR(0, "key-file", o.key_file, "FILE",
                "the key of dicom, or the secret of redact's pseudonyms"),
        VERB_THREADS(threads),
        VERB_STORE(store),
        VERB_JSON(say.json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_status, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    ds_store s = {0};
    const int named = n > 1 && !strchr(operands[0], '/');
    o.sources = (const char *const *)(void *)(operands + named);
    o.nsources = (size_t)(n - named);
    o.files = files.v;
    o.nfiles = files.n;
    say.threads = verb_threads(threads);
    ds_sig_setup();
    int rc = 0;
    for (size_t i = 0; !rc && i < o.nsources; i++)
        if (!ds_path_exists(o.sources[i]))
            rc = ds_fail(&err, DS_USAGE, "'%s' is not there: name what the version was made of",
                         o.sources[i]);
    rc = rc ? rc : ds_store_open(&s, store, DS_OBJ_READ, &err);
    rc = rc ? rc : compare(&differs, &s, named ? operands[0] : NULL, &o, &say, &err);
    ds_store_close(&s);
    ds_opt_list_fini(&files);
    status = ds_command_end(&ds_ver_status, &err, say.json);
    ds_sig_reraise();
    return !rc && status == 0 && exit_code && differs ? 1 : status;
}
