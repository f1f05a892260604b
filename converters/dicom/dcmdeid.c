/* dcmdeid.c - see dcmdeid.h: the walk over a tree. What is to be done to an attribute comes from
 * the table (dcmpolicy.h) or, for what it does not list, from the VR; values are made by
 * dcmdummy.c, free text goes through dcmscrub.h. */
#include "dcmdeid.h"

#include <string.h>

#include "dcmchar.h"
#include "dcmconcept.h"
#include "dcmdummy.h"
#include "dcmident.h"
#include "dcmids.h"
#include "dcmscrub.h"

#define SQ DCM_VR('S', 'Q')
#define GROUP(tag) ((tag) >> 16)

typedef struct walk {
    dcm_tree *t;
    const dcm_policy *p;
    const dcm_key *k;
    unsigned opts;
    dcm_ident id;
    dcm_search *scrub;
    dcm_ids *ids; /* of this file */
    dcm_actions *acts;
    bool table; /* the bytes that are looked into may be one of values */
    ds_buf text, value;
    ds_err *err;
} walk;

static bool one_hit(void *ctx, const dcm_hit *hit)
{
    const walk *w = ctx;
    return hit->kind != DCM_ID_DATE || !(w->opts & DCM_OPT_FULL_DATES);
}

/* Who a block of private elements is of may be anybody: a person is not counted by name. */
static int count(walk *w, const dcm_elem *e, enum dcm_action act)
{
    const char *creator = e->creator;
    if (!w->acts)
        return 0;
    if (creator &&
        dcm_search_each(w->scrub, (const uint8_t *)creator, strlen(creator), 0, one_hit, w))
        creator = "[NAME]";
    return dcm_actions_add(w->acts, e->tag, creator, act, 1, w->err);
}

static int replace(walk *w, dcm_elem *e, const void *p, size_t n)
{
    uint8_t *copy = NULL;
    if (n > UINT32_MAX)
        return ds_fail(w->err, DS_FAIL, "a value of 4 GiB");
    if (n > 0) {
        copy = dcm_tree_alloc(w->t, n, w->err);
        if (!copy)
            return DS_NOMEM;
        memcpy(copy, p, n);
    }
    e->val = copy;
    e->len = (uint32_t)n;
    e->items = NULL;
    e->nitems = 0;
    return 0;
}

/* Characters that the VR allows in a value. */
static size_t cut(uint16_t vr, const uint8_t *p, size_t n)
{
    size_t max = vr == DCM_VR('S', 'H') ? 16 : vr == DCM_VR('L', 'O') ? 64 : SIZE_MAX, chars = 0;
    for (size_t i = 0; i < n; i++)
        if ((p[i] & 0xc0) != 0x80 && chars++ == max)
            return i;
    return n;
}

/* Code values and short strings are full of numbers that mean nobody: only what is known of this
 * file is taken out of them. */
static bool known_only(const dcm_elem *e)
{
    return e->vr == DCM_VR('S', 'H') || e->tag == 0x00080119 || e->tag == 0x00080120 ||
           e->tag == 0x00181020 || GROUP(e->tag) == 0x0028;
}

static int scrub_one(walk *w, const dcm_elem *e, bool known, const char *p, size_t n,
                     unsigned *found)
{
    unsigned one = 0;
    int rc;
    if (known && !dcm_search_each(w->scrub, (const uint8_t *)p, n, 0, one_hit, w))
        return ds_buf_put(&w->value, p, n) ? ds_fail_nomem(w->err) : 0;
    size_t at = w->value.len;
    rc = dcm_scrub(w->scrub, p, n, w->opts & DCM_OPT_FULL_DATES, &w->value, &one, w->err);
    if (rc == 0 && one)
        w->value.len = at + cut(e->vr, w->value.data + at, w->value.len - at);
    *found += one;
    return rc;
}

