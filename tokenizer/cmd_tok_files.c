/* cmd_tok_files.c - see cmd_tok_files.h. A file is read twice: a bad byte at its end must not leave
 * its beginning counted. */
#include "cmd_tok_files.h"
#include "cmd_tok_records.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"
#include "sig.h"
#include "spool.h"
#include "strlist.h"
#include "term.h"
#include "tok_train.h"
#include "utf8.h"

#define PART ((size_t)4 << 20)
#define PART_MAX ((size_t)1 << 30)
#define SHOWN 20
#define DEPTH_MAX 256

static int skip_file(tok_reader *r, ds_err *why, ds_err *err)
{
    if (!r->skip || why->code == DS_NOMEM)
        return ds_fail_as(err, why);
    r->unread += ds_is_io(why->code);
    if (++r->skipped <= SHOWN)
        ds_warn("%s: skipped", why->msg);
    return 0;
}

int tok_hand_over(tok_reader *r, ds_buf *part, bool all, ds_err *err)
{
    size_t cut = part->len;
    if (!all && !r->whole)
        cut = ds_words_cut(part->data, part->len, part->len - part->len / 8);
    if (cut == 0)
        return 0;
    if (!all && cut == part->len) /* a word without end: read on */
        return part->len < PART_MAX ? 0 : ds_fail(err, DS_FAIL, "1 GiB without a place to cut");
    ds_buf rest = {0};
    if (ds_buf_put(&rest, part->data + cut, part->len - cut) != 0)
        return ds_fail_nomem(err);
    part->len = cut;
    int rc = r->fn(r->ctx, part, err);
    r->offset += cut;
    ds_buf_fini(part);
    *part = rest;
    return rc;
}

static int read_part(int fd, const char *path, ds_buf *part, size_t *got, ds_err *err)
{
    if (ds_buf_reserve(part, PART) != 0)
        return ds_fail_nomem(err);
    int rc = ds_read_full(fd, path, part->data + part->len, PART, got, err);
    if (rc == 0)
        part->len += *got;
    return rc;
}

static int check_text(int fd, const char *path, ds_err *err)
{
    ds_utf8_state u = {0};
    ds_buf part = {0};
    size_t got = PART;
    int rc = 0;
    bool good = true;
    while (rc == 0 && got == PART && good) {
        ds_buf_reset(&part);
        rc = ds_check_interrupt(err);
        if (rc == 0)
            rc = read_part(fd, path, &part, &got, err);
        good = rc == 0 && ds_utf8_feed(&u, part.data, part.len);
    }
    if (rc == 0 && (!good || !ds_utf8_end(&u)))
        rc = ds_fail(err, DS_FAIL, "%s: not UTF-8 at byte %" PRIu64, path, u.offset);
    ds_buf_fini(&part);
    return rc;
}

static int feed_text(tok_reader *r, int fd, const char *path, ds_err *err)
{
    ds_buf part = {0};
    size_t got = PART;
    int rc = 0;
    r->path = path;
    r->offset = 0;
    while (rc == 0 && got == PART) {
        rc = ds_check_interrupt(err);
        if (rc == 0)
            rc = read_part(fd, path, &part, &got, err);
        if (rc == 0)
            r->bytes += got;
        if (rc == 0)
            rc = tok_hand_over(r, &part, got < PART, err);
    }
    if (rc == DS_FAIL)
        ds_err_prefix(err, "%s", path);
    ds_buf_fini(&part);
    return rc;
}

static int read_file(tok_reader *r, int fd, const char *path, ds_err *err)
{
    uint8_t head[16];
    size_t n = 0;
    ds_err why = {0};
    int rc = ds_read_full(fd, path, head, sizeof head, &n, &why);
    if (rc == 0 && tok_is_records(head, n))
        return tok_read_records(r, head, n, fd, path, err);
    if (rc == 0 && lseek(fd, 0, SEEK_SET) != 0)
        return ds_fail_errno(err, errno, "%s", path);
    rc = rc ? rc : check_text(fd, path, &why);
    if (rc != 0)
        return ds_interrupted() ? ds_check_interrupt(err) : skip_file(r, &why, err);
    if (lseek(fd, 0, SEEK_SET) != 0)
        return ds_fail_errno(err, errno, "%s", path);
    r->files++;
    return feed_text(r, fd, path, err);
}

