/* tok_chat.c - see tok_chat.h.
 *
 * Targets. What a loop's round over an assistant's message writes is that turn. It begins with what
 * the generation prompt would have given the model (found by rendering a probe with and without
 * it), which is not learned; what follows is, up to the last special token of the turn: the one
 * that ends it. A token belongs where it begins. */
#include "tok_chat.h"

#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "json.h"
#include "tok_turns.h"

struct ds_chat {
    ds_chatopts o;
    ds_tmpl *tmpl;
    ds_sha digest;
    const char *name;
    char *bos, *eos;
    ds_buf prompt;    /* what add_generation_prompt adds; empty: not known */
    ds_places markup; /* added tokens in it */
};

/* Digests of templates that were rendered beside the reference's. */
static const struct {
    const char *name, *sha;
} known[] = {
    {"deepseek-v3", "3b8267e54b67df6500f231ffa969955cc9d26b3444a291ced4eb96ca7d3ca1ea"},
    {"deepseek-v3-0324", "86c9eb894f13402f6a30ad06ba7b05d436db0c7e1cc2ba84791a957fb4f6210d"},
    {"deepseek-v3-0324", "22e97ba043dacf9df1f071a9de9d2bb6b0757491f16e96e810834b86e1641286"},
    {"deepseek-r1-0528", "f04e2c07c639ea5fb4d3ce97d23b64236bf28b2a7b28a280e41176abf393f5fb"},
    {"deepseek-r1-0528", "53671bac29bcb3e1f95f51b8c77d85a6011b66dc38bd23dce64eef04384a976b"},
    {"deepseek-r1", "b6835114b7303ddd78919a82e4d9f7d8c26ed0d7dfc36beeb12d524f6144eab1"},
    {"deepseek-r1", "56a1447ad31926fdc21fb07e56e5642bd9c850c4f52d8c8af7bbe5f079a84f5f"},
    {"deepseek-r1", "563b1ce7d61d50a9b4c7439a912a1116f095b712df5b5e4d3e1116049874eb64"},
    {"deepseek-r1", "2cccb27eeb3a3ff658cd95807a38d0e0a63023a4a651f72b9f68605b4f414c9a"},
    {"qwen2.5", "cd8e9439f0570856fd70470bf8889ebd8b5d1107207f67a5efb46e342330527f"},
    {"llama-3", "b48c47f6443892716176eb200bf4ef108f64e06ca26ed0fa8ebc0a4b3992fcb2"},
    {"llama-3", "ba03a121d097859c7b5b9cd03af99aafe95275210d2876f642ad9929a150f122"},
    {"llama-3.1", "e10ca381b1ccc5cf9db52e371f3b6651576caee0a630b452e2816b2d404d4b65"},
};
/* The distilled models have R1's template. */
static const char *const aliases[][2] = {{"r1-distill-qwen", "deepseek-r1"},
                                         {"r1-distill-llama", "deepseek-r1"}};

static int recognise(ds_chat *c, const char *text, size_t len, ds_err *err)
{
    const char *want = c->o.kind;
    char hex[65];
    int rc = ds_sha_bytes(&c->digest, text, len, err);
    if (rc)
        return rc;
    ds_sha_hex(hex, &c->digest);
    c->name = "unknown";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].sha, hex) == 0)
            c->name = known[i].name;
    if (c->o.template || strcmp(want, "any") == 0)
        return 0;
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (strcmp(want, aliases[i][0]) == 0)
            want = aliases[i][1];
    if (strcmp(want, c->name) == 0 || (strcmp(want, "auto") == 0 && strcmp(c->name, "unknown")))
        return 0;
    if (strcmp(want, "auto") == 0)
        return ds_fail(err, DS_FAIL,
                       "the chat template sha256:%s is not one that is known here; --chat any runs "
                       "it all the same, --chat-template FILE another one",
                       hex);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, want) == 0)
            return ds_fail(err, DS_FAIL, "the chat template sha256:%s is %s, not %s", hex, c->name,
                           want);
    return ds_fail(err, DS_USAGE,
                   "--chat %s: it is auto, any, deepseek-v3, deepseek-v3-0324, deepseek-r1, "
                   "deepseek-r1-0528, r1-distill-qwen, r1-distill-llama, qwen2.5, llama-3 or "
                   "llama-3.1",
                   c->o.kind);
}

