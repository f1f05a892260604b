/* dsr_make.c - see dsr_make.h. */
#include "dsr_make.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dsr_frame.h"

int make_file(void)
{
    const char *dir = getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/ds-test-XXXXXX", dir && *dir ? dir : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    return fd;
}

int make_file_of(const void *p, size_t len)
{
    int fd = make_file();
    assert_int_equal(ds_write_full(fd, "test", p, len, NULL), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

void make_slurp(ds_buf *out, int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    size_t got;
    assert_true(size >= 0);
    lseek(fd, 0, SEEK_SET);
    ds_buf_reset(out);
    assert_int_equal(ds_buf_reserve(out, (size_t)size + 1), 0);
    assert_int_equal(ds_read_full(fd, "test", out->data, (size_t)size, &got, NULL), 0);
    assert_int_equal(got, size);
    out->len = got;
}

uint64_t make_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void make_text_schema(ds_schema *s, uint64_t min, uint64_t target, uint64_t max)
{
    ds_schema_init(s);
    assert_int_equal(
        ds_schema_add(s, NULL, "text", DS_UTF8, DS_COL_PRIMARY | DS_COL_KEYED, NULL, NULL), 0);
    if (max) {
        s->block_min = min;
        s->block_target = target;
        s->block_max = max;
    }
}

void make_wide_schema(ds_schema *s)
{
    ds_schema_init(s);
    s->explicit_key = true;
    s->block_min = 256;
    s->block_target = 1024;
    s->block_max = 4096;
    int rc = ds_schema_add(s, NULL, "key", DS_UTF8, 0, NULL, NULL);
    rc |= ds_schema_add(s, NULL, "text", DS_UTF8, DS_COL_NULLABLE | DS_COL_PRIMARY,
                        "{\"lang\":\"d\xc3\xa9\"}", NULL);
    rc |= ds_schema_add(s, NULL, "blob", DS_BYTES, DS_COL_PRIMARY, NULL, NULL);
    rc |= ds_schema_add(s, NULL, "meta", DS_JSON, DS_COL_NULLABLE, NULL, NULL);
    rc |= ds_schema_add(s, NULL, "flag", DS_BOOL, DS_COL_NULLABLE | DS_COL_PRIMARY, NULL, NULL);
    rc |= ds_schema_add(s, NULL, "num", DS_I64, DS_COL_PRIMARY, NULL, NULL);
    rc |= ds_schema_add(s, NULL, "real", DS_F64, DS_COL_NULLABLE | DS_COL_PRIMARY, NULL, NULL);
    rc |= ds_schema_add(s, NULL, "when", DS_TIMESTAMP, DS_COL_NULLABLE, NULL, NULL);
    rc |= ds_schema_add(s, NULL, "image", DS_TENSOR, DS_COL_NULLABLE | DS_COL_PRIMARY, NULL, NULL);
    rc |= ds_schema_add(s, NULL, "short", DS_TOKENS16, DS_COL_PRIMARY,
                        "{\"a\":\"1\",\"tokenizer\":\"sha256:00\"}", NULL);
    rc |= ds_schema_add(s, NULL, "long", DS_TOKENS32, DS_COL_NULLABLE, NULL, NULL);
    rc |= ds_schema_add(s, NULL, "mask", DS_RUNS, DS_COL_NULLABLE, NULL, NULL);
    rc |= ds_schema_add_list(s, NULL, "tags", DS_UTF8, true, NULL);
    rc |= ds_schema_add_list(s, NULL, "bits", DS_BOOL, false, NULL);
    rc |= ds_schema_add_list(s, NULL, "reals", DS_F64, true, NULL);
    rc |= ds_schema_add_list(s, NULL, "words", DS_TOKENS16, false, NULL);
    assert_int_equal(rc, 0);
}

static const char *const texts[] = {"", "plain", "\xc3\xa9t\xc3\xa9",
                                    "\xf0\x9f\x90\xa7 and more of the text, so that it is longer"};
static const char *const jsons[] = {"null", "{\"b\":1,\"a\":[true,1.50,\"\\u00e9\"]}", "[]",
                                    "\"\\ud83d\\udc27\"", "-0.0e+1"};

static int wide_lists(ds_rows *r, uint64_t n)
{
    ds_colbuild *tags = ds_rows_col(r, 12), *bits = ds_rows_col(r, 13), *reals = ds_rows_col(r, 14),
                *words = ds_rows_col(r, 15);
    uint32_t ids[3] = {(uint32_t)n & 0xffff, 7, 0};
    int rc = 0;
    if (n % 6 == 0) {
        rc |= ds_colbuild_null(tags, NULL);
        rc |= ds_colbuild_null(reals, NULL);
    } else {
        rc |= ds_colbuild_list_begin(tags, NULL);
        rc |= ds_colbuild_list_begin(reals, NULL);
        for (uint64_t i = 0; i < n % 4; i++) {
            rc |= ds_colbuild_item_bytes(tags, texts[i], strlen(texts[i]), NULL);
            rc |= ds_colbuild_item_f64(reals, (double)(n + i) / 3, NULL);
        }
        rc |= ds_colbuild_list_end(tags, NULL);
        rc |= ds_colbuild_list_end(reals, NULL);
    }
    rc |= ds_colbuild_list_begin(bits, NULL);
    for (uint64_t i = 0; i < n % 11; i++)
        rc |= ds_colbuild_item_i64(bits, (n >> i % 5) & 1, NULL);
    rc |= ds_colbuild_list_end(bits, NULL);
    rc |= ds_colbuild_list_begin(words, NULL);
    for (uint64_t i = 0; i < n % 3; i++)
        rc |= ds_colbuild_item_tokens(words, ids, i + 1, NULL);
    return rc | ds_colbuild_list_end(words, NULL);
}

static int wide_flat(ds_rows *r, uint64_t n)
{
    uint64_t dims[3] = {n % 3, 2, 2}, runs[8] = {n % 5, 1, 3, 1, 0, 9, 2, n % 2};
    uint8_t pixels[8] = {1, 2, 3, 4, 5, 6, 7, (uint8_t)n};
    uint32_t ids[5] = {(uint32_t)(n * 77) & 0xffff, 1, 65535, 0, 5};
    const char *t = texts[n % 4], *j = jsons[n % 5];
    int rc = n % 5 == 4 ? ds_colbuild_null(ds_rows_col(r, 1), NULL)
                        : ds_colbuild_bytes(ds_rows_col(r, 1), t, strlen(t), NULL);
    rc |= ds_colbuild_begin(ds_rows_col(r, 2), NULL);
    for (uint64_t i = 0; i < n % 7; i++)
        rc |= ds_colbuild_part(ds_rows_col(r, 2), &n, 3, NULL);
    rc |= ds_colbuild_end(ds_rows_col(r, 2), NULL);
    rc |= n % 3 == 1 ? ds_colbuild_null(ds_rows_col(r, 3), NULL)
                     : ds_colbuild_bytes(ds_rows_col(r, 3), j, strlen(j), NULL);
    rc |= n % 4 == 1 ? ds_colbuild_null(ds_rows_col(r, 4), NULL)
                     : ds_colbuild_bool(ds_rows_col(r, 4), n % 3 == 0, NULL);
    rc |= ds_colbuild_i64(ds_rows_col(r, 5), n % 2 ? (int64_t)n : -(int64_t)n, NULL);
    rc |= n % 7 == 3 ? ds_colbuild_null(ds_rows_col(r, 6), NULL)
                     : ds_colbuild_f64(ds_rows_col(r, 6), (double)n / 7, NULL);
    rc |= n % 2 ? ds_colbuild_null(ds_rows_col(r, 7), NULL)
                : ds_colbuild_i64(ds_rows_col(r, 7), (int64_t)(n << 40), NULL);
    rc |= n % 3 == 2 ? ds_colbuild_null(ds_rows_col(r, 8), NULL)
                     : ds_colbuild_tensor(ds_rows_col(r, 8), n % 3 ? DS_I16 : DS_U8,
                                          (int)(n % 3 + n % 3), dims, pixels, n % 3 ? 4 : 1, NULL);
    rc |= ds_colbuild_tokens(ds_rows_col(r, 9), ids, n % 6, NULL);
    rc |= n % 5 == 0 ? ds_colbuild_null(ds_rows_col(r, 10), NULL)
                     : ds_colbuild_tokens(ds_rows_col(r, 10), ids, n % 4, NULL);
    return rc | (n % 4 == 3 ? ds_colbuild_null(ds_rows_col(r, 11), NULL)
                            : ds_colbuild_runs(ds_rows_col(r, 11), runs, 4, NULL));
}

void make_wide_row(ds_rows *r, uint64_t n)
{
    char key[32];
    int len = snprintf(key, sizeof key, "row-%llu", (unsigned long long)n);
    int rc = ds_rows_begin(r, NULL);
    rc |= ds_colbuild_bytes(ds_rows_col(r, 0), key, (size_t)len, NULL);
    rc |= wide_flat(r, n);
    rc |= wide_lists(r, n);
    for (uint64_t i = 0; i < n % 3; i++)
        rc |= ds_rows_origin(r, n / 50, n % 50 * 100 + i * 20, 10 + n % 5, NULL);
    rc |= ds_rows_end(r, NULL);
    assert_int_equal(rc, 0);
}

void make_wide_stream(ds_buf *out, uint64_t rows, uint64_t sources, const ds_writer_opts *opts)
{
    ds_schema s;
    ds_out o;
    ds_writer *w;
    ds_rows *r;
    ds_counts c = {0};
    ds_buf prov = {0};
    uint64_t told = 0;
    int fd = make_file();
    make_wide_schema(&s);
    assert_int_equal(ds_prov_append(&prov, NULL, 0, "test make", NULL, NULL, NULL), 0);
    assert_int_equal(ds_out_init(&o, fd, "test", NULL), 0);
    assert_int_equal(ds_writer_new(&w, &o, &s, prov.data, prov.len, opts, NULL), 0);
    assert_int_equal(ds_rows_new(&r, w, &s, NULL), 0);
    for (uint64_t n = 0; n <= rows; n++) {
        if ((n == rows || n % 50 == 49) && told < sources) {
            ds_source src = {.name = "dir/file", .len = 8, .size = told * 1000};
            src.sha.b[0] = (uint8_t)told++;
            if (n < rows)
                make_wide_row(r, n);
            assert_int_equal(ds_rows_source(r, &src, NULL), 0);
        } else if (n < rows) {
            make_wide_row(r, n);
        }
    }
    assert_int_equal(ds_rows_finish(r, NULL), 0);
    assert_int_equal(ds_counts_add(&c, false, "too long", 3, NULL), 0);
    assert_int_equal(ds_counts_add(&c, false, "duplicate", 2, NULL), 0);
    assert_int_equal(ds_counts_add(&c, true, "unreadable", 1, NULL), 0);
    assert_int_equal(ds_writer_end(w, &c, NULL, NULL), 0);
    ds_rows_free(r);
    ds_writer_free(w);
    ds_out_fini(&o);
    make_slurp(out, fd);
    close(fd);
    ds_counts_fini(&c);
    ds_buf_fini(&prov);
    ds_schema_fini(&s);
}

static void walk(const ds_block *b, const ds_schema *s)
{
    ds_colview v;
    ds_value x, item;
    ds_items it;
    for (size_t i = 0; i < s->n; i++) {
        uint64_t rows = 0;
        assert_int_equal(ds_colview_open(&v, &s->cols[i], b->chunks[i].body, b->chunks[i].body_len,
                                         b->rows, NULL),
                         0);
        while (ds_colview_next(&v, &x)) {
            rows++;
            if (v.type == DS_LIST && !x.null) {
                uint64_t items = 0;
                ds_value_items(&it, &v, &x);
                while (ds_items_next(&it, &item))
                    items++;
                assert_int_equal(items, x.count);
            }
        }
        assert_int_equal(rows, b->rows);
    }
}

int make_read_all(const void *p, size_t len, ds_counts *counts, ds_err *err)
{
    ds_reader *r = NULL;
    ds_blockcheck *c = NULL;
    enum ds_event ev = DS_EV_BLOCK;
    int fd = make_file_of(p, len);
    int rc = ds_reader_new(&r, fd, "test", err);
    if (!rc)
        rc = ds_blockcheck_new(&c, ds_reader_schema(r), err);
    while (!rc && ev != DS_EV_END) {
        rc = ds_reader_next(r, &ev, err);
        if (!rc && ev == DS_EV_BLOCK) {
            rc = ds_blockcheck_block(c, ds_reader_block(r), err);
            if (!rc)
                walk(ds_reader_block(r), ds_reader_schema(r));
        }
    }
    if (!rc && counts) {
        *counts = *ds_reader_counts(r);
        counts->held = counts->failed = NULL;
        counts->nheld = counts->nfailed = 0;
    }
    ds_blockcheck_free(c);
    ds_reader_free(r);
    close(fd);
    return rc;
}

void make_resum(ds_buf *stream)
{
    XXH3_state_t *x = XXH3_createState(), *all = XXH3_createState();
    size_t at = DS_MAGIC_LEN;
    assert_non_null(x);
    assert_non_null(all);
    XXH3_128bits_reset(all);
    for (uint32_t seq = 0; stream->len - at >= DS_FRAME_HEAD; seq++) {
        uint8_t *p = stream->data + at;
        ds_frame f;
        ds_frame_decode(&f, p);
        if (f.stored > stream->len - at - DS_FRAME_HEAD)
            break;
        if (f.type == 'E' && f.stored > 35) { /* ...,"frames":"<32>"} */
            char *hex = (char *)p + DS_FRAME_HEAD + f.stored - 34;
            ds_x128 d = ds_xxh128_digest(all);
            for (size_t i = 0; i < 16; i++) {
                hex[2 * i] = "0123456789abcdef"[d.b[i] >> 4];
                hex[2 * i + 1] = "0123456789abcdef"[d.b[i] & 15];
            }
        }
        ds_set_u32(p + 12, seq);
        ds_x128 sum = ds_frame_sum(x, p, p + DS_FRAME_HEAD, f.stored, NULL, 0);
        memcpy(p + 16, sum.b, 16);
        XXH3_128bits_update(all, sum.b, 16);
        at += DS_FRAME_HEAD + f.stored;
    }
    XXH3_freeState(x);
    XXH3_freeState(all);
}

size_t make_first(const ds_buf *stream, uint8_t type, uint8_t codec, ds_frame *f)
{
    for (size_t at = DS_MAGIC_LEN;; at += DS_FRAME_HEAD + f->stored) {
        assert_true(at < stream->len);
        ds_frame_decode(f, stream->data + at);
        if (f->type == type && f->codec == codec)
            return at;
    }
}

void make_other_frame(ds_buf *out, const ds_buf *stream, size_t at, const void *p, size_t len)
{
    ds_frame f;
    ds_frame_decode(&f, stream->data + at);
    const size_t end = at + DS_FRAME_HEAD + f.stored;
    ds_buf_reset(out);
    assert_int_equal(ds_buf_put(out, stream->data, at + DS_FRAME_HEAD), 0);
    f.codec = 0;
    f.stored = f.raw = (uint32_t)len;
    ds_frame_encode(out->data + at, &f);
    assert_int_equal(ds_buf_put(out, p, len), 0);
    assert_int_equal(ds_buf_put(out, stream->data + end, stream->len - end), 0);
    make_resum(out);
}
