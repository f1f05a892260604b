/* Character sets of DICOM: every set, code extensions, resets, and what is undeclared. */
#include <stdio.h>
#include <sys/stat.h>

#include "unit.h"

#include "dcm_parse.h"
#include "dcmchar.h"

#define VR(s) DCM_VR((s)[0], (s)[1])

static char *text_of(const char *charset, const char *vr, const void *p, size_t len,
                     const char *fallback, unsigned *flags)
{
    static ds_buf out;
    dcm_tree *t;
    dcm_char *c;
    ds_err err = {0};
    ds_buf_reset(&out);
    *flags = 0;
    assert_int_equal(dcm_tree_new(&t, NULL), 0);
    if (charset)
        dcm_set_put(t, dcm_tree_main(t), 0x00080005, VR("CS"), charset, strlen(charset), NULL,
                    NULL);
    assert_int_equal(dcm_char_new(&c, dcm_tree_main(t), fallback, &err), 0);
    assert_int_equal(dcm_char_utf8(c, VR(vr), p, len, &out, flags, &err), 0);
    dcm_char_free(c);
    dcm_tree_free(t);
    const char *s = ds_buf_cstr(&out);
    char *copy = s ? strdup(s) : NULL;
    ds_buf_fini(&out);
    assert_non_null(copy);
    return copy;
}

