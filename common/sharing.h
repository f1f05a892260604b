/* sharing.h - folders in which a group, or everybody, may use what is made there, whatever the
 * umask of who makes it (git has core.sharedRepository for that).
 *
 * Folders are named once, for the whole process; from then on what io.h opens with O_CREAT or makes
 * as a folder, in one of these or below it, gets the permissions before anybody writes into it, and
 * keeps them when it is renamed. Nothing outside of them changes: what a command writes for its
 * user has the user's umask. A path belongs to a folder when it begins with the name by which that
 * was named. Any thread.
 */
#ifndef DS_SHARING_H
#define DS_SHARING_H

#include <stdbool.h>
#include <sys/stat.h>

#include "error.h"

enum ds_sharing {
    DS_SHARED_UMASK, /* as the umask has it: not shared */
    DS_SHARED_GROUP, /* the group may what its owner may; folders hand on their group */
    DS_SHARED_ALL,   /* and others may read */
};
extern const char *const ds_sharing_words[]; /* by number; a NULL ends them */

/* The permission bits that something has to have, from its type and those that it has: no bit goes.
 */
mode_t ds_sharing_mode(enum ds_sharing how, mode_t mode);

/* Of what is made in `dir` from now on; the last word about a folder counts. */
int ds_sharing_set(const char *dir, enum ds_sharing how, ds_err *err);
/* The same for a folder that says so itself, or, when it is still to be made, that in which it will
 * be: the group may write it, and it hands on its group (chmod g+ws). */
int ds_sharing_follow(const char *dir, ds_err *err);
enum ds_sharing ds_sharing_of(const char *path);

/* What was just opened or made, at a path in such a folder or elsewhere. 0, or -1 with errno: the
 * system refused to change what is this process's own. */
int ds_sharing_file(const char *path, int fd);
int ds_sharing_path(const char *path);
/* chmod of what has that name itself: who shares a folder may put a link there at any time, to what
 * is the caller's alone. 0, or -1 with errno. */
int ds_sharing_change(const char *path, mode_t mode);

/* For libraries that make files themselves: between the two the umask of the process lets through
 * what the folder of `path` wants. Short, and by one thread at a time: others wait. */
typedef struct ds_sharing_scope {
    bool in;
    mode_t before;
} ds_sharing_scope;
ds_sharing_scope ds_sharing_begin(const char *path);
void ds_sharing_end(ds_sharing_scope s);

#endif
