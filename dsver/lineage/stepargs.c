/* stepargs.c - see stepargs.h. */
#include "stepargs.h"

#include <string.h>

#include "steprules.h"

#ifndef DS_VERSION
#define DS_VERSION "0"
#endif

const char *ds_step_tool(const json_t *step)
{
    const char *s = json_string_value(json_object_get(step, "tool"));
    return s ? s : "?";
}

bool ds_step_reads(const json_t *step)
{
    const ds_steprules *c = ds_steprules_find(ds_step_tool(step));
    return c && c->input != DS_STEP_STREAM;
}

/* A folder of MDS and what Megatron wrote are more files than the sources that came of them. */
bool ds_step_as_given(const json_t *step)
{
    const ds_steprules *c = ds_steprules_find(ds_step_tool(step));
    const char *format =
        json_string_value(json_object_get(json_object_get(step, "options"), "format"));
    if (c && c->input == DS_STEP_FOUND && strcmp(c->tool, "dsprep import") == 0)
        return format && (strcmp(format, "mds") == 0 || strcmp(format, "megatron") == 0);
    return c && c->input == DS_STEP_GIVEN;
}

bool ds_step_file_known(const char *what, size_t len)
{
    static const char *const known[] = {"against", "safe-private",     "schema",
                                        "scrub",   "tokenizer-config", "words"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i]) == len && memcmp(known[i], what, len) == 0)
            return true;
    return false;
}

/* ---- settings ---- */

/* Where the settings go, and what a message names. */
typedef struct making {
    ds_argv *out;
    const char *tool;
    const json_t *options;
    const ds_stepfiles *files;
    ds_err *err;
} making;

static int refuse(const making *m, const char *member)
{
    return ds_fail(m->err, DS_FAIL, "%s: its setting '%s' cannot be turned into an option", m->tool,
                   member);
}

static int put_real(const making *m, const ds_steprule *r, const char *before, double v)
{
    ds_buf b = {0};
    int rc = ds_json_real(&b, v) || !ds_buf_cstr(&b) ? ds_fail_nomem(m->err) : 0;
    rc = rc ? rc : ds_argv_addf(m->out, m->err, "--%s=%s%s", r->option, before, (char *)b.data);
    ds_buf_fini(&b);
    return rc;
}

static int put_value(const making *m, const ds_steprule *r, const json_t *v)
{
    if (json_is_string(v))
        return ds_argv_addf(m->out, m->err, "--%s=%s", r->option, json_string_value(v));
    if (json_is_integer(v))
        return ds_argv_addf(m->out, m->err, "--%s=%" JSON_INTEGER_FORMAT, r->option,
                            json_integer_value(v));
    return refuse(m, r->member);
}

static int put_list(const making *m, const ds_steprule *r, const json_t *v)
{
    ds_buf all = {0};
    int rc =
        json_is_array(v) && (r->how == RULE_EACH || json_array_size(v)) ? 0 : refuse(m, r->member);
    for (size_t i = 0; !rc && i < json_array_size(v); i++) {
        const char *s = json_string_value(json_array_get(v, i));
        if (!s)
            rc = refuse(m, r->member);
        else if (r->how == RULE_EACH)
            rc = ds_argv_addf(m->out, m->err, "--%s=%s", r->option, s);
        else if (ds_buf_printf(&all, "%s%s", i ? "," : "", s))
            rc = ds_fail_nomem(m->err);
    }
    if (!rc && r->how == RULE_JOINED)
        rc = ds_buf_cstr(&all)
                 ? ds_argv_addf(m->out, m->err, "--%s=%s", r->option, (char *)all.data)
                 : ds_fail_nomem(m->err);
    ds_buf_fini(&all);
    return rc;
}

