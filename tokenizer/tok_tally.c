/* tok_tally.c - see tok_tally.h. */
#include "tok_tally.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "tok_uni.h"
#include "utf8.h"

enum { LATIN, DIGITS, PUNCT, WHITE, OTHER, PART = 255 };

const char *const ds_tally_script[DS_TALLY_SCRIPTS] = {
    "Latin",    "digits",   "punctuation", "white space", "other", "Greek",
    "Cyrillic", "Armenian", "Hebrew",      "Arabic",      "Indic", "Thai and Lao",
    "Tibetan",  "Myanmar",  "Georgian",    "Ethiopic",    "Khmer", "Mongolian",
    "Kana",     "Hangul",   "Han",         "Emoji",       NULL};

static const struct {
    uint32_t first, last;
    uint8_t script;
} blocks[] = {
    {0x41, 0x24f, LATIN},    {0x250, 0x2af, LATIN},   {0x370, 0x3ff, 5},    {0x400, 0x52f, 6},
    {0x530, 0x58f, 7},       {0x590, 0x5ff, 8},       {0x600, 0x77f, 9},    {0x8a0, 0x8ff, 9},
    {0x900, 0xdff, 10},      {0xe00, 0xeff, 11},      {0xf00, 0xfff, 12},   {0x1000, 0x109f, 13},
    {0x10a0, 0x10ff, 14},    {0x1100, 0x11ff, 19},    {0x1200, 0x139f, 15}, {0x1780, 0x17ff, 16},
    {0x1800, 0x18af, 17},    {0x1e00, 0x1eff, LATIN}, {0x1f00, 0x1fff, 5},  {0x2600, 0x27bf, 21},
    {0x2c60, 0x2c7f, LATIN}, {0x2de0, 0x2dff, 6},     {0x2e80, 0x2fdf, 20}, {0x3040, 0x30ff, 18},
    {0x3130, 0x318f, 19},    {0x31f0, 0x31ff, 18},    {0x3400, 0x9fff, 20}, {0xa720, 0xa7ff, LATIN},
    {0xac00, 0xd7ff, 19},    {0xf900, 0xfaff, 20},    {0xfb1d, 0xfb4f, 8},  {0xfb50, 0xfdff, 9},
    {0xfe70, 0xfeff, 9},     {0xff21, 0xff5a, LATIN}, {0xff66, 0xff9f, 18}, {0xffa0, 0xffdc, 19},
    {0x1f000, 0x1faff, 21},  {0x20000, 0x323af, 20}};

static uint8_t script_of(uint32_t c)
{
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (c >= blocks[i].first && c <= blocks[i].last)
            return blocks[i].script;
    return OTHER;
}

/* What a text is: the script of its first letter, or the first of what else there is. */
static uint8_t kind_of(const uint8_t *cls, const uint8_t *p, size_t len, uint64_t *chars)
{
    uint8_t best = WHITE;
    bool letter = false;
    unsigned n;
    for (size_t at = 0; at < len; at += n, ++*chars) {
        uint32_t c = ds_uni_get(p + at, &n);
        uint8_t f = cls[c], k = OTHER;
        if (letter || (f & DS_UNI_WS))
            continue;
        letter = f & DS_UNI_L;
        if (letter || (f & DS_UNI_M) || script_of(c) == 21)
            k = script_of(c);
        else
            k = f & DS_UNI_N ? DIGITS : f & DS_UNI_PS ? PUNCT : OTHER;
        if (letter || best == WHITE)
            best = k;
    }
    return best;
}

static int hex(uint8_t c)
{
    return (uint8_t)(c - '0') < 10 ? c - '0' : (uint8_t)(c - 'A') < 6 ? c - 'A' + 10 : -1;
}

int ds_tok_stands_for(const ds_tok *tok, uint32_t id, bool byte_level, ds_buf *out)
{
    size_t len = 0;
    const uint8_t *p = ds_tok_bytes(tok, id, &len);
    ds_buf_reset(out);
    if (byte_level || ds_tok_is_added(tok, id))
        return ds_buf_put(out, p, len);
    if (len == 6 && memcmp(p, "<0x", 3) == 0 && p[5] == '>' && hex(p[3]) >= 0 && hex(p[4]) >= 0)
        return ds_buf_putc(out, (uint8_t)(hex(p[3]) << 4 | hex(p[4])));
    int rc = 0;
    for (size_t at = 0; at < len && rc == 0;) {
        bool space = len - at >= 3 && memcmp(p + at, "\xe2\x96\x81", 3) == 0;
        rc = ds_buf_putc(out, space ? ' ' : p[at]);
        at += space ? 3 : 1;
    }
    return rc;
}

