/* test_dsr_stream.c - whole streams: round trips, truncation, damage, abort, index, sources, many
 * pieces. */
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

static const ds_writer_opts plain, packed = {.level = 3, .index = true}, indexed = {.index = true};

static void test_round_trip(void **state)
{
    (void)state;
    ds_buf a = {0}, b = {0};
    ds_counts c;
    ds_err err = {0};
    make_wide_stream(&a, 500, 11, &plain);
    assert_int_equal(make_read_all(a.data, a.len, &c, &err), 0);
    assert_int_equal(c.records, 500);
    assert_int_equal(c.sources, 11);
    assert_true(c.blocks > 10);
    make_wide_stream(&b, 500, 11, &plain);
    assert_int_equal(a.len, b.len); /* the same work, the same bytes */
    assert_memory_equal(a.data, b.data, a.len);
    make_wide_stream(&b, 500, 11, &packed);
    assert_int_equal(make_read_all(b.data, b.len, &c, &err), 0);
    assert_int_equal(c.records, 500);
    assert_true(b.len < a.len);
    make_wide_stream(&b, 0, 0, &indexed);
    assert_int_equal(make_read_all(b.data, b.len, &c, &err), 0);
    assert_int_equal(c.records, 0);
    ds_buf_fini(&a);
    ds_buf_fini(&b);
}

/* What the end frame says is read back. */
static void test_counts(void **state)
{
    (void)state;
    ds_buf a = {0};
    ds_reader *r;
    enum ds_event ev;
    size_t len;
    make_wide_stream(&a, 5, 1, &plain);
    int fd = make_file_of(a.data, a.len);
    assert_int_equal(ds_reader_new(&r, fd, "-", NULL), 0);
    const char *prov = ds_reader_provenance(r, &len);
    assert_non_null(memmem(prov, len, "\"tool\":\"test make\"", 18));
    do
        assert_int_equal(ds_reader_next(r, &ev, NULL), 0);
    while (ev != DS_EV_END);
    const ds_counts *c = ds_reader_counts(r);
    assert_int_equal(c->nheld, 2);
    assert_string_equal(c->held[0].reason, "duplicate");
    assert_int_equal(c->held[1].count, 3);
    assert_int_equal(ds_counts_total(c, false), 5);
    assert_int_equal(ds_counts_total(c, true), 1);
    assert_null(ds_reader_root(r));
    assert_int_equal(ds_reader_pos(r), a.len);
    assert_int_equal(ds_reader_next(r, &ev, NULL), DS_FAIL);
    ds_reader_free(r);
    close(fd);
    ds_buf_fini(&a);
}

/* Where the end frame of a stream ends. */
static size_t end_of(const ds_buf *s)
{
    size_t at = DS_MAGIC_LEN;
    for (;;) {
        ds_frame f;
        assert_true(at + DS_FRAME_HEAD < s->len);
        ds_frame_decode(&f, s->data + at);
        at += DS_FRAME_HEAD + f.stored;
        if (f.type == 'E')
            return at;
    }
}

static void test_truncation(void **state)
{
    (void)state;
    ds_buf a = {0};
    make_wide_stream(&a, 12, 2, &indexed);
    size_t end = end_of(&a);
    assert_true(end < a.len);
    for (size_t n = 0; n < a.len; n++) {
        ds_err err = {0};
        int rc = make_read_all(a.data, n, NULL, &err);
        if (n == end) /* a stream without an index is whole */
            assert_int_equal(rc, 0);
        else
            assert_int_equal(rc, DS_CORRUPT);
    }
    ds_buf_fini(&a);
}

static void test_flips(void **state)
{
    (void)state;
    ds_buf a = {0};
    make_wide_stream(&a, 12, 2, &packed);
    for (size_t n = 0; n < a.len; n++) {
        ds_err err = {0};
        a.data[n] ^= (uint8_t)(1u << n % 8);
        int rc = make_read_all(a.data, a.len, NULL, &err);
        a.data[n] ^= (uint8_t)(1u << n % 8);
        if (rc != DS_CORRUPT)
            print_error("byte %zu of %zu: %d %s\n", n, a.len, rc, err.msg);
        assert_int_equal(rc, DS_CORRUPT);
    }
    assert_int_equal(make_read_all(a.data, a.len, NULL, NULL), 0);
    ds_buf_fini(&a);
}

/* Damage with the checksums put right again is refused by the rules, or changes a value; it crashes
 * nothing. */
