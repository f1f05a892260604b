/* dcmids.c - see dcmproof.h: which identifiers an input held, and their variants. */
#include "dcmids.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dcmcommon.h"
#include "dcmdate.h"
#include "dcmtree.h"
#include "dcmword.h"
#include "hash.h"

int dcm_ids_new(dcm_ids **s, ds_err *err)
{
    *s = calloc(1, sizeof **s);
    return *s ? 0 : ds_fail_nomem(err);
}

void dcm_ids_free(dcm_ids *s)
{
    if (!s)
        return;
    free(s->v);
    free(s->table);
    ds_buf_fini(&s->text);
    free(s);
}

size_t dcm_ids_count(const dcm_ids *s)
{
    return s->n;
}

size_t dcm_ids_left_out(const dcm_ids *s)
{
    return s->left_out;
}

static uint32_t *slot_of(const dcm_ids *s, const uint8_t *words, size_t n)
{
    size_t at = (size_t)ds_xxh64(words, n) & (s->ntable - 1);
    while (s->table[at]) {
        const dcm_id *id = &s->v[s->table[at] - 1];
        if (id->nwords == n && memcmp(s->text.data + id->words, words, n) == 0)
            break;
        at = (at + 1) & (s->ntable - 1);
    }
    return &s->table[at];
}

bool dcm_ids_has(const dcm_ids *s, const uint8_t *words, size_t n)
{
    return s->ntable && *slot_of(s, words, n) != 0;
}

static int make_room(dcm_ids *s, ds_err *err)
{
    if (ds_grow(&s->v, &s->cap, s->n, sizeof *s->v))
        return ds_fail_nomem(err);
    if (s->n * 2 < s->ntable)
        return 0;
    size_t n = s->ntable ? s->ntable * 2 : 256;
    uint32_t *table = calloc(n, sizeof *table);
    if (!table)
        return ds_fail_nomem(err);
    free(s->table);
    s->table = table;
    s->ntable = n;
    for (size_t i = 0; i < s->n; i++)
        *slot_of(s, s->text.data + s->v[i].words, s->v[i].nwords) = (uint32_t)i + 1;
    return 0;
}

/* Adds folded words; raw may be NULL. The first attribute that held it names it. */
static int put(dcm_ids *s, const dcm_id *like, const void *words, size_t nwords, const void *raw,
               size_t nraw, ds_err *err)
{
    dcm_id id = *like;
    if (s->text.len + nwords + nraw > UINT32_MAX || s->n >= UINT32_MAX / 2)
        return ds_fail(err, DS_FAIL, "the inputs hold more than 4 GiB of identifiers");
    int rc = make_room(s, err);
    if (rc != 0)
        return rc;
    uint32_t *at = slot_of(s, words, nwords);
    if (*at) { /* strong beats weak, and bytes for tensors beat none */
        dcm_id *old = &s->v[*at - 1];
        old->weak = old->weak && id.weak;
        old->alone = old->alone && id.alone;
        old->word = old->word && id.word;
        if (old->nraw == 0 && nraw >= DCM_RAW_MIN) {
            old->raw = (uint32_t)s->text.len;
            if (ds_buf_put(&s->text, raw, nraw) != 0)
                return ds_fail_nomem(err);
            old->nraw = (uint32_t)nraw;
        }
        return 0;
    }
    id.words = (uint32_t)s->text.len;
    id.nwords = (uint32_t)nwords;
    id.nraw = nraw >= DCM_RAW_MIN ? (uint32_t)nraw : 0;
    id.raw = (uint32_t)(s->text.len + nwords);
    if (ds_buf_reserve(&s->text, nwords + nraw) != 0)
        return ds_fail_nomem(err);
    ds_buf_put(&s->text, words, nwords);
    if (id.nraw)
        ds_buf_put(&s->text, raw, nraw);
    s->v[s->n++] = id;
    *at = (uint32_t)s->n;
    return 0;
}

/* ---- values as words ---- */

typedef struct folded {
    ds_buf text;                            /* words with a space between */
    unsigned words, digits, letters, chars; /* of text: words of it, and characters by kind */
    bool one_number;
} folded;

