/* cmd_show.c - dsprep show: the tokens of records as a person can read them: whose words, and which
 * of them are learned. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "colname.h"
#include "instream.h"
#include "jsonrow.h"
#include "opt.h"
#include "sig.h"
#include "tok_spans.h"
#include "utf8.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_show;
const ds_command ds_cmd_show = {
    .prog = "dsprep",
    .name = "show",
    .summary = "show tokens, and which of them are learned",
    .operands = "[FILE...]",
    .min_operands = 0,
    .max_operands = -1,
    .example = "dsprep tokenize -t tok.json --chat auto chats.dsr | dsprep show -t tok.json -n 3",
    .description =
        "Prints the first N records of a tokenized stream: for each a line of numbers, then a line "
        "for every stretch of tokens of one role: the role, * where they are targets, the text "
        "they stand for. Targets are green where there is colour; they are marked without it "
        "too. White space at the ends shows by the marks |, line feeds as \\n. Of a pair of "
        "answers the sides are told apart: chosen, and rejected.\n\n"
        "--tokens parts the text into its tokens, --ids writes their numbers behind. Without "
        "a column loss every token counts as a target; without roles there is one role, none.\n\n"
        "--json prints an object for each record: key, tokens, targets, and spans with role, "
        "target, from, to (tokens), of a pair its side, and text.",
    .run = run,
};

static const char *const role_names[] = {"none", "system", "user", "assistant", "tool"};
#define NROLES (sizeof role_names / sizeof *role_names)
static const char *const side_names[] = {"chosen", "rejected"};

/* A mark of a token: target + 2 * role + 16 * side. */
#define MARK_ROLE(m) ((m) / 2 % 8)
#define MARK_SIDE(m) ((m) / 16)

typedef struct shower {
    ds_tok *tok;
    ds_out out;
    long tokens, loss, roles, sides; /* columns; -1: there is none */
    bool pair;                       /* the record at hand has sides */
    bool json, colour, parts, ids;
    uint64_t left, record;
    ds_buf marks, text, line;
} shower;

/* One byte of value for each token; a value of runs must cover them all. */
static int spread(ds_buf *to, const ds_value *x, uint64_t n, const char *what, ds_err *err)
{
    size_t pos = 0;
    uint64_t at = 0;
    ds_buf_reset(to);
    if (ds_buf_reserve(to, (size_t)n + 1))
        return ds_fail_nomem(err);
    for (uint64_t i = 0; i < x->count; i++) {
        uint64_t len, v;
        if (!ds_varint_get(x->p, x->len, &pos, &len) || !ds_varint_get(x->p, x->len, &pos, &v) ||
            len > n - at || v >= NROLES)
            return ds_fail(err, DS_CORRUPT, "column %s: runs that do not fit its tokens", what);
        memset(to->data + at, (int)v, (size_t)len);
        at += len;
    }
    if (at != n)
        return ds_fail(err, DS_CORRUPT, "column %s: runs for %" PRIu64 " of %" PRIu64 " tokens",
                       what, at, n);
    to->len = (size_t)n;
    return 0;
}

/* The text of tokens [from, to); broken UTF-8 becomes U+FFFD. */
static int text_of(shower *s, const uint32_t *ids, size_t n, ds_err *err)
{
    ds_buf_reset(&s->text);
    return ds_tok_decode(s->tok, ids, n, DS_TOK_LOSSY, &s->text, err);
}

static int put_json_span(shower *s, uint8_t mark, size_t from, size_t to)
{
    ds_buf *b = &s->line;
    if (ds_buf_printf(b, "%s{\"role\":\"%s\",\"target\":%s,\"from\":%zu,\"to\":%zu,",
                      from ? "," : "", role_names[MARK_ROLE(mark)], mark & 1 ? "true" : "false",
                      from, to) ||
        (s->pair && ds_buf_printf(b, "\"side\":\"%s\",", side_names[MARK_SIDE(mark)])) ||
        ds_buf_puts(b, "\"text\":") || ds_json_name(b, (const char *)s->text.data, s->text.len))
        return DS_NOMEM;
    return ds_buf_putc(b, '}');
}

