/* overlay_priv.h - what overlay.c and overlaywrite.c share. */
#ifndef DS_OVERLAY_PRIV_H
#define DS_OVERLAY_PRIV_H

#include "overlay.h"

#define DS_OVERLAY_HEX 64 /* digits of an address */

/* "ADDRESS TEXT\n" */
typedef struct ds_ovline {
    ds_sha address;
    size_t at, len; /* TEXT, in that of all */
} ds_ovline;

typedef struct ds_ovlines {
    ds_buf text;
    ds_ovline *v;
    size_t n, cap;
} ds_ovlines;

struct ds_overlay {
    ds_ovlines lines, rows; /* by address */
    ds_buf gone;            /* ds_sha, sorted */
    bool pending;
    git_oid commit;
};

void ds_ovlines_fini(ds_ovlines *t);
/* Takes text in behind what is there, not sorted. */
int ds_ovlines_add(ds_ovlines *t, const void *text, size_t len, ds_err *err);
int ds_ovline_cmp(const void *a, const void *b); /* by address */
void ds_ovlines_sort(ds_ovlines *t);
/* TEXT; NULL when there is none. */
const uint8_t *ds_ovlines_find(const ds_ovlines *t, const ds_sha *address, size_t *len);
/* Sorted, each once. */
void ds_overlay_sort_shas(ds_buf *b);

#endif
