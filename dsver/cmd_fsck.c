/* cmd_fsck.c - dsver fsck. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_verb.h"
#include "health.h"
#include "modes.h"
#include "sig.h"
#include "plural.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_fsck;
const ds_command ds_ver_fsck = {
    .prog = "dsver",
    .name = "fsck",
    .summary = "verify a store",
    .max_operands = 0,
    .example = "dsver fsck --read-data",
    .description =
        "Checks the catalog (every git object, ref and version, the ledger of every run), the "
        "structure of all packs, the index against them, and that every piece of every version "
        "is there. With --read-data also every byte of every piece, and the roots of all "
        "versions: a single flipped bit in a pack is found. --read-data-subset does that for a "
        "part of the packs, chosen by their names, so that a check a night reaches all of "
        "them.\n\n"
        "For each problem one line names the file, the offset, the reason, and the versions "
        "affected, eight at most; for a pack that is missing or cut off there is a line for "
        "each piece that it held. The exit status is 12 when there was a problem. A damaged "
        "index is rebuilt by dsver reindex; missing and damaged pieces come back with dsver "
        "repair. Lines about refs that something other than dsver moved are notes, and so are "
        "those about files that not all whom a store is shared with (dsver init --shared) can "
        "use: dsver repair --modes mends these.\n\n"
        "--oplog holds the store against a hash that was kept elsewhere (dsver oplog -q prints "
        "it): its operation log must still go through that entry, as it does not in an older "
        "copy that was put in the store's place, and refs that something other than dsver moved "
        "since, or that are not where the log leaves them, are problems.",
    .run = run,
};

/* Words as a list. */
static void json_versions(const char *words)
{
    putchar('[');
    for (const char *s = words; *s;) {
        const size_t n = strcspn(s, " ");
        if (s > words)
            putchar(',');
        verb_json_buf(stdout, s, n);
        s += n + (s[n] == ' ');
    }
    putchar(']');
}

static void on_trouble(void *ctx, const ds_trouble *t)
{
    const bool *json = ctx;
    if (*json) {
        printf("{\"type\":\"%s\",\"file\":", t->note ? "note" : "problem");
        verb_json(stdout, t->file);
        printf(",\"offset\":%" PRIu64 ",\"id\":", t->offset);
        if (*t->id)
            verb_json(stdout, t->id);
        else
            printf("null");
        printf(",\"reason\":");
        verb_json(stdout, t->reason);
        printf(",\"versions\":");
        json_versions(t->versions);
        printf(",\"more_versions\":%" PRIu64 "}\n", t->more);
        return;
    }
    printf("%s", t->file);
    if (t->offset)
        printf(" offset %" PRIu64, t->offset);
    if (*t->id)
        printf(" %.16s", t->id);
    printf(": %s%s%s", t->reason, *t->versions ? "; touches " : "", t->versions);
    if (t->more)
        printf(" and %" PRIu64 " more", t->more);
    putchar('\n');
}

/* Opened for writing the store first takes in packs that a killed writer left without index rows:
 * that is no damage. Where it cannot be opened so (read-only, or too damaged) it is looked at as it
 * is. */
static int open_store(ds_store *s, const char *store, ds_err *err)
{
    if (ds_store_open(s, store, DS_OBJ_WRITE, NULL) == 0)
        return 0;
    return ds_store_open(s, store, DS_OBJ_READ, err);
}

/* "N/T" */
static int parse_subset(ds_health_opts *o, const char *text, ds_err *err)
{
    uint64_t n = 0, t = 0;
    const bool good =
        ds_digits_next(&text, &n) && *text++ == '/' && ds_digits_next(&text, &t) && !*text;
    if (!good || n < 1 || n > t || t > 1000000)
        return ds_fail(err, DS_USAGE, "--read-data-subset wants N/T, such as 3/7");
    o->part = (unsigned)n - 1;
    o->parts = (unsigned)t;
    return 0;
}

/* Nothing is damaged, but somebody is kept out. */
static void on_mode(void *ctx, const ds_wrongmode *w)
{
    const ds_trouble t = {
        .note = true, .file = w->file, .id = "", .reason = w->reason, .versions = ""};
    on_trouble(ctx, &t);
}

