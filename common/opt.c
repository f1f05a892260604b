/* opt.c - see opt.h. */
#include "opt.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "opt_help.h"
#include "term.h"

#define NAMES_MAX 256

/* "--output", or "-o" when it was given by its letter. */
static void shown_name(char *out, size_t size, const ds_opt *o, bool by_letter)
{
    if (by_letter)
        snprintf(out, size, "-%c", o->letter);
    else
        snprintf(out, size, "--%s", o->name);
}

static int bad_value(const ds_opt *o, const char *shown, const char *value, ds_err *err)
{
    if (o->min != 0 || o->max != 0)
        return ds_fail(err, DS_USAGE, "%s: '%s' is not a whole number from %" PRId64 " to %" PRId64,
                       shown, value, o->min, o->max);
    return ds_fail(err, DS_USAGE, "%s: '%s' is not a %s", shown, value,
                   o->type == DS_OPT_SIZE   ? "size such as 65536, 64K, 4M or 1G"
                   : o->type == DS_OPT_TIME ? "time such as 90s, 30m, 12h or 14d"
                   : o->type == DS_OPT_REAL ? "number"
                                            : "whole number");
}

/* The factor of a unit: "", K, M, G, T, each with or without B or iB; 0 when it is none. */
static int64_t unit_factor(const char *s)
{
    static const char letters[] = "KMGT";
    if (*s == '\0')
        return 1;
    const char *at = strchr(letters, *s >= 'a' && *s <= 'z' ? *s - 32 : *s);
    if (!at || (s[1] && strcmp(s + 1, "B") != 0 && strcmp(s + 1, "iB") != 0))
        return 0;
    return INT64_C(1) << 10 * (at - letters + 1);
}

/* Seconds in a unit of time; 0 when it is none. */
static int64_t unit_seconds(const char *s)
{
    static const char letters[] = "smhdw";
    static const int64_t seconds[] = {1, 60, 3600, 86400, 604800};
    const char *at = *s ? strchr(letters, *s) : letters;
    return !at || (*s && s[1]) ? 0 : seconds[at - letters];
}

static int set_int(const ds_opt *o, const char *shown, const char *value, ds_err *err)
{
    char *end;
    errno = 0;
    long long v = strtoll(value, &end, 10);
    bool ok = errno == 0 && end != value && *value != ' ' && *value != '\t' && *value != '\n';
    int64_t r = v;
    if (ok && (o->type == DS_OPT_SIZE || o->type == DS_OPT_TIME)) {
        int64_t factor = o->type == DS_OPT_SIZE ? unit_factor(end) : unit_seconds(end);
        ok = factor != 0 && v >= 0 && !__builtin_mul_overflow((int64_t)v, factor, &r);
    } else if (ok) {
        ok = *end == '\0';
    }
    if (ok && (o->min != 0 || o->max != 0))
        ok = r >= o->min && r <= o->max;
    if (!ok)
        return bad_value(o, shown, value, err);
    *(int64_t *)o->var = r;
    return 0;
}

static int set_real(const ds_opt *o, const char *shown, const char *value, ds_err *err)
{
    char *end;
    double v = strtod(value, &end);
    if (end == value || *end || !isfinite(v) || *value == ' ')
        return bad_value(o, shown, value, err);
    *(double *)o->var = v;
    return 0;
}