int ds_tok_show(ds_buf *out, const ds_tok *tok, uint32_t id, bool byte_level)
{
    size_t len;
    const char *text = ds_tok_text(tok, id, &len);
    ds_buf plain = {0};
    int rc = ds_tok_stands_for(tok, id, byte_level, &plain);
    if (rc == 0 && ds_utf8_check(plain.data, plain.len) == plain.len)
        rc = ds_json_str(out, (const char *)plain.data, plain.len);
    else if (rc == 0)
        rc = ds_json_str(out, text, len);
    ds_buf_fini(&plain);
    return rc;
}

int ds_tally_init(ds_tally *t, const ds_tok *tok, ds_err *err)
{
    size_t n = (size_t)ds_tok_max_id(tok) + 1;
    uint8_t *cls = malloc(DS_UNI_MAX);
    ds_buf text = {0};
    ds_tok_facts facts;
    uint64_t chars = 0;
    int rc = 0;
    *t = (ds_tally){.tok = tok};
    ds_tok_get_facts(tok, &facts);
    t->unknown_id = facts.unknown;
    t->byte_level = facts.byte_level;
    t->count = calloc(n, sizeof *t->count);
    t->kind = calloc(n, sizeof *t->kind);
    if (cls == NULL || t->count == NULL || t->kind == NULL)
        rc = DS_NOMEM;
    if (rc == 0)
        ds_uni_fill(cls);
    for (uint32_t id = 0; id < n && rc == 0; id++) {
        if (ds_tok_text(tok, id, NULL) == NULL)
            continue;
        rc = ds_tok_stands_for(tok, id, t->byte_level, &text);
        if (rc == 0)
            t->kind[id] = ds_utf8_check(text.data, text.len) < text.len
                              ? PART
                              : kind_of(cls, text.data, text.len, &chars);
    }
    ds_buf_fini(&text);
    free(cls);
    return rc ? ds_fail_nomem(err) : 0;
}

void ds_tally_fini(ds_tally *t)
{
    free(t->count);
    free(t->kind);
    ds_buf_fini(&t->open);
    memset(t, 0, sizeof *t);
}

/* The parts that are open make characters together, or are given up as what they are. */
static void close_parts(ds_tally *t, uint8_t kind)
{
    ds_tally_row *r = &t->script[kind];
    r->tokens += t->n_open;
    r->bytes += t->open.len;
    r->chars += ds_utf8_count(t->open.data, t->open.len);
    t->n_open = 0;
    ds_buf_reset(&t->open);
}

static uint8_t open_kind(const ds_tally *t)
{
    unsigned n;
    for (size_t at = 0; at < t->open.len; at += n) {
        uint8_t k = script_of(ds_uni_get(t->open.data + at, &n));
        if (k != OTHER)
            return k;
    }
    return OTHER;
}

void ds_tally_end(ds_tally *t)
{
    if (t->n_open > 0)
        close_parts(t, OTHER);
}

static int put_one(ds_tally *t, uint32_t id, ds_buf *text)
{
    int rc = ds_tok_stands_for(t->tok, id, t->byte_level, text);
    size_t chars = ds_utf8_count(text->data, text->len);
    t->count[id]++;
    t->unknown += id == t->unknown_id;
    t->all.tokens++;
    t->all.bytes += text->len;
    t->all.chars += chars;
    t->parts += t->kind[id] == PART;
    if (rc == 0 && t->kind[id] != PART) {
        ds_tally_end(t);
        ds_tally_row *r = &t->script[t->kind[id]];
        r->tokens++;
        r->bytes += text->len;
        r->chars += chars;
        return 0;
    }
    rc = rc ? rc : ds_buf_put(&t->open, text->data, text->len);
    t->n_open++;
    if (rc == 0 && ds_utf8_check(t->open.data, t->open.len) == t->open.len)
        close_parts(t, open_kind(t));
    else if (t->n_open >= 64)
        ds_tally_end(t);
    return rc;
}

int ds_tally_put(ds_tally *t, const uint32_t *ids, size_t n, ds_err *err)
{
    ds_buf text = {0};
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = put_one(t, ids[i], &text);
    ds_buf_fini(&text);
    return rc ? ds_fail_nomem(err) : 0;
}
