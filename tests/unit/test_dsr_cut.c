/* test_dsr_cut.c - cuts of blocks and pieces, hashes of records, derived keys, addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <xxhash.h>

#include "dsr_gear.h"
#include "dsr_make.h"

static void test_gear(void **state)
{
    (void)state;
    for (unsigned b = 0; b < 256; b++) {
        uint8_t in[64], md[EVP_MAX_MD_SIZE];
        unsigned n = 0;
        uint64_t want = 0;
        memset(in, (int)b, sizeof in);
        if (!EVP_Digest(in, sizeof in, md, &n, EVP_md5(), NULL))
            skip(); /* a library that refuses MD5 */
        for (int i = 0; i < 8; i++)
            want = want << 8 | md[i];
        assert_int_equal(ds_gear[b], want);
    }
}

/* The format's text, word by word. */
static size_t reference(const uint8_t *p, size_t n)
{
    if (n <= 262144)
        return n;
    size_t end = n < 1048576 ? n : 1048576, norm = end < 524288 ? end : 524288, i = 131072;
    uint64_t h = 0, S = UINT64_C(0x0000d91767537000), L = UINT64_C(0x0000d90703537000);
    for (; i < end / 2; i++) {
        uint64_t m = i < norm / 2 ? S : L;
        h = (h << 2) + (ds_gear[p[2 * i]] << 1);
        if (!(h & (m << 1)))
            return 2 * i;
        h = h + ds_gear[p[2 * i + 1]];
        if (!(h & m))
            return 2 * i + 1;
    }
    return end;
}

static uint8_t *noise(size_t n, uint64_t seed)
{
    uint8_t *p = malloc(n + 8);
    assert_non_null(p);
    for (size_t i = 0; i < n; i += 8)
        ds_set_u64(p + i, make_random(&seed));
    return p;
}

static void test_pieces(void **state)
{
    (void)state;
    size_t n = (size_t)6 << 20, at, cuts = 0, odd = 0;
    uint8_t *p = noise(n, 1);
    memset(p + 1500000, 0, 1600000); /* a stretch in which nothing cuts */
    for (at = 0; at < n;) {
        size_t left = n - at, len = ds_piece_len(p + at, left);
        assert_int_equal(len, reference(p + at, left));
        assert_true(len == left || (len >= 262144 && len <= 1048576));
        size_t have = left < len + 2 ? left : len + 2;
        assert_true(ds_piece_ok(p + at, len, have, left));
        if (len < left && len < 1048576) {
            assert_false(ds_piece_ok(p + at, len - 1, len + 1, left));
            assert_false(ds_piece_ok(p + at, len + 1, left < len + 3 ? left : len + 3, left));
        }
        odd += len & 1;
        at += len;
        cuts++;
    }
    assert_true(cuts > 6 && odd > 0);
    free(p);
}

/* An insertion moves the cuts near it and no others. */
static void test_pieces_resync(void **state)
{
    (void)state;
    size_t n = (size_t)16 << 20, same = 0, all = 0, ends[128], k = 0;
    uint8_t *p = noise(n, 7), *q = malloc(n + 3);
    assert_non_null(q);
    memcpy(q, p, 3000000);
    memcpy(q + 3000000, "abc", 3);
    memcpy(q + 3000003, p + 3000000, n - 3000000);
    for (size_t at = 0; at < n; all++)
        ends[k++] = at += ds_piece_len(p + at, n - at);
    k = 0;
    for (size_t at = 0; at < n + 3;) {
        at += ds_piece_len(q + at, n + 3 - at);
        size_t was = at > 3000000 ? at - 3 : at;
        while (k < all && ends[k] < was)
            k++;
        same += k < all && ends[k] == was;
    }
    assert_true(same + 6 >= all); /* the format promises no number; noise behaves as it does */
    free(p);
    free(q);
}