static void say_end(const ds_health *h, const ds_modes *m, const ds_health_opts *o, bool json)
{
    if (json) {
        printf("{\"type\":\"fsck\",\"read_data\":%s,\"part\":%u,\"parts\":%u,\"versions\":%" PRIu64
               ",\"git_objects\":%" PRIu64 ",\"packs\":%" PRIu64 ",\"objects\":%" PRIu64
               ",\"bytes\":%" PRIu64 ",\"afar\":%" PRIu64 ",\"erased\":%" PRIu64
               ",\"operations\":%" PRIu64 ",\"undone\":%" PRIu64 ",\"unlogged\":%" PRIu64
               ",\"problems\":%" PRIu64 ",\"modes\":%" PRIu64 "}\n",
               o->read_data && !o->parts ? "true" : "false", o->parts ? o->part + 1 : 0, o->parts,
               h->versions, h->git_objects, h->objs.packs, h->objs.objects, h->objs.bytes, h->afar,
               h->erased, h->operations, h->undone, h->unlogged, h->problems, m->wrong);
        return;
    }
    if (h->erased)
        printf("verified, %" PRIu64 " block%s or page%s with something erased\n", h->erased,
               ds_s(h->erased), ds_s(h->erased));
    printf("%" PRIu64 " version%s, %" PRIu64 " git object%s, %" PRIu64 " piece%s in %" PRIu64
           " pack%s%s: %" PRIu64 " problem%s\n",
           h->versions, ds_s(h->versions), h->git_objects, ds_s(h->git_objects), h->objs.objects,
           ds_s(h->objs.objects), h->objs.packs, ds_s(h->objs.packs),
           o->parts       ? ", a part of all bytes read"
           : o->read_data ? ", all bytes read"
                          : "",
           h->problems, ds_s(h->problems));
    if (m->wrong)
        printf("%" PRIu64 " file%s or folder%s not as a shared store's are to be: run `dsver "
               "repair --modes`\n",
               m->wrong, ds_s(m->wrong), ds_s(m->wrong));
    if (h->afar)
        printf("%" PRIu64 " piece%s at the remote and not here\n", h->afar,
               h->afar == 1 ? " is" : "s are");
}

static int run(int argc, char **argv)
{
    bool json = false, read_data = false;
    const char *store = NULL, *subset = NULL, *since = NULL;
    ds_sha hash;
    int64_t threads = 0;
    const ds_opt opts[] = {
        OPT_FLAG(0, "read-data", read_data, "read and check every byte"),
        OPT_STR(0, "read-data-subset", subset, "N/T",
                "read and check the N-th of T parts of the packs: T runs reach all of them"),
        OPT_STR(0, "oplog", since, "HASH",
                "fail unless the operation log goes through the entry with this hash, and all "
                "refs are where it leaves them"),
        VERB_THREADS(threads),
        VERB_STORE(store),
        VERB_JSON(json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_fsck, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    ds_store s = {0};
    ds_health h = {0};
    ds_modes m = {0};
    ds_health_opts o = {.read_data = read_data || subset, .threads = verb_threads(threads)};
    ds_sig_setup();
    int rc = !subset ? 0
             : read_data
                 ? ds_fail(&err, DS_USAGE, "--read-data and --read-data-subset exclude each other")
                 : parse_subset(&o, subset, &err);
    rc = rc || !since ? rc : verb_sha(&hash, "--oplog", since, &err);
    o.since = since ? &hash : NULL;
    rc = rc ? rc : open_store(&s, store, &err);
    if (!rc)
        rc = ds_health_check(&h, &s, &o, on_trouble, &json, &err);
    rc = rc ? rc : ds_modes_check(&m, s.dir, false, on_mode, &json, &err);
    if (!rc)
        say_end(&h, &m, &o, json);
    if (!rc && h.problems)
        ds_fail(&err, DS_CORRUPT, "%" PRIu64 " problem%s found", h.problems, ds_s(h.problems));
    ds_store_close(&s);
    status = ds_command_end(&ds_ver_fsck, &err, json);
    ds_sig_reraise();
    return status;
}
