/* whereask.c - see whereparse.h and where_priv.h: what an expression asks of lists, and keys. */
#include <stdio.h>
#include <string.h>

#include "dsr_cut.h"
#include "wherelist.h"
#include "whereparse.h"

/* ---- parsing ---- */

int ds_wparse_key(ds_wparse *s)
{
    int rc = ds_wtoken_expect(s, ")");
    return rc ? rc : ds_wparse_node(s, W_KEY, DS_W_TEXT, -1, -1);
}

int ds_wparse_list(ds_wparse *s, ds_wherelist **list)
{
    const bool name = s->kind == T_NAME;
    *list = name ? ds_wherelists_find(s->names->lists, s->p + s->from, s->to - s->from) : NULL;
    return *list ? ds_wtoken_next(s)
                 : ds_wparse_fail(s, s->from, "the name of a list is wanted, as --list gives it");
}

int ds_wparse_listed(ds_wparse *s, enum ds_wop op, size_t at)
{
    ds_wherelist *list;
    int n, rc, a = ds_wparse_expr(s);
    if (a < 0 || (rc = ds_wtoken_expect(s, ",")) || (rc = ds_wparse_list(s, &list)) ||
        (rc = ds_wtoken_expect(s, ")")))
        return a < 0 ? a : rc;
    if (!ds_wtype_may_be(ds_wparse_type(s, a), DS_W_TEXT))
        return ds_wparse_fail(s, at, "the function takes text");
    if (op == W_HASWORD && (rc = ds_wherelist_words(list, s->err)))
        return rc;
    if (op == W_ONSITE && (rc = ds_wherelist_sites(list, s->err)))
        return rc;
    if ((n = ds_wparse_node(s, op, DS_W_BOOL, a, -1)) >= 0)
        s->w->v[n].list = list;
    return n;
}

/* ---- evaluating ---- */

int ds_where_key(const ds_where *w, ds_wherework *k, ds_buf *b, ds_wval *out, ds_err *err)
{
    char key[33];
    if (w->s->explicit_key) {
        *out = (ds_wval){.type = DS_W_TEXT, .p = k->values[0].p, .len = k->values[0].len};
        return 0;
    }
    int rc = k->hasher ? 0 : ds_hasher_new(&k->hasher, err);
    if (rc == 0)
        rc = ds_key_derive(key, k->hasher, w->s, k->views, k->values, err);
    ds_buf_reset(b);
    if (rc == 0 && ds_buf_put(b, key, 32))
        rc = ds_fail_nomem(err);
    *out = (ds_wval){.type = DS_W_TEXT, .p = b->data, .len = b->len};
    return rc;
}

int ds_where_ask(const ds_wnode *v, ds_buf *b, ds_wval *x, ds_err *err)
{
    const ds_wval a = *x;
    bool found = false;
    int rc = 0;
    if (a.type == DS_W_NULL || a.type == DS_W_MANY || (v->op != W_IN_LIST && a.type != DS_W_TEXT)) {
        *x = (ds_wval){.type = DS_W_NULL};
        return 0;
    }
    ds_buf_reset(b);
    if (v->op == W_HASWORD) {
        rc = ds_wherelist_word(v->list, b, a.p, a.len, &found, err);
    } else if (v->op == W_ONSITE) {
        rc = ds_wherelist_site(v->list, b, a.p, a.len, &found, err);
    } else if (a.type == DS_W_TEXT) {
        found = ds_wherelist_has(v->list, a.p, a.len);
    } else if (ds_wval_text(b, &a) == 0) {
        found = ds_wherelist_has(v->list, b->data, b->len);
    } else {
        rc = ds_fail_nomem(err);
    }
    *x = (ds_wval){.type = DS_W_BOOL, .i = found};
    return rc;
}