static void test_rowhash(void **state)
{
    (void)state;
    ds_rowhash h;
    uint64_t size, hash;
    uint8_t *p = noise(5000, 3), want[5100] = {0};
    ds_colview text = {.type = DS_UTF8}, flag = {.type = DS_BOOL};
    ds_value null = {.null = true}, yes = {.i = 1};
    assert_int_equal(ds_rowhash_init(&h, NULL), 0);
    for (size_t len = 0; len < 5000;
         len = len * 2 + 1) { /* short ones and long ones take different ways */
        ds_value x = {.p = p, .len = len};
        ds_rowhash_begin(&h);
        ds_rowhash_value(&h, &text, &null);
        ds_rowhash_value(&h, &text, &x);
        ds_rowhash_value(&h, &flag, &yes);
        hash = ds_rowhash_end(&h, &size);
        want[0] = 0;
        want[1] = 1;
        ds_set_u64(want + 2, len);
        memcpy(want + 10, p, len);
        want[10 + len] = 1;
        ds_set_u64(want + 11 + len, 1);
        want[19 + len] = 1;
        assert_int_equal(size, 8 + len + 1);
        assert_int_equal(hash, XXH3_64bits(want, 20 + len));
    }
    ds_rowhash_fini(&h);
    free(p);
}

static void test_cutter(void **state)
{
    (void)state;
    ds_schema s;
    ds_cutter c;
    make_text_schema(&s, 100, 400, 1000);
    ds_cutter_init(&c, &s);
    assert_false(ds_cutter_record(&c, 1, 99));
    assert_true(ds_cutter_record(&c, 1, 400)); /* a record of the target size always cuts */
    for (int i = 0; i < 99; i++)
        assert_false(ds_cutter_record(&c, 5, 1)); /* below the minimum nothing does */
    ds_cutter_init(&c, &s);
    uint64_t seed = 1, total = 0, blocks = 0;
    for (int i = 0; i < 200000; i++) {
        uint64_t r = make_random(&seed), size = 8 + r % 30;
        total += size;
        uint64_t before = c.size;
        if (ds_cutter_record(&c, r, size)) {
            blocks++;
            assert_true(before + size >= 100 && before + size < 1000 + 38);
        } else {
            assert_true(c.size < 1000);
        }
    }
    /* min + an exponential of mean 400, capped: the mean lies between these. */
    assert_true(total / blocks > 380 && total / blocks < 520);
    ds_schema_fini(&s);
}

/* Offsets in records at which blocks end, for records of random text, from `skip` on, with `extra`
 * put before number 1000. */
static size_t ends(uint64_t *out, bool extra)
{
    ds_schema s;
    ds_cutter c;
    size_t n = 0;
    uint64_t seed = 42;
    make_text_schema(&s, 1000, 4000, 16000);
    ds_cutter_init(&c, &s);
    for (uint64_t i = 0; i < 5000; i++) {
        uint64_t r = make_random(&seed);
        if (extra && i == 1000)
            ds_cutter_record(&c, 12345, 50);
        if (ds_cutter_record(&c, r, 8 + r % 200))
            out[n++] = i;
    }
    ds_schema_fini(&s);
    return n;
}

static void test_cutter_resync(void **state)
{
    (void)state;
    uint64_t a[1000], b[1000];
    size_t n = ends(a, false), m = ends(b, true), i = 0, j = 0;
    while (i < n && j < m && a[i] == b[j] && a[i] < 1000)
        i++, j++;
    assert_true(a[i] >= 1000 && b[j] >= 1000); /* nothing before the edit has changed */
    size_t back = 0;
    while (back < n && back < m && a[n - 1 - back] == b[m - 1 - back])
        back++;
    assert_true(a[n - back] < 1400); /* and nothing some hundred records after it */
}

