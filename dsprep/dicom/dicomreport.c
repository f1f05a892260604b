/* dicomreport.c - see dicomreport.h. */
#include "dicomreport.h"

#include <string.h>

#include "json.h"

#define NOWHERE (-1)
#define UNKNOWN (-2) /* no heading at all */

enum { INDICATION, TECHNIQUE, COMPARISON, FINDINGS, IMPRESSION };

typedef struct word {
    const char *name;
    int section;
} word;

/* Longer ones before those that they begin with. NOWHERE: ends a section. */
static const word headings[] = {
    {"clinical indications", INDICATION},
    {"clinical indication", INDICATION},
    {"indications", INDICATION},
    {"indication", INDICATION},
    {"reason for examination", INDICATION},
    {"reason for exam", INDICATION},
    {"reason for study", INDICATION},
    {"clinical history", INDICATION},
    {"clinical information", INDICATION},
    {"clinical data", INDICATION},
    {"history", INDICATION},
    {"technique", TECHNIQUE},
    {"procedure", TECHNIQUE},
    {"protocol", TECHNIQUE},
    {"comparison studies", COMPARISON},
    {"comparisons", COMPARISON},
    {"comparison", COMPARISON},
    {"prior studies", COMPARISON},
    {"findings", FINDINGS},
    {"finding", FINDINGS},
    {"observations", FINDINGS},
    {"impressions", IMPRESSION},
    {"impression", IMPRESSION},
    {"conclusions", IMPRESSION},
    {"conclusion", IMPRESSION},
    {"opinion", IMPRESSION},
    {"summary", IMPRESSION},
    {"recommendations", NOWHERE},
    {"recommendation", NOWHERE},
    {"examination", NOWHERE},
    {"exam", NOWHERE},
    {"study", NOWHERE},
    {"addendum", NOWHERE},
    {"attestation", NOWHERE},
    {"dictated by", NOWHERE},
    {"electronically signed by", NOWHERE},
    {"signed by", NOWHERE},
};

typedef struct code {
    const char *value, *scheme;
    int section;
} code;

/* Headings of sections (PS3.16 CID 7001, in LOINC since 2020 and in the DCM codes before), elements
 * below them (CID 7002), and LOINC's study observation. */
static const code codes[] = {
    {"121060", "DCM", INDICATION}, /* history */
    {"121062", "DCM", INDICATION}, /* request */
    {"121109", "DCM", INDICATION}, /* indications for procedure */
    {"121110", "DCM", INDICATION}, /* patient presentation */
    {"11329-0", "LN", INDICATION}, /* history */
    {"18785-6", "LN", INDICATION}, /* indications for procedure */
    {"55108-5", "LN", INDICATION}, /* patient presentation */
    {"55115-0", "LN", INDICATION}, /* request */
    {"55752-0", "LN", INDICATION}, /* clinical information */
    {"121064", "DCM", TECHNIQUE},  /* current procedure descriptions */
    {"121065", "DCM", TECHNIQUE},  /* procedure description */
    {"55111-9", "LN", TECHNIQUE},  /* current procedure descriptions */
    {"121066", "DCM", COMPARISON}, /* prior procedure descriptions */
    {"121068", "DCM", COMPARISON}, /* previous findings */
    {"121069", "DCM", COMPARISON}, /* previous finding */
    {"18834-2", "LN", COMPARISON}, /* previous findings */
    {"55114-3", "LN", COMPARISON}, /* prior procedure descriptions */
    {"121070", "DCM", FINDINGS},   /* findings */
    {"121071", "DCM", FINDINGS},   /* finding */
    {"59776-5", "LN", FINDINGS},   /* findings */
    {"18782-3", "LN", FINDINGS},   /* study observation */
    {"121072", "DCM", IMPRESSION}, /* impressions */
    {"121073", "DCM", IMPRESSION}, /* impression */
    {"121076", "DCM", IMPRESSION}, /* conclusions */
    {"121077", "DCM", IMPRESSION}, /* conclusion */
    {"121111", "DCM", IMPRESSION}, /* summary */
    {"19005-8", "LN", IMPRESSION}, /* impressions */
    {"55110-1", "LN", IMPRESSION}, /* conclusions */
    {"55112-7", "LN", IMPRESSION}, /* summary */
    {"121074", "DCM", NOWHERE},    /* recommendations */
    {"121075", "DCM", NOWHERE},    /* recommendation */
    {"121078", "DCM", NOWHERE},    /* addendum */
    {"121113", "DCM", NOWHERE},    /* complications */
    {"18783-1", "LN", NOWHERE},    /* recommendations */
    {"29549-3", "LN", NOWHERE},    /* medications administered */
    {"55107-7", "LN", NOWHERE},    /* addendum */
    {"55109-3", "LN", NOWHERE},    /* complications */
    {"55113-5", "LN", NOWHERE},    /* key images */
    {"73568-8", "LN", NOWHERE},    /* communication of critical results */
    {"73569-6", "LN", NOWHERE},    /* radiation exposure and protection */
};

