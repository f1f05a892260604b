/* unchanged.c - see unchanged.h. */
#include "unchanged.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "chunkpieces.h"
#include "filecache.h"
#include "objstore.h"
#include "storefind.h"

enum { PART = 256 << 10 };

/* A record whose content is still to come. */
typedef struct late {
    size_t name; /* in names */
    bool file;   /* else it is empty */
    ds_filestamp stamp;
    ds_sha sha;
} late;

/* A record whose content was put. */
typedef struct fresh {
    size_t key, key_len; /* in names */
    size_t name;         /* there, too, when it is to be remembered */
    uint64_t input, size, hash;
    bool named, summed; /* summed: sha is known; else it is made when the block is whole */
    ds_filestamp stamp;
    ds_sha sha;
} fresh;

struct ds_unchanged {
    ds_objstore *objs;
    bool held;
    ds_storeid id;
    ds_filecache *cache;
    ds_shardout *out;
    size_t column;
    ds_treewalk *walk;
    uint64_t inputs; /* begun so far */
    ds_hasher *hasher;
    uint8_t *part;
    ds_sha empty; /* digest of no bytes */
    uint64_t empty_hash;
    int64_t now; /* when the present file was looked at */
    /* the block that is being put together */
    ds_buf shas; /* of its records' contents */
    ds_buf late, names;
    uint64_t nlate;
    bool direct;    /* a record's content was put: those that follow are read, too */
    ds_refs claims; /* of the late ones */
    ds_refs refs;
    ds_buf window;
    ds_buf fresh; /* behind the late ones */
    size_t nfresh;
    ds_buf messages, sums, sources; /* of these, when the block is whole */
    uint64_t count, bytes;          /* records not read; bytes read after all */
};

void ds_unchanged_free(ds_unchanged *u)
{
    if (!u)
        return;
    if (u->held)
        ds_objstore_release(u->objs);
    ds_objstore_close(u->objs);
    ds_filecache_free(u->cache);
    ds_hasher_free(u->hasher);
    ds_refs_fini(&u->claims);
    ds_refs_fini(&u->refs);
    ds_buf_fini(&u->shas);
    ds_buf_fini(&u->late);
    ds_buf_fini(&u->names);
    ds_buf_fini(&u->window);
    ds_buf_fini(&u->fresh);
    ds_buf_fini(&u->messages);
    ds_buf_fini(&u->sums);
    ds_buf_fini(&u->sources);
    free(u->part);
    free(u);
}

int ds_unchanged_open(ds_unchanged **out, const char *store, char *const *inputs, size_t n,
                      ds_err *err)
{
    static const uint8_t none[9] = {1}; /* a value that is there, and no bytes */
    ds_unchanged *u = calloc(1, sizeof *u);
    char *dir = NULL;
    int rc = u && (u->part = malloc(PART)) ? 0 : ds_fail_nomem(err);

    rc = rc ? rc : ds_hasher_new(&u->hasher, err);
    rc = rc ? rc : ds_sha_bytes(&u->empty, "", 0, err);
    rc = rc ? rc : ds_store_find(&dir, store, err);
    rc = rc ? rc : ds_objstore_open(&u->objs, dir, DS_OBJ_READ, err);
    rc = rc ? rc : ds_objstore_hold(u->objs, err); /* gc removes what is half made */
    if (!rc) {
        u->held = true;
        u->empty_hash = ds_xxh64(none, sizeof none);
        rc = ds_store_id(&u->id, dir, true, err);
    }
    rc = rc ? rc : ds_filecache_open(&u->cache, dir, &u->id, inputs, n, err);
    free(dir);
    if (rc)
        ds_unchanged_free(u);
    else
        *out = u;
    return rc;
}

/* One digest for the contents of the block's records. */
static int contents(ds_unchanged *u, ds_sha *out, ds_err *err)
{
    return ds_sha_tagged(out, "ds.files", u->shas.data, u->shas.len, err);
}

