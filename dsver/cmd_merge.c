/* cmd_merge.c - dsver merge and revert. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_recsay.h"
#include "cmd_verb.h"
#include "merge.h"
#include "publish.h"
#include "refs.h"
#include "revision.h"
#include "sig.h"
#include "plural.h"

static int run_merge(int argc, char **argv);
static int run_revert(int argc, char **argv);

extern const ds_command ds_ver_merge, ds_ver_revert;
const ds_command ds_ver_merge = {
    .prog = "dsver",
    .name = "merge",
    .summary = "bring what another branch did into a branch, record by record",
    .operands = "DATASET[@BRANCH] REV",
    .min_operands = 2,
    .max_operands = 2,
    .example = "dsver merge docs@main trial",
    .description =
        "REV is another version of the dataset, as after the @ elsewhere. What it did since "
        "the last version that both have in common is done to the branch; records are "
        "identified by their keys. The order stays that of the branch; added records follow "
        "the record that they followed in REV.\n\n"
        "Records that both changed, each in its own way, are conflicts: they are listed with "
        "the columns in which the two differ, nothing is changed, and it exits with 1. --json "
        "gives the values too, as in dsver diff: those of base (the version in common), ours "
        "(the branch) and theirs, where they have the record. --ours or --theirs decides all "
        "of them, --take-ours KEY and --take-theirs KEY single ones, which must be in "
        "conflict. A branch without changes of its own is only moved forward. Files (dsprep "
        "files) that could not exist in one folder, such as one below what is no longer a "
        "folder, are refused.",
    .run = run_merge,
};
const ds_command ds_ver_revert = {
    .prog = "dsver",
    .name = "revert",
    .summary = "undo what a version did, in a new version",
    .operands = "DATASET[@BRANCH] REV",
    .min_operands = 2,
    .max_operands = 2,
    .example = "dsver revert docs@main main~1",
    .description = "The records that REV added, changed or removed are taken out, set back and put "
                   "in again; what came after it stays. Records that were changed again since are "
                   "conflicts, as in dsver merge (base is REV, theirs the version before it); "
                   "--ours leaves them, --theirs sets them back.",
    .run = run_revert,
};

typedef struct choice {
    const char *key;
    enum ds_favour who;
    bool met; /* there was a conflict over it */
} choice;

typedef struct merging {
    const char *verb; /* "merge" or "revert" */
    bool json, ours, theirs;
    verb_signing sign;
    const char *store, *message, *author;
    int64_t threads;
    ds_opt_list take_ours, take_theirs;
    choice *choices; /* what the two say */
    size_t nchoices;
    ds_store s;
    ds_revision into, from;
    char *text; /* the default message */
} merging;

static int find_both(merging *c, char **operands, ds_err *err)
{
    int rc = ds_revision_find(&c->into, &c->s, operands[0], err);
    if (!rc && !c->into.branch)
        rc = ds_fail(err, DS_USAGE, "'%s' is no branch", operands[0]);
    return rc ? rc : ds_revision_find_in(&c->from, &c->s, c->into.dataset, operands[1], err);
}

/* ---- decisions about single keys ---- */

static choice *choice_of(const merging *c, const void *key, size_t len)
{
    for (size_t i = 0; i < c->nchoices; i++)
        if (strlen(c->choices[i].key) == len && memcmp(c->choices[i].key, key, len) == 0)
            return &c->choices[i];
    return NULL;
}

static int add_choices(merging *c, const ds_opt_list *l, enum ds_favour who, ds_err *err)
{
    for (size_t i = 0; i < l->n; i++) {
        const choice *k = choice_of(c, l->v[i], strlen(l->v[i]));
        if (k && k->who != who)
            return ds_fail(err, DS_USAGE, "'%s' stands in --take-ours and in --take-theirs",
                           k->key);
        if (!k)
            c->choices[c->nchoices++] = (choice){.key = l->v[i], .who = who};
    }
    return 0;
}

static int read_choices(merging *c, ds_err *err)
{
    c->choices = calloc(c->take_ours.n + c->take_theirs.n + 1, sizeof *c->choices);
    int rc = c->choices ? 0 : ds_fail_nomem(err);
    rc = rc ? rc : add_choices(c, &c->take_ours, DS_FAVOUR_OURS, err);
    return rc ? rc : add_choices(c, &c->take_theirs, DS_FAVOUR_THEIRS, err);
}