static const struct {
    const char *set, *vr, *in, *want;
    unsigned flags;
} vectors[] = {
    {NULL, "LO", "plain ^=\\", "plain ^=\\", 0},
    {"ISO_IR 100", "PN", "Buc^J\xe9r\xf4me", "Buc^Jérôme", 0},
    {"ISO 2022 IR 100", "LO", "\xc4", "Ä", 0},
    {"ISO-IR 100", "LO", "\xc4", "Ä", 0},
    {"ISO_IR 101", "LO", "\xa3\xf3\x64\xbc", "Łódź", 0},
    {"ISO_IR 109", "LO", "\xe6\xfd", "ĉŭ", 0},
    {"ISO_IR 110", "LO", "\xe0\xbf", "āŋ", 0},
    {"ISO_IR 144", "PN", "\xbb\xee\xda", "Люк", 0},
    {"ISO_IR 127", "PN", "\xe2\xc8\xc7", "قبا", 0},
    {"ISO_IR 126", "PN", "\xc4\xe9\xef", "Διο", 0},
    {"ISO_IR 138", "PN", "\xf9\xf8\xe5\xef", "שרון", 0},
    {"ISO_IR 148", "LO", "\xfd\xde", "ıŞ", 0},
    {"ISO_IR 203", "LO", "\xa4", "€", 0},
    {"ISO_IR 166", "LO", "\xca\xc1\xaa", "สมช", 0},
    {"ISO_IR 126", "LO", "\xff", "\xef\xbf\xbd", DCM_CHAR_REPLACED},
    {"ISO_IR 192", "PN", "王^小東", "王^小東", 0},
    {"ISO_IR 192", "PN", "a\xff", "a\xef\xbf\xbd", DCM_CHAR_REPLACED | DCM_CHAR_UNDECLARED},
    {"GB18030", "PN", "\xcd\xf5^\xd0\xa1\xb6\xab", "王^小东", 0},
    {"GBK", "LO", "\x81\x5c", "乗", 0}, /* a backslash that is none */
    {"GB18030", "LO", "\x81\x30\x84\x36", "¥", 0},
    {"ISO_IR 13", "PN", "\xd4\xcf\xc0\xde~", "ﾔﾏﾀﾞ‾", 0},
    /* PS3.5 annexes H, I, J and K: extensions, and what ends them */
    {"\\ISO 2022 IR 87", "PN",
     "Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
     "Yamada^Tarou=山田^太郎=やまだ^たろう", 0},
    {"ISO 2022 IR 13\\ISO 2022 IR 87", "PN",
     "\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
     "ﾔﾏﾀﾞ^ﾀﾛｳ"
     "=山田^太郎",
     0},
    {"\\ISO 2022 IR 159", "LO", "\x1b$(D\x30\x21\x1b(B.", "丂.", 0},
    {"\\ISO 2022 IR 149", "PN", "Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
     "Hong^Gildong=洪^吉洞", 0},
    {"\\ISO 2022 IR 149", "PN", "\x1b$)C\xfb\xf3^\xd1\xce", "洪^\xef\xbf\xbd\xef\xbf\xbd",
     DCM_CHAR_REPLACED},
    {"\\ISO 2022 IR 58", "LO", "\x1b$)A\xd0\xa1\xb6\xab abc", "小东 abc", 0},
    {"\\ISO 2022 IR 58", "LT", "1 \x1b$)A\xd0\xa1\r\n2 \x1b$)A\xb6\xab", "1 小\r\n2 东", 0},
    {"\\ISO 2022 IR 58", "LO", "\xd0\xa1\xb6\xab", "小东", DCM_CHAR_UNDECLARED},
    {"ISO 2022 IR 100\\ISO 2022 IR 144", "LO", "\xe9 \x1b-L\xbb\xee\xda\\\xe9", "é Люк\\é", 0},
    {"ISO_IR 100", "LO", "\x1b-L\xbb", "Л", DCM_CHAR_UNDECLARED},
    {"\\ISO 2022 IR 87", "LO", "\x1bZx", "\xef\xbf\xbdZx", DCM_CHAR_REPLACED},
    {"\\ISO 2022 IR 87", "LO", "\x1b$B\x7e\x7e\x1b(B", "\xef\xbf\xbd", DCM_CHAR_REPLACED},
    {"ISO_IR 999", "LO", "x\xe9", "x\xef\xbf\xbd",
     DCM_CHAR_REPLACED | DCM_CHAR_UNKNOWN_SET | DCM_CHAR_UNDECLARED},
    {NULL, "LO", "é", "é", DCM_CHAR_UNDECLARED},
    {NULL, "LO", "\xe9", "\xef\xbf\xbd", DCM_CHAR_REPLACED | DCM_CHAR_UNDECLARED},
    /* UTF-8 under another name; letters of Latin-2 are no reason to think so */
    {"ISO_IR 100", "PN", "M\xc3\xbcller", "Müller", DCM_CHAR_UNDECLARED},
    {"ISO_IR 100", "LO", "M\xfcller \xc3\xbc", "Müller Ã¼", 0},
    {"ISO_IR 101", "LO", "SZK\xd3\xa3", "SZKÓŁ", 0},
    {"ISO_IR 100", "CS", "\xc3\xa9", "é", DCM_CHAR_UNDECLARED}, /* no set holds for CS */
};

static void known_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        unsigned flags;
        char *got = text_of(vectors[i].set, vectors[i].vr, vectors[i].in, strlen(vectors[i].in),
                            NULL, &flags);
        if (strcmp(got, vectors[i].want) != 0 || flags != vectors[i].flags)
            fail_msg("vector %zu (%s): \"%s\", not \"%s\"; flags %u, not %u", i,
                     vectors[i].set ? vectors[i].set : "none", got, vectors[i].want, flags,
                     vectors[i].flags);
        free(got);
    }
}

static void fallback_of_the_site(void **state)
{
    (void)state;
    unsigned flags;
    char *got = text_of(NULL, "LO", "\xd0\xa1\xb6\xab", 4, "GBK", &flags);
    assert_string_equal(got, "小东");
    assert_int_equal(flags, DCM_CHAR_UNDECLARED);
    free(got);
    dcm_char *c;
    dcm_set none = {0};
    ds_err err = {0};
    assert_int_equal(dcm_char_new(&c, &none, "NO-SUCH", &err), DS_USAGE);
    assert_null(c);
}

