/* Digests against published values: FIPS 180-4 examples, and xxHash's for the empty input. */
#include "unit.h"

#include <stdio.h>

#include "hash.h"
#include "xxh.h"

static void sha_is(const char *data, size_t len, const char *want)
{
    ds_sha s;
    char hex[65];
    assert_int_equal(ds_sha_bytes(&s, data, len, NULL), 0);
    ds_sha_hex(hex, &s);
    assert_string_equal(hex, want);
}

static void published_digests(void **state)
{
    (void)state;
    sha_is("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha_is("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha_is("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
           "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void million_a_in_pieces(void **state)
{
    (void)state;
    ds_hasher *h;
    ds_sha s;
    char hex[65], a[1000];
    memset(a, 'a', sizeof a);
    assert_int_equal(ds_hasher_new(&h, NULL), 0);
    for (int round = 0; round < 2; round++) { /* reset begins anew */
        assert_int_equal(ds_hasher_reset(h, NULL), 0);
        for (int i = 0; i < 1000; i++)
            assert_int_equal(ds_hasher_put(h, a, sizeof a, NULL), 0);
        assert_int_equal(ds_hasher_end(h, &s, NULL), 0);
        ds_sha_hex(hex, &s);
        assert_string_equal(hex,
                            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
    ds_hasher_free(h);
    ds_hasher_free(NULL);
}

static void tags_separate(void **state)
{
    (void)state;
    ds_sha a, b, c;
    assert_int_equal(ds_sha_tagged(&a, "ab", "c", 1, NULL), 0);
    assert_int_equal(ds_sha_tagged(&b, "a", "bc", 2, NULL), 0);
    assert_false(ds_sha_eq(&a, &b));
    assert_int_equal(ds_sha_bytes(&c, "ab\0c", 4, NULL), 0); /* tag, its NUL, data */
    assert_true(ds_sha_eq(&a, &c));
}

/* By the running digest, which is libcrypto's alone. */
static ds_sha by_parts(const char *tag, const ds_bytes *v)
{
    ds_hasher *h;
    ds_sha s;
    assert_int_equal(ds_hasher_new(&h, NULL), 0);
    if (tag)
        assert_int_equal(ds_hasher_put(h, tag, strlen(tag) + 1, NULL), 0);
    assert_int_equal(ds_hasher_put(h, v->p, v->len, NULL), 0);
    assert_int_equal(ds_hasher_end(h, &s, NULL), 0);
    ds_hasher_free(h);
    return s;
}

/* Tags of 63 bytes with their NUL are the longest that two lanes take; longer ones go to libcrypto.
 */
static const char *const each_tags[] = {
    NULL,
    "",
    "ds.piece",
    "a tag that with its NUL is of fifty-six bytes, not more",
    "a tag that with its NUL is of sixty-three bytes, as few as it.",
    "a tag that with its NUL is of sixty-four bytes, one too many it",
    "a tag of more bytes than there are in a block of the digest, which is sixty-four of them: ",
};

static void each_is(const ds_bytes *v, size_t n)
{
    ds_sha got[8];
    assert_true(n <= 8);
    for (size_t t = 0; t < sizeof each_tags / sizeof *each_tags; t++) {
        assert_int_equal(ds_sha_each(got, each_tags[t], v, n, NULL), 0);
        for (size_t i = 0; i < n; i++) {
            ds_sha want = by_parts(each_tags[t], &v[i]);
            assert_memory_equal(&got[i], &want, sizeof want);
        }
    }
}

/* All lengths around the ends of blocks, beside each other, so that either lane ends first. */
static void messages_side_by_side(void **state)
{
    (void)state;
    enum { MOST = 200 };
    uint8_t data[2 * MOST];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 37 + i / 256);
    assert_int_equal(ds_sha_each(NULL, "ds.piece", NULL, 0, NULL), 0);
    for (size_t a = 0; a <= MOST; a++)
        for (size_t b = a % 5; b <= MOST; b += 5) {
            const ds_bytes v[2] = {{data + 1, a}, {data + MOST, b}};
            each_is(v, 2);
        }
    ds_bytes many[70]; /* more than one group */
    ds_sha got[70];
    for (size_t i = 0; i < 70; i++)
        many[i] = (ds_bytes){data + i, i * 31 % 211};
    assert_int_equal(ds_sha_each(got, "ds.piece", many, 70, NULL), 0);
    for (size_t i = 0; i < 70; i++) {
        ds_sha want = by_parts("ds.piece", &many[i]);
        assert_memory_equal(&got[i], &want, sizeof want);
    }
    const ds_bytes none[3] = {{NULL, 0}, {data, 64}, {NULL, 0}};
    each_is(none, 3);
}

/* Of many lengths: a lane that ends goes on with the next message. */
static void messages_one_after_the_other(void **state)
{
    (void)state;
    enum { BYTES = 100000 };
    uint8_t *data = malloc(BYTES);
    uint32_t seed = 7;
    assert_non_null(data);
    for (size_t i = 0; i < BYTES; i++) {
        seed = seed * 1664525 + 1013904223;
        data[i] = (uint8_t)(seed >> 24);
    }
    for (int round = 0; round < 200; round++) {
        ds_bytes v[8];
        for (int i = 0; i < 8; i++) {
            seed = seed * 1664525 + 1013904223;
            v[i].len = (seed >> 8) % (1u << (seed >> 4) % 16);
            v[i].p = data + (seed >> 3) % (BYTES - v[i].len);
        }
        each_is(v, 1 + (size_t)round % 8);
    }
    free(data);
}

static void published_side_by_side(void **state)
{
    (void)state;
    static const char two[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    const ds_bytes v[3] = {{"abc", 3}, {two, 56}, {"", 0}};
    static const char *const want[3] = {
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"};
    ds_sha got[3];
    assert_int_equal(ds_sha_each(got, NULL, v, 3, NULL), 0);
    for (int i = 0; i < 3; i++) {
        char hex[65];
        ds_sha_hex(hex, &got[i]);
        assert_string_equal(hex, want[i]);
    }
}

static void numbers_are_little_endian(void **state)
{
    (void)state;
    ds_hasher *h;
    ds_sha a, b;
    assert_int_equal(ds_hasher_new(&h, NULL), 0);
    assert_int_equal(ds_hasher_u64(h, 0x0807060504030201, NULL), 0);
    assert_int_equal(ds_hasher_end(h, &a, NULL), 0);
    assert_int_equal(ds_sha_bytes(&b, "\1\2\3\4\5\6\7\10", 8, NULL), 0);
    assert_true(ds_sha_eq(&a, &b));
    ds_hasher_free(h);
}

static void files(void **state)
{
    (void)state;
    ds_err e = {0};
    ds_sha a, b;
    uint64_t size = 0;
    size_t len = 600001;
    char *data = malloc(len);
    assert_non_null(data);
    memset(data, 'q', len);
    unit_write(unit_path("q"), data, len);
    assert_int_equal(ds_sha_file(&a, &size, unit_path("q"), &e), 0);
    assert_int_equal(ds_sha_bytes(&b, data, len, &e), 0);
    assert_true(ds_sha_eq(&a, &b));
    assert_true(size == len);
    free(data);
    unit_write(unit_path("empty"), "", 0);
    assert_int_equal(ds_sha_file(&a, &size, unit_path("empty"), &e), 0);
    assert_true(size == 0);
    assert_int_equal(ds_sha_file(&a, NULL, unit_path("absent"), &e), DS_IO);
    ds_err_clear(&e);
    assert_int_equal(ds_sha_file(&a, NULL, unit_dir(), &e), DS_IO);
}

static void parse(void **state)
{
    (void)state;
    ds_sha a, b;
    char hex[65];
    ds_sha_bytes(&a, "x", 1, NULL);
    ds_sha_hex(hex, &a);
    assert_true(ds_sha_parse(&b, hex, 64));
    assert_true(ds_sha_eq(&a, &b));
    assert_false(ds_sha_parse(&b, hex, 63));
    assert_false(ds_sha_parse(&b, hex, 65));
    for (const char *p = "gGA /"; *p; p++) {
        hex[10] = *p;
        assert_false(ds_sha_parse(&b, hex, 64));
    }
}

static void xxh3(void **state)
{
    (void)state;
    static const uint8_t empty128[16] = {0x99, 0xaa, 0x06, 0xd3, 0x01, 0x47, 0x98, 0xd8,
                                         0x60, 0x01, 0xc3, 0x24, 0x46, 0x8d, 0x49, 0x7f};
    ds_x128 e = ds_xxh128(NULL, 0);
    assert_memory_equal(e.b, empty128, sizeof empty128);
    assert_true(ds_xxh64(NULL, 0) == 0x2d06800538d394c2);
    ds_x128 a = ds_xxh128("a", 1), b = ds_xxh128("b", 1);
    assert_memory_not_equal(a.b, b.b, sizeof a.b);
    /* In parts, of which one is empty, as in one. */
    uint8_t data[1000];
    ds_xxhasher *h;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    assert_int_equal(ds_xxhasher_new(&h, NULL), 0);
    ds_xxhasher_put(h, data, 1);
    ds_xxhasher_put(h, NULL, 0);
    ds_xxhasher_put(h, data + 1, sizeof data - 1);
    ds_x128 parts = ds_xxhasher_end(h), one = ds_xxh128(data, sizeof data);
    assert_memory_equal(parts.b, one.b, sizeof one.b);
    ds_xxhasher_free(h);
}

/* Whatever vectors are used: as by the library's own functions, at every length around those where
 * its ways part, wherever the bytes lie. */
static void xxh3_by_any_vectors(void **state)
{
    (void)state;
    enum { MOST = 5000 };
    static uint8_t data[MOST + 64];
    XXH3_state_t *x = XXH3_createState(), *y = XXH3_createState();
    assert_non_null(x);
    assert_non_null(y);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * i >> 3 ^ i);
    for (size_t n = 0; n <= MOST; n += n < 1100 ? 1 : 61) {
        const uint8_t *p = data + n % 64;
        assert_true(ds_xxh3_64(p, n) == XXH3_64bits(p, n));
        assert_true(XXH128_isEqual(ds_xxh3_128(p, n), XXH3_128bits(p, n)));
        XXH3_64bits_reset(x);
        XXH3_128bits_reset(y);
        ds_xxh3_64_put(x, p, n / 3);
        ds_xxh3_64_put(x, p + n / 3, n - n / 3);
        ds_xxh3_128_put(y, p, n / 3);
        ds_xxh3_128_put(y, p + n / 3, n - n / 3);
        assert_true(XXH3_64bits_digest(x) == XXH3_64bits(p, n));
        assert_true(XXH128_isEqual(XXH3_128bits_digest(y), XXH3_128bits(p, n)));
    }
    XXH3_freeState(x);
    XXH3_freeState(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_digests),
        cmocka_unit_test(million_a_in_pieces),
        cmocka_unit_test(tags_separate),
        cmocka_unit_test(published_side_by_side),
        cmocka_unit_test(messages_side_by_side),
        cmocka_unit_test(messages_one_after_the_other),
        cmocka_unit_test(numbers_are_little_endian),
        cmocka_unit_test(files),
        cmocka_unit_test(parse),
        cmocka_unit_test(xxh3),
        cmocka_unit_test(xxh3_by_any_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, unit_dir_remove);
}
