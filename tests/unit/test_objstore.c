/* The object layer: what goes in comes out, once, in order, the same for any number of threads. */
#include "obj_help.h"

#include "codec.h"

static void round_trip(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,         1, 7, 511, 512, 4096, 65537, 262144, DS_OBJ_MAX - 1,
                                   DS_OBJ_MAX};
    enum { N = sizeof sizes / sizeof sizes[0] };
    char path[512];
    ds_objstore *s = obj_store("round", path);
    ds_buf text[N] = {{0}}, noise[N] = {{0}};
    ds_sha a[N], b[N];
    ds_objtx *tx = NULL;
    ds_objstats st;
    uint64_t seed = 1;
    OK(ds_objtx_begin(&tx, s, 2, err));
    for (int i = 0; i < N; i++) {
        while (text[i].len < sizes[i])
            obj_line(&text[i], text[i].len, 100);
        text[i].len = sizes[i];
        while (noise[i].len < sizes[i])
            OK(ds_buf_u64(&noise[i], obj_rand(&seed)));
        noise[i].len = sizes[i];
        a[i] = obj_put(tx, text[i].data, sizes[i]);
        b[i] = obj_put(tx, noise[i].data, sizes[i]);
    }
    OK(ds_objtx_finish(tx, &st, err));
    assert_int_equal(st.pieces_new + st.pieces_shared, 2 * N);
    assert_int_equal(st.pieces_new, 2 * N - 1); /* the two empty ones are one */
    for (int i = 0; i < N; i++) {
        uint32_t raw = 77, stored = 0;
        uint8_t kind = 0;
        obj_expect(s, &a[i], text[i].data, sizes[i]);
        obj_expect(s, &b[i], noise[i].data, sizes[i]);
        assert_true(ds_objstore_has(s, &a[i]));
        assert_int_equal(ds_objstore_stat(s, &b[i], &raw, &kind, &stored, NULL), 1);
        assert_int_equal(raw, sizes[i]);
        assert_int_equal(kind, 1);
        assert_in_range(stored, 73, sizes[i] + 300);
    }
    assert_int_equal(obj_scrub(s, true, NULL), 0);
    ds_objstore_close(s);
    OK(ds_objstore_open(&s, path, DS_OBJ_READ, err));
    for (int i = 0; i < N; i++)
        obj_expect(s, &a[i], text[i].data, sizes[i]);
    ds_objstore_close(s);
    for (int i = 0; i < N; i++) {
        ds_buf_fini(&text[i]);
        ds_buf_fini(&noise[i]);
    }
}

static void duplicates_are_stored_once(void **state)
{
    (void)state;
    char path[512];
    ds_objstore *s = obj_store("dup", path);
    ds_buf t = {0}, u = {0};
    ds_objtx *tx = NULL;
    ds_objstats st;
    bool is_new = false;
    obj_line(&t, 1, 3000);
    OK(ds_objtx_begin(&tx, s, 2, err));
    ds_piece p = obj_piece(t.data, t.len);
    OK(ds_objtx_put(tx, &p, &is_new, err));
    assert_true(is_new);
    OK(ds_objtx_put(tx, &p, &is_new, err));
    assert_false(is_new);
    OK(ds_objtx_get(tx, &p.id, &u, err));
    assert_int_equal(u.len, t.len);
    assert_memory_equal(u.data, t.data, t.len);
    OK(ds_objtx_finish(tx, &st, err));
    assert_int_equal(st.pieces_new, 1);
    assert_int_equal(st.pieces_shared, 1);
    assert_int_equal(st.bytes_new, t.len);
    assert_int_equal(st.bytes_shared, t.len);
    assert_int_equal(st.packs, 1);
    OK(ds_objtx_begin(&tx, s, 1, err));
    ds_buf own = {0};
    OK(ds_buf_put(&own, t.data, t.len));
    p.data = own.data;
    OK(ds_objtx_put_buf(tx, &p, &own, &is_new, err));
    assert_false(is_new);
    assert_int_equal(own.len, 0);
    OK(ds_objtx_finish(tx, &st, err));
    assert_int_equal(st.packs, 0); /* nothing new: no pack */
    assert_int_equal(st.bytes_stored, 0);
    ds_buf_fini(&own);
    ds_buf_fini(&t);
    ds_buf_fini(&u);
    ds_objstore_close(s);
}

