/* resize.c - see resize.h. */
#include "resize.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "filesum.h"
#include "io.h"
#include "jsonfile.h"
#include "kernels.h"
#include "modelconf.h"
#include "safetensors.h"
#include "tok.h"
#include "try.h"

#define VOCABULARY "tokenizer.json"

/* What a run of it has at hand. */
typedef struct resizing {
    const ds_resize_conf *c;
    ds_resize_done *done;
    ds_modelconf conf;
    ds_buf vocabulary; /* the tokenizer.json of the result */
    ds_tok *was, *now; /* was: NULL where the model has none */
    uint8_t *fresh;    /* of each row of the result: is it a new token's? */
    ds_buf names;      /* ranges of those rows: "300-302,310" */
    void *rows[2];     /* numbers of the tensors that are made anew */
    ds_st_tensor *all; /* tensors of the result; names are the files' */
    size_t n;
} resizing;

/* ---- tokens ---- */

/* The reference numbers added tokens from the end of its model's, or of those added before. */
static int64_t next_id(const json_t *added, const ds_tok *tok)
{
    ds_tok_facts facts;
    int64_t next;

    ds_tok_get_facts(tok, &facts);
    next = facts.model_tokens;
    for (size_t i = 0; i < json_array_size(added); i++) {
        const int64_t id = json_integer_value(json_object_get(json_array_get(added, i), "id"));
        next = id >= next ? id + 1 : next;
    }
    return next;
}

static int add_tokens(json_t *root, const resizing *r, const char *path, ds_err *err)
{
    json_t *added = json_object_get(root, "added_tokens");

    if (!json_is_array(added)) {
        added = json_array();
        if (json_object_set_new(root, "added_tokens", added))
            return ds_fail_nomem(err);
    }
    for (const char *const *t = r->c->added; *t; t++) {
        const uint32_t id = ds_tok_id(r->was, *t, strlen(*t));
        for (const char *const *u = r->c->added; u < t; u++)
            if (!strcmp(*u, *t))
                return ds_fail(err, DS_USAGE, "--add-token '%s': named twice", *t);
        if (!**t || id != DS_TOK_NONE)
            return ds_fail(err, DS_USAGE, "--add-token '%s': %s%s", *t,
                           **t ? "a token already, of " : "a token has a text", **t ? path : "");
        json_t *one = json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id",
                                (json_int_t)next_id(added, r->was), "content", *t, "single_word", 0,
                                "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1);
        if (!one)
            return ds_fail(err, DS_USAGE, "--add-token '%s': not UTF-8", *t);
        if (json_array_append_new(added, one))
            return ds_fail_nomem(err);
    }
    return 0;
}

/* The model's own tokenizer.json with the tokens that are added. */
static int extend(resizing *r, const char *path, ds_err *err)
{
    json_t *root = NULL;
    ds_buf text = {0};
    int rc = ds_read_file(&text, path, DS_TOK_FILE_MAX, err);

    rc = rc ? rc : ds_json_parse(&root, text.data, text.len, path, err);
    rc = rc ? rc : add_tokens(root, r, path, err);
    rc = rc ? rc : ds_json_dump_pretty(&r->vocabulary, root, err);
    if (!rc && ds_buf_putc(&r->vocabulary, '\n'))
        rc = ds_fail_nomem(err);
    json_decref(root);
    ds_buf_fini(&text);
    return rc;
}

static int open_tokens(resizing *r, ds_err *err)
{
    const char *from = r->c->tokenizer;
    char path[DS_PATH];

    TRY(ds_path_join(path, r->c->model, VOCABULARY, err));
    if (!from || ds_path_exists(path))
        TRY(ds_tok_load(&r->was, path, err));
    TRY(from ? ds_read_file(&r->vocabulary, from, DS_TOK_FILE_MAX, err) : extend(r, path, err));
    return ds_tok_parse(&r->now, r->vocabulary.data, r->vocabulary.len, from ? from : path, err);
}

