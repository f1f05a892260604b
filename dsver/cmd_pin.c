/* cmd_pin.c - dsver pin and unpin: versions that gc leaves alone whatever becomes of branches. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd_verb.h"
#include "person.h"
#include "refs.h"
#include "revision.h"

static int run_pin(int argc, char **argv);
static int run_unpin(int argc, char **argv);

extern const ds_command ds_ver_pin, ds_ver_unpin;
const ds_command ds_ver_pin = {
    .prog = "dsver",
    .name = "pin",
    .summary = "keep versions from gc, with a reason; list what is kept",
    .operands = "[DATASET[@REV]...]",
    .max_operands = -1,
    .example = "dsver pin --reason \"trial 7 was trained on it\" docs@3f2a9c\n"
               "dsver pin",
    .description = "A pinned version, with all that it came from, stays when no branch or tag "
                   "leads to it any more, until dsver unpin. The pin is a tag of git under "
                   "refs/dsver/pins/ that says who pinned it, when and why; it is not pushed. "
                   "Without operands pins are listed. A version that is pinned already stays as "
                   "it is.",
    .run = run_pin,
};
const ds_command ds_ver_unpin = {
    .prog = "dsver",
    .name = "unpin",
    .summary = "let go of pinned versions",
    .operands = "DATASET[@REV]...",
    .min_operands = 1,
    .max_operands = -1,
    .example = "dsver unpin docs@3f2a9c",
    .description = "The version goes with the next dsver gc, unless something else leads to it.",
    .run = run_unpin,
};

typedef struct pins {
    bool json;
    const char *store, *reason, *author;
    ds_store s;
} pins;

/* ---- listing ---- */

static void say_pin(const pins *c, const char *dataset, size_t len, const git_tag *t)
{
    const git_signature *who = git_tag_tagger(t);
    const char *why = git_tag_message(t) ? git_tag_message(t) : "";
    const size_t n = strcspn(why, "\n");
    const char *id = git_oid_tostr_s(git_tag_target_id(t));
    char date[32], by[600] = "";
    ds_date_text(date, who ? who->when.time : 0);
    if (who)
        snprintf(by, sizeof by, "%.290s <%.290s>", who->name, who->email);
    if (c->json) {
        printf("{\"type\":\"pin\",\"dataset\":");
        verb_json_buf(stdout, dataset, len);
        printf(",\"commit\":\"%s\",\"date\":\"%s\",\"actor\":", id, date);
        verb_json(stdout, by);
        printf(",\"reason\":");
        verb_json_buf(stdout, why, n);
        printf("}\n");
        return;
    }
    verb_text(stdout, dataset, len);
    printf("@%s  %s  ", id, date);
    verb_words(by);
    printf("  ");
    verb_text(stdout, why, n);
    printf("\n");
}

static int list_one(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    const pins *c = ctx;
    const size_t pre = sizeof DS_REF_PINS - 1;
    git_tag *t = NULL;
    if (strncmp(name, DS_REF_PINS, pre) != 0)
        return 0;
    if (git_tag_lookup(&t, ds_catalog_repo(c->s.cat), id) < 0)
        return ds_fail_git_read(err, "%s: leads to no tag", name);
    say_pin(c, name + pre, strcspn(name + pre, "/"), t);
    git_tag_free(t);
    return 0;
}

/* ---- one version ---- */

static int put_tag(const pins *c, const ds_revision *r, git_oid *id, ds_err *err)
{
    ds_person who = {0};
    ds_gitpack *pack = NULL;
    char name[GIT_OID_HEXSZ + 8];
    snprintf(name, sizeof name, "pin/%s", git_oid_tostr_s(&r->id));
    int rc = ds_person_find(&who, c->s.dir, c->author, err);
    rc = rc ? rc : ds_catalog_pack(&pack, c->s.cat, err);
    const ds_tag_new t = {.target = r->id,
                          .dataset = r->dataset,
                          .tag = name,
                          .message = c->reason ? c->reason : "",
                          .name = (const char *)who.name.data,
                          .mail = (const char *)who.mail.data,
                          .time = (int64_t)time(NULL)};
    rc = rc ? rc : ds_tag_put(pack, id, &t, err);
    rc = rc ? rc : ds_gitpack_publish(pack, err);
    ds_gitpack_free(pack);
    ds_person_fini(&who);
    return rc;
}

