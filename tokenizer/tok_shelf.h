/* tok_shelf.h - states that threads borrow for a while.
 *
 * The one that was given back last is lent first: its caches know the most words and lie nearest,
 * and there are never more states than were borrowed at the same time. All functions may be called
 * by several threads at once, but for init and fini.
 */
#ifndef DS_TOK_SHELF_H
#define DS_TOK_SHELF_H

#include <pthread.h>

#include "tok.h"

typedef struct ds_tok_shelf {
    const ds_tok *tok;
    pthread_mutex_t lock;
    ds_tok_state **v;    /* those not lent, the last one given back at the end */
    size_t n, made, cap; /* on the shelf; in all, which v has room for */
} ds_tok_shelf;

void ds_tok_shelf_init(ds_tok_shelf *s, const ds_tok *tok); /* borrows tok; zeroed is no shelf */
void ds_tok_shelf_fini(ds_tok_shelf *s); /* nothing may be lent; a zeroed one is fine */
int ds_tok_shelf_take(ds_tok_shelf *s, ds_tok_state **out, ds_err *err);
void ds_tok_shelf_give(ds_tok_shelf *s, ds_tok_state *st); /* NULL is fine */

#endif
