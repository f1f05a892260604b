/* modes.c - see modes.h. */
#include "modes.h"

#include <errno.h>
#include <fts.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sig.h"
#include "strlist.h"

enum { MAKING_MS = 50, WORD = 64 };

typedef struct modes {
    ds_modes *out;
    const char *store;
    enum ds_sharing how;
    bool mend;
    gid_t group; /* that of the store's folder */
    ds_mode_fn fn;
    void *ctx;
} modes;

static bool is_wrong(const modes *m, const struct stat *st)
{
    if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
        return false;
    return ds_sharing_mode(m->how, st->st_mode) != (st->st_mode & 07777) || st->st_gid != m->group;
}

/* By name, or by number where the system has no name for it. */
static const char *word_of(char word[WORD], const char *name, unsigned long id)
{
    if (name)
        snprintf(word, WORD, "%s", name);
    else
        snprintf(word, WORD, "%lu", id);
    return word;
}

static const char *user_word(char word[WORD], uid_t id)
{
    const struct passwd *p = getpwuid(id);
    return word_of(word, p ? p->pw_name : NULL, id);
}

static const char *group_word(char word[WORD], gid_t id)
{
    const struct group *g = getgrgid(id);
    return word_of(word, g ? g->gr_name : NULL, id);
}

/* 0, or errno. Group before mode: a change of group takes bits away. */
static int mend_one(const modes *m, const char *path, const struct stat *st)
{
    struct stat now;
    if (st->st_gid != m->group && lchown(path, (uid_t)-1, m->group) != 0)
        return errno;
    if (lstat(path, &now) != 0)
        return errno;
    if (is_wrong(m, &now) && ds_sharing_change(path, ds_sharing_mode(m->how, now.st_mode)) != 0)
        return errno;
    /* the system takes g+s away, and says nothing, where the group is not this user's */
    return lstat(path, &now) != 0 ? errno : is_wrong(m, &now) ? EPERM : 0;
}

static void tell(const modes *m, const char *path, const struct stat *st, int why)
{
    char reason[512], owner[WORD], is[WORD], want[WORD];
    const char *file = path + strlen(m->store);
    const unsigned mode = st->st_mode & 07777, right = ds_sharing_mode(m->how, st->st_mode);
    ds_wrongmode w = {.file = *file ? file + 1 : ".", .reason = reason, .mended = !why};
    int n = snprintf(reason, sizeof reason, "of %s: ", user_word(owner, st->st_uid));
    if (mode != right)
        n += snprintf(reason + n, sizeof reason - (size_t)n,
                      "its mode is %04o, and %04o in a store that is shared with %s%s", mode, right,
                      m->how == DS_SHARED_ALL ? "all" : "its group",
                      st->st_gid != m->group ? "; " : "");
    if (st->st_gid != m->group)
        n += snprintf(reason + n, sizeof reason - (size_t)n,
                      "its group is %s, and that of the store %s", group_word(is, st->st_gid),
                      group_word(want, m->group));
    if (why && m->mend)
        snprintf(reason + n, sizeof reason - (size_t)n, ": %s", strerror(why));
    if (m->fn)
        m->fn(m->ctx, &w);
}

/* A folder is mended before it is read: what is in it may only then be seen. Each is named from
 * within its folder (fts goes there): of a longer name others of the group could make a link that
 * leads out of the store, and root follows it. */
static int look(modes *m, FTSENT *e, ds_strlist *later, ds_err *err)
{
    struct stat st;
    if (e->fts_info == FTS_DP || e->fts_info == FTS_SL || e->fts_info == FTS_SLNONE)
        return 0;
    if (lstat(e->fts_accpath, &st) != 0)
        return errno == ENOENT ? 0 : ds_fail_errno(err, errno, "%s", e->fts_path);
    if (!is_wrong(m, &st))
        return e->fts_info != FTS_DNR ? 0 : ds_fail_errno(err, e->fts_errno, "%s", e->fts_path);
    if (!m->mend)
        return ds_strlist_add(later, e->fts_path, err);
    const int why = mend_one(m, e->fts_accpath, &st);
    if (why == ENOENT)
        return 0;
    m->out->wrong++;
    m->out->mended += why == 0;
    tell(m, e->fts_path, &st, why);
    return ds_check_interrupt(err);
}

static void look_again(modes *m, const ds_strlist *l)
{
    const struct timespec t = {.tv_nsec = MAKING_MS * 1000000L};
    struct stat st;
    if (l->n)
        nanosleep(&t, NULL);
    for (size_t i = 0; i < l->n; i++)
        if (lstat(l->v[i], &st) == 0 && is_wrong(m, &st)) {
            m->out->wrong++;
            tell(m, l->v[i], &st, EPERM);
        }
}

int ds_modes_check(ds_modes *out, const char *store, bool mend, ds_mode_fn fn, void *ctx,
                   ds_err *err)
{
    modes m = {.out = out, .store = store, .how = ds_sharing_of(store), .mend = mend, .fn = fn};
    struct stat st;
    ds_strlist later = {0};
    *out = (ds_modes){0};
    m.ctx = ctx;
    if (m.how == DS_SHARED_UMASK)
        return 0;
    if (stat(store, &st) != 0)
        return ds_fail_errno(err, errno, "%s", store);
    m.group = st.st_gid;
    char *dir = strdup(store), *roots[] = {dir, NULL};
    FTS *f = dir ? fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW, NULL) : NULL;
    int rc = f ? 0 : ds_fail_nomem(err);
    for (FTSENT *e; !rc && (errno = 0, e = fts_read(f)) != NULL;)
        rc = look(&m, e, &later, err);
    if (!rc && errno)
        rc = ds_fail_errno(err, errno, "%s", store);
    if (f)
        fts_close(f);
    if (!rc)
        look_again(&m, &later);
    ds_strlist_fini(&later);
    free(dir);
    return rc;
}