static void test_derived_key(void **state)
{
    (void)state;
    ds_schema s;
    ds_hasher *h;
    char key[33], hex[65];
    ds_sha sha;
    static const uint8_t bytes[] = "ds.key\0"
                                   "\x01\x03\0\0\0\0\0\0\0abc"
                                   "\x00"
                                   "\x01\x08\0\0\0\0\0\0\0\x05\0\0\0\0\0\0";
    ds_schema_init(&s);
    assert_int_equal(
        ds_schema_add(&s, NULL, "a", DS_UTF8, DS_COL_PRIMARY | DS_COL_KEYED, NULL, NULL), 0);
    assert_int_equal(
        ds_schema_add(&s, NULL, "b", DS_UTF8, DS_COL_NULLABLE | DS_COL_KEYED, NULL, NULL), 0);
    assert_int_equal(ds_schema_add(&s, NULL, "c", DS_UTF8, DS_COL_NULLABLE, NULL, NULL), 0);
    assert_int_equal(
        ds_schema_add(&s, NULL, "d", DS_I64, DS_COL_NULLABLE | DS_COL_KEYED, NULL, NULL), 0);
    ds_colview v[4] = {{.type = DS_UTF8}, {.type = DS_UTF8}, {.type = DS_UTF8}, {.type = DS_I64}};
    ds_value x[4] = {{.p = (const uint8_t *)"abc", .len = 3},
                     {.null = true},
                     {.p = (const uint8_t *)"no", .len = 2},
                     {.p = (const uint8_t *)"\x05\0\0\0\0\0\0", .len = 8}};
    assert_int_equal(ds_hasher_new(&h, NULL), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ds_key_derive(key, h, &s, v, x, NULL), 0);
        assert_int_equal(ds_sha_bytes(&sha, bytes, sizeof bytes, NULL), 0);
        ds_sha_hex(hex, &sha);
        assert_memory_equal(key, hex, 32);
        assert_int_equal(key[32], 0);
    }
    ds_hasher_free(h);
    ds_schema_fini(&s);
}

static void test_addresses(void **state)
{
    (void)state;
    ds_sha p[2], c, b, root, origin, schema, want;
    ds_buf t = {0};
    ds_rootsum *r;
    ds_source src = {.name = "a", .len = 1, .size = 300};
    assert_int_equal(ds_addr_piece(&p[0], "x", 1, NULL) | ds_addr_piece(&p[1], "yz", 2, NULL), 0);
    assert_int_equal(ds_sha_bytes(&want, "ds.piece\0x", 10, NULL), 0);
    assert_true(ds_sha_eq(&want, &p[0]));
    assert_int_equal(ds_addr_chunk(&c, 3, p, 2, NULL), 0);
    ds_buf_put(&t, "ds.chunk", 9);
    ds_buf_u64(&t, 3);
    ds_buf_u64(&t, 2);
    ds_buf_put(&t, p, sizeof p);
    assert_int_equal(ds_sha_bytes(&want, t.data, t.len, NULL), 0);
    assert_true(ds_sha_eq(&want, &c));
    assert_int_equal(ds_addr_block(&b, 7, &c, 1, NULL), 0);
    assert_int_equal(ds_sha_bytes(&schema, "s", 1, NULL), 0);

    assert_int_equal(ds_rootsum_new(&r, NULL), 0);
    assert_int_equal(ds_rootsum_block(r, &b, &c, NULL) | ds_rootsum_source(r, &src, NULL), 0);
    assert_int_equal(ds_rootsum_end(r, &schema, &root, &origin, NULL), 0);
    ds_rootsum_free(r);
    ds_buf_reset(&t);
    ds_buf_put(&t, "ds.root", 8);
    ds_buf_put(&t, &schema, 32);
    ds_buf_put(&t, &b, 32);
    ds_buf_u64(&t, 1);
    assert_int_equal(ds_sha_bytes(&want, t.data, t.len, NULL), 0);
    assert_true(ds_sha_eq(&want, &root));
    ds_buf_reset(&t);
    ds_buf_put(&t,
               "ds.sources\0\x01"
               "a\xac\x02",
               15);
    ds_buf_put(&t, &src.sha, 32);
    ds_buf_u64(&t, 1);
    assert_int_equal(ds_sha_bytes(&want, t.data, t.len, NULL), 0);
    ds_buf_reset(&t);
    ds_buf_put(&t, "ds.origin", 10);
    ds_buf_put(&t, &c, 32);
    ds_buf_u64(&t, 1);
    ds_buf_put(&t, &want, 32);
    assert_int_equal(ds_sha_bytes(&want, t.data, t.len, NULL), 0);
    assert_true(ds_sha_eq(&want, &origin));
    ds_buf_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gear),          cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_pieces_resync), cmocka_unit_test(test_rowhash),
        cmocka_unit_test(test_cutter),        cmocka_unit_test(test_cutter_resync),
        cmocka_unit_test(test_derived_key),   cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