/* Text without the people in it. known: only where it holds what the file says of them. */
static int clean_text(walk *w, dcm_elem *e, bool known)
{
    unsigned found = 0;
    const char *p;
    size_t n;
    int rc = 0;
    if (e->len == 0)
        return count(w, e, DCM_ACT_KEEP);
    ds_buf_reset(&w->value);
    bool whole =
        e->vr == DCM_VR('L', 'T') || e->vr == DCM_VR('S', 'T') || e->vr == DCM_VR('U', 'T');
    for (size_t at = 0; rc == 0 && at <= e->len; at += n + 1) {
        p = (const char *)e->val + at;
        const char *end = whole || at == e->len ? NULL : memchr(p, '\\', e->len - at);
        n = end ? (size_t)(end - p) : e->len - at;
        if (at > 0 && ds_buf_putc(&w->value, '\\') != 0)
            return ds_fail_nomem(w->err);
        rc = scrub_one(w, e, known, p, n, &found);
        if (!end)
            break;
    }
    if (rc == 0 && found)
        rc = replace(w, e, w->value.data, w->value.len);
    return rc == 0 ? count(w, e, found ? DCM_ACT_CLEAN : DCM_ACT_KEEP) : rc;
}

/* Defined terms say what the rest of the file means, and nothing about anybody. Bytes of that group
 * are another matter: profiles and tables of colours may hold any text. */
static bool is_term(const dcm_elem *e)
{
    return (GROUP(e->tag) == 0x0028 && dcm_vr_is_string(e->vr)) || e->tag == 0x00080005 ||
           e->tag == 0x00080060 || e->tag == 0x0040a040 || e->tag == 0x0040a010 ||
           e->tag == 0x0040a050;
}

/* Tables of values climb by equal steps: the number 12345678 in one of grey is nobody's. */
static bool is_ramp(const uint8_t *p, size_t n)
{
    for (size_t i = 2; i < n; i++)
        if ((uint8_t)(p[i] - p[i - 1]) != (uint8_t)(p[1] - p[0]))
            return false;
    return true;
}

static bool long_hit(void *ctx, const dcm_hit *hit)
{
    const walk *w = ctx;
    return hit->len >= DCM_RAW_MIN && one_hit(ctx, hit) &&
           !(w->table && is_ramp(w->text.data + hit->at, hit->len));
}

static bool raw_hit(const walk *w, const dcm_elem *e)
{
    dcm_hit hit;
    size_t from = 0;
    while (dcm_search_raw(w->scrub, e->val, e->len, from, &hit) > 0) {
        if (!w->table || !is_ramp(e->val + hit.at, hit.len))
            return true;
        from = hit.at + 1;
    }
    return false;
}

/* Bytes may hold a text as it stood, or in other case, or of two bytes a character; what is shorter
 * than 8 characters is met by chance. */
static int check_bytes(walk *w, const dcm_elem *e, bool *bad)
{
    w->table = GROUP(e->tag) == 0x0028;
    *bad = raw_hit(w, e);
    ds_buf_reset(&w->text);
    if (ds_buf_reserve(&w->text, e->len) != 0)
        return ds_fail_nomem(w->err);
    for (size_t i = 0; i < e->len; i++)
        if (e->val[i])
            w->text.data[w->text.len++] = e->val[i];
    *bad = *bad || dcm_search_each(w->scrub, w->text.data, w->text.len, 0, long_hit, w);
    return 0;
}

/* Short strings that are no free text, and bytes: kept unless something known stands in them. */
static int check_value(walk *w, dcm_elem *e)
{
    bool bad = false;
    int rc = 0;
    if (e->val && e->len && !is_term(e)) {
        if (dcm_vr_is_string(e->vr))
            bad = dcm_search_each(w->scrub, e->val, e->len, 0, one_hit, w);
        else
            rc = check_bytes(w, e, &bad);
    }
    if (rc != 0)
        return rc;
    if (!bad)
        return count(w, e, DCM_ACT_KEEP);
    rc = replace(w, e, NULL, 0);
    return rc == 0 ? count(w, e, DCM_ACT_EMPTY) : rc;
}

