/* cmd_files.c - dsprep files: files of any kind into records, so that they can be versioned and
 * restored. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "cmd_transform.h"
#include "dsr_prov.h"
#include "options.h"
#include "plural.h"
#include "sig.h"
#include "term.h"
#include "treewalk.h"
#include "unchanged.h"

#define PART ((size_t)256 << 10)

static int run(int argc, char **argv);

extern const ds_command ds_cmd_files;
const ds_command ds_cmd_files = {
    .prog = "dsprep",
    .name = "files",
    .summary = "files of any kind into records, to be versioned and restored",
    .operands = "INPUT...",
    .min_operands = 1,
    .max_operands = -1,
    .example = "dsprep files scans/ | dsver commit -m 'raw, March' raw\n"
               "dsprep files --store . scans/ | dsver commit -m 'raw, April' raw\n"
               "dsver cat raw | dsprep restore scans-march/",
    .description =
        "Writes a record for everything below a folder or in an archive (tar, zip, 7z): files "
        "with their bytes, folders, also empty ones, symbolic links with their targets, hard "
        "links as further names of the file that came first, and permissions. An INPUT that is "
        "another file is one record. Names may be any bytes: in the key, a byte that is not "
        "UTF-8 is written as U+FFFD and two hexadecimal digits, and is restored from that. "
        "Owners, access control lists and other extended attributes are not kept, holes become "
        "zeros, and times are kept only with --mtime: without it, a copy of a folder has the "
        "same root as the folder.\n\n"
        "Links are not followed, and nothing is written below the INPUTs. Devices, pipes and "
        "sockets are left out and counted, and so is a store of dsver (.dsver) below a folder. "
        "A file that changes while it is read, or that cannot be read, is an error: "
        "--on-error=skip leaves it out, and the exit status is 3. Files pass in constant "
        "memory; one of more than 4 MB takes its size in $TMPDIR meanwhile.\n\n"
        "With --store the stream is for `dsver commit` into that very store, and nothing else. "
        "Files whose size, times and inode are those of the last run are not read: the stream "
        "refers to the content in the store. The version is the same as without --store. A "
        "file that changed less than two seconds before it was read is read again.",
    .run = run,
};

typedef struct files {
    int on_error;
    const char *quarantine, *store;
    ds_shardopts shards;
    int64_t max_ratio;
    bool mtime, as_is, quiet, json;
    /* what is open */
    ds_schema schema;
    ds_filecols col;
    ds_buf prov, key, target;
    ds_shardout *out;
    ds_badlog bad;
    ds_hasher *hasher;
    ds_unchanged *unchanged; /* NULL: everything is read */
    ds_treewalk *last;
    ds_progress progress;
    uint8_t *part;
    uint64_t records, bytes, special, stores; /* the last two: left out */
} files;

static int told(files *f, const ds_treeentry *e, const char *reason, const char *why, ds_err *err)
{
    const ds_textproblem p = {
        .source = (const char *)f->key.data, .reason = reason, .why = why, .lost = e->lost};

    return ds_badlog_add(&f->bad, &p, err);
}

/* Whether the digest of a content of this size is made with its block: all of it came at once. */
static bool summed_later(const files *f, uint64_t size)
{
    return f->unchanged && size < PART;
}

/* The content into the open row and, unless that is done later, the hasher. 1: this file failed,
 * and *why says so. */
static int content(files *f, ds_treewalk *w, ds_colbuild *b, uint64_t *size, ds_err *why,
                   ds_err *err)
{
    size_t got = PART;
    int rc = ds_colbuild_begin(b, err);

    while (!rc && got == PART) {
        if ((rc = ds_check_interrupt(err)) != 0)
            break;
        if (ds_treewalk_read(w, f->part, PART, &got, why) != 0)
            return why->code == DS_NOMEM ? ds_fail_nomem(err) : 1;
        rc = ds_colbuild_part(b, f->part, got, err);
        *size += got;
        if (!rc && !summed_later(f, *size))
            rc = ds_hasher_put(f->hasher, f->part, got, err);
        f->bytes += got;
        ds_progress_at(&f->progress, f->bytes);
    }
    return rc ? rc : ds_colbuild_end(b, err);
}

static int columns(files *f, ds_rows *rows, const ds_treeentry *e, ds_err *err)
{
    const char *kind = ds_filekind_names[e->kind];
    int rc = ds_colbuild_bytes(ds_rows_col(rows, f->col.key), f->key.data, f->key.len, err);

    rc = rc ? rc : ds_colbuild_bytes(ds_rows_col(rows, f->col.kind), kind, strlen(kind), err);
    rc = rc ? rc
            : ds_colbuild_i64(ds_rows_col(rows, f->col.mode),
                              e->kind == DS_FILE_SYMLINK ? 0777 : e->mode, err);
    if (!rc)
        rc = e->target ? ds_colbuild_bytes(ds_rows_col(rows, f->col.target), f->target.data,
                                           f->target.len, err)
                       : ds_colbuild_null(ds_rows_col(rows, f->col.target), err);
    if (!rc && f->col.mtime >= 0)
        rc = ds_colbuild_i64(ds_rows_col(rows, (size_t)f->col.mtime), e->mtime, err);
    return rc;
}

