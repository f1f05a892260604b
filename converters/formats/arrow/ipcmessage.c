/* ipcmessage.c - see ipcmessage.h. */
#include "ipcmessage.h"

#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "try.h"

#define METADATA_MOST ((uint64_t)256 << 20)
enum { MAGIC = 6, PREFIX = 8, BLOCK = 24 };
enum { VERSION, HEADER_TYPE, HEADER, BODY_LENGTH };      /* of Message */
enum { F_VERSION, F_SCHEMA, F_DICTIONARIES, F_BATCHES }; /* of Footer */
enum { VERSION_5 = 4 };

static const char CUT[] = "it ends within a message: the file was cut short";
static const char DAMAGED[] = "it is no Arrow message";

static int fails(const char **why, const char *text)
{
    *why = text;
    return 1;
}

/* ---- the footer ---- */

static int take_blocks(ds_ipcmessages *m, ds_flat *f, ds_flatvec v, ds_err *err)
{
    return v.n && ds_buf_put(&m->blocks, f->p + v.at, v.n * BLOCK) ? ds_fail_nomem(err) : 0;
}

static int bad_footer(const ds_ipcmessages *m, const char *why, ds_err *err)
{
    return ds_fail(err, DS_FAIL, "%s: offset %llu: %s", m->name,
                   (unsigned long long)(m->size - MAGIC - 4), why);
}

static int by_offset(const void *a, const void *b)
{
    const uint64_t x = ds_get_u64(a), y = ds_get_u64(b);
    return (x > y) - (x < y);
}

/* i64 offset, i32 length of the metadata, 4 unused, i64 length of the body. A message that is
 * listed twice, or lies in another, would be read as often. */
static int check_blocks(const ds_ipcmessages *m, ds_err *err)
{
    const size_t n = m->blocks.len / BLOCK;
    uint8_t *v = malloc(m->blocks.len + 1);
    uint64_t free_from = 0;
    bool good = true;

    if (!v)
        return ds_fail_nomem(err);
    if (n)
        memcpy(v, m->blocks.data, m->blocks.len);
    qsort(v, n, BLOCK, by_offset);
    for (size_t i = 0; i < n && good; i++) {
        const uint64_t at = ds_get_u64(v + i * BLOCK), head = ds_get_u32(v + i * BLOCK + 8),
                       body = ds_get_u64(v + i * BLOCK + 16);
        good =
            at >= free_from && at <= m->size && head <= m->size - at && body <= m->size - at - head;
        free_from = at + head + body;
    }
    free(v);
    return good ? 0 : bad_footer(m, "batches of the footer lie in one another", err);
}

/* The schema stays in `metadata`; blocks are kept. */
static int read_footer(ds_ipcmessages *m, ds_err *err)
{
    uint8_t tail[4 + MAGIC];

    if (m->size < MAGIC + 2 + sizeof tail)
        return ds_fail(err, DS_FAIL, "%s: too short for an Arrow file", m->name);
    TRY(ds_pread_exact(m->fd, m->name, tail, sizeof tail, m->size - sizeof tail, err));
    if (memcmp(tail + 4, "ARROW1", MAGIC) != 0)
        return bad_footer(m,
                          "it does not end with ARROW1: the file was cut short, and where its "
                          "batches are stands at its end",
                          err);
    const uint64_t len = ds_get_u32(tail);
    if (len > m->size - MAGIC - 2 - sizeof tail || len > METADATA_MOST)
        return bad_footer(m, "the footer is longer than the file", err);
    if (ds_buf_reserve(&m->metadata, (size_t)len + 1))
        return ds_fail_nomem(err);
    TRY(ds_pread_exact(m->fd, m->name, m->metadata.data, (size_t)len, m->size - sizeof tail - len,
                       err));
    m->metadata.len = (size_t)len;
    ds_flat f = {m->metadata.data, m->metadata.len, false};
    const size_t root = ds_flat_root(&f);
    const ds_flatvec d = ds_flat_vector(&f, root, F_DICTIONARIES, BLOCK),
                     b = ds_flat_vector(&f, root, F_BATCHES, BLOCK);
    if (f.bad)
        return bad_footer(m, "the footer is damaged", err);
    TRY(take_blocks(m, &f, d, err));
    TRY(take_blocks(m, &f, b, err));
    return check_blocks(m, err);
}

int ds_ipcmessages_init(ds_ipcmessages *m, int fd, const char *name, uint64_t size, ds_err *err)
{
    uint8_t head[PREFIX] = {0};
    size_t got = size < PREFIX ? (size_t)size : PREFIX;

    *m = (ds_ipcmessages){.fd = fd, .name = name, .size = size};
    TRY(ds_pread_exact(fd, name, head, got, 0, err));
    if (memcmp(head, "FEA1", 4) == 0)
        return ds_fail(err, DS_FAIL,
                       "%s: a Feather file of version 1: read it and write it anew with pyarrow",
                       name);
    m->file = memcmp(head, "ARROW1", MAGIC) == 0;
    if (m->file)
        return read_footer(m, err);
    const uint32_t first = ds_get_u32(head);
    if (got < PREFIX || (first != UINT32_MAX && first > size))
        return ds_fail(err, DS_FAIL, "%s: offset 0: it is neither an Arrow file nor a stream",
                       name);
    return 0;
}

