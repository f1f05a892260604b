/* rebuild.c - see rebuild.h. */
#include "rebuild.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recompare.h"
#include "sig.h"
#include "stepargs.h"

/* ---- the plan ---- */

static int read_steps(ds_rebuild *r, ds_store *s, const git_oid *tree, ds_err *err)
{
    ds_buf text = {0};
    int rc = ds_catalog_file(&text, s->cat, tree, "provenance.json", err);
    rc = rc ? rc : ds_json_parse(&r->steps, text.data, text.len, "provenance", err);
    ds_buf_fini(&text);
    if (!rc && !json_array_size(r->steps))
        rc = ds_fail(err, DS_FAIL, "the version does not tell how it was made");
    const char *before = NULL;
    for (size_t i = 0; !rc && i < json_array_size(r->steps); i++) {
        const json_t *step = json_array_get(r->steps, i),
                     *parents = json_object_get(step, "parents");
        const char *parent = json_string_value(json_array_get(parents, 0));
        if (json_array_size(parents) != (i > 0) || (i > 0 && (!parent || strcmp(parent, before))))
            rc = ds_fail(err, DS_FAIL, "step '%s' joins several streams: that cannot be rebuilt",
                         ds_step_tool(step));
        before = json_string_value(json_object_get(step, "id"));
        if (!rc && !before)
            rc = ds_fail(err, DS_CORRUPT, "provenance: step %zu has no id", i);
    }
    return rc;
}

/* The program beside this one: of the same installation. */
static int program(char path[PATH_MAX], const char *name, ds_err *err)
{
    const ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
    path[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(path, '/');
    const size_t room = slash ? PATH_MAX - (size_t)(slash + 1 - path) : 0;
    if (strlen(name) >= room)
        return ds_fail(err, DS_FAIL, "/proc/self/exe does not tell where %s is", name);
    memcpy(slash + 1, name, strlen(name) + 1);
    if (access(path, X_OK) != 0)
        return ds_fail(err, DS_FAIL, "%s: not there, or cannot be run", path);
    return 0;
}

static int find_file(void *ctx, const ds_sha *sha, const char **path, ds_err *err)
{
    ds_rebuild *r = ctx;
    int rc = ds_sourcefind_digest(&r->given, sha, path, err);
    return rc || *path ? rc : ds_sourcefind_digest(&r->found, sha, path, err);
}

/* Logs of formats that were told apart file by file have the columns of all of them, unless the
 * input was one file. */
static bool is_alone(const json_t *step, const ds_schema *schema)
{
    const char *format =
        json_string_value(json_object_get(json_object_get(step, "options"), "format"));
    return strcmp(ds_step_tool(step), "dsprep logs") == 0 && format &&
           strcmp(format, "auto") == 0 &&
           !(ds_schema_find(schema, "program") >= 0 && ds_schema_find(schema, "remote") >= 0);
}

static int make_operands(ds_rebuild *r, const ds_schema *schema, ds_err *err)
{
    const json_t *first = json_array_get(r->steps, 0);
    const char *on_error =
        json_string_value(json_object_get(json_object_get(first, "options"), "on_error"));
    const bool extras = on_error && strcmp(on_error, "fail") != 0;
    int rc = ds_argv_add(&r->stages[0], "--", err);
    return rc ? rc
              : ds_sourcefind_operands(&r->found, &r->stages[0], &r->sources, extras,
                                       is_alone(first, schema), err);
}

static int make_stages(ds_rebuild *r, const ds_rebuild_opts *o, const ds_schema *schema,
                       ds_err *err)
{
    char path[PATH_MAX];
    const ds_stepfiles files = {.find = find_file, .ctx = r, .key_file = o->key_file};
    int rc = program(path, "dsprep", err);
    const size_t n = json_array_size(r->steps);
    if (!rc && !(r->stages = calloc(n, sizeof *r->stages)))
        rc = ds_fail_nomem(err);
    for (r->n = 0; !rc && r->n < n; r->n++) {
        const json_t *step = json_array_get(r->steps, r->n);
        if (ds_step_reads(step) != (r->n == 0))
            rc = ds_fail(err, DS_FAIL,
                         r->n ? "step '%s' reads inputs of its own: that cannot be rebuilt"
                              : "step '%s' reads no raw inputs that could be found again: what it "
                                "makes cannot be rebuilt",
                         ds_step_tool(step));
        rc = rc ? rc : ds_argv_add(&r->stages[r->n], path, err);
        rc = rc ? rc : ds_step_args(&r->stages[r->n], step, &files, err);
    }
    return rc ? rc : make_operands(r, schema, err);
}

int ds_rebuild_plan(ds_rebuild *r, ds_store *s, const git_oid *commit, const ds_rebuild_opts *o,
                    ds_err *err)
{
    ds_version v = {0};
    ds_schema schema;
    *r = (ds_rebuild){0};
    ds_schema_init(&schema);
    int rc = ds_version_get(&v, s->cat, commit, err);
    r->want = v.root;
    rc = rc ? rc : ds_version_schema(&schema, s->cat, &v.tree, err);
    rc = rc ? rc : read_steps(r, s, &v.tree, err);
    rc = rc ? rc : ds_sourcelist_read(&r->sources, s, &v.tree, err);
    rc = rc ? rc : ds_sourcefind_open(&r->given, o->files, o->nfiles, err);
    rc = rc ? rc : ds_sourcefind_open(&r->found, o->sources, o->nsources, err);
    rc = rc ? rc : make_stages(r, o, &schema, err);
    r->packed = r->found.packed;
    ds_schema_fini(&schema);
    ds_version_fini(&v);
    return rc;
}

/* ---- the run ---- */

/* What the stream says of its steps is what is recorded. What a step found out for itself (the
 * catalog of templates) is left out: that comes from the data. */
static int same_steps(const json_t *want, const json_t *is, ds_err *err)
{
    const size_t n = json_array_size(want);
    if (json_array_size(is) != n)
        return ds_fail(err, DS_FAIL, "%zu steps were run, and %zu are recorded",
                       json_array_size(is), n);
    for (size_t i = 0; i < n; i++) {
        static const char *const parts[] = {"tool", "version", "options", "digests"};
        const json_t *a = json_array_get(want, i), *b = json_array_get(is, i);
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
            json_t *x = json_deep_copy(json_object_get(a, parts[k]));
            json_t *y = json_deep_copy(json_object_get(b, parts[k]));
            json_object_del(x, "catalog");
            json_object_del(y, "catalog");
            const char *bad = json_string_value(json_object_get(x, "on_error"));
            if (bad && strcmp(bad, "quarantine") == 0)
                json_object_set_new(x, "on_error", json_string("skip"));
            const bool same = json_equal(x, y);
            json_decref(x);
            json_decref(y);
            if (!same)
                return ds_fail(err, DS_FAIL,
                               "step '%s': what was run has other %s than what is recorded",
                               ds_step_tool(a), parts[k]);
        }
    }
    return 0;
}

