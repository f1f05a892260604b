/* cmd_verify.c - dsver verify. */
#include <stdlib.h>
#include <string.h>

#include "cmd_verb.h"
#include "history.h"
#include "manifest.h"
#include "overlay.h"
#include "refs.h"
#include "revision.h"
#include "sign.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_verify;
const ds_command ds_ver_verify = {
    .prog = "dsver",
    .name = "verify",
    .summary = "verify the signature of a version, a tag, or the erasures",
    .operands = "[DATASET[@REV]]",
    .max_operands = 1,
    .example = "dsver config gpg.ssh.allowedSignersFile ~/.ssh/allowed_signers\n"
               "dsver verify docs@v3",
    .description =
        "Asks git whether the version's signature is good, and by whom it is; where REV is an "
        "annotated tag that is signed, whether the tag's is. What is signed names the root of the "
        "data, which is compared with the manifest's: dsver fsck --read-data compares it with the "
        "data itself. A tag that was signed under another name, and a version of another dataset, "
        "are not taken for what they are called (exit 12). --erasures verifies the statements of "
        "dsver forget, newest first; who states none may change nothing of what is read in their "
        "place (exit 12).\n\n"
        "Which keys are trusted is git's business: gpg's trust, or gpg.ssh.allowedSignersFile. "
        "It exits with 1 for what is not signed, or not well: BAD where what was signed is "
        "another, "
        "NOT TRUSTED where the key is unknown, expired or revoked.",
    .run = run,
};

typedef struct verifying {
    bool json;
    ds_store s;
    uint64_t n, bad;
} verifying;

/* id: the object that is signed; commit: of the version, or the erasure. */
static void say(verifying *c, const char *kind, const git_oid *id, const git_oid *commit,
                const ds_verdict *v)
{
    const char *said = (const char *)v->said.data;
    c->n++;
    c->bad += !v->good;
    if (c->json) {
        printf("{\"type\":\"verify\",\"kind\":\"%s\",\"id\":\"%s\",", kind, git_oid_tostr_s(id));
        printf("\"commit\":\"%s\",\"signed\":%s,\"good\":%s,\"verdict\":\"%s\",\"said\":",
               git_oid_tostr_s(commit), v->is_signed ? "true" : "false", v->good ? "true" : "false",
               ds_verdict_word(v));
        verb_json(stdout, said);
        printf("}\n");
    } else {
        printf("%s %s: %s: ", kind, git_oid_tostr_s(id),
               v->good        ? "good"
               : v->untrusted ? "NOT TRUSTED"
               : v->is_signed ? "BAD"
                              : "unsigned");
        verb_text(stdout, said, strlen(said));
        printf("\n");
    }
}

static int verify_one(verifying *c, const char *kind, const git_oid *id, ds_err *err)
{
    ds_verdict v = {0};
    const int rc = ds_verify(&v, c->s.dir, ds_catalog_repo(c->s.cat), id, err);
    if (!rc)
        say(c, kind, id, id, &v);
    ds_verdict_fini(&v);
    return rc;
}

/* Where REV is an annotated tag that is signed: 1 when it was looked at, 0, < 0. A tag that was
 * signed under another name is not this one. */
static int verify_tag(verifying *c, const ds_revision *r, const char *what, ds_err *err)
{
    git_repository *repo = ds_catalog_repo(c->s.cat);
    const char *at = what && !r->branch ? strchr(what, '@') : NULL;
    ds_verdict v = {0};
    char *ref = NULL;
    git_oid id;
    git_tag *o = NULL;
    int rc = 0;
    if (!at)
        return 0;
    if (asprintf(&ref, DS_REF_TAGS "%s/%s", r->dataset, at + 1) < 0)
        return ds_fail_nomem(err);
    const char *name = ref + sizeof DS_REF_TAGS - 1;
    if (git_reference_name_to_id(&id, repo, ref) == 0 && git_tag_lookup(&o, repo, &id) == 0)
        rc = ds_verify(&v, c->s.dir, repo, &id, err);
    if (!rc && v.is_signed && strcmp(git_tag_name(o), name) != 0)
        rc = ds_fail(err, DS_CORRUPT, "tag %s: what lies there was signed as '%s'", name,
                     git_tag_name(o));
    const bool yes = !rc && v.is_signed;
    if (yes)
        say(c, "tag", &id, &r->id, &v);
    ds_verdict_fini(&v);
    git_tag_free(o);
    free(ref);
    return rc ? rc : yes;
}

