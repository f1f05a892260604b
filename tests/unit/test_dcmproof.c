/* Identifiers and the search for them: variants, thresholds, text, JSON, tensors, transport. */
#include <stdio.h>

#include "unit.h"

#include "ids_help.h"
#include "jsonrow.h"

enum {
    NAME = 0x00100010,
    ID = 0x00100020,
    BORN = 0x00100030,
    UID = 0x00080018,
    PLACE = 0x00080080
};

static int found(uint32_t tag, const char *value, const char *text, bool scrub)
{
    dcm_ids *ids;
    dcm_search *s;
    dcm_hit hit = {0};
    assert_int_equal(dcm_ids_new(&ids, NULL), 0);
    assert_int_equal(ids_add(ids, tag, value, strlen(value)), 0);
    assert_int_equal(scrub ? dcm_search_new_scrub(&s, ids, NULL) : dcm_search_new(&s, ids, NULL),
                     0);
    dcm_ids_free(ids);
    int rc = dcm_search_text(s, text, strlen(text), 0, &hit);
    assert_true(rc == 0 || (hit.tag == tag && hit.at + hit.len <= strlen(text)));
    dcm_search_free(s);
    return rc;
}

static const struct {
    uint32_t tag;
    const char *value, *text;
    int want;
} vectors[] = {
    {NAME, "Doe^John^^Dr", "seen by DOE, J.", 1},
    {NAME, "Doe^John", "Johnny has no doeskin", 0},
    {NAME, "Doe^John", "CT_JOHNDOE_1.dcm", 1},
    {NAME, "Doe^John", "doe1", 1},
    {NAME, "White^Mary", "white matter", 0}, /* a word, by how it is written */
    {NAME, "White^Mary", "WHITE MATTER", 0},
    {NAME, "White^Mary", "White Matter Tracts", 0},
    {NAME, "White^Mary", "White matter is normal.", 0},
    {NAME, "White^Mary", "Normal. White matter too.", 0},
    {NAME, "White^Mary", "discussed with White at noon", 1},
    {NAME, "White^Mary", "{\"a\":\"White\",\"b\":\"c\"}", 1},
    {NAME, "White^Mary", "{\"a\":\"WHITE\",\"b\":\"c\"}", 0},
    {NAME, "May^Ann", "This may be. May follow up.", 0},
    {NAME, "May^Ann", "as May said before", 1},
    {NAME, "Fields^Ann", "lung fields are clear", 0},
    {NAME, "Fields^Ann", "the report of Fields is old", 1},
    {NAME, "Fields^Ann", "fields, ann", 1},
    {NAME, "Colon^Ana", "colon normal", 0},
    {NAME, "Baker^Tom", "a small Baker cyst", 0}, /* a term */
    {NAME, "Baker^Tom", "BAKER'S CYST", 0},
    {NAME, "Baker^Tom", "popliteal (Baker) cyst", 0},
    {NAME, "Baker^Tom", "Baker-Zyste links", 0},
    {NAME, "Baker^Tom", "discussed with Baker. Cyst seen.", 1},
    {NAME, "Baker^Tom", "Baker, cyst", 1},
    {NAME, "Baker^Tom", "BAKER", 1},
    {NAME, "Baker^Tom", "tom baker cyst", 1}, /* more than one word */
    {NAME, "Hill^Ann", "Hill-Sachs lesion", 0},
    {NAME, "Sachs^Ann", "a Hill-Sachs lesion", 0},
    {NAME, "Lawrence^Ann", "Kellgren-Lawrence grade 2", 0},
    {NAME, "Kellgren^Ann", "Kellgren-Lawrence grade 2", 0},
    {NAME, "Willis^Ann", "the circle of Willis", 0},
    {NAME, "Willis^Ann", "a letter of Willis", 1},
    {NAME, "Crohn^Ann", "Morbus Crohn", 0},
    {NAME, "Kowalczyk^Jan", "spoke to kowalczyk", 1},
    {NAME, "White^June", "June White, 34", 1},
    {NAME, "Müller^Jürgen", "MULLER", 1},
    {NAME, "Nguyễn^Thị Hương", "nguyen seen", 1},
    {NAME, "Nguyễn^Thị Hương", "Huong", 1},
    {NAME, "Șerban^Ștefan", "SERBAN", 1},
    {NAME, "Федоров^Пётр", "доктор Фёдоров", 1},
    {NAME, "ΔΙΟΝΥΣΙΟΥ^ΑΛΕΞΗΣ", "ο διονυσίου ήρθε", 1},
    {NAME, "Yamada^Hanako=山田^花子=やまだ^はなこ", "ヤマダ ハナコ", 1},
    {NAME, "ﾔﾏﾀﾞ^ﾊﾅｺ", "患者はやまだはなこ様", 1},
    {NAME, "やまだ^はなこ", "ﾔﾏﾀﾞ", 1},
    {NAME, "やまだ^はなこ", "ヤマグチ", 0},
    {NAME, "Müller^Jürgen", "Mueller", 1},
    {NAME, "Yamada^Tarou=山田^太郎", "患者は山田太郎です", 1},
    {NAME, "Yamada^Tarou=山田^太郎", "山 と 田", 0},
    {NAME, "Люк", "люк", 1},
    {NAME, "Li^X", "li", 0}, /* two letters */
    {NAME, "Li^Xiu", "Li Xiu", 1},
    {NAME, "van der Berg^Anna", "Berg", 1},
    {NAME, "John Smith", "smith john", 1},
    {ID, "MRN-00123456", "mrn 123456 seen", 1},
    {ID, "00123456", "PID123456.", 1},
    {ID, "123456", "0.123456", 0},
    {ID, "123456", "123456.75", 0},
    {ID, "123456", "1234567", 0},
    {ID, "123456", "d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1f123456a", 0},
    {ID, "4711", "4711", 0}, /* weak */
    {ID, "A4711", "a4711", 1},
    {ID, "12", "12", 0},
    {BORN, "19700203", "born 3 Feb 1970", 1},
    {BORN, "19700203", "born 02/03/1970", 1},
    {BORN, "19700203", "1970-02-03T10:00", 1},
    {BORN, "19700203", "19700203101500.00", 1},
    {BORN, "19700203", "February 3rd, 1971", 0},
    {BORN, "19000101", "19000101", 0},
    {UID, "1.2.276.0.7230010.3.1.4.1", "uid 1.2.276.0.7230010.3.1.4.1", 1},
    {UID, "1.2.276.0.7230010.3.1.4.1", "uid 1.2.276.0.7230010.3.1.4.2", 0},
    {UID, "1.2.840.10008", "1.2.840.10008.1.2", 0}, /* a root is not what stands below it */
    {UID, "1.2.276.0.7230010.3.1.4.1", "(1.2.276.0.7230010.3.1.4.1).", 1},
    {PLACE, "St. Mary's Hospital", "at ST MARY'S hospital", 1},
    {PLACE, "Hospital", "a hospital", 0},
    /* base64: "Doe^John", of two bytes a character too; a document; words that are none */
    {NAME, "Doe^John", "key=RG9lXkpvaG4=;", 1},
    {NAME, "Kowalczyk^Jan", "SwBvAHcAYQBsAGMAegB5AGsA", 1},
    {NAME, "Doe^John", "PHA+U2VlbiBvbiB3YXJkIDcuPC9wPjxuYW1lPkRvZTwvbmFtZT4=", 1},
    {NAME, "Doe^John", "PHA+U2VlbiBvbiB3YXJkIDcuPC9wPjxuYW1lPlJvZTwvbmFtZT4=", 0},
    {NAME, "Doe^John", "StudyInstanceUID PatientOrientation", 0},
};

