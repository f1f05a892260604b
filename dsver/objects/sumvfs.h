/* sumvfs.h - SQLite databases whose every page carries a checksum, so that any flipped byte is
 * found.
 *
 * A shim over SQLite's default VFS, registered under DS_SUMVFS. Pages are 4096 bytes; the last 8 of
 * each (SQLite's "reserved bytes") hold XXH3-64 of the 4088 before, XORed with a mix of the page's
 * number, so that a page in the wrong place is found too. Written when a page goes to the main
 * database file, checked on every read of a whole page: a mismatch is SQLITE_IOERR_DATA. The WAL
 * has checksums of its own. Registration is for the whole process, once; any thread may ask for it.
 */
#ifndef DS_SUMVFS_H
#define DS_SUMVFS_H

#include <sqlite3.h>
#include <stdint.h>

#include "error.h"

#define DS_SUMVFS "dssum"
#define DS_SUMVFS_PAGE 4096

/* Opens (flags as for sqlite3_open_v2) with page checksums, busy timeout of 60 s, WAL, synchronous
 * NORMAL. A new database gets page size and reserved bytes; one made without them is refused with
 * DS_CORRUPT. SQLITE_OPEN_READONLY: without locks, log or anything written beside the file, which
 * nobody may write meanwhile. The path "" makes a temporary database, ":memory:" one without a
 * file. */
int ds_sumdb_open(sqlite3 **db, const char *path, int flags, ds_err *err);

/* The error for a failed SQLite call: DS_CORRUPT for damage, DS_LOCKED for busy, DS_NOMEM,
 * DS_NOROOM, else DS_IO; the message names `path` and, for damage, tells to run `dsver reindex`. */
int ds_sumdb_fail(sqlite3 *db, int rc, const char *path, const char *doing, ds_err *err);

/* Removes a database, with its log: one that is a cache, or that nobody sees yet. As far as it can.
 */
void ds_sumdb_remove(const char *path);

/* Reads every page of the open database's main file. *bad = offset of the first page whose checksum
 * is wrong, or UINT64_MAX. Reads through the connection's own handle: opening the file a second
 * time in one process would drop SQLite's locks on it. */
int ds_sumdb_check(sqlite3 *db, const char *path, uint64_t *bad, ds_err *err);

#endif
