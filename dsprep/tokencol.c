/* tokencol.c - see tokencol.h. */
#include "tokencol.h"

#include <inttypes.h>
#include <string.h>

#include "colname.h"
#include "json.h"
#include "tokencol_priv.h"
#include "tokenpair.h"

/* ---- the plan ---- */

static int add_column(ds_tokenplan *p, const char *name, enum ds_type type, bool nullable,
                      json_t *attrs, ds_err *err)
{
    ds_buf text = {0};
    int rc = attrs ? ds_json_dump(&text, attrs, err) : ds_fail_nomem(err);
    json_decref(attrs);
    if (rc == 0 && ds_schema_find(&p->schema, name) >= 0)
        rc = ds_fail(err, DS_FAIL, "the stream has a column '%s' already%s", name,
                     name == p->o.name ? " (--name chooses another)" : "");
    const char *s = rc ? NULL : ds_buf_cstr(&text);
    if (rc == 0 && !s)
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = ds_schema_add(&p->schema, NULL, name, type, nullable ? DS_COL_NULLABLE : 0, s, err);
    ds_buf_fini(&text);
    return rc;
}

static json_t *token_attrs(const ds_tokenopts *o)
{
    char hex[65];
    ds_sha_hex(hex, ds_tok_digest(o->tok));
    const char *one = o->chat ? o->messages : o->given[0] ? o->given[0] : o->column;
    json_t *source = o->chosen   ? json_sprintf("%s%s%s, %s", o->prompt ? o->prompt : "",
                                              o->prompt ? ", " : "", o->chosen, o->rejected)
                     : o->prompt ? json_sprintf("%s, %s", o->prompt, o->response)
                                 : json_string(one);
    if (o->chat) {
        char tmpl[65];
        ds_sha_hex(tmpl, ds_chat_digest(o->chat));
        return json_pack("{s:o, s:o, s:o}", "source", source, "template",
                         json_sprintf("sha256:%s", tmpl), "tokenizer",
                         json_sprintf("sha256:%s", hex));
    }
    return json_pack("{s:o, s:o}", "source", source, "tokenizer", json_sprintf("sha256:%s", hex));
}

static int add_columns(ds_tokenplan *p, bool nullable, ds_err *err)
{
    const ds_tokenopts *o = &p->o;
    enum ds_type type = ds_tok_max_id(o->tok) <= 65535 ? DS_TOKENS16 : DS_TOKENS32;
    int rc = add_column(p, o->name, type, nullable, token_attrs(o), err);
    if (rc == 0 && p->ncols > 1)
        rc = add_column(p, "loss", DS_RUNS, nullable, json_pack("{s:s}", "of", o->name), err);
    if (rc == 0 && p->ncols > 2)
        rc = add_column(
            p, "roles", DS_RUNS, nullable,
            json_pack("{s:s, s:s}", "names", "none,system,user,assistant,tool", "of", o->name),
            err);
    if (rc == 0 && p->ncols > 3)
        rc = add_column(p, "sides", DS_RUNS, nullable,
                        json_pack("{s:s, s:s}", "names", "chosen,rejected", "of", o->name), err);
    return rc ? rc : ds_schema_check(&p->schema, err);
}

static int find_given(ds_tokenplan *p, const ds_schema *in, ds_err *err)
{
    p->o.flags |= DS_TOK_NO_SPECIAL; /* who gave them put what is to stand around */
    p->ncols = p->o.given[DS_GIVEN_LABELS] ? 2 : 1;
    for (int i = 0; i < DS_GIVEN; i++)
        if (p->o.given[i]) {
            const int rc = ds_given_find(&p->text[p->ntexts++], in, p->o.given[i], err);
            if (rc)
                return rc;
        }
    return 0;
}