static int map_uids(walk *w, dcm_elem *e)
{
    const char *p;
    size_t n, next = 0;
    char uid[65];
    int rc = 0;
    bool changed = false;
    if (w->id.ours || e->len == 0 || dcm_ident_is_class(e->tag))
        return count(w, e, DCM_ACT_KEEP);
    ds_buf_reset(&w->value);
    for (bool more = false; rc == 0 && dcm_elem_next(e, &next, &p, &n); more = true) {
        uid[0] = 0;
        if (n > 0)
            rc = dcm_uid_map(uid, w->k, p, n, w->err);
        changed |= n > 0 && (strlen(uid) != n || memcmp(uid, p, n) != 0);
        if (rc == 0 && ((more && ds_buf_putc(&w->value, '\\')) || ds_buf_puts(&w->value, uid)))
            rc = ds_fail_nomem(w->err);
    }
    if (rc == 0 && changed)
        rc = replace(w, e, w->value.data, w->value.len);
    return rc == 0 ? count(w, e, changed ? DCM_ACT_UID : DCM_ACT_KEEP) : rc;
}

static int shift_dates(walk *w, dcm_elem *e)
{
    bool gone = false;
    if (e->vr == DCM_VR('T', 'M'))
        return check_value(w, e);
    if (w->id.dates_changed || e->len == 0)
        return count(w, e, DCM_ACT_KEEP);
    ds_buf_reset(&w->value);
    int rc = dcm_dummy_shift(e, w->id.shift, w->ids, &w->value, &gone, w->err);
    if (rc == 0)
        rc = replace(w, e, w->value.data, w->value.len);
    return rc == 0 ? count(w, e, gone ? DCM_ACT_EMPTY : DCM_ACT_SHIFT) : rc;
}

static int to_dummy(walk *w, dcm_elem *e, bool empty_is_fine)
{
    bool keyed = false;
    if (e->len == 0)
        return count(w, e, DCM_ACT_KEEP);
    if (e->vr == DCM_VR('U', 'I'))
        return map_uids(w, e);
    ds_buf_reset(&w->value);
    int rc = dcm_dummy_keyed(e, &w->id, w->k, &w->value, &keyed, w->err);
    if (rc == 0 && keyed && w->id.ours)
        return count(w, e, DCM_ACT_KEEP);
    if (rc == 0 && !keyed && !empty_is_fine)
        rc = dcm_dummy_value(e, &w->value) ? ds_fail_nomem(w->err) : 0;
    if (rc == 0)
        rc = replace(w, e, w->value.data, w->value.len);
    return rc == 0 ? count(w, e, w->value.len ? DCM_ACT_DUMMY : DCM_ACT_EMPTY) : rc;
}

/* Codes and what they mean. */
static bool is_code(const dcm_elem *e)
{
    return e->tag >= 0x00080100 && e->tag <= 0x00080120;
}

/* What is done to an attribute that the table does not list. */
static int unlisted_act(const walk *w, const dcm_elem *e, bool dummy)
{
    switch (e->vr) {
    case SQ:
        return DCM_ACT_CLEAN;
    case DCM_VR('P', 'N'):
    case DCM_VR('A', 'E'):
        return DCM_ACT_DUMMY;
    case DCM_VR('D', 'A'):
    case DCM_VR('D', 'T'):
    case DCM_VR('T', 'M'):
        return w->opts & DCM_OPT_FULL_DATES       ? DCM_ACT_KEEP
               : w->opts & DCM_OPT_MODIFIED_DATES ? DCM_ACT_SHIFT
                                                  : DCM_ACT_DUMMY;
    case DCM_VR('U', 'I'):
        return w->opts & DCM_OPT_UIDS ? DCM_ACT_KEEP : DCM_ACT_UID;
    case DCM_VR('U', 'N'):
        return DCM_ACT_REMOVE;
    case DCM_VR('U', 'R'):
        return DCM_ACT_EMPTY;
    default:
        return dummy && !is_code(e) && dcm_vr_is_text(e->vr) ? DCM_ACT_DUMMY : DCM_ACT_CLEAN;
    }
}

