/* rebuild.c - see rebuild.h. */
#include "rebuild.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dsr_sources.h"
#include "pseudonames.h"
#include "sig.h"
#include "stepargs.h"
#include "tombstone.h"

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
        if (ds_step_reads(step)) /* what came before is told of in its input */
            r->first = i;
    }
    const json_t *first = json_array_get(r->steps, r->first);
    if (!rc && !ds_step_reads(first))
        rc = ds_fail(err, DS_FAIL,
                     "step '%s' reads no raw inputs that could be found again: what it makes "
                     "cannot be rebuilt",
                     ds_step_tool(first));
    else if (!rc && r->first && strcmp(ds_step_tool(first), "dsprep import") != 0)
        rc = ds_fail(err, DS_FAIL, "step '%s' reads inputs of its own: that cannot be rebuilt",
                     ds_step_tool(first));
    return rc;
}

/* What was erased is no source any more. */
static int read_sources(ds_rebuild *r, ds_store *s, const git_oid *tree, ds_err *err)
{
    ds_sourcelist all = {0};
    ds_source src;
    int rc = ds_sourcelist_read(&all, s, tree, err);
    for (size_t pos = 0; !rc && ds_sourcelist_next(&all, &pos, &src);) {
        if (ds_tombstone_source(&src))
            continue;
        rc = ds_source_put(&r->sources.rows, &src) ? ds_fail_nomem(err) : 0;
        r->sources.n++;
    }
    ds_sourcelist_fini(&all);
    return rc;
}

/* ---- files that steps read ---- */

/* WHAT=FILE, where that is none that is found by its content. */
static bool is_named(const char *file)
{
    const size_t n = strcspn(file, "=");
    return file[n] && ds_step_file_known(file, n);
}

static int sort_files(ds_rebuild *r, const ds_rebuild_opts *o, ds_err *err)
{
    r->paths = calloc(o->nfiles + 1, sizeof *r->paths);
    r->named = calloc(o->nfiles + 1, sizeof *r->named);
    if (!r->paths || !r->named)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < o->nfiles; i++)
        if (is_named(o->files[i]))
            r->named[r->nnamed++] = o->files[i];
        else
            r->paths[r->npaths++] = o->files[i];
    return 0;
}

static const char *named_file(void *ctx, const char *what)
{
    ds_rebuild *r = ctx;
    const size_t n = strlen(what);
    for (size_t i = 0; i < r->nnamed; i++) {
        const char *s = r->named[i];
        if (!s || strncmp(s, what, n) != 0 || s[n] != '=')
            continue;
        r->named[i] = NULL;
        return s + n + 1;
    }
    return NULL;
}

