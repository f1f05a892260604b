/* cmd_gc.c - dsver gc. */
#include <inttypes.h>
#include <stdlib.h>

#include "cmd_verb.h"
#include "collect.h"
#include "refs.h"
#include "remotegc.h"
#include "sig.h"
#include "term.h"
#include "plural.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_gc;
const ds_command ds_ver_gc = {
    .prog = "dsver",
    .name = "gc",
    .summary = "remove what no version needs",
    .max_operands = 0,
    .example = "dsver gc --dry-run\n"
               "dsver gc --remote origin --grace 2d",
    .description =
        "Keeps every piece that any ref of the catalog leads to, through all of history, or "
        "that a running reader holds, and the pieces that these are stored as deltas of. "
        "Removes the rest, and what killed writers left behind; joins small packs when there "
        "are more than 64, and drops catalog objects that nothing leads to. Commits and "
        "readers go on meanwhile; commits wait only while the old packs are removed. With "
        "--no-wait it gives up (exit 11) when a writer or another gc is at work. Each commit "
        "leaves a small pack, so a store with one every hour wants a gc every month or so; "
        "dsver commit says so on a terminal, at every 500 packs.\n\n"
        "Versions that dsver reset or a deleted branch or tag left behind live until --grace "
        "is over; --dry-run counts these heads, but not what they alone keep alive. When a "
        "version cannot be read, nothing is removed.\n\n"
        "On a full disk, packs in which nothing is needed and what writers left behind go "
        "first; then the index is rebuilt, and the rest goes as above. Where there is no such "
        "pack, the caches go (stats.db and the folder files) to make room. Packs that there is "
        "no room to rewrite stay for the next gc, and it says so.\n\n"
        "--remote REMOTE collects what lies there instead, while others push to it and fetch "
        "from it: packs that no ref of its catalog needs are condemned, and deleted by the "
        "first run more than --grace later (by the remote's clock), unless they are needed "
        "again by then. So it takes two runs, and --grace must be longer than the longest "
        "push. When there are more than 64 small packs, the smallest are joined: what is needed of "
        "them is sent anew, in larger ones, and they are condemned. A catalog in a folder that has "
        "more than 64 packs gets fewer (git repack). Parts of packs whose push died "
        "before that time and was not taken up again go, "
        "too. What was erased goes at once.",
    .run = run,
};

static void say(const ds_collected *g, bool dry_run, bool json)
{
    const ds_gcstats *o = &g->objs;
    char before[32], after[32];
    if (json) {
        printf("{\"type\":\"gc\",\"dry_run\":%s,\"versions\":%" PRIu64 ",\"pieces\":%" PRIu64
               ",\"live\":%" PRIu64 ",\"dead\":%" PRIu64,
               dry_run ? "true" : "false", g->versions, o->pieces, o->live, o->dead);
        printf(",\"packs_deleted\":%" PRIu64 ",\"packs_rewritten\":%" PRIu64
               ",\"packs_written\":%" PRIu64 ",\"bytes_before\":%" PRIu64
               ",\"bytes_after\":%" PRIu64 ",\"tmp_removed\":%" PRIu64
               ",\"catalog_packs_joined\":%" PRIu64 ",\"catalog_objects_pruned\":%" PRIu64
               ",\"missing\":%" PRIu64 ",\"kept_expired\":%" PRIu64 ",\"revived\":%" PRIu64
               ",\"packs_left\":%" PRIu64 "}\n",
               o->packs_deleted, o->packs_rewritten, o->packs_written, o->bytes_before,
               o->bytes_after, o->tmp_removed + g->catalog.leftovers, g->catalog.joined,
               g->catalog.pruned, g->missing, g->kept_expired, o->revived, o->packs_left);
        return;
    }
    const uint64_t leftovers = o->tmp_removed + g->catalog.leftovers;
    printf("%" PRIu64 " version%s need%s %" PRIu64 " of %" PRIu64 " piece%s; %s%" PRIu64
           " dead, %" PRIu64 " leftover%s; packs %s -> %s\n",
           g->versions, ds_s(g->versions), g->versions == 1 ? "s" : "", o->live, o->pieces,
           ds_s(o->pieces), dry_run ? "would remove " : "removed ", o->dead, leftovers,
           ds_s(leftovers), verb_bytes(before, o->bytes_before), verb_bytes(after, o->bytes_after));
}

