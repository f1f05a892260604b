/* forgetfind.c - see forget_priv.h. */
#include <stdlib.h>
#include <string.h>

#include "blockwalk.h"
#include "filerec.h"
#include "forget_priv.h"
#include "history.h"
#include "pin.h"
#include "sig.h"

/* ---- which records ---- */

typedef struct look {
    ds_blocklook look;
    ds_hasher *hasher;
    ds_buf rows; /* uint64_t */
    ds_buf keys; /* of them: varint length, bytes */
    char hex[33];
    const void *key; /* of the record at hand */
    size_t len;
    ds_fieldmet met;
} look;

typedef struct search {
    ds_forgetting *f;
    bool by_value;
    ds_fieldplace at;  /* where the value is looked for */
    ds_filecols files; /* where its records are files */
    bool is_files;
    size_t next;
} search;

/* The record's key, as dsprep cat prints it. hex: 33 bytes. */
static int key_of(const ds_recblock *rec, ds_hasher *h, char *hex, const void **p, size_t *len,
                  ds_err *err)
{
    const ds_schema *s = &rec->side->schema;
    if (s->explicit_key) {
        *p = rec->values[0].p;
        *len = rec->values[0].len;
        return 0;
    }
    *p = hex;
    *len = 32;
    return ds_key_derive(hex, h, s, rec->views, rec->values, err);
}

/* Another name of a file that goes has no bytes but that one's, and tells its key. */
static int names_file(const search *q, const ds_value *v, ds_err *err)
{
    const ds_value *kind = &v[q->files.kind], *target = &v[q->files.target];
    const char *link = ds_filekind_names[DS_FILE_HARDLINK];
    ds_sha sum;
    if (target->null || kind->len != strlen(link) || memcmp(kind->p, link, kind->len) != 0)
        return 0;
    const int rc = ds_sha_bytes(&sum, target->p, target->len, err);
    return rc ? rc : ds_shaset_has(&q->f->keys, &sum);
}

/* Whether the record at hand goes: 1 and its key, or 0. */
static int is_meant(const search *q, look *k, ds_err *err)
{
    const ds_recblock *rec = &k->look.rec;
    const size_t c = q->at.column;
    ds_sha sum;
    int rc = q->by_value ? ds_fieldvalue_is(q->f->o->where, &q->at, rec->side->schema.cols[c].type,
                                            &rec->values[c], &k->met, err)
                         : 0;
    if (!rc && q->is_files)
        rc = names_file(q, rec->values, err);
    if (rc < 0 || (!rc && q->by_value))
        return rc;
    const bool found = rc > 0;
    rc = key_of(rec, k->hasher, k->hex, &k->key, &k->len, err);
    if (rc || found)
        return rc ? rc : 1;
    rc = ds_sha_bytes(&sum, k->key, k->len, err);
    return rc ? rc : ds_shaset_has(&q->f->keys, &sum);
}

static int look_through(void *ctx, ds_blocklook *l)
{
    const search *q = ctx;
    look *k = (look *)l;
    int rc = k->hasher ? 0 : ds_hasher_new(&k->hasher, &l->err);
    ds_buf_reset(&k->rows);
    ds_buf_reset(&k->keys);
    for (uint64_t row = 0; rc >= 0 && ds_recblock_next(&l->rec); row++) {
        rc = is_meant(q, k, &l->err);
        if (rc > 0 && (ds_buf_put(&k->rows, &row, sizeof row) || ds_buf_varint(&k->keys, k->len) ||
                       ds_buf_put(&k->keys, k->key, k->len)))
            rc = ds_fail_nomem(&l->err);
    }
    return rc < 0 ? rc : 0;
}

static bool next_block(void *ctx, ds_blocklook *l)
{
    search *q = ctx;
    if (q->next == q->f->side.n)
        return false;
    l->side = &q->f->side;
    l->block = q->next++;
    return true;
}

