/* pushrepo.h - a git repository for one push of many refs: it has the refs that are to move, and
 * where they must be now, and the objects are another's.
 *
 * git compares each refspec of its command line, and each lease, with every ref: thousands of them
 * take minutes. One pattern that all refs fit takes as long as there are refs, and so do leases
 * that are refs themselves (`--force-with-lease` without a value). Nothing but git push is for it.
 */
#ifndef DS_PUSHREPO_H
#define DS_PUSHREPO_H

#include "gitrun.h"

/* As a remote it has this name, and no URL. */
#define DS_PUSHREPO_REMOTE "dsver-push"
/* What fits all that are to move; a ref there is "refs/push/" and the rest of its name. */
#define DS_PUSHREPO_SPEC "refs/push/*:refs/*"

/* Makes one in a temporary folder, which the caller removes (rmtree.h) and frees. objects_of: the
 * repository whose objects it has, and whose configuration. None of m may be deleted. */
int ds_pushrepo_make(char **dir, const char *objects_of, const ds_gitmove *m, size_t n,
                     ds_err *err);

#endif
