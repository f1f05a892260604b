/* cmd_checkout.c - dsver checkout. */
#include <inttypes.h>
#include <stdlib.h>

#include "checkout.h"
#include "cmd_verb.h"
#include "pin.h"
#include "revision.h"
#include "sig.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_checkout;
const ds_command ds_ver_checkout = {
    .prog = "dsver",
    .name = "checkout",
    .summary = "write a version into a folder",
    .operands = "DATASET[@REV] DIR",
    .min_operands = 2,
    .max_operands = 2,
    .example = "dsver checkout docs@v3 /data/docs-v3",
    .description =
        "DIR then holds the version as a DSR shard with a block index, or as JSON lines, in which "
        "tensors are base64. It appears whole or not at all. A DIR that an earlier checkout made "
        "and "
        "that nobody changed is replaced; anything else is left alone. The files share nothing "
        "with "
        "the store: to change or to delete them does it no harm. See dsver log -h for REV.",
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
        printf(",\"file\":\"%s\",\"bytes\":%" PRIu64 ",\"replaced\":%s}\n", done.file, done.bytes,
               done.replaced ? "true" : "false");
    } else if (!rc) {
        char size[32];
        printf("%s %s/%s, %s\n", git_oid_tostr_s(&rev.id), operands[1], done.file,
               verb_bytes(size, done.bytes));
    }
    free(done.file);
    ds_pin_end(&pin);
    ds_revision_fini(&rev);
    ds_store_close(&s);
    return rc;
}

static int run(int argc, char **argv)
{
    static const char *const forms[] = {"dsr", "jsonl", NULL};
    bool json = false;
    const char *store = NULL;
    int form = DS_CHECKOUT_DSR;
    int64_t threads = 0, level = 0;
    const ds_opt opts[] = {
        {.name = "format",
         .type = DS_OPT_CHOICE,
         .var = &form,
         .arg = "FORM",
         .help = "dsr or jsonl (default: dsr)",
         .choices = forms},
        {.name = "level",
         .type = DS_OPT_INT,
         .var = &level,
         .arg = "N",
         .help = "compress DSR with zstd (default: 0, not)",
         .max = 19},
        VERB_THREADS(threads),
        VERB_STORE(store),
        VERB_JSON(json),
        VERB_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_checkout, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    ds_checkout_opts o = {
        .form = (enum ds_checkout_form)form, .threads = verb_threads(threads), .level = (int)level};
    ds_sig_setup();
    work(store, operands, &o, json, &err);
    status = ds_command_end(&ds_ver_checkout, &err, json);
    ds_sig_reraise();
    return status;
}
