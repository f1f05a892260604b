/* Slices into volumes: order along the normal, gaps, doubled places, what splits a series, tilted
 * gantries, and no affine where there is none. */
#include <stdio.h>
#include <string.h>

#include "unit.h"

#include "dicomvolume.h"

#define MAX 16

/* A made series: what differs from slice to slice is set by the tests. */
typedef struct made {
    ds_slice slices[MAX];
    ds_dicom_facts facts[MAX];
    ds_dicom_place places[MAX];
    char keys[MAX][24];
    size_t n;
    ds_volume *v;
    size_t nv;
} made;

static const char no_split[] = "{}";

/* n axial slices, 2 mm apart, in a shuffled order. */
static void make(made *m, size_t n)
{
    memset(m, 0, sizeof *m);
    m->n = n;
    for (size_t i = 0; i < n; i++) {
        const size_t z = i * 5 % n; /* n has no factor 5 */
        ds_dicom_place *p = &m->places[i];
        ds_dicom_facts *f = &m->facts[i];
        *p = (ds_dicom_place){.spacing = {0.5, 0.5},
                              .position = {-10, -20, (double)z * 2},
                              .orientation = {1, 0, 0, 0, 1, 0},
                              .has = DS_PLACE_SPACING | DS_PLACE_POSITION | DS_PLACE_ORIENTATION,
                              .split = no_split,
                              .split_len = 2};
        static const char *const texts[] = {"patient", "study", "series", "space"};
        for (size_t k = 0; k < 4; k++) {
            f->text[k] = texts[k];
            f->len[k] = strlen(texts[k]);
        }
        f->series_number = 1;
        f->instance = (int64_t)z + 1;
        f->acquisition = INT64_MIN;
        f->places = p;
        f->nplaces = 1;
        snprintf(m->keys[i], sizeof m->keys[i], "k%02zu", z);
        m->slices[i] = (ds_slice){
            .object = i,
            .facts = f,
            .place = p,
            .key = m->keys[i],
            .shape = {.rows = 4, .cols = 4, .frames = 1, .samples = 1, .dtype = DCM_I16}};
    }
}

static void plan(made *m)
{
    ds_err err = {0};
    free(m->v);
    m->v = NULL;
    assert_int_equal(ds_volumes_plan(&m->v, &m->nv, m->slices, m->n, &err), 0);
    size_t total = 0;
    for (size_t i = 0; i < m->nv; i++)
        total += m->v[i].n;
    assert_int_equal(total, m->n); /* nothing is left out */
}

static void json(const made *m, size_t k, size_t gaps, const char *part)
{
    ds_buf b = {0};
    ds_err err = {0};
    size_t got = 0;
    assert_int_equal(ds_volume_json(&m->v[k], &b, &got, &err), 0);
    assert_non_null(ds_buf_cstr(&b));
    assert_int_equal(got, gaps);
    if (!strstr((const char *)b.data, part))
        fail_msg("%s not in %s", part, (const char *)b.data);
    ds_buf_fini(&b);
}

/* The slice whose z is the k-th. */
static ds_dicom_place *at(made *m, size_t z)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->facts[i].instance == (int64_t)z + 1)
            return &m->places[i];
    return NULL;
}

static void order(void **state)
{
    made m;
    (void)state;
    make(&m, 6);
    plan(&m);
    assert_int_equal(m.nv, 1);
    assert_true(m.v[0].stack && m.v[0].regular);
    assert_float_equal(m.v[0].typical, 2, 1e-9);
    assert_float_equal(m.v[0].step[2], 2, 1e-9);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(m.v[0].slices[i].facts->instance, (int)i + 1);
    json(&m, 0, 0, "\"regular\":true");
    /* The normal points to the feet: the other end comes first. */
    free(m.v);
    make(&m, 6);
    for (size_t i = 0; i < 6; i++)
        m.places[i].orientation[4] = -1;
    plan(&m);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(m.v[0].slices[i].facts->instance, 6 - (int)i);
    assert_float_equal(m.v[0].step[2], -2, 1e-9);
    free(m.v);
}

/* A slice is missing: told of, and there is no step. */
static void gaps(void **state)
{
    made m;
    (void)state;
    make(&m, 6);
    at(&m, 5)->position[2] = 14; /* in place of 10: two are missing */
    plan(&m);
    assert_int_equal(m.nv, 1);
    assert_false(m.v[0].regular);
    assert_float_equal(m.v[0].typical, 2, 1e-9);
    json(&m, 0, 1, "\"missing\":2");
    at(&m, 5)->position[2] = 10.5; /* no whole number of them */
    plan(&m);
    assert_false(m.v[0].regular);
    json(&m, 0, 1, "\"gaps\":[{");
    free(m.v);
}

