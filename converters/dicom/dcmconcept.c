/* dcmconcept.c - see dcmconcept.h. */
#include "dcmconcept.h"

#include <stdio.h>
#include <string.h>

typedef struct concept {
    char code[7]; /* scheme DCM */
    uint8_t kind; /* enum dcm_id_kind; 0: characteristics of the subject */
    uint16_t keep;
}
concept;

/* Sorted by code. */
static const concept concepts[] = {
    {"110190", DCM_ID_PLACE, DCM_OPT_INSTITUTION}, /* issuer of identifier */
    {"111700", DCM_ID_CODE, 0},                    /* specimen container */
    {"111705", DCM_ID_CODE, 0},                    /* parent specimen */
    {"111706", DCM_ID_PLACE, DCM_OPT_INSTITUTION}, /* its issuer */
    {"111724", DCM_ID_PLACE, DCM_OPT_INSTITUTION}, /* issuer of a specimen's identifier */
    {"113516", DCM_ID_CODE, 0},                    /* prescription */
    {"113870", DCM_ID_NAME, 0},                    /* person name */
    {"113871", DCM_ID_CODE, 0},                    /* person id */
    {"113872", DCM_ID_PLACE, DCM_OPT_INSTITUTION}, /* its issuer */
    {"113873", DCM_ID_PLACE, DCM_OPT_INSTITUTION}, /* organization name */
    {"113877", DCM_ID_CODE, DCM_OPT_DEVICE},       /* device name */
    {"113880", DCM_ID_CODE, DCM_OPT_DEVICE},       /* device serial number */
    {"121008", DCM_ID_NAME, 0},                    /* person observer */
    {"121009", DCM_ID_PLACE, DCM_OPT_INSTITUTION}, /* his organization */
    {"121013", DCM_ID_CODE, DCM_OPT_DEVICE},       /* device observer */
    {"121016", DCM_ID_CODE, DCM_OPT_DEVICE},       /* its serial number */
    {"121017", DCM_ID_PLACE, DCM_OPT_INSTITUTION}, /* where it stands */
    {"121020", DCM_ID_CODE, 0},                    /* placer number */
    {"121021", DCM_ID_CODE, 0},                    /* filler number */
    {"121022", DCM_ID_CODE, 0},                    /* accession number */
    {"121029", DCM_ID_NAME, 0},                    /* subject */
    {"121030", DCM_ID_CODE, 0},                    /* subject's id */
    {"121031", 0, 0},                              /* birth date */
    {"121032", 0, DCM_OPT_PATIENT},                /* sex */
    {"121033", 0, DCM_OPT_PATIENT},                /* age */
    {"121036", DCM_ID_NAME, 0},                    /* mother of fetus */
    {"121040", DCM_ID_CODE, 0},                    /* specimen accession number */
    {"121041", DCM_ID_CODE, 0},                    /* specimen */
    {"121043", DCM_ID_CODE, 0},                    /* slide */
    {"121114", DCM_ID_NAME, 0},                    /* performing physician */
    {"121148", DCM_ID_CODE, DCM_OPT_DEVICE},       /* unit serial identifier */
    {"121152", DCM_ID_NAME, 0},                    /* person administering a drug */
    {"121193", DCM_ID_CODE, DCM_OPT_DEVICE},       /* device subject */
    {"121196", DCM_ID_CODE, DCM_OPT_DEVICE},       /* its serial number */
    {"121197", DCM_ID_PLACE, DCM_OPT_INSTITUTION}, /* where it stands */
    {"121434", DCM_ID_PLACE, DCM_OPT_INSTITUTION}, /* service delivery location */
    {"121435", DCM_ID_NAME, 0},                    /* service performer */
    {"128774", DCM_ID_CODE, 0},                    /* person observer's login name */
    {"128775", DCM_ID_CODE, 0},                    /* identifier within his role */
};

static const concept *find(const dcm_set *item)
{
    const dcm_elem *name = dcm_set_find(item, 0x0040a043);
    const char *code, *scheme;
    size_t n, ns, lo = 0, hi = sizeof concepts / sizeof *concepts;
    if (!name || name->nitems == 0 || !dcm_get_text(name->items[0], 0x00080100, 0, &code, &n) ||
        !dcm_get_text(name->items[0], 0x00080102, 0, &scheme, &ns) || n != 6 || ns != 3 ||
        memcmp(scheme, "DCM", 3) != 0)
        return NULL;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = memcmp(concepts[mid].code, code, 6);
        if (c == 0)
            return &concepts[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

enum dcm_concept_act dcm_concept_act(const dcm_set *item, unsigned options)
{
    const concept *c = find(item);
    if (!c || (c->keep & options))
        return DCM_CONCEPT_KEEP;
    return c->kind ? DCM_CONCEPT_HIDE : DCM_CONCEPT_DROP;
}

/* Years in a unit of UCUM. */
static double years_in(const dcm_set *unit)
{
    const char *p;
    size_t n;
    if (!unit || !dcm_get_text(unit, 0x00080100, 0, &p, &n) || (n == 1 && *p == 'a'))
        return 1;
    return *p == 'd' ? 1 / 366.0 : *p == 'w' ? 1 / 53.0 : *p == 'm' ? 1 / 12.0 : 0;
}

int dcm_concept_cap_age(dcm_tree *t, dcm_set *item, bool *capped, ds_err *err)
{
    const concept *c = find(item);
    dcm_elem *m = c && strcmp(c->code, "121033") == 0 ? dcm_set_find(item, 0x0040a300) : NULL;
    double v, as_float;
    char text[16];
    int rc = 0;
    *capped = false;
    for (uint32_t i = 0; m && i < m->nitems && rc == 0; i++) {
        dcm_set *s = m->items[i];
        double years = years_in(dcm_set_first(s, 0x004008ea));
        v = dcm_get_real(s, 0x0040a30a, 0, &v) ? v : 0;
        v = dcm_get_real(s, 0x0040a161, 0, &as_float) && as_float > v ? as_float : v;
        if (v * years < 90)
            continue;
        dcm_set_drop(s, 0x0040a161); /* the same as a float, and as a fraction */
        dcm_set_drop(s, 0x0040a162);
        dcm_set_drop(s, 0x0040a163);
        snprintf(text, sizeof text, "%.0f", 90 / years);
        rc = dcm_set_put(t, s, 0x0040a30a, DCM_VR('D', 'S'), text, strlen(text), NULL, err);
        *capped = true;
    }
    return rc;
}

int dcm_concept_kind(const dcm_set *item, unsigned options)
{
    const concept *c = find(item);
    return c && !(c->keep & options) ? c->kind : 0;
}