static int fold(folded *f, const uint8_t *p, size_t len, ds_err *err)
{
    size_t pos = 0;
    dcm_word w;
    ds_buf_reset(&f->text);
    f->words = f->digits = f->letters = f->chars = 0;
    while (dcm_word_next(p, len, &pos, &w)) {
        if (w.folded == 0)
            continue;
        if ((f->words > 0 && ds_buf_putc(&f->text, ' ') != 0) ||
            dcm_word_fold(p, &w, &f->text) != 0)
            return ds_fail_nomem(err);
        f->words++;
        f->digits += w.kind == DCM_WORD_DIGITS ? (unsigned)w.folded : 0;
        f->letters += w.kind == DCM_WORD_LETTERS ? (unsigned)w.folded : 0;
        f->chars += w.kind == DCM_WORD_CHAR;
    }
    f->one_number = f->words == 1 && f->digits > 0;
    return 0;
}

static int put_folded(dcm_ids *s, uint32_t tag, enum dcm_id_kind kind, bool weak, const folded *f,
                      const void *raw, size_t nraw, ds_err *err)
{
    const bool alone = kind == DCM_ID_NAME && f->words == 1 && f->chars == 0;
    const dcm_id like = {.tag = tag,
                         .kind = (uint8_t)kind,
                         .weak = weak,
                         .alone = alone,
                         .word = alone && dcm_is_name_word(f->text.data, f->text.len)};
    return put(s, &like, f->text.data, f->text.len, raw, nraw, err);
}

/* The number in a code of letters and one number (MRN5530917), as it stands without its letters:
 * for its own object alone. */
static int add_number(dcm_ids *s, uint32_t tag, const uint8_t *p, size_t len, ds_err *err)
{
    folded f = {{0}, 0, 0, 0, 0, false};
    size_t pos = 0;
    dcm_word w;
    int rc = 0;
    while (rc == 0 && dcm_word_next(p, len, &pos, &w)) {
        if (w.kind != DCM_WORD_DIGITS)
            continue;
        rc = fold(&f, p + w.at, w.len, err);
        if (rc == 0)
            rc = put_folded(s, tag, DCM_ID_CODE, true, &f, NULL, 0, err);
    }
    ds_buf_fini(&f.text);
    return rc;
}

/* Numbers and codes. */
static int add_code(dcm_ids *s, uint32_t tag, const uint8_t *p, size_t len, ds_err *err)
{
    folded f = {{0}, 0, 0, 0, 0, false};
    int rc = fold(&f, p, len, err);
    unsigned n = f.digits + f.letters + 2 * f.chars;
    if (rc == 0 && n >= 4 && (f.digits > 0 || !dcm_is_common(f.text.data, f.text.len)))
        rc = put_folded(s, tag, DCM_ID_CODE, f.one_number && f.digits < 6, &f, p, len, err);
    else if (rc == 0 && n > 0)
        s->left_out++;
    if (rc == 0 && f.words == 2 && f.letters > 0 && f.digits >= 6)
        rc = add_number(s, tag, p, len, err);
    ds_buf_fini(&f.text);
    return rc;
}

static bool all_common(const folded *f)
{
    const uint8_t *p = f->text.data;
    for (size_t at = 0, n; at < f->text.len; at += n + 1) {
        const uint8_t *end = memchr(p + at, ' ', f->text.len - at);
        n = end ? (size_t)(end - p) - at : f->text.len - at;
        if (!dcm_is_common(p + at, n))
            return false;
    }
    return true;
}

/* Institutions and addresses: as a whole. Some give the maker of the machine. */
static int add_place(dcm_ids *s, uint32_t tag, const uint8_t *p, size_t len, ds_err *err)
{
    folded f = {{0}, 0, 0, 0, 0, false};
    int rc = fold(&f, p, len, err);
    if (rc == 0 && f.letters + f.digits + 2 * f.chars >= 5 && f.letters + f.chars > 0 &&
        !all_common(&f))
        rc = put_folded(s, tag, DCM_ID_PLACE, false, &f, p, len, err);
    else if (rc == 0 && f.words > 0)
        s->left_out++;
    ds_buf_fini(&f.text);
    return rc;
}

static int add_uid(dcm_ids *s, uint32_t tag, const uint8_t *p, size_t len, ds_err *err)
{
    folded f = {{0}, 0, 0, 0, 0, false};
    int rc = fold(&f, p, len, err);
    if (rc == 0 && f.words >= 4 && f.letters == 0 && f.digits >= 7)
        rc = put_folded(s, tag, DCM_ID_UID, false, &f, p, len, err);
    else if (rc == 0 && f.words > 0)
        s->left_out++;
    ds_buf_fini(&f.text);
    return rc;
}

