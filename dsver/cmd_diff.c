/* cmd_diff.c - dsver diff. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd_changed.h"
#include "cmd_statsay.h"
#include "cmd_verb.h"
#include "draft.h"
#include "io.h"
#include "rebuild.h"
#include "sig.h"
#include "verdiff.h"

static int run(int argc, char **argv);
static int run_status(int argc, char **argv);

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
        "or ends in .dsr is a file. It is checked and compared as the version that dsver "
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
        "Runs the steps that the version's provenance records on what PATH holds now (the folder, "
        "archive or file that was read then; several in the same order) and compares the records, "
        "as dsver diff does with a stream: what the next commit would change. Nothing is "
        "committed. With PATH alone: the newest version of the default dataset.\n\n"
        "Of a version that dsprep files made alone only files that changed are read, by their "
        "size, times and inode, as with dsprep files --store. All else is read and made again. "
        "--file and --key-file, and what can be made again: as in dsver rebuild, which also "
        "compares the sources themselves.",
    .run = run_status,
};

#define ITEMS_BYTES ((size_t)16 << 20) /* of changes that are looked at together */

typedef struct diff {
    bool json, stat, exit_code, data, stats;
    bool draft; /* the version after is none yet: its number means nothing */
    const char *store, *threshold;
    ds_limits limits;
    int64_t threads;
    ds_verdiff *d;
    ds_opt_list columns; /* that --stats looks at; none: all */
    const ds_diffstats *st;
    recsay rec[2];
    ds_diffitem *items; /* at hand */
    size_t nitems;
    changed changed; /* of these, those that changed */
    bool differs;
} diff;

/* ---- one record ---- */

static int say_fields(diff *c, size_t item, ds_err *err)
{
    const ds_schema *s = &ds_verdiff_side(c->d, true)->schema;
    const changed_column *k;
    const size_t n = changed_of(&c->changed, item, &k);
    const char *sep = c->json ? "" : ": ";
    int rc = 0;
    for (const changed_column *end = k + n; !rc && k < end; k++) {
        const char *name = s->cols[k->column].name;
        fputs(sep, stdout);
        sep = c->json ? "," : ", ";
        if (!c->json) {
            verb_text(stdout, name, strlen(name));
            continue;
        }
        verb_json(stdout, name);
        fputs(":{\"before\":", stdout);
        rc = changed_say(&c->changed, k, err);
        if (rc)
            break;
        fputs(",\"after\":", stdout);
        rc = recsay_value(&c->rec[1], k->column, err);
        if (!rc)
            putchar('}');
    }
    return rc;
}

static int say_json(diff *c, size_t item, int side, ds_err *err)
{
    static const char *const names[] = {"removed", "changed", "added"};
    const ds_diffitem *it = &c->items[item];
    const ds_buf *key;
    int rc = recsay_key(&c->rec[side], &key, err);
    if (rc)
        return rc;
    printf("{\"type\":\"record\",\"change\":\"%s\",", names[it->change]);
    fwrite(key->data, 1, key->len, stdout);
    fputs(it->change == DS_CHANGED ? ",\"fields\":{" : ",\"record\":{", stdout);
    rc = it->change == DS_CHANGED ? say_fields(c, item, err) : recsay_values(&c->rec[side], err);
    if (!rc)
        printf("}}\n");
    return rc;
}

static int say_line(diff *c, size_t item, int side, ds_err *err)
{
    const size_t pre = sizeof "\"key\":" - 1;
    const ds_diffitem *it = &c->items[item];
    const ds_buf *key;
    int rc = recsay_key(&c->rec[side], &key, err);
    if (rc)
        return rc;
    printf("%c ", "-~+"[it->change]);
    verb_text(stdout, key->data + pre, key->len - pre);
    if (it->change == DS_CHANGED)
        rc = say_fields(c, item, err);
    putchar('\n');
    return rc;
}

static int say_item(diff *c, size_t item, ds_err *err)
{
    const ds_diffitem *it = &c->items[item];
    const int side = it->change != DS_REMOVED;
    const int rc = recsay_seek(&c->rec[side], side ? it->b : it->a, err);
    if (rc)
        return rc;
    return c->json ? say_json(c, item, side, err) : say_line(c, item, side, err);
}

/* ---- many ---- */

/* So many that a block before is not read for each, and as many as memory is to take. */
static size_t items_at_once(const diff *c)
{
    const size_t columns = ds_verdiff_side(c->d, true)->schema.n;
    return ITEMS_BYTES / (sizeof *c->items + columns * sizeof(ds_x128));
}

