/* ipcschema.h - the fields of an Arrow schema (Apache Arrow, Schema.fbs, version 5): a tree, with
 * how the values of each lie in buffers, and what they are.
 *
 * What a leaf's values are is said as Parquet says it (pqvalue.h), which makes of them the same
 * columns. Owns its memory; a zeroed object is valid for _fini.
 */
#ifndef DS_IPCSCHEMA_H
#define DS_IPCSCHEMA_H

#include "flatbuf.h"
#include "pqfile.h"

/* Format/Columnar.rst, "Physical Memory Layout" */
enum ds_ipclayout {
    DS_IPC_NULL,
    DS_IPC_BITS,
    DS_IPC_FIXED,
    DS_IPC_BYTES,
    DS_IPC_VIEWS,
    DS_IPC_LIST,
    DS_IPC_LIST_VIEWS,
    DS_IPC_FIXED_LIST,
    DS_IPC_STRUCT,
    DS_IPC_SPARSE_UNION,
    DS_IPC_DENSE_UNION,
    DS_IPC_RUNS /* "run-end encoded": the ends, and a value for each run */
};

/* Intervals, which Parquet has not as such, are JSON objects. */
enum ds_ipcspan { DS_IPC_NO_SPAN, DS_IPC_DAY_TIME, DS_IPC_MONTH_DAY_NANO };

typedef struct ds_ipcnode {
    ds_pqnode what; /* name; of a leaf what its values are */
    enum ds_ipclayout layout;
    int width;       /* bytes: of a fixed value, of an offset */
    int64_t size;    /* items of a fixed list */
    int64_t per_day; /* of a date in smaller units; 0: days */
    enum ds_ipcspan span;
    bool nullable, map;
    int8_t *ids; /* of a union: for each child the number that values of it have */
    bool coded;  /* values are numbers of what a dictionary holds, of the type that is said here */
    int64_t dictionary;
    int code_width;
    size_t children, nchild, next; /* as in ds_pqnode */
} ds_ipcnode;

typedef struct ds_ipcschema {
    ds_ipcnode *nodes; /* 0 is the root, a struct */
    size_t n, cap;
} ds_ipcschema;

/* at: the table Schema. DS_NOMEM, or 1: *why (static) says what is wrong. */
int ds_ipcschema_parse(ds_ipcschema *s, ds_flat *f, size_t at, const char **why);
void ds_ipcschema_fini(ds_ipcschema *s);

/* Child i of a node. */
size_t ds_ipc_child(const ds_ipcschema *s, size_t node, size_t i);
/* The node of the values themselves, where runs stand before them. */
size_t ds_ipc_values(const ds_ipcschema *s, size_t node);
bool ds_ipc_is_leaf(const ds_ipcnode *n);
bool ds_ipc_is_list(const ds_ipcnode *n);

#endif
