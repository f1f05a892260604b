/* cmd_init.c - dsver init. */
#include <stdlib.h>

#include "cmd_verb.h"
#include "refs.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_init;
const ds_command ds_ver_init = {
    .prog = "dsver",
    .name = "init",
    .summary = "make a store",
    .operands = "[DIR]",
    .max_operands = 1,
    .example = "dsver init\n"
               "dsprep text corpus/ | dsver commit -m 'first' docs\n"
               "dsver log docs",
    .description = "Makes DIR/.dsver (default: here): packs for the data, a bare git repository "
                   "for the history, an index that can "
                   "always be rebuilt. Commands find it from any folder below, or by --store, or "
                   "in the environment "
                   "variable DSVER_STORE. A store that is there already is left as it is.\n\n"
                   "A group shares a store in a folder of its own (chmod g+ws DIR): with the umask "
                   "002, or with any when the folder has a default access list (setfacl -d -m "
                   "u::rwx,g::rwx,o::rx DIR). Who may only read it can use all commands that only "
                   "read.",
    .run = run,
};

/* The first entry of the operation log. */
static int note(const char *dir, ds_err *err)
{
    ds_store s = {0};
    int rc = ds_store_open(&s, dir, DS_OBJ_WRITE, err);
    rc = rc ? rc : ds_store_act(&s, "init", NULL, NULL, err);
    rc = rc ? rc : ds_ref_note(s.cat, NULL, err);
    ds_store_close(&s);
    return rc;
}

static int run(int argc, char **argv)
{
    bool json = false, made = false;
    const ds_opt opts[] = {VERB_JSON(json), OPT_END};
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_init, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    char *path = NULL;
    const char *dir = n > 0 ? operands[0] : ".";
    int rc = ds_store_init(dir, &made, &err);
    if (!rc)
        rc = ds_store_path(&path, dir, DS_STORE_DIR, &err);
    if (!rc && made)
        rc = note(dir, &err);
    if (!rc && json) {
        printf("{\"type\":\"init\",\"store\":");
        verb_json(stdout, path);
        printf(",\"made\":%s}\n", made ? "true" : "false");
    } else if (!rc) {
        printf("%s: %s\n", path, made ? "store made" : "was there already");
    }
    free(path);
    return ds_command_end(&ds_ver_init, &err, json);
}
