/* drain.c - see drain.h. */
#include "drain.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define WILD 0 /* number of the word <*> */

/* Numbers for byte strings: open addressing over the hash. */
typedef struct intern {
    uint64_t *hash;
    uint32_t *number; /* + 1 */
    size_t slots, n;
} intern;

/* The number of a hash, or 0 with *slot to put it in. Strings are told apart by 64 bits. */
static uint32_t intern_find(const intern *t, uint64_t h, size_t *slot)
{
    size_t k = h & (t->slots - 1);
    while (t->number[k] && t->hash[k] != h)
        k = (k + 1) & (t->slots - 1);
    *slot = k;
    return t->number[k];
}

static int intern_room(intern *t)
{
    if (t->n * 2 < t->slots)
        return 0;
    intern w = {.slots = t->slots ? t->slots * 2 : 1024, .n = t->n};
    size_t slot;
    w.hash = calloc(w.slots, sizeof *w.hash);
    w.number = calloc(w.slots, sizeof *w.number);
    if (!w.hash || !w.number) {
        free(w.hash);
        free(w.number);
        return DS_NOMEM;
    }
    for (size_t i = 0; i < t->slots; i++) {
        if (!t->number[i])
            continue;
        intern_find(&w, t->hash[i], &slot);
        w.hash[slot] = t->hash[i];
        w.number[slot] = t->number[i];
    }
    free(t->hash);
    free(t->number);
    *t = w;
    return 0;
}

/* Finds or adds: numbers count from `first`. */
static int intern_number(intern *t, uint64_t h, uint32_t first, uint32_t *number)
{
    size_t slot;
    if (intern_room(t) != 0)
        return DS_NOMEM;
    uint32_t k = intern_find(t, h, &slot);
    if (!k) {
        t->hash[slot] = h;
        k = t->number[slot] = (uint32_t)t->n++ + 1;
    }
    *number = k - 1 + first;
    return 0;
}

static void intern_fini(intern *t)
{
    free(t->hash);
    free(t->number);
}

typedef struct group {
    size_t words;                    /* where its words begin */
    uint32_t n, shapes, first, next; /* next in its leaf, + 1 */
    uint64_t count;
} group;

typedef struct miner {
    const ds_shapes *s;
    const ds_drainopts *o;
    intern words, leaves, texts;
    ds_buf heads;    /* uint32_t by leaf: first group, + 1 */
    ds_buf tails;    /* and last */
    ds_buf children; /* uint32_t by number of words */
    ds_buf seq;      /* uint32_t: the words of all groups */
    ds_buf groups;
    ds_buf line; /* uint32_t: the words of the shape that is looked at */
    uint32_t *of;
} miner;

static uint32_t *u32s(const ds_buf *b)
{
    return (uint32_t *)(void *)b->data;
}

static group *group_at(const miner *m, size_t i)
{
    return (group *)(void *)m->groups.data + i;
}

/* The shape's words as numbers, into m->line. */
static int read_shape(miner *m, const ds_shape *sh, size_t *n)
{
    ds_word words[DS_SHAPE_LINE / 2 + 2];
    const uint8_t *line = m->s->bytes.data + sh->line;
    const uint8_t *varied = m->s->flags.data + sh->varied;
    *n = ds_shape_words(line, sh->len, words);
    m->line.len = 0;
    if (ds_buf_reserve(&m->line, (*n + 1) * sizeof(uint32_t)) != 0)
        return DS_NOMEM;
    for (size_t i = 0; i < *n; i++) {
        uint32_t *w = u32s(&m->line) + i;
        bool wild = words[i].open && *varied++;
        if (wild)
            *w = WILD;
        else if (intern_number(&m->words, XXH3_64bits(line + words[i].at, words[i].len), 1, w) != 0)
            return DS_NOMEM;
    }
    /* Words with digits lead nobody to a leaf of their own. */
    u32s(&m->line)[*n] = *n == 0 || words[0].open ? WILD : u32s(&m->line)[0];
    return 0;
}