/* Lines as in mail, and a run of several pieces: a name that lies across their seam. */
static void coded_runs(void **state)
{
    (void)state;
    ds_buf plain = {0}, coded = {0}, lines = {0};
    for (int lead = 2280; lead < 2330; lead += 7) {
        ds_buf_reset(&plain);
        ds_buf_reset(&coded);
        ds_buf_reset(&lines);
        for (int i = 0; i < lead; i++)
            ds_buf_putc(&plain, i % 9 ? 'x' : ' ');
        ds_buf_puts(&plain, " Kowalczyk ");
        for (int i = 0; i < 2500; i++)
            ds_buf_putc(&plain, i % 9 ? 'y' : ' ');
        assert_int_equal(ds_base64(&coded, plain.data, plain.len), 0);
        for (size_t i = 0; i < coded.len; i++) {
            ds_buf_putc(&lines, coded.data[i]);
            if (i % 76 == 75)
                ds_buf_puts(&lines, "\r\n");
        }
        assert_int_equal(found(NAME, "Kowalczyk^Jan", ds_buf_cstr(&coded), false), 1);
        assert_int_equal(found(NAME, "Kowalczyk^Jan", ds_buf_cstr(&lines), false), 1);
        assert_int_equal(found(NAME, "Nowak^Jan", ds_buf_cstr(&lines), false), 0);
    }
    ds_buf_fini(&plain);
    ds_buf_fini(&coded);
    ds_buf_fini(&lines);
}

