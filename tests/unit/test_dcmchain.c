/* From stored values to those of a record: every step by hand-made numbers; RLE segments. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "unit.h"

#include "dcmchain.h"
#include "dcmrle.h"
#include "kernels.h"

#define VR(s) DCM_VR((s)[0], (s)[1])

typedef struct made {
    dcm_tree *t;
    dcm_set *s;
    dcm_image im;
    dcm_chain_opts o;
    ds_buf out, json;
} made;

static void text(made *m, dcm_set *s, uint32_t tag, const char *vr, const char *v)
{
    assert_int_equal(dcm_set_put(m->t, s, tag, VR(vr), v, strlen(v), NULL, NULL), 0);
}

static void words(made *m, dcm_set *s, uint32_t tag, const char *vr, const uint16_t *v, size_t n)
{
    uint8_t b[64];
    for (size_t i = 0; i < n; i++) {
        b[2 * i] = (uint8_t)v[i];
        b[2 * i + 1] = (uint8_t)(v[i] >> 8);
    }
    assert_int_equal(dcm_set_put(m->t, s, tag, VR(vr), b, 2 * n, NULL, NULL), 0);
}

static made make(uint32_t cols, enum dcm_sample d, const char *photometric)
{
    made m = {.im = {.rows = 1, .cols = cols, .samples = 1, .frames = 1, .dtype = d}};
    m.im.allocated = m.im.stored = (uint16_t)(8 * dcm_sample_size(d));
    m.im.high = (uint16_t)(m.im.stored - 1);
    m.im.is_signed = d == DCM_I8 || d == DCM_I16;
    snprintf(m.im.photometric, sizeof m.im.photometric, "%s", photometric);
    assert_int_equal(dcm_tree_new(&m.t, NULL), 0);
    m.s = dcm_tree_main(m.t);
    m.o.values = DCM_VALUES_MODALITY;
    return m;
}

/* What a device makes of a frame, where it makes it: the same. */
static void apply_by_table(const made *m, dcm_chain *c, uint32_t frame, const ds_buf *in)
{
    const dcm_shape s = dcm_chain_shape(c);
    ds_err err = {0};
    ds_kernels *k;
    dcm_table t;
    assert_int_equal(dcm_chain_table(c, frame, in, &t, &err), 0);
    if (!t.v)
        return;
    assert_int_equal(ds_kernels_cpu(&k, 1, NULL, &err), 0);
    const ds_kimage p = {.from = (enum ds_pixel)m->im.dtype,
                         .to = (enum ds_pixel)s.dtype,
                         .rows = m->im.rows,
                         .cols = m->im.cols,
                         .samples = s.samples,
                         .to_rows = s.rows,
                         .to_cols = s.cols,
                         .table = t.v,
                         .low = t.low,
                         .gain = t.gain,
                         .bias = t.bias};
    void *out = malloc(ds_kimage_bytes(&p) + 1);
    assert_non_null(out);
    assert_int_equal(ds_kimage_bytes(&p), m->out.len);
    assert_int_equal(k->image(k, out, in->data, &p, &err), 0);
    assert_memory_equal(out, m->out.data, m->out.len);
    free(out);
    k->close(k);
}

static dcm_shape apply(made *m, uint32_t frame, const void *in, size_t len)
{
    const char *reason;
    ds_err err = {0};
    ds_buf b = {0};
    dcm_chain *c;
    assert_int_equal(dcm_chain_new(&c, m->s, &m->im, &m->o, &reason, &err), 0);
    assert_int_equal(ds_buf_put(&b, in, len), 0);
    assert_int_equal(dcm_chain_frame(c, frame, &b, &m->out, &err), 0);
    apply_by_table(m, c, frame, &b);
    ds_buf_reset(&m->json);
    assert_int_equal(dcm_chain_json(c, frame, &m->json, &err), 0);
    assert_non_null(ds_buf_cstr(&m->json));
    dcm_shape s = dcm_chain_shape(c);
    dcm_chain_free(c);
    ds_buf_fini(&b);
    return s;
}

static void drop(made *m)
{
    dcm_tree_free(m->t);
    ds_buf_fini(&m->out);
    ds_buf_fini(&m->json);
}

static float f32(const made *m, size_t i)
{
    float f;
    memcpy(&f, m->out.data + 4 * i, 4);
    return f;
}

