/* Packs that no writer of ours makes: bases without an end, and webs of them. */
#include "obj_help.h"

#include <stdatomic.h>
#include <unistd.h>

#include "codec.h"
#include "io.h"
#include "objcore.h"

enum { SIZE = 1 << 20 };

static uint8_t raw[SIZE], prefix[DS_BASES_MAX * SIZE];

/* Piece number i: its number, and `n` bytes in all. */
static ds_sha piece(unsigned i, size_t n)
{
    ds_sha id;
    memset(raw, 0, n);
    memcpy(raw, &i, sizeof i);
    OK(ds_sha_tagged(&id, DS_PIECE_TAG, raw, n, err));
    return id;
}

/* A pack of `pieces` pieces of n bytes; of[k] of piece i is i less back[k], as far as there is
 * such. */
static void web(const char *path, unsigned first, unsigned pieces, size_t n, const unsigned *back,
                unsigned nback)
{
    ds_packw w = {.fd = -1};
    ds_codec *c = NULL;
    ds_buf out = {0};
    OK(ds_codec_new(&c, err));
    OK(ds_packw_open(&w, path, err));
    for (unsigned i = first; i < first + pieces; i++) {
        ds_objhead h = {.kind = 1, .codec = DS_CODEC_DELTA, .chain = 1, .raw = (uint32_t)n};
        size_t len = 0;
        for (unsigned k = 0; k < nback; k++)
            if (i >= back[k])
                h.bases.id[h.bases.n++] = piece(i - back[k], n);
        for (unsigned k = h.bases.n; k-- > 0; len += n) { /* the first one last */
            piece(i - back[k], n);
            memcpy(prefix + len, raw, n);
        }
        h.id = piece(i, n);
        bool got = false;
        ds_buf_reset(&out);
        if (h.bases.n == 0)
            OK(ds_codec_pack(c, raw, n, 0, &out, &h, err));
        else
            OK(ds_codec_delta(c, raw, n, prefix, len, n, &out, &got, err));
        assert_true(got == (h.bases.n > 0));
        h.chain = h.bases.n > 0;
        h.stored = (uint32_t)out.len;
        uint8_t object[DS_OBJHEAD_MAX + 4096 + DS_OBJSUM];
        const size_t head = ds_objhead_size(&h);
        assert_true(out.len < 4096);
        ds_objhead_put(object, &h);
        memcpy(object + head, out.data, out.len);
        const ds_x128 sum = ds_xxh128(object, head + out.len);
        memcpy(object + head + out.len, sum.b, sizeof sum.b);
        OK(ds_packw_put(&w, object, head + out.len + sizeof sum.b, NULL, err));
    }
    OK(ds_packw_end(&w, err));
    OK(ds_packw_publish(&w, path, err));
    ds_packw_fini(&w);
    ds_codec_free(c);
    ds_buf_fini(&out);
}

static char reasons[4096];

static int note(void *ctx, const ds_objproblem *p)
{
    (void)ctx;
    if (!strstr(reasons, p->reason))
        snprintf(reasons + strlen(reasons), sizeof reasons - strlen(reasons), "%s;", p->reason);
    return 0;
}

/* Each one is built on the one before: what is too deep is named, and nothing walks down there. */
static void chains_end(void **state)
{
    (void)state;
    enum { N = 300 };
    static const unsigned back[] = {1};
    char path[512];
    ds_scrubstats st;
    ds_buf b = {0};
    ds_objstore *s = obj_store("chain", path);
    ds_objstore_close(s);
    web(path, 0, N, 64, back, 1);
    OK(ds_objstore_reindex(path, note, NULL, &st, err));
    assert_int_equal(st.problems, N - DS_CLOSURE_CAP - 1);
    assert_string_equal(reasons, DS_OBJ_TOO_DEEP ";" DS_OBJ_NO_BASE ";");
    OK(ds_objstore_open(&s, path, DS_OBJ_READ, err));
    ds_sha id = piece(DS_CLOSURE_CAP - 1, 64);
    OK(ds_objstore_get(s, &id, true, &b, err));
    ds_err err = {0};
    id = piece(DS_CLOSURE_CAP, 64); /* in the index: 64 rounds, and one without bases */
    assert_int_equal(ds_objstore_get(s, &id, true, &b, &err), DS_CORRUPT);
    assert_non_null(strstr(err.msg, DS_OBJ_TOO_DEEP));
    ds_objstore_close(s);
    ds_buf_fini(&b);
}

