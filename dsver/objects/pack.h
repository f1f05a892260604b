/* pack.h - pack files: the format, and writing one (docs/store-format.md, "Packs").
 *
 *     pack    := header object* trailer               name = SHA-256 of the whole file
 *     header  := "dsvpack\n" u32 version=1 u32 0       16 bytes
 *     object  := objhead payload sum                   sum = XXH3-128 of objhead and payload
 *     trailer := "dsvpend\n" u64 objects u64 offset of the trailer u64 XXH3-64 of the 24 bytes
 * before
 *
 * All numbers are little endian. An object head:
 *      0  4  magic f5 64 73 6f                 16  2  chain number
 *      4  1  length of the head                18  1  hashes in the sketch, 0..16
 *      5  1  kind, the caller's                19  1  bases, 0..4
 *      6  1  codec                             20  1  key id, 0 (reserved for encryption)
 *      7  1  filter                            21 32  id
 *      8  4  length of the payload             53  .  ids of the bases, 32 bytes each; codec 2 only
 *     12  4  raw length                         .  .  sketch, 4 bytes a hash, ascending
 *                                               .  4  low half of XXH3-64 of the head before it
 */
#ifndef DS_PACK_H
#define DS_PACK_H

#include "io.h"
#include "objstore.h"

#define DS_PACK_HEADER 16
#define DS_PACK_TRAILER 32
#define DS_OBJHEAD_MIN 57
#define DS_BASES_MAX 4
#define DS_OBJHEAD_MAX (DS_OBJHEAD_MIN + 32 * DS_BASES_MAX + 4 * DS_SKETCH_MAX)
#define DS_OBJSUM 16
/* No payload is longer than its piece: what does not shrink is stored raw. */
#define DS_OBJECT_MAX (DS_OBJHEAD_MAX + DS_OBJ_MAX + DS_OBJSUM)
#define DS_PACK_TARGET ((uint64_t)64 << 20)
/* Packs of fewer bytes are joined once there are more than so many. */
#define DS_PACK_SMALL (DS_PACK_TARGET / 4)
#define DS_PACK_SMALL_MAX 64

enum ds_codec_id { DS_CODEC_RAW = 0, DS_CODEC_ZSTD = 1, DS_CODEC_DELTA = 2 };

/* What a delta is made against. Its prefix is the raw bytes of the bases one after the other, the
 * first one last. */
typedef struct ds_bases {
    ds_sha id[DS_BASES_MAX];
    uint8_t n;
} ds_bases;
bool ds_bases_eq(const ds_bases *a, const ds_bases *b);

typedef struct ds_objhead {
    uint8_t kind, codec, filter;
    uint16_t chain; /* 0: a whole piece; else its number in its chain of deltas (delta.h) */
    uint32_t stored, raw;
    ds_sha id;
    ds_bases bases; /* n > 0 exactly for DS_CODEC_DELTA */
    ds_sketch sketch;
} ds_objhead;

extern const uint8_t ds_objmagic[4];

size_t ds_objhead_size(const ds_objhead *h);
/* Writes the head of ds_objhead_size bytes. */
void ds_objhead_put(uint8_t *dst, const ds_objhead *h);
/* Reads one; NULL when well, else what is wrong. *size = its length; the payload and the sum
 * follow. */
const char *ds_objhead_get(ds_objhead *h, size_t *size, const uint8_t *p, size_t n);
static inline size_t ds_object_size(const ds_objhead *h)
{
    return ds_objhead_size(h) + h->stored + DS_OBJSUM;
}
/* A whole object of n bytes: head and sum are right. */
const char *ds_object_check(ds_objhead *h, size_t *head_size, const uint8_t *p, size_t n);

void ds_pack_header(uint8_t out[DS_PACK_HEADER]);
bool ds_pack_trailer_get(uint64_t *objects, uint64_t *end, const uint8_t p[DS_PACK_TRAILER]);
/* "<dir>/packs/<64 hex>.pack"; needs strlen(dir) + 80 bytes. */
void ds_pack_path(char *out, size_t cap, const char *dir, const ds_sha *name);

/* A pack being written in tmp/. Owns file and name. One thread, except that ds_packw_sync may run
 * in another once ds_packw_end is done. ds_packw_fini removes the file unless it was published. */
typedef struct ds_packw {
    ds_out out;
    char *path;
    ds_hasher *hash;
    uint64_t size, objects;
    ds_sha name; /* after ds_packw_end */
    int fd;
    bool open, published;
} ds_packw;
int ds_pack_new(int *fd, char **path, const char *dir, ds_err *err); /* in tmp/, empty */
int ds_packw_open(ds_packw *w, const char *dir, ds_err *err);
int ds_packw_put(ds_packw *w, const void *object, size_t n, uint64_t *off, ds_err *err);
int ds_packw_flush(ds_packw *w, ds_err *err);
int ds_packw_end(ds_packw *w, ds_err *err);  /* trailer, name */
int ds_packw_sync(ds_packw *w, ds_err *err); /* fsync */
int ds_packw_publish(ds_packw *w, const char *dir,
                     ds_err *err); /* rename; the caller syncs the folder */
void ds_packw_fini(ds_packw *w);

#endif
