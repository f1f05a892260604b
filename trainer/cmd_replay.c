/* cmd_replay.c - dstrain replay: prove that a checkpoint follows from what its lineage says. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_train.h"
#include "io.h"
#include "rerun.h"
#include "rmtree.h"
#include "sig.h"
#include "term.h"

static int run(int argc, char **argv);

extern const ds_command ds_train_replay;
const ds_command ds_train_replay = {
    .prog = "dstrain",
    .name = "replay",
    .summary = "run a stretch again and demand the same bits",
    .operands = "CHECKPOINT",
    .min_operands = 1,
    .max_operands = 1,
    .example = "dstrain replay runs/1/step-000300 --from 200",
    .description = "Opens data, model and settings as the checkpoint's lineage.json names them, "
                   "trains from the run's last checkpoint at or before step --from (0, or none "
                   "there: from the beginning) to this one, and compares loss and gradient norm of "
                   "every step with the "
                   "ledger, and the weights and optimizer state at the end, byte for "
                   "byte. Exit status 0: the same; 1: the first step that differs is named.",
    .run = run,
};

static int show(void *ctx, const ds_step_report *r)
{
    ds_progress_at(ctx, r->step);
    return 0;
}

static void say(const ds_replay_result *r, const char *checkpoint, bool json)
{
    if (json) {
        ds_buf why = {0};
        if ((r->same ? ds_buf_puts(&why, "null") : ds_json_str(&why, r->why, strlen(r->why))) == 0)
            printf("{\"type\":\"replay\",\"same\":%s,\"first\":%" PRIu64 ",\"last\":%" PRIu64
                   ",\"differs\":%" PRIu64 ",\"why\":%.*s}\n",
                   r->same ? "true" : "false", r->first, r->last, r->differs, (int)why.len,
                   (const char *)why.data);
        ds_buf_fini(&why);
    } else if (r->same) {
        printf("%s: the same bits: steps %" PRIu64 " to %" PRIu64 ", weights and optimizer state\n",
               checkpoint, r->first, r->last);
    } else {
        printf("%s: not the same: %s\n", checkpoint, r->why);
    }
}

static int replay(const ds_replay_conf *asked, bool json, ds_err *err)
{
    const char *base = getenv("TMPDIR");
    char scratch[4096];
    ds_replay_conf c = *asked;
    ds_replay_result r = {0};
    ds_progress bar;
    int rc = 0;

    if (snprintf(scratch, sizeof scratch, "%s/dstrain-replay-XXXXXX",
                 base && *base ? base : "/tmp") >= (int)sizeof scratch)
        return ds_fail(err, DS_FAIL, "TMPDIR is too long");
    if (!mkdtemp(scratch))
        return ds_fail_errno(err, errno, "%s", scratch);
    c.scratch = scratch;
    ds_progress_begin(&bar, "replaying", 0, false);
    rc = ds_replay(&r, &c, show, &bar, err);
    ds_progress_end(&bar);
    ds_remove_tree(scratch);
    if (!rc) {
        if (r.first != c.from + 1)
            ds_warn("replay: no checkpoint of step %" PRIu64 " is there: from step %" PRIu64,
                    c.from, r.first - 1);
        say(&r, c.checkpoint, json);
        if (!r.same)
            rc = ds_fail(err, DS_FAIL, "the replay differs");
    }
    return rc;
}

static int run(int argc, char **argv)
{
    ds_replay_conf c = {0};
    ds_opt_list data = {0};
    int64_t from = 0, threads = 0;
    int graphs = 0;
    bool json = false;
    const ds_opt opts[] = {
        OPT_INT(0, "from", from, "STEP", 0, INT32_MAX,
                "start at the last checkpoint at or before it; default 0, the beginning"),
        OPT_STR(0, "model", c.model, "DIR",
                "the model that the run began with; default RUN/base, a link that dstrain "
                "finetune left"),
        OPT_LIST(0, "data", data, "FILE.dsr", "where a dataset that was a file is now"),
        TRAIN_STORE(c.store),
        TRAIN_DEVICE(c.device),
        TRAIN_GRAPHS(graphs),
        TRAIN_THREADS(threads),
        TRAIN_JSON(json),
        OPT_END};
    char **operands;
    ds_err err = {0};
    int n;
    const int begun = ds_opt_begin(&ds_train_replay, opts, argc, argv, &operands, &n);

    if (begun >= 0)
        return begun;
    ds_sig_setup();
    char checkpoint[4096];
    snprintf(checkpoint, sizeof checkpoint, "%.*s", (int)ds_path_len(operands[0]), operands[0]);
    c.checkpoint = checkpoint;
    c.from = (uint64_t)from;
    c.eager = graphs;
    c.threads = (int)threads;
    c.data = data.v;
    c.ndata = data.n;
    replay(&c, json, &err);
    ds_opt_list_fini(&data);
    return ds_command_end(&ds_train_replay, &err, json);
}
