/* cmd_repair.c - dsver repair. */
#include <inttypes.h>
#include <stdlib.h>

#include "cmd_verb.h"
#include "plural.h"
#include "mend.h"
#include "modes.h"
#include "repair.h"
#include "secondstore.h"
#include "sig.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_repair;
const ds_command ds_ver_repair = {
    .prog = "dsver",
    .name = "repair",
    .summary = "take what is damaged or missing from a second store",
    .max_operands = 0,
    .example = "dsver repair --from /mnt/backup/.dsver\n"
               "dsver repair --from nas\n"
               "dsver repair --modes",
    .description =
        "Makes a store whole with what a second one has: a copy, a clone, or a remote (its "
        "name or URL), from which only what is needed is fetched.\n\n"
        "The index comes first: one that cannot be opened is made anew from the packs. Then "
        "the catalog: indexes of git packs are made anew, damaged packs replaced by what can "
        "be read of them, and objects that a ref leads to and that are missing or not what "
        "their names say are taken from the second store. Refs that cannot be read, and those "
        "that dsver made and did not delete, are put back where the operation log left them, "
        "or else where the second store has them; what the log does not know is taken from "
        "there only when the catalog is lost altogether. A ref that the log has as about to be "
        "made, and that is in neither store, may never have been: it is left out, and told of, "
        "when not all its pieces can be had. Then every piece that a version needs is read and "
        "its address checked; those that fail are taken from there, if it has them whole, and "
        "what no version needs goes, damaged objects with it.\n\n"
        "Everything taken must have the address by which this store knows it, and the second "
        "store is not changed. Writers wait meanwhile. Without a second store: after dsver "
        "reindex, committing the same stream once more stores the pieces that were lost. The "
        "exit status is 12 when something could not be restored.\n\n"
        "--modes needs no second store and changes no byte: in a store that is shared (dsver init "
        "--shared) every file and folder gets the permissions and the group that it is to have, "
        "as far as it is this user's, or root runs it. The exit status is 1 when some are left, "
        "each of which is named with its owner.",
    .run = run,
};

static void say_mended(const ds_mended *m, bool json)
{
    if (json)
        printf("{\"type\":\"catalog\",\"index\":%s,\"made\":%s,\"files\":%" PRIu64
               ",\"objects\":%" PRIu64 ",\"refs\":%" PRIu64 ",\"lost\":%" PRIu64
               ",\"unmade\":%" PRIu64 "}\n",
               m->index ? "true" : "false", m->made ? "true" : "false", m->files, m->objects,
               m->refs, m->lost, m->unmade);
    else if (m->index || m->made || m->files || m->objects || m->refs || m->lost)
        printf("catalog%s%s: %" PRIu64 " file%s replaced, %" PRIu64 " object%s taken, %" PRIu64
               " ref%s put back, %" PRIu64 " lost\n",
               m->made ? " begun anew" : "", m->index ? ", index made anew" : "", m->files,
               ds_s(m->files), m->objects, ds_s(m->objects), m->refs, ds_s(m->refs), m->lost);
    if (!json && m->unmade)
        printf("%" PRIu64 " ref%s left out, which the operation log has as about to be made and of "
               "which neither store has all pieces: %s%s\n",
               m->unmade, ds_s(m->unmade), m->left, m->unmade > 1 ? " ..." : "");
}

static void say_pieces(const ds_repaired *r, bool json)
{
    if (json)
        printf("{\"type\":\"repair\",\"pieces\":%" PRIu64 ",\"bad\":%" PRIu64 ",\"healed\":%" PRIu64
               "}\n",
               r->pieces, r->bad, r->healed);
    else
        printf("%" PRIu64 " piece%s, %" PRIu64 " bad, %" PRIu64 " healed\n", r->pieces,
               ds_s(r->pieces), r->bad, r->healed);
}

static void say_mode(void *ctx, const ds_wrongmode *w)
{
    const bool *json = ctx;
    if (*json) {
        printf("{\"type\":\"mode\",\"file\":");
        verb_json(stdout, w->file);
        printf(",\"reason\":");
        verb_json(stdout, w->reason);
        printf(",\"mended\":%s}\n", w->mended ? "true" : "false");
    } else if (!w->mended) {
        verb_words(w->file);
        printf(": ");
        verb_words(w->reason);
        putchar('\n');
    }
}

