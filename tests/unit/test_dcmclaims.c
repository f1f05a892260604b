/* What de-identification says of itself is what it did: codes of methods, dates, observers and
 * subjects in structured content, bytes of one element in another. */
#include <string.h>

#include "unit.h"

#include "dcmdeid.h"
#include "ids_help.h"
#include "tree_help.h"

static const dcm_key key = {{7}, "0123456789abcdef"};

/* A content item with a concept and, if there is one, a text. */
static dcm_set *node(dcm_tree *t, dcm_set *above, const char *code, const char *text)
{
    dcm_set *n = tree_item(t, above, 0x0040a730), *c = tree_item(t, n, 0x0040a043);
    tree_put(t, c, 0x00080100, "SH", code);
    tree_put(t, c, 0x00080102, "SH", "DCM");
    tree_put(t, c, 0x00080104, "LO", "as the code says");
    tree_put(t, n, 0x0040a040, "CS", "TEXT");
    if (text)
        tree_put(t, n, 0x0040a160, "UT", text);
    return n;
}

static dcm_tree *base(void)
{
    dcm_tree *t;
    ds_err err = {0};
    assert_int_equal(dcm_tree_new(&t, &err), 0);
    dcm_set *s = dcm_tree_main(t);
    tree_put(t, s, 0x00080018, "UI", "1.3.6.1.55.9");
    tree_put(t, s, 0x00080020, "DA", "20190102");
    tree_put(t, s, 0x00080060, "CS", "SR");
    tree_put(t, s, 0x00100010, "PN", "Doe^Jane");
    tree_put(t, s, 0x00100020, "LO", "MRN-5530917");
    return t;
}

static dcm_verdict run(dcm_tree *t, const char *policy, dcm_ids *ids)
{
    dcm_policy *p;
    dcm_verdict v;
    ds_err err = {0};
    assert_int_equal(dcm_policy_parse(&p, policy, &err), 0);
    assert_int_equal(dcm_deid_run(t, p, &key, ids, NULL, &v, &err), 0);
    dcm_policy_free(p);
    return v;
}

static bool has(const dcm_set *s, uint32_t tag, const char *want)
{
    const char *p;
    size_t n;
    return dcm_get_text(s, tag, 0, &p, &n) && n == strlen(want) && memcmp(p, want, n) == 0;
}

static bool claims(dcm_tree *t, const char *code)
{
    const dcm_elem *e = dcm_set_find(dcm_tree_main(t), 0x00120064);
    for (uint32_t i = 0; e && i < e->nitems; i++)
        if (has(e->items[i], 0x00080100, code))
            return true;
    return false;
}

#define SR "basic,clean-structured-content"

static void observers_and_subjects(void **state)
{
    (void)state;
    static const struct {
        const char *code, *policy;
        bool kept;
    } v[] = {
        {"121009", SR, false}, {"121009", SR ",retain-institution", true},
        {"121022", SR, false}, {"121022", SR ",retain-institution,retain-device", false},
        {"121030", SR, false}, {"121013", SR ",retain-device", true},
        {"121029", SR, false}, {"128774", SR, false},
        {"121071", SR, true},  {"112039", SR, true},
    };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        dcm_tree *t = base();
        dcm_ids *ids;
        dcm_search *search;
        dcm_hit hit;
        ds_err err = {0};
        static const char text[] = "Zaphod Quux 88";
        node(t, dcm_tree_main(t), v[i].code, text);
        assert_int_equal(dcm_ids_new(&ids, &err), 0);
        run(t, v[i].policy, ids);
        const dcm_elem *e = dcm_set_find(dcm_tree_main(t), 0x0040a730);
        assert_int_equal(e->nitems, 1);
        assert_int_equal(has(e->items[0], 0x0040a160, text), v[i].kept);
        assert_int_equal(has(e->items[0], 0x0040a160, "REMOVED"), !v[i].kept);
        /* and the proof knows what was taken out */
        assert_int_equal(dcm_search_new(&search, ids, &err), 0);
        assert_int_equal(dcm_search_text(search, "by zaphod quux 88.", 18, 0, &hit), !v[i].kept);
        dcm_search_free(search);
        dcm_ids_free(ids);
        dcm_tree_free(t);
    }
}

/* Other schemes may use the same numbers; age and sex go, or stay with an option; birth dates go.
 */
