/* dcmburn.c - see dcmdeid.h: may there be writing in the pixels? Rules over attributes alone; what
 * they suspect is held, not passed. docs/dicom-deid.md gives the source of each. */
#include <string.h>
#include <strings.h>

#include "dcmdeid.h"

static bool has(const char *p, size_t n, const char *word)
{
    size_t w = strlen(word);
    for (size_t i = 0; i + w <= n; i++)
        if (strncasecmp(p + i, word, w) == 0)
            return true;
    return false;
}

static bool text_has(const dcm_set *s, uint32_t tag, const char *word)
{
    const dcm_elem *e = dcm_set_find(s, tag);
    const char *p;
    size_t n, next = 0;
    while (e && dcm_elem_next(e, &next, &p, &n))
        if (has(p, n, word))
            return true;
    return false;
}

static bool text_is(const dcm_set *s, uint32_t tag, unsigned k, const char *want)
{
    const char *p;
    size_t n;
    return dcm_get_text(s, tag, k, &p, &n) && n == strlen(want) && strncasecmp(p, want, n) == 0;
}

static bool starts(const dcm_set *s, uint32_t tag, const char *with)
{
    const char *p;
    size_t n;
    return dcm_get_text(s, tag, 0, &p, &n) && n >= strlen(with) &&
           memcmp(p, with, strlen(with)) == 0;
}

static bool is_bulk(const dcm_set *s)
{
    static const uint32_t tags[] = {0x7fe00008, 0x7fe00009, 0x7fe00010};
    for (size_t i = 0; i < 3; i++)
        if (dcm_set_find(s, tags[i]))
            return true;
    return false;
}

static void hold(dcm_verdict *v, const char *reason)
{
    v->pixels = DCM_PIX_HOLD;
    v->reason = reason;
}

/* A box that ends outside of the image belongs to one of another size; one that is all of it leaves
 * nothing to zero. Many machines give a width where the last column belongs. */
static bool is_within(const dcm_box *b, int64_t rows, int64_t cols)
{
    bool all = b->x0 == 0 && b->y0 == 0 && b->x1 >= cols - 1 && b->y1 >= rows - 1;
    return b->x1 <= cols && b->y1 <= rows && !all;
}

/* Boxes of the ultrasound regions (both ends belong to them); what lies outside of them is where
 * machines write. */
static void ultrasound(const dcm_set *s, dcm_verdict *v)
{
    const dcm_elem *e = dcm_set_find(s, 0x00186011);
    int64_t rows = UINT32_MAX, cols = UINT32_MAX;
    dcm_get_int(s, 0x00280010, 0, &rows);
    dcm_get_int(s, 0x00280011, 0, &cols);
    for (uint32_t i = 0; e && i < e->nitems; i++) {
        int64_t b[4];
        static const uint32_t tags[] = {0x00186018, 0x0018601a, 0x0018601c, 0x0018601e};
        bool ok = v->nboxes < sizeof v->boxes / sizeof *v->boxes;
        for (int k = 0; k < 4 && ok; k++)
            ok = dcm_get_int(e->items[i], tags[k], 0, &b[k]) && b[k] >= 0 && b[k] <= UINT32_MAX;
        if (ok)
            v->boxes[v->nboxes] =
                (dcm_box){(uint32_t)b[0], (uint32_t)b[1], (uint32_t)b[2], (uint32_t)b[3]};
        if (!ok || b[2] < b[0] || b[3] < b[1] || !is_within(&v->boxes[v->nboxes], rows, cols)) {
            hold(v, "ultrasound-bad-regions");
            return;
        }
        v->nboxes++;
    }
    if (v->nboxes == 0) {
        hold(v, "ultrasound-without-regions");
        return;
    }
    v->pixels = DCM_PIX_MASK;
    v->keep_inside = true;
    v->reason = "ultrasound-regions";
}

static bool no_geometry(const dcm_set *s)
{
    return !dcm_set_find(s, 0x00200032) && !dcm_set_find(s, 0x52009230);
}

