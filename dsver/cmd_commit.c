/* cmd_commit.c - dsver commit. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd_verb.h"
#include "dsr_shards.h"
#include "gather.h"
#include "io.h"
#include "publish.h"
#include "revision.h"
#include "sig.h"
#include "strlist.h"
#include "plural.h"
#include "term.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_commit;
const ds_command ds_ver_commit = {
    .prog = "dsver",
    .name = "commit",
    .summary = "store a record stream as a new version of a dataset",
    .operands = "[DATASET] [FILE...]",
    .max_operands = -1,
    .example = "dsprep text corpus/ | dsver commit -m \"first\" docs\n"
               "dsprep logs --follow --resume-from ops app.log | \\\n"
               "    dsver commit --append --gapless --every 60s ops",
    .description =
        "Reads a DSR stream from FILE or standard input, checks every record, stores what the "
        "store does not have yet, and moves the dataset's branch to the new version. Several "
        "FILEs, or a folder of shards (dsprep ... -o DIR), are one stream, cut: the version is "
        "what it would be without a cut. A dataset that does not exist yet is created; without "
        "DATASET it is the configured one (dsver config dsver.dataset NAME), or the only one.\n\n"
        "A stream that is cut short, damaged or aborted by its producer changes nothing. "
        "Neither does one that holds the same records from the same places as the newest "
        "version: the command says so and succeeds. Explicit keys must be unique. A stream "
        "without any record becomes a version without any, with a warning.\n\n"
        "A version is the whole dataset: of two who commit at once, the later one's stands, on "
        "top of the other. --parent REV refuses (exit 11) unless the branch is still at REV, "
        "the version that the stream was made from, so that nobody's work is undone "
        "unnoticed.\n\n"
        "The last line tells what the commit cost: the bytes read, the bytes stored (catalog "
        "included), and in parentheses how many times smaller that is than all records of the "
        "version, uncompressed. Below 1 means that the bookkeeping of a small version is "
        "larger than its records.\n\n"
        "With --append the stream's records follow those of the newest version, and only what "
        "is new is read and stored: the root is that of one stream of all of them, and counts "
        "of held and failed records are added up. When somebody else has moved the branch "
        "meanwhile, it exits with 11 and nothing has changed; with --retry the records follow "
        "what is there by then, so several may append to one dataset at once, and all land. "
        "For that a pipe is read to its end first, into a temporary file of the store.\n\n"
        "A producer that does not end (dsprep logs --follow) writes one whole stream after "
        "another. --every gathers them and makes a version once that much time has passed "
        "since the first record gathered; --every-records and --every-bytes make one when the "
        "gathered streams reach that size. Every version continues the one before; the first "
        "continues what was there only with --append. If the process is killed, only what it "
        "had gathered is lost. A first signal is left to the producer, whose last stream "
        "becomes the last version; a second one ends the command at once.\n\n"
        "--gapless refuses a stream that does not go on where the newest version ends: for "
        "every source that both know, the stream must begin with the last record that the "
        "version has of it, which is how dsprep logs --resume-from writes it. So no line is "
        "lost or stored twice, even if an older commit was still at work when the logs were "
        "opened.",
    .run = run,
};

typedef struct commit {
    bool json, quiet, strict, append, gapless, retry;
    int64_t every, records, bytes;
    verb_signing sign;
    const char *store, *message, *branch, *author, *date, *parent;
    int64_t threads;
    char *dataset;
    int fd;
    ds_strlist files; /* behind the one that fd is of */
    uint64_t packs;   /* that were added */
} commit;

enum { PACKS_TOLD = 500 }; /* each time that a store comes to so many more, gc is told of */

