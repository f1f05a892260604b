/* statement.c - see statement.h. */
#include "statement.h"

#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "json.h"
#include "overlay.h"
#include "tombstone.h"

static char *text_of(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return strdup(s ? s : "");
}

/* 1 when it is the one whose tombstones begin with `mark`. */
static int look(ds_statement *st, git_blob *blob, const char *mark, ds_err *err)
{
    const void *text = git_blob_rawcontent(blob);
    const size_t len = (size_t)git_blob_rawsize(blob);
    json_t *o = NULL;
    if (!memmem(text, len, mark, strlen(mark))) /* they may be long */
        return 0;
    int rc = ds_json_parse(&o, text, len, "a statement under " DS_REF_ERASED, err);
    const char *own = json_string_value(json_object_get(o, "tombstones"));
    if (!rc && own && strcmp(own, mark) == 0) {
        *st = (ds_statement){.actor = text_of(o, "actor"),
                             .reason = text_of(o, "reason"),
                             .date = text_of(o, "date")};
        rc = st->actor && st->reason && st->date ? 1 : ds_fail_nomem(err);
        const int bad = rc > 0 ? ds_sha_bytes(&st->sum, text, len, err) : 0;
        rc = bad ? bad : rc;
    }
    json_decref(o);
    return rc;
}

static int look_all(ds_statement *st, git_repository *repo, const git_tree *t, const char *mark,
                    ds_err *err)
{
    int rc = 0;
    for (size_t i = git_tree_entrycount(t); rc == 0 && i-- > 0;) { /* newest first */
        git_blob *blob = NULL;
        if (git_blob_lookup(&blob, repo, git_tree_entry_id(git_tree_entry_byindex(t, i))) < 0)
            rc = ds_fail_git_read(err, "%s: a statement", DS_REF_ERASED);
        rc = rc ? rc : look(st, blob, mark, err);
        git_blob_free(blob);
    }
    return rc;
}

int ds_statement_of(ds_statement *st, ds_catalog *c, const char *key, ds_err *err)
{
    char mark[DS_TOMBSTONE_MARK + 1];
    git_object *o = NULL;
    *st = (ds_statement){.actor = NULL};
    if (!ds_tombstone_name(key, strlen(key)))
        return 0;
    memcpy(mark, key, DS_TOMBSTONE_MARK);
    mark[DS_TOMBSTONE_MARK] = '\0';
    const int there = git_revparse_single(&o, ds_catalog_repo(c), DS_REF_ERASED ":statements");
    int rc = 0;
    if (there == GIT_ENOTFOUND) /* nothing was erased here: it is a name like others */
        return 0;
    if (there < 0 || git_object_type(o) != GIT_OBJECT_TREE)
        rc = ds_fail(err, DS_CORRUPT, "%s: no statements", DS_REF_ERASED);
    rc = rc ? rc : look_all(st, ds_catalog_repo(c), (const git_tree *)o, mark, err);
    git_object_free(o);
    if (rc < 0)
        ds_statement_fini(st);
    return rc;
}

void ds_statement_fini(ds_statement *st)
{
    free(st->actor);
    free(st->reason);
    free(st->date);
    *st = (ds_statement){.actor = NULL};
}