/* Many pieces, some like others, put by `threads`; the dump with places says it all. */
static char *dump_of(const char *name, int threads)
{
    char path[512];
    ds_objstore *s = obj_store(name, path);
    for (int version = 0; version < 3; version++) {
        ds_objtx *tx = NULL;
        ds_buf b = {0};
        OK(ds_objtx_begin(&tx, s, threads, err));
        for (unsigned i = 0; i < 300; i++) {
            ds_buf_reset(&b);
            for (unsigned k = 0; k < 20;
                 k++) /* neighbours 100 apart share most lines, across versions too */
                obj_line(&b, k == i % 20 ? 1000000u * (unsigned)version + i : (i % 100) * 20 + k,
                         60 + i % 200);
            ds_piece p = obj_piece(b.data, b.len);
            OK(ds_objtx_put_buf(tx, &p, &b, NULL, err));
        }
        OK(ds_objtx_finish(tx, NULL, err));
        ds_buf_fini(&b);
    }
    char *d = obj_dump(s, true);
    assert_int_equal(obj_scrub(s, true, NULL), 0);
    ds_objstore_close(s);
    return d;
}

static void same_packs_for_any_threads(void **state)
{
    (void)state;
    char *one = dump_of("t1", 1), *two = dump_of("t2", 2), *many = dump_of("t7", 7);
    assert_string_equal(one, two);
    assert_string_equal(one, many);
    assert_non_null(strstr(one, "chain=1 "));
    assert_non_null(strstr(one, "chain=2 "));
    free(one);
    free(two);
    free(many);
}

static void abort_leaves_nothing(void **state)
{
    (void)state;
    char path[512];
    ds_objstore *s = obj_store("abort", path);
    ds_buf t = {0};
    ds_objtx *tx = NULL;
    obj_line(&t, 1, 100000);
    char *before = obj_dump(s, true);
    OK(ds_objtx_begin(&tx, s, 2, err));
    ds_sha id = obj_put(tx, t.data, t.len);
    ds_objtx_abort(tx);
    char *after = obj_dump(s, true);
    assert_string_equal(before, after);
    assert_false(ds_objstore_has(s, &id));
    assert_int_equal(obj_scrub(s, true, NULL), 0);
    ds_objgc *gc = NULL;
    ds_gcstats st;
    OK(ds_objgc_begin(&gc, s, false, err));
    OK(ds_objgc_condemn(gc, false, err));
    OK(ds_objgc_shut(gc, false, err));
    OK(ds_objgc_sweep(gc, false, &st, err));
    ds_objgc_end(gc);
    assert_int_equal(st.tmp_removed, 0);
    free(before);
    free(after);
    ds_buf_fini(&t);
    ds_objstore_close(s);
}

static void refusals(void **state)
{
    (void)state;
    char path[512];
    ds_objstore *s = obj_store("refuse", path), *r = NULL;
    ds_objtx *tx = NULL;
    ds_err why = {0};
    ds_buf b = {0};
    static uint8_t big[DS_OBJ_MAX + 1];
    ds_piece p = {.data = big, .len = sizeof big};
    ds_sha none = {{1}};
    OK(ds_objtx_begin(&tx, s, 1, err));
    assert_int_equal(ds_objtx_put(tx, &p, NULL, &why), DS_FAIL);
    OK(ds_objtx_finish(tx, NULL, err));
    ds_err_clear(&why);
    assert_int_equal(ds_objstore_get(s, &none, true, &b, &why), DS_FAIL);
    assert_non_null(strstr(why.msg, "no piece 01"));
    assert_false(ds_objstore_has(s, &none));
    assert_int_equal(ds_objstore_stat(s, &none, NULL, NULL, NULL, NULL), 0);
    OK(ds_objstore_open(&r, path, DS_OBJ_READ, err));
    assert_int_equal(ds_objtx_begin(&tx, r, 1, NULL), DS_FAIL);
    ds_objstore_close(r);
    assert_int_equal(ds_objstore_open(&r, unit_path("nowhere"), DS_OBJ_READ, NULL), DS_NOSTORE);
    assert_null(r);
    /* bytes that have another address than they were put under are found by whoever verifies */
    OK(ds_objtx_begin(&tx, s, 1, err));
    p = (ds_piece){.id = none, .data = big, .len = 100};
    OK(ds_objtx_put(tx, &p, NULL, err));
    OK(ds_objtx_finish(tx, NULL, err));
    assert_int_equal(ds_objstore_get(s, &none, false, &b, NULL), 0);
    assert_int_equal(ds_objstore_get(s, &none, true, &b, NULL), DS_CORRUPT);
    assert_int_equal(obj_scrub(s, false, NULL), 0);
    assert_int_equal(obj_scrub(s, true, NULL), 1);
    ds_buf_fini(&b);
    ds_objstore_close(s);
}

