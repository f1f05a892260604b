/* unpack.c - see unpack.h. */
#include "unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "buf.h"
#include "io.h"
#include "sig.h"
#include "utf8.h"

#define IN_SIZE (128u << 10)
#define OUT_SIZE (256u << 10)
#define HEADER_SIZE (8u << 10) /* is read at once where only headers are looked at */
#define RATIO_FROM (16u << 20) /* small files may be as repetitive as they like */
#define NAME_LIMIT 4096
#define BEFORE (64u << 10)    /* of a member that turns out damaged: where the next is looked for */
#define HOLD 8                /* bytes that a damaged member lacks at its end */
#define DICT_MAX (16u << 20)  /* bytes of a dictionary */
#define FRAME_FIRST 5         /* bytes of a frame of zstd say how long its header is */
#define ZIP_ENTRY 46          /* bytes at least of a member in the list at a zip's end */
#define REREAD_MAX (2u << 20) /* headers: then a zip is not begun anew any more (seconds) */

struct ds_unpack {
    int fd;
    const char *name;
    enum ds_packing packing;
    ds_unpack_limits limits;
    struct archive *a;
    locale_t locale; /* libarchive converts names by the thread's locale: always UTF-8 here */
    ds_buf head;     /* bytes to be seen before those of fd */
    uint8_t *in;
    uint64_t consumed, size; /* of the archive; size 0 = not a file */
    z_stream z;
    ZSTD_DStream *zstd;
    size_t hint; /* of zstd: with how many bytes its next block is whole */
    uint8_t *unzipped;
    size_t zpos, zlen; /* compressed bytes that wait in `in` */
    size_t zmember;    /* where the member that is read begins in `in`, as far as that is there */
    bool z_on, z_over, z_eof, z_begun, seekable;
    uint8_t zheld[HOLD]; /* the last bytes of a member that has not ended */
    size_t nzheld;
    uint64_t damaged; /* members that were gone on behind */
    ds_err first_damage;
    uint64_t out, members;
    bool open_member, first, at_end;
    bool placed;          /* places of members are asked for */
    const uint8_t *block; /* of the member: what waits to be read */
    size_t nblock;
    uint64_t pos, hole;        /* how much of it was read; zeros before the block */
    uint64_t headers;          /* that were read */
    uint64_t reread;           /* of headers, in beginning anew */
    bool skims;                /* through members that were there before */
    bool goes_on, anew;        /* behind a member that failed; and it has to begin anew for that */
    bool over;                 /* it does not */
    uint64_t next;             /* where the header behind such a member is; 0: anywhere */
    struct archive_entry *now; /* the current member */
    ds_buf clean;              /* the member's name */
    ds_buf target;             /* and what it links to */
    ds_err inner;              /* what a callback found */
};

/* ---- bytes of the archive ---- */

static ssize_t raw_read(ds_unpack *u, uint8_t *buf, size_t n)
{
    ssize_t got;
    if (u->head.len > 0) {
        got = (ssize_t)(n < u->head.len ? n : u->head.len);
        memcpy(buf, u->head.data, (size_t)got);
        memmove(u->head.data, u->head.data + got, u->head.len - (size_t)got);
        u->head.len -= (size_t)got;
        u->consumed += (uint64_t)got;
        return got;
    }
    do
        got = ds_io_active->read(u->fd, buf, n);
    while (got < 0 && errno == EINTR && !ds_interrupted());
    if (got < 0)
        ds_fail_errno(&u->inner, errno, "%s: offset %" PRIu64, u->name, u->consumed);
    else
        u->consumed += (uint64_t)got;
    return got;
}

static int over_limit(ds_unpack *u, uint64_t out, ds_err *err)
{
    uint64_t in = u->size && u->consumed > u->size ? u->size : u->consumed;
    if (u->limits.max_ratio && out > RATIO_FROM && out / u->limits.max_ratio > in)
        return ds_fail(err, DS_FAIL,
                       "%s: expands to more than %" PRIu64
                       " times its size: not unpacked any further",
                       u->name, u->limits.max_ratio);
    if (u->limits.max_bytes && out > u->limits.max_bytes)
        return ds_fail(err, DS_FAIL,
                       "%s: expands to more than %" PRIu64 " bytes: not unpacked any further",
                       u->name, u->limits.max_bytes);
    return 0;
}

