/* graph.c - see graph.h. */
#include "graph.h"

#include <string.h>

static git_oid *lanes_of(const ds_graph *g)
{
    return (git_oid *)(void *)g->lanes.data;
}

static size_t count_of(const ds_graph *g)
{
    return g->lanes.len / sizeof(git_oid);
}

/* The first line from `from` on that leads to the version; their number when there is none. */
static size_t find(const ds_graph *g, const git_oid *id, size_t from)
{
    size_t i = from;
    while (i < count_of(g) && !git_oid_equal(&lanes_of(g)[i], id))
        i++;
    return i;
}

static void take_out(ds_graph *g, size_t i)
{
    git_oid *l = lanes_of(g);
    memmove(l + i, l + i + 1, (count_of(g) - i - 1) * sizeof *l);
    g->lanes.len -= sizeof *l;
}

int ds_graph_init(ds_graph *g, ds_catalog *c, const git_oid *tips, size_t n, ds_err *err)
{
    *g = (ds_graph){0};
    int rc = git_revwalk_new(&g->walk, ds_catalog_repo(c));
    if (rc == 0)
        rc = git_revwalk_sorting(g->walk, GIT_SORT_TOPOLOGICAL | GIT_SORT_TIME);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = git_revwalk_push(g->walk, &tips[i]);
    return rc < 0 ? ds_fail_git(err, rc, "the history cannot be read") : 0;
}

int ds_graph_next(ds_graph *g, git_oid *id, ds_err *err)
{
    int rc = git_revwalk_next(id, g->walk);
    if (rc == GIT_ITEROVER)
        return 0;
    return rc < 0 ? ds_fail_git(err, rc, "the history cannot be read") : 1;
}

/* "| " for each line, and `mark` in place of the one at `at`. */
static bool put_row(ds_graph *g, size_t at, char mark)
{
    bool bad = false;
    for (size_t i = 0; i < count_of(g); i++)
        bad = bad || ds_buf_putc(&g->text, (uint8_t)(i == at ? mark : '|')) ||
              ds_buf_putc(&g->text, ' ');
    return bad;
}

/* A row in which the lines `from` and `to` (further right) meet, with `/` or `\`. */
static bool put_bend(ds_graph *g, size_t from, size_t to, char bend)
{
    bool bad = false;
    for (size_t i = 0; i < count_of(g) && !bad; i++) {
        const bool near = i + 1 == to;
        if (i == to)
            continue;
        bad = ds_buf_putc(&g->text, '|') ||
              ds_buf_putc(&g->text, (uint8_t)(near                  ? bend
                                              : i >= from && i < to ? '_'
                                                                    : ' '));
    }
    return bad || ds_buf_putc(&g->text, '\n');
}

const char *ds_graph_before(ds_graph *g, const ds_version *v)
{
    bool bad = false;
    ds_buf_reset(&g->text);
    const size_t at = find(g, &v->id, 0);
    if (at == count_of(g))
        bad = ds_buf_put(&g->lanes, &v->id, sizeof v->id);
    for (size_t i; !bad && (i = find(g, &v->id, at + 1)) < count_of(g);) {
        bad = put_bend(g, at, i, '/'); /* a line that branched off here */
        take_out(g, i);
    }
    bad = bad || put_row(g, at, '*');
    return bad ? NULL : ds_buf_cstr(&g->text);
}

const char *ds_graph_after(ds_graph *g, const ds_version *v)
{
    const size_t at = find(g, &v->id, 0);
    bool bad = false;
    ds_buf_reset(&g->text);
    if (at == count_of(g))
        return ds_buf_cstr(&g->text);
    if (!v->has_parent) {
        take_out(g, at);
        return ds_buf_cstr(&g->text);
    }
    lanes_of(g)[at] = v->parent;
    if (v->has_merged) { /* a line of its own for what was merged, behind all others */
        bad = ds_buf_put(&g->lanes, &v->merged, sizeof v->merged) ||
              put_bend(g, at, count_of(g) - 1, '\\');
    }
    return bad ? NULL : ds_buf_cstr(&g->text);
}

void ds_graph_fini(ds_graph *g)
{
    git_revwalk_free(g->walk);
    ds_buf_fini(&g->lanes);
    ds_buf_fini(&g->text);
    *g = (ds_graph){0};
}
