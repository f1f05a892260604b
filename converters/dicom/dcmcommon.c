/* dcmcommon.c - see dcmcommon.h. */
#include "dcmcommon.h"

#include <string.h>

/* Sorted. */
static const char *const words[] = {
    "abdomen",  "acute",      "adult",      "ankle",        "anonym",  "anonymized", "anonymous",
    "anterior", "aorta",      "apex",       "apr",          "april",   "arm",        "arms",
    "art",      "aug",        "august",     "axial",        "back",    "base",       "bed",
    "belly",    "best",       "big",        "black",        "blood",   "blue",       "body",
    "bone",     "bones",      "brain",      "bright",       "brown",   "cancer",     "cardiac",
    "center",   "chest",      "child",      "clear",        "clinic",  "coil",       "contrast",
    "cord",     "coronal",    "cross",      "current",      "day",     "days",       "dec",
    "deep",     "default",    "detector",   "device",       "dicom",   "diffusion",  "disc",
    "disk",     "distal",     "doctor",     "dose",         "dummy",   "ear",        "early",
    "east",     "elbow",      "end",        "enhanced",     "exam",    "example",    "eye",
    "face",     "faith",      "false",      "feb",          "feet",    "female",     "femur",
    "field",    "film",       "filter",     "final",        "fine",    "flat",       "flow",
    "foot",     "frame",      "free",       "friday",       "front",   "full",       "gain",
    "general",  "generic",    "gray",       "green",        "grey",    "hand",       "hands",
    "hard",     "head",       "heart",      "heel",         "help",    "high",       "hill",
    "hip",      "home",       "hospital",   "image",        "images",  "infant",     "input",
    "instance", "jan",        "joint",      "joy",          "jul",     "july",       "jun",
    "june",     "kernel",     "kidney",     "knee",         "knife",   "lab",        "large",
    "late",     "lateral",    "leaf",       "left",         "leg",     "lens",       "light",
    "limb",     "line",       "liver",      "localizer",    "long",    "lower",      "lumbar",
    "lung",     "main",       "male",       "man",          "manual",  "mar",        "march",
    "mark",     "mask",       "mass",       "matrix",       "may",     "medial",     "medical",
    "medicine", "medium",     "mid",        "middle",       "mild",    "mode",       "model",
    "monday",   "motion",     "mouth",      "name",         "natural", "neck",       "new",
    "none",     "normal",     "north",      "nose",         "not",     "nov",        "null",
    "obese",    "object",     "oct",        "old",          "open",    "operator",   "original",
    "other",    "output",     "page",       "pain",         "patient", "pelvis",     "person",
    "phantom",  "phase",      "physician",  "plain",        "plane",   "point",      "port",
    "position", "post",       "posterior",  "prior",        "probe",   "process",    "protocol",
    "proximal", "radiology",  "rapid",      "read",         "reader",  "report",     "research",
    "rib",      "ribs",       "rich",       "right",        "ring",    "room",       "rose",
    "routine",  "sample",     "saturday",   "save",         "scan",    "scanner",    "scout",
    "sep",      "sequence",   "series",     "serum",        "service", "sex",        "sharp",
    "shield",   "short",      "shoulder",   "side",         "signal",  "silver",     "sinus",
    "site",     "skin",       "skull",      "slice",        "small",   "smooth",     "soft",
    "south",    "special",    "spin",       "spine",        "spring",  "standard",   "state",
    "station",  "stem",       "stent",      "stone",        "strong",  "student",    "study",
    "subject",  "summer",     "sunday",     "supine",       "surgery", "sweet",      "system",
    "table",    "tech",       "technician", "technologist", "test",    "tester",     "testing",
    "thin",     "thursday",   "tissue",     "tone",         "tooth",   "torso",      "trauma",
    "trial",    "true",       "tube",       "tuesday",      "type",    "ultrasound", "uni",
    "unit",     "university", "unknown",    "unspecified",  "upper",   "user",       "valve",
    "vein",     "venous",     "vessel",     "view",         "volume",  "wall",       "ward",
    "water",    "wave",       "weak",       "wednesday",    "west",    "white",      "whole",
    "will",     "winter",     "wise",       "woman",        "work",    "wrist",      "xray",
    "year",     "years",      "yes",        "young",
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