static int take_keys(ds_forgetting *f, const ds_buf *keys, ds_err *err)
{
    for (size_t pos = 0; pos < keys->len;) {
        uint64_t len = 0;
        ds_sha sum;
        if (!ds_varint_get(keys->data, keys->len, &pos, &len))
            return ds_fail(err, DS_FAIL, "a key was not kept whole");
        int rc = ds_sha_bytes(&sum, keys->data + pos, (size_t)len, err);
        rc = rc ? rc : ds_shaset_add(&f->erased, &sum, NULL, err);
        if (rc)
            return rc;
        pos += (size_t)len;
        if (len && (!f->longest || len < f->shortest))
            f->shortest = (size_t)len;
        if (len > f->longest)
            f->longest = (size_t)len;
    }
    return 0;
}

static int take_look(void *ctx, ds_blocklook *l, ds_err *err)
{
    const search *q = ctx;
    ds_forgetting *f = q->f;
    const look *k = (const look *)l;
    f->met_member |= k->met.member;
    f->met_column |= !q->at.guessed;
    f->out->inner |= k->met.inner;
    if (!k->rows.len)
        return 0;
    const ds_forgethit h = {.was = f->side.was[l->block],
                            .row = f->rows.len / sizeof(uint64_t),
                            .n = k->rows.len / sizeof(uint64_t)};
    const ds_manline *line = &f->side.lines[l->block];
    /* The origin chunk stays. */
    const size_t n =
        line->pieces.len / sizeof(ds_sha) - ds_manline_npieces(line, line->nchunks - 1);
    if (ds_buf_put(&f->rows, k->rows.data, k->rows.len) || ds_buf_put(&f->hits, &h, sizeof h) ||
        ds_buf_put(&f->avoid, line->pieces.data, n * sizeof(ds_sha)))
        return ds_fail_nomem(err);
    return take_keys(f, &k->keys, err);
}

static void look_fini(ds_blocklook *l)
{
    look *k = (look *)l;
    ds_hasher_free(k->hasher);
    ds_buf_fini(&k->rows);
    ds_buf_fini(&k->keys);
}

/* Looks through the blocks of the version at hand. */
static int search_side(ds_forgetting *f, ds_err *err)
{
    bool only[256] = {false};
    search q = {.f = f, .by_value = f->o->where != NULL};
    const ds_schema *s = &f->side.schema;
    const ds_blockwalk w = {.size = sizeof(look),
                            .only = only,
                            .next = next_block,
                            .work = look_through,
                            .done = take_look,
                            .fini = look_fini,
                            .ctx = &q};
    if (q.by_value) {
        const int rc = ds_fieldvalue_place(&q.at, f->o->where, s, err);
        if (rc <= 0)
            return rc;
        f->met_field = true;
        only[q.at.column] = true;
    }
    for (size_t i = 0; i < s->n; i++)
        only[i] |= ds_schema_is_key(s, i);
    q.is_files = ds_filerec_find(&q.files, s, NULL) == 0;
    if (q.is_files)
        only[q.files.kind] = only[q.files.target] = f->met_files = true;
    return ds_blockwalk_run(&w, f->o->threads, err);
}

/* ---- versions ---- */

/* Files of the manifest that a version of the same schema had were looked through. */
static bool seen_file(void *ctx, const git_oid *file)
{
    const ds_forgetting *f = ctx;
    git_oid id = *file;
    for (size_t i = 0; i < sizeof id.id; i++)
        id.id[i] ^= f->schema.b[i];
    return ds_oidset_has(&f->files, &id);
}

static int note_files(ds_forgetting *f, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < f->side.n; i++) {
        git_oid id = f->side.files[i];
        bool fresh;
        for (size_t k = 0; k < sizeof id.id; k++)
            id.id[k] ^= f->schema.b[k];
        rc = ds_oidset_add(&f->files, &id, &fresh, err);
    }
    return rc;
}