/* Text on one line, harmless to a terminal. */
static int put_plain(ds_buf *b, const uint8_t *p, size_t n)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        bool c1 = p[i] == 0xc2 && i + 1 < n && p[i + 1] < 0xa0;
        if (p[i] == '\n')
            rc = ds_buf_puts(b, "\\n");
        else if (p[i] == '\t')
            rc = ds_buf_puts(b, "\\t");
        else if (p[i] < 0x20 || p[i] == 0x7f || c1)
            rc = ds_buf_printf(b, "\\x%02x", c1 ? p[++i] : p[i]);
        else
            rc = ds_buf_putc(b, p[i]);
    }
    return rc;
}

static int put_tokens(shower *s, const uint32_t *ids, size_t n, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = text_of(s, ids + i, 1, err);
        if (rc == 0 &&
            ((i && ds_buf_putc(&s->line, '|')) || put_plain(&s->line, s->text.data, s->text.len)))
            rc = ds_fail_nomem(err);
    }
    return rc;
}

static int put_span(shower *s, uint8_t role, bool target, const uint32_t *ids, size_t n,
                    ds_err *err)
{
    ds_buf *b = &s->line;
    const char *on = !s->colour ? ""
                     : target   ? "\033[32m"
                                : "\033[2m",
               *off = s->colour ? "\033[0m" : "";
    if (ds_buf_printf(b, "  %-9s %c %s|", role_names[role], target ? '*' : ' ', on))
        return ds_fail_nomem(err);
    int rc = s->parts ? put_tokens(s, ids, n, err) : text_of(s, ids, n, err);
    if (rc == 0 && !s->parts && put_plain(b, s->text.data, s->text.len))
        rc = ds_fail_nomem(err);
    if (rc == 0 && ds_buf_printf(b, "|%s", off))
        rc = ds_fail_nomem(err);
    for (size_t i = 0; i < n && rc == 0 && s->ids; i++)
        if (ds_buf_printf(b, "%s%u", i ? " " : "  ", ids[i]))
            rc = ds_fail_nomem(err);
    return rc == 0 && ds_buf_putc(b, '\n') ? ds_fail_nomem(err) : rc;
}

static int put_spans(shower *s, const uint32_t *ids, const uint8_t *marks, size_t n, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0, from; i < n && rc == 0;) {
        for (from = i; i < n && marks[i] == marks[from];)
            i++;
        const int side = MARK_SIDE(marks[from]);
        if (s->pair && !s->json && (!from || side != MARK_SIDE(marks[from - 1])) &&
            ds_buf_printf(&s->line, " %s\n", side_names[side]))
            return ds_fail_nomem(err);
        if (!s->json) {
            rc = put_span(s, MARK_ROLE(marks[from]), marks[from] & 1, ids + from, i - from, err);
            continue;
        }
        rc = text_of(s, ids + from, i - from, err);
        if (rc == 0 && put_json_span(s, marks[from], from, i))
            rc = ds_fail_nomem(err);
    }
    return rc;
}

static int put_head(shower *s, const ds_value *key, size_t n, size_t targets)
{
    ds_buf *b = &s->line;
    bool bad;
    if (s->json) {
        bad = ds_buf_puts(b, "{\"key\":") ||
              (key ? ds_json_name(b, (const char *)key->p, key->len) : ds_buf_puts(b, "null")) ||
              ds_buf_printf(b, ",\"tokens\":%zu,\"targets\":%zu,\"spans\":[", n, targets);
    } else {
        bad = ds_buf_printf(b, "record %" PRIu64, s->record) ||
              (key && (ds_buf_puts(b, "  key ") || put_plain(b, key->p, key->len))) ||
              ds_buf_printf(b, "  %zu tokens, %zu targets\n", n, targets);
    }
    return bad ? DS_NOMEM : 0;
}

