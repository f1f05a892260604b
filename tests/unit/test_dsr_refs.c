/* test_dsr_refs.c - references: columns whose values come late, frames that tell of pieces in a
 * store, and what of them is not believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dsr_frame.h"
#include "dsr_make.h"

enum { ROWS = 300, SIZE = 100 };

static const ds_storeid here = {{1, 2, 3}}, elsewhere = {{9}};

/* A record's content. */
static void content(uint8_t out[SIZE], uint64_t n)
{
    for (size_t i = 0; i < SIZE; i += 4) {
        const uint64_t r = make_random(&n);
        memcpy(out + i, &r, 4);
    }
}

typedef struct maker {
    bool refer;     /* blocks are references; else the values come late */
    uint64_t first; /* record of the block */
    uint64_t rows;  /* told of in it */
    ds_refs refs, claims;
    unsigned filled, wrote;
} maker;

static int fill(void *ctx, ds_colbuild *b, uint64_t rows, const ds_refs **refs, ds_err *err)
{
    maker *m = ctx;
    const ds_sha id = {{(uint8_t)m->first, 7}};
    uint8_t v[SIZE];
    int rc = 0;

    m->filled++;
    assert_int_equal(rows, m->rows);
    if (!m->refer) {
        for (uint64_t i = 0; !rc && i < rows; i++) {
            content(v, m->first + i);
            rc = ds_colbuild_bytes(b, v, SIZE, err);
        }
        return rc;
    }
    assert_int_equal(ds_refs_copy(&m->refs, &m->claims), 0);
    m->refs.len = 0;
    assert_int_equal(ds_refs_piece(&m->refs, &id, 1000), 0);
    assert_int_equal(ds_refs_piece(&m->refs, &id, 500000), 0);
    assert_int_equal(ds_refs_piece(&m->refs, &id, 700000), 0);
    *refs = &m->refs;
    return 0;
}

static int wrote(void *ctx, uint64_t rows, const ds_chunk *chunk, ds_err *err)
{
    maker *m = ctx;

    (void)err;
    m->wrote++;
    assert_int_equal(rows, m->rows);
    assert_true(m->refer == (chunk->refs != NULL));
    m->first += rows;
    m->rows = 0;
    ds_refs_reset(&m->claims);
    return 0;
}

static void schema_of(ds_schema *s)
{
    ds_schema_init(s);
    s->explicit_key = true;
    s->block_min = 1000;
    s->block_target = 3000;
    s->block_max = 9000;
    assert_int_equal(ds_schema_add(s, NULL, "key", DS_UTF8, 0, NULL, NULL), 0);
    assert_int_equal(ds_schema_add(s, NULL, "n", DS_I64, 0, NULL, NULL), 0);
    assert_int_equal(ds_schema_add(s, NULL, "content", DS_BYTES, DS_COL_PRIMARY, NULL, NULL), 0);
    assert_int_equal(ds_schema_check(s, NULL), 0);
}

/* Hash and size of a record of this content, as rows have them. */
static void claim(uint64_t n, uint64_t *hash, uint64_t *size)
{
    uint8_t b[9 + SIZE] = {1, SIZE};

    content(b + 9, n);
    *hash = ds_xxh64(b, sizeof b);
    *size = 8 + SIZE;
}

