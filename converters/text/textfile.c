/* textfile.c - see textfile.h. */
#include "textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "charset.h"
#include "feed.h"
#include "io.h"
#include "sig.h"

#define SMALL (1u << 20)  /* larger files are streamed */
#define BUDGET (4u << 20) /* bytes of files in one job */

void ds_filejob_reset(ds_filejob *j)
{
    j->n = 0;
    j->words.len = j->data.len = 0;
    ds_textbatch_reset(&j->batch);
    ds_err_clear(&j->err);
}

void ds_filejob_fini(ds_filejob *j)
{
    ds_buf_fini(&j->words);
    ds_buf_fini(&j->data);
    ds_textbatch_fini(&j->batch);
    ds_csv_fini(&j->csv);
    ds_hasher_free(j->hasher);
    memset(j, 0, sizeof *j);
}

static int add_word(ds_filejob *j, const char *s, size_t *at)
{
    *at = j->words.len;
    return ds_buf_put(&j->words, s, strlen(s) + 1);
}

int ds_filejob_add(ds_filejob *j, const ds_walk_entry *e, ds_err *err)
{
    ds_fileitem *i = &j->v[j->n];
    memset(i, 0, sizeof *i);
    i->kind = e->kind;
    i->operand = e->operand;
    i->pipe = e->pipe;
    i->reason = e->reason;
    i->state = e->kind == DS_WALK_PROBLEM ? DS_FILE_PROBLEM
               : e->pipe                  ? DS_FILE_STREAM
                                          : DS_FILE_WAITS;
    if (add_word(j, e->path, &i->path) != 0 || add_word(j, e->name, &i->name) != 0 ||
        (e->message && add_word(j, e->message, &i->why) != 0))
        return ds_fail_nomem(err);
    j->n++;
    return 0;
}

int ds_textfile_open(int *fd, const char *path, bool operand, bool pipe, ds_err *err)
{
    int flags =
        O_RDONLY | O_CLOEXEC | O_NOCTTY | (operand ? 0 : O_NOFOLLOW) | (pipe ? 0 : O_NONBLOCK);
    do
        *fd = ds_io_active->open(path, flags, 0);
    while (*fd < 0 && errno == EINTR && !ds_interrupted());
    if (*fd < 0)
        return ds_fail_errno(err, errno, "cannot open");
    struct stat st;
    if (ds_io_active->fstat(*fd, &st) != 0) {
        int rc = ds_fail_errno(err, errno, "cannot look at it");
        ds_close(fd, path, NULL);
        return rc;
    }
    if (!S_ISREG(st.st_mode) && !pipe) {
        ds_close(fd, path, NULL);
        return ds_fail(err, DS_FAIL, "it is not a regular file any more");
    }
    return 0;
}

static int refuse(ds_filejob *j, ds_fileitem *i, const char *reason, const char *why)
{
    i->state = DS_FILE_PROBLEM;
    i->reason = reason;
    return add_word(j, why, &i->why) == 0 ? 0 : ds_fail_nomem(&j->err);
}

/* Reads the file into the job's data, which has room. False when it is not for this road. Which
 * road a file takes depends on the file alone: one that finds no room waits for a job of its own.
 */
static bool slurp(ds_filejob *j, ds_fileitem *i, int fd, size_t room, ds_err *err)
{
    struct stat st;
    uint8_t *to = j->data.data + j->data.len;
    size_t len = 0;
    if (ds_io_active->fstat(fd, &st) != 0 || st.st_size > (off_t)SMALL)
        return false;
    if ((size_t)st.st_size + 1 > room) {
        i->state = DS_FILE_WAITS;
        return false;
    }
    for (;;) {
        if (len == room)
            return false; /* it grew: that is decided by the file, too */
        ssize_t got = ds_io_active->read(fd, to + len, room - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            ds_fail_errno(err, errno, "offset %zu: cannot read", len);
            return false;
        }
        len += (size_t)got;
        /* A file that gives less than was asked for, and as much as it has, ends there: saves a
         * call for each. */
        if (got == 0 || (st.st_size > 0 && len == (size_t)st.st_size))
            break;
    }
    if (ds_read_ended(fd, ds_filejob_word(j, i->name), (uint64_t)st.st_size, len, err) != 0)
        return false;
    i->size = len;
    return true;
}

