/* cmd_sync.c - see cmd_sync.h. */
#include "cmd_sync.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_verb.h"
#include "overlay.h"
#include "refs.h"
#include "runs.h"
#include "plural.h"
#include "term.h"

/* "docs@main", "docs: tag v1", "docs: run 0123": what people call a ref. len: at least 600. */
static void ref_words(char *out, size_t len, const char *ref)
{
    static const struct {
        const char *prefix, *between;
    } kinds[] = {{DS_REF_PREFIX, "@"},
                 {DS_REF_TAGS, ": tag "},
                 {DS_RUN_REFS, ": run "},
                 {DS_REF_REMOTES, NULL}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t n = strlen(kinds[i].prefix);
        if (strncmp(ref, kinds[i].prefix, n) != 0)
            continue;
        const char *s = ref + n, *slash = strchr(s, '/');
        if (!kinds[i].between && slash) { /* REMOTE/DATASET/BRANCH is DATASET@REMOTE/BRANCH */
            const char *set = slash + 1, *rest = strchr(set, '/');
            if (rest)
                snprintf(out, len, "%.*s@%.*s/%s", (int)(rest - set), set, (int)(slash - s), s,
                         rest + 1);
            else
                snprintf(out, len, "%s", ref);
        } else if (slash && kinds[i].between) {
            snprintf(out, len, "%.*s%s%s", (int)(slash - s), s, kinds[i].between, slash + 1);
        } else {
            snprintf(out, len, "tag %s", s);
        }
        return;
    }
    snprintf(out, len, "%s", strcmp(ref, DS_REF_ERASED) == 0 ? "erased records" : ref);
}

void sync_say_ref(void *words, const ds_syncref *r)
{
    const sync_words *w = words;
    char name[640], from[GIT_OID_HEXSZ + 1] = "", to[GIT_OID_HEXSZ + 1] = "";
    if (r->from)
        git_oid_tostr(from, sizeof from, r->from);
    if (r->to)
        git_oid_tostr(to, sizeof to, r->to);
    ref_words(name, sizeof name, r->ref);
    if (r->did == DS_SYNC_FORCED && strncmp(r->ref, DS_REF_REMOTES, sizeof DS_REF_REMOTES - 1) == 0)
        ds_warn("%s does not go on from where it was: history there was put back or rewritten "
                "(%.10s is kept here until gc's time of grace is over; dsver tag keeps it longer)",
                name, from);
    if (w->quiet)
        return;
    if (w->json) {
        printf("{\"type\":\"ref\",\"ref\":");
        verb_json(stdout, r->ref);
        printf(",\"did\":\"%s\",\"before\":", ds_syncdid_name[r->did]);
        printf(r->from ? "\"%s\"" : "null", from);
        printf(r->to ? ",\"after\":\"%s\"}\n" : ",\"after\":null}\n", to);
        return;
    }
    if (r->did == DS_SYNC_SAME)
        return;
    verb_text(stdout, name, strlen(name));
    printf("  %-8s  %.10s", ds_syncdid_name[r->did], r->from ? from : "");
    printf("%s%.10s\n", r->from && r->to ? " -> " : "", to);
}

void sync_say_end(const sync_words *w, const ds_synced *d)
{
    char bytes[32];
    if (w->json) {
        printf("{\"type\":\"%s\",%s\"refs\":%" PRIu64 ",\"rejected\":%" PRIu64
               ",\"versions\":%" PRIu64 ",\"pieces\":%" PRIu64 ",\"packs\":%" PRIu64
               ",\"bytes\":%" PRIu64 ",\"reread\":%" PRIu64 ",\"damaged\":%" PRIu64 "}\n",
               w->what, w->dry_run ? "\"dry_run\":true," : "", d->refs, d->rejected, d->versions,
               d->moved.pieces, d->moved.packs, d->moved.bytes, d->reread, d->damaged);
        return;
    }
    if (!w->quiet && d->reread)
        printf("%" PRIu64 " pack%s read, %" PRIu64 " damaged%s\n", d->reread, ds_s(d->reread),
               d->damaged, d->damaged ? " and sent anew" : "");
    if (!w->quiet && d->moved.pieces) {
        printf("%" PRIu64 " piece%s, %s\n", d->moved.pieces, ds_s(d->moved.pieces),
               verb_bytes(bytes, d->moved.bytes));
    } else if (!w->quiet && d->refs == 0 && d->rejected == 0) {
        printf("nothing new\n");
    }
}

/* ---- the word that names a remote ---- */

static int find_dataset(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    const char *const *set = ctx;
    const size_t pre = sizeof DS_REF_PREFIX - 1, n = strlen(*set);
    (void)id;
    (void)err;
    return strncmp(name, DS_REF_PREFIX, pre) == 0 && strncmp(name + pre, *set, n) == 0 &&
           name[pre + n] == '/';
}

/* Which remote is meant, most likely. */
static const char *likely(const ds_strlist *names)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->v[i], "origin") == 0)
            return names->v[i];
    return names->n ? names->v[0] : "REMOTE";
}

int sync_check_remote(const ds_command *cmd, const ds_store *s, const char *word, ds_err *err)
{
    ds_strlist names = {0};
    bool known = !word;
    int rc = known ? 0 : ds_remoteconf_names(&names, s->dir, err);
    for (size_t i = 0; i < names.n; i++)
        known = known || strcmp(names.v[i], word) == 0;
    if (!rc && !known && (strchr(word, '/') || strchr(word, ':')) && !strchr(word, '@'))
        rc = ds_fail(err, DS_USAGE,
                     "'%s' has no name here yet: dsver remote add NAME %s, then dsver %s NAME",
                     word, word, cmd->name);
    else if (!rc && !known &&
             (strchr(word, '@') || (rc = ds_ref_each(s->cat, find_dataset, &word, err)) > 0))
        rc = ds_fail(err, DS_USAGE,
                     "'%s' is no remote but a dataset, and the remote's name comes first: dsver %s "
                     "%s %s",
                     word, cmd->name, likely(&names), word);
    ds_strlist_fini(&names);
    return rc;
}
