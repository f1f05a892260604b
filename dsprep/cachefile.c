/* cachefile.c - see cachefile.h. */
#include "cachefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "storefind.h"
#include "xxh.h"

enum { SUM = 16, TAIL = 1 + SUM };

/* Everything there is to be read when it is sound, and with this head; else nothing. */
static void load(ds_cachefile *f)
{
    struct stat st;
    int fd = ds_io_active->open(f->path, O_RDONLY | O_CLOEXEC, 0);

    if (fd < 0)
        return;
    if (ds_io_active->fstat(fd, &st) == 0 && st.st_size >= (off_t)(f->head_len + TAIL)) {
        const size_t len = (size_t)st.st_size;
        void *p = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p != MAP_FAILED) {
            const uint8_t *b = p;
            const ds_x128 is = ds_xxh128(b, len - SUM);
            if (memcmp(b, f->head, f->head_len) == 0 && b[len - TAIL] == DS_CACHE_END &&
                memcmp(b + len - SUM, is.b, SUM) == 0) {
                f->old = b;
                f->len = len - TAIL;
                f->mapped = len;
            } else {
                munmap(p, len);
            }
        }
    }
    (void)ds_close(&fd, f->path, NULL);
}

/* Adds where an input lies, with a NUL. */
static int add_place(ds_buf *names, const char *input, ds_err *err)
{
    struct stat st;
    const bool pipe = strcmp(input, "-") == 0 || (stat(input, &st) == 0 && S_ISFIFO(st.st_mode));
    char *full = pipe ? NULL : realpath(input, NULL);

    if (!pipe && !full)
        return ds_fail_errno(err, errno, "%s", input);
    const char *place = pipe ? "-" : full;
    const int bad = ds_buf_put(names, place, strlen(place) + 1);
    free(full);
    return bad ? ds_fail_nomem(err) : 0;
}

static int path_of(ds_cachefile *f, const ds_cachefile_name *name, ds_err *err)
{
    ds_buf names = {0};
    int rc = 0;

    for (size_t i = 0; !rc && i < name->ninputs; i++)
        rc = add_place(&names, name->inputs[i], err);
    if (!rc && ds_buf_puts(&names, name->kind))
        rc = ds_fail_nomem(err);
    const ds_x128 h = ds_xxh128(names.data, names.len);
    ds_buf_reset(&names);
    if (!rc && (ds_buf_printf(&names, "%s/" DS_STORE_FILES "/%s", name->dir, name->prefix) ||
                ds_buf_hex(&names, h.b, sizeof h.b) || !ds_buf_cstr(&names) ||
                !(f->path = strdup((const char *)names.data))))
        rc = ds_fail_nomem(err);
    ds_buf_fini(&names);
    return rc;
}

int ds_cachefile_open(ds_cachefile *f, const ds_cachefile_name *name, const void *head,
                      size_t head_len, ds_err *err)
{
    char *folder = NULL;

    *f = (ds_cachefile){.head_len = head_len, .file.fd = -1};
    memcpy(f->head, head, head_len);
    f->sum = XXH3_createState();
    int rc = f->sum ? path_of(f, name, err) : ds_fail_nomem(err);
    rc = rc ? rc : ds_store_path(&folder, name->dir, DS_STORE_FILES, err);
    rc = rc ? rc : ds_mkdirs(folder, err);
    free(folder);
    if (!rc)
        load(f);
    return rc;
}

static int write(ds_cachefile *f, const void *p, size_t n, ds_err *err)
{
    ds_xxh3_128_put(f->sum, p, n);
    return ds_out_put(&f->out, p, n, err);
}

int ds_cachefile_put(ds_cachefile *f, const void *p, size_t n, ds_err *err)
{
    int rc = 0;

    if (!f->writing) {
        rc = ds_atomic_open(&f->file, f->path, 0666, err);
        if (rc)
            return rc;
        f->writing = true;
        XXH3_128bits_reset(f->sum);
        rc = ds_out_init(&f->out, f->file.fd, f->path, err);
        rc = rc ? rc : write(f, f->head, f->head_len, err);
    }
    return rc ? rc : write(f, p, n, err);
}

int ds_cachefile_keep(ds_cachefile *f, ds_err *err)
{
    static const uint8_t end = DS_CACHE_END;
    int rc = ds_cachefile_put(f, &end, 1, err);

    if (!rc) {
        XXH128_canonical_t sum;
        XXH128_canonicalFromHash(&sum, XXH3_128bits_digest(f->sum));
        rc = ds_out_put(&f->out, sum.digest, sizeof sum.digest, err);
    }
    rc = rc ? rc : ds_out_flush(&f->out, err);
    rc = rc ? rc : ds_atomic_commit(&f->file, err);
    f->writing = rc != 0;
    return rc;
}

void ds_cachefile_fini(ds_cachefile *f)
{
    if (f->old)
        munmap((void *)(uintptr_t)f->old, f->mapped);
    ds_out_fini(&f->out);
    if (f->writing)
        ds_atomic_abort(&f->file);
    XXH3_freeState(f->sum);
    free(f->path);
    *f = (ds_cachefile){.file.fd = -1};
}

int ds_cachefile_add_chunk(ds_buf *record, const ds_sha *of, const ds_refs *refs)
{
    size_t n;
    const ds_pieceref *p = ds_refs_pieces(refs, &n);
    int bad = ds_buf_putc(record, DS_CACHE_CHUNK) || ds_buf_put(record, of, sizeof *of) ||
              ds_buf_varint(record, n);

    for (size_t i = 0; !bad && i < n; i++)
        bad = ds_buf_varint(record, p[i].len) || ds_buf_put(record, &p[i].id, sizeof p[i].id);
    return bad ? DS_NOMEM : 0;
}

int ds_cachefile_get_chunk(const uint8_t *p, size_t len, size_t *at, ds_sha *of, ds_refs *refs)
{
    uint64_t n, bytes;
    size_t i = *at;
    ds_sha id;

    if (i >= len || p[i++] != DS_CACHE_CHUNK || len - i < sizeof *of)
        return 0;
    memcpy(of, p + i, sizeof *of);
    i += sizeof *of;
    if (!ds_varint_get(p, len, &i, &n))
        return 0;
    for (; n > 0; n--, i += sizeof id) {
        if (!ds_varint_get(p, len, &i, &bytes) || bytes > UINT32_MAX || len - i < sizeof id)
            return 0;
        memcpy(&id, p + i, sizeof id);
        if (refs && ds_refs_piece(refs, &id, (uint32_t)bytes))
            return DS_NOMEM;
    }
    *at = i;
    return 1;
}