/* late: of each record, whether its value comes late. */
static void make(ds_buf *out, maker *m, bool (*late)(uint64_t n))
{
    const ds_rows_late l = {.column = 2, .fill = fill, .wrote = wrote, .ctx = m};
    ds_schema s;
    ds_out o;
    ds_writer *w;
    ds_rows *r;
    char key[32];
    uint8_t v[SIZE];
    const int fd = make_file();

    schema_of(&s);
    assert_int_equal(ds_out_init(&o, fd, "stream", NULL), 0);
    assert_int_equal(ds_writer_new(&w, &o, &s, "[]", 2, NULL, NULL), 0);
    ds_writer_refs(w, &here);
    assert_int_equal(ds_rows_new(&r, w, &s, NULL), 0);
    ds_rows_set_late(r, &l);
    for (uint64_t n = 0; n < ROWS; n++) {
        uint64_t hash, size;
        snprintf(key, sizeof key, "k%03d", (int)n);
        claim(n, &hash, &size);
        assert_int_equal(ds_rows_begin(r, NULL), 0);
        assert_int_equal(ds_colbuild_bytes(ds_rows_col(r, 0), key, strlen(key), NULL), 0);
        assert_int_equal(ds_colbuild_i64(ds_rows_col(r, 1), (int64_t)n, NULL), 0);
        m->rows++;
        if (late(n)) {
            assert_int_equal(ds_refs_claim(&m->claims, hash, size), 0);
            assert_int_equal(ds_rows_end_late(r, hash, size, NULL), 0);
        } else {
            uint64_t is, bytes;
            content(v, n);
            assert_int_equal(ds_colbuild_bytes(ds_rows_col(r, 2), v, SIZE, NULL), 0);
            assert_int_equal(ds_rows_end(r, NULL), 0);
            ds_rows_last(r, &is, &bytes);
            assert_int_equal(is, hash);
            assert_int_equal(bytes, size);
        }
    }
    assert_int_equal(ds_rows_finish(r, NULL), 0);
    assert_int_equal(ds_writer_end(w, NULL, NULL, NULL), 0);
    assert_int_equal(ds_out_flush(&o, NULL), 0);
    make_slurp(out, fd);
    ds_rows_free(r);
    ds_writer_free(w);
    ds_out_fini(&o);
    ds_schema_fini(&s);
    close(fd);
}

static bool all_late(uint64_t n)
{
    return n < ROWS;
}

static bool none_late(uint64_t n)
{
    return n > ROWS;
}

/* Reads to the end with the check that commit makes. */
static int read_refs(const ds_buf *b, const ds_storeid *store, uint64_t *referred, ds_err *err)
{
    ds_reader *r = NULL;
    ds_blockcheck *c = NULL;
    enum ds_event ev = DS_EV_BLOCK;
    const int fd = make_file_of(b->data, b->len);
    int rc = ds_reader_new(&r, fd, "stream", err);

    *referred = 0;
    if (!rc && store)
        ds_reader_refs(r, store);
    rc = rc ? rc : ds_blockcheck_new(&c, ds_reader_schema(r), err);
    while (!rc && ev != DS_EV_END) {
        rc = ds_reader_next(r, &ev, err);
        if (rc || ev != DS_EV_BLOCK)
            continue;
        const ds_block *block = ds_reader_block(r);
        const ds_chunk *chunk = &block->chunks[2];
        if (chunk->refs) {
            ++*referred;
            assert_null(chunk->body);
            assert_int_equal(chunk->body_len, 1201000);
            assert_int_equal(block->npieces[2], 3);
            assert_int_equal(block->piece_ends[2][1], 501000);
        }
        rc = ds_blockcheck_block(c, block, err);
    }
    ds_blockcheck_free(c);
    ds_reader_free(r);
    close(fd);
    return rc;
}

static void maker_fini(maker *m)
{
    ds_refs_fini(&m->refs);
    ds_refs_fini(&m->claims);
}

/* Late values make the stream that values in their time make. */
static void test_late(void **state)
{
    maker a = {0}, b = {0};
    ds_buf x = {0}, y = {0};

    (void)state;
    make(&x, &a, all_late);
    make(&y, &b, none_late);
    assert_true(a.filled > 5);
    assert_int_equal(a.filled, a.wrote);
    assert_int_equal(b.filled, 0);
    assert_int_equal(b.wrote, a.wrote);
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.data, y.data, x.len);
    ds_buf_fini(&x);
    ds_buf_fini(&y);
    maker_fini(&a);
    maker_fini(&b);
}

