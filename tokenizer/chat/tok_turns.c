/* tok_turns.c - see tok_turns.h. */
#include "tok_turns.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "tok_spans.h"

static const struct {
    const char *name, *as; /* as it is written, and as templates know it */
    uint8_t role;
} roles[] = {{"system", "system", DS_ROLE_SYSTEM},
             {"developer", "developer", DS_ROLE_SYSTEM},
             {"user", "user", DS_ROLE_USER},
             {"human", "user", DS_ROLE_USER},
             {"assistant", "assistant", DS_ROLE_ASSISTANT},
             {"gpt", "assistant", DS_ROLE_ASSISTANT},
             {"model", "assistant", DS_ROLE_ASSISTANT},
             {"function_call", "assistant", DS_ROLE_ASSISTANT},
             {"tool", "tool", DS_ROLE_TOOL},
             {"ipython", "ipython", DS_ROLE_TOOL},
             {"observation", "tool", DS_ROLE_TOOL}};

static int take_role(ds_turnset *t, json_t *m, size_t at, ds_err *err)
{
    const json_t *v = json_object_get(m, "role");
    const char *name = json_string_value(v ? v : json_object_get(m, "from"));
    if (!name)
        return ds_fail(err, DS_FAIL, "message %zu: no role", at);
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (strcmp(roles[i].name, name) != 0)
            continue;
        if (ds_buf_putc(&t->role, roles[i].role) ||
            json_object_set_new(m, "role", json_string(roles[i].as)))
            return ds_fail_nomem(err);
        return 0;
    }
    return ds_fail(err, DS_FAIL, "message %zu: no such role: '%.60s'", at, name);
}

/* The texts of a list of parts. */
static int join_parts(json_t *m, const json_t *parts, size_t at, ds_err *err)
{
    ds_buf all = {0};
    const json_t *part;
    size_t i;
    int rc = 0;
    json_array_foreach(parts, i, part)
    {
        const json_t *text = json_object_get(part, "text");
        const char *type = json_string_value(json_object_get(part, "type"));
        if (!json_is_string(text) || (type && strcmp(type, "text") != 0))
            rc = ds_fail(err, DS_FAIL, "message %zu: a part that is not text", at);
        else if (ds_buf_put(&all, json_string_value(text), json_string_length(text)))
            rc = ds_fail_nomem(err);
        if (rc)
            break;
    }
    if (rc == 0 && json_object_set_new(
                       m, "content", json_stringn(all.len ? (const char *)all.data : "", all.len)))
        rc = ds_fail_nomem(err);
    ds_buf_fini(&all);
    return rc;
}

static int take_content(json_t *m, size_t at, ds_err *err)
{
    json_t *v = json_object_get(m, "content");
    if (!v && (v = json_object_get(m, "value")) && json_object_set(m, "content", v))
        return ds_fail_nomem(err);
    if (json_is_array(v))
        return join_parts(m, v, at, err);
    if (json_is_string(v))
        return 0;
    if (!json_object_get(m, "tool_calls"))
        return ds_fail(err, DS_FAIL, "message %zu: no content", at);
    if (v && !json_is_null(v))
        return ds_fail(err, DS_FAIL, "message %zu: the content is not text", at);
    return json_object_set_new(m, "content", json_null()) ? ds_fail_nomem(err) : 0;
}

static uint64_t length(const json_t *v)
{
    const char *s = json_string_value(v);
    size_t n = json_string_length(v), from = 0;
    while (n > 0 && strchr(" \t\r\n\v\f", s[n - 1]))
        n--;
    while (from < n && strchr(" \t\r\n\v\f", s[from]))
        from++;
    return n - from;
}

static int take_message(ds_turnset *t, json_t *m, size_t at, ds_err *err)
{
    if (!json_is_object(m))
        return ds_fail(err, DS_FAIL, "message %zu is not an object", at);
    int rc = take_role(t, m, at, err);
    if (rc == 0)
        rc = take_content(m, at, err);
    t->bytes[at] =
        length(json_object_get(m, "content")) + length(json_object_get(m, "reasoning_content"));
    return rc;
}

int ds_turnset_parse(ds_turnset *t, const void *json, size_t len, ds_err *err)
{
    json_t *all = NULL, *list, *tools = NULL, *m;
    size_t i;
    int rc = ds_json_parse(&all, json, len, "conversation", err);
    list = all;
    if (rc == 0 && json_is_object(all)) {
        list = json_object_get(all, "messages");
        if (!list)
            list = json_object_get(all, "conversations");
        tools = json_object_get(all, "tools");
    }
    if (rc == 0 && !json_is_array(list))
        rc = ds_fail(err, DS_FAIL, "not a list of messages");
    if (rc == 0 && tools && !json_is_null(tools) && !json_is_array(tools))
        rc = ds_fail(err, DS_FAIL, "tools are not a list");
    if (rc == 0 && json_array_size(list) == 0)
        rc = ds_fail(err, DS_FAIL, "no messages");
    if (rc == 0 && !(t->bytes = calloc(json_array_size(list), sizeof *t->bytes)))
        rc = ds_fail_nomem(err);
    if (rc == 0) {
        json_array_foreach(list, i, m)
        {
            if ((rc = take_message(t, m, i, err)))
                break;
        }
    }
    t->messages = rc ? NULL : json_incref(list);
    t->tools = rc || !json_is_array(tools) ? NULL : json_incref(tools);
    json_decref(all);
    return rc;
}

void ds_turnset_fini(ds_turnset *t)
{
    json_decref(t->messages);
    json_decref(t->tools);
    ds_buf_fini(&t->role);
    free(t->bytes);
    memset(t, 0, sizeof *t);
}