/* The next of them; 0: there are no more. */
static int next_items(diff *c, size_t most, ds_err *err)
{
    int rc = 1;
    for (c->nitems = 0; rc > 0 && c->nitems<most; c->nitems += rc> 0)
        rc = ds_verdiff_next(c->d, &c->items[c->nitems], err);
    rc = rc < 0 ? rc
                : changed_read(&c->changed, c->rec, ds_verdiff_columns(c->d), c->items, c->nitems,
                               c->json, err);
    return rc ? rc : c->nitems > 0;
}

static int say_items(diff *c, ds_err *err)
{
    const size_t most = items_at_once(c);
    int rc = (c->items = malloc(most * sizeof *c->items)) ? 0 : ds_fail_nomem(err);
    while (!rc && (rc = next_items(c, most, err)) > 0) {
        rc = 0;
        for (size_t i = 0; !rc && i < c->nitems; i++) {
            rc = say_item(c, i, err);
            rc = rc ? rc : ds_check_interrupt(err);
        }
    }
    free(c->items);
    changed_fini(&c->changed);
    return rc;
}

/* ---- columns, and the sum ---- */

static void say_column(const diff *c, const ds_column *col, bool added)
{
    if (c->json) {
        printf("{\"type\":\"column\",\"change\":\"%s\",\"name\":", added ? "added" : "removed");
        verb_json(stdout, col->name);
        printf(",\"column_type\":\"%s\"}\n", ds_type_name(col->type));
    } else {
        printf("%c column ", added ? '+' : '-');
        verb_text(stdout, col->name, strlen(col->name));
        printf(" (%s)\n", ds_type_name(col->type));
    }
}

static bool say_columns(const diff *c)
{
    const ds_schema *a = &ds_verdiff_side(c->d, false)->schema,
                    *b = &ds_verdiff_side(c->d, true)->schema;
    const long *columns = ds_verdiff_columns(c->d);
    bool any = false;
    for (size_t j = 0; j < a->n; j++) {
        bool kept = false;
        for (size_t i = 0; i < b->n; i++)
            kept = kept || columns[i] == (long)j;
        if (!kept)
            say_column(c, &a->cols[j], false);
        any = any || !kept;
    }
    for (size_t i = 0; i < b->n; i++)
        if (columns[i] < 0) {
            say_column(c, &b->cols[i], true);
            any = true;
        }
    return any;
}

static void say_sum(const diff *c)
{
    const ds_diffstats *t = c->st;
    const ds_version *a = &ds_verdiff_side(c->d, false)->version,
                     *b = &ds_verdiff_side(c->d, true)->version;
    if (c->json) {
        printf("{\"type\":\"diff\",\"before\":\"%s\"", git_oid_tostr_s(&a->id));
        if (c->draft)
            printf(",\"after\":null");
        else
            printf(",\"after\":\"%s\"", git_oid_tostr_s(&b->id));
        printf(",\"records_before\":%" PRIu64 ",\"records_after\":%" PRIu64 ",\"removed\":%" PRIu64
               ",\"changed\":%" PRIu64 ",\"added\":%" PRIu64
               ",\"same_schema\":%s,\"reordered\":%s,\"blocks_read\":%" PRIu64 "}\n",
               t->records_a, t->records_b, t->removed, t->changed, t->added,
               t->same_schema ? "true" : "false", t->reordered ? "true" : "false", t->blocks_read);
        return;
    }
    printf("%" PRIu64 " removed, %" PRIu64 " changed, %" PRIu64 " added: %" PRIu64
           " records before, %" PRIu64 " after%s\n",
           t->removed, t->changed, t->added, t->records_a, t->records_b,
           t->reordered ? "; the same records in another order" : "");
}

static int say(diff *c, ds_err *err)
{
    int rc = 0;
    c->st = ds_verdiff_stats(c->d);
    c->differs =
        say_columns(c) || c->st->removed || c->st->changed || c->st->added || c->st->reordered;
    for (int i = 0; !rc && i < 2; i++)
        rc = recsay_open(&c->rec[i], ds_verdiff_side(c->d, i), c->data, err);
    if (!rc && !c->stat)
        rc = say_items(c, err);
    if (!rc)
        say_sum(c);
    for (int i = 0; i < 2; i++)
        recsay_fini(&c->rec[i]);
    return rc;
}

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
    rc = rc ? rc : statsay_drift(&a, &b, &c->columns, &c->limits, c->json, &crossed, err);
    c->differs = crossed != 0;
    ds_verstats_fini(&a);
    ds_verstats_fini(&b);
    return rc;
}

static int diff_records(diff *c, ds_store *s, const git_oid *before, const git_oid *after,
                        ds_err *err)
{
    const ds_verdiff_opts o = {.threads = verb_threads(c->threads)};
    int rc = ds_verdiff_new(&c->d, s, before, after, &o, err);
    rc = rc ? rc : say(c, err);
    ds_verdiff_free(c->d);
    return rc;
}

