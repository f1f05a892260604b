/* audit.h - does a checkpoint say the truth about what it was made of? Everything that its
 * lineage.json claims is recomputed: digests of files, the chain of its ledger, the datasets in the
 * store, and the order and packing of every row.
 */
#ifndef DS_AUDIT_H
#define DS_AUDIT_H

#include "runset.h"

enum ds_audit_status { DS_AUDIT_OK, DS_AUDIT_FAILED, DS_AUDIT_UNCHECKED };

typedef struct ds_audit_opts {
    const char *dir;          /* the checkpoint */
    ds_store *store;          /* NULL: none */
    const char *model;        /* the base model's folder, or NULL */
    const char *const *files; /* datasets that are files */
    size_t nfiles;
    bool offline;    /* data that cannot be found is no failure */
    bool registered; /* that the catalog does not know it is one */
} ds_audit_opts;

typedef struct ds_audit {
    ds_lineage lineage;
    ds_sha run;
    uint64_t failed, unchecked;
    uint64_t unregistered; /* of those: 1 where nobody is there who would know it */
    bool corrupt;          /* some file cannot be read for what it is */
} ds_audit;
void ds_audit_fini(ds_audit *a);

/* One check: what was checked ("files", "ledger", "dataset docs", ...), and what was found. */
typedef void (*ds_audit_fn)(void *ctx, const char *check, enum ds_audit_status status,
                            const char *detail);
/* 0 when the checks ran, whatever they found. DS_CORRUPT when lineage.json is not one. Zeroed or
 * fini'd before. */
int ds_audit_run(ds_audit *a, const ds_audit_opts *o, ds_audit_fn fn, void *ctx, ds_err *err);

#endif