static void test_resummed_flips(void **state)
{
    (void)state;
    ds_buf a = {0}, b = {0};
    uint64_t seed = 5, refused = 0;
    make_wide_stream(&a, 30, 2, &plain);
    for (int i = 0; i < 3000; i++) {
        ds_err err = {0};
        ds_buf_reset(&b);
        ds_buf_put(&b, a.data, a.len);
        for (uint64_t k = 0; k <= make_random(&seed) % 2; k++)
            b.data[DS_MAGIC_LEN + make_random(&seed) % (a.len - DS_MAGIC_LEN)] =
                (uint8_t)make_random(&seed);
        make_resum(&b);
        int rc = make_read_all(b.data, b.len, NULL, &err);
        assert_true(rc == 0 || rc == DS_CORRUPT || rc == DS_FAIL);
        refused += rc != 0;
    }
    assert_true(refused > 1000);
    ds_buf_fini(&a);
    ds_buf_fini(&b);
}

/* The stream with more bytes behind the payload of the frame at `at`, checksums and all. */
static void longer_frame(ds_buf *out, const ds_buf *s, size_t at, const void *more, uint32_t n)
{
    ds_frame f;
    ds_frame_decode(&f, s->data + at);
    const size_t end = at + DS_FRAME_HEAD + f.stored;
    ds_buf_reset(out);
    ds_buf_put(out, s->data, end);
    ds_buf_put(out, more, n);
    ds_buf_put(out, s->data + end, s->len - end);
    f.stored += n;
    f.raw = f.codec ? f.raw : f.stored;
    ds_frame_encode(out->data + at, &f);
    make_resum(out);
}

/* A frame holds what belongs there and not a byte more, not even a frame of zstd that is empty. */
static void test_longer_frames(void **state)
{
    static const uint8_t skipped[8] = {0x50, 0x2a, 0x4d, 0x18};
    unsigned seen[256] = {0}, compressed = 0;
    ds_buf a = {0}, b = {0};
    ds_frame f;

    (void)state;
    make_wide_stream(&a, 300, 2, &(ds_writer_opts){.level = 3});
    for (size_t at = DS_MAGIC_LEN; at < a.len; at += DS_FRAME_HEAD + f.stored) {
        ds_err err = {0};
        ds_frame_decode(&f, a.data + at);
        if (f.codec && f.stored + sizeof skipped >= f.raw)
            continue;
        longer_frame(&b, &a, at, skipped, f.codec ? sizeof skipped : 1);
        const int rc = make_read_all(b.data, b.len, NULL, &err);
        if (rc != DS_CORRUPT)
            print_error("frame %c at %zu: %d %s\n", f.type, at, rc, err.msg);
        assert_int_equal(rc, DS_CORRUPT);
        if (f.codec)
            assert_non_null(strstr(err.msg, "not one zstd frame"));
        seen[f.type]++;
        compressed += f.codec;
    }
    assert_true(seen['H'] && seen['V'] && seen['B'] && seen['P'] && seen['S'] && seen['E']);
    assert_true(compressed > 0);
    ds_buf_fini(&a);
    ds_buf_fini(&b);
}

/* Lengths that two places tell of are the same in both, or what is packed is smaller. */
static void test_lengths_agree(void **state)
{
    ds_buf a = {0};
    ds_frame f;
    ds_err err = {0};

    (void)state;
    make_wide_stream(&a, 300, 2, &(ds_writer_opts){.level = 3});
    size_t at = make_first(&a, 'P', 1, &f);
    f.raw = f.stored;
    ds_frame_encode(a.data + at, &f);
    make_resum(&a);
    assert_int_equal(make_read_all(a.data, a.len, NULL, &err), DS_CORRUPT);
    assert_non_null(strstr(err.msg, "do not fit the codec"));
    ds_buf_reset(&a);
    ds_err_clear(&err);
    make_wide_stream(&a, 300, 2, &plain);
    at = make_first(&a, 'B', 0, &f) + DS_FRAME_HEAD;
    uint64_t v;
    size_t pos = 0;
    for (int i = 0; i < 2; i++) /* rows, chunks; then the length of the first of them */
        assert_true(ds_varint_get(a.data + at, f.raw, &pos, &v));
    assert_true((a.data[at + pos] & 0x7f) != 0x7f);
    a.data[at + pos]++;
    make_resum(&a);
    assert_int_equal(make_read_all(a.data, a.len, NULL, &err), DS_CORRUPT);
    assert_non_null(strstr(err.msg, "pieces are shorter than their chunk"));
    ds_buf_fini(&a);
}

