/* logfollow.c - see logfollow.h. */
#include "logfollow.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "clock.h"
#include "io.h"
#include "logresume.h"
#include "logtail.h"
#include "sig.h"
#include "term.h"
#include "textstream.h"
#include "utf8.h"

#define GATHERED (8u << 20) /* bytes that make a stream at once */
#define LOOK 1000           /* ms: files are looked at so often, whatever the kernel tells */
#define STATE_MAX (16u << 20)

typedef struct feeder {
    ds_logtail tail;
    ds_buf buf;    /* bytes that were handed out and not taken */
    ds_buf before; /* as ds_rowparser has it, of these */
    ds_logsource *source;
    bool refused, skipping; /* no format reads it; within a line that is too long */
    uint64_t long_from;     /* where that begins */
    int64_t grown;          /* when bytes came last */
    ds_logplace place;
    int watch;
} feeder;

typedef struct follow {
    ds_logsink *s;
    const ds_follow_opts *o;
    ds_textsink sink;
    ds_textrun run;
    ds_textbatch batch;
    ds_logbook book;
    feeder *v;
    size_t n;
    int notify;    /* -1: the kernel does not tell */
    int64_t since; /* when the first byte came that no stream has; 0: none */
} follow;

static int64_t now_ms(void)
{
    return (int64_t)(ds_seconds() * 1e3) + 1;
}

/* ---- bytes into records ---- */

/* n bytes are dealt with. */
static int take(feeder *f, size_t n, ds_err *err)
{
    int rc = ds_logtail_take(&f->tail, f->buf.data, n, err);
    memmove(f->buf.data, f->buf.data + n, f->buf.len - n);
    f->buf.len -= n;
    return rc;
}

static int open_source(follow *w, feeder *f, ds_err *err)
{
    const ds_buf *head = f->tail.head.len ? &f->tail.head : &f->buf;
    const bool again = f->tail.head.len > 0;
    const char *reason = NULL;
    ds_logopts o = *w->o->log;
    ds_buf note = {0};
    ds_err why = {0};
    void *source = NULL;
    size_t used = 0;
    const size_t mark = again ? 0 : ds_utf8_mark(f->buf.data, f->buf.len);
    if (mark && take(f, mark, err) != 0)
        return DS_FAIL;
    int rc = ds_logsource_open(&o, &source, f->tail.path, head->data, head->len, &used, &note,
                               &reason, &why);
    f->source = source;
    f->tail.fresh = false;
    if (rc == DS_NOMEM)
        rc = ds_fail_nomem(err);
    else if (rc != 0) {
        f->refused = true;
        rc = ds_textrun_refuse(&w->run, f->tail.path, reason, true, why.msg, err);
    } else {
        f->source->o = w->o->log;
        const char *words = note.len ? ds_buf_cstr(&note) : NULL;
        if (words)
            rc = w->sink.note(w->sink.ctx, f->tail.path, words, err);
        if (rc == 0 && used && !again)
            rc = take(f, used, err);
        f->before.len = 0;
        if (rc == 0 && ds_logsource_pass(source, &f->before, f->tail.heads.data, f->tail.heads.len))
            rc = ds_fail_nomem(err);
    }
    ds_buf_fini(&note);
    return rc;
}

/* A line longer than a record may be: it is let go as it comes. */
static int skip_long(follow *w, feeder *f, bool all, ds_err *err)
{
    const uint8_t *lf = f->buf.len ? memchr(f->buf.data, '\n', f->buf.len) : NULL;
    size_t n = lf ? (size_t)(lf + 1 - f->buf.data) : f->buf.len;
    if (!f->skipping)
        f->long_from = f->tail.taken;
    f->skipping = !lf && !all;
    int rc = take(f, n, err);
    if (rc || f->skipping)
        return rc;
    const ds_textproblem p = {.source = f->tail.path,
                              .reason = "too long",
                              .why = "longer than a record may be (--max-record)",
                              .located = true,
                              .offset = f->long_from,
                              .len = f->tail.taken - f->long_from,
                              .at = f->long_from};
    return w->sink.problem(w->sink.ctx, &p, err);
}

/* How much of the buffer is whole records. */
static size_t whole(const feeder *f, bool all, bool settled)
{
    if (all)
        return f->buf.len;
    size_t n = ds_logsource_whole(f->source, f->buf.data, f->buf.len);
    const uint8_t *lf = memrchr(f->buf.data, '\n', f->buf.len);
    if (settled && ds_logsource_lines(f->source) && lf)
        n = (size_t)(lf + 1 - f->buf.data);
    return n;
}

