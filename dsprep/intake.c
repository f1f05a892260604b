/* intake.c - see intake.h. */
#include "intake.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "accounts.h"
#include "charset.h"
#include "csv.h"
#include "plural.h"
#include "pool.h"

#define SAY_MAX 8 /* kinds of records that are told by name */

int ds_intake_limits(const ds_intake_args *a, ds_textopts *o, ds_err *err)
{
    if (a->max_record < 1 || a->max_record > (1 << 30))
        return ds_fail(err, DS_USAGE, "--max-record: from 1 byte to 1G");
    o->encoding = a->encoding;
    o->max_record = (size_t)a->max_record;
    o->max_depth = (unsigned)a->max_depth;
    o->limits = (ds_unpack_limits){.max_ratio = (uint64_t)a->max_ratio,
                                   .max_bytes = (uint64_t)a->max_unpacked,
                                   .max_members = 100000000};
    const int rc = ds_csv_delimiter(&o->delimiter, a->delimiter, err);
    return rc || !a->encoding ? rc : ds_charset_check(a->encoding, err);
}

int ds_intake_open(ds_intake *in, const ds_intake_args *a, const ds_textopts *o,
                   char *const *operands, size_t n, ds_err *err)
{
    size_t dashes = 0;
    int rc = 0;
    in->a = a;
    in->operands = operands;
    in->noperands = n;
    ds_schema_init(&in->schema);
    for (size_t i = 0; i < n; i++)
        dashes += strcmp(operands[i], "-") == 0;
    if (dashes > 1)
        rc = ds_fail(err, DS_USAGE, "standard input (-) can be read once only");
    if (rc == 0 && !a->shards.dir)
        rc = ds_refuse_tty(1, "pipe it on, or give -o DIR", err);
    if (rc == 0)
        rc = ds_badlog_open(&in->bad, (enum ds_onerror)a->on_error, a->quarantine, err);
    if (rc == 0)
        rc = ds_textread_new(&in->read, o, operands, n,
                             a->threads ? (int)a->threads : ds_cpu_count(), err);
    return rc;
}

/* ---- the sink ---- */

int ds_intake_source(void *ctx, const char *name, uint64_t size, const ds_sha *sha, ds_err *err)
{
    ds_intake *in = ctx;
    const ds_source s = {.name = name, .len = strlen(name), .size = size, .sha = *sha};
    return ds_shardout_source(in->out, &s, err);
}

static int on_problem(void *ctx, const ds_textproblem *p, ds_err *err)
{
    ds_intake *in = ctx;
    if (in->foreign && strcmp(p->reason, in->foreign) == 0 && !p->named) {
        ds_warn("%s: left out: %s", p->source, p->why);
        in->nforeign++;
        return 0;
    }
    if (p->fate == DS_FATE_LEFT)
        return ds_counts_add(&in->left, false, p->reason, 1, err);
    return ds_badlog_add(&in->bad, p, err);
}

static void on_progress(void *ctx, uint64_t bytes)
{
    ds_intake *in = ctx;
    ds_progress_at(&in->progress, bytes);
}

void ds_intake_sink(ds_textsink *sink)
{
    sink->source = ds_intake_source;
    sink->problem = on_problem;
    sink->progress = on_progress;
}

/* ---- the run ---- */

/* Bytes of the operands when all are files: what a progress bar can measure itself against. */
static uint64_t total_bytes(char *const *operands, size_t n)
{
    uint64_t total = 0;
    for (size_t i = 0; i < n; i++) {
        struct stat st;
        if (stat(operands[i], &st) != 0 || !S_ISREG(st.st_mode) ||
            ds_packmark_is_packed(operands[i]))
            return 0;
        total += (uint64_t)st.st_size;
    }
    return total;
}

int ds_intake_run(ds_intake *in, const ds_textopts *o, const ds_textsink *sink, ds_err *err)
{
    const ds_intake_args *a = in->a;
    int rc = ds_shardout_open(&in->out, &a->shards, &in->schema, in->prov.data, in->prov.len, err);
    if (rc != 0)
        return rc;
    ds_progress_begin(&in->progress, "reading", total_bytes(in->operands, in->noperands), true);
    rc = ds_textread_run(in->read, o, sink, err);
    ds_progress_end(&in->progress);
    if (rc == 0)
        rc = ds_badlog_end(&in->bad, err);
    if (rc == 0)
        rc = ds_shardout_end(in->out, &in->bad.counts, err);
    if (rc != 0)
        ds_shardout_abort(in->out, err->msg);
    return rc;
}

