/* person.c - see person.h. */
#include "person.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int put_text(ds_buf *b, const char *s, size_t len, ds_err *err)
{
    ds_buf_reset(b);
    return ds_buf_put(b, s, len) || !ds_buf_cstr(b) ? ds_fail_nomem(err) : 0;
}

static int split_author(ds_person *p, const char *author, ds_err *err)
{
    const char *open = strrchr(author, '<'), *close = open ? strchr(open, '>') : NULL;
    size_t len = open ? (size_t)(open - author) : 0;
    while (len > 0 && author[len - 1] == ' ')
        len--;
    if (!close || close[1] || len == 0 || close == open + 1)
        return ds_fail(err, DS_USAGE, "'%s' is not of the form Name <mail>", author);
    int rc = put_text(&p->name, author, len, err);
    return rc ? rc : put_text(&p->mail, open + 1, (size_t)(close - open - 1), err);
}

static int from_config(ds_buf *b, const char *store, const char *env, const char *name,
                       const char *otherwise, ds_err *err)
{
    const char *v = getenv(env);
    if (v && *v)
        return put_text(b, v, strlen(v), err);
    int rc = ds_config_get(b, store, name, true, err);
    if (rc == 0 || (rc > 0 && b->len == 0))
        return put_text(b, otherwise, strlen(otherwise), err);
    return rc < 0 ? rc : ds_buf_cstr(b) ? 0 : ds_fail_nomem(err);
}

int ds_person_find(ds_person *p, const char *store, const char *author, ds_err *err)
{
    if (author)
        return split_author(p, author, err);
    int rc = from_config(&p->name, store, "GIT_AUTHOR_NAME", "user.name", "dsver", err);
    return rc ? rc
              : from_config(&p->mail, store, "GIT_AUTHOR_EMAIL", "user.email", "dsver@localhost",
                            err);
}

int ds_person_text(char **out, const ds_person *p, ds_err *err)
{
    if (asprintf(out, "%s <%s>", (const char *)p->name.data, (const char *)p->mail.data) >= 0)
        return 0;
    *out = NULL;
    return ds_fail_nomem(err);
}

void ds_person_fini(ds_person *p)
{
    ds_buf_fini(&p->name);
    ds_buf_fini(&p->mail);
}
