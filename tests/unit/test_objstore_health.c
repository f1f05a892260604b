/* The object layer under damage: every flipped byte is found, what is sound survives, the index is
 * rebuilt from packs. */
#include "obj_help.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "objindex.h"

enum { PIECES = 60 };

static void piece_text(ds_buf *b, unsigned i)
{
    ds_buf_reset(b);
    for (unsigned k = 0; k < 12; k++) /* 20 apart: mostly the same lines */
        obj_line(b, k == i % 12 ? 5000 + i : (i % 20) * 12 + k, 90);
}

/* Three transactions: whole pieces, deltas, deltas of deltas. */
static ds_objstore *filled(const char *name, char *path, ds_sha ids[PIECES])
{
    ds_objstore *s = obj_store(name, path);
    ds_buf b = {0};
    for (unsigned v = 0; v < 3; v++) {
        ds_objtx *tx = NULL;
        OK(ds_objtx_begin(&tx, s, 1, err));
        for (unsigned i = v * 20; i < (v + 1) * 20; i++) {
            piece_text(&b, i);
            ids[i] = obj_put(tx, b.data, b.len);
        }
        OK(ds_objtx_finish(tx, NULL, err));
    }
    ds_buf_fini(&b);
    return s;
}

static void expect_all(ds_objstore *s, const ds_sha ids[PIECES])
{
    ds_buf b = {0};
    for (unsigned i = 0; i < PIECES; i++) {
        piece_text(&b, i);
        obj_expect(s, &ids[i], b.data, b.len);
    }
    ds_buf_fini(&b);
}

/* Path of the n-th pack by name. */
static const char *pack_path(const char *store, unsigned n)
{
    static char out[1024];
    struct dirent **list;
    snprintf(out, sizeof out, "%s/packs", store);
    int count = scandir(out, &list, NULL, alphasort);
    assert_true(count > (int)n + 2);
    snprintf(out, sizeof out, "%s/packs/%s", store, list[n + 2]->d_name);
    for (int i = 0; i < count; i++)
        free(list[i]);
    free(list);
    return out;
}

/* Writes the file anew: the tests damage packs, which are read-only. */
static void replace(const char *path, const void *data, size_t n)
{
    assert_int_equal(unlink(path), 0);
    unit_write(path, data, n);
}

static void reindex_equals_the_live_index(void **state)
{
    (void)state;
    char path[512];
    ds_sha ids[PIECES];
    ds_objstore *s = filled("reindex", path, ids);
    char *before = obj_dump(s, true);
    assert_non_null(strstr(before, "chain=2 "));
    ds_objstore_close(s);
    for (int i = 0; i < 3; i++) {
        ds_scrubstats st = {0};
        if (i == 1) /* missing */
            assert_int_equal(unlink(unit_path("reindex/index.db")), 0);
        if (i == 2) /* not a database at all */
            unit_write(unit_path("reindex/index.db"), before, strlen(before));
        if (i > 0) {
            ds_err why = {0};
            assert_int_equal(ds_objstore_open(&s, path, DS_OBJ_WRITE, &why), DS_CORRUPT);
            assert_non_null(strstr(why.msg, "dsver reindex"));
        }
        OK(ds_objstore_reindex(path, NULL, NULL, &st, err));
        assert_int_equal(st.problems, 0);
        assert_int_equal(st.packs, 3);
        assert_int_equal(st.objects, PIECES);
        OK(ds_objstore_open(&s, path, DS_OBJ_WRITE, err));
        char *after = obj_dump(s, true);
        assert_string_equal(before, after);
        free(after);
        assert_int_equal(obj_scrub(s, true, NULL), 0);
        expect_all(s, ids);
        ds_objstore_close(s);
    }
    free(before);
}

/* Each byte of a pack, one after the other: a full scrub finds it; a structural one finds those in
 * heads. */