static int put_rules(const making *m, const ds_steprule *r, json_t *v)
{
    const char *name;
    json_t *limit;
    ds_buf before = {0};
    int rc = json_is_object(v) ? 0 : refuse(m, r->member);
    json_object_foreach(v, name, limit)
    {
        ds_buf_reset(&before);
        if (!rc && (ds_buf_printf(&before, "%s=", name) || !ds_buf_cstr(&before)))
            rc = ds_fail_nomem(m->err);
        if (!rc)
            rc = json_is_number(limit)
                     ? put_real(m, r, (char *)before.data, json_number_value(limit))
                     : refuse(m, r->member);
    }
    ds_buf_fini(&before);
    return rc;
}

static int put_minhash(const making *m, const json_t *v)
{
    static const char *const names[] = {"bands", "rows", "words", "seed"};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof names / sizeof *names; i++) {
        const ds_steprule r = {names[i], RULE_TEXT, names[i]};
        rc = put_value(m, &r, json_object_get(v, names[i]));
    }
    return rc;
}

static int put_parts(const making *m, const ds_steprule *r, const json_t *v)
{
    ds_buf all = {0};
    int rc = json_array_size(v) ? 0 : refuse(m, r->member);
    for (size_t i = 0; !rc && i < json_array_size(v); i++) {
        const json_t *part = json_array_get(v, i);
        const char *name = json_string_value(json_object_get(part, "name"));
        const json_t *share = json_object_get(part, "share");
        if (!name || !json_is_number(share))
            rc = refuse(m, r->member);
        else if (ds_buf_printf(&all, "%s%s=%.9f", i ? "," : "", name, json_number_value(share)))
            rc = ds_fail_nomem(m->err);
    }
    if (!rc)
        rc = ds_buf_cstr(&all)
                 ? ds_argv_addf(m->out, m->err, "--%s=%s", r->option, (char *)all.data)
                 : ds_fail_nomem(m->err);
    ds_buf_fini(&all);
    return rc;
}

static int put_eos(const making *m, const ds_steprule *r, const json_t *v)
{
    const char *s = json_is_null(v) ? "none" : json_string_value(v);
    /* A token that is spelled like one of the option's own words cannot be named. */
    if (!s || (!json_is_null(v) && (strcmp(s, "none") == 0 || strcmp(s, "auto") == 0)))
        return refuse(m, r->member);
    return ds_argv_addf(m->out, m->err, "--%s=%s", r->option, s);
}

static int put_with(const making *m, const ds_steprule *r, const json_t *v)
{
    const char *s = json_string_value(v);
    if (s && strcmp(s, "masks") == 0)
        return 0;
    if (!s || strcmp(s, "pseudonyms") != 0)
        return refuse(m, r->member);
    if (!m->files->key_file)
        return ds_fail(m->err, DS_FAIL,
                       "%s: it replaced by pseudonyms under a secret, which --key-file must name",
                       m->tool);
    return ds_argv_addf(m->out, m->err, "--%s=%s", r->option, m->files->key_file);
}

/* A file that is not recorded by content, so that only the user can tell which it was. NULL: a
 * message says so. */
static const char *named(const making *m, const char *what, const char *why)
{
    const char *path = m->files->named(m->files->ctx, what);
    if (!path)
        ds_fail(m->err, DS_FAIL, "%s: %s: --file %s=FILE names it", m->tool, why, what);
    return path;
}

static int put_against(const making *m, const ds_steprule *r)
{
    const char *path =
        named(m, "against", "it read --against files, whose content is not recorded");
    return path ? ds_argv_addf(m->out, m->err, "--%s=%s", r->option, path) : DS_FAIL;
}

static int put_againsts(const making *m, const ds_steprule *r, const json_t *v)
{
    int rc = json_is_integer(v) ? 0 : refuse(m, r->member);
    for (json_int_t i = 0; !rc && i < json_integer_value(v); i++)
        rc = put_against(m, r);
    return rc;
}

static int put_columns(const making *m, const ds_steprule *r, const json_t *v)
{
    const char *s = json_string_value(v), *path = m->files->named(m->files->ctx, "schema");
    if (!s || (strcmp(s, "found") != 0 && strcmp(s, "given") != 0))
        return refuse(m, r->member);
    if (strcmp(s, "found") == 0)
        return ds_argv_add(m->out, "--infer", m->err);
    return path ? ds_argv_addf(m->out, m->err, "--%s=%s", r->option, path) : 0;
}

