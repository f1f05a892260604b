/* gramindex.c - see gramindex.h. */
#include "gramindex.h"

#include <stdlib.h>
#include <string.h>

typedef struct entry {
    uint64_t hash;
    uint32_t record;
} entry;

typedef struct member {
    uint64_t key_end; /* in keys */
    uint32_t set, runs;
} member;

typedef struct length {
    unsigned n;
    uint64_t power;
} length;

struct ds_gramindex {
    ds_gramrules r;
    const ds_wordfold *fold;
    ds_buf sets, set_at; /* names, NUL behind each; u64: where they begin */
    ds_buf keys, members;
    ds_buf entries; /* of entry; sorted by build */
    size_t n;       /* entries */
    uint64_t too_short;
    bool too_few; /* the record that is open had no run so far */
    length lengths[DS_GRAM_MAX];
    unsigned nlengths;
    uint32_t *first; /* by the upper bits of a hash: the first entry of these; one more */
    unsigned shift;
    uint64_t *filter; /* a bit for each hash, by its lower bits */
    uint64_t mask;
    ds_buf words;
};

/* ---- building ---- */

int ds_gramindex_new(ds_gramindex **out, const ds_gramrules *r, const ds_wordfold *fold,
                     ds_err *err)
{
    ds_gramindex *x = *out = calloc(1, sizeof *x);
    if (!x)
        return ds_fail_nomem(err);
    x->r = *r;
    x->fold = fold;
    return 0;
}

void ds_gramindex_free(ds_gramindex *x)
{
    if (!x)
        return;
    ds_buf *const all[] = {&x->sets, &x->set_at, &x->keys, &x->members, &x->entries, &x->words};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ds_buf_fini(all[i]);
    free(x->first);
    free(x->filter);
    free(x);
}

static member *members(const ds_gramindex *x)
{
    return (member *)(void *)x->members.data;
}

static const entry *entries(const ds_gramindex *x)
{
    return (const entry *)(const void *)x->entries.data;
}

uint64_t ds_gramindex_records(const ds_gramindex *x)
{
    return x->members.len / sizeof(member);
}

uint64_t ds_gramindex_short(const ds_gramindex *x)
{
    return x->too_short;
}

int ds_gramindex_set(ds_gramindex *x, const char *name, ds_err *err)
{
    return ds_buf_u64(&x->set_at, x->sets.len) || ds_buf_put(&x->sets, name, strlen(name) + 1)
               ? ds_fail_nomem(err)
               : 0;
}

/* Entries twice while they are sorted (qsort may copy them); then buckets and filter bits, of less
 * than 12 bytes a run, take the place of the copy. */
enum { RUN_SIZE = 2 * sizeof(entry) };
/* A slot, a hit, and a bit for who keeps account of what was overlapped. */
enum { LOOK_SIZE = sizeof(uint32_t) + sizeof(ds_gramhit) + 1 };

/* Is there room for as many runs more? */
static int check_room(const ds_gramindex *x, size_t more, ds_err *err)
{
    const size_t n = x->entries.len / sizeof(entry) + more, records = ds_gramindex_records(x);
    size_t kept;
    if (n > UINT32_MAX / 2)
        return ds_fail(err, DS_FAIL, "what is compared with has more than 2 billion runs of words");
    if (!ds_mul_size(records, (size_t)LOOK_SIZE * x->r.threads, &kept) ||
        !ds_add_size(kept, x->keys.len + x->members.len, &kept) || kept > x->r.memory ||
        n > (x->r.memory - kept) / RUN_SIZE)
        return ds_fail(err, DS_FAIL,
                       "what is compared with takes more memory than %zu bytes: --memory",
                       x->r.memory);
    return 0;
}

int ds_gramindex_record(ds_gramindex *x, const void *key, size_t len, ds_err *err)
{
    if (ds_gramindex_records(x) >= UINT32_MAX - 1)
        return ds_fail(err, DS_FAIL, "more than 4 billion records to compare with");
    if (ds_buf_put(&x->keys, key, len))
        return ds_fail_nomem(err);
    const member m = {.key_end = x->keys.len, .set = (uint32_t)(x->set_at.len / 8 - 1)};
    x->too_few = true;
    return ds_buf_put(&x->members, &m, sizeof m) ? ds_fail_nomem(err) : check_room(x, 0, err);
}

static void use_length(ds_gramindex *x, unsigned n)
{
    for (unsigned i = 0; i < x->nlengths; i++)
        if (x->lengths[i].n == n)
            return;
    x->lengths[x->nlengths++] = (length){n, ds_norm_power(n)};
}

