/* ipcjson.c - see ipcjson.h. */
#include "ipcjson.h"

#include <inttypes.h>

#include "json.h"
#include "pqvalue.h"
#include "try.h"

typedef struct maker {
    ds_buf *out;
    size_t most;
    const char **why;
} maker;

static int put_any(const maker *m, ds_ipcat at);

static int put_text(const maker *m, const char *s)
{
    if (m->out->len > m->most) {
        *m->why = "it is longer than --max-record";
        return 1;
    }
    return ds_buf_puts(m->out, s);
}

int ds_ipc_span(const ds_ipcnode *n, const ds_pqvalue *x, ds_buf *out)
{
    if (n->span == DS_IPC_DAY_TIME)
        return ds_buf_printf(out, "{\"days\":%" PRId32 ",\"milliseconds\":%" PRId32 "}",
                             (int32_t)ds_get_u32(x->p), (int32_t)ds_get_u32(x->p + 4));
    return ds_buf_printf(
        out, "{\"months\":%" PRId32 ",\"days\":%" PRId32 ",\"nanoseconds\":%" PRId64 "}",
        (int32_t)ds_get_u32(x->p), (int32_t)ds_get_u32(x->p + 4), (int64_t)ds_get_u64(x->p + 8));
}

static int put_leaf(const maker *m, const ds_ipcat *at)
{
    const ds_ipcnode *n = &at->schema->nodes[at->node];
    uint8_t scratch[32];
    ds_pqvalue x;

    TRY(ds_ipc_value(at, scratch, &x, m->why));
    return n->span ? ds_ipc_span(n, &x, m->out) : ds_pq_json(&n->what, &x, m->out, m->why);
}

static int put_fields(const maker *m, const ds_ipcat *at)
{
    const ds_ipcnode *n = &at->schema->nodes[at->node];

    TRY(put_text(m, "{"));
    for (size_t i = 0, c = n->children; i < n->nchild; i++, c = at->schema->nodes[c].next) {
        const ds_pqnode *what = &at->schema->nodes[c].what;
        TRY(put_text(m, i ? "," : ""));
        TRY(ds_json_str(m->out, what->name, what->name_len));
        TRY(put_text(m, ":"));
        TRY(put_any(m, ds_ipc_below(at, c, at->i)));
    }
    return put_text(m, "}");
}

static int put_list(const maker *m, const ds_ipcat *at)
{
    const ds_ipcnode *n = &at->schema->nodes[at->node];
    uint64_t from, count;

    TRY(ds_ipc_items(at, &from, &count, m->why));
    TRY(put_text(m, "["));
    for (uint64_t i = 0; i < count; i++) {
        TRY(put_text(m, i ? "," : ""));
        TRY(put_any(m, ds_ipc_below(at, n->children, from + i)));
    }
    return put_text(m, "]");
}

/* A map is a list of structs of two fields. */
static int put_map(const maker *m, const ds_ipcat *at)
{
    const ds_ipcschema *s = at->schema;
    const size_t pair = s->nodes[at->node].children, key = ds_ipc_child(s, pair, 0),
                 value = ds_ipc_child(s, pair, 1), of = ds_ipc_values(s, key);
    const bool text = ds_ipc_is_leaf(&s->nodes[of]) && ds_pq_type(&s->nodes[of].what) == DS_UTF8;
    uint64_t from, count;

    TRY(ds_ipc_items(at, &from, &count, m->why));
    TRY(put_text(m, text ? "{" : "["));
    for (uint64_t i = 0; i < count; i++) {
        ds_ipcat k = ds_ipc_below(at, key, from + i);
        TRY(ds_ipc_settle(&k, m->why));
        if (text && k.null) {
            *m->why = "a key of a map is null";
            return 1;
        }
        TRY(put_text(m, i ? (text ? "," : ",[") : text ? "" : "["));
        TRY(put_any(m, ds_ipc_below(at, key, from + i)));
        TRY(put_text(m, text ? ":" : ","));
        TRY(put_any(m, ds_ipc_below(at, value, from + i)));
        TRY(put_text(m, text ? "" : "]"));
    }
    return put_text(m, text ? "}" : "]");
}

static int put_any(const maker *m, ds_ipcat at)
{
    TRY(ds_ipc_settle(&at, m->why));
    const ds_ipcnode *n = &at.schema->nodes[at.node];
    if (at.null)
        return put_text(m, "null");
    if (n->layout == DS_IPC_STRUCT)
        return put_fields(m, &at);
    if (n->map)
        return put_map(m, &at);
    return ds_ipc_is_list(n) ? put_list(m, &at) : put_leaf(m, &at);
}

int ds_ipc_json(ds_ipcat at, ds_buf *out, size_t most, const char **why)
{
    const maker m = {out, most, why};
    const int rc = put_any(&m, at);

    return rc ? rc : put_text(&m, "");
}