/* The texts that the new columns are made from. */
static int find_texts(ds_tokenplan *p, const ds_schema *in, ds_err *err)
{
    const ds_tokenopts *o = &p->o;
    if (o->chosen)
        return ds_tokenpair_find(p, in, err);
    if (o->prompt) {
        p->ncols = 3;
        int rc = ds_textref_init(&p->text[p->ntexts++], in, o->prompt, err);
        return rc ? rc : ds_textref_init(&p->text[p->ntexts++], in, o->response, err);
    }
    if (o->chat) {
        p->ncols = 3;
        p->o.flags |= DS_TOK_NO_SPECIAL; /* the template writes what is to stand around */
        if (!o->messages)
            p->o.messages = ds_schema_find(in, "messages") >= 0 ? "messages" : "text";
        return ds_textref_init(&p->text[p->ntexts++], in, p->o.messages, err);
    }
    if (o->given[0])
        return find_given(p, in, err);
    p->ncols = 1;
    long text = ds_schema_find(in, o->column);
    if (text < 0)
        return ds_colname_missing(&(ds_colnames){.schema = in}, o->column, err);
    if (in->cols[text].type != DS_UTF8)
        return ds_fail(err, DS_FAIL, "column '%s' is %s, not text", o->column,
                       ds_type_name(in->cols[text].type));
    p->text[p->ntexts++].column = (size_t)text;
    return 0;
}

static int find_room(ds_tokenplan *p, ds_err *err)
{
    size_t before = 0, after = 0;
    if (!(p->o.flags & DS_TOK_NO_SPECIAL)) {
        (void)ds_tok_prefix(p->o.tok, &before);
        (void)ds_tok_suffix(p->o.tok, &after);
    }
    const uint32_t *suffix = ds_tok_suffix(p->o.tok, &(size_t){0});
    p->closed = after > 0 && p->o.eos != DS_TOK_NONE && suffix[after - 1] == p->o.eos;
    p->room = SIZE_MAX;
    if (p->o.max_tokens == 0)
        return 0;
    if (p->o.max_tokens <= before + after)
        return ds_fail(err, DS_USAGE,
                       "--max-tokens %" PRIu64 ": the tokenizer itself puts %zu "
                       "around a text",
                       p->o.max_tokens, before + after);
    p->room = (size_t)p->o.max_tokens - before - after;
    return 0;
}

int ds_tokenplan_init(ds_tokenplan *p, const ds_schema *in, const ds_tokenopts *o, ds_err *err)
{
    memset(p, 0, sizeof *p);
    p->o = *o;
    int rc = find_texts(p, in, err);
    bool nullable = o->skip || o->truncate == DS_TRUNCATE_DROP;
    for (size_t i = 0; i < p->ntexts && rc == 0; i++)
        nullable = nullable || in->cols[p->text[i].column].nullable || p->text[i].path;
    if (rc == 0)
        rc = find_room(p, err);
    if (rc == 0)
        rc = ds_schema_copy(&p->schema, in, err);
    if (rc == 0)
        rc = add_columns(p, nullable, err);
    if (rc)
        ds_tokenplan_fini(p);
    return rc;
}

void ds_tokenplan_fini(ds_tokenplan *p)
{
    for (size_t i = 0; i < p->ntexts; i++)
        ds_textref_fini(&p->text[i]);
    ds_schema_fini(&p->schema);
    memset(p, 0, sizeof *p);
}

/* ---- plain text ---- */

#define ENOUGH 1 /* from the sink: what follows is not needed */

typedef struct sink_ctx {
    ds_tokencol *col;
    const ds_tokenplan *plan;
    ds_spool *spool; /* that the text lies in, or NULL */
    size_t at;       /* where the text begins in it */
    uint64_t seen;
} sink_ctx;

static int sink(void *ctx, const uint32_t *ids, size_t n, uint64_t consumed, ds_err *err)
{
    sink_ctx *s = ctx;
    if (s->spool)
        ds_spool_release(s->spool, s->at + (size_t)consumed);
    s->seen += n;
    return n ? ds_colbuild_part_tokens(&s->col->build[0], ids, n, err) : 0;
}