static int set_choice(const ds_opt *o, const char *shown, const char *value, ds_err *err)
{
    char list[512] = "";
    size_t n = 0, len = 0;
    for (; o->choices[n]; n++) {
        if (strcmp(o->choices[n], value) == 0) {
            *(int *)o->var = (int)n;
            return 0;
        }
        if (len < sizeof list)
            len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", n ? ", " : "",
                                    o->choices[n]);
    }
    const char *near = ds_help_nearest(value, o->choices, n);
    return ds_fail(err, DS_USAGE, "%s: '%s' is none of %s%s%s%s", shown, value, list,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int set_list(const ds_opt *o, const char *value, ds_err *err)
{
    ds_opt_list *l = o->var;
    if (ds_grow(&l->v, &l->cap, l->n, sizeof *l->v))
        return ds_fail_nomem(err);
    l->v[l->n++] = value;
    return 0;
}

static int set_value(const ds_opt *o, const char *shown, const char *value, ds_err *err)
{
    switch (o->type) {
    case DS_OPT_FLAG:
        *(bool *)o->var = true;
        return 0;
    case DS_OPT_STR:
        *(const char **)o->var = value;
        return 0;
    case DS_OPT_INT:
    case DS_OPT_SIZE:
    case DS_OPT_TIME:
        return set_int(o, shown, value, err);
    case DS_OPT_REAL:
        return set_real(o, shown, value, err);
    case DS_OPT_CHOICE:
        return set_choice(o, shown, value, err);
    default:
        return set_list(o, value, err);
    }
}

static int unknown_long(const ds_opt *opts, const char *word, size_t len, ds_err *err)
{
    const char *names[NAMES_MAX];
    char given[128];
    size_t n = 0;
    for (const ds_opt *o = opts; o && o->name && n + 1 < NAMES_MAX; o++)
        if (o->type != DS_OPT_GROUP)
            names[n++] = o->name;
    names[n++] = "help";
    snprintf(given, sizeof given, "%.*s", (int)(len < 100 ? len : 100), word);
    bool no = strncmp(given, "no-", 3) == 0;
    const char *near = ds_help_nearest(given + (no ? 3 : 0), names, n);
    if (!near)
        return ds_fail(err, DS_USAGE, "unknown option --%s", given);
    return ds_fail(err, DS_USAGE, "unknown option --%s; did you mean --%s?", given, near);
}

/* Where the parser stands. */
struct parse {
    const ds_command *cmd;
    const ds_opt *opts;
    int argc;
    char **argv;
    int i; /* the word being looked at */
};

static const ds_opt *find_long(const ds_opt *opts, const char *name, size_t len)
{
    for (const ds_opt *o = opts; o && o->name; o++)
        if (o->type != DS_OPT_GROUP && strlen(o->name) == len && memcmp(o->name, name, len) == 0)
            return o;
    return NULL;
}

static int parse_long(struct parse *p, ds_err *err)
{
    const char *word = p->argv[p->i] + 2;
    const char *eq = strchr(word, '=');
    size_t len = eq ? (size_t)(eq - word) : strlen(word);
    char shown[128];
    const ds_opt *o = find_long(p->opts, word, len);
    if (!o && len > 3 && memcmp(word, "no-", 3) == 0) {
        o = find_long(p->opts, word + 3, len - 3);
        if (o && o->type == DS_OPT_FLAG && o->negatable) {
            if (eq)
                return ds_fail(err, DS_USAGE, "--no-%s takes no value", o->name);
            *(bool *)o->var = false;
            return 0;
        }
        if (o)
            return ds_fail(err, DS_USAGE, "--%s has no opposite", o->name);
    }
    if (!o)
        return unknown_long(p->opts, word, len, err);
    shown_name(shown, sizeof shown, o, false);
    if (o->type == DS_OPT_FLAG) {
        if (eq)
            return ds_fail(err, DS_USAGE, "%s takes no value", shown);
        return set_value(o, shown, NULL, err);
    }
    if (eq)
        return set_value(o, shown, eq + 1, err);
    if (p->i + 1 >= p->argc)
        return ds_fail(err, DS_USAGE, "%s needs a value: %s", shown, o->arg ? o->arg : "VALUE");
    return set_value(o, shown, p->argv[++p->i], err);
}

/* One word of letters: -v, -qf, -o FILE, -oFILE. */
static int parse_letters(struct parse *p, ds_err *err)
{
    for (const char *c = p->argv[p->i] + 1; *c; c++) {
        const ds_opt *o = p->opts;
        char shown[128];
        while (o && o->name && o->letter != *c)
            o++;
        if (!o || !o->name)
            return ds_fail(err, DS_USAGE, "unknown option -%c", *c);
        shown_name(shown, sizeof shown, o, true);
        int rc;
        if (o->type == DS_OPT_FLAG) {
            rc = set_value(o, shown, NULL, err);
            if (rc)
                return rc;
            continue;
        }
        if (c[1])
            return set_value(o, shown, c + 1, err);
        if (p->i + 1 >= p->argc)
            return ds_fail(err, DS_USAGE, "%s needs a value: %s", shown, o->arg ? o->arg : "VALUE");
        return set_value(o, shown, p->argv[++p->i], err);
    }
    return 0;
}

/* Help in its forms; true when the word asked for one of them. */
static bool print_help(const struct parse *p)
{
    const char *word = p->argv[p->i];
    if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0)
        ds_help_command(stdout, p->cmd, p->opts);
    else if (strcmp(word, "--man") == 0)
        ds_help_man(stdout, p->cmd, p->opts);
    else if (strcmp(word, "--completion-words") == 0)
        ds_help_words(stdout, p->opts);
    else
        return false;
    return true;
}

