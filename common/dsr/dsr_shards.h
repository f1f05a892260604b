/* dsr_shards.h - the files of a folder that a stream was written into: shard-00000.dsr and on.
 *
 * Each is a whole stream of its own; together, in the order of their numbers, they are one.
 */
#ifndef DS_DSR_SHARDS_H
#define DS_DSR_SHARDS_H

#include "strlist.h"

/* Adds the paths of the shards in an operand that is a folder; anything else is added as it is. No
 * shard, or a gap in their numbers, is an error: a lost shard is lost data. */
int ds_shards_operand(ds_strlist *paths, const char *operand, ds_err *err);

#endif