static bool meant(const ds_forgetting *f, const ds_version *v)
{
    return *v->dataset && (!f->o->dataset || strcmp(v->dataset, f->o->dataset) == 0);
}

static int find_in(void *ctx, const git_oid *id, const ds_version *v, const ds_err *why,
                   ds_err *err)
{
    ds_forgetting *f = ctx;
    ds_schema schema;
    if (!v)
        return ds_fail(err, why->code, "nothing was erased, version %s cannot be read: %s",
                       git_oid_tostr_s(id), why->msg);
    if (!meant(f, v))
        return 0;
    f->met_dataset = true;
    ds_schema_init(&schema);
    int rc = ds_version_schema(&schema, f->store->cat, &v->tree, err);
    rc = rc ? rc : ds_schema_digest(&f->schema, &schema, err);
    rc = rc ? rc : ds_verside_open_raw(&f->side, f->store, id, seen_file, f, err);
    ds_schema_fini(&schema);
    if (rc)
        return rc;
    rc = search_side(f, err);
    rc = rc ? rc : note_files(f, err);
    ds_verside_fini(&f->side);
    return rc;
}

static int from_pin(void *ctx, const git_oid *commit, ds_err *err)
{
    ds_forgetting *f = ctx;
    return ds_history_from(f->store->cat, commit, &f->commits, find_in, f, err);
}

static int by_was(const void *a, const void *b)
{
    return memcmp(((const ds_forgethit *)a)->was.b, ((const ds_forgethit *)b)->was.b,
                  sizeof(ds_sha));
}

/* One of each block. */
static void sort_hits(ds_forgetting *f)
{
    ds_forgethit *h = (ds_forgethit *)(void *)f->hits.data;
    size_t n = f->hits.len / sizeof *h, kept = 0;
    if (n)
        qsort(h, n, sizeof *h, by_was);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || by_was(&h[i], &h[kept - 1]) != 0)
            h[kept++] = h[i];
    f->hits.len = kept * sizeof *h;
    if (f->avoid.len)
        qsort(f->avoid.data, f->avoid.len / sizeof(ds_sha), sizeof(ds_sha), by_was);
}

const ds_forgethit *ds_forget_hit(const ds_forgetting *f, const ds_sha *was)
{
    const ds_forgethit key = {.was = *was};
    return f->hits.len ? bsearch(&key, f->hits.data, f->hits.len / sizeof key, sizeof key, by_was)
                       : NULL;
}

const uint64_t *ds_forget_rows(const ds_forgetting *f, const ds_forgethit *h)
{
    return (const uint64_t *)(const void *)f->rows.data + h->row;
}

/* ---- which versions ---- */

static int touch(ds_forgetting *f, const ds_verside *v, ds_err *err)
{
    ds_forgetin t = {.commit = v->version.id};
    uint64_t first = 0;
    bool bad = false;
    for (size_t i = 0; i < v->n && !bad; first += v->lines[i++].rows) {
        const ds_forgethit *h = ds_forget_hit(f, &v->was[i]);
        for (size_t k = 0; h && k < h->n && !bad; k++) {
            const uint64_t at = first + ds_forget_rows(f, h)[k];
            bad = ds_buf_put(&t.ordinals, &at, sizeof at);
        }
    }
    if (!bad && t.ordinals.len) {
        bad = ds_grow(&f->versions, &f->versions_cap, f->nversions, sizeof *f->versions) ||
              ds_buf_put(&f->out->touched, &t.commit, sizeof t.commit) ||
              ds_strlist_add(&f->out->datasets, v->version.dataset, NULL);
        if (!bad) {
            f->versions[f->nversions++] = t;
            f->out->rows += t.ordinals.len / sizeof(uint64_t);
            f->out->versions++;
            return ds_forget_sources(f, v, err);
        }
    }
    ds_buf_fini(&t.ordinals);
    return bad ? ds_fail_nomem(err) : 0;
}