static int walk_set(walk *w, dcm_set *s, bool dummy);

static int walk_items(walk *w, dcm_elem *e, bool dummy, enum dcm_action act)
{
    int rc = count(w, e, act);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < e->nitems && rc == 0; i++) {
        dcm_set *item = e->items[i];
        enum dcm_concept_act what = dcm_concept_act(item, w->opts);
        if (what == DCM_CONCEPT_DROP) {
            rc = count(w, e, DCM_ACT_REMOVE);
            continue;
        }
        bool capped;
        rc = dcm_concept_cap_age(w->t, item, &capped, w->err);
        if (rc == 0 && capped)
            rc = count(w, e, DCM_ACT_CLEAN);
        if (rc == 0)
            rc = walk_set(w, item, dummy || what == DCM_CONCEPT_HIDE);
        e->items[kept++] = item;
    }
    e->nitems = rc == 0 ? kept : e->nitems;
    return rc;
}

static int apply(walk *w, dcm_elem *e, int act, bool dummy)
{
    if (e->vr == SQ) {
        if (act == DCM_ACT_EMPTY) {
            e->nitems = 0;
            return count(w, e, DCM_ACT_EMPTY);
        }
        /* In a sequence that is to be a dummy every text is one; codes and numbers say what. */
        bool below = act == DCM_ACT_DUMMY || (dummy && act != DCM_ACT_KEEP);
        return walk_items(w, e, below, act == DCM_ACT_DUMMY ? DCM_ACT_DUMMY : DCM_ACT_KEEP);
    }
    switch (act) {
    case DCM_ACT_EMPTY:
        return to_dummy(w, e, true);
    case DCM_ACT_DUMMY:
        return to_dummy(w, e, false);
    case DCM_ACT_UID:
        return e->vr == DCM_VR('U', 'I') ? map_uids(w, e) : to_dummy(w, e, false);
    case DCM_ACT_SHIFT:
        if (dcm_dummy_is_time(e->vr))
            return shift_dates(w, e);
        return dcm_vr_is_text(e->vr) ? clean_text(w, e, known_only(e)) : to_dummy(w, e, true);
    case DCM_ACT_CLEAN:
        if (e->vr == DCM_VR('P', 'N') || (dummy && dcm_vr_is_text(e->vr) && !is_code(e)))
            return to_dummy(w, e, false);
        return dcm_vr_is_text(e->vr) ? clean_text(w, e, known_only(e)) : check_value(w, e);
    default:
        if (e->vr == DCM_VR('A', 'S') && dcm_dummy_age(e, &w->value)) {
            int rc = replace(w, e, w->value.data, w->value.len);
            return rc == 0 ? count(w, e, DCM_ACT_CLEAN) : rc;
        }
        /* An option keeps a place or a device, not the person in its name. */
        if (dcm_vr_is_text(e->vr) && e->vr != DCM_VR('P', 'N') && !(GROUP(e->tag) & 1))
            return clean_text(w, e, true);
        return dcm_vr_is_text(e->vr) || e->bulk ? count(w, e, DCM_ACT_KEEP) : check_value(w, e);
    }
}

/* The characters that numbers, dates and times are written with, those of older forms and of other
 * countries included; NULL for what is no such thing. */