static enum ds_favour choose(void *ctx, const void *key, size_t len)
{
    choice *k = choice_of(ctx, key, len);
    if (!k)
        return DS_FAVOUR_NONE;
    k->met = true;
    return k->who;
}

/* A decision about a key that needs none is a slip: another key was meant. */
static int check_met(const merging *c, ds_err *err)
{
    for (size_t i = 0; i < c->nchoices; i++)
        if (!c->choices[i].met)
            return ds_fail(
                err, DS_FAIL,
                "--take-%s '%s': there is no conflict over this key; nothing was changed",
                c->choices[i].who == DS_FAVOUR_OURS ? "ours" : "theirs", c->choices[i].key);
    return 0;
}

/* ---- conflicts ---- */

/* The columns in which ours and theirs differ; one that has removed the record counts as base. */
static int say_fields(const merging *c, recsay rec[3], const ds_conflict *k, ds_err *err)
{
    static const char *const names[] = {"base", "ours", "theirs"};
    const recsay *ours = &rec[k->has[DS_MERGE_OURS] ? DS_MERGE_OURS : DS_MERGE_BASE],
                 *theirs = &rec[k->has[DS_MERGE_THEIRS] ? DS_MERGE_THEIRS : DS_MERGE_BASE];
    const ds_schema *s = &ours->side->schema;
    const char *sep = c->json ? "" : ": ";
    int rc = 0;
    for (size_t i = 0; !rc && i < s->n; i++) {
        if (!recsay_differs(ours, i, theirs, i))
            continue;
        fputs(sep, stdout);
        sep = c->json ? "," : ", ";
        if (!c->json) {
            verb_words(s->cols[i].name);
            continue;
        }
        verb_json(stdout, s->cols[i].name);
        fputs(":{", stdout);
        const char *comma = "";
        for (int side = 0; !rc && side < 3; side++) {
            if (!k->has[side])
                continue;
            printf("%s\"%s\":", comma, names[side]);
            comma = ",";
            rc = recsay_value(&rec[side], i, err);
        }
        if (!rc)
            putchar('}');
    }
    return rc;
}

static int say_conflict(const merging *c, recsay rec[3], const ds_conflict *k, ds_err *err)
{
    static const char *const did[] = {"removed", "changed", "added"};
    int rc = 0;
    for (int side = 0; !rc && side < 3; side++)
        if (k->has[side])
            rc = recsay_seek(&rec[side], k->at[side], err);
    if (rc)
        return rc;
    if (c->json) {
        printf("{\"type\":\"conflict\",\"key\":");
        verb_json_buf(stdout, k->key, k->len);
        printf(",\"ours\":\"%s\",\"theirs\":\"%s\",\"fields\":{", did[k->ours], did[k->theirs]);
    } else {
        printf("! ");
        verb_text(stdout, k->key, k->len);
        printf(": ours %s, theirs %s", did[k->ours], did[k->theirs]);
    }
    rc = say_fields(c, rec, k, err);
    if (!rc)
        puts(c->json ? "}}" : "");
    return rc;
}

static int say_conflicts(const merging *c, const ds_merge *m, ds_err *err)
{
    const uint64_t n = ds_merge_about(m)->conflicts;
    recsay rec[3] = {0};
    int rc = 0;
    for (int side = 0; !rc && side < 3; side++)
        rc = recsay_open(&rec[side], ds_merge_side(m, (enum ds_mergeside)side), false, err);
    for (uint64_t i = 0; !rc && i < n; i++) {
        rc = say_conflict(c, rec, ds_merge_conflict(m, i), err);
        rc = rc ? rc : ds_check_interrupt(err);
    }
    for (int side = 0; side < 3; side++)
        recsay_fini(&rec[side]);
    return rc ? rc
              : ds_fail(err, DS_FAIL,
                        "%" PRIu64 " conflict%s: nothing was changed (--ours, --theirs, "
                        "--take-ours KEY and --take-theirs KEY decide)",
                        n, ds_s(n));
}

/* ---- the merged stream becomes a version ---- */

