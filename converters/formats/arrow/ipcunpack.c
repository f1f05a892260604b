/* ipcunpack.c - see ipcunpack.h. */
#include "ipcunpack.h"

#include <lz4frame.h>
#include <stdlib.h>
#include <zstd.h>

#include "io.h"

enum { STEP = 128 << 10 };
enum { LZ4_FRAME, ZSTD };

/* One of the two is there. */
typedef struct unpacker {
    LZ4F_dctx *lz4;
    ZSTD_DCtx *zstd;
    bool ended; /* of the frame that was begun */
} unpacker;

/* Takes some of *in, and gives some; false: it is none. */
static bool step(unpacker *u, const uint8_t *in, size_t *nin, uint8_t *out, size_t *nout)
{
    if (u->lz4) {
        const size_t r = LZ4F_decompress(u->lz4, out, nout, in, nin, NULL);
        u->ended = r == 0;
        return !LZ4F_isError(r);
    }
    ZSTD_inBuffer i = {in, *nin, 0};
    ZSTD_outBuffer o = {out, *nout, 0};
    const size_t r = ZSTD_decompressStream(u->zstd, &o, &i);
    u->ended = r == 0;
    *nin = i.pos;
    *nout = o.pos;
    return !ZSTD_isError(r);
}

/* All that a part of the buffer gives. 1: it is damaged. */
static int take(unpacker *u, const uint8_t *in, size_t n, uint8_t *room, ds_spool *out,
                uint64_t *left, ds_err *err)
{
    size_t given = STEP;
    int rc = 0;

    while (!rc && (n || (given == STEP && !u->ended))) {
        size_t taken = n;
        given = STEP;
        if (!step(u, in, &taken, room, &given) || given > *left || (!taken && !given && n))
            return 1;
        in += taken;
        n -= taken;
        *left -= given;
        rc = ds_spool_put(out, room, given, err);
    }
    return rc;
}

static bool begin(unpacker *u, int codec)
{
    if (codec == LZ4_FRAME)
        return !LZ4F_isError(LZ4F_createDecompressionContext(&u->lz4, LZ4F_VERSION));
    return (u->zstd = ZSTD_createDCtx()) != NULL;
}

int ds_ipc_unpack(ds_spool *out, const ds_ipcpacked *p, const char **why, ds_err *err)
{
    unpacker u = {0};
    uint64_t at = p->at, len = p->len, left = p->raw;

    *why = p->codec == LZ4_FRAME || p->codec == ZSTD ? NULL
                                                     : "it is packed in a way that is not known";
    if (*why)
        return 1;
    uint8_t *in = malloc(STEP), *room = malloc(STEP);
    int rc = in && room && begin(&u, p->codec) ? 0 : ds_fail_nomem(err);
    for (size_t n; !rc && len; at += n, len -= n) {
        n = len < STEP ? (size_t)len : STEP;
        rc = ds_pread_exact(p->fd, p->name, in, n, at, err);
        rc = rc ? rc : take(&u, in, n, room, out, &left, err);
    }
    if (!rc && (left || (p->len && !u.ended)))
        rc = 1;
    *why = rc == 1 ? "a packed buffer is damaged" : NULL;
    LZ4F_freeDecompressionContext(u.lz4);
    ZSTD_freeDCtx(u.zstd);
    free(in);
    free(room);
    return rc;
}