/* What cannot be read twice is kept first: in memory, or in a temporary file. */
static int read_stream(tok_reader *r, int fd, const char *path, ds_err *err)
{
    ds_spool text = {0};
    ds_buf part = {0};
    size_t got = PART, len = 0;
    const uint8_t *p = NULL;
    int rc = 0;
    uint8_t head[16];
    rc = ds_read_full(fd, path, head, sizeof head, &len, err);
    if (rc == 0 && tok_is_records(head, len))
        return tok_read_records(r, head, len, fd, path, err);
    rc = rc ? rc : ds_spool_put(&text, head, len, err);
    while (rc == 0 && got == PART) {
        ds_buf_reset(&part);
        rc = ds_check_interrupt(err);
        if (rc == 0)
            rc = read_part(fd, path, &part, &got, err);
        if (rc == 0)
            rc = ds_spool_put(&text, part.data, part.len, err);
    }
    if (rc == 0)
        rc = ds_spool_view(&text, &p, &len, err);
    size_t good = rc == 0 ? ds_utf8_check(p, len) : 0;
    if (rc == 0 && good < len) {
        ds_err why = {0};
        ds_fail(&why, DS_FAIL, "%s: not UTF-8 at byte %zu", path, good);
        rc = skip_file(r, &why, err);
        len = 0;
    } else if (rc == 0) {
        r->files++;
    }
    r->path = path;
    if (r->whole && len > PART_MAX && rc == 0)
        rc = ds_fail(err, DS_FAIL, "%s: 1 GiB without a place to cut", path);
    for (size_t at = 0; at < len && rc == 0;) {
        r->offset = at;
        size_t n = len - at > PART && !r->whole ? ds_words_cut(p + at, len - at, PART) : len - at;
        ds_buf_reset(&part);
        rc = ds_buf_put(&part, p + at, n) == 0 ? r->fn(r->ctx, &part, err) : ds_fail_nomem(err);
        at += n;
        r->bytes += n;
        ds_spool_release(&text, at);
    }
    ds_buf_fini(&part);
    ds_spool_fini(&text);
    return rc;
}

static int read_path(tok_reader *r, const char *path, bool operand, int depth, ds_err *err);

static int read_folder(tok_reader *r, int fd, const char *path, int depth, ds_err *err)
{
    ds_strlist names = {0};
    ds_buf b = {0};
    ds_err why = {0};
    int rc = ds_strlist_folder_at(&names, fd, path, &why);
    if (rc != 0)
        rc = skip_file(r, &why, err);
    for (size_t i = 0; i < names.n && rc == 0; i++) {
        const char *full = NULL;
        size_t len = strlen(path);
        if (ds_path_is_store(fd, names.v[i])) /* its packs are no texts, its catalog none of ours */
            continue;
        ds_buf_reset(&b);
        if (ds_buf_printf(&b, "%s%s%s", path, len > 0 && path[len - 1] == '/' ? "" : "/",
                          names.v[i]) == 0)
            full = ds_buf_cstr(&b);
        rc = full != NULL ? read_path(r, full, false, depth + 1, err) : ds_fail_nomem(err);
    }
    close(fd);
    ds_strlist_fini(&names);
    ds_buf_fini(&b);
    return rc;
}

static int read_path(tok_reader *r, const char *path, bool operand, int depth, ds_err *err)
{
    struct stat st, link;
    ds_err why = {0};
    int fd = -1;
    /* Only what an operand names may be a pipe: opening one in a folder could wait for ever. */
    if (stat(path, &st) != 0 || lstat(path, &link) != 0)
        ds_fail_errno(&why, errno, "%s", path);
    else if (!operand && S_ISDIR(st.st_mode) && S_ISLNK(link.st_mode))
        ds_fail(&why, DS_FAIL, "%s: a link to a folder", path);
    else if (!operand && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        ds_fail(&why, DS_FAIL, "%s: not a file", path);
    else if (depth > DEPTH_MAX)
        ds_fail(&why, DS_FAIL, "%s: folders nest too deeply", path);
    else
        ds_open(&fd, path, O_RDONLY, 0, &why);
    if (why.code != 0)
        return skip_file(r, &why, err);
    if (S_ISDIR(st.st_mode))
        return read_folder(r, fd, path, depth, err);
    int rc = S_ISREG(st.st_mode) ? read_file(r, fd, path, err) : read_stream(r, fd, path, err);
    ds_close(&fd, path, NULL);
    return rc;
}

int tok_read_operand(tok_reader *r, const char *path, ds_err *err)
{
    if (strcmp(path, "-") == 0)
        return read_stream(r, STDIN_FILENO, "standard input", err);
    return read_path(r, path, true, 0, err);
}