static int check_count(const ds_command *cmd, char **operands, int n, ds_err *err)
{
    if (n < cmd->min_operands)
        return ds_fail(err, DS_USAGE, "%s: give %s", n ? "too few operands" : "no operands",
                       cmd->operands);
    if (cmd->max_operands >= 0 && n > cmd->max_operands)
        return ds_fail(err, DS_USAGE, "one operand too many: '%s'", operands[cmd->max_operands]);
    return 0;
}

int ds_opt_parse(const ds_command *cmd, const ds_opt *opts, int argc, char **argv, char ***operands,
                 int *n, ds_err *err)
{
    struct parse p = {.cmd = cmd, .opts = opts, .argc = argc, .argv = argv, .i = 1};
    bool only_operands = false;
    int count = 0;
    *operands = argv + 1;
    *n = 0;
    for (; p.i < argc; p.i++) {
        const char *word = argv[p.i];
        int rc = 0;
        if (only_operands || word[0] != '-' || word[1] == '\0')
            (*operands)[count++] =
                argv[p.i]; /* never past p.i: what is overwritten has been read */
        else if (strcmp(word, "--") == 0)
            only_operands = true;
        else if (print_help(&p))
            return 1;
        else
            rc = word[1] == '-' ? parse_long(&p, err) : parse_letters(&p, err);
        if (rc)
            return rc;
    }
    *n = count;
    return check_count(cmd, *operands, count, err);
}

void ds_opt_list_fini(ds_opt_list *l)
{
    free(l->v);
    *l = (ds_opt_list){0};
}

/* The option --json, if it is given. */
static const ds_opt *asks_json(const ds_opt *opts, int argc, char **argv)
{
    const ds_opt *json = find_long(opts, "json", 4);
    for (int i = 1; json && i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0)
            return json;
    return NULL;
}

int ds_opt_begin(const ds_command *cmd, const ds_opt *opts, int argc, char **argv, char ***operands,
                 int *n)
{
    ds_err err = {0};
    ds_term_prog(cmd->prog);
    if (argc <= 1 && cmd->min_operands > 0) {
        *operands = argv + argc;
        *n = 0;
        ds_help_usage(stderr, cmd);
        return 2;
    }
    const ds_opt *json = asks_json(opts, argc, argv);
    int rc = ds_opt_parse(cmd, opts, argc, argv, operands, n, &err);
    if (rc == 0)
        return -1;
    for (const ds_opt *o = opts; o && o->name; o++)
        if (o->type == DS_OPT_LIST) /* the caller does not go on: what was gathered is dropped */
            ds_opt_list_fini(o->var);
    if (rc > 0)
        return 0;
    if (json && json->aside)
        return ds_command_end_aside(&err);
    rc = ds_command_end(cmd, &err, json);
    if (err.code == DS_USAGE)
        fprintf(stderr, "'%s %s -h' tells more.\n", cmd->prog, cmd->name);
    return rc;
}

static void json_line(FILE *to, const ds_err *err)
{
    ds_buf b = {0};
    const int rc = ds_json_text(&b, err->msg);
    fprintf(to, "{\"type\":\"exit\",\"code\":%d,\"error\":%.*s}\n", ds_exit_code(err->code),
            rc ? 15 : (int)b.len, rc ? "\"out of memory\"" : (const char *)b.data);
    ds_buf_fini(&b);
}

int ds_command_end_aside(const ds_err *err)
{
    if (err->code)
        json_line(stderr, err);
    return err->code ? ds_exit_code(err->code) : 0;
}

int ds_command_end(const ds_command *cmd, const ds_err *err, bool json)
{
    if (!err || !err->code)
        return 0;
    int status = ds_exit_code(err->code);
    if (json)
        json_line(stdout, err);
    int level = ds_log_level;
    ds_log_level = 1; /* an error is said even under -q */
    ds_warn("%s: %s", cmd->name, err->msg);
    ds_log_level = level;
    return status;
}