static void say_json(const commit *c, const ds_published *p)
{
    const char *const gone = (const char *)p->gone.data;
    const ds_meta *m = &p->pass.meta;
    char root[65];
    ds_sha_hex(root, &m->root);
    printf("{\"type\":\"commit\",\"commit\":\"%s\",\"dataset\":", git_oid_tostr_s(&p->id));
    verb_json(stdout, c->dataset);
    printf(",\"branch\":");
    verb_json(stdout, c->branch);
    printf(",\"unchanged\":%s,\"root\":\"sha256:%s\",\"records\":%" PRIu64 ",\"blocks\":%" PRIu64
           ",\"sources\":%" PRIu64 ",\"blocks_erased\":%" PRIu64,
           p->unchanged ? "true" : "false", root, m->records, m->blocks, m->sources,
           p->pass.erased);
    printf(",\"columns_gone\":[");
    for (size_t at = 0; at < p->gone.len; at += strlen(gone + at) + 1) {
        fputs(at ? "," : "", stdout);
        verb_json(stdout, gone + at);
    }
    printf("]");
    uint64_t stored = p->objs.bytes_stored + p->catalog_bytes;
    printf(",\"pieces_new\":%" PRIu64 ",\"pieces_shared\":%" PRIu64 ",\"deltas\":%" PRIu64
           ",\"bytes_read\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"bytes_new\":%" PRIu64
           ",\"bytes_stored\":%" PRIu64 ",\"catalog_bytes\":%" PRIu64,
           p->objs.pieces_new, p->objs.pieces_shared, p->objs.deltas, p->pass.bytes_read, m->bytes,
           p->objs.bytes_new, p->objs.bytes_stored, p->catalog_bytes);
    if (stored)
        printf(",\"ratio\":%.4f}\n", (double)m->bytes / (double)stored);
    else
        printf(",\"ratio\":null}\n");
}

static void say(const commit *c, const ds_published *p)
{
    const ds_meta *m = &p->pass.meta;
    char read[32], stored[32];
    uint64_t cost = p->objs.bytes_stored + p->catalog_bytes;
    verb_bytes(read, p->pass.bytes_read);
    verb_bytes(stored, cost);
    if (p->unchanged) {
        printf("%s %s@%s unchanged: %" PRIu64 " record%s, read %s, stored %s\n",
               git_oid_tostr_s(&p->id), c->dataset, c->branch, m->records, ds_s(m->records), read,
               cost ? stored : "nothing");
        return;
    }
    printf("%s %s@%s\n", git_oid_tostr_s(&p->id), c->dataset, c->branch);
    printf("%" PRIu64 " record%s in %" PRIu64 " block%s from %" PRIu64 " source%s; %" PRIu64
           " piece%s new, %" PRIu64 " shared; read %s, stored %s (%.2fx)\n",
           m->records, ds_s(m->records), m->blocks, ds_s(m->blocks), m->sources, ds_s(m->sources),
           p->objs.pieces_new, ds_s(p->objs.pieces_new), p->objs.pieces_shared, read, stored,
           cost ? (double)m->bytes / (double)cost : 0.0);
    if (!m->records)
        ds_warn("commit: the stream holds no record, and so this version of '%s' has none",
                c->dataset);
    for (size_t at = 0; at < p->gone.len; at += strlen((const char *)p->gone.data + at) + 1)
        ds_warn("commit: the version before had a column '%s', and this one has not",
                (const char *)p->gone.data + at);
    if (p->pass.erased)
        printf("records of %" PRIu64 " block%s were erased before (dsver forget): they stay so\n",
               p->pass.erased, ds_s(p->pass.erased));
}

/* 9999-12-31T23:59:59Z: the last that has a text of the other form. */
#define DATE_LAST UINT64_C(253402300799)

static int when(int64_t *t, const char *date, ds_err *err)
{
    uint64_t v;
    if (!date)
        return 0;
    if (ds_date_parse(t, date)) {
        if (!strchr(date, ':')) /* a day alone: where it begins, not where it ends */
            *t -= 86400 - 1;
        return 0;
    }
    const char *number = date + 1;
    if (*date == '@' && ds_digits_next(&number, &v) && !*number && v > 0 && v <= DATE_LAST) {
        *t = (int64_t)v;
        return 0;
    }
    return ds_fail(err, DS_USAGE,
                   "--date '%s' is neither YYYY-MM-DD[THH:MM[:SS]] (UTC) nor @SECONDS since 1970, "
                   "up to the year 9999",
                   date);
}