static void reader_keeps_the_order(void **state)
{
    (void)state;
    enum { N = 200 };
    char path[512];
    ds_objstore *s = obj_store("reader", path);
    static ds_sha ids[N];
    static size_t tags[N];
    ds_buf b = {0};
    ds_objtx *tx = NULL;
    ds_objreader *r = NULL;
    ds_objread got;
    ds_sha none = {{9}};
    OK(ds_objtx_begin(&tx, s, 2, err));
    for (size_t i = 0; i < N; i++) {
        ds_buf_reset(&b);
        obj_line(&b, i, 100 + 37 * i);
        ids[i] = obj_put(tx, b.data, b.len);
        tags[i] = i;
    }
    OK(ds_objtx_finish(tx, NULL, err));
    for (int threads = 1; threads <= 3; threads++) {
        size_t put = 0;
        OK(ds_objreader_new(&r, s, threads, true, err));
        for (size_t i = 0; i < N; i++) {
            for (; put < N && !ds_objreader_full(r); put++)
                OK(ds_objreader_put(r, &ids[(put * 7) % N], &tags[(put * 7) % N], err));
            assert_int_equal(ds_objreader_next(r, &got, NULL), 1);
            assert_memory_equal(&got.id, &ids[(i * 7) % N], 32);
            assert_int_equal(*(size_t *)got.tag, (i * 7) % N);
            ds_buf_reset(&b);
            obj_line(&b, (i * 7) % N, 100 + 37 * ((i * 7) % N));
            assert_int_equal(got.len, b.len);
            assert_memory_equal(got.data, b.data, b.len);
        }
        assert_int_equal(ds_objreader_next(r, &got, NULL), 0);
        OK(ds_objreader_put(r, &none, NULL, err));
        assert_int_equal(ds_objreader_next(r, &got, NULL), DS_FAIL);
        OK(ds_objreader_put(r, &ids[0], NULL, err)); /* left in flight */
        ds_objreader_free(r);
    }
    ds_buf_fini(&b);
    ds_objstore_close(s);
}

/* Pieces are read several at a time: what is wrong with one is said of it, and of no other. */
static void reader_tells_bad_from_good(void **state)
{
    (void)state;
    enum { N = 45 };
    char path[512];
    ds_objstore *s = obj_store("mixed", path);
    ds_sha ids[N];
    ds_buf b = {0};
    ds_objtx *tx = NULL;
    ds_objreader *r = NULL;
    OK(ds_objtx_begin(&tx, s, 1, err));
    for (size_t i = 0; i < N; i++) {
        ds_buf_reset(&b);
        obj_line(&b, i, 500 + 37 * i);
        ids[i] = (ds_sha){{1, (uint8_t)i}};
        const ds_piece wrong = {.id = ids[i], .data = b.data, .len = b.len};
        if (i % 5 == 2)
            OK(ds_objtx_put(tx, &wrong, NULL, err)); /* under an address that is not its own */
        else if (i % 7 != 3)                         /* else nobody has it */
            ids[i] = obj_put(tx, b.data, b.len);
    }
    OK(ds_objtx_finish(tx, NULL, err));
    for (int threads = 1; threads <= 3; threads++)
        for (int verify = 0; verify < 2; verify++) {
            size_t put = 0;
            OK(ds_objreader_new(&r, s, threads, verify, err));
            for (size_t i = 0; i < N; i++) {
                ds_objread got;
                for (; put < N && !ds_objreader_full(r); put++)
                    OK(ds_objreader_put(r, &ids[put], &ids[put], err));
                const int want = i % 5 == 2 ? (verify ? DS_CORRUPT : 1) : i % 7 == 3 ? DS_FAIL : 1;
                assert_int_equal(ds_objreader_next(r, &got, NULL), want);
                assert_ptr_equal(got.tag, &ids[i]);
                assert_memory_equal(&got.id, &ids[i], sizeof got.id);
                ds_buf_reset(&b);
                obj_line(&b, i, 500 + 37 * i);
                if (want == 1) {
                    assert_int_equal(got.len, b.len);
                    assert_memory_equal(got.data, b.data, b.len);
                }
            }
            ds_objreader_free(r);
        }
    ds_buf_fini(&b);
    ds_objstore_close(s);
}

