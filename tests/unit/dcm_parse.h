/* dcm_parse.h - a small parser of DICOM files for tests alone: Part 10 or a bare data set, explicit
 * or implicit VR little endian, as a tree. What it cannot read it refuses; it trusts no length.
 * Header only, so that fuzz targets have it too. */
#ifndef DS_DCM_PARSE_H
#define DS_DCM_PARSE_H

#include <string.h>

#include "dcmtree.h"

typedef struct dcm_parse {
    dcm_tree *t;
    const uint8_t *p;
    size_t len, at;
    bool implicit;
} dcm_parse;

static bool dcm_parse_long(uint16_t vr)
{
    static const char *const names[] = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ",
                                        "SV", "UC", "UN", "UR", "UT", "UV"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (vr == DCM_VR(names[i][0], names[i][1]))
            return true;
    return false;
}

/* Tag, VR and length at `at`; false at the end or where it is no header. */
static bool dcm_parse_head(dcm_parse *d, uint32_t *tag, uint16_t *vr, uint32_t *n)
{
    const uint8_t *p = d->p + d->at;
    size_t left = d->len - d->at;
    if (left < 8)
        return false;
    *tag = DCM_TAG(p[0] | p[1] << 8, p[2] | p[3] << 8);
    *vr = DCM_VR(p[4], p[5]);
    if (*tag >> 16 == 0xfffe || (d->implicit && *tag >> 16 != 2)) {
        *vr = dcm_dict_vr(*tag);
        *n = ds_get_u32(p + 4);
        d->at += 8;
        return true;
    }
    if (!dcm_parse_long(*vr)) {
        *n = (uint32_t)(p[6] | p[7] << 8);
        d->at += 8;
        return p[4] >= 'A' && p[4] <= 'Z' && p[5] >= 'A' && p[5] <= 'Z';
    }
    if (left < 12)
        return false;
    *n = ds_get_u32(p + 8);
    d->at += 12;
    return true;
}

static bool dcm_parse_set(dcm_parse *d, dcm_set *s, size_t end, bool delimited, unsigned depth);

static bool dcm_parse_items(dcm_parse *d, dcm_set *s, uint32_t tag, uint32_t n, unsigned depth)
{
    bool open = n == 0xffffffff;
    if (!open && n > d->len - d->at)
        return false;
    size_t end = open ? d->len : d->at + n;
    if (dcm_set_put(d->t, s, tag, DCM_VR('S', 'Q'), NULL, 0, NULL, NULL) != 0)
        return false;
    while (d->at < end) {
        uint32_t itag, ilen;
        uint16_t vr;
        dcm_set *item;
        if (!dcm_parse_head(d, &itag, &vr, &ilen))
            return false;
        if (itag == 0xfffee0dd)
            return open;
        if (itag != 0xfffee000 || dcm_set_item(d->t, s, tag, &item, NULL) != 0)
            return false;
        if (ilen != 0xffffffff && ilen > end - d->at)
            return false;
        if (!dcm_parse_set(d, item, ilen == 0xffffffff ? end : d->at + ilen, ilen == 0xffffffff,
                           depth + 1))
            return false;
    }
    return !open;
}

static bool dcm_parse_set(dcm_parse *d, dcm_set *s, size_t end, bool delimited, unsigned depth)
{
    uint32_t tag, n;
    uint16_t vr;
    if (depth > DCM_TREE_DEPTH)
        return false;
    while (d->at < end) {
        size_t start = d->at;
        dcm_elem *e;
        if (!dcm_parse_head(d, &tag, &vr, &n))
            return false;
        if (tag == 0xfffee00d)
            return delimited;
        if (depth == 0 && tag >> 16 > 2 && s == dcm_tree_meta(d->t)) {
            d->at = start;
            return true;
        }
        if (tag == 0x7fe00010 && n == 0xffffffff) /* fragments: not looked into */
            d->at = d->len;
        else if (vr == DCM_VR('S', 'Q') || (n == 0xffffffff && vr == DCM_VR('U', 'N'))) {
            bool was = d->implicit;
            d->implicit = was || vr != DCM_VR('S', 'Q');
            if (!dcm_parse_items(d, s, tag, n, depth))
                return false;
            d->implicit = was;
            continue;
        } else if (n > end - d->at) {
            return false;
        }
        bool bulk = tag == 0x7fe00010;
        size_t len = n == 0xffffffff ? 0 : n;
        if (dcm_set_put(d->t, s, tag, vr, d->p + d->at, bulk ? 0 : len, &e, NULL) != 0)
            return false;
        e->bulk = bulk;
        d->at += len;
    }
    return !delimited;
}

/* Creators of private elements, as the real parser sets them. */
DS_UNUSED static void dcm_parse_creators(dcm_tree *t, dcm_set *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        dcm_elem *e = &s->elems[i];
        const char *p;
        size_t n;
        for (uint32_t k = 0; k < e->nitems; k++)
            dcm_parse_creators(t, e->items[k]);
        if (!(e->tag >> 16 & 1) || (e->tag & 0xffff) < 0x1000)
            continue;
        if (dcm_get_text(s, (e->tag & 0xffff0000) | (e->tag >> 8 & 0xff), 0, &p, &n)) {
            char *name = dcm_tree_alloc(t, n + 1, NULL);
            if (name) {
                memcpy(name, p, n);
                name[n] = 0;
                e->creator = name;
            }
        }
    }
}

/* False when it is no such file; what was read until then is in the tree. */
static bool dcm_parse_bytes(dcm_tree *t, const uint8_t *p, size_t len)
{
    dcm_parse d = {.t = t, .p = p, .len = len};
    if (len >= 132 && memcmp(p + 128, "DICM", 4) == 0) {
        const char *uid;
        size_t n;
        d.at = 132;
        if (!dcm_parse_set(&d, dcm_tree_meta(t), len, false, 0))
            return false;
        if (dcm_get_text(dcm_tree_meta(t), 0x00020010, 0, &uid, &n))
            d.implicit = n == 17 && memcmp(uid, "1.2.840.10008.1.2", 17) == 0;
    } else if (len >= 6 && !(p[4] >= 'A' && p[4] <= 'Z' && p[5] >= 'A' && p[5] <= 'Z')) {
        d.implicit = true;
    }
    bool ok = dcm_parse_set(&d, dcm_tree_main(t), len, false, 0);
    dcm_parse_creators(t, dcm_tree_main(t));
    return ok;
}

#endif
