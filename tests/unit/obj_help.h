/* obj_help.h - what the tests of the object layer share: stores in the test's folder, pieces made
 * of lines. */
#ifndef DS_OBJ_HELP_H
#define DS_OBJ_HELP_H

#include "unit.h"

#include <stdio.h>

#include "objstore.h"
#include "ok_help.h"

static inline uint64_t obj_rand(uint64_t *s)
{
    uint64_t z = *s += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* A store of its own, open for writing. path: at least 512 bytes. */
static inline ds_objstore *obj_store(const char *name, char *path)
{
    ds_objstore *s = NULL;
    snprintf(path, 512, "%s", unit_path(name));
    OK(ds_objstore_create(path, err));
    OK(ds_objstore_open(&s, path, DS_OBJ_WRITE, err));
    return s;
}

/* Line number `n` of an endless text: about `size` bytes of words, the same each time. */
static inline void obj_line(ds_buf *b, uint64_t n, size_t size)
{
    static const char *const words[] = {"lung",  "node",     "scan",  "left",   "right",    "upper",
                                        "lobe",  "no",       "mild",  "stable", "since",    "prior",
                                        "study", "contrast", "axial", "slice",  "effusion", "seen"};
    uint64_t s = n * 0x2545f4914f6cdd1du + 1;
    size_t end = b->len + size;
    assert_int_equal(ds_buf_printf(b, "{\"id\":\"%llu\",\"text\":\"", (unsigned long long)n), 0);
    while (b->len < end) {
        uint64_t r = obj_rand(&s);
        if (r % 3 == 0)
            assert_int_equal(ds_buf_printf(b, "%x ", (unsigned)(r >> 40)), 0);
        else
            assert_int_equal(ds_buf_printf(b, "%s ", words[(r >> 8) % 18]), 0);
    }
    assert_int_equal(ds_buf_puts(b, "\"}\n"), 0);
}

/* The sketch of lines. */
static inline ds_sketch obj_sketch(const uint8_t *p, size_t n)
{
    ds_sketch s = {.n = 0};
    for (const uint8_t *e; n > 0; n -= (size_t)(e - p), p = e) {
        const uint8_t *nl = memchr(p, '\n', n);
        e = nl ? nl + 1 : p + n;
        ds_sketch_add(&s, (uint32_t)ds_xxh64(p, (size_t)(e - p)));
    }
    return s;
}

static inline ds_piece obj_piece(const void *p, size_t n)
{
    ds_piece r = {.data = p, .len = n, .kind = 1};
    OK(ds_sha_tagged(&r.id, DS_PIECE_TAG, p, n, err));
    r.sketch = obj_sketch(p, n);
    return r;
}

static inline ds_sha obj_put(ds_objtx *tx, const void *p, size_t n)
{
    ds_piece r = obj_piece(p, n);
    OK(ds_objtx_put(tx, &r, NULL, err));
    return r.id;
}

static inline void obj_expect(ds_objstore *s, const ds_sha *id, const void *p, size_t n)
{
    ds_buf b = {0};
    OK(ds_objstore_get(s, id, true, &b, err));
    assert_int_equal(b.len, n);
    if (n)
        assert_memory_equal(b.data, p, n);
    ds_buf_fini(&b);
}

/* Piece i of a long row: those 20 apart resemble each other. */
static inline void obj_text(ds_buf *b, unsigned i)
{
    ds_buf_reset(b);
    for (unsigned k = 0; k < 12; k++) /* 20 apart: mostly the same lines */
        obj_line(b, k == i % 12 ? 5000 + i : (i % 20) * 12 + k, 90);
}

/* Pieces from..to - 1 in one transaction. */
static inline void obj_put_range(ds_objstore *s, unsigned from, unsigned to, ds_sha *ids)
{
    ds_objtx *tx = NULL;
    ds_buf b = {0};
    OK(ds_objtx_begin(&tx, s, 1, err));
    for (unsigned i = from; i < to; i++) {
        obj_text(&b, i);
        ids[i] = obj_put(tx, b.data, b.len);
    }
    OK(ds_objtx_finish(tx, NULL, err));
    ds_buf_fini(&b);
}

/* 20 pieces that resemble nothing. */
static inline void obj_put_other(ds_objstore *s, ds_sha *ids)
{
    ds_objtx *tx = NULL;
    ds_buf b = {0};
    OK(ds_objtx_begin(&tx, s, 1, err));
    for (unsigned i = 0; i < 20; i++) {
        ds_buf_reset(&b);
        obj_line(&b, 900000 + i, 1000);
        ids[i] = obj_put(tx, b.data, b.len);
    }
    OK(ds_objtx_finish(tx, NULL, err));
    ds_buf_fini(&b);
}

static inline void obj_expect_range(ds_objstore *s, unsigned from, unsigned to, const ds_sha *ids)
{
    ds_buf b = {0};
    for (unsigned i = from; i < to; i++) {
        obj_text(&b, i);
        obj_expect(s, &ids[i], b.data, b.len);
    }
    ds_buf_fini(&b);
}

/* The dump, NUL-terminated; the caller frees. */
static inline char *obj_dump(ds_objstore *s, bool places)
{
    ds_buf b = {0};
    OK(ds_objstore_dump(s, places, &b, err));
    assert_non_null(ds_buf_cstr(&b));
    return (char *)b.data;
}

/* Counts problems; keeps the last. */
typedef struct obj_problems {
    unsigned n;
    char file[128], reason[1200]; /* of the last */
    uint64_t offset;
    char files[4096]; /* of all, as far as there is room */
} obj_problems;

static inline int obj_problem(void *ctx, const ds_objproblem *p)
{
    obj_problems *c = ctx;
    c->n++;
    snprintf(c->file, sizeof c->file, "%s", p->file);
    const size_t len = strlen(c->files);
    snprintf(c->files + len, sizeof c->files - len, "%s\n", p->file);
    snprintf(c->reason, sizeof c->reason, "%s", p->reason);
    c->offset = p->offset;
    return 0;
}

static inline unsigned obj_scrub(ds_objstore *s, bool full, obj_problems *last)
{
    obj_problems mine = {0}, *p = last ? last : &mine;
    ds_scrubstats st = {0};
    memset(p, 0, sizeof *p);
    OK(ds_objstore_scrub(s, full, 0, 0, 1, obj_problem, p, &st, err));
    assert_int_equal(st.problems, p->n);
    return p->n;
}

#endif
