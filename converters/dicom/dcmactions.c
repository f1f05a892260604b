/* dcmactions.c - see dcmdeid.h: how often each attribute met each action. */
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
    free(a);
}

static int order(const row *r, uint32_t tag, const char *creator)
{
    if (r->tag != tag)
        return r->tag < tag ? -1 : 1;
    return strcmp(r->creator ? r->creator : "", creator ? creator : "");
}

int dcm_actions_add(dcm_actions *a, uint32_t tag, const char *creator, enum dcm_action act,
                    uint64_t n, ds_err *err)
{
    size_t lo = 0, hi = a->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (order(&a->v[mid], tag, creator) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == a->n || order(&a->v[lo], tag, creator) != 0) {
        if (ds_grow(&a->v, &a->cap, a->n, sizeof *a->v))
            return ds_fail_nomem(err);
        char *copy = creator ? strdup(creator) : NULL;
        if (creator && !copy)
            return ds_fail_nomem(err);
        memmove(a->v + lo + 1, a->v + lo, (a->n - lo) * sizeof *a->v);
        a->v[lo] = (row){.tag = tag, .creator = copy};
        a->n++;
    }
    a->v[lo].n[act] += n;
    return 0;
}

void dcm_actions_each(const dcm_actions *a, dcm_actions_fn *fn, void *ctx)
{
    for (size_t i = 0; i < a->n; i++)
        for (unsigned k = 0; k < DCM_ACTS; k++)
            if (a->v[i].n[k])
                fn(ctx, a->v[i].tag, a->v[i].creator, (enum dcm_action)k, a->v[i].n[k]);
}

int dcm_actions_json(const dcm_actions *a, ds_buf *out, ds_err *err)
{
    static const char *const names[DCM_ACTS] = {"kept", "removed", "emptied", "dummy",
                                                "uid",  "cleaned", "shifted"};
    int bad = ds_buf_putc(out, '[');
    for (size_t i = 0; i < a->n && !bad; i++) {
        const row *r = &a->v[i];
        const char *keyword = dcm_keyword(r->tag);
        bad = ds_buf_printf(out, "%s{\"tag\":\"%04x,%04x\"", i ? "," : "", r->tag >> 16,
                            r->tag & 0xffff);
        if (keyword)
            bad |= ds_buf_printf(out, ",\"keyword\":\"%s\"", keyword);
        if (r->creator)
            bad |= ds_buf_puts(out, ",\"creator\":") |
                   ds_json_str(out, r->creator, strlen(r->creator));
        for (unsigned k = 0; k < DCM_ACTS; k++)
            if (r->n[k])
                bad |= ds_buf_printf(out, ",\"%s\":%llu", names[k], (unsigned long long)r->n[k]);
        bad |= ds_buf_putc(out, '}');
    }
    return bad | ds_buf_putc(out, ']') ? ds_fail_nomem(err) : 0;
}