/* What can be taken of one log, as rows of the stream. all: nothing comes behind it. */
static int parse(follow *w, feeder *f, bool all, bool settled, ds_err *err)
{
    ds_logplace other = w->s->at;
    const uint64_t from = f->tail.taken;
    int rc = 0;
    if (f->buf.len == 0 && !(all && f->skipping))
        return 0;
    if (f->tail.fresh)
        rc = open_source(w, f, err);
    if (!rc && f->refused)
        return take(f, f->buf.len, err);
    w->s->at = f->place;
    if (!rc && f->skipping)
        rc = skip_long(w, f, all, err);
    size_t n = rc || f->buf.len == 0 || f->skipping ? 0 : whole(f, all, settled);
    if (!rc && n == 0 && f->buf.len > w->o->log->max_record + 2)
        rc = skip_long(w, f, all, err);
    if (!rc && n > 0) {
        const ds_textblock k = {
            .p = f->buf.data, .len = n, .base = f->tail.taken, .before = &f->before, .last = all};
        ds_textbatch_reset(&w->batch);
        rc = ds_logsource_records(f->source, &w->batch, &k) ||
                     ds_logsource_pass(f->source, &f->before, f->buf.data, n)
                 ? ds_fail_nomem(err)
                 : ds_textrun_emit(&w->run, f->tail.path, &w->batch, 0, w->batch.n, err);
        rc = rc ? rc : take(f, n, err);
    }
    f->place = w->s->at;
    w->s->at = other;
    ds_logpart *p;
    rc = rc ? rc : ds_logtail_mark(&f->tail, &p, err);
    if (rc || f->tail.taken == from || !p)
        return rc;
    p->year = f->place.now_year;
    p->month = f->place.now_month;
    return ds_intake_source(&w->s->in, f->tail.path, p->taken, &p->sha, err);
}

/* ---- streams ---- */

static int begin_stream(follow *w, ds_err *err)
{
    ds_intake *in = &w->s->in;
    const ds_shardopts o = {.level = w->o->level};
    return ds_shardout_open(&in->out, &o, &in->schema, in->prov.data, in->prov.len, err);
}

static int save_state(const follow *w, ds_err *err)
{
    ds_buf b = {0};
    if (!w->o->state)
        return 0;
    int rc = ds_logbook_put(&b, &w->book, err);
    rc = rc ? rc : ds_atomic_write(w->o->state, 0644, b.data, b.len, err);
    ds_buf_fini(&b);
    return rc;
}

/* Ends the stream, if anything is in it. last: lines that might go on do not. */
static int end_stream(follow *w, bool last, ds_err *err)
{
    ds_intake *in = &w->s->in;
    const int64_t now = now_ms();
    const uint64_t before = in->records + in->bad.held + in->bad.failed;
    bool some = false;
    int rc = 0;
    w->since = 0;
    for (size_t i = 0; !rc && i < w->n; i++) {
        feeder *f = &w->v[i];
        const uint64_t taken = f->tail.taken;
        const bool settled = last || now - f->grown >= w->o->seconds * 1000;
        rc = parse(w, f, false, settled, err);
        some |= f->tail.taken != taken;
        if (f->buf.len && !settled && memrchr(f->buf.data, '\n', f->buf.len) && !w->since)
            w->since = f->grown;
    }
    some |= in->records + in->bad.held + in->bad.failed != before;
    if (rc || (!some && !last && in->bad.counts.nheld + in->bad.counts.nfailed == 0))
        return rc;
    rc = ds_shardout_end(in->out, &in->bad.counts, err);
    rc = rc ? rc : ds_counts_join(&in->before, &in->bad.counts, err);
    ds_counts_fini(&in->bad.counts);
    in->bad.counts = (ds_counts){0};
    ds_shardout_free(in->out);
    in->out = NULL;
    rc = rc ? rc : save_state(w, err);
    return rc || last ? rc : begin_stream(w, err);
}

/* A file is over: what is left of it makes records. */
static int end_part(follow *w, feeder *f, ds_err *err)
{
    int rc = parse(w, f, true, true, err);
    rc = rc ? rc : ds_logtail_part(&f->tail, err);
    ds_logsource_close(f->source);
    f->source = NULL;
    f->refused = f->skipping = false;
    if (!w->since)
        w->since = now_ms();
    return rc;
}

/* ---- waiting ---- */

static void watch(follow *w, feeder *f)
{
    if (w->notify >= 0 && !f->tail.pipe && f->watch < 0)
        f->watch = inotify_add_watch(w->notify, f->tail.path,
                                     IN_MODIFY | IN_MOVE_SELF | IN_DELETE_SELF | IN_ATTRIB);
}

/* Until a file changes, a pipe has something, `ms` have passed or a signal comes. */
static void wait_for(follow *w, int64_t ms)
{
    struct pollfd *p = calloc(w->n + 1, sizeof *p);
    char events[4096];
    nfds_t k = 0;
    if (!p)
        return;
    if (w->notify >= 0)
        p[k++] = (struct pollfd){.fd = w->notify, .events = POLLIN};
    for (size_t i = 0; i < w->n; i++)
        if (w->v[i].tail.pipe && !w->v[i].tail.over)
            p[k++] = (struct pollfd){.fd = w->v[i].tail.file.fd, .events = POLLIN};
    (void)poll(p, k, (int)(ms < LOOK ? ms : LOOK));
    while (w->notify >= 0 && read(w->notify, events, sizeof events) > 0)
        ;
    free(p);
}

