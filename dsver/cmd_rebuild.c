/* cmd_rebuild.c - dsver rebuild. */
#include <inttypes.h>
#include <stdlib.h>

#include "cmd_verb.h"
#include "pin.h"
#include "rebuild.h"
#include "remerge.h"
#include "revision.h"
#include "sig.h"
#include "plural.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_rebuild;
const ds_command ds_ver_rebuild = {
    .prog = "dsver",
    .name = "rebuild",
    .summary = "make a version again from its sources, and compare the roots",
    .operands = "DATASET[@REV]",
    .min_operands = 1,
    .max_operands = 1,
    .example = "dsver rebuild corpus@v3 --source /data/corpus --file tokenizer.json\n"
               "dsver rebuild ct --source export/ --key-file site.key\n"
               "dsver rebuild --dry-run corpus@v3 --source /data/corpus",
    .description =
        "Runs the steps that the version's provenance records (dsprep info shows them) on its "
        "sources, in programs of this installation, and compares the root of what they make "
        "with the version's. When both are the same it says so. If not, it names the first "
        "source or record that differs, and exits with 1.\n\n"
        "--source names what was read, under the name it had then: a folder, an archive or a "
        "file; several in the same order. Texts, logs and tables that were given as files are "
        "also found at the top of a folder. Each source must be there with the recorded name, "
        "size and SHA-256: texts, logs and tables that are plain files are compared first; "
        "what is compressed or in an archive, DICOM objects and what dsprep files took are "
        "compared as they are read.\n\n"
        "Files that steps read (the tokenizer, a chat template, a list of names) are found by "
        "their SHA-256 among those of --file and --source. Of others no digest is recorded, "
        "and --file says for what they are: against=FILE (once for each that dedup or "
        "decontaminate had), schema=FILE (of import) and tokenizer-config=FILE (of chats) "
        "where they lay elsewhere, and for dicom scrub=FILE, words=FILE and safe-private=FILE. "
        "No key is recorded: --key-file names that of dicom or of redact's pseudonyms.\n\n"
        "What can be rebuilt: text, logs, files, dicom and import, then tokenize (chats too), "
        "redact, filter, dedup, split (without --dir), templates, sample, shuffle, sort, map, "
        "lang and decontaminate, by the same version of the programs. Anything else (mix, "
        "standard input) is refused by name before something runs. --dry-run checks the "
        "sources and prints the pipeline for a shell. Nothing is written; dsver diff tells "
        "more about what differs, once the result is committed.\n\n"
        "A version that dsver merge or revert made needs no --source: the versions that it was "
        "made of, which its history has, are merged again. Each of them can be rebuilt in "
        "turn. Conflicts are decided as recorded, or, where --take-ours or --take-theirs "
        "decided some, as they were decided.\n\n"
        "Records that were erased are counted. Where the sources still hold them the root is "
        "as recorded; where they do not, all other records must come out the same, and sources "
        "may differ by what was erased: the result of --json is same, same_but_erased or "
        "differs.",
    .run = run,
};

typedef struct wishes {
    bool json, dry;
    const char *store;
    ds_rebuild_opts o;
} wishes;

static int say_plan(const ds_rebuild *r, bool json, ds_err *err)
{
    ds_buf b = {0};
    int rc = 0;
    for (size_t i = 0; !rc && i < r->n; i++)
        rc = (i && ds_buf_puts(&b, " | ")) || ds_argv_quoted(&b, &r->stages[i]) ? ds_fail_nomem(err)
                                                                                : 0;
    if (!rc && json) {
        printf("{\"type\":\"plan\",\"sources\":%" PRIu64 ",\"steps\":%zu,\"pipeline\":",
               r->sources.n, r->n);
        verb_json_buf(stdout, b.data, b.len);
        printf("}\n");
    } else if (!rc) {
        printf("%.*s\n", (int)b.len, (const char *)b.data);
    }
    ds_buf_fini(&b);
    return rc;
}

/* What came out, in either way. */
typedef struct outcome {
    const git_oid *id;
    const ds_sha *want;
    const ds_recompared *got;
    uint64_t sources;
    const ds_remerge *merge; /* NULL: made from sources */
} outcome;

/* before OURS between THEIRS between BASE after; `shown` digits of each. */
static void say_three(const ds_remerge *m, int shown, const char *const words[4])
{
    const git_oid *const ids[] = {&m->ours, &m->theirs, &m->base};
    for (int i = 0; i < 3; i++)
        printf("%s%.*s", words[i], shown, git_oid_tostr_s(ids[i]));
    printf("%s", words[3]);
}

/* The roots alone do not say it: where records were erased they may well be two. */
static const char *result(const ds_recompared *got)
{
    return got->differs ? "differs" : got->same ? "same" : "same_but_erased";
}

static void say_json(const outcome *o)
{
    const ds_recompared *got = o->got;
    char want[65], is[65];
    ds_sha_hex(want, o->want);
    ds_sha_hex(is, &got->root);
    printf("{\"type\":\"rebuild\",\"commit\":\"%s\",\"result\":\"%s\",\"same\":%s,\"root\":"
           "\"sha256:%s\","
           "\"recorded\":\"sha256:%s\",\"records\":%" PRIu64 ",\"sources\":%" PRIu64
           ",\"erased\":%" PRIu64 ",\"sources_changed\":%" PRIu64 ",",
           git_oid_tostr_s(o->id), result(got), got->same && !got->differs ? "true" : "false", is,
           want, got->records, o->sources, got->erased, got->others);
    if (o->merge)
        say_three(o->merge, GIT_OID_HEXSZ,
                  (const char *[]){"\"ours\":\"", "\",\"theirs\":\"", "\",\"base\":\"", "\","});
    printf("\"differs\":");
    if (got->differs)
        verb_json(stdout, got->differs);
    else
        printf("null");
    printf("}\n");
}

