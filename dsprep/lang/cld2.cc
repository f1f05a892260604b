// cld2.cc - libds-cld2.so: the language of a text, by Compact Language Detector 2 (langpart.h).
#include <cstdio> // the next one needs it
#include <cstring>

#include <cld2/public/compact_lang_det.h>
#include <cld2/public/encodings.h>

extern "C" {
#include "langpart.h"
}

// Codes that BCP 47 has under other names.
static const char *code_of(CLD2::Language l)
{
    static const struct {
        const char *old, *now;
    } renamed[] = {{"un", "und"}, {"iw", "he"}, {"jw", "jv"}, {"tl", "fil"}, {"mo", "ro"}};
    const char *code = CLD2::LanguageCode(l);
    for (const auto &r : renamed)
        if (std::strcmp(code, r.old) == 0)
            return r.now;
    return code;
}

// Of its tables (kRecognizedLangScripts of the small tables, which Debian's library has), and those
// that a script alone tells; under the names above.
static const char codes[] =
    "af am ar az be bg bh bn bo bs ca ceb chr cs cy da de dv el en es et eu fa fi fil fr ga gd "
    "gl gu he hi hmn hr ht hu hy id is it iu ja jv ka kk km kn ko ku ky lg lif lo lt lv mg mk "
    "ml mn mr ms mt my ne nl no ny or pa pl pt ro ru rw si sk sl sq sr st su sv sw syr ta te tg "
    "th tr uk ur uz vi yi zh zh-Hant ";

static void guess(ds_langguess *out, const char *text, size_t len, bool best)
{
    CLD2::Language top[3] = {CLD2::UNKNOWN_LANGUAGE, CLD2::UNKNOWN_LANGUAGE,
                             CLD2::UNKNOWN_LANGUAGE};
    const CLD2::CLDHints none = {nullptr, nullptr, CLD2::UNKNOWN_ENCODING, CLD2::UNKNOWN_LANGUAGE};
    int percent[3] = {0, 0, 0}, bytes = 0;
    double score[3] = {0, 0, 0};
    bool reliable = false;
    CLD2::ExtDetectLanguageSummary(text, static_cast<int>(len), true, &none,
                                   best ? CLD2::kCLDFlagBestEffort : 0, top, percent, score,
                                   nullptr, &bytes, &reliable);
    const char *code = code_of(top[0]);
    const size_t n = std::strlen(code);
    // "xx-Runr" and the like name a script and no language.
    const bool known =
        std::strcmp(code, "und") != 0 && std::strncmp(code, "xx", 2) != 0 && n < sizeof out->code;
    std::memset(out, 0, sizeof *out);
    std::memcpy(out->code, known ? code : "und", known ? n : 3);
    out->percent = known ? percent[0] : 0;
    out->reliable = known && reliable;
}

extern "C" __attribute__((visibility("default"))) const ds_langpart *ds_cld2_part(void);

const ds_langpart *ds_cld2_part(void)
{
    static char model[64];
    static ds_langpart part = {model, codes, guess};
    if (!model[0]) {
        std::strncpy(model, "CLD2 ", sizeof model - 1);
        std::strncat(model, CLD2::DetectLanguageVersion(), sizeof model - 6);
    }
    return &part;
}
