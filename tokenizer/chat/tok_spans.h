/* tok_spans.h - a text made of spans that are not equally trusted, to ids that know where in it
 * they came from.
 *
 * The ids are those of the whole text in one call, but for added tokens: one counts only where
 * every span that its spelling touches allows it. So text from strangers can neither give an added
 * token nor complete one that a template began, and yet words are cut as if template and content
 * had been written by one hand. Where content spells no added token, ids are the reference's for
 * the whole text. The post-processor's tokens are not put around it.
 *
 * Places are bytes of the text as it was given. A token of a cluster that normalisation changed
 * covers the whole cluster. A pipeline that changes text otherwise (lower case, say) is refused.
 *
 * Memory: proportional to the text. A zeroed ds_places is valid; any thread with its own state.
 */
#ifndef DS_TOK_SPANS_H
#define DS_TOK_SPANS_H

#include "tok.h"

enum ds_trust {
    DS_TRUST_TEXT,   /* spells no added token */
    DS_TRUST_MARKUP, /* may spell added tokens that are not special, such as <think> */
    DS_TRUST_ALL     /* may spell any */
};

/* Whose words a span holds: values of the column `roles` (docs/chat-templates.md). */
enum ds_role { DS_ROLE_NONE, DS_ROLE_SYSTEM, DS_ROLE_USER, DS_ROLE_ASSISTANT, DS_ROLE_TOOL };

typedef struct ds_span {
    size_t end;    /* offset behind its last byte; it begins where the one before ends */
    uint8_t trust; /* enum ds_trust */
    uint8_t role;  /* enum ds_role */
    bool target;   /* a model is to learn to write it */
} ds_span;

/* A text with its spans. Zeroed is valid and empty. */
typedef struct ds_spantext {
    ds_buf text;
    ds_span *v;
    size_t n, cap;
} ds_spantext;
/* Appends text; like.end is not looked at. Neighbours that are alike become one span. */
int ds_spantext_put(ds_spantext *t, const void *p, size_t len, ds_span like, ds_err *err);
void ds_spantext_reset(ds_spantext *t);
void ds_spantext_fini(ds_spantext *t);

typedef struct ds_place {
    size_t start, end;
} ds_place;
typedef struct ds_places {
    ds_place *v;
    size_t n, cap;
} ds_places;
void ds_places_fini(ds_places *p);

/* Appends the ids of the text to ids and their places to at. */
int ds_tok_encode_spans(const ds_tok *tok, ds_tok_state *st, const ds_spantext *text, ds_ids *ids,
                        ds_places *at, ds_err *err);

#endif