static int publish(merging *c, ds_merge *m, bool merge, ds_published *done, ds_err *err)
{
    const ds_publish_opts o = {.dataset = c->into.dataset,
                               .branch = c->into.branch,
                               .message = c->message ? c->message : c->text,
                               .author = c->author,
                               .sign = verb_sign(&c->sign),
                               .head = &c->into.id,
                               .merged = merge ? &c->from.id : NULL,
                               .pass = {.threads = verb_threads(c->threads)}};
    ds_feed feed;
    int rc = ds_merge_feed(&feed, m, err);
    if (rc)
        return rc;
    rc = ds_publish_stream(done, &c->s, feed.fd, "the merged stream", &o, err);
    rc = ds_feed_end(&feed, rc, err);
    return rc;
}

/* An object that is left open. */
static void begin_json(const merging *c, const git_oid *head, bool forward, bool unchanged)
{
    printf("{\"type\":\"%s\",\"commit\":\"%s\",\"dataset\":", c->verb, git_oid_tostr_s(head));
    verb_json(stdout, c->into.dataset);
    printf(",\"branch\":");
    verb_json(stdout, c->into.branch);
    printf(",\"forward\":%s,\"unchanged\":%s", forward ? "true" : "false",
           unchanged ? "true" : "false");
}

static void say(const merging *c, const ds_merge *m, const ds_published *done)
{
    const ds_merge_stats *t = ds_merge_about(m);
    if (c->json) {
        begin_json(c, &done->id, false, done->unchanged);
        printf(",\"removed\":%" PRIu64 ",\"changed\":%" PRIu64 ",\"added\":%" PRIu64
               ",\"resolved\":%" PRIu64 ",\"records\":%" PRIu64 "}\n",
               t->removed, t->changed, t->added, t->resolved, done->pass.meta.records);
        return;
    }
    printf("%s %s@%s%s\n", git_oid_tostr_s(&done->id), c->into.dataset, c->into.branch,
           done->unchanged ? " unchanged" : "");
    printf("%" PRIu64 " removed, %" PRIu64 " changed, %" PRIu64 " added, %" PRIu64
           " conflict%s decided: %" PRIu64 " record%s\n",
           t->removed, t->changed, t->added, t->resolved, ds_s(t->resolved),
           done->pass.meta.records, ds_s(done->pass.meta.records));
}

static int three_way(merging *c, const git_oid *base, const git_oid *theirs, bool merge,
                     ds_err *err)
{
    const ds_merge_opts o = {.threads = verb_threads(c->threads),
                             .favour = c->ours     ? DS_FAVOUR_OURS
                                       : c->theirs ? DS_FAVOUR_THEIRS
                                                   : DS_FAVOUR_NONE,
                             .choose = choose,
                             .choose_ctx = c};
    ds_merge *m = NULL;
    ds_published done = {0};
    int rc = ds_merge_plan(&m, &c->s, base, &c->into.id, theirs, &o, err);
    if (!rc && ds_merge_about(m)->conflicts)
        rc = say_conflicts(c, m, err);
    rc = rc ? rc : check_met(c, err);
    const ds_merge_stats *t = rc ? NULL : ds_merge_about(m);
    if (!rc && !merge && !t->removed && !t->changed && !t->added) { /* it is undone already */
        done = (ds_published){.id = c->into.id, .unchanged = true};
        done.pass.meta.records = ds_merge_side(m, DS_MERGE_OURS)->version.records;
    } else if (!rc) {
        rc = publish(c, m, merge, &done, err);
    }
    if (!rc)
        say(c, m, &done);
    ds_published_fini(&done);
    ds_merge_free(m);
    return rc;
}

/* ---- merge ---- */

static int forward(merging *c, ds_err *err)
{
    char *ref = NULL;
    int rc = 1;
    const bool moves = !git_oid_equal(&c->into.id, &c->from.id);
    if (asprintf(&ref, DS_REF_PREFIX "%s/%s", c->into.dataset, c->into.branch) < 0)
        return ds_fail_nomem(err);
    if (moves)
        rc = ds_ref_move(c->s.cat, ref, &c->into.id, &c->from.id, err);
    if (rc == 0)
        rc = ds_fail(err, DS_LOCKED, "%s moved meanwhile: try again", ref);
    free(ref);
    if (rc < 0)
        return rc;
    if (c->json) {
        begin_json(c, &c->from.id, moves, !moves);
        printf("}\n");
    } else {
        printf("%s %s@%s %s\n", git_oid_tostr_s(&c->from.id), c->into.dataset, c->into.branch,
               moves ? "moved forward" : "has it already");
    }
    return 0;
}

