/* packjoin.h - many small git packs of the catalog become one, as commits go on.
 *
 * Each commit writes a pack, and git looks for an object in one pack after the other, and lists all
 * of them when it starts: what a command costs would grow with every commit since the last gc. So
 * whoever has written a pack joins small ones once there are more than DS_PACKJOIN_MAX. Nothing is
 * left out of them (that is gc's, tidy.h), so readers, writers and git commands may be at work: who
 * looks into a pack that went lists the folder anew.
 */
#ifndef DS_PACKJOIN_H
#define DS_PACKJOIN_H

#include "catalog.h"

enum { DS_PACKJOIN_MAX = 64 };

/* Of n packs, the smallest first: how many of these are to become one, so that each of those that
 * stay is as large as all smaller ones together, and more. So an object is copied a few times in
 * its life, however many packs come, and packs stay few. Less than 2: none. */
size_t ds_packjoin_count(const uint64_t *size, size_t n);

/* For one who holds the store (ds_objstore_hold) and whose refs have moved. store: its folder. 1
 * packs were joined; 0 there was no need, or somebody else is at work on what the packs hold; < 0
 * they stay as they are. */
int ds_packjoin(ds_catalog *c, const char *store, ds_err *err);

#endif