/* Keeps no more ids than the policy needs. */
static int sink_some(void *ctx, const uint32_t *ids, size_t n, uint64_t consumed, ds_err *err)
{
    sink_ctx *s = ctx;
    ds_ids *to = &s->col->ids;
    size_t room = s->plan->room;
    if (s->spool)
        ds_spool_release(s->spool, s->at + (size_t)consumed);
    s->seen += n;
    if (ds_ids_put(to, ids, n))
        return ds_fail_nomem(err);
    if (to->n <= room)
        return 0;
    if (s->plan->o.truncate != DS_TRUNCATE_LEFT)
        return ENOUGH;
    if (to->n - room > room || to->n - room > 65536) {
        memmove(to->v, to->v + (to->n - room), room * sizeof *to->v);
        to->n = room;
    }
    return 0;
}

static int put_row(ds_tokencol *c, const ds_tokenplan *p, const uint32_t *ids, size_t n,
                   ds_err *err);
static int put_null(ds_tokencol *c, const ds_tokenplan *p, ds_err *err);

int ds_tokencol_too_long(ds_tokencol *c, const ds_tokenplan *p, ds_err *err)
{
    if (p->o.truncate == DS_TRUNCATE_DROP) {
        c->counts.dropped++;
        return 1;
    }
    if (p->o.truncate == DS_TRUNCATE_ERROR)
        return ds_fail(err, DS_FAIL,
                       "more than %" PRIu64
                       " tokens (--truncate says what to do with such records)",
                       p->o.max_tokens);
    c->counts.truncated++;
    return 0;
}

static int plain_row(ds_tokencol *c, const ds_tokenplan *p, const ds_chunk *chunk,
                     const ds_value *x, ds_err *err)
{
    sink_ctx s = {.col = c, .plan = p, .spool = chunk->spool, .at = (size_t)(x->p - chunk->body)};
    c->counts.bytes += x->len;
    if (p->room == SIZE_MAX) {
        int rc = ds_colbuild_begin(&c->build[0], err);
        if (rc == 0)
            rc = ds_tok_encode_to(p->o.tok, c->state, x->p, x->len, p->o.flags, sink, &s, err);
        c->counts.tokens += s.seen;
        return rc ? rc : ds_colbuild_end(&c->build[0], err);
    }
    c->ids.n = 0;
    int rc = ds_tok_encode_to(p->o.tok, c->state, x->p, x->len, p->o.flags | DS_TOK_NO_SPECIAL,
                              sink_some, &s, err);
    if (rc < 0)
        return rc;
    size_t n = c->ids.n, from = 0;
    rc = 0;
    if (s.seen > p->room) {
        rc = ds_tokencol_too_long(c, p, err);
        from = p->o.truncate == DS_TRUNCATE_LEFT ? n - p->room : 0;
        n = p->room;
    }
    if (rc)
        return rc < 0 ? rc : put_null(c, p, err);
    return put_row(c, p, c->ids.v + from, n, err);
}

/* ---- text with spans ---- */

static int put_marks(ds_tokencol *c, size_t n, uint8_t mark, ds_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (ds_buf_putc(&c->marks, mark))
            return ds_fail_nomem(err);
    return 0;
}

/* Ids of c->text with their marks: a token is what the span is that it begins in. */
static int encode_spans(ds_tokencol *c, const ds_tokenplan *p, ds_err *err)
{
    size_t first = c->ids.n, k = 0;
    c->at.n = 0;
    int rc = ds_tok_encode_spans(p->o.tok, c->state, &c->text, &c->ids, &c->at, err);
    for (size_t i = first; rc == 0 && i < c->ids.n; i++) {
        while (k + 1 < c->text.n && c->text.v[k].end <= c->at.v[i - first].start)
            k++;
        const ds_span *s = &c->text.v[k];
        rc = put_marks(c, 1, (uint8_t)(s->role | (s->target ? MARK_TARGET : 0)), err);
    }
    c->counts.bytes += c->text.text.len;
    ds_spantext_reset(&c->text);
    return rc;
}