static int16_t i16(const made *m, size_t i)
{
    int16_t v;
    memcpy(&v, m->out.data + 2 * i, 2);
    return v;
}

static void rescales_exactly(void **state)
{
    (void)state;
    const uint16_t in[3] = {0, 175, 180};
    made m = make(3, DCM_U16, "MONOCHROME2");
    text(&m, m.s, 0x00281053, "DS", "0.3 ");
    text(&m, m.s, 0x00281052, "DS", "0.25");
    assert_int_equal(apply(&m, 0, in, sizeof in).dtype, DCM_F32);
    /* 175 * 0.3 = 52.5, which an integer pipeline would cut */
    assert_true(f32(&m, 0) == 0.25f && f32(&m, 1) == 52.75f && f32(&m, 2) == 54.25f);
    assert_non_null(strstr((char *)m.json.data, "\"slope\":0.3,\"intercept\":0.25"));
    drop(&m);
}

static void a_slope_of_zero_is_none(void **state)
{
    (void)state;
    const uint16_t in[3] = {0, 1024, 4095};
    made m = make(3, DCM_U16, "MONOCHROME2");
    text(&m, m.s, 0x00281053, "DS", "0");
    text(&m, m.s, 0x00281052, "DS", "5");
    assert_int_equal(apply(&m, 0, in, sizeof in).dtype, DCM_U16);
    assert_memory_equal(m.out.data, in, sizeof in);
    assert_null(strstr((char *)m.json.data, "rescale"));
    drop(&m);
}

/* A scale that cannot be read is no reason to pass values as if they had none; half of one is one.
 */
static void scales_of_all_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *slope, *intercept;
        int want; /* of 100; -1: refused */
    } v[] = {{"2", "-50", 150}, {"2", NULL, 200},   {NULL, "-50", 50}, {NULL, NULL, 100},
             {" ", " ", 100},   {"1,5", "0", -1},   {"abc", "0", -1},  {"1e999", "0", -1},
             {"1", "nan", -1},  {"2\\3", "1", 201}, {"0", "5", 100}};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        const uint16_t in[1] = {100};
        made m = make(1, DCM_U16, "MONOCHROME2");
        const char *reason = "";
        ds_err err = {0};
        dcm_chain *c;
        if (v[i].slope)
            text(&m, m.s, 0x00281053, "DS", v[i].slope);
        if (v[i].intercept)
            text(&m, m.s, 0x00281052, "DS", v[i].intercept);
        m.o.dtype = DCM_F32;
        if (v[i].want < 0) {
            assert_int_equal(dcm_chain_new(&c, m.s, &m.im, &m.o, &reason, &err), DS_FAIL);
            assert_string_equal(reason, "bad-values");
            m.o.values = DCM_VALUES_STORED; /* asks for none */
            apply(&m, 0, in, sizeof in);
            assert_true(f32(&m, 0) == 100.0f);
        } else {
            apply(&m, 0, in, sizeof in);
            assert_true(f32(&m, 0) == (float)v[i].want);
        }
        drop(&m);
    }
}

/* A dose is in its units by a scaling of its own; a rescale slope counts more. */
static void doses(void **state)
{
    (void)state;
    static const struct {
        const char *scaling, *slope;
        float want; /* of 400 */
    } v[] = {
        {"0.25", NULL, 100.0f}, {"0.25", "2", 800.0f}, {"0", NULL, 400.0f}, {"", NULL, 400.0f}};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        const uint16_t in[1] = {400};
        made m = make(1, DCM_U16, "MONOCHROME2");
        text(&m, m.s, 0x3004000e, "DS", v[i].scaling);
        if (v[i].slope)
            text(&m, m.s, 0x00281053, "DS", v[i].slope);
        m.o.dtype = DCM_F32;
        apply(&m, 0, in, sizeof in);
        assert_true(f32(&m, 0) == v[i].want);
        drop(&m);
    }
}

/* Doubles have more digits than a float holds. */
static void doubles_stay_doubles(void **state)
{
    (void)state;
    const double in[2] = {0.1, 16777217};
    made m = make(2, DCM_F64, "MONOCHROME2");
    assert_int_equal(apply(&m, 0, in, sizeof in).dtype, DCM_F64);
    assert_memory_equal(m.out.data, in, sizeof in);
    text(&m, m.s, 0x00281053, "DS", "2");
    assert_int_equal(apply(&m, 0, in, sizeof in).dtype, DCM_F64);
    const double twice[2] = {0.2, 33554434};
    assert_memory_equal(m.out.data, twice, sizeof twice);
    drop(&m);
}

