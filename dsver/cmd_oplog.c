/* cmd_oplog.c - dsver oplog. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_verb.h"
#include "oplog.h"
#include "plural.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_oplog;
const ds_command ds_ver_oplog = {
    .prog = "dsver",
    .name = "oplog",
    .summary = "list what was done to the store, by whom and why",
    .max_operands = 0,
    .example = "dsver oplog --command forget",
    .description =
        "Every command that changes the store writes an entry before it does: time, actor, "
        "command, reason, and for each ref where it was and where it is to go. Entries are "
        "chained: each holds the hash of the one before, so one that was edited or removed is "
        "found, and it exits with 12. If the last entries were cut off, refs are no longer "
        "where the log leaves them (dsver fsck reports that); proof is a hash that was kept "
        "elsewhere (-q prints the last one): --contains says whether the chain still goes "
        "through it (exit 1 when not), --after what was done since, and dsver fsck --oplog "
        "holds the refs against the log, too.\n\n"
        "The actor is --author's of the command, else that of git's configuration; uid is the "
        "system's. The log belongs to this store and is not pushed.",
    .run = run,
};

typedef struct listing {
    bool json, quiet;
    const char *command, *ref, *after;
    ds_sha want, from;
    bool wanted, found;
    bool reached;              /* the entry of `after` */
    uint64_t n, broken, first; /* entries; broken ones, and the line of the first */
    ds_sha head;
} listing;

static void say_json(const ds_opentry *e)
{
    const struct {
        const char *name, *text;
    } texts[] = {{"time", e->time},     {"actor", e->actor}, {"command", e->command},
                 {"reason", e->reason}, {"ref", e->ref},     {"detail", e->detail}};
    char hex[65], id[GIT_OID_HEXSZ + 1];
    printf("{\"type\":\"operation\",\"seq\":%" PRIu64 ",\"uid\":%" PRIu64, e->seq, e->uid);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        printf(",\"%s\":", texts[i].name);
        if (*texts[i].text)
            verb_json(stdout, texts[i].text);
        else
            printf("null");
    }
    git_oid_tostr(id, sizeof id, &e->before);
    printf(e->has_before ? ",\"before\":\"%s\"" : ",\"before\":null", id);
    git_oid_tostr(id, sizeof id, &e->after);
    printf(e->has_after ? ",\"after\":\"%s\"" : ",\"after\":null", id);
    ds_sha_hex(hex, &e->prev);
    printf(",\"prev\":\"sha256:%s\"", hex);
    ds_sha_hex(hex, &e->hash);
    printf(",\"hash\":\"sha256:%s\",\"trouble\":", hex);
    if (e->trouble)
        verb_json(stdout, e->trouble);
    else
        printf("null");
    printf("}\n");
}

static void say(const ds_opentry *e)
{
    char from[11], to[11];
    printf("%" PRIu64 "  %s  ", e->seq, e->time);
    verb_text(stdout, e->command, strlen(e->command));
    printf("  ");
    verb_text(stdout, e->actor, strlen(e->actor));
    if (*e->ref) {
        git_oid_tostr(from, sizeof from, &e->before);
        git_oid_tostr(to, sizeof to, &e->after);
        printf("  ");
        verb_text(stdout, e->ref, strlen(e->ref));
        printf(" %s -> %s", e->has_before ? from : "none", e->has_after ? to : "none");
    }
    if (*e->detail) {
        printf("  (");
        verb_text(stdout, e->detail, strlen(e->detail));
        printf(")");
    }
    if (*e->reason) {
        printf("  ");
        verb_text(stdout, e->reason, strlen(e->reason));
    }
    printf("%s%s\n", e->trouble ? "  ! " : "", e->trouble ? e->trouble : "");
}

static int on_entry(void *ctx, const ds_opentry *e, ds_err *err)
{
    listing *l = ctx;
    (void)err;
    l->n++;
    l->head = e->hash;
    if (e->trouble && l->broken++ == 0)
        l->first = e->line;
    l->found |= l->wanted && !l->broken && ds_sha_eq(&e->hash, &l->want);
    const bool late = !l->after || l->reached;
    l->reached |= l->after && !l->broken && ds_sha_eq(&e->hash, &l->from);
    if (l->quiet || !late || (l->command && strcmp(l->command, e->command) != 0) ||
        (l->ref && strcmp(l->ref, e->ref) != 0))
        return 0;
    if (l->json)
        say_json(e);
    else
        say(e);
    return 0;
}

static int work(listing *l, const char *store, const char *contains, ds_err *err)
{
    char *dir = NULL;
    char hex[65];
    int rc = 0;
    l->wanted = contains != NULL;
    if (contains)
        rc = verb_sha(&l->want, "--contains", contains, err);
    if (!rc && l->after)
        rc = verb_sha(&l->from, "--after", l->after, err);
    rc = rc ? rc : ds_store_find(&dir, store, err);
    rc = rc ? rc : ds_oplog_each(dir, on_entry, l, err);
    ds_sha_hex(hex, &l->head);
    if (!rc && l->quiet && l->json)
        printf("{\"type\":\"oplog\",\"operations\":%" PRIu64 ",\"head\":%s%s%s,\"broken\":%" PRIu64
               "}\n",
               l->n, l->n ? "\"sha256:" : "null", l->n ? hex : "", l->n ? "\"" : "", l->broken);
    else if (!rc && l->quiet)
        printf("%" PRIu64 " operation%s, last %s\n", l->n, ds_s(l->n), l->n ? hex : "none");
    if (!rc && l->broken)
        rc = ds_fail(err, DS_CORRUPT,
                     "%s/oplog: the chain is broken in %" PRIu64 " place%s, first in line %" PRIu64,
                     dir, l->broken, ds_s(l->broken), l->first);
    if (!rc && l->wanted && !l->found)
        rc = ds_fail(err, DS_FAIL, "%s/oplog: no entry has that hash", dir);
    if (!rc && l->after && !l->reached)
        rc = ds_fail(err, DS_FAIL, "%s/oplog: no entry has the hash of --after", dir);
    free(dir);
    return rc;
}

static int run(int argc, char **argv)
{
    listing l = {.json = false};
    const char *store = NULL, *contains = NULL;
    const ds_opt opts[] = {
        OPT_STR(0, "command", l.command, "NAME", "only entries of this command"),
        OPT_STR(0, "ref", l.ref, "REF",
                "only entries about this ref, such as refs/heads/docs/main"),
        OPT_STR(0, "after", l.after, "HASH",
                "only entries behind the one with this hash; fail unless it is there"),
        OPT_STR(0, "contains", contains, "HASH",
                "fail unless the chain goes through the entry with this hash"),
        OPT_FLAG('q', "quiet", l.quiet,
                 "only check the chain, and print how long it is and its last hash"),
        VERB_STORE(store),
        VERB_JSON(l.json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_oplog, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    work(&l, store, contains, &err);
    return ds_command_end(&ds_ver_oplog, &err, l.json);
}
