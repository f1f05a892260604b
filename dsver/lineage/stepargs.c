/* stepargs.c - see stepargs.h. */
#include "stepargs.h"

#include <inttypes.h>
#include <string.h>

#ifndef DS_VERSION
#define DS_VERSION "0"
#endif

/* What becomes of a setting. */
enum how {
    TEXT,     /* --option=value */
    GIVEN,    /* the same, but nothing for "" */
    NUMBER,   /* the same, of an integer; nothing for 0 */
    REAL,     /* the same, of a number */
    IF_SET,   /* --option when true */
    IF_NOT,   /* --option when false */
    EACH,     /* --option=item for each of a list */
    JOINED,   /* --option=a,b */
    SAID,     /* another setting says it */
    ON_ERROR, /* quarantine is skip: what differs is who keeps the bad records */
    EOS,
    CHAT,
    WITH,
    RULES,
    AGAINST,
    VERSIONS, /* --option=DATASET@COMMIT for each of a list; files are refused */
    MINHASH,
    PARTS,
    ONE_STREAM, /* of one command each */
};

typedef struct rule {
    const char *member;
    enum how how;
    const char *option;
} rule;

#define INTAKE                                                                                     \
    {"encoding", TEXT, "encoding"}, {"format", TEXT, "format"},                                    \
        {"on_error", ON_ERROR, "on-error"}, {"max_record", NUMBER, "max-record"},                  \
        {"max_depth", NUMBER, "max-depth"}, {"max_ratio", TEXT, "max-ratio"},                      \
    {                                                                                              \
        "max_unpacked", NUMBER, "max-unpacked"                                                     \
    }

static const rule text_rules[] = {
    INTAKE,
    {"keys", TEXT, "keys"},
    {"meta", IF_NOT, "no-meta"},
    {"field", TEXT, "field"},
    {"json_text", IF_SET, "json-text"},
    {"key_field", TEXT, "key-field"},
    {"split", TEXT, "split"},
    {0},
};
static const rule logs_rules[] = {
    INTAKE,
    {"join", TEXT, "join"},
    {"timezone", TEXT, "timezone"},
    {"year_policy", SAID, NULL},
    {"year", NUMBER, "year"},
    {"line", IF_SET, "line"},
    {"pattern", TEXT, "pattern"},
    {0},
};
static const rule tokenize_rules[] = {
    {"name", TEXT, "name"},
    {"special", IF_NOT, "no-special"},
    {"allow_special", IF_SET, "allow-special"},
    {"chat", CHAT, "chat"},
    {"messages", TEXT, "messages"},
    {"train_on", TEXT, "train-on"},
    {"added", IF_NOT, "no-added"},
    {"column", TEXT, "column"},
    {"eos", EOS, "eos"},
    {"prompt", TEXT, "prompt"},
    {"response", TEXT, "response"},
    {"separator", GIVEN, "separator"},
    {"max_tokens", NUMBER, "max-tokens"},
    {"truncate", TEXT, "truncate"},
    {"on_error", TEXT, "on-error"},
    {0},
};
static const rule redact_rules[] = {
    {"all_ips", IF_SET, "all-ips"},
    {"columns", EACH, "column"},
    {"kinds", JOINED, "kinds"},
    {"mark", IF_SET, "mark"},
    {"with", WITH, "key-file"},
    {"keys", TEXT, "keys"},
    {0},
};
static const rule filter_rules[] = {
    {"column", TEXT, "column"}, {"rules", RULES, "set"},  {"max_text", NUMBER, "max-text"},
    {"mark", IF_SET, "mark"},   {"where", EACH, "where"}, {0},
};
static const rule dedup_rules[] = {
    {"column", TEXT, "column"},      {"mark", IF_SET, "mark"},     {"near", IF_SET, "near"},
    {"against", AGAINST, "against"}, {"minhash", MINHASH, "seed"}, {0},
};
static const rule split_rules[] = {
    {"by", TEXT, "by"},
    {"parts", PARTS, "parts"},
    {"salt", TEXT, "salt"},
    {"files", ONE_STREAM, "dir"},
    {0},
};
static const rule templates_rules[] = {
    {"column", TEXT, "column"},
    {"max_children", NUMBER, "max-children"},
    {"max_shapes", NUMBER, "max-shapes"},
    {"similarity", REAL, "similarity"},
    {0},
};
static const rule sample_rules[] = {
    {"seed", TEXT, "seed"},   {"rate", REAL, "rate"},
    {"count", TEXT, "count"}, {"by", TEXT, "by"},
    {"cap", TEXT, "cap"},     {"weight", TEXT, "weight"},
    {"group", TEXT, "group"}, {0},
};
static const rule decontaminate_rules[] = {
    {"column", TEXT, "column"},
    {"against", VERSIONS, "against"},
    {"against_columns", EACH, "against-column"},
    {"runs", SAID, NULL},
    {"ngram", NUMBER, "ngram"},
    {"min_words", NUMBER, "min-words"},
    {"hits", NUMBER, "hits"},
    {"share", REAL, "share"},
    {"max_records", NUMBER, "max-records"},
    {"numbers", TEXT, "numbers"},
    {"mark", IF_SET, "mark"},
    {0},
};
static const rule lang_rules[] = {
    {"column", TEXT, "column"},
    {"name", TEXT, "name"},
    {"keep", GIVEN, "keep"},
    {"min_share", REAL, "min-share"},
    {"best_effort", IF_SET, "best-effort"},
    {"max_text", NUMBER, "max-text"},
    {"model", SAID, NULL},
    {0},
};
static const rule sort_rules[] = {
    {"by", EACH, "by"}, {"numeric", IF_SET, "numeric"}, {"reverse", IF_SET, "reverse"}, {0}};