static int verify_version(verifying *c, const char *what, ds_err *err)
{
    ds_revision r = {0};
    ds_version v = {0};
    int rc = ds_revision_find(&r, &c->s, what, err);
    rc = rc ? rc : ds_version_get(&v, c->s.cat, &r.id, err);
    rc = rc ? rc : ds_version_meta(NULL, c->s.cat, &v, err);
    if (!rc && strcmp(v.dataset, r.dataset) != 0)
        rc = ds_fail(err, DS_CORRUPT, "version %s was made as one of '%s', not of '%s'",
                     git_oid_tostr_s(&r.id), v.dataset, r.dataset);
    rc = rc ? rc : verify_tag(c, &r, what, err);
    if (rc == 0)
        rc = verify_one(c, "version", &r.id, err);
    ds_version_fini(&v);
    ds_revision_fini(&r);
    return rc < 0 ? rc : 0;
}

static bool same_line(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen)
{
    return a && b && alen == blen && memcmp(a, b, alen) == 0;
}

/* Is everything that `o` replaces replaced so by `a` or `b`, the overlays of its parents (NULL: it
 * has none), and all that they replace? A block that the two replace differently has a third line
 * in a join of them. */
static bool holds_to(const ds_overlay *o, const ds_overlay *a, const ds_overlay *b, ds_sha *at)
{
    const ds_overlay *const parents[] = {a, b};
    const uint8_t *text;
    size_t len, alen = 0, blen = 0;
    for (size_t i = 0; ds_overlay_line(o, i, at, &text, &len); i++) {
        const uint8_t *pa = ds_overlay_find(a, at, &alen), *pb = ds_overlay_find(b, at, &blen);
        if (!same_line(text, len, pa, alen) && !same_line(text, len, pb, blen) &&
            (!pa || !pb || same_line(pa, alen, pb, blen)))
            return false;
    }
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; parents[k] && ds_overlay_line(parents[k], i, at, &text, &len); i++)
            if (!ds_overlay_find(o, at, &alen))
                return false;
    return true;
}

/* Who states no erasure changes nothing: no signature would cover it. */
static int verify_carried(verifying *c, const ds_version *v, ds_err *err)
{
    ds_overlay *o = NULL, *a = NULL, *b = NULL;
    ds_sha at;
    char hex[65];
    int rc = ds_overlay_load_at(&o, c->s.cat, &v->id, err);
    if (!rc && v->has_parent)
        rc = ds_overlay_load_at(&a, c->s.cat, &v->parent, err);
    if (!rc && v->has_merged)
        rc = ds_overlay_load_at(&b, c->s.cat, &v->merged, err);
    if (!rc && !holds_to(o, a, b, &at)) {
        ds_sha_hex(hex, &at);
        rc = ds_fail(err, DS_CORRUPT,
                     "erasure %s: reads block %s otherwise than those before it, and states none "
                     "of its own",
                     git_oid_tostr_s(&v->id), hex);
    }
    ds_overlay_free(o);
    ds_overlay_free(a);
    ds_overlay_free(b);
    return rc;
}

/* Commits of statements; the others say that one was carried through, or join those of two stores.
 */
static int verify_erasure(void *ctx, const git_oid *id, const ds_version *v, const ds_err *why,
                          ds_err *err)
{
    verifying *c = ctx;
    git_tree *t = NULL;
    if (!v)
        return ds_fail_as(err, why);
    if (git_tree_lookup(&t, ds_catalog_repo(c->s.cat), &v->tree) < 0)
        return ds_fail_git_read(err, "catalog tree of %s", git_oid_tostr_s(id));
    int rc = git_tree_entry_byname(t, "pending") ? verify_one(c, "erasure", id, err)
                                                 : verify_carried(c, v, err);
    git_tree_free(t);
    return rc;
}

static int verify_erasures(verifying *c, ds_err *err)
{
    ds_oidset seen = {0};
    git_oid id;
    int rc = ds_ref_get(c->s.cat, DS_REF_ERASED, &id, err);
    if (rc == 0)
        return ds_fail(err, DS_FAIL, "nothing was erased from this store");
    rc = rc < 0 ? rc : ds_history_from(c->s.cat, &id, &seen, verify_erasure, c, err);
    ds_oidset_fini(&seen);
    return rc;
}

static int run(int argc, char **argv)
{
    verifying c = {.json = false};
    bool erasures = false;
    const char *store = NULL;
    const ds_opt opts[] = {
        OPT_FLAG(0, "erasures", erasures, "verify the statements of dsver forget instead"),
        VERB_STORE(store),
        VERB_JSON(c.json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_verify, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    int rc = erasures && n ? ds_fail(&err, DS_USAGE, "--erasures wants no version")
                           : ds_store_open(&c.s, store, DS_OBJ_READ, &err);
    if (!rc)
        rc =
            erasures ? verify_erasures(&c, &err) : verify_version(&c, n ? operands[0] : NULL, &err);
    if (!rc && c.bad)
        ds_fail(&err, DS_FAIL, "%llu of %llu not signed, or not well", (unsigned long long)c.bad,
                (unsigned long long)c.n);
    ds_store_close(&c.s);
    return ds_command_end(&ds_ver_verify, &err, c.json);
}
