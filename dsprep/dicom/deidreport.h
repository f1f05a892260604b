/* deidreport.h - --report FILE.json and --source-map FILE: what is written beside the records. One
 * thread. */
#ifndef DS_DEIDREPORT_H
#define DS_DEIDREPORT_H

#include "dcmdeid.h"
#include "dsr_io.h"
#include "proofpass.h"

/* The report: policy and its digest, key id, files and what became of them, actions by attribute,
 * the search. It is JSON, canonical, and names nobody. proof may be NULL. */
typedef struct ds_deid_report {
    const dcm_policy *policy;
    const dcm_key *key; /* NULL without de-identification */
    const dcm_actions *actions;
    const ds_counts *counts;
    uint64_t inputs, masked, already; /* files */
    uint64_t surplus;                 /* frames that were left out: more than their files say */
    uint64_t unread;                  /* objects with characters that no set explains */
    const ds_proof *proof;
} ds_deid_report;
int ds_deid_report_write(const ds_deid_report *r, const char *path, ds_err *err);
/* Appends ,"name":{"reason":count,...}. */
int ds_deid_reasons(ds_buf *b, const char *name, const ds_reason *v, size_t n);

/* Lines of JSON {"source":pseudonym,"name":...,"sha256":...}, readable by the owner alone; the file
 * appears with _end. */
typedef struct ds_source_map ds_source_map;
int ds_source_map_open(ds_source_map **m, const char *path, ds_err *err);
int ds_source_map_put(ds_source_map *m, const char *pseudonym, const char *name, size_t len,
                      const ds_sha *sha, ds_err *err);
int ds_source_map_end(ds_source_map *m, ds_err *err);
void ds_source_map_free(ds_source_map *m); /* without _end nothing is left */

#endif