static int merge(merging *c, char **operands, ds_err *err)
{
    git_oid base;
    int rc = find_both(c, operands, err);
    if (rc)
        return rc;
    int git = git_merge_base(&base, ds_catalog_repo(c->s.cat), &c->into.id, &c->from.id);
    if (git == GIT_ENOTFOUND)
        return ds_fail(err, DS_FAIL, "the two have no version in common");
    if (git < 0)
        return ds_fail_git(err, git, "cannot compare the two histories");
    if (git_oid_equal(&base, &c->from.id)) { /* all of it is in already */
        c->from.id = c->into.id;
        return forward(c, err);
    }
    if (git_oid_equal(&base, &c->into.id))
        return forward(c, err);
    if (asprintf(&c->text, "merge %s", operands[1]) < 0) {
        c->text = NULL;
        return ds_fail_nomem(err);
    }
    return three_way(c, &base, &c->from.id, true, err);
}

/* ---- revert ---- */

static int revert(merging *c, char **operands, ds_err *err)
{
    ds_version v = {0};
    int rc = find_both(c, operands, err);
    rc = rc ? rc : ds_version_get(&v, c->s.cat, &c->from.id, err);
    if (!rc && !v.has_parent)
        rc = ds_fail(err, DS_FAIL, "version %.10s is the first: there is nothing to go back to",
                     git_oid_tostr_s(&c->from.id));
    if (!rc && asprintf(&c->text, "revert %.10s: %.*s", git_oid_tostr_s(&c->from.id),
                        (int)strcspn(v.message, "\n"), v.message) < 0) {
        c->text = NULL;
        rc = ds_fail_nomem(err);
    }
    rc = rc ? rc : three_way(c, &c->from.id, &v.parent, false, err);
    ds_version_fini(&v);
    return rc;
}

static int run(const ds_command *cmd, int (*work)(merging *, char **, ds_err *), int argc,
               char **argv)
{
    merging c = {.verb = cmd->name};
    const ds_opt opts[] = {
        VERB_MESSAGE(c.message, "what the new version is"),
        VERB_AUTHOR(c.author),
        OPT_FLAG(0, "ours", c.ours, "the branch wins conflicts"),
        OPT_FLAG(0, "theirs", c.theirs, "REV wins conflicts"),
        OPT_LIST(0, "take-ours", c.take_ours, "KEY",
                 "the branch wins over this key; may be repeated"),
        OPT_LIST(0, "take-theirs", c.take_theirs, "KEY", "REV wins over this key; may be repeated"),
        VERB_SIGN(c.sign, 'S'),
        VERB_THREADS(c.threads),
        VERB_STORE(c.store),
        VERB_JSON(c.json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(cmd, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    ds_sig_setup();
    int rc = c.ours && c.theirs ? ds_fail(&err, DS_USAGE, "--ours and --theirs exclude each other")
                                : read_choices(&c, &err);
    rc = rc ? rc : ds_store_open(&c.s, c.store, DS_OBJ_WRITE, &err);
    rc = rc ? rc : ds_store_act(&c.s, cmd->name, c.author, c.message, &err);
    if (!rc)
        work(&c, operands, &err);
    free(c.text);
    free(c.choices);
    ds_revision_fini(&c.into);
    ds_revision_fini(&c.from);
    ds_store_close(&c.s);
    ds_opt_list_fini(&c.take_ours);
    ds_opt_list_fini(&c.take_theirs);
    status = ds_command_end(cmd, &err, c.json);
    ds_sig_reraise();
    return status;
}

static int run_merge(int argc, char **argv)
{
    return run(&ds_ver_merge, merge, argc, argv);
}

static int run_revert(int argc, char **argv)
{
    return run(&ds_ver_revert, revert, argc, argv);
}
