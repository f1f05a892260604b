/* segments.c - see segments.h. */
#include "segments.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runname.h"
#include "strlist.h"

void ds_segments_fini(ds_segments *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i].path);
    free(l->v);
    *l = (ds_segments){0};
}

static int add(ds_segments *l, const char *where, const char *name, const git_oid *blob,
               ds_err *err)
{
    ds_segment s = {0};

    if (!ds_ledger_parse_name(name, &s.first, &s.last))
        return ds_fail(err, DS_FAIL, "%s/%s: not the name of a segment", where, name);
    if (blob)
        s.blob = *blob;
    if (asprintf(&s.path, "%s/%s", where, name) < 0)
        return ds_fail_nomem(err);
    if (ds_grow(&l->v, &l->cap, l->n, sizeof *l->v)) {
        free(s.path);
        return ds_fail_nomem(err);
    }
    l->v[l->n++] = s;
    return 0;
}

static int by_step(const void *a, const void *b)
{
    const ds_segment *x = a, *y = b;

    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return x->last < y->last ? -1 : x->last > y->last;
}

static int sorted(ds_segments *l, int rc)
{
    if (rc)
        ds_segments_fini(l);
    else if (l->n)
        qsort(l->v, l->n, sizeof *l->v, by_step);
    return rc;
}

int ds_segments_dir(ds_segments *l, const char *dir, ds_err *err)
{
    ds_strlist names = {0};
    int rc = ds_strlist_folder(&names, dir, err);

    *l = (ds_segments){0};
    for (size_t i = 0; !rc && i < names.n; i++)
        rc = add(l, dir, names.v[i], NULL, err);
    ds_strlist_fini(&names);
    return sorted(l, rc);
}

/* What a tree has under a name, as a tree: 1, 0 when it has nothing, < 0. */
static int subtree(git_tree **sub, ds_catalog *c, const git_oid *tree, const char *name,
                   ds_err *err)
{
    git_oid id;
    const int rc = ds_catalog_entry(&id, c, tree, name, err);

    *sub = NULL;
    return rc > 0 && git_tree_lookup(sub, ds_catalog_repo(c), &id) < 0
               ? ds_fail_git_read(err, "catalog tree %s: %s", git_oid_tostr_s(tree), name)
               : rc;
}

/* Segments of a tree; lineages beside them are passed over. */
static int add_tree(ds_segments *l, const git_tree *t, const char *where, ds_err *err)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < git_tree_entrycount(t); i++) {
        const git_tree_entry *e = git_tree_entry_byindex(t, i);
        if (git_tree_entry_type(e) == GIT_OBJECT_BLOB &&
            strncmp(git_tree_entry_name(e), "step-", 5) != 0)
            rc = add(l, where, git_tree_entry_name(e), git_tree_entry_id(e), err);
    }
    return sorted(l, rc);
}

int ds_segments_tree(ds_segments *l, ds_catalog *c, const git_oid *tree, ds_err *err)
{
    git_tree *sub = NULL;

    *l = (ds_segments){0};
    int rc = subtree(&sub, c, tree, "ledger", err);
    if (rc == 0)
        rc = ds_fail(err, DS_CORRUPT, "catalog tree %s: no ledger", git_oid_tostr_s(tree));
    rc = rc < 0 ? rc : add_tree(l, sub, "ledger", err);
    git_tree_free(sub);
    return rc;
}

/* ---- what was abandoned ---- */

void ds_stretches_fini(ds_stretches *s)
{
    for (size_t i = 0; i < s->n; i++)
        ds_segments_fini(&s->v[i].segments);
    free(s->v);
    *s = (ds_stretches){0};
}

static int add_stretch(ds_stretches *s, const char *name, ds_stretch **out, ds_err *err)
{
    ds_stretch x = {0};

    if (!ds_stretch_parse_name(name, &x.number, &x.from))
        return ds_fail(err, DS_FAIL, "abandoned/%s: not the name of a stretch", name);
    if (ds_grow(&s->v, &s->cap, s->n, sizeof *s->v))
        return ds_fail_nomem(err);
    s->v[s->n] = x;
    *out = &s->v[s->n++];
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const ds_stretch *x = a, *y = b;

    return x->number > y->number ? -1 : x->number < y->number;
}

