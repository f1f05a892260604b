/* person.h - who makes a version or a tag. */
#ifndef DS_PERSON_H
#define DS_PERSON_H

#include "store.h"

typedef struct ds_person {
    ds_buf name, mail; /* NUL-terminated */
} ds_person;

/* author: "Name <mail>", or NULL: $GIT_AUTHOR_NAME and $GIT_AUTHOR_EMAIL, else the store's or git's
 * configuration, else dsver itself. store: its folder. DS_USAGE when it is not of that form. Zeroed
 * before. */
int ds_person_find(ds_person *p, const char *store, const char *author, ds_err *err);
/* "Name <mail>", which the caller frees. */
int ds_person_text(char **out, const ds_person *p, ds_err *err);
void ds_person_fini(ds_person *p);

#endif
