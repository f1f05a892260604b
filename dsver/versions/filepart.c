/* filepart.c - see filepart.h.
 *
 * Records are looked at from the last to the first. The file that a hard link is another name of
 * comes before it, so that whoever needs a record has been met when it comes.
 */
#include "filepart.h"

#include <stdlib.h>

#include "filechoice.h"
#include "recblock.h"
#include "sig.h"

enum { AHEAD = 16 }; /* blocks whose keys are asked for before they are read */

typedef struct row {
    size_t name, target; /* in `names`; the latter 0: none */
    enum ds_filekind kind;
} row;

struct ds_filepart {
    ds_verside side;
    ds_filecols col;
    ds_filechoice *choice;
    bool *keys_only, *no_content; /* columns */
    ds_recblock keys, facts;
    bool *bare, *content; /* of each block: it has folders or symbolic links; others */
    ds_buf name, names, rows;
    bool erased, bare_done;
};

/* ---- one record ---- */

/* Marks the record's block if it is chosen or needed. */
static int take(ds_filepart *p, size_t block, const row *r, ds_err *err)
{
    const bool bare = r->kind == DS_FILE_FOLDER || r->kind == DS_FILE_SYMLINK;
    char *text = (char *)p->names.data;
    bool made;
    const int rc = ds_filechoice_take(p->choice, text + r->name, r->kind,
                                      r->target ? text + r->target : NULL, &made, err);
    *(bare ? &p->bare[block] : &p->content[block]) |= made;
    return rc;
}

/* ---- blocks ---- */

static int put_name(ds_filepart *p, size_t *at, const ds_value *v, ds_err *err)
{
    int rc = ds_filerec_name(&p->name, v, err);
    *at = p->names.len;
    if (!rc && ds_buf_put(&p->names, p->name.data, p->name.len + 1))
        rc = ds_fail_nomem(err);
    return rc;
}

static int take_block(ds_filepart *p, size_t block, ds_err *err)
{
    int rc = ds_recblock_load(&p->facts, &p->side, block, false, err);
    p->names.len = p->rows.len = 0;
    if (!rc && ds_buf_putc(&p->names, 0)) /* 0 is no place of a name */
        rc = ds_fail_nomem(err);
    while (!rc && ds_recblock_next(&p->facts)) {
        const ds_value *v = p->facts.values;
        row r = {0};
        if (ds_filerec_erased(&v[p->col.key], &v[p->col.kind])) {
            p->erased = true;
            continue;
        }
        rc = ds_filerec_kind(&r.kind, &v[p->col.kind], err);
        rc = rc ? rc : put_name(p, &r.name, &v[p->col.key], err);
        if (!rc && r.kind == DS_FILE_HARDLINK && !v[p->col.target].null)
            rc = put_name(p, &r.target, &v[p->col.target], err);
        if (!rc && ds_buf_put(&p->rows, &r, sizeof r))
            rc = ds_fail_nomem(err);
    }
    const row *rows = (const row *)(const void *)p->rows.data;
    for (size_t i = p->rows.len / sizeof *rows; !rc && i > 0; i--)
        rc = take(p, block, &rows[i - 1], err);
    return rc;
}

/* 1 when a record of the block may be chosen or needed, going by its key. */
static int is_of_use(ds_filepart *p, size_t block, ds_err *err)
{
    static const ds_value no_kind = {0};
    int rc = ds_recblock_load(&p->keys, &p->side, block, false, err);
    while (!rc && ds_recblock_next(&p->keys)) {
        const ds_value *key = &p->keys.values[p->col.key];
        rc = ds_filerec_name(&p->name, key, err);
        if (!rc && (ds_filerec_erased(key, &no_kind) ||
                    ds_filechoice_wants(p->choice, (char *)p->name.data)))
            return 1;
    }
    return rc;
}

