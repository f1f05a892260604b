/* remerge.c - see remerge.h. */
#include "remerge.h"

#include <stdlib.h>
#include <string.h>

#include "history.h"
#include "json.h"
#include "sig.h"

/* ---- the three versions ---- */

typedef struct search {
    ds_sha root[3]; /* of base, ours and theirs */
    git_oid id[3];
    bool have[3];
    const git_oid *but; /* the version itself */
} search;

static int look(void *ctx, const git_oid *id, const ds_version *v, const ds_err *why, ds_err *err)
{
    search *f = ctx;
    if (!v)
        return ds_fail_as(err, why);
    for (int i = 0; i < 3; i++)
        if (!f->have[i] && !git_oid_equal(id, f->but) && ds_sha_eq(&v->root, &f->root[i])) {
            f->id[i] = *id;
            f->have[i] = true;
        }
    return f->have[0] && f->have[1] && f->have[2];
}

static int find_versions(ds_remerge *r, ds_store *s, const git_oid *commit, const json_t *step,
                         ds_err *err)
{
    static const char *const names[] = {"base", "ours", "theirs"};
    const json_t *digests = json_object_get(step, "digests");
    search f = {.but = commit};
    ds_oidset seen = {0};
    for (int i = 0; i < 3; i++) {
        const char *hex = json_string_value(json_object_get(digests, names[i]));
        if (!hex || strncmp(hex, "sha256:", 7) != 0 ||
            !ds_sha_parse(&f.root[i], hex + 7, strlen(hex + 7)))
            return ds_fail(err, DS_CORRUPT, "provenance: step '%s' names no root of '%s'",
                           json_string_value(json_object_get(step, "tool")), names[i]);
    }
    int rc = ds_history_from(s->cat, commit, &seen, look, &f, err);
    ds_oidset_fini(&seen);
    for (int i = 0; rc >= 0 && i < 3; i++)
        if (!f.have[i]) {
            char hex[65];
            ds_sha_hex(hex, &f.root[i]);
            return ds_fail(err, DS_FAIL,
                           "the version was merged elsewhere: nothing in its history here has the "
                           "root sha256:%s of '%s'",
                           hex, names[i]);
        }
    r->base = f.id[0];
    r->ours = f.id[1];
    r->theirs = f.id[2];
    return rc < 0 ? rc : 0;
}

/* ---- what decides ---- */

static enum ds_favour recorded(const json_t *step)
{
    const json_t *o = json_object_get(step, "options");
    const bool ours = json_integer_value(json_object_get(o, "ours")) > 0,
               theirs = json_integer_value(json_object_get(o, "theirs")) > 0;
    return ours == theirs ? DS_FAVOUR_NONE : ours ? DS_FAVOUR_OURS : DS_FAVOUR_THEIRS;
}

int ds_remerge_find(ds_remerge *r, ds_store *s, const git_oid *commit, ds_err *err)
{
    ds_version v = {0};
    ds_buf text = {0};
    json_t *steps = NULL;
    *r = (ds_remerge){0};
    int rc = ds_version_get(&v, s->cat, commit, err);
    r->want = v.root;
    rc = rc ? rc : ds_catalog_file(&text, s->cat, &v.tree, "provenance.json", err);
    rc = rc ? rc : ds_json_parse(&steps, text.data, text.len, "provenance", err);
    const size_t n = json_array_size(steps);
    const json_t *last = n ? json_array_get(steps, n - 1) : NULL;
    const char *tool = json_string_value(json_object_get(last, "tool"));
    const bool is = !rc && tool && strcmp(tool, DS_MERGE_TOOL) == 0;
    if (is)
        rc = find_versions(r, s, commit, last, err);
    r->favour = is ? recorded(last) : DS_FAVOUR_NONE;
    json_decref(steps);
    ds_buf_fini(&text);
    ds_version_fini(&v);
    return rc ? rc : is;
}

/* ---- the run ---- */

static int compare(ds_remerge *r, ds_store *s, const git_oid *commit, int fd,
                   const ds_sourcelist *sources, ds_err *err)
{
    ds_reader *in = NULL;
    ds_recompare *c = NULL;
    int rc = ds_reader_new(&in, fd, "the merged stream", err);
    rc = rc ? rc : ds_recompare_new(&c, s, commit, ds_reader_schema(in), sources, err);
    rc = rc ? rc : ds_recompare_stream(c, in, &r->got, err);
    ds_recompare_free(c);
    ds_reader_free(in);
    return rc;
}

int ds_remerge_run(ds_remerge *r, ds_store *s, const git_oid *commit, int threads, ds_err *err)
{
    const ds_merge_opts o = {
        .threads = threads, .favour = r->favour, .as = r->favour == DS_FAVOUR_NONE ? commit : NULL};
    ds_sourcelist sources = {0};
    ds_version v = {0};
    ds_feed feed;
    int rc = ds_version_get(&v, s->cat, commit, err);
    rc = rc ? rc : ds_sourcelist_read(&sources, s, &v.tree, err);
    r->sources = sources.n;
    rc = rc ? rc : ds_merge_plan(&r->merge, s, &r->base, &r->ours, &r->theirs, &o, err);
    rc = rc ? rc : ds_merge_feed(&feed, r->merge, err);
    if (!rc) {
        rc = compare(r, s, commit, feed.fd, &sources, err);
        rc = ds_feed_end(&feed, rc, err);
    }
    ds_sourcelist_fini(&sources);
    ds_version_fini(&v);
    return rc;
}

void ds_remerge_fini(ds_remerge *r)
{
    ds_merge_free(r->merge);
    free(r->got.differs);
    *r = (ds_remerge){0};
}