static uint64_t last_step(const ds_stretch *s)
{
    return s->segments.n ? s->segments.v[s->segments.n - 1].last : s->from;
}

static int check_stretches(ds_stretches *s, int rc, ds_err *err)
{
    for (size_t i = 0; !rc && i < s->n; i++)
        rc = s->v[i].segments.n
                 ? ds_segments_check(&s->v[i].segments, s->v[i].from, last_step(&s->v[i]), err)
                 : ds_fail(err, DS_FAIL, "stretch %" PRIu64 ": no segment", s->v[i].number);
    if (rc)
        ds_stretches_fini(s);
    else if (s->n)
        qsort(s->v, s->n, sizeof *s->v, by_number);
    return rc;
}

int ds_stretches_dir(ds_stretches *s, const char *checkpoint, ds_err *err)
{
    char *dir = NULL, *path = NULL;
    ds_strlist names = {0};
    ds_stretch *to = NULL;
    int rc = asprintf(&dir, "%s/abandoned", checkpoint) < 0 ? (dir = NULL, ds_fail_nomem(err)) : 0;

    *s = (ds_stretches){0};
    rc = rc ? rc : ds_strlist_folder_if_there(&names, dir, err);
    for (size_t i = 0; !rc && i < names.n; i++) {
        rc = add_stretch(s, names.v[i], &to, err);
        if (!rc && asprintf(&path, "%s/%s", dir, names.v[i]) < 0)
            rc = ds_fail_nomem(err);
        if (rc)
            break;
        rc = ds_segments_dir(&to->segments, path, err);
        free(path);
    }
    ds_strlist_fini(&names);
    free(dir);
    return check_stretches(s, rc, err);
}

int ds_stretches_tree(ds_stretches *s, ds_catalog *c, const git_oid *tree, ds_err *err)
{
    git_tree *all = NULL, *one = NULL;
    ds_stretch *to = NULL;

    *s = (ds_stretches){0};
    int rc = subtree(&all, c, tree, "abandoned", err);
    rc = rc < 0 ? rc : 0;
    for (size_t i = 0; !rc && all && i < git_tree_entrycount(all); i++) {
        const char *name = git_tree_entry_name(git_tree_entry_byindex(all, i));
        rc = add_stretch(s, name, &to, err);
        rc = rc ? rc : subtree(&one, c, git_tree_id(all), name, err);
        rc = rc < 0 ? rc : add_tree(&to->segments, one, name, err);
        git_tree_free(one);
        one = NULL;
    }
    git_tree_free(all);
    return check_stretches(s, rc, err);
}

/* ---- rows ---- */

int ds_segments_check(const ds_segments *l, uint64_t after, uint64_t steps, ds_err *err)
{
    uint64_t next = after + 1;

    for (size_t i = 0; i < l->n; i++) {
        if (l->v[i].first != next || l->v[i].last < next)
            return ds_fail(err, DS_FAIL,
                           "%s: a segment that begins with step %" PRIu64 " belongs here",
                           l->v[i].path, next);
        if (l->v[i].last > steps)
            return ds_fail(err, DS_FAIL, "%s: ends behind step %" PRIu64, l->v[i].path, steps);
        next = l->v[i].last + 1;
    }
    if (next != steps + 1)
        return ds_fail(err, DS_FAIL, "the segments end at step %" PRIu64 ", not %" PRIu64, next - 1,
                       steps);
    return 0;
}

/* A file without a name that holds the blob: a reader of streams wants a descriptor. */
static int open_blob(int *fd, ds_catalog *c, const ds_segment *s, ds_err *err)
{
    ds_buf b = {0};
    int rc = ds_catalog_blob(&b, c, &s->blob, err);

    if (!rc && (*fd = memfd_create("ledger", MFD_CLOEXEC)) < 0)
        rc = ds_fail_errno(err, errno, "%s", s->path);
    rc = rc ? rc : ds_write_full(*fd, s->path, b.data, b.len, err);
    if (!rc && lseek(*fd, 0, SEEK_SET) < 0)
        rc = ds_fail_errno(err, errno, "%s", s->path);
    ds_buf_fini(&b);
    return rc;
}

