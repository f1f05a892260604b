/* tok_load.c - reads tokenizer.json: model, added tokens, and the life of a ds_tok.
 *
 * The reference gives added tokens ids of its own making when the file's do not fit; here such a
 * file is refused, because a model's rows belong to the ids of the file. */
#include "io.h"
#include "json.h"
#include "pool.h"
#include "tok_json.h"
#include "tok_model.h"
#include "tok_table.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ID_LIMIT ((json_int_t)TOK_ID_MAX + 1)

void ds_tok_free(ds_tok *t)
{
    if (t == NULL)
        return;
    ds_tok_steps_fini(t);
    ds_tok_decoders_fini(t);
    ds_tok_norms_fini(&t->norms);
    ds_tok_trie_fini(&t->raw);
    ds_tok_trie_fini(&t->normal);
    ds_buf_fini(&t->pool);
    free(t->entry);
    free(t->by_text.slot);
    free(t->by_bytes.slot);
    free(t->join);
    free(t->sets);
    ds_tok_merges_fini(&t->merges);
    free(t->prefix);
    free(t->suffix);
    free(t);
}

static int refuse_affix(const json_t *model, const char *name, ds_err *err)
{
    const json_t *v = json_object_get(model, name);
    if (v == NULL || json_is_null(v) || (json_is_string(v) && json_string_length(v) == 0))
        return 0;
    return ds_fail(err, DS_FAIL, "model: %s is not supported", name);
}

static int check_model(const json_t *model, ds_err *err)
{
    if (!json_is_object(model))
        return ds_fail(err, DS_FAIL, "model is missing or not an object");
    const json_t *type = json_object_get(model, "type"),
                 *dropout = json_object_get(model, "dropout");
    if (type != NULL && (!json_is_string(type) || strcmp(json_string_value(type), "BPE") != 0))
        return ds_fail(err, DS_FAIL, "model %s is not supported (BPE is)",
                       json_is_string(type) ? json_string_value(type) : "without a type");
    if (dropout != NULL && !json_is_null(dropout) &&
        !(json_is_number(dropout) && json_number_value(dropout) == 0))
        return ds_fail(err, DS_FAIL, "model: dropout is not supported: ids would be random");
    int rc = refuse_affix(model, "continuing_subword_prefix", err);
    return rc == 0 ? refuse_affix(model, "end_of_word_suffix", err) : rc;
}

static int get_id(const json_t *v, const char *where, const char *name, uint32_t *id, ds_err *err)
{
    json_int_t x = json_integer_value(v);
    if (!json_is_integer(v) || x < 0 || x >= ID_LIMIT)
        return ds_fail(err, DS_FAIL, "%s: token %s has no id in 0..%lld", where, name,
                       (long long)ID_LIMIT - 1);
    *id = (uint32_t)x;
    return 0;
}

/* The table has room for the largest id of the added tokens. */
static int size_table(ds_tok *t, const json_t *added, ds_err *err)
{
    uint32_t max = 0, id = 0;
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *a = json_array_get(added, i);
        const char *content = json_string_value(json_object_get(a, "content"));
        int rc = get_id(json_object_get(a, "id"), "added_tokens",
                        content ? content : "(no content)", &id, err);
        if (rc != 0)
            return rc;
        max = id > max ? id : max;
    }
    return json_array_size(added) > 0 ? ds_tok_set_size(t, max + 1, err) : 0;
}

static int index_bytes(ds_tok *t, ds_err *err)
{
    enum { AHEAD = 16 }; /* so that memory has been asked for when it is needed */
    uint32_t hash[AHEAD] = {0};
    int rc = ds_tok_index_init(&t->by_bytes, t->n_model, err);
    for (uint32_t i = 0; i < t->n_entries + AHEAD && rc == 0; i++) {
        if (i >= AHEAD && (t->entry[i - AHEAD].flags & TOK_BYTES))
            ds_tok_index_put(t, &t->by_bytes, i - AHEAD, hash[i % AHEAD], true);
        if (i < t->n_entries && (t->entry[i].flags & TOK_BYTES)) {
            const tok_entry *e = &t->entry[i];
            hash[i % AHEAD] = ds_tok_hash(t->pool.data + e->bytes_at, e->bytes_len);
            ds_tok_index_ask(&t->by_bytes, hash[i % AHEAD]);
        }
    }
    return rc;
}

static uint32_t model_id(const ds_tok *t, const char *text, size_t len)
{
    uint32_t id = ds_tok_id(t, text, len);
    return id != DS_TOK_NONE && (t->entry[id].flags & TOK_MODEL) ? id : DS_TOK_NONE;
}