/* The label of a slide has the name and the number of the patient; a view of all of the slide has
 * the label in it, unless it is said to have not. */
static bool shows_label(const dcm_set *s)
{
    return text_is(s, 0x00480010, 0, "YES") || text_is(s, 0x00080008, 2, "LABEL") ||
           (text_is(s, 0x00080008, 2, "OVERVIEW") && !text_is(s, 0x00480010, 0, "NO"));
}

void dcm_burned_in(const dcm_tree *t, dcm_verdict *v)
{
    const dcm_set *s = dcm_tree_main((dcm_tree *)(uintptr_t)t);
    static const uint32_t digitised[] = {0x00181012, 0x00181016, 0x00181018, 0x00181019};
    static const char sc[] = "1.2.840.10008.5.1.4.1.1.7", pdf[] = "1.2.840.10008.5.1.4.1.1.104.";
    if (dcm_set_find(s, 0x00420011) || starts(s, 0x00080016, pdf)) {
        v->hold = true;
        v->reason = "encapsulated-document";
        return;
    }
    if (!is_bulk(s))
        return;
    if (text_is(s, 0x00280301, 0, "YES"))
        hold(v, "burned-in-annotation");
    else if (text_has(s, 0x00080008, "SAVE") || text_has(s, 0x0008103e, "SAVE"))
        hold(v, "screen-save");
    else if (text_has(s, 0x0008103e, "dose report") || text_has(s, 0x0008103e, "dose info") ||
             text_has(s, 0x0008103e, "patient protocol") || text_has(s, 0x00080008, "DOSE"))
        hold(v, "dose-report");
    else if (text_has(s, 0x00080008, "SCREEN"))
        hold(v, "screen-save");
    else if (starts(s, 0x00080016, sc) || dcm_set_find(s, 0x00080064))
        hold(v, "secondary-capture");
    else if (shows_label(s))
        hold(v, "slide-label");
    for (size_t i = 0; i < 4 && v->pixels == DCM_PIX_PASS; i++)
        if (dcm_get_count(s, digitised[i]) > 0)
            hold(v, "digitised-film");
    if (v->pixels != DCM_PIX_PASS)
        return;
    if (text_is(s, 0x00080060, 0, "US") || text_is(s, 0x00080060, 0, "IVUS"))
        ultrasound(s, v);
    else if (text_is(s, 0x00080008, 1, "SECONDARY") && no_geometry(s))
        hold(v, "derived-secondary");
    else if (text_is(s, 0x00080060, 0, "ES"))
        hold(v, "endoscopy");
    else if (text_is(s, 0x00080060, 0, "OT") || text_is(s, 0x00080060, 0, "DOC"))
        hold(v, "modality-other");
}

/* A face comes out of any stack of slices through a head. What is not known to be another part of
 * the body is taken for one. */
void dcm_recognizable(const dcm_tree *t, dcm_verdict *v)
{
    static const char *const slices[] = {"CT", "MR", "PT", "NM", "XA", "RTDOSE"};
    static const char *const others[] = {
        "CHEST",    "ABDOMEN", "PELVIS", "BREAST", "HEART",  "LIVER",    "KIDNEY", "PROSTATE",
        "SHOULDER", "ELBOW",   "WRIST",  "HAND",   "HIP",    "THIGH",    "KNEE",   "LEG",
        "ANKLE",    "FOOT",    "LSPINE", "LUMBAR", "TSPINE", "EXTREMITY"};
    const dcm_set *s = dcm_tree_main((dcm_tree *)(uintptr_t)t);
    bool slice = false, other = false,
         photograph = text_is(s, 0x00080060, 0, "XC") ||
                      starts(s, 0x00080016, "1.2.840.10008.5.1.4.1.1.77.1.4");
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++)
        slice = slice || text_is(s, 0x00080060, 0, slices[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        other = other || text_is(s, 0x00180015, 0, others[i]);
    if (text_is(s, 0x00280302, 0, "YES") || (is_bulk(s) && (photograph || (slice && !other)))) {
        v->hold = true;
        v->reason = "recognizable-features";
    }
}