static const rule map_rules[] = {
    {"keep", EACH, "keep"},         {"drop", EACH, "drop"},
    {"rename", EACH, "rename"},     {"cast", EACH, "cast"},
    {"set", EACH, "set"},           {"text", EACH, "text"},
    {"on_error", TEXT, "on-error"}, {0},
};
static const rule shuffle_rules[] = {{"seed", TEXT, "seed"}, {0}};

static const struct command {
    const char *tool;
    bool reads;
    const rule *rules;
} commands[] = {
    {"dsprep text", true, text_rules},
    {"dsprep logs", true, logs_rules},
    {"dsprep tokenize", false, tokenize_rules},
    {"dsprep redact", false, redact_rules},
    {"dsprep filter", false, filter_rules},
    {"dsprep dedup", false, dedup_rules},
    {"dsprep split", false, split_rules},
    {"dsprep templates", false, templates_rules},
    {"dsprep sample", false, sample_rules},
    {"dsprep shuffle", false, shuffle_rules},
    {"dsprep decontaminate", false, decontaminate_rules},
    {"dsprep lang", false, lang_rules},
    {"dsprep sort", false, sort_rules},
    {"dsprep map", false, map_rules},
};

const char *ds_step_tool(const json_t *step)
{
    const char *s = json_string_value(json_object_get(step, "tool"));
    return s ? s : "?";
}

static const struct command *find_command(const json_t *step)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].tool, ds_step_tool(step)) == 0)
            return &commands[i];
    return NULL;
}

bool ds_step_reads(const json_t *step)
{
    const struct command *c = find_command(step);
    return c && c->reads;
}

/* ---- settings ---- */

/* Where the settings go, and what a message names. */
typedef struct making {
    ds_argv *out;
    const char *tool;
    const ds_stepfiles *files;
    ds_err *err;
} making;

static int refuse(const making *m, const char *member)
{
    return ds_fail(m->err, DS_FAIL, "%s: its setting '%s' cannot be turned into an option", m->tool,
                   member);
}

static int put_real(const making *m, const rule *r, const char *before, double v)
{
    ds_buf b = {0};
    int rc = ds_json_real(&b, v) || !ds_buf_cstr(&b) ? ds_fail_nomem(m->err) : 0;
    rc = rc ? rc : ds_argv_addf(m->out, m->err, "--%s=%s%s", r->option, before, (char *)b.data);
    ds_buf_fini(&b);
    return rc;
}

static int put_value(const making *m, const rule *r, const json_t *v)
{
    if (json_is_string(v))
        return ds_argv_addf(m->out, m->err, "--%s=%s", r->option, json_string_value(v));
    if (json_is_integer(v))
        return ds_argv_addf(m->out, m->err, "--%s=%" JSON_INTEGER_FORMAT, r->option,
                            json_integer_value(v));
    return refuse(m, r->member);
}

static int put_list(const making *m, const rule *r, const json_t *v)
{
    ds_buf all = {0};
    int rc = json_is_array(v) && (r->how == EACH || json_array_size(v)) ? 0 : refuse(m, r->member);
    for (size_t i = 0; !rc && i < json_array_size(v); i++) {
        const char *s = json_string_value(json_array_get(v, i));
        if (!s)
            rc = refuse(m, r->member);
        else if (r->how == EACH)
            rc = ds_argv_addf(m->out, m->err, "--%s=%s", r->option, s);
        else if (ds_buf_printf(&all, "%s%s", i ? "," : "", s))
            rc = ds_fail_nomem(m->err);
    }
    if (!rc && r->how == JOINED)
        rc = ds_buf_cstr(&all)
                 ? ds_argv_addf(m->out, m->err, "--%s=%s", r->option, (char *)all.data)
                 : ds_fail_nomem(m->err);
    ds_buf_fini(&all);
    return rc;
}

static int put_rules(const making *m, const rule *r, json_t *v)
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

static int put_parts(const making *m, const rule *r, const json_t *v)
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

