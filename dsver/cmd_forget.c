/* cmd_forget.c - dsver forget. */
#include <inttypes.h>
#include <string.h>

#include "cmd_verb.h"
#include "forget.h"
#include "sig.h"
#include "term.h"
#include "plural.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_forget;
const ds_command ds_ver_forget = {
    .prog = "dsver",
    .name = "forget",
    .summary = "erase records from every version and every pack",
    .operands = "[KEY...]",
    .max_operands = -1,
    .example = "dsver forget --reason \"request 2026-117\" 3f2a9c0d5b7e81f2a4c6e8d0b1f39c57",
    .description =
        "Finds the records with these keys (as dsprep cat prints them; --key-file keeps them "
        "out of the process list), or those that have a value (--where FIELD=VALUE), in "
        "all versions of all datasets, deleted branches within gc's time of grace included. "
        "FIELD is a column or, as in dsprep filter, a member of one of JSON: meta.patient, or "
        "patient where no column is called so; texts are compared as they are, numbers as they "
        "are written. "
        "Their bytes are removed from all packs, and so are names and digests of sources that "
        "were about them alone. With files (dsprep files), other names of the same file (hard "
        "links) go with the first. Writers wait meanwhile.\n\n"
        "History stays as it is and still verifies: commits, roots and addresses do not "
        "change, and in place of the record all versions show a tombstone: a key that says "
        "erased:..., nulls, and as many zeros as there were tokens, so that ordinals and the "
        "ledgers of runs hold. dsver fsck counts what was erased. A statement with who, when, "
        "why and what is added under refs/dsver/erased in the catalog; it names no key.\n\n"
        "Where keys are digests of the content, a step that changes the content (redact, map) "
        "gives a record another key: such copies are named by their own keys, or by --where. "
        "Versions, checkpoints that consumed a record, and keys that no version has are "
        "listed; when some keys were found and others not, the exit status is 3, when none was "
        "found 1. The next dsver push takes the erasure to the remote and its packs; a clone "
        "takes it up with its next fetch or pull, and cannot push before. Versions at a remote "
        "that were never fetched are not searched: fetch first. Checkouts and streams made "
        "before are not reached. Addresses of blocks that held the record stay in the catalog: "
        "somebody who guesses the whole content of a block can confirm it. Commit messages "
        "stay too.",
    .run = run,
};

static int add_key(void *ctx, const char *p, size_t len, ds_err *err)
{
    ds_buf *keys = ctx;
    if (memchr(p, 0, len))
        return ds_fail(err, DS_USAGE, "a key with a NUL byte cannot be named here: use --where");
    return ds_buf_put(keys, p, len) || ds_buf_putc(keys, 0) ? ds_fail_nomem(err) : 0;
}

static void say_json(const ds_forgotten *f, bool dry_run)
{
    char hex[65];
    const git_oid *v = (const git_oid *)(const void *)f->touched.data;
    ds_sha_hex(hex, &f->statement);
    for (size_t i = 0; i < f->touched.len / sizeof *v; i++) {
        printf("{\"type\":\"version\",\"commit\":\"%s\",\"dataset\":", git_oid_tostr_s(&v[i]));
        verb_json(stdout, f->datasets.v[i]);
        printf("}\n");
    }
    for (size_t i = 0; i < f->unmet.n; i++) {
        printf("{\"type\":\"unknown\",\"key\":");
        verb_json(stdout, f->unmet.v[i]);
        printf("}\n");
    }
    for (size_t i = 0; i < f->ntaints; i++) {
        const ds_taint *t = &f->taints[i];
        printf("{\"type\":\"run\",\"run\":");
        verb_json(stdout, t->run);
        printf(",\"digest\":\"%s\"", t->digest);
        if (t->absent) {
            printf(",\"absent\":");
            verb_json(stdout, t->absent);
            printf("}\n");
            continue;
        }
        if (t->abandoned)
            printf(",\"abandoned\":%" PRIu64, t->abandoned);
        printf(",\"step\":%" PRIu64 ",\"checkpoints\":[", t->step);
        for (size_t k = 0; k < t->checkpoints.len / sizeof(uint64_t); k++)
            printf("%s%" PRIu64, k ? "," : "",
                   ((const uint64_t *)(const void *)t->checkpoints.data)[k]);
        printf("]}\n");
    }
    printf("{\"type\":\"forget\",\"dry_run\":%s,\"records\":%" PRIu64 ",\"rows\":%" PRIu64
           ",\"versions\":%" PRIu64 ",\"blocks\":%" PRIu64 ",\"sources\":%" PRIu64
           ",\"uncompared\":%s",
           dry_run ? "true" : "false", f->records, f->rows, f->versions, f->blocks, f->sources,
           f->inner ? "true" : "false");
    if (!dry_run)
        printf(",\"detached\":%" PRIu64 ",\"bytes_before\":%" PRIu64 ",\"bytes_after\":%" PRIu64
               ",\"statement\":\"sha256:%s\"",
               f->gone.detached, f->gone.objs.bytes_before, f->gone.objs.bytes_after, hex);
    printf("}\n");
}

