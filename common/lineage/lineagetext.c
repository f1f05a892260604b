/* lineagetext.c - the description of a run and lineage.json, written; see lineage.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "lineage_priv.h"
#include "utf8.h"

/* Text with its facts checked as it goes in: the first failure stays. */
typedef struct text {
    ds_buf *b;
    ds_err *err;
    int rc;
} text;

static void put(text *t, const char *s)
{
    if (!t->rc && ds_buf_puts(t->b, s))
        t->rc = ds_fail_nomem(t->err);
}

bool ds_lineage_plain(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return true;
}

static void put_str(text *t, const char *what, const char *s)
{
    const size_t len = s ? strlen(s) : 0;

    if (t->rc)
        return;
    if (!s)
        t->rc = ds_fail(t->err, DS_FAIL, "lineage: %s is absent", what);
    else if (ds_utf8_check((const uint8_t *)s, len) != len)
        t->rc = ds_fail(t->err, DS_FAIL, "lineage: %s is not UTF-8: %s", what, s);
    else if (!ds_lineage_plain(s))
        t->rc = ds_fail(t->err, DS_FAIL, "lineage: %s has control characters: %s", what, s);
    else if (ds_json_str(t->b, s, len))
        t->rc = ds_fail_nomem(t->err);
}

static void put_u64(text *t, const char *what, uint64_t v)
{
    if (t->rc)
        return;
    if (v > INT64_MAX)
        t->rc =
            ds_fail(t->err, DS_USAGE, "lineage: %s %" PRIu64 " is larger than 2^63 - 1", what, v);
    else if (ds_buf_printf(t->b, "%" PRIu64, v))
        t->rc = ds_fail_nomem(t->err);
}

static void put_sha(text *t, const char *before, const ds_sha *s)
{
    char hex[65];

    ds_sha_hex(hex, s);
    put(t, "\"");
    put(t, before);
    put(t, hex);
    put(t, "\"");
}

static void put_erased(text *t, const ds_run_dataset *d)
{
    if (!t->rc && d->nerased > DS_ERASED_MAX)
        t->rc = ds_fail(t->err, DS_FAIL,
                        "'%s': records were erased in %zu places, %d can be told: commit it anew "
                        "without them",
                        d->name, d->nerased, DS_ERASED_MAX);
    for (size_t i = 0; i < d->nerased; i++) {
        put(t, i ? ",[" : ",\"erased\":[[");
        put_u64(t, "a record", d->erased[i].first);
        put(t, ",");
        put_u64(t, "records", d->erased[i].n);
        put(t, "]");
    }
    put(t, d->nerased ? "]" : "");
}

static void put_dataset(text *t, const ds_run_dataset *d)
{
    put(t, "{\"name\":");
    put_str(t, "a dataset's name", d->name);
    put(t, ",\"column\":");
    put_str(t, "a dataset's column", d->column);
    put(t, ",\"tokenizer\":");
    put_str(t, "a dataset's tokenizer", d->tokenizer);
    put(t, ",\"root\":");
    put_sha(t, "sha256:", &d->root);
    put(t, ",\"records\":");
    put_u64(t, "records", d->records);
    if (d->mask && *d->mask) {
        put(t, ",\"mask\":");
        put_str(t, "a dataset's mask", d->mask);
    }
    if (d->weight) {
        put(t, ",\"weight\":");
        put_u64(t, "a dataset's weight", d->weight);
    }
    put_erased(t, d);
    put(t, "}");
}

int ds_run_dump(ds_buf *out, const ds_run *r, ds_err *err)
{
    text t = {out, err, 0};

    put(&t, "{\"version\":1,\"trainer\":");
    put_str(&t, "trainer", r->trainer);
    put(&t, ",\"datasets\":[");
    for (size_t i = 0; i < r->ndatasets; i++) {
        put(&t, i ? "," : "");
        put_dataset(&t, &r->datasets[i]);
    }
    put(&t, "],\"seed\":");
    put_u64(&t, "seed", r->seed);
    put(&t, ",\"steps\":");
    put_u64(&t, "steps", r->steps);
    put(&t, ",\"rows\":");
    put_u64(&t, "rows", r->rows);
    put(&t, ",\"seq_len\":");
    put_u64(&t, "seq_len", r->seq_len);
    put(&t, ",\"window\":");
    put_u64(&t, "window", r->window);
    put(&t, ",\"long\":");
    put_str(&t, "long",
            (unsigned)r->longer < sizeof ds_long_names / sizeof *ds_long_names
                ? ds_long_names[r->longer]
                : NULL);
    put(&t, ",\"model\":");
    put_sha(&t, "sha256:", &r->model);
    put(&t, ",\"training\":");
    put(&t, r->training ? r->training : "{}");
    put(&t, "}");
    return t.rc;
}

