/* tok_like.c - a tokenizer.json with another vocabulary: its pipeline as it is, its ids anew. */
#include "tok_like.h"

#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "json.h"
#include "tok_priv.h"
#include "tok_words.h"

struct ds_tok_like {
    ds_tok *tok;
    json_t *root; /* without vocabulary and merges */
    const char **added;
    size_t n_added;
};

static int refuse(ds_err *err, const char *path, const char *why)
{
    return ds_fail(err, DS_FAIL, "%s: %s", path, why);
}

/* Empty ones are passed over, as the reference does. */
static int list_added(ds_tok_like *l, ds_err *err)
{
    json_t *list = json_object_get(l->root, "added_tokens"), *o;
    size_t i;
    l->added = calloc(json_array_size(list) + 1, sizeof *l->added);
    if (l->added == NULL)
        return ds_fail_nomem(err);
    json_array_foreach(list, i, o)
    {
        const json_t *content = json_object_get(o, "content");
        if (json_string_length(content) > 0)
            l->added[l->n_added++] = json_string_value(content);
    }
    return 0;
}

static bool is_added(const ds_tok_like *l, const char *text)
{
    for (size_t i = 0; i < l->n_added; i++)
        if (strcmp(l->added[i], text) == 0)
            return true;
    return false;
}

/* What the post-processor puts around a text has to be in every vocabulary. */
static int check_parts(const ds_tok_like *l, const json_t *post, const char *path, ds_err *err)
{
    const char *name;
    json_t *part, *special = json_object_get(post, "special_tokens");
    size_t i;
    json_array_foreach(json_object_get(post, "processors"), i, part)
    {
        int rc = check_parts(l, part, path, err);
        if (rc != 0)
            return rc;
    }
    json_object_foreach(special, name, part)
    {
        const json_t *tokens = json_object_get(part, "tokens"), *text;
        if (json_array_size(tokens) != json_array_size(json_object_get(part, "ids")))
            return refuse(err, path, "post_processor: a special token's texts and ids differ");
        json_array_foreach(tokens, i, text)
        {
            if (!json_is_string(text) || !is_added(l, json_string_value(text)))
                return ds_fail(err, DS_FAIL,
                               "%s: post_processor: %s is none of the added tokens, and another "
                               "vocabulary may lack it",
                               path, name);
        }
    }
    return 0;
}

static int take(ds_tok_like *l, const ds_buf *json, const char *path, ds_err *err)
{
    int rc = ds_tok_parse(&l->tok, json->data, json->len, path, err);
    if (rc == 0 && !l->tok->byte_level)
        rc = refuse(err, path,
                    "its tokens are of characters, and what is learned here is byte-level (its "
                    "pre_tokenizer has no ByteLevel)");
    rc = rc ? rc : ds_json_parse(&l->root, json->data, json->len, path, err);
    if (rc != 0)
        return rc;
    json_t *model = json_object_get(l->root, "model");
    if (json_object_set_new(model, "vocab", json_object()) != 0 ||
        json_object_set_new(model, "merges", json_array()) != 0)
        return ds_fail_nomem(err);
    rc = list_added(l, err);
    return rc ? rc : check_parts(l, json_object_get(l->root, "post_processor"), path, err);
}

int ds_tok_like_load(ds_tok_like **out, const char *path, ds_err *err)
{
    ds_buf json = {0};
    ds_tok_like *l = calloc(1, sizeof *l);
    int rc = l != NULL ? ds_read_file(&json, path, DS_TOK_FILE_MAX, err) : ds_fail_nomem(err);
    rc = rc ? rc : take(l, &json, path, err);
    ds_buf_fini(&json);
    if (rc != 0) {
        ds_tok_like_free(l);
        l = NULL;
    }
    *out = l;
    return rc;
}

void ds_tok_like_free(ds_tok_like *l)
{
    if (l == NULL)
        return;
    ds_tok_free(l->tok);
    json_decref(l->root);
    free(l->added);
    free(l);
}

size_t ds_tok_like_added(const ds_tok_like *l)
{
    return l->n_added;
}

/* Not where a step looks at the beginning of a text, nor where it was the vocabulary that told
 * where nothing merges. */
bool ds_tok_like_in_parts(const ds_tok_like *l)
{
    const ds_tok *t = l->tok;
    if (!t->cuttable || t->only_before_space || t->step[0].kind == TOK_STEP_PREFIX)
        return false;
    for (unsigned i = 0; i < t->norms.n; i++)
        if (t->norms.v[i].kind == TOK_NORM_PREPEND)
            return false;
    return true;
}

const char **ds_tok_like_special(const ds_tok_like *l, const char *const *more, size_t n)
{
    const char **v = calloc(l->n_added + n + 1, sizeof *v);
    for (size_t i = 0; i < l->n_added && v != NULL; i++)
        v[i] = l->added[i];
    for (size_t i = 0; i < n && v != NULL; i++)
        v[l->n_added + i] = more[i];
    return v;
}