/* One more measurement at each place, and one at a single place. */
static void doubled(void **state)
{
    made m;
    (void)state;
    make(&m, 6);
    for (size_t z = 3; z < 6; z++) {
        at(&m, z)->position[2] = (double)(z - 3) * 2;
        for (size_t i = 0; i < 6; i++)
            if (m.facts[i].instance == (int64_t)z + 1)
                m.facts[i].acquisition = 2;
    }
    for (size_t i = 0; i < 6; i++)
        if (m.facts[i].instance <= 3)
            m.facts[i].acquisition = 1;
    plan(&m);
    assert_int_equal(m.nv, 2);
    assert_int_equal(m.v[0].split, DS_SPLIT_ACQUISITION);
    assert_true(m.v[0].n == 3 && m.v[1].n == 3 && m.v[0].regular && m.v[1].regular);
    for (size_t i = 0; i < 6; i++)
        m.facts[i].acquisition = 1;
    plan(&m);
    assert_int_equal(m.nv, 2);
    assert_int_equal(m.v[0].split, DS_SPLIT_OCCURRENCE);
    assert_int_equal(m.v[0].doubled, 3);
    for (size_t i = 0; i < 3; i++) { /* by instance number */
        assert_int_equal(m.v[0].slices[i].facts->instance, (int)i + 1);
        assert_int_equal(m.v[1].slices[i].facts->instance, (int)i + 4);
    }
    free(m.v);
    make(&m, 6);
    at(&m, 5)->position[2] = 0;
    plan(&m);
    assert_int_equal(m.nv, 2);
    assert_int_equal(m.v[0].n, 5);
    assert_int_equal(m.v[1].n, 1);
    assert_false(m.v[1].regular); /* one slice has no step */
    assert_int_equal(m.v[0].doubled, 1);
    free(m.v);
}

/* Slices of several types are one volume, of a type that holds all of them. */
static void types(void **state)
{
    static const struct {
        enum dcm_sample one, other, want;
    } v[] = {{DCM_I16, DCM_I16, DCM_I16}, {DCM_U16, DCM_F32, DCM_F32}, {DCM_I32, DCM_F32, DCM_F64},
             {DCM_F32, DCM_F64, DCM_F64}, {DCM_U16, DCM_I16, DCM_I32}, {DCM_U8, DCM_I16, DCM_I16},
             {DCM_U8, DCM_U16, DCM_U16},  {DCM_U8, DCM_I8, DCM_I16},   {DCM_U32, DCM_U16, DCM_U32},
             {DCM_U32, DCM_I8, DCM_F64},  {DCM_U32, DCM_F32, DCM_F64}};
    made m = {0};
    (void)state;
    for (size_t k = 0; k < 2 * (sizeof v / sizeof *v); k++) {
        free(m.v);
        make(&m, 6);
        for (size_t i = 0; i < 6; i++)
            m.slices[i].shape.dtype = (i == 3) == (k & 1) ? v[k / 2].one : v[k / 2].other;
        plan(&m);
        assert_int_equal(m.nv, 1);
        assert_true(m.v[0].regular);
        for (size_t i = 0; i < 6; i++)
            assert_int_equal(m.slices[i].shape.dtype, v[k / 2].want);
    }
    free(m.v);
}

enum { BY_ORIENTATION, BY_SPACING, BY_ECHO, BY_SHAPE, BY_SPACE, BY_SERIES, WAYS };

/* What is not alike in two halves makes two volumes. */
static void splits(void **state)
{
    made m = {0};
    (void)state;
    for (int way = 0; way < WAYS; way++) {
        free(m.v);
        make(&m, 6);
        for (size_t i = 0; i < 6; i++) {
            if (m.facts[i].instance <= 3)
                continue;
            ds_dicom_place *p = &m.places[i];
            switch (way) {
            case BY_ORIENTATION:
                p->orientation[0] = 0.9999;
                p->orientation[1] = 0.0141418; /* a unit vector, 0.8 degrees off */
                p->orientation[3] = -0.0141418;
                p->orientation[4] = 0.9999;
                break;
            case BY_SPACING:
                p->spacing[1] = 0.51;
                break;
            case BY_ECHO:
                p->split = "{\"EchoNumbers\":2}";
                p->split_len = strlen(p->split);
                break;
            case BY_SHAPE:
                m.slices[i].shape.cols = 5;
                break;
            case BY_SPACE:
                m.facts[i].text[DS_FACT_SPACE] = "other";
                m.facts[i].len[DS_FACT_SPACE] = 5;
                break;
            default:
                m.facts[i].text[DS_FACT_SERIES] = "serieS";
                break;
            }
        }
        plan(&m);
        assert_int_equal(m.nv, 2);
        assert_true(m.v[0].n == 3 && m.v[1].n == 3);
    }
    /* Rounding in a header splits nothing. */
    free(m.v);
    make(&m, 6);
    for (size_t i = 0; i < 6; i++) {
        m.places[i].orientation[1] = (double)(i % 2) * 2e-5;
        m.places[i].spacing[0] = 0.5 + (double)(i % 2) * 2e-5;
    }
    plan(&m);
    assert_int_equal(m.nv, 1);
    free(m.v);
}