static void test_references(void **state)
{
    maker m = {.refer = true};
    ds_buf s = {0};
    ds_err err = {0};
    uint64_t n;

    (void)state;
    make(&s, &m, all_late);
    assert_int_equal(read_refs(&s, &here, &n, &err), 0);
    assert_int_equal(n, m.filled);
    assert_int_equal(read_refs(&s, NULL, &n, &err), DS_CORRUPT);
    assert_non_null(strstr(err.msg, "reference frames need a store"));
    ds_err_clear(&err);
    assert_int_equal(read_refs(&s, &elsewhere, &n, &err), DS_FAIL);
    assert_non_null(
        strstr(err.msg, "store 01020300000000000000000000000000, and this is store 09"));
    ds_buf_fini(&s);
    maker_fini(&m);
}

/* Where the payload of the first R frame is. */
static size_t first_ref(const ds_buf *s)
{
    for (size_t at = DS_MAGIC_LEN;;) {
        ds_frame f;
        assert_true(at + DS_FRAME_HEAD < s->len);
        ds_frame_decode(&f, s->data + at);
        if (f.type == 'R')
            return at + DS_FRAME_HEAD;
        at += DS_FRAME_HEAD + f.stored;
    }
}

/* Every byte of the first reference, with checksums made right again: counts and lengths that do
 * not fit are found, and a hash that moves a cut. What is left are addresses, and the store knows
 * those.
 */
static void test_forged(void **state)
{
    maker m = {.refer = true};
    ds_buf s = {0}, t = {0};
    ds_frame f;
    uint64_t n;
    unsigned passed = 0, other = 0;

    (void)state;
    make(&s, &m, all_late);
    const size_t at = first_ref(&s);
    ds_frame_decode(&f, s.data + at - DS_FRAME_HEAD);
    for (size_t i = 0; i < f.stored; i++) {
        ds_err err = {0};
        ds_buf_reset(&t);
        assert_int_equal(ds_buf_put(&t, s.data, s.len), 0);
        t.data[at + i] ^= 0x55;
        make_resum(&t);
        const int rc = read_refs(&t, &here, &n, &err);
        assert_true(rc == 0 || rc == DS_CORRUPT || rc == DS_FAIL);
        passed += rc == 0;
        other += rc == DS_FAIL;
        if (i >= 16 && i < 18)
            assert_int_equal(rc, DS_CORRUPT);
    }
    assert_int_equal(other, 16); /* the store's number */
    assert_true(passed >= 3 * 32 && passed < f.stored);
    /* a column that is compared, and one that is not of the schema */
    for (unsigned column = 0; column < 5; column++) {
        ds_err err = {0};
        ds_buf_reset(&t);
        assert_int_equal(ds_buf_put(&t, s.data, s.len), 0);
        ds_frame_decode(&f, t.data + at - DS_FRAME_HEAD);
        f.column = (uint16_t)column;
        ds_frame_encode(t.data + at - DS_FRAME_HEAD, &f);
        make_resum(&t);
        assert_int_equal(read_refs(&t, &here, &n, &err), column == 2 ? 0 : DS_CORRUPT);
    }
    ds_buf_fini(&s);
    ds_buf_fini(&t);
    maker_fini(&m);
}

/* Where several columns decide about cuts, none of them is told of by references: a claim of a row
 * is of one column. */
static void test_one_primary(void **state)
{
    maker m = {.refer = true};
    ds_buf s = {0}, t = {0}, text = {0};
    ds_schema schema;
    ds_frame f;
    ds_err err = {0};
    uint64_t n;

    (void)state;
    make(&s, &m, all_late);
    schema_of(&schema);
    schema.primary[1] = 1;
    assert_int_equal(ds_schema_dump(&text, &schema, NULL), 0);
    const size_t at = make_first(&s, 'H', 0, &f);
    make_other_frame(&t, &s, at, text.data, text.len);
    assert_int_equal(read_refs(&t, &here, &n, &err), DS_CORRUPT);
    assert_non_null(strstr(err.msg, "a reference where none may be"));
    ds_schema_fini(&schema);
    ds_buf_fini(&s);
    ds_buf_fini(&t);
    ds_buf_fini(&text);
    maker_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_forged),
        cmocka_unit_test(test_one_primary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