/* What the user named and no step takes was meant for something. */
static int all_taken(const ds_rebuild *r, ds_err *err)
{
    for (size_t i = 0; i < r->nnamed; i++)
        if (r->named[i])
            return ds_fail(err, DS_FAIL, "--file %s: no step reads such a file", r->named[i]);
    return 0;
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

static int make_operands(ds_rebuild *r, const ds_schema *schema, bool as_is, ds_err *err)
{
    const json_t *first = json_array_get(r->steps, r->first);
    const char *on_error =
        json_string_value(json_object_get(json_object_get(first, "options"), "on_error"));
    const bool extras = (on_error && strcmp(on_error, "fail") != 0) || r->found.lenient ||
                        strcmp(ds_step_tool(first), "dsprep import") == 0;
    int rc = r->map ? ds_argv_addf(&r->stages[0], err, "--source-map=%s", r->map) : 0;
    rc = rc ? rc : ds_argv_add(&r->stages[0], "--", err);
    if (!rc && !as_is && !ds_step_as_given(first))
        return ds_sourcefind_operands(&r->found, &r->stages[0], &r->sources, extras,
                                      is_alone(first, schema), err);
    for (size_t i = 0; !rc && i < r->found.nroots; i++)
        rc = ds_argv_add(&r->stages[0], r->found.roots[i], err);
    return rc;
}

/* Sources under a key are known by pseudonyms alone: who has the key may see the names. */
static int make_map(ds_rebuild *r, const ds_rebuild_opts *o, ds_err *err)
{
    const json_t *first = json_array_get(r->steps, r->first);
    if (!o->key_file || o->dry_run || strcmp(ds_step_tool(first), "dsprep dicom") != 0 ||
        !json_object_get(json_object_get(first, "digests"), "key"))
        return 0;
    return ds_pseudonames_begin(&r->dir, &r->map, err);
}

/* Files that did not change since they were committed are referred to, and not read: in a store
 * that is here, and of which this process may take the locks. */
static int refer(ds_rebuild *r, const ds_store *s, ds_err *err)
{
    return r->n == 1 && !s->lazy && faccessat(AT_FDCWD, s->dir, W_OK, AT_EACCESS) == 0 &&
                   strcmp(ds_step_tool(json_array_get(r->steps, r->first)), "dsprep files") == 0
               ? ds_argv_addf(&r->stages[0], err, "--store=%s", s->dir)
               : 0;
}

static int make_stages(ds_rebuild *r, const ds_store *s, const ds_rebuild_opts *o,
                       const ds_schema *schema, ds_err *err)
{
    char path[PATH_MAX];
    const ds_stepfiles files = {
        .find = find_file, .named = named_file, .ctx = r, .key_file = o->key_file};
    int rc = program(path, "dsprep", err);
    const size_t n = json_array_size(r->steps) - r->first;
    if (!rc && !(r->stages = calloc(n, sizeof *r->stages)))
        rc = ds_fail_nomem(err);
    for (r->n = 0; !rc && r->n < n; r->n++) {
        const json_t *step = json_array_get(r->steps, r->first + r->n);
        rc = ds_argv_add(&r->stages[r->n], path, err);
        rc = rc ? rc : ds_step_args(&r->stages[r->n], step, &files, err);
    }
    rc = rc ? rc : all_taken(r, err);
    rc = rc ? rc : make_map(r, o, err);
    rc = rc || !o->as_is ? rc : refer(r, s, err);
    return rc ? rc : make_operands(r, schema, o->as_is, err);
}

/* Whether something was erased from the version. */
static int find_erased(bool *erased, ds_store *s, const git_oid *commit, ds_err *err)
{
    ds_verside side = {0};
    int rc = ds_verside_open(&side, s, commit, NULL, NULL, err);
    *erased = !rc && side.erased > 0;
    ds_verside_fini(&side);
    return rc;
}

int ds_rebuild_plan(ds_rebuild *r, ds_store *s, const git_oid *commit, const ds_rebuild_opts *o,
                    ds_err *err)
{
    ds_version v = {0};
    ds_schema schema;
    bool erased = false;
    *r = (ds_rebuild){0};
    ds_schema_init(&schema);
    int rc = ds_version_get(&v, s->cat, commit, err);
    r->want = v.root;
    rc = rc ? rc : ds_version_schema(&schema, s->cat, &v.tree, err);
    rc = rc ? rc : read_steps(r, s, &v.tree, err);
    rc = rc ? rc : read_sources(r, s, &v.tree, err);
    rc = rc ? rc : find_erased(&erased, s, commit, err);
    rc = rc ? rc : sort_files(r, o, err);
    rc = rc ? rc : ds_sourcefind_open(&r->given, r->paths, r->npaths, err);
    rc = rc ? rc : ds_sourcefind_open(&r->found, o->sources, o->nsources, err);
    r->found.lenient = erased;
    rc = rc ? rc : make_stages(r, s, o, &schema, err);
    ds_schema_fini(&schema);
    ds_version_fini(&v);
    return rc;
}

/* ---- the run ---- */

/* Options or digests of two steps. What a step found out for itself (the catalog of templates) is
 * left out: that comes from the data. */
static int same_part(const char *tool, const char *part, json_t *a, json_t *b, ds_err *err)
{
    const char *name;
    json_t *x;
    json_object_foreach(a, name, x)
    {
        const json_t *y = json_object_get(b, name);
        const char *was = json_string_value(x), *is = json_string_value(y);
        const bool held = was && is && strcmp(name, "on_error") == 0 &&
                          strcmp(was, "quarantine") == 0 && strcmp(is, "skip") == 0;
        if (strcmp(name, "catalog") == 0 || held || json_equal(x, y))
            continue;
        return ds_fail(err, DS_FAIL,
                       "step '%s': its %s '%s' is not as recorded: recorded %.80s, now %.80s", tool,
                       part, name, was ? was : "another value",
                       is  ? is
                       : y ? "another value"
                           : "none");
    }
    json_object_foreach(b, name, x)
    {
        if (strcmp(name, "catalog") != 0 && !json_object_get(a, name))
            return ds_fail(err, DS_FAIL, "step '%s': its %s '%s' is not recorded", tool, part,
                           name);
    }
    return 0;
}

/* What the stream says of its steps is what is recorded. */
static int same_steps(const json_t *want, const json_t *is, ds_err *err)
{
    const size_t n = json_array_size(want), ran = json_array_size(is);
    int rc = 0;
    for (size_t i = 0; !rc && i < n && i < ran; i++) {
        const json_t *a = json_array_get(want, i), *b = json_array_get(is, i);
        const char *tool = ds_step_tool(a);
        if (strcmp(tool, ds_step_tool(b)) != 0 ||
            !json_equal(json_object_get(a, "version"), json_object_get(b, "version")))
            return ds_fail(err, DS_FAIL, "step '%s' is recorded, '%s' was run", tool,
                           ds_step_tool(b));
        rc = same_part(tool, "option", json_object_get(a, "options"), json_object_get(b, "options"),
                       err);
        rc = rc ? rc
                : same_part(tool, "digest", json_object_get(a, "digests"),
                            json_object_get(b, "digests"), err);
    }
    if (!rc && ran != n)
        rc = ds_fail(err, DS_FAIL, "%zu steps were run, and %zu are recorded", ran, n);
    return rc;
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

int ds_rebuild_run(ds_rebuild *r, ds_store *s, const git_oid *commit, ds_err *err)
{
    ds_pipeline p = {.out = -1};
    ds_reader *in = NULL;
    ds_recompare *c = NULL;
    int rc = ds_pipeline_begin(&p, r->stages, r->n, err);
    rc = rc ? rc : ds_reader_new(&in, p.out, "the rebuilt stream", err);
    rc = rc ? rc : check_steps(r, in, err);
    rc = rc ? rc : ds_recompare_new(&c, s, commit, ds_reader_schema(in), &r->sources, err);
    rc = rc ? rc : ds_recompare_stream(c, in, &r->got, err);
    ds_recompare_free(c);
    ds_reader_free(in);
    rc = ds_pipeline_end(&p, rc, err);
    return rc || !r->got.differs || !r->map ? rc : ds_pseudonames_say(&r->got.differs, r->map, err);
}

void ds_rebuild_fini(ds_rebuild *r)
{
    for (size_t i = 0; r->stages && i < json_array_size(r->steps) - r->first; i++)
        ds_argv_fini(&r->stages[i]);
    free(r->stages);
    free(r->got.differs);
    free(r->paths);
    free(r->named);
    ds_pseudonames_end(r->dir, r->map);
    json_decref(r->steps);
    ds_sourcelist_fini(&r->sources);
    ds_sourcefind_close(&r->found);
    ds_sourcefind_close(&r->given);
    *r = (ds_rebuild){0};
}
