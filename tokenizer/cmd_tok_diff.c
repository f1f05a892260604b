/* cmd_tok_diff.c - dstok diff: what two tokenizers do differently. */
#include "cmd_tok.h"
#include "cmd_tok_files.h"
#include "io.h"
#include "json.h"
#include "sig.h"
#include "tok_tally.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct side {
    const char *path;
    ds_tok *tok;
    ds_tok_state *st;
    ds_tok_facts facts;
    ds_ids ids;
    uint64_t tokens;
} side;

typedef struct comparison {
    side a, b;
    tok_reader *reader;
    ds_buf line, text;
    ds_out *out;
    bool json, by_text;
    int64_t limit;
    uint64_t found, bytes; /* places that differ, and how many bytes they have */
} comparison;

/* A place where they differ: tokens [i, i_end) of a, [j, j_end) of b, which begin at byte `at` of
 * the text and cover it up to `to`. */
typedef struct place {
    size_t i, i_end, j, j_end;
    uint64_t at, to;
} place;

static size_t width(const side *s, uint32_t id, ds_buf *scratch)
{
    return ds_tok_stands_for(s->tok, id, s->facts.byte_level, scratch) == 0 ? scratch->len : 0;
}

static int put_side(comparison *c, const side *s, size_t from, size_t to)
{
    int rc = 0;
    for (size_t i = from; i < to && rc == 0; i++)
        rc = ds_buf_printf(&c->line, "%s%u", i > from ? c->json ? "," : " " : "", s->ids.v[i]);
    if (c->json || rc != 0)
        return rc;
    rc = ds_buf_puts(&c->line, " (");
    for (size_t i = from; i < to && rc == 0; i++) {
        rc = i > from ? ds_buf_putc(&c->line, ' ') : 0;
        if (rc == 0)
            rc = ds_tok_show(&c->line, s->tok, s->ids.v[i], s->facts.byte_level);
    }
    return rc ? rc : ds_buf_putc(&c->line, ')');
}

/* The text there, widened to whole characters. */
static int put_text(comparison *c, const ds_buf *part, uint64_t at, uint64_t to)
{
    size_t from = at < part->len ? (size_t)at : part->len,
           end = to < part->len ? (size_t)to : part->len;
    while (from > 0 && from < part->len && (part->data[from] & 0xc0) == 0x80)
        from--;
    while (end < part->len && (part->data[end] & 0xc0) == 0x80)
        end++;
    return ds_json_str(&c->line, (const char *)part->data + from, end - from);
}

static int say_place(comparison *c, const ds_buf *part, const place *p, ds_err *err)
{
    const char *path = c->reader->path;
    uint64_t at = c->reader->offset + p->at;
    c->found++;
    c->bytes += p->to - p->at;
    if (c->limit > 0 && c->found > (uint64_t)c->limit)
        return 0;
    ds_buf_reset(&c->line);
    int rc = 0;
    if (c->json) {
        rc = ds_buf_puts(&c->line, "{\"type\":\"place\",\"file\":");
        rc = rc ? rc : ds_json_str(&c->line, path, strlen(path));
        rc = rc ? rc : ds_buf_printf(&c->line, ",\"offset\":%" PRIu64 ",\"text\":", at);
    } else {
        rc = ds_buf_printf(&c->line, "%s: byte %" PRIu64 ": ", path, at);
    }
    rc = rc ? rc : put_text(c, part, p->at, p->to);
    rc = rc ? rc : ds_buf_puts(&c->line, c->json ? ",\"a\":[" : "\n  a  ");
    rc = rc ? rc : put_side(c, &c->a, p->i, p->i_end);
    rc = rc ? rc : ds_buf_puts(&c->line, c->json ? "],\"b\":[" : "\n  b  ");
    rc = rc ? rc : put_side(c, &c->b, p->j, p->j_end);
    rc = rc ? rc : ds_buf_puts(&c->line, c->json ? "]}\n" : "\n");
    return rc ? ds_fail_nomem(err) : ds_out_put(c->out, c->line.data, c->line.len, err);
}

static bool same_token(comparison *c, uint32_t x, uint32_t y)
{
    size_t n, m;
    if (!c->by_text)
        return x == y;
    const char *p = ds_tok_text(c->a.tok, x, &n), *q = ds_tok_text(c->b.tok, y, &m);
    return n == m && memcmp(p, q, n) == 0;
}

/* Walks both lists; they are in step where as many bytes of text lie behind. */
static int compare_ids(comparison *c, const ds_buf *part, ds_err *err)
{
    const side *a = &c->a, *b = &c->b;
    size_t i = 0, j = 0;
    uint64_t at = 0;
    int rc = 0;
    while (rc == 0 && (i < a->ids.n || j < b->ids.n)) {
        if (i < a->ids.n && j < b->ids.n && same_token(c, a->ids.v[i], b->ids.v[j])) {
            at += width(a, a->ids.v[i], &c->text);
            i++;
            j++;
            continue;
        }
        place p = {.i = i, .j = j, .at = at};
        uint64_t to_a = at, to_b = at;
        while ((i < a->ids.n || j < b->ids.n) && !(to_a == to_b && i > p.i && j > p.j)) {
            if (i < a->ids.n && (j >= b->ids.n || to_a <= to_b))
                to_a += width(a, a->ids.v[i++], &c->text);
            else
                to_b += width(b, b->ids.v[j++], &c->text);
        }
        p.i_end = i;
        p.j_end = j;
        p.to = at = to_a > to_b ? to_a : to_b;
        rc = say_place(c, part, &p, err);
    }
    return rc;
}