int ds_gramindex_text(ds_gramindex *x, const uint8_t *p, size_t len, ds_err *err)
{
    ds_buf_reset(&x->words);
    if (ds_normwords(&x->words, NULL, x->fold, x->r.zero, p, len))
        return ds_fail_nomem(err);
    const uint64_t *words = (const uint64_t *)(const void *)x->words.data;
    const size_t n = x->words.len / sizeof *words, run = n < x->r.n ? n : x->r.n;
    if (n < x->r.least)
        return 0;
    int rc = check_room(x, n - run + 1, err);
    if (rc)
        return rc;
    use_length(x, (unsigned)run);
    x->too_few = false;
    for (size_t i = 0; i + run <= n; i++) {
        entry e;
        memset(&e, 0, sizeof e); /* its padding too */
        e.hash = ds_norm_mix(ds_norm_run(words + i, run));
        e.record = (uint32_t)ds_gramindex_records(x) - 1;
        if (ds_buf_put(&x->entries, &e, sizeof e))
            return ds_fail_nomem(err);
    }
    return 0;
}

int ds_gramindex_end(ds_gramindex *x, ds_err *err)
{
    (void)err;
    x->too_short += x->too_few;
    return 0;
}

static int by_hash(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    return x->hash != y->hash ? (x->hash < y->hash ? -1 : 1)
                              : (x->record > y->record) - (x->record < y->record);
}

/* One of each, without those that too many records have; counts what each record has. */
static void settle(ds_gramindex *x)
{
    entry *e = (entry *)(void *)x->entries.data;
    const size_t n = x->entries.len / sizeof *e;
    size_t out = 0;
    for (size_t i = 0, k; i < n; i = k) {
        const size_t began = out;
        for (k = i; k < n && e[k].hash == e[i].hash; k++)
            if (k == i || e[k].record != e[out - 1].record)
                e[out++] = e[k];
        if (x->r.common && out - began > x->r.common)
            out = began;
        for (size_t m = began; m < out; m++)
            members(x)[e[m].record].runs++;
    }
    x->entries.len = out * sizeof *e;
    x->n = out;
}

int ds_gramindex_build(ds_gramindex *x, ds_err *err)
{
    unsigned bits = 4;
    if (x->entries.len)
        qsort(x->entries.data, x->entries.len / sizeof(entry), sizeof(entry), by_hash);
    settle(x);
    while (bits < 31 && (size_t)1 << bits < x->n)
        bits++;
    x->shift = 64 - bits;
    x->mask = ((uint64_t)1 << (bits + 4)) - 1;
    x->first = calloc(((size_t)1 << bits) + 1, sizeof *x->first);
    x->filter = calloc((x->mask + 1) / 64, sizeof *x->filter);
    if (!x->first || !x->filter)
        return ds_fail_nomem(err);
    const entry *e = entries(x);
    for (size_t i = 0; i < x->n; i++) {
        x->first[(e[i].hash >> x->shift) + 1]++;
        x->filter[(e[i].hash & x->mask) / 64] |= (uint64_t)1 << (e[i].hash & 63);
    }
    for (size_t i = 0; i < (size_t)1 << bits; i++)
        x->first[i + 1] += x->first[i];
    return 0;
}

int ds_gramindex_digest(const ds_gramindex *x, ds_sha *out, ds_err *err)
{
    ds_hasher *h = NULL;
    int rc = ds_hasher_new(&h, err);
    for (size_t i = 0; rc == 0 && i < x->n; i++) {
        rc = ds_hasher_u64(h, entries(x)[i].hash, err);
        rc = rc ? rc : ds_hasher_u64(h, entries(x)[i].record, err);
    }
    rc = rc ? rc : ds_hasher_end(h, out, err);
    ds_hasher_free(h);
    return rc;
}

void ds_gramindex_name(const ds_gramindex *x, uint32_t record, const char **set,
                       const uint8_t **key, size_t *len)
{
    const member *m = &members(x)[record];
    const size_t from = record ? (size_t)m[-1].key_end : 0;
    *set = (const char *)x->sets.data + ds_get_u64(x->set_at.data + 8 * (size_t)m->set);
    *key = x->keys.data + from;
    *len = (size_t)m->key_end - from;
}

/* ---- looking ---- */

/* A run that is there: its first entry, and the words of the text that it is. */
typedef struct found {
    uint32_t at, word, n;
} found;

static int look_up(const ds_gramindex *x, ds_buf *out, uint64_t h, size_t word, unsigned n)
{
    if (!(x->filter[(h & x->mask) / 64] >> (h & 63) & 1))
        return 0;
    const entry *e = entries(x);
    uint32_t i = x->first[h >> x->shift];
    const uint32_t end = x->first[(h >> x->shift) + 1];
    while (i < end && e[i].hash < h)
        i++;
    if (i == end || e[i].hash != h)
        return 0;
    const found f = {i, (uint32_t)word, n};
    return ds_buf_put(out, &f, sizeof f);
}

