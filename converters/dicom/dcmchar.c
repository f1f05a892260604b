/* dcmchar.c - see dcmchar.h. The C library's iconv has no JIS X 0208 or 0212 by itself: they go
 * through EUC-JP, which is their code points with the high bit set (0212 behind 0x8f); KS X 1001
 * through EUC-KR and GB 2312 through EUC-CN, which is how DICOM invokes them anyway. */
#include "dcmchar.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "utf8.h"

#define ESC 0x1b
#define CHARSET_TAG 0x00080005

enum { SINGLES = 11, KATAKANA = SINGLES, KSX, GB2312, NOTHING };
enum { ASCII, ROMAJI, J0208, J0212 };
enum { M_2022, M_UTF8, M_GB18030, M_GBK };
enum { EUCJP, EUCKR, EUCCN, GB18030, GBK, FALLBACK, CONVERTERS };

static const struct {
    unsigned ir;
    char final; /* of ESC - F, its designation to G1 */
    const char *name;
} singles[SINGLES] = {
    {100, 'A', "ISO-8859-1"}, {101, 'B', "ISO-8859-2"},  {109, 'C', "ISO-8859-3"},
    {110, 'D', "ISO-8859-4"}, {144, 'L', "ISO-8859-5"},  {127, 'G', "ISO-8859-6"},
    {126, 'F', "ISO-8859-7"}, {138, 'H', "ISO-8859-8"},  {148, 'M', "ISO-8859-9"},
    {166, 'T', "TIS-620"},    {203, 'b', "ISO-8859-15"},
};

struct dcm_char {
    int mode;
    int g0, g1;        /* what holds after every reset */
    int implied;       /* a set of two bytes that is declared and may come without its escape */
    unsigned declared; /* bit per set of G1, and J0208, J0212 above */
    unsigned flags;    /* of the declaration itself */
    bool no_latin1, no_utf8; /* though it says so, or looks so */
    char fallback[32];
    iconv_t cd[CONVERTERS];
    bool have[SINGLES];
    uint16_t high[SINGLES][128]; /* 0: undefined */
};

static int open_cd(dcm_char *c, int which, ds_err *err)
{
    static const char *const names[] = {"EUC-JP", "EUC-KR", "EUC-CN", "GB18030", "GBK"};
    const char *name = which == FALLBACK ? c->fallback : names[which];
    if (c->cd[which] != (iconv_t)-1)
        return 0;
    c->cd[which] = iconv_open("UTF-8", name);
    if (c->cd[which] == (iconv_t)-1)
        return ds_fail(err, which == FALLBACK ? DS_USAGE : DS_FAIL,
                       "the C library cannot convert %s", name);
    return 0;
}

static int load_single(dcm_char *c, int which, ds_err *err)
{
    if (c->have[which])
        return 0;
    iconv_t cd = iconv_open("UTF-16LE", singles[which].name);
    if (cd == (iconv_t)-1)
        return ds_fail(err, DS_FAIL, "the C library cannot convert %s", singles[which].name);
    for (unsigned i = 0; i < 128; i++) {
        char in = (char)(128 + i), out[8], *ip = &in, *op = out;
        size_t il = 1, ol = sizeof out;
        if (iconv(cd, &ip, &il, &op, &ol) != (size_t)-1 && sizeof out - ol == 2)
            c->high[which][i] = (uint16_t)((uint8_t)out[0] | (uint8_t)out[1] << 8);
        else
            iconv(cd, NULL, NULL, NULL, NULL);
    }
    iconv_close(cd);
    c->have[which] = true;
    return 0;
}

static int put_code(ds_buf *out, uint32_t u)
{
    uint8_t b[4];
    return ds_buf_put(out, b, ds_utf8_put(b, u));
}

static int put_bad(ds_buf *out, unsigned *flags)
{
    *flags |= DCM_CHAR_REPLACED;
    return put_code(out, 0xfffd);
}

/* "ISO_IR 100", "ISO 2022 IR 100" and the spellings that are met: the number, 0 when it is none. */
static unsigned ir_number(const char *p, size_t n)
{
    unsigned v = 0;
    size_t at = n;
    while (at > 0 && p[at - 1] >= '0' && p[at - 1] <= '9')
        at--;
    if (n < 3 || strncasecmp(p, "ISO", 3) != 0 || at == n || n - at > 3)
        return 0;
    for (; at < n; at++)
        v = v * 10 + (unsigned)(p[at] - '0');
    return v;
}

static bool is_term(const char *p, size_t n, const char *term)
{
    return n == strlen(term) && strncasecmp(p, term, n) == 0;
}

