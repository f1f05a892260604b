/* cmd_branch.c - dsver branch, tag and reset: names for versions. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd_verb.h"
#include "person.h"
#include "refs.h"
#include "revision.h"

static int run_branch(int argc, char **argv);
static int run_tag(int argc, char **argv);
static int run_reset(int argc, char **argv);

extern const ds_command ds_ver_branch, ds_ver_tag, ds_ver_reset;
const ds_command ds_ver_branch = {
    .prog = "dsver",
    .name = "branch",
    .summary = "list, make or delete branches of a dataset",
    .operands = "[DATASET | DATASET[@REV] NAME]",
    .max_operands = 2,
    .example = "dsver branch docs@main~2 trial",
    .description = "With NAME a branch is made that begins at the version given; one that is there "
                   "already is not moved (see dsver reset). Without, the dataset's branches are "
                   "listed. dsver commit -b NAME goes on from it. The last version of a deleted "
                   "branch stays under refs/dsver/kept/ in the catalog until gc's time of grace "
                   "is over.",
    .run = run_branch,
};
const ds_command ds_ver_tag = {
    .prog = "dsver",
    .name = "tag",
    .summary = "list, make or delete tags: names that stay with their version",
    .operands = "[DATASET | DATASET[@REV] NAME]",
    .max_operands = 2,
    .example = "dsver tag -m \"as delivered to the ward\" docs@main v3",
    .description =
        "With NAME the version given gets that name, which is not given again, nor to a branch; "
        "with -m "
        "an annotated tag of git, that says who named it, when and why. Without NAME the "
        "dataset's tags are listed.",
    .run = run_tag,
};
const ds_command ds_ver_reset = {
    .prog = "dsver",
    .name = "reset",
    .summary = "move a branch to another version",
    .operands = "DATASET[@BRANCH] REV",
    .min_operands = 2,
    .max_operands = 2,
    .example = "dsver reset docs@main main~1",
    .description = "REV is a version of the same dataset, as after the @ elsewhere: a branch, tag, "
                   "date or commit id, with ~N. Nothing is lost at once: the version that the "
                   "branch leaves stays under refs/dsver/kept/ in the catalog, where its id names "
                   "it, until gc's time of grace is over.",
    .run = run_reset,
};

typedef struct names {
    bool json, del, tag;
    verb_signing sign;
    const char *store, *message, *author, *reason;
    ds_store s;
    ds_revision rev;
    char *ref;
    ds_err first; /* of versions that tell of themselves what is not so */
} names;

static const char *what(const names *c)
{
    return c->tag ? "tag" : "branch";
}

static void names_fini(names *c)
{
    free(c->ref);
    ds_revision_fini(&c->rev);
    ds_store_close(&c->s);
}

/* ---- listing ---- */

static int list_one(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    names *c = ctx;
    const size_t len = strlen(c->ref);
    ds_version v = {0};
    if (strncmp(name, c->ref, len) != 0)
        return 0;
    int rc = ds_version_get(&v, c->s.cat, id, err);
    rc = rc ? rc : verb_check_version(c->s.cat, &v, &c->first, err);
    if (rc) {
        ds_version_fini(&v);
        return rc;
    }
    if (c->json) {
        verb_json_named(what(c), c->rev.dataset, strlen(c->rev.dataset), name + len, &v);
    } else {
        char date[32];
        ds_date_text(date, v.time);
        verb_words(name + len);
        printf("  %.10s  %s  %" PRIu64 "  ", git_oid_tostr_s(id), date, v.records);
        verb_subject(&v);
        printf("\n");
    }
    ds_version_fini(&v);
    return 0;
}

static int make_ref(names *c, const char *dataset, const char *name, ds_err *err)
{
    free(c->ref);
    c->ref = NULL;
    if (asprintf(&c->ref, "%s%s/%s", c->tag ? DS_REF_TAGS : DS_REF_PREFIX, dataset, name) < 0) {
        c->ref = NULL;
        return ds_fail_nomem(err);
    }
    return 0;
}

static int list(names *c, const char *dataset, ds_err *err)
{
    int rc = ds_dataset_find(&c->rev.dataset, &c->s, dataset, err);
    rc = rc ? rc : make_ref(c, c->rev.dataset, "", err);
    rc = rc ? rc : ds_ref_each(c->s.cat, list_one, c, err);
    return rc || !c->first.code ? rc : ds_fail_as(err, &c->first);
}

/* ---- making and deleting ---- */

