/* cmd_log.c - dsver log. */
#include <inttypes.h>
#include <string.h>

#include "cmd_verb.h"
#include "revision.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_log;
const ds_command ds_ver_log = {
    .prog = "dsver",
    .name = "log",
    .summary = "list the versions of a dataset, newest first",
    .operands = "[DATASET[@REV]]",
    .max_operands = 1,
    .example = "dsver log docs",
    .description = "REV is a branch, a tag, a date (YYYY-MM-DD, UTC) or the beginning of a commit "
                   "id, and ~N goes N versions back: "
                   "docs, docs@main, docs@2026-03-01, docs@3f2a9c, docs~2.",
    .run = run,
};

static void say_json(const ds_version *v)
{
    char root[65], date[32];
    ds_sha_hex(root, &v->root);
    ds_date_text(date, v->time);
    printf("{\"type\":\"version\",\"commit\":\"%s\"", git_oid_tostr_s(&v->id));
    if (v->has_parent)
        printf(",\"parent\":\"%s\"", git_oid_tostr_s(&v->parent));
    else
        printf(",\"parent\":null");
    if (v->has_merged)
        printf(",\"merged\":\"%s\"", git_oid_tostr_s(&v->merged));
    printf(",\"dataset\":");
    verb_json(stdout, v->dataset);
    printf(",\"date\":\"%s\",\"author\":", date);
    verb_json(stdout, v->author);
    printf(",\"records\":%" PRIu64 ",\"root\":\"sha256:%s\",\"message\":", v->records, root);
    verb_json(stdout, v->message);
    printf("}\n");
}

static void say(const ds_version *v)
{
    char root[65], date[32];
    ds_sha_hex(root, &v->root);
    ds_date_text(date, v->time);
    printf("commit  %s\n", git_oid_tostr_s(&v->id));
    if (v->has_merged)
        printf("merged  %s\n", git_oid_tostr_s(&v->merged));
    printf("author  %s\ndate    %s\nrecords %" PRIu64 "\nroot    sha256:%s\n\n", v->author, date,
           v->records, root);
    for (const char *s = v->message; *s;) {
        size_t len = strcspn(s, "\n");
        printf("    %.*s\n", (int)len, s);
        s += len + (s[len] == '\n');
    }
    printf("\n");
}

static void say_short(const ds_version *v)
{
    char date[32];
    ds_date_text(date, v->time);
    printf("%.10s  %s  %10" PRIu64 "  %.*s\n", git_oid_tostr_s(&v->id), date, v->records,
           (int)strcspn(v->message, "\n"), v->message);
}

static int run(int argc, char **argv)
{
    bool json = false, oneline = false;
    const char *store = NULL;
    int64_t limit = 0;
    const ds_opt opts[] = {
        {.letter = 'n',
         .name = "max",
         .type = DS_OPT_INT,
         .var = &limit,
         .arg = "N",
         .help = "at most N versions",
         .min = 1,
         .max = INT64_MAX},
        {.name = "oneline",
         .type = DS_OPT_FLAG,
         .var = &oneline,
         .help = "one line a version: id, date, records, subject"},
        VERB_STORE(store),
        VERB_JSON(json),
        VERB_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_log, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    ds_store s = {0};
    ds_revision rev = {0};
    ds_version v = {0};
    int rc = ds_store_open(&s, store, DS_OBJ_READ, &err);
    if (!rc)
        rc = ds_revision_find(&rev, &s, n > 0 ? operands[0] : NULL, &err);
    for (int64_t i = 0; !rc && (limit == 0 || i < limit); i++) {
        rc = ds_version_get(&v, s.cat, &rev.id, &err);
        if (!rc && json)
            say_json(&v);
        else if (!rc && oneline)
            say_short(&v);
        else if (!rc)
            say(&v);
        if (!v.has_parent)
            break;
        rev.id = v.parent;
    }
    ds_version_fini(&v);
    ds_revision_fini(&rev);
    ds_store_close(&s);
    return ds_command_end(&ds_ver_log, &err, json);
}
