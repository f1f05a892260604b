/* webcharset.c - see webcharset.h. */
#include "webcharset.h"

#include <string.h>
#include <strings.h>

#include "charset.h"
#include "headfield.h"
#include "utf8.h"

const char *ds_webcharset_name(const char *label)
{
    static const char *const names[][2] = {
        {"ascii", "CP1252"},          {"us-ascii", "CP1252"},
        {"ansi_x3.4-1968", "CP1252"}, {"iso-8859-1", "CP1252"},
        {"iso8859-1", "CP1252"},      {"iso_8859-1", "CP1252"},
        {"latin1", "CP1252"},         {"l1", "CP1252"},
        {"x-cp1252", "CP1252"},       {"iso-8859-9", "CP1254"},
        {"iso8859-9", "CP1254"},      {"latin5", "CP1254"},
        {"iso-8859-11", "CP874"},     {"tis-620", "CP874"},
        {"windows-874", "CP874"},     {"dos-874", "CP874"},
        {"gb2312", "GB18030"},        {"gb_2312-80", "GB18030"},
        {"x-gbk", "GB18030"},         {"gbk", "GB18030"},
        {"big5", "BIG5-HKSCS"},       {"x-x-big5", "BIG5-HKSCS"},
        {"cn-big5", "BIG5-HKSCS"},    {"shift_jis", "CP932"},
        {"shift-jis", "CP932"},       {"sjis", "CP932"},
        {"x-sjis", "CP932"},          {"ms_kanji", "CP932"},
        {"windows-31j", "CP932"},     {"euc-kr", "CP949"},
        {"ks_c_5601-1987", "CP949"},  {"ks_c_5601-1989", "CP949"},
        {"ksc5601", "CP949"},         {"korean", "CP949"},
        {"windows-949", "CP949"},     {"iso-8859-8-i", "ISO-8859-8"},
        {"unicode", "UTF-16LE"},      {"utf-16", "UTF-16LE"},
        {"x-euc-jp", "EUC-JP"},       {"x-mac-roman", "MACINTOSH"},
        {"mac", "MACINTOSH"},         {"unicode-1-1-utf-8", "UTF-8"},
        {"x-unicode20utf8", "UTF-8"}, {"utf8mb4", "UTF-8"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(label, names[i][0]) == 0)
            return names[i][1];
    return label;
}

/* ---- what a page says of itself ---- */

static const uint8_t *spaces(const uint8_t *p, const uint8_t *end)
{
    while (p < end && (ds_ascii_white(*p) || *p == '/'))
        p++;
    return p;
}

typedef struct attribute {
    const uint8_t *name, *value;
    size_t name_len, value_len;
} attribute;

/* The next attribute of a tag; behind it. NULL where the tag ends. */
static const uint8_t *next_attribute(const uint8_t *p, const uint8_t *end, attribute *a)
{
    p = spaces(p, end);
    if (p == end || *p == '>')
        return NULL;
    *a = (attribute){.name = p};
    while (p < end && *p != '=' && *p != '>' && *p != '/' && !ds_ascii_white(*p))
        p++;
    a->name_len = (size_t)(p - a->name);
    while (p < end && ds_ascii_white(*p))
        p++;
    if (p == end || *p != '=')
        return p > a->name ? p : p + 1;
    for (p++; p < end && ds_ascii_white(*p);)
        p++;
    const uint8_t quote = p < end && (*p == '"' || *p == '\'') ? *p++ : 0;
    a->value = p;
    while (p < end && (quote ? *p != quote : *p != '>' && !ds_ascii_white(*p)))
        p++;
    a->value_len = (size_t)(p - a->value);
    return quote && p < end ? p + 1 : p;
}

/* "charset=x" in the value of a content attribute. */
static bool in_content(const uint8_t *p, size_t len, const uint8_t **label, size_t *n)
{
    for (const uint8_t *end = p + len; p < end; p++) {
        if (!ds_bytes_begin(p, (size_t)(end - p), "charset"))
            continue;
        const uint8_t *q = spaces(p + 7, end);
        if (q == end || *q != '=')
            continue;
        q = spaces(q + 1, end);
        if (q < end && (*q == '"' || *q == '\''))
            q++;
        *label = q;
        while (q < end && *q != ';' && *q != '"' && *q != '\'' && !ds_ascii_white(*q))
            q++;
        *n = (size_t)(q - *label);
        return *n > 0;
    }
    return false;
}

static const uint8_t *meta_tag(const uint8_t *p, const uint8_t *end, const uint8_t **label,
                               size_t *n)
{
    const uint8_t *content = NULL, *next;
    size_t content_len = 0;
    bool pragma = false;
    attribute a;
    for (; (next = next_attribute(p, end, &a)) != NULL; p = next) {
        if (ds_bytes_are(a.name, a.name_len, "charset") && a.value_len > 0 && *n == 0) {
            *label = a.value;
            *n = a.value_len;
        } else if (ds_bytes_are(a.name, a.name_len, "http-equiv")) {
            pragma = ds_bytes_are(a.value, a.value_len, "content-type");
        } else if (ds_bytes_are(a.name, a.name_len, "content")) {
            (void)in_content(a.value, a.value_len, &content, &content_len);
        }
    }
    if (*n == 0 && pragma && content_len > 0) {
        *label = content;
        *n = content_len;
    }
    return p;
}

static const uint8_t *step_over(const uint8_t *p, const uint8_t *end)
{
    if (ds_bytes_begin(p, (size_t)(end - p), "<!--")) {
        const uint8_t *q = memmem(p + 2, (size_t)(end - p - 2), "-->", 3);
        return q ? q + 3 : end;
    }
    return p + 1;
}

int ds_webcharset_meta(const uint8_t *p, size_t len, ds_buf *label)
{
    if (len == 0)
        return 0;
    const uint8_t *end = p + (len < DS_WEBCHARSET_LOOK ? len : DS_WEBCHARSET_LOOK), *found = NULL;
    size_t n = 0;
    attribute a;
    if (ds_bytes_begin(p, (size_t)(end - p), "<?xml")) {
        const uint8_t *q = p + 5;
        for (; n == 0 && (q = next_attribute(q, end, &a)) != NULL && *a.name != '?';)
            if (ds_bytes_are(a.name, a.name_len, "encoding")) {
                found = a.value;
                n = a.value_len;
            }
    }
    while (n == 0 && p < end && (p = memchr(p, '<', (size_t)(end - p))) != NULL) {
        if (ds_bytes_begin(p, (size_t)(end - p), "<meta") && end - p > 5 &&
            (ds_ascii_white(p[5]) || p[5] == '/'))
            p = meta_tag(p + 5, end, &found, &n);
        else
            p = step_over(p, end);
    }
    /* What can be read this far is not in units of two or four bytes. */
    if (ds_bytes_begin(found, n, "utf-16") || ds_bytes_begin(found, n, "utf-32"))
        return ds_buf_puts(label, "utf-8") ? DS_NOMEM : 1;
    return n == 0 ? 0 : ds_buf_put(label, found, n) ? DS_NOMEM : 1;
}

/* ---- as UTF-8 ---- */

static bool known(const char *name)
{
    return ds_charset_is_utf8(name) || ds_charset_check(name, NULL) == 0;
}

/* Of bytes that the end of what was kept may have cut in a character: without that. */
static size_t uncut(const uint8_t *p, size_t len)
{
    const size_t good = ds_utf8_check(p, len);
    return len - good < 4 && good < len && p[good] >= 0xc0 ? good : len;
}

static int as_utf8(ds_buf *out, const uint8_t *p, size_t len, bool cut, ds_err *err)
{
    const size_t n = cut ? uncut(p, len) : len, good = ds_utf8_check(p, n);
    if (good < n)
        return ds_fail(err, DS_FAIL, "byte %zu of its text is not valid UTF-8", good);
    return ds_buf_put(out, p, n) ? ds_fail_nomem(err) : 0;
}

static int converted(ds_buf *out, const uint8_t *p, size_t len, const char *name, bool cut,
                     ds_err *err)
{
    ds_charset *c = NULL;
    ds_err why = {0};
    int rc = ds_charset_new(&c, name, err);
    if (rc == 0)
        rc = ds_charset_feed(c, p, len, !cut, out, &why);
    ds_charset_free(c);
    return rc == DS_FAIL ? ds_fail(err, DS_FAIL, "its text: %s", why.msg)
           : rc          ? ds_fail_nomem(err)
                         : 0;
}

int ds_webcharset_text(ds_buf *out, const uint8_t *p, size_t len, const char *const *said,
                       size_t nsaid, const char *otherwise, bool cut, ds_err *err)
{
    size_t mark = 0;
    if (len == 0)
        return 0;
    const char *name = ds_charset_bom(p, len, &mark), *unknown = NULL;
    for (size_t i = 0; i < nsaid && !name; i++) {
        if (!said[i] || !*said[i])
            continue;
        const char *its = ds_webcharset_name(said[i]);
        if (known(its))
            name = its;
        else if (!unknown)
            unknown = said[i];
    }
    if (!name && unknown)
        return ds_fail(err, DS_FAIL, "it says that it is in \"%.60s\", which is no known encoding",
                       unknown);
    if (!name && otherwise) {
        const size_t good = ds_utf8_check(p, len);
        bool ascii = true;
        for (size_t i = 0; ascii && i < len; i++)
            ascii = p[i] < 0x80;
        name = good == len && !ascii ? "UTF-8" : otherwise;
    }
    if (!name || ds_charset_is_utf8(name))
        return as_utf8(out, p + mark, len - mark, cut, err);
    return converted(out, p + mark, len - mark, name, cut, err);
}
