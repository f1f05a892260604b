/* Deltas: what sketches and bases are chosen, and what a long history costs. */
#include "obj_help.h"

#include "delta.h"

static void sketches_keep_the_smallest(void **state)
{
    (void)state;
    ds_sketch s = {.n = 0};
    for (uint32_t i = 0; i < 200; i++)
        ds_sketch_add(&s, (i * 37) % 200 + 5);
    assert_int_equal(s.n, DS_SKETCH_MAX);
    for (uint32_t i = 0; i < DS_SKETCH_MAX; i++)
        assert_int_equal(s.h[i], i + 5);
    ds_sketch_add(&s, 5); /* again */
    ds_sketch_add(&s, 5 + DS_SKETCH_MAX);
    ds_sketch_add(&s, 1);
    assert_int_equal(s.n, DS_SKETCH_MAX);
    assert_int_equal(s.h[0], 1);
    assert_int_equal(s.h[1], 5);
    assert_int_equal(s.h[DS_SKETCH_MAX - 1], 3 + DS_SKETCH_MAX);
}

typedef void sketch_fn(ds_sketch *s, uint32_t salt, const void *data, size_t len);

static void survives_shifts(sketch_fn *make, unsigned least)
{
    ds_buf b = {0};
    ds_sketch one = {.n = 0}, two = {.n = 0}, salted = {.n = 0};
    unsigned same = 0, other = 0;
    while (b.len < 200000)
        obj_line(&b, b.len, 100);
    make(&one, 0, b.data, b.len);
    make(&two, 0, b.data + 777, b.len - 777);
    make(&salted, 99, b.data, b.len);
    for (int i = 0; i < one.n; i++)
        for (int k = 0; k < two.n; k++) {
            same += one.h[i] == two.h[k];
            other += one.h[i] == salted.h[k];
        }
    assert_in_range(same, least, DS_SKETCH_MAX);
    assert_int_equal(other, 0);
    ds_buf_fini(&b);
}

static void sketches_of_bytes_survive_shifts(void **state)
{
    (void)state;
    survives_shifts(ds_sketch_bytes, DS_SKETCH_MAX - 2);
    survives_shifts(ds_sketch_sample, DS_SKETCH_MAX / 2);
}

/* Ends where nothing may be read, and bytes that never end a part. */
static void samples_of_any_length(void **state)
{
    (void)state;
    for (size_t len = 0; len < 1500; len += 7) {
        uint8_t *p = calloc(1, len ? len : 1);
        ds_sketch s = {.n = 0};
        assert_non_null(p);
        for (size_t i = 0; i < len; i++)
            p[i] = len % 2 ? (uint8_t)(i * i >> 3) : 0;
        ds_sketch_sample(&s, 1, p, len);
        assert_in_range(s.n, 0, len / 64);
        free(p);
    }
}

static void votes(void **state)
{
    (void)state;
    ds_votes v = {.n = 0};
    int64_t key = 0;
    unsigned mask = 0;
    assert_false(ds_votes_best(&v, 0xff, &key, &mask));
    for (int h = 0; h < 3; h++)
        ds_votes_add(&v, 7, h);
    for (int h = 2; h < 6; h++)
        ds_votes_add(&v, 3, h);
    ds_votes_add(&v, 9, 0);
    assert_true(ds_votes_best(&v, 0xff, &key, &mask));
    assert_int_equal(key, 3);
    assert_int_equal(mask, 0x3c);
    assert_true(ds_votes_best(&v, 0xff & ~mask, &key, &mask)); /* best for what is left */
    assert_int_equal(key, 7);
    assert_true(ds_votes_best(&v, 1, &key, &mask)); /* equal: the newer */
    assert_int_equal(key, 9);
}

static void room(void **state)
{
    (void)state;
    static const unsigned want[] = {0, 0, 1, 0, 1, 2, 1, 2, 3, 2, 3, 4, 0, 1, 2, 1,
                                    2, 3, 2, 3, 4, 3, 4, 5, 0, 1, 2, 1, 2, 3, 2, 3};
    for (unsigned k = 0; k < sizeof want / sizeof want[0]; k++)
        assert_int_equal(ds_delta_room(k), want[k]);
    for (unsigned k = 1; k <= UINT16_MAX; k++)
        assert_true(ds_delta_room(k) < 17);
}