typedef struct wishes {
    bool json, wait, modes;
    const char *store, *from, *reason;
    int threads;
} wishes;

static int mend_modes(const wishes *w, ds_err *err)
{
    char *dir = NULL;
    bool json = w->json;
    ds_modes m = {0};
    int rc = ds_store_find(&dir, w->store, err);
    if (!rc && ds_sharing_of(dir) == DS_SHARED_UMASK)
        rc = ds_fail(err, DS_USAGE, "%s is not shared: dsver init --shared", dir);
    rc = rc ? rc : ds_modes_check(&m, dir, true, say_mode, &json, err);
    free(dir);
    if (!rc && w->json)
        printf("{\"type\":\"repair\",\"wrong\":%" PRIu64 ",\"mended\":%" PRIu64 "}\n", m.wrong,
               m.mended);
    else if (!rc)
        printf("%" PRIu64 " file%s or folder%s with wrong permissions, %" PRIu64 " mended\n",
               m.wrong, ds_s(m.wrong), ds_s(m.wrong), m.mended);
    const uint64_t left = m.wrong - m.mended;
    return rc || !left ? rc
                       : ds_fail(err, DS_FAIL,
                                 "%" PRIu64 " left: their owners are to run this, or root", left);
}

static int work(const wishes *w, ds_err *err)
{
    if (w->modes && w->from)
        return ds_fail(err, DS_USAGE, "--modes and --from exclude each other");
    if (w->modes)
        return mend_modes(w, err);
    char *dir = NULL;
    ds_secondstore other = {.dir = NULL};
    ds_store s = {0};
    ds_mended m = {0};
    ds_repaired r = {0};
    const ds_repair_opts o = {.name = w->from, .threads = w->threads, .wait = w->wait};
    int rc = w->from ? 0
                     : ds_fail(err, DS_USAGE,
                               "--from names the second store (or --modes, for permissions alone)");
    rc = rc ? rc : ds_store_find(&dir, w->store, err);
    rc = rc ? rc : ds_secondstore_open(&other, dir, w->from, err);
    rc = rc ? rc : ds_mend_store(&m, dir, other.store.cat, w->reason, w->wait, err);
    const bool mended = !rc;
    if (!rc && m.lost)
        rc =
            ds_fail(err, DS_CORRUPT,
                    "%" PRIu64 " object%s or ref%s of the catalog could not be had from %s: %s ...",
                    m.lost, ds_s(m.lost), ds_s(m.lost), w->from, m.what);
    rc = rc ? rc : ds_store_open(&s, dir, DS_OBJ_WRITE, err);
    rc = rc ? rc : ds_store_act(&s, "repair", NULL, w->reason, err);
    const bool opened = !rc;
    rc = rc ? rc : ds_repair_run(&r, &m, &s, &other.store, &o, err);
    if (mended)
        say_mended(&m, w->json);
    if (opened && (!rc || rc == DS_CORRUPT))
        say_pieces(&r, w->json);
    ds_mended_fini(&m);
    ds_store_close(&s);
    ds_secondstore_close(&other);
    free(dir);
    return rc;
}

static int run(int argc, char **argv)
{
    wishes w = {.wait = true};
    int64_t threads = 0;
    const ds_opt opts[] = {
        OPT_STR(0, "from", w.from, "STORE",
                "the second store, the folder that holds it, or a remote by name or URL"),
        OPT_FLAG(0, "modes", w.modes, "only mend the permissions of a shared store's files"),
        VERB_WAIT(w.wait),
        VERB_THREADS(threads),
        VERB_REASON(w.reason),
        VERB_STORE(w.store),
        VERB_JSON(w.json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_repair, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    w.threads = verb_threads(threads);
    ds_sig_setup();
    work(&w, &err);
    status = ds_command_end(&ds_ver_repair, &err, w.json);
    ds_sig_reraise();
    return status;
}