static const char *characters(uint16_t vr)
{
    switch (vr) {
    case DCM_VR('A', 'S'):
        return "0123456789DWMYdwmy \\";
    case DCM_VR('D', 'A'):
    case DCM_VR('D', 'T'):
    case DCM_VR('T', 'M'):
        return "0123456789.+-:/TZ \\";
    case DCM_VR('D', 'S'):
    case DCM_VR('I', 'S'):
        return "0123456789.,+-eE \\";
    default:
        return NULL;
    }
}

/* A NUL before the end of a string: bytes of other elements, under a length that is wrong; words
 * where a number or a time belongs; and a class of objects is known by digits. What is in them,
 * nobody can tell. */
static bool is_broken(const dcm_elem *e)
{
    size_t n = e->len;
    if (!dcm_vr_is_string(e->vr) || n == 0)
        return false;
    const char *fine = characters(e->vr);
    if (e->vr == DCM_VR('U', 'I')) { /* a NUL ends each value of some writers */
        if (!dcm_ident_is_class(e->tag))
            return false;
        fine = "0123456789.\\ ";
    } else {
        while (n > 0 && (e->val[n - 1] == 0 || e->val[n - 1] == ' '))
            n--;
        if (memchr(e->val, 0, n))
            return true;
    }
    for (size_t i = 0; fine && i < n; i++)
        if (!strchr(fine, e->val[i]))
            return true;
    return false;
}

/* Does a block of private elements hold anything that is kept? */
static bool block_kept(const walk *w, const dcm_set *s, const dcm_elem *creator)
{
    const uint32_t first = (creator->tag & 0xffff0000) | (creator->tag & 0xff) << 8;
    for (const dcm_elem *e = creator; e < s->elems + s->n && e->tag <= (first | 0xff); e++)
        if (e->tag >= first && dcm_policy_safe(w->p, e->creator, e->tag))
            return true;
    return false;
}

/* The action for an element, DCM_ACT_REMOVE included. */
static int decide(const walk *w, const dcm_set *s, const dcm_elem *e, bool dummy)
{
    uint32_t low = e->tag & 0xffff;
    if (e->bulk) /* not pixel data: too long to be looked into */
        return !s->parent && e->tag >= 0x7fe00008 && e->tag <= 0x7fe00010 ? DCM_ACT_KEEP
                                                                          : DCM_ACT_REMOVE;
    if (low == 0 || GROUP(e->tag) >= 0xfffc)
        return DCM_ACT_REMOVE; /* group lengths, trailing padding; items out of their place */
    if (GROUP(e->tag) < 8 && GROUP(e->tag) != 2 && GROUP(e->tag) != 4)
        return DCM_ACT_REMOVE; /* of commands, or of nothing (PS3.5 7.1) */
    if (GROUP(e->tag) & 1) {
        if (low >= 0x10 && low <= 0xff)
            return block_kept(w, s, e) ? DCM_ACT_KEEP : DCM_ACT_REMOVE;
        if (!dcm_policy_safe(w->p, e->creator, e->tag))
            return DCM_ACT_REMOVE;
        return unlisted_act(w, e, dummy);
    }
    if (e->vr == DCM_VR('U', 'N') && dcm_dict_vr(e->tag) == SQ)
        return DCM_ACT_REMOVE; /* bytes that nobody looked into */
    int act = dcm_policy_act(w->p, e->tag);
    return act == DCM_UNLISTED ? unlisted_act(w, e, dummy) : act;
}

static int walk_set(walk *w, dcm_set *s, bool dummy)
{
    uint32_t kept = 0;
    int rc = 0;
    uint8_t *acts = NULL;
    if (s->n > 0 && !(acts = dcm_tree_alloc(w->t, s->n, w->err)))
        return DS_NOMEM;
    for (uint32_t i = 0; i < s->n; i++)
        acts[i] = (uint8_t)decide(w, s, &s->elems[i], dummy);
    for (uint32_t i = 0; i < s->n && rc == 0; i++) {
        dcm_elem *e = &s->elems[i];
        if (acts[i] == DCM_ACT_REMOVE) {
            rc = (e->tag & 0xffff) ? count(w, e, DCM_ACT_REMOVE) : 0;
            continue;
        }
        if (is_broken(e)) {
            rc = replace(w, e, NULL, 0);
            rc = rc ? rc : count(w, e, DCM_ACT_EMPTY);
        } else {
            rc = apply(w, e, acts[i], dummy);
        }
        s->elems[kept++] = *e;
    }
    if (rc == 0)
        s->n = kept;
    return rc;
}

