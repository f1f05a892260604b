/* rundiff.h - in what two runs' descriptions, whose digests are not the same, differ. */
#ifndef DS_RUNDIFF_H
#define DS_RUNDIFF_H

#include "lineage.h"

/* Always fails: DS_FAIL names the first member that differs and both of its values. `was` is that
 * of a checkpoint, `now` what data, model and options give. */
int ds_rundiff(const ds_run *was, const ds_run *now, ds_err *err);

#endif