static int put_eos(const making *m, const rule *r, const json_t *v)
{
    const char *s = json_is_null(v) ? "none" : json_string_value(v);
    /* A token that is spelled like one of the option's own words cannot be named. */
    if (!s || (!json_is_null(v) && (strcmp(s, "none") == 0 || strcmp(s, "auto") == 0)))
        return refuse(m, r->member);
    return ds_argv_addf(m->out, m->err, "--%s=%s", r->option, s);
}

static int put_with(const making *m, const rule *r, const json_t *v)
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

static int not_recorded(const making *m)
{
    return ds_fail(m->err, DS_FAIL,
                   "%s: it read --against files, and which they were is not recorded", m->tool);
}

static int put_versions(const making *m, const rule *r, const json_t *v)
{
    int rc = json_is_array(v) ? 0 : refuse(m, r->member);
    for (size_t i = 0; !rc && i < json_array_size(v); i++) {
        const char *s = json_string_value(json_object_get(json_array_get(v, i), "version"));
        rc = s ? ds_argv_addf(m->out, m->err, "--%s=%s", r->option, s) : not_recorded(m);
    }
    return rc;
}

static int put_particular(const making *m, const rule *r, json_t *v)
{
    const char *s = json_string_value(v);
    switch (r->how) {
    case EOS:
        return put_eos(m, r, v);
    case CHAT:
        return !s ? refuse(m, r->member)
                  : ds_argv_addf(m->out, m->err, "--%s=%s", r->option,
                                 strcmp(s, "unknown") == 0 ? "any" : s);
    case ON_ERROR:
        return !s ? refuse(m, r->member)
                  : ds_argv_addf(m->out, m->err, "--%s=%s", r->option,
                                 strcmp(s, "quarantine") == 0 ? "skip" : s);
    case WITH:
        return put_with(m, r, v);
    case RULES:
        return put_rules(m, r, v);
    case PARTS:
        return put_parts(m, r, v);
    case MINHASH:
        return put_value(m, r, json_object_get(v, "seed"));
    case AGAINST:
        return json_is_integer(v) && json_integer_value(v) == 0 ? 0 : not_recorded(m);
    case VERSIONS:
        return put_versions(m, r, v);
    case ONE_STREAM:
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

static int put_setting(const making *m, const rule *r, json_t *v)
{
    switch (r->how) {
    case TEXT:
        return put_value(m, r, v);
    case GIVEN:
        return json_is_string(v) && json_string_length(v) == 0 ? 0 : put_value(m, r, v);
    case NUMBER:
        return json_is_integer(v) && json_integer_value(v) == 0 ? 0 : put_value(m, r, v);
    case REAL:
        return json_is_number(v) ? put_real(m, r, "", json_number_value(v)) : refuse(m, r->member);
    case IF_SET:
    case IF_NOT:
        return !json_is_boolean(v) ? refuse(m, r->member)
               : json_is_true(v) == (r->how == IF_SET)
                   ? ds_argv_addf(m->out, m->err, "--%s", r->option)
                   : 0;
    case EACH:
    case JOINED:
        return put_list(m, r, v);
    case SAID:
        return 0;
    default:
        return put_particular(m, r, v);
    }
}

/* ---- files that a step read ---- */

static int put_file(const making *m, const char *name, const json_t *v)
{
    const bool template = strcmp(name, "template") == 0;
    const char *s = json_string_value(v), *path = NULL;
    ds_sha sha;
    if (strcmp(name, "catalog") == 0)
        return 0; /* it wrote that one */
    if (!template && strcmp(name, "tokenizer") != 0 && strcmp(name, "names") != 0)
        return refuse(m, name);
    if (!s || strncmp(s, "sha256:", 7) != 0 || !ds_sha_parse(&sha, s + 7, strlen(s + 7)))
        return refuse(m, name);
    int rc = m->files->find(m->files->ctx, &sha, &path, m->err);
    if (rc || (!path && template)) /* then it is the tokenizer's own, beside it */
        return rc;
    if (!path)
        return ds_fail(m->err, DS_FAIL, "%s: its %s, %s, is not at hand: --file can name it",
                       m->tool, name, s);
    return ds_argv_addf(m->out, m->err, "--%s=%s", template ? "chat-template" : name, path);
}

int ds_step_args(ds_argv *out, const json_t *step, const ds_stepfiles *files, ds_err *err)
{
    const struct command *c = find_command(step);
    const char *version = json_string_value(json_object_get(step, "version")), *name;
    const making m = {.out = out, .tool = ds_step_tool(step), .files = files, .err = err};
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
        const rule *r = c->rules;
        while (r->member && strcmp(r->member, name) != 0)
            r++;
        rc = rc ? rc : r->member ? put_setting(&m, r, v) : refuse(&m, name);
    }
    json_object_foreach(json_object_get(step, "digests"), name, v) rc =
        rc ? rc : put_file(&m, name, v);
    return rc;
}