/* ---- what the file says of itself afterwards ---- */

static int put_text(walk *w, dcm_set *s, uint32_t tag, const char *vr, const char *text)
{
    return dcm_set_put(w->t, s, tag, DCM_VR(vr[0], vr[1]), text, strlen(text), NULL, w->err);
}

/* Did somebody clean the pixels before, by the code of his method? */
static bool said_before(const walk *w, const char *code)
{
    const dcm_elem *e = dcm_set_find(dcm_tree_main(w->t), 0x00120064);
    const char *p;
    size_t n;
    for (uint32_t i = 0; w->id.already && e && i < e->nitems; i++)
        if (dcm_get_text(e->items[i], 0x00080100, 0, &p, &n) && n == strlen(code) &&
            memcmp(p, code, n) == 0)
            return true;
    return false;
}

/* The options that hold for this object as it goes out. That an option was asked for is not
 * enough: nothing here takes a face out of an image, and writing only by masks. */
static unsigned options_done(const walk *w, bool masked)
{
    unsigned done = w->opts & ~(unsigned)(DCM_OPT_PIXELS | DCM_OPT_VISUAL);
    if (masked || said_before(w, "113101"))
        done |= DCM_OPT_PIXELS;
    if (said_before(w, "113102"))
        done |= DCM_OPT_VISUAL;
    if ((done & DCM_OPT_FULL_DATES) && w->id.dates_changed)
        done = (done & ~(unsigned)DCM_OPT_FULL_DATES) | DCM_OPT_MODIFIED_DATES;
    return done;
}

static int write_methods(walk *w, unsigned done)
{
    dcm_method m[16];
    unsigned n;
    dcm_set *s = dcm_tree_main(w->t), *item;
    int rc = 0;
    dcm_set_drop(s, 0x00120064);
    dcm_policy_methods(done, m, &n);
    for (unsigned i = 0; i < n && rc == 0; i++) {
        rc = dcm_set_item(w->t, s, 0x00120064, &item, w->err);
        if (rc == 0)
            rc = put_text(w, item, 0x00080100, "SH", m[i].code);
        if (rc == 0)
            rc = put_text(w, item, 0x00080102, "SH", "DCM");
        if (rc == 0)
            rc = put_text(w, item, 0x00080104, "LO", m[i].meaning);
    }
    return rc;
}

static int write_back(walk *w, bool masked)
{
    dcm_set *s = dcm_tree_main(w->t);
    const unsigned done = options_done(w, masked);
    char mark[65], method[160];
    int rc = put_text(w, s, 0x00120062, "CS", "YES");
    if (rc == 0 && !w->id.ours)
        rc = put_text(w, s, 0x00100020, "LO", w->id.patient);
    if (rc == 0)
        rc = dcm_ident_mark(mark, w->t, w->k, w->err);
    if (rc == 0) {
        static const char what[] = "PS3.15 Annex E 2024e, basic profile and options\\";
        memcpy(method, what, sizeof what);
        memcpy(method + sizeof what - 1, mark, strlen(mark) + 1);
        rc = put_text(w, s, 0x00120063, "LO", method);
    }
    if (rc == 0)
        rc = write_methods(w, done);
    if (rc == 0)
        rc = put_text(w, s, 0x00280303, "CS",
                      done & DCM_OPT_MODIFIED_DATES ? "MODIFIED"
                      : done & DCM_OPT_FULL_DATES   ? "UNMODIFIED"
                                                    : "REMOVED");
    return rc;
}