/* Who opened the store before has another file than the one that has the index's name now. */
static void an_index_that_was_replaced_is_written_no_more(void **state)
{
    (void)state;
    ds_sha ids[PIECES];
    ds_scrubstats st = {0};
    ds_objgc *gc = NULL;
    char path[512];
    ds_objstore *s = filled("replaced", path, ids);
    OK(ds_objstore_hold(s, err));
    ds_objstore_release(s);
    OK(ds_objstore_reindex(path, NULL, NULL, &st, err));
    assert_int_equal(ds_objstore_hold(s, NULL), DS_LOCKED);
    assert_int_equal(ds_objgc_begin(&gc, s, true, NULL), DS_LOCKED);
    expect_all(s, ids); /* what it has is read all the same */
    ds_objstore_close(s);
    OK(ds_objstore_open(&s, path, DS_OBJ_WRITE, err));
    OK(ds_objstore_hold(s, err));
    ds_objstore_release(s);
    ds_objstore_close(s);
}

static void flipped_bytes_in_packs_are_found(void **state)
{
    (void)state;
    char path[512], pack[1024];
    ds_sha ids[PIECES];
    size_t n;
    ds_objstore *s = filled("flip", path, ids);
    obj_problems p;
    ds_objstore_close(s);
    for (unsigned k = 0; k < 3; k++) {
        snprintf(pack, sizeof pack, "%s", pack_path(path, k));
        char *data = unit_read(pack, &n);
        size_t step = n / 90 + 1;
        for (size_t i = 0; i < n; i += i < 140 || i + 40 > n ? 3 : step) {
            data[i] ^= (char)(1 << i % 8);
            replace(pack, data, n);
            OK(ds_objstore_open(&s, path, DS_OBJ_READ, err));
            if (obj_scrub(s, true, &p) == 0)
                fail_msg("byte %zu of %zu of pack %u", i, n, k);
            /* deltas against what was hit are told of too, wherever they are */
            assert_non_null(strstr(p.files, strrchr(pack, '/') + 1));
            if (i < DS_PACK_HEADER || i + DS_PACK_TRAILER >= n)
                assert_true(obj_scrub(s, false, NULL) > 0);
            ds_objstore_close(s);
            data[i] ^= (char)(1 << i % 8);
        }
        replace(pack, data, n);
        free(data);
    }
    OK(ds_objstore_open(&s, path, DS_OBJ_READ, err));
    assert_int_equal(obj_scrub(s, true, NULL), 0);
    ds_objstore_close(s);
}

static void flipped_bytes_in_the_index_are_found(void **state)
{
    (void)state;
    char path[512], index[600];
    ds_sha ids[PIECES];
    size_t n;
    ds_objstore *s = filled("flipix", path, ids);
    ds_objstore_close(s);
    snprintf(index, sizeof index, "%s/index.db", path);
    char *data = unit_read(index, &n);
    assert_int_equal(n % 4096, 0);
    for (size_t i = 0; i < n; i += i < 200 ? 7 : 509) {
        ds_err why = {0};
        data[i] ^= (char)(1 << i % 8);
        unit_write(index, data, n);
        int rc = ds_objstore_open(&s, path, DS_OBJ_READ, &why);
        if (rc == 0 && obj_scrub(s, false, NULL) == 0)
            fail_msg("byte %zu of %zu", i, n);
        if (rc) {
            assert_int_equal(rc, DS_CORRUPT);
            assert_non_null(strstr(why.msg, "dsver reindex"));
        }
        ds_objstore_close(s);
        data[i] ^= (char)(1 << i % 8);
    }
    unit_write(index, data, n);
    free(data);
    OK(ds_objstore_open(&s, path, DS_OBJ_READ, err));
    assert_int_equal(obj_scrub(s, true, NULL), 0);
    expect_all(s, ids);
    ds_objstore_close(s);
}

/* Where the index of a closed store has a piece. */
static ds_objloc find_piece(const char *store, const ds_sha *id)
{
    char index[600];
    ds_objindex *ix = NULL;
    ds_objloc loc;
    snprintf(index, sizeof index, "%s/index.db", store);
    OK(ds_objindex_open(&ix, index, DS_INDEX_SHARED, err));
    assert_int_equal(ds_objindex_find(ix, id, &loc, NULL), 1);
    ds_objindex_close(ix);
    return loc;
}