/* ---- headings in texts ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Does the text at p begin with the word? *caps: in capitals throughout. */
static bool begins(const char *p, size_t len, const char *name, bool *caps)
{
    size_t n = strlen(name);
    *caps = true;
    for (size_t i = 0; i < n; i++) {
        char c = i < len ? p[i] : 0;
        bool lower = c >= 'a' && c <= 'z';
        if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != name[i])
            return false;
        *caps = *caps && !lower;
    }
    return true;
}

static size_t line_end(const char *p, size_t len, size_t at)
{
    while (at < len && p[at] != '\n' && p[at] != '\r')
        at++;
    return at;
}

/* A heading at `at`: its section, and where its text begins; UNKNOWN when there is none. */
static int heading_at(const char *p, size_t len, size_t at, bool line_start, size_t *after)
{
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++) {
        bool caps;
        size_t n = strlen(headings[i].name), end = at + n;
        if (!begins(p + at, len - at, headings[i].name, &caps))
            continue;
        while (end < len && is_blank(p[end]))
            end++;
        bool colon = end < len && p[end] == ':';
        bool alone = line_start && caps && end == line_end(p, len, at);
        if (alone || (colon && (caps || line_start))) {
            *after = end + colon;
            return headings[i].section;
        }
    }
    return UNKNOWN;
}

static int put_part(ds_buf section[DS_SECTIONS], int which, const char *p, size_t from, size_t to)
{
    while (from < to && (is_blank(p[from]) || p[from] == '\n' || p[from] == '\r'))
        from++;
    while (to > from && (is_blank(p[to - 1]) || p[to - 1] == '\n' || p[to - 1] == '\r'))
        to--;
    if (which < 0 || from == to)
        return 0;
    ds_buf *b = &section[which];
    return (b->len ? ds_buf_putc(b, '\n') : 0) | ds_buf_put(b, p + from, to - from);
}

int ds_dicom_sections_add(ds_buf section[DS_SECTIONS], int now, const char *p, size_t len)
{
    size_t from = 0;
    bool line_start = true, word_start = true;
    int bad = 0;
    for (size_t i = 0; i < len && !bad;) {
        size_t after = i;
        int next = word_start ? heading_at(p, len, i, line_start, &after) : UNKNOWN;
        if (next != UNKNOWN) {
            bad = put_part(section, now, p, from, i);
            now = next;
            from = i = after;
            line_start = word_start = false;
            continue;
        }
        bool blank = is_blank(p[i]), end = p[i] == '\n' || p[i] == '\r';
        line_start = end || (line_start && (blank || p[i] == '*' || p[i] == '#'));
        word_start = end || blank || line_start;
        i++;
    }
    return bad | put_part(section, now, p, from, len);
}

/* ---- nodes ---- */

/* The meaning of the code in the first item of a sequence. */
static bool meaning(const dcm_set *s, uint32_t tag, const char **p, size_t *n)
{
    const dcm_set *c = dcm_set_first(s, tag);
    return c && dcm_get_text(c, 0x00080104, 0, p, n);
}

static bool same(const char *p, size_t n, const char *text)
{
    return n == strlen(text) && memcmp(p, text, n) == 0;
}