/* The leaf for a number of words and a first word. Makes it, or takes the wildcard's when there are
 * children enough. */
static int leaf_of(miner *m, size_t n, uint32_t first, uint32_t *leaf)
{
    size_t slot, want = (n + 1) * sizeof(uint32_t);
    uint64_t key[2] = {n, first};
    if (m->children.len < want) {
        size_t more = want - m->children.len;
        if (ds_buf_reserve(&m->children, more) != 0)
            return DS_NOMEM;
        memset(m->children.data + m->children.len, 0, more);
        m->children.len = want;
    }
    uint32_t *children = u32s(&m->children) + n;
    if (intern_room(&m->leaves) != 0)
        return DS_NOMEM;
    if (!intern_find(&m->leaves, XXH3_64bits(key, sizeof key), &slot)) {
        if (*children + 1 >= m->o->children)
            key[1] = WILD;
        else if (first != WILD)
            ++*children;
    }
    int rc = intern_number(&m->leaves, XXH3_64bits(key, sizeof key), 0, leaf);
    while (rc == 0 && m->heads.len / sizeof(uint32_t) <= *leaf)
        rc = ds_buf_u32(&m->heads, 0) || ds_buf_u32(&m->tails, 0) ? DS_NOMEM : 0;
    return rc;
}

/* The group of a leaf that is most like the line; 0 = none is enough, else its number + 1. Of
 * equals the one with more wildcards, then the older. */
static uint32_t best_group(const miner *m, uint32_t leaf, size_t n)
{
    const uint32_t *line = u32s(&m->line);
    uint32_t best = 0;
    size_t most = 0, most_wild = 0;
    for (uint32_t g = u32s(&m->heads)[leaf]; g; g = group_at(m, g - 1)->next) {
        const uint32_t *w = u32s(&m->seq) + group_at(m, g - 1)->words;
        size_t same = 0, wild = 0;
        for (size_t i = 0; i < n; i++) {
            wild += w[i] == WILD;
            same += w[i] != WILD && w[i] == line[i];
        }
        if (!best || same > most || (same == most && wild > most_wild)) {
            best = g;
            most = same;
            most_wild = wild;
        }
    }
    return best && (n == 0 || (double)most >= m->o->similarity * (double)n) ? best : 0;
}

static int new_group(miner *m, uint32_t leaf, size_t n, uint32_t shape, uint32_t *g)
{
    size_t count = m->groups.len / sizeof(group);
    group k = {.words = m->seq.len / sizeof(uint32_t), .n = (uint32_t)n, .first = shape};
    if (ds_buf_put(&m->groups, &k, sizeof k) != 0 ||
        ds_buf_put(&m->seq, m->line.data, n * sizeof(uint32_t)) != 0)
        return DS_NOMEM;
    *g = (uint32_t)count + 1;
    if (u32s(&m->tails)[leaf])
        group_at(m, u32s(&m->tails)[leaf] - 1)->next = *g;
    else
        u32s(&m->heads)[leaf] = *g;
    u32s(&m->tails)[leaf] = *g;
    return 0;
}

static int add_shape(miner *m, size_t i)
{
    size_t n;
    uint32_t leaf, g;
    if (read_shape(m, &m->s->v[i], &n) != 0 || leaf_of(m, n, u32s(&m->line)[n], &leaf) != 0)
        return DS_NOMEM;
    g = best_group(m, leaf, n);
    if (!g && new_group(m, leaf, n, (uint32_t)i, &g) != 0)
        return DS_NOMEM;
    group *k = group_at(m, g - 1);
    uint32_t *w = u32s(&m->seq) + k->words;
    for (size_t j = 0; j < n; j++)
        if (w[j] != u32s(&m->line)[j])
            w[j] = WILD;
    k->shapes++;
    k->count += m->s->v[i].count;
    m->of[i] = g - 1;
    return 0;
}

/* ---- what is told of a group ---- */