/* Whether a file that failed half way lets the run go on. */
static int failed(files *f, ds_treewalk *w, const ds_treeentry *e, ds_rows *rows, const ds_err *why,
                  ds_err *err)
{
    const char *reason = ds_is_io(why->code)       ? "unreadable"
                         : why->code == DS_CORRUPT ? "damaged archive"
                                                   : "incomplete";
    const int rc = ds_rows_drop(rows, err);

    ds_treewalk_pass_over(w);
    return rc ? rc : told(f, e, reason, why->msg, err);
}

/* The record whose content was put ends; it was made of this. */
static int end_record(files *f, const ds_treeentry *e, ds_source *s, ds_err *err)
{
    const bool later = summed_later(f, s->size);
    int rc = later ? 0 : ds_hasher_end(f->hasher, &s->sha, err);

    if (!rc && f->unchanged)
        return ds_unchanged_read(f->unchanged, e, s, !later, err);
    rc = rc ? rc : ds_shardout_row(f->out, 0, s->size, err);
    return rc ? rc : ds_shardout_source(f->out, s, err);
}

static int record(files *f, ds_treewalk *w, const ds_treeentry *e, ds_err *err)
{
    ds_source s = {.name = (const char *)f->key.data, .len = f->key.len};
    ds_err why = {0};
    ds_rows *rows;
    int rc = ds_shardout_rows(f->out, &rows, err);

    rc = rc ? rc : ds_hasher_reset(f->hasher, err);
    rc = rc ? rc : ds_rows_begin(rows, err);
    rc = rc ? rc : columns(f, rows, e, err);
    if (!rc && f->unchanged && (rc = ds_unchanged_row(f->unchanged, e, &s, err)) == 1) {
        f->records++;
        return ds_shardout_source(f->out, &s, err);
    }
    if (!rc && e->kind == DS_FILE_PLAIN) {
        rc = content(f, w, ds_rows_col(rows, f->col.content), &s.size, &why, err);
        if (rc == 1)
            return failed(f, w, e, rows, &why, err);
    } else if (!rc) {
        rc = ds_colbuild_bytes(ds_rows_col(rows, f->col.content), "", 0, err);
    }
    rc = rc ? rc : end_record(f, e, &s, err);
    f->records += rc == 0;
    return rc;
}

static int entry(files *f, ds_treewalk *w, const ds_treeentry *e, ds_err *err)
{
    f->key.len = f->target.len = 0;
    int rc = ds_filename_key(&f->key, e->name, strlen(e->name), err);
    if (!rc && !ds_buf_cstr(&f->key))
        rc = ds_fail_nomem(err);
    if (!rc && e->target)
        rc = ds_filename_key(&f->target, e->target, strlen(e->target), err);
    if (rc || e->reason)
        return rc ? rc : told(f, e, e->reason, e->why, err);
    if (e->untimely && f->col.mtime >= 0) {
        ds_treewalk_pass_over(w);
        return told(f, e, "bad time", "its time is before 1677 or after 2262", err);
    }
    return record(f, w, e, err);
}

static int one_input(files *f, const char *path, bool last, ds_err *err)
{
    const ds_unpack_limits limits = {.max_ratio = (uint64_t)f->max_ratio, .max_members = 100000000};
    ds_treewalk *w;
    ds_treeentry e;
    uint64_t special = 0, stores = 0;
    int more = 0, rc = ds_treewalk_new(&w, path, f->as_is, &limits, err);

    if (rc)
        return rc;
    if (f->unchanged)
        rc = ds_unchanged_input(f->unchanged, w, err);
    while (!rc && (more = ds_treewalk_next(w, &e, err)) == 1) {
        rc = entry(f, w, &e, err);
        if (rc || e.lost)
            break;
    }
    rc = rc ? rc : more < 0 ? more : 0;
    if (!rc && f->unchanged && !last)
        rc = ds_unchanged_input_end(f->unchanged, err);
    ds_treewalk_left_out(w, &special, &stores);
    f->special += special;
    f->stores += stores;
    if (last)
        f->last = w; /* its files may be read once more */
    else
        ds_treewalk_free(w);
    return rc;
}