/* Only pieces and references are of a column. */
static void test_no_column(void **state)
{
    static const char types[] = "HVBSEX";
    ds_buf a = {0}, b = {0};
    ds_frame f;

    (void)state;
    make_wide_stream(&a, 12, 2, &indexed);
    for (const char *t = types; *t; t++) {
        ds_err err = {0};
        const size_t at = make_first(&a, (uint8_t)*t, 0, &f);
        ds_buf_reset(&b);
        ds_buf_put(&b, a.data, a.len);
        f.column = 1;
        ds_frame_encode(b.data + at, &f);
        make_resum(&b);
        assert_int_equal(make_read_all(b.data, b.len, NULL, &err), DS_CORRUPT);
        assert_non_null(strstr(err.msg, "a column number where none belongs"));
    }
    ds_buf_fini(&a);
    ds_buf_fini(&b);
}

static void is_corrupt(const ds_buf *s, const char *why)
{
    ds_err err = {0};
    assert_int_equal(make_read_all(s->data, s->len, NULL, &err), DS_CORRUPT);
    if (!strstr(err.msg, why))
        print_error("%s\n", err.msg);
    assert_non_null(strstr(err.msg, why));
}

/* Blocks end where their content and the schema's sizes say: the same blocks under other sizes. */
static void test_cuts_are_checked(void **state)
{
    ds_buf a = {0}, b = {0}, text = {0};
    ds_schema s;
    ds_frame f;

    (void)state;
    make_wide_stream(&a, 300, 2, &plain);
    make_wide_schema(&s);
    s.block_min *= 4;
    s.block_target *= 4;
    s.block_max *= 4;
    assert_int_equal(ds_schema_dump(&text, &s, NULL), 0);
    make_other_frame(&b, &a, make_first(&a, 'H', 0, &f), text.data, text.len);
    is_corrupt(&b, "the block before it ends where no block may end");
    s.block_min /= 8;
    s.block_target /= 8;
    s.block_max /= 8;
    ds_buf_reset(&text);
    assert_int_equal(ds_schema_dump(&text, &s, NULL), 0);
    make_other_frame(&b, &a, make_first(&a, 'H', 0, &f), text.data, text.len);
    is_corrupt(&b, "it must end after record");
    ds_schema_fini(&s);
    ds_buf_fini(&a);
    ds_buf_fini(&b);
    ds_buf_fini(&text);
}

/* The end frame's totals are those of the stream. */
static void test_totals_are_checked(void **state)
{
    static const char *const totals[] = {"\"records\":", "\"blocks\":", "\"sources\":"};
    ds_buf a = {0}, b = {0};
    ds_frame f;

    (void)state;
    make_wide_stream(&a, 12, 2, &plain);
    const size_t at = make_first(&a, 'E', 0, &f) + DS_FRAME_HEAD;
    for (size_t i = 0; i < 3; i++) {
        ds_buf_reset(&b);
        ds_buf_put(&b, a.data, a.len);
        uint8_t *p = memmem(b.data + at, f.stored, totals[i], strlen(totals[i]));
        assert_non_null(p);
        p += strlen(totals[i]);
        *p = *p == '9' ? '8' : (uint8_t)(*p + 1);
        make_resum(&b);
        is_corrupt(&b, "the end frame counts other records, blocks or sources");
    }
    ds_buf_fini(&a);
    ds_buf_fini(&b);
}

/* A source is told of behind the last block that names it, and beside as many as fit a frame. */
static void test_places_of_sources(void **state)
{
    ds_buf a = {0}, b = {0};
    ds_frame f;

    (void)state;
    make_wide_stream(&a, 12, 2, &plain);
    const size_t block = make_first(&a, 'B', 0, &f), at = make_first(&a, 'S', 0, &f),
                 end = at + DS_FRAME_HEAD + f.stored;
    ds_buf_put(&b, a.data, block);
    ds_buf_put(&b, a.data + at, end - at);
    ds_buf_put(&b, a.data + block, at - block);
    ds_buf_put(&b, a.data + end, a.len - end);
    make_resum(&b);
    is_corrupt(&b, "which was told of before this block");
    /* two frames, where one has room for both */
    ds_buf_reset(&b);
    ds_buf_put(&b, a.data, end);
    ds_buf_put(&b, a.data + at, a.len - at);
    make_resum(&b);
    is_corrupt(&b, "sources are not parted as they must be");
    ds_buf_fini(&a);
    ds_buf_fini(&b);
}