/* ---- digests of a block: pieces of its chunk, files ---- */

/* What is hashed together, since two messages side by side take little longer than one: the chunk
 * as one piece, and the files in it, which are about as many bytes. */
static int gather(ds_unchanged *u, const ds_chunk *c, bool one, ds_err *err)
{
    const fresh *v = (const fresh *)(const void *)u->fresh.data;
    const size_t len = c->head_len + c->body_len;
    size_t at = c->body_len;
    int rc = 0;

    ds_buf_reset(&u->messages);
    if (one) {
        const ds_bytes piece = {
            .p = ds_chunk_bytes(&u->window, DS_PIECE_TAG, sizeof DS_PIECE_TAG, c, 0, len),
            .len = sizeof DS_PIECE_TAG + len};
        rc = !piece.p || ds_buf_put(&u->messages, &piece, sizeof piece);
    }
    for (size_t i = 0; i < u->nfresh; i++)
        at -= (size_t)v[i].size;
    for (size_t i = 0; !rc && i < u->nfresh; at += (size_t)v[i++].size) {
        const ds_bytes file = {.p = c->body + at, .len = (size_t)v[i].size};
        rc = !v[i].summed && ds_buf_put(&u->messages, &file, sizeof file);
    }
    return rc ? ds_fail_nomem(err) : 0;
}

static int sum(ds_unchanged *u, const ds_chunk *c, ds_err *err)
{
    const size_t len = c->head_len + c->body_len;
    const bool one = len <= DS_PIECE_MAX;
    fresh *v = (fresh *)(void *)u->fresh.data;
    int rc = gather(u, c, one, err);
    const size_t n = u->messages.len / sizeof(ds_bytes);

    ds_buf_reset(&u->sums);
    if (!rc && ds_buf_reserve(&u->sums, n * sizeof(ds_sha)))
        rc = ds_fail_nomem(err);
    ds_sha *sums = (ds_sha *)(void *)u->sums.data;
    rc = rc ? rc : ds_sha_each(sums, NULL, (const ds_bytes *)(void *)u->messages.data, n, err);
    if (rc)
        return rc;
    ds_refs_reset(&u->refs);
    if (one && ds_refs_piece(&u->refs, sums++, (uint32_t)len))
        return ds_fail_nomem(err);
    for (size_t i = 0; i < u->nfresh; i++)
        if (!v[i].summed)
            v[i].sha = *sums++;
    return one ? 0 : ds_chunk_pieces(&u->refs, &u->window, c, err);
}

/* ---- the block ---- */

/* The content of a late record into the builder. */
static int reread(ds_unchanged *u, ds_colbuild *b, const late *l, ds_err *err)
{
    const char *name = (const char *)u->names.data + l->name;
    ds_sha is;
    ds_err why = {0};
    size_t got = PART;

    if (!l->file)
        return ds_colbuild_bytes(b, "", 0, err);
    int rc = ds_hasher_reset(u->hasher, err);
    rc = rc ? rc : ds_colbuild_begin(b, err);
    if (!rc && ds_treewalk_again(u->walk, name, &l->stamp, &why) != 0)
        return ds_fail(err, why.code, "%s: %s", name, why.msg);
    while (!rc && got == PART) {
        if (ds_treewalk_reread(u->walk, u->part, PART, &got, &why) != 0)
            return ds_fail(err, why.code, "%s: %s", name, why.msg);
        u->bytes += got;
        rc = ds_colbuild_part(b, u->part, got, err);
        rc = rc ? rc : ds_hasher_put(u->hasher, u->part, got, err);
    }
    rc = rc ? rc : ds_colbuild_end(b, err);
    rc = rc ? rc : ds_hasher_end(u->hasher, &is, err);
    if (!rc && !ds_sha_eq(&is, &l->sha))
        rc = ds_fail(err, DS_FAIL,
                     "%s: holds other bytes than when it was last read, with the same size and "
                     "times: remove the store's folder " DS_STORE_FILES "/ and run again",
                     name);
    return rc;
}