static int note(ds_store *s, int64_t grace, const char *remote, ds_err *err)
{
    char text[160];
    snprintf(text, sizeof text, "grace %" PRId64 " s%s%.100s", grace, remote ? " remote " : "",
             remote ? remote : "");
    return ds_ref_note(s->cat, text, err);
}

static void say_remote(const ds_remoteswept *g, uint64_t catalog, bool dry_run, bool json)
{
    char all[32], going[32], gone[32], waiting[32];
    if (json) {
        printf("{\"type\":\"gc_remote\",\"dry_run\":%s,\"versions\":%" PRIu64 ",\"packs\":%" PRIu64
               ",\"bytes\":%" PRIu64 ",\"condemned\":%" PRIu64 ",\"condemned_bytes\":%" PRIu64,
               dry_run ? "true" : "false", g->versions, g->packs, g->bytes, g->condemned,
               g->condemned_bytes);
        printf(",\"waiting\":%" PRIu64 ",\"waiting_bytes\":%" PRIu64 ",\"spared\":%" PRIu64
               ",\"deleted\":%" PRIu64 ",\"deleted_bytes\":%" PRIu64 ",\"rewritten\":%" PRIu64
               ",\"joined\":%" PRIu64 ",\"joined_bytes\":%" PRIu64
               ",\"catalog_packs_joined\":%" PRIu64 ",\"erased\":%" PRIu64 ",\"uploads\":%" PRIu64
               ",\"uploads_open\":%" PRIu64 "}\n",
               g->waiting, g->waiting_bytes, g->spared, g->deleted, g->deleted_bytes, g->rewritten,
               g->joined, g->joined_bytes, catalog, g->erased, g->uploads.ended, g->uploads.open);
        return;
    }
    printf("%" PRIu64 " version%s, %" PRIu64 " pack%s, %s; %s%" PRIu64 " (%s), condemned %" PRIu64
           " (%s), still in grace %" PRIu64 " (%s)\n",
           g->versions, ds_s(g->versions), g->packs, ds_s(g->packs), verb_bytes(all, g->bytes),
           dry_run ? "would delete " : "deleted ", g->deleted, verb_bytes(gone, g->deleted_bytes),
           g->condemned, verb_bytes(going, g->condemned_bytes), g->waiting,
           verb_bytes(waiting, g->waiting_bytes));
    if (g->joined)
        printf("%s%" PRIu64 " small packs (%s)\n", dry_run ? "would join " : "joined ", g->joined,
               verb_bytes(gone, g->joined_bytes));
    if (catalog)
        printf("its catalog has %" PRIu64 " pack%s less\n", catalog, ds_s(catalog));
    if (g->uploads.ended)
        printf("%" PRIu64 " upload%s that died %s\n", g->uploads.ended, ds_s(g->uploads.ended),
               dry_run ? "would end" : "ended");
    if (g->uploads.open)
        printf("%" PRIu64 " upload%s not completed: still in grace, a push goes on with it\n",
               g->uploads.open, ds_s(g->uploads.open));
}

typedef struct gc {
    const char *store, *reason; /* as given */
    ds_collect_opts o;
    bool json;
} gc;

/* Refs and packs are as they are to be, whatever comes of it. */
static uint64_t join_catalog(const ds_link *l)
{
    uint64_t n = 0;
    ds_err why = {0};
    if (ds_git_join(&n, l->conf.catalog, &why))
        ds_warn("%s", why.msg);
    return n;
}

static int collect_remote(const gc *c, const char *name, ds_err *err)
{
    ds_store s = {0};
    ds_link l = {.store = NULL};
    ds_remoteswept g;
    int rc = ds_store_open(&s, c->store, DS_OBJ_WRITE, err);
    rc = rc ? rc : ds_store_act(&s, "gc", NULL, c->reason, err);
    rc = rc ? rc : ds_link_open(&l, &s, name, err);
    rc = rc || c->o.dry_run ? rc : note(&s, c->o.grace, name, err);
    rc = rc || c->o.dry_run ? rc : ds_sync_erasures(&l, err);
    rc = rc ? rc : ds_remotegc_run(&g, &l, c->o.grace, c->o.dry_run, err);
    if (!rc)
        say_remote(&g, c->o.dry_run ? 0 : join_catalog(&l), c->o.dry_run, c->json);
    ds_link_close(&l);
    ds_store_close(&s);
    return rc;
}