static int find_runs(const ds_gramindex *x, ds_gramwork *w, const length *l)
{
    const uint64_t *words = (const uint64_t *)(const void *)w->words.data;
    const size_t n = w->words.len / sizeof *words;
    if (n < l->n)
        return 0;
    uint64_t h = ds_norm_run(words, l->n);
    int rc = look_up(x, &w->found, ds_norm_mix(h), 0, l->n);
    for (size_t i = l->n; rc == 0 && i < n; i++) {
        h = ds_norm_roll(h, l->power, words[i - l->n], words[i]);
        rc = look_up(x, &w->found, ds_norm_mix(h), i - l->n + 1, l->n);
    }
    return rc;
}

static int by_entry(const void *a, const void *b)
{
    const found *x = a, *y = b;
    return x->at != y->at ? (x->at < y->at ? -1 : 1) : (x->word > y->word) - (x->word < y->word);
}

static int best_first(const void *a, const void *b)
{
    const ds_gramhit *x = a, *y = b;
    const uint64_t s = (uint64_t)x->common * y->of, t = (uint64_t)y->common * x->of;
    return s != t                   ? (s > t ? -1 : 1)
           : x->common != y->common ? (x->common > y->common ? -1 : 1)
                                    : (x->record > y->record) - (x->record < y->record);
}

/* Of a record that has this run of the text: until the last run `from` is a word, `to` how many. */
static void add_run(ds_gramwork *w, uint32_t record, const found *f)
{
    uint32_t *slot = (uint32_t *)(void *)w->slots.data + record;
    ds_gramhit *hits = (ds_gramhit *)(void *)w->hits.data;
    if (!*slot) {
        hits[w->hits.len / sizeof *hits] = (ds_gramhit){.record = record, .from = UINT32_MAX};
        w->hits.len += sizeof *hits;
        *slot = (uint32_t)(w->hits.len / sizeof *hits);
    }
    ds_gramhit *h = &hits[*slot - 1];
    h->common++;
    if (f->word < h->from || (f->word == h->from && f->n < h->to)) {
        h->from = f->word;
        h->to = f->n;
    }
}

static int reserve_hits(const ds_gramindex *x, ds_gramwork *w)
{
    const size_t records = ds_gramindex_records(x), size = records * sizeof(uint32_t);
    if (w->slots.len < size) {
        if (ds_buf_reserve(&w->slots, size - w->slots.len))
            return DS_NOMEM;
        memset(w->slots.data + w->slots.len, 0, size - w->slots.len);
        w->slots.len = size;
    }
    return ds_buf_reserve(&w->hits, records * sizeof(ds_gramhit));
}

/* Each run of the text once, to each record that has it. */
static int to_hits(const ds_gramindex *x, ds_gramwork *w)
{
    found *f = (found *)(void *)w->found.data;
    const size_t n = w->found.len / sizeof *f;
    const entry *e = entries(x);
    if (n == 0)
        return 0;
    if (reserve_hits(x, w))
        return DS_NOMEM;
    qsort(f, n, sizeof *f, by_entry);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || f[i].at != f[i - 1].at)
            for (size_t k = f[i].at; k < x->n && e[k].hash == e[f[i].at].hash; k++)
                add_run(w, e[k].record, &f[i]);
    return 0;
}

/* Those that the rules demand, the best first, with their places. */
static void keep_hits(const ds_gramindex *x, ds_gramwork *w)
{
    const uint32_t *places = (const uint32_t *)(const void *)w->places.data;
    ds_gramhit *h = (ds_gramhit *)(void *)w->hits.data;
    const size_t n = w->hits.len / sizeof *h;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        ds_gramhit k = h[i];
        ((uint32_t *)(void *)w->slots.data)[k.record] = 0;
        k.of = members(x)[k.record].runs;
        k.to = places[2 * (k.from + k.to - 1) + 1];
        k.from = places[2 * k.from];
        if (k.common >= x->r.hits && (double)k.common / (double)k.of >= x->r.share)
            h[kept++] = k;
    }
    w->hits.len = kept * sizeof *h;
    if (kept)
        qsort(h, kept, sizeof *h, best_first);
}

int ds_gramindex_find(const ds_gramindex *x, ds_gramwork *w, const uint8_t *p, size_t len,
                      ds_err *err)
{
    ds_buf *const all[] = {&w->words, &w->places, &w->found, &w->hits};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ds_buf_reset(all[i]);
    int rc = ds_normwords(&w->words, &w->places, x->fold, x->r.zero, p, len);
    for (unsigned i = 0; rc == 0 && i < x->nlengths; i++)
        rc = find_runs(x, w, &x->lengths[i]);
    rc = rc ? rc : to_hits(x, w);
    if (rc)
        return ds_fail_nomem(err);
    keep_hits(x, w);
    return 0;
}

void ds_gramwork_fini(ds_gramwork *w)
{
    ds_buf *const all[] = {&w->words, &w->places, &w->found, &w->slots, &w->hits};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ds_buf_fini(all[i]);
}
