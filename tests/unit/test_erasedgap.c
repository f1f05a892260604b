/* What a run told of what it consumed, once records were erased: what may have changed, and what
 * may not; and what it left out as erased. */
#include "unit.h"

#include "erasedgap.h"
#include "erasedlist.h"

#define HEAD "{\"first\":1,\"last\":3,\"datasets\":["
#define COUNTS "{\"sequences\":5,\"tokens\":50,\"targets\":45,\"lengths\":[0,5],\"facets\":["
#define LABEL(values, absent)                                                                      \
    "{\"name\":\"label\",\"values\":[" values "],\"other\":[0,0],\"absent\":" absent "}"
#define TOLD HEAD COUNTS LABEL("[\"a\",3,30],[\"b\",2,20]", "[0,0]") "]}]}"

static void check(const char *told, const char *now, bool erased, const char *why)
{
    ds_err err = {0};
    const int rc = ds_erasedgap_check(told, now, &erased, 1, &err);
    if (!why) {
        assert_int_equal(rc, 0);
        return;
    }
    assert_int_equal(rc, DS_FAIL);
    assert_non_null(strstr(err.msg, why));
}

static void the_same(void **state)
{
    (void)state;
    check(TOLD, TOLD, false, NULL);
    check(TOLD, TOLD, true, NULL);
}

static void fewer_is_what_an_erasure_does(void **state)
{
    (void)state;
    static const char less[] = HEAD COUNTS LABEL("[\"a\",3,30],[\"b\",1,9]", "[1,11]") "]}]}",
                      gone[] = HEAD COUNTS LABEL("[\"a\",3,30]", "[2,20]") "]}]}",
                      none[] = HEAD COUNTS "]}]}",
                      empty[] = HEAD COUNTS LABEL("[\"a\",3,30],[\"\",2,20]", "[0,0]") "]}]}";
    check(TOLD, less, true, NULL);
    check(TOLD, gone, true, NULL);
    check(TOLD, none, true, NULL);
    check(TOLD, empty, true, NULL);
    check(TOLD, less, false, "facets differ");
}

static void what_no_erasure_does(void **state)
{
    (void)state;
    static const char
        shifted[] = HEAD COUNTS LABEL("[\"a\",4,39],[\"b\",1,11]", "[0,0]") "]}]}",
        tokens[] = HEAD COUNTS LABEL("[\"a\",3,31],[\"b\",2,19]", "[0,0]") "]}]}",
        fresh[] =
            HEAD COUNTS LABEL("[\"a\",3,30],[\"b\",2,20]", "[0,0]") ",{\"name\":\"lang\"}]}]}",
        counts[] =
            HEAD "{\"sequences\":5,\"tokens\":50,\"targets\":44,\"lengths\":[0,5],\"facets\":[]}]}",
        steps[] = "{\"first\":1,\"last\":4,\"datasets\":[" COUNTS "]}]}",
        two[] = HEAD COUNTS "]}," COUNTS "]}]}";
    check(TOLD, shifted, true, "label 'a'");
    check(TOLD, tokens, true, "label 'a'");
    check(TOLD, fresh, true, "'lang'");
    check(TOLD, counts, true, "targets differ");
    check(TOLD, steps, true, "other steps");
    check(TOLD, two, true, "other steps or datasets");
}

static void no_json(void **state)
{
    (void)state;
    const bool erased = true;
    ds_err err = {0};
    assert_int_not_equal(ds_erasedgap_check("{", TOLD, &erased, 1, &err), 0);
}

static void left_out(void **state)
{
    static const ds_records all[] = {{3, 4}, {10, 1}, {20, 5}}, some[] = {{3, 1}, {5, 2}, {24, 1}},
                            before[] = {{2, 2}}, behind[] = {{5, 3}}, between[] = {{11, 1}},
                            after[] = {{10, 1}, {25, 1}};
    (void)state;
    assert_true(ds_erasedlist_lacks(all, 3, all, 3) == UINT64_MAX);
    assert_true(ds_erasedlist_lacks(all, 3, some, 3) == UINT64_MAX);
    assert_true(ds_erasedlist_lacks(all, 3, NULL, 0) == UINT64_MAX);
    assert_true(ds_erasedlist_lacks(NULL, 0, some, 3) == 3);
    assert_true(ds_erasedlist_lacks(all, 3, before, 1) == 2);
    assert_true(ds_erasedlist_lacks(all, 3, behind, 1) == 7);
    assert_true(ds_erasedlist_lacks(all, 3, between, 1) == 11);
    assert_true(ds_erasedlist_lacks(all, 3, after, 2) == 25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same),
        cmocka_unit_test(fewer_is_what_an_erasure_does),
        cmocka_unit_test(what_no_erasure_does),
        cmocka_unit_test(no_json),
        cmocka_unit_test(left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