/* Damages one object in the middle of a pack: in its head, in its payload, or by losing bytes. */
static void damage(char *data, size_t *n, const ds_objloc *loc, int how)
{
    if (how == 0)
        data[loc->off + 70] ^= 1;
    else if (how == 1)
        data[loc->off + loc->size - 20] ^= 1;
    else {
        memmove(data + loc->off + 30, data + loc->off + 40, *n - loc->off - 40);
        *n -= 10;
    }
}

/* The objects before and after damage are found again. */
static void reindex_goes_on_after_damage(void **state)
{
    (void)state;
    static const char *const names[] = {"damage0", "damage1", "damage2"};
    for (int how = 0; how < 3; how++) {
        char path[512], pack[1024];
        ds_sha ids[PIECES];
        size_t n;
        ds_buf b = {0};
        obj_problems p = {0};
        ds_scrubstats st = {0};
        ds_objstore *s = filled(names[how], path, ids);
        ds_objstore_close(s);
        ds_objloc loc = find_piece(path, &ids[45]); /* a delta nothing builds on */
        ds_pack_path(pack, sizeof pack, path, &loc.pack);
        char *data = unit_read(pack, &n);
        damage(data, &n, &loc, how);
        replace(pack, data, n);
        free(data);
        OK(ds_objstore_reindex(path, obj_problem, &p, &st, err));
        assert_in_range(p.n, 1, 2);
        assert_int_equal(st.objects, PIECES - 1);
        if (how < 2)
            assert_int_equal(p.offset, loc.off);
        OK(ds_objstore_open(&s, path, DS_OBJ_WRITE, err));
        for (unsigned i = 0; i < PIECES; i++) {
            piece_text(&b, i);
            if (i == 45)
                assert_false(ds_objstore_has(s, &ids[i]));
            else
                obj_expect(s, &ids[i], b.data, b.len);
        }
        /* and the lost piece can be put again */
        ds_objtx *tx = NULL;
        piece_text(&b, 45);
        OK(ds_objtx_begin(&tx, s, 1, err));
        obj_put(tx, b.data, b.len);
        OK(ds_objtx_finish(tx, NULL, err));
        expect_all(s, ids);
        ds_objstore_close(s);
        ds_buf_fini(&b);
    }
}

static void lost_bases_are_reported(void **state)
{
    (void)state;
    char path[512], pack[1024];
    ds_sha ids[PIECES];
    obj_problems p = {0};
    ds_scrubstats st = {0};
    ds_objstore *s = filled("lost", path, ids);
    ds_buf b = {0};
    ds_objstore_close(s);
    ds_objloc loc = find_piece(path, &ids[0]);
    ds_pack_path(pack, sizeof pack, path, &loc.pack);
    assert_int_equal(unlink(pack), 0);
    OK(ds_objstore_open(&s, path, DS_OBJ_READ, err));
    /* The pack, each piece that lay in it, and each of the second version that was stored against
     * one. */
    assert_int_equal(obj_scrub(s, false, &p), 1 + PIECES);
    assert_string_equal(p.reason, "a piece that it is a delta against is lost");
    ds_err why = {0};
    assert_int_equal(ds_objstore_get(s, &ids[0], true, &b, &why), DS_CORRUPT);
    assert_non_null(strstr(why.msg, "missing"));
    ds_objstore_close(s);
    memset(&p, 0, sizeof p);
    OK(ds_objstore_reindex(path, obj_problem, &p, &st, err));
    assert_true(p.n >= 20); /* the deltas of the second version at least */
    assert_non_null(strstr(p.reason, "is lost"));
    OK(ds_objstore_open(&s, path, DS_OBJ_WRITE, err));
    /* Putting the pieces again makes the store whole. */
    ds_objtx *tx = NULL;
    OK(ds_objtx_begin(&tx, s, 1, err));
    for (unsigned i = 0; i < PIECES; i++) {
        piece_text(&b, i);
        obj_put(tx, b.data, b.len);
    }
    OK(ds_objtx_finish(tx, NULL, err));
    expect_all(s, ids);
    ds_buf_fini(&b);
    ds_objstore_close(s);
}

/* A pack cut short at any length, under its final name, neither breaks opening nor hides the
 * others. */
