/* cmd_show.c - dsver show: one version, with its schema, provenance and counts. */
#include <inttypes.h>
#include <string.h>

#include "cmd_verb.h"
#include "json.h"
#include "manifest.h"
#include "revision.h"
#include "plural.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_show;
const ds_command ds_ver_show = {
    .prog = "dsver",
    .name = "show",
    .summary = "tell what a version is made of",
    .operands = "[DATASET[@REV]]",
    .max_operands = 1,
    .example = "dsver show docs@main~1",
    .description = "Commit, counts, roots, columns, and the steps that made the records. See dsver "
                   "log -h for REV.",
    .run = run,
};

typedef struct shown {
    ds_version v;
    ds_meta m;
    ds_buf schema, prov;
} shown;

static void reasons_json(const char *name, const ds_reason *r, size_t n)
{
    printf(",\"%s\":{", name);
    for (size_t i = 0; i < n; i++) {
        printf("%s", i ? "," : "");
        verb_json(stdout, r[i].reason);
        printf(":%" PRIu64, r[i].count);
    }
    printf("}");
}

static void say_json(const shown *x)
{
    char origin[65];
    ds_sha_hex(origin, &x->m.origin_root);
    verb_json_version(&x->v);
    printf(",\"blocks\":%" PRIu64 ",\"sources\":%" PRIu64 ",\"bytes\":%" PRIu64
           ",\"origin_root\":\"sha256:%s\"",
           x->m.blocks, x->m.sources, x->m.bytes, origin);
    reasons_json("held", x->m.counts.held, x->m.counts.nheld);
    reasons_json("failed", x->m.counts.failed, x->m.counts.nfailed);
    printf(",\"schema\":");
    fwrite(x->schema.data, 1, x->schema.len, stdout); /* canonical JSON both, one line each */
    printf(",\"provenance\":");
    fwrite(x->prov.data, 1, x->prov.len, stdout);
    printf("}\n");
}

static int say_columns(const shown *x, ds_err *err)
{
    ds_schema s;
    ds_schema_init(&s);
    int rc = ds_schema_parse(&s, x->schema.data, x->schema.len, err);
    for (size_t i = 0; !rc && i < s.n; i++) {
        const ds_column *c = &s.cols[i];
        printf("column  ");
        verb_words(c->name);
        printf(" %s%s%s%s\n", ds_type_name(c->type), c->type == DS_LIST ? " of " : "",
               c->type == DS_LIST ? ds_type_name(c->item) : "", c->nullable ? ", may be null" : "");
    }
    if (!rc)
        printf("keys    %s\n", s.explicit_key ? "explicit" : "derived from content");
    ds_schema_fini(&s);
    return rc;
}

static void say_step(const char *tool, const char *version, const ds_buf *options)
{
    printf("step    ");
    verb_words(tool);
    printf(" ");
    verb_words(version);
    printf(" ");
    verb_text(stdout, options->data, options->len);
    printf("\n");
}

static int say_steps(const shown *x, ds_err *err)
{
    json_t *steps = NULL, *step;
    size_t i;
    int rc = ds_json_parse(&steps, x->prov.data, x->prov.len, "provenance.json", err);
    if (rc)
        return rc;
    json_array_foreach(steps, i, step)
    {
        ds_buf b = {0};
        json_t *options = json_object_get(step, "options");
        const char *tool = json_string_value(json_object_get(step, "tool"));
        const char *version = json_string_value(json_object_get(step, "version"));
        if (options && ds_json_dump(&b, options, NULL) == 0)
            say_step(tool ? tool : "?", version ? version : "", &b);
        ds_buf_fini(&b);
    }
    json_decref(steps);
    return 0;
}

static void say_reasons(const char *what, const ds_reason *r, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        printf("%s  %" PRIu64 " ", what, r[i].count);
        verb_words(r[i].reason);
        printf("\n");
    }
}

static int say(const shown *x, ds_err *err)
{
    char root[65], origin[65], date[32], bytes[32];
    ds_sha_hex(root, &x->m.root);
    ds_sha_hex(origin, &x->m.origin_root);
    ds_date_text(date, x->v.time);
    printf("commit  %s\n", git_oid_tostr_s(&x->v.id));
    if (x->v.has_parent)
        printf("parent  %s\n", git_oid_tostr_s(&x->v.parent));
    if (x->v.has_merged)
        printf("merged  %s\n", git_oid_tostr_s(&x->v.merged));
    printf("dataset ");
    verb_words(x->v.dataset);
    printf("\nauthor  ");
    verb_words(x->v.author);
    printf("\ndate    %s\nmessage ", date);
    verb_subject(&x->v);
    printf("\n");
    printf("records %" PRIu64 " in %" PRIu64 " block%s, %s, from %" PRIu64 " source%s\n",
           x->m.records, x->m.blocks, ds_s(x->m.blocks), verb_bytes(bytes, x->m.bytes),
           x->m.sources, ds_s(x->m.sources));
    say_reasons("held  ", x->m.counts.held, x->m.counts.nheld);
    say_reasons("failed", x->m.counts.failed, x->m.counts.nfailed);
    printf("root    sha256:%s\norigins sha256:%s\n", root, origin);
    int rc = say_columns(x, err);
    return rc ? rc : say_steps(x, err);
}

static int run(int argc, char **argv)
{
    bool json = false;
    const char *store = NULL;
    const ds_opt opts[] = {VERB_STORE(store), VERB_JSON(json), OPT_END};
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_show, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    ds_store s = {0};
    ds_revision rev = {0};
    shown x = {0};
    int rc = ds_store_open(&s, store, DS_OBJ_READ, &err);
    if (!rc)
        rc = ds_revision_find(&rev, &s, n > 0 ? operands[0] : NULL, &err);
    if (!rc)
        rc = ds_version_get(&x.v, s.cat, &rev.id, &err);
    if (!rc)
        rc = ds_version_meta(&x.m, s.cat, &x.v, &err);
    if (!rc)
        rc = ds_catalog_file(&x.schema, s.cat, &x.v.tree, "schema.json", &err);
    if (!rc)
        rc = ds_catalog_file(&x.prov, s.cat, &x.v.tree, "provenance.json", &err);
    if (!rc && json)
        say_json(&x);
    else if (!rc)
        say(&x, &err);
    ds_version_fini(&x.v);
    ds_meta_fini(&x.m);
    ds_buf_fini(&x.schema);
    ds_buf_fini(&x.prov);
    ds_revision_fini(&rev);
    ds_store_close(&s);
    return ds_command_end(&ds_ver_show, &err, json);
}
