/* cmd_report.c - dstrain report: a run as a page to look at. */
#include <stdio.h>
#include <string.h>

#include "cmd_train.h"
#include "io.h"
#include "report.h"

static int run(int argc, char **argv);

extern const ds_command ds_train_report;
const ds_command ds_train_report = {
    .prog = "dstrain",
    .name = "report",
    .summary = "a run as one page of HTML",
    .operands = "RUN",
    .min_operands = 1,
    .max_operands = 1,
    .example = "dstrain report runs/1 -o report.html",
    .description = "Curves of loss, learning rate, gradient norm and throughput, the settings, and "
                   "what the checkpoints' lineage says: datasets and their roots, model, digests. "
                   "The page needs nothing from outside. Without -o it goes to standard output.",
    .run = run,
};

static int report(const char *run_dir, const char *out, ds_err *err)
{
    ds_buf html = {0};
    int rc = ds_report(&html, run_dir, err);

    if (!rc && out && strcmp(out, "-") != 0)
        rc = ds_atomic_write(out, 0644, html.data, html.len, err);
    else if (!rc && fwrite(html.data, 1, html.len, stdout) != html.len)
        rc = ds_fail(err, DS_IO, "standard output: cannot write");
    ds_buf_fini(&html);
    return rc;
}

static int run(int argc, char **argv)
{
    const char *out = NULL;
    const ds_opt opts[] = {
        TRAIN_OUTPUT(out, "FILE", "write a file, which appears when it is whole"), OPT_END};
    char **operands;
    ds_err err = {0};
    int n;
    const int begun = ds_opt_begin(&ds_train_report, opts, argc, argv, &operands, &n);

    if (begun >= 0)
        return begun;
    operands[0][ds_path_len(operands[0])] = '\0';
    report(operands[0], out, &err);
    return ds_command_end(&ds_train_report, &err, false);
}
