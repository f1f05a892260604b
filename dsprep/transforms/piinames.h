/* piinames.h - names from a list, found in texts as whole words.
 *
 * The file holds one name a line (UTF-8; a byte order mark, white space on either side, empty lines
 * and lines that begin with # are left out). A name matches where it stands as written, with no
 * letter, digit or underscore of ASCII on either side; names that begin with a character beyond
 * ASCII need no such edge, since Chinese has none. The longest wins. Read only once made.
 */
#ifndef DS_PIINAMES_H
#define DS_PIINAMES_H

#include "error.h"
#include "hash.h"

typedef struct ds_piinames ds_piinames;
int ds_piinames_load(ds_piinames **out, const char *path, ds_sha *digest, ds_err *err);
void ds_piinames_free(ds_piinames *n);
/* The end of the longest name that begins at `at`; 0 = none. */
size_t ds_piinames_at(const ds_piinames *n, const uint8_t *p, size_t len, size_t at);
/* May a name begin with this byte? */
bool ds_piinames_first(const ds_piinames *n, uint8_t c);

#endif
