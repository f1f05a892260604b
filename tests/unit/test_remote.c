/* What remotes are made of: signatures against published vectors, answers of servers that mean no
 * good, URLs, credentials, the heads of packs. */
#include "obj_help.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "packheads.h"
#include "remote.h"
#include "remoteindex.h"
#include "remoteurl.h"
#include "s3cred.h"
#include "s3sign.h"
#include "s3xml.h"
#include "shaset.h"

/* ---- signatures ---- */

#define NONE "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void expect_signature(ds_s3_signed s, const char *names, const char *hex)
{
    ds_buf out = {0};
    char want[512];
    OK(ds_s3_sign(&out, &s, err));
    snprintf(want, sizeof want,
             "AWS4-HMAC-SHA256 Credential=%s/%.8s/us-east-1/%s/aws4_request, SignedHeaders=%s, "
             "Signature=%s",
             s.key, s.date, s.service, names, hex);
    assert_string_equal((char *)out.data, want);
    ds_buf_fini(&out);
}

/* The four examples of "Authenticating Requests: Using the Authorization Header" in the Amazon S3
 * API Reference. */
static ds_s3_signed s3_example(const char *method, const char *path, const char *query,
                               const ds_s3_pair *headers, size_t n, const char *payload)
{
    return (ds_s3_signed){.method = method,
                          .path = path,
                          .query = query,
                          .headers = headers,
                          .nheaders = n,
                          .payload = payload,
                          .date = "20130524T000000Z",
                          .region = "us-east-1",
                          .service = "s3",
                          .key = "AKIAIOSFODNN7EXAMPLE",
                          .secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};
}