static void tell(void *ctx, const ds_published *p)
{
    commit *c = ctx;
    c->packs += p->objs.packs;
    if (c->quiet)
        return;
    if (c->json)
        say_json(c, p);
    else
        say(c, p);
    fflush(stdout); /* the next may be far; close_stdout tells when it failed */
}

/* Small packs are what a store gets by many commits: files for backups, quotas and remotes. */
static void advise(const commit *c, const ds_store *s)
{
    char *dir = NULL;
    ds_strlist names = {0};
    if (c->quiet || c->json || !c->packs || !ds_term_watched())
        return;
    if (ds_store_path(&dir, s->dir, "packs", NULL) == 0 &&
        ds_strlist_folder(&names, dir, NULL) == 0 &&
        names.n / PACKS_TOLD > (names.n - c->packs) / PACKS_TOLD)
        ds_warn("commit: the store has %zu packs by now: dsver gc joins those that are small",
                names.n);
    ds_strlist_fini(&names);
    free(dir);
}

static int publish(commit *c, ds_store *s, const char *file, const ds_publish_opts *o, ds_err *err)
{
    const ds_gather_opts g = {.append = c->append,
                              .gapless = c->gapless,
                              .retry = c->retry,
                              .files = c->files.n ? &c->files : NULL,
                              .seconds = c->every,
                              .records = (uint64_t)c->records,
                              .bytes = (uint64_t)c->bytes};
    const bool gather = g.seconds || g.records || g.bytes;
    ds_published done = {0};
    if (gather)
        ds_sig_defer();
    int rc = 0;
    if (gather || g.append || g.files) {
        rc = ds_gather_run(s, c->fd, file, o, &g, tell, c, err);
    } else {
        rc = ds_publish_stream(&done, s, c->fd, file, o, err);
        if (!rc)
            tell(c, &done);
        ds_published_fini(&done);
    }
    if (!rc)
        advise(c, s);
    return rc;
}

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Words in another order, or of another command, than they are wanted. */
static int check_words(char **w, int n, ds_err *err)
{
    const char *at = n > 0 ? strchr(w[0], '@') : NULL;
    const size_t len = n > 0 ? strlen(w[0]) : 0;
    if (at)
        return ds_fail(err, DS_USAGE, "'%s': a branch is named by -b: dsver commit -b %s %.*s%s%s",
                       w[0], at[1] ? at + 1 : "NAME", (int)(at - w[0]), w[0], n > 1 ? " " : "",
                       n > 1 ? w[1] : "");
    const bool stream = len > 4 && strcmp(w[0] + len - 4, ".dsr") == 0;
    if (n > 0 && is_file(w[0]) &&
        (n == 1 ? stream || isatty(STDIN_FILENO) : !ds_path_exists(w[1]) && strcmp(w[1], "-") != 0))
        return ds_fail(err, DS_USAGE,
                       "'%s' is a file, and the dataset's name comes first: dsver commit %s %s",
                       w[0], n > 1 ? w[1] : "DATASET", w[0]);
    return 0;
}

static int check_options(const commit *c, ds_err *err)
{
    if (c->gapless && !c->append)
        return ds_fail(err, DS_USAGE, "--gapless wants --append");
    if (c->retry && (!c->append || c->every || c->records || c->bytes))
        return ds_fail(err, DS_USAGE,
                       "--retry is of --append, for an input that ends: it does not go with "
                       "--every, --every-records or --every-bytes");
    if (c->parent && (c->append || c->every || c->records || c->bytes))
        return ds_fail(err, DS_USAGE,
                       "--parent is for one stream that is a whole version: it does not go with "
                       "--append or --every");
    return ds_branch_check(c->branch, err);
}

/* What there is to read: *first, and then c->files. */
static int find_files(commit *c, char **first, char **operands, int n, ds_err *err)
{
    ds_strlist *l = &c->files;
    int rc = n > 1 ? 0 : ds_strlist_add(l, "-", err);
    for (int i = 1; i < n && !rc; i++)
        rc = ds_shards_operand(l, operands[i], err);
    for (size_t i = 0; i < l->n && !rc && l->n > 1; i++)
        if (strcmp(l->v[i], "-") == 0)
            rc = ds_fail(err, DS_USAGE, "standard input goes with no other FILE");
    if (!rc) {
        *first = l->v[0];
        memmove(l->v, l->v + 1, --l->n * sizeof *l->v);
    }
    return rc;
}