/* The section that a node's concept names, else that of the node above. */
static int section_of(const dcm_set *s, int above)
{
    const dcm_set *c = dcm_set_first(s, 0x0040a043);
    const char *value, *scheme, *name;
    size_t nv = 0, ns = 0, nn = 0;
    bool caps;
    if (!c)
        return above;
    if (dcm_get_text(c, 0x00080100, 0, &value, &nv) && dcm_get_text(c, 0x00080102, 0, &scheme, &ns))
        for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
            if (same(value, nv, codes[i].value) && same(scheme, ns, codes[i].scheme))
                return codes[i].section;
    bool standard = ns && (same(scheme, ns, "DCM") || same(scheme, ns, "LN"));
    if (standard || !dcm_get_text(c, 0x00080104, 0, &name, &nn))
        return above;
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++)
        if (nn == strlen(headings[i].name) && begins(name, nn, headings[i].name, &caps))
            return headings[i].section;
    return above;
}

static const uint32_t text_tags[] = {0x0040a160, 0x0040a123, 0x0040a120,
                                     0x0040a121, 0x0040a122, 0x0040a124};

/* The plain value of a node; with its unit. */
static int put_value(const dcm_set *s, ds_buf *out)
{
    const dcm_set *m = dcm_set_first(s, 0x0040a300);
    const char *p;
    size_t n;
    if (m && dcm_get_text(m, 0x0040a30a, 0, &p, &n)) {
        int bad = ds_buf_putc(out, ' ') | ds_buf_put(out, p, n);
        if (meaning(m, 0x004008ea, &p, &n))
            bad |= ds_buf_putc(out, ' ') | ds_buf_put(out, p, n);
        return bad;
    }
    if (meaning(s, 0x0040a168, &p, &n))
        return ds_buf_putc(out, ' ') | ds_buf_put(out, p, n);
    for (size_t i = 0; i < sizeof text_tags / sizeof *text_tags; i++)
        if (dcm_get_text(s, text_tags[i], 0, &p, &n))
            return ds_buf_putc(out, ' ') | ds_buf_put(out, p, n);
    return 0;
}

static int put_node(const dcm_set *s, ds_buf *out, unsigned depth)
{
    const dcm_elem *e = dcm_set_find(s, 0x0040a730);
    const char *p;
    size_t n;
    int bad = 0;
    for (unsigned i = 0; i < depth; i++)
        bad |= ds_buf_puts(out, "  ");
    if (meaning(s, 0x0040a043, &p, &n))
        bad |= ds_buf_put(out, p, n) | ds_buf_putc(out, ':');
    bad |= put_value(s, out) | ds_buf_putc(out, '\n');
    for (uint32_t i = 0; e && i < e->nitems && !bad; i++)
        bad = put_node(e->items[i], out, depth + 1); /* no deeper than the tree */
    return bad;
}

int ds_dicom_text(const dcm_set *s, ds_buf *out, ds_err *err)
{
    if (!dcm_set_find(s, 0x0040a730))
        return 0;
    return put_node(s, out, 0) ? ds_fail_nomem(err) : 0;
}

/* ---- rows ---- */

static int put_text(ds_buf *b, const char *name, const dcm_set *s, uint32_t tag)
{
    const char *p;
    size_t n;
    if (!s || !dcm_get_text(s, tag, 0, &p, &n))
        return 0;
    return ds_buf_printf(b, ",\"%s\":", name) | ds_json_str(b, p, n);
}

/* `prefix`_code and so on of a coded entry. */
static int put_code(ds_buf *b, const char *value, const char *scheme, const dcm_set *c)
{
    int bad = put_text(b, value, c, 0x00080100);
    if (!bad && c && !dcm_set_find(c, 0x00080100))
        bad = put_text(b, value, c, dcm_set_find(c, 0x00080119) ? 0x00080119 : 0x00080120);
    return bad | put_text(b, scheme, c, 0x00080102);
}

static int put_number(ds_buf *b, const dcm_set *m)
{
    double v;
    const dcm_set *unit = dcm_set_first(m, 0x004008ea);
    int bad = 0;
    if (dcm_get_real(m, 0x0040a30a, 0, &v))
        bad = ds_buf_puts(b, ",\"value\":") | ds_json_real(b, v);
    return bad | put_code(b, "unit", "unit_scheme", unit);
}

