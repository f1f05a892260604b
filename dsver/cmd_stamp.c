/* cmd_stamp.c - dsver stamp: a version as a prerequisite in a Makefile. */
#include <string.h>

#include "cmd_verb.h"
#include "io.h"
#include "revision.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_stamp;
const ds_command ds_ver_stamp = {
    .prog = "dsver",
    .name = "stamp",
    .summary = "touch a file when a dataset's root has changed",
    .operands = "DATASET[@REV] FILE",
    .min_operands = 2,
    .max_operands = 2,
    .example = "dsver stamp corpus@main corpus.stamp",
    .description = "FILE holds one line, \"sha256:ROOT\". It is written, whole, only when the "
                   "version's root is another than the "
                   "one in it: a rule that depends on FILE runs again exactly when the records "
                   "changed, and not for a new "
                   "version of the same records.",
    .run = run,
};

static int stamp(const char *store, const char *what, const char *file, bool json, ds_err *err)
{
    ds_store s = {0};
    ds_revision rev = {0};
    ds_version v = {0};
    ds_buf old = {0};
    char hex[65], line[80];
    bool same = false;
    int rc = ds_store_open(&s, store, DS_OBJ_READ, err);
    if (!rc)
        rc = ds_revision_find(&rev, &s, what, err);
    if (!rc)
        rc = ds_version_get(&v, s.cat, &rev.id, err);
    ds_sha_hex(hex, &v.root);
    snprintf(line, sizeof line, "sha256:%s\n", hex);
    if (!rc && ds_path_exists(file) && ds_read_file(&old, file, 4096, NULL) == 0)
        same = old.len == strlen(line) && memcmp(old.data, line, old.len) == 0;
    if (!rc && !same)
        rc = ds_atomic_write(file, 0666, line, strlen(line), err);
    if (!rc && json) {
        printf("{\"type\":\"stamp\",\"commit\":\"%s\",\"root\":\"sha256:%s\",\"file\":",
               git_oid_tostr_s(&rev.id), hex);
        verb_json(stdout, file);
        printf(",\"changed\":%s}\n", same ? "false" : "true");
    }
    ds_buf_fini(&old);
    ds_version_fini(&v);
    ds_revision_fini(&rev);
    ds_store_close(&s);
    return rc;
}

static int run(int argc, char **argv)
{
    bool json = false;
    const char *store = NULL;
    const ds_opt opts[] = {VERB_STORE(store), VERB_JSON(json), OPT_END};
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_stamp, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    stamp(store, operands[0], operands[1], json, &err);
    return ds_command_end(&ds_ver_stamp, &err, json);
}
