/* Policies by name, the table's cells, keys from files, pseudonyms and UIDs. */
#include <sys/stat.h>

#include "unit.h"

#include "dcmdate.h"
#include "dcmpolicy.h"

static void names_of_policies(void **state)
{
    (void)state;
    static const struct {
        const char *text, *canonical, *error;
    } v[] = {
        {"basic", "basic", NULL},
        {"none", "none", NULL},
        {"clean-descriptors,retain-uids,basic", "basic,retain-uids,clean-descriptors", NULL},
        {"", NULL, "no such"},
        {"retain-uids", NULL, "name the profile"},
        {"basic,none", NULL, "stands alone"},
        {"basic,retain-everything", NULL, "no such de-identification option: retain-everything"},
        {"basic,retain-full-dates,retain-modified-dates", NULL, "exclude"},
        {"basic,clean-visual-features", "basic,clean-visual-features", NULL},
    };
    ds_sha first = {{0}};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        dcm_policy *p;
        ds_err err = {0};
        int rc = dcm_policy_parse(&p, v[i].text, &err);
        assert_int_equal(rc, v[i].canonical ? 0 : DS_USAGE);
        if (rc == 0) {
            assert_string_equal(dcm_policy_text(p), v[i].canonical);
            assert_false(ds_sha_eq(dcm_policy_digest(p), &first));
            first = *dcm_policy_digest(p);
        } else {
            assert_non_null(strstr(err.msg, v[i].error));
        }
        dcm_policy_free(p);
    }
}

static void cells_of_the_table(void **state)
{
    (void)state;
    static const struct {
        const char *policy;
        uint32_t tag;
        int act;
    } v[] = {
        {"basic", 0x00100010, DCM_ACT_EMPTY},  /* Z */
        {"basic", 0x00080018, DCM_ACT_UID},    /* U */
        {"basic", 0x00081030, DCM_ACT_REMOVE}, /* X */
        {"basic", 0x00080022, DCM_ACT_EMPTY},  /* X/Z */
        {"basic", 0x0040a730, DCM_ACT_DUMMY},  /* D */
        {"basic", 0x00081140, DCM_ACT_UID},    /* X/Z/U* */
        {"basic", 0x00880200, DCM_ACT_REMOVE}, /* icon images */
        {"basic", 0x60023000, DCM_ACT_REMOVE},
        {"basic", 0x50000010, DCM_ACT_REMOVE},
        {"basic", 0x00280010, DCM_UNLISTED},
        {"basic,clean-descriptors", 0x00081030, DCM_ACT_CLEAN},
        {"basic,clean-graphics", 0x60003000, DCM_ACT_REMOVE},
        {"basic,retain-uids", 0x00080018, DCM_ACT_KEEP},
        {"basic,retain-full-dates", 0x00080020, DCM_ACT_KEEP},
        {"basic,retain-modified-dates", 0x00080020, DCM_ACT_SHIFT},
        {"basic,retain-modified-dates", 0x00100030, DCM_ACT_EMPTY}, /* birth dates are no such */
        {"basic,retain-patient-characteristics", 0x00101010, DCM_ACT_KEEP},
        {"basic,retain-institution", 0x00080080, DCM_ACT_KEEP},
        {"basic,retain-device", 0x00181000, DCM_ACT_KEEP},
        {"basic,retain-device,retain-modified-dates", 0x00181200, DCM_ACT_SHIFT},
        {"none", 0x00100010, DCM_ACT_KEEP},
    };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        dcm_policy *p;
        assert_int_equal(dcm_policy_parse(&p, v[i].policy, NULL), 0);
        if (dcm_policy_act(p, v[i].tag) != v[i].act)
            fail_msg("%s: %08x: %d, not %d", v[i].policy, v[i].tag, dcm_policy_act(p, v[i].tag),
                     v[i].act);
        dcm_policy_free(p);
    }
    assert_int_equal(dcm_policy_n, 617);
}

static void private_elements(void **state)
{
    (void)state;
    dcm_policy *p, *q;
    ds_err err = {0};
    unit_write(unit_path("safe"), "# ours\nACME 1.0\t0029,xx12\n", 26);
    unit_write(unit_path("bad"), "ACME 1.0 0029,1012\n", 19);
    assert_int_equal(dcm_policy_parse(&p, "basic,retain-safe-private", NULL), 0);
    assert_int_equal(dcm_policy_parse(&q, "basic,retain-safe-private", NULL), 0);
    assert_true(dcm_policy_safe(p, "SIEMENS MR HEADER", 0x0019100c));
    assert_true(dcm_policy_safe(p, "SIEMENS MR HEADER", 0x0019110c));
    assert_false(dcm_policy_safe(p, "SIEMENS MR HEADER", 0x00191008));
    assert_false(dcm_policy_safe(p, "ACME 1.0", 0x00291012));
    assert_false(dcm_policy_safe(p, NULL, 0x0019100c));
    assert_int_equal(dcm_policy_safe_file(p, unit_path("safe"), &err), 0);
    assert_true(dcm_policy_safe(p, "ACME 1.0", 0x00291012));
    assert_false(ds_sha_eq(dcm_policy_digest(p), dcm_policy_digest(q)));
    assert_int_equal(dcm_policy_safe_file(p, unit_path("bad"), &err), DS_USAGE);
    assert_non_null(strstr(err.msg, "line 1"));
    dcm_policy_free(p);
    dcm_policy_free(q);
}

