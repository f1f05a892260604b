/* objstore.h - the object layer of a store: pieces in, pieces out, by address.
 *
 * A piece is a byte string of at most 1 MiB. Its address is SHA-256("ds.piece\0" || bytes),
 * computed by whoever hands it in (ds_sha_tagged(&id, DS_PIECE_TAG, bytes, len)) and checked again
 * on every read that asks for it. How a piece is stored - raw, zstd, filtered, as a delta against
 * another piece, in which pack - never shows in its address. Format on disk: docs/store-format.md.
 *
 * A store's folder holds packs/ (immutable, named by SHA-256), index.db (SQLite, rebuildable from
 * the packs), tmp/ and locks/. Other files and folders in it are left alone.
 *
 * Errors: DS_NOSTORE no store there; DS_CORRUPT damaged bytes (message names pack and offset, or
 * says to run `dsver reindex`); DS_LOCKED a lock held elsewhere; DS_IO, DS_NOMEM; DS_FAIL an
 * unknown piece. Threads: a ds_objstore may be used from many threads at once (get, has, readers,
 * one or more transactions); a transaction, a reader and a gc belong to one thread each. Do not
 * carry one over fork(). Processes: any number of readers and writers; gc, sweep and reindex shut
 * writers out for their time.
 */
#ifndef DS_OBJSTORE_H
#define DS_OBJSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"
#include "hash.h"

#define DS_PIECE_TAG "ds.piece"
#define DS_OBJ_MAX ((size_t)1 << 20)
#define DS_SKETCH_MAX 16
#define DS_OBJ_SCRATCH "scratch-" /* a store in another's tmp/, for a while: so begins its name */

/* ---- sketches ---- */
/* A sketch is the up to 16 smallest distinct hashes of a piece's records: two pieces that share
 * most records share most of them. Zeroed = empty = "look for no base". The hash of a record is
 * caller's choice, but must be the same in every version and process; mix the column's name into
 * it so that columns do not vote for each other. Pieces under 512 bytes are never deltas: no
 * sketch needed. */
typedef struct ds_sketch {
    uint32_t h[DS_SKETCH_MAX]; /* ascending */
    uint8_t n;
} ds_sketch;

void ds_sketch_add(ds_sketch *s, uint32_t record_hash);
/* For bytes without records: cuts them by content every ~512 bytes, adds a hash of each part.
 * `salt`: the column. */
void ds_sketch_bytes(ds_sketch *s, uint32_t salt, const void *data, size_t len);
/* The same from a third of the bytes, in a third of the time: a hash for every ~800 bytes. */
void ds_sketch_sample(ds_sketch *s, uint32_t salt, const void *data, size_t len);

/* ---- a store ---- */
typedef struct ds_objstore ds_objstore;

enum ds_objmode {
    DS_OBJ_READ,  /* get, has, scrub; also of a store that this process may not write */
    DS_OBJ_STILL, /* the same without a byte written to it, for who keeps all writers out */
    DS_OBJ_WRITE, /* and transactions, gc; adopts whole packs that a crash left out of the index */
};

int ds_objstore_create(const char *dir,
                       ds_err *err); /* makes the folders and an empty index; fine when there */
int ds_objstore_open(ds_objstore **out, const char *dir, enum ds_objmode mode, ds_err *err);
void ds_objstore_close(ds_objstore *s); /* NULL is fine */

/* Keeps gc out from before the first put until after the ref moved: a shared flock on
 * locks/gc.lock, counted. Every transaction holds one of its own; take another around transaction +
 * ref update. Waits for a running gc. */
int ds_objstore_hold(ds_objstore *s, ds_err *err);
void ds_objstore_release(ds_objstore *s);

/* ---- writing ---- */
typedef struct ds_objtx ds_objtx;

typedef struct ds_piece {
    ds_sha id;
    const uint8_t *data; /* borrowed during the call only; NULL: the store must have it */
    size_t len;          /* <= DS_OBJ_MAX */
    uint8_t kind;        /* the caller's; stored, given back by scrub and dump */
    uint8_t word;   /* 0, or 2, 4, 8: data is an array of little-endian words of so many bytes; lets
                     * the   store try byte-plane filters. Never part of the address. */
    uint8_t stream; /* the caller's: pieces with the same number follow each other in content (a
                       column's) */
    size_t row; /* bytes that one record has in it, about; 0: many records. A hint for the search */
    ds_sketch sketch;
    bool known; /* whoever holds the store (ds_objtx_begin) has seen that it is there */
    bool anew;  /* store it again although it is there: the copy put takes the other's place */
    /* pieces it probably resembles, best first; ids unknown to the store are skipped */
    const ds_sha *hints;
    size_t n_hints;
} ds_piece;

typedef struct ds_objstats {
    uint64_t pieces_new,
        pieces_shared; /* shared: in the store already, or put before in this transaction */
    uint64_t bytes_new, bytes_shared; /* raw bytes of those */
    uint64_t bytes_stored;            /* what was added to packs, headers and trailers included */
    uint64_t deltas;                  /* of pieces_new, how many are deltas */
    uint64_t packs;
} ds_objstats;