/* A prompt and its answer are encoded one by one: a model sees the prompt alone, so no token may
 * reach from one into the other. */
int ds_tokencol_said(ds_tokencol *c, const ds_tokenplan *p, int i, const void *text, size_t len,
                     ds_err *err)
{
    static const uint8_t roles[2] = {DS_ROLE_USER, DS_ROLE_ASSISTANT};
    const ds_tokenopts *o = &p->o;
    const ds_span span = {.trust = o->allow_special ? DS_TRUST_ALL : DS_TRUST_TEXT,
                          .role = roles[i],
                          .target = i == 1};
    int rc = ds_spantext_put(&c->text, text, len, span, err);
    if (rc == 0 && i == 0 && o->separator)
        rc = ds_spantext_put(&c->text, o->separator, strlen(o->separator),
                             (ds_span){.trust = DS_TRUST_ALL}, err);
    if (rc == 0)
        rc = encode_spans(c, p, err);
    if (rc == 0 && i == 1 && o->eos != DS_TOK_NONE && !p->closed) {
        rc = ds_ids_put(&c->ids, &o->eos, 1) ? ds_fail_nomem(err) : 0;
        if (rc == 0)
            rc = put_marks(c, 1, DS_ROLE_ASSISTANT | MARK_TARGET, err);
    }
    return rc;
}

int ds_tokencol_text(ds_tokencol *c, const ds_tokenplan *p, size_t i, const ds_value *x, bool *null,
                     ds_err *err)
{
    ds_buf *t = &c->said[i];
    ds_buf_reset(t);
    int rc = ds_textref_text(&p->text[i], &p->schema.cols[p->text[i].column], &x[i], &c->scan, t,
                             null, err);
    return rc == 0 && t->len > MARKED_MAX ? ds_fail(err, DS_FAIL, "longer than 1 GiB") : rc;
}

static int answer_ids(ds_tokencol *c, const ds_tokenplan *p, const ds_value *x, bool *null,
                      ds_err *err)
{
    int rc = 0;
    *null = false;
    for (size_t i = 0; rc == 0 && i < 2; i++) {
        rc = ds_tokencol_text(c, p, i, x, null, err);
        if (rc)
            return ds_err_prefix(err, "%s", i ? p->o.response : p->o.prompt);
        if (*null)
            return 0;
        rc = ds_tokencol_said(c, p, (int)i, c->said[i].data, c->said[i].len, err);
    }
    return rc;
}

int ds_tokencol_chat(ds_tokencol *c, const ds_tokenplan *p, const void *json, size_t len,
                     size_t given, ds_err *err)
{
    if (len > MARKED_MAX)
        return ds_fail(err, DS_FAIL, "longer than 1 GiB");
    c->chat.shortened = 0;
    c->chat.given = given;
    int rc = ds_chat_encode(p->o.chat, &c->chat, c->state, json, len, &c->ids, &c->marks, err);
    c->counts.shortened += c->chat.shortened;
    c->counts.bytes += c->chat.text.text.len;
    return rc;
}

static int chat_ids(ds_tokencol *c, const ds_tokenplan *p, const ds_value *x, bool *null,
                    ds_err *err)
{
    ds_textat at;
    int rc = ds_textref_get(&p->text[0], &p->schema.cols[p->text[0].column], x, &c->scan, &at, err);
    *null = rc == 0 && at.null;
    return rc || at.null ? rc : ds_tokencol_chat(c, p, at.p, at.len, 0, err);
}

