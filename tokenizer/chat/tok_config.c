/* tok_config.c - see tok_config.h. */
#include "tok_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"
#include "json.h"

#define FILE_MAX ((size_t)64 << 20)

/* The whole of a file; *found = false when there is none of that name. */
static int read_file(ds_buf *out, const char *path, bool *found, ds_err *err)
{
    *found = access(path, F_OK) == 0;
    return *found ? ds_read_file(out, path, FILE_MAX, err) : 0;
}

/* `name` in the folder of `path`. */
static int beside(ds_buf *out, const char *path, const char *name, ds_err *err)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) + 1 : 0;
    ds_buf_reset(out);
    if (ds_buf_put(out, path, n) || ds_buf_puts(out, name) || !ds_buf_cstr(out))
        return ds_fail_nomem(err);
    return 0;
}

static int keep(char **to, const char *s, ds_err *err)
{
    free(*to);
    *to = s ? strdup(s) : NULL;
    return s && !*to ? ds_fail_nomem(err) : 0;
}

/* A token is spelled as a string or as an object with its content. */
static const char *token_of(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    return json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
}

static const char *template_of(const json_t *o)
{
    const json_t *t = json_object_get(o, "chat_template"), *v;
    size_t i;
    if (!json_is_array(t))
        return json_string_value(t);
    json_array_foreach(t, i, v)
    {
        const char *name = json_string_value(json_object_get(v, "name"));
        if (name && strcmp(name, "default") == 0)
            return json_string_value(json_object_get(v, "template"));
    }
    return NULL;
}

static int take(ds_tokconf *c, const ds_buf *file, const char *path, ds_err *err)
{
    json_error_t e;
    /* Lengths without limit are written as numbers beyond 64 bits: hence all as reals. */
    json_t *o = json_loadb((const char *)file->data, file->len, JSON_DECODE_INT_AS_REAL, &e);
    int rc = 0;
    if (!o)
        rc = ds_fail(err, DS_FAIL, "%s: line %d, byte %d: %s", path, e.line, e.position, e.text);
    else if (!json_is_object(o))
        rc = ds_fail(err, DS_FAIL, "%s: not a JSON object", path);
    if (rc == 0)
        rc = keep(&c->bos, token_of(o, "bos_token"), err);
    if (rc == 0)
        rc = keep(&c->eos, token_of(o, "eos_token"), err);
    if (rc == 0)
        rc = keep(&c->template, template_of(o), err);
    if (rc == 0)
        rc = keep(&c->path, path, err);
    json_decref(o);
    return rc;
}

int ds_tokconf_load(ds_tokconf *c, const char *path, const char *tokenizer, ds_err *err)
{
    ds_buf name = {0}, file = {0};
    bool found = false;
    int rc = path ? (ds_buf_puts(&name, path) || !ds_buf_cstr(&name) ? ds_fail_nomem(err) : 0)
                  : beside(&name, tokenizer, "tokenizer_config.json", err);
    const char *at = rc ? "" : ds_buf_cstr(&name);
    if (rc == 0)
        rc = read_file(&file, at, &found, err);
    if (rc == 0 && !found && path)
        rc = ds_fail_errno(err, ENOENT, "%s", path);
    if (rc == 0 && found)
        rc = take(c, &file, at, err);
    if (rc == 0 && !c->template) {
        ds_buf_reset(&file);
        rc = beside(&name, path ? path : tokenizer, "chat_template.jinja", err);
        if (rc == 0)
            rc = read_file(&file, ds_buf_cstr(&name), &found, err);
        if (rc == 0 && found && memchr(file.data, 0, file.len))
            rc = ds_fail(err, DS_FAIL, "%s: a NUL byte", ds_buf_cstr(&name));
        if (rc == 0 && found)
            rc = ds_buf_cstr(&file) ? keep(&c->template, ds_buf_cstr(&file), err)
                                    : ds_fail_nomem(err);
    }
    ds_buf_fini(&name);
    ds_buf_fini(&file);
    return rc;
}

void ds_tokconf_fini(ds_tokconf *c)
{
    free(c->bos);
    free(c->eos);
    free(c->template);
    free(c->path);
    memset(c, 0, sizeof *c);
}

uint32_t ds_tokconf_eos(const ds_tokconf *c, const ds_tok *tok)
{
    static const char *const names[] = {"<\xef\xbd\x9c"
                                        "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>",
                                        "<|eot_id|>",
                                        "<|im_end|>",
                                        "<|end_of_text|>",
                                        "<|endoftext|>",
                                        "</s>",
                                        "<eos>"};
    if (c->eos)
        return ds_tok_id(tok, c->eos, strlen(c->eos));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        uint32_t id = ds_tok_id(tok, names[i], strlen(names[i]));
        if (id != DS_TOK_NONE && ds_tok_is_special(tok, id))
            return id;
    }
    return DS_TOK_NONE;
}