static void test_abort(void **state)
{
    (void)state;
    ds_schema s;
    ds_out o;
    ds_writer *w;
    ds_buf a = {0};
    ds_err err = {0};
    int fd = make_file();
    make_text_schema(&s, 0, 0, 0);
    assert_int_equal(ds_out_init(&o, fd, "test", NULL), 0);
    assert_int_equal(ds_writer_new(&w, &o, &s, NULL, 0, NULL, NULL), 0);
    ds_writer_abort(w, "no \"space\" \xff left");
    assert_int_equal(ds_writer_end(w, NULL, NULL, NULL), DS_FAIL); /* nothing may follow */
    ds_writer_free(w);
    ds_out_fini(&o);
    make_slurp(&a, fd);
    close(fd);
    assert_int_equal(make_read_all(a.data, a.len, NULL, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "no \"space\" ? left"));
    /* no other member may stand beside the reason */
    static const char more[] = ",\"b\":1}";
    ds_frame f;
    const size_t at = make_first(&a, 'A', 0, &f);
    a.len--; /* its brace */
    ds_buf_put(&a, more, sizeof more - 1);
    f.stored = f.raw += sizeof more - 2;
    ds_frame_encode(a.data + at, &f);
    make_resum(&a);
    ds_err_clear(&err);
    assert_int_equal(make_read_all(a.data, a.len, NULL, &err), DS_CORRUPT);
    assert_non_null(strstr(err.msg, "bad abort frame"));
    ds_buf_fini(&a);
    ds_schema_fini(&s);
}

/* ---- streams of two columns: text, and bytes of which some are large ---- */

static void write_big(ds_buf *out, int rows, size_t big, bool second, int level)
{
    ds_schema s;
    ds_out o;
    ds_writer *w;
    ds_rows *r;
    ds_writer_opts opts = {.level = level, .index = true};
    uint64_t seed = 9;
    int fd = make_file();
    make_text_schema(&s, 1000, 4000, 16000);
    if (second)
        assert_int_equal(ds_schema_add(&s, NULL, "blob", DS_BYTES, DS_COL_NULLABLE, NULL, NULL), 0);
    assert_int_equal(ds_out_init(&o, fd, "test", NULL), 0);
    assert_int_equal(ds_writer_new(&w, &o, &s, NULL, 0, &opts, NULL), 0);
    assert_int_equal(ds_rows_new(&r, w, &s, NULL), 0);
    for (int i = 0; i < rows; i++) {
        char text[300];
        uint8_t part[8192];
        size_t len = make_random(&seed) % 300;
        for (size_t k = 0; k < len; k++)
            text[k] = (char)('a' + make_random(&seed) % 26);
        int rc = ds_rows_begin(r, NULL) | ds_colbuild_bytes(ds_rows_col(r, 0), text, len, NULL);
        if (second && i == rows / 2) {
            uint64_t inner = 77;
            rc |= ds_colbuild_begin(ds_rows_col(r, 1), NULL);
            for (size_t done = 0; done < big; done += sizeof part) {
                for (size_t k = 0; k < sizeof part; k += 8)
                    ds_set_u64(part + k, make_random(&inner));
                rc |= ds_colbuild_part(ds_rows_col(r, 1), part, sizeof part, NULL);
            }
            rc |= ds_colbuild_end(ds_rows_col(r, 1), NULL);
        } else if (second) {
            rc |= i % 2 ? ds_colbuild_null(ds_rows_col(r, 1), NULL)
                        : ds_colbuild_bytes(ds_rows_col(r, 1), text, len / 2, NULL);
        }
        rc |= ds_rows_origin(r, 0, (uint64_t)i * 300, len, NULL);
        assert_int_equal(rc | ds_rows_end(r, NULL), 0);
    }
    assert_int_equal(ds_rows_finish(r, NULL) | ds_writer_end(w, NULL, NULL, NULL), 0);
    ds_rows_free(r);
    ds_writer_free(w);
    ds_out_fini(&o);
    make_slurp(out, fd);
    close(fd);
    ds_schema_fini(&s);
}

