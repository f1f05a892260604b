/* lineage.c - see lineage.h. A document is written member by member; what is read must give the
 * same bytes when it is written again, so nothing in it goes unchecked. */
#include "lineage_priv.h"

#include <inttypes.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filesum.h"
#include "io.h"
#include "runname.h"
#include "utf8.h"

#define DOCUMENT_MAX ((size_t)8 << 20)
#define DATASETS_MAX 65536

const char *const ds_long_names[3] = {
    [DS_LONG_ERROR] = "error", [DS_LONG_SPLIT] = "split", [DS_LONG_TRUNCATE] = "truncate"};

/* ---- memory ---- */

static void run_fini(ds_run *r)
{
    for (size_t i = 0; i < r->ndatasets; i++) {
        free(r->datasets[i].name);
        free(r->datasets[i].column);
        free(r->datasets[i].tokenizer);
        free(r->datasets[i].mask);
        free(r->datasets[i].erased);
    }
    free(r->datasets);
    free(r->training);
    free(r->trainer);
    *r = (ds_run){0};
}

void ds_lineage_fini(ds_lineage *l)
{
    run_fini(&l->run);
    free(l->name);
    free(l->environment);
    free(l->model_name);
    free(l->consumed);
    *l = (ds_lineage){0};
}

/* ---- reading ---- */

/* A document being read: `what` names it, `at` the object within it. */
typedef struct doc {
    const char *what;
    ds_err *err;
} doc;

static int bad(const doc *d, const char *at, const char *name, const char *want)
{
    return ds_fail(d->err, DS_CORRUPT, "%s: %s%s%s is not %s", d->what, at, *at && *name ? "." : "",
                   name, want);
}

static const json_t *member(const json_t *o, const char *name)
{
    return json_is_object(o) ? json_object_get(o, name) : NULL;
}

static int get_object(const doc *d, const json_t **out, const json_t *o, const char *at,
                      const char *name)
{
    *out = member(o, name);
    return json_is_object(*out) ? 0 : bad(d, at, name, "an object");
}

/* The i-th element of an array of exactly n; n 0: of any number. */
static int get_element(const doc *d, const json_t **out, const json_t *o, const char *at,
                       const char *name, size_t i, size_t n)
{
    const json_t *a = member(o, name);

    if (!json_is_array(a) || (n && json_array_size(a) != n) || json_array_size(a) <= i)
        return bad(d, at, name, "an array of what belongs there");
    *out = json_array_get(a, i);
    return json_is_object(*out) ? 0 : bad(d, at, name, "an array of objects");
}

static int get_str(const doc *d, const char **out, const json_t *o, const char *at,
                   const char *name)
{
    const json_t *v = member(o, name);

    if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v) ||
        !ds_lineage_plain(json_string_value(v)))
        return bad(d, at, name, "a string without control characters");
    *out = json_string_value(v);
    return 0;
}

static int dup_str(const doc *d, char **out, const json_t *o, const char *at, const char *name)
{
    const char *s;
    const int rc = get_str(d, &s, o, at, name);

    if (rc)
        return rc;
    *out = strdup(s);
    return *out ? 0 : ds_fail_nomem(d->err);
}

static int get_u64(const doc *d, uint64_t *out, const json_t *o, const char *at, const char *name,
                   uint64_t min, uint64_t max)
{
    const json_t *v = member(o, name);

    if (!json_is_integer(v) || json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) < min ||
        (uint64_t)json_integer_value(v) > max)
        return bad(d, at, name, "a number in its range");
    *out = (uint64_t)json_integer_value(v);
    return 0;
}

/* `before` and 64 hex digits in lower case. */
static int get_sha(const doc *d, ds_sha *out, const json_t *o, const char *at, const char *name,
                   const char *before)
{
    const char *s;
    const size_t n = strlen(before);
    int rc = get_str(d, &s, o, at, name);

    if (!rc && (strncmp(s, before, n) != 0 || !ds_sha_parse(out, s + n, strlen(s + n)) ||
                s[n + strcspn(s + n, "ABCDEF")]))
        rc = bad(d, at, name, "a SHA-256 digest");
    return rc;
}

