/* cmd_log.c - dsver log. */
#include <inttypes.h>
#include <string.h>

#include "cmd_verb.h"
#include "graph.h"
#include "refs.h"
#include "revision.h"
#include "sign.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_log;
const ds_command ds_ver_log = {
    .prog = "dsver",
    .name = "log",
    .summary = "list the versions of a dataset, newest first",
    .operands = "[DATASET[@REV]]",
    .max_operands = 1,
    .example = "dsver log docs",
    .description =
        "REV is a branch, a tag, a date (YYYY-MM-DD, UTC) or the beginning of a commit "
        "id, and ~N goes N versions back: "
        "docs, docs@main, docs@2026-03-01, docs@3f2a9c, docs~2.\n\n"
        "--graph draws what came from what, one line a version; without REV all branches "
        "of the dataset.",
    .run = run,
};

/* sig: NULL when it was not asked for. So below. */
static void say_json(const ds_version *v, const ds_verdict *sig)
{
    verb_json_version(v);
    if (sig) {
        printf(",\"signature\":\"%s\",\"signature_said\":", ds_verdict_word(sig));
        verb_json(stdout, (const char *)sig->said.data);
    }
    printf("}\n");
}

static void say(const ds_version *v, const ds_verdict *sig)
{
    char root[65], date[32];
    ds_sha_hex(root, &v->root);
    ds_date_text(date, v->time);
    printf("commit  %s\n", git_oid_tostr_s(&v->id));
    if (v->has_merged)
        printf("merged  %s\n", git_oid_tostr_s(&v->merged));
    if (sig) {
        printf("signed  %s", ds_verdict_word(sig));
        printf(sig->is_signed ? ": " : "");
        verb_text(stdout, sig->said.data, sig->is_signed ? sig->said.len : 0);
        printf("\n");
    }
    printf("author  ");
    verb_words(v->author);
    printf("\ndate    %s\nrecords %" PRIu64 "\nroot    sha256:%s\n\n", date, v->records, root);
    for (const char *s = v->message; *s;) {
        size_t len = strcspn(s, "\n");
        printf("    ");
        verb_text(stdout, s, len);
        printf("\n");
        s += len + (s[len] == '\n');
    }
    printf("\n");
}

static void say_short(const ds_version *v)
{
    char date[32];
    ds_date_text(date, v->time);
    printf("%.10s  %s  %10" PRIu64 "  ", git_oid_tostr_s(&v->id), date, v->records);
    verb_subject(v);
    printf("\n");
}

/* ---- graph ---- */

typedef struct tips {
    const char *dataset;
    ds_buf ids;   /* git_oid: of the branches */
    ds_buf names; /* of refs: git_oid, then the name with its NUL */
} tips;

/* The name of a branch or tag of the dataset; NULL for other refs. */
static const char *short_name(const char *ref, const char *dataset, bool *branch)
{
    const size_t heads = sizeof DS_REF_PREFIX - 1, tags = sizeof DS_REF_TAGS - 1,
                 len = strlen(dataset);
    *branch = strncmp(ref, DS_REF_PREFIX, heads) == 0;
    if (!*branch && strncmp(ref, DS_REF_TAGS, tags) != 0)
        return NULL;
    ref += *branch ? heads : tags;
    return strncmp(ref, dataset, len) == 0 && ref[len] == '/' ? ref + len + 1 : NULL;
}

static int note_ref(void *ctx, const char *ref, const git_oid *id, ds_err *err)
{
    tips *t = ctx;
    bool branch;
    const char *name = short_name(ref, t->dataset, &branch);
    if (!name)
        return 0;
    if ((branch && ds_buf_put(&t->ids, id, sizeof *id)) || ds_buf_put(&t->names, id, sizeof *id) ||
        ds_buf_put(&t->names, name, strlen(name) + 1))
        return ds_fail_nomem(err);
    return 0;
}

static void say_names(const tips *t, const git_oid *id)
{
    bool any = false;
    for (size_t at = 0; at < t->names.len;) {
        const char *name = (const char *)t->names.data + at + sizeof *id;
        if (memcmp(t->names.data + at, id->id, sizeof *id) == 0) {
            fputs(any ? ", " : "(", stdout);
            verb_text(stdout, name, strlen(name));
            any = true;
        }
        at += sizeof *id + strlen(name) + 1;
    }
    fputs(any ? ") " : "", stdout);
}

