/* dcmtext.c - see dcmchar.h: the text of a whole tree to UTF-8. */
#include <string.h>

#include "dcmchar.h"

#define CHARSET_TAG 0x00080005

typedef struct conv {
    dcm_tree *t;
    const char *fallback;
    unsigned *flags;
    ds_buf out;
    dcm_doubt doubt;
    bool weighed; /* the first walk is over */
    bool high;    /* some text is not ASCII */
    ds_err *err;
} conv;

static bool is_ascii(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] > 0x7f)
            return false;
    return true;
}

/* Writers that did not know an attribute say UN; its bytes are those of its VR (PS3.5 6.2.2). */
static void know(dcm_elem *e)
{
    uint16_t vr = dcm_dict_vr(e->tag);
    if (e->vr == DCM_VR('U', 'N') && vr != DCM_VR('S', 'Q') && !e->bulk)
        e->vr = vr;
}

static int convert(conv *c, dcm_char *set, dcm_elem *e)
{
    if (!c->weighed)
        know(e);
    if (!e->val || !dcm_vr_is_string(e->vr))
        return 0;
    if (!c->weighed) {
        dcm_char_weigh(set, e->vr, e->val, e->len, &c->doubt);
        return 0;
    }
    ds_buf_reset(&c->out);
    int rc = dcm_char_utf8(set, e->vr, e->val, e->len, &c->out, c->flags, c->err);
    if (rc != 0)
        return rc;
    c->high |= !is_ascii(c->out.data, c->out.len);
    if (c->out.len == e->len && memcmp(c->out.data, e->val, e->len) == 0)
        return 0;
    uint8_t *p = dcm_tree_alloc(c->t, c->out.len + 1, c->err);
    if (!p || c->out.len > UINT32_MAX)
        return p ? ds_fail(c->err, DS_FAIL, "a text of 4 GiB") : DS_NOMEM;
    if (c->out.len)
        memcpy(p, c->out.data, c->out.len);
    e->val = p;
    e->len = (uint32_t)c->out.len;
    return 0;
}

/* above: the converter of the set around this one. */
static int walk(conv *c, dcm_set *s, dcm_char *above)
{
    dcm_char *own = NULL;
    int rc = 0;
    if (!above || dcm_set_find(s, CHARSET_TAG))
        rc = dcm_char_new(&own, s, c->fallback, c->err);
    dcm_char *use = own ? own : above;
    if (own && c->weighed)
        dcm_char_believe(own, &c->doubt);
    for (uint32_t i = 0; i < s->n && rc == 0; i++) {
        rc = convert(c, use, &s->elems[i]);
        for (uint32_t k = 0; k < s->elems[i].nitems && rc == 0; k++)
            rc = walk(c, s->elems[i].items[k], use);
    }
    dcm_char_free(own);
    return rc;
}

static void drop_below(dcm_set *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        for (uint32_t k = 0; k < s->elems[i].nitems; k++) {
            dcm_set_drop(s->elems[i].items[k], CHARSET_TAG);
            drop_below(s->elems[i].items[k]);
        }
}

static int walk_all(conv *c)
{
    dcm_set *aside;
    int rc = walk(c, dcm_tree_main(c->t), NULL);
    for (uint32_t i = 0; rc == 0 && (aside = dcm_tree_asides(c->t, i)) != NULL; i++)
        rc = walk(c, aside, NULL);
    return rc;
}

int dcm_tree_utf8(dcm_tree *t, const char *fallback, unsigned *flags, ds_err *err)
{
    conv c = {.t = t, .fallback = fallback, .flags = flags, .err = err};
    dcm_set *s = dcm_tree_main(t);
    int rc = walk_all(&c);
    c.weighed = true;
    if (rc == 0)
        rc = walk_all(&c);
    if (rc == 0 && c.high) {
        drop_below(s);
        rc = dcm_set_put(t, s, CHARSET_TAG, DCM_VR('C', 'S'), "ISO_IR 192", 10, NULL, err);
    } else if (rc == 0) {
        drop_below(s); /* ASCII in every set, that of the top too */
    }
    ds_buf_fini(&c.out);
    return rc;
}