static int open_all(files *f, char **operands, int n, ds_err *err)
{
    json_t *o =
        json_pack("{s:b,s:b,s:s,s:I}", "as_is", (int)f->as_is, "mtime", (int)f->mtime, "on_error",
                  ds_onerror_names[f->on_error], "max_ratio", (json_int_t)f->max_ratio);
    int rc = o ? 0 : ds_fail_nomem(err);

    ds_schema_init(&f->schema);
    f->part = malloc(PART);
    rc = rc || f->part ? rc : ds_fail_nomem(err);
    rc = rc ? rc : ds_hasher_new(&f->hasher, err);
    if (!rc && !f->shards.dir)
        rc = ds_refuse_tty(1, "pipe it on, or give -o DIR", err);
    rc = rc ? rc : ds_badlog_open(&f->bad, (enum ds_onerror)f->on_error, f->quarantine, err);
    rc = rc ? rc : ds_filerec_schema(&f->schema, &f->col, f->mtime, err);
    rc = rc ? rc : ds_prov_append(&f->prov, NULL, 0, "dsprep files", o, NULL, err);
    rc =
        rc ? rc : ds_shardout_open(&f->out, &f->shards, &f->schema, f->prov.data, f->prov.len, err);
    json_decref(o);
    if (!rc && f->store) {
        rc = ds_unchanged_open(&f->unchanged, f->store, operands, (size_t)n, err);
        rc = rc ? rc : ds_unchanged_stream(f->unchanged, f->out, f->col.content, err);
    }
    return rc;
}

static int convert(files *f, char **operands, int n, ds_err *err)
{
    int rc = f->store && f->shards.dir
                 ? ds_fail(err, DS_USAGE,
                           "--store is for a pipe into dsver commit: -o does not go with it")
                 : open_all(f, operands, n, err);

    if (rc)
        return rc;
    ds_progress_begin(&f->progress, "reading", 0, true);
    for (int i = 0; i < n && !rc; i++)
        rc = one_input(f, operands[i], i == n - 1, err);
    ds_progress_end(&f->progress);
    rc = rc ? rc : ds_badlog_end(&f->bad, err);
    rc = rc ? rc : ds_shardout_end(f->out, &f->bad.counts, err);
    if (rc && f->out)
        ds_shardout_abort(f->out, err->msg);
    return rc || !f->unchanged ? rc : ds_unchanged_keep(f->unchanged, err);
}

static uint64_t bytes_of(const files *f)
{
    return f->bytes + (f->unchanged ? ds_unchanged_bytes(f->unchanged) : 0);
}

static void say(const files *f)
{
    ds_accounts_say("dsprep files", f->records, &f->bad);
    fprintf(stderr, "; %" PRIu64 " bytes", bytes_of(f));
    if (f->unchanged)
        fprintf(stderr, " read, %" PRIu64 " records unchanged", ds_unchanged_count(f->unchanged));
    if (f->special)
        fprintf(stderr, "; %" PRIu64 " devices, pipes and sockets left out", f->special);
    if (f->stores)
        fprintf(stderr, "; %" PRIu64 " store%s (.dsver) left out", f->stores, ds_s(f->stores));
    fputc('\n', stderr);
}

static void say_json(const files *f)
{
    json_t *all = ds_accounts_json("dsprep files", f->records, &f->bad, &f->bad.counts);
    json_t *more = json_pack("{s:I,s:{s:I,s:I}}", "bytes", (json_int_t)bytes_of(f), "left_out",
                             "special", (json_int_t)f->special, "stores", (json_int_t)f->stores);
    if (more && f->unchanged &&
        json_object_set_new(more, "unchanged",
                            json_integer((json_int_t)ds_unchanged_count(f->unchanged))) != 0) {
        json_decref(more);
        more = NULL;
    }
    if (!more || json_object_update(all, more) != 0) {
        json_decref(all);
        all = NULL;
    }
    json_decref(more);
    ds_accounts_print(all);
}

static int run(int argc, char **argv)
{
    files f = {.shards = DS_SHARDOPTS_DEFAULTS, .max_ratio = 200};
    const ds_opt opts[] = {
        OPT_FLAG(0, "mtime", f.mtime, "keep when each file's content last changed"),
        OPT_FLAG(0, "as-is", f.as_is,
                 "an INPUT that is an archive is one file, and is not entered"),
        OPT_STR(0, "store", f.store, "STORE",
                "the store that the stream is committed to: what it has of files that did not "
                "change is referred to, and not read"),
        DSPREP_MAX_RATIO(f.max_ratio),
        DSPREP_BAD_INPUT(f.on_error, f.quarantine),
        DSPREP_SHARDS(f.shards),
        DSPREP_JSON(f.json),
        DSPREP_QUIET(f.quiet),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_files, opts, argc, argv, &operands, &n);

    if (rc >= 0)
        return rc;
    ds_err err = {0};
    ds_sig_setup();
    if (f.quiet || f.json)
        ds_log_level = 0;
    rc = convert(&f, operands, n, &err);
    if (!rc && f.json)
        say_json(&f);
    else if (!rc && ds_log_level > 0)
        say(&f);
    const bool partial = f.bad.held + f.bad.failed > 0;
    ds_shardout_free(f.out);
    ds_unchanged_free(f.unchanged);
    ds_treewalk_free(f.last);
    ds_badlog_fini(&f.bad);
    ds_hasher_free(f.hasher);
    ds_schema_fini(&f.schema);
    ds_buf_fini(&f.prov);
    ds_buf_fini(&f.key);
    ds_buf_fini(&f.target);
    free(f.part);
    return ds_transform_end(&ds_cmd_files, &(ds_rowopts){.json = f.json}, &err, partial);
}