/* Tokens of single bytes: of the byte alphabet, or <0x00> to <0xFF>. Returns how many there are. */
static unsigned read_bytes(ds_tok *t)
{
    unsigned n = 0;
    for (unsigned b = 0; b < 256; b++) {
        uint8_t text[8];
        unsigned len;
        if (t->byte_level)
            len = ds_utf8_put(text, ds_tok_byte_cp((uint8_t)b));
        else
            len = (unsigned)snprintf((char *)text, sizeof text, "<0x%02X>", b);
        t->byte_id[b] = model_id(t, (const char *)text, len);
        n += t->byte_id[b] != DS_TOK_NONE;
    }
    return n;
}

/* What becomes of characters that the vocabulary lacks. */
static int read_unknown(ds_tok *t, const json_t *model, ds_err *err)
{
    const json_t *unk = json_object_get(model, "unk_token");
    unsigned n = read_bytes(t);
    bool has = unk != NULL && !json_is_null(unk),
         fallback = json_is_true(json_object_get(model, "byte_fallback"));
    t->unk = DS_TOK_NONE;
    t->fuse_unk = json_is_true(json_object_get(model, "fuse_unk"));
    if (t->byte_level) {
        t->in_parts = n == 256;
        if (n < 256 && (has || fallback))
            return ds_fail(
                err, DS_FAIL,
                "model: %s is not supported where the vocabulary lacks bytes (%u of 256)",
                has ? "unk_token" : "byte_fallback", n);
        return 0;
    }
    ds_tok_join_texts(t);
    t->byte_fallback = t->in_parts = fallback && n == 256;
    if (fallback && n > 0 && n < 256)
        return ds_fail(err, DS_FAIL, "model: byte_fallback with %u of 256 bytes is not supported",
                       n);
    if (!has || t->byte_fallback)
        return 0;
    t->unk = json_is_string(unk) ? model_id(t, json_string_value(unk), json_string_length(unk))
                                 : DS_TOK_NONE;
    return t->unk != DS_TOK_NONE
               ? 0
               : ds_fail(err, DS_FAIL, "model: unk_token is not in the vocabulary");
}

static int read_model(ds_tok *t, const json_t *root, ds_err *err)
{
    json_t *model = json_object_get(root, "model");
    int rc = check_model(model, err);
    if (rc != 0)
        return rc;
    const json_t *vocab = json_object_get(model, "vocab"),
                 *merges = json_object_get(model, "merges"),
                 *added = json_object_get(root, "added_tokens");
    const json_t *ignore = json_object_get(model, "ignore_merges");
    if (!json_is_object(vocab))
        return ds_fail(err, DS_FAIL, "model.vocab is missing or not an object");
    if (!json_is_array(merges))
        return ds_fail(err, DS_FAIL, "model.merges is missing or not a list");
    if (added != NULL && !json_is_null(added) && !json_is_array(added))
        return ds_fail(err, DS_FAIL, "added_tokens is not a list");
    if (ignore != NULL && !json_is_boolean(ignore) && !json_is_null(ignore))
        return ds_fail(err, DS_FAIL, "model.ignore_merges is neither true nor false");
    t->ignore_merges = json_is_true(ignore);
    if (json_object_size(vocab) > 0 || json_array_size(merges) > 0)
        return ds_fail(err, DS_FAIL, "the name of model.vocab or model.merges has escapes");
    if (t->ignore_merges)
        rc = index_bytes(t, err);
    if (rc == 0)
        rc = size_table(t, added, err);
    return rc == 0 ? read_unknown(t, model, err) : rc;
}

typedef struct added_token {
    const char *content;
    size_t len;
    uint32_t id;
    bool special, normalized, single_word, lstrip, rstrip;
} added_token;

static int read_added_token(added_token *a, const json_t *o, size_t i, ds_err *err)
{
    struct {
        const char *name;
        bool *out;
    } fields[] = {{"special", &a->special},
                  {"normalized", &a->normalized},
                  {"single_word", &a->single_word},
                  {"lstrip", &a->lstrip},
                  {"rstrip", &a->rstrip}};
    const json_t *content = json_object_get(o, "content");
    if (!json_is_string(content))
        return ds_fail(err, DS_FAIL, "added_tokens[%zu] has no content", i);
    a->content = json_string_value(content);
    a->len = json_string_length(content);
    a->id = (uint32_t)json_integer_value(json_object_get(o, "id"));
    for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) {
        const json_t *v = json_object_get(o, fields[k].name);
        if (!json_is_boolean(v))
            return ds_fail(err, DS_FAIL, "added_tokens[%zu] (%s): %s is neither true nor false", i,
                           a->content, fields[k].name);
        *fields[k].out = json_is_true(v);
    }
    return 0;
}

