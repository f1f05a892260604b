/* The DICOM tree: order, items, values, numbers, the dictionary. */
#include <locale.h>
#include <math.h>

#include <stdio.h>
#include "unit.h"

#include "dcmtree.h"

#define VR(s) DCM_VR((s)[0], (s)[1])

static void put(dcm_tree *t, uint32_t tag, const char *vr, const char *v)
{
    assert_int_equal(dcm_set_put(t, dcm_tree_main(t), tag, VR(vr), v, strlen(v), NULL, NULL), 0);
}

static void keeps_order(void **state)
{
    (void)state;
    dcm_tree *t;
    assert_int_equal(dcm_tree_new(&t, NULL), 0);
    dcm_set *s = dcm_tree_main(t);
    for (uint32_t i = 0; i < 1000; i++) {
        char v[16];
        snprintf(v, sizeof v, "%u", i * 7919 % 1000);
        put(t, 0x00090000 + i * 7919 % 1000, "LO", v);
    }
    assert_int_equal(s->n, 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        int64_t v;
        const char *p;
        size_t n;
        assert_int_equal(s->elems[i].tag, 0x00090000 + i);
        assert_true(dcm_get_text(s, s->elems[i].tag, 0, &p, &n));
        s->elems[i].vr = VR("IS");
        assert_true(dcm_get_int(s, s->elems[i].tag, 0, &v));
        assert_int_equal(v, i);
    }
    put(t, 0x00090001, "LO", "again");
    assert_int_equal(s->n, 1000);
    assert_true(dcm_set_drop(s, 0x00090001));
    assert_false(dcm_set_drop(s, 0x00090001));
    assert_null(dcm_set_find(s, 0x00090001));
    assert_int_equal(s->n, 999);
    assert_int_equal(s->elems[1].tag, 0x00090002);
    dcm_tree_free(t);
    dcm_tree_free(NULL);
}

static void items_nest_to_a_limit(void **state)
{
    (void)state;
    dcm_tree *t;
    ds_err err = {0};
    assert_int_equal(dcm_tree_new(&t, NULL), 0);
    dcm_set *s = dcm_tree_main(t), *item;
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(dcm_set_item(t, s, 0x00081140, &item, NULL), 0);
    assert_int_equal(dcm_get_count(s, 0x00081140), 100);
    assert_ptr_equal(dcm_set_find(s, 0x00081140)->items[99], item);
    assert_ptr_equal(item->parent, s);
    for (unsigned i = 1; i < DCM_TREE_DEPTH; i++)
        assert_int_equal(dcm_set_item(t, item, 0x00081140, &item, NULL), 0);
    assert_int_equal(dcm_set_item(t, item, 0x00081140, &item, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "deeper than 64"));
    dcm_tree_free(t);
}

static void splits_and_trims(void **state)
{
    (void)state;
    dcm_tree *t;
    const char *p;
    size_t n;
    assert_int_equal(dcm_tree_new(&t, NULL), 0);
    dcm_set *s = dcm_tree_main(t);
    put(t, 0x00080008, "CS", "ORIGINAL\\ PRIMARY \\\\AXIAL ");
    assert_int_equal(dcm_get_count(s, 0x00080008), 4);
    assert_true(dcm_get_text(s, 0x00080008, 1, &p, &n));
    assert_int_equal(n, 7);
    assert_memory_equal(p, "PRIMARY", 7);
    assert_false(dcm_get_text(s, 0x00080008, 2, &p, &n));
    assert_true(dcm_get_text(s, 0x00080008, 3, &p, &n));
    assert_int_equal(n, 5);
    assert_false(dcm_get_text(s, 0x00080008, 4, &p, &n));
    put(t, 0x00102000, "LT", " a\\b ");
    assert_int_equal(dcm_get_count(s, 0x00102000), 1);
    size_t next = 0;
    unsigned k = 0;
    for (const dcm_elem *e = dcm_set_find(s, 0x00080008); dcm_elem_next(e, &next, &p, &n); k++) {
        const char *q = NULL;
        size_t m = 0;
        assert_int_equal(dcm_elem_text(e, k, &q, &m), n > 0);
        assert_true(n == 0 || (q == p && m == n));
    }
    assert_int_equal(k, 4);
    assert_int_equal(dcm_get_count(s, 0x00080008), 4);
    assert_true(dcm_get_text(s, 0x00102000, 0, &p, &n));
    assert_int_equal(n, 4);
    assert_false(dcm_get_text(s, 0x00102000, 1, &p, &n));
    /* JIS X 0208 has 0x5c as a second byte. */
    put(t, 0x00081030, "LO", "\x1b$B\x21\x5c\x1b(B\\x");
    assert_int_equal(dcm_get_count(s, 0x00081030), 2);
    assert_true(dcm_get_text(s, 0x00081030, 1, &p, &n));
    assert_memory_equal(p, "x", 1);
    put(t, 0x00080060, "CS", "  ");
    assert_false(dcm_get_text(s, 0x00080060, 0, &p, &n));
    assert_false(dcm_get_text(s, 0x00080061, 0, &p, &n));
    assert_int_equal(dcm_get_count(s, 0x00080061), 0);
    dcm_tree_free(t);
}