static void characteristics(void **state)
{
    (void)state;
    static const char *const codes[] = {"121031", "121032", "121033", "121071"};
    for (int keep = 0; keep < 2; keep++) {
        dcm_tree *t = base();
        for (size_t i = 0; i < 4; i++)
            node(t, dcm_tree_main(t), codes[i], NULL);
        dcm_set *other = node(t, dcm_tree_main(t), "121031", "a nodule");
        tree_put(t, dcm_set_find(other, 0x0040a043)->items[0], 0x00080102, "SH", "99LOCAL");
        run(t, keep ? SR ",retain-patient-characteristics" : SR, NULL);
        assert_int_equal(dcm_set_find(dcm_tree_main(t), 0x0040a730)->nitems, keep ? 4 : 2);
        dcm_tree_free(t);
    }
}

/* An option keeps the institution; the person in its name goes. */
static void kept_places(void **state)
{
    (void)state;
    dcm_tree *t = base();
    tree_put(t, dcm_tree_main(t), 0x00080080, "LO", "Lakeshore General");
    tree_put(t, dcm_tree_main(t), 0x00081010, "SH", "CT1 OKONKWO");
    tree_put(t, dcm_tree_main(t), 0x00080090, "PN", "Okonkwo^Chidi");
    run(t, "basic,retain-institution,retain-device", NULL);
    assert_true(has(dcm_tree_main(t), 0x00080080, "Lakeshore General"));
    assert_true(has(dcm_tree_main(t), 0x00081010, "CT1 [NAME]"));
    dcm_tree_free(t);
}

static void codes_of_methods(void **state)
{
    (void)state;
    static const struct {
        const char *policy, *code, *before, *dates; /* before: a method, and (0028,0303), that the
                                                       object has already */
        bool claimed;
        const char *modified;
    } v[] = {
        {"basic", "113100", NULL, NULL, true, "REMOVED"},
        {"basic,clean-pixel-data", "113101", NULL, NULL, false, "REMOVED"},
        {"basic,clean-visual-features", "113102", NULL, NULL, false, "REMOVED"},
        {"basic", "113101", "113101", NULL, true, "REMOVED"},
        {"basic", "113102", "113102", NULL, true, "REMOVED"},
        {"basic", "113108", "113108", NULL, false, "REMOVED"},
        {"basic,retain-full-dates", "113106", NULL, NULL, true, "UNMODIFIED"},
        {"basic,retain-full-dates", "113106", "113100", "MODIFIED", false, "MODIFIED"},
        {"basic,retain-full-dates", "113107", "113100", "MODIFIED", true, "MODIFIED"},
        {"basic,retain-modified-dates", "113107", NULL, NULL, true, "MODIFIED"},
        {"basic", "113107", "113100", "MODIFIED", false, "REMOVED"},
        {"basic,clean-descriptors", "113105", NULL, NULL, true, "REMOVED"},
    };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        dcm_tree *t = base();
        dcm_set *s = dcm_tree_main(t);
        if (v[i].before) {
            tree_put(t, s, 0x00120062, "CS", "YES");
            tree_put(t, tree_item(t, s, 0x00120064), 0x00080100, "SH", v[i].before);
        }
        if (v[i].dates)
            tree_put(t, s, 0x00280303, "CS", v[i].dates);
        run(t, v[i].policy, NULL);
        assert_int_equal(claims(t, v[i].code), v[i].claimed);
        assert_true(has(s, 0x00280303, v[i].modified));
        dcm_tree_free(t);
    }
}

/* A mask is said. */
static void masked(void **state)
{
    (void)state;
    static const uint32_t tags[] = {0x00186018, 0x0018601a, 0x0018601c, 0x0018601e};
    dcm_tree *t = base();
    dcm_set *s = dcm_tree_main(t);
    ds_err err = {0};
    tree_put(t, s, 0x00080060, "CS", "US");
    dcm_set *region = tree_item(t, s, 0x00186011);
    for (size_t i = 0; i < 4; i++) {
        const uint8_t n[4] = {(uint8_t)(i < 2 ? 1 : 9)};
        assert_int_equal(dcm_set_put(t, region, tags[i], DCM_VR('U', 'L'), n, 4, NULL, &err), 0);
    }
    assert_int_equal(dcm_set_put(t, s, 0x7fe00010, DCM_VR('O', 'W'), "\0\0", 2, NULL, &err), 0);
    dcm_verdict v = run(t, "basic", NULL);
    assert_int_equal(v.pixels, DCM_PIX_MASK);
    assert_true(claims(t, "113101"));
    dcm_tree_free(t);
}

