/* textfile.h - many small files at once: read, hashed and parsed by workers, ahead of their turn.
 *
 * A job holds some files in input order. A worker reads each into memory and parses it; what is too
 * large for that, packed, a pipe, or in another encoding is left to be streamed when its turn
 * comes. The inner part of textread.h.
 */
#ifndef DS_TEXTFILE_H
#define DS_TEXTFILE_H

#include "hash.h"
#include "textrow.h"
#include "walk.h"

#define DS_FILEJOB_MAX 64

enum ds_file_state { DS_FILE_WAITS, DS_FILE_READ, DS_FILE_STREAM, DS_FILE_PROBLEM };

typedef struct ds_fileitem {
    enum ds_file_state state;
    enum ds_walk_kind kind;
    bool operand, pipe;
    size_t path, name, why; /* offsets in the job's words */
    const char *reason;     /* of a problem */
    enum ds_textformat format;
    size_t first, last; /* rows of the batch */
    uint64_t size;
    ds_sha sha;
} ds_fileitem;

typedef struct ds_filejob {
    ds_fileitem v[DS_FILEJOB_MAX];
    size_t n;
    ds_buf words; /* NUL-terminated strings */
    ds_buf data;  /* the files' bytes: never moved while rows point into it */
    ds_textbatch batch;
    ds_csvrec csv;
    ds_hasher *hasher;
    ds_err err; /* out of memory, or a library that failed */
} ds_filejob;

void ds_filejob_reset(ds_filejob *j);
void ds_filejob_fini(ds_filejob *j);
int ds_filejob_add(ds_filejob *j, const ds_walk_entry *e, ds_err *err);
static inline const char *ds_filejob_word(const ds_filejob *j, size_t at)
{
    return (const char *)j->words.data + at;
}
/* Reads what can be read at once; files that found no room are left waiting. A pool's job function:
 * ctx is the ds_textopts. */
void ds_filejob_work(void *job, void *ctx);

/* Opens a walked file: no links below operands, nothing but files there; never waits for a pipe's
 * other end there. */
int ds_textfile_open(int *fd, const char *path, bool operand, bool pipe, ds_err *err);

#endif
