/* cmd_audit.c - dsver audit. */
#include <inttypes.h>
#include <string.h>

#include "audit.h"
#include "cmd_verb.h"
#include "io.h"
#include "plural.h"
#include "runname.h"
#include "sig.h"
#include "strlist.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_audit;
const ds_command ds_ver_audit = {
    .prog = "dsver",
    .name = "audit",
    .summary = "check what a checkpoint says about its making",
    .operands = "CHECKPOINT",
    .min_operands = 1,
    .max_operands = 1,
    .example = "dsver audit run/step-000300",
    .description =
        "Recomputes what lineage.json of a checkpoint claims: the digest of its files, the "
        "tokenizer, each dataset's root and number of records, the chain of the ledger, and "
        "from the lengths in the store the order and packing of every row, its targets under "
        "the loss mask, and what the last steps consumed (--json prints that too). Where the "
        "store knows the run, lineage.json must be the one that was registered with it: this "
        "vouches for what nothing else can be compared with, such as which program and machine "
        "computed the run. A line for each check begins with ok, FAILED or unchecked.\n\n"
        "Where no store is, or it does not know the run, the line 'unchecked registered' says "
        "so, and the exit status stays as it is; with --registered that is FAILED, and so is "
        "one that was made elsewhere. A run that is gone from the catalog though by the "
        "operation log it was registered is FAILED in any case.\n\n"
        "A dataset that was a file is checked when --data gives it. The exit status is 0 when "
        "all is good, 1 when something is not or could not be checked, 12 when a file is "
        "damaged.",
    .run = run,
};

static const char *const words[] = {
    [DS_AUDIT_OK] = "ok", [DS_AUDIT_FAILED] = "FAILED", [DS_AUDIT_UNCHECKED] = "unchecked"};
static const char *const keys[] = {
    [DS_AUDIT_OK] = "ok", [DS_AUDIT_FAILED] = "failed", [DS_AUDIT_UNCHECKED] = "unchecked"};

static void on_check(void *ctx, const char *check, enum ds_audit_status status, const char *detail)
{
    const bool *json = ctx;

    if (!*json) {
        printf("%s %s: %s\n", words[status], check, detail);
        return;
    }
    printf("{\"type\":\"check\",\"check\":");
    verb_json(stdout, check);
    printf(",\"status\":\"%s\",\"detail\":", keys[status]);
    verb_json(stdout, detail);
    printf("}\n");
}

static void say_end(const char *dir, const ds_audit *a)
{
    char hex[65];

    if (a->lineage.consumed)
        printf("{\"type\":\"consumed\",%s\n", a->lineage.consumed + 1);
    ds_sha_hex(hex, &a->run);
    printf("{\"type\":\"audit\",\"checkpoint\":");
    verb_json(stdout, dir);
    printf(",\"run\":\"sha256:%s\",\"step\":%" PRIu64 ",\"rows\":%" PRIu64 ",\"failed\":%" PRIu64
           ",\"unchecked\":%" PRIu64 "}\n",
           hex, a->lineage.step, a->lineage.rows, a->failed, a->unchecked);
}

/* A checkpoint may be looked at where there is no store, unless one was asked for. */
static int open_store(ds_store *s, const char *store, bool *have, ds_err *err)
{
    int rc = ds_store_open(s, store, DS_OBJ_READ, err);

    *have = !rc;
    if (rc == DS_NOSTORE && !store) {
        ds_err_clear(err);
        rc = 0;
    }
    return rc;
}

static int audit(const char *dir, const char *store, ds_audit_opts *o, bool json, ds_err *err)
{
    ds_store s = {0};
    ds_audit a = {0};
    bool have = false;
    int rc = open_store(&s, store, &have, err);

    o->dir = dir;
    o->store = have ? &s : NULL;
    rc = rc ? rc : ds_audit_run(&a, o, on_check, &json, err);
    if (!rc && json)
        say_end(dir, &a);
    if (!rc && a.failed)
        rc = ds_fail(err, a.corrupt ? DS_CORRUPT : DS_FAIL, "%s: %" PRIu64 " check%s failed", dir,
                     a.failed, ds_s(a.failed));
    const uint64_t lacking = a.unchecked - a.unregistered;
    if (!rc && lacking && !o->offline)
        rc = ds_fail(err, DS_FAIL, "%s: %" PRIu64 " check%s could not be made", dir, lacking,
                     ds_s(lacking));
    ds_audit_fini(&a);
    if (have)
        ds_store_close(&s);
    return rc;
}

/* A run's folder in place of a checkpoint: the error gets the name of its last one. */
static void tell_meant(const char *dir, ds_err *err)
{
    ds_strlist names = {0};
    const char *name = NULL;
    uint64_t step, last = 0;

    (void)ds_strlist_folder_if_there(&names, dir, NULL);
    for (size_t i = 0; i < names.n; i++)
        if (ds_checkpoint_parse_name(names.v[i], &step) && (!name || step > last)) {
            name = names.v[i];
            last = step;
        }
    if (name)
        ds_err_prefix(err, "%s is the folder of a run, a checkpoint is %s/%s", dir, dir, name);
    ds_strlist_fini(&names);
}

static int run(int argc, char **argv)
{
    bool json = false;
    const char *store = NULL;
    ds_opt_list files = {0};
    ds_audit_opts o = {0};
    const ds_opt opts[] = {
        OPT_STR(0, "model", o.model, "DIR", "the base model, to check its digest too"),
        OPT_LIST(0, "data", files, "FILE", "a dataset that was a file; may be given repeatedly"),
        OPT_FLAG(0, "registered", o.registered,
                 "fail where the store does not know this very lineage.json"),
        OPT_FLAG(0, "offline", o.offline, "data that is not at hand is no failure"),
        VERB_STORE(store),
        VERB_JSON(json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_audit, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    o.files = files.v;
    o.nfiles = files.n;
    ds_sig_setup();
    operands[0][ds_path_len(operands[0])] = '\0';
    if (audit(operands[0], store, &o, json, &err) == DS_IO)
        tell_meant(operands[0], &err);
    ds_opt_list_fini(&files);
    status = ds_command_end(&ds_ver_audit, &err, json);
    ds_sig_reraise();
    return status;
}
