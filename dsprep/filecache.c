/* filecache.c - see filecache.h.
 *
 * A cache file (cachefile.h) whose head is "DSFILES1" and the 16 bytes of the store's number, with
 * records in the order of the walk:
 *       1  a file: varint input, varint length of its name, name, u64 dev, ino, size, mtime, ctime,
 *          hash, 32 SHA-256
 *       2  behind the last file of a block: its chunk, by a digest of its contents
 *
 * As long as everything that is put is what stands there already, nothing is written.
 */
#include "filecache.h"

#include <stdlib.h>
#include <string.h>

#include "cachefile.h"

#define MAGIC "DSFILES1"

enum { HEAD = 8 + 16, FILE_FIXED = 6 * 8 + 32, A_FILE = 1 };
enum { NEAR = 64 }; /* chunks told of lately, that a block is looked for among */
#define SETTLED ((int64_t)2000000000)

struct ds_filecache {
    ds_cachefile file;
    size_t at;
    size_t found, found_end; /* the file that was found last */
    size_t chunks[NEAR];     /* where the last ones begin */
    uint64_t nchunks;
    size_t taken, taken_end; /* the chunk that was found last */
    size_t same;             /* so far what was put is what stands before this */
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

    if (i >= c->file.len || c->file.old[i++] != A_FILE ||
        !ds_varint_get(c->file.old, c->file.len, &i, &e->input) ||
        !ds_varint_get(c->file.old, c->file.len, &i, &n) || n > c->file.len - i ||
        c->file.len - i - n < FILE_FIXED)
        return false;
    e->name = c->file.old + i;
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

int ds_filecache_open(ds_filecache **out, const char *dir, const ds_storeid *store,
                      char *const *inputs, size_t n, ds_err *err)
{
    const ds_cachefile_name name = {
        .dir = dir, .prefix = "", .kind = "", .inputs = inputs, .ninputs = n};
    ds_filecache *c = calloc(1, sizeof *c);
    uint8_t head[HEAD];

    *out = NULL;
    if (!c)
        return ds_fail_nomem(err);
    memcpy(head, MAGIC, 8);
    memcpy(head + 8, store->b, sizeof store->b);
    c->at = c->same = HEAD;
    const int rc = ds_cachefile_open(&c->file, &name, head, HEAD, err);
    if (rc)
        ds_filecache_free(c);
    else
        *out = c;
    return rc;
}

void ds_filecache_free(ds_filecache *c)
{
    if (!c)
        return;
    ds_cachefile_fini(&c->file);
    ds_buf_fini(&c->rec);
    free(c);
}

bool ds_filecache_empty(const ds_filecache *c)
{
    return !c->file.old;
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

    if (ds_cachefile_get_chunk(c->file.old, c->file.len, &c->at, contents, NULL) != 1)
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
        if (memcmp(c->file.old + at + 1, contents, sizeof *contents) != 0)
            continue;
        ds_refs_reset(out);
        c->taken = at;
        const int rc = ds_cachefile_get_chunk(c->file.old, c->file.len, &at, &id, out);
        c->taken_end = at;
        return rc < 0 ? ds_fail_nomem(err) : rc;
    }
    return 0;
}

/* ---- writing ---- */

/* c->rec: what is to stand next; [at, end) is a record like it that was found. */
static int put(ds_filecache *c, size_t at, size_t end, ds_err *err)
{
    ds_cachefile *f = &c->file;
    int rc = 0;

    if (!f->writing && f->old && at == c->same && end - at == c->rec.len &&
        memcmp(f->old + at, c->rec.data, c->rec.len) == 0) {
        c->same = end;
        return 0;
    }
    if (!f->writing && c->same > HEAD)
        rc = ds_cachefile_put(f, f->old + HEAD, c->same - HEAD, err);
    return rc ? rc : ds_cachefile_put(f, c->rec.data, c->rec.len, err);
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
    ds_buf_reset(&c->rec);
    if (ds_cachefile_add_chunk(&c->rec, contents, refs))
        return ds_fail_nomem(err);
    return put(c, c->taken, c->taken_end, err);
}

int ds_filecache_keep(ds_filecache *c, ds_err *err)
{
    ds_cachefile *f = &c->file;
    int rc = 0;

    if (!f->writing && f->old && c->same == f->len)
        return 0;
    if (!f->writing && c->same > HEAD)
        rc = ds_cachefile_put(f, f->old + HEAD, c->same - HEAD, err);
    return rc ? rc : ds_cachefile_keep(f, err);
}