static void text_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        if (found(vectors[i].tag, vectors[i].value, vectors[i].text, false) != vectors[i].want)
            fail_msg("vector %zu: %s in %s", i, vectors[i].value, vectors[i].text);
    assert_int_equal(found(ID, "4711", "no 4711", true), 1);
}

static void escapes_and_tensors(void **state)
{
    (void)state;
    dcm_ids *ids;
    dcm_search *s;
    dcm_hit hit;
    ds_buf scratch = {0};
    static const char json[] = "{\"t\":\"a\\nDoe\"}", wide[] = "{\"t\":\"M\\u00fcller\"}";
    dcm_ids_new(&ids, NULL);
    ids_add(ids, NAME, "Doe^Jane", 8);
    ids_add(ids, NAME, "Müller", 7);
    ids_add(ids, UID, "1.2.276.0.7230010", 17);
    assert_int_equal(dcm_search_new(&s, ids, NULL), 0);
    assert_int_equal(dcm_search_json(s, json, sizeof json - 1, &scratch, &hit, NULL), 1);
    assert_int_equal(dcm_search_json(s, wide, sizeof wide - 1, &scratch, &hit, NULL), 1);
    assert_int_equal(dcm_search_json(s, "{}", 2, &scratch, &hit, NULL), 0);
    uint8_t t[4096];
    for (size_t at = 0; at + 17 <= 100; at++) { /* at every offset, in every length */
        memset(t, '1', sizeof t);
        assert_int_equal(dcm_search_raw(s, t, 100, 0, &hit), 0);
        memcpy(t + at, "1.2.276.0.7230010", 17);
        assert_int_equal(dcm_search_raw(s, t, at + 17, 0, &hit), 1);
        assert_int_equal(hit.at, at);
        assert_int_equal(hit.len, 17);
        assert_int_equal(dcm_search_raw(s, t, at + 16, 0, &hit), 0);
        assert_int_equal(dcm_search_raw(s, t, 100, at, &hit), 1);
        assert_int_equal(dcm_search_raw(s, t, 100, at + 1, &hit), 0);
    }
    memcpy(t, "Doe^Jane", 8);
    assert_int_equal(dcm_search_raw(s, t, 8, 0, &hit), 1);
    dcm_search_free(s);
    dcm_ids_free(ids);
    ds_buf_fini(&scratch);
}

