/* Classes of characters, and NFC (UAX #15). */
#include "unit.h"

#include "tok_uni.h"
#include "utf8.h"

static uint8_t cls[DS_UNI_MAX];

static void nfc_is(const char *text, const char *want)
{
    ds_buf b = {0};
    const uint8_t *p = (const uint8_t *)text;
    assert_int_equal(ds_uni_to_form(&b, cls, DS_UNI_NFC, p, strlen(text), NULL), 0);
    if (strcmp(ds_buf_cstr(&b), want) != 0)
        fail_msg("'%s' gave '%s', not '%s'", text, (char *)b.data, want);
    if (strcmp(text, want) != 0)
        assert_false(ds_uni_is_form(cls, DS_UNI_NFC, p, strlen(text)));
    ds_buf_fini(&b);
}

static void form_is(enum ds_uni_form form, const char *text, const char *want)
{
    ds_buf b = {0};
    const uint8_t *p = (const uint8_t *)text;
    assert_int_equal(ds_uni_to_form(&b, cls, form, p, strlen(text), NULL), 0);
    assert_string_equal(ds_buf_cstr(&b), want);
    if (strcmp(text, want) != 0)
        assert_false(ds_uni_is_form(cls, form, p, strlen(text)));
    ds_buf_fini(&b);
}

static void forms(void **state)
{
    (void)state;
    form_is(DS_UNI_NFD, "x\xc3\xa9\xea\xb0\x81", "xe\xcc\x81\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8");
    form_is(DS_UNI_NFD, "\xef\xac\x83", "\xef\xac\x83");
    form_is(DS_UNI_NFKD, "\xef\xac\x83\xc2\xbd",
            "ffi1\xe2\x81\x84"
            "2");
    form_is(DS_UNI_NFKC, "\xef\xac\x83\xef\xbc\xa1", "ffiA");
    form_is(DS_UNI_NFKC, "\xef\xbd\xb6\xef\xbe\x9e",
            "\xe3\x82\xac"); /* a mark that only folding shows */
    form_is(DS_UNI_NFKC, "\xe3\x84\xb1\xe3\x85\x8f", "\xea\xb0\x80");
    form_is(DS_UNI_NFKC, "e\xcc\x81\xe3\x80\x80", "\xc3\xa9 ");
    assert_int_equal(ds_uni_small('Q'), 'q');
    assert_int_equal(ds_uni_small(0x3a3), 0x3c3);
    assert_int_equal(ds_uni_small('q'), 'q');
    assert_int_equal(ds_uni_small(0x10ffff), 0x10ffff);
    assert_true(ds_uni_in(ds_uni_accents, ds_uni_accents_n, 0x301));
    assert_false(ds_uni_in(ds_uni_punct, ds_uni_punct_n, '+' + 0x1000));
}

static void classes(void **state)
{
    (void)state;
    const struct {
        uint32_t cp;
        uint8_t bits;
    } facts[] = {{'a', DS_UNI_L | DS_UNI_WORD},
                 {'7', DS_UNI_N | DS_UNI_WORD},
                 {'!', DS_UNI_PS},
                 {'+', DS_UNI_PS},
                 {'_', DS_UNI_PS | DS_UNI_WORD},
                 {' ', DS_UNI_WS},
                 {'\n', DS_UNI_WS},
                 {0x0b, DS_UNI_WS},
                 {0, 0},
                 {0x7f, 0},
                 {0x85, DS_UNI_WS},
                 {0xa0, DS_UNI_WS},
                 {0x3000, DS_UNI_WS},
                 {0x180e, 0},
                 {0x200b, 0},
                 {0x301, DS_UNI_M | DS_UNI_WORD | DS_UNI_COMBINES},
                 {0x2167, DS_UNI_N | DS_UNI_WORD},
                 {0xb2, DS_UNI_N},
                 {0x4e2d, DS_UNI_L | DS_UNI_WORD | DS_UNI_CJK},
                 {0x9fa6, DS_UNI_L | DS_UNI_WORD},
                 {0x3042, DS_UNI_L | DS_UNI_WORD | DS_UNI_CJK},
                 {0x30fb, DS_UNI_PS | DS_UNI_CJK},
                 {0x3040, DS_UNI_CJK},
                 {0x3099, DS_UNI_M | DS_UNI_WORD | DS_UNI_COMBINES | DS_UNI_CJK},
                 {0x1f999, DS_UNI_PS},
                 {0x378, 0},
                 {0x1c89, DS_UNI_L | DS_UNI_WORD},
                 {0x10ffff, 0},
                 {0x212b, DS_UNI_L | DS_UNI_WORD | DS_UNI_COMBINES}};
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        if (cls[facts[i].cp] != facts[i].bits)
            fail_msg("U+%04X: %02x, not %02x", facts[i].cp, cls[facts[i].cp], facts[i].bits);
}

