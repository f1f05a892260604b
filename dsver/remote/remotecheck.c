/* remotecheck.c - see remotecheck.h. */
#include "remotecheck.h"

#include "remotedrop.h"
#include "remotepurge.h"
#include "sig.h"
#include "term.h"

/* Bytes may be hurt on the way: those that are wrong every time are wrong over there. */
enum { TRIES = 3 };

typedef struct rereading {
    ds_link *l;
    ds_remotechecked *out;
    ds_hasher *hash;
    ds_progress bar;
    ds_shaset bad;
} rereading;

static int on_bytes(void *ctx, const void *data, size_t len, ds_err *err)
{
    rereading *k = ctx;
    k->out->bytes += len;
    ds_progress_at(&k->bar, k->out->bytes);
    return ds_hasher_put(k->hash, data, len, err);
}

/* 1 when its bytes give its name, 0 when they do not or there are fewer, < 0. */
static int read_once(rereading *k, const char *name, const ds_listed *pack, ds_err *err)
{
    ds_sha sum = {{0}};
    ds_err why = {0};
    int rc = ds_hasher_new(&k->hash, err);
    if (rc)
        return rc;
    rc = ds_remote_get(k->l->remote, name, 0, pack->pack, on_bytes, k, &why);
    rc = rc ? rc : ds_hasher_end(k->hash, &sum, &why);
    ds_hasher_free(k->hash);
    k->hash = NULL;
    if (rc && rc != DS_CORRUPT)
        return ds_fail_as(err, &why);
    return rc == 0 && ds_sha_eq(&sum, &pack->name);
}

static int read_pack(rereading *k, const ds_listed *pack, ds_err *err)
{
    char name[80];
    int sound = 0;
    ds_remote_pack_name(name, &pack->name, "pack");
    for (int i = 0; !sound && i < TRIES; i++)
        sound = read_once(k, name, pack, err);
    if (sound < 0)
        return sound;
    k->out->packs++;
    if (sound)
        return 0;
    k->out->damaged++;
    ds_warn("%s%s: damaged: its bytes have another SHA-256 than its name",
            ds_remote_place(k->l->remote), name);
    return ds_shaset_add(&k->bad, &pack->name, NULL, err);
}

static int read_all(rereading *k, ds_err *err)
{
    ds_remotestate state;
    ds_listed e;
    uint64_t total = 0;
    int rc = ds_remoteindex_refresh(k->l->index, &state, err);
    for (size_t i = 0; !rc && ds_remoteindex_entry(k->l->index, i, &e); i++)
        total += e.pack == UINT64_MAX ? 0 : e.pack;
    ds_progress_begin(&k->bar, "reading", total, true);
    for (size_t i = 0; !rc && ds_remoteindex_entry(k->l->index, i, &e); i++) {
        rc = e.pack == UINT64_MAX ? 0 : read_pack(k, &e, err);
        rc = rc ? rc : ds_check_interrupt(err);
    }
    ds_progress_end(&k->bar);
    return rc;
}

/* Everything that is needed is here, or there without the damaged packs. */
static int can_go(rereading *k, const ds_shaset *need, ds_err *err)
{
    ds_link *l = k->l;
    ds_remotestate state;
    char hex[65];
    uint64_t lacking = 0;
    ds_remoteindex_skip(l->index, &k->bad);
    int rc = ds_remoteindex_refresh(l->index, &state, err);
    for (size_t i = 0; !rc && i < need->n; i++) {
        int64_t row;
        const int found = ds_objindex_row(ds_remoteindex_get(l->index), &need->ids[i], &row, err);
        rc = found < 0 ? found : 0;
        if (found == 0 && !ds_objstore_has(l->store->objs, &need->ids[i]) && lacking++ == 0)
            ds_sha_hex(hex, &need->ids[i]);
    }
    ds_remoteindex_skip(l->index, NULL);
    if (!rc && lacking)
        rc =
            ds_fail(err, DS_CORRUPT,
                    "%s: %llu pieces lie in damaged packs only and are not here, first %s: nothing "
                    "was removed (push from the store that has them)",
                    ds_remote_place(l->remote), (unsigned long long)lacking, hex);
    return rc;
}

static int drop(rereading *k, ds_shaset *want, const ds_gitrefs *there, ds_err *err)
{
    const ds_remotedrop d = {.l = k->l, .refs = there};
    ds_shaset gone = {0};
    int rc = ds_remote_needed(want, NULL, k->l, there, err);
    rc = rc ? rc : can_go(k, want, err);
    if (!rc && (rc = ds_remotedrop_run(&gone, &d, &k->bad, err)) == 0)
        rc = ds_fail(err, DS_LOCKED, "%s: its refs moved meanwhile: try again", k->l->conf.catalog);
    ds_shaset_fini(&gone);
    return rc < 0 ? rc : 0;
}

int ds_remotecheck(ds_remotechecked *out, ds_shaset *want, ds_link *l, const ds_gitrefs *there,
                   bool dry_run, ds_err *err)
{
    rereading k = {.l = l, .out = out};
    *out = (ds_remotechecked){.packs = 0};
    int rc = read_all(&k, err);
    if (!rc && k.bad.n && dry_run)
        rc = ds_fail(err, DS_CORRUPT, "%s: %zu of %llu packs damaged", ds_remote_place(l->remote),
                     k.bad.n, (unsigned long long)out->packs);
    else if (!rc && k.bad.n)
        rc = drop(&k, want, there, err);
    ds_shaset_fini(&k.bad);
    return rc;
}
