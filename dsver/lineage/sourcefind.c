/* sourcefind.c - see sourcefind.h. */
#include "sourcefind.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "child.h"
#include "io.h"
#include "sig.h"

#define DIGEST_MAX ((off_t)256 << 20)

/* ---- what is there ---- */

static int add_file(ds_sourcefind *f, size_t root, const FTSENT *e, ds_err *err)
{
    if (ds_grow(&f->v, &f->cap, f->n, sizeof *f->v))
        return ds_fail_nomem(err);
    ds_foundfile *x = &f->v[f->n];
    *x = (ds_foundfile){.path = strdup(e->fts_path), .root = root};
    if (!x->path)
        return ds_fail_nomem(err);
    f->n++;
    if (e->fts_level > 0) {
        x->name = x->path + strlen(f->roots[root]);
        x->name += strspn(x->name, "/");
    } else {
        const char *slash = strrchr(x->path, '/');
        x->name = slash ? slash + 1 : x->path;
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const ds_foundfile *)a)->name, ((const ds_foundfile *)b)->name);
}

static int list_root(ds_sourcefind *f, size_t root, ds_err *err)
{
    char *const paths[] = {ds_child_arg(f->roots[root]), NULL};
    const size_t from = f->n;
    int rc = 0;
    FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
    if (!walk)
        return ds_fail_errno(err, errno, "--source %s", f->roots[root]);
    errno = 0;
    for (FTSENT *e; !rc && (e = fts_read(walk)) != NULL;) {
        rc = ds_check_interrupt(err);
        if (rc)
            break;
        if (e->fts_info == FTS_D && e->fts_level == 0)
            f->folder[root] = true;
        else if (e->fts_info == FTS_F)
            rc = add_file(f, root, e, err);
        else if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS)
            rc = ds_fail_errno(err, e->fts_errno, "%s", e->fts_path);
        errno = 0;
    }
    if (!rc && errno)
        rc = ds_fail_errno(err, errno, "--source %s", f->roots[root]);
    fts_close(walk);
    if (!rc && f->n > from)
        qsort(f->v + from, f->n - from, sizeof *f->v, by_name);
    return rc;
}

static int by_name_in_order(const void *a, const void *b)
{
    const ds_foundfile *x = *(ds_foundfile *const *)a, *y = *(ds_foundfile *const *)b;
    const int c = strcmp(x->name, y->name);
    return c ? c : (x > y) - (x < y);
}

static int list_top(ds_sourcefind *f, ds_err *err)
{
    f->top = calloc(f->n + 1, sizeof(ds_foundfile *));
    if (!f->top)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < f->n; i++)
        if (!strchr(f->v[i].name, '/'))
            f->top[f->ntop++] = &f->v[i];
    qsort(f->top, f->ntop, sizeof(ds_foundfile *), by_name_in_order);
    return 0;
}

int ds_sourcefind_open(ds_sourcefind *f, const char *const *roots, size_t n, ds_err *err)
{
    *f = (ds_sourcefind){.roots = roots, .nroots = n, .folder = calloc(n + 1, sizeof(bool))};
    int rc = f->folder ? 0 : ds_fail_nomem(err);
    for (size_t i = 0; !rc && i < n; i++)
        rc = list_root(f, i, err);
    return rc ? rc : list_top(f, err);
}

void ds_sourcefind_close(ds_sourcefind *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->v[i].path);
    free(f->v);
    free(f->top);
    free(f->folder);
    *f = (ds_sourcefind){0};
}

/* ---- one source ---- */

/* Whether a source has this file's name, or is a member of it. */
static bool is_of(const ds_source *s, const ds_foundfile *x, bool *member)
{
    const size_t n = strlen(x->name);
    *member = s->len > n && s->name[n] == '/';
    return s->len >= n && memcmp(s->name, x->name, n) == 0 && (s->len == n || *member);
}

/* Compressed: what is recorded is what it holds. */
static int looks_packed(const char *path, bool *packed, ds_err *err)
{
    static const struct {
        uint8_t n, p[6];
    } magic[] = {{2, {0x1f, 0x8b}},
                 {6, {0xfd, '7', 'z', 'X', 'Z', 0}},
                 {4, {0x28, 0xb5, 0x2f, 0xfd}},
                 {3, {'B', 'Z', 'h'}}};
    uint8_t head[6];
    size_t got = 0;
    int fd = -1, rc = ds_open(&fd, path, O_RDONLY, 0, err);
    rc = rc ? rc : ds_read_full(fd, path, head, sizeof head, &got, err);
    ds_close(&fd, path, NULL);
    *packed = false;
    for (size_t i = 0; i < sizeof magic / sizeof *magic; i++)
        *packed |= got >= magic[i].n && memcmp(head, magic[i].p, magic[i].n) == 0;
    return rc;
}

static int check(ds_sourcefind *f, ds_foundfile *x, const ds_source *s, bool member, ds_err *err)
{
    bool packed = member;
    char want[65], is[65];
    uint64_t size = 0;
    x->source = true;
    if (f->lenient)
        return 0;
    int rc = member ? 0 : looks_packed(x->path, &packed, err);
    if (rc || packed) {
        f->packed += !rc;
        return rc;
    }
    rc = ds_sha_file(&x->sha, &size, x->path, err);
    x->hashed = !rc;
    if (rc || (size == s->size && ds_sha_eq(&x->sha, &s->sha)))
        return rc;
    ds_sha_hex(want, &s->sha);
    ds_sha_hex(is, &x->sha);
    return ds_fail(err, DS_FAIL,
                   "source '%s' differs: recorded %" PRIu64 " bytes, sha256:%s; %s has %" PRIu64
                   ", sha256:%s",
                   x->name, s->size, want, x->path, size, is);
}

