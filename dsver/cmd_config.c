/* cmd_config.c - dsver config. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd_verb.h"
#include "opt_help.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_config;
const ds_command ds_ver_config = {
    .prog = "dsver",
    .name = "config",
    .summary = "read and set a store's configuration",
    .operands = "[NAME [VALUE]]",
    .max_operands = 2,
    .example = "dsver config dsver.dataset docs",
    .description = "Without operands all settings are listed; with NAME its value is printed (exit "
                   "1 when it is not set); with VALUE it "
                   "is set. The file is .dsver/config, in git's syntax.\n\n"
                   "dsver.dataset: the dataset meant when none is named. user.name, user.email: "
                   "who commits; git's own settings "
                   "are asked when the store has none.",
    .run = run,
};

static int list_one(void *ctx, const char *name, const char *value)
{
    const bool *json = ctx;
    if (*json) {
        printf("{\"type\":\"config\",\"name\":");
        verb_json(stdout, name);
        printf(",\"value\":");
        verb_json(stdout, value);
        printf("}\n");
    } else {
        printf("%s=%s\n", name, value);
    }
    return 0;
}

static int get(const char *dir, const char *name, bool json, ds_err *err)
{
    ds_buf v = {0};
    int rc = ds_config_get(&v, dir, name, false, err);
    if (rc == 0)
        rc = ds_fail(err, DS_FAIL, "%s is not set", name);
    const char *text = rc > 0 ? ds_buf_cstr(&v) : NULL;
    if (rc > 0 && !text)
        rc = ds_fail_nomem(err);
    if (rc > 0 && json)
        list_one(&json, name, text);
    else if (rc > 0)
        printf("%s\n", text);
    ds_buf_fini(&v);
    return rc < 0 ? rc : 0;
}

/* What dsver itself reads of these sections; others are git's, which reads what it knows. A name
 * that nobody reads would be taken for heeded. */
static int check_name(const char *name, ds_err *err)
{
    static const char *const known[] = {"dsver.dataset",
                                        "dsver.format",
                                        "dsver.shared",
                                        "user.name",
                                        "user.email",
                                        "user.signingkey",
                                        "commit.gpgsign",
                                        "tag.gpgsign",
                                        "gpg.format",
                                        "gpg.program",
                                        "gpg.ssh.program",
                                        "gpg.openpgp.program",
                                        "gpg.x509.program",
                                        "gpg.minTrustLevel",
                                        "gpg.ssh.allowedSignersFile",
                                        "gpg.ssh.revocationFile",
                                        "gpg.ssh.defaultKeyCommand"};
    static const char *const ours[] = {"dsver.", "user.", "commit.", "tag.", "gpg."};
    const size_t n = sizeof known / sizeof *known;
    bool of_these = false;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        of_these |= strncasecmp(name, ours[i], strlen(ours[i])) == 0;
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(known[i], name) == 0)
            return 0;
    const char *near = of_these ? ds_help_nearest(name, known, n) : NULL;
    return !of_these ? 0
                     : ds_fail(err, DS_USAGE, "nothing reads a setting '%s'%s%s%s", name,
                               near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* value: NULL to remove it. */
static int set(const char *dir, const char *name, const char *value, bool json, ds_err *err)
{
    int rc = value ? check_name(name, err) : 0;
    rc = rc ? rc : ds_config_set(dir, name, value, err);
    if (!rc && json) {
        printf("{\"type\":\"config\",\"did\":\"%s\",\"name\":", value ? "set" : "unset");
        verb_json(stdout, name);
        printf(",\"value\":");
        if (value)
            verb_json(stdout, value);
        else
            printf("null");
        printf("}\n");
    }
    return rc;
}

static int run(int argc, char **argv)
{
    bool json = false, unset = false;
    const char *store = NULL;
    const ds_opt opts[] = {
        OPT_FLAG(0, "unset", unset, "remove the setting NAME"),
        VERB_STORE(store),
        VERB_JSON(json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_config, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    char *dir = NULL;
    const char *is = n == 1 ? strchr(operands[0], '=') : NULL;
    int rc = unset && n != 1 ? ds_fail(&err, DS_USAGE, "--unset goes with one NAME")
             : is ? ds_fail(&err, DS_USAGE, "NAME and VALUE are two words: dsver config %.*s '%s'",
                            (int)(is - operands[0]), operands[0], is + 1)
             : !unset && n < 2
                 ? ds_store_find_config(&dir, store, &err) /* also one that nobody can use */
                 : ds_store_find(&dir, store, &err);
    if (!rc && unset)
        set(dir, operands[0], NULL, json, &err);
    else if (!rc && n == 0)
        ds_config_each(dir, list_one, &json, &err);
    else if (!rc && n == 1)
        get(dir, operands[0], json, &err);
    else if (!rc)
        set(dir, operands[0], operands[1], json, &err);
    free(dir);
    return ds_command_end(&ds_ver_config, &err, json);
}