static void say_made(const names *c, const char *did, const char *name)
{
    if (c->json) {
        printf("{\"type\":\"%s\",\"did\":\"%s\",\"dataset\":", what(c), did);
        verb_json(stdout, c->rev.dataset);
        printf(",\"%s\":", what(c));
        verb_json(stdout, name);
        printf(",\"commit\":\"%s\"}\n", git_oid_tostr_s(&c->rev.id));
        return;
    }
    printf("%s@%s %s at %s\n", c->rev.dataset, name, did, git_oid_tostr_s(&c->rev.id));
}

/* An annotated tag's object. */
static int put_tag(names *c, const char *name, git_oid *id, ds_err *err)
{
    ds_gitpack *pack = NULL;
    ds_person who = {0};
    ds_signer *signer = NULL;
    char *text = NULL;
    int rc = ds_person_find(&who, c->s.dir, c->author, err);
    rc = rc ? rc : ds_person_text(&text, &who, err);
    rc = rc ? rc : ds_signer_find(&signer, c->s.dir, verb_sign(&c->sign), true, text, err);
    rc = rc ? rc : ds_catalog_pack(&pack, c->s.cat, err);
    const ds_tag_new t = {.target = c->rev.id,
                          .dataset = c->rev.dataset,
                          .tag = name,
                          .message = c->message,
                          .name = (const char *)who.name.data,
                          .mail = (const char *)who.mail.data,
                          .time = (int64_t)time(NULL),
                          .signer = signer};
    rc = rc ? rc : ds_tag_put(pack, id, &t, err);
    rc = rc ? rc : ds_gitpack_publish(pack, err);
    ds_gitpack_free(pack);
    ds_signer_free(signer);
    free(text);
    ds_person_fini(&who);
    return rc;
}

static int make(names *c, const char *at, const char *name, ds_err *err)
{
    git_oid to;
    int rc = c->tag ? ds_tag_check(name, err) : ds_branch_check(name, err);
    rc = rc ? rc : ds_revision_find(&c->rev, &c->s, at, err);
    rc = rc ? rc : ds_name_check(&c->s, c->rev.dataset, name, c->tag, err);
    rc = rc ? rc : make_ref(c, c->rev.dataset, name, err);
    rc = rc ? rc : ds_objstore_hold(c->s.objs, err); /* gc keeps out until the name is there */
    if (rc)
        return rc;
    to = c->rev.id;
    if (c->tag && c->message)
        rc = put_tag(c, name, &to, err);
    rc = rc ? rc : ds_ref_move(c->s.cat, c->ref, NULL, &to, err);
    ds_objstore_release(c->s.objs);
    if (rc == 0)
        return ds_fail(err, DS_FAIL, "'%s' has a %s '%s' already", c->rev.dataset, what(c), name);
    if (rc > 0)
        say_made(c, "made", name);
    return rc < 0 ? rc : 0;
}

static int drop(names *c, const char *dataset, const char *name, ds_err *err)
{
    int rc = c->tag ? ds_tag_check(name, err) : ds_branch_check(name, err);
    rc = rc ? rc : ds_dataset_find(&c->rev.dataset, &c->s, dataset, err);
    rc = rc ? rc : make_ref(c, c->rev.dataset, name, err);
    rc = rc ? rc : ds_ref_get(c->s.cat, c->ref, &c->rev.id, err);
    if (rc == 0)
        return ds_fail(err, DS_FAIL, "'%s' has no %s '%s'", c->rev.dataset, what(c), name);
    if (rc > 0)
        rc = ds_ref_drop(c->s.cat, c->ref, &c->rev.id, err);
    if (rc == 0)
        return ds_fail(err, DS_FAIL, "'%s' moved meanwhile", name);
    if (rc > 0)
        say_made(c, "deleted", name);
    return rc < 0 ? rc : 0;
}

/* What goes needs no look at the pieces, and so works where their index cannot be opened: to let go
 * of a version is how a full disk gets room. */
static int open_for(names *c, int n, ds_err *err)
{
    return c->del ? ds_store_open_bare(&c->s, c->store, err)
                  : ds_store_open(&c->s, c->store, n > 1 ? DS_OBJ_WRITE : DS_OBJ_READ, err);
}