static int is_text(const doc *d, const json_t *o, const char *at, const char *name,
                   const char *want)
{
    const char *s;
    int rc = get_str(d, &s, o, at, name);

    if (!rc && strcmp(s, want) != 0)
        rc = bad(d, at, name, want);
    return rc;
}

static int dup_json(const doc *d, char **out, const json_t *o, const char *at, const char *name)
{
    const json_t *v = NULL;
    ds_buf b = {0};
    int rc = get_object(d, &v, o, at, name);

    rc = rc ? rc : ds_json_dump(&b, v, d->err);
    if (!rc) {
        *out = strndup((const char *)b.data, b.len);
        rc = *out ? 0 : ds_fail_nomem(d->err);
    }
    ds_buf_fini(&b);
    return rc;
}

/* Pairs of a record and a number. */
static int read_erased(const doc *d, ds_run_dataset *to, const json_t *v, const char *at)
{
    const json_t *list = member(v, "erased");
    const size_t n = json_array_size(list);
    uint64_t end = 0;

    if (n < 1 || n > DS_ERASED_MAX)
        return bad(d, at, "erased", "a list of records");
    to->erased = calloc(n, sizeof *to->erased);
    if (!to->erased)
        return ds_fail_nomem(d->err);
    to->nerased = n;
    for (size_t i = 0; i < n; i++) {
        const json_t *pair = json_array_get(list, i), *a = json_array_get(pair, 0),
                     *b = json_array_get(pair, 1);
        const json_int_t first = json_integer_value(a), many = json_integer_value(b);
        if (json_array_size(pair) != 2 || !json_is_integer(a) || !json_is_integer(b) || first < 0 ||
            many < 1 || (uint64_t)first < end + (i > 0) || (uint64_t)first > to->records ||
            (uint64_t)many > to->records - (uint64_t)first)
            return bad(d, at, "erased", "a list of records in their order");
        to->erased[i] = (ds_records){(uint64_t)first, (uint64_t)many};
        end = (uint64_t)(first + many);
    }
    return 0;
}

static int read_dataset(const doc *d, ds_run_dataset *to, const json_t *v, const char *at)
{
    size_t more = 0;
    ds_sha sum;
    int rc = dup_str(d, &to->name, v, at, "name");

    rc = rc ? rc : dup_str(d, &to->column, v, at, "column");
    rc = rc ? rc : dup_str(d, &to->tokenizer, v, at, "tokenizer");
    if (!rc && *to->tokenizer)
        rc = get_sha(d, &sum, v, at, "tokenizer", "sha256:");
    rc = rc ? rc : get_sha(d, &to->root, v, at, "root", "sha256:");
    rc = rc ? rc : get_u64(d, &to->records, v, at, "records", 0, INT64_MAX);
    if (!rc && member(v, "mask")) {
        more++;
        rc = dup_str(d, &to->mask, v, at, "mask");
        if (!rc && !*to->mask)
            rc = bad(d, at, "mask", "the name of a column");
    }
    if (!rc && member(v, "weight")) {
        more++;
        rc = get_u64(d, &to->weight, v, at, "weight", 1, DS_WEIGHT_MAX);
    }
    if (!rc && member(v, "erased")) {
        more++;
        rc = read_erased(d, to, v, at);
    }
    if (!rc && json_object_size(v) != 5 + more)
        rc = bad(d, at, "", "of five members, mask, weight and erased");
    return rc;
}

static int read_datasets(const doc *d, ds_run *r, const json_t *v)
{
    const json_t *list = member(v, "datasets");
    const size_t n = json_is_array(list) ? json_array_size(list) : 0;
    uint64_t all = 0;
    int rc = 0;

    if (n < 1 || n > DATASETS_MAX)
        return bad(d, "", "datasets", "a list of datasets");
    r->datasets = calloc(n, sizeof *r->datasets);
    if (!r->datasets)
        return ds_fail_nomem(d->err);
    r->ndatasets = n;
    for (size_t i = 0; !rc && i < n; i++) {
        char at[48];
        snprintf(at, sizeof at, "datasets[%zu]", i);
        rc = read_dataset(d, &r->datasets[i], json_array_get(list, i), at);
        if (!rc && __builtin_add_overflow(all, r->datasets[i].records, &all))
            rc = bad(d, at, "records", "a number in its range");
        if (!rc && !r->datasets[i].weight != !r->datasets[0].weight)
            rc = bad(d, at, "weight", "what all datasets have, or none");
    }
    return rc;
}

