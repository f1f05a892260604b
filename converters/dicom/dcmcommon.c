/* dcmcommon.c - see dcmcommon.h. */
#include "dcmcommon.h"

#include <string.h>

/* Sorted. */
static const char *const words[] = {
    "abdomen",    "acquisition", "acute",      "adult",      "ankle",        "anonym",
    "anonymized", "anonymous",   "anterior",   "aorta",      "apex",         "apr",
    "april",      "arm",         "arms",       "array",      "art",          "aug",
    "august",     "axial",       "back",       "base",       "bed",          "belly",
    "best",       "big",         "black",      "blood",      "blue",         "body",
    "bone",       "bones",       "brain",      "bright",     "brown",        "cancer",
    "cardiac",    "center",      "chest",      "child",      "clear",        "clinic",
    "code",       "coil",        "color",      "columns",    "composite",    "container",
    "contains",   "continuous",  "contrast",   "cord",       "coronal",      "count",
    "cross",      "current",     "date",       "datetime",   "day",          "days",
    "dec",        "deep",        "default",    "derived",    "description",  "detector",
    "device",     "dicom",       "diffusion",  "disc",       "disk",         "distal",
    "doctor",     "dose",        "double",     "dummy",      "ear",          "early",
    "east",       "elbow",       "end",        "enhanced",   "exam",         "example",
    "eye",        "face",        "faith",      "false",      "feb",          "feet",
    "female",     "femur",       "field",      "film",       "filter",       "final",
    "fine",       "flat",        "float",      "flow",       "foot",         "frame",
    "free",       "friday",      "front",      "full",       "gain",         "general",
    "generic",    "gray",        "green",      "grey",       "hand",         "hands",
    "hard",       "head",        "heart",      "heel",       "help",         "hex",
    "high",       "hill",        "hip",        "home",       "hospital",     "image",
    "images",     "infant",      "inferred",   "input",      "instance",     "int",
    "jan",        "joint",       "joy",        "jul",        "july",         "jun",
    "june",       "kernel",      "key",        "keyword",    "kidney",       "knee",
    "knife",      "lab",         "large",      "late",       "lateral",      "leaf",
    "left",       "leg",         "lens",       "light",      "limb",         "line",
    "liver",      "localizer",   "long",       "lower",      "lumbar",       "lung",
    "main",       "male",        "man",        "manual",     "manufacturer", "mar",
    "march",      "mark",        "mask",       "mass",       "matrix",       "may",
    "mean",       "medial",      "medical",    "medicine",   "medium",       "mid",
    "middle",     "mild",        "modality",   "mode",       "model",        "modified",
    "monday",     "monochrome",  "motion",     "mouth",      "name",         "natural",
    "neck",       "new",         "none",       "normal",     "north",        "nose",
    "not",        "nov",         "null",       "num",        "number",       "obese",
    "object",     "oct",         "old",        "open",       "operator",     "original",
    "other",      "output",      "page",       "pain",       "palette",      "patient",
    "pelvis",     "person",      "phantom",    "phase",      "physician",    "pixel",
    "pixels",     "plain",       "plane",      "pname",      "point",        "port",
    "position",   "post",        "posterior",  "primary",    "prior",        "probe",
    "process",    "protocol",    "proximal",   "radiology",  "rapid",        "read",
    "reader",     "record",      "records",    "removed",    "report",       "research",
    "rgb",        "rib",         "ribs",       "rich",       "right",        "ring",
    "room",       "rose",        "routine",    "rows",       "sample",       "saturday",
    "save",       "scan",        "scanner",    "scout",      "secondary",    "sep",
    "separate",   "sequence",    "series",     "serum",      "service",      "sex",
    "sha",        "sharp",       "shield",     "short",      "shoulder",     "side",
    "signal",     "silver",      "sinus",      "site",       "size",         "skin",
    "skull",      "slice",       "small",      "smooth",     "soft",         "software",
    "source",     "south",       "spacing",    "special",    "spin",         "spine",
    "spring",     "standard",    "state",      "station",    "stem",         "stent",
    "stone",      "string",      "strong",     "student",    "study",        "subject",
    "summer",     "sunday",      "supine",     "surgery",    "sweet",        "system",
    "table",      "tag",         "tech",       "technician", "technologist", "test",
    "tester",     "testing",     "text",       "thin",       "thursday",     "time",
    "tissue",     "tone",        "tooth",      "torso",      "trauma",       "trial",
    "true",       "tube",        "tuesday",    "type",       "ultrasound",   "uni",
    "unit",       "units",       "university", "unknown",    "unmodified",   "unspecified",
    "upper",      "user",        "value",      "values",     "valve",        "vein",
    "venous",     "version",     "vessel",     "view",       "volume",       "wall",
    "ward",       "water",       "wave",       "waveform",   "weak",         "wednesday",
    "west",       "white",       "whole",      "will",       "winter",       "wise",
    "woman",      "work",        "wrist",      "xray",       "year",         "years",
    "yes",        "young",
};

bool dcm_is_common(const uint8_t *folded, size_t n)
{
    size_t lo = 0, hi = sizeof words / sizeof *words;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2, len = strlen(words[mid]);
        int c = memcmp(words[mid], folded, len < n ? len : n);
        if (c == 0 && len == n)
            return true;
        if (c < 0 || (c == 0 && len < n))
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}