/* Puts one added token into the table. `max` is the largest id of added tokens so far, -1 for none.
 */
static int enter_added(ds_tok *t, const added_token *a, int64_t *max, ds_err *err)
{
    uint32_t id = ds_tok_id(t, a->content, a->len);
    bool known = id != DS_TOK_NONE;
    if (!known) /* as the reference numbers them */
        id = *max >= (int64_t)t->n_model ? (uint32_t)(*max + 1) : t->n_model;
    if (id != a->id)
        return ds_fail(err, DS_FAIL,
                       "added token %s has id %u in the file, but %u for the reference", a->content,
                       a->id, id);
    if (!known) {
        if (t->entry[id].flags & TOK_EXISTS)
            return ds_fail(err, DS_FAIL, "added token %s has the id %u of token %s", a->content, id,
                           ds_tok_text(t, id, NULL));
        int rc = ds_tok_add_entry(t, id, a->content, a->len, err);
        if (rc != 0)
            return rc;
        rc = ds_tok_index_add(t, &t->by_text, id, false, err);
        if (rc != 0)
            return rc;
    }
    if (t->entry[id].flags & TOK_ADDED)
        return ds_fail(err, DS_FAIL, "added token %s appears twice", a->content);
    t->entry[id].flags |= (uint8_t)(TOK_ADDED | (a->special ? TOK_SPECIAL : 0));
    t->n_added++;
    t->n_special += a->special;
    if (id > *max)
        *max = id;
    return 0;
}

/* The trie of the tokens that are matched before (normalized = false) or after normalisation. */
static int build_trie(ds_tok *t, tok_trie *trie, const added_token *v, size_t n, bool normalized,
                      ds_err *err)
{
    tok_pattern *pat = calloc(n ? n : 1, sizeof *pat);
    ds_buf text = {0}, work[2] = {{0}, {0}};
    size_t k = 0;
    int rc = pat != NULL ? 0 : ds_fail_nomem(err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (v[i].normalized != normalized || v[i].len == 0)
            continue;
        size_t at = text.len;
        const uint8_t *p = (const uint8_t *)v[i].content;
        size_t len = v[i].len;
        if (normalized)
            rc = ds_tok_norms_apply(&t->norms, t->cls, work, true, p, len, &p, &len, err);
        if (rc == 0 && normalized)
            rc = ds_tok_respell(t, v[i].id, p, len, err);
        if (rc == 0 && ds_buf_put(&text, p, len) != 0)
            rc = ds_fail_nomem(err);
        pat[k].len = text.len - at;
        pat[k].id = v[i].id;
        pat[k++].strip = (uint8_t)((v[i].single_word ? TOK_SINGLE_WORD : 0) |
                                   (v[i].lstrip ? TOK_LSTRIP : 0) | (v[i].rstrip ? TOK_RSTRIP : 0));
    }
    size_t at = 0;
    for (size_t i = 0; i < k && rc == 0; i++) {
        pat[i].text = text.data + at;
        at += pat[i].len;
    }
    if (rc == 0)
        rc = ds_tok_trie_build(trie, pat, k, err);
    ds_buf_fini(&text);
    ds_buf_fini(&work[0]);
    ds_buf_fini(&work[1]);
    free(pat);
    return rc;
}

static int read_added(ds_tok *t, const json_t *list, ds_err *err)
{
    size_t n = json_array_size(list);
    added_token *v = calloc(n ? n : 1, sizeof *v);
    int64_t max = -1;
    int rc = v != NULL ? 0 : ds_fail_nomem(err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = read_added_token(&v[i], json_array_get(list, i), i, err);
        if (rc == 0 && v[i].len > 0) /* the reference ignores empty ones */
            rc = enter_added(t, &v[i], &max, err);
    }
    if (rc == 0)
        rc = build_trie(t, &t->raw, v, n, false, err);
    if (rc == 0)
        rc = build_trie(t, &t->normal, v, n, true, err);
    free(v);
    return rc;
}