static void torn_packs(void **state)
{
    (void)state;
    char path[512], pack[1024];
    ds_sha ids[PIECES];
    size_t n;
    ds_objstore *s = filled("torn", path, ids);
    ds_objstore_close(s);
    snprintf(pack, sizeof pack, "%s", pack_path(path, 1));
    char *data = unit_read(pack, &n);
    for (size_t len = 0; len < n; len += n / 9 + 1) {
        obj_problems p = {0};
        ds_scrubstats st = {0};
        replace(pack, data, len);
        OK(ds_objstore_open(&s, path, DS_OBJ_READ, err));
        assert_true(obj_scrub(s, false, NULL) > 0);
        ds_objstore_close(s);
        OK(ds_objstore_reindex(path, obj_problem, &p, &st, err));
        assert_true(p.n > 0);
        assert_in_range(st.objects, PIECES - 20, PIECES - 1);
    }
    replace(pack, data, n);
    OK(ds_objstore_reindex(path, NULL, NULL, NULL, err));
    OK(ds_objstore_open(&s, path, DS_OBJ_READ, err));
    expect_all(s, ids);
    ds_objstore_close(s);
    free(data);
}

/* A crash between the rename of a pack and the index: the next opening takes it in. */
static void packs_left_out_are_adopted(void **state)
{
    (void)state;
    char path[512], index[600], wal[600];
    ds_sha ids[PIECES];
    size_t n;
    ds_objstore *s = obj_store("adopt", path);
    ds_objstore_close(s);
    snprintf(index, sizeof index, "%s/index.db", path);
    snprintf(wal, sizeof wal, "%s/index.db-wal", path);
    char *empty = unit_read(index, &n);
    s = filled("adopt", path, ids);
    char *before = obj_dump(s, true);
    ds_objstore_close(s);
    (void)unlink(wal);
    for (int mode = DS_OBJ_READ; mode <= DS_OBJ_WRITE; mode++) {
        unit_write(index, empty, n); /* the index as it was before everything */
        OK(ds_objstore_open(&s, path, mode ? DS_OBJ_WRITE : DS_OBJ_READ, err));
        char *after = obj_dump(s, true);
        assert_string_equal(before, after);
        free(after);
        expect_all(s, ids);
        assert_int_equal(obj_scrub(s, true, NULL), 0);
        ds_objstore_close(s);
    }
    free(empty);
    free(before);
}

/* A base that cannot be read any more must not stop a commit: the piece is stored whole. */
static void damaged_base_is_not_built_on(void **state)
{
    (void)state;
    char path[512], pack[1024];
    size_t n;
    ds_objstore *s = obj_store("badbase", path);
    ds_buf b = {0};
    ds_objtx *tx = NULL;
    ds_objstats st;
    OK(ds_objtx_begin(&tx, s, 1, err));
    piece_text(&b, 0);
    obj_put(tx, b.data, b.len);
    OK(ds_objtx_finish(tx, NULL, err));
    snprintf(pack, sizeof pack, "%s", pack_path(path, 0));
    char *data = unit_read(pack, &n);
    data[n / 2] ^= 4;
    replace(pack, data, n);
    free(data);
    piece_text(&b, 20);
    OK(ds_objtx_begin(&tx, s, 1, err));
    ds_sha id = obj_put(tx, b.data, b.len);
    OK(ds_objtx_finish(tx, &st, err));
    assert_int_equal(st.deltas, 0);
    obj_expect(s, &id, b.data, b.len);
    ds_buf_fini(&b);
    ds_objstore_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reindex_equals_the_live_index),
        cmocka_unit_test(an_index_that_was_replaced_is_written_no_more),
        cmocka_unit_test(flipped_bytes_in_packs_are_found),
        cmocka_unit_test(flipped_bytes_in_the_index_are_found),
        cmocka_unit_test(reindex_goes_on_after_damage),
        cmocka_unit_test(lost_bases_are_reported),
        cmocka_unit_test(torn_packs),
        cmocka_unit_test(packs_left_out_are_adopted),
        cmocka_unit_test(damaged_base_is_not_built_on),
    };
    return cmocka_run_group_tests(tests, NULL, unit_dir_remove);
}
