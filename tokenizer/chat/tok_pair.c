/* tok_pair.c - see tok_pair.h. */
#include "tok_pair.h"

#include <string.h>

#include "json.h"

static const char *const NAMES[DS_PAIR_TEXTS] = {"prompt", "chosen", "rejected"};

/* What a record says, as lists of messages. */
typedef struct said {
    json_t *list[DS_PAIR_TEXTS]; /* owned; of the prompt NULL where there is none */
    json_t *tools;               /* owned, or NULL */
    bool text[DS_PAIR_TEXTS];    /* it was a text, of one message */
} said;

static void said_fini(said *s)
{
    for (int i = 0; i < DS_PAIR_TEXTS; i++)
        json_decref(s->list[i]);
    json_decref(s->tools);
}

static bool is_message(const json_t *v)
{
    return json_is_object(v) && (json_object_get(v, "role") || json_object_get(v, "from"));
}

static bool is_messages(const json_t *v)
{
    const json_t *m;
    size_t i;

    json_array_foreach(v, i, m)
    {
        if (!is_message(m))
            return false;
    }
    return json_array_size(v) > 0;
}

/* The list within an object, or NULL. */
static json_t *list_in(const json_t *v)
{
    json_t *l = json_object_get(v, "messages");

    return l ? l : json_object_get(v, "conversations");
}

/* Text that is the JSON of messages is meant as such, any other as it stands. */
static int parse(json_t **out, const ds_pairtext *v, const char *name, ds_err *err)
{
    const char *s = v->p;
    ds_err own = {0};

    *out = NULL;
    if (v->json)
        return ds_json_parse(out, v->p, v->len, name, err);
    if (v->len && (s[0] == '[' || s[0] == '{') && ds_json_parse(out, s, v->len, name, &own) == 0 &&
        (is_messages(*out) || is_message(*out) || is_messages(list_in(*out))))
        return 0;
    json_decref(*out);
    *out = json_stringn(s, v->len);
    return *out ? 0 : ds_fail(err, DS_FAIL, "%s: no UTF-8", name);
}

static int take(said *s, int i, const ds_pairtext *v, ds_err *err)
{
    json_t *all = NULL;
    int rc = parse(&all, v, NAMES[i], err);

    if (rc)
        return rc;
    s->text[i] = json_is_string(all);
    if (s->text[i])
        s->list[i] = json_pack("[{s:s, s:O}]", "role", i == DS_PAIR_PROMPT ? "user" : "assistant",
                               "content", all);
    else if (is_message(all))
        s->list[i] = json_pack("[O]", all);
    else
        s->list[i] = json_incref(json_is_array(all) ? all : list_in(all));
    if (i == DS_PAIR_PROMPT && json_object_get(all, "tools"))
        s->tools = json_incref(json_object_get(all, "tools"));
    json_decref(all);
    return json_is_array(s->list[i]) && json_array_size(s->list[i])
               ? 0
               : ds_fail(err, DS_FAIL, "%s: neither a text nor messages", NAMES[i]);
}

/* How many messages both lists begin with. */
static size_t alike(const json_t *a, const json_t *b)
{
    size_t n = 0;

    while (n < json_array_size(a) && n < json_array_size(b) &&
           json_equal(json_array_get(a, n), json_array_get(b, n)))
        n++;
    return n;
}

static bool blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Is a text what one of the first n messages says, but for white space around it? */
static bool is_said(const json_t *list, size_t n, const json_t *prompt)
{
    const char *text = json_string_value(json_object_get(json_array_get(prompt, 0), "content"));
    size_t len = strlen(text);

    for (; len && blank(text[len - 1]); len--)
        ;
    for (; len && blank(*text); len--)
        text++;
    for (size_t i = 0; i < n; i++) {
        const json_t *m = json_array_get(list, i), *content = json_object_get(m, "content");
        const char *v = json_string_value(content ? content : json_object_get(m, "value"));
        while (v && blank(*v))
            v++;
        if (!v || strncmp(v, text, len))
            continue;
        for (v += len; blank(*v); v++)
            ;
        if (!*v)
            return true;
    }
    return false;
}

