/* Free text: what is taken out, and what medicine must keep. */
#include "unit.h"

#include "dcmscrub.h"
#include "ids_help.h"

static void vectors(void **state)
{
    (void)state;
    static const char *const v[][2] = {
        {"seen 2020-01-05 and 5/1/20", "seen [DATE] and [DATE]"},
        {"on 12 Jan 2020, 12-Jan-2020, January 12th, 2020", "on [DATE], [DATE], [DATE]"},
        {"am 12. M\xc3\xa4rz 2020", "am [DATE]"},
        {"\xe6\x92\xae\xe5\xbd\xb1 2020\xe5\xb9\xb4"
         "1\xe6\x9c\x88"
         "5\xe6\x97\xa5",
         "\xe6\x92\xae\xe5\xbd\xb1 [DATE]"},
        {"20200105 20200105123000 20209905", "[DATE] [DATE] [ID]"},
        {"call 555-1234 or (555) 123-4567 or +49 221 123456", "call [PHONE] or [PHONE] or [PHONE]"},
        {"ssn 123-45-6789 x", "ssn [ID] x"},
        {"MRN: 44A1, accession no. X-77", "MRN: [ID], accession no. [ID]"},
        {"mail j.doe@example.org now", "mail [EMAIL] now"},
        {"see https://pacs.example.org/x?y=1 now", "see [URL] now"},
        {"uid 1.2.276.0.7230010.3 and 1.2.840.10008.5.1.4.1.1.2",
         "uid [UID] and 1.2.840.10008.5.1.4.1.1.2"},
        {"Dr. Smith and Prof. Dr. Anna-Maria Schmidt", "Dr. [NAME] and Prof. Dr. [NAME]"},
        {"read by J. Miller", "read by [NAME]"},
        {"Patient: John Q. Public, male", "Patient: [NAME], male"},
        {"lives 12 Long Acre Road", "lives [PLACE]"},
        {"93 year old man, 94-year-old, 89 year old",
         "90+ year old man, 90+-year-old, 89 year old"},
        {"file 12345678", "file [ID]"},
        /* all of this stays */
        {"CT thorax 3.0 B70f, slice 1.25 mm, kVp 120", NULL},
        {"lesion 12 x 15 mm in segment 4/5, SUV 3.75", NULL},
        {"ratio 0.123456789, 1.5.2, v2.3.4", NULL},
        {"may show march of findings; june", NULL},
        {"DR chest PA and lateral", NULL},
        {"T1-weighted, TE 30.5 ms, TR 2000 ms, 512x512", NULL},
        {"Patient positioned supine. Read by the radiologist.", NULL},
        {"L4/L5, C5-6, 10-15 mm, 2-3 weeks, 1/3", NULL},
        {"BI-RADS 4, Gleason 3+4, pH 7.4", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        ds_buf out = {0};
        unsigned found;
        assert_int_equal(dcm_scrub(NULL, v[i][0], strlen(v[i][0]), false, &out, &found, NULL), 0);
        const char *want = v[i][1] ? v[i][1] : v[i][0], *got = ds_buf_cstr(&out);
        if (strcmp(got, want) != 0)
            fail_msg("\"%s\" became \"%s\", not \"%s\"", v[i][0], got, want);
        assert_int_equal(found > 0, v[i][1] != NULL);
        ds_buf_fini(&out);
    }
}

static void known_names_go(void **state)
{
    (void)state;
    dcm_ids *ids;
    dcm_search *s;
    ds_buf out = {0};
    unsigned found;
    static const char text[] = "DOE, JANE was seen at Lakeshore General; doe again. 1970-02-03. "
                               "<doc>U2VlbiBieSBEci4gWDogSmFuZSBEb2U=</doc>";
    dcm_ids_new(&ids, NULL);
    ids_add(ids, 0x00100010, "Doe^Jane", 8);
    ids_add(ids, 0x00080080, "Lakeshore General", 17);
    assert_int_equal(dcm_search_new_scrub(&s, ids, NULL), 0);
    assert_int_equal(dcm_scrub(s, text, sizeof text - 1, true, &out, &found, NULL), 0);
    assert_string_equal(ds_buf_cstr(&out),
                        "[NAME] was seen at [PLACE]; [NAME] again. 1970-02-03. <doc>[NAME]</doc>");
    dcm_search_free(s);
    dcm_ids_free(ids);
    ds_buf_fini(&out);
}

/* Whatever a text ends with, nothing behind its end is looked at: with a sanitizer that is seen. */
static void ends_anywhere(void **state)
{
    (void)state;
    static const char *const v[] = {
        "read by J. Miller", "Dr. Smith",         "5th Jan 2020",
        "MRN: 44A1",         "93 years",          "see https://a.example.org",
        "a@b.example.org",   "12 Long Acre Road", "1.2.840.10008.5.1.4"};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        for (size_t n = 1; n <= strlen(v[i]); n++) {
            char *exact = malloc(n);
            ds_buf out = {0};
            unsigned found;
            assert_non_null(exact);
            memcpy(exact, v[i], n);
            assert_int_equal(dcm_scrub(NULL, exact, n, false, &out, &found, NULL), 0);
            assert_true(found <= 1 && (found || out.len == n));
            free(exact);
            ds_buf_fini(&out);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(vectors), cmocka_unit_test(known_names_go),
                                       cmocka_unit_test(ends_anywhere)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