/* Lengths that are wrong put bytes of other elements into strings. */
static void swallowed(void **state)
{
    (void)state;
    static const char inside[] = "CS\2\0CT\10\0\220\0PN\24\0Quillfeather^Tobias";
    static const struct {
        uint32_t tag;
        const char *vr, *text;
        size_t n;
        bool kept;
    } v[] = {
        {0x00080060, "CS", inside, sizeof inside - 1, false},
        {0x0008103e, "LO", inside, sizeof inside - 1, false},
        {0x00180050, "DS", inside, sizeof inside - 1, false},
        {0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.2 Tobias", 32, false},
        {0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.2\0", 26, true},
        {0x00080060, "CS", "CT\0\0", 4, true},
        {0x00080060, "CS", "CT \0", 4, true},
        {0x0008103e, "LO", "line\nline\7", 10, true},
    };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        dcm_tree *t = base();
        dcm_set *s = dcm_tree_main(t);
        ds_err err = {0};
        uint16_t vr = DCM_VR(v[i].vr[0], v[i].vr[1]);
        assert_int_equal(dcm_set_put(t, s, v[i].tag, vr, v[i].text, v[i].n, NULL, &err), 0);
        run(t, "basic,clean-descriptors", NULL);
        assert_int_equal(dcm_set_find(s, v[i].tag)->len > 0, v[i].kept);
        dcm_tree_free(t);
    }
}

/* What is kept of numbers, dates and times is written with their characters, and holds no number of
 * the patient. */
static void no_words_in_numbers(void **state)
{
    (void)state;
    static const struct {
        uint32_t tag;
        const char *vr, *text;
        bool kept;
    } v[] = {
        {0x00080030, "TM", "101112Quillfeather", false},
        {0x00080030, "TM", "101112.5", true},
        {0x00080030, "TM", "5530917", false},
        {0x0008002a, "DT", "20190102101112Quillfeather", false},
        {0x0008002a, "DT", "20190102101112.123456+0100", true},
        {0x00080022, "DA", "Quillfeather", false},
        {0x00180050, "DS", "Quillfeather", false},
        {0x00180050, "DS", "1,5", true},
        {0x00180050, "DS", "-1.5E+1\\2 ", true},
        {0x00180050, "DS", "5530917", false},
        {0x00200013, "IS", "12 Quillfeather", false},
        {0x00101010, "AS", "Quill", false},
        {0x00101010, "AS", "042Y", true},
        {0x00080008, "CS", "ORIGINAL\\PRIMARY\\DOE^JANE", false},
        {0x00080008, "CS", "ORIGINAL\\PRIMARY\\AXIAL", true},
        {0x00221531, "OF", "..DOE^JANE..", false},
    };
    static const char *const policies[] = {
        "basic,retain-patient-characteristics,retain-full-dates",
        "basic,retain-patient-characteristics,retain-modified-dates"};
    for (size_t i = 0; i < 2 * (sizeof v / sizeof *v); i++) {
        dcm_tree *t = base();
        dcm_set *s = dcm_tree_main(t);
        tree_put(t, s, v[i / 2].tag, v[i / 2].vr, v[i / 2].text);
        run(t, policies[i % 2], NULL);
        if ((dcm_set_find(s, v[i / 2].tag)->len > 0) != v[i / 2].kept)
            fail_msg("%s: %s", policies[i % 2], v[i / 2].text);
        dcm_tree_free(t);
    }
}

/* In bytes that nobody reads a name may be of two bytes a character. */
static void wide_characters(void **state)
{
    (void)state;
    static const char wide[] = "\1\2D\0O\0E\0,\0 \0J\0A\0N\0E\0\3\4";
    for (size_t n = sizeof wide - 1; n > 8; n -= 14) {
        dcm_tree *t = base();
        dcm_set *s = dcm_tree_main(t);
        ds_err err = {0};
        assert_int_equal(dcm_set_put(t, s, 0x54001010, DCM_VR('O', 'W'), wide, n, NULL, &err), 0);
        run(t, "basic", NULL);
        assert_int_equal(dcm_set_find(s, 0x54001010)->len, n > 20 ? 0 : n);
        dcm_tree_free(t);
    }
}

/* Instances, of whatever name, get another UID; so does what only looks like one of the standard.
 */
static void uids_of_things(void **state)
{
    (void)state;
    static const struct {
        uint32_t tag;
        const char *uid;
        bool kept;
    } v[] = {
        {0x00081167, "1.3.6.1.55.77", false},
        {0x00081155, "1.3.6.1.55.77", false},
        {0x00081150, "1.3.6.1.55.77", true},
        {0x00081155, "1.2.840.10008.5.1.4.1.1.2", true},
        {0x00081155, "1.2.840.10008.Quillfeather", false},
    };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        dcm_tree *t = base();
        dcm_set *s = dcm_tree_main(t), *ref = tree_item(t, s, 0x00081140);
        tree_put(t, ref, v[i].tag, "UI", v[i].uid);
        run(t, "basic", NULL);
        assert_int_equal(has(ref, v[i].tag, v[i].uid), v[i].kept);
        assert_true(dcm_set_find(ref, v[i].tag)->len > 0);
        dcm_tree_free(t);
    }
}