static void integers_stay_integers(void **state)
{
    (void)state;
    const uint16_t in[3] = {0, 1024, 4095};
    made m = make(3, DCM_U16, "MONOCHROME2");
    m.im.stored = 12;
    text(&m, m.s, 0x00281053, "DS", "1");
    text(&m, m.s, 0x00281052, "DS", "-1024");
    assert_int_equal(apply(&m, 0, in, sizeof in).dtype, DCM_I16);
    assert_true(i16(&m, 0) == -1024 && i16(&m, 1) == 0 && i16(&m, 2) == 3071);
    drop(&m);

    const uint32_t wide[2] = {0, UINT32_MAX}; /* no i32 holds them, and no f32 */
    m = make(2, DCM_U32, "MONOCHROME2");
    text(&m, m.s, 0x00281053, "DS", "1");
    text(&m, m.s, 0x00281052, "DS", "-5");
    assert_int_equal(apply(&m, 0, wide, sizeof wide).dtype, DCM_F64);
    double d[2];
    memcpy(d, m.out.data, sizeof d);
    assert_true(d[0] == -5 && d[1] == 4294967290.0);
    drop(&m);
}

static void frames_have_their_own(void **state)
{
    (void)state;
    const uint16_t in[1] = {10};
    made m = make(1, DCM_U16, "MONOCHROME2");
    dcm_set *item, *pvt;
    m.im.frames = 3;
    text(&m, m.s, 0x00281053, "DS", "100");
    text(&m, m.s, 0x00281052, "DS", "0");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(dcm_set_item(m.t, m.s, 0x52009230, &item, NULL), 0);
        assert_int_equal(dcm_set_item(m.t, item, 0x00289145, &pvt, NULL), 0);
        text(&m, pvt, 0x00281053, "DS", i ? "0.5" : "2");
        text(&m, pvt, 0x00281052, "DS", i ? "1" : "0");
    }
    apply(&m, 0, in, sizeof in);
    assert_true(f32(&m, 0) == 20.0f);
    apply(&m, 1, in, sizeof in);
    assert_true(f32(&m, 0) == 6.0f);
    apply(&m, 2, in, sizeof in); /* no group of its own: not that of the first */
    assert_true(f32(&m, 0) == 1000.0f);
    drop(&m);
}

static void windows(void **state)
{
    (void)state;
    const uint16_t in[5] = {0, 1, 2048, 4095, 5000};
    made m = make(5, DCM_U16, "MONOCHROME2");
    m.o.values = DCM_VALUES_WINDOW;
    text(&m, m.s, 0x00281050, "DS", "2048\\40");
    text(&m, m.s, 0x00281051, "DS", "4096\\400");
    apply(&m, 0, in, sizeof in);
    assert_true(f32(&m, 0) == 0.0f && f32(&m, 3) == 1.0f && f32(&m, 4) == 1.0f);
    assert_true(f32(&m, 1) == (float)(1.0 / 4095));
    m.o.dtype = DCM_U8;
    apply(&m, 0, in, sizeof in);
    assert_true(m.out.len == 5 && m.out.data[0] == 0 && m.out.data[2] == 128 &&
                m.out.data[4] == 255);
    m.o.dtype = 0;
    text(&m, m.s, 0x00281056, "CS", "SIGMOID");
    apply(&m, 0, in, sizeof in);
    assert_true(f32(&m, 2) == 0.5f);
    m.o = (dcm_chain_opts){.values = DCM_VALUES_WINDOW, .auto_window = true};
    apply(&m, 0, in, sizeof in);
    assert_true(f32(&m, 0) == 0.0f && f32(&m, 4) == 1.0f);
    drop(&m);
}

static void inversion_is_last(void **state)
{
    (void)state;
    const uint16_t in[3] = {0, 100, 4095};
    made m = make(3, DCM_U16, "MONOCHROME1");
    m.im.stored = 12;
    text(&m, m.s, 0x00281053, "DS", "2");
    text(&m, m.s, 0x00281052, "DS", "-10");
    apply(&m, 0, in, sizeof in); /* lowest -10, highest 8180: what they add up to, less the value */
    assert_true(i16(&m, 0) == 8180 && i16(&m, 1) == 7980 && i16(&m, 2) == -10);
    m.o.values = DCM_VALUES_STORED;
    apply(&m, 0, in, sizeof in);
    assert_memory_equal(m.out.data, in, sizeof in);
    drop(&m);
}