static void say_words(const outcome *o)
{
    const ds_recompared *got = o->got;
    char is[65];
    ds_sha_hex(is, &got->root);
    printf("rebuilt%s: root sha256:%s, %" PRIu64 " record%s from %" PRIu64 " source%s",
           got->same ? "" : ", but for what was erased", is, got->records, ds_s(got->records),
           o->sources, ds_s(o->sources));
    if (got->erased)
        printf("; %" PRIu64 " erased", got->erased);
    if (got->others)
        printf("; %" PRIu64 " source%s changed since", got->others, ds_s(got->others));
    if (o->merge)
        say_three(o->merge, 10, (const char *[]){"; of ", " and what ", " changed since ", ""});
    putchar('\n');
}

static int say_outcome(const outcome *o, bool json, ds_err *err)
{
    char want[65], is[65];
    if (json)
        say_json(o);
    else if (!o->got->differs)
        say_words(o);
    ds_sha_hex(want, o->want);
    ds_sha_hex(is, &o->got->root);
    return o->got->differs
               ? ds_fail(err, DS_FAIL, "not the same: %s (root sha256:%s, recorded sha256:%s)",
                         o->got->differs, is, want)
               : 0;
}

static int merge_again(const wishes *w, ds_remerge *m, ds_store *s, const git_oid *id, ds_err *err)
{
    if (w->dry && w->json)
        say_three(m, GIT_OID_HEXSZ,
                  (const char *[]){"{\"type\":\"plan\",\"ours\":\"", "\",\"theirs\":\"",
                                   "\",\"base\":\"", "\"}\n"});
    else if (w->dry)
        say_three(m, GIT_OID_HEXSZ,
                  (const char *[]){"merge ", " and what ", " changed since ", "\n"});
    if (w->dry)
        return 0;
    const int rc = ds_remerge_run(m, s, id, verb_threads(0), err);
    const outcome o = {id, &m->want, &m->got, m->sources, m};
    return rc ? rc : say_outcome(&o, w->json, err);
}

static int from_sources(wishes *w, ds_store *s, const git_oid *id, ds_err *err)
{
    ds_rebuild r = {0};
    int rc = w->o.nsources
                 ? 0
                 : ds_fail(err, DS_USAGE, "--source DIR is needed: what the version was made from");
    w->o.dry_run = w->dry;
    rc = rc ? rc : ds_rebuild_plan(&r, s, id, &w->o, err);
    if (!rc && w->dry) {
        rc = say_plan(&r, w->json, err);
    } else if (!rc && setenv("DSVER_STORE", s->dir, 1) != 0) {
        rc = ds_fail_nomem(err); /* steps read versions (decontaminate --against) of this store */
    } else if (!rc) {
        rc = ds_rebuild_run(&r, s, id, err);
        const outcome o = {id, &r.want, &r.got, r.sources.n, NULL};
        rc = rc ? rc : say_outcome(&o, w->json, err);
    }
    ds_rebuild_fini(&r);
    return rc;
}

static int work(wishes *w, const char *operand, ds_err *err)
{
    ds_store s = {0};
    ds_revision rev = {0};
    ds_pin pin = {.gate = -1, .fd = -1};
    ds_remerge m = {0};
    int rc = ds_store_open(&s, w->store, DS_OBJ_READ, err);
    rc = rc ? rc : ds_pin_begin(&pin, &s, err);
    rc = rc ? rc : ds_revision_find(&rev, &s, operand, err);
    rc = rc ? rc : ds_pin_set(&pin, &s, &rev.id, err);
    rc = rc ? rc : ds_remerge_find(&m, &s, &rev.id, err);
    if (rc == 1)
        rc = merge_again(w, &m, &s, &rev.id, err);
    else if (!rc)
        rc = from_sources(w, &s, &rev.id, err);
    ds_remerge_fini(&m);
    ds_pin_end(&pin);
    ds_revision_fini(&rev);
    ds_store_close(&s);
    return rc;
}

static int run(int argc, char **argv)
{
    wishes w = {0};
    ds_opt_list sources = {0}, files = {0};
    const ds_opt opts[] = {
        OPT_LIST(0, "source", sources, "PATH",
                 "what was read: a folder, an archive or a file; may be given repeatedly"),
        OPT_LIST(0, "file", files, "FILE",
                 "a file that a step read, such as a tokenizer.json, or WHAT=FILE; may be given "
                 "repeatedly"),
        OPT_STR(0, "key-file", w.o.key_file, "FILE",
                "the key of dicom, or the secret of redact's pseudonyms"),
        OPT_FLAG('n', "dry-run", w.dry, "check the sources and print the pipeline, run nothing"),
        VERB_STORE(w.store),
        VERB_JSON(w.json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_rebuild, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    w.o.sources = sources.v;
    w.o.nsources = sources.n;
    w.o.files = files.v;
    w.o.nfiles = files.n;
    ds_sig_setup();
    work(&w, operands[0], &err);
    ds_opt_list_fini(&sources);
    ds_opt_list_fini(&files);
    status = ds_command_end(&ds_ver_rebuild, &err, w.json);
    ds_sig_reraise();
    return status;
}
