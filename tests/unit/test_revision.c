/* Names of versions: splitting, dates, look-up; refs moved by compare-and-swap. */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "io.h"
#include "manifest.h"
#include "ok_help.h"
#include "refs.h"
#include "revision.h"

static void dates(void **state)
{
    (void)state;
    int64_t t;
    assert_true(ds_date_parse(&t, "1970-01-01T00:00:00Z") && t == 0);
    assert_true(ds_date_parse(&t, "1970-01-02") && t == 2 * 86400 - 1);
    assert_true(ds_date_parse(&t, "2024-02-29T12:30") && t == 1709209800);
    assert_true(ds_date_parse(&t, "2024-02-29 12:30:05") && t == 1709209805);
    static const char *const bad[] = {"",
                                      "2024",
                                      "2024-02",
                                      "2023-02-29",
                                      "2024-13-01",
                                      "2024-00-10",
                                      "2024-1-1",
                                      "2024-02-29T",
                                      "2024-02-29T25:00",
                                      "2024-02-29T12",
                                      "2024-02-29T12:30:61",
                                      "2024-02-29T12:30+01",
                                      "1969-12-31",
                                      "x024-01-01",
                                      "2024-02-29T12:30ZZ"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (ds_date_parse(&t, bad[i]))
            fail_msg("a date: %s", bad[i]);
    char text[32];
    ds_date_text(text, 1709209805);
    assert_string_equal(text, "2024-02-29T12:30:05Z");
}

static const struct {
    const char *text, *dataset, *rev;
    uint64_t back;
} good[] = {
    {"docs", "docs", NULL, 0},
    {"docs@v1", "docs", "v1", 0},
    {"docs~", "docs", NULL, 1},
    {"docs~3", "docs", NULL, 3},
    {"docs@a/b~2", "docs", "a/b", 2},
    {"docs@x~1~2~", "docs", "x", 4},
    {"", "", NULL, 0},
    {"@main", "", "main", 0},
    {"docs@a@b", "docs", "a@b", 0},
    {"d\xc3\xa9p\xc3\xb4t", "d\xc3\xa9p\xc3\xb4t", NULL, 0},
};

static const char *const bad[] = {"docs@",
                                  "docs~x",
                                  "docs~-1",
                                  "docs~1x",
                                  "a/b",
                                  "-x",
                                  "a..b",
                                  "a b",
                                  ".a",
                                  "a.lock",
                                  "a\x01",
                                  "\xff",
                                  "docs~99999999999999999999",
                                  "a:b",
                                  "a?",
                                  "a*",
                                  "a[",
                                  "a\\b",
                                  "a^"};

static void splitting(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char *dataset, *rev;
        uint64_t back;
        OK(ds_revision_split(&dataset, &rev, &back, good[i].text, err));
        assert_string_equal(dataset, good[i].dataset);
        if (good[i].rev)
            assert_string_equal(rev, good[i].rev);
        else
            assert_null(rev);
        assert_int_equal(back, good[i].back);
        free(dataset);
        free(rev);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *dataset = NULL, *rev = NULL;
        uint64_t back;
        ds_err err = {0};
        if (ds_revision_split(&dataset, &rev, &back, bad[i], &err) != DS_USAGE)
            fail_msg("accepted: %s", bad[i]);
        assert_null(dataset);
    }
    char long_name[140];
    memset(long_name, 'a', sizeof long_name);
    long_name[128] = '\0';
    OK(ds_dataset_check(long_name, err));
    long_name[128] = 'a';
    long_name[129] = '\0';
    assert_int_equal(ds_dataset_check(long_name, NULL), DS_USAGE);
}

