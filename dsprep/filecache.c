/* filecache.c - see filecache.h.
 *
 *     8    "DSFILES1"
 *     16   the store's number
 *     records, in the order of the walk:
 *       1  a file: varint input, varint length of its name, name, u64 dev, ino, size, mtime, ctime,
 *          hash, 32 SHA-256
 *       2  behind the last file of a block: 32 digest of its contents, varint pieces, for each a
 *          varint length and 32 address
 *     0    the end, and XXH3-128 of everything before the checksum
 *
 * As long as everything that is put is what stands there already, nothing is written.
 */
#include "filecache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "io.h"
#include "storefind.h"
#include "xxh.h"

#define MAGIC "DSFILES1"

enum { HEAD = 8 + 16, TAIL = 1 + 16, FILE_FIXED = 6 * 8 + 32, END = 0, A_FILE = 1, A_CHUNK = 2 };
enum { NEAR = 64 }; /* chunks told of lately, that a block is looked for among */
#define SETTLED ((int64_t)2000000000)

struct ds_filecache {
    char *path;
    ds_storeid store;
    /* what was known */
    const uint8_t *old;
    size_t len; /* up to the end record */
    size_t at;
    size_t found, found_end; /* the file that was found last */
    size_t chunks[NEAR];     /* where the last ones begin */
    uint64_t nchunks;
    size_t taken, taken_end; /* the chunk that was found last */
    size_t same;             /* so far what was put is what stands before this */
    /* what is known now */
    bool writing;
    ds_atomic file;
    ds_out out;
    XXH3_state_t *sum;
    ds_buf rec;
};

bool ds_filestamp_settled(const ds_filestamp *is, int64_t now)
{
    return is->mtime <= now - SETTLED && is->ctime <= now - SETTLED;
}

/* ---- reading ---- */

typedef struct entry {
    uint64_t input;
    const uint8_t *name;
    size_t len;
    ds_filestamp stamp;
    ds_filefact fact;
} entry;

/* The record at *at, when it is a file. */
static bool get_file(const ds_filecache *c, size_t *at, entry *e)
{
    uint64_t n;
    size_t i = *at;

    if (i >= c->len || c->old[i++] != A_FILE || !ds_varint_get(c->old, c->len, &i, &e->input) ||
        !ds_varint_get(c->old, c->len, &i, &n) || n > c->len - i || c->len - i - n < FILE_FIXED)
        return false;
    e->name = c->old + i;
    e->len = (size_t)n;
    const uint8_t *p = e->name + n;
    e->stamp = (ds_filestamp){.dev = ds_get_u64(p),
                              .ino = ds_get_u64(p + 8),
                              .size = ds_get_u64(p + 16),
                              .mtime = (int64_t)ds_get_u64(p + 24),
                              .ctime = (int64_t)ds_get_u64(p + 32)};
    e->fact.hash = ds_get_u64(p + 40);
    memcpy(&e->fact.sha, p + 48, sizeof e->fact.sha);
    *at = i + (size_t)n + FILE_FIXED;
    return true;
}

/* The same for a chunk; refs may be NULL. Negative: memory. */
static int get_chunk(const ds_filecache *c, size_t *at, ds_sha *contents, ds_refs *refs)
{
    uint64_t n, len;
    size_t i = *at;
    ds_sha id;

    if (i >= c->len || c->old[i++] != A_CHUNK || c->len - i < sizeof *contents)
        return 0;
    memcpy(contents, c->old + i, sizeof *contents);
    i += sizeof *contents;
    if (!ds_varint_get(c->old, c->len, &i, &n))
        return 0;
    for (uint64_t k = 0; k < n; k++) {
        if (!ds_varint_get(c->old, c->len, &i, &len) || len > UINT32_MAX || c->len - i < sizeof id)
            return 0;
        memcpy(&id, c->old + i, sizeof id);
        i += sizeof id;
        if (refs && ds_refs_piece(refs, &id, (uint32_t)len))
            return DS_NOMEM;
    }
    *at = i;
    return 1;
}

/* Everything there is to be read when it is sound; else nothing. */
static void load(ds_filecache *c)
{
    struct stat st;
    int fd = ds_io_active->open(c->path, O_RDONLY | O_CLOEXEC, 0);

    if (fd < 0)
        return;
    if (ds_io_active->fstat(fd, &st) == 0 && st.st_size >= HEAD + TAIL) {
        const size_t len = (size_t)st.st_size;
        void *p = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p != MAP_FAILED) {
            const uint8_t *b = p;
            const ds_x128 is = ds_xxh128(b, len - 16);
            if (memcmp(b, MAGIC, 8) == 0 && memcmp(b + 8, c->store.b, 16) == 0 &&
                b[len - TAIL] == END && memcmp(b + len - 16, is.b, 16) == 0) {
                c->old = b;
                c->len = len - TAIL;
                c->at = c->same = HEAD;
            } else {
                munmap(p, len);
            }
        }
    }
    (void)ds_close(&fd, c->path, NULL);
}

