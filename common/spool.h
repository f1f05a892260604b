/* spool.h - bytes of unknown amount: in memory while small, in an unlinked temporary file when not.
 *
 * Append, then ds_spool_view lends everything appended as one (pointer, length): memory, or a
 * mapping of the file. A reader that walks a large view forward calls ds_spool_release behind it,
 * so that the pages of a 2 GB value never count against the process all at once. Appending after a
 * view is allowed and makes the view invalid. A zeroed object is valid; the limit defaults to 4
 * MiB. The temporary lives in $TMPDIR (or /tmp), mode 0600, unlinked at once.
 */
#ifndef DS_SPOOL_H
#define DS_SPOOL_H

#include "buf.h"
#include "error.h"

typedef struct ds_spool {
    size_t limit;   /* bytes kept in memory; 0 = 4 MiB */
    ds_buf mem;     /* everything while small; the tail not yet written once a file exists */
    int fd_plus1;   /* 0 = no file */
    uint64_t filed; /* bytes in the file */
    void *map;
    size_t map_len;
    size_t released; /* bytes of the map already given back */
} ds_spool;

static inline int ds_spool_put(ds_spool *s, const void *data, size_t len, ds_err *err);
/* Room for n bytes in memory, to be written and then appended by ds_spool_filled; *p is NULL where
 * they would go to the file: put them. */
int ds_spool_room(ds_spool *s, size_t n, uint8_t **p, ds_err *err);
void ds_spool_filled(ds_spool *s, size_t n);
int ds_spool_varint(ds_spool *s, uint64_t v, ds_err *err);
static inline uint64_t ds_spool_len(const ds_spool *s);
int ds_spool_view(ds_spool *s, const uint8_t **data, size_t *len, ds_err *err);
/* Says that bytes [0, upto) of the view will not be read again soon: they stay readable. */
void ds_spool_release(ds_spool *s, size_t upto);
/* Forgets all bytes from `len` on; a longer len than there is changes nothing. Makes a view
 * invalid. */
int ds_spool_truncate(ds_spool *s, uint64_t len, ds_err *err);
void ds_spool_reset(ds_spool *s); /* empty again; the memory is kept, the file is not */
void ds_spool_fini(ds_spool *s);

static inline uint64_t ds_spool_len(const ds_spool *s)
{
    return s->filed + s->mem.len;
}

/* Most appends find room in memory. */
#define DS_SPOOL_LIMIT ((size_t)4 << 20)
int ds_spool_put_slow(ds_spool *s, const void *data, size_t len, ds_err *err);
static inline int ds_spool_put(ds_spool *s, const void *data, size_t len, ds_err *err)
{
    const size_t limit = s->limit ? s->limit : DS_SPOOL_LIMIT;
    if (s->fd_plus1 || len > s->mem.cap - s->mem.len || s->mem.len + len > limit)
        return ds_spool_put_slow(s, data, len, err);
    if (len)
        memcpy(s->mem.data + s->mem.len, data, len);
    s->mem.len += len;
    return 0;
}

#endif