static int read_long(const doc *d, enum ds_long *out, const json_t *v)
{
    const char *s;
    int rc = get_str(d, &s, v, "", "long");

    for (size_t i = 0; !rc && i < sizeof ds_long_names / sizeof *ds_long_names; i++)
        if (!strcmp(s, ds_long_names[i])) {
            *out = (enum ds_long)i;
            return 0;
        }
    return rc ? rc : bad(d, "", "long", "error, split or truncate");
}

static int read_run(const doc *d, ds_run *r, const json_t *v)
{
    uint64_t n = 0, all;
    int rc = get_u64(d, &n, v, "", "version", 1, 1);

    rc = rc ? rc : dup_str(d, &r->trainer, v, "", "trainer");
    rc = rc ? rc : read_datasets(d, r, v);
    rc = rc ? rc : get_u64(d, &r->seed, v, "", "seed", 0, INT64_MAX);
    rc = rc ? rc : get_u64(d, &r->steps, v, "", "steps", 1, INT64_MAX);
    rc = rc ? rc : get_u64(d, &r->rows, v, "", "rows", 1, INT64_MAX);
    if (!rc && __builtin_mul_overflow(r->steps, r->rows, &all))
        rc = bad(d, "", "rows", "a number in its range");
    rc = rc ? rc : get_u64(d, &n, v, "", "seq_len", 2, UINT32_C(1) << 24);
    r->seq_len = (uint32_t)n;
    rc = rc ? rc : get_u64(d, &n, v, "", "window", 1, UINT32_MAX);
    r->window = (uint32_t)n;
    rc = rc ? rc : read_long(d, &r->longer, v);
    rc = rc ? rc : get_sha(d, &r->model, v, "", "model", "sha256:");
    rc = rc ? rc : dup_json(d, &r->training, v, "", "training");
    if (!rc && json_object_size(v) != 11)
        rc = bad(d, "the run description", "", "of eleven members");
    return rc;
}

static int parse_run(ds_run *r, const json_t *v, const char *what, ds_err *err)
{
    const doc d = {what, err};
    int rc;

    *r = (ds_run){0};
    rc = json_is_object(v) ? read_run(&d, r, v) : bad(&d, "the run description", "", "an object");
    if (rc)
        run_fini(r);
    return rc;
}

/* What follows `kind` in the name of a dependency. */
static int tail_of(const doc *d, const char **out, const json_t *o, const char *at,
                   const char *kind)
{
    int rc = get_str(d, out, o, at, "name");

    if (!rc && strncmp(*out, kind, strlen(kind)) != 0)
        rc = bad(d, at, "name", kind);
    if (!rc)
        *out += strlen(kind);
    return rc;
}

static int read_commit(const doc *d, ds_run_dataset *to, const json_t *digest, const char *at)
{
    const char *s;
    int rc;

    if (!member(digest, "gitCommit"))
        return 0;
    rc = get_str(d, &s, digest, at, "gitCommit");
    if (!rc && (strlen(s) != 40 || strspn(s, "0123456789abcdef") != 40))
        rc = bad(d, at, "gitCommit", "40 hex digits");
    if (!rc)
        memcpy(to->commit, s, 41);
    return rc;
}

/* Commits, the model's name, the binary; that the rest repeats the run description is left to the
 * comparison of bytes. */