/* ---- a history: 40 pieces of 40 lines; each version replaces one line in a hundred ---- */

enum { LINES = 1600, VERSIONS = 60, LINE = 500 };

typedef struct history {
    uint32_t line[LINES]; /* number of the text of each line */
    uint32_t next;
    uint64_t seed;
} history;

static void history_begin(history *h)
{
    h->seed = 11;
    h->next = LINES;
    for (uint32_t i = 0; i < LINES; i++)
        h->line[i] = i;
}

static void history_edit(history *h)
{
    for (int i = 0; i < LINES / 100; i++)
        h->line[obj_rand(&h->seed) % LINES] = h->next++;
}

static void history_piece(const history *h, unsigned i, ds_buf *b)
{
    ds_buf_reset(b);
    for (unsigned k = 0; k < 40; k++)
        obj_line(b, h->line[i * 40 + k], LINE);
}

static uint64_t history_put(const history *h, ds_objstore *s, ds_objstats *st)
{
    ds_objtx *tx = NULL;
    ds_buf b = {0};
    OK(ds_objtx_begin(&tx, s, 1, err));
    for (unsigned i = 0; i < 40; i++) {
        history_piece(h, i, &b);
        obj_put(tx, b.data, b.len);
    }
    OK(ds_objtx_finish(tx, st, err));
    ds_buf_fini(&b);
    return st->bytes_stored;
}

static void history_expect(const history *h, ds_objstore *s)
{
    ds_buf b = {0};
    for (unsigned i = 0; i < 40; i++) {
        history_piece(h, i, &b);
        ds_sha id;
        OK(ds_sha_tagged(&id, DS_PIECE_TAG, b.data, b.len, err));
        obj_expect(s, &id, b.data, b.len);
    }
    ds_buf_fini(&b);
}

static int collect_id(void *ctx, const ds_objloc *loc)
{
    return ds_buf_put(ctx, loc->id.b, 32);
}

/* Longest way down. */
static unsigned depth_of(ds_objindex *ix, const ds_sha *id)
{
    ds_objloc loc;
    unsigned most = 0;
    assert_int_equal(ds_objindex_find(ix, id, &loc, NULL), 1);
    for (int i = 0; i < loc.bases.n; i++) {
        unsigned d = depth_of(ix, &loc.bases.id[i]) + 1;
        most = d > most ? d : most;
    }
    assert_true((loc.chain == 0) == (loc.bases.n == 0));
    if (loc.chain)
        assert_true(most <= ds_delta_room(loc.chain) + 1);
    return most;
}

static void long_history(void **state)
{
    (void)state;
    char path[512], index[600];
    ds_objstore *s = obj_store("history", path);
    ds_objstats st;
    static history h, middle;
    history_begin(&h);
    uint64_t first = history_put(&h, s, &st), second = 0, rest = 0;
    assert_int_equal(st.deltas, 0);
    for (int v = 1; v < VERSIONS; v++) {
        history_edit(&h);
        uint64_t n = history_put(&h, s, &st);
        assert_true(st.deltas + 3 >= st.pieces_new); /* hardly any is stored whole */
        second = v == 1 ? n : second;
        rest += n;
        if (v == 30)
            middle = h;
    }
    assert_true(second * 20 < first);
    assert_true(rest < 4 * (VERSIONS - 1) * second);
    history_expect(&h, s);
    history_expect(&middle, s);
    assert_int_equal(obj_scrub(s, true, NULL), 0);
    char *live = obj_dump(s, true);
    ds_objstore_close(s);
    OK(ds_objstore_reindex(path, NULL, NULL, NULL, err));
    OK(ds_objstore_open(&s, path, DS_OBJ_READ, err));
    char *again = obj_dump(s, true);
    assert_string_equal(live, again);
    free(live);
    free(again);
    ds_objstore_close(s);
    ds_objindex *ix = NULL;
    ds_buf ids = {0};
    snprintf(index, sizeof index, "%s/index.db", path);
    OK(ds_objindex_open(&ix, index, DS_INDEX_SHARED, err));
    assert_int_equal(ds_objindex_pieces(ix, 0, collect_id, &ids, NULL), 0);
    for (size_t i = 0; i < ids.len; i += 32) {
        ds_sha id;
        memcpy(&id, ids.data + i, 32);
        assert_true(depth_of(ix, &id) <= 9);
    }
    ds_buf_fini(&ids);
    ds_objindex_close(ix);
}

