/* Shapes and templates: words, what counts as open, merging at any cut, and Drain's rules. */
#include "unit.h"

#include <stdio.h>

#include "drain.h"

static void words(void **state)
{
    (void)state;
    static const struct {
        const char *in, *want; /* open words in brackets */
    } t[] = {
        {"a b1 c", "a|[b1]|c|"},
        {"  a\tb\r\nsecond 1", "a|b|"},
        {"", ""},
        {" \t ", ""},
        {"1", "[1]|"},
        {"x\xe4\xb8\xad 7", "x\xe4\xb8\xad|[7]|"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1 b",
         "[aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1]|b|"},
        {"1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b",
         "[1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]|b|"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1b",
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa|[1b]|"},
    };
    ds_word w[DS_SHAPE_LINE / 2 + 2];
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        ds_buf b = {0};
        size_t from, n = ds_shape_line((const uint8_t *)t[i].in, strlen(t[i].in), &from);
        const uint8_t *line = (const uint8_t *)t[i].in + from;
        n = ds_shape_words(line, n, w);
        for (size_t k = 0; k < n; k++)
            ds_buf_printf(&b, w[k].open ? "[%.*s]|" : "%.*s|", (int)w[k].len,
                          (const char *)line + w[k].at);
        assert_string_equal(ds_buf_cstr(&b), t[i].want);
        ds_buf_fini(&b);
    }
}

static void long_lines(void **state)
{
    (void)state;
    ds_word w[DS_SHAPE_LINE / 2 + 2];
    size_t len = 3 * DS_SHAPE_LINE;
    uint8_t *p = malloc(len);
    assert_non_null(p);
    for (size_t i = 0; i < len; i++)
        p[i] = i % 2 ? ' ' : 'x';
    size_t n = ds_shape_words(p, len, w);
    assert_int_equal(n, DS_SHAPE_LINE / 2 + 1);
    assert_true(w[n - 1].open);
    assert_int_equal(w[n - 1].at + w[n - 1].len, len);
    memset(p, 'x', len);
    assert_int_equal(ds_shape_words(p, len, w), 1);
    assert_true(w[0].open);
    free(p);
}

static void add(ds_shapes *s, const char *line)
{
    uint32_t number;
    assert_int_equal(ds_shapes_add(s, (const uint8_t *)line, strlen(line), &number, NULL), 0);
    assert_true(number < s->n);
}

/* Templates with their records, in order. */
static void dump(ds_buf *out, const ds_shapes *s, const ds_drainopts *o)
{
    ds_drain d;
    out->len = 0;
    assert_int_equal(ds_drain_mine(&d, s, o, NULL), 0);
    for (size_t i = 0; i < d.n; i++)
        ds_buf_printf(out, "%d %.*s\n", (int)d.v[i].count, (int)d.v[i].len,
                      (const char *)d.bytes.data + d.v[i].text);
    ds_drain_fini(&d);
}

static const ds_drainopts usual = {.similarity = 0.4, .children = 100};

static void rules(void **state)
{
    (void)state;
    ds_shapes s = {0};
    ds_buf b = {0};
    static const char *const lines[] = {"connected to 10.0.0.1",
                                        "connected to 10.0.0.2",
                                        "disk sda1 full",
                                        "disk sda1 full",
                                        "user alice logged in",
                                        "user bob logged in",
                                        "Hex number 0xDEADBEAF",
                                        "",
                                        "other things altogether here",
                                        "7 items",
                                        "9 pieces",
                                        "connected to 10.0.0.1\nwith a trace"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        add(&s, lines[i]);
    dump(&b, &s, &usual);
    assert_string_equal(ds_buf_cstr(&b),
                        "3 connected to <*>\n2 disk sda1 full\n2 user <*> logged in\n"
                        "1 Hex number 0xDEADBEAF\n1 \n1 other things altogether here\n"
                        "1 7 items\n1 9 pieces\n");
    ds_buf_fini(&b);
    ds_shapes_fini(&s);
}

/* Past the number of children, first words are not told apart. */
static void children(void **state)
{
    (void)state;
    ds_shapes s = {0};
    ds_buf b = {0};
    static const char *const lines[] = {"a x y z", "b x y z", "c x y z", "d x y z", "a x y q"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        add(&s, lines[i]);
    dump(&b, &s, &(ds_drainopts){.similarity = 0.4, .children = 3});
    assert_string_equal(ds_buf_cstr(&b), "2 a x y <*>\n1 b x y z\n2 <*> x y z\n");
    ds_buf_fini(&b);
    ds_shapes_fini(&s);
}

/* The set of a stream does not depend on where it is cut. */
static void merging(void **state)
{
    (void)state;
    ds_buf whole = {0}, parts = {0};
    for (unsigned step = 1; step < 40; step += 7) {
        ds_shapes all = {0}, sum = {0}, part = {0};
        uint32_t map[1000];
        for (unsigned i = 0; i < 200; i++) {
            char line[80];
            snprintf(line, sizeof line, "job %u of queue%u %s in %u ms", i * 7, i % 3,
                     i % 5 ? "done" : "failed", i / 100);
            add(&all, line);
            add(&part, line);
            if ((i + 1) % step == 0 || i == 199) {
                assert_int_equal(ds_shapes_merge(&sum, &part, map, NULL), 0);
                ds_shapes_reset(&part);
            }
        }
        assert_int_equal(all.n, sum.n);
        assert_memory_equal(all.flags.data, sum.flags.data, all.flags.len);
        dump(&whole, &all, &usual);
        dump(&parts, &sum, &usual);
        assert_string_equal(ds_buf_cstr(&whole), ds_buf_cstr(&parts));
        assert_non_null(strstr((const char *)whole.data, "job <*> of <*>"));
        ds_shapes_fini(&all);
        ds_shapes_fini(&sum);
        ds_shapes_fini(&part);
    }
    ds_buf_fini(&whole);
    ds_buf_fini(&parts);
}

static void a_full_set(void **state)
{
    (void)state;
    ds_shapes s = {.max = 2};
    uint32_t n;
    add(&s, "a");
    add(&s, "b");
    assert_int_equal(ds_shapes_add(&s, (const uint8_t *)"c", 1, &n, NULL), 0);
    assert_int_equal(n, DS_SHAPE_NONE);
    add(&s, "b");
    assert_int_equal(s.v[1].count, 2);
    ds_shapes_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),    cmocka_unit_test(long_lines), cmocka_unit_test(rules),
        cmocka_unit_test(children), cmocka_unit_test(merging),    cmocka_unit_test(a_full_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
