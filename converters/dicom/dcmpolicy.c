/* dcmpolicy.c - see dcmdeid.h and dcmpolicy.h. */
#include "dcmpolicy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

#define MAX_ROWS 1024

static const struct {
    const char *name;
    unsigned bit;
    const char *code, *meaning; /* CID 7050 */
} options[] = {
    {"retain-safe-private", DCM_OPT_SAFE_PRIVATE, "113111", "Retain Safe Private Option"},
    {"retain-uids", DCM_OPT_UIDS, "113110", "Retain UIDs Option"},
    {"retain-device", DCM_OPT_DEVICE, "113109", "Retain Device Identity Option"},
    {"retain-institution", DCM_OPT_INSTITUTION, "113112", "Retain Institution Identity Option"},
    {"retain-patient-characteristics", DCM_OPT_PATIENT, "113108",
     "Retain Patient Characteristics Option"},
    {"retain-full-dates", DCM_OPT_FULL_DATES, "113106",
     "Retain Longitudinal Temporal Information Full Dates Option"},
    {"retain-modified-dates", DCM_OPT_MODIFIED_DATES, "113107",
     "Retain Longitudinal Temporal Information Modified Dates Option"},
    {"clean-descriptors", DCM_OPT_DESCRIPTORS, "113105", "Clean Descriptors Option"},
    {"clean-structured-content", DCM_OPT_STRUCTURED, "113104", "Clean Structured Content Option"},
    {"clean-graphics", DCM_OPT_GRAPHICS, "113103", "Clean Graphics Option"},
    {"clean-pixel-data", DCM_OPT_PIXELS, "113101", "Clean Pixel Data Option"},
    {"clean-visual-features", DCM_OPT_VISUAL, "113102",
     "Clean Recognizable Visual Features Option"},
};
#define NOPTIONS (sizeof options / sizeof *options)

/* Private elements that tell about the acquisition alone, from PS3.15 table E.3.10-1: creator,
 * group, and the element's low byte. */
static const struct {
    const char *creator;
    uint16_t group;
    uint8_t elem;
} safe[] = {
    {"GEMS_ACQU_01", 0x0019, 0xbb},
    {"GEMS_ACQU_01", 0x0019, 0xbc},
    {"GEMS_ACQU_01", 0x0019, 0xbd},
    {"GEMS_PARM_01", 0x0043, 0x39},
    {"GEMS_PETD_01", 0x0009, 0x37},
    {"GEMS_RELA_01", 0x0021, 0x5c},
    {"Philips Imaging DD 001", 0x2001, 0x03},
    {"Philips Imaging DD 001", 0x2001, 0x04},
    {"Philips MR Imaging DD 001", 0x2005, 0xb0},
    {"Philips MR Imaging DD 001", 0x2005, 0xb1},
    {"Philips MR Imaging DD 001", 0x2005, 0xb2},
    {"Philips MR Imaging DD 005", 0x2005, 0x0d},
    {"Philips MR Imaging DD 005", 0x2005, 0x0e},
    {"Philips PET Private Group", 0x7053, 0x00},
    {"Philips PET Private Group", 0x7053, 0x09},
    {"SIEMENS MR HEADER", 0x0019, 0x0c},
    {"SIEMENS MR HEADER", 0x0019, 0x0d},
    {"SIEMENS MR HEADER", 0x0019, 0x0e},
    {"SIEMENS MR HEADER", 0x0019, 0x27},
    {"SIEMENS MR HEADER", 0x0019, 0x28},
};

typedef struct safe_entry {
    char *creator;
    uint32_t group, elem;
} safe_entry;

struct dcm_policy {
    unsigned options;
    bool none;
    char text[512];
    uint8_t act[MAX_ROWS];
    ds_sha digest;
    safe_entry *more; /* of a user's file */
    size_t nmore, cap_more;
    dcm_ids *also;
};

/* The strongest action that leaves a conformant object whatever the attribute's type in its IOD. */
static int base_act(unsigned base)
{
    switch (base) {
    case BASE_X:
        return DCM_ACT_REMOVE;
    case BASE_Z:
    case BASE_XZ:
        return DCM_ACT_EMPTY;
    case BASE_U:
    case BASE_XZU:
        return DCM_ACT_UID;
    default:
        return DCM_ACT_DUMMY;
    }
}

static int row_act(const dcm_policy_row *r, unsigned opts)
{
    /* Dates of devices and of institutions are dates first. */
    if (r->clean & opts & DCM_OPT_MODIFIED_DATES)
        return DCM_ACT_SHIFT;
    if (r->keep & opts)
        return DCM_ACT_KEEP;
    if (r->clean & opts & ~(unsigned)DCM_OPT_GRAPHICS) /* graphics are removed, not cleaned */
        return DCM_ACT_CLEAN;
    if (r->tag == 0x00081110)
        return DCM_ACT_REMOVE; /* type 3 everywhere, and then it has to have items */
    return base_act(r->base);
}