static int encode_side(side *s, const ds_buf *part, ds_err *err)
{
    s->ids.n = 0;
    int rc = ds_tok_encode(s->tok, s->st, part->data, part->len, DS_TOK_NO_SPECIAL, &s->ids, err);
    s->tokens += s->ids.n;
    return rc;
}

static int compare_part(void *ctx, ds_buf *part, ds_err *err)
{
    comparison *c = ctx;
    int rc = ds_check_interrupt(err);
    rc = rc ? rc : encode_side(&c->a, part, err);
    rc = rc ? rc : encode_side(&c->b, part, err);
    return rc ? rc : compare_ids(c, part, err);
}

/* What the vocabularies do not share. */
typedef struct vocab_diff {
    uint32_t only_a, only_b, moved, flags;
} vocab_diff;

static void compare_vocab(const side *a, const side *b, vocab_diff *d)
{
    size_t len;
    memset(d, 0, sizeof *d);
    for (uint32_t id = 0; id <= ds_tok_max_id(a->tok); id++) {
        const char *text = ds_tok_text(a->tok, id, &len);
        uint32_t other = text != NULL ? ds_tok_id(b->tok, text, len) : DS_TOK_NONE;
        if (text == NULL)
            continue;
        d->only_a += other == DS_TOK_NONE;
        d->moved += other != DS_TOK_NONE && other != id;
        d->flags += other != DS_TOK_NONE &&
                    (ds_tok_is_added(a->tok, id) != ds_tok_is_added(b->tok, other) ||
                     ds_tok_is_special(a->tok, id) != ds_tok_is_special(b->tok, other));
    }
    for (uint32_t id = 0; id <= ds_tok_max_id(b->tok); id++) {
        const char *text = ds_tok_text(b->tok, id, &len);
        d->only_b += text != NULL && ds_tok_id(a->tok, text, len) == DS_TOK_NONE;
    }
}

static bool same_ids(const uint32_t *x, size_t n, const uint32_t *y, size_t m)
{
    return n == m && (n == 0 || memcmp(x, y, n * sizeof *x) == 0);
}

static bool same_around(const side *a, const side *b)
{
    size_t n, m;
    const uint32_t *x = ds_tok_prefix(a->tok, &n), *y = ds_tok_prefix(b->tok, &m);
    if (!same_ids(x, n, y, m))
        return false;
    x = ds_tok_suffix(a->tok, &n);
    y = ds_tok_suffix(b->tok, &m);
    return same_ids(x, n, y, m);
}

static int put_named(ds_buf *b, bool json, const char *name, const char *x, const char *y)
{
    if (strcmp(x, y) == 0)
        return 0;
    if (!json)
        return ds_buf_printf(b, "%-14s a %s, b %s\n", name, x, y);
    int rc = ds_buf_printf(b, ",\"%s\":[", name);
    rc = rc ? rc : ds_json_str(b, x, strlen(x));
    rc = rc ? rc : ds_buf_putc(b, ',');
    rc = rc ? rc : ds_json_str(b, y, strlen(y));
    return rc ? rc : ds_buf_putc(b, ']');
}

/* The files themselves: what is not the same. *differ is set when anything is. */
static int put_files(comparison *c, ds_buf *b, bool *differ)
{
    vocab_diff d;
    const ds_tok_facts *f = &c->a.facts, *g = &c->b.facts;
    size_t before = b->len;
    compare_vocab(&c->a, &c->b, &d);
    int rc = put_named(b, c->json, "normalizer", f->normalizer, g->normalizer);
    rc = rc ? rc : put_named(b, c->json, "pre_tokenizer", f->pre_tokenizer, g->pre_tokenizer);
    rc = rc ? rc
            : put_named(b, c->json, "ignore_merges", f->ignore_merges ? "true" : "false",
                        g->ignore_merges ? "true" : "false");
    if (rc == 0 && !same_around(&c->a, &c->b))
        rc = c->json ? ds_buf_puts(b, ",\"around\":false")
                     : ds_buf_puts(b, "around texts   other tokens are put\n");
    *differ =
        b->len > before || d.only_a || d.only_b || d.moved || d.flags || f->merges != g->merges;
    if (rc != 0)
        return rc;
    return ds_buf_printf(b,
                         c->json ? ",\"only_a\":%u,\"only_b\":%u,\"other_id\":%u,"
                                   "\"other_kind\":%u,\"merges\":[%u,%u]"
                                 : "vocabulary     %u tokens only in a, %u only in b, %u with "
                                   "another id, %u added or special in one\nmerges         a %u, b "
                                   "%u\n",
                         d.only_a, d.only_b, d.moved, d.flags, f->merges, g->merges);
}

