/* textread.c - see textread.h. */
#include "textread.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"
#include "sig.h"
#include "textfile.h"
#include "textstream.h"

#define TARGET (2u << 20) /* bytes of files that a job should come to */

struct ds_textread {
    ds_textopts o;
    ds_walk *walk;
    int threads;
    enum ds_textformat first;
    bool peeked, walked; /* an entry waits in jobs[0]; the walk is over */
    ds_textrun run;
    ds_pool *pool;
    ds_filejob *jobs; /* a ring: job i % njobs */
    size_t njobs, submitted;
    ds_filejob *spare;     /* for a file that found no room in its job */
    uint64_t files, bytes; /* read by workers: how many files make a good job */
};

/* ---- looking at the first input ---- */

/* The format that the name of an archive's first file says. */
static enum ds_textformat peek_inside(const ds_textread *r, int fd, enum ds_packing packing,
                                      const char *name)
{
    ds_unpack *u = NULL;
    ds_member m;
    enum ds_textformat f = ds_textformat_of(name);
    int rc = ds_unpack_new(&u, fd, name, NULL, 0, packing, &r->o.limits, NULL);
    while (rc == 0 && ds_unpack_next(u, &m, NULL) == 1) {
        if (m.kind != DS_MEMBER_FILE)
            continue;
        if (m.name)
            f = ds_textformat_of(m.name);
        break;
    }
    ds_unpack_free(u);
    return f;
}

static enum ds_textformat peek(const ds_textread *r, const ds_walk_entry *e)
{
    uint8_t head[DS_PACKMARK_SNIFF];
    enum ds_textformat f = ds_textformat_of(e->name);
    size_t got = 0;
    int fd;
    if (r->o.format || e->kind != DS_WALK_FILE || e->pipe)
        return r->o.format ? r->o.format : f;
    if (ds_textfile_open(&fd, e->path, e->operand, false, NULL) != 0)
        return f;
    enum ds_packing packing = DS_PACK_NONE;
    if (ds_read_full(fd, e->path, head, sizeof head, &got, NULL) == 0)
        packing = ds_packmark_sniff(head, got);
    if (packing != DS_PACK_NONE && lseek(fd, 0, SEEK_SET) == 0)
        f = peek_inside(r, fd, packing, e->name);
    ds_close(&fd, e->path, NULL);
    return f;
}

static int peek_first(ds_textread *r, ds_err *err)
{
    ds_walk_entry e;
    int rc = ds_walk_next(r->walk, &e, err);
    r->first = r->o.format ? r->o.format : DS_TEXT_PLAIN;
    if (rc < 0)
        return rc;
    r->walked = rc == 0;
    if (rc == 0)
        return 0;
    r->first = peek(r, &e);
    r->peeked = true;
    return ds_filejob_add(&r->jobs[0], &e, err);
}

int ds_textread_new(ds_textread **out, const ds_textopts *o, char *const *operands, size_t n,
                    int threads, ds_err *err)
{
    ds_textread *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r)
        return ds_fail_nomem(err);
    r->o = *o;
    r->threads = threads;
    r->njobs = threads > 1 ? (size_t)threads * 2 : 1;
    r->jobs = calloc(r->njobs, sizeof *r->jobs);
    int rc = r->jobs ? ds_walk_new(&r->walk, operands, n, err) : ds_fail_nomem(err);
    if (rc == 0)
        rc = peek_first(r, err);
    if (rc != 0) {
        ds_textread_free(r);
        return rc;
    }
    *out = r;
    return 0;
}

enum ds_textformat ds_textread_first(const ds_textread *r)
{
    return r->first;
}

void ds_textread_left_out(const ds_textread *r, uint64_t *links, uint64_t *special,
                          uint64_t *stores)
{
    ds_walk_left_out(r->walk, links, special, stores);
    *links += r->run.links;
    *special += r->run.special;
}

void ds_textread_free(ds_textread *r)
{
    if (!r)
        return;
    ds_pool_free(r->pool);
    ds_textrun_fini(&r->run);
    for (size_t i = 0; r->jobs && i < r->njobs; i++)
        ds_filejob_fini(&r->jobs[i]);
    if (r->spare)
        ds_filejob_fini(r->spare);
    free(r->spare);
    free(r->jobs);
    ds_walk_free(r->walk);
    free(r);
}

/* ---- one input that is streamed ---- */

typedef struct opened {
    int fd;
    const char *path, *name;
    uint8_t head[DS_PACKMARK_SNIFF];
    size_t nhead; /* bytes read ahead from a pipe */
    enum ds_packing packing;
} opened;