static int z_broken(ds_unpack *u, const char *why)
{
    return ds_fail(&u->inner, DS_CORRUPT, "%s: damaged %s data near byte %" PRIu64 ": %s", u->name,
                   u->zstd ? "zstd" : "gzip", u->consumed - u->zlen, why);
}

/* Compressed bytes, if none wait. */
static int z_fill(ds_unpack *u)
{
    if (u->zlen > 0 || u->z_eof)
        return 0;
    size_t keep = 0;
    if (u->limits.resume) {
        keep = u->zpos - u->zmember < BEFORE ? u->zpos - u->zmember : BEFORE;
        memmove(u->in, u->in + u->zpos - keep, keep);
    }
    const ssize_t got = raw_read(u, u->in + keep, IN_SIZE);
    if (got < 0)
        return -1;
    u->z_eof = got == 0;
    u->zpos = keep;
    u->zmember = 0;
    u->zlen = (size_t)got;
    return 0;
}

/* Behind a damaged member: where another one begins, as far as its first bytes tell. Without one
 * the damage is an error as any other. */
static int z_resume(ds_unpack *u)
{
    static const uint8_t gz[] = {0x1f, 0x8b, 8}, zst[] = {0x28, 0xb5, 0x2f, 0xfd};
    const uint8_t *mark = u->zstd ? zst : gz;
    const size_t n = u->zstd ? sizeof zst : sizeof gz;
    if (!u->limits.resume || u->inner.code != DS_CORRUPT)
        return -1;
    size_t from = u->zmember + 1;
    for (;;) {
        const size_t end = u->zpos + u->zlen;
        const uint8_t *p = from < end ? memmem(u->in + from, end - from, mark, n) : NULL;
        if (p) {
            u->zpos = (size_t)(p - u->in);
            u->zlen = end - u->zpos;
            break;
        }
        if (u->z_eof)
            return -1;
        u->zpos = end; /* a mark may lie across what is read next */
        u->zlen = 0;
        u->zmember = end > from && end - from >= n ? end - n + 1 : from < end ? from : end;
        if (z_fill(u) != 0)
            return -1;
        from = 0;
    }
    u->zmember = u->zpos;
    if ((u->zstd && ZSTD_isError(ZSTD_DCtx_reset(u->zstd, ZSTD_reset_session_only))) ||
        (!u->zstd && inflateReset(&u->z) != Z_OK))
        return -1;
    if (u->damaged++ == 0)
        u->first_damage = u->inner;
    ds_err_clear(&u->inner);
    u->z_over = u->zstd != NULL;
    u->nzheld = 0;
    return 0;
}

uint64_t ds_unpack_damaged(const ds_unpack *u, const char **why)
{
    *why = u->first_damage.msg;
    return u->damaged;
}

/* Of what came out of a member that has not ended the last bytes wait for its end. */
static size_t z_hold(ds_unpack *u, size_t n)
{
    if (!u->limits.resume || u->z_over)
        return n;
    u->nzheld = n < HOLD ? n : HOLD;
    memcpy(u->zheld, u->unzipped + n - u->nzheld, u->nzheld);
    return n - u->nzheld;
}

/* They stand before what comes now. */
static size_t z_held(ds_unpack *u)
{
    const size_t n = u->nzheld;
    memcpy(u->unzipped, u->zheld, n);
    u->nzheld = 0;
    return n;
}

/* What came out of it, if that is not too much. */
static ssize_t z_gave(ds_unpack *u, size_t n)
{
    u->out += n;
    return over_limit(u, u->out, &u->inner) != 0 ? -1 : (ssize_t)n;
}

/* Between members of a gzip file: another one, padding, or the end. Returns 1 to go on, 0 at the
 * end, -1 when broken. */