/* A version of `dataset` at time t on the branch, on top of what the branch holds. */
static git_oid add(ds_store *s, const char *dataset, const char *branch, int64_t t)
{
    ds_gitpack *pack = NULL;
    ds_manwriter *w = NULL;
    ds_meta m = {.records = (uint64_t)t};
    ds_version_new v = {.dataset = dataset,
                        .message = "a\n\nDsver-Root: sha256:00",
                        .name = "N <x>\n",
                        .mail = "n@x",
                        .time = t};
    git_oid id, old;
    char ref[256];
    snprintf(ref, sizeof ref, DS_REF_PREFIX "%s/%s", dataset, branch);
    int found = ds_ref_get(s->cat, ref, &old, NULL);
    assert_true(found >= 0);
    v.parent = found ? &old : NULL;
    OK(ds_catalog_pack(&pack, s->cat, err));
    OK(ds_manwriter_new(&w, pack, err));
    OK(ds_manwriter_finish(w, "{}", 2, "[]", 2, &m, &v.tree, err));
    v.records = m.records;
    OK(ds_version_put(pack, &id, &v, err));
    OK(ds_gitpack_publish(pack, err));
    assert_int_equal(ds_ref_move(s->cat, ref, found ? &old : NULL, &id, NULL), 1);
    ds_manwriter_free(w);
    ds_gitpack_free(pack);
    return id;
}

static void expect(ds_store *s, const char *text, const git_oid *id)
{
    ds_revision r = {0};
    ds_err err = {0};
    if (ds_revision_find(&r, s, text, &err))
        fail_msg("%s: %s", text, err.msg);
    if (!git_oid_equal(&r.id, id))
        fail_msg("%s is %s", text, git_oid_tostr_s(&r.id));
    ds_revision_fini(&r);
}

static void refuse(ds_store *s, const char *text, int code)
{
    ds_revision r = {0};
    ds_err err = {0};
    if (ds_revision_find(&r, s, text, &err) != code)
        fail_msg("%s: %d %s", text, err.code, err.msg);
    assert_null(r.dataset);
}

static void open_store(ds_store *s, const char *name)
{
    char dir[512];
    snprintf(dir, sizeof dir, "%s", unit_path(name));
    OK(ds_store_init(dir, DS_SHARED_UMASK, NULL, err));
    OK(ds_store_open(s, dir, DS_OBJ_WRITE, err));
}

static void looking_up(void **state)
{
    (void)state;
    ds_store s;
    char hex[41], text[128];
    open_store(&s, "look");
    refuse(&s, "docs", DS_FAIL);
    refuse(&s, NULL, DS_USAGE);
    git_oid v1 = add(&s, "docs", "main", 1000000), v2 = add(&s, "docs", "main", 2000000),
            v3 = add(&s, "docs", "main", 3000000);
    git_oid x = add(&s, "docs", "topic/x", 2500000);
    expect(&s, NULL, &v3);
    expect(&s, "docs", &v3);
    expect(&s, "docs@main", &v3);
    expect(&s, "docs~1", &v2);
    expect(&s, "docs@main~2", &v1);
    expect(&s, "docs@topic/x", &x);
    refuse(&s, "docs~3", DS_FAIL);
    refuse(&s, "docs@none", DS_FAIL);
    refuse(&s, "none@main", DS_FAIL);
    expect(&s, "docs@1970-01-24T03:33:20", &v2); /* second 2,000,000 */
    expect(&s, "docs@1970-01-24T03:33:19", &v1);
    expect(&s, "docs@1971-01-01", &v3);
    refuse(&s, "docs@1970-01-01", DS_FAIL);
    git_oid_tostr(hex, sizeof hex, &v2);
    snprintf(text, sizeof text, "docs@%s", hex);
    expect(&s, text, &v2);
    snprintf(text, sizeof text, "docs@%.8s", hex);
    expect(&s, text, &v2);
    snprintf(text, sizeof text, "docs@%.8s~", hex);
    expect(&s, text, &v1);
    git_oid o = add(&s, "other", "main", 5);
    refuse(&s, NULL, DS_USAGE); /* two datasets now */
    OK(ds_config_set(s.dir, "dsver.dataset", "other", err));
    expect(&s, NULL, &o);
    expect(&s, "@main", &o);
    snprintf(text, sizeof text, "other@%.8s", hex);
    refuse(&s, text, DS_FAIL); /* a version of another dataset */
    git_reference *tag = NULL;
    assert_int_equal(
        git_reference_create(&tag, ds_catalog_repo(s.cat), "refs/tags/docs/v1", &v1, 0, NULL), 0);
    git_reference_free(tag);
    expect(&s, "docs@v1", &v1);
    ds_store_close(&s);
}

