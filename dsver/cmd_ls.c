/* cmd_ls.c - dsver ls: datasets and their branches. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_verb.h"
#include "refs.h"
#include "revision.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_ls;
const ds_command ds_ver_ls = {
    .prog = "dsver",
    .name = "ls",
    .summary = "list datasets and their branches",
    .operands = "[DATASET]",
    .max_operands = 1,
    .example = "dsver ls",
    .description =
        "One line a branch: dataset@branch, commit, date, records, subject of the newest version.",
    .run = run,
};

typedef struct ls {
    ds_store *store;
    char *dataset; /* NULL: all */
    bool json;
    ds_err first; /* of versions that tell of themselves what is not so */
} ls;

static void say(const ls *l, const char *dataset, int len, const char *branch, const ds_version *v)
{
    char date[32];
    if (l->json) {
        verb_json_named("branch", dataset, (size_t)len, branch, v);
        return;
    }
    ds_date_text(date, v->time);
    verb_text(stdout, dataset, (size_t)len);
    printf("@");
    verb_words(branch);
    printf("  %.10s  %s  %" PRIu64 "  ", git_oid_tostr_s(&v->id), date, v->records);
    verb_subject(v);
    printf("\n");
}

static int on_ref(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    ls *l = ctx;
    ds_version v = {0};
    size_t pre = sizeof DS_REF_PREFIX - 1;
    const char *slash = strncmp(name, DS_REF_PREFIX, pre) == 0 ? strchr(name + pre, '/') : NULL;
    if (!slash)
        return 0;
    size_t len = (size_t)(slash - name) - pre;
    if (l->dataset && (strlen(l->dataset) != len || memcmp(l->dataset, name + pre, len) != 0))
        return 0;
    int rc = ds_version_get(&v, l->store->cat, id, err);
    rc = rc ? rc : verb_check_version(l->store->cat, &v, &l->first, err);
    if (!rc)
        say(l, name + pre, (int)len, slash + 1, &v);
    ds_version_fini(&v);
    return rc;
}

static int run(int argc, char **argv)
{
    bool json = false;
    const char *store = NULL;
    const ds_opt opts[] = {VERB_STORE(store), VERB_JSON(json), OPT_END};
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_ls, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    ds_store s = {0};
    ls l = {.store = &s, .json = json};
    int rc = ds_store_open(&s, store, DS_OBJ_READ, &err);
    if (!rc && n > 0)
        rc = ds_dataset_find(&l.dataset, &s, operands[0], &err);
    if (!rc && ds_ref_each(s.cat, on_ref, &l, &err) == 0 && l.first.code)
        ds_fail_as(&err, &l.first);
    free(l.dataset);
    ds_store_close(&s);
    return ds_command_end(&ds_ver_ls, &err, json);
}