static int gz_next_member(ds_unpack *u)
{
    while (u->zlen > 0 && u->in[u->zpos] == 0) { /* tapes and tar pad with zeros */
        u->zpos++;
        u->zlen--;
    }
    if (u->zlen == 0)
        return u->z_eof ? 0 : 1;
    if (inflateReset(&u->z) != Z_OK) {
        z_broken(u, "cannot go on");
        return -1;
    }
    u->zmember = u->zpos;
    u->z_over = false;
    return 1;
}

/* Some of what a gzip file holds: *n bytes. 1, 0: it ended, or -1. */
static int gz_some(ds_unpack *u, size_t *n)
{
    const size_t from = z_held(u);
    const uInt room = (uInt)(OUT_SIZE - from);
    u->z.next_out = u->unzipped + from;
    u->z.avail_out = room;
    for (*n = from; u->z.avail_out == room;) {
        if (z_fill(u) != 0)
            return -1;
        if (u->z_over) {
            int more = from > 0 ? 0 : gz_next_member(u);
            if (more <= 0)
                return from > 0 ? 1 : more;
            if (u->z_over)
                continue;
        }
        u->z.next_in = u->in + u->zpos;
        u->z.avail_in = (uInt)u->zlen;
        int rc = inflate(&u->z, Z_NO_FLUSH);
        u->zpos += u->zlen - u->z.avail_in;
        u->zlen = u->z.avail_in;
        *n = OUT_SIZE - u->z.avail_out;
        if (rc == Z_STREAM_END)
            u->z_over = true;
        else if (rc == Z_BUF_ERROR && u->z_eof)
            return z_broken(u, "the file ends too early");
        else if (rc != Z_OK && rc != Z_BUF_ERROR && (u->z.avail_out == room || u->limits.resume))
            return z_broken(u, u->z.msg ? u->z.msg : "it cannot be read");
    }
    return 1;
}

/* Some of what a zstd file holds, block by block, as what it says it wants next allows: of a call
 * that fails nothing comes out, and what was before the damage is to. Frames may follow each other,
 * and some hold no data. */
static int zst_some(ds_unpack *u, size_t *n)
{
    const size_t from = z_held(u);
    ZSTD_outBuffer out = {.dst = u->unzipped, .size = OUT_SIZE, .pos = from};
    for (*n = from; out.pos == from;) {
        if (z_fill(u) != 0)
            return -1;
        const bool end = u->zlen == 0;
        if (u->z_over && (end || from > 0))
            return from > 0;
        const size_t most = u->z_over ? FRAME_FIRST : u->hint;
        if (u->z_over)
            u->zmember = u->zpos;
        ZSTD_inBuffer in = {.src = u->in + u->zpos, .size = u->zlen < most ? u->zlen : most};
        u->hint = ZSTD_decompressStream(u->zstd, &out, &in);
        if (ZSTD_isError(u->hint))
            return z_broken(u, ZSTD_getErrorName(u->hint));
        u->zpos += in.pos;
        u->zlen -= in.pos;
        u->z_over = u->hint == 0;
        *n = out.pos;
        if (end && out.pos == from && !u->z_over)
            return z_broken(u, "the file ends too early");
    }
    return 1;
}

/* The dictionary's bytes from the frame that holds them, or a frame of zstd in it. */
static int use_dictionary(ds_unpack *u, const ds_buf *d)
{
    static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd}, mark[] = {0x37, 0xa4, 0x30, 0xec};
    ds_buf plain = {0};
    const ds_buf *is = d;
    int rc = 0;
    if (d->len > 4 && memcmp(d->data, frame, sizeof frame) == 0) {
        const unsigned long long size = ZSTD_getFrameContentSize(d->data, d->len);
        const size_t most = size < DICT_MAX ? (size_t)size : DICT_MAX;
        if (ds_buf_reserve(&plain, most) != 0)
            return ds_fail_nomem(&u->inner);
        const size_t got = ZSTD_decompress(plain.data, most, d->data, d->len);
        if (ZSTD_isError(got))
            rc = z_broken(u, "its dictionary cannot be read");
        else
            plain.len = got;
        is = &plain;
    }
    if (rc == 0 && is->len > 4 && memcmp(is->data, mark, sizeof mark) == 0 &&
        ZSTD_isError(ZSTD_DCtx_loadDictionary(u->zstd, is->data, is->len)))
        rc = z_broken(u, "its dictionary cannot be read");
    ds_buf_fini(&plain);
    return rc;
}

