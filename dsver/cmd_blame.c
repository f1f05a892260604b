/* cmd_blame.c - dsver blame. */
#include <stdlib.h>
#include <string.h>

#include "blame.h"
#include "cmd_verb.h"
#include "revision.h"
#include "sig.h"
#include "statement.h"

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
        "Newest first: a line for each version that changed the record (~, and the columns "
        "that it changed) and for the one that introduced it (+). For a record that the "
        "version no longer has, the first line is the version that removed it (-), and the "
        "others tell its history until then. KEY is the record's key as dsprep cat shows it; a "
        "record with a derived key has another key when its content changes, so such records "
        "are only introduced and removed.\n\n"
        "A record that dsver forget erased has no key but the one that took its place, "
        "erased:.... Asked for that one, the first line is the erasure (x): when, by whom and "
        "why, and the first digits of the SHA-256 of its statement under refs/dsver/erased in "
        "the catalog.\n\n"
        "Exit 1 when neither the version nor any before it has such a record.",
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

typedef struct saying {
    bool json;
    ds_statement erased; /* of the record; not said yet */
} saying;

static void say_erased(saying *s)
{
    const ds_statement *st = &s->erased;
    char hex[65];
    ds_sha_hex(hex, &st->sum);
    if (s->json) {
        printf("{\"type\":\"blame\",\"change\":\"erased\",\"statement\":\"sha256:%s\"", hex);
        printf(",\"date\":");
        verb_json(stdout, st->date);
        printf(",\"author\":");
        verb_json(stdout, st->actor);
        printf(",\"columns\":null,\"message\":");
        verb_json(stdout, st->reason);
        printf("}\n");
    } else {
        printf("x %.10s  ", hex);
        verb_words(st->date);
        printf("  erased by ");
        verb_words(st->actor);
        printf(": ");
        verb_words(st->reason);
        putchar('\n');
    }
    ds_statement_fini(&s->erased);
}

static int say(void *ctx, const ds_version *v, enum ds_change change, const ds_strlist *columns,
               ds_err *err)
{
    static const char *const names[] = {"removed", "changed", "added"};
    saying *s = ctx;
    char date[32];
    (void)err;
    ds_date_text(date, v->time);
    if (s->erased.actor)
        say_erased(s);
    if (s->json) {
        printf(
            "{\"type\":\"blame\",\"change\":\"%s\",\"commit\":\"%s\",\"date\":\"%s\",\"author\":",
            names[change], git_oid_tostr_s(&v->id), date);
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
    printf("%c %.10s  %s  ", "-~+"[change], git_oid_tostr_s(&v->id), date);
    verb_subject(v);
    if (columns)
        say_columns(columns, false);
    putchar('\n');
    return 0;
}

static int run(int argc, char **argv)
{
    bool json = false, erased = false;
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
    saying how = {.json = json};
    ds_sig_setup();
    int rc = ds_store_open(&s, store, DS_OBJ_READ, &err);
    rc = rc ? rc : ds_revision_find(&rev, &s, operands[0], &err);
    const ds_blame_opts o = {.key = operands[1],
                             .len = strlen(operands[1]),
                             .threads = verb_threads(threads),
                             .fn = say,
                             .ctx = &how};
    if (!rc && (rc = ds_statement_of(&how.erased, s.cat, operands[1], &err)) > 0)
        rc = 0;
    rc = rc ? rc : ds_blame_run(&erased, &s, &rev.id, &o, &err);
    ds_statement_fini(&how.erased);
    if (rc == 0)
        ds_fail(&err, DS_FAIL,
                "'%s' has no record with the key '%s', nor has any version before it%s",
                operands[0], operands[1],
                erased ? " (records were erased from them, which leaves no key)" : "");
    ds_revision_fini(&rev);
    ds_store_close(&s);
    status = ds_command_end(&ds_ver_blame, &err, json);
    ds_sig_reraise();
    return status;
}