void ds_ipcmessages_rewind(ds_ipcmessages *m)
{
    m->at = 0;
    m->next = 1; /* the footer's bytes are gone */
}

bool ds_ipcmessages_more(const ds_ipcmessages *m)
{
    return m->file && m->next <= m->blocks.len / BLOCK;
}

void ds_ipcmessages_fini(ds_ipcmessages *m)
{
    ds_buf_fini(&m->metadata);
    ds_buf_fini(&m->blocks);
    *m = (ds_ipcmessages){0};
}

/* ---- messages ---- */

/* Metadata at out->at; *len: of the prefix and it. 0 and out->kind END at the end of a stream. */
static int read_metadata(ds_ipcmessages *m, ds_ipcmessage *out, uint64_t *len, const char **why,
                         ds_err *err)
{
    uint8_t head[PREFIX];
    uint64_t prefix = 4;

    *len = 0;
    if (out->at == m->size && !m->file)
        return 0;
    if (out->at > m->size || m->size - out->at < 4)
        return fails(why, CUT);
    const size_t got = m->size - out->at < PREFIX ? 4 : PREFIX;
    TRY(ds_pread_exact(m->fd, m->name, head, got, out->at, err));
    uint64_t n = ds_get_u32(head);
    if (n == UINT32_MAX) {
        if (got < PREFIX)
            return fails(why, CUT);
        n = ds_get_u32(head + 4);
        prefix = PREFIX;
    }
    if (n == 0 && !m->file)
        return 0;
    if (n > METADATA_MOST)
        return fails(why, DAMAGED);
    if (n > m->size - out->at - prefix)
        return fails(why, CUT);
    ds_buf_reset(&m->metadata);
    if (ds_buf_reserve(&m->metadata, (size_t)n + 1))
        return ds_fail_nomem(err);
    TRY(ds_pread_exact(m->fd, m->name, m->metadata.data, (size_t)n, out->at + prefix, err));
    m->metadata.len = (size_t)n;
    *len = prefix + n;
    return 0;
}

static int parse(ds_ipcmessages *m, ds_ipcmessage *out, uint64_t len, const char **why)
{
    out->flat = (ds_flat){m->metadata.data, m->metadata.len, false};
    ds_flat *f = &out->flat;
    const size_t root = ds_flat_root(f);
    const int64_t body = ds_flat_int(f, root, BODY_LENGTH, 8, 0);
    const int64_t kind = ds_flat_int(f, root, HEADER_TYPE, 1, 0);

    out->header = ds_flat_table(f, root, HEADER);
    out->old = ds_flat_int(f, root, VERSION, 2, 0) < VERSION_5;
    out->body = out->at + len;
    out->body_len = (uint64_t)body;
    if (f->bad || !out->header || body < 0 || kind < DS_IPC_SCHEMA || kind > DS_IPC_BATCH)
        return fails(why, kind > DS_IPC_BATCH && !f->bad
                              ? "a message that is neither schema, dictionary nor batch"
                              : DAMAGED);
    if (out->body_len > m->size - out->body)
        return fails(why, CUT);
    if (m->file && out->body_len != ds_get_u64(m->blocks.data + (m->next - 2) * BLOCK + 16))
        return fails(why, "a batch is not as long as the footer says");
    out->kind = (enum ds_ipckind)kind;
    m->at = out->body + out->body_len;
    return 0;
}

/* The schema of a file is the footer's. */
static void footer_schema(ds_ipcmessages *m, ds_ipcmessage *out)
{
    out->flat = (ds_flat){m->metadata.data, m->metadata.len, false};
    const size_t root = ds_flat_root(&out->flat);
    out->kind = DS_IPC_SCHEMA;
    out->header = ds_flat_table(&out->flat, root, F_SCHEMA);
}

int ds_ipcmessages_next(ds_ipcmessages *m, ds_ipcmessage *out, const char **why, ds_err *err)
{
    uint64_t len;

    *why = NULL;
    *out = (ds_ipcmessage){.at = m->at};
    if (m->file) {
        const size_t block = m->next++;
        if (block == 0) {
            footer_schema(m, out);
            return 0;
        }
        if (block > m->blocks.len / BLOCK)
            return 0;
        out->at = ds_get_u64(m->blocks.data + (block - 1) * BLOCK);
    }
    TRY(read_metadata(m, out, &len, why, err));
    return len ? parse(m, out, len, why) : 0;
}
