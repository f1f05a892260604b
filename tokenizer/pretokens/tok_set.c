/* tok_set.c - splits by patterns that are a set of characters: \s?[SET]+, [SET]+, \p{L}+, [SET],
 * and \s+$. DeepSeek-LLM's and DeepSeek-Coder's pipelines are made of such steps.
 *
 * Sets are bits in a table by code point, as the reference's regex engine sees them (tok_uni.h).
 * What follows from a step for the later ones is found out once: a word of ASCII letters that none
 * of them can cut goes straight to its ids.
 */
#include "tok_priv.h"

#include <stdlib.h>
#include <string.h>

#include "tok_cut.h"
#include "tok_scan.h"

static void fill(ds_tok *t, uint8_t bit, uint32_t first, uint32_t last)
{
    for (uint32_t c = first; c <= last; c++)
        t->sets[c] |= bit;
}

/* \p{L}, \p{N}, \p{M}, \p{P}; returns the length of its text, 0 for any other. */
static size_t put_property(ds_tok *t, uint8_t bit, const char *p, size_t len)
{
    static const struct {
        char text[6];
        uint8_t cls;
    } known[] = {{"\\p{L}", DS_UNI_L}, {"\\p{N}", DS_UNI_N}, {"\\p{M}", DS_UNI_M}, {"\\p{P}", 0}};
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        if (len < 5 || memcmp(p, known[k].text, 5) != 0)
            continue;
        for (uint32_t c = 0; c < DS_UNI_MAX && known[k].cls; c++)
            if (t->cls[c] & known[k].cls)
                t->sets[c] |= bit;
        for (unsigned i = 0; i < ds_uni_p_n && !known[k].cls; i++)
            fill(t, bit, ds_uni_p[i].first, ds_uni_p[i].first + ds_uni_p[i].n - 1u);
        return 5;
    }
    return 0;
}

/* One character of a set, spelled as itself or escaped; its length, or 0. */
static size_t one_char(const char *p, size_t len, uint32_t *c)
{
    static const char names[] = "rnt\\]-[^", values[] = "\r\n\t\\]-[^";
    unsigned n;
    if (len == 0 || *p == '[' || *p == ']' || *p == '&')
        return 0;
    if (*p != '\\') {
        *c = ds_uni_get((const uint8_t *)p, &n);
        return n;
    }
    const char *at = len > 1 && p[1] != 0 ? strchr(names, p[1]) : NULL;
    if (at == NULL)
        return 0;
    *c = (uint8_t)values[at - names];
    return 2;
}

/* What stands between [ and ]; false when it is more than characters, ranges and properties. */
static bool put_members(ds_tok *t, uint8_t bit, const char *p, size_t len)
{
    if (len == 0 || *p == '^')
        return false;
    for (size_t at = 0, n; at < len; at += n) {
        uint32_t a, b;
        n = put_property(t, bit, p + at, len - at);
        if (n > 0)
            continue;
        n = one_char(p + at, len - at, &a);
        if (n == 0 || (p[at] == '-' && at > 0 && at + 1 < len))
            return false;
        b = a;
        if (at + n + 1 < len && p[at + n] == '-') {
            size_t m = one_char(p + at + n + 1, len - at - n - 1, &b);
            if (m == 0 || b < a)
                return false;
            n += 1 + m;
        }
        fill(t, bit, a, b);
    }
    return true;
}

bool ds_tok_set_read(ds_tok *t, const char *pattern, size_t len)
{
    tok_step *s = &t->step[t->n_steps - 1];
    const char *p = pattern;
    size_t n = len;
    if (n == 4 && memcmp(p, "\\s+$", 4) == 0) {
        s->kind = TOK_STEP_TRAIL;
        return true;
    }
    bool space = n > 3 && memcmp(p, "\\s?", 3) == 0, run;
    p += space ? 3 : 0;
    n -= space ? 3 : 0;
    run = n > 1 && p[n - 1] == '+';
    n -= run;
    if (t->n_sets == 8 || n < 2 || (space && !run) || (p[0] == '[' ? p[n - 1] != ']' : n != 5))
        return false;
    if (t->sets == NULL && (t->sets = calloc(DS_UNI_MAX, 1)) == NULL)
        return false; /* the pattern goes the other way */
    uint8_t bit = (uint8_t)(1u << t->n_sets);
    bool is = p[0] == '[' ? put_members(t, bit, p + 1, n - 2) : put_property(t, bit, p, n) == 5;
    if (!is) {
        uint8_t *sets = t->sets;
        for (uint32_t c = 0; c < DS_UNI_MAX; c++)
            sets[c] &= (uint8_t)~bit;
        return false;
    }
    t->n_sets++;
    s->kind = TOK_STEP_SET;
    s->set = bit;
    s->space = space;
    s->run = run;
    return true;
}