/* What the texts of an object tell of its set together. */
static const struct {
    const char *set, *fallback, *name, *text, *want_name, *want_text;
} objects[] = {
    /* Names and "the patient ... comes again" in GBK; the second name is UTF-8 by chance. */
    {"ISO_IR 100", "GBK", "\xcd\xf5^\xce\xe5", "\xbb\xbc\xd5\xdf\xcd\xf5\xce\xe5\xb8\xb4\xb2\xe9",
     "王^五", "患者王五复查"},
    {"ISO_IR 100", "GBK", "\xd6\xbd", "\xbb\xbc\xd5\xdf\xd6\xbd \xb8\xb4\xb2\xe9. \xc6\xbd", "纸",
     "患者纸 复查. 平"},
    {NULL, "GBK", "\xd6\xbd", "\xbb\xbc\xd5\xdf\xd6\xbd\r\n\xb8\xb4\xb2\xe9", "纸",
     "患者纸\r\n复查"},
    {"ISO_IR 100", NULL, "\xd6\xbd", "CT \xd6\xbd\xd5\xdf", "\xef\xbf\xbd\xef\xbf\xbd",
     "CT \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"ISO_IR 100", "BIG5", "\xa4\xfd\xa4\x70\xa9\xfa", "\xa4\xfd\xa4\x70\xa9\xfa", "王小明",
     "王小明"},
    {"ISO_IR 100", "CP1251", "\xc8\xe2\xe0\xed\xee\xe2", "\xc8\xe2\xe0\xed\xee\xe2\xe0 OK",
     "Иванов", "Иванова OK"},
    {"ISO_IR 100", "EUC-KR", "\xb1\xe8^\xc8\xf1\xc1\xdf", "\xb1\xe8 \xc8\xf1\xc1\xdf", "김^희중",
     "김 희중"},
    /* Latin-1 is Latin-1 all the same. */
    {"ISO_IR 100", "GBK", "M\xfcller^S\xf6ren",
     "Gr\xf6\xdf"
     "e 3 \xb5m\xb2, s\xfc\xdf, \xab\xe9t\xe9\xbb, 3\xbd\xb0",
     "Müller^Sören", "Größe 3 µm², süß, «été», 3½°"},
    {"ISO_IR 100", "GBK", "P\xe4\xe4kk\xf6nen",
     "p\xe4\xe4 \xa1\xc9"
     "a! \xb1 5",
     "Pääkkönen", "pää ¡Éa! ± 5"},
    /* A name that was put in later, in UTF-8, among texts that are Latin-1. */
    {"ISO_IR 100", "GBK", "M\xc3\xbcller",
     "Gr\xf6\xdf"
     "e f\xfcr M\xfcller, s\xfc\xdf",
     "Müller", "Größe für Müller, süß"},
    {"ISO_IR 148", "GBK", "K\xfc\xe7\xfc\xf0^\xde\xfc", "\xf6l\xe7\xfc\xf0\xfc", "Küçüğ^Şü",
     "ölçüğü"},
    /* UTF-8 that nothing declares, with half a character at its end. */
    {NULL, "GBK", "M\xc3\xbcller",
     "Gr\xc3\xb6\xc3\x9f"
     "e f\xc3",
     "Müller", "Größe f\xef\xbf\xbd"},
};

