/* dsr_reader.c - reading a DSR stream; see dsr_io.h and docs/dsr-format.md, section 1. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "dsr_prov.h"
#include "dsr_reader_priv.h"
#include "dsr_sources.h"
#include "json.h"

/* ---- opening ---- */

static int read_magic(ds_reader *r, ds_err *err)
{
    const uint8_t *p;
    size_t got;
    int rc = ds_in_peek(&r->in, DS_MAGIC_LEN, &p, &got, err);
    if (rc)
        return rc;
    if (got == 0)
        return ds_fail(err, DS_CORRUPT, "%s: empty: not even the beginning of a DSR stream",
                       r->in.path);
    if (memcmp(p, DS_MAGIC, got) != 0)
        return ds_fail(err, DS_CORRUPT,
                       "%s: not a DSR stream (its first bytes are others; dsprep makes one of "
                       "texts, files, logs or images)",
                       r->in.path);
    if (got < DS_MAGIC_LEN)
        return ds_reader_cut_off(r, err);
    r->hold = DS_MAGIC_LEN;
    return 0;
}

static int read_start(ds_reader *r, ds_err *err)
{
    int rc = read_magic(r, err);
    if (!rc)
        rc = ds_reader_want(r, 'H', "a schema must come first", err);
    if (!rc) {
        rc = ds_schema_parse(&r->schema, r->payload, r->f.raw, err);
        if (rc)
            return ds_reader_within(r, rc, err);
    }
    if (!rc)
        rc = ds_reader_want(r, 'V', "provenance must follow the schema", err);
    if (!rc) {
        rc = ds_prov_check(r->payload, r->f.raw, err);
        if (rc)
            return ds_reader_within(r, rc == DS_NOMEM ? rc : DS_CORRUPT, err);
    }
    if (!rc && ds_buf_put(&r->provenance, r->payload, r->f.raw))
        rc = ds_fail_nomem(err);
    return rc;
}

/* Bytes read beyond a frame's header: small frames come by many, large ones mostly past the buffer.
 */
#define AHEAD ((size_t)32 << 10)

/* Blocks are larger than a pipe usually is: with room for a whole one, the stage before goes on
 * while this one works, and both wake a fifth as often. What is no pipe, or may not grow, stays as
 * it is. */
static void widen(int fd)
{
#ifdef F_SETPIPE_SZ
    const int want = 1 << 20;
    int is = fcntl(fd, F_GETPIPE_SZ);
    if (is > 0 && is < want)
        (void)fcntl(fd, F_SETPIPE_SZ, want);
#else
    (void)fd;
#endif
}

int ds_reader_new(ds_reader **out, int fd, const char *path, ds_err *err)
{
    return ds_reader_after(out, NULL, 0, fd, path, err);
}

/* Of an input that is open. Takes `in`; frees r when it fails. */
static int start_reader(ds_reader **out, ds_reader *r, ds_err *err)
{
    int rc = 0;
    r->sum = XXH3_createState();
    r->sums = XXH3_createState();
    r->zstd = ZSTD_createDCtx();
    if (!r->sum || !r->sums || !r->zstd)
        rc = ds_fail_nomem(err);
    if (!rc) {
        XXH3_128bits_reset(r->sums);
        rc = read_start(r, err);
    }
    if (!rc)
        rc = ds_reader_ready(r, err);
    if (rc)
        ds_reader_free(r);
    else
        *out = r;
    return rc;
}

int ds_reader_after(ds_reader **out, const void *head, size_t n, int fd, const char *path,
                    ds_err *err)
{
    ds_reader *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r)
        return ds_fail_nomem(err);
    widen(fd);
    int rc = ds_in_init(&r->in, fd, strcmp(path, "-") == 0 ? "standard input" : path, err);
    r->in.step = AHEAD;
    if (rc) {
        ds_reader_free(r);
        return rc;
    }
    if (n)
        ds_in_before(&r->in, head, n);
    return start_reader(out, r, err);
}

void ds_reader_expect_more(ds_reader *r)
{
    r->expect_more = true;
}

bool ds_reader_has_more(const ds_reader *r)
{
    return r->has_more;
}

int ds_reader_wait(const ds_reader *r, int64_t ms, ds_err *err)
{
    struct pollfd p = {.fd = r->in.fd, .events = POLLIN};
    if (r->in.len > r->hold || r->in.eof)
        return 1;
    int n = poll(&p, 1, ms < 0 ? -1 : ms > INT_MAX ? INT_MAX : (int)ms);
    if (n < 0 && errno != EINTR)
        return ds_fail_errno(err, errno, "%s: poll", r->in.path);
    return n > 0;
}

