/* cmd_init.c - dsver init. */
#include <inttypes.h>
#include <stdlib.h>

#include "cmd_verb.h"
#include "modes.h"
#include "plural.h"
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
               "dsver init --shared group /data/ct\n"
               "dsprep text corpus/ | dsver commit -m 'first' docs\n"
               "dsver log docs",
    .description = "Makes DIR/.dsver (default: here): packs for the data, a bare git repository "
                   "for the history, an index that can "
                   "always be rebuilt. Commands find it from any folder below, or by --store, or "
                   "in the environment "
                   "variable DSVER_STORE. A store that is there already is left as it is.\n\n"
                   "--shared says who may use it: umask, as the umask of each has it (the "
                   "default); group, everything can be read and written by the group of the "
                   "store's folder, whatever the umask of who makes it; all, others can read it "
                   "too. That group is the one of who makes the store, or of DIR where DIR hands "
                   "on its own (chgrp ct DIR, chmod g+s DIR). Given for a store that is there, it "
                   "holds from now on, and what is there already is changed as by dsver repair "
                   "--modes, which takes no permission away: after --shared umask that is left to "
                   "chmod. Who may only read a store can use all commands that only read.",
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

/* A store that was there. */
static int share(const char *dir, enum ds_sharing how, ds_modes *m, ds_err *err)
{
    ds_store s = {0};
    char detail[32];
    int rc = ds_store_open_bare(&s, dir, err);
    snprintf(detail, sizeof detail, "--shared %s", ds_sharing_words[how]);
    rc = rc ? rc : ds_store_share(&s, how, err);
    rc = rc ? rc : ds_store_act(&s, "init", NULL, NULL, err);
    rc = rc ? rc : ds_ref_note(s.cat, detail, err);
    rc = rc ? rc : ds_modes_check(m, s.dir, true, NULL, NULL, err);
    const uint64_t left = m->wrong - m->mended;
    if (!rc && left)
        rc = ds_fail(err, DS_FAIL,
                     "%s: %" PRIu64 " file%s or folder%s of others, who are to run dsver repair "
                     "--modes (or root is): dsver fsck names them",
                     s.dir, left, ds_s(left), ds_s(left));
    ds_store_close(&s);
    return rc;
}

static void say(const char *path, bool made, const ds_modes *m, bool json)
{
    if (json) {
        printf("{\"type\":\"init\",\"store\":");
        verb_json(stdout, path);
        printf(",\"made\":%s,\"shared\":\"%s\",\"mended\":%" PRIu64 "}\n", made ? "true" : "false",
               ds_sharing_words[ds_sharing_of(path)], m->mended);
        return;
    }
    printf("%s: %s\n", path, made ? "store made" : "was there already");
    if (m->mended)
        printf("%" PRIu64 " file%s and folder%s with other permissions\n", m->mended,
               ds_s(m->mended), ds_s(m->mended));
}

static int run(int argc, char **argv)
{
    bool json = false, made = false;
    int how = -1;
    const ds_opt opts[] = {
        OPT_CHOICE(0, "shared", how, "WHOM", ds_sharing_words,
                   "who may use it, whatever the umask: umask, group or all"),
        VERB_JSON(json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_init, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    char *path = NULL;
    const char *dir = n > 0 ? operands[0] : ".";
    ds_modes m = {0};
    int rc = ds_store_init(dir, how < 0 ? DS_SHARED_UMASK : (enum ds_sharing)how, &made, &err);
    if (!rc && !made && how >= 0)
        rc = ds_store_reshare(dir, (enum ds_sharing)how, &err);
    if (!rc)
        rc = ds_store_find(&path, dir, &err);
    if (!rc && made)
        rc = note(dir, &err);
    if (!rc && !made && how >= 0)
        rc = share(dir, (enum ds_sharing)how, &m, &err);
    if (!rc)
        say(path, made, &m, json);
    free(path);
    return ds_command_end(&ds_ver_init, &err, json);
}