static void a_message_cannot_forge_trailers(void **state)
{
    (void)state;
    ds_store s;
    ds_version v = {0};
    ds_sha zero = {{0}};
    open_store(&s, "forge");
    git_oid id = add(&s, "docs", "main", 77);
    OK(ds_version_get(&v, s.cat, &id, err));
    assert_string_equal(v.dataset, "docs");
    assert_string_equal(v.message, "a\n\nDsver-Root: sha256:00");
    assert_string_equal(v.author, "N x <n@x>");
    assert_int_equal(v.records, 77);
    assert_true(ds_sha_eq(&v.root, &zero));
    assert_false(v.has_parent);
    ds_version_fini(&v);
    ds_store_close(&s);
}

static void refs_move_by_compare_and_swap(void **state)
{
    (void)state;
    ds_store s;
    git_oid now;
    ds_err err = {0};
    open_store(&s, "cas");
    git_oid a = add(&s, "docs", "main", 1), b = add(&s, "docs", "main", 2);
    static const char ref[] = DS_REF_PREFIX "docs/main";
    assert_int_equal(ds_ref_move(s.cat, ref, &a, &b, &err), 0);                    /* it is at b */
    assert_int_equal(ds_ref_move(s.cat, ref, NULL, &a, &err), 0);                  /* it is there */
    assert_int_equal(ds_ref_move(s.cat, DS_REF_PREFIX "docs/y", &a, &b, &err), 0); /* it is not */
    assert_int_equal(err.code, 0);
    assert_int_equal(ds_ref_get(s.cat, ref, &now, &err), 1);
    assert_true(git_oid_equal(&now, &b));
    assert_int_equal(ds_ref_move(s.cat, ref, &b, &a, &err), 1);
    assert_int_equal(ds_ref_get(s.cat, ref, &now, &err), 1);
    assert_true(git_oid_equal(&now, &a));
    assert_int_equal(ds_ref_get(s.cat, DS_REF_PREFIX "docs/y", &now, &err), 0);
    ds_store_close(&s);
}

/* What a process leaves that dies while it moves a ref: the lock of git, and the name in ours. */
static void a_dead_writers_lock_is_removed(void **state)
{
    (void)state;
    ds_store s;
    ds_err err = {0};
    char path[800];
    static const char name[] = DS_REF_PREFIX "docs/main\n";
    open_store(&s, "dead");
    git_oid a = add(&s, "docs", "main", 1), b = add(&s, "docs", "main", 2);
    snprintf(path, sizeof path, "%s/catalog.git/refs/heads/docs/main.lock", s.dir);
    unit_write(path, "x", 1);
    snprintf(path, sizeof path, "%s/locks/refs.lock", s.dir);
    unit_write(path, name, sizeof name - 1);
    assert_int_equal(ds_ref_move(s.cat, DS_REF_PREFIX "docs/main", &b, &a, &err), 1);
    ds_store_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates),
        cmocka_unit_test(splitting),
        cmocka_unit_test(looking_up),
        cmocka_unit_test(a_message_cannot_forge_trailers),
        cmocka_unit_test(refs_move_by_compare_and_swap),
        cmocka_unit_test(a_dead_writers_lock_is_removed),
    };
    return cmocka_run_group_tests_name("revision", tests, NULL, unit_dir_remove);
}