int ds_words_like(ds_words *w, const ds_tok_like *l, ds_err *err)
{
    int rc = ds_tok_state_new(&w->like, l->tok, err);
    rc = rc ? rc : ds_tok_state_memory(w->like, 0, err); /* no ids are looked up */
    if (rc == 0 && !ds_tok_like_in_parts(l))
        ds_tok_state_segment(w->like, SIZE_MAX);
    return rc;
}

/* ---- writing ---- */

/* The id of a special token; they are the first. */
static json_t *id_of(const tok_table *t, const char *text)
{
    size_t len = text != NULL ? strlen(text) : 0;
    for (uint32_t id = 0; id < t->n_special && text != NULL; id++)
        if (t->text[id].len == len && memcmp(t->pool.data + t->text[id].at, text, len) == 0)
            return json_integer((json_int_t)id);
    return NULL;
}

static int number_parts(json_t *post, const tok_table *t)
{
    const char *name;
    json_t *part;
    size_t i;
    int rc = 0;
    json_array_foreach(json_object_get(post, "processors"), i, part)
    {
        rc = rc ? rc : number_parts(part, t);
    }
    json_object_foreach(json_object_get(post, "special_tokens"), name, part)
    {
        json_t *ids = json_object_get(part, "ids"), *text;
        json_array_foreach(json_object_get(part, "tokens"), i, text)
        {
            rc = rc ? rc : json_array_set_new(ids, i, id_of(t, json_string_value(text)));
        }
    }
    return rc;
}

/* The added tokens with their new ids, and those that came with --special. */
static json_t *added_of(const json_t *old, const tok_table *t)
{
    json_t *list = json_array(), *o;
    uint32_t id = 0;
    size_t i;
    int rc = list != NULL ? 0 : -1;
    json_array_foreach(old, i, o)
    {
        if (json_string_length(json_object_get(o, "content")) == 0)
            continue;
        rc = rc ? rc : json_object_set_new(o, "id", json_integer((json_int_t)id++));
        rc = rc ? rc : json_array_append(list, o);
    }
    for (; id < t->n_special && rc == 0; id++) {
        const char *text = (const char *)t->pool.data + t->text[id].at;
        rc = json_array_append_new(
            list, json_pack("{s:I, s:s%, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)id, "content",
                            text, (size_t)t->text[id].len, "single_word", 0, "lstrip", 0, "rstrip",
                            0, "normalized", 0, "special", 1));
    }
    if (rc != 0)
        json_decref(list);
    return rc == 0 ? list : NULL;
}

/* Every id in the file, but for the model's. */
static int number(json_t *root, const tok_table *t)
{
    json_t *added = added_of(json_object_get(root, "added_tokens"), t),
           *padding = json_object_get(root, "padding");
    int rc = added != NULL ? json_object_set_new(root, "added_tokens", added) : -1;
    if (rc == 0 && json_is_object(padding)) {
        json_t *id = id_of(t, json_string_value(json_object_get(padding, "pad_token")));
        rc = id != NULL ? json_object_set_new(padding, "pad_id", id)
                        : json_object_set_new(root, "padding", json_null());
    }
    return rc ? rc : number_parts(json_object_get(root, "post_processor"), t);
}

static int put_name(ds_buf *out, const char *name, bool first, const char *indent)
{
    int rc = ds_buf_printf(out, "%s\n%s", first ? "" : ",", indent);
    rc = rc ? rc : ds_json_str(out, name, strlen(name));
    return rc ? rc : ds_buf_puts(out, ": ");
}

static int put_model(ds_buf *out, json_t *model, const tok_table *t, ds_err *err)
{
    const char *name;
    json_t *v;
    bool first = true;
    int rc = ds_buf_putc(out, '{');
    json_object_foreach(model, name, v)
    {
        rc = rc ? rc : put_name(out, name, first, "    ");
        first = false;
        if (rc == 0 && strcmp(name, "vocab") == 0)
            rc = ds_tok_write_vocab(out, t);
        else if (rc == 0 && strcmp(name, "merges") == 0)
            rc = ds_tok_write_merges(out, t);
        else
            rc = rc ? rc : ds_json_dump(out, v, err);
    }
    return rc ? rc : ds_buf_puts(out, "\n  }");
}

int ds_tok_like_write(ds_buf *out, const ds_tok_like *l, const tok_table *t, ds_err *err)
{
    json_t *root = json_deep_copy(l->root), *v;
    const char *name;
    bool first = true;
    int rc = root != NULL ? number(root, t) : -1;
    rc = rc ? rc : ds_buf_putc(out, '{');
    json_object_foreach(root, name, v)
    {
        rc = rc ? rc : put_name(out, name, first, "  ");
        first = false;
        if (rc == 0)
            rc = strcmp(name, "model") == 0 ? put_model(out, v, t, err) : ds_json_dump(out, v, err);
    }
    rc = rc ? rc : ds_buf_puts(out, "\n}\n");
    json_decref(root);
    return rc ? ds_fail_nomem(err) : 0;
}