/* Digests of each chunk of one column, joined over the blocks of a stream. */
static void column_digests(ds_buf *out, const ds_buf *stream, size_t column, size_t *most_pieces)
{
    ds_reader *r;
    enum ds_event ev;
    int fd = make_file_of(stream->data, stream->len);
    ds_buf_reset(out);
    *most_pieces = 0;
    assert_int_equal(ds_reader_new(&r, fd, "test", NULL), 0);
    for (;;) {
        assert_int_equal(ds_reader_next(r, &ev, NULL), 0);
        if (ev == DS_EV_END)
            break;
        const ds_block *b = ds_reader_block(r);
        size_t i = column == SIZE_MAX ? b->nchunks - 1 : column;
        ds_sha sha;
        if (b->npieces[i] > *most_pieces)
            *most_pieces = b->npieces[i];
        assert_int_equal(b->piece_ends[i][b->npieces[i] - 1], b->chunks[i].body_len);
        assert_int_equal(ds_sha_bytes(&sha, b->chunks[i].body, b->chunks[i].body_len, NULL), 0);
        assert_int_equal(ds_buf_put(out, &sha, sizeof sha), 0);
    }
    ds_reader_free(r);
    close(fd);
}

static void same(const ds_buf *a, const ds_buf *b)
{
    assert_true(a->len > 0);
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->data, b->data, a->len);
}

static void test_many_pieces(void **state)
{
    (void)state;
    ds_buf raw = {0}, zst = {0}, a = {0}, b = {0};
    ds_counts c;
    ds_err err = {0};
    size_t pieces;
    write_big(&raw, 40, (size_t)6 << 20, true, 0);
    assert_int_equal(make_read_all(raw.data, raw.len, &c, &err), 0);
    assert_int_equal(c.records, 40);
    column_digests(&a, &raw, 1, &pieces);
    assert_true(pieces >= 6);
    write_big(&zst, 40, (size_t)6 << 20, true, 1);
    assert_int_equal(make_read_all(zst.data, zst.len, &c, &err), 0);
    column_digests(&b, &zst, 1, &pieces);
    same(&a, &b); /* compression is not content */
    ds_buf_fini(&raw);
    ds_buf_fini(&zst);
    ds_buf_fini(&a);
    ds_buf_fini(&b);
}

/* A stage that adds a column leaves the chunks of all others, and their cuts, as they are. */
static void test_added_column(void **state)
{
    (void)state;
    ds_buf one = {0}, two = {0}, a = {0}, b = {0};
    size_t pieces;
    write_big(&one, 400, 0, false, 0);
    write_big(&two, 400, 20000, true, 0);
    column_digests(&a, &one, 0, &pieces);
    column_digests(&b, &two, 0, &pieces);
    same(&a, &b);
    assert_true(a.len > 32 * 5);
    column_digests(&a, &one, SIZE_MAX, &pieces);
    column_digests(&b, &two, SIZE_MAX, &pieces);
    same(&a, &b); /* origins too */
    ds_buf_fini(&one);
    ds_buf_fini(&two);
    ds_buf_fini(&a);
    ds_buf_fini(&b);
}

/* A chunk cut elsewhere than FastCDC says is refused, with good checksums and all: two pieces are
 * joined and parted at another place. */
static void test_wrong_piece_cut(void **state)
{
    (void)state;
    ds_buf a = {0}, b = {0};
    ds_err err = {0};
    size_t at = DS_MAGIC_LEN;
    ds_frame f, g;
    write_big(&a, 4, (size_t)3 << 20, true, 0);
    for (;; at += DS_FRAME_HEAD + f.stored) {
        assert_true(at + DS_FRAME_HEAD < a.len);
        ds_frame_decode(&f, a.data + at);
        if (f.type == 'P' && f.column == 1 && f.stored > 262144 && f.stored < 1000000)
            break;
    }
    size_t next = at + DS_FRAME_HEAD + f.stored;
    ds_frame_decode(&g, a.data + next);
    assert_int_equal(g.column, 1);
    /* One byte moves from the second piece to the first. */
    f.stored = ++f.raw;
    g.stored = --g.raw;
    ds_buf_put(&b, a.data, next);
    ds_buf_put(&b, a.data + next + DS_FRAME_HEAD, 1);
    ds_frame_encode(b.data + at, &f);
    ds_buf_put(&b, a.data + next, DS_FRAME_HEAD);
    ds_frame_encode(b.data + b.len - DS_FRAME_HEAD, &g);
    ds_buf_put(&b, a.data + next + DS_FRAME_HEAD + 1, a.len - next - DS_FRAME_HEAD - 1);
    b.len = end_of(&b); /* the index is of no interest */
    make_resum(&b);
    assert_int_equal(make_read_all(b.data, b.len, NULL, &err), DS_CORRUPT);
    assert_non_null(strstr(err.msg, "piece"));
    ds_buf_fini(&a);
    ds_buf_fini(&b);
}