/* threads <= 1: no threads are made. Packs and results are the same for any number of threads. */
int ds_objtx_begin(ds_objtx **out, ds_objstore *s, int threads, ds_err *err);
/* Compresses on the pool, writes in the order of the puts. *is_new (may be NULL) = it was not
 * there. */
int ds_objtx_put(ds_objtx *tx, const ds_piece *p, bool *is_new, ds_err *err);
/* The same, but takes over the bytes without copying: buf must own p->data (== buf->data, p->len ==
 * buf->len); on success it is exchanged for an empty buffer with some memory in it, to be filled
 * with the next piece. */
int ds_objtx_put_buf(ds_objtx *tx, const ds_piece *p, ds_buf *buf, bool *is_new, ds_err *err);
/* Sorted ids, borrowed: nothing that is put from now on is stored against these, or against what is
 * stored against them. */
void ds_objtx_avoid(ds_objtx *tx, const ds_sha *ids, size_t n);
/* Readable at once by the tx's owner (cold path: waits for the pool): pieces put in this
 * transaction, or the store's. */
int ds_objtx_get(ds_objtx *tx, const ds_sha *id, ds_buf *out, ds_err *err);
/* Packs synced and named, folder synced, index rows committed: on success everything put is durable
 * and readable by all. Long transactions publish whole packs along the way; what a dead or aborted
 * one left is garbage for gc. Frees tx in any case. stats may be NULL. */
int ds_objtx_finish(ds_objtx *tx, ds_objstats *stats, ds_err *err);
void ds_objtx_abort(ds_objtx *tx); /* NULL is fine */

/* ---- reading ---- */
bool ds_objstore_has(ds_objstore *s, const ds_sha *id); /* false on errors too */
/* has[i] becomes 1 for each of n that it has, and stays what it is for others: one set of locks. */
void ds_objstore_has_each(ds_objstore *s, const ds_sha *ids, size_t n, uint8_t *has);
/* 1 known, 0 not, < 0 error; raw length, kind and stored length (header included) where asked for.
 */
int ds_objstore_stat(ds_objstore *s, const ds_sha *id, uint32_t *raw, uint8_t *kind,
                     uint32_t *stored, ds_err *err);
/* Replaces out's content by the piece. The frame's checksum is always verified; `verify` also
 * recomputes the SHA-256 address: leave it out only when the caller does so. */
int ds_objstore_get(ds_objstore *s, const ds_sha *id, bool verify, ds_buf *out, ds_err *err);

/* Replaces out's content by the pieces one after the other, addresses verified: a chunk. */
int ds_objstore_get_all(ds_objstore *s, const ds_sha *ids, size_t n, ds_buf *out, ds_err *err);

/* For pieces that are not here: `miss` is asked before one is said to be unknown, by any thread; 1
 * when it is here now, 0 when not, < 0 an error. `expect` is told what readers will ask for. */
typedef int (*ds_objmiss_fn)(void *ctx, const ds_sha *id, ds_err *err);
typedef void (*ds_objexpect_fn)(void *ctx, const ds_sha *id);
void ds_objstore_on_miss(ds_objstore *s, ds_objmiss_fn miss, ds_objexpect_fn expect, void *ctx);
/* For readers, before they come to them: the pieces that they will want, in order. Any thread.
 * False when nobody wants to know, and no more need be said. */
bool ds_objstore_expect(ds_objstore *s, const ds_sha *ids, size_t n);

/* Asked about a piece that nobody has, by any thread: < 0, and err says why it is not there; 0 when
 * it knows no more. */
typedef int (*ds_objexplain_fn)(void *ctx, const ds_sha *id, ds_err *err);
void ds_objstore_on_unknown(ds_objstore *s, ds_objexplain_fn explain, void *ctx);

/* What s lacks is read from `under`, which is borrowed and not written to; before anything is read.
 * Deltas are made against pieces of s alone, so that its packs can be read without the other. */
void ds_objstore_lay_over(ds_objstore *s, ds_objstore *under);

/* Ordered read-ahead: put ids until full, take pieces in the same order.
 *     while (more && !ds_objreader_full(r)) ds_objreader_put(r, &id, tag, err);
 *     rc = ds_objreader_next(r, &got, err);   1 = a piece, 0 = none in flight, < 0 = error with
 *                                             got.id and got.tag
 */
typedef struct ds_objreader ds_objreader;
typedef struct ds_objread {
    ds_sha id;
    void *tag;           /* as given to put */
    const uint8_t *data; /* lent until the next call on this reader */
    size_t len;
} ds_objread;
int ds_objreader_new(ds_objreader **out, ds_objstore *s, int threads, bool verify, ds_err *err);
bool ds_objreader_full(const ds_objreader *r);
int ds_objreader_put(ds_objreader *r, const ds_sha *id, void *tag, ds_err *err);
int ds_objreader_next(ds_objreader *r, ds_objread *out, ds_err *err);
void ds_objreader_free(ds_objreader *r);

