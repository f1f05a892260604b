/* objtx.h - what the files of a writing transaction share (objtx.c says how it goes). */
#ifndef DS_OBJTX_H
#define DS_OBJTX_H

#include "delta.h"
#include "objcore.h"
#include "pool.h"

#define DS_TX_LAG 64 /* >= the pool's window */
#define DS_TX_NONE UINT32_MAX

/* A piece on its way to a pack: a worker makes its object. */
typedef struct ds_txjob {
    ds_buf raw, out, alt;
    size_t start; /* of the object in out or alt */
    bool in_alt;
    ds_objhead head;
    uint8_t word;
    size_t row;                       /* as in ds_piece */
    uint16_t number;                  /* chain number, should it become a delta */
    ds_bases bases;                   /* n = 0: none */
    ds_objloc under[DS_DELTA_PIECES]; /* the bases and all that they are built on */
    size_t nunder;
    uint32_t entry;
    int rc;
    ds_err err;
    struct ds_txjob *next;
} ds_txjob;

typedef struct ds_txpack { /* a pack whole but not named yet */
    ds_packw w;
    ds_beside sync;
    int rc;
    ds_err err;
} ds_txpack;

typedef struct ds_txslot { /* one hash of one entry's sketch */
    uint32_t hash, entry, older;
} ds_txslot;

struct ds_objtx {
    ds_objstore *s;
    struct ds_txbases *scratch;
    struct {
        ds_bases like;   /* what the last piece of the stream that resembled pieces of the store
                            resembled */
        unsigned number; /* of pieces that resemble those of the store */
        unsigned fresh;  /* for how many more pieces without a likeness it is tried */
    } last[256];
    ds_pool *pool;
    ds_txjob *idle;
    bool held, failed, store_empty;
    const ds_sha *avoid; /* sorted */
    size_t navoid;
    ds_objstats stats;
    /* pieces since the last publish */
    ds_objrow *rows;
    bool *done;
    uint32_t nrows, cap_rows;
    uint32_t *map, map_mask; /* by id */
    ds_txslot *slots;
    uint32_t nslots, cap_slots;
    uint32_t *heads, head_mask; /* by hash: newest slot */
    uint64_t raw_since;
    /* packs since the last publish; the last one is being written when `writing` */
    ds_txpack **packs;
    uint32_t npacks, cap_packs;
    bool writing;
};

/* Pieces that may be built on, and all that they are built on. */
typedef struct ds_txbases {
    ds_objloc v[DS_CLOSURE_CAP];
    unsigned depth[DS_CLOSURE_CAP];
    size_t n;
    ds_bases like;   /* those that share hashes with the new piece, best first */
    unsigned number; /* of the new piece */
    bool stored;     /* the best is in the store, not in this transaction */
} ds_txbases;

/* ---- pieces since the last publish, by id and by hash (txrows.c) ---- */
uint32_t ds_tx_find(const ds_objtx *tx, const ds_sha *id); /* its row, or DS_TX_NONE */
int ds_tx_row(ds_objtx *tx, const ds_piece *p, uint32_t *row, ds_err *err);
int ds_tx_grow(void **p, uint32_t *cap, uint32_t n, size_t size, ds_err *err);

/* ---- a worker's part: ds_job_fn, ctx is the transaction (txjob.c) ---- */
void ds_txjob_run(void *job, void *ctx);

/* ---- packs (txpack.c) ---- */
int ds_tx_take(ds_objtx *tx, ds_err *err);    /* the oldest job's object goes to the pack */
int ds_tx_drain(ds_objtx *tx, ds_err *err);   /* all of them */
int ds_tx_publish(ds_objtx *tx, ds_err *err); /* all that was put becomes durable and visible */
void ds_tx_forget(ds_objtx *tx);              /* the rows, and packs that were not published */
/* Everything of these places must be in the file, where workers read it. */
int ds_tx_flush(ds_objtx *tx, const ds_objloc *v, size_t n, ds_err *err);

/* ---- what a piece is stored against (txbases.c) ---- */
int ds_tx_lookup(void *tx, const ds_sha *id, ds_objloc *out, ds_err *err);  /* a ds_lookup_fn */
int ds_tx_bases(ds_objtx *tx, ds_txjob *j, const ds_piece *p, ds_err *err); /* fills in j's */

#endif