static int put_versions(const making *m, const ds_steprule *r, const json_t *v)
{
    int rc = json_is_array(v) ? 0 : refuse(m, r->member);
    for (size_t i = 0; !rc && i < json_array_size(v); i++) {
        const char *s = json_string_value(json_object_get(json_array_get(v, i), "version"));
        rc = s ? ds_argv_addf(m->out, m->err, "--%s=%s", r->option, s) : put_against(m, r);
    }
    return rc;
}

/* The names of its special tokens stand beside the tokenizer, or where the user says. */
static int put_chat(const making *m, const ds_steprule *r, const json_t *v)
{
    const char *s = json_string_value(v);
    const char *config = m->files->named(m->files->ctx, "tokenizer-config");
    if (!s)
        return refuse(m, r->member);
    int rc =
        ds_argv_addf(m->out, m->err, "--%s=%s", r->option, strcmp(s, "unknown") == 0 ? "any" : s);
    return rc || !config ? rc : ds_argv_addf(m->out, m->err, "--tokenizer-config=%s", config);
}

static int put_particular(const making *m, const ds_steprule *r, json_t *v)
{
    const char *s = json_string_value(v);
    switch (r->how) {
    case RULE_EOS:
        return put_eos(m, r, v);
    case RULE_CHAT:
        return put_chat(m, r, v);
    case RULE_SPECIAL:
        return json_object_get(m->options, "chat") || json_object_get(m->options, "ids") ||
                       json_is_true(v)
                   ? 0
                   : ds_argv_addf(m->out, m->err, "--%s", r->option);
    case RULE_ON_ERROR:
        return !s ? refuse(m, r->member)
                  : ds_argv_addf(m->out, m->err, "--%s=%s", r->option,
                                 strcmp(s, "quarantine") == 0 ? "skip" : s);
    case RULE_WITH:
        return put_with(m, r, v);
    case RULE_RULES:
        return put_rules(m, r, v);
    case RULE_PARTS:
        return put_parts(m, r, v);
    case RULE_MINHASH:
        return put_minhash(m, v);
    case RULE_AGAINST:
        return put_againsts(m, r, v);
    case RULE_COLUMNS:
        return put_columns(m, r, v);
    case RULE_VERSIONS:
        return put_versions(m, r, v);
    case RULE_ONE_STREAM:
        return json_is_false(v)
                   ? 0
                   : ds_fail(m->err, DS_FAIL,
                             "%s: it wrote each part to a file (--dir), and which of them the "
                             "version is is not recorded",
                             m->tool);
    default:
        return refuse(m, r->member);
    }
}

static int put_setting(const making *m, const ds_steprule *r, json_t *v)
{
    switch (r->how) {
    case RULE_TEXT:
        return put_value(m, r, v);
    case RULE_GIVEN:
        return json_is_string(v) && json_string_length(v) == 0 ? 0 : put_value(m, r, v);
    case RULE_NUMBER:
        return json_is_integer(v) && json_integer_value(v) == 0 ? 0 : put_value(m, r, v);
    case RULE_REAL:
        return json_is_number(v) ? put_real(m, r, "", json_number_value(v)) : refuse(m, r->member);
    case RULE_IF_SET:
    case RULE_IF_NOT:
        return !json_is_boolean(v) ? refuse(m, r->member)
               : json_is_true(v) == (r->how == RULE_IF_SET)
                   ? ds_argv_addf(m->out, m->err, "--%s", r->option)
                   : 0;
    case RULE_EACH:
    case RULE_JOINED:
        return put_list(m, r, v);
    case RULE_SAID:
        return 0;
    default:
        return put_particular(m, r, v);
    }
}

/* ---- files that a step read ---- */

