/* pushrepo.c - see pushrepo.h.
 *
 * It lies in refs that git packs (packedrefs.h): "refs/lease/..." where a ref must be, before
 * "refs/push/..." where it is to be. What tags lead to is not said, so git looks itself.
 */
#include "pushrepo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"
#include "rmtree.h"

#define LEASE "refs/lease/"
#define PUSH "refs/push/"

/* Git writes the leases anew when it has pushed: nobody reads them. */
static const char config[] = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
                             "\tfsync = none\n\tlogAllRefUpdates = false\n"
                             "[remote \"" DS_PUSHREPO_REMOTE "\"]\n\tfetch = +refs/*:" LEASE "*\n";

static int by_name(const void *a, const void *b)
{
    const ds_gitmove *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int put_ref(ds_buf *text, const git_oid *id, const char *where, const ds_gitmove *m,
                   ds_err *err)
{
    static const char refs[] = "refs/";
    if (strncmp(m->name, refs, sizeof refs - 1) != 0)
        return ds_fail(err, DS_FAIL, "%s is no ref", m->name);
    return ds_buf_printf(text, "%s %s%s\n", git_oid_tostr_s(id), where, m->name + sizeof refs - 1)
               ? ds_fail_nomem(err)
               : 0;
}

static int list_refs(ds_buf *text, const ds_gitmove *m, size_t n, ds_err *err)
{
    const ds_gitmove **v = calloc(n + 1, sizeof *v);
    int rc = v && ds_buf_printf(text, "# pack-refs with: sorted \n") == 0 ? 0 : ds_fail_nomem(err);
    for (size_t i = 0; !rc && i < n; i++)
        v[i] = &m[i];
    if (!rc)
        qsort(v, n, sizeof *v, by_name);
    for (size_t i = 0; !rc && i < n; i++)
        rc = v[i]->exists ? put_ref(text, &v[i]->from, LEASE, v[i], err) : 0;
    for (size_t i = 0; !rc && i < n; i++)
        rc = put_ref(text, &v[i]->to, PUSH, v[i], err);
    free(v);
    return rc;
}

static int put_file(const char *dir, const char *name, const void *data, size_t n, ds_err *err)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", dir, name) < 0)
        return ds_fail_nomem(err);
    const int rc = ds_atomic_write(path, 0666, data, n, err);
    free(path);
    return rc;
}

/* A link, as a path in objects/info/alternates may not have each character. */
static int lend_objects(const char *dir, const char *from, ds_err *err)
{
    char *to = NULL, *link = NULL;
    int rc = 0;
    if (asprintf(&to, "%s/objects", from) < 0 || asprintf(&link, "%s/objects", dir) < 0)
        rc = ds_fail_nomem(err);
    if (!rc && symlink(to, link) != 0)
        rc = ds_fail_errno(err, errno, "%s", link);
    free(to);
    free(link);
    return rc;
}

/* What the user has told git for that repository holds for this one, too: how it is reached,
 * options of a push. What is ours comes behind, and wins. */
static int put_config(const char *dir, const char *from, ds_err *err)
{
    ds_buf text = {0};
    bool ok = ds_buf_puts(&text, "[include]\n\tpath = \"") == 0;
    for (const char *p = from; ok && *p; p++) {
        if (*p == '"' || *p == '\\')
            ok = ds_buf_putc(&text, '\\') == 0;
        ok = ok && (*p == '\n' ? ds_buf_puts(&text, "\\n") : ds_buf_putc(&text, (uint8_t)*p)) == 0;
    }
    ok = ok && ds_buf_printf(&text, "/config\"\n%s", config) == 0;
    const int rc = ok ? put_file(dir, "config", text.data, text.len, err) : ds_fail_nomem(err);
    ds_buf_fini(&text);
    return rc;
}

static int fill(const char *dir, const char *objects_of, const ds_gitmove *m, size_t n, ds_err *err)
{
    static const char head[] = "ref: refs/heads/none\n";
    char *refs = NULL, *from = realpath(objects_of, NULL);
    ds_buf text = {0};
    int rc = from ? list_refs(&text, m, n, err) : ds_fail_errno(err, errno, "%s", objects_of);
    rc = rc ? rc : lend_objects(dir, from, err);
    rc = rc ? rc : put_file(dir, "packed-refs", text.data, text.len, err);
    rc = rc ? rc : put_config(dir, from, err);
    if (!rc && asprintf(&refs, "%s/refs", dir) < 0) {
        refs = NULL;
        rc = ds_fail_nomem(err);
    }
    rc = rc ? rc : ds_mkdirs(refs, err);
    rc = rc ? rc : put_file(dir, "HEAD", head, sizeof head - 1, err);
    ds_buf_fini(&text);
    free(refs);
    free(from);
    return rc;
}

int ds_pushrepo_make(char **dir, const char *objects_of, const ds_gitmove *m, size_t n, ds_err *err)
{
    int rc = ds_temp_folder(dir, "dsver-push", err);
    rc = rc ? rc : fill(*dir, objects_of, m, n, err);
    if (rc && *dir) {
        ds_remove_tree(*dir);
        free(*dir);
        *dir = NULL;
    }
    return rc;
}
