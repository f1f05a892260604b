/* dcmdummy.c - see dcmdummy.h. */
#include "dcmdummy.h"

#include <stdio.h>
#include <string.h>

#include "dcmdate.h"

bool dcm_dummy_is_time(uint16_t vr)
{
    return vr == DCM_VR('D', 'A') || vr == DCM_VR('D', 'T') || vr == DCM_VR('T', 'M');
}

int dcm_dummy_value(const dcm_elem *e, ds_buf *out)
{
    static const uint8_t zeros[8];
    switch (e->vr) {
    case DCM_VR('P', 'N'):
    case DCM_VR('A', 'E'):
        return ds_buf_puts(out, "ANONYMOUS");
    case DCM_VR('S', 'H'):
    case DCM_VR('L', 'O'):
    case DCM_VR('U', 'C'):
    case DCM_VR('S', 'T'):
    case DCM_VR('L', 'T'):
    case DCM_VR('U', 'T'):
    case DCM_VR('C', 'S'):
        return ds_buf_puts(out, "REMOVED");
    case DCM_VR('U', 'R'):
        return ds_buf_puts(out, "about:blank");
    case DCM_VR('D', 'A'):
        return ds_buf_puts(out, "19000101");
    case DCM_VR('D', 'T'):
        return ds_buf_puts(out, "19000101000000");
    case DCM_VR('T', 'M'):
        return ds_buf_puts(out, "000000");
    case DCM_VR('A', 'S'):
        return ds_buf_puts(out, "000Y");
    case DCM_VR('D', 'S'):
    case DCM_VR('I', 'S'):
        return ds_buf_puts(out, "0");
    case DCM_VR('O', 'B'):
    case DCM_VR('U', 'N'):
    case DCM_VR('O', 'W'):
        return ds_buf_put(out, zeros, 2);
    default:
        return ds_buf_put(out, zeros, 8);
    }
}

int dcm_dummy_keyed(const dcm_elem *e, const dcm_ident *id, const dcm_key *k, ds_buf *out,
                    bool *keyed, ds_err *err)
{
    char hex[17];
    const char *p, *kind;
    size_t n;
    *keyed = true;
    switch (e->tag) {
    case 0x00100010:
    case 0x00100020:
        return ds_buf_puts(out, id->patient) ? ds_fail_nomem(err) : 0;
    case 0x00080050:
        kind = "accession";
        break;
    case 0x00200010:
        kind = "study-id";
        break;
    case 0x00120040:
        kind = "subject";
        break;
    default:
        *keyed = false;
        return 0;
    }
    if (!dcm_elem_text(e, 0, &p, &n))
        return 0;
    int rc = dcm_pseudonym(hex, 8, k, kind, p, n, err);
    return rc == 0 && ds_buf_puts(out, hex) ? ds_fail_nomem(err) : rc;
}

/* What may stand behind the day in a DT: a time, a fraction, an offset from UTC. */
static bool is_time_of_day(const char *p, size_t n)
{
    size_t at = 0, digits = 0;
    for (; at < n && at < 6 && p[at] >= '0' && p[at] <= '9'; at++)
        ;
    if (at < n && p[at] == '.')
        for (at++; at < n && digits < 6 && p[at] >= '0' && p[at] <= '9'; at++)
            digits++;
    if (n - at != 5 || (p[at] != '+' && p[at] != '-'))
        return at == n;
    for (at++; at < n && p[at] >= '0' && p[at] <= '9'; at++)
        ;
    return at == n;
}

int dcm_dummy_shift(const dcm_elem *e, int days, dcm_ids *ids, ds_buf *out, bool *gone, ds_err *err)
{
    size_t n;
    *gone = false;
    for (size_t at = 0; at <= e->len; at += n + 1) {
        const char *p = (const char *)e->val + at;
        const char *end = at < e->len ? memchr(p, '\\', e->len - at) : NULL;
        n = end ? (size_t)(end - p) : e->len - at;
        size_t m = n;
        while (m > 0 && (p[m - 1] == ' ' || p[m - 1] == 0))
            m--;
        dcm_date d;
        char text[16];
        bool split = m >= 10 && (p[4] == '.' || p[4] == '-');
        if (at > 0 && ds_buf_putc(out, '\\') != 0)
            return ds_fail_nomem(err);
        const size_t day = split ? 10 : 8;
        bool ok = dcm_date_parse(&d, p, m) &&
                  (m == day || (e->vr == DCM_VR('D', 'T') && is_time_of_day(p + day, m - day)));
        if (ok && !dcm_date_is_dummy(&d))
            ok = dcm_date_shift(&d, days);
        if (ok) {
            snprintf(text, sizeof text, "%04d%02d%02d", d.year, d.month, d.day);
            dcm_ids_allow_date(ids, text);
            if (ds_buf_puts(out, text) != 0 || ds_buf_put(out, p + day, m - day) != 0)
                return ds_fail_nomem(err);
        }
        *gone = *gone || (!ok && m > 0);
        if (!end)
            break;
    }
    return 0;
}

bool dcm_dummy_age(const dcm_elem *e, ds_buf *out)
{
    const char *p;
    size_t n, i = 0;
    unsigned v = 0;
    if (!dcm_elem_text(e, 0, &p, &n))
        return false;
    while (i < n && p[i] >= '0' && p[i] <= '9' && v < 100000)
        v = v * 10 + (unsigned)(p[i++] - '0');
    char unit = i < n ? p[i] : 'Y';
    unsigned years = unit == 'D' ? v / 366 : unit == 'W' ? v / 53 : unit == 'M' ? v / 12 : v;
    if (years < 90 || (n == 4 && memcmp(p, "090Y", 4) == 0))
        return false;
    ds_buf_reset(out);
    return ds_buf_puts(out, "090Y") == 0;
}
