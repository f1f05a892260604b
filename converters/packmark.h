/* packmark.h - what archives and compressed files are known by: their first bytes, and their names.
 *
 * Pure functions.
 */
#ifndef DS_PACKMARK_H
#define DS_PACKMARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ds_packing {
    DS_PACK_NONE,
    DS_PACK_GZ,
    DS_PACK_XZ,
    DS_PACK_ZST,
    DS_PACK_BZ2,
    DS_PACK_TAR,
    DS_PACK_ZIP,
    DS_PACK_7Z
};

#define DS_PACKMARK_SNIFF 512 /* bytes that ds_packmark_sniff wants to see */
enum ds_packing ds_packmark_sniff(const uint8_t *p, size_t len);
/* Length of the name without ".gz", ".xz", ".zst", ".bz2". */
size_t ds_packmark_bare(const char *name);
/* True for names of compressed files and archives: what is not entered when it lies in another one.
 */
bool ds_packmark_is_packed(const char *name);
/* True for office documents and program archives, which are zip files but no collections of texts.
 */
bool ds_packmark_is_document(const char *name);

#endif