static int missing(const ds_source *s, ds_err *err)
{
    return ds_fail(err, DS_FAIL, "source '%.*s' is not found under --source", (int)s->len, s->name);
}

/* ---- all of them ---- */

/* The roots as they are: everything below one after the other, as when they were operands. */
static int whole(ds_sourcefind *f, ds_argv *out, const ds_sourcelist *want, bool extras,
                 ds_err *err)
{
    ds_source s;
    size_t pos = 0, at = 0; /* at: where the next one is, once that was looked for */
    bool have = ds_sourcelist_next(want, &pos, &s), member = false;
    int rc = 0;
    for (size_t i = 0; !rc && i < f->n; i++) {
        ds_foundfile *x = &f->v[i];
        if (have && is_of(&s, x, &member)) {
            rc = check(f, x, &s, member, err);
            have = ds_sourcelist_next(want, &pos, &s);
            while (member && have && is_of(&s, x, &member) && member)
                have = ds_sourcelist_next(want, &pos, &s);
            continue;
        }
        for (size_t k = i + 1; have && k < f->n && at <= i; k++)
            at = is_of(&s, &f->v[k], &member) ? k : at;
        if (have && at <= i)
            rc = missing(&s, err);
        else if (!extras)
            rc = ds_fail(err, DS_FAIL,
                         "%s is under --source and was no source of the version: name the inputs "
                         "as they were given, each with --source",
                         x->path);
    }
    if (!rc && have)
        rc = missing(&s, err);
    for (size_t i = 0; !rc && i < f->nroots; i++)
        rc = ds_argv_add(out, f->roots[i], err);
    return rc;
}

/* Against the name of the file that a source is, or is a member of, when that lies at a top. */
static int against_first(const char *name, const char *source, size_t n)
{
    const size_t len = strlen(name);
    const int c = memcmp(name, source, len < n ? len : n);
    return c ? c : (len > n) - (len < n);
}

/* The file at the top of a folder, or named itself, that a source is, or is a member of. */
static ds_foundfile *at_top(const ds_sourcefind *f, const ds_source *s, bool *member)
{
    const char *slash = memchr(s->name, '/', s->len);
    const size_t n = slash ? (size_t)(slash - s->name) : s->len;
    size_t lo = 0, hi = f->ntop;
    *member = slash != NULL;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (against_first(f->top[mid]->name, s->name, n) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < f->ntop && against_first(f->top[lo]->name, s->name, n) == 0 ? f->top[lo] : NULL;
}

/* Inputs that were files: each is one operand. 1: these sources cannot have come so. */
static int each(ds_sourcefind *f, ds_argv *out, const ds_sourcelist *want, ds_err *err)
{
    ds_source s;
    size_t pos = 0;
    bool member = false, have;
    int rc = 0;
    while (ds_sourcelist_next(want, &pos, &s))
        if (memchr(s.name, '/', s.len) && !at_top(f, &s, &member))
            return 1;
    pos = 0;
    have = ds_sourcelist_next(want, &pos, &s);
    while (!rc && have) {
        ds_foundfile *x = at_top(f, &s, &member);
        if (!x)
            return missing(&s, err);
        rc = check(f, x, &s, member, err);
        rc = rc ? rc : ds_argv_add(out, x->path, err);
        have = ds_sourcelist_next(want, &pos, &s);
        while (member && have && is_of(&s, x, &member) && member)
            have = ds_sourcelist_next(want, &pos, &s);
    }
    return rc;
}

/* Whether the files are the sources, all of them and in this order: by their names alone. */
static bool same_names(const ds_sourcefind *f, const ds_sourcelist *want)
{
    ds_source s;
    size_t pos = 0, i = 0;
    bool member = false, have = ds_sourcelist_next(want, &pos, &s);
    for (; have && i < f->n && is_of(&s, &f->v[i], &member); i++) {
        have = ds_sourcelist_next(want, &pos, &s);
        while (member && have && is_of(&s, &f->v[i], &member) && member)
            have = ds_sourcelist_next(want, &pos, &s);
    }
    return !have && i == f->n;
}

int ds_sourcefind_operands(ds_sourcefind *f, ds_argv *out, const ds_sourcelist *want, bool extras,
                           bool alone, ds_err *err)
{
    int rc = 1;
    if (want->n == 0)
        return ds_fail(err, DS_FAIL, "the version does not tell what its sources were");
    if (alone || !same_names(f, want))
        rc = each(f, out, want, err);
    return rc > 0 ? whole(f, out, want, extras, err) : rc;
}

int ds_sourcefind_digest(ds_sourcefind *f, const ds_sha *sha, const char **path, ds_err *err)
{
    struct stat st;
    int rc = 0;
    *path = NULL;
    for (size_t i = 0; !rc && !*path && i < f->n; i++) {
        ds_foundfile *x = &f->v[i];
        if (!x->hashed && stat(x->path, &st) == 0 && st.st_size <= DIGEST_MAX) {
            rc = ds_sha_file(&x->sha, NULL, x->path, err);
            x->hashed = !rc;
        }
        if (!rc && x->hashed && ds_sha_eq(&x->sha, sha))
            *path = x->path;
        rc = rc ? rc : ds_check_interrupt(err);
    }
    return rc;
}