static int commit_stream(commit *c, char **operands, int n, ds_err *err)
{
    ds_store s = {0};
    ds_revision parent = {0};
    char *file = NULL;
    ds_publish_opts o = {.branch = c->branch,
                         .message = c->message,
                         .author = c->author,
                         .sign = verb_sign(&c->sign),
                         .pass = {.threads = verb_threads(c->threads), .strict = c->strict}};
    int rc = check_options(c, err);
    rc = rc ? rc : check_words(operands, n, err);
    if (!rc && n > 0)
        rc = ds_dataset_check(operands[0], err);
    if (!rc)
        rc = when(&o.time, c->date, err);
    rc = rc ? rc : find_files(c, &file, operands, n, err);
    if (!rc)
        rc = verb_open_stream(&c->fd, file, "dsver commit -m MSG DATASET FILE", err);
    if (!rc)
        rc = ds_store_open(&s, c->store, DS_OBJ_WRITE, err);
    if (!rc && n > 0)
        rc = (c->dataset = strdup(operands[0])) ? 0 : ds_fail_nomem(err);
    else if (!rc)
        rc = ds_dataset_default(&c->dataset, &s, err);
    o.dataset = c->dataset;
    if (!rc && c->parent) {
        rc = ds_revision_find_in(&parent, &s, c->dataset, c->parent, err);
        o.head = &parent.id;
    }
    rc = rc ? rc : ds_store_act(&s, "commit", c->author, c->message, err);
    rc = rc ? rc : publish(c, &s, file, &o, err);
    ds_revision_fini(&parent);
    ds_store_close(&s);
    if (file)
        verb_close_stream(&c->fd, file);
    free(file);
    ds_strlist_fini(&c->files);
    return rc;
}

static int run(int argc, char **argv)
{
    commit c = {.branch = DS_BRANCH, .fd = STDIN_FILENO};
    const ds_opt opts[] = {
        VERB_MESSAGE(c.message, "what this version is"),
        OPT_STR('b', "branch", c.branch, "NAME", "the branch to move (default: main)"),
        OPT_STR(0, "parent", c.parent, "REV", "fail unless the branch is still at this version"),
        VERB_AUTHOR(c.author),
        OPT_STR(0, "date", c.date, "DATE", "the version's date, in UTC (default: now)"),
        OPT_FLAG(0, "strict", c.strict, "refuse a stream that counts failed records"),
        OPT_FLAG(0, "append", c.append, "the records follow those of the newest version"),
        OPT_FLAG(0, "gapless", c.gapless,
                 "of --append: refuse a stream whose sources do not go on where those of the "
                 "newest version end (dsprep logs --resume-from)"),
        OPT_FLAG(0, "retry", c.retry,
                 "of --append: when the branch has moved meanwhile, go on where it is then"),
        OPT_TIME(0, "every", c.every, "TIME",
                 "a version for what streams bring in so much time, such as 60s"),
        OPT_INT(0, "every-records", c.records, "N", 1, INT64_MAX,
                "a version behind the stream that reaches N records"),
        OPT_SIZE(0, "every-bytes", c.bytes, "SIZE",
                 "a version behind the stream that reaches SIZE"),
        VERB_SIGN(c.sign, 'S'),
        VERB_THREADS(c.threads),
        VERB_STORE(c.store),
        VERB_QUIET(c.quiet),
        VERB_JSON(c.json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_commit, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    ds_sig_setup();
    commit_stream(&c, operands, n, &err);
    free(c.dataset);
    if (!err.code && (c.every || c.records || c.bytes))
        ds_sig_answered(); /* the input ended as the signal wanted it */
    status = ds_command_end(&ds_ver_commit, &err, c.json);
    ds_sig_reraise();
    return status;
}