/* The lists of a record, of one length. */
static int get_given(ds_tokencol *c, const ds_tokenplan *p, const ds_value *x, bool *null,
                     ds_err *err)
{
    for (size_t i = 0, k = 0; i < DS_GIVEN; i++) {
        if (!p->o.given[i])
            continue;
        const ds_textref *r = &p->text[k];
        int rc = ds_given_get(r, &p->schema.cols[r->column], &c->views[k], &x[k], &c->scan,
                              &c->given[i], null, err);
        k++;
        if (rc)
            return ds_err_prefix(err, "%s", p->o.given[i]);
        if (*null && i == DS_GIVEN_IDS)
            return 0;
        if (*null || c->given[i].len != c->given[0].len)
            return ds_fail(err, DS_FAIL, "%s has %zu numbers and %s %zu", p->o.given[i],
                           *null ? 0 : c->given[i].len / 8, p->o.given[0], c->given[0].len / 8);
    }
    return 0;
}

static int64_t given_at(const ds_tokencol *c, int list, size_t i)
{
    return (int64_t)ds_get_u64(c->given[list].data + 8 * i);
}

static int given_ids(ds_tokencol *c, const ds_tokenplan *p, const ds_value *x, bool *null,
                     ds_err *err)
{
    const ds_tokenopts *o = &p->o;
    const int64_t most = ds_tok_max_id(o->tok);
    int rc = get_given(c, p, x, null, err);

    for (size_t i = 0; !rc && !*null && i < c->given[0].len / 8; i++) {
        const int64_t id = given_at(c, DS_GIVEN_IDS, i),
                      label = o->given[DS_GIVEN_LABELS] ? given_at(c, DS_GIVEN_LABELS, i) : id,
                      there = o->given[DS_GIVEN_MASK] ? given_at(c, DS_GIVEN_MASK, i) : 1;
        const uint32_t u = (uint32_t)id;
        if (there != 0 && there != 1)
            return ds_fail(err, DS_FAIL, "%s: %lld: it is 0 or 1", o->given[DS_GIVEN_MASK],
                           (long long)there);
        if (!there)
            continue;
        if (id < 0 || id > most)
            return ds_fail(err, DS_FAIL, "%s: %lld: ids of this tokenizer go up to %lld",
                           o->given[0], (long long)id, (long long)most);
        if (label != id && label != DS_GIVEN_IGNORED)
            return ds_fail(err, DS_FAIL,
                           "%s: %lld at %zu, where the token is %lld: a label is its token, or "
                           "-100",
                           o->given[DS_GIVEN_LABELS], (long long)label, i, (long long)id);
        rc = ds_ids_put(&c->ids, &u, 1) ? ds_fail_nomem(err) : 0;
        rc = rc ? rc : put_marks(c, 1, label == id ? MARK_TARGET : 0, err);
    }
    return rc;
}

static int put_runs(ds_tokencol *c, size_t col, const uint8_t *marks, size_t n, ds_err *err)
{
    uint64_t pair[2] = {0, 0};
    ds_buf_reset(&c->runs);
    for (size_t i = 0; i <= n; i++) {
        uint64_t v = i == n     ? UINT64_MAX
                     : col == 1 ? (marks[i] & MARK_TARGET) != 0
                     : col == 2 ? marks[i] & ~(MARK_TARGET | MARK_REJECTED)
                                : (marks[i] & MARK_REJECTED) != 0;
        if (pair[0] && v != pair[1]) {
            if (ds_buf_put(&c->runs, pair, sizeof pair))
                return ds_fail_nomem(err);
            pair[0] = 0;
        }
        pair[0]++;
        pair[1] = v;
    }
    return ds_colbuild_runs(&c->build[col], (const void *)c->runs.data, c->runs.len / sizeof pair,
                            err);
}

