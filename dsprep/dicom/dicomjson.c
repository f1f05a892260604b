/* dicomjson.c - see dicomjson.h. */
#include "dicomjson.h"

#include <inttypes.h>
#include <string.h>

#include "json.h"
#include "utf8.h"

#define SQ DCM_VR('S', 'Q')

static bool is_number(uint16_t vr)
{
    switch (vr) {
    case DCM_VR('U', 'S'):
    case DCM_VR('S', 'S'):
    case DCM_VR('U', 'L'):
    case DCM_VR('S', 'L'):
    case DCM_VR('U', 'V'):
    case DCM_VR('S', 'V'):
    case DCM_VR('F', 'L'):
    case DCM_VR('F', 'D'):
    case DCM_VR('I', 'S'):
    case DCM_VR('D', 'S'):
        return true;
    default:
        return false;
    }
}

/* A string, or the number that it is one of; what is none stands there as it is. */
static int put_text(ds_buf *out, const dcm_elem *e, size_t *next)
{
    const char *p = "";
    size_t n = 0;
    int64_t i;
    double d;
    dcm_elem_next(e, next, &p, &n);
    if (e->vr == DCM_VR('I', 'S') && dcm_parse_int(p, n, &i))
        return ds_buf_printf(out, "%" PRId64, i);
    if (is_number(e->vr) && dcm_parse_real(p, n, &d))
        return ds_json_real(out, d);
    return ds_json_str(out, p, n);
}

static int put_number(ds_buf *out, const dcm_set *s, const dcm_elem *e, unsigned k)
{
    int64_t i;
    double d;
    if (dcm_get_int(s, e->tag, k, &i))
        return ds_buf_printf(out, "%" PRId64, i);
    return dcm_get_real(s, e->tag, k, &d) ? ds_json_real(out, d) : ds_buf_puts(out, "null");
}

static int put_values(ds_buf *out, const dcm_set *s, const dcm_elem *e)
{
    unsigned n = dcm_get_count(s, e->tag);
    size_t next = 0;
    int bad = n > 1 ? ds_buf_putc(out, '[') : 0;
    for (unsigned k = 0; k < n && !bad; k++) {
        if (k)
            bad = ds_buf_putc(out, ',');
        if (dcm_vr_is_string(e->vr))
            bad |= put_text(out, e, &next);
        else if (e->vr == DCM_VR('A', 'T'))
            bad |= ds_buf_printf(out, "\"%02x%02x,%02x%02x\"", e->val[4 * k + 1], e->val[4 * k],
                                 e->val[4 * k + 3], e->val[4 * k + 2]);
        else
            bad |= put_number(out, s, e, k);
    }
    if (n == 0)
        bad = ds_buf_puts(out, "null");
    return bad | (n > 1 ? ds_buf_putc(out, ']') : 0);
}

static int put_name(ds_buf *out, const dcm_elem *e)
{
    const char *keyword = dcm_keyword(e->tag);
    ds_buf name = {0};
    if (keyword && !(e->tag >> 16 & 1))
        return ds_json_str(out, keyword, strlen(keyword));
    int bad = ds_buf_printf(&name, "%04x,%04x", e->tag >> 16, e->tag & 0xffff);
    if (e->creator &&
        ds_utf8_check((const uint8_t *)e->creator, strlen(e->creator)) == strlen(e->creator))
        bad |= ds_buf_printf(&name, " %s", e->creator);
    bad = bad || ds_json_str(out, (const char *)name.data, name.len);
    ds_buf_fini(&name);
    return bad;
}

static int put_set(ds_buf *out, const dcm_set *s);

static int put_items(ds_buf *out, const dcm_elem *e)
{
    int bad = ds_buf_putc(out, '[');
    for (uint32_t i = 0; i < e->nitems && !bad; i++)
        bad = (i ? ds_buf_putc(out, ',') : 0) | put_set(out, e->items[i]);
    return bad | ds_buf_putc(out, ']');
}

static int put_set(ds_buf *out, const dcm_set *s)
{
    int bad = ds_buf_putc(out, '{');
    bool first = true;
    for (uint32_t i = 0; i < s->n && !bad; i++) {
        const dcm_elem *e = &s->elems[i];
        bool shown =
            e->vr == SQ || e->vr == DCM_VR('A', 'T') || is_number(e->vr) || dcm_vr_is_string(e->vr);
        if (!shown || e->bulk || (e->tag & 0xffff) == 0)
            continue;
        bad = (first ? 0 : ds_buf_putc(out, ',')) | put_name(out, e) | ds_buf_putc(out, ':') |
              (e->vr == SQ ? put_items(out, e) : put_values(out, s, e));
        first = false;
    }
    return bad | ds_buf_putc(out, '}');
}

int ds_dicom_json(const dcm_set *s, ds_buf *out, ds_err *err)
{
    return put_set(out, s) ? ds_fail_nomem(err) : 0;
}