/* A reason that ends so, and is more than that. */
static bool has_end(const char *reason, const char *end)
{
    const size_t n = strlen(reason), k = strlen(end);
    return n > k && strcmp(reason + n - k, end) == 0;
}

static void say_json(ds_intake *in, const char *command, uint64_t links, uint64_t special,
                     uint64_t stores, const json_t *more)
{
    (void)ds_counts_join(&in->before, &in->bad.counts, NULL);
    json_t *all = ds_accounts_json(command, in->records, &in->bad, &in->before);
    json_t *left_out =
        json_pack("{s:I,s:I,s:I,s:I}", "links", (json_int_t)links, "special", (json_int_t)special,
                  "stores", (json_int_t)stores, "of_another_kind", (json_int_t)in->nforeign);
    if ((in->left.nheld > 0 &&
         json_object_set_new(left_out, "records",
                             ds_accounts_reasons(in->left.held, in->left.nheld)) != 0) ||
        json_object_set_new(all, "left_out", left_out) != 0 ||
        (more && json_object_update(all, (json_t *)(uintptr_t)more) != 0)) {
        json_decref(all);
        all = NULL;
    }
    ds_accounts_print(all);
}

/* "3 request, 1 warcinfo": the most frequent first. */
static void say_reasons(const ds_reason *v, size_t n, const char *end)
{
    uint64_t before = UINT64_MAX, others = 0;
    for (size_t told = 0; n > 0;) {
        uint64_t most = 0;
        for (size_t i = 0; i < n; i++)
            if (has_end(v[i].reason, end) && v[i].count < before && v[i].count > most)
                most = v[i].count;
        if (most == 0)
            break;
        for (size_t i = 0; i < n; i++) {
            if (v[i].count != most || !has_end(v[i].reason, end))
                continue;
            if (told < SAY_MAX)
                fprintf(stderr, "%s%" PRIu64 " %.*s", told ? ", " : "", most,
                        (int)(strlen(v[i].reason) - strlen(end)), v[i].reason);
            else
                others += most;
            told++;
        }
        before = most;
    }
    if (others > 0)
        fprintf(stderr, ", %" PRIu64 " others", others);
}

/* Records of crawls: those that hold no text, and those that are no documents. */
static void say_records(const ds_intake *in)
{
    if (in->bad.textless > 0) {
        fprintf(stderr, "; no text in %" PRIu64 " held: ", in->bad.textless);
        say_reasons(in->bad.counts.held, in->bad.counts.nheld, DS_NO_TEXT);
    }
    if (in->left.nheld > 0) {
        fputs("; no documents, left out: ", stderr);
        say_reasons(in->left.held, in->left.nheld, "");
    }
}

void ds_intake_say(ds_intake *in, const char *command, const json_t *more)
{
    uint64_t links = 0, special = 0, stores = 0;
    if (in->read)
        ds_textread_left_out(in->read, &links, &special, &stores);
    if (in->a && in->a->json) {
        say_json(in, command, links, special, stores, more);
        return;
    }
    if (ds_log_level == 0)
        return;
    ds_accounts_say(command, in->records, &in->bad);
    if (links > 0)
        fprintf(stderr, "; %" PRIu64 " symbolic or hard links left out", links);
    if (special > 0)
        fprintf(stderr, "; %" PRIu64 " special files left out", special);
    if (stores > 0)
        fprintf(stderr, "; %" PRIu64 " store%s (.dsver) left out", stores, ds_s(stores));
    if (in->nforeign > 0)
        fprintf(stderr, "; %" PRIu64 " files of another kind left out", in->nforeign);
    say_records(in);
    fputc('\n', stderr);
}

bool ds_intake_partial(const ds_intake *in)
{
    return in->bad.held + in->bad.failed > 0;
}

void ds_intake_fini(ds_intake *in)
{
    ds_shardout_free(in->out);
    ds_textread_free(in->read);
    ds_badlog_fini(&in->bad);
    ds_counts_fini(&in->before);
    ds_counts_fini(&in->left);
    ds_schema_fini(&in->schema);
    ds_buf_fini(&in->prov);
}