/* A member of an archive. *stop when the archive cannot be read any further. */
static int member(ds_textread *r, ds_unpack *u, const opened *in, const ds_member *m, bool *stop,
                  ds_err *err)
{
    ds_buf name = {0};
    ds_textrun *run = &r->run;
    int rc = ds_buf_puts(&name, in->name);
    run->named = run->named && !m->name;
    if (rc == 0 && m->name && (ds_buf_putc(&name, '/') != 0 || ds_buf_puts(&name, m->name) != 0))
        rc = DS_NOMEM;
    const char *full = rc == 0 ? ds_buf_cstr(&name) : NULL;
    if (!full)
        rc = ds_fail_nomem(err);
    else if (m->kind == DS_MEMBER_REFUSED)
        rc = ds_textrun_refuse(run, full, "refused member", true, m->why, err);
    else if (m->kind == DS_MEMBER_LINK)
        run->links++;
    else if (m->kind == DS_MEMBER_SPECIAL)
        run->special++;
    else if (m->name && ds_packmark_is_packed(m->name))
        rc = ds_textrun_refuse(run, full, "nested archive", true,
                               "packed inside an archive: not looked into", err);
    else if (m->name && ds_packmark_is_document(m->name))
        rc = ds_textrun_refuse(run, full, "not text", true,
                               "an office document or a program's archive, not text", err);
    else {
        ds_feed f = {.fd = -1, .unpack = u, .name = in->name, .encoding = r->o.encoding};
        rc = ds_textrun_stream(
            run, &f, full,
            r->o.format ? r->o.format : ds_textformat_of(m->name ? m->name : in->name), err);
        *stop = f.lost && ds_unpack_over(u);
    }
    ds_buf_fini(&name);
    return rc;
}

static int broken_archive(ds_textread *r, const opened *in, const ds_err *why, ds_err *err)
{
    size_t n = strlen(in->name);
    const char *words = why->msg;
    if (why->code == DS_NOMEM)
        return ds_fail_nomem(err);
    if (strncmp(words, in->name, n) == 0 && words[n] == ':' && words[n + 1] == ' ')
        words += n + 2;
    return ds_textrun_refuse(&r->run, in->name, ds_textstream_lost(why->code, true), true, words,
                             err);
}

/* Members of a compressed file that were damaged, and gone on behind. */
static int told_of_damage(ds_textread *r, const ds_unpack *u, const opened *in, ds_err *err)
{
    ds_err why = {0};
    const char *words;
    const uint64_t n = ds_unpack_damaged(u, &words);
    if (n == 0)
        return 0;
    ds_fail(&why, DS_CORRUPT, "%s%s", words,
            n == 1 ? "; read on behind it" : "; read on behind it and others like it");
    return broken_archive(r, in, &why, err);
}

static int archive(ds_textread *r, const opened *in, ds_err *err)
{
    ds_unpack *u = NULL;
    ds_member m;
    ds_err why = {0};
    bool stop = false;
    ds_unpack_limits limits = r->o.limits;
    limits.resume = (r->o.format ? r->o.format : ds_textformat_of(in->name)) == DS_TEXT_WARC;
    int rc = ds_unpack_new(&u, in->fd, in->name, in->head, in->nhead, in->packing, &limits, &why),
        more;
    if (rc != 0)
        return broken_archive(r, in, &why, err);
    while (rc == 0 && !stop && (rc = ds_check_interrupt(err)) == 0 &&
           (more = ds_unpack_next(u, &m, &why)) != 0) {
        if (more < 0) {
            rc = broken_archive(r, in, &why, err);
            break;
        }
        rc = member(r, u, in, &m, &stop, err);
    }
    if (rc == 0)
        rc = told_of_damage(r, u, in, err);
    ds_unpack_free(u);
    return rc;
}

static int stream_opened(ds_textread *r, opened *in, ds_err *err)
{
    if (in->packing == DS_PACK_ZIP && ds_packmark_is_document(in->name))
        return ds_textrun_refuse(&r->run, in->name, "not text", true,
                                 "an office document or a program's archive, not text", err);
    if (in->packing != DS_PACK_NONE)
        return archive(r, in, err);
    ds_feed f = {.fd = in->fd,
                 .name = in->name,
                 .encoding = r->o.encoding,
                 .head = in->head,
                 .nhead = in->nhead};
    return ds_textrun_stream(&r->run, &f, in->name,
                             r->o.format ? r->o.format : ds_textformat_of(in->name), err);
}

static int stream_item(ds_textread *r, const ds_filejob *j, const ds_fileitem *i, ds_err *err)
{
    opened in = {.fd = STDIN_FILENO,
                 .path = ds_filejob_word(j, i->path),
                 .name = ds_filejob_word(j, i->name)};
    ds_err why = {0};
    bool own = i->kind != DS_WALK_STDIN;
    int rc = own ? ds_textfile_open(&in.fd, in.path, i->operand, i->pipe, &why) : 0;
    if (rc == 0)
        rc = ds_read_full(in.fd, in.name, in.head, sizeof in.head, &in.nhead, &why);
    if (rc == 0) {
        in.packing = ds_packmark_sniff(in.head, in.nhead);
        /* Zip and 7z are read from their ends: a file is better begun anew. */
        if (!i->pipe && lseek(in.fd, 0, SEEK_SET) == 0)
            in.nhead = 0;
        rc = stream_opened(r, &in, err);
    } else {
        rc = ds_textrun_refuse(&r->run, in.name, "unreadable", true, why.msg, err);
    }
    if (own)
        ds_close(&in.fd, in.path, NULL);
    return rc;
}