static int check_steps(const ds_rebuild *r, const ds_reader *in, ds_err *err)
{
    size_t len;
    const char *text = ds_reader_provenance(in, &len);
    json_t *is = NULL;
    int rc = ds_json_parse(&is, text, len, "provenance", err);
    rc = rc ? rc : same_steps(r->steps, is, err);
    json_decref(is);
    return rc;
}

static int take(ds_rebuild *r, ds_recompare *c, ds_reader *in, ds_err *err)
{
    enum ds_event ev = DS_EV_BLOCK;
    int rc = 0;
    while (!rc && ev != DS_EV_END) {
        rc = ds_check_interrupt(err);
        rc = rc ? rc : ds_reader_next(in, &ev, err);
        if (!rc && ev == DS_EV_BLOCK)
            rc = ds_recompare_block(c, ds_reader_block(in), err);
        else if (!rc && ev == DS_EV_SOURCE)
            rc = ds_recompare_source(c, ds_reader_source(in), err);
    }
    return rc ? rc : ds_recompare_end(c, &r->root, &r->records, &r->differs, err);
}

int ds_rebuild_run(ds_rebuild *r, ds_store *s, const git_oid *commit, ds_err *err)
{
    ds_pipeline p = {.out = -1};
    ds_reader *in = NULL;
    ds_recompare *c = NULL;
    int rc = ds_pipeline_begin(&p, r->stages, r->n, err);
    rc = rc ? rc : ds_reader_new(&in, p.out, "the rebuilt stream", err);
    rc = rc ? rc : check_steps(r, in, err);
    rc = rc ? rc : ds_recompare_new(&c, s, commit, ds_reader_schema(in), &r->sources, err);
    rc = rc ? rc : take(r, c, in, err);
    ds_recompare_free(c);
    ds_reader_free(in);
    return ds_pipeline_end(&p, rc, err);
}

void ds_rebuild_fini(ds_rebuild *r)
{
    for (size_t i = 0; r->stages && i < json_array_size(r->steps); i++)
        ds_argv_fini(&r->stages[i]);
    free(r->stages);
    free(r->differs);
    json_decref(r->steps);
    ds_sourcelist_fini(&r->sources);
    ds_sourcefind_close(&r->found);
    ds_sourcefind_close(&r->given);
    *r = (ds_rebuild){0};
}
