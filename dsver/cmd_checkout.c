/* cmd_checkout.c - dsver checkout. */
#include <inttypes.h>
#include <stdlib.h>

#include "checkout.h"
#include "cmd_verb.h"
#include "pin.h"
#include "revision.h"
#include "sig.h"
#include "plural.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_checkout;
const ds_command ds_ver_checkout = {
    .prog = "dsver",
    .name = "checkout",
    .summary = "write a version into a folder",
    .operands = "DATASET[@REV] DIR",
    .min_operands = 2,
    .max_operands = 2,
    .example = "dsver checkout docs@v3 /data/docs-v3\n"
               "dsprep files photos/ | dsver commit raw && dsver checkout raw copy/\n"
               "dsver checkout raw~1 some/ --only march --only '*.txt'",
    .description =
        "A version that dsprep files made is restored: DIR, which must not be there or be "
        "empty, then holds its files, folders and links as they were, with permissions, and "
        "times where the records have them (as dsprep restore). Records that were erased are "
        "left out. Any other version is written as a DSR shard with a block index, or as JSON "
        "lines, in which tensors are base64; a DIR that an earlier checkout made so and that "
        "nobody changed is replaced, anything else is left alone.\n\n"
        "With --only, of files those alone are restored that a PATTERN chooses: a path, a "
        "folder, which is restored with all below it, or a glob in which '*' and '?' match a "
        "'/' too. Quote a glob, so that the shell leaves it alone. The folders that they lie "
        "in come with the permissions and times on record, and a hard link to a file that is "
        "not chosen becomes that file. A pattern that matches nothing is an error, and nothing "
        "is restored then. Keys are read to find the files, and then only the blocks that hold "
        "them: in a store that dsver clone --lazy made, nothing else is fetched. The root of "
        "the version is verified from the addresses of its blocks, and what is read by its own "
        "address; what is not read is not looked at.\n\n"
        "It appears whole, with the roots of the version verified, or not at all. The files "
        "share nothing with the store: to change or to delete them does it no harm. It ends "
        "when everything is on disk. With --no-sync it does not wait for that, like most "
        "programs that restore files, and a crash of the machine in the seconds after may "
        "leave less than the whole. See dsver log -h for REV.",
    .run = run,
};

static int work(const char *store, char **operands, ds_checkout_opts *o, bool json, ds_err *err)
{
    ds_store s = {0};
    ds_revision rev = {0};
    ds_pin pin = {.gate = -1, .fd = -1};
    ds_checkedout done = {0};
    int rc = ds_store_open(&s, store, DS_OBJ_READ, err);
    rc = rc ? rc : ds_pin_begin(&pin, &s, err);
    rc = rc ? rc : ds_revision_find(&rev, &s, operands[0], err);
    rc = rc ? rc : ds_pin_set(&pin, &s, &rev.id, err);
    rc = rc ? rc : ds_checkout_run(&done, &s, &rev.id, operands[1], o, err);
    if (!rc && json) {
        printf("{\"type\":\"checkout\",\"commit\":\"%s\",\"dir\":", git_oid_tostr_s(&rev.id));
        verb_json(stdout, operands[1]);
        if (done.file)
            printf(",\"file\":\"%s\"", done.file);
        else
            printf(",\"files\":%" PRIu64, done.files);
        printf(",\"bytes\":%" PRIu64 ",\"replaced\":%s}\n", done.bytes,
               done.replaced ? "true" : "false");
    } else if (!rc) {
        char size[32];
        verb_bytes(size, done.bytes);
        if (done.file)
            printf("%s %s/%s, %s\n", git_oid_tostr_s(&rev.id), operands[1], done.file, size);
        else
            printf("%s %s, %" PRIu64 " file%s, %s\n", git_oid_tostr_s(&rev.id), operands[1],
                   done.files, ds_s(done.files), size);
    }
    free(done.file);
    ds_pin_end(&pin);
    ds_revision_fini(&rev);
    ds_store_close(&s);
    return rc;
}

static int run(int argc, char **argv)
{
    static const char *const forms[] = {"dsr", "jsonl", "files", NULL};
    bool json = false, setuid = false, sync = true;
    const char *store = NULL;
    int form = DS_CHECKOUT_AUTO;
    int64_t threads = 0, level = 0;
    ds_opt_list only = {0};
    const ds_opt opts[] = {
        OPT_CHOICE(0, "format", form, "FORM", forms,
                   "dsr, jsonl or files (default: files where the records are files, else dsr)"),
        OPT_INT('z', "level", level, "N", 0, 19, "compress DSR with zstd (default: 0, not)"),
        OPT_LIST(0, "only", only, "PATTERN", "files: restore these alone; may be given again"),
        OPT_FLAG(0, "setuid", setuid, "files: restore set-user-id and set-group-id bits too"),
        OPT_SWITCH(0, "sync", sync, "end when everything is on disk (the default)"),
        VERB_THREADS(threads),
        VERB_STORE(store),
        VERB_JSON(json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_checkout, opts, argc, argv, &operands, &n);
    if (status >= 0) {
        ds_opt_list_fini(&only);
        return status;
    }
    ds_err err = {0};
    ds_checkout_opts o = {.form = (enum ds_checkout_form)form,
                          .setuid = setuid,
                          .lax = !sync,
                          .threads = verb_threads(threads),
                          .level = (int)level,
                          .only = only.v,
                          .nonly = only.n};
    ds_sig_setup();
    if (!*operands[1])
        ds_fail(&err, DS_USAGE, "the name of the folder is empty");
    else
        work(store, operands, &o, json, &err);
    ds_opt_list_fini(&only);
    status = ds_command_end(&ds_ver_checkout, &err, json);
    ds_sig_reraise();
    return status;
}