/* Nothing of the old file meta but the transfer syntax. */
static int write_meta(walk *w)
{
    dcm_set *m = dcm_tree_meta(w->t), *s = dcm_tree_main(w->t);
    const char *p;
    char ts[65] = "", class[65] = "";
    size_t n;
    int rc = 0;
    if ((dcm_get_text(s, 0x00080016, 0, &p, &n) || dcm_get_text(m, 0x00020002, 0, &p, &n)) &&
        n < sizeof class)
        memcpy(class, p, n);
    if (dcm_get_text(m, 0x00020010, 0, &p, &n) && n < sizeof ts)
        memcpy(ts, p, n);
    for (uint32_t i = 0; i < m->n && rc == 0; i++)
        if (m->elems[i].tag & 0xffff)
            rc = count(w, &m->elems[i],
                       m->elems[i].tag < 0x00020012 ? DCM_ACT_KEEP : DCM_ACT_REMOVE);
    m->n = 0;
    if (rc == 0)
        rc = dcm_set_put(w->t, m, 0x00020001, DCM_VR('O', 'B'), "\0\1", 2, NULL, w->err);
    if (rc == 0 && class[0])
        rc = put_text(w, m, 0x00020002, "UI", class);
    if (rc == 0 && dcm_get_text(s, 0x00080018, 0, &p, &n))
        rc = dcm_set_put(w->t, m, 0x00020003, DCM_VR('U', 'I'), p, n, NULL, w->err);
    if (rc == 0 && ts[0])
        rc = put_text(w, m, 0x00020010, "UI", ts);
    return rc;
}

/* ---- one file ---- */

static int run(walk *w, dcm_verdict *v)
{
    int rc = dcm_ident_of(&w->id, w->t, w->k, w->err);
    v->already = w->id.already;
    /* What a file of ours calls its patient is the pseudonym: to find it again is no leak. */
    if (rc == 0 && !w->id.ours)
        rc = dcm_ident_collect(w->t, w->p, w->ids, w->err);
    if (rc == 0 && dcm_policy_also(w->p))
        rc = dcm_ids_take(w->ids, dcm_policy_also(w->p), true, w->err);
    if (rc == 0)
        rc = dcm_search_new_scrub(&w->scrub, w->ids, w->err);
    if (rc == 0)
        rc = walk_set(w, dcm_tree_main(w->t), false);
    if (rc == 0)
        rc = write_back(w, v->pixels == DCM_PIX_MASK);
    return rc == 0 ? write_meta(w) : rc;
}

int dcm_deid_run(dcm_tree *t, const dcm_policy *p, const dcm_key *k, dcm_ids *ids,
                 dcm_actions *acts, dcm_verdict *v, ds_err *err)
{
    walk w = {.t = t, .p = p, .k = k, .opts = dcm_policy_options(p), .acts = acts, .err = err};
    unsigned flags = 0;
    memset(v, 0, sizeof *v);
    int rc = dcm_tree_utf8(t, NULL, &flags, err);
    if (rc != 0 || dcm_policy_none(p))
        return rc;
    dcm_burned_in(t, v);
    if (!v->hold && (w.opts & DCM_OPT_VISUAL))
        dcm_recognizable(t, v);
    rc = dcm_ids_new(&w.ids, err);
    if (rc == 0)
        rc = run(&w, v);
    if (rc == 0 && ids) { /* a copy: merging would leave the dates out */
        ds_buf_reset(&w.text);
        rc = dcm_ids_write(w.ids, &w.text, err);
        if (rc == 0)
            rc = dcm_ids_read(ids, w.text.data, w.text.len, err);
    }
    dcm_search_free(w.scrub);
    dcm_ids_free(w.ids);
    ds_buf_fini(&w.text);
    ds_buf_fini(&w.value);
    return rc;
}
