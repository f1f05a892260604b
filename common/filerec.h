/* filerec.h - files as records: the columns that `dsprep files` writes and that files are restored
 * from, and names of any bytes as keys in UTF-8.
 *
 *   key      the path below the folder, with '/' between names
 *   kind     "file", "folder", "symlink" or "hardlink"
 *   mode     the permission bits (07777)
 *   target   of a link: what it says, or the key of the file that it is another name of
 *   mtime    where it is kept: when the content last changed
 *   content  the bytes of a file; empty otherwise. The primary column
 *
 * A name that is UTF-8 without U+FFFD is its own key. In any other one, each byte that belongs to
 * no character, and each byte of a U+FFFD, becomes U+FFFD and two lowercase hexadecimal digits: no
 * two names have the same key, and the name can be had back.
 */
#ifndef DS_FILEREC_H
#define DS_FILEREC_H

#include "buf.h"
#include "dsr_column.h"
#include "dsr_schema.h"

enum ds_filekind { DS_FILE_PLAIN, DS_FILE_FOLDER, DS_FILE_SYMLINK, DS_FILE_HARDLINK };
extern const char *const ds_filekind_names[]; /* by kind, NULL-terminated */

typedef struct ds_filecols {
    size_t key, kind, mode, target, content;
    long mtime; /* -1: not kept */
} ds_filecols;

/* A schema that was initialised. */
int ds_filerec_schema(ds_schema *s, ds_filecols *c, bool mtime, ds_err *err);
/* DS_FAIL when records of this schema are no files. */
int ds_filerec_find(ds_filecols *c, const ds_schema *s, ds_err *err);

/* Appends the key of a file of this name. */
int ds_filename_key(ds_buf *out, const void *name, size_t len, ds_err *err);

/* Of a record's values. Kind: DS_FAIL when it is none. Name: what `out` held before goes, a NUL
 * stands behind, and one with a NUL in it is DS_FAIL. Erased: a tombstone stands where a record
 * was erased. */
int ds_filerec_kind(enum ds_filekind *kind, const ds_value *v, ds_err *err);
int ds_filerec_name(ds_buf *out, const ds_value *v, ds_err *err);
bool ds_filerec_erased(const ds_value *key, const ds_value *kind);

#endif