/* "standard input (stream 3)": offsets begin anew with each. */
static int rename_input(ds_in *in, unsigned nth, ds_err *err)
{
    char *path = NULL, *was = in->path;
    size_t len = strlen(was);
    if (nth > 1)
        len = (size_t)(strrchr(was, '(') - was) - 1;
    if (asprintf(&path, "%.*s (stream %u)", (int)len, was, nth + 1) < 0)
        return ds_fail_nomem(err);
    free(was);
    in->path = path;
    in->pos = 0;
    return 0;
}

int ds_reader_follow(ds_reader **out, ds_reader *old, ds_err *err)
{
    ds_reader *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r || !old->has_more) {
        int rc = r ? ds_fail(err, DS_FAIL, "%s: no other stream follows", old->in.path)
                   : ds_fail_nomem(err);
        free(r);
        ds_reader_free(old);
        return rc;
    }
    r->in = old->in;
    old->in = (ds_in){.fd = -1};
    r->nth = old->nth + 1;
    r->expect_more = true;
    ds_reader_free(old);
    int rc = rename_input(&r->in, r->nth, err);
    if (rc)
        ds_reader_free(r);
    return rc ? rc : start_reader(out, r, err);
}

void ds_reader_free(ds_reader *r)
{
    if (!r)
        return;
    for (size_t i = 0; r->chunk && i <= r->schema.n; i++) {
        ds_buf_fini(&r->chunk[i].mem);
        ds_spool_fini(&r->chunk[i].spool);
        ds_buf_fini(&r->chunk[i].ends);
        ds_refs_fini(&r->chunk[i].refs);
    }
    free(r->chunk);
    free(r->last);
    free(r->block.chunks);
    free(r->block.piece_ends);
    free(r->block.npieces);
    ds_schema_fini(&r->schema);
    ds_in_fini(&r->in);
    ds_buf_fini(&r->provenance);
    ds_buf_fini(&r->index);
    XXH3_freeState(r->sum);
    XXH3_freeState(r->sums);
    ZSTD_freeDCtx(r->zstd);
    ds_counts_fini(&r->counts);
    free(r);
}

/* ---- sources ---- */

static int open_sources(ds_reader *r, ds_err *err)
{
    r->sources_pos = 0;
    if (!ds_varint_get(r->payload, r->f.raw, &r->sources_pos, &r->sources_left) ||
        r->sources_left < 1)
        return ds_reader_bad(r, DS_CORRUPT, "no sources in their frame", err);
    size_t bytes = r->f.raw - r->sources_pos, before = r->sources_bytes, pos = r->sources_pos;
    ds_source first;
    if (!ds_source_get(r->payload, r->f.raw, &pos, &first))
        return ds_reader_bad(r, DS_CORRUPT, "bad source", err);
    if (bytes > DS_SOURCES_BYTES || (before && before + (pos - r->sources_pos) <= DS_SOURCES_BYTES))
        return ds_reader_bad(r, DS_CORRUPT, "sources are not parted as they must be", err);
    r->sources_bytes = bytes;
    return 0;
}

static int next_source(ds_reader *r, ds_err *err)
{
    if (!ds_source_get(r->payload, r->f.raw, &r->sources_pos, &r->source))
        return ds_reader_bad(r, DS_CORRUPT, "bad source", err);
    r->sources_left--;
    r->counts.sources++;
    if (r->sources_left == 0 && r->sources_pos != r->f.raw)
        return ds_reader_bad(r, DS_CORRUPT, "bytes after the last source", err);
    return 0;
}

/* ---- end ---- */

/* The X frames and the trailer, against what was read. */
static int read_index(ds_reader *r, ds_err *err)
{
    const uint8_t *p;
    size_t got, pos = 0;
    uint64_t left = r->counts.blocks, v, first = r->in.pos + r->hold;
    do {
        uint64_t n = left < DS_INDEX_BLOCKS ? left : DS_INDEX_BLOCKS, said;
        size_t from = pos, at = 0;
        int rc = ds_reader_want(r, 'X', "something other than an index follows the end", err);
        if (rc)
            return rc;
        for (uint64_t i = 0; i < 2 * n; i++)
            ds_varint_get(r->index.data, r->index.len, &pos, &v);
        if (!ds_varint_get(r->payload, r->f.raw, &at, &said) || said != n ||
            r->f.raw - at != pos - from ||
            (n && memcmp(r->payload + at, r->index.data + from, pos - from) != 0))
            return ds_reader_bad(r, DS_CORRUPT, "the index does not agree with the blocks", err);
        left -= n;
    } while (left);
    ds_in_skip(&r->in, r->hold);
    r->hold = 0;
    r->at = r->in.pos;
    int rc = ds_in_peek(&r->in, DS_TRAILER_LEN + 1, &p, &got, err);
    if (rc)
        return rc;
    if (got < DS_TRAILER_LEN)
        return ds_reader_cut_off(r, err);
    if (memcmp(p + 8, DS_TRAILER_MAGIC, 8) != 0 || ds_get_u64(p) != first)
        return ds_reader_bad(r, DS_CORRUPT, "the trailer does not point at the index", err);
    ds_in_skip(&r->in, DS_TRAILER_LEN);
    return got > DS_TRAILER_LEN
               ? ds_reader_bad(r, DS_CORRUPT, "bytes after the end of the stream", err)
               : 0;
}

