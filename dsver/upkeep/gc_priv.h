/* gc_priv.h - what the files of gc share behind objstore.h (sweep.c says how it goes). */
#ifndef DS_GC_PRIV_H
#define DS_GC_PRIV_H

#include "objcore.h"

enum ds_fate { DS_FATE_KEEP, DS_FATE_REWRITE, DS_FATE_DELETE };

typedef struct ds_gcpack {
    ds_sha name;
    int64_t n;
    uint64_t size, objects, live_bytes, live, rows;
    enum ds_fate fate;
    bool stuck; /* holds a damaged object: left as it is */
} ds_gcpack;

typedef struct ds_gcmove {
    int64_t row;
    uint32_t pack; /* index into out */
    uint64_t off;
} ds_gcmove;

struct ds_objgc {
    ds_objstore *s;
    int alone; /* on locks/collect.lock */
    int fd;    /* on locks/gc.lock, once writers are shut out */
    bool purge, shut, condemned;
    bool lacks; /* a piece that is needed is nowhere: what is damaged stays, whatever use that is */
    bool whole; /* packs go whole or stay: no other is written in their place */
    bool cramped;   /* so it is, and the store is our own, and only read */
    bool unindexed; /* and its index is not in its place */
    ds_buf late;    /* ds_objloc: marked after packs were condemned */
    ds_gcstats st;
    uint8_t *bits;
    int64_t rows; /* highest row */
    ds_gcpack *packs;
    size_t npacks;
    ds_buf moves;  /* ds_gcmove */
    ds_packw *out; /* new packs */
    size_t nout, cap_out;
    bool writing;
};

/* What came after the beginning is live. */
bool ds_objgc_marked(const ds_objgc *gc, int64_t row);
/* Counts what there is; nothing of it is marked. */
int ds_objgc_rows(ds_objgc *gc, ds_err *err);
/* Packs that are to go do so. */
int ds_objgc_unlink(ds_objgc *gc, ds_gcstats *st, ds_err *err);
/* And so does what dead writers left. */
void ds_objgc_clean(ds_objgc *gc, bool dry_run, ds_gcstats *st);

#endif
