/* cmd_blame.c - dsver blame. */
#include <stdlib.h>
#include <string.h>

#include "blame.h"
#include "cmd_verb.h"
#include "revision.h"
#include "sig.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_blame;
const ds_command ds_ver_blame = {
    .prog = "dsver",
    .name = "blame",
    .summary = "tell which versions made a record what it is",
    .operands = "DATASET[@REV] KEY",
    .min_operands = 2,
    .max_operands = 2,
    .example = "dsver blame reports p2",
    .description =
        "Newest first: a line for each version that changed the record (~, and the columns that "
        "it changed) and for the one that introduced it (+). KEY is the record's key as dsprep "
        "cat shows it; a record without an id has a new key when its content changes, so that it "
        "is only introduced. Exit 1 when the version has no such record.",
    .run = run,
};

static void say_columns(const ds_strlist *l, bool json)
{
    fputs(json ? "[" : "  (", stdout);
    for (size_t i = 0; i < l->n; i++) {
        fputs(i == 0 ? "" : json ? "," : ", ", stdout);
        if (json)
            verb_json(stdout, l->v[i]);
        else
            verb_words(l->v[i]);
    }
    putchar(json ? ']' : ')');
}

static int say(void *ctx, const ds_version *v, const ds_strlist *columns, ds_err *err)
{
    const bool *json = ctx;
    char date[32];
    (void)err;
    ds_date_text(date, v->time);
    if (*json) {
        printf(
            "{\"type\":\"blame\",\"change\":\"%s\",\"commit\":\"%s\",\"date\":\"%s\",\"author\":",
            columns ? "changed" : "added", git_oid_tostr_s(&v->id), date);
        verb_json(stdout, v->author);
        printf(",\"columns\":");
        if (columns)
            say_columns(columns, true);
        else
            printf("null");
        printf(",\"message\":");
        verb_json(stdout, v->message);
        printf("}\n");
        return 0;
    }
    printf("%c %.10s  %s  ", columns ? '~' : '+', git_oid_tostr_s(&v->id), date);
    verb_subject(v);
    if (columns)
        say_columns(columns, false);
    putchar('\n');
    return 0;
}

static int run(int argc, char **argv)
{
    bool json = false;
    const char *store = NULL;
    int64_t threads = 0;
    const ds_opt opts[] = {VERB_THREADS(threads), VERB_STORE(store), VERB_JSON(json), OPT_END};
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_blame, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    ds_store s = {0};
    ds_revision rev = {0};
    ds_sig_setup();
    int rc = ds_store_open(&s, store, DS_OBJ_READ, &err);
    rc = rc ? rc : ds_revision_find(&rev, &s, operands[0], &err);
    rc = rc ? rc
            : ds_blame_run(&s, &rev.id, operands[1], strlen(operands[1]), verb_threads(threads),
                           say, &json, &err);
    if (rc == 0)
        ds_fail(&err, DS_FAIL, "'%s' has no record with the key '%s'", operands[0], operands[1]);
    ds_revision_fini(&rev);
    ds_store_close(&s);
    status = ds_command_end(&ds_ver_blame, &err, json);
    ds_sig_reraise();
    return status;
}