/* Two pieces become one, one becomes two: nothing of it is stored again. */
static void moved_cuts(void **state)
{
    (void)state;
    char path[512];
    ds_objstore *s = obj_store("cuts", path);
    ds_objtx *tx = NULL;
    ds_objstats st;
    ds_buf b = {0};
    static history h;
    history_begin(&h);
    uint64_t first = history_put(&h, s, &st);
    OK(ds_objtx_begin(&tx, s, 1, err));
    for (unsigned i = 0; i < 60; i += 15) { /* pieces of 60 lines: one and a half of the old */
        ds_buf_reset(&b);
        for (unsigned k = 0; k < 60; k++)
            obj_line(&b, h.line[i * 4 + k], LINE);
        obj_put(tx, b.data, b.len);
    }
    for (unsigned i = 15; i < 30; i++) { /* of 10 lines */
        ds_buf_reset(&b);
        for (unsigned k = 0; k < 10; k++)
            obj_line(&b, h.line[i * 10 + k], LINE);
        obj_put(tx, b.data, b.len);
    }
    OK(ds_objtx_finish(tx, &st, err));
    assert_int_equal(st.pieces_new, 19);
    assert_int_equal(st.deltas, 19);
    assert_true(st.bytes_stored < first / 20);
    assert_int_equal(obj_scrub(s, true, NULL), 0);
    ds_buf_fini(&b);
    ds_objstore_close(s);
}

static void hints_serve_without_sketches(void **state)
{
    (void)state;
    char path[512];
    ds_objstore *s = obj_store("hints", path);
    ds_objstats st;
    ds_buf b = {0};
    ds_sha hints[2] = {{{1}}};
    static history h;
    history_begin(&h);
    for (int v = 0; v < 4; v++) {
        ds_objtx *tx = NULL;
        history_piece(&h, 0, &b);
        OK(ds_buf_puts(&b, v == 0 ? "" : v == 1 ? "x" : v == 2 ? "xy" : "xyz"));
        ds_piece p = obj_piece(b.data, b.len);
        p.sketch.n = 0;
        p.hints = hints; /* the first one is not known here */
        p.n_hints = v ? 2 : 0;
        OK(ds_objtx_begin(&tx, s, 1, err));
        OK(ds_objtx_put(tx, &p, NULL, err));
        OK(ds_objtx_finish(tx, &st, err));
        assert_int_equal(st.deltas, v > 0);
        hints[1] = p.id;
        obj_expect(s, &p.id, b.data, b.len);
    }
    assert_true(st.bytes_stored < 400);
    ds_buf_fini(&b);
    ds_objstore_close(s);
}

/* The next base covers what those before it lack, and is none of them; nor deeper than there is
 * room for. */
static void best_of_the_rest(void **state)
{
    (void)state;
    const ds_objloc v[2] = {{.id = {{1}}, .sketch = {.n = 3, .h = {1, 2, 3}}},
                            {.id = {{2}}, .sketch = {.n = 2, .h = {1, 2}}}};
    const ds_sketch s = v[0].sketch;
    const unsigned depth[2] = {0, 1};
    ds_bases taken = {.n = 0};
    unsigned mask = 0;
    assert_ptr_equal(ds_delta_best(&s, v, depth, 2, 1, 7, &taken, &mask), &v[0]);
    assert_int_equal(mask, 7);
    taken.id[taken.n++] = v[0].id;
    assert_ptr_equal(ds_delta_best(&s, v, depth, 2, 1, 7, &taken, &mask), &v[1]);
    assert_int_equal(mask, 3);
    assert_null(ds_delta_best(&s, v, depth, 2, 0, 7, &taken, &mask));
    assert_null(ds_delta_best(&s, v, depth, 2, 1, 4, &taken, &mask));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sketches_keep_the_smallest),
        cmocka_unit_test(sketches_of_bytes_survive_shifts),
        cmocka_unit_test(samples_of_any_length),
        cmocka_unit_test(votes),
        cmocka_unit_test(room),
        cmocka_unit_test(long_history),
        cmocka_unit_test(moved_cuts),
        cmocka_unit_test(hints_serve_without_sketches),
        cmocka_unit_test(best_of_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, unit_dir_remove);
}