/* Ids (and their marks, which begin where ids do) with the post-processor's around them. */
static int put_row(ds_tokencol *c, const ds_tokenplan *p, const uint32_t *ids, size_t n,
                   ds_err *err)
{
    size_t before = 0, after = 0;
    const uint32_t *prefix = ds_tok_prefix(p->o.tok, &before);
    const uint32_t *suffix = ds_tok_suffix(p->o.tok, &after);
    if (p->o.flags & DS_TOK_NO_SPECIAL)
        before = after = 0;
    int rc = ds_colbuild_begin(&c->build[0], err);
    if (rc == 0 && before)
        rc = ds_colbuild_part_tokens(&c->build[0], prefix, before, err);
    if (rc == 0 && n)
        rc = ds_colbuild_part_tokens(&c->build[0], ids, n, err);
    if (rc == 0 && after)
        rc = ds_colbuild_part_tokens(&c->build[0], suffix, after, err);
    c->counts.tokens += before + n + after;
    return rc ? rc : ds_colbuild_end(&c->build[0], err);
}

static int put_null(ds_tokencol *c, const ds_tokenplan *p, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < p->ncols && rc == 0; i++)
        rc = ds_colbuild_null(&c->build[i], err);
    return rc;
}

int ds_tokencol_marks(ds_tokencol *c, const ds_tokenplan *p, const ds_buf *marks, ds_err *err)
{
    size_t targets = 0;
    int rc = 0;
    for (size_t i = 0; i < marks->len; i++)
        targets += (marks->data[i] & MARK_TARGET) != 0;
    c->counts.targets += targets;
    c->counts.idle += targets == 0;
    for (size_t col = 1; col < p->ncols && rc == 0; col++)
        rc = put_runs(c, col, marks->data, marks->len, err);
    return rc;
}

/* c->ids with c->marks become the row's values. */
static int put_marked(ds_tokencol *c, const ds_tokenplan *p, ds_err *err)
{
    size_t before = 0, after = 0, n = c->ids.n, from = 0;
    ds_buf all = {0};
    int rc = 0;
    if (!(p->o.flags & DS_TOK_NO_SPECIAL)) {
        (void)ds_tok_prefix(p->o.tok, &before);
        (void)ds_tok_suffix(p->o.tok, &after);
    }
    if (n > p->room) {
        rc = ds_tokencol_too_long(c, p, err);
        from = p->o.truncate == DS_TRUNCATE_LEFT ? n - p->room : 0;
        n = p->room;
    }
    if (rc)
        return rc < 0 ? rc : put_null(c, p, err);
    const bool closes = p->closed && from + n == c->ids.n; /* the post-processor's end is learned */
    for (size_t i = 0; i < before + after + n && rc == 0; i++) {
        bool own = i < before || i >= before + n, end = closes && i == before + n + after - 1;
        uint8_t mark = end   ? DS_ROLE_ASSISTANT | MARK_TARGET
                       : own ? DS_ROLE_NONE
                             : c->marks.data[from + i - before];
        rc = ds_buf_putc(&all, mark) ? ds_fail_nomem(err) : 0;
    }
    if (rc == 0)
        rc = put_row(c, p, c->ids.v + from, n, err);
    rc = rc ? rc : ds_tokencol_marks(c, p, &all, err);
    ds_buf_fini(&all);
    return rc;
}

/* ---- blocks ---- */

static int marked_row(ds_tokencol *c, const ds_tokenplan *p, const ds_value *x, uint64_t row,
                      ds_err *err)
{
    ds_err own = {0};
    ds_tokencounts before = c->counts;
    bool null = false;
    c->ids.n = 0;
    ds_buf_reset(&c->marks);
    ds_spantext_reset(&c->text);
    int rc = p->o.chosen     ? ds_tokenpair_row(c, p, x, &null, &own)
             : p->o.chat     ? chat_ids(c, p, x, &null, &own)
             : p->o.given[0] ? given_ids(c, p, x, &null, &own)
                             : answer_ids(c, p, x, &null, &own);
    if (rc == 0 && null)
        return put_null(c, p, err);
    if (rc == 0 && !p->o.chosen)
        rc = put_marked(c, p, &own);
    if (rc == 0)
        return 0;
    if (rc != DS_FAIL || !p->o.skip)
        return ds_fail(err, rc, "record %" PRIu64 " of the block: %s", row, own.msg);
    c->counts = before;
    if (c->counts.skipped++ == 0)
        (void)ds_fail(&c->skipped, DS_PARTIAL, "record %" PRIu64 " of the block: %s", row, own.msg);
    return put_null(c, p, err);
}

