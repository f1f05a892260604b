/* lineage_priv.h - what lineage.c and lineagetext.c share. */
#ifndef DS_LINEAGE_PRIV_H
#define DS_LINEAGE_PRIV_H

#include "lineage.h"

#define DS_TRAINER "dstrain"

/* No control characters: names are printed as they are. */
bool ds_lineage_plain(const char *s);

#endif