static void say_did(const pins *c, const ds_revision *r, const char *did)
{
    const char *id = git_oid_tostr_s(&r->id);
    if (c->json) {
        printf("{\"type\":\"pin\",\"did\":\"%s\",\"dataset\":", did);
        verb_json(stdout, r->dataset);
        printf(",\"commit\":\"%s\"}\n", id);
    } else {
        printf("%s@%s %s\n", r->dataset, id, did);
    }
}

static int pin(pins *c, const ds_revision *r, const char *ref, ds_err *err)
{
    git_oid tag;
    int rc = ds_objstore_hold(c->s.objs, err); /* gc keeps out until the pin is there */
    if (rc)
        return rc;
    rc = ds_ref_get(c->s.cat, ref, &tag, err);
    if (rc == 0) {
        rc = put_tag(c, r, &tag, err);
        rc = rc ? rc : ds_ref_move(c->s.cat, ref, NULL, &tag, err);
        if (rc > 0)
            say_did(c, r, "pinned");
    } else if (rc > 0) {
        say_did(c, r, "was pinned already");
    }
    ds_objstore_release(c->s.objs);
    return rc < 0 ? rc : 0;
}

static int unpin(pins *c, const ds_revision *r, const char *ref, ds_err *err)
{
    int rc = ds_ref_delete(c->s.cat, ref, &r->id, err);
    if (rc == 0)
        return ds_fail(err, DS_FAIL, "%s@%s is not pinned", r->dataset, git_oid_tostr_s(&r->id));
    if (rc > 0)
        say_did(c, r, "unpinned");
    return rc < 0 ? rc : 0;
}

static int each(pins *c, int (*act)(pins *, const ds_revision *, const char *, ds_err *), char **v,
                int n, ds_err *err)
{
    int rc = 0;
    for (int i = 0; !rc && i < n; i++) {
        ds_revision r = {0};
        char *ref = NULL;
        rc = ds_revision_find(&r, &c->s, v[i], err);
        if (!rc && asprintf(&ref, DS_REF_PINS "%s/%s", r.dataset, git_oid_tostr_s(&r.id)) < 0) {
            ref = NULL;
            rc = ds_fail_nomem(err);
        }
        rc = rc ? rc : act(c, &r, ref, err);
        free(ref);
        ds_revision_fini(&r);
    }
    return rc;
}

static int run_pin(int argc, char **argv)
{
    pins c = {.json = false};
    bool list = false;
    const ds_opt opts[] = {
        OPT_FLAG(0, "list", list, "list pins (the default)"),
        VERB_REASON(c.reason),
        VERB_AUTHOR(c.author),
        VERB_STORE(c.store),
        VERB_JSON(c.json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_pin, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    const char *alone = n ? NULL : c.reason ? "reason" : c.author ? "author" : NULL;
    int rc = list && n ? ds_fail(&err, DS_USAGE, "--list wants no version")
             : alone   ? ds_fail(&err, DS_USAGE, "--%s wants a version to pin", alone)
                       : ds_store_open(&c.s, c.store, n ? DS_OBJ_WRITE : DS_OBJ_READ, &err);
    rc = rc ? rc : ds_store_act(&c.s, "pin", c.author, c.reason, &err);
    if (!rc)
        n ? each(&c, pin, operands, n, &err) : ds_ref_each_raw(c.s.cat, list_one, &c, &err);
    ds_store_close(&c.s);
    return ds_command_end(&ds_ver_pin, &err, c.json);
}

static int run_unpin(int argc, char **argv)
{
    pins c = {.json = false};
    const ds_opt opts[] = {VERB_REASON(c.reason), VERB_STORE(c.store), VERB_JSON(c.json), OPT_END};
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_unpin, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    int rc = ds_store_open(&c.s, c.store, DS_OBJ_WRITE, &err);
    rc = rc ? rc : ds_store_act(&c.s, "unpin", NULL, c.reason, &err);
    if (!rc)
        each(&c, unpin, operands, n, &err);
    ds_store_close(&c.s);
    return ds_command_end(&ds_ver_unpin, &err, c.json);
}