/* The dictionary that a file may begin with, in a frame that is skipped by who does not know of it.
 */
static int zst_dictionary(ds_unpack *u)
{
    static const uint8_t mark[] = {0x5d, 0x2a, 0x4d, 0x18};
    ds_buf d = {0};
    int rc = z_fill(u);
    if (rc != 0 || u->zlen < 8 || memcmp(u->in + u->zpos, mark, sizeof mark) != 0)
        return rc;
    const uint8_t *p = u->in + u->zpos + 4;
    const size_t n = (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
    if (n > DICT_MAX)
        return z_broken(u, "its dictionary is larger than 16 MiB");
    u->zpos += 8;
    u->zlen -= 8;
    while (rc == 0 && d.len < n && (rc = z_fill(u)) == 0) {
        const size_t some = u->zlen < n - d.len ? u->zlen : n - d.len;
        if (some == 0)
            rc = z_broken(u, "the file ends too early");
        else if (ds_buf_put(&d, u->in + u->zpos, some) != 0)
            rc = ds_fail_nomem(&u->inner);
        u->zpos += some;
        u->zlen -= some;
    }
    if (rc == 0)
        rc = use_dictionary(u, &d);
    ds_buf_fini(&d);
    return rc;
}

static ssize_t z_read(ds_unpack *u, const void **buf)
{
    *buf = u->unzipped;
    if (u->zstd && !u->z_begun && zst_dictionary(u) != 0)
        return -1;
    u->z_begun = true;
    for (;;) {
        size_t n = 0;
        const int more = u->zstd ? zst_some(u, &n) : gz_some(u, &n);
        if (more == 0)
            return 0;
        if (more < 0 && z_resume(u) != 0)
            return -1;
        n = more > 0 ? z_hold(u, n) : n > HOLD ? n - HOLD : 0;
        if (n > 0)
            return z_gave(u, n);
    }
}

static ssize_t on_read(struct archive *a, void *ctx, const void **buf)
{
    ds_unpack *u = ctx;
    ssize_t n;
    if (u->z_on) {
        n = z_read(u, buf);
    } else {
        *buf = u->in;
        n = raw_read(u, u->in, u->placed || u->skims ? HEADER_SIZE : IN_SIZE);
    }
    if (n < 0) {
        archive_set_error(a, EIO, "%s", u->inner.msg);
        return -1;
    }
    return n;
}

/* Over what is not wanted, but not past the end. */
static int64_t on_skip(struct archive *a, void *ctx, int64_t n)
{
    ds_unpack *u = ctx;
    off_t at = lseek(u->fd, 0, SEEK_CUR);
    (void)a;
    if (at < 0 || (uint64_t)at >= u->size)
        return 0;
    if ((uint64_t)n > u->size - (uint64_t)at)
        n = (int64_t)(u->size - (uint64_t)at);
    if (lseek(u->fd, (off_t)n, SEEK_CUR) < 0)
        return 0;
    u->consumed += (uint64_t)n;
    return n;
}

static int64_t on_seek(struct archive *a, void *ctx, int64_t offset, int whence)
{
    ds_unpack *u = ctx;
    off_t at = lseek(u->fd, (off_t)offset, whence);
    if (at < 0) {
        archive_set_error(a, errno, "cannot seek");
        return ARCHIVE_FATAL;
    }
    return at;
}

/* ---- the archive ---- */

static int broken(ds_unpack *u, ds_err *err)
{
    u->over = !u->goes_on;
    if (u->inner.code)
        return ds_fail_as(err, &u->inner);
    const char *why = archive_error_string(u->a);
    const off_t at =
        u->seekable ? lseek(u->fd, 0, SEEK_CUR) : -1; /* what is read is not in order */
    return ds_fail(err, DS_CORRUPT, "%s: damaged archive near byte %" PRIu64 ": %s%s", u->name,
                   at >= 0 ? (uint64_t)at : u->consumed, why ? why : "it cannot be read",
                   u->over && u->now && archive_format(u->a) != ARCHIVE_FORMAT_RAW
                       ? "; what follows in it is not read"
                       : "");
}

static int choose(ds_unpack *u)
{
    struct archive *a = u->a;
    int rc = ARCHIVE_OK;
    switch (u->packing) {
    case DS_PACK_ZIP:
        return archive_read_support_format_zip(a);
    case DS_PACK_7Z:
        return archive_read_support_format_7zip(a);
    case DS_PACK_TAR:
        return archive_read_support_format_tar(a);
    case DS_PACK_XZ:
        rc = archive_read_support_filter_xz(a);
        break;
    case DS_PACK_BZ2:
        rc = archive_read_support_filter_bzip2(a);
        break;
    default:
        break; /* gz and zst are unpacked here */
    }
    if (rc != ARCHIVE_OK)
        return rc;
    if (archive_read_support_format_tar(a) != ARCHIVE_OK ||
        archive_read_support_format_empty(a) != ARCHIVE_OK)
        return ARCHIVE_FATAL;
    return archive_read_support_format_raw(a);
}

static int start(ds_unpack *u, ds_err *err)
{
    u->a = archive_read_new();
    if (!u->a)
        return ds_fail_nomem(err);
    const bool zst = u->packing == DS_PACK_ZST;
    if (zst || u->packing == DS_PACK_GZ) {
        u->unzipped = malloc(OUT_SIZE);
        if (!u->unzipped || (zst && !(u->zstd = ZSTD_createDStream())) ||
            (!zst && inflateInit2(&u->z, 15 + 16) != Z_OK))
            return ds_fail_nomem(err);
        u->z_on = true;
        u->z_over = zst;
    }
    if (choose(u) != ARCHIVE_OK || archive_read_set_read_callback(u->a, on_read) != ARCHIVE_OK ||
        archive_read_set_callback_data(u->a, u) != ARCHIVE_OK)
        return broken(u, err);
    if (u->seekable && (u->packing == DS_PACK_ZIP || u->packing == DS_PACK_7Z) &&
        archive_read_set_seek_callback(u->a, on_seek) != ARCHIVE_OK)
        return broken(u, err);
    if (u->seekable && u->packing == DS_PACK_TAR &&
        archive_read_set_skip_callback(u->a, on_skip) != ARCHIVE_OK)
        return broken(u, err);
    return archive_read_open1(u->a) != ARCHIVE_OK ? broken(u, err) : 0;
}

int ds_unpack_new(ds_unpack **out, int fd, const char *name, const uint8_t *head, size_t nhead,
                  enum ds_packing packing, const ds_unpack_limits *limits, ds_err *err)
{
    *out = NULL;
    ds_unpack *u = calloc(1, sizeof *u);
    if (!u)
        return ds_fail_nomem(err);
    struct stat st;
    u->fd = fd;
    u->name = name;
    u->packing = packing;
    u->limits = *limits;
    u->first = true;
    u->in = malloc(IN_SIZE + (limits->resume ? BEFORE : 0));
    u->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    u->seekable = nhead == 0 && ds_io_active->fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (u->seekable)
        u->size = (uint64_t)st.st_size;
    int rc =
        u->in && (nhead == 0 || ds_buf_put(&u->head, head, nhead) == 0) ? 0 : ds_fail_nomem(err);
    if (rc == 0) {
        locale_t old = u->locale ? uselocale(u->locale) : (locale_t)0;
        rc = start(u, err);
        if (old)
            uselocale(old);
    }
    if (rc != 0) {
        ds_unpack_free(u);
        return rc;
    }
    *out = u;
    return 0;
}

void ds_unpack_free(ds_unpack *u)
{
    if (!u)
        return;
    if (u->a)
        archive_read_free(u->a);
    if (u->z_on && !u->zstd)
        inflateEnd(&u->z);
    ZSTD_freeDStream(u->zstd);
    if (u->locale)
        freelocale(u->locale);
    free(u->unzipped);
    free(u->in);
    ds_buf_fini(&u->head);
    ds_buf_fini(&u->clean);
    ds_buf_fini(&u->target);
    free(u);
}

/* Puts a member's name without "./" and doubled slashes into `to`; a reason when it is not one to
 * be trusted. */
static const char *clean_name(const ds_unpack *u, ds_buf *to, const char *name)
{
    size_t len = strlen(name);
    to->len = 0;
    if (len == 0 || len > NAME_LIMIT)
        return len ? "its name is too long" : "it has no name";
    if (!u->limits.whole && ds_utf8_check((const uint8_t *)name, len) != len)
        return "its name is not UTF-8";
    if (*name == '/' || *name == '\\' || (len >= 2 && name[1] == ':' && strchr("/\\", name[2])))
        return "its name is absolute";
    for (const char *p = name; *p;) {
        size_t n = strcspn(p, "/\\");
        if (n == 2 && memcmp(p, "..", 2) == 0)
            return "its name climbs out of the archive (..)";
        p += n + (p[n] != '\0');
    }
    for (const char *p = name; *p;) {
        size_t n = strcspn(p, "/");
        if (n > 0 && !(n == 1 && *p == '.')) {
            if (to->len > 0 && ds_buf_putc(to, '/') != 0)
                return "out of memory";
            if (ds_buf_put(to, p, n) != 0)
                return "out of memory";
        }
        p += n + (p[n] != '\0');
    }
    return to->len > 0 ? NULL : "it has no name";
}

/* Reads what is left of a member under the limits, rather than let libarchive step over it without
 * any. */
static int discard(ds_unpack *u, ds_err *err)
{
    bool stream = u->packing != DS_PACK_TAR && u->packing != DS_PACK_ZIP;
    size_t got = 1;
    while (u->open_member && stream && got > 0) {
        static _Thread_local uint8_t waste[32 << 10];
        int rc = ds_unpack_read(u, waste, sizeof waste, &got, err);
        if (rc != 0)
            return rc;
    }
    u->open_member = false;
    return 0;
}

/* A tar ends with blocks of zeros. One that was cut off between two members has none, and
 * libarchive says nothing of it. */
static int check_end(const ds_unpack *u, ds_err *err)
{
    const bool tar = (archive_format(u->a) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR;
    const int64_t at = archive_read_header_position(u->a);

    return !tar || archive_filter_bytes(u->a, 0) > at
               ? 0
               : ds_fail(err, DS_CORRUPT,
                         "%s: damaged archive near byte %" PRIu64
                         ": it ends without its end mark, as one that was cut off",
                         u->name, (uint64_t)at);
}

static int header(ds_unpack *u, struct archive_entry **e, ds_err *err)
{
    uint64_t want = u->next;
    u->next = 0;
    int rc = archive_read_next_header(u->a, e);
    u->now = rc == ARCHIVE_OK || rc == ARCHIVE_WARN ? *e : NULL;
    u->headers += u->now != NULL;
    u->nblock = 0;
    u->pos = u->hole = 0;
    if (u->now && want && archive_read_header_position(u->a) != (int64_t)want)
        return ds_fail(err, DS_CORRUPT, "%s: damaged archive near byte %" PRIu64, u->name, want);
    if (rc == ARCHIVE_EOF && !u->inner.code)
        return check_end(u, err);
    if (rc == ARCHIVE_OK || (rc == ARCHIVE_WARN && !u->inner.code))
        return 1;
    return broken(u, err);
}

/* A zip in a file says at its end where its members lie: those behind one that libarchive lost its
 * way in are found when it begins anew. That reads its list and all headers before, so who makes
 * every member a bad one has the square of their number read: up to a limit. */
static int begin_anew(ds_unpack *u, ds_err *err)
{
    const uint64_t had = u->headers, consumed = u->consumed;
    struct archive_entry *e;
    archive_read_free(u->a);
    u->a = NULL;
    u->now = NULL;
    u->open_member = false;
    u->headers = 0;
    if (lseek(u->fd, 0, SEEK_SET) != 0)
        return ds_fail_errno(err, errno, "%s", u->name);
    int rc = start(u, err);
    u->skims = true;
    while (rc == 0 && u->headers < had) {
        if ((rc = header(u, &e, err)) == 1)
            rc = 0;
        else if (rc == 0)
            rc = broken(u, err); /* it was longer before */
        if (u->headers == 1)
            u->reread += (u->consumed - consumed) / ZIP_ENTRY;
    }
    u->skims = false;
    u->reread += had;
    return rc;
}

bool ds_unpack_time(int64_t *ns, int64_t seconds, long rest)
{
    const bool good = !__builtin_mul_overflow(seconds, INT64_C(1000000000), ns) &&
                      !__builtin_add_overflow(*ns, (int64_t)rest, ns);

    *ns = good ? *ns : 0;
    return good;
}

/* What a whole archive's member has beside its name and kind. */
static void describe_whole(ds_unpack *u, struct archive_entry *e, ds_member *m)
{
    const char *hard = archive_entry_hardlink(e);

    m->mode = archive_entry_perm(e) & 07777;
    m->untimely = !ds_unpack_time(&m->mtime, archive_entry_mtime(e), archive_entry_mtime_nsec(e));
    if (archive_entry_filetype(e) == AE_IFDIR && m->kind != DS_MEMBER_REFUSED)
        m->kind = DS_MEMBER_FOLDER;
    if (m->kind != DS_MEMBER_LINK)
        return;
    m->hard = hard != NULL;
    m->target = hard ? NULL : archive_entry_symlink(e);
    if (hard && !(m->why = clean_name(u, &u->target, hard)))
        m->target = ds_buf_cstr(&u->target);
    if (!m->target || !*m->target) {
        m->kind = DS_MEMBER_REFUSED;
        m->why = m->why ? m->why : "a link without a target";
    }
}

static int describe(ds_unpack *u, struct archive_entry *e, ds_member *m)
{
    u->open_member = true;
    if (archive_format(u->a) == ARCHIVE_FORMAT_RAW)
        return 1;
    const char *name = u->limits.whole ? NULL : archive_entry_pathname_utf8(e);
    if (!name)
        name = archive_entry_pathname(e);
    m->why = name ? clean_name(u, &u->clean, name) : "its name is not UTF-8";
    if (!m->why && archive_entry_is_data_encrypted(e))
        m->why = "it is encrypted";
    m->name = m->why ? (name ? name : "?") : ds_buf_cstr(&u->clean);
    if (!m->name) {
        m->name = "?";
        m->why = "out of memory";
    }
    if (m->why)
        m->kind = DS_MEMBER_REFUSED;
    else if (archive_entry_hardlink(e) || archive_entry_filetype(e) == AE_IFLNK)
        m->kind = DS_MEMBER_LINK;
    else if (archive_entry_filetype(e) != AE_IFREG)
        m->kind = DS_MEMBER_SPECIAL;
    if (u->limits.whole)
        describe_whole(u, e, m);
    return 1;
}

static int next_member(ds_unpack *u, ds_member *m, ds_err *err)
{
    struct archive_entry *e;
    memset(m, 0, sizeof *m);
    for (;;) {
        if (u->at_end)
            return 0;
        const bool anew = u->anew;
        u->goes_on = u->anew = false;
        int rc = anew ? begin_anew(u, err) : discard(u, err);
        if (rc != 0)
            return rc;
        if ((rc = header(u, &e, err)) < 0)
            return rc;
        if (rc == 0) {
            /* A compressed file of no bytes at all is a file of no bytes. */
            bool empty = u->first && archive_format(u->a) == ARCHIVE_FORMAT_EMPTY;
            u->first = false;
            u->at_end = true;
            return empty;
        }
        u->first = false;
        if (u->limits.max_members && ++u->members > u->limits.max_members)
            return ds_fail(err, DS_FAIL,
                           "%s: has more than %" PRIu64 " members: not unpacked any further",
                           u->name, u->limits.max_members);
        u->open_member = true;
        if (u->limits.whole || archive_entry_filetype(e) != AE_IFDIR ||
            archive_format(u->a) == ARCHIVE_FORMAT_RAW)
            return describe(u, e, m);
    }
}

int ds_unpack_next(ds_unpack *u, ds_member *m, ds_err *err)
{
    locale_t old = u->locale ? uselocale(u->locale) : (locale_t)0;
    int rc = next_member(u, m, err);
    if (old)
        uselocale(old);
    return rc;
}

bool ds_unpack_place(ds_unpack *u, uint64_t *offset, uint64_t *size)
{
    if (!u->open_member || !u->seekable || u->packing != DS_PACK_TAR || !u->now ||
        archive_filter_code(u->a, 0) != ARCHIVE_FILTER_NONE ||
        archive_entry_filetype(u->now) != AE_IFREG || !archive_entry_size_is_set(u->now) ||
        archive_entry_sparse_count(u->now) > 0)
        return false;
    int64_t at = archive_filter_bytes(u->a, 0), n = archive_entry_size(u->now);
    if (at <= 0 || n <= 0 || (uint64_t)at > u->size || (uint64_t)n > u->size - (uint64_t)at)
        return false;
    *offset = (uint64_t)at;
    *size = (uint64_t)n;
    u->placed = true;
    u->next = *offset + (*size + 511) / 512 * 512;
    return true;
}

/* The current member failed. Where libarchive lost its way for good there may be another one. */
static la_ssize_t lost(ds_unpack *u, int rc)
{
    u->nblock = 0;
    u->open_member = false;
    u->anew =
        rc == ARCHIVE_FATAL && u->packing == DS_PACK_ZIP && u->seekable && u->reread < REREAD_MAX;
    u->goes_on = !u->inner.code && (rc != ARCHIVE_FATAL || u->anew);
    return -1;
}

/* As archive_read_data, which would forget what it has when what follows is damaged. */
static la_ssize_t read_block(ds_unpack *u, uint8_t *to, size_t n)
{
    const bool tar = (archive_format(u->a) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR;
    const void *p = NULL;
    la_int64_t at = 0;
    while (u->nblock == 0 && u->hole == 0) {
        const int rc = archive_read_data_block(u->a, &p, &u->nblock, &at);
        if (rc == ARCHIVE_EOF) { /* a file with holes may end with one */
            const la_int64_t size = tar && u->now ? archive_entry_size(u->now) : 0;
            u->nblock = 0;
            if (size < 0 || (uint64_t)size <= u->pos)
                return 0;
            u->hole = (uint64_t)size - u->pos;
            break;
        }
        if (rc != ARCHIVE_OK)
            return lost(u, rc);
        u->block = p;
        u->hole = at > 0 && (uint64_t)at > u->pos ? (uint64_t)at - u->pos : 0;
    }
    if (u->hole > 0) {
        n = u->hole < n ? (size_t)u->hole : n;
        memset(to, 0, n);
        u->hole -= n;
        u->out += u->z_on ? n : 0; /* what z_gave did not count: it came out of nothing */
    } else {
        n = n < u->nblock ? n : u->nblock;
        memcpy(to, u->block, n);
        u->block += n;
        u->nblock -= n;
    }
    u->pos += n;
    return (la_ssize_t)n;
}

int ds_unpack_read(ds_unpack *u, void *buf, size_t n, size_t *got, ds_err *err)
{
    *got = 0;
    while (u->open_member && *got < n) {
        const la_ssize_t k = read_block(u, (uint8_t *)buf + *got, n - *got);
        if (k < 0 || u->inner.code)
            return broken(u, err);
        if (k == 0) {
            u->open_member = false;
            break;
        }
        *got += (size_t)k;
        u->out += u->z_on ? 0 : (uint64_t)k;
        const int rc = over_limit(u, u->out, err);
        u->over = rc != 0;
        if (rc != 0)
            return rc;
    }
    return 0;
}

bool ds_unpack_over(const ds_unpack *u)
{
    return u->over;
}