static void padding_is_told_before(void **state)
{
    (void)state;
    const int16_t in[3] = {-2000, 0, 1000};
    const uint16_t pad = 63536; /* -2000, written as if it had no sign */
    made m = make(3, DCM_I16, "MONOCHROME2");
    words(&m, m.s, 0x00280120, "US", &pad, 1);
    text(&m, m.s, 0x00281053, "DS", "0.5");
    text(&m, m.s, 0x00281052, "DS", "-3");
    apply(&m, 0, in, sizeof in);
    assert_true(f32(&m, 0) == -1003.0f);
    m.o.padding = DCM_PADDING_NAN;
    apply(&m, 0, in, sizeof in);
    assert_true(isnan(f32(&m, 0)) && f32(&m, 1) == -3.0f);
    m.o = (dcm_chain_opts){.values = DCM_VALUES_WINDOW, .auto_window = true};
    apply(&m, 0, in, sizeof in);
    assert_true(f32(&m, 0) == 0.0f && f32(&m, 1) == 0.0f && f32(&m, 2) == 1.0f);
    drop(&m);

    const uint16_t plain[3] = {63536, 0, 1000}; /* and the other way around */
    m = make(3, DCM_U16, "MONOCHROME2");
    words(&m, m.s, 0x00280120, "SS", &pad, 1);
    m.o = (dcm_chain_opts){.values = DCM_VALUES_WINDOW, .auto_window = true};
    apply(&m, 0, plain, sizeof plain);
    assert_true(f32(&m, 0) == 0.0f && f32(&m, 1) == 0.0f && f32(&m, 2) == 1.0f);
    drop(&m);
}

static void tables(void **state)
{
    (void)state;
    const uint8_t in[4] = {0, 1, 2, 9};
    const uint16_t desc[3] = {3, 1, 16}, data[3] = {500, 600, 65000};
    dcm_set *item;
    made m = make(4, DCM_U8, "MONOCHROME2");
    assert_int_equal(dcm_set_item(m.t, m.s, 0x00283000, &item, NULL), 0);
    words(&m, item, 0x00283002, "US", desc, 3);
    words(&m, item, 0x00283006, "US", data, 3);
    assert_int_equal(apply(&m, 0, in, sizeof in).dtype, DCM_U16);
    assert_true((uint16_t)i16(&m, 0) == 500 && (uint16_t)i16(&m, 2) == 600 &&
                (uint16_t)i16(&m, 3) == 65000);
    drop(&m);

    m = make(4, DCM_U8, "PALETTE COLOR");
    for (uint32_t k = 0; k < 3; k++) {
        const uint16_t colour[2] = {(uint16_t)(10 + k), (uint16_t)(200 + k)}, d[3] = {2, 1, 8};
        words(&m, m.s, 0x00281101 + k, "US", d, 3);
        words(&m, m.s, 0x00281201 + k, "OW", colour, 2);
    }
    dcm_shape s = apply(&m, 0, in, sizeof in);
    static const uint8_t want[12] = {10, 11, 12, 10, 11, 12, 200, 201, 202, 200, 201, 202};
    assert_true(s.samples == 3 && s.dtype == DCM_U8 && m.out.len == 12);
    assert_memory_equal(m.out.data, want, 12);
    m.o.values = DCM_VALUES_STORED;
    assert_true(apply(&m, 0, in, sizeof in).samples == 1);
    assert_memory_equal(m.out.data, in, 4);
    m.o.values = DCM_VALUES_MODALITY; /* labels, which have colours to be shown in */
    text(&m, m.s, 0x00620001, "CS", "LABELMAP");
    s = apply(&m, 0, in, sizeof in);
    assert_true(s.samples == 1 && s.dtype == DCM_U8);
    assert_memory_equal(m.out.data, in, 4);
    drop(&m);
}