/* The k-th term of (0008,0005). */
static int declare(dcm_char *c, unsigned k, const char *p, size_t n, ds_err *err)
{
    unsigned ir = ir_number(p, n);
    if (ir == 192 || is_term(p, n, "UTF-8") || is_term(p, n, "UTF8")) {
        c->mode = M_UTF8;
    } else if (is_term(p, n, "GB18030")) {
        c->mode = M_GB18030;
        return open_cd(c, GB18030, err);
    } else if (is_term(p, n, "GBK") || is_term(p, n, "GB2312")) {
        c->mode = M_GBK;
        return open_cd(c, GBK, err);
    } else if (ir == 13) {
        c->declared |= 1u << KATAKANA;
        if (k == 0) {
            c->g0 = ROMAJI;
            c->g1 = KATAKANA;
        }
    } else if (ir == 87 || ir == 159) {
        c->declared |= 1u << (ir == 87 ? NOTHING + J0208 : NOTHING + J0212);
    } else if (ir == 149 || ir == 58) {
        int set = ir == 149 ? KSX : GB2312;
        c->declared |= 1u << set;
        c->implied = c->implied == NOTHING ? set : c->implied;
        if (k == 0)
            c->g1 = set;
    } else if (ir != 6) {
        int i = 0;
        while (i < SINGLES && singles[i].ir != ir)
            i++;
        if (i == SINGLES) {
            c->flags |= DCM_CHAR_UNKNOWN_SET;
            return 0;
        }
        c->declared |= 1u << i;
        if (k == 0)
            c->g1 = i;
    }
    return 0;
}

int dcm_char_new(dcm_char **out, const dcm_set *s, const char *fallback, ds_err *err)
{
    dcm_char *c = *out = calloc(1, sizeof *c);
    const dcm_elem *e = NULL;
    int rc = 0;
    if (!c)
        return ds_fail_nomem(err);
    c->g1 = c->implied = NOTHING;
    for (int i = 0; i < CONVERTERS; i++)
        c->cd[i] = (iconv_t)-1;
    for (; s && !e; s = s->parent) {
        e = dcm_set_find(s, CHARSET_TAG);
        for (unsigned k = 0, n = e ? dcm_get_count(s, CHARSET_TAG) : 0; k < n && rc == 0; k++) {
            const char *p;
            size_t len;
            if (dcm_elem_text(e, k, &p, &len))
                rc = declare(c, k, p, len, err);
        }
    }
    if (rc == 0 && fallback) {
        if (strlen(fallback) >= sizeof c->fallback || strchr(fallback, '/'))
            rc = ds_fail(err, DS_USAGE, "no such encoding: %s", fallback);
        else
            memcpy(c->fallback, fallback, strlen(fallback) + 1);
        if (rc == 0)
            rc = open_cd(c, FALLBACK, err);
    }
    if (rc != 0) {
        dcm_char_free(c);
        *out = NULL;
    }
    return rc;
}

void dcm_char_free(dcm_char *c)
{
    if (!c)
        return;
    for (int i = 0; i < CONVERTERS; i++)
        if (c->cd[i] != (iconv_t)-1)
            iconv_close(c->cd[i]);
    free(c);
}

/* All of (p, len) through one converter; what it refuses becomes U+FFFD, byte by byte. */
static int convert(iconv_t cd, const uint8_t *p, size_t len, ds_buf *out, unsigned *flags)
{
    char *in = (char *)(uintptr_t)p; /* iconv does not write to it */
    iconv(cd, NULL, NULL, NULL, NULL);
    while (len > 0) {
        if (ds_buf_reserve(out, 4 * len + 16) != 0)
            return DS_NOMEM;
        char *o = (char *)out->data + out->len;
        size_t left = out->cap - out->len, room = left;
        size_t got = iconv(cd, &in, &len, &o, &left);
        out->len += room - left;
        if (got != (size_t)-1 || errno == E2BIG)
            continue;
        if (put_bad(out, flags) != 0)
            return DS_NOMEM;
        in++;
        len--;
        iconv(cd, NULL, NULL, NULL, NULL);
    }
    return 0;
}

static int put_utf8(const uint8_t *p, size_t len, ds_buf *out, unsigned *flags)
{
    int rc = 0;
    while (len > 0 && rc == 0) {
        size_t good = ds_utf8_check(p, len);
        rc = ds_buf_put(out, p, good);
        p += good;
        len -= good;
        if (len > 0 && rc == 0) {
            rc = put_bad(out, flags);
            p++;
            len--;
        }
    }
    return rc;
}

/* Nobody can say what stands there; to let pass what looks like UTF-8 would let names pass. */
static int put_blank(const uint8_t *p, size_t len, ds_buf *out, unsigned *flags)
{
    int rc = 0;
    for (size_t i = 0; i < len && rc == 0; i++)
        rc = p[i] < 0x80 ? ds_buf_putc(out, p[i]) : put_bad(out, flags);
    return rc;
}

