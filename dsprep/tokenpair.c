/* tokenpair.c - see tokenpair.h. */
#include "tokenpair.h"

#include <string.h>

#include "tok_pair.h"
#include "tokencol_priv.h"

static const char *const SIDES[2] = {"chosen", "rejected"};

int ds_tokenpair_find(ds_tokenplan *p, const ds_schema *in, ds_err *err)
{
    const ds_tokenopts *o = &p->o;
    const char *const names[] = {o->prompt, o->chosen, o->rejected};
    int rc = 0;

    p->ncols = 4;
    if (o->chat)
        p->o.flags |= DS_TOK_NO_SPECIAL; /* the template writes what is to stand around */
    for (size_t i = 0; rc == 0 && i < sizeof names / sizeof *names; i++)
        if (names[i])
            rc = ds_textref_init(&p->text[p->ntexts++], in, names[i], err);
    return rc;
}

/* ---- the tokens of both ---- */

/* Where the pair's tokens lie in c->ids and c->marks: side i in [at[i], at[i + 1]). */
typedef struct pair {
    size_t at[3];
} pair;

static int text_pair(ds_tokencol *c, const ds_tokenplan *p, const ds_value *x, pair *w, bool *null,
                     ds_err *err)
{
    const size_t first = p->ntexts - 2; /* of the answers; before it there may be a prompt */
    const ds_buf *a = &c->said[first], *b = &c->said[first + 1], *prompt = &c->said[0];
    size_t both = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < p->ntexts; i++) {
        rc = ds_tokencol_text(c, p, i, x, null, err);
        if (rc == 0 && *null)
            rc = ds_fail(err, DS_FAIL, "there is none");
        if (rc)
            return ds_err_prefix(err, "%s", i < first ? "prompt" : SIDES[i - first]);
    }
    if (first == 0) {
        prompt = a;
        rc = ds_pair_common(&both, a->data, a->len, b->data, b->len, err);
    }
    for (size_t i = 0; rc == 0 && i < 2; i++) {
        const ds_buf *t = i ? b : a;
        w->at[i] = c->ids.n;
        rc = ds_tokencol_said(c, p, 0, prompt->data, first ? prompt->len : both, err);
        rc = rc ? rc : ds_tokencol_said(c, p, 1, t->data + both, t->len - both, err);
    }
    w->at[2] = c->ids.n;
    return rc;
}

static int chat_pair(ds_tokencol *c, const ds_tokenplan *p, const ds_value *x, pair *w, ds_err *err)
{
    ds_pairtext v[DS_PAIR_TEXTS] = {{.p = NULL}};
    const size_t skip = DS_PAIR_TEXTS - p->ntexts;
    size_t given = 0;
    ds_textat at;

    for (size_t i = 0; i < p->ntexts; i++) {
        const ds_textref *r = &p->text[i];
        int rc = ds_textref_get(r, &p->schema.cols[r->column], &x[i], &c->scan, &at, err);
        if (rc)
            return ds_err_prefix(err, "%s", i + skip ? SIDES[i + skip - 1] : "prompt");
        if (!at.null)
            v[i + skip] =
                (ds_pairtext){.p = at.p ? at.p : (const void *)"", .len = at.len, .json = at.json};
    }
    int rc = ds_pair_chats(c->side, &given, v, err);
    for (size_t i = 0; rc == 0 && i < 2; i++) {
        w->at[i] = c->ids.n;
        rc = ds_tokencol_chat(c, p, c->side[i].data, c->side[i].len, given, err);
        if (rc)
            ds_err_prefix(err, "%s", SIDES[i]);
    }
    w->at[2] = c->ids.n;
    return rc;
}

/* ---- what becomes of them ---- */

static bool is_target(const ds_tokencol *c, size_t i)
{
    return c->marks.data[i] & MARK_TARGET;
}

/* What is left of both sides: from[i], n[i]. A cut on the left is one of the prompt, by as much on
 * either side, so that it stays the same for both. 1: the record goes without. */
static int cut(ds_tokencol *c, const ds_tokenplan *p, const pair *w, size_t from[2], size_t n[2],
               ds_err *err)
{
    size_t over = 0, prompt = SIZE_MAX;
    int rc;

    for (int i = 0; i < 2; i++) {
        size_t k = w->at[i];
        from[i] = w->at[i];
        n[i] = w->at[i + 1] - w->at[i];
        over = n[i] > p->room && n[i] - p->room > over ? n[i] - p->room : over;
        while (k < w->at[i + 1] && !is_target(c, k))
            k++;
        prompt = k - w->at[i] < prompt ? k - w->at[i] : prompt;
    }
    if (!over)
        return 0;
    if ((rc = ds_tokencol_too_long(c, p, err)))
        return rc;
    if (p->o.truncate == DS_TRUNCATE_LEFT && over >= prompt)
        return ds_fail(err, DS_FAIL, "an answer alone has more than --max-tokens");
    for (int i = 0; i < 2; i++) {
        from[i] += p->o.truncate == DS_TRUNCATE_LEFT ? over : 0;
        n[i] -= p->o.truncate == DS_TRUNCATE_LEFT ? over : 0;
        n[i] = n[i] < p->room ? n[i] : p->room;
    }
    return 0;
}