static int key_of(dcm_key *k, const void *p, size_t n, unsigned mode, ds_err *err)
{
    unit_write(unit_path("key"), p, n);
    assert_int_equal(chmod(unit_path("key"), mode), 0);
    return dcm_key_read(k, unit_path("key"), err);
}

static void keys(void **state)
{
    (void)state;
    dcm_key raw, hex, b64, other;
    ds_err err = {0};
    uint8_t bytes[32];
    ds_buf text = {0};
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(200 - i);
    assert_int_equal(key_of(&raw, bytes, 32, 0600, &err), 0);
    ds_buf_hex(&text, bytes, 32);
    ds_buf_putc(&text, '\n');
    assert_int_equal(key_of(&hex, text.data, text.len, 0400, &err), 0);
    assert_memory_equal(&raw, &hex, sizeof raw);
    static const char base64[] = "yMfGxcTDwsHAv769vLu6ubi3trW0s7KxsK+urayrqqk=\n";
    assert_int_equal(key_of(&b64, base64, sizeof base64 - 1, 0600, &err), 0);
    assert_memory_equal(&raw, &b64, sizeof raw);
    bytes[0] ^= 1;
    assert_int_equal(key_of(&other, bytes, 32, 0600, &err), 0);
    assert_string_not_equal(raw.id, other.id);
    assert_int_equal(strlen(raw.id), 16);
    assert_int_equal(key_of(&other, bytes, 31, 0600, &err), DS_USAGE);
    ds_err_clear(&err);
    assert_int_equal(key_of(&other, bytes, 32, 0640, &err), DS_USAGE);
    assert_non_null(strstr(err.msg, "chmod 600"));
    ds_err_clear(&err);
    assert_int_equal(dcm_key_read(&other, unit_path("absent"), &err), DS_IO);
    ds_buf_fini(&text);
}

static void macs(void **state)
{
    (void)state;
    /* Independently: python3 -c "hmac.new(bytes(range(32)), b'patient\0x', 'sha256')" */
    dcm_key k = {.id = "x"};
    char hex[65], uid[65];
    for (unsigned i = 0; i < 32; i++)
        k.secret[i] = (uint8_t)i;
    assert_int_equal(dcm_pseudonym(hex, 32, &k, "patient", "x", 1, NULL), 0);
    assert_string_equal(hex, "26f569eddb78962cc61dd50222f1941f86c68e3d45dcc319d041dda10661ba98");
    assert_int_equal(dcm_uid_map(uid, &k, "1.2.3", 5, NULL), 0);
    assert_string_equal(uid, "2.25.323208961630152450876443539203389659764");
    assert_int_equal(dcm_uid_map(uid, &k, "1.2.840.10008.1.2", 17, NULL), 0);
    assert_string_equal(uid, "1.2.840.10008.1.2");
}

static void dates(void **state)
{
    (void)state;
    dcm_date d = {1, 1, 1}, e;
    for (int i = 0; i < 800000; i += 13) { /* there and back */
        e = d;
        if (!dcm_date_shift(&e, i))
            continue;
        assert_true(dcm_date_valid(e.year, e.month, e.day));
        assert_true(dcm_date_shift(&e, -i));
        assert_memory_equal(&d, &e, sizeof d);
    }
    d = (dcm_date){2020, 2, 28};
    assert_true(dcm_date_shift(&d, 2));
    assert_int_equal(d.month, 3);
    assert_int_equal(d.day, 1);
    assert_false(dcm_date_shift(&d, -800000));
    assert_true(dcm_date_parse(&d, "2019.03.04", 10));
    assert_int_equal(d.day, 4);
    assert_false(dcm_date_parse(&d, "20190229", 8));
    assert_false(dcm_date_parse(&d, "2019022", 7));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_policies),
        cmocka_unit_test(cells_of_the_table),
        cmocka_unit_test(private_elements),
        cmocka_unit_test(keys),
        cmocka_unit_test(macs),
        cmocka_unit_test(dates),
    };
    return cmocka_run_group_tests(tests, NULL, unit_dir_remove);
}