/* The rows of a segment belong to its steps. */
typedef struct part {
    const ds_segment *s;
    uint64_t rows, last;
    ds_ledger_fn fn;
    void *ctx;
} part;

static int part_row(void *ctx, const ds_ledger_row *r, ds_err *err)
{
    part *p = ctx;

    if (r->step < p->s->first || r->step > p->s->last || (p->rows++ == 0 && r->step != p->s->first))
        return ds_fail(err, DS_FAIL,
                       "%s: step %" PRIu64 ", row %" PRIu64 ": not a step of this segment",
                       p->s->path, r->step, r->row);
    p->last = r->step;
    return p->fn(p->ctx, r, err);
}

int ds_segments_scan(const ds_segments *l, ds_catalog *c, ds_ledger_fn fn, void *ctx, ds_err *err)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < l->n; i++) {
        const ds_segment *s = &l->v[i];
        part p = {.s = s, .fn = fn, .ctx = ctx};
        int fd = -1;
        rc = git_oid_is_zero(&s->blob) ? ds_open(&fd, s->path, O_RDONLY, 0, err)
                                       : open_blob(&fd, c, s, err);
        rc = rc ? rc : ds_ledger_scan(fd, s->path, part_row, &p, err);
        if (!rc && p.last != s->last)
            rc = ds_fail(err, DS_FAIL, "%s: ends at step %" PRIu64, s->path, p.last);
        ds_close(&fd, s->path, NULL);
    }
    return rc;
}

int ds_chain_begin(ds_chain *c, const ds_run *run, ds_err *err)
{
    ds_sha digest;
    int rc = ds_run_digest(&digest, run, err);

    *c = (ds_chain){.run = run};
    return rc ? rc : ds_ledger_first(&c->value, &digest, err);
}

int ds_chain_row(ds_chain *c, const ds_ledger_row *r, ds_err *err)
{
    const uint64_t row = c->rows++, step = row / c->run->rows + 1;
    int rc = ds_ledger_next(&c->value, r, err);

    if (!rc && (r->row != row || r->step != step))
        rc = ds_fail(err, DS_FAIL,
                     "step %" PRIu64 ", row %" PRIu64 " stands where step %" PRIu64 ", row %" PRIu64
                     " belongs",
                     r->step, r->row, step, row);
    if (!rc && memcmp(c->value.b, r->chain, sizeof c->value.b) != 0)
        rc = ds_fail(err, DS_FAIL,
                     "step %" PRIu64 ", row %" PRIu64
                     ": the row does not follow from those before it",
                     r->step, r->row);
    memcpy(c->value.b, r->chain, sizeof c->value.b);
    return rc;
}

/* What stretch i departed from was itself abandoned with this one; NULL: it is in the ledger. */
static const ds_stretch *base_of(const ds_stretches *s, size_t i)
{
    for (size_t k = i; k-- > 0;) /* numbers rise towards the front: the next one after i first */
        if (s->v[k].from < s->v[i].from && s->v[i].from <= last_step(&s->v[k]))
            return &s->v[k];
    return NULL;
}

void ds_stretches_step(ds_stretches *s, const ds_stretch *self, uint64_t step, const ds_chain *c)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].from == step && base_of(s, i) == self) {
            s->v[i].start = c->value;
            s->v[i].reached = true;
        }
}

int ds_stretch_begin(ds_chain *c, const ds_stretch *s, const ds_run *run, ds_err *err)
{
    *c = (ds_chain){.run = run, .value = s->start, .rows = s->from * run->rows};
    return s->reached ? 0
                      : ds_fail(err, DS_FAIL,
                                "stretch %" PRIu64 " departed from step %" PRIu64
                                ", which is not in the ledger",
                                s->number, s->from);
}