/* What a parser says of the source, ahead of its rows. */
static int add_note(ds_textbatch *b, const ds_buf *note)
{
    if (note->len == 0)
        return 0;
    ds_textrow *row = ds_textbatch_row(b, 0, 0);
    uint8_t *words = ds_textbatch_alloc(b, note->len + 1);
    if (!row || !words)
        return DS_NOMEM;
    memcpy(words, note->data, note->len);
    words[note->len] = 0;
    row->note = (const char *)words;
    return 0;
}

static int parse(ds_filejob *j, ds_fileitem *i, const ds_textopts *o, const uint8_t *p, size_t len,
                 size_t mark)
{
    const char *name = ds_filejob_word(j, i->name);
    if (!ds_textformat_rows(i->format))
        return ds_textbatch_document(&j->batch, o, i->format, name, p + mark, len - mark, mark);
    size_t used = 0;
    ds_texthead head = {0};
    ds_err why = {0};
    int rc = 0;
    if (ds_textformat_headed(i->format) && len > mark &&
        (rc = ds_texthead_read(&head, &j->csv, o, i->format, name, p + mark, len - mark, &used,
                               &why)) == DS_FAIL)
        rc = ds_textbatch_problem(&j->batch, head.reason, mark, mark, NULL, len - mark, "%s",
                                  why.msg);
    else if (rc == 0)
        rc = add_note(&j->batch, &head.note);
    const ds_textblock k = {
        .p = p + mark + used, .len = len - mark - used, .base = mark + used, .last = true};
    if (rc == 0 && len > mark && !why.code)
        rc = ds_textbatch_records(&j->batch, o, i->format, &head, &k);
    ds_texthead_fini(&head);
    return rc;
}

/* What was read: whether this road is the right one, then its digest and rows. */
static int look(ds_filejob *j, ds_fileitem *i, const ds_textopts *o)
{
    const char *name = ds_filejob_word(j, i->name);
    const uint8_t *p = j->data.data + j->data.len;
    size_t len = (size_t)i->size, mark;
    i->format = o->format ? o->format : ds_textformat_of(name);
    const char *encoding = ds_textformat_bytes(i->format) ? DS_FEED_BYTES : o->encoding;
    const char *charset = ds_feed_mark(encoding, p, len, &mark);
    if (!charset)
        charset = encoding;
    if (ds_packmark_sniff(p, len) != DS_PACK_NONE || (charset && !ds_feed_as_is(charset)) ||
        (ds_textformat_rows(i->format) && !ds_textformat_keyed(i->format) && o->explicit_key &&
         !o->key_field)) {
        i->state = DS_FILE_STREAM; /* which says why, where that is called for */
        return 0;
    }
    if (ds_hasher_reset(j->hasher, &j->err) != 0 ||
        ds_hasher_put(j->hasher, p, len, &j->err) != 0 ||
        ds_hasher_end(j->hasher, &i->sha, &j->err) != 0)
        return j->err.code;
    i->first = j->batch.n;
    if (parse(j, i, o, p, len, mark) != 0)
        return ds_fail_nomem(&j->err);
    i->last = j->batch.n;
    i->state = DS_FILE_READ;
    j->data.len += len;
    return 0;
}

static int work_one(ds_filejob *j, ds_fileitem *i, const ds_textopts *o)
{
    size_t room = BUDGET - j->data.len;
    ds_err why = {0};
    int fd, rc;
    if (room > SMALL + 1)
        room = SMALL + 1;
    if (room < 2)
        return 0;
    i->state = DS_FILE_STREAM;
    const char *path = ds_filejob_word(j, i->path);
    if (ds_textfile_open(&fd, path, i->operand, false, &why) != 0)
        return refuse(j, i, "unreadable", why.msg);
    if (slurp(j, i, fd, room, &why))
        rc = look(j, i, o);
    else
        rc = why.code ? refuse(j, i, "unreadable", why.msg) : 0;
    ds_close(&fd, path, NULL);
    return rc;
}

void ds_filejob_work(void *job, void *ctx)
{
    ds_filejob *j = job;
    const ds_textopts *o = ctx;
    if (!j->hasher && ds_hasher_new(&j->hasher, &j->err) != 0)
        return;
    if (j->data.cap < BUDGET && ds_buf_reserve(&j->data, BUDGET) != 0) {
        ds_fail_nomem(&j->err);
        return;
    }
    for (size_t k = 0; k < j->n; k++)
        if (j->v[k].state == DS_FILE_WAITS && work_one(j, &j->v[k], o) != 0)
            return;
}