static int show_tokens(shower *s, const ds_value *key, const uint32_t *ids, const ds_value *x,
                       const ds_value *values_of, ds_err *err)
{
    const ds_value *loss = s->loss < 0 ? NULL : &values_of[s->loss],
                   *roles = s->roles < 0 ? NULL : &values_of[s->roles],
                   *sides = s->sides < 0 ? NULL : &values_of[s->sides];
    size_t n = (size_t)x->count, targets = 0;
    ds_buf values = {0};
    int rc = 0;
    ds_buf_reset(&s->marks);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = ds_buf_putc(&s->marks, 1) ? ds_fail_nomem(err) : 0;
    if (rc == 0 && loss && !loss->null && (rc = spread(&values, loss, n, "loss", err)) == 0)
        for (size_t i = 0; i < n; i++)
            s->marks.data[i] = values.data[i] != 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        targets += s->marks.data[i];
    if (rc == 0 && roles && !roles->null && (rc = spread(&values, roles, n, "roles", err)) == 0)
        for (size_t i = 0; i < n; i++)
            s->marks.data[i] = (uint8_t)(s->marks.data[i] + 2 * values.data[i]);
    s->pair = sides && !sides->null;
    if (rc == 0 && s->pair && (rc = spread(&values, sides, n, "sides", err)) == 0)
        for (size_t i = 0; i < n; i++)
            s->marks.data[i] = (uint8_t)(s->marks.data[i] + 16 * (values.data[i] != 0));
    ds_buf_reset(&s->line);
    if (rc == 0 && put_head(s, key, n, targets))
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = put_spans(s, ids, s->marks.data, n, err);
    if (rc == 0 && s->json && ds_buf_puts(&s->line, "]}\n"))
        rc = ds_fail_nomem(err);
    ds_buf_fini(&values);
    return rc ? rc : ds_out_put(&s->out, s->line.data, s->line.len, err);
}

static int show_row(shower *s, const ds_schema *schema, const ds_colview *views,
                    const ds_value *values, ds_err *err)
{
    const ds_value *x = &values[s->tokens];
    const ds_value *key = schema->explicit_key ? &values[0] : NULL;
    ds_ids ids = {0};
    int rc = 0;
    if (x->null) {
        ds_buf_reset(&s->line);
        if (put_head(s, key, 0, 0) || (s->json && ds_buf_puts(&s->line, "]}\n")))
            return ds_fail_nomem(err);
        return ds_out_put(&s->out, s->line.data, s->line.len, err);
    }
    for (uint64_t i = 0; i < x->count && rc == 0; i++) {
        uint32_t id = ds_value_token(&views[s->tokens], x, i);
        rc = ds_ids_put(&ids, &id, 1) ? ds_fail_nomem(err) : 0;
    }
    if (rc == 0)
        rc = show_tokens(s, key, ids.v, x, values, err);
    if (rc)
        ds_err_prefix(err, "record %" PRIu64, s->record);
    ds_ids_fini(&ids);
    return rc;
}

static int show_block(shower *s, const ds_schema *schema, const ds_block *b, ds_err *err)
{
    ds_colview *views = calloc(schema->n, sizeof *views);
    ds_value *values = calloc(schema->n, sizeof *values);
    const long need[] = {s->tokens, s->loss, s->roles, s->sides, schema->explicit_key ? 0 : -1};
    int rc = views && values ? ds_block_views(b, schema, views, err) : ds_fail_nomem(err);
    for (size_t i = 0; i < sizeof need / sizeof *need && rc == 0; i++) {
        if (need[i] < 0)
            continue;
        rc = ds_colview_check(&views[need[i]], b->chunks[need[i]].spool, err);
        ds_colview_rewind(&views[need[i]]);
    }
    for (uint64_t row = 0; row < b->rows && s->left && rc == 0; row++, s->record++, s->left--) {
        for (size_t i = 0; i < schema->n; i++)
            if (!ds_colview_next(&views[i], &values[i]))
                rc = ds_fail(err, DS_CORRUPT, "column %s has too few rows", schema->cols[i].name);
        if (rc == 0)
            rc = show_row(s, schema, views, values, err);
    }
    free(views);
    free(values);
    return rc;
}

