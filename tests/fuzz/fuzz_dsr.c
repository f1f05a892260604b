/* fuzz_dsr.c - the reader, the checks of blocks and all views over any bytes.
 *
 * Byte 0 of the input says how the rest is taken: odd = checksums, frame numbers and the end
 * frame's digest are put right first, so that what lies behind them is reached; bit 1 = the reader
 * has a store, the one of the corpus' references, and takes them; bit 2 = it is the ledger of a
 * run. Nothing may crash; what the checks accept must be readable value by value, and what a
 * reference tells must fit its block.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dsr_frame.h"
#include "dsr_origin.h"
#include "ledger.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void put_digest(uint8_t *payload, size_t len, const ds_x128 *d)
{
    static const char hex[] = "0123456789abcdef";
    if (len < 35)
        return;
    for (size_t i = 0; i < 16; i++) {
        payload[len - 34 + 2 * i] = (uint8_t)hex[d->b[i] >> 4];
        payload[len - 33 + 2 * i] = (uint8_t)hex[d->b[i] & 15];
    }
}

static void resum(uint8_t *p, size_t len)
{
    XXH3_state_t *x = XXH3_createState(), *all = XXH3_createState();
    size_t at = DS_MAGIC_LEN;
    must(x && all);
    XXH3_128bits_reset(all);
    for (uint32_t seq = 0; len > at && len - at >= DS_FRAME_HEAD; seq++) {
        ds_frame f;
        ds_frame_decode(&f, p + at);
        if (f.stored > len - at - DS_FRAME_HEAD)
            break;
        ds_x128 d = ds_xxh128_digest(all);
        if (f.type == 'E')
            put_digest(p + at + DS_FRAME_HEAD, f.stored, &d);
        ds_set_u32(p + at + 12, seq);
        ds_x128 sum = ds_frame_sum(x, p + at, p + at + DS_FRAME_HEAD, f.stored, NULL, 0);
        memcpy(p + at + 16, sum.b, sizeof sum.b);
        XXH3_128bits_update(all, sum.b, sizeof sum.b);
        at += DS_FRAME_HEAD + f.stored;
    }
    XXH3_freeState(x);
    XXH3_freeState(all);
}

static uint64_t touch(const uint8_t *p, size_t len)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum += p[i];
    return sum;
}

/* What stands in place of a chunk's bytes: as many, in pieces that end where the block says. */
static uint64_t walk_refs(const ds_block *b, const ds_schema *s, size_t column)
{
    const ds_chunk *c = &b->chunks[column];
    size_t pieces, claims, end = 0;
    const ds_pieceref *p = ds_refs_pieces(c->refs, &pieces);
    const ds_rowclaim *r = ds_refs_claims(c->refs, &claims);
    uint64_t sum = 0;
    must(!c->body && c->refs->len == c->body_len && pieces == b->npieces[column]);
    for (size_t i = 0; i < pieces; i++) {
        sum += touch(p[i].id.b, sizeof p[i].id.b);
        must((end += p[i].len) == b->piece_ends[column][i]);
    }
    must(end == c->body_len && claims == (s->primary[column] ? b->rows : 0));
    for (size_t i = 0; i < claims; i++)
        sum += r[i].hash + r[i].size;
    return sum;
}

/* Reads every byte of every value; they must lie where they say. */
static uint64_t walk(const ds_block *b, const ds_schema *s)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < s->n; i++) {
        ds_colview v;
        ds_value x, y;
        ds_items it;
        uint64_t rows = 0;
        if (b->chunks[i].refs) {
            sum += walk_refs(b, s, i);
            continue;
        }
        if (ds_colview_open(&v, &s->cols[i], b->chunks[i].body, b->chunks[i].body_len, b->rows,
                            NULL))
            return sum;
        for (; ds_colview_next(&v, &x); rows++) {
            sum += touch(x.p, x.p ? x.len : 0) + touch(x.head, x.head_len);
            if (v.type != DS_LIST || x.null)
                continue;
            ds_value_items(&it, &v, &x);
            while (ds_items_next(&it, &y))
                sum += touch(y.p, y.p ? y.len : 0) + (uint64_t)y.i;
        }
        must(rows == b->rows);
    }
    return sum;
}

static void read_all(int fd, bool has_store)
{
    static const ds_storeid store = {{1, 2, 3}};
    ds_reader *r = NULL;
    ds_blockcheck *c = NULL;
    ds_err err = {0};
    enum ds_event ev = DS_EV_BLOCK;
    int rc = ds_reader_new(&r, fd, "fuzz", &err);
    if (!rc && has_store)
        ds_reader_refs(r, &store);
    if (!rc)
        rc = ds_blockcheck_new(&c, ds_reader_schema(r), &err);
    while (!rc && ev != DS_EV_END) {
        rc = ds_reader_next(r, &ev, &err);
        if (rc || ev != DS_EV_BLOCK)
            continue;
        walk(ds_reader_block(r), ds_reader_schema(r)); /* whether or not its values are sound */
        rc = ds_blockcheck_block(c, ds_reader_block(r), &err);
    }
    must((rc != 0) == (err.msg[0] != '\0'));
    ds_blockcheck_free(c);
    ds_reader_free(r);
}

static int on_row(void *ctx, const ds_ledger_row *r, ds_err *err)
{
    uint64_t *sum = ctx;
    ds_sha chain;
    memcpy(&chain, r->chain, sizeof chain);
    *sum += touch(r->pieces, r->pieces_len);
    return ds_ledger_next(&chain, r, err);
}

static void read_ledger(int fd)
{
    ds_err err = {0};
    uint64_t sum = 0;
    const int rc = ds_ledger_scan(fd, "fuzz", on_row, &sum, &err);
    must(rc == 0 || (rc == err.code && *err.msg));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1)
        return 0;
    uint8_t *copy = malloc(len);
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    must(copy && fd >= 0);
    memcpy(copy, data + 1, len - 1);
    if (data[0] & 1)
        resum(copy, len - 1);
    must(write(fd, copy, len - 1) == (ssize_t)(len - 1));
    must(lseek(fd, 0, SEEK_SET) == 0);
    if (data[0] & 4)
        read_ledger(fd);
    else
        read_all(fd, data[0] & 2);
    close(fd);
    free(copy);
    return 0;
}
