/* dcmcontext.c - see dcmcontext.h. */
#include "dcmcontext.h"

#include <string.h>

#include "dcmword.h"

#define REACH 160 /* bytes that are looked at to either side */

typedef struct span {
    size_t at, end;
} span;

static bool is_upper(uint8_t c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_lower(uint8_t c)
{
    return c >= 'a' && c <= 'z';
}

static bool ends_line(uint8_t c)
{
    return c == '\n' || c == '\r' || c == '"';
}

static span line_of(const uint8_t *p, size_t len, size_t at, size_t n)
{
    span s = {at, at + n};
    while (s.at > 0 && at - s.at < REACH && !ends_line(p[s.at - 1]))
        s.at--;
    while (s.end < len && s.end - (at + n) < REACH && !ends_line(p[s.end]))
        s.end++;
    return s;
}

/* Nothing, or the end of a sentence, a heading or a number of a list stands before it. */
static bool begins_sentence(const uint8_t *p, span line, size_t at)
{
    while (at > line.at && (p[at - 1] == ' ' || p[at - 1] == '(' || p[at - 1] == '\''))
        at--;
    return at == line.at || strchr(".!?:;-*>#)=_/", p[at - 1]) != NULL;
}

/* Words of three letters and more, but for the one that is judged. */
static void count_words(const uint8_t *p, span line, size_t at, unsigned *small, unsigned *others)
{
    size_t pos = line.at;
    dcm_word w;
    *small = *others = 0;
    while (dcm_word_next(p, line.end, &pos, &w)) {
        if (w.at == at || w.kind == DCM_WORD_DIGITS)
            continue;
        *others += 1;
        *small += w.folded >= 3 && is_lower(p[w.at]);
    }
}

bool dcm_is_written_as_name(const uint8_t *p, size_t len, size_t at, size_t n)
{
    unsigned small, others;
    if (!is_upper(p[at]))
        return false;
    const span line = line_of(p, len, at, n);
    count_words(p, line, at, &small, &others);
    if (others == 0)
        return n > 1 && is_lower(p[at + 1]);
    return small > 0 && !begins_sentence(p, line, at);
}

/* ---- terms ---- */

/* What people's names are given to. Folded, sorted. */
static const char *const things[] = {
    "anastomosis", "aneurysm",       "angle",        "aperture",       "bodies",
    "body",        "bypass",         "canal",        "capsule",        "cartilage",
    "catheter",    "cells",          "chorea",       "classification", "contracture",
    "criteria",    "cyst",           "cysts",        "deformity",      "disease",
    "dissection",  "diverticulum",   "drain",        "duct",           "dysplasia",
    "fascia",      "fields",         "filter",       "fissure",        "foramen",
    "fossa",       "fractura",       "fracture",     "fractures",      "fraktur",
    "ganglion",    "gland",          "glands",       "grade",          "hernia",
    "index",       "klassifikation", "knoten",       "krankheit",      "lesion",
    "lesions",     "ligament",       "line",         "linie",          "lines",
    "loop",        "lymphoma",       "malformation", "maneuver",       "manoeuvre",
    "membrane",    "metastasis",     "method",       "muscle",         "nail",
    "node",        "nodes",          "nodule",       "nodules",        "palsy",
    "patch",       "phenomenon",     "plate",        "pouch",          "procedure",
    "quiste",      "ratio",          "repair",       "ring",           "rod",
    "rods",        "sarcoma",        "scale",        "score",          "screw",
    "septum",      "shunt",          "sign",         "signs",          "sinus",
    "space",       "sphincter",      "spots",        "staging",        "stent",
    "structure",   "struma",         "syndrom",      "syndrome",       "syndrome",
    "test",        "thyroiditis",    "transform",    "triad",          "triangle",
    "tube",        "tumor",          "tumour",       "type",           "unit",
    "units",       "valve",          "zeichen",      "zyste",
};

/* What stands before a name, with or without a word between: circle of Willis, Morbus Crohn. */
static const char *const owners[] = {
    "ampulla",  "angle",    "area",     "arteria",    "canal",    "cave",    "circle",
    "crista",   "cyst",     "duct",     "enfermedad", "fascia",   "foramen", "fossa",
    "ganglion", "island",   "islands",  "kyste",      "ligament", "maladie", "morbus",
    "organ",    "pouch",    "quiste",   "sign",       "sindrome", "space",   "sphincter",
    "syndrom",  "syndrome", "triangle", "tubercle",   "valve",    "valves",  "vein",
};

static bool is_one_of(const char *const *list, size_t n, const uint8_t *p, const dcm_word *w)
{
    for (size_t i = 0; i < n; i++)
        if (dcm_word_is(p, w, (const uint8_t *)list[i], strlen(list[i])))
            return true;
    return false;
}

static bool is_short_link(const uint8_t *p, const dcm_word *w)
{
    static const char *const links[] = {"of", "de", "von", "di", "du"};
    return is_one_of(links, sizeof links / sizeof *links, p, w);
}

/* Only spaces, hyphens, an apostrophe or a bracket that closes; no end of a sentence. */
static bool adjoins(const uint8_t *p, size_t from, size_t to)
{
    for (; from < to; from++)
        if (!strchr(" -'`)", p[from]) && p[from] < 0x80)
            return false;
    return true;
}

static bool thing_follows(const uint8_t *p, span line, size_t end)
{
    size_t pos = end;
    dcm_word w;
    for (unsigned k = 0; k < 2 && dcm_word_next(p, line.end, &pos, &w); k++) {
        if (!adjoins(p, end, w.at))
            return false;
        if (is_one_of(things, sizeof things / sizeof *things, p, &w))
            return true;
        /* 's, and another name behind a hyphen: Kellgren-Lawrence grade */
        bool s = w.len == 1 && (p[w.at] | 0x20) == 's',
             name = p[w.at - 1] == '-' && is_upper(p[w.at]);
        if (!s && !name)
            return false;
        end = w.at + w.len;
    }
    return false;
}

static bool owner_stands_before(const uint8_t *p, span line, size_t at)
{
    size_t pos = line.at;
    dcm_word w, last[2];
    unsigned n = 0;
    while (dcm_word_next(p, line.end, &pos, &w) && w.at < at)
        last[n++ % 2] = w;
    const dcm_word *near = n > 0 ? &last[(n - 1) % 2] : NULL;
    if (!near || !adjoins(p, near->at + near->len, at))
        return false;
    if (n > 1 && is_short_link(p, near)) {
        size_t end = near->at;
        near = &last[n % 2];
        if (!adjoins(p, near->at + near->len, end))
            return false;
        return is_one_of(owners, sizeof owners / sizeof *owners, p, near);
    }
    return dcm_word_is(p, near, (const uint8_t *)"morbus", 6);
}

bool dcm_is_in_term(const uint8_t *p, size_t len, size_t at, size_t n)
{
    const span line = line_of(p, len, at, n);
    return thing_follows(p, line, at + n) || owner_stands_before(p, line, at);
}
