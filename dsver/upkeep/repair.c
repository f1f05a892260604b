/* repair.c - see repair.h. */
#include "repair.h"

#include "erasecheck.h"
#include "needed.h"
#include "overlay.h"
#include "refs.h"
#include "sig.h"

/* Pieces published at a time, so that those that follow can be stored against them. */
enum { AT_ONCE = 64 };

static int find_needed(ds_shaset *out, ds_store *s, ds_err *err)
{
    ds_buf tips = {0};
    uint64_t versions = 0;
    int rc = ds_ref_commits(&tips, s->cat, err);
    rc = rc ? rc
            : ds_needed_find(out, &versions, s, (const git_oid *)(const void *)tips.data,
                             tips.len / sizeof(git_oid), NULL, 0, err);
    ds_buf_fini(&tips);
    return rc;
}

/* Reads all; the addresses of those that fail are appended to bad. */
static int find_bad(ds_buf *bad, ds_store *s, const ds_shaset *needed, int threads, ds_err *err)
{
    ds_objreader *r = NULL;
    size_t next = 0;
    int rc = ds_objreader_new(&r, s->objs, threads, true, err);
    for (size_t i = 0; !rc && i < needed->n; i++) {
        ds_objread got;
        ds_err why = {0};
        while (!rc && next < needed->n && !ds_objreader_full(r))
            rc = ds_objreader_put(r, &needed->ids[next++], NULL, err);
        const int one = rc ? 0 : ds_objreader_next(r, &got, &why);
        if (one == DS_CORRUPT || one == DS_FAIL)
            rc = ds_buf_put(bad, &needed->ids[i], sizeof *needed->ids) ? ds_fail_nomem(err) : 0;
        else if (one < 0)
            rc = ds_fail_as(err, &why);
        rc = rc ? rc : ds_check_interrupt(err);
    }
    ds_objreader_free(r);
    return rc;
}

/* 1 with the piece put; 0 when the other store has it not, or damaged too. */
static int heal(ds_objtx *tx, ds_store *from, const ds_sha *id, ds_buf *data, ds_err *err)
{
    ds_err why = {0};
    uint8_t kind = 0;
    int rc = ds_objstore_get(from->objs, id, true, data, &why);
    if (rc == DS_CORRUPT || rc == DS_FAIL)
        return 0;
    if (rc)
        return ds_fail_as(err, &why);
    rc = ds_objstore_stat(from->objs, id, NULL, &kind, NULL, err);
    const ds_piece p = {
        .id = *id, .data = data->data, .len = data->len, .kind = kind, .anew = true};
    rc = rc < 0 ? rc : ds_objtx_put(tx, &p, NULL, err);
    return rc ? rc : 1;
}

static int heal_all(ds_repaired *out, ds_store *s, ds_store *from, const ds_buf *bad, int threads,
                    ds_err *err)
{
    const ds_sha *id = (const ds_sha *)(const void *)bad->data;
    ds_objtx *tx = NULL;
    ds_buf data = {0};
    int rc = 0;
    for (size_t i = 0; !rc && i < bad->len / sizeof *id; i++) {
        rc = tx ? 0 : ds_objtx_begin(&tx, s->objs, threads, err);
        const int one = rc ? 0 : heal(tx, from, &id[i], &data, err);
        rc = one < 0 ? one : rc;
        out->healed += one > 0;
        if (!rc && one == 0)
            out->lost = id[i];
        if (!rc && i % AT_ONCE == AT_ONCE - 1) {
            rc = ds_objtx_finish(tx, NULL, err);
            tx = NULL;
        }
    }
    if (!rc && tx) {
        rc = ds_objtx_finish(tx, NULL, err);
        tx = NULL;
    }
    ds_objtx_abort(tx);
    ds_buf_fini(&data);
    return rc;
}

/* Before what erasures replace goes for good: one that came from the other store, as nobody here
 * knew any more what had been erased, may say anything. Where it changes what it does not erase, it
 * goes again. */
static int check_erasure(ds_store *s, ds_store *from, const char *name, ds_err *err)
{
    const ds_overlay *o = NULL;
    git_oid here, there;
    ds_err why = {0};
    int rc = ds_catalog_overlay(&o, s->cat, true, err);
    if (rc || !o)
        return rc;
    rc = ds_erasecheck(s, NULL, o, &why);
    if (rc != DS_CORRUPT)
        return rc ? ds_fail_as(err, &why) : 0;
    int same = ds_ref_get(s->cat, DS_REF_ERASED, &here, err);
    same = same > 0 ? ds_ref_get(from->cat, DS_REF_ERASED, &there, err) : same;
    if (same > 0 && git_oid_equal(&here, &there))
        same = ds_ref_delete(s->cat, DS_REF_ERASED, &here, err);
    else if (same > 0)
        same = 0;
    return same < 0 ? same
                    : ds_fail(err, DS_CORRUPT,
                              "%s: its erasure is refused%s, as it changes more than it erases: %s "
                              "(no piece was dropped; see there who made it, git log "
                              "" DS_REF_ERASED ")",
                              name, same ? ", and " DS_REF_ERASED " gone again here" : "", why.msg);
}

int ds_repair_run(ds_repaired *out, ds_mended *mended, ds_store *s, ds_store *from,
                  const ds_repair_opts *o, ds_err *err)
{
    ds_objgc *gc = NULL;
    ds_shaset needed = {0};
    ds_buf bad = {0};
    ds_collected gone;
    *out = (ds_repaired){0};
    int rc = ds_collect_alone(&gc, s, o->wait, err);
    rc = rc ? rc : ds_ref_note(s->cat, o->name, err);
    rc = rc ? rc : ds_mend_begun(mended, s, from, err);
    rc = rc ? rc : find_needed(&needed, s, err);
    rc = rc ? rc : find_bad(&bad, s, &needed, o->threads, err);
    out->pieces = needed.n;
    out->bad = bad.len / sizeof(ds_sha);
    rc = rc ? rc : heal_all(out, s, from, &bad, o->threads, err);
    if (!rc && out->healed < out->bad) {
        char hex[65];
        ds_sha_hex(hex, &out->lost);
        rc = ds_fail(err, DS_CORRUPT,
                     "%llu pieces could not be had from %s, which has them not or damaged: %s ...",
                     (unsigned long long)(out->bad - out->healed), o->name, hex);
    } else if (!rc) { /* damage that is left is in what nobody needs */
        rc = check_erasure(s, from, o->name, err);
        rc = rc ? rc : ds_collect_purge(&gone, s, gc, o->threads, err);
    }
    ds_objgc_end(gc);
    ds_shaset_fini(&needed);
    ds_buf_fini(&bad);
    return rc;
}