/* ---- jobs of files ---- */

static int finish_item(ds_textread *r, ds_filejob *j, ds_fileitem *i, ds_err *err);

/* A file that found no room in its job gets one of its own. */
static int finish_alone(ds_textread *r, const ds_filejob *j, const ds_fileitem *i, ds_err *err)
{
    if (!r->spare && !(r->spare = calloc(1, sizeof *r->spare)))
        return ds_fail_nomem(err);
    ds_walk_entry e = {.kind = i->kind,
                       .path = ds_filejob_word(j, i->path),
                       .name = ds_filejob_word(j, i->name),
                       .operand = i->operand};
    ds_filejob_reset(r->spare);
    int rc = ds_filejob_add(r->spare, &e, err);
    if (rc != 0)
        return rc;
    ds_filejob_work(r->spare, &r->o);
    if (r->spare->err.code)
        return ds_fail_as(err, &r->spare->err);
    if (r->spare->v[0].state == DS_FILE_WAITS) /* it shrank and grew: nobody's file any more */
        r->spare->v[0].state = DS_FILE_STREAM;
    return finish_item(r, r->spare, &r->spare->v[0], err);
}

static int finish_item(ds_textread *r, ds_filejob *j, ds_fileitem *i, ds_err *err)
{
    const char *name = ds_filejob_word(j, i->name);
    r->run.named = i->operand || i->kind == DS_WALK_STDIN;
    if (i->state == DS_FILE_WAITS)
        return finish_alone(r, j, i, err);
    if (i->state == DS_FILE_PROBLEM)
        return ds_textrun_refuse(&r->run, name, i->reason, true, ds_filejob_word(j, i->why), err);
    if (i->state != DS_FILE_READ)
        return stream_item(r, j, i, err);
    int rc = ds_textrun_emit(&r->run, name, &j->batch, i->first, i->last, err);
    r->run.bytes += i->size;
    r->run.sink->progress(r->run.sink->ctx, r->run.bytes);
    r->files++;
    r->bytes += i->size;
    return rc ? rc : ds_textrun_source(&r->run, name, i->size, &i->sha, err);
}

/* Waits for the oldest job and hands on what is in it. */
static int take_job(ds_textread *r, ds_err *err)
{
    ds_filejob *j = ds_pool_next(r->pool);
    int rc = ds_check_interrupt(err);
    if (j && j->err.code && rc == 0)
        rc = ds_fail_as(err, &j->err);
    for (size_t k = 0; j && rc == 0 && k < j->n; k++)
        rc = finish_item(r, j, &j->v[k], err);
    return rc;
}

/* As many files as come to a good size, going by those before. */
static size_t job_size(const ds_textread *r)
{
    uint64_t mean = r->files ? r->bytes / r->files + 1 : TARGET / 16, n = TARGET / mean;
    return n < 1 ? 1 : n > DS_FILEJOB_MAX ? DS_FILEJOB_MAX : (size_t)n;
}

static int fill_job(ds_textread *r, ds_filejob *j, ds_err *err)
{
    size_t want = job_size(r);
    ds_walk_entry e;
    if (!r->peeked)
        ds_filejob_reset(j);
    r->peeked = false;
    while (!r->walked && j->n < want) {
        int rc = ds_walk_next(r->walk, &e, err);
        if (rc < 0)
            return rc;
        r->walked = rc == 0;
        if (rc == 1 && (rc = ds_filejob_add(j, &e, err)) != 0)
            return rc;
    }
    return 0;
}

int ds_textread_run(ds_textread *r, const ds_textopts *o, const ds_textsink *sink, ds_err *err)
{
    r->o = *o;
    int rc = ds_textrun_init(&r->run, &r->o, sink, r->threads, err);
    if (rc == 0)
        rc = ds_pool_new(&r->pool, r->threads, (int)r->njobs, ds_filejob_work, &r->o, err);
    while (rc == 0 && (r->peeked || !r->walked)) {
        if (ds_pool_full(r->pool) && (rc = take_job(r, err)) != 0)
            break;
        ds_filejob *j = &r->jobs[r->submitted % r->njobs];
        if ((rc = fill_job(r, j, err)) == 0 && j->n > 0) {
            r->submitted++;
            rc = ds_pool_submit(r->pool, j, err);
        }
    }
    while (rc == 0 && !ds_pool_empty(r->pool))
        rc = take_job(r, err);
    return rc ? rc : ds_check_interrupt(err);
}