/* A token keeps its row: its id is what it was. One that was added may be gone, as those are that
 * a model has in reserve. */
static int check_kept(const resizing *r, uint32_t id, const char *text, size_t len, ds_err *err)
{
    const uint32_t now = ds_tok_id(r->now, text, len);

    if (now == id || (now == DS_TOK_NONE && ds_tok_is_added(r->was, id)))
        return 0;
    if (now == DS_TOK_NONE)
        return ds_fail(err, DS_FAIL, "%s lacks the model's token %" PRIu32 ", '%s'",
                       r->c->tokenizer, id, text);
    return ds_fail(err, DS_FAIL,
                   "%s gives '%s' the id %" PRIu32 ", and it is the model's token %" PRIu32,
                   r->c->tokenizer, text, now, id);
}

/* Is there a row of the model that is this token's? */
static bool has_row(const resizing *r, uint32_t id, const char *text, size_t len)
{
    size_t n;
    const char *was = r->was ? ds_tok_text(r->was, id, &n) : NULL;

    return id < (uint32_t)r->done->rows_before &&
           (!r->was || (was && n == len && !memcmp(was, text, len)));
}

/* The ids from `from` on, below `to`, are new. */
static int name_range(resizing *r, int64_t from, int64_t to, ds_err *err)
{
    int rc = ds_buf_printf(&r->names, "%s%" PRId64, r->names.len ? "," : "", from);

    if (!rc && to > from + 1)
        rc = ds_buf_printf(&r->names, "-%" PRId64, to - 1);
    return rc ? ds_fail_nomem(err) : 0;
}

static int find_fresh(resizing *r, ds_err *err)
{
    ds_resize_done *d = r->done;
    const int64_t ids = (int64_t)ds_tok_max_id(r->now) + 1, m = r->c->multiple;
    int64_t run = -1;
    size_t len;

    d->rows = d->rows_before > ids ? d->rows_before : ids;
    d->rows = (d->rows + m - 1) / m * m;
    if (d->rows > DS_VOCAB_MAX)
        return ds_fail(err, DS_FAIL, "a vocabulary of %" PRId64 ": %d are the most", d->rows,
                       DS_VOCAB_MAX);
    r->fresh = calloc((size_t)d->rows + 1, 1);
    if (!r->fresh)
        return ds_fail_nomem(err);
    for (uint32_t id = 0; r->was && id <= ds_tok_max_id(r->was); id++) {
        const char *text = ds_tok_text(r->was, id, &len);
        if (text)
            TRY(check_kept(r, id, text, len, err));
    }
    for (int64_t id = 0; id < ids; id++) {
        const char *text = ds_tok_text(r->now, (uint32_t)id, &len);
        r->fresh[id] = text && !has_row(r, (uint32_t)id, text, len);
    }
    for (int64_t id = 0; id <= d->rows; id++) {
        d->fresh += r->fresh[id];
        d->first = r->fresh[id] && d->first < 0 ? id : d->first;
        d->last = r->fresh[id] ? id : d->last;
        run = r->fresh[id] && run < 0 ? id : run;
        if (!r->fresh[id] && run >= 0)
            TRY(name_range(r, run, id, err));
        run = r->fresh[id] ? run : -1;
    }
    return 0;
}

/* ---- rows ---- */

/* Row `id` counts for the mean: a token had it, and has it. */
static bool counts(const resizing *r, int64_t id)
{
    return !r->fresh[id] && (!r->was || ds_tok_text(r->was, (uint32_t)id, NULL));
}

static int mean_of(float *mean, double *sum, const resizing *r, const ds_st_tensor *t,
                   const char *file, ds_err *err)
{
    const size_t d = (size_t)t->dims[1];
    int64_t n = 0;

    for (int64_t id = 0; id < r->done->rows_before; id++) {
        if (!counts(r, id))
            continue;
        TRY(ds_st_to_f32(mean, t, (size_t)id * d, d, err));
        for (size_t j = 0; j < d; j++)
            sum[j] += (double)mean[j];
        n++;
    }
    if (!n)
        return ds_fail(err, DS_FAIL, "%s: no token of the model's has a row", file);
    for (size_t j = 0; j < d; j++) {
        mean[j] = (float)(sum[j] / (double)n);
        if (!isfinite(mean[j]))
            return ds_fail(err, DS_CORRUPT,
                           "%s: tensor '%s': the mean of column %zu is not a finite number", file,
                           t->name, j);
    }
    return 0;
}

