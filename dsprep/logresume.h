/* logresume.h - how far logs were read, as the newest version of a dataset tells it.
 *
 * A source of a followed log is its path, how many bytes of a file were read, and the digest of
 * these. So the last source of a log in a version is the place where what the version holds of it
 * ends, whatever became of what was on its way. One thread.
 */
#ifndef DS_LOGRESUME_H
#define DS_LOGRESUME_H

#include "logtail.h"

/* Fills an empty book from `version`, DATASET[@BRANCH]; it stays empty, and *none is set, when the
 * dataset has no version yet. A branch that is not there begins where the default one is. */
int ds_logresume_read(ds_logbook *book, bool *none, const char *version, ds_err *err);

#endif
