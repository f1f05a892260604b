/* dcmconcept.c - see dcmconcept.h. */
#include "dcmconcept.h"

#include <stdio.h>
#include <string.h>

typedef struct concept {
    char code[9];
    uint8_t kind; /* enum dcm_id_kind; 0: characteristics of the subject */
    uint16_t keep;
    char scheme[4];
}
concept;

/* Sorted by code. */
static const concept concepts[] = {
    {"110190", DCM_ID_PLACE, DCM_OPT_INSTITUTION, "DCM"}, /* issuer of identifier */
    {"111700", DCM_ID_CODE, 0, "DCM"},                    /* specimen container */
    {"111705", DCM_ID_CODE, 0, "DCM"},                    /* parent specimen */
    {"111706", DCM_ID_PLACE, DCM_OPT_INSTITUTION, "DCM"}, /* its issuer */
    {"111724", DCM_ID_PLACE, DCM_OPT_INSTITUTION, "DCM"}, /* issuer of a specimen's identifier */
    {"113516", DCM_ID_CODE, 0, "DCM"},                    /* prescription */
    {"113870", DCM_ID_NAME, 0, "DCM"},                    /* person name */
    {"113871", DCM_ID_CODE, 0, "DCM"},                    /* person id */
    {"113872", DCM_ID_PLACE, DCM_OPT_INSTITUTION, "DCM"}, /* its issuer */
    {"113873", DCM_ID_PLACE, DCM_OPT_INSTITUTION, "DCM"}, /* organization name */
    {"113877", DCM_ID_CODE, DCM_OPT_DEVICE, "DCM"},       /* device name */
    {"113880", DCM_ID_CODE, DCM_OPT_DEVICE, "DCM"},       /* device serial number */
    {"121008", DCM_ID_NAME, 0, "DCM"},                    /* person observer */
    {"121009", DCM_ID_PLACE, DCM_OPT_INSTITUTION, "DCM"}, /* his organization */
    {"121013", DCM_ID_CODE, DCM_OPT_DEVICE, "DCM"},       /* device observer */
    {"121016", DCM_ID_CODE, DCM_OPT_DEVICE, "DCM"},       /* its serial number */
    {"121017", DCM_ID_PLACE, DCM_OPT_INSTITUTION, "DCM"}, /* where it stands */
    {"121020", DCM_ID_CODE, 0, "DCM"},                    /* placer number */
    {"121021", DCM_ID_CODE, 0, "DCM"},                    /* filler number */
    {"121022", DCM_ID_CODE, 0, "DCM"},                    /* accession number */
    {"121029", DCM_ID_NAME, 0, "DCM"},                    /* subject */
    {"121030", DCM_ID_CODE, 0, "DCM"},                    /* subject's id */
    {"121031", 0, 0, "DCM"},                              /* birth date */
    {"121032", 0, DCM_OPT_PATIENT, "DCM"},                /* sex */
    {"121033", 0, DCM_OPT_PATIENT, "DCM"},                /* age */
    {"121036", DCM_ID_NAME, 0, "DCM"},                    /* mother of fetus */
    {"121040", DCM_ID_CODE, 0, "DCM"},                    /* specimen accession number */
    {"121041", DCM_ID_CODE, 0, "DCM"},                    /* specimen */
    {"121043", DCM_ID_CODE, 0, "DCM"},                    /* slide */
    {"121114", DCM_ID_NAME, 0, "DCM"},                    /* performing physician */
    {"121148", DCM_ID_CODE, DCM_OPT_DEVICE, "DCM"},       /* unit serial identifier */
    {"121152", DCM_ID_NAME, 0, "DCM"},                    /* person administering a drug */
    {"121193", DCM_ID_CODE, DCM_OPT_DEVICE, "DCM"},       /* device subject */
    {"121196", DCM_ID_CODE, DCM_OPT_DEVICE, "DCM"},       /* its serial number */
    {"121197", DCM_ID_PLACE, DCM_OPT_INSTITUTION, "DCM"}, /* where it stands */
    {"121434", DCM_ID_PLACE, DCM_OPT_INSTITUTION, "DCM"}, /* service delivery location */
    {"121435", DCM_ID_NAME, 0, "DCM"},                    /* service performer */
    {"128774", DCM_ID_CODE, 0, "DCM"},                    /* person observer's login name */
    {"128775", DCM_ID_CODE, 0, "DCM"},                    /* identifier within his role */
    {"27113001", 0, DCM_OPT_PATIENT, "SCT"},              /* weight */
    {"29463-7", 0, DCM_OPT_PATIENT, "LN"},                /* weight */
    {"3137-7", 0, DCM_OPT_PATIENT, "LN"},                 /* height, measured */
    {"3141-9", 0, DCM_OPT_PATIENT, "LN"},                 /* weight, measured */
    {"39156-5", 0, DCM_OPT_PATIENT, "LN"},                /* body mass index */
    {"50373000", 0, DCM_OPT_PATIENT, "SCT"},              /* height */
    {"60621009", 0, DCM_OPT_PATIENT, "SCT"},              /* body mass index */
    {"8302-2", 0, DCM_OPT_PATIENT, "LN"},                 /* height */
};

static const concept *find(const dcm_set *item)
{
    const dcm_elem *name = dcm_set_find(item, 0x0040a043);
    const char *code, *scheme;
    size_t n, ns, lo = 0, hi = sizeof concepts / sizeof *concepts;
    if (!name || name->nitems == 0 || !dcm_get_text(name->items[0], 0x00080100, 0, &code, &n) ||
        !dcm_get_text(name->items[0], 0x00080102, 0, &scheme, &ns) || n >= sizeof concepts->code)
        return NULL;
    char want[sizeof concepts->code] = "";
    memcpy(want, code, n);
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(concepts[mid].code, want);
        if (c == 0) {
            const char *of = concepts[mid].scheme;
            return ns == strlen(of) && memcmp(scheme, of, ns) == 0 ? &concepts[mid] : NULL;
        }
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
