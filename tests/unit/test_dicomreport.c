/* Reports by sections: codes of headings, headings within texts; what several objects have in
 * common. */
#include <string.h>

#include "unit.h"

#include "dicommeta.h"
#include "dicomreport.h"
#include "tree_help.h"

static dcm_set *node(dcm_tree *t, dcm_set *above, const char *code, const char *scheme,
                     const char *meaning)
{
    dcm_set *n = tree_item(t, above, 0x0040a730), *c = tree_item(t, n, 0x0040a043);
    tree_put(t, c, 0x00080100, "SH", code);
    tree_put(t, c, 0x00080102, "SH", scheme);
    tree_put(t, c, 0x00080104, "LO", meaning);
    return n;
}

static bool is(const ds_buf *b, const char *text)
{
    return b->len == strlen(text) && (b->len == 0 || memcmp(b->data, text, b->len) == 0);
}

enum { INDICATION, TECHNIQUE, COMPARISON, FINDINGS, IMPRESSION, NONE };

/* A container under the code, a text in it. */
static void headings_by_code(void **state)
{
    static const struct {
        const char *code, *scheme, *meaning;
        int section;
    } v[] = {
        {"11329-0", "LN", "History", INDICATION},
        {"55115-0", "LN", "Request", INDICATION},
        {"18785-6", "LN", "Indications for Procedure", INDICATION},
        {"55752-0", "LN", "Clinical Information", INDICATION},
        {"55108-5", "LN", "Patient Presentation", INDICATION},
        {"55111-9", "LN", "Current Procedure Descriptions", TECHNIQUE},
        {"55114-3", "LN", "Prior Procedure Descriptions", COMPARISON},
        {"18834-2", "LN", "Previous Findings", COMPARISON},
        {"59776-5", "LN", "Findings", FINDINGS},
        {"19005-8", "LN", "Impressions", IMPRESSION},
        {"55110-1", "LN", "Conclusions", IMPRESSION},
        {"55112-7", "LN", "Summary", IMPRESSION},
        {"18783-1", "LN", "Recommendations", NONE},
        {"55107-7", "LN", "Addendum", NONE},
        {"55109-3", "LN", "Complications", NONE},
        {"55113-5", "LN", "Key Images", NONE},
        {"29549-3", "LN", "Medications Administered", NONE},
        {"73568-8", "LN", "Communication of Critical Results", NONE},
        {"73569-6", "LN", "Radiation Exposure and Protection Information", NONE},
        {"121060", "DCM", "History", INDICATION},
        {"121065", "DCM", "Procedure Description", TECHNIQUE},
        {"121069", "DCM", "Previous Finding", COMPARISON},
        {"121071", "DCM", "Finding", FINDINGS},
        {"121073", "DCM", "Impression", IMPRESSION},
        {"121077", "DCM", "Conclusion", IMPRESSION},
        {"121111", "DCM", "Summary", IMPRESSION},
        {"121075", "DCM", "Recommendation", NONE},
        {"121113", "DCM", "Complications", NONE},
        /* a scheme of one's own: by its meaning */
        {"X1", "99LOCAL", "Impression", IMPRESSION},
        {"X2", "99LOCAL", "Shape of things", NONE},
        {"121071", "99LOCAL", "Something else", NONE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        dcm_tree *t;
        ds_err err = {0};
        ds_dicom_report r = {0};
        assert_int_equal(dcm_tree_new(&t, &err), 0);
        dcm_set *heading = node(t, dcm_tree_main(t), v[i].code, v[i].scheme, v[i].meaning);
        dcm_set *text = node(t, heading, "121106", "DCM", "Comment");
        tree_put(t, text, 0x0040a040, "CS", "TEXT");
        tree_put(t, text, 0x0040a160, "UT", "as it was");
        assert_int_equal(ds_dicom_report_read(&r, dcm_tree_main(t), &err), 0);
        for (int k = 0; k < DS_SECTIONS; k++)
            assert_true(is(&r.section[k], k == v[i].section ? "as it was" : ""));
        ds_dicom_report_fini(&r);
        dcm_tree_free(t);
    }
}

static void headings_in_text(void **state)
{
    static const struct {
        const char *text, *section[DS_SECTIONS];
    } v[] = {
        {"FINDINGS: clear. IMPRESSION: normal.", {"", "", "", "clear.", "normal."}},
        {"Clinical history: cough\nTechnique: PA\nComparison: none\n",
         {"cough", "PA", "none", "", ""}},
        {"FINDINGS\nLUNGS: clear\nHEART: large\n\nImpression:\nwell\n",
         {"", "", "", "LUNGS: clear\nHEART: large", "well"}},
        {"before\nFindings: a\nRECOMMENDATION: b\n", {"", "", "", "a", ""}},
        {"the findings: are in the text", {"", "", "", "", ""}},
        {"prefindings: none", {"", "", "", "", ""}},
        {"Befund: unauffällig", {"", "", "", "", ""}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        ds_buf section[DS_SECTIONS] = {{0}};
        assert_int_equal(ds_dicom_sections_add(section, -1, v[i].text, strlen(v[i].text)), 0);
        for (int k = 0; k < DS_SECTIONS; k++) {
            assert_true(is(&section[k], v[i].section[k]));
            ds_buf_fini(&section[k]);
        }
    }
}

static void rows_and_lines(void **state)
{
    dcm_tree *t;
    ds_err err = {0};
    ds_dicom_report r = {0};
    ds_buf text = {0};
    (void)state;
    assert_int_equal(dcm_tree_new(&t, &err), 0);
    dcm_set *n = node(t, dcm_tree_main(t), "410668003", "SCT", "Length");
    tree_put(t, n, 0x0040a010, "CS", "CONTAINS");
    tree_put(t, n, 0x0040a040, "CS", "NUM");
    dcm_set *m = tree_item(t, n, 0x0040a300);
    tree_put(t, m, 0x0040a30a, "DS", "12.50");
    dcm_set *unit = tree_item(t, m, 0x004008ea);
    tree_put(t, unit, 0x00080100, "SH", "mm");
    tree_put(t, unit, 0x00080102, "SH", "UCUM");
    tree_put(t, unit, 0x00080104, "LO", "millimeter");
    assert_int_equal(ds_dicom_report_read(&r, dcm_tree_main(t), &err), 0);
    assert_int_equal(ds_dicom_text(dcm_tree_main(t), &text, &err), 0);
    assert_true(
        is(&r.content,
           "[{\"path\":\"1\"},{\"path\":\"1.1\",\"relation\":\"CONTAINS\",\"type\":\"NUM\","
           "\"concept\":\"Length\",\"code\":\"410668003\",\"scheme\":\"SCT\",\"value\":12.5,"
           "\"unit\":\"mm\",\"unit_scheme\":\"UCUM\"}]"));
    assert_true(is(&text, "\n  Length: 12.50 millimeter\n"));
    ds_buf_fini(&text);
    ds_dicom_report_fini(&r);
    dcm_tree_free(t);
}

static void in_common(void **state)
{
    static const char *const v[] = {"{\"a\":1,\"b\":[1,{\"c\":\"}\"}],\"d\":\"x\\\"y\",\"e\":null}",
                                    "{\"b\":[1,{\"c\":\"}\"}],\"a\":1,\"d\":\"x\\\"y\"}",
                                    "{\"a\":10,\"b\":[1,{\"c\":\"}\"}],\"d\":\"x\\\"y\"}"};
    static const char *const want[] = {v[0], "{\"a\":1,\"b\":[1,{\"c\":\"}\"}],\"d\":\"x\\\"y\"}",
                                       "{\"b\":[1,{\"c\":\"}\"}],\"d\":\"x\\\"y\"}"};
    static const char *const bad[] = {"", "[]", "{\"a\"", "{\"a\":1", "{a:1}"};
    ds_dicom_common c = {0};
    ds_err err = {0};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ds_dicom_common_add(&c, v[i], strlen(v[i]), &err), 0);
        assert_true(is(&c.text, want[i]));
    }
    assert_int_equal(ds_dicom_common_drop(&c, "b", &err), 0);
    assert_true(is(&c.text, "{\"d\":\"x\\\"y\"}"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ds_err_clear(&err);
        assert_int_equal(ds_dicom_common_add(&c, bad[i], strlen(bad[i]), &err), DS_CORRUPT);
    }
    ds_dicom_common_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headings_by_code),
        cmocka_unit_test(headings_in_text),
        cmocka_unit_test(rows_and_lines),
        cmocka_unit_test(in_common),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