static void goes_over_a_pipe(void **state)
{
    (void)state;
    dcm_ids *a, *b, *c;
    ds_buf out = {0}, again = {0};
    ds_err err = {0};
    dcm_search *s;
    dcm_hit hit;
    dcm_ids_new(&a, NULL);
    dcm_ids_new(&b, NULL);
    dcm_ids_new(&c, NULL);
    ids_add(a, NAME, "Doe^Jane", 8);
    ids_add(a, BORN, "19700203", 8);
    ids_add(a, ID, "12345", 5);
    dcm_ids_allow_date(a, "19700203");
    assert_int_equal(dcm_ids_write(a, &out, NULL), 0);
    assert_int_equal(dcm_ids_read(b, out.data, out.len, NULL), 0);
    assert_int_equal(dcm_ids_write(b, &again, NULL), 0);
    assert_int_equal(out.len, again.len);
    assert_memory_equal(out.data, again.data, out.len);
    for (size_t cut = 0; cut < out.len; cut++) {
        ds_err_clear(&err);
        dcm_ids *d;
        dcm_ids_new(&d, NULL);
        assert_int_equal(dcm_ids_read(d, out.data, cut, &err), DS_CORRUPT);
        dcm_ids_free(d);
    }
    assert_int_equal(dcm_search_new_scrub(&s, b, NULL), 0);
    assert_int_equal(dcm_search_text(s, "1970-02-03", 10, 0, &hit), 0); /* allowed */
    assert_int_equal(dcm_search_text(s, "12345", 5, 0, &hit), 1);
    dcm_search_free(s);
    assert_int_equal(dcm_ids_merge(c, b, NULL), 0); /* names and codes, no dates, nothing weak */
    assert_int_equal(dcm_search_new_scrub(&s, c, NULL), 0);
    assert_int_equal(dcm_search_text(s, "12345", 5, 0, &hit), 0);
    assert_int_equal(dcm_search_text(s, "jane", 4, 0, &hit), 1);
    assert_int_equal(hit.tag, NAME);
    dcm_search_free(s);
    size_t n = dcm_ids_count(c);
    assert_int_equal(dcm_ids_merge(c, b, NULL), 0);
    assert_int_equal(dcm_ids_count(c), n);
    dcm_ids_free(a);
    dcm_ids_free(b);
    dcm_ids_free(c);
    ds_buf_fini(&out);
    ds_buf_fini(&again);
}

/* A search that grows finds the same as one made at once, whatever the order. */
static void grows(void **state)
{
    (void)state;
    dcm_ids *all, *one;
    dcm_search *grown, *whole;
    dcm_hit a, b;
    char value[64], text[80];
    dcm_ids_new(&all, NULL);
    assert_int_equal(dcm_search_new(&grown, all, NULL), 0);
    for (unsigned i = 0; i < 3000; i++) {
        dcm_ids_new(&one, NULL);
        int n = snprintf(value, sizeof value, "1.2.276.77.%u.%u", i, i * 31u);
        ids_add(one, UID, value, (size_t)n);
        n = snprintf(value, sizeof value, "Fam%u^Giv%u", i % 500, i);
        ids_add(one, NAME, value, (size_t)n);
        dcm_ids_merge(all, one, NULL);
        assert_int_equal(dcm_search_grow(grown, one, NULL), 0);
        dcm_ids_free(one);
    }
    assert_int_equal(dcm_search_new(&whole, all, NULL), 0);
    assert_int_equal(dcm_search_count(grown), dcm_ids_count(all));
    for (unsigned i = 0; i < 6000; i++) {
        int n = snprintf(text, sizeof text, "about 1.2.276.77.%u.%u and more", i, i * 31u);
        int want = i < 3000;
        assert_int_equal(dcm_search_text(grown, text, (size_t)n, 0, &a), want);
        assert_int_equal(dcm_search_text(whole, text, (size_t)n, 0, &b), want);
        assert_true(!want || (a.at == b.at && a.len == b.len));
        assert_int_equal(dcm_search_raw(grown, text, (size_t)n, 0, &a), want);
        assert_true(!want || a.at == 6);
    }
    dcm_search_free(grown);
    dcm_search_free(whole);
    dcm_ids_free(all);
}

/* Bytes of a tensor, against the plainest search there is; ids of characters, of others, and with
 * control characters in them. */