static atomic_uint reads;

static ssize_t counted(int fd, void *buf, size_t n, off_t off)
{
    reads++;
    return ds_io_system.pread(fd, buf, n, off);
}

/* More bases than the cache holds, asked for again and again from far above: each is decoded
 * once. */
static void webs_are_walked_once(void **state)
{
    (void)state;
    static const unsigned back[] = {1, 15, 24, 33};
    char path[512];
    ds_scrubstats st;
    ds_buf b = {0};
    ds_objstore *s = obj_store("web", path);
    ds_objstore_close(s);
    web(path, 0, DS_CLOSURE_CAP, SIZE, back, 4);
    OK(ds_objstore_reindex(path, NULL, NULL, &st, err));
    assert_int_equal(st.problems, 0);
    OK(ds_objstore_open(&s, path, DS_OBJ_READ, err));
    ds_io_ops ops = ds_io_system;
    ops.pread = counted;
    ds_io_active = &ops;
    ds_sha id = piece(DS_CLOSURE_CAP - 1, SIZE);
    OK(ds_objstore_get(s, &id, true, &b, err));
    ds_io_active = &ds_io_system;
    assert_memory_equal(b.data, raw, SIZE);
    if (reads > 2 * DS_CLOSURE_CAP)
        fail_msg("%u reads of %d pieces", (unsigned)reads, DS_CLOSURE_CAP);
    ds_objstore_close(s);
    ds_buf_fini(&b);
}

/* The index says that another piece lies there, or on other bases, than is so. */
static void index_and_pack_agree(void **state)
{
    (void)state;
    char path[512];
    ds_scrubstats st;
    ds_buf b = {0};
    ds_objhead h;
    ds_objloc loc;
    const uint8_t *payload;
    ds_objstore *s = obj_store("agree", path);
    ds_objstore_close(s);
    web(path, 0, 1, 64, NULL, 0);
    OK(ds_objstore_reindex(path, note, NULL, &st, err));
    OK(ds_objstore_open(&s, path, DS_OBJ_READ, err));
    ds_err err = {0};
    const ds_sha id = piece(0, 64);
    assert_int_equal(ds_objindex_find(s->ix, &id, &loc, &err), 1);
    assert_int_equal(ds_packset_read(s->packs, &loc, &b, &h, &payload, &err), 1);
    loc.id.b[0] ^= 1;
    assert_int_equal(ds_packset_read(s->packs, &loc, &b, &h, &payload, &err), DS_CORRUPT);
    assert_non_null(strstr(err.msg, "another piece lies there than the index says"));
    ds_err_clear(&err);
    loc.id = id;
    loc.bases.n = 1;
    assert_int_equal(ds_packset_read(s->packs, &loc, &b, &h, &payload, &err), DS_CORRUPT);
    assert_non_null(strstr(err.msg, "another base than the index says"));
    ds_objstore_close(s);
    ds_buf_fini(&b);
}

/* A head, made whole, whose byte at `at` is another one. */
static const char *head_says(const ds_objhead *h, size_t at, uint8_t byte)
{
    uint8_t p[DS_OBJHEAD_MAX];
    ds_objhead got;
    size_t size = ds_objhead_size(h);
    ds_objhead_put(p, h);
    if (at)
        p[at] = byte;
    ds_set_u32(p + size - 4, (uint32_t)ds_xxh64(p, size - 4));
    return ds_objhead_get(&got, &size, p, size);
}

/* What no writer of ours puts into a head is refused, whatever its checksum says: lengths are what
 * is read from the payload. */