static int put_texts(comparison *c, ds_buf *b)
{
    const tok_reader *r = c->reader;
    return ds_buf_printf(
        b,
        c->json ? ",\"files\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"tokens\":[%" PRIu64 ",%" PRIu64
                  "],\"places\":%" PRIu64 ",\"bytes_that_differ\":%" PRIu64
                : "texts          %" PRIu64 " files, %" PRIu64 " bytes; tokens a %" PRIu64
                  ", b %" PRIu64 "\ndiffer         %" PRIu64 " places, %" PRIu64 " bytes\n",
        r->files, r->bytes, c->a.tokens, c->b.tokens, c->found, c->bytes);
}

/* The last lines; *differ says whether anything did. */
static int say_end(comparison *c, bool texts, bool *differ, ds_err *err)
{
    ds_buf b = {0};
    int rc = c->json ? ds_buf_puts(&b, "{\"type\":\"diff\",\"summary\":true") : 0;
    rc = rc ? rc : put_files(c, &b, differ);
    if (texts)
        *differ = c->found > 0;
    if (rc == 0 && texts)
        rc = put_texts(c, &b);
    if (rc == 0 && c->json)
        rc = ds_buf_puts(&b, "}\n");
    rc = rc ? ds_fail_nomem(err) : ds_out_put(c->out, b.data, b.len, err);
    ds_buf_fini(&b);
    return rc;
}

static int side_open(side *s, const char *path, ds_err *err)
{
    s->path = path;
    int rc = ds_tok_load(&s->tok, path, err);
    if (rc == 0)
        ds_tok_get_facts(s->tok, &s->facts);
    return rc ? rc : ds_tok_state_new(&s->st, s->tok, err);
}

static void side_fini(side *s)
{
    ds_ids_fini(&s->ids);
    ds_tok_state_free(s->st);
    ds_tok_free(s->tok);
}

static int run(int argc, char **argv)
{
    ds_out out = {0};
    comparison c = {.out = &out, .limit = -1};
    const char *column = NULL;
    const ds_opt opts[] = {
        TOK_COLUMN(column),
        OPT_INT('n', "limit", c.limit, "N", 0, INT64_MAX, "places to show; 0 shows all (20)"),
        OPT_FLAG(0, "by-text", c.by_text,
                 "tokens of the same text are the same, whatever their ids"),
        OPT_FLAG(0, "json", c.json, "write a JSON object for each place, then one that sums up"),
        OPT_END};
    char **operands;
    int n, code = ds_opt_begin(&dstok_diff, opts, argc, argv, &operands, &n);
    if (code >= 0)
        return code;
    ds_err err = {0};
    tok_reader r = {.fn = compare_part, .ctx = &c, .column = column ? column : "text"};
    bool differ = false;
    c.reader = &r;
    const char *idle = n > 2          ? NULL
                       : c.by_text    ? "by-text"
                       : c.limit >= 0 ? "limit"
                       : column       ? "column"
                                      : NULL;
    int rc = idle ? ds_fail(&err, DS_USAGE, "--%s is about texts, and none is given", idle) : 0;
    c.limit = c.limit < 0 ? 20 : c.limit;
    rc = rc ? rc : side_open(&c.a, operands[0], &err);
    rc = rc ? rc : side_open(&c.b, operands[1], &err);
    rc = rc ? rc : ds_out_init(&out, STDOUT_FILENO, "standard output", &err);
    for (int i = 2; i < n && rc == 0; i++)
        rc = tok_read_operand(&r, operands[i], &err);
    rc = rc ? rc : say_end(&c, n > 2, &differ, &err);
    if (rc == 0)
        ds_out_flush(&out, &err);
    ds_out_fini(&out);
    ds_buf_fini(&c.line);
    ds_buf_fini(&c.text);
    side_fini(&c.a);
    side_fini(&c.b);
    code = ds_command_end(&dstok_diff, &err, c.json);
    return code == 0 && differ ? 1 : code;
}

const ds_command dstok_diff = {
    .prog = "dstok",
    .name = "diff",
    .summary = "what two tokenizers do differently",
    .operands = "A B [FILE|FOLDER|-...]",
    .min_operands = 2,
    .max_operands = -1,
    .example = "dstok diff old.json new.json corpus/\n"
               "dstok diff --by-text -n 0 --json a.json b.json notes.txt | jq -r '.text? // empty'",
    .description =
        "Encodes texts with both tokenizers and shows where the ids differ: file, byte, text and "
        "both lists of tokens. Then it tells what the files do not share. Without texts only the "
        "files are compared: pipeline, vocabulary, number of merges.\n\n"
        "Exit status 1 means that ids differ (without texts: that the files do), 0 that they do "
        "not. Places are found by the lengths of tokens; where a normalizer changes lengths, they "
        "count bytes of normalised text. Tokens that are put around a text are compared once, at "
        "the end.",
    .run = run,
};