/* More blocks than one index frame holds. */
static void test_long_index(void **state)
{
    (void)state;
    ds_schema s;
    ds_out o;
    ds_writer *w;
    ds_rows *r;
    ds_buf a = {0};
    ds_counts c;
    int fd = make_file();
    make_text_schema(&s, 1, 1, 1); /* a block for each record */
    assert_int_equal(ds_out_init(&o, fd, "test", NULL), 0);
    assert_int_equal(ds_writer_new(&w, &o, &s, NULL, 0, &indexed, NULL), 0);
    assert_int_equal(ds_rows_new(&r, w, &s, NULL), 0);
    for (int i = 0; i < DS_INDEX_BLOCKS + 1; i++)
        assert_int_equal(ds_rows_begin(r, NULL) |
                             ds_colbuild_bytes(ds_rows_col(r, 0), &"ab"[i % 2], 1, NULL) |
                             ds_rows_end(r, NULL),
                         0);
    assert_int_equal(ds_rows_finish(r, NULL) | ds_writer_end(w, NULL, NULL, NULL), 0);
    ds_rows_free(r);
    ds_writer_free(w);
    ds_out_fini(&o);
    make_slurp(&a, fd);
    close(fd);
    assert_int_equal(make_read_all(a.data, a.len, &c, NULL), 0);
    assert_int_equal(c.blocks, DS_INDEX_BLOCKS + 1);
    size_t end = end_of(&a);
    ds_frame f;
    ds_frame_decode(&f, a.data + end);
    assert_int_equal(f.type, 'X');
    ds_frame_decode(&f, a.data + end + DS_FRAME_HEAD + f.stored);
    assert_int_equal(f.type, 'X');
    assert_int_equal(ds_get_u64(a.data + a.len - 16), end);
    ds_buf_fini(&a);
    ds_schema_fini(&s);
}

/* Sources stand after the last block that names them, as few frames as need be, wherever they were
 * told of. */
static void test_sources(void **state)
{
    (void)state;
    ds_buf a = {0};
    ds_reader *r;
    enum ds_event ev;
    uint64_t told = 0, named_later = 0;
    make_wide_stream(&a, 400, 8, &plain);
    int fd = make_file_of(a.data, a.len);
    assert_int_equal(ds_reader_new(&r, fd, "test", NULL), 0);
    do {
        assert_int_equal(ds_reader_next(r, &ev, NULL), 0);
        if (ev == DS_EV_SOURCE) {
            assert_int_equal(ds_reader_source(r)->size, told * 1000);
            told++;
        }
        if (ev == DS_EV_BLOCK) {
            assert_int_equal(ds_reader_block(r)->sources, told);
            named_later += told > 0;
        }
    } while (ev != DS_EV_END);
    assert_int_equal(told, 8);
    assert_true(named_later > 0);
    ds_reader_free(r);
    close(fd);
    ds_buf_fini(&a);
}

static void test_many_sources(void **state)
{
    (void)state;
    ds_schema s;
    ds_out o;
    ds_writer *w;
    ds_buf a = {0};
    ds_counts c;
    char name[65535];
    int fd = make_file();
    memset(name, 'n', sizeof name);
    make_text_schema(&s, 0, 0, 0);
    assert_int_equal(ds_out_init(&o, fd, "test", NULL), 0);
    assert_int_equal(ds_writer_new(&w, &o, &s, NULL, 0, NULL, NULL), 0);
    for (size_t i = 0; i < 50; i++) {
        ds_source src = {.name = name, .len = sizeof name - i * 1000, .size = i};
        assert_int_equal(ds_writer_source(w, &src, NULL), 0);
    }
    ds_source bad = {.name = "\xff", .len = 1};
    assert_int_equal(ds_writer_source(w, &bad, NULL), DS_FAIL);
    assert_int_equal(ds_writer_end(w, NULL, NULL, NULL), 0);
    ds_writer_free(w);
    ds_out_fini(&o);
    make_slurp(&a, fd);
    close(fd);
    assert_int_equal(make_read_all(a.data, a.len, &c, NULL), 0);
    assert_int_equal(c.sources, 50);
    ds_buf_fini(&a);
    ds_schema_fini(&s);
}

