/* cmd_sync.c - see cmd_sync.h. */
#include "cmd_sync.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd_verb.h"
#include "overlay.h"
#include "refs.h"
#include "runs.h"
#include "plural.h"

void sync_ref_words(char *out, size_t len, const char *ref)
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
    char name[640], from[GIT_OID_HEXSZ + 1] = "";
    if (w->quiet)
        return;
    if (r->from)
        git_oid_tostr(from, sizeof from, r->from);
    if (w->json) {
        printf("{\"type\":\"ref\",\"ref\":");
        verb_json(stdout, r->ref);
        printf(",\"did\":\"%s\",\"from\":", ds_syncdid_name[r->did]);
        printf(r->from ? "\"%s\"" : "null", from);
        printf(",\"to\":\"%s\"}\n", git_oid_tostr_s(r->to));
        return;
    }
    if (r->did == DS_SYNC_SAME)
        return;
    sync_ref_words(name, sizeof name, r->ref);
    verb_text(stdout, name, strlen(name));
    printf("  %-8s  %.10s", ds_syncdid_name[r->did], r->from ? from : "");
    printf("%s%.10s\n", r->from ? " -> " : "", git_oid_tostr_s(r->to));
}

void sync_say_end(const sync_words *w, const ds_synced *d)
{
    char bytes[32];
    if (w->json) {
        printf("{\"type\":\"%s\",\"refs\":%" PRIu64 ",\"rejected\":%" PRIu64
               ",\"versions\":%" PRIu64 ",\"pieces\":%" PRIu64 ",\"packs\":%" PRIu64
               ",\"bytes\":%" PRIu64 "}\n",
               w->what, d->refs, d->rejected, d->versions, d->moved.pieces, d->moved.packs,
               d->moved.bytes);
    } else if (!w->quiet && d->moved.pieces) {
        printf("%" PRIu64 " piece%s, %s\n", d->moved.pieces, ds_s(d->moved.pieces),
               verb_bytes(bytes, d->moved.bytes));
    } else if (!w->quiet && d->refs == 0 && d->rejected == 0) {
        printf("nothing new\n");
    }
}