static void signs_the_examples_of_s3(void **state)
{
    static const char sum[] = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    const ds_s3_pair host = {"host", "examplebucket.s3.amazonaws.com"},
                     date = {"x-amz-date", "20130524T000000Z"},
                     none = {"x-amz-content-sha256", NONE};
    (void)state;
    const ds_s3_pair get[] = {{"range", "bytes=0-9"}, host, date, none};
    expect_signature(s3_example("GET", "/test.txt", "", get, 4, NONE),
                     "host;range;x-amz-content-sha256;x-amz-date",
                     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    const ds_s3_pair put[] = {host,
                              {"date", "Fri, 24 May 2013 00:00:00 GMT"},
                              date,
                              {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
                              {"x-amz-content-sha256", sum}};
    expect_signature(s3_example("PUT", "/test%24file.text", "", put, 5, sum),
                     "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
                     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
    const ds_s3_pair plain[] = {none, host, date};
    expect_signature(s3_example("GET", "/", "lifecycle=", plain, 3, NONE),
                     "host;x-amz-content-sha256;x-amz-date",
                     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    const ds_s3_pair params[] = {{"prefix", "J"}, {"max-keys", "2"}};
    ds_buf query = {0};
    OK(ds_s3_query(&query, params, 2, err));
    expect_signature(s3_example("GET", "/", (char *)query.data, plain, 3, NONE),
                     "host;x-amz-content-sha256;x-amz-date",
                     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
    ds_buf_fini(&query);
}

/* From the test suite of Signature Version 4. */
static void signs_the_test_suite(void **state)
{
    const ds_s3_pair h[] = {{"host", "example.amazonaws.com"}, {"x-amz-date", "20150830T123600Z"}};
    ds_s3_signed s = {.method = "GET",
                      .path = "/",
                      .query = "",
                      .headers = h,
                      .nheaders = 2,
                      .payload = NONE,
                      .date = "20150830T123600Z",
                      .region = "us-east-1",
                      .service = "service",
                      .key = "AKIDEXAMPLE",
                      .secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};
    ds_buf query = {0};
    (void)state;
    expect_signature(s, "host;x-amz-date", /* get-vanilla */
                     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
    const ds_s3_pair keys[] = {{"Param2", "value2"}, {"Param1", "value1"}};
    OK(ds_s3_query(&query, keys, 2, err));
    s.query = (char *)query.data;
    expect_signature(s, "host;x-amz-date", /* get-vanilla-query-order-key-case */
                     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500");
    s.query = "";
    s.method = "POST";
    expect_signature(s, "host;x-amz-date", /* post-vanilla */
                     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
    ds_buf_fini(&query);
}

/* RFC 4231, cases 1, 2 and 6 (a key longer than a block). */
static void macs_are_those_of_the_rfc(void **state)
{
    uint8_t key[131];
    ds_sha m;
    char hex[65];
    (void)state;
    memset(key, 0x0b, 20);
    OK(ds_hmac_sha256(&m, key, 20, "Hi There", 8, err));
    ds_sha_hex(hex, &m);
    assert_string_equal(hex, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    OK(ds_hmac_sha256(&m, "Jefe", 4, "what do ya want for nothing?", 28, err));
    ds_sha_hex(hex, &m);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    OK(ds_hmac_sha256(&m, key, sizeof key, "Test Using Larger Than Block-Size Key - Hash Key First",
                      54, err));
    ds_sha_hex(hex, &m);
    assert_string_equal(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void encodes_as_s3_does(void **state)
{
    ds_buf b = {0};
    (void)state;
    assert_int_equal(ds_s3_encode(&b, "a b/c+d~e\xc3\xa9", true), 0);
    assert_string_equal(ds_buf_cstr(&b), "a%20b/c%2Bd~e%C3%A9");
    ds_buf_reset(&b);
    assert_int_equal(ds_s3_encode(&b, "a/b=", false), 0);
    assert_string_equal(ds_buf_cstr(&b), "a%2Fb%3D");
    const ds_s3_pair p[] = {{"b", "2"}, {"a-b", ""}, {"a", "z"}, {"a", "b"}};
    OK(ds_s3_query(&b, p, 4, err));
    assert_string_equal((char *)b.data, "a=b&a=z&a-b=&b=2");
    ds_buf_fini(&b);
}

/* ---- answers ---- */

typedef struct keys {
    char text[512];
} keys;

static int add_key(void *ctx, const ds_s3_key *at, ds_err *err)
{
    keys *k = ctx;
    size_t n = strlen(k->text);
    (void)err;
    if (at->etag) {
        snprintf(k->text + n, sizeof k->text - n, "%llu:%s=%llu;", (unsigned long long)at->number,
                 at->etag, (unsigned long long)at->size);
        return 0;
    }
    if (at->upload)
        snprintf(k->text + n, sizeof k->text - n, "%s!%s;", at->key, at->upload);
    else
        snprintf(k->text + n, sizeof k->text - n, "%s=%llu;", at->key,
                 (unsigned long long)at->size);
    if (at->time != INT64_MAX)
        snprintf(k->text + n, sizeof k->text - n, "%s=%llu@%lld;", at->key,
                 (unsigned long long)at->size, (long long)at->time);
    return strcmp(at->key, "stop") == 0 ? 7 : 0;
}

static int read_answer(ds_s3_answer *a, keys *k, const char *text, ds_err *err)
{
    *k = (keys){{0}};
    *err = (ds_err){0};
    return ds_s3_answer_read(a, text, strlen(text), add_key, k, err);
}

static void reads_answers(void **state)
{
    ds_s3_answer a;
    ds_err err = {0};
    keys k;
    (void)state;
    assert_int_equal(
        read_answer(&a, &k,
                    "<?xml version='1.0'?><ListBucketResult xmlns='u'><Name>b</Name>"
                    "<IsTruncated>true</IsTruncated><NextContinuationToken>t&amp;1"
                    "</NextContinuationToken><Contents><Key>x&lt;y</Key><Size>12</Size><Owner>"
                    "<ID>1</ID></Owner></Contents><Contents><Size>0</Size><Key>z</Key></Contents>"
                    "<CommonPrefixes><Prefix>p</Prefix></CommonPrefixes></ListBucketResult>",
                    &err),
        0);
    assert_string_equal(a.root, "ListBucketResult");
    assert_string_equal(k.text, "x<y=12;z=0;");
    assert_true(a.truncated);
    assert_string_equal(a.next, "t&1");
    assert_int_equal(
        read_answer(&a, &k, "<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>", &err),
        0);
    assert_string_equal(a.code, "NoSuchKey");
    assert_string_equal(a.message, "gone");
    assert_int_equal(
        read_answer(&a, &k,
                    "<ListMultipartUploadsResult><Upload><Key>x</Key><UploadId>2~a</UploadId>"
                    "</Upload><Upload><UploadId>b</UploadId><Size>9</Size><Key>y</Key></Upload>"
                    "</ListMultipartUploadsResult>",
                    &err),
        0);
    assert_string_equal(k.text, "x!2~a;y!b;");
    assert_int_equal(
        read_answer(&a, &k,
                    "<ListPartsResult><NextPartNumberMarker>2</NextPartNumberMarker><Part>"
                    "<PartNumber>1</PartNumber><ETag>&quot;ab&quot;</ETag><Size>7</Size></Part>"
                    "<Part><Key>x</Key><ETag>c</ETag><Size>0</Size><PartNumber>2</PartNumber>"
                    "</Part></ListPartsResult>",
                    &err),
        0);
    assert_string_equal(k.text, "1:\"ab\"=7;2:c=0;");
    assert_string_equal(a.next, "2");
    assert_int_equal(read_answer(&a, &k,
                                 "<ListBucketResult><Contents><Key>stop</Key><Size>1</Size>"
                                 "</Contents></ListBucketResult>",
                                 &err),
                     7);
}

static void refuses_bad_answers(void **state)
{
    static const char *const bad[] = {
        "",
        "<html><body>proxy</html>",
        "<a><Contents><Key>k</Key></Contents></a>",
        "<a><Contents><Size>1</Size></Contents></a>",
        "<a><Contents><Key>k</Key><Size>-1</Size></Contents></a>",
        "<a><Contents><Key>k</Key><Size>99999999999999999999999</Size></Contents></a>",
        "<a><Contents><Key>k</Key><Size>1x</Size></Contents></a>",
        "<a><Contents><Key></Key><Size>1</Size></Contents></a>",
        "<a><Upload><Key>k</Key></Upload></a>",
        "<a><Upload><UploadId>1</UploadId></Upload></a>",
        "<a><Upload><Key>k</Key><UploadId></UploadId></Upload></a>",
        "<a><Upload><Key>k</Key><UploadId>1</UploadId></Upload><Upload><Key>k</Key></Upload></a>",
        "<a><Upload><Key>k</Key><UploadId>1</UploadId><Initiated>then</Initiated></Upload></a>",
        "<a><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></a>",
        "<a><Part><PartNumber>0</PartNumber><ETag>e</ETag><Size>1</Size></Part></a>",
        "<a><Part><PartNumber>x</PartNumber><ETag>e</ETag><Size>1</Size></Part></a>",
        "<a><Part><PartNumber>1</PartNumber><ETag></ETag><Size>1</Size></Part></a>",
        "<a><a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a></a>",
        "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
        "<!DOCTYPE a [<!ENTITY x '1111111111'><!ENTITY y '&x;&x;&x;&x;'>]><a>&y;</a>",
        "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
        "<ListBucketResult><IsTruncated>true</IsTruncated>",
    };
    ds_s3_answer a;
    ds_err err = {0};
    keys k;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int rc = read_answer(&a, &k, bad[i], &err);
        if (rc != DS_CORRUPT)
            fail_msg("'%s': %d", bad[i], rc);
        assert_true(strlen(err.msg) > 10);
    }
    char *big = malloc(8000);
    memset(big, 'k', 8000);
    memcpy(big, "<a><Contents><Key>", 18);
    memcpy(big + 8000 - 45, "</Key><Size>1</Size></Contents></a>", 36);
    assert_int_equal(read_answer(&a, &k, big, &err), DS_CORRUPT);
    free(big);
}

/* ---- URLs and credentials ---- */

static void takes_urls_apart(void **state)
{
    ds_remote_url u;
    (void)state;
    OK(ds_remote_url_parse(&u, "s3://my-bucket/a/b/?endpoint=http%3A%2F%2F10.0.0.1:7480/&region=r1",
                           err));
    assert_true(u.s3);
    assert_string_equal(u.bucket, "my-bucket");
    assert_string_equal(u.prefix, "a/b/");
    assert_string_equal(u.endpoint, "http://10.0.0.1:7480");
    assert_string_equal(u.region, "r1");
    ds_remote_url_fini(&u);
    OK(ds_remote_url_parse(&u, "s3://buck?style=virtual", err));
    assert_string_equal(u.prefix, "");
    assert_true(u.virtual_host && !u.path_style && !u.endpoint);
    ds_remote_url_fini(&u);
    OK(ds_remote_url_parse(&u, "file:///mnt/x//", err));
    assert_false(u.s3);
    assert_string_equal(u.path, "/mnt/x");
    ds_remote_url_fini(&u);
    OK(ds_remote_url_parse(&u, "./rel", err));
    assert_true(u.path[0] == '/' && strcmp(u.path + strlen(u.path) - 4, "/rel") == 0);
    ds_remote_url_fini(&u);
}

static void refuses_bad_urls(void **state)
{
    static const char *const bad[] = {
        "",
        "s3://",
        "s3://a",
        "s3://UPPER/x",
        "s3://key:secret@bucket/x",
        "s3://bucket/a//b",
        "s3://bucket?endpoint=http://u:p@h",
        "s3://bucket?endpoint=ftp://h",
        "s3://bucket?endpoint=http://h/path",
        "s3://bucket?endpoint=",
        "s3://bucket?secret=1",
        "s3://bucket?style=odd",
        "https://host/x",
        "file://host/x",
        "a\nb",
    };
    static const char *const badgit[] = {"",      "--upload-pack=x",         "ext::sh -c x",
                                         "fd::1", "https://u:secret@host/x", "a\nb"};
    ds_remote_url u;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ds_err err = {0};
        if (ds_remote_url_parse(&u, bad[i], &err) != DS_USAGE)
            fail_msg("'%s' is taken", bad[i]);
        assert_null(strstr(err.msg, "secret@"));
    }
    for (size_t i = 0; i < sizeof badgit / sizeof *badgit; i++)
        assert_int_equal(ds_git_url_check(badgit[i], NULL), DS_USAGE);
    assert_int_equal(ds_git_url_check("git@host:x.git", NULL), 0);
    assert_int_equal(ds_git_url_check("https://user@host/x", NULL), 0);
}

static void reads_credentials(void **state)
{
    static const char text[] = "# comment\n[default]\naws_access_key_id = A\r\n"
                               "aws_secret_access_key=S/=\n\n[ profile other ]\n"
                               "aws_access_key_id=B\naws_secret_access_key =  T \n"
                               "aws_session_token=K\n[half]\naws_access_key_id=C\n";
    ds_s3_cred c = {.key = NULL};
    (void)state;
    assert_int_equal(ds_s3_cred_read(&c, text, strlen(text), "default", NULL), 1);
    assert_string_equal(c.key, "A");
    assert_string_equal(c.secret, "S/=");
    assert_null(c.token);
    ds_s3_cred_fini(&c);
    assert_int_equal(ds_s3_cred_read(&c, text, strlen(text), "other", NULL), 1);
    assert_string_equal(c.secret, "T");
    assert_string_equal(c.token, "K");
    ds_s3_cred_fini(&c);
    assert_int_equal(ds_s3_cred_read(&c, text, strlen(text), "half", NULL), 0);
    ds_s3_cred_fini(&c);
    assert_int_equal(ds_s3_cred_read(&c, text, strlen(text), "absent", NULL), 0);
}

/* ---- the heads of a pack ---- */

typedef struct heads {
    ds_sha id[64];
    uint64_t off[64];
    size_t n;
} heads;

static int on_head(void *ctx, const ds_objhead *h, uint64_t off, ds_err *err)
{
    heads *v = ctx;
    (void)err;
    v->id[v->n] = h->id;
    v->off[v->n++] = off;
    return 0;
}

static void one_pack(char *path, size_t cap, ds_sha *ids, size_t n)
{
    char dir[512];
    ds_objtx *tx = NULL;
    ds_buf b = {0};
    ds_sha *names = NULL;
    size_t packs = 0, strange = 0;
    ds_objstore *s = obj_store("heads", dir);
    OK(ds_objtx_begin(&tx, s, 1, err));
    for (size_t i = 0; i < n; i++) {
        ds_buf_reset(&b);
        obj_line(&b, i / 2, 900);
        obj_line(&b, 1000 + i, 90);
        ids[i] = obj_put(tx, b.data, b.len);
    }
    OK(ds_objtx_finish(tx, NULL, err));
    ds_objstore_close(s);
    OK(ds_pack_list(dir, &names, &packs, &strange, err));
    assert_int_equal(packs, 1);
    ds_pack_path(path, cap, dir, &names[0]);
    free(names);
    ds_buf_fini(&b);
}

static void heads_tell_what_is_in_a_pack(void **state)
{
    char path[700];
    ds_sha ids[40];
    ds_buf text = {0}, pack = {0};
    heads v = {.n = 0};
    ds_objhead h;
    uint64_t objects = 0;
    size_t size;
    (void)state;
    one_pack(path, sizeof path, ids, 40);
    OK(ds_packheads_make(&text, path, err));
    OK(ds_read_file(&pack, path, 1 << 24, err));
    OK(ds_packheads_each(text.data, text.len, pack.len, &objects, on_head, &v, err));
    assert_int_equal(objects, 40);
    assert_int_equal(v.n, 40);
    for (size_t i = 0; i < v.n; i++) {
        assert_null(ds_objhead_get(&h, &size, pack.data + v.off[i], pack.len - v.off[i]));
        assert_true(ds_sha_eq(&h.id, &v.id[i]) && ds_sha_eq(&h.id, &ids[i]));
    }
    /* any flipped byte, any end cut off, and another length of the pack are found */
    for (size_t i = 0; i < text.len; i += 7) {
        text.data[i] ^= 1;
        v.n = 0;
        assert_int_equal(
            ds_packheads_each(text.data, text.len, pack.len, &objects, on_head, &v, NULL),
            DS_CORRUPT);
        text.data[i] ^= 1;
    }
    for (size_t n = 0; n < text.len; n += 13)
        assert_int_equal(ds_packheads_each(text.data, n, pack.len, &objects, on_head, &v, NULL),
                         DS_CORRUPT);
    assert_int_equal(
        ds_packheads_each(text.data, text.len, pack.len - 1, &objects, on_head, &v, NULL),
        DS_CORRUPT);
    ds_buf_fini(&text);
    ds_buf_fini(&pack);
}

/* ---- a folder ---- */

static int list_file(void *ctx, const ds_remote_file *f, ds_err *err)
{
    const ds_s3_key k = {.key = f->name, .size = f->size, .time = INT64_MAX};
    assert_true(f->time > 0 && f->time < INT64_MAX);
    return add_key(ctx, &k, err);
}

static void a_folder_keeps_what_is_put(void **state)
{
    ds_remote_url u;
    ds_remote *r = NULL;
    ds_remote_opts o = {.tries = 1};
    ds_remote_body b = {.data = "hello", .fd = -1, .n = 5};
    ds_buf got = {0};
    uint64_t size = 0;
    keys k = {{0}};
    (void)state;
    OK(ds_remote_url_parse(&u, unit_path("afar"), err));
    OK(ds_remote_open(&r, &u, &o, err));
    ds_remote_url_fini(&u);
    assert_int_equal(ds_remote_stat(r, "packs/a", &size, NULL), 0);
    OK(ds_remote_list(r, "packs/", list_file, &k, err));
    assert_string_equal(k.text, "");
    assert_int_equal(ds_remote_put(r, "packs/a", &b, NULL), 1);
    assert_int_equal(ds_remote_put(r, "packs/a", &b, NULL), 0);
    assert_int_equal(ds_remote_stat(r, "packs/a", &size, NULL), 1);
    assert_int_equal(size, 5);
    OK(ds_remote_list(r, "packs/", list_file, &k, err));
    assert_string_equal(k.text, "a=5;");
    OK(ds_remote_get_buf(r, "packs/a", 1, 3, &got, err));
    assert_memory_equal(got.data, "ell", 3);
    assert_int_equal(ds_remote_get_buf(r, "packs/a", 1, 5, &got, NULL), DS_CORRUPT);
    assert_int_equal(ds_remote_get_buf(r, "packs/b", 0, 1, &got, NULL), DS_CORRUPT);
    OK(ds_remote_delete(r, "packs/a", err));
    OK(ds_remote_delete(r, "packs/a", err));
    assert_int_equal(ds_remote_stat(r, "packs/a", &size, NULL), 0);
    ds_remote_close(r);
    ds_buf_fini(&got);
}

/* ---- what is known of a remote ---- */

enum { CHAIN = 4 };

static ds_sha new_pack(const char *dir, const ds_sha *before, size_t n)
{
    ds_sha *names = NULL, found = {{0}};
    size_t packs = 0, strange = 0;
    OK(ds_pack_list(dir, &names, &packs, &strange, err));
    assert_int_equal(packs, n + 1);
    for (size_t i = 0; i < packs; i++) {
        bool old = false;
        for (size_t k = 0; k < n; k++)
            old = old || ds_sha_eq(&before[k], &names[i]);
        if (!old)
            found = names[i];
    }
    free(names);
    return found;
}

typedef struct chained {
    ds_sha pack, id, base;
    bool whole;
} chained;

static int on_link(void *ctx, const ds_objhead *h, uint64_t off, ds_err *err)
{
    chained *l = ctx;
    (void)off;
    (void)err;
    l->id = h->id;
    l->whole = h->bases.n == 0;
    assert_in_range(h->bases.n, 0, 1);
    if (!l->whole)
        l->base = h->bases.id[0];
    return 0;
}

static void read_link(const char *dir, const ds_sha *pack, chained *l)
{
    char path[700];
    ds_buf text = {0};
    struct stat st;
    uint64_t objects;
    ds_pack_path(path, sizeof path, dir, pack);
    OK(ds_packheads_make(&text, path, err));
    assert_int_equal(stat(path, &st), 0);
    OK(ds_packheads_each(text.data, text.len, (uint64_t)st.st_size, &objects, on_link, l, err));
    assert_int_equal(objects, 1);
    l->pack = *pack;
    ds_buf_fini(&text);
}

/* Packs of one piece, each but the first stored against one of those before. */
static void chained_packs(char *dir, chained *chain)
{
    ds_objstore *s = obj_store("chain", dir);
    ds_sha packs[CHAIN];
    ds_objstats st = {0};
    for (size_t i = 0; i < CHAIN; i++) {
        ds_objtx *tx = NULL;
        ds_buf b = {0};
        for (uint64_t k = 0; k < 40; k++)
            obj_line(&b, k <= i ? 1000 * k : k, 200);
        OK(ds_objtx_begin(&tx, s, 1, err));
        obj_put(tx, b.data, b.len);
        OK(ds_objtx_finish(tx, &st, err));
        assert_int_equal(st.deltas, i > 0);
        packs[i] = new_pack(dir, packs, i);
        read_link(dir, &packs[i], &chain[i]);
        ds_buf_fini(&b);
    }
    ds_objstore_close(s);
}

static void put_pack(ds_remote *r, const char *dir, const ds_sha *pack)
{
    char path[700], name[80];
    ds_buf bytes = {0}, told = {0};
    ds_pack_path(path, sizeof path, dir, pack);
    OK(ds_read_file(&bytes, path, 1 << 24, err));
    OK(ds_packheads_make(&told, path, err));
    const ds_remote_body b = {.data = bytes.data, .fd = -1, .n = bytes.len},
                         h = {.data = told.data, .fd = -1, .n = told.len};
    ds_remote_pack_name(name, pack, "pack");
    assert_int_equal(ds_remote_put(r, name, &b, NULL), 1);
    ds_remote_pack_name(name, pack, "heads");
    assert_int_equal(ds_remote_put(r, name, &h, NULL), 1);
    ds_buf_fini(&bytes);
    ds_buf_fini(&told);
}

static int count_head(void *ctx, const ds_objhead *h, uint64_t off, ds_err *err)
{
    (void)h;
    (void)off;
    (void)err;
    ++*(size_t *)ctx;
    return 0;
}

static bool can_be_read(const chained *chain, const bool *has, size_t k)
{
    while (has[k] && !chain[k].whole) {
        size_t base = 0;
        while (!ds_sha_eq(&chain[base].id, &chain[k].base))
            assert_true(++base < CHAIN);
        k = base;
    }
    return has[k];
}

/* Packs come in this order, and are looked for after each: those pieces are known whose bases have
 * come, and those that were left out are told of. */
static void packs_come(const char *dir, const chained *chain, const int *order)
{
    static int n;
    char place[32], cache[600];
    ds_remote_url u;
    ds_remote *r = NULL;
    ds_remote_opts o = {.tries = 1};
    ds_remoteindex *x = NULL;
    ds_remotestate state;
    bool has[CHAIN] = {false};
    int64_t row;
    snprintf(place, sizeof place, "chain-far-%d", n);
    OK(ds_remote_url_parse(&u, unit_path(place), err));
    OK(ds_remote_open(&r, &u, &o, err));
    ds_remote_url_fini(&u);
    snprintf(place, sizeof place, "chain-cache-%d", n++);
    snprintf(cache, sizeof cache, "%s", unit_path(place));
    for (size_t i = 0; i < CHAIN; i++) {
        size_t known = 0, waiting = 0;
        put_pack(r, dir, &chain[order[i]].pack);
        has[order[i]] = true;
        if (i % 2 == 0) { /* one process, or another, which finds what the first wrote down */
            ds_remoteindex_close(x);
            OK(ds_remoteindex_open(&x, cache, "r", r, err));
        }
        OK(ds_remoteindex_refresh(x, &state, err));
        assert_int_equal(state.packs, i + 1);
        for (size_t k = 0; k < CHAIN; k++) {
            const bool there = can_be_read(chain, has, k);
            assert_int_equal(ds_objindex_row(ds_remoteindex_get(x), &chain[k].id, &row, NULL),
                             there);
            known += there;
        }
        OK(ds_remoteindex_waiting(x, count_head, &waiting, err));
        assert_int_equal(waiting, i + 1 - known);
    }
    ds_remoteindex_close(x);
    ds_remote_close(r);
}

static void what_is_known_does_not_depend_on_the_order_of_packs(void **state)
{
    static const int orders[][CHAIN] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 3, 0, 2},
                                        {2, 0, 3, 1}, {3, 0, 1, 2}, {1, 2, 3, 0}};
    char dir[512];
    chained chain[CHAIN];
    (void)state;
    chained_packs(dir, chain);
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
        packs_come(dir, chain, orders[i]);
}

static void a_set_of_addresses(void **state)
{
    ds_shaset s = {0};
    bool fresh;
    (void)state;
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < 5000; i++) {
            ds_sha id;
            OK(ds_sha_bytes(&id, &i, sizeof i, err));
            assert_int_equal(ds_shaset_has(&s, &id), round == 1);
            OK(ds_shaset_add(&s, &id, &fresh, err));
            assert_int_equal(fresh, round == 0);
        }
    assert_int_equal(s.n, 5000);
    ds_shaset_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_the_examples_of_s3),
        cmocka_unit_test(signs_the_test_suite),
        cmocka_unit_test(macs_are_those_of_the_rfc),
        cmocka_unit_test(encodes_as_s3_does),
        cmocka_unit_test(reads_answers),
        cmocka_unit_test(refuses_bad_answers),
        cmocka_unit_test(takes_urls_apart),
        cmocka_unit_test(refuses_bad_urls),
        cmocka_unit_test(reads_credentials),
        cmocka_unit_test(heads_tell_what_is_in_a_pack),
        cmocka_unit_test(a_folder_keeps_what_is_put),
        cmocka_unit_test(what_is_known_does_not_depend_on_the_order_of_packs),
        cmocka_unit_test(a_set_of_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, unit_dir_remove);
}