static void tensors_against_memmem(void **state)
{
    (void)state;
    static const char *const value[] = {
        "1.2.276.0.7230010.3",       "12 Harbour Rd",
        "Lakeshore\tGeneral",        "aa\r\nbb\r\ncc\r\ndd",
        "M\303\274ller^J\303\266rg", "\345\261\261\347\224\260\345\244\252\351\203\216",
    };
    const size_t values = sizeof value / sizeof *value;
    uint64_t seed = 7;
    uint8_t t[700];
    for (size_t upto = 1; upto <= values;
         upto++) { /* every kind of byte that has to be looked at */
        dcm_ids *ids;
        dcm_search *s;
        dcm_ids_new(&ids, NULL);
        for (size_t i = 0; i < upto; i++)
            ids_add(ids, i == 0 ? UID : i >= 4 ? NAME : PLACE, value[i], strlen(value[i]));
        assert_int_equal(dcm_ids_count(ids) >= upto, 1);
        assert_int_equal(dcm_search_new(&s, ids, NULL), 0);
        for (unsigned round = 0; round < 4000; round++) {
            dcm_hit hit;
            size_t len = 8 + (seed >> 33) % (sizeof t - 8), from, best = len;
            for (size_t i = 0; i < len; i++) { /* as text, as pixels, as anything */
                seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
                uint8_t c = (uint8_t)(seed >> 56);
                t[i] = round % 3 == 0            ? (uint8_t)("1.2a\r\n"[c % 6])
                       : round % 3 == 1 && i % 2 ? c % 4
                                                 : c;
            }
            const char *v = value[(seed >> 40) % upto];
            size_t n = strlen(v), at = (seed >> 20) % len;
            memcpy(t + at, v, n < len - at ? n : len - at);
            from = round % 5 ? 0 : (seed >> 25) % len;
            for (size_t i = 0; i < upto; i++) {
                const uint8_t *p = memmem(t + from, len - from, value[i], strlen(value[i]));
                if (p && (size_t)(p - t) < best)
                    best = (size_t)(p - t);
            }
            assert_int_equal(dcm_search_raw(s, t, len, from, &hit), best < len);
            assert_true(best == len || (hit.at >= from && hit.at + hit.len <= len));
        }
        dcm_search_free(s);
        dcm_ids_free(ids);
    }
}

/* Another spelling of what another file held is an identifier too; dates are of one file alone. */
static void spellings_and_dates(void **state)
{
    (void)state;
    static const char *const spelt[] = {"DOE^JOHN^ADAM", "Doe^John^Adam"};
    dcm_ids *none, *one;
    dcm_search *s;
    dcm_hit hit;
    dcm_ids_new(&none, NULL);
    assert_int_equal(dcm_search_new(&s, none, NULL), 0);
    for (size_t i = 0; i < 2; i++) {
        dcm_ids_new(&one, NULL);
        ids_add(one, NAME, spelt[i], 13);
        ids_add(one, BORN, i == 0 ? "19700203" : "19810405", 8);
        assert_int_equal(dcm_search_own(s, one, NULL), 0);
        assert_int_equal(dcm_search_grow(s, one, NULL), 0);
        dcm_ids_free(one);
        assert_int_equal(dcm_search_raw(s, spelt[i], 13, 0, &hit), 1);
        assert_int_equal(dcm_search_text(s, "on 19700203", 11, 0, &hit), i == 0);
        assert_int_equal(dcm_search_text(s, "1981-04-05", 10, 0, &hit), i == 1);
        assert_int_equal(dcm_search_text(s, "19810405101500", 14, 0, &hit), i == 1);
    }
    assert_int_equal(dcm_search_raw(s, spelt[0], 13, 0, &hit), 1);
    assert_int_equal(dcm_search_own(s, NULL, NULL), 0);
    assert_int_equal(dcm_search_text(s, "1981-04-05", 10, 0, &hit), 0);
    assert_int_equal(dcm_search_text(s, "john doe", 8, 0, &hit), 1);
    dcm_search_free(s);
    dcm_ids_free(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coded_runs),
        cmocka_unit_test(text_vectors),
        cmocka_unit_test(escapes_and_tensors),
        cmocka_unit_test(goes_over_a_pipe),
        cmocka_unit_test(grows),
        cmocka_unit_test(tensors_against_memmem),
        cmocka_unit_test(spellings_and_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