/* The first value of a VOI LUT is that of an image in its units, which may be negative. */
static void voi_from_below_zero(void **state)
{
    (void)state;
    static const char *const vrs[] = {"US", "SS", "OW"};
    const uint16_t in[4] = {0, 1024, 1025, 1026}; /* -1024, 0, 1, 2 */
    const uint16_t desc[3] = {4, (uint16_t)-2, 8}, data[4] = {0, 51, 102, 255};
    for (size_t i = 0; i < 3; i++) {
        dcm_set *item;
        made m = make(4, DCM_U16, "MONOCHROME2");
        m.o.values = DCM_VALUES_WINDOW;
        text(&m, m.s, 0x00281053, "DS", "1");
        text(&m, m.s, 0x00281052, "DS", "-1024");
        assert_int_equal(dcm_set_item(m.t, m.s, 0x00283010, &item, NULL), 0);
        words(&m, item, 0x00283002, vrs[i], desc, 3);
        words(&m, item, 0x00283006, "OW", data, 4);
        apply(&m, 0, in, sizeof in);
        assert_true(f32(&m, 0) == 0.0f && f32(&m, 1) == 102 / 255.0f && f32(&m, 2) == 1.0f);
        drop(&m);
    }
}

static void ybr(void **state)
{
    (void)state;
    const uint8_t in[6] = {128, 128, 128, 76, 85, 255}; /* grey, red */
    made m = make(2, DCM_U8, "YBR_FULL");
    m.im.samples = 3;
    apply(&m, 0, in, sizeof in);
    assert_true(m.out.data[0] == 128 && m.out.data[1] == 128 && m.out.data[2] == 128);
    assert_true(m.out.data[3] == 254 && m.out.data[4] == 0 && m.out.data[5] == 0);
    drop(&m);
}

static void sizes(void **state)
{
    (void)state;
    const uint8_t in[4] = {0, 100, 200, 100}, flat[4] = {7, 7, 7, 7};
    made m = make(4, DCM_U8, "MONOCHROME2");
    m.o.rows = 1;
    m.o.cols = 2;
    dcm_shape s = apply(&m, 0, in, sizeof in);
    assert_true(s.cols == 2 && s.dtype == DCM_F32 && m.out.len == 8);
    /* weights 3 3 1 of the first three, by seven */
    assert_true(f32(&m, 0) == (float)(500.0 / 7) && f32(&m, 1) == (float)(1000.0 / 7));
    m.o.rows = 3;
    m.o.cols = 5;
    apply(&m, 0, flat, sizeof flat);
    for (size_t i = 0; i < 15; i++)
        assert_true(f32(&m, i) == 7.0f);
    drop(&m);
}

static void rle(void **state)
{
    (void)state;
    uint8_t b[80] = {2}; /* two segments: high bytes at 64, low bytes at 68 */
    b[4] = 64;
    b[8] = 68;
    static const uint8_t segments[] = {0xfd, 1, 0x80, 0, 3, 5, 6, 7, 8};
    memcpy(b + 64, segments, sizeof segments);
    ds_buf out = {0};
    size_t len = 64 + sizeof segments;
    assert_int_equal(dcm_rle_decode(&out, b, len, 4, 1, 2, NULL), 0);
    static const uint8_t want[8] = {5, 1, 6, 1, 7, 1, 8, 1};
    assert_int_equal(out.len, 8);
    assert_memory_equal(out.data, want, 8);
    for (size_t n = 0; n < len; n++) /* cut anywhere it is refused */
        assert_true(dcm_rle_decode(&out, b, n, 4, 1, 2, NULL) != 0);
    assert_true(dcm_rle_decode(&out, b, len, 5, 1, 2, NULL) != 0);
    assert_true(dcm_rle_decode(&out, b, len, 4, 3, 1, NULL) != 0);
    b[8] = 200;
    assert_true(dcm_rle_decode(&out, b, len, 4, 1, 2, NULL) != 0);
    ds_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rescales_exactly),
        cmocka_unit_test(a_slope_of_zero_is_none),
        cmocka_unit_test(scales_of_all_kinds),
        cmocka_unit_test(doses),
        cmocka_unit_test(doubles_stay_doubles),
        cmocka_unit_test(integers_stay_integers),
        cmocka_unit_test(frames_have_their_own),
        cmocka_unit_test(windows),
        cmocka_unit_test(inversion_is_last),
        cmocka_unit_test(padding_is_told_before),
        cmocka_unit_test(tables),
        cmocka_unit_test(voi_from_below_zero),
        cmocka_unit_test(ybr),
        cmocka_unit_test(sizes),
        cmocka_unit_test(rle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
