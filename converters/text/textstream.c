/* textstream.c - see textstream.h. */
#include "textstream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sig.h"
#include "utf8.h"

#define BLOCK (1u << 20)
#define OVERLAP 256      /* bytes in which a parser can tell where a record begins */
#define FOLLOWS 160      /* of these, behind a record */
#define KEEP (64u << 10) /* of a record too long for memory: what a quarantine gets to see */

static void parse_block(void *job, void *ctx)
{
    ds_blockjob *j = job;
    const ds_textrun *r = ctx;
    ds_textbatch_reset(&j->batch);
    j->rc = ds_textbatch_records(&j->batch, r->o, j->format, j->head, &j->part);
}

int ds_textrun_init(ds_textrun *r, const ds_textopts *o, const ds_textsink *sink, int threads,
                    ds_err *err)
{
    memset(r, 0, sizeof *r);
    r->o = o;
    r->sink = sink;
    r->njobs = threads > 1 ? (size_t)threads * 2 : 1;
    r->jobs = calloc(r->njobs, sizeof *r->jobs);
    if (!r->jobs)
        return ds_fail_nomem(err);
    int rc = ds_hasher_new(&r->hasher, err);
    return rc ? rc : ds_pool_new(&r->pool, threads, (int)r->njobs, parse_block, r, err);
}

void ds_textrun_fini(ds_textrun *r)
{
    ds_pool_free(r->pool);
    for (size_t i = 0; r->jobs && i < r->njobs; i++) {
        ds_buf_fini(&r->jobs[i].in);
        ds_buf_fini(&r->jobs[i].before);
        ds_textbatch_fini(&r->jobs[i].batch);
    }
    free(r->jobs);
    ds_hasher_free(r->hasher);
    ds_buf_fini(&r->buf);
    ds_buf_fini(&r->kept);
    ds_textbatch_fini(&r->batch);
    ds_csv_fini(&r->csv);
    memset(r, 0, sizeof *r);
}

/* ---- to the sink ---- */

