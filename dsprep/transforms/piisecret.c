/* piisecret.c - see piitext.h: keys and tokens (docs/transforms.md lists whose). */
#include "piipattern.h"
#include "piitext.h"

enum {
    UPPER = DS_PII_UPPER,
    DIGIT = DS_PII_DIGIT,
    UNDER = DS_PII_UNDER,
    HYPHEN = DS_PII_HYPHEN,
    ALNUM = 7,
    URL = 31,
    BASE64 = 39
};

static const struct {
    const char *prefix;
    unsigned set;
    size_t min, max;
} tokens[] = {
    {"AKIA", UPPER | DIGIT, 16, 16},
    {"ASIA", UPPER | DIGIT, 16, 16},
    {"ABIA", UPPER | DIGIT, 16, 16},
    {"ACCA", UPPER | DIGIT, 16, 16},
    {"ghp_", ALNUM, 36, 255},
    {"gho_", ALNUM, 36, 255},
    {"ghu_", ALNUM, 36, 255},
    {"ghs_", ALNUM, 36, 255},
    {"ghr_", ALNUM, 36, 255},
    {"github_pat_", ALNUM | UNDER, 22, 255},
    {"glpat-", URL, 20, 255},
    {"xoxb-", ALNUM | HYPHEN, 20, 255},
    {"xoxp-", ALNUM | HYPHEN, 20, 255},
    {"xoxa-", ALNUM | HYPHEN, 20, 255},
    {"xoxr-", ALNUM | HYPHEN, 20, 255},
    {"xoxs-", ALNUM | HYPHEN, 20, 255},
    {"xoxe-", ALNUM | HYPHEN, 20, 255},
    {"xapp-", ALNUM | HYPHEN, 20, 255},
    {"AIza", URL, 35, 35},
    {"sk_live_", ALNUM, 16, 255},
    {"rk_live_", ALNUM, 16, 255},
    {"rk_test_", ALNUM, 16, 255},
    {"sk_test_", ALNUM, 16, 255},
    {"sk-", URL, 32, 255},
    {"hf_", ALNUM, 34, 34},
    {"npm_", ALNUM, 36, 36},
    {"pypi-", URL, 60, 255},
    {"SG.", URL, 60, 80},
    {"LTAI", ALNUM, 12, 26},
};

static bool in_set(uint8_t c, unsigned set)
{
    return ds_pii_class[c] & set;
}

static size_t run_of(const ds_piitext *t, size_t at, unsigned set, size_t most)
{
    size_t n = 0;
    while (n <= most && in_set(peek(t, at + n), set))
        n++;
    return n;
}

/* Three parts of base64url; the first two are JSON objects, which begin with {" */
static size_t jwt(const ds_piitext *t, size_t at)
{
    size_t i = at;
    for (unsigned part = 0; part < 3; part++) {
        const size_t n = run_of(t, i, URL, 8192);
        if (n > 8192 || (part < 2 && (n < 10 || !stands(t, i, "eyJ"))))
            return 0;
        i += n;
        if (part < 2 && peek(t, i++) != '.')
            return 0;
    }
    return i;
}

static size_t token(const ds_piitext *t, size_t at)
{
    const char a = (char)t->p[at], b = (char)peek(t, at + 1);
    if (stands(t, at, "eyJ"))
        return jwt(t, at);
    for (size_t k = 0; k < sizeof tokens / sizeof *tokens; k++) {
        if (tokens[k].prefix[0] != a || tokens[k].prefix[1] != b ||
            !stands(t, at, tokens[k].prefix))
            continue;
        const size_t from = at + strlen(tokens[k].prefix);
        const size_t n = run_of(t, from, tokens[k].set, tokens[k].max);
        if (n >= tokens[k].min && n <= tokens[k].max && !wordly(peek(t, from + n)))
            return from + n;
    }
    return 0;
}

/* Of AWS: 40 characters that have no form of their own, behind a name that says what they are. */
static size_t aws_secret(const ds_piitext *t, size_t at)
{
    if (run_of(t, at, BASE64, 40) != 40)
        return 0;
    return said_before(t, at, "ecret") || said_before(t, at, "SECRET") ? at + 40 : 0;
}

enum { PEM_LABEL = 80, PEM_BODY = 64 << 10, PEM_CUT = 32 };

/* Where `word` is, in at most `within` bytes; its end, or 0. */
static size_t behind(const ds_piitext *t, size_t at, size_t within, const char *word)
{
    const size_t left = t->len - at, n = strlen(word);
    const uint8_t *p = memmem(t->p + at, left < within ? left : within, word, n);
    return p ? (size_t)(p - t->p) + n : 0;
}

/* Of a key that was cut off: as far as its base64 goes. Lines may be joined by "\\n". */
static size_t cut_pem(const ds_piitext *t, size_t body)
{
    size_t i = body, n = 0;
    for (; i < t->len && i - body < PEM_BODY; i++) {
        const uint8_t c = t->p[i], next = peek(t, i + 1);
        if (c == '\\' && (next == 'n' || next == 'r'))
            i++;
        else if (in_set(c, BASE64) || c == '=')
            n++;
        else if (c != '\n' && c != '\r')
            break;
    }
    while (i > body && (t->p[i - 1] == '\n' || t->p[i - 1] == '\r'))
        i--;
    return n >= PEM_CUT ? i : 0;
}

static size_t pem(const ds_piitext *t, size_t at)
{
    if (!stands(t, at, "-----BEGIN "))
        return 0;
    size_t body = behind(t, at, PEM_LABEL, "PRIVATE KEY-----");
    body = body ? body : behind(t, at, PEM_LABEL, "PRIVATE KEY BLOCK-----");
    const size_t end = body ? behind(t, body, PEM_BODY, "-----END ") : 0;
    const size_t close = end ? behind(t, end, PEM_LABEL, "-----") : 0;
    return close || !body ? close : cut_pem(t, body);
}

bool ds_pii_opens_key(const uint8_t *p, size_t len)
{
    while (len > 0 && p[len - 1] <= ' ')
        len--;
    if (len < 5 || p[len - 1] != '-')
        return false;
    const size_t from = len > PEM_LABEL ? len - PEM_LABEL : 0;
    const ds_piitext t = {.p = p, .len = len};
    const size_t begin = behind(&t, from, PEM_LABEL, "-----BEGIN ");
    return begin && (behind(&t, begin, PEM_LABEL, "PRIVATE KEY-----") == len ||
                     behind(&t, begin, PEM_LABEL, "PRIVATE KEY BLOCK-----") == len);
}

/* Nothing that is looked for is shorter than 16 bytes, or has another byte in its first ten than
 * these, but for the point of "SG.". Most words are. */
static bool too_short(const ds_piitext *t, size_t at)
{
    if (t->len - at < 16)
        return true;
    for (size_t i = 3; i < 10; i++)
        if (!in_set(t->p[at + i], URL | BASE64))
            return true;
    return false;
}

size_t ds_pii_secret(const ds_piitext *t, size_t at)
{
    if (t->p[at] == '-')
        return pem(t, at);
    if (too_short(t, at))
        return 0;
    const size_t end = letter(t->p[at]) ? token(t, at) : 0;
    return end ? end : aws_secret(t, at);
}