static void composes(void **state)
{
    (void)state;
    nfc_is("", "");
    nfc_is("plain", "plain");
    nfc_is("e\xcc\x81", "\xc3\xa9");
    nfc_is("xe\xcc\x81y", "x\xc3\xa9y");
    nfc_is("\xcc\x81", "\xcc\x81");
    nfc_is("q\xcc\x87\xcc\xa3", "q\xcc\xa3\xcc\x87"); /* reordered */
    nfc_is("a\xcc\x82\xcc\x81", "\xe1\xba\xa5");      /* twice */
    nfc_is("\xc3\xa2\xcc\x81", "\xe1\xba\xa5");       /* with a composed one */
    nfc_is("o\xcc\x81\xcc\x9b", "\xe1\xbb\x9b");      /* the later mark first */
    nfc_is("a\xcc\x81\xcc\x81", "\xc3\xa1\xcc\x81");  /* blocked */
    nfc_is("\xe2\x84\xab", "\xc3\x85");               /* singleton */
    nfc_is("\xcd\x84", "\xcc\x88\xcc\x81");           /* excluded from composition */
    nfc_is("\xe0\xa5\x98", "\xe0\xa4\x95\xe0\xa4\xbc");
    nfc_is("\xe1\x84\x80\xe1\x85\xa1", "\xea\xb0\x80");             /* Hangul L V */
    nfc_is("\xea\xb0\x80\xe1\x86\xa8", "\xea\xb0\x81");             /* LV T */
    nfc_is("\xea\xb0\x81\xe1\x86\xa8", "\xea\xb0\x81\xe1\x86\xa8"); /* LVT T */
    nfc_is("\xe0\xa7\x87\xe0\xa6\xbe", "\xe0\xa7\x8b");             /* a mark of class 0 */
    nfc_is("e\xcc\x81 e\xcc\x81", "\xc3\xa9 \xc3\xa9");
}

static void is_stable(void **state)
{
    (void)state;
    /* NFC of every composed character is NFC, and the quick check agrees when it says yes. */
    for (unsigned i = 0; i < ds_uni_comp_n; i++) {
        uint8_t text[8];
        ds_buf b = {0}, c = {0};
        unsigned n = ds_utf8_put(text, ds_uni_comp[i].a);
        n += ds_utf8_put(text + n, ds_uni_comp[i].b);
        assert_int_equal(ds_uni_to_form(&b, cls, DS_UNI_NFC, text, n, NULL), 0);
        assert_int_equal(ds_uni_to_form(&c, cls, DS_UNI_NFC, b.data, b.len, NULL), 0);
        assert_int_equal(b.len, c.len);
        assert_memory_equal(b.data, c.data, b.len);
        unsigned k;
        assert_int_equal(ds_uni_get(b.data, &k), ds_uni_comp[i].c);
        assert_int_equal(k, b.len);
        ds_buf_fini(&b);
        ds_buf_fini(&c);
    }
}

static void many_marks(void **state)
{
    (void)state;
    ds_buf text = {0}, out = {0};
    ds_buf_putc(&text, 'a');
    for (int i = 0; i < 50000; i++)
        ds_buf_puts(&text, i % 2 ? "\xcc\xa3" : "\xcc\x87"); /* classes 230, 220 */
    assert_int_equal(ds_uni_to_form(&out, cls, DS_UNI_NFC, text.data, text.len, NULL), 0);
    assert_int_equal(out.len, 3 + 2 * 49999);
    assert_memory_equal(out.data, "\xe1\xba\xa1\xcc\xa3", 5);
    assert_memory_equal(out.data + out.len - 2, "\xcc\x87", 2);
    ds_buf_fini(&text);
    ds_buf_fini(&out);
}

static void utf8(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < DS_UNI_MAX; c += c < 0x3000 ? 1 : 97) {
        uint8_t b[4];
        unsigned n = ds_utf8_put(b, c), m;
        assert_int_equal(ds_uni_get(b, &m), c);
        assert_int_equal(n, m);
        assert_ptr_equal(ds_uni_back(b, b + n), b);
    }
}

int main(void)
{
    ds_uni_fill(cls);
    const struct CMUnitTest tests[] = {cmocka_unit_test(classes),    cmocka_unit_test(forms),
                                       cmocka_unit_test(composes),   cmocka_unit_test(is_stable),
                                       cmocka_unit_test(many_marks), cmocka_unit_test(utf8)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