static int put_points(ds_buf *b, const dcm_set *s)
{
    double v;
    unsigned n = dcm_get_count(s, 0x00700022);
    int bad = put_text(b, "shape", s, 0x00700023) | ds_buf_puts(b, ",\"value\":[");
    for (unsigned k = 0; k < n && !bad; k++)
        if (dcm_get_real(s, 0x00700022, k, &v))
            bad = (k ? ds_buf_putc(b, ',') : 0) | ds_json_real(b, v);
    return bad | ds_buf_putc(b, ']');
}

static int put_row_value(ds_buf *b, const dcm_set *s)
{
    const dcm_set *m = dcm_set_first(s, 0x0040a300), *c = dcm_set_first(s, 0x0040a168);
    const dcm_set *ref = dcm_set_first(s, 0x00081199);
    const char *p;
    size_t n;
    if (m)
        return put_number(b, m);
    if (c)
        return put_text(b, "value", c, 0x00080104) | put_code(b, "value_code", "value_scheme", c);
    if (ref)
        return put_text(b, "value", ref, 0x00081155);
    if (dcm_set_find(s, 0x00700022))
        return put_points(b, s);
    for (size_t i = 0; i < sizeof text_tags / sizeof *text_tags; i++)
        if (dcm_get_text(s, text_tags[i], 0, &p, &n))
            return put_text(b, "value", s, text_tags[i]);
    return 0;
}

/* Texts to their sections: a text by its headings, all else as a line of concept and value. */
static int put_sections(ds_dicom_report *r, const dcm_set *s, int section)
{
    const char *p;
    size_t n;
    ds_buf line = {0};
    int bad = 0;
    if (dcm_get_text(s, 0x0040a160, 0, &p, &n))
        return ds_dicom_sections_add(r->section, section, p, n);
    if (section < 0)
        return 0;
    size_t start = 0;
    if (meaning(s, 0x0040a043, &p, &n))
        bad = ds_buf_put(&line, p, n) | ds_buf_putc(&line, ':');
    start = line.len;
    bad = bad || put_value(s, &line);
    if (!bad && line.len > start)
        bad = put_part(r->section, section, (const char *)line.data, 0, line.len);
    ds_buf_fini(&line);
    return bad;
}

static int put_row(ds_dicom_report *r, const dcm_set *s, ds_buf *path, int section)
{
    ds_buf *b = &r->content;
    const dcm_elem *e = dcm_set_find(s, 0x0040a730);
    int bad = ds_buf_puts(b, b->len > 1 ? ",{\"path\":" : "{\"path\":") |
              ds_json_str(b, (const char *)path->data, path->len);
    bad |= put_text(b, "relation", s, 0x0040a010) | put_text(b, "type", s, 0x0040a040);
    const dcm_set *c = dcm_set_first(s, 0x0040a043);
    bad |= put_text(b, "concept", c, 0x00080104) | put_code(b, "code", "scheme", c);
    bad |= put_row_value(b, s) | ds_buf_putc(b, '}');
    section = section_of(s, section);
    bad = bad || put_sections(r, s, section);
    size_t at = path->len;
    for (uint32_t i = 0; e && i < e->nitems && !bad; i++) {
        bad = ds_buf_printf(path, ".%u", (unsigned)(i + 1)) ||
              put_row(r, e->items[i], path, section); /* no deeper than the tree */
        path->len = at;
    }
    return bad;
}

int ds_dicom_report_read(ds_dicom_report *r, const dcm_set *s, ds_err *err)
{
    ds_buf path = {0};
    if (!dcm_set_find(s, 0x0040a730))
        return 0;
    int bad =
        ds_buf_putc(&path, '1') | ds_buf_putc(&r->content, '[') || put_row(r, s, &path, NOWHERE);
    bad |= ds_buf_putc(&r->content, ']');
    ds_buf_fini(&path);
    return bad ? ds_fail_nomem(err) : 0;
}

void ds_dicom_report_fini(ds_dicom_report *r)
{
    ds_buf_fini(&r->content);
    for (size_t i = 0; i < DS_SECTIONS; i++)
        ds_buf_fini(&r->section[i]);
}
