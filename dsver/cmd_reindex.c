/* cmd_reindex.c - dsver reindex. */
#include <inttypes.h>
#include <stdlib.h>

#include "cmd_verb.h"
#include "refs.h"
#include "plural.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_reindex;
const ds_command ds_ver_reindex = {
    .prog = "dsver",
    .name = "reindex",
    .summary = "rebuild the index from the packs",
    .max_operands = 0,
    .example = "dsver reindex",
    .description = "index.db says where each piece lies and holds nothing that is not in the packs "
                   "too. This builds it anew, "
                   "without decompressing; writers wait meanwhile. Damaged objects are left out "
                   "and told of (exit 12).",
    .run = run,
};

static int on_problem(void *ctx, const ds_objproblem *p)
{
    const bool *json = ctx;
    if (*json) {
        printf("{\"type\":\"problem\",\"file\":");
        verb_json(stdout, p->file);
        printf(",\"offset\":%" PRIu64 ",\"reason\":", p->offset);
        verb_json(stdout, p->reason);
        printf("}\n");
    } else {
        printf("%s offset %" PRIu64 ": %s\n", p->file, p->offset, p->reason);
    }
    return 0;
}

static int print_index(const char *dir, ds_err *err)
{
    ds_objstore *objs = NULL;
    ds_buf text = {0};
    int rc = ds_objstore_open(&objs, dir, DS_OBJ_READ, err);
    if (!rc)
        rc = ds_objstore_dump(objs, true, &text, err);
    if (!rc)
        fwrite(text.data, 1, text.len, stdout);
    ds_buf_fini(&text);
    ds_objstore_close(objs);
    return rc;
}

/* The index can be mended while the catalog cannot be opened: then there is no entry. */
static int note(const char *dir, const char *reason, ds_err *err)
{
    ds_catalog *c = NULL;
    if (ds_catalog_open(&c, dir, NULL))
        return 0;
    int rc = ds_oplog_act(ds_catalog_oplog(c), "reindex", NULL, reason, err);
    rc = rc ? rc : ds_ref_note(c, "the index, from the packs", err);
    ds_catalog_close(c);
    return rc;
}

static int rebuild(const char *dir, bool json, const char *reason, ds_err *err)
{
    ds_scrubstats st = {0};
    int rc = note(dir, reason, err);
    rc = rc ? rc : ds_objstore_reindex(dir, on_problem, &json, &st, err);
    if (rc)
        return rc;
    if (json)
        printf("{\"type\":\"reindex\",\"packs\":%" PRIu64 ",\"objects\":%" PRIu64
               ",\"problems\":%" PRIu64 "}\n",
               st.packs, st.objects, st.problems);
    else
        printf("%" PRIu64 " piece%s in %" PRIu64 " pack%s\n", st.objects, ds_s(st.objects),
               st.packs, ds_s(st.packs));
    return st.problems ? ds_fail(err, DS_CORRUPT, "%" PRIu64 " problem%s found", st.problems,
                                 ds_s(st.problems))
                       : 0;
}

static int run(int argc, char **argv)
{
    bool json = false, dump = false;
    const char *store = NULL, *reason = NULL;
    const ds_opt opts[] = {
        OPT_FLAG(0, "dump", dump, "print the index as text instead"),
        VERB_REASON(reason),
        VERB_STORE(store),
        VERB_JSON(json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_reindex, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    char *dir = NULL;
    int rc = dump && (reason || json)
                 ? ds_fail(&err, DS_USAGE, "--dump prints text and does nothing: without --%s",
                           reason ? "reason" : "json")
                 : ds_store_find(&dir, store, &err);
    if (!rc)
        rc = dump ? print_index(dir, &err) : rebuild(dir, json, reason, &err);
    free(dir);
    return ds_command_end(&ds_ver_reindex, &err, json);
}