/* Everything that is there now. *over: nothing will come any more. */
static int read_all(follow *w, bool *full, bool *over, ds_err *err)
{
    size_t held = 0;
    int rc = 0;
    *over = true;
    *full = false;
    for (size_t i = 0; !rc && i < w->n && !*full; i++) {
        feeder *f = &w->v[i];
        enum ds_tail_event ev = DS_TAIL_BYTES;
        while (!rc && (ev == DS_TAIL_BYTES || ev == DS_TAIL_PART) && !*full) {
            rc = ds_logtail_read(&f->tail, &f->buf, &ev, err);
            if (!rc && ev == DS_TAIL_BYTES) {
                f->grown = now_ms();
                w->since = w->since ? w->since : f->grown;
            } else if (!rc && ev == DS_TAIL_PART) {
                rc = end_part(w, f, err);
                f->watch = -1;
            }
            *full = held + f->buf.len >= GATHERED;
        }
        watch(w, f);
        held += f->buf.len;
        *over &= ev == DS_TAIL_OVER;
    }
    *over &= !*full;
    return rc;
}

static int loop(follow *w, ds_err *err)
{
    for (;;) {
        bool full, over;
        int rc = read_all(w, &full, &over, err);
        const int64_t left = w->since ? w->since + w->o->seconds * 1000 - now_ms() : LOOK;
        if (rc || over || ds_interrupted())
            return rc ? rc : end_stream(w, true, err);
        if (full || (w->since && left <= 0))
            rc = end_stream(w, false, err);
        else
            wait_for(w, left);
        if (rc)
            return rc;
    }
}

static int read_book(follow *w, ds_err *err)
{
    ds_buf text = {0};
    bool none = false;
    int rc = w->o->from ? ds_logresume_read(&w->book, &none, w->o->from, err) : 0;
    if (none)
        ds_warn("%s: no version yet: the logs are read from their beginning", w->o->from);
    if (w->o->state && ds_path_exists(w->o->state)) {
        rc = ds_read_file(&text, w->o->state, STATE_MAX, err);
        rc = rc ? rc : ds_logbook_read(&w->book, text.data, text.len, w->o->state, err);
    }
    ds_buf_fini(&text);
    return rc;
}

/* Where each log is gone on with: its last source of the run before, told of once more. */
static int tell_begin(follow *w, char *const *paths, size_t n, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        const ds_logpart *p = NULL;
        for (size_t k = w->book.n; k-- > 0 && !p;)
            if (!w->book.v[k].pipe && w->book.v[k].taken && strcmp(w->book.v[k].log, paths[i]) == 0)
                p = &w->book.v[k];
        rc = p ? ds_intake_source(&w->s->in, paths[i], p->taken, &p->sha, err) : 0;
    }
    return rc;
}

static int begin(follow *w, char *const *paths, size_t n, ds_err *err)
{
    int rc = read_book(w, err);
    if (!rc && !(w->v = calloc(n, sizeof *w->v)))
        rc = ds_fail_nomem(err);
    for (size_t i = 0; !rc && i < n; i++) {
        feeder *f = &w->v[w->n++];
        *f = (feeder){.watch = -1, .tail = {.file = {.fd = -1}}};
        rc = ds_logtail_open(&f->tail, paths[i], &w->book, err);
        if (!rc && w->o->from && f->tail.pipe)
            rc = ds_fail(err, DS_USAGE,
                         "%s: --resume-from wants files: a pipe cannot be gone on with", paths[i]);
        for (size_t k = 0; k < w->book.n; k++) /* years go on */
            if (w->book.v[k].year && strcmp(w->book.v[k].log, paths[i]) == 0) {
                f->place.now_year = w->book.v[k].year;
                f->place.now_month = w->book.v[k].month;
            }
    }
    w->notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC); /* without it files are looked at */
    rc = rc ? rc : begin_stream(w, err);
    return rc ? rc : tell_begin(w, paths, n, err);
}

int ds_logfollow_run(ds_logsink *s, const ds_follow_opts *o, char *const *paths, size_t n,
                     ds_err *err)
{
    follow w = {.s = s, .o = o, .notify = -1};
    ds_logsink_hooks(s, &w.sink);
    w.run.sink = &w.sink;
    int rc = begin(&w, paths, n, err);
    rc = rc ? rc : loop(&w, err);
    rc = rc ? rc : ds_badlog_end(&s->in.bad, err);
    if (rc)
        ds_shardout_abort(s->in.out, err->msg);
    for (size_t i = 0; i < w.n; i++) {
        ds_logtail_fini(&w.v[i].tail);
        ds_logsource_close(w.v[i].source);
        ds_buf_fini(&w.v[i].buf);
        ds_buf_fini(&w.v[i].before);
        ds_buf_fini(&w.v[i].place.before);
    }
    if (w.notify >= 0)
        close(w.notify);
    free(w.v);
    ds_textbatch_fini(&w.batch);
    ds_logbook_fini(&w.book);
    return rc;
}