/* The rows as they are, and the mean where a token is new, and behind their end. */
static int fill(char *to, const resizing *r, const ds_st_tensor *t, const float *mean, ds_err *err)
{
    const size_t d = (size_t)t->dims[1], row = d * (t->dtype == DS_ST_F32 ? 4 : 2);
    uint16_t *half = malloc(d * sizeof *half);

    if (!half)
        return ds_fail_nomem(err);
    for (size_t j = 0; t->dtype != DS_ST_F32 && j < d; j++)
        half[j] = ds_half_from(t->dtype == DS_ST_BF16 ? DS_KBF16 : DS_KF16, mean[j]);
    memcpy(to, t->data, t->bytes);
    for (int64_t id = 0; id < r->done->rows; id++)
        if (r->fresh[id] || id >= r->done->rows_before)
            memcpy(to + (size_t)id * row,
                   t->dtype == DS_ST_F32 ? (const void *)mean : (const void *)half, row);
    free(half);
    return 0;
}

/* t becomes the tensor with its new rows, whose numbers are *rows. */
static int lengthen(ds_st_tensor *t, void **rows, const resizing *r, const char *file, ds_err *err)
{
    if (t->ndim != 2 || t->dims[0] != r->done->rows_before || t->dims[1] != r->conf.hidden)
        return ds_fail(err, DS_FAIL,
                       "%s: tensor '%s' does not have the %" PRId64
                       " x %d numbers that config.json tells of",
                       file, t->name, r->done->rows_before, (int)r->conf.hidden);
    if (t->dtype != DS_ST_F32 && t->dtype != DS_ST_F16 && t->dtype != DS_ST_BF16)
        return ds_fail(err, DS_FAIL, "%s: tensor '%s' is not of f32, bf16 or f16", file, t->name);
    const size_t d = (size_t)t->dims[1], each = t->bytes / (size_t)t->dims[0];
    float *mean = malloc(d * sizeof *mean);
    double *sum = calloc(d, sizeof *sum);
    *rows = malloc((size_t)r->done->rows * each);

    int rc = mean && sum && *rows ? 0 : ds_fail_nomem(err);
    rc = rc ? rc : mean_of(mean, sum, r, t, file, err);
    rc = rc ? rc : fill(*rows, r, t, mean, err);
    free(mean);
    free(sum);
    t->dims[0] = r->done->rows;
    t->data = *rows;
    t->bytes = (size_t)r->done->rows * each;
    return rc;
}

static int gather(resizing *r, const ds_st_set *s, ds_err *err)
{
    static const char *const names[] = {"model.embed_tokens.weight", "lm_head.weight"};
    bool found[2] = {false, r->conf.tied};

    for (size_t i = 0; i < s->n; i++)
        r->n += s->files[i].n;
    r->all = calloc(r->n + 1, sizeof *r->all);
    if (!r->all)
        return ds_fail_nomem(err);
    r->n = 0;
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; j < s->files[i].n; j++) {
            const ds_st_tensor *in = &s->files[i].t[j];
            if (ds_st_set_find(s, in->name, NULL) != in)
                continue; /* a model is loaded without it */
            ds_st_tensor *t = &r->all[r->n++];
            *t = *in;
            for (size_t k = 0; k < 2; k++)
                if (!strcmp(t->name, names[k])) {
                    found[k] = true;
                    TRY(lengthen(t, &r->rows[k], r, s->files[i].path, err));
                }
        }
    return found[0] && found[1]
               ? 0
               : ds_fail(err, DS_FAIL, "%s: tensor '%s' is missing", r->c->model, names[found[0]]);
}