/* Where answers are whole conversations, what both begin with is the prompt. One that is given
 * apart as a text is to say the same once more, and else stands before them; as a list it has to be
 * what they begin with. */
static int find_prompt(said *s, ds_err *err)
{
    json_t *c = s->list[DS_PAIR_CHOSEN], *r = s->list[DS_PAIR_REJECTED];
    json_t **prompt = &s->list[DS_PAIR_PROMPT];
    const size_t both = alike(c, r);
    size_t own = *prompt ? json_array_size(*prompt) : 0;

    if (both == json_array_size(c) && both == json_array_size(r))
        return ds_fail(err, DS_FAIL, "chosen and rejected are the same");
    if (both && (!*prompt || (s->text[DS_PAIR_PROMPT] && is_said(c, both, *prompt)))) {
        json_decref(*prompt);
        *prompt = json_array();
        for (size_t i = 0; i < both; i++)
            json_array_append(*prompt, json_array_get(c, i));
        own = both;
    }
    if (!*prompt)
        return ds_fail(err, DS_FAIL,
                       "no prompt: chosen and rejected begin with different messages");
    if (alike(*prompt, c) == own && alike(*prompt, r) == own)
        for (size_t i = 0; i < own; i++) {
            json_array_remove(c, 0);
            json_array_remove(r, 0);
        }
    for (int i = DS_PAIR_CHOSEN; i <= DS_PAIR_REJECTED; i++)
        if (!json_array_size(s->list[i]))
            return ds_fail(err, DS_FAIL, "%s: no message behind the prompt", NAMES[i]);
    return 0;
}

static int dump(ds_buf *out, const said *s, json_t *answer, ds_err *err)
{
    json_t *all = json_object(), *list = json_copy(s->list[DS_PAIR_PROMPT]);
    int rc = 0;

    if (json_array_extend(list, answer) || json_object_set_new(all, "messages", list) ||
        (s->tools && json_object_set(all, "tools", s->tools)))
        rc = ds_fail_nomem(err);
    ds_buf_reset(out);
    rc = rc ? rc : ds_json_dump(out, all, err);
    json_decref(all);
    return rc;
}

int ds_pair_chats(ds_buf side[2], size_t *given, const ds_pairtext v[DS_PAIR_TEXTS], ds_err *err)
{
    said s = {.tools = NULL};
    int rc = 0;

    for (int i = 0; rc == 0 && i < DS_PAIR_TEXTS; i++)
        if (v[i].p || i != DS_PAIR_PROMPT)
            rc = v[i].p ? take(&s, i, &v[i], err) : ds_fail(err, DS_FAIL, "no %s", NAMES[i]);
    rc = rc ? rc : find_prompt(&s, err);
    if (rc == 0)
        *given = json_array_size(s.list[DS_PAIR_PROMPT]);
    for (int i = 0; rc == 0 && i < 2; i++)
        rc = dump(&side[i], &s, s.list[DS_PAIR_CHOSEN + i], err);
    said_fini(&s);
    return rc;
}

int ds_pair_common(size_t *n, const void *a, size_t na, const void *b, size_t nb, ds_err *err)
{
    const uint8_t *x = a, *y = b;
    size_t i = 0;

    while (i < na && i < nb && x[i] == y[i])
        i++;
    if (i == na && i == nb)
        return ds_fail(err, DS_FAIL, "chosen and rejected are the same");
    while (i > 0 && ((i < na && (x[i] & 0xc0) == 0x80) || (i < nb && (y[i] & 0xc0) == 0x80)))
        i--;
    if (i > 0 && x[i - 1] == ' ')
        i--;
    *n = i;
    return i ? 0
             : ds_fail(err, DS_FAIL, "no prompt: chosen and rejected begin with different texts");
}