static int copy_text(char **to, const char *s, ds_err *err)
{
    *to = strdup(s ? s : "");
    return *to ? 0 : ds_fail_nomem(err);
}

/* What the generation prompt adds to a short conversation. A template that fails on it has none. */
static int probe(ds_chat *c, ds_err *err)
{
    ds_tmplout with = {0}, without = {0};
    ds_tok_state *st = NULL;
    ds_ids ids = {0};
    ds_places at = {0};
    ds_spantext text = {0};
    json_t *m = json_pack("[{s:s, s:s}]", "role", "user", "content", "x");
    ds_tmplvars v = {.messages = m, .bos = c->bos, .eos = c->eos};
    int rc = m ? ds_tok_state_new(&st, c->o.tok, err) : ds_fail_nomem(err);
    bool ok = rc == 0 && ds_tmpl_render(c->tmpl, &v, &without, NULL) == 0;
    v.add_generation_prompt = true;
    ok = ok && ds_tmpl_render(c->tmpl, &v, &with, NULL) == 0;
    size_t n = without.text.len;
    ok = ok && with.text.len > n && (n == 0 || memcmp(with.text.data, without.text.data, n) == 0);
    if (ok && ds_buf_put(&c->prompt, with.text.data + n, with.text.len - n))
        rc = ds_fail_nomem(err);
    if (ok && rc == 0)
        rc = ds_spantext_put(&text, c->prompt.data, c->prompt.len, (ds_span){.trust = DS_TRUST_ALL},
                             err);
    if (ok && rc == 0)
        rc = ds_tok_encode_spans(c->o.tok, st, &text, &ids, &at, err);
    for (size_t i = 0; i < at.n && rc == 0; i++)
        if (ds_tok_is_added(c->o.tok, ids.v[i]))
            at.v[c->markup.n++] = at.v[i];
    c->markup.v = at.v;
    c->markup.cap = at.cap;
    json_decref(m);
    ds_tmplout_fini(&with);
    ds_tmplout_fini(&without);
    ds_spantext_fini(&text);
    ds_ids_fini(&ids);
    ds_tok_state_free(st);
    return rc;
}

