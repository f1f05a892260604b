/* cmd_diff.c - dsver diff. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd_diffsay.h"
#include "cmd_statsay.h"
#include "cmd_verb.h"
#include "draft.h"
#include "dsr_shards.h"
#include "sig.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_diff;
const ds_command ds_ver_diff = {
    .prog = "dsver",
    .name = "diff",
    .summary = "tell which records were added, removed or changed between two versions",
    .operands = "[DATASET[@REV]] [DATASET[@REV]|FILE]",
    .max_operands = 2,
    .example = "dsver diff docs~1 docs\ndsver diff --stats --threshold psi=0.2,nulls=0.01 docs@v1 "
               "docs\ndsprep text corpus/ | dsver diff --exit-code docs -",
    .description =
        "With one operand: from the version before it; with none: from the newest version's "
        "predecessor.\n\n"
        "The second may be a record stream: - is standard input, and what has a / in its name "
        "or ends in .dsr is a file, or a folder of shards. It is checked and compared as the "
        "version that dsver "
        "commit would make of it, and nothing is written to the store; what the store lacks is "
        "kept in $TMPDIR meanwhile. With a stream alone: from the newest version of the "
        "default dataset.\n\n"
        "A record is the same when it has the same key and the same values in all columns that "
        "both versions have; columns that only one has are listed first. A derived key is a "
        "digest of the content, so a record with one can only be changed in columns that are "
        "not part of its key.\n\n"
        "Lines begin with - (removed; in the order of the version before), then ~ (changed) "
        "and + (added; in the order of the version after), then the key and for a changed "
        "record the names of the columns that differ. With --json there is an object a record, "
        "with the values; with --stat only the numbers. With --exit-code it is 1 when there is "
        "a difference.\n\n"
        "--stats tells how far the columns' distributions are from each other, from what dsver "
        "stats knows of both. PSI = sum (q-p) ln(q/p), KL = sum q ln(q/p), JS in bits, where p "
        "is before and q after: over the deciles that numbers (timestamps: days) or lengths "
        "had before, and what lies outside of them; over values; and over 128 buckets of words "
        "or tokens. KS is the largest distance between the cumulative distributions. Where "
        "only one version has any values, all four compare the records that have a value with "
        "those that have none. Then follow nulls and NaN, how many of the values are in common "
        "(+- 6 %), and values that are new or vanished. --threshold makes the exit status 1 "
        "when a limit is exceeded: psi, kl, js and ks, nulls for the change in the share of "
        "nulls or NaN, or similarity when it is lower than the limit; a column that only one "
        "version has exceeds it too. PSI, KL and JS do not count as exceeded while the PSI is "
        "less than twice what chance alone brings between samples this small.",
    .run = run,
};

typedef struct diff {
    diffsay_opts say;
    bool exit_code, stats;
    const char *store, *threshold;
    ds_limits limits;
    int64_t threads;
    ds_opt_list columns; /* that --stats looks at; none: all */
    bool differs;
} diff;

/* ---- which versions ---- */

static int predecessor(ds_store *s, const ds_revision *of, git_oid *id, ds_err *err)
{
    ds_version v = {0};
    int rc = ds_version_get(&v, s->cat, &of->id, err);
    if (!rc && !v.has_parent)
        rc = ds_fail(err, DS_FAIL, "version %.10s is the first of '%s': there is none before it",
                     git_oid_tostr_s(&of->id), of->dataset);
    *id = v.parent;
    ds_version_fini(&v);
    return rc;
}

static int diff_stats(diff *c, ds_store *s, const git_oid *before, const git_oid *after,
                      ds_err *err)
{
    const ds_statread_opts o = {.threads = verb_threads(c->threads)};
    ds_verstats a = {0}, b = {0};
    uint64_t crossed = 0;
    int rc = ds_verstats_read(&a, s, before, &o, err);
    rc = rc ? rc : ds_verstats_read(&b, s, after, &o, err);
    rc = rc ? rc : statsay_drift(&a, &b, &c->columns, &c->limits, c->say.json, &crossed, err);
    c->differs = crossed != 0;
    ds_verstats_fini(&a);
    ds_verstats_fini(&b);
    return rc;
}

static int diff_both(diff *c, ds_store *s, const git_oid *before, const git_oid *after, ds_err *err)
{
    c->say.threads = verb_threads(c->threads);
    return c->stats ? diff_stats(c, s, before, after, err)
                    : diffsay_records(&c->differs, s, before, after, &c->say, err);
}

static int diff_versions(diff *c, ds_store *s, char **operands, int n, ds_err *err)
{
    ds_revision before = {0}, after = {0};
    int rc = ds_revision_find(&after, s, n > 0 ? operands[n - 1] : NULL, err);
    if (!rc && n > 1)
        rc = ds_revision_find(&before, s, operands[0], err);
    else if (!rc)
        rc = predecessor(s, &after, &before.id, err);
    rc = rc ? rc : diff_both(c, s, &before.id, &after.id, err);
    ds_revision_fini(&before);
    ds_revision_fini(&after);
    return rc;
}