static int read_root(ds_tok *t, const json_t *root, ds_err *err)
{
    if (!json_is_object(root))
        return ds_fail(err, DS_FAIL, "not a JSON object");
    const json_t *version = json_object_get(root, "version");
    if (version != NULL &&
        (!json_is_string(version) || strcmp(json_string_value(version), "1.0") != 0))
        return ds_fail(err, DS_FAIL, "version is not \"1.0\"");
    int rc = ds_tok_read_normalizer(t, json_object_get(root, "normalizer"), err);
    if (rc == 0)
        rc = ds_tok_read_pre_tokenizer(t, json_object_get(root, "pre_tokenizer"), err);
    if (rc == 0)
        rc = read_model(t, root, err);
    if (rc == 0)
        rc = read_added(t, json_object_get(root, "added_tokens"), err);
    if (rc == 0)
        rc = ds_tok_read_post_processor(t, json_object_get(root, "post_processor"), err);
    if (rc == 0)
        rc = ds_tok_read_decoder(t, json_object_get(root, "decoder"), err);
    for (uint32_t id = 0; id < t->n_entries && rc == 0 && t->byte_level && t->n_decoders > 1; id++)
        if (t->entry[id].flags & TOK_RESPELLED)
            rc = ds_fail(
                err, DS_FAIL,
                "added token %s: one that the normalizer changes is not supported with more "
                "than one decoder",
                ds_tok_text(t, id, NULL));
    if (rc == 0)
        ds_tok_fuse_steps(t);
    return rc;
}

/* The digest is a third of the work, and is made beside the rest of it. */
typedef struct digest {
    const void *data;
    size_t len;
    ds_sha *out;
    ds_err err;
    int rc;
} digest;

static void digest_run(void *arg)
{
    digest *d = arg;
    d->rc = ds_sha_bytes(d->out, d->data, d->len, &d->err);
}

static void alphabet(ds_tok *t)
{
    for (uint32_t cp = 0; cp < TOK_ALPHABET; cp++)
        t->alphabet[cp] = (int16_t)ds_tok_cp_byte(cp);
}

static int read_file(ds_tok *t, const void *json, size_t len, const char *name, ds_err *err)
{
    json_t *root = NULL;
    ds_buf rest = {0};
    ds_uni_fill(t->cls);
    alphabet(t);
    t->join = calloc(1, sizeof *t->join);
    int rc = t->join != NULL && ds_tok_merges_init(&t->merges) ? 0 : ds_fail_nomem(err);
    if (rc == 0)
        rc = ds_tok_model_read(t, json, len, &rest, err);
    if (rc != 0)
        ds_err_prefix(err, "%s", name);
    if (rc == 0 && t->by_text.slot == NULL)
        rc = ds_tok_index_init(&t->by_text, 0, err);
    if (rc == 0 && ds_json_parse(&root, rest.data, rest.len, name, NULL) != 0) {
        rc = ds_json_parse(&root, json, len, name, err); /* for the place */
        if (rc == 0)
            rc = ds_fail(err, DS_FAIL, "%s: cannot be read as JSON", name);
        ds_err_prefix(err, "no tokenizer.json");
    } else if (rc == 0) {
        rc = read_root(t, root, err);
        if (rc != 0)
            ds_err_prefix(err, "%s", name);
    }
    json_decref(root);
    ds_buf_fini(&rest);
    return rc;
}

int ds_tok_parse(ds_tok **out, const void *json, size_t len, const char *name, ds_err *err)
{
    ds_tok *t = ds_tok_table(sizeof *t);
    ds_beside beside;
    *out = NULL;
    if (t == NULL)
        return ds_fail_nomem(err);
    memset(t, 0, sizeof *t);
    digest d = {.data = json, .len = len, .out = &t->digest};
    ds_beside_begin(&beside, len > 65536, digest_run, &d);
    int rc = read_file(t, json, len, name, err);
    ds_beside_end(&beside, rc == 0);
    if (rc == 0 && d.rc != 0) {
        rc = d.rc;
        if (err != NULL)
            *err = d.err;
    }
    if (rc != 0) {
        ds_tok_free(t);
        return rc;
    }
    *out = t;
    return 0;
}

int ds_tok_load(ds_tok **out, const char *path, ds_err *err)
{
    ds_buf b = {0};
    struct stat st;
    *out = NULL;
    /* As much as will be needed, if that is known and the file can be read. */
    if (stat(path, &st) == 0 && st.st_size > 0 && (uint64_t)st.st_size < DS_TOK_FILE_MAX)
        (void)ds_tok_table_buf(&b, (size_t)st.st_size + 1);
    int rc = ds_read_file(&b, path, DS_TOK_FILE_MAX, err);
    if (rc == 0)
        rc = ds_tok_parse(out, b.data, b.len, path, err);
    ds_buf_fini(&b);
    return rc;
}