static void say(const ds_forgotten *f, bool dry_run)
{
    const git_oid *v = (const git_oid *)(const void *)f->touched.data;
    printf("%s %" PRIu64 " record%s, %" PRIu64 " row%s in %" PRIu64 " version%s, %" PRIu64
           " source%s\n",
           dry_run ? "would erase" : "erased", f->records, ds_s(f->records), f->rows, ds_s(f->rows),
           f->versions, ds_s(f->versions), f->sources, ds_s(f->sources));
    for (size_t i = 0; i < f->touched.len / sizeof *v; i++) {
        printf("version ");
        verb_words(f->datasets.v[i]);
        printf("@%s\n", git_oid_tostr_s(&v[i]));
    }
    for (size_t i = 0; i < f->unmet.n; i++) {
        printf("unknown ");
        verb_text(stdout, f->unmet.v[i], strlen(f->unmet.v[i]));
        putchar('\n');
    }
    for (size_t i = 0; i < f->ntaints; i++) {
        const ds_taint *t = &f->taints[i];
        const uint64_t *c = (const uint64_t *)(const void *)t->checkpoints.data;
        printf("run     %s %s: ", t->run, t->digest);
        if (t->absent) {
            printf("its dataset '");
            verb_words(t->absent);
            printf("' is not in the store, so it is not known whether it consumed them\n");
            continue;
        }
        if (t->abandoned)
            printf("consumed at step %" PRIu64 " of what it went back from; ", t->abandoned);
        if (!t->step)
            printf("in its data, not consumed\n");
        else
            printf("consumed at step %" PRIu64 "; tainted:", t->step);
        for (size_t k = 0; k < t->checkpoints.len / sizeof *c; k++)
            printf(" step-%06" PRIu64, c[k]);
        if (t->step)
            printf("%s\n", t->checkpoints.len ? "" : " no checkpoint");
    }
    if (!dry_run) {
        char hex[65], before[32], after[32];
        ds_sha_hex(hex, &f->statement);
        printf("packs %s -> %s; statement sha256:%s\n",
               verb_bytes(before, f->gone.objs.bytes_before),
               verb_bytes(after, f->gone.objs.bytes_after), hex);
    }
}

static int work(ds_forget_opts *o, const char *store, const char *file, const char *where,
                char **operands, int n, bool json, ds_err *err)
{
    ds_buf keys = {0}, text = {0};
    ds_store s = {0};
    ds_forgotten f = {0};
    ds_fieldvalue value = {0};
    int rc = where ? ds_fieldvalue_init(&value, where, err) : 0;
    for (int i = 0; !rc && i < n; i++)
        rc = add_key(&keys, operands[i], strlen(operands[i]), err);
    if (!rc && file)
        rc = verb_key_file(&text, file, add_key, &keys, err);
    if (!rc && (keys.len > 0) == (where != NULL))
        rc = ds_fail(err, DS_USAGE, "name keys, or --where FIELD=VALUE");
    if (!rc && !o->dry_run && (!o->reason || !*o->reason))
        rc = ds_fail(err, DS_USAGE, "--reason is wanted: it stands in the statement");
    if (!rc && o->dataset)
        rc = ds_dataset_check(o->dataset, err);
    o->keys = &keys;
    o->where = where ? &value : NULL;
    rc = rc ? rc : ds_store_open(&s, store, o->dry_run ? DS_OBJ_READ : DS_OBJ_WRITE, err);
    rc = rc ? rc : ds_store_act(&s, "forget", o->author, o->reason, err);
    rc = rc ? rc : ds_forget_run(&f, &s, o, err);
    if (!rc && f.inner)
        ds_warn("in some records '%s' is an object or an array: these were not looked into",
                value.field);
    if (!rc && json)
        say_json(&f, o->dry_run);
    else if (!rc)
        say(&f, o->dry_run);
    if (!rc && f.unmet.n)
        rc = ds_fail(err, DS_PARTIAL, "no version holds %zu of the keys", f.unmet.n);
    ds_forgotten_fini(&f);
    ds_store_close(&s);
    ds_buf_fini(&keys);
    ds_buf_fini(&text);
    ds_fieldvalue_fini(&value);
    return rc;
}

static int run(int argc, char **argv)
{
    bool json = false;
    const char *store = NULL, *file = NULL, *where = NULL;
    int64_t threads = 0;
    verb_signing sign = {.yes = false};
    ds_forget_opts o = {.wait = true};
    const ds_opt opts[] = {
        OPT_STR(0, "where", where, "FIELD=VALUE", "all records whose FIELD has this value"),
        OPT_STR(0, "key-file", file, "FILE", "keys, one a line; - is standard input"),
        OPT_STR(0, "dataset", o.dataset, "NAME",
                "only look in this dataset (blocks that others share are erased there too)"),
        OPT_STR(0, "reason", o.reason, "TEXT",
                "why (needed, but for -n); it stands in the statement for good, so name nobody"),
        VERB_AUTHOR(o.author),
        VERB_SIGN(sign, 'S'),
        OPT_FLAG('n', "dry-run", o.dry_run,
                 "only tell what would be erased, and which checkpoints are tainted"),
        VERB_WAIT(o.wait),
        VERB_THREADS(threads),
        VERB_STORE(store),
        VERB_JSON(json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_forget, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    o.threads = verb_threads(threads);
    o.sign = verb_sign(&sign);
    ds_sig_setup();
    work(&o, store, file, where, operands, n, json, &err);
    status = ds_command_end(&ds_ver_forget, &err, json);
    ds_sig_reraise();
    return status;
}