static int diff_both(diff *c, ds_store *s, const git_oid *before, const git_oid *after, ds_err *err)
{
    return c->stats ? diff_stats(c, s, before, after, err) : diff_records(c, s, before, after, err);
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
    int fd = STDIN_FILENO, rc = ds_revision_find(&on, s, before, err);
    if (!rc)
        rc = verb_open_stream(&fd, file, "dsver diff DATASET FILE", err);
    rc = rc ? rc : ds_draft_make(&d, s, &on, fd, file, verb_threads(c->threads), err);
    c->draft = true;
    rc = rc ? rc : diff_both(c, &d.store, &on.id, &d.id, err);
    ds_draft_close(&d);
    ds_revision_fini(&on);
    verb_close_stream(&fd, file);
    return rc;
}

/* What the version's steps make of its sources now. */
static int diff_sources(diff *c, ds_store *s, const char *version, const ds_rebuild_opts *o,
                        ds_err *err)
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
        rc = rc ? rc
                : ds_draft_make(&d, s, &on, p.out, "what its steps make now",
                                verb_threads(c->threads), err);
        rc = ds_pipeline_end(&p, rc, err);
    }
    c->draft = true;
    rc = rc ? rc : diff_records(c, &d.store, &on.id, &d.id, err);
    ds_draft_close(&d);
    ds_rebuild_fini(&r);
    ds_revision_fini(&on);
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
    const char *const records = c->stat        ? "stat"
                                : c->data      ? "data"
                                : c->exit_code ? "exit-code"
                                               : NULL;
    if (!c->stats && numbers)
        return ds_fail(err, DS_USAGE, "--%s goes with --stats", numbers);
    if (c->stats && records)
        return ds_fail(err, DS_USAGE, "--%s is about records, and does not go with --stats%s",
                       records, c->exit_code ? " (--threshold makes the exit status)" : "");
    if (c->data && !c->json)
        return ds_fail(err, DS_USAGE, "--data goes with --json");
    return 0;
}

static int run(int argc, char **argv)
{
    diff c = {0};
    const ds_opt opts[] = {
        OPT_FLAG(0, "stat", c.stat, "only the numbers"),
        OPT_FLAG(0, "exit-code", c.exit_code, "exit 1 when anything differs"),
        OPT_FLAG(0, "data", c.data, "with --json: tensors as base64, not as digests"),
        OPT_FLAG(0, "stats", c.stats, "how far the distributions of the columns are apart"),
        OPT_LIST('c', "column", c.columns, "NAME",
                 "with --stats: only this column, or COLUMN.MEMBER; may be repeated"),
        OPT_STR(0, "threshold", c.threshold, "LIST",
                "with --stats: exit 1 past a limit: psi=N,kl=N,js=N,ks=N,nulls=N,similarity=N"),
        VERB_THREADS(c.threads),
        VERB_STORE(c.store),
        VERB_JSON(c.json),
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
    status = ds_command_end(&ds_ver_diff, &err, c.json);
    ds_sig_reraise();
    return !rc && status == 0 && (c.exit_code || c.stats) && c.differs ? 1 : status;
}

static int run_status(int argc, char **argv)
{
    diff c = {0};
    ds_opt_list files = {0};
    ds_rebuild_opts o = {.as_is = true};
    const ds_opt opts[] = {
        OPT_FLAG(0, "stat", c.stat, "only the numbers"),
        OPT_FLAG(0, "exit-code", c.exit_code, "exit 1 when anything differs"),
        OPT_LIST(0, "file", files, "FILE",
                 "a file that a step read, such as a tokenizer.json, or WHAT=FILE; may be given "
                 "repeatedly"),
        OPT_STR(0, "key-file", o.key_file, "FILE",
                "the key of dicom, or the secret of redact's pseudonyms"),
        VERB_THREADS(c.threads),
        VERB_STORE(c.store),
        VERB_JSON(c.json),
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
    ds_sig_setup();
    int rc = 0;
    for (size_t i = 0; !rc && i < o.nsources; i++)
        if (!ds_path_exists(o.sources[i]))
            rc = ds_fail(&err, DS_USAGE, "'%s' is not there: name what the version was made of",
                         o.sources[i]);
    rc = rc ? rc : ds_store_open(&s, c.store, DS_OBJ_READ, &err);
    rc = rc ? rc : diff_sources(&c, &s, named ? operands[0] : NULL, &o, &err);
    ds_store_close(&s);
    ds_opt_list_fini(&files);
    status = ds_command_end(&ds_ver_status, &err, c.json);
    ds_sig_reraise();
    return !rc && status == 0 && c.exit_code && c.differs ? 1 : status;
}