static int collect_once(ds_collected *g, const gc *c, ds_err *err)
{
    ds_store s = {0};
    int rc = ds_store_open(&s, c->store, c->o.dry_run ? DS_OBJ_READ : DS_OBJ_WRITE, err);
    rc = rc ? rc : ds_store_act(&s, "gc", NULL, c->reason, err);
    rc = rc || c->o.dry_run ? rc : note(&s, c->o.grace, NULL, err);
    rc = rc ? rc : ds_collect_run(g, &s, &c->o, err);
    ds_store_close(&s);
    return rc;
}

/* A gc that died without room may have left it so. */
static bool lacks_index(const char *given)
{
    char *dir = NULL, *path = NULL;
    const bool lacks = ds_store_find(&dir, given, NULL) == 0 &&
                       ds_store_path(&path, dir, "index.db", NULL) == 0 && !ds_path_exists(path);
    free(path);
    free(dir);
    return lacks;
}

static void add(ds_collected *g, const ds_collected *before)
{
    g->objs.pieces += before->objs.dead;
    g->objs.dead += before->objs.dead;
    g->objs.packs_deleted += before->objs.packs_deleted;
    g->objs.bytes_before += before->objs.bytes_before - before->objs.bytes_after;
    g->objs.tmp_removed += before->objs.tmp_removed;
    g->kept_expired += before->kept_expired;
}

/* First what needs no room, then all. */
static int collect_cramped(ds_collected *g, const gc *c, ds_err *err)
{
    ds_collected first = {0};
    ds_store s = {0};
    char size[32];
    int rc = ds_store_open_bare(&s, c->store, err);
    rc = rc ? rc : ds_store_act(&s, "gc", NULL, c->reason, err);
    rc = rc ? rc : ds_collect_cramped(&first, &s, &c->o, err);
    ds_store_close(&s);
    if (rc || c->o.dry_run) {
        *g = first;
        return rc;
    }
    verb_bytes(size, first.objs.bytes_before - first.objs.bytes_after);
    if (first.objs.packs_deleted)
        ds_warn("removed %" PRIu64 " pack%s (%s)", first.objs.packs_deleted,
                ds_s(first.objs.packs_deleted), size);
    rc = collect_once(g, c, err);
    add(g, &first);
    if (rc == DS_NOROOM)
        ds_err_prefix(err,
                      "every pack that is left (%s) holds something that a version needs%s, and "
                      "for more than removing packs there is no room",
                      verb_bytes(size, first.objs.bytes_after),
                      first.kept ? " (some let go of: see --grace)" : "");
    return rc;
}

static int collect_here(const gc *c, ds_err *err)
{
    ds_collected g = {0};
    int rc = lacks_index(c->store) ? DS_NOROOM : collect_once(&g, c, err);
    if (rc == DS_NOROOM) {
        ds_warn("%s: what needs no room goes first", err->code ? err->msg : "index.db is missing");
        ds_err_clear(err);
        rc = collect_cramped(&g, c, err);
    }
    if (!rc)
        say(&g, c->o.dry_run, c->json);
    if (!rc && g.objs.packs_left)
        ds_warn("no room to write %" PRIu64 " pack%s anew: left for the next gc", g.objs.packs_left,
                ds_s(g.objs.packs_left));
    return !rc && g.missing
               ? ds_fail(err, DS_CORRUPT,
                         "%" PRIu64 " piece%s that versions need %s missing; run dsver fsck",
                         g.missing, ds_s(g.missing), g.missing == 1 ? "is" : "are")
               : rc;
}

static int run(int argc, char **argv)
{
    gc c = {.o = {.wait = true, .grace = (int64_t)14 * 86400}};
    const char *remote = NULL;
    const ds_opt opts[] = {
        OPT_FLAG('n', "dry-run", c.o.dry_run, "only tell what would be removed"),
        VERB_WAIT(c.o.wait),
        OPT_TIME(0, "grace", c.o.grace, "TIME",
                 "how long versions live that a reset or a deleted branch left behind, such as "
                 "12h or 30d (a number alone is seconds); of a remote: how long condemned "
                 "packs stay (default: 14d)"),
        OPT_STR(0, "remote", remote, "REMOTE", "collect at this remote, not here"),
        VERB_REASON(c.reason),
        VERB_STORE(c.store),
        VERB_JSON(c.json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_gc, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    ds_sig_setup();
    if (remote)
        collect_remote(&c, remote, &err);
    else
        collect_here(&c, &err);
    status = ds_command_end(&ds_ver_gc, &err, c.json);
    ds_sig_reraise();
    return status;
}