/* ---- health ---- */
typedef struct ds_objproblem {
    const char *file; /* "packs/<sha>.pack", "index.db" */
    uint64_t offset;
    const ds_sha *id; /* NULL when it is not about one piece */
    const char *reason;
} ds_objproblem;
typedef int (*ds_objproblem_fn)(void *ctx,
                                const ds_objproblem *p); /* non-zero stops, and is returned */

typedef struct ds_scrubstats {
    uint64_t packs, objects, bytes, problems;
} ds_scrubstats;

/* Structure: names, sizes, every object's header, index against packs, index pages. With read_data
 * also every checksum, every piece decoded and its address recomputed, every pack's name: any
 * flipped byte is found; of every `parts`-th pack only, by its name, from `part` on; of all with
 * parts 0. Returns 0 when the check itself ran (see stats->problems). threads as for transactions.
 */
int ds_objstore_scrub(ds_objstore *s, bool read_data, unsigned part, unsigned parts, int threads,
                      ds_objproblem_fn report, void *ctx, ds_scrubstats *stats, ds_err *err);

/* Builds index.db anew from the packs alone (the store need not be openable, nothing may hold it
 * open in this process). Damaged objects are skipped and reported; what can be read before and
 * after them is kept. Shuts writers out meanwhile. */
int ds_objstore_reindex(const char *dir, ds_objproblem_fn report, void *ctx, ds_scrubstats *stats,
                        ds_err *err);

/* The index as text, in canonical order, for comparison: packs, then pieces with kind, raw length
 * and sketch; with places also pack, offset, base and chain number. */
int ds_objstore_dump(ds_objstore *s, bool places, ds_buf *out, ds_err *err);

typedef struct ds_objtotals {
    uint64_t packs, pack_bytes, pieces, deltas;
} ds_objtotals;
int ds_objstore_totals(ds_objstore *s, ds_objtotals *out, ds_err *err);

/* ---- garbage ---- */
/* begin; mark what is needed; condemn; shut; mark what became needed meanwhile; sweep; end. Writers
 * go on until shut, readers all the time: who finds a pack gone looks the piece up again. One gc at
 * a time (DS_LOCKED when wait is false and another runs, or a writer is at work when it is shut).
 * Bases of marked pieces are kept too. One bit of memory per piece. */
typedef struct ds_objgc ds_objgc;
typedef struct ds_gcstats {
    uint64_t pieces, live, dead; /* live includes bases kept for others */
    uint64_t packs_deleted, packs_rewritten, packs_written;
    uint64_t bytes_before, bytes_after; /* of packs/ */
    uint64_t tmp_removed;               /* leftovers of dead writers */
    uint64_t stuck;                     /* damaged packs that were left as they are */
    uint64_t packs_left;                /* there was no room to rewrite them */
    uint64_t revived;                   /* pieces that became needed after they were condemned */
} ds_gcstats;
/* Of a store that is open for reading it only looks: it is never shut, all else is a dry run. */
int ds_objgc_begin(ds_objgc **out, ds_objstore *s, bool wait, ds_err *err);
int ds_objgc_mark(ds_objgc *gc, const ds_sha *id, bool *known, ds_err *err); /* known may be NULL */
/* Something that is needed is in no pack: packs of which objects are damaged are not rewritten. */
void ds_objgc_lacks(ds_objgc *gc);
/* Nothing but what is marked is to stay, not even as a base. Order then: begin, purge, shut, mark,
 * detach, condemn, sweep. detach stores pieces anew that are stored against what goes. */
void ds_objgc_purge(ds_objgc *gc);
int ds_objgc_detach(ds_objgc *gc, int threads, uint64_t *stored, ds_err *err);
/* Decides, and copies what is to stay: dead packs go, those more than half dead are rewritten,
 * small ones gathered when there are more than 64. Without the room to copy they stay. */
int ds_objgc_condemn(ds_objgc *gc, bool dry_run, ds_err *err);
int ds_objgc_shut(ds_objgc *gc, bool wait, ds_err *err);
int ds_objgc_sweep(ds_objgc *gc, bool dry_run, ds_gcstats *stats, ds_err *err);

/* On a disk without room, of a store that need not be openable: packs that are wholly dead go, and
 * nothing is written before they are gone. Order then: cramped, which shuts writers out; mark;
 * dead, which tells what would go; unindex, when something would; drop; renew; end. From unindex to
 * the end of renew whoever opens the store is told that its index is missing; who has it open reads
 * on. */
int ds_objgc_cramped(ds_objgc **out, const char *dir, bool wait, ds_err *err);
int ds_objgc_dead(ds_objgc *gc, ds_gcstats *stats, ds_err *err); /* dead: of what would go */
int ds_objgc_unindex(ds_objgc *gc, ds_err *err);
/* Packs, and what dead writers left. */
int ds_objgc_drop(ds_objgc *gc, ds_gcstats *stats, ds_err *err);
/* An index of what is there now, where there is none. Where that fails the store waits for
 * ds_objstore_reindex. */
int ds_objgc_renew(ds_objgc *gc, ds_err *err);
void ds_objgc_end(ds_objgc *gc); /* NULL is fine */

#endif
