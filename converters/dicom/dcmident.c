/* dcmident.c - see dcmident.h. */
#include "dcmident.h"

#include <stdio.h>
#include <string.h>

#include "dcmconcept.h"

#define PN DCM_VR('P', 'N')
#define UI DCM_VR('U', 'I')
#define DA DCM_VR('D', 'A')
#define DT DCM_VR('D', 'T')
#define MARK "dsprep 1 "

bool dcm_ident_is_class(uint32_t tag)
{
    static const uint32_t tags[] = {0x00020002, 0x00020010, 0x00020012, 0x00041510,
                                    0x00041512, 0x0004151a, 0x00080016, 0x0008001a,
                                    0x0008001b, 0x00080062, 0x0008010c, 0x00080117,
                                    0x00080118, 0x00081150, 0x0008115a, 0x00083002};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (tags[i] == tag)
            return true;
    return false;
}

/* Attributes whose text is the number of a person, a visit, an order or a machine. */
static bool is_code(uint32_t tag)
{
    static const uint32_t tags[] = {
        0x00080050, 0x00100020, 0x00101000, 0x00101050, 0x00101090, 0x00102154, 0x00102155,
        0x00120040, 0x00120042, 0x00181000, 0x00181002, 0x00181007, 0x00200010, 0x00321000,
        0x00380010, 0x00380060, 0x00400009, 0x00400253, 0x00401001, 0x00402006, 0x00402007,
        0x00402016, 0x00402017, 0x0040a07c, 0x00401103, 0x00401104, 0x00081010, 0x00102297,
        0x00380400, 0x00100026, 0x00180000, 0x00400020, 0x00400515};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (tags[i] == tag)
            return true;
    return false;
}

static bool is_place(uint32_t tag)
{
    return tag == 0x00080080 || tag == 0x00080081 || tag == 0x00081040 || tag == 0x00101040 ||
           tag == 0x00401102 || tag == 0x00380300 || tag == 0x00380500 || tag == 0x0040a027 ||
           tag == 0x00082218 || tag == 0x00321020;
}

static bool standard_uid(const char *p, size_t n)
{
    return n >= 14 && memcmp(p, "1.2.840.10008.", 14) == 0;
}

/* What kind of identifier the element holds; 0 for none. */
static int kind_of(const dcm_policy *p, const dcm_elem *e)
{
    unsigned opts = dcm_policy_options(p);
    int act = dcm_policy_act(p, e->tag);
    bool odd = e->tag >> 16 & 1;
    if (act == DCM_ACT_KEEP)
        return 0;
    switch (e->vr) {
    case PN:
        return DCM_ID_NAME;
    case UI:
        if (dcm_ident_is_class(e->tag) || (act == DCM_UNLISTED && (opts & DCM_OPT_UIDS)))
            return 0;
        return DCM_ID_UID;
    case DA:
    case DT:
        return opts & DCM_OPT_FULL_DATES || odd ? 0 : DCM_ID_DATE;
    default:
        if (odd || !dcm_vr_is_text(e->vr))
            return 0;
        return is_code(e->tag) ? DCM_ID_CODE : is_place(e->tag) ? DCM_ID_PLACE : 0;
    }
}

static int collect(dcm_set *s, const dcm_policy *p, dcm_ids *ids, ds_err *err)
{
    int rc = 0, said = dcm_concept_kind(s, dcm_policy_options(p));
    for (uint32_t i = 0; i < s->n && rc == 0; i++) {
        const dcm_elem *e = &s->elems[i];
        const char *v;
        size_t n, next = 0;
        for (uint32_t k = 0; k < e->nitems && rc == 0; k++)
            rc = collect(e->items[k], p, ids, err);
        int kind = e->tag == 0x0040a160 && said ? said : kind_of(p, e);
        while (kind && rc == 0 && dcm_elem_next(e, &next, &v, &n))
            if (n > 0 && !(kind == DCM_ID_UID && standard_uid(v, n)))
                rc = dcm_ids_add(ids, e->tag, (enum dcm_id_kind)kind, v, n, err);
    }
    return rc;
}

