/* fuzz_catalog.c - what a catalog says that was cloned from strangers: the lines of a manifest,
 * meta.json, what is read in place of erased lines, and the trees that hold them. The objects lie
 * in memory, beside an empty repository. The first byte of the input says what the rest is. */
#include <git2/sys/mempack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manifest.h"
#include "overlay.h"
#include "rmtree.h"
#include "storefind.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok)
{
    if (!ok)
        abort();
}

static ds_catalog *cat;
static git_odb_backend *memory;
static char *folder;

static void close_catalog(void)
{
    ds_catalog_close(cat);
    ds_remove_tree(folder);
    free(folder);
}

static void open_catalog(void)
{
    ds_err err = {0};
    char *dir = NULL;

    require(ds_temp_folder(&folder, "fuzz", &err) == 0);
    require(ds_store_path(&dir, folder, "catalog.git", &err) == 0);
    require(ds_catalog_create(dir, &err) == 0 && ds_catalog_open(&cat, folder, &err) == 0);
    require(git_libgit2_opts(GIT_OPT_ENABLE_CACHING, 0) == 0);
    require(git_mempack_new(&memory) == 0);
    require(git_odb_add_backend(ds_catalog_odb(cat), memory, 999) == 0);
    require(atexit(close_catalog) == 0);
    free(dir);
}

static git_oid put(git_object_t type, const void *p, size_t n)
{
    git_oid id;

    require(git_odb_write(&id, ds_catalog_odb(cat), p, n, type) == 0);
    return id;
}

static git_oid put_blob(const void *p, size_t n)
{
    return put(GIT_OBJECT_BLOB, p, n);
}

/* A tree of one entry. */
static git_oid put_in(bool dir, const char *name, const git_oid *id)
{
    ds_buf b = {0};

    require(ds_gittree_put(&b, dir, name, id) == 0);
    const git_oid tree = put(GIT_OBJECT_TREE, b.data, b.len);
    ds_buf_fini(&b);
    return tree;
}

/* The whole tree of a manifest whose `what` is this one file. */
static git_oid put_lines(const char *what, const uint8_t *p, size_t n)
{
    const git_oid file = put_blob(p, n), inner = put_in(false, "0000", &file);
    const git_oid outer = put_in(true, "0000", &inner);

    return put_in(true, what, &outer);
}

/* Reads on to the end; lines that were taken are put into `text` as they are written. */
static int scan(const git_oid *tree, const char *what, ds_buf *text)
{
    ds_manscan s;
    ds_manline l = {0};
    ds_err err = {0};
    int rc = ds_manscan_open(&s, cat, tree, what, &err);

    rc = rc ? rc : 1;
    while (rc > 0 && (rc = ds_manscan_next(&s, &l, &err)) > 0) {
        ds_sha block, origin;
        require(l.rows > 0 && l.nchunks > 0);
        require(ds_manscan_addr(&s, &l, &block, &origin, &err) == 0);
        require(ds_manline_text(text, &l) == 0);
    }
    require(rc == 0 || (rc == err.code && *err.msg));
    ds_manscan_close(&s);
    ds_manline_fini(&l);
    return rc;
}

/* What is read to its end is what would be written. */
static void lines(const char *what, const uint8_t *p, size_t n)
{
    const git_oid tree = put_lines(what, p, n);
    ds_buf text = {0};

    if (scan(&tree, what, &text) == 0)
        require(text.len == n && (n == 0 || memcmp(text.data, p, n) == 0));
    ds_buf_fini(&text);
}

static void meta_of(const git_oid *tree)
{
    ds_meta m;
    ds_schema s;
    ds_err err = {0}, why = {0};
    const int rc = ds_meta_read(&m, cat, tree, &err);

    require(rc == 0 || (rc == err.code && *err.msg));
    if (rc == 0)
        require(m.counts.records == m.records && m.counts.blocks == m.blocks);
    ds_meta_fini(&m);
    if (ds_version_schema(&s, cat, tree, &why))
        require(why.code && *why.msg);
    else
        ds_schema_fini(&s);
}

/* ---- erasures: lines, a NUL, addresses that are gone, a NUL, lines that some of them replace, a
 * NUL, rows ---- */

static size_t part(const uint8_t *p, size_t n)
{
    const uint8_t *nul = n ? memchr(p, '\0', n) : NULL;

    return nul ? (size_t)(nul - p) : n;
}