static int say_graph(const tips *t, ds_store *s, const git_oid *from, size_t n, int64_t limit,
                     ds_err *err)
{
    ds_graph g;
    ds_version v = {0};
    git_oid id;
    int rc = ds_graph_init(&g, s->cat, from, n, err);
    for (int64_t i = 0; !rc && (limit == 0 || i < limit); i++) {
        rc = ds_graph_next(&g, &id, err);
        if (rc <= 0)
            break;
        rc = ds_version_get(&v, s->cat, &id, err);
        const char *before = rc ? NULL : ds_graph_before(&g, &v);
        if (!rc && !before)
            rc = ds_fail_nomem(err);
        if (rc)
            break;
        printf("%s%.10s  ", before, git_oid_tostr_s(&id));
        say_names(t, &id);
        verb_subject(&v);
        printf("\n");
        const char *after = ds_graph_after(&g, &v);
        rc = after ? 0 : ds_fail_nomem(err);
        fputs(after ? after : "", stdout);
    }
    ds_graph_fini(&g);
    ds_version_fini(&v);
    return rc;
}

static int graph(ds_store *s, const ds_revision *rev, const char *what, int64_t limit, ds_err *err)
{
    tips t = {.dataset = rev->dataset};
    const bool all = !what || !strpbrk(what, "@~");
    int rc = ds_ref_each(s->cat, note_ref, &t, err);
    rc = rc ? rc
            : say_graph(&t, s, all ? (const git_oid *)(const void *)t.ids.data : &rev->id,
                        all ? t.ids.len / sizeof(git_oid) : 1, limit, err);
    ds_buf_fini(&t.ids);
    ds_buf_fini(&t.names);
    return rc;
}

static int run(int argc, char **argv)
{
    bool json = false, oneline = false, draw = false, signature = false;
    const char *store = NULL;
    int64_t limit = 0;
    const ds_opt opts[] = {
        OPT_INT('n', "max", limit, "N", 1, INT64_MAX, "at most N versions"),
        OPT_FLAG(0, "oneline", oneline, "one line a version: id, date, records, subject"),
        OPT_FLAG(0, "graph", draw, "draw branches and merges"),
        OPT_FLAG(0, "show-signature", signature, "have git verify the signature of each version"),
        VERB_STORE(store),
        VERB_JSON(json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_log, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0}, first = {0};
    ds_store s = {0};
    ds_revision rev = {0};
    ds_version v = {0};
    ds_verdict sig = {0};
    int rc = ds_store_open(&s, store, DS_OBJ_READ, &err);
    if (!rc)
        rc = ds_revision_find(&rev, &s, n > 0 ? operands[0] : NULL, &err);
    if (!rc && draw && json)
        rc = ds_fail(&err, DS_USAGE, "--graph is for people: --json lists the parents");
    if (!rc && oneline && json)
        rc = ds_fail(&err, DS_USAGE, "--oneline is for people, and --json for machines");
    if (!rc && draw)
        rc = graph(&s, &rev, n > 0 ? operands[0] : NULL, limit, &err);
    for (int64_t i = 0; !rc && !draw && (limit == 0 || i < limit); i++) {
        rc = ds_version_get(&v, s.cat, &rev.id, &err);
        rc = rc ? rc : verb_check_version(s.cat, &v, &first, &err);
        if (!rc && signature)
            rc = ds_verify(&sig, s.dir, ds_catalog_repo(s.cat), &v.id, &err);
        if (!rc && json)
            say_json(&v, signature ? &sig : NULL);
        else if (!rc && oneline)
            say_short(&v);
        else if (!rc)
            say(&v, signature ? &sig : NULL);
        if (!v.has_parent)
            break;
        rev.id = v.parent;
    }
    if (!rc && first.code)
        ds_fail_as(&err, &first);
    ds_verdict_fini(&sig);
    ds_version_fini(&v);
    ds_revision_fini(&rev);
    ds_store_close(&s);
    return ds_command_end(&ds_ver_log, &err, json);
}