static int make_digest(dcm_policy *p, ds_err *err)
{
    ds_buf b = {0};
    int bad = ds_buf_puts(&b, p->text) | ds_buf_putc(&b, '\n');
    for (unsigned i = 0; i < dcm_policy_n; i++)
        bad |= ds_buf_u32(&b, dcm_policy_rows[i].tag) | ds_buf_putc(&b, p->act[i]);
    for (size_t i = 0; i < sizeof safe / sizeof *safe; i++)
        bad |= ds_buf_printf(&b, "%s\t%04x,xx%02x\n", safe[i].creator, safe[i].group, safe[i].elem);
    for (size_t i = 0; i < p->nmore; i++)
        bad |= ds_buf_printf(&b, "%s\t%04x,xx%02x\n", p->more[i].creator, p->more[i].group,
                             p->more[i].elem);
    int rc = bad ? ds_fail_nomem(err)
                 : ds_sha_tagged(&p->digest, "dsprep-dicom-policy", b.data, b.len, err);
    ds_buf_fini(&b);
    return rc;
}

static int parse_word(dcm_policy *p, const char *w, size_t n, bool *basic, ds_err *err)
{
    if (n == 5 && memcmp(w, "basic", 5) == 0) {
        *basic = true;
        return 0;
    }
    if (n == 4 && memcmp(w, "none", 4) == 0) {
        p->none = true;
        return 0;
    }
    for (size_t i = 0; i < NOPTIONS; i++)
        if (n == strlen(options[i].name) && memcmp(options[i].name, w, n) == 0) {
            p->options |= options[i].bit;
            return 0;
        }
    char all[512];
    size_t len = 0;
    for (size_t i = 0; i < NOPTIONS && len < sizeof all; i++)
        len +=
            (size_t)snprintf(all + len, sizeof all - len, "%s%s", i ? ", " : "", options[i].name);
    return ds_fail(err, DS_USAGE,
                   "no such de-identification option: %.*s (none alone, or basic with any of %s)",
                   (int)n, w, all);
}

static int check(const dcm_policy *p, bool basic, ds_err *err)
{
    if (p->none)
        return basic || p->options ? ds_fail(err, DS_USAGE, "de-identification: none stands alone")
                                   : 0;
    if (!basic)
        return ds_fail(
            err, DS_USAGE,
            "de-identification: name the profile (basic), then its options, or say none");
    if ((p->options & DCM_OPT_FULL_DATES) && (p->options & DCM_OPT_MODIFIED_DATES))
        return ds_fail(
            err, DS_USAGE,
            "de-identification: retain-full-dates and retain-modified-dates exclude each "
            "other");
    return 0;
}

int dcm_policy_parse(dcm_policy **out, const char *text, ds_err *err)
{
    dcm_policy *p = *out = calloc(1, sizeof *p);
    bool basic = false;
    int rc = p ? 0 : ds_fail_nomem(err);
    for (const char *w = text; rc == 0;) {
        size_t n = strcspn(w, ",");
        rc = parse_word(p, w, n, &basic, err);
        w += n;
        if (*w == 0)
            break;
        w++;
    }
    if (rc == 0)
        rc = check(p, basic, err);
    if (rc == 0) {
        size_t at = (size_t)snprintf(p->text, sizeof p->text, "%s", p->none ? "none" : "basic");
        for (size_t i = 0; i < NOPTIONS; i++)
            if (p->options & options[i].bit)
                at += (size_t)snprintf(p->text + at, sizeof p->text - at, ",%s", options[i].name);
        for (unsigned i = 0; i < dcm_policy_n && i < MAX_ROWS; i++)
            p->act[i] =
                (uint8_t)(p->none ? DCM_ACT_KEEP : row_act(&dcm_policy_rows[i], p->options));
        rc = make_digest(p, err);
    }
    if (rc != 0) {
        dcm_policy_free(p);
        *out = NULL;
    }
    return rc;
}

void dcm_policy_free(dcm_policy *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->nmore; i++)
        free(p->more[i].creator);
    free(p->more);
    dcm_ids_free(p->also);
    free(p);
}

const char *dcm_policy_text(const dcm_policy *p)
{
    return p->text;
}

const ds_sha *dcm_policy_digest(const dcm_policy *p)
{
    return &p->digest;
}

bool dcm_policy_none(const dcm_policy *p)
{
    return p->none;
}

unsigned dcm_policy_options(const dcm_policy *p)
{
    return p->options;
}

static int row_of(uint32_t tag)
{
    unsigned lo = 0, hi = dcm_policy_n;
    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;
        if (dcm_policy_rows[mid].tag < tag)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < dcm_policy_n && dcm_policy_rows[lo].tag == tag ? (int)lo : -1;
}

