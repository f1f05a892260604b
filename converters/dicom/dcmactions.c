/* dcmactions.c - see dcmdeid.h: how often each attribute met each action. Rows are found by a hash
 * and sorted when they are told: files may hold any number of private elements of any creator. */
#include <stdlib.h>
#include <string.h>

#include "dcmdeid.h"
#include "json.h"

typedef struct row {
    uint32_t tag;
    char *creator;
    uint64_t n[DCM_ACTS];
} row;

struct dcm_actions {
    row *v;
    size_t n, cap;
    uint32_t *table; /* rows from 1, by hash; 0: free */
    size_t ntable;   /* a power of two, more than twice n */
};

int dcm_actions_new(dcm_actions **a, ds_err *err)
{
    *a = calloc(1, sizeof **a);
    return *a ? 0 : ds_fail_nomem(err);
}

void dcm_actions_free(dcm_actions *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->n; i++)
        free(a->v[i].creator);
    free(a->v);
    free(a->table);
    free(a);
}

static const char *name_of(const row *r)
{
    return r->creator ? r->creator : "";
}

/* Where the row is, or belongs. */
static uint32_t *slot_of(const dcm_actions *a, uint32_t tag, const char *creator)
{
    const uint64_t hash = ds_xxh64(creator, strlen(creator)) + tag * UINT64_C(0x9e3779b97f4a7c15);
    size_t at = (size_t)(hash >> 32) & (a->ntable - 1);
    while (a->table[at]) {
        const row *r = &a->v[a->table[at] - 1];
        if (r->tag == tag && strcmp(name_of(r), creator) == 0)
            break;
        at = (at + 1) & (a->ntable - 1);
    }
    return &a->table[at];
}

static int make_room(dcm_actions *a, ds_err *err)
{
    if (ds_grow(&a->v, &a->cap, a->n, sizeof *a->v))
        return ds_fail_nomem(err);
    if (a->n * 2 < a->ntable)
        return 0;
    const size_t n = a->ntable ? a->ntable * 2 : 256;
    uint32_t *table = calloc(n, sizeof *table);
    if (!table)
        return ds_fail_nomem(err);
    free(a->table);
    a->table = table;
    a->ntable = n;
    for (size_t i = 0; i < a->n; i++)
        *slot_of(a, a->v[i].tag, name_of(&a->v[i])) = (uint32_t)i + 1;
    return 0;
}

int dcm_actions_add(dcm_actions *a, uint32_t tag, const char *creator, enum dcm_action act,
                    uint64_t n, ds_err *err)
{
    int rc = make_room(a, err);
    if (rc != 0)
        return rc;
    uint32_t *at = slot_of(a, tag, creator ? creator : "");
    if (!*at && a->n >= DCM_ACTIONS_MAX) {
        tag = DCM_ACTIONS_MORE;
        creator = NULL;
        at = slot_of(a, tag, "");
    }
    if (!*at) {
        char *copy = creator ? strdup(creator) : NULL;
        if (creator && !copy)
            return ds_fail_nomem(err);
        a->v[a->n++] = (row){.tag = tag, .creator = copy};
        *at = (uint32_t)a->n;
    }
    a->v[*at - 1].n[act] += n;
    return 0;
}

void dcm_actions_each(const dcm_actions *a, dcm_actions_fn *fn, void *ctx)
{
    for (size_t i = 0; i < a->n; i++)
        for (unsigned k = 0; k < DCM_ACTS; k++)
            if (a->v[i].n[k])
                fn(ctx, a->v[i].tag, a->v[i].creator, (enum dcm_action)k, a->v[i].n[k]);
}

static int by_tag(const void *x, const void *y)
{
    const row *a = *(const row *const *)x, *b = *(const row *const *)y;
    int c = (a->tag > b->tag) - (a->tag < b->tag);
    return c ? c : strcmp(name_of(a), name_of(b));
}

static int put_row(ds_buf *out, const row *r)
{
    static const char *const names[DCM_ACTS] = {"kept", "removed", "emptied", "dummy",
                                                "uid",  "cleaned", "shifted"};
    const char *keyword = dcm_keyword(r->tag);
    int bad = ds_buf_printf(out, "{\"tag\":\"%04x,%04x\"", r->tag >> 16, r->tag & 0xffff);
    if (keyword)
        bad |= ds_buf_printf(out, ",\"keyword\":\"%s\"", keyword);
    if (r->creator)
        bad |= ds_buf_puts(out, ",\"creator\":") | ds_json_str(out, r->creator, strlen(r->creator));
    for (unsigned k = 0; k < DCM_ACTS; k++)
        if (r->n[k])
            bad |= ds_buf_printf(out, ",\"%s\":%llu", names[k], (unsigned long long)r->n[k]);
    return bad | ds_buf_putc(out, '}');
}

int dcm_actions_json(const dcm_actions *a, ds_buf *out, ds_err *err)
{
    const row **v = calloc(a->n + 1, sizeof *v);
    if (!v)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < a->n; i++)
        v[i] = &a->v[i];
    qsort(v, a->n, sizeof *v, by_tag);
    int bad = ds_buf_putc(out, '[');
    for (size_t i = 0; i < a->n && !bad; i++)
        bad = (i ? ds_buf_putc(out, ',') : 0) | put_row(out, v[i]);
    free(v);
    return bad | ds_buf_putc(out, ']') ? ds_fail_nomem(err) : 0;
}