static int reread_all(ds_unchanged *u, ds_colbuild *b, ds_err *err)
{
    const late *l = (const late *)(const void *)u->late.data;
    int rc = 0;

    for (uint64_t i = 0; !rc && i < u->nlate; i++)
        rc = reread(u, b, &l[i], err);
    u->nlate = 0;
    u->direct = true;
    return rc;
}

/* ds_rows_late.fill */
static int fill(void *ctx, ds_colbuild *b, uint64_t rows, const ds_refs **refs, ds_err *err)
{
    ds_unchanged *u = ctx;
    ds_sha id;
    int rc = contents(u, &id, err);

    if (!rc && u->nlate == rows && (rc = ds_filecache_chunk(u->cache, &id, &u->refs, err)) == 1) {
        rc = 0;
        if (ds_chunk_stored(&u->refs, u->objs)) {
            u->count += rows;
            *refs = &u->refs;
            return ds_buf_put(&u->refs.claims, u->claims.claims.data, u->claims.claims.len)
                       ? ds_fail_nomem(err)
                       : 0;
        }
    }
    return rc ? rc : reread_all(u, b, err);
}

/* The record that ended last, when its block is not written yet. */
static int note_hash(ds_unchanged *u, ds_err *err)
{
    uint64_t size;
    ds_rows *rows;
    fresh *v = (fresh *)(void *)u->fresh.data;

    if (u->nfresh == 0)
        return 0;
    int rc = ds_shardout_rows(u->out, &rows, err);
    if (!rc)
        ds_rows_last(rows, &v[u->nfresh - 1].hash, &size);
    return rc;
}

/* The records whose content was put: into the cache, and told of as sources. */
static int remember(ds_unchanged *u, ds_err *err)
{
    const fresh *v = (const fresh *)(const void *)u->fresh.data;
    const char *names = (const char *)u->names.data;
    int rc = 0;

    ds_buf_reset(&u->sources);
    for (size_t i = 0; !rc && i < u->nfresh; i++) {
        const ds_filefact fact = {.sha = v[i].sha, .hash = v[i].hash};
        const ds_source s = {
            .name = names + v[i].key, .len = v[i].key_len, .size = v[i].size, .sha = v[i].sha};
        if (ds_buf_put(&u->shas, &v[i].sha, sizeof v[i].sha) ||
            ds_buf_put(&u->sources, &s, sizeof s))
            rc = ds_fail_nomem(err);
        if (!rc && v[i].named)
            rc = ds_filecache_put(u->cache, v[i].input, names + v[i].name, &v[i].stamp, &fact, err);
    }
    return rc ? rc
              : ds_shardout_sources(u->out, (const ds_source *)(const void *)u->sources.data,
                                    u->nfresh, err);
}

/* ds_rows_late.wrote */
static int wrote(void *ctx, uint64_t rows, const ds_chunk *chunk, ds_err *err)
{
    ds_unchanged *u = ctx;
    ds_sha id;
    int rc = note_hash(u, err);

    (void)rows;
    if (!rc && !chunk->refs)
        rc = sum(u, chunk, err);
    rc = rc ? rc : remember(u, err);
    rc = rc ? rc : contents(u, &id, err);
    rc = rc ? rc : ds_filecache_put_chunk(u->cache, &id, &u->refs, err);
    ds_buf_reset(&u->shas);
    ds_buf_reset(&u->late);
    ds_buf_reset(&u->fresh);
    ds_buf_reset(&u->names);
    ds_buf_reset(&u->claims.claims);
    u->nlate = u->nfresh = 0;
    u->direct = false;
    return rc;
}

int ds_unchanged_stream(ds_unchanged *u, ds_shardout *out, size_t column, ds_err *err)
{
    const ds_rows_late todo = {.column = column, .fill = fill, .wrote = wrote, .ctx = u};

    u->out = out;
    u->column = column;
    return ds_shardout_late(out, &todo, &u->id, err);
}

