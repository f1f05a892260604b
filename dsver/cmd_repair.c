/* cmd_repair.c - dsver repair. */
#include <inttypes.h>

#include "cmd_verb.h"
#include "repair.h"
#include "sig.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_repair;
const ds_command ds_ver_repair = {
    .prog = "dsver",
    .name = "repair",
    .summary = "take damaged or missing pieces from a second store",
    .max_operands = 0,
    .example = "dsver repair --from /mnt/backup/.dsver",
    .description =
        "Reads every piece that a version needs and checks its address. Those that are damaged or "
        "missing are taken from the store that --from names, such as a copy or a clone, if it has "
        "them whole; then what no version needs goes, damaged objects with it. Nothing is taken "
        "that this "
        "store's versions do not name, and nothing that has not the address they name. Writers "
        "wait "
        "meanwhile.\n\n"
        "A damaged index is mended by dsver reindex, and damage in catalog.git by git's own tools "
        "(git fetch from a clone). Without a second store: after dsver reindex, committing the "
        "same "
        "stream once more stores the pieces that were lost. The exit status is 12 when some could "
        "not be had.",
    .run = run,
};

static int run(int argc, char **argv)
{
    bool json = false, wait = true;
    const char *store = NULL, *from = NULL, *reason = NULL;
    int64_t threads = 0;
    const ds_opt opts[] = {
        {.name = "from",
         .type = DS_OPT_STR,
         .var = &from,
         .arg = "STORE",
         .help = "the second store, or the folder that holds it"},
        {.name = "wait",
         .type = DS_OPT_FLAG,
         .var = &wait,
         .help = "wait for writers to finish (the default)",
         .negatable = true},
        VERB_THREADS(threads),
        VERB_REASON(reason),
        VERB_STORE(store),
        VERB_JSON(json),
        VERB_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_repair, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    ds_store s = {0}, other = {0};
    ds_repaired r = {0};
    ds_sig_setup();
    int rc = from ? 0 : ds_fail(&err, DS_USAGE, "--from names the second store");
    rc = rc ? rc : ds_store_open(&s, store, DS_OBJ_WRITE, &err);
    rc = rc ? rc : ds_store_act(&s, "repair", NULL, reason, &err);
    rc = rc ? rc : ds_store_open(&other, from, DS_OBJ_READ, &err);
    if (!rc)
        rc = ds_repair_run(&r, &s, &other, verb_threads(threads), wait, &err);
    if ((!rc || rc == DS_CORRUPT) && json)
        printf("{\"type\":\"repair\",\"pieces\":%" PRIu64 ",\"bad\":%" PRIu64 ",\"healed\":%" PRIu64
               "}\n",
               r.pieces, r.bad, r.healed);
    else if (!rc || rc == DS_CORRUPT)
        printf("%" PRIu64 " pieces, %" PRIu64 " bad, %" PRIu64 " healed\n", r.pieces, r.bad,
               r.healed);
    ds_store_close(&other);
    ds_store_close(&s);
    status = ds_command_end(&ds_ver_repair, &err, json);
    ds_sig_reraise();
    return status;
}