/* ---- the result ---- */

/* The weights say which model they were and which rows are whose. */
static int write_weights(resizing *r, ds_err *err)
{
    char path[DS_PATH], from[72] = "sha256:";
    ds_sha sum;

    if (!ds_buf_cstr(&r->names))
        return ds_fail_nomem(err);
    const char *const said[] = {
        "resized_from", from, "resized_rows", (const char *)r->names.data, "resized_init",
        "mean",         NULL};
    TRY(ds_model_sum(&sum, r->c->model, err));
    ds_sha_hex(from + strlen(from), &sum);
    TRY(ds_path_join(path, r->c->out, "model.safetensors", err));
    return ds_st_write(path, r->all, r->n, said, NULL, NULL, err);
}

static int write_conf(const resizing *r, ds_err *err)
{
    json_t *o = NULL;
    int rc = ds_jsonfile_read(&o, r->c->model, "config.json", err);

    if (!rc && json_object_set_new(o, "vocab_size", json_integer(r->done->rows)))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : ds_jsonfile_write(r->c->out, "config.json", o, err);
    json_decref(o);
    return rc;
}

static int folder_of(char out[DS_PATH], const char *path, ds_err *err)
{
    const char *slash = strrchr(path, '/');
    const size_t n = slash ? (size_t)(slash - path) + (slash == path) : 1;

    if (n >= DS_PATH)
        return ds_fail(err, DS_FAIL, "%s: the name is too long", path);
    memcpy(out, slash ? path : ".", n);
    out[n] = '\0';
    return 0;
}

/* What lies beside the tokenizer goes with it. config.json comes last: without it there is no
 * model. */
static int write_all(resizing *r, ds_err *err)
{
    char path[DS_PATH], beside[DS_PATH];

    TRY(ds_mkdirs(r->c->out, err));
    TRY(write_weights(r, err));
    TRY(ds_tokenizer_copy(r->c->model, r->c->out, err));
    if (r->c->tokenizer) {
        TRY(folder_of(beside, r->c->tokenizer, err));
        TRY(ds_tokenizer_copy(beside, r->c->out, err));
    }
    TRY(ds_path_join(path, r->c->out, VOCABULARY, err));
    TRY(ds_atomic_write(path, 0644, r->vocabulary.data, r->vocabulary.len, err));
    return write_conf(r, err);
}

static int resize(resizing *r, ds_err *err)
{
    char path[DS_PATH];
    ds_st_set s = {0};

    TRY(ds_path_join(path, r->c->out, "config.json", err));
    if (ds_path_exists(path))
        return ds_fail(err, DS_FAIL, "%s: there is a model already", r->c->out);
    if (ds_modelconf_read(&r->conf, r->c->model, err))
        return ds_checkpoint_meant(r->c->model, err);
    r->done->rows_before = r->conf.vocab;
    TRY(open_tokens(r, err));
    TRY(find_fresh(r, err));
    if (!r->done->fresh && r->done->rows == r->done->rows_before)
        return ds_fail(err, DS_FAIL, "%s: the model has a row for every token of it already",
                       r->c->tokenizer);
    int rc = ds_st_set_open(&s, r->c->model, err);
    rc = rc ? rc : gather(r, &s, err);
    rc = rc ? rc : write_all(r, err);
    ds_st_set_close(&s);
    return rc;
}

int ds_resize(ds_resize_done *done, const ds_resize_conf *c, ds_err *err)
{
    resizing r = {.c = c, .done = done};

    *done = (ds_resize_done){.first = -1, .last = -1};
    const int rc = resize(&r, err);
    ds_modelconf_fini(&r.conf);
    ds_buf_fini(&r.vocabulary);
    ds_buf_fini(&r.names);
    ds_tok_free(r.was);
    ds_tok_free(r.now);
    free(r.fresh);
    free(r.rows[0]);
    free(r.rows[1]);
    free(r.all);
    return rc;
}