static void reads_numbers(void **state)
{
    (void)state;
    dcm_tree *t;
    double d;
    int64_t i;
    assert_int_equal(dcm_tree_new(&t, NULL), 0);
    dcm_set *s = dcm_tree_main(t);
    setlocale(LC_ALL, "de_DE.UTF-8"); /* where there is one, it has a decimal comma */
    put(t, 0x00280030, "DS", "0.3\\ 1e-3\\-0\\1.\\.5\\1,5\\1e\\ \\+12\\0.1234567890123456789");
    static const struct {
        bool ok;
        double v;
    } want[] = {{true, 0.3}, {true, 1e-3}, {true, -0.0}, {true, 1.0},  {true, 0.5},
                {false, 0},  {false, 0},   {false, 0},   {true, 12.0}, {true, 0.12345678901234568}};
    for (unsigned k = 0; k < sizeof want / sizeof *want; k++) {
        assert_int_equal(dcm_get_real(s, 0x00280030, k, &d), want[k].ok);
        if (want[k].ok)
            assert_memory_equal(&d, &want[k].v, sizeof d);
    }
    static const char *const hard[] = {"9007199254740993", "1.7976931348623157e308",
                                       "4.9e-324",         "123456789012345.6e-7",
                                       "8.5e22",           "1e23"};
    for (unsigned k = 0; k < sizeof hard / sizeof *hard; k++) {
        setlocale(LC_ALL, "C");
        double ref = strtod(hard[k], NULL);
        assert_true(dcm_parse_real(hard[k], strlen(hard[k]), &d));
        assert_memory_equal(&d, &ref, sizeof d);
    }
    assert_false(dcm_parse_real("nan", 3, &d));
    assert_false(dcm_parse_real("0x10", 4, &d));
    assert_false(dcm_parse_real("", 0, &d));
    put(t, 0x00200013, "IS", "-12\\9223372036854775808\\-9223372036854775808\\1.0");
    assert_true(dcm_get_int(s, 0x00200013, 0, &i));
    assert_int_equal(i, -12);
    assert_false(dcm_get_int(s, 0x00200013, 1, &i));
    assert_true(dcm_get_int(s, 0x00200013, 2, &i));
    assert_true(i == INT64_MIN);
    assert_false(dcm_get_int(s, 0x00200013, 3, &i));
    dcm_set_put(t, s, 0x00280106, VR("SS"), "\xff\xff\x02\x00", 4, NULL, NULL);
    assert_true(dcm_get_int(s, 0x00280106, 0, &i));
    assert_int_equal(i, -1);
    assert_true(dcm_get_real(s, 0x00280106, 1, &d));
    assert_true(d == 2.0);
    assert_false(dcm_get_int(s, 0x00280106, 2, &i));
    dcm_set_put(t, s, 0x00189087, VR("FD"), "\0\0\0\0\0\0\xf8\x3f", 8, NULL, NULL);
    assert_true(dcm_get_real(s, 0x00189087, 0, &d));
    assert_true(d == 1.5);
    dcm_tree_free(t);
}

static void knows_the_dictionary(void **state)
{
    (void)state;
    assert_string_equal(dcm_keyword(0x00100010), "PatientName");
    assert_int_equal(dcm_dict_vr(0x00100010), VR("PN"));
    assert_string_equal(dcm_keyword(0x60023000), "OverlayData");
    assert_int_equal(dcm_dict_vr(0x7fe00010), VR("OW"));
    assert_int_equal(dcm_dict_vr(0x00090010), VR("LO"));
    assert_int_equal(dcm_dict_vr(0x00091010), VR("UN"));
    assert_null(dcm_keyword(0x00091010));
    assert_null(dcm_keyword(0xffffffff));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_order),          cmocka_unit_test(items_nest_to_a_limit),
        cmocka_unit_test(splits_and_trims),     cmocka_unit_test(reads_numbers),
        cmocka_unit_test(knows_the_dictionary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
