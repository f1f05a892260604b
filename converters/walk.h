/* walk.h - the files that operands name: each operand itself, or everything below it in byte order
 * of the relative path.
 *
 * Hidden files are included. Symbolic links are followed when they are operands and never below
 * one, so that no loop can be walked; they are counted, as are devices, pipes and sockets below a
 * folder, and stores of dsver, which are not entered. Names are relative to the operand: for a
 * folder the path below it, for a file its last component. What cannot be read, or has a name that
 * is not UTF-8, is handed on as a problem. The order depends on names alone. Memory: the names of
 * the folders that are open. One thread.
 */
#ifndef DS_WALK_H
#define DS_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define DS_WALK_DEPTH_MAX 256

enum ds_walk_kind { DS_WALK_FILE, DS_WALK_STDIN, DS_WALK_PROBLEM };

typedef struct ds_walk_entry {
    enum ds_walk_kind kind;
    const char *path;             /* to open; lent until the next call, as all of this */
    const char *name;             /* relative, with '/' between components */
    bool operand;                 /* it is an operand itself: links are followed, pipes are read */
    bool pipe;                    /* an operand that is no regular file */
    const char *reason, *message; /* of a problem: a slug, and words */
} ds_walk_entry;

typedef struct ds_walk ds_walk;
/* Borrows the operands. "-" is standard input, which is named "stdin". */
int ds_walk_new(ds_walk **w, char *const *operands, size_t n, ds_err *err);
/* 1 and the next entry; 0 at the end; negative when memory or the system fails. */
int ds_walk_next(ds_walk *w, ds_walk_entry *e, ds_err *err);
/* Links, things that are neither file nor folder, and stores, left out so far. */
void ds_walk_left_out(const ds_walk *w, uint64_t *links, uint64_t *special, uint64_t *stores);
void ds_walk_free(ds_walk *w);

#endif
