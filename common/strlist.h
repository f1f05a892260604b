/* strlist.h - strings in a list that owns them, and the names in a folder.
 *
 * A zeroed list is valid and empty; _fini accepts it. What was added before an error stays.
 */
#ifndef DS_STRLIST_H
#define DS_STRLIST_H

#include <stddef.h>

#include "error.h"

typedef struct ds_strlist {
    char **v;
    size_t n, cap;
} ds_strlist;

int ds_strlist_add(ds_strlist *l, const char *s, ds_err *err);
int ds_strlist_add_part(ds_strlist *l, const char *s, size_t len, ds_err *err);
/* Takes s over, in every case; NULL is a lack of memory. */
int ds_strlist_take(ds_strlist *l, char *s, ds_err *err);
void ds_strlist_sort(ds_strlist *l); /* by bytes */
void ds_strlist_fini(ds_strlist *l);

/* Adds the names in a folder, "." and ".." left out, and sorts the list. A folder that is not there
 * is an error; for _if_there it is an empty one. Of DS_IO errno says why. */
int ds_strlist_folder(ds_strlist *l, const char *dir, ds_err *err);
int ds_strlist_folder_if_there(ds_strlist *l, const char *dir, ds_err *err);
/* The same of an open folder, which stays open; `dir` is its name in messages. */
int ds_strlist_folder_at(ds_strlist *l, int fd, const char *dir, ds_err *err);
/* What readdir(3) said that a name in a folder, added by one of these, is: DT_REG and others;
 * DT_UNKNOWN where the file system does not say. */
unsigned char ds_strlist_type(const char *name);

#endif
