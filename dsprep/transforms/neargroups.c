/* neargroups.c - see neargroups.h. */
#include "neargroups.h"

#include <stdlib.h>

#include "firstpass.h"
#include "rowmarks.h"
#include "rowstage.h"

struct ds_neargroups {
    const ds_nearrule *rule;
    ds_wordfold *fold;
    ds_minhash minhash;
    ds_dupset *set;
    ds_spool parts; /* u8 a record: its own */
    const uint8_t *part;
    /* while it is read */
    ds_firstpass pass;
    const ds_schema *schema;
    size_t column;
    ds_where *by;
};

typedef struct work {
    ds_rowmarks marks;
    ds_wherework where;
    ds_colview *views;
    ds_value *values;
    ds_buf parts; /* u8 a record */
} work;

static int row(work *w, const ds_neargroups *g, ds_err *err)
{
    const ds_value *x = &w->values[g->column];
    ds_wval group = {.type = x->null ? DS_W_NULL : DS_W_TEXT, .p = x->p, .len = x->len};
    uint8_t part = DS_NEAR_NOPART;
    int rc = g->by ? ds_where_eval(g->by, &w->where, w->views, w->values, &group, err) : 0;
    const bool some = rc == 0 && group.type == DS_W_TEXT;
    if (some)
        rc = g->rule->part(g->rule->ctx, group.p, group.len, &part, err);
    if (rc == 0 && some && g->by)
        rc = ds_rowmarks_same(&w->marks, group.p, group.len, err);
    if (rc == 0 && some && !x->null)
        rc = ds_rowmarks_near(&w->marks, &g->minhash, x->p, x->len, err);
    if (rc == 0 && some && !g->by && w->marks.n == 0) /* no word: like its equals only */
        rc = ds_rowmarks_same(&w->marks, group.p, group.len, err);
    if (rc == 0 && ds_buf_put(&w->parts, &part, 1))
        rc = ds_fail_nomem(err);
    return rc ? rc : ds_rowmarks_end(&w->marks, err);
}

static int work_block(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    const ds_neargroups *g = ctx;
    work *w = state;
    const size_t columns = g->schema->n;
    int rc = 0;
    if (!w->views) {
        w->views = calloc(columns + 1, sizeof *w->views);
        w->values = calloc(columns + 1, sizeof *w->values);
        rc = w->views && w->values ? 0 : ds_fail_nomem(err);
    }
    ds_rowmarks_reset(&w->marks);
    ds_buf_reset(&w->parts);
    if (rc == 0)
        rc = ds_block_texts(b, g->schema, w->views, err);
    for (uint64_t i = 0; rc == 0 && i < b->rows; i++) {
        for (size_t k = 0; k < columns; k++)
            (void)ds_colview_next(&w->views[k], &w->values[k]);
        rc = row(w, g, err);
    }
    return rc;
}

static int block_done(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    ds_neargroups *g = ctx;
    const work *w = state;
    size_t at = 0;
    int rc = b->rows ? ds_spool_put(&g->parts, w->parts.data, w->parts.len, err) : 0;
    for (uint64_t i = 0; rc == 0 && i < b->rows; i++) {
        rc = ds_dupset_record(g->set, NULL, 0, err);
        if (rc == 0)
            rc = ds_rowmarks_tell(&w->marks, i, &at, g->set, err);
    }
    ds_firstpass_at(&g->pass);
    return rc;
}

static void work_fini(void *state)
{
    work *w = state;
    ds_rowmarks_fini(&w->marks);
    ds_wherework_fini(&w->where);
    free(w->views);
    free(w->values);
    ds_buf_fini(&w->parts);
}

static const ds_blockpipe_ops ops = {
    .state_size = sizeof(work), .work = work_block, .done = block_done, .fini = work_fini};

static int begin(void *ctx, ds_err *err)
{
    ds_neargroups *g = ctx;
    const ds_colnames names = ds_colnames_of(g->pass.in);
    g->schema = names.schema;
    int rc = ds_rowcolumn_find(&g->column, g->pass.in, g->rule->column, 1u << DS_UTF8, err);
    if (rc == 0 && g->rule->by && (rc = ds_where_text_new(&g->by, g->rule->by, &names, err)) != 0)
        ds_err_prefix(err, "--by");
    return rc;
}

int ds_neargroups_new(ds_neargroups **out, const ds_nearrule *rule, ds_err *err)
{
    ds_neargroups *g = *out = calloc(1, sizeof *g);
    if (!g)
        return ds_fail_nomem(err);
    g->rule = rule;
    g->pass = (ds_firstpass){.ops = &ops, .begin = begin, .ctx = g, .threads = rule->threads};
    int rc = ds_wordfold_new(&g->fold, err);
    if (rc == 0)
        rc = ds_nearopts_minhash(&g->minhash, &rule->near, g->fold, err);
    if (rc == 0)
        rc = ds_dupset_new(&g->set, (size_t)rule->memory, false, true, err);
    if (rc) {
        ds_neargroups_free(g);
        *out = NULL;
    }
    return rc;
}

int ds_neargroups_read(ds_neargroups *g, char **paths, int n, ds_err *err)
{
    size_t len;
    int rc = ds_firstpass_run(&g->pass, paths, n, err);
    ds_where_free(g->by); /* it looks into the stream's schema */
    g->by = NULL;
    g->schema = NULL;
    if (rc == 0)
        rc = ds_dupset_join(g->set, err);
    return rc ? rc : ds_spool_view(&g->parts, &g->part, &len, err);
}

uint64_t ds_neargroups_records(const ds_neargroups *g)
{
    return ds_dupset_records(g->set);
}

uint8_t ds_neargroups_part(const ds_neargroups *g, uint64_t record)
{
    return g->part[ds_dupset_first(g->set, record)];
}

void ds_neargroups_count(const ds_neargroups *g, uint64_t *groups, uint64_t *largest)
{
    *groups = *largest = 0;
    for (uint64_t i = 0, n = ds_dupset_records(g->set); i < n; i++) {
        if (ds_dupset_first(g->set, i) != i || g->part[i] == DS_NEAR_NOPART)
            continue;
        const uint64_t size = ds_dupset_size(g->set, i);
        ++*groups;
        *largest = size > *largest ? size : *largest;
    }
}

void ds_neargroups_free(ds_neargroups *g)
{
    if (!g)
        return;
    ds_where_free(g->by);
    ds_dupset_free(g->set);
    ds_minhash_fini(&g->minhash);
    ds_wordfold_free(g->fold);
    ds_spool_fini(&g->parts);
    free(g);
}