/* Behind the end stands what may be the beginning of another stream. */
static int find_more(ds_reader *r, ds_err *err)
{
    const uint8_t *p;
    size_t got;
    int rc = ds_in_peek(&r->in, DS_MAGIC_LEN, &p, &got, err);
    if (rc)
        return rc;
    r->has_more = got == DS_MAGIC_LEN && memcmp(p, DS_MAGIC, got) == 0;
    if (!r->has_more)
        return ds_fail(err, DS_CORRUPT, "%s: bytes after the end of the stream", r->in.path);
    if (r->expect_more)
        return 0;
    return ds_fail(err, DS_CORRUPT, "%s: another stream follows the end of the stream", r->in.path);
}

static int read_end(ds_reader *r, ds_err *err)
{
    ds_counts said = {0};
    ds_x128 frames, seen = ds_xxh128_digest(r->sums);
    const uint8_t *p;
    size_t got;
    int rc = ds_end_parse(&said, &r->has_root, &r->root, &frames, r->payload, r->f.raw, err);
    if (rc)
        rc = ds_reader_within(r, rc, err);
    else if (said.records != r->counts.records || said.blocks != r->counts.blocks ||
             said.sources != r->counts.sources)
        rc = ds_reader_bad(r, DS_CORRUPT,
                           "the end frame counts other records, blocks or sources than there are",
                           err);
    else if (memcmp(frames.b, seen.b, sizeof seen.b) != 0)
        rc = ds_reader_bad(r, DS_CORRUPT, "the end frame's digest is not that of the frames", err);
    ds_counts_fini(&r->counts);
    r->counts = said;
    if (rc)
        return rc;
    r->ended = true;
    ds_in_skip(&r->in, r->hold);
    r->hold = 0;
    rc = ds_in_peek(&r->in, 1, &p, &got, err);
    if (!rc && got && *p == (uint8_t)DS_MAGIC[0]) /* no frame begins so */
        rc = find_more(r, err);
    else if (!rc && got)
        rc = read_index(r, err);
    r->done = rc == 0;
    return rc;
}

static int dispatch(ds_reader *r, enum ds_event *ev, ds_err *err)
{
    int rc;
    if (r->sources_left) {
        *ev = DS_EV_SOURCE;
        return next_source(r, err);
    }
    rc = ds_reader_frame(r, NULL, err);
    if (rc)
        return rc;
    if (r->f.type != 'S')
        r->sources_bytes = 0;
    switch (r->f.type) {
    case 'B':
        *ev = DS_EV_BLOCK;
        return ds_reader_take_block(r, err);
    case 'S':
        *ev = DS_EV_SOURCE;
        rc = open_sources(r, err);
        return rc ? rc : next_source(r, err);
    case 'E':
        *ev = DS_EV_END;
        return read_end(r, err);
    default:
        return ds_reader_bad(r, DS_CORRUPT, "out of place: a block, sources or the end belong here",
                             err);
    }
}

int ds_reader_next(ds_reader *r, enum ds_event *ev, ds_err *err)
{
    if (r->done || r->failed)
        return ds_fail(err, DS_FAIL, "%s: read on after its end or a failure", r->in.path);
    int rc = dispatch(r, ev, err);
    if (rc)
        r->failed = true;
    return rc;
}

/* ---- what was read ---- */

void ds_reader_refs(ds_reader *r, const ds_storeid *store)
{
    r->has_store = true;
    r->store = *store;
}

const ds_schema *ds_reader_schema(const ds_reader *r)
{
    return &r->schema;
}

const char *ds_reader_provenance(const ds_reader *r, size_t *len)
{
    *len = r->provenance.len;
    return (const char *)r->provenance.data;
}

const ds_block *ds_reader_block(const ds_reader *r)
{
    return &r->block;
}

const ds_source *ds_reader_source(const ds_reader *r)
{
    return &r->source;
}

const ds_counts *ds_reader_counts(const ds_reader *r)
{
    return &r->counts;
}

const ds_sha *ds_reader_root(const ds_reader *r)
{
    return r->has_root ? &r->root : NULL;
}

uint64_t ds_reader_pos(const ds_reader *r)
{
    return r->in.pos + r->hold;
}