int ds_chat_new(ds_chat **out, const ds_chatopts *o, const ds_tokconf *conf, ds_err *err)
{
    ds_chat *c = calloc(1, sizeof *c);
    ds_buf file = {0};
    const char *name = o->template ? o->template : conf->path ? conf->path : "chat template";
    const char *text = conf->template;
    *out = NULL;
    if (!c)
        return ds_fail_nomem(err);
    c->o = *o;
    int rc = o->template ? ds_read_file(&file, o->template, (size_t)16 << 20, err) : 0;
    if (rc == 0 && !o->template && !text)
        rc = ds_fail(err, DS_FAIL,
                     "there is no chat template in %s (--chat-template names a file that is one)",
                     conf->path ? conf->path : "a tokenizer_config.json beside the tokenizer");
    size_t len = o->template ? file.len : rc ? 0 : strlen(text);
    if (rc == 0 && o->template)
        text = ds_buf_cstr(&file);
    if (rc == 0 && !text)
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = recognise(c, text, len, err);
    if (rc == 0)
        rc = ds_tmpl_parse(&c->tmpl, text, len, name, err);
    if (rc == 0)
        rc = copy_text(&c->bos, conf->bos, err);
    if (rc == 0)
        rc = copy_text(&c->eos, conf->eos, err);
    if (rc == 0)
        rc = probe(c, err);
    ds_buf_fini(&file);
    if (rc) {
        ds_chat_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

void ds_chat_free(ds_chat *c)
{
    if (!c)
        return;
    ds_tmpl_free(c->tmpl);
    ds_buf_fini(&c->prompt);
    ds_places_fini(&c->markup);
    free(c->bos);
    free(c->eos);
    free(c);
}

const ds_sha *ds_chat_digest(const ds_chat *c)
{
    return &c->digest;
}
const char *ds_chat_name(const ds_chat *c)
{
    return c->name;
}

void ds_chatwork_fini(ds_chatwork *w)
{
    ds_tmplout_fini(&w->out);
    ds_spantext_fini(&w->text);
    ds_places_fini(&w->at);
}

/* ---- a conversation ---- */

typedef struct turns {
    const ds_chat *c;
    ds_chatwork *w;
    const ds_tmplrun *runs;
    size_t nruns;
    const uint8_t *role; /* by message */
    size_t nroles, last; /* the last assistant's message */
    const uint32_t *ids; /* of the places w->at */
    uint8_t *marks;
} turns;

static uint8_t role_of(const turns *t, uint32_t source)
{
    return source && source != DS_TMPL_DATA ? t->role[source - 1] : DS_ROLE_NONE;
}

/* How many bytes at the beginning of [a, b) a model is given. `turn` is the message's number + 1.
 */
static size_t header(const turns *t, size_t first, size_t a, size_t b, uint32_t turn)
{
    const ds_buf *p = &t->c->prompt;
    const uint8_t *text = t->w->out.text.data + a;
    size_t h = 0;
    while (h < p->len && h < b - a && text[h] == p->data[h])
        h++;
    for (size_t i = 0; i < t->c->markup.n; i++)
        if (t->c->markup.v[i].start < h && h < t->c->markup.v[i].end)
            h = t->c->markup.v[i].start;
    for (size_t r = first, start = a; h == 0 && r < t->nruns && start < b; start = t->runs[r++].end)
        if (t->runs[r].source == turn)
            return start - a;
    return h;
}

/* Marks the tokens of [a, b), which begin with token *i and run `first`. */
static void mark_turn(turns *t, size_t *i, size_t first, size_t a, size_t b, uint32_t turn)
{
    const ds_places *at = &t->w->at;
    size_t from = a + header(t, first, a, b, turn), end = from, k = *i;
    for (size_t n = k; n < at->n && at->v[n].start < from; n++)
        if (at->v[n].end > from && ds_tok_is_added(t->c->o.tok, t->ids[n]))
            end = from = at->v[n].start; /* it only begins like the prompt */
    bool train = (t->c->o.train == DS_TRAIN_ASSISTANT || turn - 1 == t->last) && turn > t->w->given;
    for (size_t r = first, start = a; r < t->nruns && start < b; start = t->runs[r++].end)
        if (t->runs[r].source == turn && t->runs[r].end > end)
            end = t->runs[r].end;
    for (size_t n = k; n < at->n && at->v[n].start < b; n++)
        if (at->v[n].end > end && ds_tok_is_special(t->c->o.tok, t->ids[n]))
            end = at->v[n].end;
    for (; k < at->n && at->v[k].start < b; k++)
        if (at->v[k].start >= from && at->v[k].start < end)
            t->marks[k] = DS_ROLE_ASSISTANT | (train ? DS_MARK_TARGET : 0);
    *i = k;
}

/* Is what a run writes of a message that is learned? Of none of them: yes. */
static bool may_learn(const turns *t, const ds_tmplrun *run)
{
    const bool of_one = run->source && run->source != DS_TMPL_DATA;
    const uint32_t message = run->turn ? run->turn : of_one ? run->source : 0;

    if (t->c->o.train == DS_TRAIN_LAST && run->turn != t->last + 1 && run->source != t->last + 1)
        return false;
    return message == 0 || message > t->w->given;
}

/* Where the text ends that a model is given with the prompt's messages. */
static size_t given_end(const turns *t)
{
    const uint32_t turn = (uint32_t)t->w->given + 1;
    size_t r = 0, first, a = 0, last;

    while (r < t->nruns && t->runs[r].turn != turn && t->runs[r].source != turn)
        a = t->runs[r++].end;
    first = last = r;
    while (last + 1 < t->nruns && t->runs[last + 1].turn == turn)
        last++;
    return r < t->nruns && t->role[turn - 1] == DS_ROLE_ASSISTANT && t->runs[r].turn == turn
               ? a + header(t, first, a, t->runs[last].end, turn)
               : a;
}

/* A mark for each token. */
static void mark(turns *t)
{
    const ds_places *at = &t->w->at;
    const size_t all = t->c->o.train != DS_TRAIN_ALL ? SIZE_MAX : t->w->given ? given_end(t) : 0;
    for (size_t i = 0, r = 0; i < at->n; i++) {
        while (r + 1 < t->nruns && t->runs[r].end <= at->v[i].start)
            r++;
        const ds_tmplrun *run = &t->runs[r];
        bool loose = run->turn == 0 && role_of(t, run->source) == DS_ROLE_ASSISTANT;
        bool target = (t->w->out.generation ? run->generation : loose) && may_learn(t, run);
        t->marks[i] = target ? DS_ROLE_ASSISTANT | DS_MARK_TARGET : role_of(t, run->source);
        if (all != SIZE_MAX)
            t->marks[i] = (uint8_t)((t->marks[i] & ~DS_MARK_TARGET) |
                                    (at->v[i].start >= all ? DS_MARK_TARGET : 0));
    }
    if (t->w->out.generation || t->c->o.train == DS_TRAIN_ALL)
        return;
    for (size_t r = 0, i = 0, a = 0; r < t->nruns;) {
        size_t first = r;
        uint32_t turn = t->runs[r].turn;
        while (r < t->nruns && t->runs[r].turn == turn)
            r++;
        size_t b = t->runs[r - 1].end;
        while (i < at->n && at->v[i].start < a)
            i++;
        if (turn && t->role[turn - 1] == DS_ROLE_ASSISTANT)
            mark_turn(t, &i, first, a, b, turn);
        a = b;
    }
}

/* Assistant turns of which less was written than there is. */
static int count_short(turns *t, const ds_turnset *set, ds_err *err)
{
    uint64_t *wrote = calloc(t->nroles ? t->nroles : 1, sizeof *wrote);
    if (!wrote)
        return ds_fail_nomem(err);
    for (size_t r = 0, start = 0; r < t->nruns; start = t->runs[r++].end)
        if (t->runs[r].source && t->runs[r].source != DS_TMPL_DATA)
            wrote[t->runs[r].source - 1] += t->runs[r].end - start;
    for (size_t i = 0; i < t->nroles; i++)
        t->w->shortened += t->role[i] == DS_ROLE_ASSISTANT && wrote[i] < set->bytes[i];
    free(wrote);
    return 0;
}

static int to_spans(turns *t, ds_err *err)
{
    int rc = 0;
    ds_spantext_reset(&t->w->text);
    for (size_t r = 0, start = 0; r < t->nruns && rc == 0; start = t->runs[r++].end) {
        ds_span s = {.role = role_of(t, t->runs[r].source)};
        s.trust = t->runs[r].source == 0 || t->c->o.allow_special ? DS_TRUST_ALL
                  : s.role == DS_ROLE_ASSISTANT                   ? DS_TRUST_MARKUP
                                                                  : DS_TRUST_TEXT;
        rc = ds_spantext_put(&t->w->text, t->w->out.text.data + start, t->runs[r].end - start, s,
                             err);
    }
    return rc;
}

static int encode(turns *t, const ds_turnset *set, ds_tok_state *st, ds_ids *ids, ds_buf *marks,
                  ds_err *err)
{
    size_t first = ids->n;
    t->w->at.n = 0;
    t->runs = (const void *)t->w->out.runs.data;
    t->nruns = t->w->out.runs.len / sizeof *t->runs;
    t->role = set->role.data;
    t->nroles = set->role.len;
    t->last = SIZE_MAX - 1;
    for (size_t i = 0; i < t->nroles; i++)
        if (t->role[i] == DS_ROLE_ASSISTANT)
            t->last = i;
    int rc = to_spans(t, err);
    if (rc == 0)
        rc = ds_tok_encode_spans(t->c->o.tok, st, &t->w->text, ids, &t->w->at, err);
    if (rc == 0 && ds_buf_reserve(marks, t->w->at.n + 1))
        rc = ds_fail_nomem(err);
    if (rc)
        return rc;
    t->ids = ids->v + first;
    t->marks = marks->data + marks->len;
    marks->len += t->w->at.n;
    mark(t);
    return count_short(t, set, err);
}

int ds_chat_encode(const ds_chat *c, ds_chatwork *w, ds_tok_state *st, const void *json, size_t len,
                   ds_ids *ids, ds_buf *marks, ds_err *err)
{
    ds_turnset set = {0};
    turns t = {.c = c, .w = w};
    int rc = ds_turnset_parse(&set, json, len, err);
    if (rc == 0) {
        const ds_tmplvars v = {.messages = set.messages,
                               .tools = set.tools,
                               .bos = c->bos,
                               .eos = c->eos,
                               .add_generation_prompt = c->o.ask};
        rc = ds_tmpl_render(c->tmpl, &v, &w->out, err);
    }
    if (rc == 0)
        rc = encode(&t, &set, st, ids, marks, err);
    ds_turnset_fini(&set);
    return rc;
}