static int look(ds_filepart *p, ds_err *err)
{
    int rc = 0;
    for (size_t i = p->side.n; !rc && i > 0; i--) {
        const size_t next = i > AHEAD ? i - AHEAD : 0;
        if (next)
            ds_recblock_expect(p->keys_only, &p->side, next - 1, false);
        rc = is_of_use(p, i - 1, err);
        if (rc > 0)
            rc = take_block(p, i - 1, err);
        rc = rc ? rc : ds_check_interrupt(err);
    }
    return rc;
}

/* ---- the whole ---- */

/* Folders that come after what lies in them are met by a second look. */
static int find_all(ds_filepart *p, ds_err *err)
{
    int rc = look(p, err);
    if (!rc && ds_filechoice_lacks_folder(p->choice))
        rc = look(p, err);
    rc = rc ? rc : ds_filechoice_check(p->choice, err);
    return rc || p->erased ? rc : ds_filechoice_check_links(p->choice, err);
}

static int prepare(ds_filepart *p, ds_err *err)
{
    const size_t n = p->side.schema.n, blocks = p->side.n ? p->side.n : 1;
    int rc = ds_filerec_find(&p->col, &p->side.schema, err);
    if (rc)
        return rc;
    p->keys_only = calloc(n, sizeof *p->keys_only);
    p->no_content = calloc(n, sizeof *p->no_content);
    p->bare = calloc(blocks, sizeof *p->bare);
    p->content = calloc(blocks, sizeof *p->content);
    if (!p->keys_only || !p->no_content || !p->bare || !p->content)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < n; i++)
        p->no_content[i] = i != p->col.content;
    p->keys_only[p->col.key] = true;
    p->keys.only = p->keys_only;
    p->facts.only = p->no_content;
    return 0;
}

int ds_filepart_open(ds_filepart **out, ds_store *s, const git_oid *commit,
                     const char *const *patterns, size_t n, ds_err *err)
{
    ds_filepart *p = calloc(1, sizeof *p);
    *out = NULL;
    if (!p)
        return ds_fail_nomem(err);
    int rc = ds_filechoice_new(&p->choice, patterns, n, "the version", err);
    rc = rc ? rc : ds_verside_open(&p->side, s, commit, NULL, NULL, err);
    rc = rc ? rc : prepare(p, err);
    rc = rc ? rc : find_all(p, err);
    if (rc)
        ds_filepart_close(p);
    else
        *out = p;
    return rc;
}

void ds_filepart_close(ds_filepart *p)
{
    if (!p)
        return;
    ds_filechoice_free(p->choice);
    ds_recblock_fini(&p->keys);
    ds_recblock_fini(&p->facts);
    ds_buf_fini(&p->name);
    ds_buf_fini(&p->names);
    ds_buf_fini(&p->rows);
    free(p->keys_only);
    free(p->no_content);
    free(p->bare);
    free(p->content);
    ds_verside_fini(&p->side);
    free(p);
}

const bool *ds_filepart_blocks(const ds_filepart *p)
{
    return p->content;
}

static int pick(void *ctx, ds_treefile *f, ds_err *err)
{
    const ds_filepart *p = ctx;
    const bool bare = f->kind == DS_FILE_FOLDER || f->kind == DS_FILE_SYMLINK;
    return bare == p->bare_done ? 0 : ds_filechoice_pick(p->choice, f, err);
}

void ds_filepart_pick(ds_filepart *p, ds_filesink_opts *o)
{
    o->pick = pick;
    o->pick_ctx = p;
    o->erased = p->erased;
}

int ds_filepart_bare(ds_filepart *p, ds_filesink *k, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < p->side.n; i++) {
        if (!p->bare[i])
            continue;
        rc = ds_recblock_load(&p->facts, &p->side, i, false, err);
        while (!rc && ds_recblock_next(&p->facts))
            rc = ds_filesink_bare(k, p->facts.values, err);
        rc = rc ? rc : ds_check_interrupt(err);
    }
    p->bare_done = true;
    return rc;
}