static int write_template(ds_drain *d, const miner *m, const group *g, ds_template *t, ds_err *err)
{
    ds_word words[DS_SHAPE_LINE / 2 + 2];
    const ds_shape *sh = &m->s->v[g->first];
    const uint8_t *line = m->s->bytes.data + sh->line;
    size_t n = ds_shape_words(line, sh->len, words);
    const uint32_t *w = u32s(&m->seq) + g->words;
    *t = (ds_template){.text = d->bytes.len, .open = d->open.len / sizeof(uint32_t)};
    for (size_t i = 0; i < n; i++) {
        int rc = i ? ds_buf_putc(&d->bytes, ' ') : 0;
        if (rc == 0 && w[i] != WILD)
            rc = ds_buf_put(&d->bytes, line + words[i].at, words[i].len);
        uint32_t k = (uint32_t)i;
        if (rc == 0 && w[i] == WILD)
            rc = ds_buf_puts(&d->bytes, "<*>") || ds_buf_put(&d->open, &k, sizeof k) ? DS_NOMEM : 0;
        if (rc != 0)
            return ds_fail_nomem(err);
        t->nopen += w[i] == WILD;
    }
    t->len = d->bytes.len - t->text;
    ds_sha sha;
    char hex[65];
    int rc = ds_sha_tagged(&sha, "ds.template", d->bytes.data + t->text, t->len, err);
    if (rc != 0)
        return rc;
    ds_sha_hex(hex, &sha);
    memcpy(t->id, hex, 16);
    t->first = g->first;
    return 0;
}

/* Groups that ended with the same text are one template. */
static int tell(ds_drain *d, miner *m, ds_err *err)
{
    size_t groups = m->groups.len / sizeof(group);
    uint32_t *of_group = calloc(groups + 1, sizeof *of_group);
    d->v = calloc(groups + 1, sizeof *d->v);
    int rc = of_group && d->v ? 0 : ds_fail_nomem(err);
    for (size_t i = 0; i < groups && rc == 0; i++) {
        const group *g = group_at(m, i);
        ds_template t;
        uint32_t k = 0;
        size_t text = d->bytes.len, open = d->open.len;
        rc = write_template(d, m, g, &t, err);
        if (rc == 0 && intern_number(&m->texts, XXH3_64bits(t.id, 16), 0, &k) != 0)
            rc = ds_fail_nomem(err);
        if (rc != 0)
            break;
        if (k == d->n) {
            d->v[d->n++] = t;
        } else {
            d->bytes.len = text;
            d->open.len = open;
        }
        d->v[k].shapes += g->shapes;
        d->v[k].count += g->count;
        of_group[i] = k;
    }
    for (size_t i = 0; i < m->s->n && rc == 0; i++)
        d->of[i] = of_group[m->of[i]];
    free(of_group);
    return rc;
}

int ds_drain_mine(ds_drain *d, const ds_shapes *s, const ds_drainopts *o, ds_err *err)
{
    miner m = {.s = s, .o = o};
    memset(d, 0, sizeof *d);
    m.of = d->of = calloc(s->n + 1, sizeof *d->of);
    int rc = d->of ? 0 : ds_fail_nomem(err);
    for (size_t i = 0; i < s->n && rc == 0; i++)
        if (add_shape(&m, i) != 0)
            rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = tell(d, &m, err);
    intern_fini(&m.words);
    intern_fini(&m.leaves);
    intern_fini(&m.texts);
    ds_buf_fini(&m.heads);
    ds_buf_fini(&m.tails);
    ds_buf_fini(&m.children);
    ds_buf_fini(&m.seq);
    ds_buf_fini(&m.groups);
    ds_buf_fini(&m.line);
    return rc;
}

void ds_drain_fini(ds_drain *d)
{
    free(d->v);
    free(d->of);
    ds_buf_fini(&d->bytes);
    ds_buf_fini(&d->open);
    memset(d, 0, sizeof *d);
}