static int add_words(dcm_ids *s, uint32_t tag, enum dcm_id_kind kind, const char *text, ds_err *err)
{
    const dcm_id like = {.tag = tag, .kind = (uint8_t)kind};
    return put(s, &like, text, strlen(text), NULL, 0, err);
}

static int add_date(dcm_ids *s, uint32_t tag, const uint8_t *p, size_t len, ds_err *err)
{
    static const char *const months[] = {"january",   "february", "march",    "april",
                                         "may",       "june",     "july",     "august",
                                         "september", "october",  "november", "december"};
    dcm_date d;
    char t[64];
    int rc = 0;
    if (!dcm_date_parse(&d, (const char *)p, len) || dcm_date_is_dummy(&d)) {
        s->left_out++;
        return 0;
    }
    snprintf(t, sizeof t, "%04d%02d%02d", d.year, d.month, d.day);
    rc = add_words(s, tag, DCM_ID_DATE, t, err);
    for (int i = 1; i < 4 && rc == 0; i++) {
        const int v[4][3] = {{0, 0, 0},
                             {d.year, d.month, d.day},
                             {d.day, d.month, d.year},
                             {d.month, d.day, d.year}};
        snprintf(t, sizeof t, "%d %d %d", v[i][0], v[i][1], v[i][2]);
        rc = add_words(s, tag, DCM_ID_DATE, t, err);
    }
    for (int i = 0; i < 2 && rc == 0; i++) {
        int n = i == 0 ? 3 : 9;
        const char *m = months[d.month - 1];
        snprintf(t, sizeof t, "%d %.*s %d", d.day, n, m, d.year);
        rc = add_words(s, tag, DCM_ID_DATE, t, err);
        snprintf(t, sizeof t, "%.*s %d %d", n, m, d.day, d.year);
        if (rc == 0)
            rc = add_words(s, tag, DCM_ID_DATE, t, err);
    }
    return rc;
}

/* ---- names ---- */

static bool means_a_name(const folded *f)
{
    return dcm_is_name_word(f->text.data, f->text.len) || !dcm_is_common(f->text.data, f->text.len);
}

/* One word of a name, alone. */
static int add_name_words(dcm_ids *s, uint32_t tag, const uint8_t *p, size_t len, ds_err *err)
{
    size_t pos = 0;
    dcm_word w;
    folded f = {{0}, 0, 0, 0, 0, false};
    int rc = 0;
    while (rc == 0 && dcm_word_next(p, len, &pos, &w)) {
        if (w.kind != DCM_WORD_LETTERS)
            continue;
        rc = fold(&f, p + w.at, w.len, err);
        if (rc != 0)
            break;
        if (f.letters >= 3 && means_a_name(&f))
            rc = put_folded(s, tag, DCM_ID_NAME, false, &f, NULL, 0, err);
        else
            s->left_out++;
    }
    ds_buf_fini(&f.text);
    return rc;
}

/* Some parts of a name in an order, run together as well. */
static int add_name_whole(dcm_ids *s, uint32_t tag, const uint8_t *p, size_t len, ds_err *err)
{
    folded f = {{0}, 0, 0, 0, 0, false};
    int rc = fold(&f, p, len, err);
    bool long_enough = f.letters >= 5 || f.chars >= 2;
    if (rc == 0 && f.words > 0 && f.digits < f.letters + f.chars + f.digits && long_enough &&
        (f.words > 1 || means_a_name(&f)))
        rc = put_folded(s, tag, DCM_ID_NAME, false, &f, p, len, err);
    if (rc == 0 && f.words > 1 && f.letters >= 6 && f.chars == 0 && f.digits == 0) {
        size_t n = 0;
        for (size_t i = 0; i < f.text.len; i++)
            if (f.text.data[i] != ' ')
                f.text.data[n++] = f.text.data[i];
        f.text.len = n;
        rc = put_folded(s, tag, DCM_ID_NAME, false, &f, NULL, 0, err);
    }
    ds_buf_fini(&f.text);
    return rc;
}