static int row(ds_tokencol *c, const ds_tokenplan *p, const ds_block *b, const ds_value *x,
               uint64_t at, ds_err *err)
{
    if (p->ncols > 1 || p->o.given[0])
        return marked_row(c, p, x, at, err);
    int rc = x->null ? put_null(c, p, err) : plain_row(c, p, &b->chunks[p->text[0].column], x, err);
    if (rc)
        ds_err_prefix(err, "column %s, record %" PRIu64 " of the block",
                      p->schema.cols[p->text[0].column].name, at);
    return rc;
}

static void begin(ds_tokencol *c, const ds_tokenplan *p)
{
    const ds_column *col = &p->schema.cols[p->schema.n - p->ncols];
    for (size_t i = 0; i < p->ncols; i++) {
        if (!c->ready)
            ds_colbuild_init(&c->build[i], col[i].type, col[i].item, col[i].nullable);
        else
            ds_colbuild_reset(&c->build[i]);
    }
    c->ready = true;
    c->counts = (ds_tokencounts){0};
    ds_err_clear(&c->skipped);
}

static int rows(ds_tokencol *c, const ds_tokenplan *p, const ds_block *b, ds_err *err)
{
    ds_colview *v = c->views;
    ds_value x[DS_GIVEN];
    int rc = 0;
    for (size_t i = 0; i < p->ntexts && rc == 0; i++) {
        const ds_chunk *chunk = &b->chunks[p->text[i].column];
        rc = ds_colview_open(&v[i], &p->schema.cols[p->text[i].column], chunk->body,
                             chunk->body_len, b->rows, err);
        if (rc == 0)
            rc = ds_colview_check(&v[i], chunk->spool, err); /* text is UTF-8 from here on */
    }
    for (uint64_t at = 0; rc == 0 && at < b->rows; at++) {
        for (size_t i = 0; i < p->ntexts; i++)
            (void)ds_colview_next(&v[i], &x[i]);
        rc = row(c, p, b, x, at, err);
    }
    return rc;
}

int ds_tokencol_block(ds_tokencol *c, const ds_tokenplan *p, const ds_block *b, ds_err *err)
{
    begin(c, p);
    int rc = ds_tok_shelf_take(p->o.shelf, &c->state, err);
    if (rc == 0)
        rc = rows(c, p, b, err);
    ds_tok_shelf_give(p->o.shelf, c->state);
    c->state = NULL;
    for (size_t i = 0; i < p->ncols && rc == 0; i++)
        rc = ds_colbuild_chunk(&c->build[i], &c->head[i], &c->chunk[i], err);
    return rc;
}

void ds_tokencol_fini(ds_tokencol *c)
{
    for (size_t i = 0; i < DS_TOKENCOLS; i++) {
        if (c->ready)
            ds_colbuild_fini(&c->build[i]);
        ds_buf_fini(&c->head[i]);
    }
    ds_spantext_fini(&c->text);
    ds_chatwork_fini(&c->chat);
    ds_ids_fini(&c->ids);
    ds_places_fini(&c->at);
    ds_buf_fini(&c->marks);
    for (int i = 0; i < DS_GIVEN; i++) {
        ds_buf_fini(&c->given[i]);
        ds_buf_fini(&c->said[i]);
    }
    for (int i = 0; i < 2; i++)
        ds_buf_fini(&c->side[i]);
    ds_buf_fini(&c->runs);
    ds_jscan_fini(&c->scan);
    memset(c, 0, sizeof *c);
}