static void all_texts_of_an_object(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
        dcm_tree *t;
        const char *p;
        size_t n;
        unsigned flags = 0;
        assert_int_equal(dcm_tree_new(&t, NULL), 0);
        dcm_set *s = dcm_tree_main(t);
        if (objects[i].set)
            dcm_set_put(t, s, 0x00080005, DCM_VR('C', 'S'), objects[i].set, strlen(objects[i].set),
                        NULL, NULL);
        dcm_set_put(t, s, 0x00100010, DCM_VR('P', 'N'), objects[i].name, strlen(objects[i].name),
                    NULL, NULL);
        dcm_set_put(t, s, 0x00204000, DCM_VR('L', 'T'), objects[i].text, strlen(objects[i].text),
                    NULL, NULL);
        assert_int_equal(dcm_tree_utf8(t, objects[i].fallback, &flags, NULL), 0);
        assert_true(dcm_get_text(s, 0x00100010, 0, &p, &n));
        if (n != strlen(objects[i].want_name) || memcmp(p, objects[i].want_name, n) != 0)
            fail_msg("object %zu: name \"%.*s\"", i, (int)n, p);
        assert_true(dcm_get_text(s, 0x00204000, 0, &p, &n));
        if (n != strlen(objects[i].want_text) || memcmp(p, objects[i].want_text, n) != 0)
            fail_msg("object %zu: text \"%.*s\"", i, (int)n, p);
        dcm_tree_free(t);
    }
}

static const dcm_elem *first_name(const dcm_set *s, const dcm_set **in)
{
    const dcm_elem *e = dcm_set_find(s, 0x00100010);
    *in = s;
    for (uint32_t i = 0; i < s->n && !e; i++)
        for (uint32_t k = 0; k < s->elems[i].nitems && !e; k++)
            e = first_name(s->elems[i].items[k], in);
    return e;
}

static void real_files(void **state)
{
    (void)state;
    static const char *const v[][2] = {
        {"chrArab", "قباني^لنزار"},
        {"chrFren", "Buc^Jérôme"},
        {"chrFrenMulti", "Buc^Jérôme"},
        {"chrGerm", "Äneas^Rüdiger"},
        {"chrGreek", "Διονυσιος"},
        {"chrH31", "Yamada^Tarou=山田^太郎=やまだ^たろう"},
        {"chrH32", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"},
        {"chrHbrw", "שרון^דבורה"},
        {"chrI2", "Hong^Gildong=洪^吉洞=홍^길동"},
        {"chrJapMulti", "やまだ^たろう"},
        {"chrJapMultiExplicitIR6", "やまだ^たろう"},
        {"chrKoreanMulti", "김희중"},
        {"chrRuss", "Люкceмбypг"},
        {"chrSQEncoding", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"},
        {"chrSQEncoding1", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"},
        {"chrX1", "Wang^XiaoDong=王^小東="},
        {"chrX2", "Wang^XiaoDong=王^小东="},
    };
    const char *shared = getenv("DS_SHARED");
    char path[4096];
    struct stat st;
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        dcm_tree *t;
        dcm_char *c;
        const dcm_set *in;
        ds_buf out = {0};
        unsigned flags = 0;
        size_t len;
        snprintf(path, sizeof path, "%s/data/dicom/pydicom/charset_files__%s.dcm",
                 shared ? shared : "../shared", v[i][0]);
        if (stat(path, &st) != 0) {
            print_message("no sample files: skipped\n");
            skip();
        }
        char *data = unit_read(path, &len);
        assert_int_equal(dcm_tree_new(&t, NULL), 0);
        assert_true(dcm_parse_bytes(t, (const uint8_t *)data, len));
        const dcm_elem *e = first_name(dcm_tree_main(t), &in);
        assert_non_null(e);
        assert_int_equal(dcm_char_new(&c, in, NULL, NULL), 0);
        size_t n = e->len;
        while (n > 0 && e->val[n - 1] == ' ')
            n--;
        assert_int_equal(dcm_char_utf8(c, e->vr, e->val, n, &out, &flags, NULL), 0);
        assert_string_equal(ds_buf_cstr(&out), v[i][1]);
        assert_int_equal(flags, 0);
        ds_buf_fini(&out);
        dcm_char_free(c);
        dcm_tree_free(t);
        free(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_vectors),
        cmocka_unit_test(fallback_of_the_site),
        cmocka_unit_test(all_texts_of_an_object),
        cmocka_unit_test(real_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