/* No dataset's name has a slash. */
static bool is_stream(const char *operand)
{
    const size_t n = strlen(operand), dsr = sizeof ".dsr" - 1;
    return strcmp(operand, "-") == 0 || strchr(operand, '/') ||
           (n > dsr && strcmp(operand + n - dsr, ".dsr") == 0);
}

static int diff_stream(diff *c, ds_store *s, const char *before, const char *file, ds_err *err)
{
    ds_revision on = {0};
    ds_draft d = {.dir = NULL};
    ds_strlist files = {0}; /* those behind the first, of a folder of shards */
    char *first = NULL;
    ds_draft_input in = {.fd = STDIN_FILENO};
    int rc = ds_revision_find(&on, s, before, err);
    rc = rc ? rc : ds_shards_operand(&files, file, err);
    if (!rc) {
        first = files.v[0];
        memmove(files.v, files.v + 1, --files.n * sizeof *files.v);
        in.path = first;
        in.more = &files;
        rc = verb_open_stream(&in.fd, first, "dsver diff DATASET FILE", err);
    }
    rc = rc ? rc : ds_draft_make(&d, s, &on, &in, verb_threads(c->threads), err);
    c->say.draft = true;
    rc = rc ? rc : diff_both(c, &d.store, &on.id, &d.id, err);
    ds_draft_close(&d);
    ds_revision_fini(&on);
    if (first)
        verb_close_stream(&in.fd, first);
    free(first);
    ds_strlist_fini(&files);
    return rc;
}

static int diff_operands(diff *c, char **operands, int n, ds_err *err)
{
    ds_store s = {0};
    if (n > 1 && is_stream(operands[0]))
        return ds_fail(err, DS_USAGE,
                       "'%s': a stream is compared with the version before it, and "
                       "stands behind it",
                       operands[0]);
    int rc = ds_store_open(&s, c->store, DS_OBJ_READ, err);
    if (!rc && n > 0 && is_stream(operands[n - 1]))
        rc = diff_stream(c, &s, n > 1 ? operands[0] : NULL, operands[n - 1], err);
    else if (!rc)
        rc = diff_versions(c, &s, operands, n, err);
    ds_store_close(&s);
    return rc;
}

/* Options that say nothing beside the others are refused, not passed over. */
static int check_options(const diff *c, ds_err *err)
{
    const char *const numbers = c->threshold ? "threshold" : c->columns.n ? "column" : NULL;
    const char *const records = c->say.stat    ? "stat"
                                : c->say.data  ? "data"
                                : c->exit_code ? "exit-code"
                                               : NULL;
    if (!c->stats && numbers)
        return ds_fail(err, DS_USAGE, "--%s goes with --stats", numbers);
    if (c->stats && records)
        return ds_fail(err, DS_USAGE, "--%s is about records, and does not go with --stats%s",
                       records, c->exit_code ? " (--threshold makes the exit status)" : "");
    if (c->say.data && c->say.stat)
        return ds_fail(err, DS_USAGE, "--data is about values, and --stat shows none");
    if (c->say.data && !c->say.json)
        return ds_fail(err, DS_USAGE, "--data goes with --json");
    return 0;
}

static int run(int argc, char **argv)
{
    diff c = {0};
    const ds_opt opts[] = {
        OPT_FLAG(0, "stat", c.say.stat, "only the numbers"),
        OPT_FLAG(0, "exit-code", c.exit_code, "exit 1 when anything differs"),
        OPT_FLAG(0, "data", c.say.data, "with --json: tensors as base64, not as digests"),
        OPT_FLAG(0, "stats", c.stats, "how far the distributions of the columns are apart"),
        OPT_LIST('c', "column", c.columns, "NAME",
                 "with --stats: only this column, or COLUMN.MEMBER; may be repeated"),
        OPT_STR(0, "threshold", c.threshold, "LIST",
                "with --stats: exit 1 past a limit: psi=N,kl=N,js=N,ks=N,nulls=N,similarity=N"),
        VERB_THREADS(c.threads),
        VERB_STORE(c.store),
        VERB_JSON(c.say.json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_diff, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    ds_sig_setup();
    int rc = statsay_limits(&c.limits, c.threshold, &err);
    rc = rc ? rc : check_options(&c, &err);
    rc = rc ? rc : diff_operands(&c, operands, n, &err);
    ds_opt_list_fini(&c.columns);
    status = ds_command_end(&ds_ver_diff, &err, c.say.json);
    ds_sig_reraise();
    return !rc && status == 0 && (c.exit_code || c.stats) && c.differs ? 1 : status;
}