/* How many of the characters are in the set: none, some or all. */
enum part { NONE, SOME, ALL };
static enum part members(const ds_tok *t, uint8_t bit, const char *text)
{
    size_t in = 0, n = strlen(text);
    for (size_t i = 0; i < n; i++)
        in += (t->sets[(uint8_t)text[i]] & bit) != 0;
    return in == 0 ? NONE : in == n ? ALL : SOME;
}
static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* Does the step leave " ?[A-Za-z]+" in one piece? */
static bool keeps_word(const ds_tok *t, const tok_step *s)
{
    if (s->kind == TOK_STEP_DIGITS || s->kind == TOK_STEP_TRAIL)
        return true;
    if (s->kind != TOK_STEP_SET)
        return false;
    enum part in = members(t, s->set, letters);
    bool blank = t->sets[' '] & s->set;
    return in == ALL ? s->run && (s->space || blank) : in == NONE && !blank;
}

void ds_tok_sets_end(ds_tok *t)
{
    bool all = true;
    for (unsigned k = t->n_steps; k-- > 0;) {
        t->step[k].words = all;
        all = all && keeps_word(t, &t->step[k]);
    }
}

/* Is there a boundary between l and r, whatever stands around? */
static bool parts(const ds_tok *t, uint32_t l, uint32_t r)
{
    for (unsigned k = 0; k < t->n_steps; k++) {
        const tok_step *s = &t->step[k];
        if (s->kind == TOK_STEP_SET && (t->sets[l] & s->set) != (t->sets[r] & s->set))
            return true;
    }
    return false;
}

/* Are there boundaries wherever texts are cut (tok_cut.h)? Steps only ever cut further, and none
 * looks beyond the ends of its piece, so that one that always cuts there is enough. */
bool ds_tok_sets_cut(const ds_tok *t)
{
    static const uint32_t right[] = {0x3000, 0x3001, 0x3002, 0xff0c};
    if (t->n_sets == 0)
        return false;
    for (unsigned k = 0; k < t->n_steps; k++)
        if (t->step[k].kind != TOK_STEP_SET && t->step[k].kind != TOK_STEP_TRAIL &&
            t->step[k].kind != TOK_STEP_DIGITS)
            return false;
    for (uint32_t i = 0; i < 52 + 0x4000; i++) {
        uint32_t l = i < 52 ? (uint32_t)letters[i] : 0x5000 + i - 52;
        if (i > 52 && t->sets[l] == t->sets[l - 1])
            continue; /* as the one before */
        for (uint32_t r = 0; r < 0x80 + 4; r++)
            if (!(r < 0x80 && ds_tok_cut_letter((uint8_t)r)) &&
                !parts(t, l, r < 0x80 ? r : right[r - 0x80]))
                return false;
    }
    return true;
}

static int hand_on(ds_tok_state *st, unsigned k, const uint8_t *p, const uint8_t *from,
                   const uint8_t *to, enum tok_place place)
{
    return from < to ? ds_tok_piece(st, k + 1, from, (size_t)(to - from),
                                    tok_part_place(place, from == p))
                     : 0;
}

int ds_tok_set_piece(ds_tok_state *st, unsigned k, const uint8_t *p, size_t len,
                     enum tok_place place)
{
    const ds_tok *t = st->tok;
    const tok_step *s = &t->step[k];
    const uint8_t *end = p + len, *done = p, *blank = NULL, *sets = t->sets, bit = s->set;
    unsigned n;
    int rc = 0;
    for (const uint8_t *q = p; q < end && rc == 0;) {
        uint32_t c = ds_uni_get(q, &n);
        if (!(sets[c] & bit)) { /* blank: white space right before q */
            blank = s->space && (t->cls[c] & DS_UNI_WS) ? q : NULL;
            q += n;
            continue;
        }
        const uint8_t *start = blank != NULL ? blank : q;
        bool word = s->words && (start == q || *start == ' ');
        if (start > done)
            rc = hand_on(st, k, p, done, start, place);
        for (bool more = true; more && q < end && (sets[c = ds_uni_get(q, &n)] & bit); q += n) {
            word = word && c < 0x80 && ds_tok_cut_letter((uint8_t)c);
            more = s->run;
        }
        if (rc == 0)
            rc = word ? ds_tok_pretoken(st, start, (size_t)(q - start))
                      : hand_on(st, k, p, start, q, place);
        done = q;
        blank = NULL;
    }
    return rc ? rc : hand_on(st, k, p, done, end, place);
}

/* \s+$: white space up to the end, or before a line end within white space. */
int ds_tok_trail_piece(ds_tok_state *st, unsigned k, const uint8_t *p, size_t len,
                       enum tok_place place)
{
    const uint8_t *cls = st->tok->cls, *end = p + len, *done = p;
    int rc = 0;
    for (const uint8_t *q = p; q < end && rc == 0;) {
        q = scan_run_not(cls, q, end, DS_UNI_WS);
        const uint8_t *stop = scan_run(cls, q, end, DS_UNI_WS, 0), *cut = stop;
        if (q == stop)
            break;
        if (stop < end) {
            while (cut > q && *cut != '\n')
                cut--;
            if (cut == q) {
                q = stop;
                continue;
            }
        }
        rc = hand_on(st, k, p, done, q, place);
        rc = rc ? rc : hand_on(st, k, p, q, cut, place);
        done = q = cut;
    }
    return rc ? rc : hand_on(st, k, p, done, end, place);
}