/* A record that is dropped half way leaves no trace. */
static void test_dropped_records(void **state)
{
    (void)state;
    ds_buf out[2] = {{0}, {0}};
    for (int drop = 0; drop < 2; drop++) {
        ds_schema s;
        ds_out o;
        ds_writer *w;
        ds_rows *r;
        int fd = make_file();
        make_wide_schema(&s);
        assert_int_equal(ds_out_init(&o, fd, "test", NULL), 0);
        assert_int_equal(ds_writer_new(&w, &o, &s, NULL, 0, NULL, NULL), 0);
        assert_int_equal(ds_rows_new(&r, w, &s, NULL), 0);
        for (uint64_t n = 0; n < 100; n++) {
            if (drop) {
                assert_int_equal(ds_rows_begin(r, NULL), 0);
                assert_int_equal(ds_colbuild_bytes(ds_rows_col(r, 0), "gone", 4, NULL), 0);
                assert_int_equal(ds_colbuild_begin(ds_rows_col(r, 1), NULL), 0);
                assert_int_equal(ds_colbuild_part(ds_rows_col(r, 1), "half", 4, NULL), 0);
                assert_int_equal(ds_rows_origin(r, 3, 4, 5, NULL), 0);
                assert_int_equal(ds_rows_end(r, NULL), DS_FAIL);
                assert_int_equal(ds_rows_drop(r, NULL), 0);
            }
            make_wide_row(r, n);
        }
        assert_int_equal(ds_rows_finish(r, NULL) | ds_writer_end(w, NULL, NULL, NULL), 0);
        ds_rows_free(r);
        ds_writer_free(w);
        ds_out_fini(&o);
        make_slurp(&out[drop], fd);
        close(fd);
        ds_schema_fini(&s);
    }
    same(&out[0], &out[1]);
    ds_buf_fini(&out[0]);
    ds_buf_fini(&out[1]);
}

/* A write that fails is reported, and nothing is written after it. */
static void test_full_disk(void **state)
{
    (void)state;
    ds_schema s;
    ds_out o;
    ds_writer *w;
    ds_rows *r;
    ds_err err = {0};
    int rc = 0, fd = -1;
    if (ds_open(&fd, "/dev/full", 1 /* O_WRONLY */, 0, NULL) != 0)
        skip();
    make_text_schema(&s, 0, 0, 0);
    assert_int_equal(ds_out_init(&o, fd, "/dev/full", NULL), 0);
    assert_int_equal(ds_writer_new(&w, &o, &s, NULL, 0, NULL, NULL), 0);
    assert_int_equal(ds_rows_new(&r, w, &s, NULL), 0);
    for (int i = 0; i < 100000 && !rc; i++)
        rc = ds_rows_begin(r, &err) |
             ds_colbuild_bytes(ds_rows_col(r, 0), "some text to fill a disk with", 29, &err) |
             ds_rows_end(r, &err);
    assert_int_equal(rc, DS_NOROOM);
    assert_non_null(strstr(err.msg, "/dev/full"));
    ds_writer_abort(w, "x");
    ds_rows_free(r);
    ds_writer_free(w);
    ds_out_fini(&o);
    close(fd);
    ds_schema_fini(&s);
}

/* Blocks written without origins read as if each record had none; schema digest and counts. */
static void test_no_origins(void **state)
{
    (void)state;
    ds_schema s;
    ds_out o;
    ds_writer *w;
    ds_colbuild b;
    ds_buf head = {0}, a = {0}, text = {0};
    ds_chunk c;
    ds_counts counts = {0};
    ds_sha root = {{7}}, want, got;
    ds_reader *r;
    enum ds_event ev;
    int fd = make_file();
    make_text_schema(&s, 0, 0, 0);
    assert_int_equal(ds_out_init(&o, fd, "test", NULL), 0);
    assert_int_equal(ds_writer_new(&w, &o, &s, NULL, 0, NULL, NULL), 0);
    ds_colbuild_init(&b, DS_UTF8, DS_UTF8, false);
    for (int i = 0; i < 200; i++)
        assert_int_equal(ds_colbuild_bytes(&b, "x", 1, NULL), 0);
    assert_int_equal(ds_colbuild_chunk(&b, &head, &c, NULL), 0);
    assert_int_equal(ds_colbuild_bytes(&b, "x", 1, NULL), DS_FAIL); /* the chunk is taken */
    assert_int_equal(ds_writer_block(w, 0, &c, NULL, NULL), DS_FAIL);
    assert_int_equal(ds_writer_block(w, 200, &c, NULL, NULL), 0);
    assert_int_equal(ds_counts_add(&counts, true, "", 1, NULL), DS_FAIL);
    assert_int_equal(ds_counts_add(&counts, true, "\xff", 1, NULL), DS_FAIL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ds_counts_add(&counts, true, "a \"b\"", 5, NULL), 0);
    assert_int_equal(ds_counts_add(&counts, true, "none", 0, NULL), 0);
    assert_int_equal(counts.nfailed, 1);
    assert_int_equal(ds_writer_end(w, &counts, &root, NULL), 0);
    ds_writer_free(w);
    ds_out_fini(&o);
    make_slurp(&a, fd);
    close(fd);
    ds_counts_fini(&counts);
    assert_int_equal(make_read_all(a.data, a.len, NULL, NULL), 0);

    fd = make_file_of(a.data, a.len);
    assert_int_equal(ds_reader_new(&r, fd, "test", NULL), 0);
    assert_int_equal(ds_reader_next(r, &ev, NULL), 0);
    const ds_chunk *origin = &ds_reader_block(r)->chunks[1];
    assert_int_equal(origin->body_len, 202);
    assert_memory_equal(origin->body, "\xc8\x01\0\0\0", 5);
    assert_int_equal(ds_reader_next(r, &ev, NULL), 0);
    assert_int_equal(ev, DS_EV_END);
    assert_true(ds_sha_eq(ds_reader_root(r), &root));
    assert_int_equal(ds_reader_counts(r)->failed[0].count, 15);
    assert_int_equal(ds_schema_dump(&text, ds_reader_schema(r), NULL), 0);
    assert_int_equal(ds_schema_digest(&got, ds_reader_schema(r), NULL), 0);
    assert_int_equal(ds_sha_tagged(&want, "ds.schema", text.data, text.len, NULL), 0);
    assert_true(ds_sha_eq(&got, &want));
    ds_reader_free(r);
    close(fd);
    ds_colbuild_fini(&b);
    ds_buf_fini(&head);
    ds_buf_fini(&text);
    ds_buf_fini(&a);
    ds_schema_fini(&s);
}