static int show(shower *s, ds_instream *in, ds_err *err)
{
    int rc = 0;
    while (s->left && rc == 0) {
        enum ds_event ev;
        rc = ds_check_interrupt(err);
        if (rc == 0)
            rc = ds_instream_next(in, &ev, err);
        if (rc == 0 && ev == DS_EV_BLOCK)
            rc =
                show_block(s, ds_instream_schema(in), ds_reader_block(ds_instream_reader(in)), err);
        else if (rc == 0 && ev == DS_EV_END && ds_instream_last(in))
            break;
    }
    return rc;
}

/* The columns, and that the tokenizer is the one that made the tokens. */
static int find_columns(shower *s, const ds_schema *schema, const char *name, ds_err *err)
{
    char hex[65];
    s->tokens = ds_schema_find(schema, name);
    s->loss = ds_schema_find(schema, "loss");
    s->roles = ds_schema_find(schema, "roles");
    s->sides = ds_schema_find(schema, "sides");
    if (s->tokens < 0) {
        (void)ds_colname_missing(&(ds_colnames){.schema = schema}, name, err);
        return ds_err_prefix(err, "--name");
    }
    const ds_column *col = &schema->cols[s->tokens];
    if (col->type != DS_TOKENS16 && col->type != DS_TOKENS32)
        return ds_fail(err, DS_FAIL, "column '%s' is %s, not tokens", name,
                       ds_type_name(col->type));
    if (s->loss >= 0 && schema->cols[s->loss].type != DS_RUNS)
        s->loss = -1;
    if (s->roles >= 0 && schema->cols[s->roles].type != DS_RUNS)
        s->roles = -1;
    if (s->sides >= 0 && schema->cols[s->sides].type != DS_RUNS)
        s->sides = -1;
    ds_sha_hex(hex, ds_tok_digest(s->tok));
    if (col->attrs && strstr(col->attrs, "\"tokenizer\":") && !strstr(col->attrs, hex))
        return ds_fail(err, DS_FAIL, "column '%s' was made with another tokenizer: %s", name,
                       col->attrs);
    return 0;
}

static bool want_colour(int choice)
{
    const char *term = getenv("TERM"), *no = getenv("NO_COLOR");
    if (choice)
        return choice == 1;
    return isatty(STDOUT_FILENO) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

static int run(int argc, char **argv)
{
    static const char *const when[] = {"auto", "always", "never", NULL};
    const char *path = NULL, *name = "tokens";
    int64_t count = 10;
    int colour = 0;
    shower s = {0};
    const ds_opt opts[] = {
        OPT_STR('t', "tokenizer", path, "FILE", "the tokenizer.json (needed)"),
        OPT_INT('n', "records", count, "N", 0, INT64_MAX, "how many; default 10"),
        OPT_STR(0, "name", name, "NAME", "the column of tokens; default tokens"),
        OPT_FLAG(0, "tokens", s.parts, "part the text into tokens"),
        OPT_FLAG(0, "ids", s.ids, "write the numbers of the tokens"),
        OPT_CHOICE(0, "color", colour, "WHEN", when, "auto, always, never (auto)"),
        OPT_FLAG(0, "json", s.json, "print JSON lines"),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_show, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    ds_instream *in = NULL;
    ds_sig_setup();
    s.left = (uint64_t)count;
    s.colour = want_colour(colour);
    rc = path ? ds_tok_load(&s.tok, path, &err)
              : ds_fail(&err, DS_USAGE, "-t FILE is needed: the tokenizer.json");
    if (rc == 0)
        rc = ds_out_init(&s.out, STDOUT_FILENO, "standard output", &err);
    if (rc == 0)
        rc = ds_instream_open(&in, operands, n, &err);
    if (rc == 0)
        rc = find_columns(&s, ds_instream_schema(in), name, &err);
    if (rc == 0)
        (void)show(&s, in, &err); /* its error stands in err */
    (void)ds_out_flush(&s.out, &err);
    ds_instream_free(in);
    ds_out_fini(&s.out);
    ds_buf_fini(&s.marks);
    ds_buf_fini(&s.text);
    ds_buf_fini(&s.line);
    ds_tok_free(s.tok);
    return ds_command_end(&ds_cmd_show, &err, s.json);
}
