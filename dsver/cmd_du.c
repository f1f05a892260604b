/* cmd_du.c - dsver du: what takes the room of a store. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_verb.h"
#include "manifest.h"
#include "plural.h"
#include "revision.h"
#include "sig.h"
#include "usage.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_du;
const ds_command ds_ver_du = {
    .prog = "dsver",
    .name = "du",
    .summary = "tell what takes the room of a store",
    .operands = "[DATASET]",
    .max_operands = 1,
    .example = "dsver du\ndsver du docs",
    .description =
        "One line a dataset: what all its versions take in the packs, each piece counted once "
        "as it is stored, compressed or as a delta, with the pieces it is built on; and the "
        "part that no other dataset shares, which gc would free if all its branches and tags "
        "were gone. Then what belongs to no version, and what packs, catalog, index and caches "
        "take on disk.\n\n"
        "With a dataset, one line a version, newest first: what it added to the packs on top "
        "of the versions before it; its records; the canonical bytes of its chunks, which is "
        "what it would take alone and uncompressed.\n\n"
        "Versions are those of branches and tags, of remotes as last seen, and those that a "
        "reset or a deleted branch left behind and gc keeps for its time of grace.",
    .run = run,
};

typedef struct du {
    ds_store *store;
    bool json;
} du;

static void say_size(uint64_t n)
{
    char text[32];
    printf("%10s  ", verb_bytes(text, n));
}

/* ---- datasets ---- */

static void say_set(const ds_usage_set *v)
{
    say_size(v->bytes);
    say_size(v->alone);
    printf("%8" PRIu64 "  ", v->versions);
    verb_words(*v->dataset ? v->dataset : "(commits that are no version)");
    if (v->afar)
        printf("  (%" PRIu64 " piece%s not here)", v->afar, ds_s(v->afar));
    printf("\n");
}

static void say(const ds_usage *u)
{
    printf("%10s  %10s  %8s  %s\n", "STORED", "ALONE", "VERSIONS", "DATASET");
    for (size_t i = 0; i < u->n; i++)
        if (*u->v[i].dataset || u->v[i].bytes)
            say_set(&u->v[i]);
    char idle[32], packs[32], catalog[32], index[32], caches[32];
    printf("%s in no version; packs %s, catalog %s, index %s, caches %s\n",
           verb_bytes(idle, u->idle), verb_bytes(packs, u->packs), verb_bytes(catalog, u->catalog),
           verb_bytes(index, u->index), verb_bytes(caches, u->caches));
}

static void say_json(const ds_usage *u)
{
    for (size_t i = 0; i < u->n; i++) {
        const ds_usage_set *v = &u->v[i];
        if (!*v->dataset && !v->bytes)
            continue;
        printf("{\"type\":\"dataset\",\"dataset\":");
        if (*v->dataset)
            verb_json(stdout, v->dataset);
        else
            printf("null");
        printf(",\"versions\":%" PRIu64 ",\"stored\":%" PRIu64 ",\"alone\":%" PRIu64
               ",\"pieces_afar\":%" PRIu64 "}\n",
               v->versions, v->bytes, v->alone, v->afar);
    }
    printf("{\"type\":\"store\",\"in_no_version\":%" PRIu64 ",\"packs\":%" PRIu64
           ",\"catalog\":%" PRIu64 ",\"index\":%" PRIu64 ",\"caches\":%" PRIu64 "}\n",
           u->idle, u->packs, u->catalog, u->index, u->caches);
}

static int du_store(const du *d, ds_err *err)
{
    ds_usage u;
    const int rc = ds_usage_read(&u, d->store, err);
    if (rc)
        return rc;
    if (d->json)
        say_json(&u);
    else
        say(&u);
    ds_usage_fini(&u);
    return 0;
}

/* ---- versions ---- */

static int on_version(void *ctx, const ds_version *v, uint64_t added, ds_err *err)
{
    const du *d = ctx;
    ds_meta m = {0};
    char date[32];
    const int rc = ds_meta_read(&m, d->store->cat, &v->tree, err);
    if (!rc && d->json) {
        verb_json_version(v);
        printf(",\"added\":%" PRIu64 ",\"bytes\":%" PRIu64 "}\n", added, m.bytes);
    } else if (!rc) {
        ds_date_text(date, v->time);
        say_size(added);
        say_size(m.bytes);
        printf("%10" PRIu64 "  %.10s  %s  ", v->records, git_oid_tostr_s(&v->id), date);
        verb_subject(v);
        printf("\n");
    }
    ds_meta_fini(&m);
    return rc;
}

static int du_dataset(du *d, const char *dataset, ds_err *err)
{
    if (!d->json)
        printf("%10s  %10s  %10s  %-10s  %-20s  %s\n", "ADDED", "SIZE", "RECORDS", "COMMIT", "DATE",
               "SUBJECT");
    return ds_usage_versions(d->store, dataset, on_version, d, err);
}

static int run(int argc, char **argv)
{
    bool json = false;
    const char *store = NULL;
    const ds_opt opts[] = {VERB_STORE(store), VERB_JSON(json), OPT_END};
    char **operands, *dataset = NULL;
    int n, status = ds_opt_begin(&ds_ver_du, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    ds_store s = {0};
    du d = {.store = &s, .json = json};
    ds_sig_setup();
    int rc = ds_store_open(&s, store, DS_OBJ_READ, &err);
    if (!rc && n > 0)
        rc = ds_dataset_find(&dataset, &s, operands[0], &err);
    if (!rc && dataset)
        du_dataset(&d, dataset, &err);
    else if (!rc)
        du_store(&d, &err);
    free(dataset);
    ds_store_close(&s);
    status = ds_command_end(&ds_ver_du, &err, json);
    ds_sig_reraise();
    return status;
}