/* Spaces around a UID are none of it, so that references hold. */
static void uids_with_spaces(void **state)
{
    (void)state;
    dcm_tree *t = base();
    dcm_set *s = dcm_tree_main(t);
    const char *p, *q;
    size_t n, m;
    tree_put(t, s, 0x0020000d, "UI", "1.3.6.1.55.8");
    tree_put(t, s, 0x00080058, "UI", "1.3.6.1.55.9\\ 1.3.6.1.55.8 \\1.2.840.10008.1.1");
    run(t, "basic", NULL);
    assert_true(dcm_get_text(s, 0x0020000d, 0, &p, &n));
    assert_true(dcm_get_text(s, 0x00080058, 1, &q, &m));
    assert_true(n == m && memcmp(p, q, n) == 0);
    assert_true(dcm_get_text(s, 0x00080018, 0, &p, &n));
    assert_true(dcm_get_text(s, 0x00080058, 0, &q, &m));
    assert_true(n == m && memcmp(p, q, n) == 0);
    assert_int_equal(dcm_get_count(s, 0x00080058), 3);
    dcm_tree_free(t);
}

/* Size and weight of the subject, in the schemes that they are coded in. */
static void sizes_of_subjects(void **state)
{
    (void)state;
    static const struct {
        const char *code, *scheme;
        bool subject;
    } v[] = {{"8302-2", "LN", true},    {"29463-7", "LN", true},    {"50373000", "SCT", true},
             {"27113001", "SCT", true}, {"39156-5", "LN", true},    {"8302-2", "99LOCAL", false},
             {"8302-1", "LN", false},   {"410668003", "SCT", false}};
    for (size_t i = 0; i < 2 * (sizeof v / sizeof *v); i++) {
        dcm_tree *t = base();
        dcm_set *n = node(t, dcm_tree_main(t), v[i / 2].code, NULL);
        tree_put(t, dcm_set_find(n, 0x0040a043)->items[0], 0x00080102, "SH", v[i / 2].scheme);
        tree_put(t, tree_item(t, n, 0x0040a300), 0x0040a30a, "DS", "180");
        run(t, i & 1 ? SR ",retain-patient-characteristics" : SR, NULL);
        assert_int_equal(dcm_set_find(dcm_tree_main(t), 0x0040a730)->nitems,
                         (i & 1) || !v[i / 2].subject);
        dcm_tree_free(t);
    }
}

/* What nobody looked into does not go out, nor is it counted as if it had. */
static void too_long_to_look_into(void **state)
{
    (void)state;
    static const struct {
        uint32_t tag;
        bool kept;
    } v[] = {{0x54001010, false}, {0x00281201, false}, {0x7fe00010, true}, {0x7fe00008, true}};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        dcm_tree *t = base();
        dcm_elem *e;
        ds_err err = {0};
        assert_int_equal(
            dcm_set_put(t, dcm_tree_main(t), v[i].tag, DCM_VR('O', 'W'), NULL, 0, &e, &err), 0);
        e->bulk = true;
        run(t, "basic", NULL);
        assert_int_equal(dcm_set_find(dcm_tree_main(t), v[i].tag) != NULL, v[i].kept);
        dcm_tree_free(t);
    }
}