int ds_run_digest(ds_sha *out, const ds_run *r, ds_err *err)
{
    ds_buf b = {0};
    int rc = ds_run_dump(&b, r, err);

    rc = rc ? rc : ds_sha_tagged(out, "ds.run", b.data, b.len, err);
    ds_buf_fini(&b);
    return rc;
}

static void put_dependency(text *t, const char *kind, const char *name, const char *commit,
                           const ds_sha *sum)
{
    ds_buf b = {0};

    if (!t->rc && (ds_buf_puts(&b, kind) || ds_buf_puts(&b, name ? name : "") || !ds_buf_cstr(&b)))
        t->rc = ds_fail_nomem(t->err);
    put(t, "{\"name\":");
    put_str(t, "a dependency's name", (const char *)b.data);
    put(t, ",\"digest\":{");
    if (*commit) {
        put(t, "\"gitCommit\":");
        put_str(t, "a commit", commit);
        put(t, ",");
    }
    put(t, "\"sha256\":");
    put_sha(t, "", sum);
    put(t, "}}");
    ds_buf_fini(&b);
}

/* The tokenizer is named by some dataset before number i. */
static bool told_before(const ds_run *r, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (!strcmp(r->datasets[k].tokenizer, r->datasets[i].tokenizer))
            return true;
    return false;
}

static void put_dependencies(text *t, const ds_lineage *l)
{
    const ds_run *r = &l->run;

    for (size_t i = 0; !t->rc && i < r->ndatasets; i++) {
        const ds_run_dataset *d = &r->datasets[i];
        put_dependency(t, *d->commit ? "dsver:" : "file:", d->name, d->commit, &d->root);
        put(t, ",");
    }
    for (size_t i = 0; !t->rc && i < r->ndatasets; i++) {
        ds_sha sum;
        const char *s = r->datasets[i].tokenizer;
        if (!*s || told_before(r, i))
            continue;
        if (strncmp(s, "sha256:", 7) != 0 || !ds_sha_parse(&sum, s + 7, strlen(s + 7)))
            t->rc = ds_fail(t->err, DS_FAIL, "lineage: the tokenizer of '%s' is no digest: %s",
                            r->datasets[i].name, s);
        put_dependency(t, "tokenizer", "", "", &sum);
        put(t, ",");
    }
    put_dependency(t, "model:", l->model_name, "", &r->model);
    put(t, ",");
    put_dependency(t, DS_TRAINER, "", "", &l->binary);
}

/* A resource of SLSA has a digest: that of its annotations. */
static void put_consumed(text *t, const char *consumed)
{
    ds_sha sum;

    if (t->rc || !consumed)
        return;
    t->rc = ds_sha_bytes(&sum, consumed, strlen(consumed), t->err);
    put(t, ",{\"name\":\"consumed\",\"digest\":{\"sha256\":");
    put_sha(t, "", &sum);
    put(t, "},\"annotations\":");
    put(t, consumed);
    put(t, "}");
}

int ds_lineage_dump(ds_buf *out, const ds_lineage *l, ds_err *err)
{
    text t = {out, err, 0};
    ds_sha run;

    t.rc = ds_run_digest(&run, &l->run, err);
    put(&t, "{\"_type\":\"https://in-toto.io/Statement/v1\",\"subject\":[{\"name\":");
    put_str(&t, "the checkpoint's name", l->name);
    put(&t, ",\"digest\":{\"sha256\":");
    put_sha(&t, "", &l->files);
    put(&t, "}}],\"predicateType\":\"https://slsa.dev/provenance/"
            "v1\",\"predicate\":{\"buildDefinition\":{\"buildType\":"
            "\"urn:ds:run:1\",\"externalParameters\":");
    if (!t.rc)
        t.rc = ds_run_dump(out, &l->run, err);
    put(&t, ",\"internalParameters\":");
    put(&t, l->environment ? l->environment : "{}");
    put(&t, ",\"resolvedDependencies\":[");
    put_dependencies(&t, l);
    put(&t, "]},\"runDetails\":{\"builder\":{\"id\":\"urn:ds:" DS_TRAINER
            "\"},\"metadata\":{\"invocationId\":");
    put_sha(&t, "sha256:", &run);
    put(&t, "},\"byproducts\":[{\"name\":\"ledger\",\"digest\":{\"sha256\":");
    put_sha(&t, "", &l->head);
    put(&t, "},\"annotations\":{\"rows\":");
    put_u64(&t, "rows", l->rows);
    put(&t, ",\"steps\":");
    put_u64(&t, "steps", l->step);
    put(&t, "}}");
    put_consumed(&t, l->consumed);
    put(&t, "]}}}");
    return t.rc;
}