/* A cache for these inputs, whatever the working directory. */
static int path_of(ds_filecache *c, const char *dir, char *const *inputs, size_t n, ds_err *err)
{
    ds_buf names = {0};
    int rc = 0;

    for (size_t i = 0; !rc && i < n; i++) {
        char *full = realpath(inputs[i], NULL);
        if (!full)
            rc = ds_fail_errno(err, errno, "%s", inputs[i]);
        else if (ds_buf_put(&names, full, strlen(full) + 1))
            rc = ds_fail_nomem(err);
        free(full);
    }
    const ds_x128 h = ds_xxh128(names.data, names.len);
    ds_buf_reset(&names);
    if (!rc && (ds_buf_hex(&names, h.b, sizeof h.b) ||
                asprintf(&c->path, "%s/" DS_STORE_FILES "/%.*s", dir, (int)names.len,
                         (const char *)names.data) < 0)) {
        c->path = NULL;
        rc = ds_fail_nomem(err);
    }
    ds_buf_fini(&names);
    return rc;
}

int ds_filecache_open(ds_filecache **out, const char *dir, const ds_storeid *store,
                      char *const *inputs, size_t n, ds_err *err)
{
    ds_filecache *c = calloc(1, sizeof *c);
    char *folder = NULL;
    int rc = c ? 0 : ds_fail_nomem(err);

    *out = NULL;
    if (rc)
        return rc;
    c->store = *store;
    c->file.fd = -1;
    c->sum = XXH3_createState();
    rc = c->sum ? path_of(c, dir, inputs, n, err) : ds_fail_nomem(err);
    rc = rc ? rc : ds_store_path(&folder, dir, DS_STORE_FILES, err);
    rc = rc ? rc : ds_mkdirs(folder, err);
    free(folder);
    if (rc) {
        ds_filecache_free(c);
        return rc;
    }
    load(c);
    *out = c;
    return 0;
}

void ds_filecache_free(ds_filecache *c)
{
    if (!c)
        return;
    if (c->old)
        munmap((void *)(uintptr_t)c->old, c->len + TAIL);
    ds_out_fini(&c->out);
    if (c->writing)
        ds_atomic_abort(&c->file);
    XXH3_freeState(c->sum);
    ds_buf_fini(&c->rec);
    free(c->path);
    free(c);
}

bool ds_filecache_empty(const ds_filecache *c)
{
    return !c->old;
}

/* As names come in a walk: a folder's content before what comes behind the folder. */
static int by_walk(const uint8_t *a, size_t an, const uint8_t *b, size_t bn)
{
    for (size_t i = 0; i < an && i < bn; i++)
        if (a[i] != b[i])
            return a[i] == '/' ? -1 : b[i] == '/' ? 1 : a[i] < b[i] ? -1 : 1;
    return an < bn ? -1 : an > bn;
}

/* Notes the chunk at the cursor and goes on. */
static bool pass_chunk(ds_filecache *c, ds_sha *contents)
{
    const size_t from = c->at;

    if (get_chunk(c, &c->at, contents, NULL) != 1)
        return false;
    c->chunks[c->nchunks++ % NEAR] = from;
    return true;
}

bool ds_filecache_find(ds_filecache *c, uint64_t input, const char *name, const ds_filestamp *is,
                       ds_filefact *fact)
{
    const size_t len = strlen(name);
    ds_sha contents;
    entry e;

    for (;;) {
        size_t next = c->at;
        if (get_file(c, &next, &e)) {
            const int order = e.input != input ? (e.input < input ? -1 : 1)
                                               : by_walk(e.name, e.len, (const uint8_t *)name, len);
            if (order > 0)
                return false;
            c->found = c->at;
            c->found_end = c->at = next;
            if (order == 0) {
                *fact = e.fact;
                return ds_filestamp_eq(&e.stamp, is);
            }
        } else if (!pass_chunk(c, &contents)) {
            return false;
        }
    }
}