/* ae oe ue aa for letters that folding strips, as they are written where those letters are not. */
static int add_respelt(dcm_ids *s, uint32_t tag, const uint8_t *p, size_t len, ds_err *err)
{
    static const struct {
        uint8_t b[2];
        char to[3];
    } map[] = {{{0xc3, 0xa4}, "ae"}, {{0xc3, 0xb6}, "oe"}, {{0xc3, 0xbc}, "ue"},
               {{0xc3, 0x84}, "ae"}, {{0xc3, 0x96}, "oe"}, {{0xc3, 0x9c}, "ue"},
               {{0xc3, 0xb8}, "oe"}, {{0xc3, 0x98}, "oe"}, {{0xc3, 0xa5}, "aa"},
               {{0xc3, 0x85}, "aa"}, {{0xc3, 0x9f}, "ss"}, {{0xc3, 0xa6}, "ae"}};
    ds_buf out = {0};
    bool any = false;
    int rc = 0;
    for (size_t i = 0; i < len && rc == 0; i++) {
        size_t k = 0, n = sizeof map / sizeof *map;
        while (k < n && (len - i < 2 || memcmp(p + i, map[k].b, 2) != 0))
            k++;
        rc = k < n ? ds_buf_puts(&out, map[k].to) : ds_buf_putc(&out, p[i]);
        any |= k < n;
        i += k < n;
    }
    if (rc != 0)
        rc = ds_fail_nomem(err);
    else if (any)
        rc = add_name_words(s, tag, out.data, out.len, err);
    ds_buf_fini(&out);
    return rc;
}

/* One component group: family^given^middle^prefix^suffix. */
static int add_group(dcm_ids *s, uint32_t tag, const uint8_t *p, size_t len, ds_err *err)
{
    const uint8_t *part[5] = {0};
    size_t n[5] = {0};
    unsigned parts = 0;
    ds_buf t = {0};
    int rc = 0;
    for (size_t at = 0; at <= len && parts < 5; parts++) {
        const uint8_t *end = at < len ? memchr(p + at, '^', len - at) : NULL;
        part[parts] = p + at;
        n[parts] = end ? (size_t)(end - p) - at : len - at;
        at += n[parts] + 1;
    }
    for (unsigned i = 0; i < 3 && i < parts && rc == 0; i++) { /* no titles */
        rc = add_name_words(s, tag, part[i], n[i], err);
        if (rc == 0)
            rc = add_respelt(s, tag, part[i], n[i], err);
        if (rc == 0 && i < 2)
            rc = add_name_whole(s, tag, part[i], n[i], err);
    }
    if (rc == 0 && parts >= 2 && n[0] && n[1]) {
        for (int turn = 0; turn < 2 && rc == 0; turn++) {
            ds_buf_reset(&t);
            if (ds_buf_put(&t, part[turn], n[turn]) != 0 || ds_buf_putc(&t, '^') != 0 ||
                ds_buf_put(&t, part[!turn], n[!turn]) != 0)
                rc = ds_fail_nomem(err);
            else
                rc = add_name_whole(s, tag, t.data, t.len, err);
        }
    }
    ds_buf_fini(&t);
    return rc;
}

static int add_name(dcm_ids *s, uint32_t tag, const uint8_t *p, size_t len, ds_err *err)
{
    int rc = 0;
    for (size_t at = 0; at <= len && rc == 0;) {
        const uint8_t *end = at < len ? memchr(p + at, '=', len - at) : NULL;
        size_t n = end ? (size_t)(end - p) - at : len - at;
        rc = add_group(s, tag, p + at, n, err);
        at += n + 1;
    }
    return rc;
}

int dcm_ids_add(dcm_ids *s, uint32_t tag, enum dcm_id_kind kind, const void *data, size_t len,
                ds_err *err)
{
    const uint8_t *p = data;
    while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == 0))
        len--;
    while (len > 0 && *p == ' ') {
        p++;
        len--;
    }
    if (len == 0)
        return 0;
    switch (kind) {
    case DCM_ID_NAME:
        return add_name(s, tag, p, len, err);
    case DCM_ID_DATE:
        return add_date(s, tag, p, len, err);
    case DCM_ID_UID:
        return add_uid(s, tag, p, len, err);
    case DCM_ID_PLACE:
        return add_place(s, tag, p, len, err);
    default:
        return add_code(s, tag, p, len, err);
    }
}

