/* Manifests: what is written is read back; an edit changes few objects; malformed text is refused
 * by file and line. */
#include "unit.h"

#include <stdio.h>
#if __has_include(<git2/sys/errors.h>)
#include <git2/sys/errors.h> /* of libgit2 1.8 and newer: what sets an error */
#endif

#include "manifest.h"
#include "ok_help.h"

static ds_catalog *open_catalog(const char *name)
{
    ds_catalog *c = NULL;
    char store[512], dir[600];
    snprintf(store, sizeof store, "%s", unit_path(name));
    snprintf(dir, sizeof dir, "%s/catalog.git", store);
    OK(ds_catalog_create(dir, err));
    OK(ds_catalog_open(&c, store, err));
    return c;
}

/* Block n: rows, two chunks; every seventh has a long first chunk of several pieces. */
static void make_line(ds_manline *l, uint64_t n, ds_sha *addr)
{
    ds_sha p[4], origin;
    size_t np = n % 7 == 0 ? 4 : 1;
    ds_manline_reset(l);
    l->rows = n % 50 + 1;
    for (size_t i = 0; i < 4; i++) {
        uint64_t seed[2] = {n, i};
        OK(ds_sha_bytes(&p[i], seed, sizeof seed, err));
    }
    OK(ds_manline_chunk(l, np == 1 ? 1000 + n : 3 * 1048576 + n % 1000, p, np, err));
    OK(ds_manline_chunk(l, 10 + n % 90, p + 3, 1, err));
    OK(ds_manline_addr(l, addr, &origin, err));
}

static const char schema[] = "{\"columns\":[]}", prov[] = "[]";

/* A manifest of the blocks first..first+n-1, without block `left_out`; how many objects were new.
 */
static git_oid write_manifest(ds_catalog *c, uint64_t n, uint64_t left_out, size_t *published)
{
    ds_gitpack *pack = NULL;
    ds_manwriter *w = NULL;
    ds_manline l = {0};
    ds_meta m = {.records = 5, .blocks = n, .sources = 2, .bytes = UINT64_C(1) << 40};
    git_oid tree;
    ds_sha addr;
    OK(ds_catalog_pack(&pack, c, err));
    OK(ds_manwriter_new(&w, pack, err));
    for (uint64_t i = 0; i < n; i++) {
        if (i == left_out)
            continue;
        make_line(&l, i, &addr);
        OK(ds_manwriter_block(w, &l, &addr, err));
    }
    OK(ds_counts_add(&m.counts, true, "not \"UTF-8\"", 7, err));
    OK(ds_manwriter_finish(w, schema, sizeof schema - 1, prov, sizeof prov - 1, &m, &tree, err));
    OK(ds_gitpack_publish(pack, err));
    *published = (size_t)ds_gitpack_bytes(pack);
    ds_manwriter_free(w);
    ds_gitpack_free(pack);
    ds_meta_fini(&m);
    ds_manline_fini(&l);
    return tree;
}

