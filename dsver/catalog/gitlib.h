/* gitlib.h - begins libgit2 without the certificates of the system.
 *
 * Built over mbedTLS, libgit2 reads and parses every authority that the system trusts as it begins:
 * more than half of the time of a short command, for connections that we never let it make. Between
 * its first line and its last the function below finds none. Whoever else in the process uses
 * mbedTLS has its authorities, before and after, on every thread.
 */
#ifndef DS_GITLIB_H
#define DS_GITLIB_H

/* git_libgit2_init() and what it returns. */
int ds_gitlib_init(void);

#endif