static int touch_version(void *ctx, const git_oid *id, const ds_version *v, const ds_err *why,
                         ds_err *err)
{
    ds_forgetting *f = ctx;
    ds_verside side = {0};
    (void)why;
    if (!v || !*v->dataset) /* other datasets share blocks */
        return 0;
    int rc = ds_verside_open_raw(&side, f->store, id, NULL, NULL, err);
    rc = rc ? rc : touch(f, &side, err);
    ds_verside_fini(&side);
    return rc ? rc : ds_check_interrupt(err);
}

static int touch_pin(void *ctx, const git_oid *commit, ds_err *err)
{
    ds_forgetting *f = ctx;
    return ds_history_from(f->store->cat, commit, &f->commits, touch_version, f, err);
}

static int find_nothing(const ds_forgetting *f, ds_err *err)
{
    if (f->o->dataset && !f->met_dataset)
        return ds_fail(err, DS_FAIL, "no dataset '%s' here (dsver ls lists them)", f->o->dataset);
    const ds_fieldvalue *w = f->o->where;
    if (w && !f->met_field)
        return ds_fail(err, DS_FAIL, "no version has a column '%s'", w->field);
    if (w && !f->met_member && !f->met_column)
        return ds_fail(err, DS_FAIL, "no version has a column '%s', and no record such a member",
                       w->field);
    if (w && !f->met_member)
        return ds_fail(err, DS_FAIL, "no record of any version has '%s'", w->field);
    if (f->out->inner)
        return ds_fail(err, DS_FAIL,
                       "no version holds such a record (in some, '%s' is an object or an array, "
                       "which --where does not look into)",
                       w->field);
    return ds_fail(err, DS_FAIL, "no version holds such a record");
}

static int list_unmet(ds_forgetting *f, ds_err *err)
{
    const ds_buf *b = f->o->keys;
    int rc = 0;
    for (size_t at = 0; !rc && b && at < b->len;) {
        const char *key = (const char *)b->data + at;
        ds_sha sum;
        rc = ds_sha_bytes(&sum, key, strlen(key), err);
        if (!rc && !ds_shaset_has(&f->erased, &sum))
            rc = ds_strlist_add(&f->out->unmet, key, err);
        at += strlen(key) + 1;
    }
    return rc;
}

static int find_all(ds_forgetting *f, ds_err *err)
{
    const int rc = ds_history_more(f->store->cat, &f->commits, find_in, f, err);
    return rc ? rc : ds_pin_each(f->store, from_pin, f, err);
}

/* Files that are meant by a value: their other names can be told once their keys are known. */
static int find_names(ds_forgetting *f, ds_err *err)
{
    f->keys = f->erased;
    f->erased = (ds_shaset){0};
    ds_oidset_fini(&f->commits);
    ds_oidset_fini(&f->files);
    ds_buf_reset(&f->hits);
    ds_buf_reset(&f->rows);
    ds_buf_reset(&f->avoid);
    return find_all(f, err);
}

int ds_forget_find(ds_forgetting *f, ds_err *err)
{
    int rc = find_all(f, err);
    if (!rc && f->o->where && f->met_files && f->erased.n)
        rc = find_names(f, err);
    sort_hits(f);
    f->out->records = f->erased.n;
    f->out->blocks = f->hits.len / sizeof(ds_forgethit);
    if (!rc && !f->hits.len)
        rc = find_nothing(f, err);
    rc = rc ? rc : list_unmet(f, err);
    ds_oidset_fini(&f->commits);
    rc = rc ? rc : ds_history_more(f->store->cat, &f->commits, touch_version, f, err);
    return rc ? rc : ds_pin_each(f->store, touch_pin, f, err);
}

const ds_buf *ds_forget_ordinals(void *ctx, const git_oid *version)
{
    const ds_forgetting *f = ctx;
    for (size_t i = 0; i < f->nversions; i++)
        if (git_oid_equal(&f->versions[i].commit, version))
            return &f->versions[i].ordinals;
    return NULL;
}