int dcm_policy_act(const dcm_policy *p, uint32_t tag)
{
    uint32_t group = tag >> 16;
    int row = row_of(tag);
    if (row >= 0)
        return p->act[row];
    /* Curves are removed whole, and so are overlays: what is drawn in them cannot be judged. */
    if (!p->none && ((group & 0xff01) == 0x5000 || (group & 0xff01) == 0x6000))
        return DCM_ACT_REMOVE;
    return DCM_UNLISTED;
}

bool dcm_policy_safe(const dcm_policy *p, const char *creator, uint32_t tag)
{
    if (!(p->options & DCM_OPT_SAFE_PRIVATE) || !creator)
        return false;
    for (size_t i = 0; i < sizeof safe / sizeof *safe; i++)
        if (safe[i].group == tag >> 16 && safe[i].elem == (tag & 0xff) &&
            strcmp(safe[i].creator, creator) == 0)
            return true;
    for (size_t i = 0; i < p->nmore; i++)
        if (p->more[i].group == tag >> 16 && p->more[i].elem == (tag & 0xff) &&
            strcmp(p->more[i].creator, creator) == 0)
            return true;
    return false;
}

/* CREATOR <tab> gggg,xxee */
static int safe_line(void *ctx, const char *line, const char *path, unsigned n, ds_err *err)
{
    dcm_policy *p = ctx;
    unsigned group, elem;
    int end = 0;
    const char *tab = strchr(line, '\t');
    if (!tab || sscanf(tab + 1, "%4x,xx%2x%n", &group, &elem, &end) != 2 || tab[1 + end] ||
        !(group & 1) || tab == line)
        return ds_fail(err, DS_USAGE, "%s: line %u: a creator, a tab, and gggg,xxee", path, n);
    if (ds_grow(&p->more, &p->cap_more, p->nmore, sizeof *p->more))
        return ds_fail_nomem(err);
    p->more[p->nmore] = (safe_entry){strndup(line, (size_t)(tab - line)), group, elem};
    return p->more[p->nmore++].creator ? 0 : ds_fail_nomem(err);
}

int dcm_lines_each(const char *path, dcm_line_fn *take, void *ctx, ds_err *err)
{
    char *line = NULL;
    size_t cap = 0;
    unsigned n = 0;
    int rc = 0;
    FILE *f = fopen(path, "re");
    if (!f)
        return ds_fail_errno(err, errno, "%s", path);
    for (ssize_t len; rc == 0 && (len = getline(&line, &cap, f)) >= 0;) {
        n++;
        while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
            line[--len] = 0;
        if (strlen(line) != (size_t)len)
            rc = ds_fail(err, DS_FAIL, "%s: line %u: holds a NUL: text in UTF-16?", path, n);
        const char *text = line + (n == 1 ? ds_utf8_mark(line, (size_t)len) : 0);
        if (rc == 0 && *text && *text != '#')
            rc = take(ctx, text, path, n, err);
    }
    if (rc == 0 && ferror(f))
        rc = ds_fail_errno(err, errno, "%s", path);
    free(line);
    fclose(f);
    return rc;
}

int dcm_policy_safe_file(dcm_policy *p, const char *path, ds_err *err)
{
    int rc = dcm_lines_each(path, safe_line, p, err);
    return rc == 0 ? make_digest(p, err) : rc;
}

static int also_line(void *ctx, const char *line, const char *path, unsigned n, ds_err *err)
{
    dcm_policy *p = ctx;
    size_t before = dcm_ids_count(p->also);
    int rc = dcm_ids_add(p->also, 0x00080080, DCM_ID_PLACE, line, strlen(line), err);
    if (rc == 0 && dcm_ids_count(p->also) == before) /* a short name */
        rc = dcm_ids_add(p->also, 0x00100010, DCM_ID_NAME, line, strlen(line), err);
    if (rc == 0 && dcm_ids_count(p->also) == before)
        rc = ds_fail(err, DS_USAGE, "%s: line %u: too short, too common, or there twice", path, n);
    return rc;
}

int dcm_policy_also_file(dcm_policy *p, const char *path, ds_err *err)
{
    int rc = p->also ? 0 : dcm_ids_new(&p->also, err);
    return rc == 0 ? dcm_lines_each(path, also_line, p, err) : rc;
}

const dcm_ids *dcm_policy_also(const dcm_policy *p)
{
    return p->also;
}

void dcm_policy_methods(unsigned done, dcm_method out[16], unsigned *n)
{
    *n = 0;
    out[(*n)++] = (dcm_method){"113100", "Basic Application Confidentiality Profile"};
    for (size_t i = 0; i < NOPTIONS && *n < 16; i++) {
        if (!(done & options[i].bit))
            continue;
        snprintf(out[*n].code, sizeof out[*n].code, "%s", options[i].code);
        out[(*n)++].meaning = options[i].meaning;
    }
}
