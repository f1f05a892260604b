/* ledger.h - what a run consumed, row by row, chained (docs/lineage-format.md, "Ledger").
 *
 * A segment is a DSR file that appears whole or not at all. Reading recomputes the chain; the first
 * row that does not follow is named.
 */
#ifndef DS_LEDGER_H
#define DS_LEDGER_H

#include "dsr_rows.h"

/* Bits of norm in the last row of a step without an update, which no update has. Its loss was a
 * spike: a NaN. Its gradient was not finite at its loss scale: infinite. */
#define DS_LEDGER_SKIPPED UINT64_C(0x7ff8000000000000)
#define DS_LEDGER_OVERFLOW UINT64_C(0x7ff0000000000000)

typedef struct ds_ledger_row {
    uint64_t step, row, targets;
    uint64_t lr, loss, norm; /* bits of f64 */
    const void *pieces;      /* ds_spans_encode */
    size_t pieces_len;
    const uint8_t *chain; /* as recorded, 32 bytes; only where a row is read */
} ds_ledger_row;

/* chain[0] of a run, and the next value from the last. */
int ds_ledger_first(ds_sha *chain, const ds_sha *run, ds_err *err);
int ds_ledger_next(ds_sha *chain, const ds_ledger_row *r, ds_err *err);

typedef struct ds_ledger ds_ledger;
/* Begins a segment file; `chain` is where the one before ended. */
int ds_ledger_create(ds_ledger **l, const char *path, const ds_sha *chain, ds_err *err);
int ds_ledger_add(ds_ledger *l, const ds_ledger_row *r, ds_err *err);
/* Ends it, syncs, renames. *chain is then that of its last row, *rows their number. Frees l in any
 * case. */
int ds_ledger_finish(ds_ledger *l, ds_sha *chain, uint64_t *rows, ds_err *err);
void ds_ledger_drop(ds_ledger *l); /* NULL is fine */

/* Each row of a segment in order; *chain goes in as the value before, comes out as that of the last
 * row. Non-zero from fn stops. */
typedef int (*ds_ledger_fn)(void *ctx, const ds_ledger_row *r, ds_err *err);
int ds_ledger_read(const char *path, ds_sha *chain, ds_ledger_fn fn, void *ctx, ds_err *err);
/* The same from a descriptor (borrowed), and without looking whether a row's chain follows:
 * r->chain is what stands there. */
int ds_ledger_scan(int fd, const char *path, ds_ledger_fn fn, void *ctx, ds_err *err);

#endif
