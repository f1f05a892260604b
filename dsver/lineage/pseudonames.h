/* pseudonames.h - the names behind the pseudonyms of sources, which a rebuilt stream cannot tell.
 *
 * The producer writes them where dsprep dicom --source-map would, into a folder that only the owner
 * may enter and that goes at the end. They are for messages to whoever holds the key. One thread.
 */
#ifndef DS_PSEUDONAMES_H
#define DS_PSEUDONAMES_H

#include "error.h"

/* Makes the folder, below $TMPDIR; *map: the file to be. */
int ds_pseudonames_begin(char **dir, char **map, ds_err *err);
/* Puts the name behind each pseudonym that stands in *words. A map that is not there is fine. */
int ds_pseudonames_say(char **words, const char *map, ds_err *err);
/* Both go; NULL is fine. */
void ds_pseudonames_end(char *dir, char *map);

#endif
