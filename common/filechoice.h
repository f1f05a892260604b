/* filechoice.h - which files (filerec.h) patterns choose, and which others these need.
 *
 * A pattern is a path, a folder, which stands for all below it, or a glob of fnmatch(3) in which
 * '*' and '?' match a '/' too. With what is chosen come the records of the folders that it lies in.
 * A hard link whose target is not chosen becomes what it names; several of one file are links to
 * the first of them.
 *
 * First all records are told of, then they are picked. Memory: the chosen files' folders and links.
 * One thread. Names end with NUL; those that are not const are changed meanwhile, and are as they
 * were afterwards.
 */
#ifndef DS_FILECHOICE_H
#define DS_FILECHOICE_H

#include "treeput.h"

typedef struct ds_filechoice ds_filechoice;
/* A '/' at a pattern's end and './' before it mean nothing. `whole`: what is chosen from, for
 * messages ("the version"); borrowed. */
int ds_filechoice_new(ds_filechoice **out, const char *const *patterns, size_t n, const char *whole,
                      ds_err *err);
/* A record of this name may be chosen, or is needed by one that was told of. */
bool ds_filechoice_wants(const ds_filechoice *c, char *name);
/* Tells of a record. The file that a hard link is another name of comes before it in a stream: hard
 * links are told of from the last to the first. *made: it is chosen, or needed so far. target: NULL
 * where it has none. */
int ds_filechoice_take(ds_filechoice *c, char *name, enum ds_filekind kind, char *target,
                       bool *made, ds_err *err);
/* A folder of what is chosen was not told of so far. */
bool ds_filechoice_lacks_folder(const ds_filechoice *c);
/* When all are told of: DS_FAIL when a pattern matched nothing. */
int ds_filechoice_check(const ds_filechoice *c, ds_err *err);
/* When all are picked, or told of in the order of hard links: DS_FAIL when a file is not there that
 * a chosen hard link is another name of. */
int ds_filechoice_check_links(const ds_filechoice *c, ds_err *err);
/* 1: it is made, by the name and target that f says then, which are c's; 0: it is not. */
int ds_filechoice_pick(ds_filechoice *c, ds_treefile *f, ds_err *err);
void ds_filechoice_free(ds_filechoice *c); /* NULL is fine */

#endif
