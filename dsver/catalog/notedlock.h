/* notedlock.h - a lock whose file says, while it is held, what its holder is changing.
 *
 * Git's library guards a file by making NAME.lock beside it, and refuses to work while that is
 * there. It stays when the process dies; the note then stays as well, and tells the next holder
 * whose NAME.lock is nobody's. The kernel frees the lock itself (flock).
 */
#ifndef DS_NOTEDLOCK_H
#define DS_NOTEDLOCK_H

#include "buf.h"

/* Waits for the lock; the note, of at most 600 bytes, is on disk on return. left: that of a holder
 * who died; *died: there was one. */
int ds_notedlock_take(int *fd, const char *path, const char *note, ds_buf *left, bool *died,
                      ds_err *err);
/* With `unfinished` the note stays, as if the holder had died. *fd < 0 is fine. */
void ds_notedlock_release(int *fd, const char *path, bool unfinished);
/* The lock alone: nothing is written. */
int ds_notedlock_wait(int fd, const char *path, ds_err *err);

/* Git's lock of `path`, PATH.lock, made by a process that died: it goes, when it stays as it is for
 * half a second: git itself, which may be at work there, holds none for long. */
void ds_gitlock_drop(const char *path);

#endif
