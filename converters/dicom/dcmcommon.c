/* dcmcommon.c - see dcmcommon.h. */
#include "dcmcommon.h"

#include <string.h>

/* Sorted. */
static const char *const words[] = {
    "abdomen",      "accuray",      "acquisition", "acute",       "adult",        "ag",
    "agfa",         "algorithm",    "ankle",       "anonym",      "anonymized",   "anonymous",
    "anterior",     "aorta",        "apex",        "apr",         "april",        "arm",
    "arms",         "array",        "art",         "aug",         "august",       "axial",
    "back",         "base",         "bed",         "belly",       "best",         "big",
    "black",        "blood",        "blue",        "body",        "bone",         "bones",
    "brain",        "brainlab",     "bright",      "brown",       "bv",           "cancer",
    "canon",        "cardiac",      "carestream",  "center",      "chest",        "child",
    "clear",        "clinic",       "co",          "code",        "coil",         "color",
    "columns",      "company",      "composite",   "container",   "contains",     "continuous",
    "contrast",     "cord",         "coronal",     "corp",        "count",        "cross",
    "current",      "date",         "datetime",    "day",         "days",         "dec",
    "deep",         "default",      "derived",     "description", "detector",     "device",
    "dicom",        "diffusion",    "disc",        "disk",        "distal",       "doctor",
    "dose",         "double",       "dummy",       "ear",         "early",        "east",
    "elbow",        "elekta",       "end",         "enhanced",    "esaote",       "exam",
    "example",      "eye",          "face",        "faith",       "false",        "family",
    "feb",          "feet",         "female",      "femur",       "field",        "film",
    "filter",       "final",        "fine",        "first",       "flat",         "float",
    "flow",         "foot",         "fourth",      "frame",       "free",         "friday",
    "front",        "fuji",         "fujifilm",    "full",        "gain",         "ge",
    "general",      "generic",      "given",       "gmbh",        "gray",         "green",
    "grey",         "hand",         "hands",       "hard",        "head",         "healthcare",
    "healthineers", "heart",        "heel",        "help",        "hex",          "high",
    "hill",         "hip",          "hitachi",     "hologic",     "home",         "hospital",
    "image",        "images",       "imaging",     "inc",         "infant",       "inferred",
    "input",        "instance",     "int",         "jan",         "joint",        "joy",
    "jul",          "july",         "jun",         "june",        "kernel",       "key",
    "keyword",      "kidney",       "knee",        "knife",       "kodak",        "konica",
    "lab",          "large",        "last",        "late",        "lateral",      "leaf",
    "left",         "leg",          "lens",        "light",       "limb",         "limited",
    "line",         "liver",        "llc",         "localizer",   "long",         "lower",
    "ltd",          "lumbar",       "lung",        "main",        "male",         "man",
    "manual",       "manufacturer", "mar",         "march",       "mark",         "mask",
    "mass",         "matrix",       "may",         "mean",        "medial",       "medical",
    "medicine",     "medium",       "mid",         "middle",      "mild",         "mindray",
    "minolta",      "modality",     "mode",        "model",       "modified",     "monday",
    "monochrome",   "motion",       "mouth",       "name",        "natural",      "neck",
    "new",          "none",         "normal",      "north",       "nose",         "not",
    "nov",          "null",         "num",         "number",      "nv",           "obese",
    "object",       "observer",     "oct",         "old",         "open",         "operator",
    "organ",        "original",     "other",       "output",      "page",         "pain",
    "palette",      "patient",      "pelvis",      "person",      "phantom",      "phase",
    "philips",      "physician",    "pixel",       "pixels",      "plain",        "plane",
    "pname",        "point",        "port",        "position",    "post",         "posterior",
    "primary",      "prior",        "probe",       "process",     "protocol",     "proximal",
    "radiology",    "rapid",        "read",        "reader",      "record",       "records",
    "removed",      "report",       "research",    "rgb",         "rib",          "ribs",
    "rich",         "right",        "ring",        "room",        "rose",         "routine",
    "rows",         "sample",       "samsung",     "saturday",    "save",         "scan",
    "scanner",      "scout",        "second",      "secondary",   "sectra",       "segment",
    "segmentation", "sep",          "separate",    "sequence",    "series",       "serum",
    "service",      "sex",          "sha",         "sharp",       "shield",       "shimadzu",
    "short",        "shoulder",     "side",        "siemens",     "signal",       "silver",
    "sinus",        "site",         "size",        "skin",        "skull",        "slice",
    "small",        "smooth",       "soft",        "software",    "source",       "south",
    "spacing",      "special",      "spin",        "spine",       "spring",       "standard",
    "state",        "states",       "station",     "stem",        "stent",        "stone",
    "string",       "strong",       "student",     "study",       "subject",      "summer",
    "sunday",       "supine",       "surgery",     "sweet",       "system",       "systems",
    "table",        "tag",          "tech",        "technician",  "technologies", "technologist",
    "test",         "tester",       "testing",     "text",        "thin",         "third",
    "thursday",     "time",         "tissue",      "tone",        "tooth",        "torso",
    "toshiba",      "trauma",       "trial",       "true",        "tube",         "tuesday",
    "type",         "ultrasound",   "uni",         "unit",        "united",       "units",
    "university",   "unknown",      "unmodified",  "unspecified", "upper",        "user",
    "value",        "values",       "valve",       "varian",      "vein",         "venous",
    "version",      "vessel",       "view",        "volume",      "wall",         "ward",
    "water",        "wave",         "waveform",    "weak",        "wednesday",    "west",
    "white",        "whole",        "will",        "winter",      "wise",         "woman",
    "work",         "wrist",        "xray",        "year",        "years",        "yes",
    "young",
};

static bool has(const char *const *list, size_t nlist, const uint8_t *folded, size_t n)
{
    size_t lo = 0, hi = nlist;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2, len = strlen(list[mid]);
        int c = memcmp(list[mid], folded, len < n ? len : n);
        if (c == 0 && len == n)
            return true;
        if (c < 0 || (c == 0 && len < n))
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}

bool dcm_is_common(const uint8_t *folded, size_t n)
{
    return has(words, sizeof words / sizeof *words, folded, n);
}

bool dcm_is_name_word(const uint8_t *folded, size_t n)
{
    return has(dcm_name_words, dcm_name_words_n, folded, n);
}