/* ---- records ---- */

int ds_unchanged_input(ds_unchanged *u, ds_treewalk *w, ds_err *err)
{
    u->walk = w;
    u->inputs++;
    return ds_filecache_empty(u->cache) ? 0 : ds_treewalk_lazy(w, err);
}

/* What is late is of this input, and cannot be read when the next one has begun. */
int ds_unchanged_input_end(ds_unchanged *u, ds_err *err)
{
    ds_rows *rows;
    int rc = ds_shardout_rows(u->out, &rows, err);

    return rc || u->nlate == 0 ? rc : reread_all(u, ds_rows_col(rows, u->column), err);
}

static int64_t clock_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int end_late(ds_unchanged *u, const ds_treeentry *e, const ds_filefact *fact, ds_source *s,
                    ds_err *err)
{
    const bool file = e->kind == DS_FILE_PLAIN;
    const uint64_t size = file ? e->stamp.size : 0;
    const late l = {.name = u->names.len, .file = file, .stamp = e->stamp, .sha = fact->sha};
    int rc = ds_buf_put(&u->late, &l, sizeof l) ||
             ds_buf_put(&u->shas, &fact->sha, sizeof fact->sha) ||
             ds_refs_claim(&u->claims, fact->hash, 8 + size) ||
             (file && ds_buf_put(&u->names, e->name, strlen(e->name) + 1));

    if (rc)
        return ds_fail_nomem(err);
    u->nlate++;
    if (file)
        rc = ds_filecache_put(u->cache, u->inputs, e->name, &e->stamp, fact, err);
    rc = rc ? rc : ds_shardout_row_late(u->out, size, fact->hash, 8 + size, err);
    s->size = size;
    s->sha = fact->sha;
    return rc ? rc : 1;
}

int ds_unchanged_row(ds_unchanged *u, const ds_treeentry *e, ds_source *s, ds_err *err)
{
    ds_filefact fact = {.sha = u->empty, .hash = u->empty_hash};
    ds_rows *rows;
    const bool known =
        e->kind != DS_FILE_PLAIN ||
        (e->stamped && ds_filecache_find(u->cache, u->inputs, e->name, &e->stamp, &fact));
    if (known && !u->direct)
        return end_late(u, e, &fact, s, err);
    u->now = clock_now();
    if (u->direct)
        return 0;
    int rc = ds_shardout_rows(u->out, &rows, err);
    return rc ? rc : reread_all(u, ds_rows_col(rows, u->column), err);
}

int ds_unchanged_read(ds_unchanged *u, const ds_treeentry *e, const ds_source *s, bool summed,
                      ds_err *err)
{
    const uint64_t nth = u->nfresh;
    const fresh r = {.key = u->names.len,
                     .key_len = s->len,
                     .name = u->names.len + s->len,
                     .named = e->kind == DS_FILE_PLAIN && e->stamped &&
                              ds_filestamp_settled(&e->stamp, u->now),
                     .input = u->inputs,
                     .size = s->size,
                     .summed = summed,
                     .stamp = e->stamp,
                     .sha = s->sha};

    if (ds_buf_put(&u->names, s->name, s->len) ||
        (r.named && ds_buf_put(&u->names, e->name, strlen(e->name) + 1)) ||
        ds_buf_put(&u->fresh, &r, sizeof r))
        return ds_fail_nomem(err);
    u->nfresh++;
    const int rc = ds_shardout_joined(u->out, &nth, &r.size, 1, err);
    return rc ? rc : note_hash(u, err);
}

int ds_unchanged_keep(ds_unchanged *u, ds_err *err)
{
    return ds_filecache_keep(u->cache, err);
}

uint64_t ds_unchanged_count(const ds_unchanged *u)
{
    return u->count;
}

uint64_t ds_unchanged_bytes(const ds_unchanged *u)
{
    return u->bytes;
}
