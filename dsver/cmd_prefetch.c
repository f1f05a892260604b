/* cmd_prefetch.c - dsver prefetch. */
#include <inttypes.h>
#include <string.h>

#include "cmd_verb.h"
#include "lazy.h"
#include "pin.h"
#include "remotesync.h"
#include "revision.h"
#include "sig.h"
#include "versionpart.h"
#include "plural.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_prefetch;
const ds_command ds_ver_prefetch = {
    .prog = "dsver",
    .name = "prefetch",
    .summary = "bring pieces of a version before they are read",
    .operands = "[DATASET[@REV]]",
    .max_operands = 1,
    .example = "dsver clone --lazy /mnt/share/datasets && cd datasets\n"
               "dsver prefetch docs --column tokens\n"
               "dsver prefetch docs@v3 --from-key log-0300 --to-key log-0399",
    .description =
        "In a store that dsver clone --lazy made, pieces come when something reads them. This "
        "brings those of a version now, so that work can go on without the remote: the whole "
        "version, or the blocks of some shards or some keys, with all their columns or some. "
        "What is here already is not fetched again. Every piece is checked on arrival.\n\n"
        "Keys are compared byte by byte. To find them, the columns that keys are made of are "
        "fetched first. A block comes with all of its records. Shards are what the catalog "
        "lists block by block, about 64 MiB each, numbered from 0: dsver sql \"select * from "
        "shards\" tells where they begin.\n\n"
        "Reading a lazy store in order is fast without it, too: what comes next is fetched "
        "while the reader works. See dsver log -h for REV.",
    .run = run,
};

typedef struct fetching {
    const char *store, *shards, *what;
    ds_opt_list columns;
    ds_versionpart part;
    bool json, quiet;
} fetching;

/* "N" or "N..M" */
static int parse_shards(ds_versionpart *p, const char *text, ds_err *err)
{
    bool good = ds_digits_next(&text, &p->from_shard);
    p->to_shard = p->from_shard;
    if (good && strncmp(text, "..", 2) == 0) {
        text += 2;
        good = ds_digits_next(&text, &p->to_shard);
    }
    if (!good || *text || p->from_shard > p->to_shard)
        return ds_fail(err, DS_USAGE, "--shard wants N or FIRST..LAST, such as 0..7");
    return 0;
}

/* What of `all` is not here. */
static int missing(ds_shaset *out, ds_store *s, const ds_shaset *all, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < all->n; i++)
        if (!ds_objstore_has(s->objs, &all->ids[i]))
            rc = ds_shaset_add(out, &all->ids[i], NULL, err);
    return rc;
}

static void say(const fetching *f, const git_oid *commit, const ds_partsize *size,
                const ds_moved *m)
{
    char bytes[32];
    if (f->json)
        printf("{\"type\":\"prefetch\",\"commit\":\"%s\",\"blocks\":%" PRIu64 ",\"of\":%" PRIu64
               ",\"records\":%" PRIu64 ",\"pieces\":%" PRIu64 ",\"bytes\":%" PRIu64 "}\n",
               git_oid_tostr_s(commit), size->blocks, size->of, size->records, m->pieces, m->bytes);
    else if (!f->quiet && m->pieces)
        printf("%" PRIu64 " of %" PRIu64 " block%s, %" PRIu64 " record%s: %" PRIu64
               " piece%s, %s\n",
               size->blocks, size->of, ds_s(size->of), size->records, ds_s(size->records),
               m->pieces, ds_s(m->pieces), verb_bytes(bytes, m->bytes));
    else if (!f->quiet)
        printf("%" PRIu64 " of %" PRIu64 " block%s, %" PRIu64 " record%s: all is here\n",
               size->blocks, size->of, ds_s(size->of), size->records, ds_s(size->records));
}

static int fetch(const fetching *f, ds_store *s, const git_oid *commit, ds_err *err)
{
    ds_shaset all = {0}, want = {0};
    ds_partsize size;
    ds_moved moved = {.pieces = 0};
    ds_link l = {.store = NULL};
    int rc = ds_versionpart_pieces(&all, &size, s, commit, &f->part, err);
    rc = rc ? rc : missing(&want, s, &all, err);
    if (!rc && want.n) {
        rc = ds_link_open(&l, s, s->lazy ? ds_lazy_name(s->lazy) : NULL, err);
        rc = rc ? rc : ds_sync_pieces(&moved, &l, &want, err);
        ds_link_close(&l);
    }
    if (!rc)
        say(f, commit, &size, &moved);
    ds_shaset_fini(&all);
    ds_shaset_fini(&want);
    return rc;
}

static int work(const fetching *f, ds_err *err)
{
    ds_store s = {0};
    ds_revision rev = {0};
    ds_pin pin = {.gate = -1, .fd = -1};
    int rc = ds_store_open(&s, f->store, DS_OBJ_WRITE, err);
    rc = rc ? rc : ds_pin_begin(&pin, &s, err);
    rc = rc ? rc : ds_revision_find(&rev, &s, f->what, err);
    rc = rc ? rc : ds_pin_set(&pin, &s, &rev.id, err);
    rc = rc ? rc : fetch(f, &s, &rev.id, err);
    ds_pin_end(&pin);
    ds_revision_fini(&rev);
    ds_store_close(&s);
    return rc;
}

static int run(int argc, char **argv)
{
    fetching f = {.part = {.to_shard = UINT64_MAX}};
    const ds_opt opts[] = {
        OPT_STR(0, "from-key", f.part.from_key, "KEY", "only blocks with keys from this one on"),
        OPT_STR(0, "to-key", f.part.to_key, "KEY", "only blocks with keys up to this one"),
        OPT_STR(0, "shard", f.shards, "N[..M]", "only blocks in this shard, or in these"),
        OPT_LIST('c', "column", f.columns, "NAME", "only this column; may be given again"),
        VERB_QUIET(f.quiet),
        VERB_STORE(f.store),
        VERB_JSON(f.json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_prefetch, opts, argc, argv, &operands, &n);
    if (status >= 0) {
        ds_opt_list_fini(&f.columns);
        return status;
    }
    ds_err err = {0};
    ds_sig_setup();
    f.what = n > 0 ? operands[0] : NULL;
    f.part.columns = f.columns.v;
    f.part.ncolumns = f.columns.n;
    if (f.part.from_key && f.part.to_key && strcmp(f.part.from_key, f.part.to_key) > 0)
        (void)ds_fail(&err, DS_USAGE, "--from-key comes behind --to-key: nothing lies between");
    else if (!f.shards || parse_shards(&f.part, f.shards, &err) == 0)
        work(&f, &err);
    ds_opt_list_fini(&f.columns);
    status = ds_command_end(&ds_ver_prefetch, &err, f.json);
    ds_sig_reraise();
    return status;
}