/* The shear of a tilted gantry is in the step; a table that sags is not regular. */
static void tilt(void **state)
{
    made m;
    (void)state;
    make(&m, 6);
    for (size_t z = 0; z < 6; z++)
        at(&m, z)->position[1] = -20 + 0.3 * (double)z;
    plan(&m);
    assert_true(m.nv == 1 && m.v[0].regular);
    assert_float_equal(m.v[0].step[1], 0.3, 1e-9);
    assert_float_equal(m.v[0].step[2], 2, 1e-9);
    at(&m, 3)->position[1] += 0.5; /* at its place along the normal, beside it otherwise */
    plan(&m);
    assert_int_equal(m.nv, 1);
    assert_false(m.v[0].regular);
    free(m.v);
}

/* Without a place there is nothing to stack, and no affine. */
static void no_places(void **state)
{
    made m;
    double affine[16];
    const double step[3] = {0, 0, 2};
    (void)state;
    make(&m, 6);
    assert_true(ds_dicom_affine(&m.places[0], step, affine));
    assert_float_equal(affine[0], 0.5, 0);
    assert_float_equal(affine[3], -10, 0);
    assert_float_equal(affine[10], 2, 0);
    assert_float_equal(affine[15], 1, 0);
    for (unsigned without = 1; without <= 4; without *= 2) {
        for (size_t i = 0; i < 6; i++)
            m.places[i].has = 7u & ~without;
        assert_false(ds_dicom_affine(&m.places[0], step, affine));
        plan(&m);
        assert_int_equal(m.nv, 6);
        for (size_t i = 0; i < 6; i++)
            assert_false(m.v[i].stack || m.v[i].regular);
    }
    free(m.v);
}

/* Any order of the same slices gives the same volumes. */
static void any_order(void **state)
{
    made a = {0}, b = {0};
    (void)state;
    make(&a, 6);
    make(&b, 6);
    for (size_t i = 0; i < 3; i++) {
        const ds_slice t = b.slices[i];
        b.slices[i] = b.slices[5 - i];
        b.slices[5 - i] = t;
    }
    plan(&a);
    plan(&b);
    assert_int_equal(a.nv, b.nv);
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(a.slices[i].key, b.slices[i].key);
    free(a.v);
    free(b.v);
}

/* A slice that could not be decoded is taken out: measured again. */
static void measured_again(void **state)
{
    made m;
    ds_err err = {0};
    (void)state;
    make(&m, 6);
    plan(&m);
    ds_volume *v = &m.v[0];
    memmove(v->slices + 2, v->slices + 3, 3 * sizeof *v->slices);
    v->n = 5;
    v->lost = 1;
    assert_int_equal(ds_volume_measure(v, &err), 0);
    assert_false(v->regular);
    json(&m, 0, 1, "\"missing\":1");
    json(&m, 0, 1, "{\"slices\":5,\"lost\":1,");
    /* Its ends alone: equal steps, but not those that it had. */
    v->slices[1] = v->slices[4];
    v->n = 2;
    v->lost = 4;
    assert_int_equal(ds_volume_measure(v, &err), 0);
    assert_false(v->regular);
    json(&m, 0, 1, "\"missing\":4");
    free(m.v);
    make(&m, 6); /* what is left in one piece is as regular as it was */
    m.v = NULL;
    plan(&m);
    m.v[0].slices++;
    m.v[0].n = 4;
    m.v[0].lost = 2;
    assert_int_equal(ds_volume_measure(&m.v[0], &err), 0);
    assert_true(m.v[0].regular);
    json(&m, 0, 0, "\"lost\":2");
    free(m.v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order),     cmocka_unit_test(gaps),      cmocka_unit_test(doubled),
        cmocka_unit_test(types),     cmocka_unit_test(splits),    cmocka_unit_test(tilt),
        cmocka_unit_test(no_places), cmocka_unit_test(any_order), cmocka_unit_test(measured_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