static void filters_turn_back(void **state)
{
    (void)state;
    uint8_t in[1003], mid[1003], out[1003];
    uint64_t seed = 5;
    for (size_t n = 1; n < sizeof in; n += n < 40 ? 1 : 321) {
        for (unsigned f = 1; f < 8; f++) {
            if (f == 4)
                continue;
            for (size_t i = 0; i < n; i++)
                in[i] = (uint8_t)obj_rand(&seed);
            memset(out, 0, sizeof out);
            ds_filter_apply(mid, in, n, f);
            ds_filter_undo(out, mid, n, f);
            assert_memory_equal(in, out, n);
        }
    }
}

/* What a head says of its payload is not believed: a filter that there is none of, another length
 * than the payload unpacks to. */
static void heads_are_not_believed(void **state)
{
    static const uint8_t filters[] = {4, 8, 255};
    (void)state;
    ds_codec *c = NULL;
    ds_buf packed = {0}, out = {0};
    ds_objhead h = {.kind = 1};
    uint8_t raw[512] = {0};
    OK(ds_codec_new(&c, err));
    OK(ds_codec_pack(c, raw, sizeof raw, 0, &packed, &h, err));
    assert_int_equal(h.codec, DS_CODEC_ZSTD);
    h.raw = sizeof raw;
    assert_null(ds_codec_unpack(c, &h, packed.data, NULL, 0, &out));
    assert_int_equal(out.len, sizeof raw);
    for (size_t i = 0; i < sizeof filters; i++) {
        h.filter = filters[i];
        assert_string_equal(ds_codec_unpack(c, &h, packed.data, NULL, 0, &out), "unknown filter");
    }
    h.filter = 0;
    h.raw++;
    assert_string_equal(ds_codec_unpack(c, &h, packed.data, NULL, 0, &out),
                        "payload decodes to another length");
    h.raw -= 2;
    assert_string_equal(ds_codec_unpack(c, &h, packed.data, NULL, 0, &out),
                        "payload does not decode");
    ds_codec_free(c);
    ds_buf_fini(&packed);
    ds_buf_fini(&out);
}

/* Words with noisy low and quiet high bytes: a filter must win, and the address stay what it was.
 */
static void filters_win_on_words(void **state)
{
    (void)state;
    char path[512];
    ds_objstore *s = obj_store("words", path);
    uint64_t seed = 3;
    uint32_t plain = 0, planes = 0;
    for (unsigned word = 2; word <= 8; word *= 2) {
        ds_buf b = {0};
        ds_objtx *tx = NULL;
        uint64_t v = 1u << 14;
        while (b.len < 100000) {
            uint8_t w[8];
            ds_set_u64(w, v += obj_rand(&seed) % 61);
            OK(ds_buf_put(&b, w, word));
        }
        for (int with = 0; with < 2; with++) {
            b.data[0] = (uint8_t)with; /* two pieces */
            ds_piece p = obj_piece(b.data, b.len);
            p.sketch.n = 0;
            p.word = with ? (uint8_t)word : 0;
            OK(ds_objtx_begin(&tx, s, 1, err));
            OK(ds_objtx_put(tx, &p, NULL, err));
            OK(ds_objtx_finish(tx, NULL, err));
            obj_expect(s, &p.id, b.data, b.len);
            assert_int_equal(ds_objstore_stat(s, &p.id, NULL, NULL, with ? &planes : &plain, NULL),
                             1);
        }
        assert_true(planes < plain);
        ds_buf_fini(&b);
    }
    ds_objstore_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(duplicates_are_stored_once),
        cmocka_unit_test(same_packs_for_any_threads),
        cmocka_unit_test(abort_leaves_nothing),
        cmocka_unit_test(refusals),
        cmocka_unit_test(reader_keeps_the_order),
        cmocka_unit_test(reader_tells_bad_from_good),
        cmocka_unit_test(filters_turn_back),
        cmocka_unit_test(filters_win_on_words),
        cmocka_unit_test(heads_are_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, unit_dir_remove);
}