/* The marks of one side, with the post-processor's tokens around it. The first token of all has
 * nothing before it that tells of it. */
static int side_marks(ds_tokencol *c, const ds_tokenplan *p, int side, size_t from, size_t n,
                      bool closes, ds_buf *marks, ds_err *err)
{
    const uint8_t of = side ? MARK_REJECTED : 0;
    const bool around = !(p->o.flags & DS_TOK_NO_SPECIAL);
    size_t before = 0, after = 0, targets = 0;
    int rc = 0;

    (void)ds_tok_prefix(p->o.tok, &before);
    (void)ds_tok_suffix(p->o.tok, &after);
    before = around ? before : 0;
    after = around ? after : 0;
    for (size_t i = 0; rc == 0 && i < before + n + after; i++) {
        const bool own = i < before || i >= before + n;
        const bool end = closes && i == before + n + after - 1;
        uint8_t m = end   ? DS_ROLE_ASSISTANT | MARK_TARGET
                    : own ? DS_ROLE_NONE
                          : c->marks.data[from + i - before];
        m = i ? m : (uint8_t)(m & ~MARK_TARGET);
        targets += (m & MARK_TARGET) != 0;
        rc = ds_buf_putc(marks, m | of) ? ds_fail_nomem(err) : 0;
    }
    return rc || targets ? rc : ds_fail(err, DS_FAIL, "%s: no token to learn", SIDES[side]);
}

static int side_tokens(ds_tokencol *c, const ds_tokenplan *p, const uint32_t *ids, size_t n,
                       ds_err *err)
{
    const bool around = !(p->o.flags & DS_TOK_NO_SPECIAL);
    size_t before = 0, after = 0;
    const uint32_t *prefix = ds_tok_prefix(p->o.tok, &before);
    const uint32_t *suffix = ds_tok_suffix(p->o.tok, &after);
    int rc = 0;

    if (around && before)
        rc = ds_colbuild_part_tokens(&c->build[0], prefix, before, err);
    if (rc == 0 && n)
        rc = ds_colbuild_part_tokens(&c->build[0], ids, n, err);
    if (rc == 0 && around && after)
        rc = ds_colbuild_part_tokens(&c->build[0], suffix, after, err);
    c->counts.tokens += n + (around ? before + after : 0);
    return rc;
}

static bool same(const ds_tokencol *c, const size_t from[2], const size_t n[2])
{
    return n[0] == n[1] && (n[0] == 0 || memcmp(c->ids.v + from[0], c->ids.v + from[1],
                                                n[0] * sizeof *c->ids.v) == 0);
}

static int put_pair(ds_tokencol *c, const ds_tokenplan *p, const pair *w, const size_t from[2],
                    const size_t n[2], ds_err *err)
{
    ds_buf marks = {0};
    int rc = 0;

    for (int i = 0; rc == 0 && i < 2; i++)
        rc = side_marks(c, p, i, from[i], n[i], p->closed && from[i] + n[i] == w->at[i + 1], &marks,
                        err);
    rc = rc ? rc : ds_colbuild_begin(&c->build[0], err);
    for (int i = 0; rc == 0 && i < 2; i++)
        rc = side_tokens(c, p, c->ids.v + from[i], n[i], err);
    rc = rc ? rc : ds_colbuild_end(&c->build[0], err);
    rc = rc ? rc : ds_tokencol_marks(c, p, &marks, err);
    ds_buf_fini(&marks);
    return rc;
}

int ds_tokenpair_row(ds_tokencol *c, const ds_tokenplan *p, const ds_value *x, bool *null,
                     ds_err *err)
{
    size_t from[2], n[2];
    pair w;
    int rc = p->o.chat ? chat_pair(c, p, x, &w, err) : text_pair(c, p, x, &w, null, err);

    *null = false;
    rc = rc ? rc : cut(c, p, &w, from, n, err);
    if (rc) {
        *null = rc > 0;
        return rc < 0 ? rc : 0;
    }
    if (same(c, from, n))
        return ds_fail(err, DS_FAIL, "chosen and rejected are the same tokens");
    return put_pair(c, p, &w, from, n, err);
}