static git_oid put_erasure(const uint8_t *p, size_t n, const uint8_t *gone, size_t ngone,
                           const uint8_t *rows, size_t nrows)
{
    const git_oid file = put_blob(p, n), dir = put_in(false, "00", &file);
    const git_oid other = put_blob(gone, ngone), others = put_in(false, "00", &other);
    const git_oid third = put_blob(rows, nrows), told = put_in(false, "00", &third);
    ds_buf b = {0};

    require(ds_gittree_put(&b, true, "gone", &others) == 0);
    require(ds_gittree_put(&b, true, "lines", &dir) == 0);
    require(ds_gittree_put(&b, true, "rows", &told) == 0);
    const git_oid tree = put(GIT_OBJECT_TREE, b.data, b.len);
    ds_buf_reset(&b);
    require(ds_buf_printf(&b, "tree %s\nauthor a <a> 0 +0000\ncommitter a <a> 0 +0000\n\nerased\n",
                          git_oid_tostr_s(&tree)) == 0);
    const git_oid commit = put(GIT_OBJECT_COMMIT, b.data, b.len);
    ds_buf_fini(&b);
    return commit;
}

/* Joined with themselves they are the same. */
static void look_rows(const ds_overlay *o, const ds_sha *address)
{
    ds_buf rows = {0}, same = {0};
    ds_err err = {0};
    const int rc = ds_overlay_rows(o, address, &rows, &err);

    require(rc == 0 || rc == 1 || (rc == DS_CORRUPT && *err.msg));
    if (rc == 1) {
        require(ds_overlay_joined_rows(o, o, address, &same, &err) == 1);
        require(same.len == rows.len && (!rows.len || !memcmp(same.data, rows.data, rows.len)));
    }
    ds_buf_fini(&rows);
    ds_buf_fini(&same);
}

static void look_up(const ds_overlay *o)
{
    const uint8_t *text;
    size_t len, n;
    ds_sha address;

    for (size_t i = 0; ds_overlay_line(o, i, &address, &text, &len); i++) {
        require(len > 0 && !memchr(text, '\n', len) && ds_overlay_find(o, &address, &n) && n > 0);
        look_rows(o, &address);
    }
    const ds_sha *gone = ds_overlay_gone(o, &n);
    for (size_t i = 0; i < n; i++)
        require(ds_overlay_is_gone(o, &gone[i]) && (!i || ds_sha_cmp(&gone[i - 1], &gone[i]) < 0));
}

static void erasure(const uint8_t *p, size_t n)
{
    const size_t a = part(p, n), from = a < n ? a + 1 : n, b = part(p + from, n - from);
    const size_t rest = from + b < n ? from + b + 1 : n;
    const size_t c = part(p + rest, n - rest), last = rest + c < n ? rest + c + 1 : n;
    const git_oid commit = put_erasure(p, a, p + from, b, p + last, n - last);
    ds_overlay *o = NULL;
    ds_buf text = {0};
    ds_err err = {0};

    if (ds_overlay_load_at(&o, cat, &commit, &err)) {
        require(err.code == DS_CORRUPT && *err.msg && !o);
        return;
    }
    look_up(o);
    ds_catalog_use_overlay(cat, o);
    const git_oid tree = put_lines("blocks", p + rest, c);
    (void)scan(&tree, "blocks", &text);
    ds_catalog_use_overlay(cat, NULL);
    ds_buf_fini(&text);
}

/* Any tree, which may lead to these. */
static void tree_of(const uint8_t *p, size_t n)
{
    static const char line[] = "1 1:"
                               "00000000000000000000000000000000"
                               "00000000000000000000000000000000\n";
    const git_oid any = put_lines("blocks", (const uint8_t *)line, sizeof line - 1);
    const git_oid tree = put(GIT_OBJECT_TREE, p, n);
    ds_buf text = {0};

    (void)any;
    (void)scan(&tree, "blocks", &text);
    ds_buf_reset(&text);
    (void)scan(&tree, "sources", &text);
    meta_of(&tree);
    ds_buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (!cat)
        open_catalog();
    if (len < 1)
        return 0;
    const uint8_t *p = data + 1;
    const size_t n = len - 1;
    git_oid file, tree;
    switch (data[0] % 5) {
    case 0:
        lines("blocks", p, n);
        break;
    case 1:
        lines("sources", p, n);
        break;
    case 2:
        file = put_blob(p, n);
        tree = put_in(false, "meta.json", &file);
        meta_of(&tree);
        break;
    case 3:
        erasure(p, n);
        break;
    default:
        tree_of(p, n);
    }
    require(git_mempack_reset(memory) == 0);
    return 0;
}
