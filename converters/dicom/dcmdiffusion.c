/* dcmdiffusion.c - see dcmdiffusion.h. */
#include "dcmdiffusion.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "buf.h"

enum { B_VALUE = 0x00189087, GRADIENT = 0x00189089, SEQUENCE = 0x00180020 };
#define B_MAX 1e5 /* s/mm2; animal scanners reach a few ten thousand */

#define IS DCM_VR('I', 'S')
#define FL DCM_VR('F', 'L')
#define FD DCM_VR('F', 'D')

static const struct maker {
    const char *creator;
    uint16_t group;
    uint8_t b;
    uint16_t vr;
    bool always; /* the element stands in images that are not diffusion weighted, too */
    bool echo_planar;
    struct {
        const char *creator;
        uint16_t group;
        uint8_t at[3]; /* of x, y, z; the same one where it holds all three */
        uint16_t vr;
    } gradient;
} makers[] = {
    {"SIEMENS MR HEADER",
     0x0019,
     0x0c,
     IS,
     false,
     false,
     {"SIEMENS MR HEADER", 0x0019, {0x0e, 0x0e, 0x0e}, FD}},
    {"GEMS_PARM_01", 0x0043, 0x39, IS, true, true, {NULL, 0, {0}, 0}},
    {"Philips Imaging DD 001",
     0x2001,
     0x03,
     FL,
     true,
     false,
     {"Philips MR Imaging DD 001", 0x2005, {0xb0, 0xb1, 0xb2}, FL}},
};

static const dcm_elem *find(const dcm_set *s, const char *creator, uint16_t group, uint8_t low)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const dcm_elem *e = &s->elems[i];
        if (e->tag >> 16 == group && (e->tag & 0xffff) >= 0x1000 && (e->tag & 0xff) == low &&
            e->creator != NULL && strcasecmp(e->creator, creator) == 0)
            return e;
    }
    return NULL;
}

/* The k-th value. `vr` is what the element is of where the file does not know. */
static bool value(const dcm_elem *e, unsigned k, uint16_t vr, double *v)
{
    if (e == NULL)
        return false;
    dcm_elem known = *e;
    if (known.vr == DCM_VR('U', 'N'))
        known.vr = vr;
    const dcm_set one = {.elems = &known, .n = 1};
    return dcm_get_real(&one, e->tag, k, v) && isfinite(*v);
}

static bool is_echo_planar(const dcm_set *s)
{
    const char *p;
    size_t n;
    for (unsigned k = 0; dcm_get_text(s, SEQUENCE, k, &p, &n); k++)
        if (n == 2 && memcmp(p, "EP", 2) == 0)
            return true;
    return false;
}

static bool b_value(const dcm_set *s, const struct maker *m, double *b)
{
    if (!value(find(s, m->creator, m->group, m->b), 0, m->vr, b) || *b < 0)
        return false;
    if (m->echo_planar && !is_echo_planar(s))
        return false;
    if (m->echo_planar && *b >= B_MAX) /* a flag stands in the higher digits of GE's */
        *b = fmod(*b, B_MAX);
    return *b < B_MAX && (*b > 0 || !m->always);
}

static bool gradient(const dcm_set *s, const struct maker *m, double v[3])
{
    const uint8_t *at = m->gradient.at;
    if (m->gradient.creator == NULL)
        return false;
    for (unsigned k = 0; k < 3; k++)
        if (!value(find(s, m->gradient.creator, m->gradient.group, at[k]), at[0] == at[1] ? k : 0,
                   m->gradient.vr, &v[k]))
            return false;
    const double length = v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
    return length > 0.9 && length < 1.1; /* of a trace image all are zero */
}

static int put(dcm_tree *t, uint32_t tag, const double *v, size_t n, ds_err *err)
{
    uint8_t raw[3 * sizeof *v];
    for (size_t i = 0; i < n; i++) {
        uint64_t bits;
        memcpy(&bits, &v[i], sizeof bits);
        ds_set_u64(raw + i * sizeof bits, bits);
    }
    return dcm_set_put(t, dcm_tree_main(t), tag, FD, raw, (uint32_t)(n * sizeof *v), NULL, err);
}

/* An element without a value says no more than none. */
static bool says(const dcm_set *s, uint32_t tag)
{
    const dcm_elem *e = dcm_set_find(s, tag);
    return e != NULL && e->len > 0;
}

int dcm_diffusion_fill(dcm_tree *t, ds_err *err)
{
    const dcm_set *s = dcm_tree_main(t);
    double b, v[3];
    if (says(s, B_VALUE))
        return 0;
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
        if (!b_value(s, &makers[i], &b))
            continue;
        int rc = !says(s, GRADIENT) && gradient(s, &makers[i], v) ? put(t, GRADIENT, v, 3, err) : 0;
        return rc ? rc : put(t, B_VALUE, &b, 1, err);
    }
    return 0;
}