/* What is counted of private elements is counted under their creator, unless that is a person. */
static void creators(void **state)
{
    (void)state;
    static const char *const names[] = {"ACME 1.0", "Doe Jane tools", "MRN 5530917"};
    for (size_t i = 0; i < 3; i++) {
        dcm_tree *t = base();
        dcm_elem *e;
        dcm_policy *p;
        dcm_actions *acts;
        dcm_verdict v;
        ds_err err = {0};
        ds_buf out = {0};
        tree_put(t, dcm_tree_main(t), 0x00090010, "LO", names[i]);
        assert_int_equal(
            dcm_set_put(t, dcm_tree_main(t), 0x00091001, DCM_VR('L', 'O'), "x", 1, &e, &err), 0);
        e->creator = names[i];
        assert_int_equal(dcm_policy_parse(&p, "basic", &err), 0);
        assert_int_equal(dcm_actions_new(&acts, &err), 0);
        assert_int_equal(dcm_deid_run(t, p, &key, NULL, acts, &v, &err), 0);
        assert_int_equal(dcm_actions_json(acts, &out, &err), 0);
        assert_non_null(ds_buf_cstr(&out));
        assert_non_null(strstr((char *)out.data, "{\"tag\":\"0009,1001\",\"creator\":"));
        assert_int_equal(strstr((char *)out.data, names[i]) != NULL, i == 0);
        ds_buf_fini(&out);
        dcm_actions_free(acts);
        dcm_policy_free(p);
        dcm_tree_free(t);
    }
}

/* An age above 89 is 90 in structured content too. */
/* People without an id whose names nobody can read are not one person. */
static void unread_names(void **state)
{
    (void)state;
    static const char *const names[] = {"\xcd\xf5", "\xd6\xec"};
    char got[2][32] = {{0}};
    for (int i = 0; i < 2; i++) {
        dcm_tree *t = base();
        dcm_set *s = dcm_tree_main(t);
        const char *p;
        size_t n;
        dcm_set_drop(s, 0x00100020);
        tree_put(t, s, 0x00100010, "PN", names[i]);
        tree_put(t, s, 0x0020000d, "UI", i ? "1.3.6.1.55.92" : "1.3.6.1.55.91");
        run(t, "basic", NULL);
        assert_true(dcm_get_text(s, 0x00100020, 0, &p, &n) && n == 24);
        memcpy(got[i], p, n);
        dcm_tree_free(t);
    }
    assert_string_not_equal(got[0], got[1]);
}

static void old_subjects(void **state)
{
    (void)state;
    static const struct {
        const char *value, *unit, *after;
    } v[] = {{"97", "a", "90"}, {"89", "a", "89"},   {"1164", "mo", "1080"},
             {"90", "a", "90"}, {"400", "d", "400"}, {"40000", "d", "32940"}};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        dcm_tree *t = base();
        dcm_set *n = node(t, dcm_tree_main(t), "121033", NULL), *m = tree_item(t, n, 0x0040a300);
        tree_put(t, m, 0x0040a30a, "DS", v[i].value);
        tree_put(t, tree_item(t, m, 0x004008ea), 0x00080100, "SH", v[i].unit);
        run(t, SR ",retain-patient-characteristics", NULL);
        assert_true(has(m, 0x0040a30a, v[i].after));
        dcm_tree_free(t);
    }
}

/* Dates are in the UIDs that many machines make; where UIDs are kept, these are no dates. */
static void dates_in_uids(void **state)
{
    (void)state;
    static const char uid[] = "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322";
    static const char date[] = "seen 20040119072730.5 again";
    dcm_ids *ids;
    dcm_search *search;
    dcm_hit hit;
    ds_err err = {0};
    assert_int_equal(dcm_ids_new(&ids, &err), 0);
    assert_int_equal(ids_add(ids, 0x00080020, "20040119", 8), 0);
    assert_int_equal(dcm_search_new(&search, ids, &err), 0);
    assert_int_equal(dcm_search_text(search, uid, sizeof uid - 1, 0, &hit), 0);
    assert_int_equal(dcm_search_text(search, date, sizeof date - 1, 0, &hit), 1);
    dcm_search_free(search);
    dcm_ids_free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(observers_and_subjects),
        cmocka_unit_test(characteristics),
        cmocka_unit_test(kept_places),
        cmocka_unit_test(codes_of_methods),
        cmocka_unit_test(masked),
        cmocka_unit_test(swallowed),
        cmocka_unit_test(no_words_in_numbers),
        cmocka_unit_test(wide_characters),
        cmocka_unit_test(uids_of_things),
        cmocka_unit_test(uids_with_spaces),
        cmocka_unit_test(sizes_of_subjects),
        cmocka_unit_test(too_long_to_look_into),
        cmocka_unit_test(creators),
        cmocka_unit_test(old_subjects),
        cmocka_unit_test(unread_names),
        cmocka_unit_test(dates_in_uids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