/* Bytes above 0x7f where nothing says what they are. */
static int put_unknown(dcm_char *c, const uint8_t *p, size_t len, ds_buf *out, unsigned *flags)
{
    *flags |= DCM_CHAR_UNDECLARED;
    if (!c->no_utf8 && dcm_doubt_is_utf8(p, len))
        return put_utf8(p, len, out, flags);
    if (c->cd[FALLBACK] != (iconv_t)-1)
        return convert(c->cd[FALLBACK], p, len, out, flags);
    return c->no_utf8 ? put_blank(p, len, out, flags) : put_utf8(p, len, out, flags);
}

typedef struct state {
    int g0, g1;
} state;

static size_t escape(const dcm_char *c, const uint8_t *p, size_t len, state *s, unsigned *flags)
{
    int i;
    unsigned set = 0;
    size_t used = 3;
    if (len < 3)
        return 0;
    if (p[1] == '(' && (p[2] == 'B' || p[2] == 'J')) {
        s->g0 = p[2] == 'B' ? ASCII : ROMAJI;
        return 3;
    }
    if (p[1] == ')' && p[2] == 'I') {
        s->g1 = KATAKANA;
        set = 1u << KATAKANA;
    } else if (p[1] == '-') {
        for (i = 0; i < SINGLES && singles[i].final != (char)p[2]; i++)
            ;
        if (i == SINGLES)
            return 0;
        s->g1 = i;
        set = 1u << i;
    } else if (p[1] == '$' && (p[2] == 'B' || p[2] == '@')) {
        s->g0 = J0208;
        set = 1u << (NOTHING + J0208);
    } else if (p[1] == '$' && len >= 4 && p[2] == '(' && (p[3] == 'D' || p[3] == 'B')) {
        s->g0 = p[3] == 'D' ? J0212 : J0208;
        set = 1u << (NOTHING + s->g0);
        used = 4;
    } else if (p[1] == '$' && len >= 4 && p[2] == ')' && (p[3] == 'C' || p[3] == 'A')) {
        s->g1 = p[3] == 'C' ? KSX : GB2312;
        set = 1u << s->g1;
        used = 4;
    } else {
        return 0;
    }
    if (!(c->declared & set))
        *flags |= DCM_CHAR_UNDECLARED;
    return used;
}

/* Two bytes of a set of 94 x 94. */
static int put_pair(dcm_char *c, int which, bool third, const uint8_t *p, ds_buf *out,
                    unsigned *flags, ds_err *err)
{
    uint8_t b[3] = {0x8f, p[0] | 0x80, p[1] | 0x80};
    unsigned bad = 0;
    int rc = open_cd(c, which, err);
    if (rc != 0)
        return rc;
    size_t mark = out->len;
    rc =
        third ? convert(c->cd[which], b, 3, out, &bad) : convert(c->cd[which], b + 1, 2, out, &bad);
    if (rc == 0 && bad) { /* one mark for the pair */
        out->len = mark;
        rc = put_bad(out, flags);
    }
    return rc == 0 ? 0 : ds_fail_nomem(err);
}

static bool is_delimiter(uint16_t vr, uint8_t b)
{
    if (b == '\t' || b == '\n' || b == '\f' || b == '\r')
        return true;
    if (vr == DCM_VR('P', 'N'))
        return b == '\\' || b == '^' || b == '=';
    return b == '\\' &&
           (vr == DCM_VR('S', 'H') || vr == DCM_VR('L', 'O') || vr == DCM_VR('U', 'C'));
}

static bool in94(uint8_t b)
{
    return b > 0x20 && b < 0x7f;
}

/* One character at p: how many bytes it took, or a negative code. */
static int one(dcm_char *c, const state *s, const uint8_t *p, size_t len, ds_buf *out,
               unsigned *flags, ds_err *err)
{
    int rc, used = 1;
    if (p[0] < 0x80) {
        if (s->g0 >= J0208 && len >= 2 && in94(p[0]) && in94(p[1])) {
            rc = put_pair(c, EUCJP, s->g0 == J0212, p, out, flags, err);
            return rc ? rc : 2;
        }
        if (s->g0 == ROMAJI && p[0] == 0x7e)
            rc = put_code(out, 0x203e);
        else
            rc = ds_buf_putc(out, p[0]);
    } else if (s->g1 < SINGLES) {
        rc = load_single(c, s->g1, err);
        if (rc != 0)
            return rc;
        uint16_t u = c->high[s->g1][p[0] - 128];
        rc = u ? put_code(out, u) : put_bad(out, flags);
    } else if (s->g1 == KATAKANA && p[0] > 0xa0 && p[0] < 0xe0) {
        rc = put_code(out, 0xff61u + p[0] - 0xa1);
    } else if ((s->g1 == KSX || s->g1 == GB2312) && len >= 2 && p[0] > 0xa0 && p[1] > 0xa0) {
        rc = put_pair(c, s->g1 == KSX ? EUCKR : EUCCN, false, p, out, flags, err);
        return rc ? rc : 2;
    } else {
        rc = put_bad(out, flags);
    }
    return rc == 0 ? used : ds_fail_nomem(err);
}