static void heads_make_sense(void **state)
{
    static const char senseless[] = "object head makes no sense",
                      unknown[] = "object of an unknown kind: written by a newer version?";
    const ds_objhead plain = {.kind = 1, .codec = DS_CODEC_RAW, .stored = 10, .raw = 10},
                     packed = {.kind = 1, .codec = DS_CODEC_ZSTD, .stored = 10, .raw = 20},
                     delta = {.kind = 1,
                              .codec = DS_CODEC_DELTA,
                              .chain = 1,
                              .stored = 10,
                              .raw = 20,
                              .bases = {.n = 1}};
    ds_objhead h = plain;

    (void)state;
    assert_null(head_says(&plain, 0, 0));
    assert_null(head_says(&packed, 0, 0));
    assert_null(head_says(&delta, 0, 0));
    assert_string_equal(head_says(&plain, 6, DS_CODEC_DELTA + 1), unknown);
    assert_string_equal(head_says(&plain, 20, 1), unknown);
    h.raw = 11; /* it would be read past its end */
    assert_string_equal(head_says(&h, 0, 0), senseless);
    h = packed;
    h.stored = 21;
    assert_string_equal(head_says(&h, 0, 0), senseless);
    h.stored = 10;
    h.raw = DS_OBJ_MAX + 1;
    assert_string_equal(head_says(&h, 0, 0), senseless);
    assert_string_equal(head_says(&packed, 6, DS_CODEC_DELTA), senseless);
    assert_string_equal(head_says(&delta, 6, DS_CODEC_ZSTD), senseless);
    assert_string_equal(head_says(&delta, 19, 2), senseless); /* longer than it says */
}

static int note_bad(void *ctx, uint64_t off, const ds_sha *id, const char *reason)
{
    (void)ctx;
    (void)off;
    (void)id;
    snprintf(reasons + strlen(reasons), sizeof reasons - strlen(reasons), "%s;", reason);
    return 0;
}

/* What is wrong with these bytes as a pack, and how many of its objects are good. */
static void scanned(const uint8_t *p, size_t n, bool full, const char *wrong, uint64_t good)
{
    char path[512];
    snprintf(path, sizeof path, "%s", unit_path("scanned.pack"));
    unit_write(path, p, n);
    ds_packscan s = {.path = path, .full = full, .bad = note_bad};
    reasons[0] = 0;
    OK(ds_pack_scan(&s, err));
    assert_string_equal(reasons, wrong);
    assert_int_equal(s.objects, good);
}

/* A trailer that tells of others, an object that goes on past the end, one that is overwritten. */
static void packs_are_scanned(void **state)
{
    (void)state;
    char path[512], file[1024];
    size_t n, strange;
    ds_sha *names;
    ds_objstore *s = obj_store("scan", path);
    ds_objstore_close(s);
    web(path, 0, 3, 64, NULL, 0);
    OK(ds_pack_list(path, &names, &n, &strange, err));
    assert_int_equal(n, 1);
    ds_pack_path(file, sizeof file, path, names);
    free(names);
    uint8_t *p = (uint8_t *)unit_read(file, &n), *trailer = p + n - DS_PACK_TRAILER;
    for (int full = 0; full < 2; full++) {
        scanned(p, n, full, "", 3);
        scanned(p, n - DS_PACK_TRAILER - 1, full,
                "trailer is missing or damaged;object reaches past the end of the pack;", 2);
        ds_set_u64(trailer + 8, 4);
        ds_set_u64(trailer + 24, ds_xxh64(trailer, 24));
        scanned(p, n, full, "trailer counts other objects than there are;", 3);
        ds_set_u64(trailer + 8, 3);
        ds_set_u64(trailer + 16, n);
        ds_set_u64(trailer + 24, ds_xxh64(trailer, 24));
        scanned(p, n, full, "the pack has another length than its trailer says;", 3);
        ds_set_u64(trailer + 16, n - DS_PACK_TRAILER);
        ds_set_u64(trailer + 24, ds_xxh64(trailer, 24));
        memset(p + DS_PACK_HEADER, ds_objmagic[0], 4); /* the next one is found again */
        scanned(p, n, full, "no object magic;", 2);
        memcpy(p + DS_PACK_HEADER, ds_objmagic, 4);
    }
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_end),           cmocka_unit_test(webs_are_walked_once),
        cmocka_unit_test(index_and_pack_agree), cmocka_unit_test(packs_are_scanned),
        cmocka_unit_test(heads_make_sense),
    };
    return cmocka_run_group_tests(tests, NULL, unit_dir_remove);
}
