/* chatprompt.c - see chatprompt.h. */
#include "chatprompt.h"

#include <stdlib.h>

#include "json.h"
#include "tok_chat.h"
#include "utf8.h"

struct ds_chatprompt {
    ds_chat *chat;
    ds_chatwork work;
    uint32_t end;
};

int ds_chatprompt_new(ds_chatprompt **out, const ds_tok *tok, const char *tokenizer,
                      const char *kind, const char *template, ds_err *err)
{
    const ds_chatopts o = {.tok = tok, .kind = kind, .template = template, .ask = true};
    ds_chatprompt *p = *out = calloc(1, sizeof *p);
    ds_tokconf conf = {0};

    if (!p)
        return ds_fail_nomem(err);
    int rc = ds_tokconf_load(&conf, NULL, tokenizer, err);
    rc = rc ? rc : ds_chat_new(&p->chat, &o, &conf, err);
    p->end = rc ? DS_TOK_NONE : ds_tokconf_eos(&conf, tok);
    ds_tokconf_fini(&conf);
    return rc;
}

void ds_chatprompt_free(ds_chatprompt *p)
{
    if (!p)
        return;
    ds_chat_free(p->chat);
    ds_chatwork_fini(&p->work);
    free(p);
}

uint32_t ds_chatprompt_end(const ds_chatprompt *p)
{
    return p->end;
}

/* A conversation of one message. */
static int put_said(ds_buf *json, const char *text, size_t len, ds_err *err)
{
    const size_t valid = ds_utf8_check((const uint8_t *)text, len);

    if (valid < len)
        return ds_fail(err, DS_FAIL, "not UTF-8 at byte %zu", valid);
    return ds_buf_puts(json, "[{\"role\":\"user\",\"content\":") || ds_json_str(json, text, len) ||
                   ds_buf_puts(json, "}]")
               ? ds_fail_nomem(err)
               : 0;
}

int ds_chatprompt_encode(ds_chatprompt *p, ds_tok_state *st, const char *text, size_t len,
                         bool messages, ds_ids *ids, ds_err *err)
{
    ds_buf json = {0}, marks = {0};
    int rc = messages ? 0 : put_said(&json, text, len, err);

    if (!rc && messages)
        rc = ds_chat_encode(p->chat, &p->work, st, text, len, ids, &marks, err);
    else if (!rc)
        rc = ds_chat_encode(p->chat, &p->work, st, json.data, json.len, ids, &marks, err);
    ds_buf_fini(&json);
    ds_buf_fini(&marks);
    return rc;
}
