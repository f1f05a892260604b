/* sharing.c - see sharing.h. */
#include "sharing.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "io.h"

typedef struct place {
    char *dir;
    size_t len;
    enum ds_sharing how;
} place;

const char *const ds_sharing_words[] = {"umask", "group", "all", NULL};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the table */
static pthread_mutex_t umask_lock = PTHREAD_MUTEX_INITIALIZER;
static place *places;
static size_t nplaces, cap;
static atomic_bool any; /* most processes never share: they need not look */

mode_t ds_sharing_mode(enum ds_sharing how, mode_t mode)
{
    mode_t want = mode & 07777;
    if (how == DS_SHARED_UMASK)
        return want;
    want |= (want & S_IRWXU) >> 3;
    if (how == DS_SHARED_ALL)
        want |= (want & (S_IRUSR | S_IXUSR)) >> 6;
    return S_ISDIR(mode) ? want | S_ISGID : want;
}

static place *find(const char *dir, size_t len)
{
    for (size_t i = 0; i < nplaces; i++)
        if (places[i].len == len && memcmp(places[i].dir, dir, len) == 0)
            return &places[i];
    return NULL;
}

int ds_sharing_set(const char *dir, enum ds_sharing how, ds_err *err)
{
    const size_t len = ds_path_len(dir);
    int rc = 0;
    pthread_mutex_lock(&lock);
    place *p = find(dir, len);
    if (p) {
        p->how = how;
    } else if (how != DS_SHARED_UMASK) {
        char *copy = strndup(dir, len);
        if (!copy || ds_grow(&places, &cap, nplaces, sizeof *places)) {
            free(copy);
            rc = ds_fail_nomem(err);
        } else {
            places[nplaces++] = (place){.dir = copy, .len = len, .how = how};
            any = true;
        }
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

int ds_sharing_follow(const char *dir, ds_err *err)
{
    const mode_t want = S_ISGID | S_IRWXG;
    struct stat st;
    char *at = strndup(dir, ds_path_len(dir));
    if (!at)
        return ds_fail_nomem(err);
    int found = stat(at, &st);
    while (found != 0 && errno == ENOENT) {
        char *slash = strrchr(at, '/');
        if (!slash || slash == at) {
            found = slash ? stat("/", &st) : stat(".", &st);
            break;
        }
        *slash = '\0';
        found = stat(at, &st);
    }
    free(at);
    const bool is = found == 0 && S_ISDIR(st.st_mode) && (st.st_mode & want) == want;
    return is ? ds_sharing_set(dir, DS_SHARED_GROUP, err) : 0;
}

enum ds_sharing ds_sharing_of(const char *path)
{
    enum ds_sharing how = DS_SHARED_UMASK;
    size_t longest = 0;
    if (!any)
        return how;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < nplaces; i++) {
        const place *p = &places[i];
        if (p->len > longest && strncmp(path, p->dir, p->len) == 0 &&
            (path[p->len] == '/' || path[p->len] == '\0')) {
            longest = p->len;
            how = p->how;
        }
    }
    pthread_mutex_unlock(&lock);
    return how;
}

int ds_sharing_file(const char *path, int fd)
{
    const enum ds_sharing how = ds_sharing_of(path);
    struct stat st;
    if (how == DS_SHARED_UMASK)
        return 0;
    if (fstat(fd, &st) != 0)
        return -1;
    const mode_t want = ds_sharing_mode(how, st.st_mode);
    /* what was there and is somebody else's he alone can change */
    return want == (st.st_mode & 07777) || st.st_uid != geteuid() ? 0 : fchmod(fd, want);
}

int ds_sharing_path(const char *path)
{
    const enum ds_sharing how = ds_sharing_of(path);
    struct stat st;
    if (how == DS_SHARED_UMASK)
        return 0;
    if (lstat(path, &st) != 0)
        return -1;
    const mode_t want = ds_sharing_mode(how, st.st_mode);
    if (want == (st.st_mode & 07777))
        return 0;
    if (ds_sharing_change(path, want) != 0 || lstat(path, &st) != 0)
        return -1;
    /* g+s goes, and nothing is said, when the folder's group is none of this user's: what is made
     * in it would be of another */
    if ((st.st_mode & 07777) == want)
        return 0;
    errno = EPERM;
    return -1;
}

int ds_sharing_change(const char *path, mode_t mode)
{
    return fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW);
}

ds_sharing_scope ds_sharing_begin(const char *path)
{
    const enum ds_sharing how = ds_sharing_of(path);
    ds_sharing_scope s = {.in = how != DS_SHARED_UMASK};
    if (!s.in)
        return s;
    pthread_mutex_lock(&umask_lock);
    s.before = umask(S_IRWXG | S_IRWXO);
    const mode_t open = how == DS_SHARED_ALL ? S_IRWXG | S_IROTH | S_IXOTH : S_IRWXG;
    (void)umask(s.before & ~open);
    return s;
}

void ds_sharing_end(ds_sharing_scope s)
{
    if (!s.in)
        return;
    (void)umask(s.before);
    pthread_mutex_unlock(&umask_lock);
}
