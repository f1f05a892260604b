/* feed.c - see feed.h. */
#include "feed.h"

#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "io.h"

const char DS_FEED_BYTES[] = "bytes";

bool ds_feed_as_is(const char *encoding)
{
    return encoding == DS_FEED_BYTES || ds_charset_is_utf8(encoding);
}

const char *ds_feed_mark(const char *encoding, const uint8_t *p, size_t len, size_t *mark)
{
    *mark = 0;
    /* In any other encoding these bytes are letters. */
    if (encoding && strncasecmp(encoding, "UTF", 3) != 0 && strncasecmp(encoding, "UCS", 3) != 0)
        return NULL;
    return ds_charset_bom(p, len, mark);
}

int ds_feed_begin(ds_feed *f, ds_err *err)
{
    struct stat st;
    f->had = !f->unpack && ds_io_active->fstat(f->fd, &st) == 0 && S_ISREG(st.st_mode)
                 ? (uint64_t)st.st_size
                 : 0;
    return ds_hasher_reset(f->hasher, err);
}

/* Raw bytes: what was read ahead, then the member or the file. *got < n only at the end. */
static int read_raw(ds_feed *f, uint8_t *buf, size_t n, size_t *got, ds_err *err)
{
    size_t k = f->nhead < n ? f->nhead : n;
    int rc = 0;
    if (k > 0)
        memcpy(buf, f->head, k);
    f->head += k;
    f->nhead -= k;
    *got = k;
    if (k < n) {
        size_t more = 0;
        if (f->unpack)
            rc = ds_unpack_read(f->unpack, buf + k, n - k, &more, err);
        else
            rc = ds_read_full(f->fd, f->name, buf + k, n - k, &more, err);
        *got += more;
    }
    f->taken += *got;
    if (rc == 0 && *got < n && f->had > 0)
        rc = ds_read_ended(f->fd, f->name, f->had, f->taken, err);
    f->lost = rc != 0;
    return rc;
}

/* Looks for a mark and sets up the conversion. *skip counts bytes that are not handed on. */
static int set_up(ds_feed *f, const uint8_t *p, size_t len, size_t *skip, ds_err *err)
{
    size_t mark;
    const char *name = ds_feed_mark(f->encoding, p, len, &mark);
    f->started = true;
    *skip = mark;
    if (!name)
        name = f->encoding;
    if (!name || ds_feed_as_is(name))
        return 0;
    return ds_charset_new(&f->charset, name, err);
}

static int convert(ds_feed *f, size_t skip, ds_buf *out, ds_err *err)
{
    size_t before = out->len;
    int rc = ds_charset_feed(f->charset, f->raw.data + skip, f->raw.len - skip, f->eof, out, err);
    f->size += out->len - before;
    if (out->len > before) {
        int hrc = ds_hasher_put(f->hasher, out->data + before, out->len - before, err);
        if (rc == 0)
            rc = hrc;
    }
    return rc;
}

int ds_feed_fill(ds_feed *f, ds_buf *out, size_t n, ds_err *err)
{
    bool plain = f->started && !f->charset;
    ds_buf *to = plain ? out : &f->raw;
    size_t got = 0, skip = 0;
    if (!plain)
        f->raw.len = 0;
    if (f->eof)
        return 0;
    if (ds_buf_reserve(to, n) != 0)
        return ds_fail_nomem(err);
    int rc = read_raw(f, to->data + to->len, n, &got, err);
    to->len += got;
    if (rc == 0 && got < n)
        f->eof = true;
    if (plain) {
        f->size += got;
        int hrc = got ? ds_hasher_put(f->hasher, to->data + to->len - got, got, err) : 0;
        return rc ? rc : hrc;
    }
    if (!f->started) {
        int src = set_up(f, f->raw.data, f->raw.len, &skip, err);
        if (src != 0)
            return src;
    }
    if (f->charset) {
        int crc = convert(f, skip, out, err);
        return rc ? rc : crc;
    }
    /* The first bytes of plain UTF-8: a mark is part of the source but not of the text. */
    f->size += f->raw.len;
    if (f->raw.len > 0 && (ds_hasher_put(f->hasher, f->raw.data, f->raw.len, err) != 0 ||
                           ds_buf_put(out, f->raw.data + skip, f->raw.len - skip) != 0))
        return ds_fail_nomem(err);
    f->raw.len = skip; /* kept for ds_feed_start */
    return rc;
}

uint64_t ds_feed_start(const ds_feed *f)
{
    return f->charset ? 0 : f->raw.len;
}

int ds_feed_end(ds_feed *f, uint64_t *size, ds_sha *sha, ds_err *err)
{
    *size = f->size;
    return ds_hasher_end(f->hasher, sha, err);
}

void ds_feed_fini(ds_feed *f)
{
    ds_charset_free(f->charset);
    ds_buf_fini(&f->raw);
    f->charset = NULL;
}