/* Calls out of order are refused and harm nothing. */
static void test_order_of_calls(void **state)
{
    (void)state;
    ds_schema s;
    ds_out o;
    ds_writer *w;
    ds_rows *r;
    ds_buf a = {0};
    ds_counts c;
    ds_source src = {.name = "a", .len = 1}, unnamed = {.name = "", .len = 0};
    int fd = make_file();
    make_text_schema(&s, 0, 0, 0);
    assert_int_equal(ds_out_init(&o, fd, "test", NULL), 0);
    assert_int_equal(ds_writer_new(&w, &o, &s, NULL, 0, NULL, NULL), 0);
    assert_int_equal(ds_rows_new(&r, w, &s, NULL), 0);
    assert_int_equal(ds_rows_end(r, NULL), DS_FAIL);
    assert_int_equal(ds_rows_begin(r, NULL), 0);
    assert_int_equal(ds_rows_begin(r, NULL), DS_FAIL);
    assert_int_equal(ds_rows_end(r, NULL), DS_FAIL); /* no value */
    assert_int_equal(ds_rows_source(r, &src, NULL), DS_FAIL);
    assert_int_equal(ds_rows_finish(r, NULL), DS_FAIL);
    assert_int_equal(ds_colbuild_bytes(ds_rows_col(r, 0), "t", 1, NULL), 0);
    assert_int_equal(ds_rows_end(r, NULL), 0);
    assert_int_equal(ds_rows_source(r, &unnamed, NULL), DS_FAIL);
    assert_int_equal(ds_rows_source(r, &src, NULL), 0);
    assert_int_equal(ds_rows_finish(r, NULL), 0);
    assert_int_equal(ds_writer_end(w, NULL, NULL, NULL), 0);
    assert_int_equal(ds_writer_end(w, NULL, NULL, NULL), DS_FAIL);
    ds_writer_abort(w, "too late");
    ds_rows_free(r);
    ds_writer_free(w);
    ds_out_fini(&o);
    make_slurp(&a, fd);
    close(fd);
    assert_int_equal(make_read_all(a.data, a.len, &c, NULL), 0);
    assert_int_equal(c.records, 1);
    assert_int_equal(c.sources, 1);
    ds_buf_fini(&a);
    ds_schema_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_flips),
        cmocka_unit_test(test_resummed_flips),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_longer_frames),
        cmocka_unit_test(test_lengths_agree),
        cmocka_unit_test(test_no_column),
        cmocka_unit_test(test_cuts_are_checked),
        cmocka_unit_test(test_totals_are_checked),
        cmocka_unit_test(test_places_of_sources),
        cmocka_unit_test(test_many_pieces),
        cmocka_unit_test(test_added_column),
        cmocka_unit_test(test_wrong_piece_cut),
        cmocka_unit_test(test_long_index),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_many_sources),
        cmocka_unit_test(test_dropped_records),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_no_origins),
        cmocka_unit_test(test_order_of_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