int dcm_ident_collect(dcm_tree *t, const dcm_policy *p, dcm_ids *ids, ds_err *err)
{
    const dcm_elem *e = dcm_set_find(dcm_tree_meta(t), 0x00020003);
    const char *v;
    size_t n;
    int rc = 0;
    if (e && !(dcm_policy_options(p) & DCM_OPT_UIDS) && dcm_elem_text(e, 0, &v, &n) &&
        !standard_uid(v, n))
        rc = dcm_ids_add(ids, 0x00080018, DCM_ID_UID, v, n, err);
    if (rc == 0)
        rc = collect(dcm_tree_main(t), p, ids, err);
    dcm_set *aside;
    for (uint32_t i = 0; rc == 0 && (aside = dcm_tree_asides(t, i)) != NULL; i++)
        rc = collect(aside, p, ids, err);
    return rc;
}

/* ---- the patient ---- */

static bool is_yes(const dcm_set *s, uint32_t tag, const char *want)
{
    const char *p;
    size_t n;
    return dcm_get_text(s, tag, 0, &p, &n) && n == strlen(want) && memcmp(p, want, n) == 0;
}

static int put_value(ds_buf *b, const dcm_set *s, uint32_t tag)
{
    const char *p = "";
    size_t n = 0;
    dcm_get_text(s, tag, 0, &p, &n);
    return ds_buf_put(b, p, n) | ds_buf_putc(b, 0);
}

/* Issuer and id; without an id name and birth date; without those the study. A name whose
 * characters nobody could read (U+FFFD) would be that of many. */
static int patient_value(ds_buf *b, const dcm_set *s)
{
    const char *p;
    size_t n;
    if (dcm_get_text(s, 0x00100020, 0, &p, &n))
        return put_value(b, s, 0x00100021) | put_value(b, s, 0x00100020);
    if (dcm_get_text(s, 0x00100010, 0, &p, &n) && !memmem(p, n, "\xef\xbf\xbd", 3))
        return ds_buf_puts(b, "name\n") | put_value(b, s, 0x00100010) | put_value(b, s, 0x00100030);
    return ds_buf_puts(b, "study\n") | put_value(b, s, 0x0020000d);
}

static int make_mark(char out[65], const dcm_set *s, const dcm_key *k, ds_err *err)
{
    ds_buf b = {0};
    char mac[17];
    int rc = put_value(&b, s, 0x00080018) | put_value(&b, s, 0x00100020);
    rc = rc ? ds_fail_nomem(err) : dcm_pseudonym(mac, 8, k, "deidentified", b.data, b.len, err);
    if (rc == 0)
        snprintf(out, 65, MARK "%s %s", k->id, mac);
    ds_buf_fini(&b);
    return rc;
}

int dcm_ident_mark(char out[65], dcm_tree *t, const dcm_key *k, ds_err *err)
{
    return make_mark(out, dcm_tree_main(t), k, err);
}

int dcm_ident_of(dcm_ident *id, dcm_tree *t, const dcm_key *k, ds_err *err)
{
    const dcm_set *s = dcm_tree_main(t);
    ds_buf b = {0};
    char mark[65], h[17];
    const char *p;
    size_t n;
    memset(id, 0, sizeof *id);
    id->already = is_yes(s, 0x00120062, "YES");
    id->dates_changed =
        id->already && (is_yes(s, 0x00280303, "MODIFIED") || is_yes(s, 0x00280303, "REMOVED"));
    int rc = make_mark(mark, s, k, err);
    for (unsigned v = 0, count = dcm_get_count(s, 0x00120063); v < count && rc == 0; v++)
        if (dcm_get_text(s, 0x00120063, v, &p, &n) && n == strlen(mark) && memcmp(p, mark, n) == 0)
            id->ours = id->already;
    if (rc == 0)
        rc = patient_value(&b, s) ? ds_fail_nomem(err) : 0;
    if (rc == 0)
        rc = dcm_pseudonym(id->patient, 12, k, "patient", b.data, b.len, err);
    if (rc == 0)
        rc = dcm_pseudonym(h, 8, k, "shift", b.data, b.len, err);
    if (rc == 0) {
        uint64_t u = 0;
        for (int i = 0; i < 16; i++)
            u = u << 4 | (unsigned)(h[i] <= '9' ? h[i] - '0' : h[i] - 'a' + 10);
        id->shift = -7 * (int)(1 + u % 521);
    }
    ds_buf_fini(&b);
    return rc;
}