static int work(names *c, char **operands, int n, ds_err *err)
{
    int rc = 0;
    if (c->del && n < 2)
        rc = ds_fail(err, DS_USAGE, "--delete wants a dataset and a name");
    if (!rc && c->sign.yes && !c->message)
        rc = ds_fail(err, DS_USAGE, "--sign wants --message: only an annotated tag can be signed");
    if (!rc && c->del && (c->message || c->author))
        rc = ds_fail(err, DS_USAGE, "--%s is of a tag that is made: --delete takes a --reason",
                     c->message ? "message" : "author");
    if (!rc && n < 2 && (c->author || c->reason))
        rc = ds_fail(err, DS_USAGE, "--%s wants a version and a name: nothing is done but to list",
                     c->author ? "author" : "reason");
    if (!rc && c->message && n < 2)
        rc = ds_fail(err, DS_USAGE, "--message wants a version and a name");
    rc = rc ? rc : open_for(c, n, err);
    rc = rc ? rc : ds_store_act(&c->s, what(c), c->author, c->reason ? c->reason : c->message, err);
    if (rc)
        return rc;
    return n < 2    ? list(c, n > 0 ? operands[0] : NULL, err)
           : c->del ? drop(c, operands[0], operands[1], err)
                    : make(c, operands[0], operands[1], err);
}

static int run_names(names *c, const ds_command *cmd, const ds_opt *opts, int argc, char **argv)
{
    char **operands;
    int n, status = ds_opt_begin(cmd, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    work(c, operands, n, &err);
    names_fini(c);
    return ds_command_end(cmd, &err, c->json);
}

#define DELETE(c) OPT_FLAG('d', "delete", (c).del, "delete the one named NAME")

static int run_branch(int argc, char **argv)
{
    names c = {0};
    const ds_opt opts[] = {DELETE(c), VERB_REASON(c.reason), VERB_STORE(c.store), VERB_JSON(c.json),
                           OPT_END};
    return run_names(&c, &ds_ver_branch, opts, argc, argv);
}

static int run_tag(int argc, char **argv)
{
    names c = {.tag = true};
    const ds_opt opts[] = {
        VERB_MESSAGE(c.message, "make an annotated tag that says this"),
        VERB_AUTHOR(c.author),
        VERB_SIGN(c.sign, 's'),
        DELETE(c),
        VERB_REASON(c.reason),
        VERB_STORE(c.store),
        VERB_JSON(c.json),
        OPT_END,
    };
    return run_names(&c, &ds_ver_tag, opts, argc, argv);
}

/* ---- reset ---- */

static int reset(names *c, const char *what, const char *to, ds_err *err)
{
    ds_revision there = {0};
    int rc = ds_store_open_bare(&c->s, c->store, err);
    rc = rc ? rc : ds_store_act(&c->s, "reset", NULL, c->reason, err);
    rc = rc ? rc : ds_revision_find(&c->rev, &c->s, what, err);
    if (!rc && !c->rev.branch)
        rc = ds_fail(err, DS_USAGE, "'%s' is no branch", what);
    rc = rc ? rc : ds_revision_find_in(&there, &c->s, c->rev.dataset, to, err);
    rc = rc ? rc : make_ref(c, c->rev.dataset, c->rev.branch, err);
    if (!rc && !git_oid_equal(&c->rev.id, &there.id)) {
        rc = ds_ref_keep(c->s.cat, c->ref, &c->rev.id, err);
        rc = rc ? rc : ds_ref_move(c->s.cat, c->ref, &c->rev.id, &there.id, err);
        if (rc == 0)
            rc = ds_fail(err, DS_LOCKED, "%s moved meanwhile", what);
    }
    if (rc >= 0) {
        rc = 0;
        if (c->json) {
            printf("{\"type\":\"reset\",\"dataset\":");
            verb_json(stdout, c->rev.dataset);
            printf(",\"branch\":");
            verb_json(stdout, c->rev.branch);
            printf(",\"before\":\"%s\"", git_oid_tostr_s(&c->rev.id));
            printf(",\"after\":\"%s\"}\n", git_oid_tostr_s(&there.id));
        } else {
            printf("%s@%s is now at %.10s,", c->rev.dataset, c->rev.branch,
                   git_oid_tostr_s(&there.id));
            printf(" it was at %s\n", git_oid_tostr_s(&c->rev.id));
        }
    }
    ds_revision_fini(&there);
    return rc;
}

static int run_reset(int argc, char **argv)
{
    names c = {0};
    const ds_opt opts[] = {VERB_REASON(c.reason), VERB_STORE(c.store), VERB_JSON(c.json), OPT_END};
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_reset, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    reset(&c, operands[0], operands[1], &err);
    names_fini(&c);
    return ds_command_end(&ds_ver_reset, &err, c.json);
}