static void lines_come_back(void **state)
{
    (void)state;
    enum { N = 5000 };
    ds_catalog *c = open_catalog("back");
    size_t bytes;
    git_oid tree = write_manifest(c, N, UINT64_MAX, &bytes);
    ds_manscan s;
    ds_manline got = {0}, want = {0};
    ds_sha addr;
    OK(ds_manscan_open(&s, c, &tree, "blocks", err));
    for (uint64_t i = 0; i < N; i++) {
        assert_int_equal(ds_manscan_next(&s, &got, NULL), 1);
        make_line(&want, i, &addr);
        assert_int_equal(got.rows, want.rows);
        assert_int_equal(got.nchunks, 2);
        assert_memory_equal(got.lens.data, want.lens.data, want.lens.len);
        assert_memory_equal(got.npieces.data, want.npieces.data, want.npieces.len);
        assert_int_equal(got.pieces.len, want.pieces.len);
        assert_memory_equal(got.pieces.data, want.pieces.data, want.pieces.len);
    }
    assert_int_equal(ds_manscan_next(&s, &got, NULL), 0);
    ds_manscan_close(&s);
    OK(ds_manscan_open(&s, c, &tree, "sources", err));
    assert_int_equal(ds_manscan_next(&s, &got, NULL), 0);
    ds_manscan_close(&s);
    ds_meta m;
    ds_version v = {.tree = tree, .records = 5};
    OK(ds_version_meta(&m, c, &v, err));
    assert_true(m.records == 5 && m.blocks == N && m.sources == 2 && m.bytes == UINT64_C(1) << 40);
    assert_int_equal(m.counts.nfailed, 1);
    assert_string_equal(m.counts.failed[0].reason, "not \"UTF-8\"");
    assert_int_equal(m.counts.failed[0].count, 7);
    ds_meta_fini(&m);
    v.records = 6;
    assert_int_equal(ds_version_meta(&m, c, &v, NULL), DS_CORRUPT);
    v.records = 5;
    v.root.b[31] = 1;
    assert_int_equal(ds_version_meta(&m, c, &v, NULL), DS_CORRUPT);
    ds_manline_fini(&got);
    ds_manline_fini(&want);
    ds_catalog_close(c);
}

static void an_edit_costs_little_and_history_does_not_matter(void **state)
{
    (void)state;
    enum { N = 20000 };
    ds_catalog *c = open_catalog("edit"), *fresh = open_catalog("fresh");
    size_t all, edit, same, other;
    git_oid first = write_manifest(c, N, UINT64_MAX, &all);
    git_oid second = write_manifest(c, N, 9000, &edit);
    assert_false(git_oid_equal(&first, &second));
    if (edit * 20 > all)
        fail_msg("one block less writes %zu of %zu bytes", edit, all);
    git_oid again = write_manifest(c, N, 9000, &same);
    assert_true(git_oid_equal(&second, &again));
    assert_int_equal(same, 0);
    git_oid alone = write_manifest(fresh, N, 9000, &other);
    assert_true(git_oid_equal(&second, &alone));
    ds_catalog_close(c);
    ds_catalog_close(fresh);
}

/* A tree WHAT/0000/0000 of this text. */
static int read_text(ds_catalog *c, const char *what, const char *text, size_t len, ds_err *why)
{
    ds_gitpack *pack = NULL;
    ds_buf t = {0};
    git_oid id;
    ds_manscan s;
    ds_manline l = {0};
    OK(ds_catalog_pack(&pack, c, err));
    OK(ds_gitpack_put(pack, &id, GIT_OBJECT_BLOB, text, len, err));
    const char *const names[] = {"0000", "0000", what};
    for (int i = 0; i < 3; i++) {
        ds_buf_reset(&t);
        assert_int_equal(ds_gittree_put(&t, i > 0, names[i], &id), 0);
        OK(ds_gitpack_put(pack, &id, GIT_OBJECT_TREE, t.data, t.len, err));
    }
    OK(ds_gitpack_publish(pack, err));
    OK(ds_manscan_open(&s, c, &id, what, err));
    int rc;
    while ((rc = ds_manscan_next(&s, &l, why)) > 0)
        ;
    ds_manscan_close(&s);
    ds_manline_fini(&l);
    ds_buf_fini(&t);
    ds_gitpack_free(pack);
    return rc;
}

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void malformed_lines_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\n",
        "1\n",
        "x\n",
        "0 5:" HEX64 "\n",
        "01 5:" HEX64 "\n",
        "1 5:" HEX64,
        "1 5\n",
        "1 5:\n",
        "1 5:0123\n",
        "1 0:" HEX64 "\n",
        "1 5:" HEX64 ",\n",
        "1 5:" HEX64 "," HEX64 "," HEX64 "," HEX64 "," HEX64 "," HEX64 "\n",
        "1 5:" HEX64 " \n",
        "1  5:" HEX64 "\n",
        "1 5:" HEX64 "\r\n",
        "18446744073709551616 5:" HEX64 "\n",
        "1 1048577:" HEX64 "\n",
        "1 99999999999999999:" HEX64 "\n",
        "-1 5:" HEX64 "\n",
        "1 5:" HEX64 "\n\n",
        "1 5:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeg\n",
        "1 5:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeF\n",
    };
    ds_catalog *c = open_catalog("bad");
    static const char good[] =
        "1 5:" HEX64 " 1048577:" HEX64 "," HEX64 "\n18446744073709551615 1:" HEX64 "\n";
    ds_err err = {0};
    assert_int_equal(read_text(c, "blocks", good, sizeof good - 1, &err), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ds_err_clear(&err);
        if (read_text(c, "blocks", bad[i], strlen(bad[i]), &err) != DS_CORRUPT)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(strstr(err.msg, "line "));
    }
    ds_err_clear(&err);
    assert_int_equal(read_text(c, "blocks", "1 5:" HEX64 "\0\n", 70, &err), DS_CORRUPT);
    ds_catalog_close(c);
}