static int read_dependencies(const doc *d, ds_lineage *l, const json_t *def)
{
    const char *name = "resolvedDependencies", *s;
    const json_t *list = member(def, name), *o, *digest = NULL;
    const size_t n = json_is_array(list) ? json_array_size(list) : 0;
    int rc = n >= l->run.ndatasets + 2
                 ? 0
                 : bad(d, "", name, "a list of the datasets, the model and the trainer");

    for (size_t i = 0; !rc && i < l->run.ndatasets; i++) {
        rc = get_element(d, &o, def, "", name, i, 0);
        rc = rc ? rc : get_object(d, &digest, o, name, "digest");
        rc = rc ? rc : read_commit(d, &l->run.datasets[i], digest, name);
    }
    rc = rc ? rc : get_element(d, &o, def, "", name, n - 2, 0);
    rc = rc ? rc : tail_of(d, &s, o, name, "model:");
    if (!rc && !(l->model_name = strdup(s)))
        rc = ds_fail_nomem(d->err);
    rc = rc ? rc : get_element(d, &o, def, "", name, n - 1, 0);
    rc = rc ? rc : tail_of(d, &s, o, name, DS_TRAINER);
    rc = rc ? rc : get_object(d, &digest, o, name, "digest");
    return rc ? rc : get_sha(d, &l->binary, digest, name, "sha256", "");
}

static int read_ledger(const doc *d, ds_lineage *l, const json_t *details)
{
    const json_t *o = NULL, *digest = NULL, *notes = NULL, *list = member(details, "byproducts");
    const size_t n = json_array_size(list);
    int rc = get_element(d, &o, details, "runDetails", "byproducts", 0, n > 1 ? 2 : 1);

    if (!rc && n > 1) {
        rc = is_text(d, json_array_get(list, 1), "byproducts", "name", "consumed");
        rc = rc ? rc
                : dup_json(d, &l->consumed, json_array_get(list, 1), "byproducts", "annotations");
    }
    rc = rc ? rc : is_text(d, o, "byproducts", "name", "ledger");
    rc = rc ? rc : get_object(d, &digest, o, "byproducts", "digest");
    rc = rc ? rc : get_sha(d, &l->head, digest, "byproducts.digest", "sha256", "");
    rc = rc ? rc : get_object(d, &notes, o, "byproducts", "annotations");
    rc = rc ? rc : get_u64(d, &l->rows, notes, "annotations", "rows", 0, INT64_MAX);
    return rc ? rc : get_u64(d, &l->step, notes, "annotations", "steps", 0, INT64_MAX);
}

/* The folder is called by its step. */
static int check_name(const doc *d, const ds_lineage *l)
{
    char want[32];

    ds_checkpoint_name(want, l->step);
    return strcmp(l->name, want) == 0
               ? 0
               : ds_fail(d->err, DS_CORRUPT, "%s: subject.name is not '%s', and the ledger is",
                         d->what, want);
}

static int read_statement(const doc *d, ds_lineage *l, const json_t *v)
{
    const json_t *o = NULL, *def = NULL, *predicate = NULL, *details = NULL, *run = NULL;
    int rc = is_text(d, v, "", "_type", "https://in-toto.io/Statement/v1");

    rc = rc ? rc : is_text(d, v, "", "predicateType", "https://slsa.dev/provenance/v1");
    rc = rc ? rc : get_element(d, &o, v, "", "subject", 0, 1);
    rc = rc ? rc : dup_str(d, &l->name, o, "subject", "name");
    rc = rc ? rc : get_object(d, &o, o, "subject", "digest");
    rc = rc ? rc : get_sha(d, &l->files, o, "subject.digest", "sha256", "");
    rc = rc ? rc : get_object(d, &predicate, v, "", "predicate");
    rc = rc ? rc : get_object(d, &def, predicate, "predicate", "buildDefinition");
    rc = rc ? rc : is_text(d, def, "buildDefinition", "buildType", "urn:ds:run:1");
    rc = rc ? rc : get_object(d, &run, def, "buildDefinition", "externalParameters");
    rc = rc ? rc : parse_run(&l->run, run, d->what, d->err);
    rc = rc ? rc : dup_json(d, &l->environment, def, "buildDefinition", "internalParameters");
    rc = rc ? rc : read_dependencies(d, l, def);
    rc = rc ? rc : get_object(d, &details, predicate, "predicate", "runDetails");
    rc = rc ? rc : get_object(d, &o, details, "runDetails", "metadata");
    rc = rc ? rc : read_ledger(d, l, details);
    return rc ? rc : check_name(d, l);
}