static int put_2022(dcm_char *c, uint16_t vr, const uint8_t *p, size_t len, ds_buf *out,
                    unsigned *flags, ds_err *err)
{
    const state reset = {c->g0, c->g1};
    state s = reset;
    size_t at = 0;
    while (at < len) {
        int used = 0;
        if (p[at] == ESC) {
            used = (int)escape(c, p + at, len - at, &s, flags);
            if (used == 0 && put_bad(out, flags) != 0)
                return ds_fail_nomem(err);
            at += used ? (size_t)used : 1;
            continue;
        }
        bool pair = s.g0 >= J0208 && len - at >= 2 && in94(p[at]) && in94(p[at + 1]);
        if (!pair && is_delimiter(vr, p[at]))
            s = reset;
        used = one(c, &s, p + at, len - at, out, flags, err);
        if (used < 0)
            return used;
        at += (size_t)used;
    }
    return 0;
}

/* Sets whose bytes from 0x80 to 0xbf are signs, not letters. */
static bool is_latin1(int g1)
{
    return g1 < SINGLES && (singles[g1].ir == 100 || singles[g1].ir == 148);
}

/* ISO_IR 100. Turkish, which 148 is for, has words that dcmdoubt.h would wonder at. */
static bool says_latin1(const dcm_char *c)
{
    return c->mode == M_2022 && c->g1 < SINGLES && singles[c->g1].ir == 100;
}

void dcm_char_weigh(const dcm_char *c, uint16_t vr, const void *p, size_t len, dcm_doubt *d)
{
    const bool none = c->mode == M_2022 && c->g1 == NOTHING && c->implied == NOTHING;
    if (dcm_vr_is_text(vr) && (says_latin1(c) || none) && !memchr(p, ESC, len))
        dcm_doubt_add(d, p, len, !none);
}

void dcm_char_believe(dcm_char *c, const dcm_doubt *d)
{
    c->no_latin1 = says_latin1(c) && dcm_doubt_latin1(d);
    c->no_utf8 = c->mode == M_2022 && dcm_doubt_utf8(d);
}

int dcm_char_utf8(dcm_char *c, uint16_t vr, const void *data, size_t len, ds_buf *out,
                  unsigned *flags, ds_err *err)
{
    const uint8_t *p = data;
    bool high = false, esc = false;
    int rc;
    for (size_t i = 0; i < len; i++) {
        high |= p[i] > 0x7f;
        esc |= p[i] == ESC;
    }
    if (!high && !esc && (c->g0 == ASCII || c->mode != M_2022 || !dcm_vr_is_text(vr)))
        return ds_buf_put(out, p, len) == 0 ? 0 : ds_fail_nomem(err);
    *flags |= c->flags;
    if (!dcm_vr_is_text(vr)) { /* (0008,0005) does not hold for it */
        rc = put_unknown(c, p, len, out, flags);
    } else if (c->mode == M_GB18030 || c->mode == M_GBK) {
        rc = convert(c->cd[c->mode == M_GBK ? GBK : GB18030], p, len, out, flags);
    } else if (c->mode == M_UTF8) {
        bool good = ds_utf8_check(p, len) == len;
        rc = good ? ds_buf_put(out, p, len) : put_unknown(c, p, len, out, flags);
    } else if (high && !esc && c->no_latin1) {
        rc = put_unknown(c, p, len, out, flags);
    } else if (high && !esc && is_latin1(c->g1) && ds_utf8_check(p, len) == len) {
        /* Nobody writes what UTF-8 looks like in Latin-1, and many declare the one for the other.
         */
        *flags |= DCM_CHAR_UNDECLARED;
        rc = ds_buf_put(out, p, len);
    } else if (high && !esc && c->g1 == NOTHING) {
        if (c->implied != NOTHING && ds_utf8_check(p, len) != len) {
            int which = c->implied == KSX ? EUCKR : EUCCN;
            *flags |= DCM_CHAR_UNDECLARED;
            rc = open_cd(c, which, err);
            if (rc != 0)
                return rc;
            rc = convert(c->cd[which], p, len, out, flags);
        } else {
            rc = put_unknown(c, p, len, out, flags);
        }
    } else {
        return put_2022(c, vr, p, len, out, flags, err);
    }
    return rc == 0 ? 0 : ds_fail_nomem(err);
}
