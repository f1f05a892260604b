/* tok_shelf.c - see tok_shelf.h. */
#include "tok_shelf.h"

#include <stdlib.h>
#include <string.h>

void ds_tok_shelf_init(ds_tok_shelf *s, const ds_tok *tok)
{
    memset(s, 0, sizeof *s);
    s->tok = tok;
    pthread_mutex_init(&s->lock, NULL);
}

void ds_tok_shelf_fini(ds_tok_shelf *s)
{
    if (s->tok == NULL)
        return;
    for (size_t i = 0; i < s->n; i++)
        ds_tok_state_free(s->v[i]);
    free(s->v);
    pthread_mutex_destroy(&s->lock);
    memset(s, 0, sizeof *s);
}

/* A new state, and room on the shelf for it; the lock is held. */
static int more(ds_tok_shelf *s, ds_tok_state **out, ds_err *err)
{
    if (ds_grow(&s->v, &s->cap, s->made, sizeof(ds_tok_state *)))
        return ds_fail_nomem(err);
    int rc = ds_tok_state_new(out, s->tok, err);
    if (rc == 0)
        s->made++;
    return rc;
}

int ds_tok_shelf_take(ds_tok_shelf *s, ds_tok_state **out, ds_err *err)
{
    int rc = 0;
    *out = NULL;
    pthread_mutex_lock(&s->lock);
    if (s->n > 0)
        *out = s->v[--s->n];
    else
        rc = more(s, out, err);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

void ds_tok_shelf_give(ds_tok_shelf *s, ds_tok_state *st)
{
    if (st == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    s->v[s->n++] = st;
    pthread_mutex_unlock(&s->lock);
}