/* One that is known by its content. */
static int put_found(const making *m, const char *name, const char *option, const json_t *v)
{
    const char *s = json_string_value(v), *path = NULL;
    ds_sha sha;
    if (!s || strncmp(s, "sha256:", 7) != 0 || !ds_sha_parse(&sha, s + 7, strlen(s + 7)))
        return refuse(m, name);
    int rc = m->files->find(m->files->ctx, &sha, &path, m->err);
    if (rc || (!path && strcmp(name, "template") == 0)) /* the tokenizer's own, beside it */
        return rc;
    if (!path)
        return ds_fail(m->err, DS_FAIL, "%s: its %s, %s, is not at hand: --file can name it",
                       m->tool, name, s);
    return ds_argv_addf(m->out, m->err, "--%s=%s", option, path);
}

/* What is done with the digest of a file that a step read. */
static const struct {
    const char *name;
    enum { OWN, BY_CONTENT, BY_NAME, MAYBE, SECRET } how;
    const char *option, *why;
} files_read[] = {
    {"catalog", OWN, NULL, NULL}, /* it wrote that one */
    {"tokenizer", BY_CONTENT, "tokenizer", NULL},
    {"template", BY_CONTENT, "chat-template", NULL},
    {"names", BY_CONTENT, "names", NULL},
    {"policy", MAYBE, "safe-private", NULL}, /* of its options, and of that file if there was one */
    {"key", SECRET, "key-file", NULL},
    {"scrub", BY_NAME, "scrub", "it read a list of names under --scrub"},
    {"words", BY_NAME, "words", "it read a list of words under --words"},
};

static int put_file(const making *m, const char *name, const json_t *v)
{
    const char *path = NULL;
    size_t i = 0;
    if (strncmp(name, "list ", 5) == 0) {
        char option[1024];
        const int n = snprintf(option, sizeof option, "list=%s", name + 5);
        return n > 0 && (size_t)n < sizeof option ? put_found(m, name, option, v) : refuse(m, name);
    }
    while (i < sizeof files_read / sizeof *files_read && strcmp(files_read[i].name, name) != 0)
        i++;
    if (i == sizeof files_read / sizeof *files_read)
        return refuse(m, name);
    switch (files_read[i].how) {
    case OWN:
        return 0;
    case BY_CONTENT:
        return put_found(m, name, files_read[i].option, v);
    case SECRET:
        path = m->files->key_file;
        if (!path)
            return ds_fail(m->err, DS_FAIL,
                           "%s: it worked under a key (its id is %s), which --key-file must name",
                           m->tool, json_is_string(v) ? json_string_value(v) : "?");
        break;
    case BY_NAME:
        path = named(m, name, files_read[i].why);
        if (!path)
            return DS_FAIL;
        break;
    case MAYBE:
        path = m->files->named(m->files->ctx, files_read[i].option);
        break;
    }
    return path ? ds_argv_addf(m->out, m->err, "--%s=%s", files_read[i].option, path) : 0;
}

int ds_step_args(ds_argv *out, const json_t *step, const ds_stepfiles *files, ds_err *err)
{
    const ds_steprules *c = ds_steprules_find(ds_step_tool(step));
    const char *version = json_string_value(json_object_get(step, "version")), *name;
    const making m = {.out = out,
                      .tool = ds_step_tool(step),
                      .options = json_object_get(step, "options"),
                      .files = files,
                      .err = err};
    json_t *v;
    if (!c)
        return ds_fail(err, DS_FAIL, "step '%s': what it makes cannot be rebuilt", m.tool);
    if (!version || strcmp(version, DS_VERSION) != 0)
        return ds_fail(err, DS_FAIL, "step '%s' was made by version %s, this is %s", m.tool,
                       version ? version : "?", DS_VERSION);
    int rc = ds_argv_add(out, strchr(c->tool, ' ') + 1, err);
    rc = rc ? rc : ds_argv_add(out, "-q", err);
    json_object_foreach(json_object_get(step, "options"), name, v)
    {
        const ds_steprule *r = c->rules;
        while (r->member && strcmp(r->member, name) != 0)
            r++;
        rc = rc ? rc : r->member ? put_setting(&m, r, v) : refuse(&m, name);
    }
    json_object_foreach(json_object_get(step, "digests"), name, v) rc =
        rc ? rc : put_file(&m, name, v);
    return rc;
}
