/* wordfold.c - see wordfold.h. */
#include "wordfold.h"

#include <stdlib.h>

#include "tok_uni.h"
#include "utf8.h"

enum { S_BASE = 0xac00, S_N = 11172 }; /* syllables of Hangul, whose parts are computed */

/* What nobody sees: default ignorable code points that are no marks (Unicode 16, DerivedCore). */
static const struct {
    uint32_t first, last;
} unseen[] = {{0xad, 0xad},       {0x61c, 0x61c},    {0x115f, 0x1160}, {0x17b4, 0x17b5},
              {0x180e, 0x180e},   {0x200b, 0x200f},  {0x202a, 0x202e}, {0x2060, 0x206f},
              {0x3164, 0x3164},   {0xfeff, 0xfeff},  {0xffa0, 0xffa0}, {0x1bca0, 0x1bca3},
              {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff}};

static uint32_t entry(enum ds_foldkind kind, uint32_t v)
{
    return (uint32_t)kind << 24 | v;
}

static enum ds_foldkind kind_of(uint8_t cls)
{
    if (cls & DS_UNI_M)
        return DS_FOLD_NOTHING;
    if (!(cls & (DS_UNI_L | DS_UNI_N)))
        return DS_FOLD_APART;
    if (cls & DS_UNI_CJK)
        return DS_FOLD_IDEOGRAPH;
    return cls & DS_UNI_L ? DS_FOLD_LETTER : DS_FOLD_NUMBER;
}

typedef struct making {
    ds_wordfold *f;
    uint8_t *cls;
    ds_buf form, list; /* bytes; u32 */
} making;

/* The parts of a letter or number, and the entry that they make. */
static int fold_one(making *m, uint32_t c, ds_err *err)
{
    uint32_t *e = &m->f->of[c];
    uint8_t utf8[4];
    if (*e >> 24 < DS_FOLD_LETTER)
        return 0;
    ds_buf_reset(&m->form);
    ds_buf_reset(&m->list);
    int rc = ds_uni_to_form(&m->form, m->cls, DS_UNI_NFKD, utf8, ds_utf8_put(utf8, c), err);
    for (size_t i = 0; rc == 0 && i < m->form.len;) {
        unsigned n;
        const uint32_t d = ds_uni_get(m->form.data + i, &n), s = ds_uni_small(d),
                       part = s == 0x3c2 ? 0x3c3 : s;
        const enum ds_foldkind kind = kind_of(m->cls[part]);
        i += n;
        const uint32_t x = entry(kind, part);
        if (kind != DS_FOLD_NOTHING && ds_buf_put(&m->list, &x, sizeof x))
            rc = ds_fail_nomem(err);
    }
    const uint32_t *v = (const uint32_t *)(const void *)m->list.data;
    const uint32_t n = (uint32_t)(m->list.len / sizeof *v);
    if (rc || n < 2) {
        *e = n ? v[0] : entry(DS_FOLD_NOTHING, 0);
        return rc;
    }
    *e = entry(DS_FOLD_SEVERAL, (uint32_t)(m->f->several.len / sizeof *v));
    return ds_buf_put(&m->f->several, &n, sizeof n) || ds_buf_put(&m->f->several, v, n * sizeof *v)
               ? ds_fail_nomem(err)
               : 0;
}

static int fold_all(making *m, ds_err *err)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < ds_uni_lower_n; i++)
        rc = fold_one(m, ds_uni_lower[i].cp, err);
    for (unsigned i = 0; rc == 0 && i < ds_uni_decomp_n; i++)
        rc = fold_one(m, ds_uni_decomp[i].cp, err);
    for (unsigned i = 0; rc == 0 && i < ds_uni_compat_n; i++)
        rc = fold_one(m, ds_uni_compat[i].cp, err);
    for (uint32_t c = S_BASE; rc == 0 && c < S_BASE + S_N; c++)
        rc = fold_one(m, c, err);
    return rc ? rc : fold_one(m, 0x3c2, err);
}

int ds_wordfold_new(ds_wordfold **out, ds_err *err)
{
    making m = {.f = calloc(1, sizeof *m.f), .cls = malloc(DS_UNI_MAX)};
    int rc =
        m.f && m.cls && (m.f->of = malloc(DS_UNI_MAX * sizeof *m.f->of)) ? 0 : ds_fail_nomem(err);
    if (rc == 0) {
        ds_uni_fill(m.cls);
        for (uint32_t c = 0; c < DS_UNI_MAX; c++)
            m.f->of[c] = entry(kind_of(m.cls[c]), c);
        for (uint32_t c = 'A'; c <= 'Z'; c++)
            m.f->of[c] = entry(DS_FOLD_LETTER, c + 32);
        rc = fold_all(&m, err);
    }
    for (size_t i = 0; rc == 0 && i < sizeof unseen / sizeof *unseen; i++)
        for (uint32_t c = unseen[i].first; c <= unseen[i].last; c++)
            m.f->of[c] = entry(DS_FOLD_NOTHING, 0);
    free(m.cls);
    ds_buf_fini(&m.form);
    ds_buf_fini(&m.list);
    if (rc) {
        ds_wordfold_free(m.f);
        m.f = NULL;
    }
    *out = m.f;
    return rc;
}

void ds_wordfold_free(ds_wordfold *f)
{
    if (!f)
        return;
    free(f->of);
    ds_buf_fini(&f->several);
    free(f);
}