int ds_filecache_chunk(ds_filecache *c, const ds_sha *contents, ds_refs *out, ds_err *err)
{
    ds_sha id;
    size_t at;

    while (pass_chunk(c, &id))
        ;
    for (uint64_t k = c->nchunks; k > 0 && k + NEAR > c->nchunks; k--) {
        at = c->chunks[(k - 1) % NEAR];
        if (memcmp(c->old + at + 1, contents, sizeof *contents) != 0)
            continue;
        ds_refs_reset(out);
        c->taken = at;
        const int rc = get_chunk(c, &at, &id, out);
        c->taken_end = at;
        return rc < 0 ? ds_fail_nomem(err) : rc;
    }
    return 0;
}

/* ---- writing ---- */

static int write(ds_filecache *c, const void *p, size_t n, ds_err *err)
{
    ds_xxh3_128_put(c->sum, p, n);
    return ds_out_put(&c->out, p, n, err);
}

/* Begins to write, with what was the same so far. */
static int begin(ds_filecache *c, ds_err *err)
{
    int rc = ds_atomic_open(&c->file, c->path, 0666, err);

    if (rc)
        return rc;
    c->writing = true;
    XXH3_128bits_reset(c->sum);
    rc = ds_out_init(&c->out, c->file.fd, c->path, err);
    rc = rc ? rc : write(c, MAGIC, 8, err);
    rc = rc ? rc : write(c, c->store.b, sizeof c->store.b, err);
    if (!rc && c->same > HEAD)
        rc = write(c, c->old + HEAD, c->same - HEAD, err);
    return rc;
}

/* c->rec: what is to stand next; [at, end) is a record like it that was found. */
static int put(ds_filecache *c, size_t at, size_t end, ds_err *err)
{
    if (!c->writing && c->old && at == c->same && end - at == c->rec.len &&
        memcmp(c->old + at, c->rec.data, c->rec.len) == 0) {
        c->same = end;
        return 0;
    }
    const int rc = c->writing ? 0 : begin(c, err);
    return rc ? rc : write(c, c->rec.data, c->rec.len, err);
}

int ds_filecache_put(ds_filecache *c, uint64_t input, const char *name, const ds_filestamp *is,
                     const ds_filefact *fact, ds_err *err)
{
    const uint64_t words[] = {
        is->dev, is->ino, is->size, (uint64_t)is->mtime, (uint64_t)is->ctime, fact->hash};
    const size_t len = strlen(name);
    int rc = ds_buf_reserve(&c->rec, len + 128);

    ds_buf_reset(&c->rec);
    rc = rc || ds_buf_putc(&c->rec, A_FILE) || ds_buf_varint(&c->rec, input) ||
         ds_buf_varint(&c->rec, len) || ds_buf_put(&c->rec, name, len);
    for (size_t i = 0; !rc && i < sizeof words / sizeof *words; i++)
        rc = ds_buf_u64(&c->rec, words[i]);
    if (rc || ds_buf_put(&c->rec, &fact->sha, sizeof fact->sha))
        return ds_fail_nomem(err);
    return put(c, c->found, c->found_end, err);
}

int ds_filecache_put_chunk(ds_filecache *c, const ds_sha *contents, const ds_refs *refs,
                           ds_err *err)
{
    size_t n;
    const ds_pieceref *p = ds_refs_pieces(refs, &n);
    int rc;

    ds_buf_reset(&c->rec);
    rc = ds_buf_putc(&c->rec, A_CHUNK) || ds_buf_put(&c->rec, contents, sizeof *contents) ||
         ds_buf_varint(&c->rec, n);
    for (size_t i = 0; !rc && i < n; i++)
        rc = ds_buf_varint(&c->rec, p[i].len) || ds_buf_put(&c->rec, &p[i].id, sizeof p[i].id);
    return rc ? ds_fail_nomem(err) : put(c, c->taken, c->taken_end, err);
}

int ds_filecache_keep(ds_filecache *c, ds_err *err)
{
    static const uint8_t end = END;
    int rc = 0;

    if (!c->writing && c->old && c->same == c->len)
        return 0;
    if (!c->writing)
        rc = begin(c, err);
    rc = rc ? rc : write(c, &end, 1, err);
    if (!rc) {
        XXH128_canonical_t sum;
        XXH128_canonicalFromHash(&sum, XXH3_128bits_digest(c->sum));
        rc = ds_out_put(&c->out, sum.digest, sizeof sum.digest, err);
    }
    rc = rc ? rc : ds_out_flush(&c->out, err);
    rc = rc ? rc : ds_atomic_commit(&c->file, err);
    c->writing = rc != 0;
    return rc;
}
