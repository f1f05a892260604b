/* openpacks.h - the git packs of the catalogs that this process has open, and whether they can be
 * read.
 *
 * Git's library passes over a pack that the system does not let it read (a bad disk, a server that
 * does not answer, too many files that are open), and says that what lies in it is not there. So
 * when something is not, the packs are looked at once more: what is damaged and what cannot be read
 * just now want different things of whoever is told. A list for the whole process, since the place
 * that fails knows an object and not its catalog; nothing but a message comes of it. Any thread.
 */
#ifndef DS_OPENPACKS_H
#define DS_OPENPACKS_H

#include "error.h"

/* dir: objects/pack of a catalog, as often as it is opened. */
int ds_openpacks_add(const char *dir, ds_err *err);
void ds_openpacks_drop(const char *dir);
/* 0; or DS_IO and the like, with the path, when there is a pack, or an index of one, that cannot be
 * read. */
int ds_openpacks_check(ds_err *err);

#endif
