/* cmd_export.c - dsprep export: records into a format of other tools. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "accounts.h"
#include "cmd_format.h"
#include "cmd_transform.h"
#include "export.h"
#include "idstream.h"
#include "options.h"
#include "pool.h"
#include "sidecar.h"
#include "sig.h"
#include "term.h"
#include "plural.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_export;
const ds_command ds_cmd_export = {
    .prog = "dsprep",
    .name = "export",
    .summary = "write records in a format of other tools",
    .operands = "[FILE...]",
    .min_operands = 0,
    .max_operands = -1,
    .example = "dsver cat corpus | dsprep export --format mds -o mds/\n"
               "dsprep export --format megatron --column tokens -o corpus corpus.dsr\n"
               "dsprep export --format jsonl s.dsr | jq .\n"
               "dsver cat ct-chest | dsprep export --format nifti -o volumes/",
    .description =
        "Reads a DSR stream (from FILEs, which are the shards of one stream, or standard "
        "input) and writes its records in another format. OUT is a file, or a folder: always "
        "for mds and nifti, and with --shard-size for formats whose files can be cut; for "
        "megatron it is "
        "what OUT.bin and OUT.idx begin with. A folder must not be there yet, or be empty. "
        "Files of records go to standard output without -o.\n\n"
        "What the format cannot hold is listed on standard error, by column, and counted where "
        "it depends on values; --strict refuses instead, and leaves nothing behind. Where "
        "records came from (sources and byte ranges) goes into no format.\n\n"
        "OUT/dsr-schema.json, or OUT.dsr-schema.json beside a file, holds the schema and the "
        "steps that made the records: with it, dsprep import gives back the same records, "
        "types and root wherever nothing was listed as lost. --bare leaves it out. nifti has "
        "none: read back, a file of it is an image and its place.\n\n"
        "Output is the same for any number of threads, and appears when it is whole. "
        "docs/formats.md says how each format holds which type.",
    .run = run,
};

typedef struct args {
    ds_fmtwrite w;
    const char *format, *hash;
    bool strict, bare;
    ds_rowopts o;
    int64_t shard_size, level, threads, memory;
} args;

static int check(const args *a, const ds_format *f, ds_err *err)
{
    const bool pipe = !a->w.path || strcmp(a->w.path, "-") == 0;
    if (!f->begin)
        return ds_fail(err, DS_USAGE, "--format %s: it can be read only", f->name);
    if (pipe && !(f->flags & DS_FORMAT_PIPE))
        return ds_fail(err, DS_USAGE, "--format %s: it needs -o OUT", f->name);
    if (pipe && a->shard_size)
        return ds_fail(err, DS_USAGE, "--shard-size needs -o OUT");
    if (a->shard_size && f->flags & DS_FORMAT_EACH)
        return ds_fail(err, DS_USAGE, "--format %s: a file is one image, and takes no --shard-size",
                       f->name);
    if (a->shard_size && !(f->flags & (DS_FORMAT_SHARDS | DS_FORMAT_FOLDER)))
        return ds_fail(err, DS_USAGE, "--format %s: it is one file, and takes no --shard-size",
                       f->name);
    if (a->hash && strcmp(f->name, "mds") != 0)
        return ds_fail(err, DS_USAGE, "--format %s: it has no digests, and takes no --hash",
                       f->name);
    if (a->w.separator >= 0 && !(f->flags & DS_FORMAT_IDS))
        return ds_fail(err, DS_USAGE, "--format %s: --separator is of formats of token ids",
                       f->name);
    if (a->level >= 0 && !(f->flags & DS_FORMAT_LEVEL))
        return ds_fail(err, DS_USAGE, "--format %s: it does not compress, and takes no --level",
                       f->name);
    if (pipe && a->bare)
        return ds_fail(err, DS_USAGE, "--bare needs -o OUT: a pipe has no dsr-schema.json");
    if (!(f->flags & DS_FORMAT_IDS) && a->w.column)
        return ds_fail(err, DS_USAGE, "--format %s: it holds all columns, and takes no --column",
                       f->name);
    return 0;
}

static void say(const args *a, const ds_exported *e)
{
    const ds_fmtloss *l = &e->loss;
    if (ds_log_level < 1)
        return;
    fprintf(
        stderr, "dsprep export: %" PRIu64 " record%s in %" PRIu64 " file%s, %" PRIu64 " bytes\n",
        e->records, ds_s(e->records), e->written.files, ds_s(e->written.files), e->written.bytes);
    for (size_t i = 0; i < l->n; i++) {
        if (l->v[i].counted && !l->v[i].count)
            continue;
        fprintf(stderr, "  lost in %s: %s: %s", a->format,
                l->v[i].column ? l->v[i].column : "stream", l->v[i].what);
        if (l->v[i].counted)
            fprintf(stderr, ": %" PRIu64 " record%s", l->v[i].count, ds_s(l->v[i].count));
        fputc('\n', stderr);
    }
}

/* What was lost, as [{"column", "what"[, "records"]}..]. NULL without memory. */
static json_t *losses(const ds_fmtloss *l)
{
    json_t *all = json_array();
    for (size_t i = 0; all && i < l->n; i++) {
        const ds_loss *x = &l->v[i];
        if (x->counted && !x->count)
            continue;
        json_t *o = json_pack("{s:s?,s:s}", "column", x->column, "what", x->what);
        if (x->counted)
            (void)json_object_set_new(o, "records", json_integer((json_int_t)x->count));
        if (json_array_append_new(all, o) != 0) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

static void say_json(const args *a, const ds_exported *e)
{
    const ds_badlog none = {0};
    json_t *all = ds_accounts_json("dsprep export", e->records, &none, &none.counts);
    json_t *more =
        json_pack("{s:s,s:I,s:I,s:o}", "format", a->format, "files", (json_int_t)e->written.files,
                  "bytes", (json_int_t)e->written.bytes, "lost", losses(&e->loss));
    if (!more || json_object_update(all, more) != 0) {
        json_decref(all);
        all = NULL;
    }
    json_decref(more);
    ds_accounts_print(all);
}

/* What stands beside an export, on its way there. */
typedef struct beside {
    const args *a;
    const ds_format *f;
    const ds_schema *s;
    const ds_exported *done;
    ds_atomic file;
} beside;

/* What an import would find: formats of ids have one column, and no keys. */
static int begin_sidecar(void *ctx, ds_err *err)
{
    beside *b = ctx;
    const ds_schema *s = b->s;
    ds_schema ids = {0};
    ds_fmtloss told = {0};
    size_t k = 0;
    int rc = 0;
    if (b->f->flags & DS_FORMAT_IDS) {
        ds_schema_init(&ids);
        ids.block_min = s->block_min;
        ids.block_target = s->block_target;
        ids.block_max = s->block_max;
        rc = ds_idcolumn_find(&k, s, b->a->w.column, &told, err);
        if (rc == 0)
            rc = ds_schema_add(&ids, NULL, s->cols[k].name, s->cols[k].type,
                               DS_COL_PRIMARY | DS_COL_KEYED, s->cols[k].attrs, err);
    }
    if (rc == 0)
        rc = ds_sidecar_begin(&b->file, b->a->w.path, ids.n ? &ids : s, b->f->name,
                              b->done->records, &b->done->provenance, err);
    ds_fmtloss_fini(&told);
    ds_schema_fini(&ids);
    return rc;
}

static int export_stream(args *a, char **operands, int n, ds_err *err)
{
    ds_exported done = {0};
    ds_instream *in = NULL;
    const ds_format *f;
    int rc = ds_format_named(&f, a->format, NULL, err);
    if (rc == 0)
        rc = check(a, f, err);
    if (rc == 0)
        rc = ds_instream_open(&in, operands, n, err);
    a->w.hashes = a->hash ? a->hash : a->w.hashes;
    a->w.shard_size = (uint64_t)a->shard_size;
    a->w.shards = a->shard_size > 0;
    a->w.level = (int)a->level;
    a->w.threads = a->threads ? (int)a->threads : ds_cpu_count();
    a->w.memory = (uint64_t)a->memory;
    beside b = {.a = a, .f = f, .done = &done, .file = {.fd = -1}};
    if (rc == 0 && !(f->flags & DS_FORMAT_EACH) && a->w.path && strcmp(a->w.path, "-") != 0 &&
        !a->bare) {
        b.s = ds_instream_schema(in);
        done.whole = begin_sidecar;
        done.ctx = &b;
    }
    if (rc == 0)
        rc = ds_export_run(&done, in, f, &a->w, a->strict, err);
    if (rc == 0 && done.whole)
        rc = ds_sidecar_commit(&b.file, a->w.path, err);
    ds_atomic_abort(&b.file);
    if (rc == 0 && a->o.json)
        say_json(a, &done);
    else if (rc == 0)
        say(a, &done);
    ds_exported_fini(&done);
    ds_instream_free(in);
    return rc;
}

static int run(int argc, char **argv)
{
    args a = {.w = {.separator = -1, .hashes = "xxh64"}, .level = -1, .memory = 512 << 20};
    const ds_opt opts[] = {
        OPT_STR('f', "format", a.format, "NAME", DS_FORMAT_WRITTEN " (needed)"),
        OPT_STR('o', "output", a.w.path, "OUT", "file or folder to write"),
        OPT_STR('c', "column", a.w.column, "NAME",
                "formats of token ids: the column; default the only one of tokens"),
        OPT_INT(0, "separator", a.w.separator, "ID", 0, UINT32_MAX,
                "llmc, npy: an id that is put before each record"),
        OPT_SIZE(0, "shard-size", a.shard_size, "SIZE",
                 "write a folder of files of about this many bytes; default for mds 64M"),
        OPT_INT('z', "level", a.level, "N", 0, 19,
                "mds, parquet: zstd level, 0 = none; default 3. npz, nifti: deflate's; default 0 "
                "and 1"),
        OPT_STR(
            0, "hash", a.hash, "NAME,..",
            "mds: digests in the index: sha256, xxh128, xxh3_64, xxh64, or none; default xxh64"),
        OPT_FLAG(0, "strict", a.strict, "fail where something would be lost"),
        OPT_FLAG(0, "bare", a.bare, "write no dsr-schema.json"),
        OPT_SIZE(
            'm', "memory", a.memory, "SIZE",
            "what whole shards may take until they are written (mds, npz, parquet); default 512M"),
        DSPREP_THREADS(a.threads),
        DSPREP_SUMMARY(a.o.json, a.o.quiet),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_export, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    ds_transform_begin(&a.o);
    (void)export_stream(&a, operands, n, &err);
    return ds_transform_end(&ds_cmd_export, &a.o, &err, false);
}
