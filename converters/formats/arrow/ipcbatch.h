/* ipcbatch.h - the arrays of a record batch or of a dictionary (Apache Arrow, Message.fbs), with
 * their buffers at hand.
 *
 * Buffers of the columns that are wanted are copied, or unpacked, into a spool: memory while small,
 * a file in $TMPDIR when not. A node's array is found by the node's number in the schema. What lies
 * in buffers is not looked at before it is read (ipcvalue.h). One thread; a zeroed object is valid
 * for _fini.
 */
#ifndef DS_IPCBATCH_H
#define DS_IPCBATCH_H

#include "ipcschema.h"
#include "spool.h"

typedef struct ds_ipcbytes {
    const uint8_t *p;
    uint64_t at, len; /* at: in the spool */
} ds_ipcbytes;

typedef struct ds_ipcarray {
    uint64_t n, nulls;
    ds_ipcbytes valid; /* a bit for each; empty: all are */
    ds_ipcbytes where; /* offsets, views, or numbers of a union's children */
    ds_ipcbytes data;  /* values; sizes of list views; offsets of a dense union */
    size_t views, nviews;
} ds_ipcarray;

typedef struct ds_ipcbatch {
    ds_ipcarray *arrays; /* by node */
    size_t narrays;
    ds_ipcbytes *views; /* data of views, of all arrays */
    size_t nviews, cap_views;
    ds_spool spool;
    uint64_t rows;
    uint64_t max_ratio; /* of packed buffers; 0: any */
    size_t in_memory;   /* bytes that are not in a file */
} ds_ipcbatch;

/* Where a batch comes from. */
typedef struct ds_ipcsource {
    int fd;
    const char *name;
    uint64_t body, body_len; /* within the file */
} ds_ipcsource;

/* Which nodes there are: all below `node`, which itself stands for no array where it is the root.
 * wanted: for each node at the top, by number; NULL: all. decoded: `node` is a dictionary's own. */
typedef struct ds_ipcwish {
    size_t node;
    const bool *wanted;
    bool decoded;
    bool old; /* unions have a buffer more: of metadata before version 5 */
} ds_ipcwish;

/* f, at: the table RecordBatch. What was there before is gone. 1: it is damaged, and *why (static)
 * says how. */
int ds_ipcbatch_read(ds_ipcbatch *b, const ds_ipcschema *s, const ds_ipcwish *w, ds_flat *f,
                     size_t at, const ds_ipcsource *from, const char **why, ds_err *err);
void ds_ipcbatch_fini(ds_ipcbatch *b);

#endif