void dcm_ids_allow_date(dcm_ids *s, const char *yyyymmdd)
{
    dcm_ids *one = NULL;
    if (dcm_ids_new(&one, NULL) != 0)
        return;
    if (add_date(one, 0, (const uint8_t *)yyyymmdd, strlen(yyyymmdd), NULL) == 0 && s->ntable)
        for (size_t i = 0; i < one->n; i++) {
            uint32_t at = *slot_of(s, one->text.data + one->v[i].words, one->v[i].nwords);
            if (at && s->v[at - 1].kind == DCM_ID_DATE)
                s->v[at - 1].gone = true;
        }
    dcm_ids_free(one);
}

void dcm_ids_clear(dcm_ids *s)
{
    if (s->n)
        memset(s->table, 0, s->ntable * sizeof *s->table);
    s->n = s->left_out = 0;
    ds_buf_reset(&s->text);
}

int dcm_ids_take_own(dcm_ids *into, const dcm_ids *from, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < from->n && rc == 0; i++) {
        const dcm_id *id = &from->v[i];
        if ((id->kind == DCM_ID_DATE && !id->gone) || id->alone)
            rc = put(into, id, from->text.data + id->words, id->nwords, NULL, 0, err);
    }
    return rc;
}

int dcm_ids_take(dcm_ids *into, const dcm_ids *from, bool all, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < from->n && rc == 0; i++) {
        const dcm_id *id = &from->v[i];
        if (all || (id->kind != DCM_ID_DATE && !id->weak))
            rc = put(into, id, from->text.data + id->words, id->nwords, from->text.data + id->raw,
                     id->nraw, err);
    }
    into->left_out += rc == 0 ? from->left_out : 0;
    return rc;
}

int dcm_ids_merge(dcm_ids *into, const dcm_ids *from, ds_err *err)
{
    return dcm_ids_take(into, from, false, err);
}

int dcm_ids_write(const dcm_ids *s, ds_buf *out, ds_err *err)
{
    int bad = ds_buf_varint(out, s->n) | ds_buf_varint(out, s->left_out);
    for (size_t i = 0; i < s->n && !bad; i++) {
        const dcm_id *id = &s->v[i];
        bad =
            ds_buf_u32(out, id->tag) | ds_buf_putc(out, id->kind) |
            ds_buf_putc(out, (uint8_t)(id->weak | id->gone << 1 | id->alone << 2 | id->word << 3)) |
            ds_buf_varint(out, id->nwords) | ds_buf_put(out, s->text.data + id->words, id->nwords) |
            ds_buf_varint(out, id->nraw) | ds_buf_put(out, s->text.data + id->raw, id->nraw);
    }
    return bad ? ds_fail_nomem(err) : 0;
}

int dcm_ids_read(dcm_ids *s, const void *data, size_t len, ds_err *err)
{
    const uint8_t *p = data;
    size_t pos = 0;
    uint64_t n, left_out, a, b;
    int rc = 0;
    if (!ds_varint_get(p, len, &pos, &n) || !ds_varint_get(p, len, &pos, &left_out))
        return ds_fail(err, DS_CORRUPT, "identifiers: cut short");
    for (uint64_t i = 0; i < n && rc == 0; i++) {
        if (len - pos < 6)
            return ds_fail(err, DS_CORRUPT, "identifiers: cut short");
        dcm_id id = {.tag = ds_get_u32(p + pos), .kind = p[pos + 4]};
        id.weak = p[pos + 5] & 1;
        id.gone = p[pos + 5] & 2;
        id.alone = p[pos + 5] & 4;
        id.word = p[pos + 5] & 8;
        pos += 6;
        if (!ds_varint_get(p, len, &pos, &a) || a == 0 || a > len - pos)
            return ds_fail(err, DS_CORRUPT, "identifiers: cut short");
        const uint8_t *words = p + pos;
        pos += (size_t)a;
        if (!ds_varint_get(p, len, &pos, &b) || b > len - pos || id.kind < DCM_ID_NAME ||
            id.kind > DCM_ID_PLACE)
            return ds_fail(err, DS_CORRUPT, "identifiers: cut short or damaged");
        rc = put(s, &id, words, (size_t)a, p + pos, (size_t)b, err);
        pos += (size_t)b;
    }
    if (rc == 0 && pos != len)
        rc = ds_fail(err, DS_CORRUPT, "identifiers: bytes behind the last");
    s->left_out += rc == 0 ? (size_t)left_out : 0;
    return rc;
}
