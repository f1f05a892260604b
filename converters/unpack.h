/* unpack.h - the files inside archives and compressed files, under limits.
 *
 * tar, zip and 7z through libarchive; gz (zlib, which checks its sums), zst (libzstd), xz, bz2,
 * alone or around a tar. What it is is decided by its first bytes. Untrusted: what comes out may
 * not be larger than max_ratio times what went in (once past 16 MiB) nor than max_bytes; a member
 * whose name is absolute, holds "..", or is not UTF-8 is refused; links, devices and archives
 * inside archives are not followed. A zst may begin with a dictionary for its frames, as those of
 * web archives do (a skippable frame, 0x184D2A5D). Nothing is ever written to disk. Reads forward
 * only, except zip and 7z in files. One thread an object.
 */
#ifndef DS_UNPACK_H
#define DS_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "packmark.h"

typedef struct ds_unpack_limits {
    uint64_t max_ratio;   /* 0 = none */
    uint64_t max_bytes;   /* unpacked, of one archive; 0 = none */
    uint64_t max_members; /* 0 = none */
    bool whole;           /* folders are told of too, and names may be any bytes */
    /* A gz or zst is one of members (frames) that stand for themselves, a record each: behind a
     * damaged one it goes on with the next that can be told. What is left of the damaged one lacks
     * its last bytes, so that who knows the records sees that it is not whole. */
    bool resume;
} ds_unpack_limits;

enum ds_member_kind {
    DS_MEMBER_FILE,
    DS_MEMBER_LINK,
    DS_MEMBER_SPECIAL,
    DS_MEMBER_REFUSED,
    DS_MEMBER_FOLDER /* only of a whole archive */
};

typedef struct ds_member {
    enum ds_member_kind kind;
    const char *name; /* lent until the next call; NULL for the content of a compressed file that is
                         no archive */
    const char *why;  /* of a refused one */
    /* of a whole archive */
    const char *target; /* of a link: what it says, or the name of the file it is another name of */
    bool hard;
    int64_t mode, mtime; /* ns */
    bool untimely;       /* mtime is 0: its time cannot be told so */
} ds_member;

/* Nanoseconds since 1970; false, and 0, where they are more than 64 bits hold (1677 to 2262). */
bool ds_unpack_time(int64_t *ns, int64_t seconds, long rest);

typedef struct ds_unpack ds_unpack;
/* Reads from fd (borrowed). `head`: bytes already read from a pipe, to be seen first (copied); a
 * file must stand at its beginning, with no head. `name` is for messages (borrowed). */
int ds_unpack_new(ds_unpack **u, int fd, const char *name, const uint8_t *head, size_t nhead,
                  enum ds_packing packing, const ds_unpack_limits *limits, ds_err *err);
/* 1 and the next member (folders are stepped over); 0 at the end; negative: the archive is broken
 * or over a limit. */
int ds_unpack_next(ds_unpack *u, ds_member *m, ds_err *err);
/* Reads the current member: *got < n only at its end, or where it fails: what came before is there.
 * DS_CORRUPT: it is damaged; DS_FAIL: over a limit; DS_IO. */
int ds_unpack_read(ds_unpack *u, void *buf, size_t n, size_t *got, ds_err *err);
/* After a failure: whether nothing that follows can be read, either. Else ds_unpack_next goes on
 * behind the member that failed. */
bool ds_unpack_over(const ds_unpack *u);
/* How many damaged members of a gz or zst were gone on behind, and words for the first of them. */
uint64_t ds_unpack_damaged(const ds_unpack *u, const char **why);
/* Where the bytes of the current member lie in the archive as they are, so that they need not be
 * read here: of a tar that is a file and not compressed. False: read them. Once it was true, the
 * next call is ds_unpack_next. */
bool ds_unpack_place(ds_unpack *u, uint64_t *offset, uint64_t *size);
void ds_unpack_free(ds_unpack *u);

#endif