int ds_textrun_emit(ds_textrun *r, const char *name, const ds_textbatch *b, size_t first,
                    size_t last, ds_err *err)
{
    for (size_t i = first; i < last; i++) {
        const ds_textrow *row = &b->v[i];
        int rc;
        if (row->note) {
            rc = r->sink->note(r->sink->ctx, name, row->note, err);
        } else if (!row->reason) {
            r->rows++;
            rc = r->sink->row(r->sink->ctx, row, r->sources, err);
        } else {
            ds_textproblem p = {.source = name,
                                .reason = row->reason,
                                .why = row->why,
                                .fate = row->fate,
                                .located = row->raw != NULL,
                                .lost = row->raw == NULL,
                                .named = r->named,
                                .offset = row->offset,
                                .len = row->len,
                                .at = row->at,
                                .bytes = row->raw,
                                .nbytes = row->raw ? (size_t)row->len : 0};
            rc = r->sink->problem(r->sink->ctx, &p, err);
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

int ds_textrun_source(ds_textrun *r, const char *name, uint64_t size, const ds_sha *sha,
                      ds_err *err)
{
    int rc = r->sink->source(r->sink->ctx, name, size, sha, err);
    if (rc == 0)
        r->sources++;
    r->rows = 0;
    return rc;
}

int ds_textrun_refuse(ds_textrun *r, const char *name, const char *reason, bool lost,
                      const char *why, ds_err *err)
{
    ds_textproblem p = {
        .source = name, .reason = reason, .why = why, .lost = lost, .named = r->named};
    return r->sink->problem(r->sink->ctx, &p, err);
}

/* ---- one source ---- */

typedef struct stream {
    ds_feed *f;
    const char *name;
    enum ds_textformat format;
    const ds_rowparser *parser; /* of the format; NULL = textrow.c itself */
    ds_texthead head;
    bool begun, have_head;
    uint64_t at;    /* offset in the source of the next byte to be looked at */
    ds_buf carry;   /* the beginning of a record whose end has not been read */
    ds_buf before;  /* the parser's: what was read says of what follows */
    ds_err failure; /* the feed's, once it failed */
} stream;

/* Fills `out`; a failure of the feed is kept in s->failure, for those behind it there is nothing
 * left to read. */
static int fill(ds_textrun *r, stream *s, ds_buf *out, size_t n, ds_err *err)
{
    int rc = ds_check_interrupt(err);
    if (rc != 0)
        return rc;
    uint64_t before = s->f->size;
    rc = ds_feed_fill(s->f, out, n, &s->failure);
    if (rc == DS_NOMEM)
        return ds_fail_nomem(err);
    if (rc != 0 && (rc = ds_check_interrupt(err)) != 0)
        return rc; /* a read that a signal broke off is no problem of the input's */
    if (!s->begun)
        s->at = ds_feed_start(s->f);
    s->begun = true;
    r->bytes += s->f->size - before;
    r->sink->progress(r->sink->ctx, r->bytes);
    return 0;
}

static bool over(const stream *s)
{
    return s->f->eof || s->failure.code != 0;
}

const char *ds_textstream_lost(int code, bool packed)
{
    return !packed || ds_is_io(code) ? "unreadable"
           : code == DS_CORRUPT      ? "damaged archive"
                                     : "over limit";
}

/* The feed failed: says so. The message names the file already when reading failed. */
static int report_failure(ds_textrun *r, stream *s, ds_err *err)
{
    const char *reason =
        s->f->lost ? ds_textstream_lost(s->failure.code, s->f->unpack) : "bad encoding";
    size_t n = strlen(s->name);
    const char *why = s->failure.msg;
    if (strncmp(why, s->name, n) == 0 && why[n] == ':' && why[n + 1] == ' ')
        why += n + 2;
    return ds_textrun_refuse(r, s->name, reason, true, why, err);
}

/* Reads on so that the source's digest covers all of it, after its content was refused. */
static int read_on(ds_textrun *r, stream *s, ds_err *err)
{
    int rc = 0;
    while (rc == 0 && !over(s)) {
        r->buf.len = 0;
        rc = fill(r, s, &r->buf, BLOCK, err);
    }
    return rc;
}

/* ---- records ---- */

static int take_block(ds_textrun *r, const char *name, ds_err *err)
{
    ds_blockjob *j = ds_pool_next(r->pool);
    if (!j)
        return 0;
    return j->rc != 0 ? ds_fail_nomem(err)
                      : ds_textrun_emit(r, name, &j->batch, 0, j->batch.n, err);
}

static int drain(ds_textrun *r, const char *name, ds_err *err)
{
    int rc = 0;
    while (rc == 0 && !ds_pool_empty(r->pool))
        rc = take_block(r, name, err);
    return rc;
}

/* Jobs of a source that ended badly are waited for and forgotten. */
static void forget(ds_textrun *r)
{
    while (!ds_pool_empty(r->pool))
        ds_pool_next(r->pool);
}

/* What the source begins with, once: a table's header, or what a parser looks at. *go = false when
 * it is none, which was reported. */
static int read_head(ds_textrun *r, stream *s, const ds_buf *in, size_t len, size_t *used, bool *go,
                     ds_err *err)
{
    ds_err why = {0};
    *used = 0;
    if (s->have_head || !ds_textformat_headed(s->format) || len == 0)
        return 0;
    int rc =
        ds_texthead_read(&s->head, &r->csv, r->o, s->format, s->name, in->data, len, used, &why);
    s->have_head = true;
    if (rc == DS_NOMEM)
        return ds_fail_nomem(err);
    *go = rc == 0;
    if (!*go)
        return ds_textrun_refuse(r, s->name, s->head.reason, true, why.msg, err);
    if (s->head.note.len == 0)
        return 0;
    const char *note = ds_buf_cstr(&s->head.note);
    return note ? r->sink->note(r->sink->ctx, s->name, note, err) : ds_fail_nomem(err);
}

/* Whether what was read tells a parser what the source is. Of a first line without end it is read
 * for as long as a record may be; then that line is dropped, and what follows tells. */
static bool tells(const stream *s, const ds_buf *in)
{
    const ds_rowparser *k = s->parser;
    return s->have_head || over(s) || !k->enough || k->enough(k->ctx, in->data, in->len);
}

/* Reads until `in` holds whole records: *whole bytes, *used of them a header. 0 bytes: at the end
 * nothing is left, or else the first record is too long. */
static int fill_block(ds_textrun *r, stream *s, ds_buf *in, size_t *whole, size_t *used, bool *go,
                      ds_err *err)
{
    const bool parsed = s->parser != NULL;
    *used = 0;
    for (;;) {
        size_t head = 0;
        int rc = fill(r, s, in, in->len > BLOCK ? in->len : BLOCK, err);
        if (rc == 0 && parsed && !tells(s, in)) {
            *whole = 0;
            if (in->len > r->o->max_record + 2)
                return 0;
            continue;
        }
        if (rc == 0 && parsed)
            rc = read_head(r, s, in, in->len, &head, go, err);
        if (rc != 0 || !*go)
            return rc;
        *used += head;
        bool all = s->f->eof && !s->failure.code;
        *whole = all || in->len == 0
                     ? in->len
                     : ds_text_whole(&r->csv, r->o, s->format, &s->head, in->data, in->len);
        if (*whole > 0 || over(s) || in->len > r->o->max_record + 2)
            break;
    }
    return parsed ? 0 : read_head(r, s, in, *whole, used, go, err);
}

/* Where records begin again after one that was too long: behind a line end, or a blank line. 0 =
 * not here. */
static size_t resync(const ds_textrun *r, const stream *s, const uint8_t *p, size_t len)
{
    uint64_t skip;
    if (s->parser && s->parser->resync)
        return len ? s->parser->resync(s->head.state, p, len, false, &skip) : 0;
    bool blank = s->format <= DS_TEXT_MARKDOWN && r->o->split == DS_SPLIT_PARAGRAPH;
    for (const uint8_t *q = p, *end = p + len;
         q < end && (q = memchr(q, '\n', (size_t)(end - q))) != NULL; q++) {
        if (!blank || (end - q > 1 && q[1] == '\n') ||
            (end - q > 2 && q[1] == '\r' && q[2] == '\n'))
            return (size_t)(q + 1 - p);
    }
    return 0;
}

/* A record that is longer than may be. */
typedef struct overlong {
    uint64_t says;  /* its length, as it says itself; 0: it does not */
    uint64_t hides; /* where, in that, another record may begin behind a blank line; 0: nowhere */
    bool wrong;     /* neither another one nor the end follows it */
} overlong;

static size_t begins_within(const stream *s, const uint8_t *p, size_t len)
{
    uint64_t skip;
    size_t at = 0, n;
    while (at < len && (n = s->parser->resync(s->head.state, p + at, len - at, false, &skip)) > 0) {
        at += n;
        if (at >= 3 && p[at - 1] == '\n' &&
            (p[at - 2] == '\n' || (p[at - 2] == '\r' && p[at - 3] == '\n')))
            return at;
    }
    return 0;
}

/* The end of a record that says how long it is, in `in`, which is the record from its byte `begin`
 * on; 0: not here. */
static size_t find_end(const stream *s, const ds_buf *in, uint64_t begin, overlong *l)
{
    const uint64_t end = begin + in->len;
    const bool here = l->says <= end && (over(s) || end - l->says >= FOLLOWS);
    const size_t at = here ? (size_t)(l->says - begin) : in->len;
    const size_t within = l->hides ? 0 : begins_within(s, in->data, at);
    size_t next = at;
    uint64_t skip;
    if (within)
        l->hides = begin + within;
    while (next < in->len && (in->data[next] == '\r' || in->data[next] == '\n'))
        next++;
    l->wrong =
        here ? next < in->len && s->parser->resync(s->head.state, in->data + at - 1,
                                                   in->len - at + 1, false, &skip) != next - at + 1
             : over(s);
    return here ? at : 0;
}

/* Reads on to where the next record begins: behind this one, or where one can be told. What follows
 * lands in s->carry. */
static int drop_rest(ds_textrun *r, stream *s, ds_buf *in, overlong *l, ds_err *err)
{
    const uint64_t from = s->at - in->len;
    size_t cut = l->says ? find_end(s, in, 0, l) : 0, kept = 0;
    while (cut == 0 && !over(s)) {
        /* What a parser looks for may lie across the end of what was read. */
        kept = s->parser && s->parser->resync && in->len > OVERLAP ? OVERLAP : 0;
        if (kept)
            memmove(in->data, in->data + in->len - kept, kept);
        in->len = kept;
        int rc = fill(r, s, in, BLOCK, err);
        if (rc != 0)
            return rc;
        cut = l->says ? find_end(s, in, s->at - kept - from, l) : resync(r, s, in->data, in->len);
        s->at += cut ? cut - kept : in->len - kept;
    }
    return cut > 0 && ds_buf_put(&s->carry, in->data + cut, in->len - cut) != 0 ? ds_fail_nomem(err)
                                                                                : 0;
}

/* What its beginning says of a record that is too long, as a row of r->batch, and how long it is.
 */
static int look_at_long(ds_textrun *r, const stream *s, const ds_buf *in, overlong *l)
{
    const ds_rowparser *k = s->have_head ? s->parser : NULL;
    *l = (overlong){0};
    ds_textbatch_reset(&r->batch);
    if (k && k->resync)
        (void)k->resync(s->head.state, in->data, in->len, true, &l->says);
    if (l->says <= in->len) /* it ends elsewhere */
        l->says = 0;
    return k && k->big ? k->big(s->head.state, &r->batch, in->data, in->len) : 0;
}

/* What is wrong with it. */
static void blame_long(const ds_textrun *r, const overlong *l, ds_textproblem *p, char *why,
                       size_t n)
{
    snprintf(why, n, "longer than %zu bytes (--max-record)", r->o->max_record);
    p->reason = "too long";
    p->why = why;
    if (l->wrong) {
        p->reason = "damaged record";
        p->lost = l->hides > 0;
        snprintf(why, n, "it is not as long as it says");
        if (l->hides)
            snprintf(why, n,
                     "it is not as long as it says, and hides what follows from offset %" PRIu64
                     " on (a greater --max-record finds it)",
                     p->offset + l->hides);
    } else if (r->batch.n > 0 && r->batch.v[0].reason) {
        p->reason = r->batch.v[0].reason;
        p->why = r->batch.v[0].why;
        p->fate = r->batch.v[0].fate;
    }
}

/* The record that begins `in` is longer than the limit: drops it, without keeping it. */
static int drop_long(ds_textrun *r, stream *s, ds_buf *in, ds_err *err)
{
    int rc = drain(r, s->name, err);
    const uint64_t from = s->at;
    char why[160];
    overlong l;
    r->kept.len = 0;
    if (rc == 0 && (ds_buf_put(&r->kept, in->data, in->len < KEEP ? in->len : KEEP) != 0 ||
                    look_at_long(r, s, in, &l) != 0))
        rc = ds_fail_nomem(err);
    s->at += in->len;
    if (rc == 0)
        rc = drop_rest(r, s, in, &l, err);
    if (rc != 0)
        return rc;
    ds_textproblem p = {.source = s->name,
                        .located = true,
                        .named = r->named,
                        .offset = from,
                        .len = s->at - from,
                        .at = from,
                        .bytes = r->kept.data,
                        .nbytes = r->kept.len};
    blame_long(r, &l, &p, why, sizeof why);
    return r->sink->problem(r->sink->ctx, &p, err);
}

static int submit(ds_textrun *r, stream *s, ds_blockjob *j, size_t whole, size_t used, ds_err *err)
{
    j->part = (ds_textblock){.p = j->in.data + used,
                             .len = whole - used,
                             .base = s->at + used,
                             .before = &j->before,
                             .last = s->f->eof && !s->failure.code};
    j->head = &s->head;
    j->format = s->format;
    s->at += whole;
    j->before.len = 0;
    if (s->parser && (ds_buf_put(&j->before, s->before.data, s->before.len) != 0 ||
                      s->parser->pass(s->head.state, &s->before, j->part.p, j->part.len) != 0))
        return ds_fail_nomem(err);
    if (ds_buf_put(&s->carry, j->in.data + whole, j->in.len - whole) != 0)
        return ds_fail_nomem(err);
    r->submitted++;
    return ds_pool_submit(r->pool, j, err);
}

static int one_block(ds_textrun *r, stream *s, bool *go, ds_err *err)
{
    size_t whole, used;
    int rc = ds_pool_full(r->pool) ? take_block(r, s->name, err) : 0;
    if (rc != 0)
        return rc;
    ds_blockjob *j = &r->jobs[r->submitted % r->njobs];
    j->in.len = 0;
    if (s->carry.len > 0 && ds_buf_put(&j->in, s->carry.data, s->carry.len) != 0)
        return ds_fail_nomem(err);
    s->carry.len = 0;
    if ((rc = fill_block(r, s, &j->in, &whole, &used, go, err)) != 0 || !*go)
        return rc;
    if (whole == 0 && !over(s))
        return drop_long(r, s, &j->in, err);
    if (whole > 0)
        rc = submit(r, s, j, whole, used, err);
    return rc;
}

static int records(ds_textrun *r, stream *s, ds_err *err)
{
    int rc = 0;
    bool go = true;
    while (rc == 0 && go && (!over(s) || (s->carry.len > 0 && !s->failure.code)))
        rc = one_block(r, s, &go, err);
    if (rc == 0)
        rc = drain(r, s->name, err);
    if (rc != 0)
        forget(r);
    else if (!go)
        rc = read_on(r, s, err);
    return rc;
}

/* ---- documents ---- */

static int refuse_document(ds_textrun *r, stream *s, const char *reason, uint64_t at,
                           const char *why, ds_err *err)
{
    int rc = read_on(r, s, err);
    if (rc != 0)
        return rc;
    uint64_t start = ds_feed_start(s->f);
    ds_textproblem p = {.source = s->name,
                        .reason = reason,
                        .why = why,
                        .located = true,
                        .named = r->named,
                        .offset = start,
                        .len = s->f->size - start,
                        .at = at};
    return r->sink->problem(r->sink->ctx, &p, err);
}

/* A plain document of any size goes through in parts. */
static int document(ds_textrun *r, stream *s, ds_err *err)
{
    ds_utf8_state utf8 = {.n = 0};
    const char *reason = NULL, *why = NULL;
    uint64_t done = 0, at = 0;
    int rc = r->sink->begin(r->sink->ctx, r->o->explicit_key ? s->name : NULL, err);
    while (rc == 0 && !reason && !over(s)) {
        r->buf.len = 0;
        if ((rc = fill(r, s, &r->buf, BLOCK, err)) != 0 || s->failure.code)
            break;
        const uint8_t *nul = r->buf.len ? memchr(r->buf.data, 0, r->buf.len) : NULL;
        bool good =
            ds_utf8_feed(&utf8, r->buf.data, nul ? (size_t)(nul - r->buf.data) : r->buf.len);
        if (good && !nul && s->f->eof)
            good = ds_utf8_end(&utf8);
        if (!good) {
            reason = "invalid UTF-8";
            why = "not valid UTF-8 (--encoding names another encoding)";
            at = s->at + utf8.offset;
        } else if (nul) {
            reason = "NUL byte";
            why = "a NUL byte: this is not text";
            at = s->at + done + (uint64_t)(nul - r->buf.data);
        } else if (r->buf.len > 0) {
            rc = r->sink->part(r->sink->ctx, r->buf.data, r->buf.len, err);
        }
        done += r->buf.len;
    }
    if (rc != 0)
        return rc;
    if (!reason && !s->failure.code) {
        r->rows++;
        return r->sink->end(r->sink->ctx, r->sources, s->at, done, err);
    }
    rc = r->sink->drop(r->sink->ctx, err);
    return rc || !reason ? rc : refuse_document(r, s, reason, at, why, err);
}

/* A page is looked at as a whole. */
static int page(ds_textrun *r, stream *s, ds_err *err)
{
    int rc = 0;
    s->carry.len = 0;
    while (rc == 0 && !over(s) && s->carry.len <= r->o->max_record)
        rc = fill(r, s, &s->carry, BLOCK, err);
    if (rc != 0 || s->failure.code)
        return rc;
    if (s->carry.len > r->o->max_record) {
        char why[80];
        snprintf(why, sizeof why, "longer than %zu bytes (--max-record)", r->o->max_record);
        return refuse_document(r, s, "too long", s->at, why, err);
    }
    ds_textbatch_reset(&r->batch);
    if (ds_textbatch_document(&r->batch, r->o, s->format, s->name, s->carry.data, s->carry.len,
                              s->at) != 0)
        return ds_fail_nomem(err);
    return ds_textrun_emit(r, s->name, &r->batch, 0, r->batch.n, err);
}

int ds_textrun_stream(ds_textrun *r, ds_feed *f, const char *name, enum ds_textformat format,
                      ds_err *err)
{
    stream s = {
        .f = f, .name = name, .format = format, .parser = ds_textformat_parser(r->o, format)};
    if (ds_textformat_rows(format) && r->o->explicit_key && !r->o->key_field &&
        !ds_textformat_keyed(format))
        return ds_textrun_refuse(r, name, "no key", true,
                                 "its records have no key, in a run of documents keyed by name "
                                 "(--key-field, --keys derived)",
                                 err);
    f->hasher = r->hasher;
    if (ds_textformat_bytes(format))
        f->encoding = DS_FEED_BYTES;
    r->rows = 0;
    int rc = ds_feed_begin(f, err);
    if (rc == 0) {
        if (format == DS_TEXT_HTML)
            rc = page(r, &s, err);
        else if (ds_textformat_rows(format) || r->o->split != DS_SPLIT_NONE)
            rc = records(r, &s, err);
        else
            rc = document(r, &s, err);
    }
    if (rc == 0 && s.failure.code)
        rc = report_failure(r, &s, err);
    /* Of a source that could not be read to its end the rows that were found count for what was
     * read. */
    if (rc == 0 && (!s.failure.code || r->rows > 0)) {
        uint64_t size;
        ds_sha sha;
        rc = ds_feed_end(f, &size, &sha, err);
        if (rc == 0)
            rc = ds_textrun_source(r, name, size, &sha, err);
    }
    ds_texthead_fini(&s.head);
    ds_buf_fini(&s.carry);
    ds_buf_fini(&s.before);
    ds_feed_fini(f);
    return rc;
}
