/* stagedir.h - a folder of output that appears when all of the run is known to be good.
 *
 * What is written lies in a folder of the run below DIR, .unfinished-XXXXXX, and becomes part of
 * DIR by rename at the end, in place of what is there. Otherwise nothing of the run is left: not
 * DIR either, when the run made it. What a killed command leaves is that folder, which is no
 * output. One thread; what is written into the folders may come from others.
 */
#ifndef DS_STAGEDIR_H
#define DS_STAGEDIR_H

#include "error.h"

typedef struct ds_stagedir ds_stagedir;
int ds_stagedir_new(ds_stagedir **s, const char *dir, ds_err *err); /* makes DIR */
const char *ds_stagedir_work(const ds_stagedir *s); /* for what may be thrown away */
const char *ds_stagedir_good(const ds_stagedir *s); /* for what is going to be in DIR */
int ds_stagedir_publish(ds_stagedir *s, ds_err *err);
void ds_stagedir_free(ds_stagedir *s); /* what was not published is removed */

#endif