/* The document says again what was read from it, byte for byte. */
static int check_bytes(const ds_lineage *l, const void *json, size_t len, const char *what,
                       ds_err *err)
{
    const uint8_t *got = json;
    ds_buf b = {0};
    size_t i = 0;
    int rc = ds_lineage_dump(&b, l, err);

    while (!rc && i < b.len && i < len && got[i] == b.data[i])
        i++;
    if (!rc && (i != len || i != b.len)) {
        size_t from = i < b.len ? i : b.len;
        size_t n = b.len - from < 40 ? b.len - from : 40;
        rc = ds_fail(err, DS_CORRUPT,
                     "%s: byte %zu does not follow from the rest of it: %.*s expected", what, i,
                     (int)n, (const char *)b.data + from);
    }
    ds_buf_fini(&b);
    return rc;
}

int ds_lineage_parse(ds_lineage *l, const void *json, size_t len, const char *what, ds_err *err)
{
    const doc d = {what, err};
    json_t *v = NULL;
    int rc;

    *l = (ds_lineage){0};
    rc = ds_json_parse(&v, json, len, what, err);
    if (rc == DS_FAIL && err) /* what a program wrote and no longer reads */
        rc = err->code = DS_CORRUPT;
    rc = rc ? rc : read_statement(&d, l, v);
    rc = rc ? rc : check_bytes(l, json, len, what, err);
    json_decref(v);
    if (rc)
        ds_lineage_fini(l);
    return rc;
}

int ds_lineage_read(ds_lineage *l, const char *dir, ds_err *err)
{
    ds_buf b = {0};
    char *path = NULL;
    int rc = asprintf(&path, "%s/lineage.json", dir) < 0 ? ds_fail_nomem(err) : 0;

    *l = (ds_lineage){0};
    if (!rc && !ds_path_exists(dir))
        rc = ds_fail_errno(err, ENOENT, "%s", dir);
    if (!rc && !ds_path_exists(path))
        rc = ds_fail(err, DS_IO, "%s is no checkpoint: no lineage.json lies in it", dir);
    rc = rc ? rc : ds_read_file(&b, path, DOCUMENT_MAX, err);
    rc = rc ? rc : ds_lineage_parse(l, b.data, b.len, path, err);
    ds_buf_fini(&b);
    free(path);
    return rc;
}

/* ---- what follows from it ---- */

uint64_t ds_run_firsts(const ds_run *r, uint64_t *firsts)
{
    uint64_t n = 0;

    for (size_t i = 0; i < r->ndatasets; i++) {
        firsts[i] = n;
        n += r->datasets[i].records;
    }
    return n;
}

int ds_run_leave_out(uint32_t *lengths, uint64_t records, const ds_records *left_out, size_t n,
                     ds_err *err)
{
    for (size_t i = 0; i < n; i++) {
        const ds_records *r = &left_out[i];
        if (r->first > records || r->n > records - r->first)
            return ds_fail(err, DS_FAIL,
                           "record %" PRIu64 " is to be left out of %" PRIu64 " records", r->first,
                           records);
        memset(lengths + r->first, 0, (size_t)r->n * sizeof *lengths);
    }
    return 0;
}

int ds_run_packing(ds_packing **p, const ds_run *r, const uint32_t *lengths, ds_err *err)
{
    ds_mixpart *mix = calloc(r->ndatasets + 1, sizeof *mix);
    ds_packing_conf c = {.seed = r->seed,
                         .lengths = lengths,
                         .seq_len = r->seq_len,
                         .window = r->window,
                         .longer = r->longer,
                         .mix = r->ndatasets && r->datasets[0].weight ? mix : NULL,
                         .nmix = r->ndatasets};
    int rc;

    if (!mix)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < r->ndatasets; i++) {
        mix[i] = (ds_mixpart){r->datasets[i].records, r->datasets[i].weight};
        c.records += r->datasets[i].records;
    }
    rc = ds_packing_new(p, &c, err);
    free(mix);
    return rc;
}