/* A page of sources is one chunk of one piece. */
static void pages_are_one_piece(void **state)
{
    static const char *const bad[] = {"1 5:" HEX64 "," HEX64 "\n", "1 5:" HEX64 " 5:" HEX64 "\n"};
    ds_catalog *c = open_catalog("pages");
    static const char good[] = "1 5:" HEX64 "\n";
    ds_err err = {0};

    (void)state;
    assert_int_equal(read_text(c, "sources", good, sizeof good - 1, &err), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(read_text(c, "blocks", bad[i], strlen(bad[i]), &err), 0);
        assert_int_equal(read_text(c, "sources", bad[i], strlen(bad[i]), &err), DS_CORRUPT);
        ds_err_clear(&err);
    }
    ds_catalog_close(c);
}

static void packs_are_gits_own(void **state)
{
    (void)state;
    ds_catalog *c = open_catalog("gits");
    size_t bytes;
    git_oid tree = write_manifest(c, 300, UINT64_MAX, &bytes);
    char path[600];
    git_repository *again = NULL;
    git_tree *t = NULL;
    snprintf(path, sizeof path, "%s", ds_catalog_dir(c));
    assert_int_equal(git_repository_open_bare(&again, path), 0);
    assert_int_equal(git_tree_lookup(&t, again, &tree), 0);
    assert_int_equal(git_tree_entrycount(t), 4); /* no sources */
    git_tree_free(t);
    git_repository_free(again);
    ds_catalog_close(c);
}

/* Only what is not as it was written is called damaged. */
static void what_git_says_has_a_code(void **state)
{
    (void)state;
    static const struct {
        int klass, code;
        const char *says;
    } v[] = {
        {GIT_ERROR_NOMEMORY, DS_NOMEM, "out of memory"},
        {GIT_ERROR_ODB, DS_CORRUPT, "object not found"},
        {GIT_ERROR_REFERENCE, DS_CORRUPT, "corrupted loose reference file"},
        {GIT_ERROR_OS, DS_CORRUPT, "failed to open pack: No such file or directory"},
        {GIT_ERROR_OS, DS_IO, "failed to read pack: Input/output error"},
        {GIT_ERROR_OS, DS_NOROOM, "failed to write: No space left on device"},
    };
    OK(ds_git_begin(err));
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        ds_err err = {0};
        git_error_set_str(v[i].klass, v[i].says);
        assert_int_equal(ds_fail_git_read(&err, "commit %d", 7), v[i].code);
        assert_ptr_equal(strstr(err.msg, "commit 7: "), err.msg);
        assert_non_null(strstr(err.msg, v[i].says));
    }
    git_error_set_oom();
    assert_int_equal(ds_fail_git_read(NULL, "commit"), DS_NOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_back),
        cmocka_unit_test(an_edit_costs_little_and_history_does_not_matter),
        cmocka_unit_test(malformed_lines_are_refused),
        cmocka_unit_test(pages_are_one_piece),
        cmocka_unit_test(packs_are_gits_own),
        cmocka_unit_test(what_git_says_has_a_code),
    };
    return cmocka_run_group_tests_name("manifest", tests, NULL, unit_dir_remove);
}
