/* graph.h - versions and their parents drawn as lines, newest first, as git log --graph does. One
 * thread. */
#ifndef DS_GRAPH_H
#define DS_GRAPH_H

#include "catalog.h"

typedef struct ds_graph {
    git_revwalk *walk;
    ds_buf lanes; /* git_oid: the version that each line leads down to */
    ds_buf text;
} ds_graph;

/* tips: where it begins; versions come after all that were made from them. Fini'd in any case. */
int ds_graph_init(ds_graph *g, ds_catalog *c, const git_oid *tips, size_t n, ds_err *err);
/* 1 with the next version's id, 0 the end. */
int ds_graph_next(ds_graph *g, git_oid *id, ds_err *err);
/* Of that version: what stands before its line, the last row being its own ("| * "), lent. */
const char *ds_graph_before(ds_graph *g, const ds_version *v);
/* Then: what stands before further lines about it, or the rows that lead on to its parents (with
 * newlines; empty when they go straight down). Lent. */
const char *ds_graph_after(ds_graph *g, const ds_version *v);
void ds_graph_fini(ds_graph *g);

#endif
