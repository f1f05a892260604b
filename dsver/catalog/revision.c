/* revision.c - see revision.h. */
#include "revision.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "refs.h"

enum { PREFIX_MIN = 4 };

void ds_revision_fini(ds_revision *r)
{
    free(r->dataset);
    free(r->branch);
    *r = (ds_revision){0};
}

/* ---- dates ---- */

static bool digits(const char **s, int n, int lo, int hi, int *v)
{
    *v = 0;
    for (; n > 0; n--, ++*s) {
        if (**s < '0' || **s > '9')
            return false;
        *v = *v * 10 + (**s - '0');
    }
    return *v >= lo && *v <= hi;
}

bool ds_date_parse(int64_t *t, const char *s)
{
    struct tm tm = {0};
    int year, month;
    if (!digits(&s, 4, 1970, 9999, &year) || *s++ != '-' || !digits(&s, 2, 1, 12, &month) ||
        *s++ != '-' || !digits(&s, 2, 1, 31, &tm.tm_mday))
        return false;
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    if (*s == '\0') {
        tm.tm_hour = 23;
        tm.tm_min = tm.tm_sec = 59;
    } else {
        if (*s != 'T' && *s != ' ')
            return false;
        s++;
        if (!digits(&s, 2, 0, 23, &tm.tm_hour) || *s++ != ':' || !digits(&s, 2, 0, 59, &tm.tm_min))
            return false;
        if (*s == ':') {
            s++;
            if (!digits(&s, 2, 0, 59, &tm.tm_sec))
                return false;
        }
        if (*s == 'Z')
            s++;
        if (*s)
            return false;
    }
    int day = tm.tm_mday;
    *t = timegm(&tm);
    return tm.tm_mday == day && tm.tm_mon == month - 1; /* no 31st of February */
}

void ds_date_text(char out[32], int64_t t)
{
    struct tm tm;
    time_t tt = (time_t)t;
    if (!gmtime_r(&tt, &tm) || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(out, 32, "@%" PRId64, t);
}

/* ---- text ---- */

static int split_back(char *text, uint64_t *back, ds_err *err)
{
    *back = 0;
    for (char *t = strchr(text, '~'); t;) {
        uint64_t n = 1;
        *t++ = '\0';
        if (*t && *t != '~') {
            const char *end = t;
            if (!ds_digits_next(&end, &n) || (*end && *end != '~') || n > UINT32_MAX)
                return ds_fail(err, DS_USAGE, "'~%s' is not ~N", t);
            t += end - t;
        }
        *back += n;
        if (*t == '\0')
            break;
    }
    return 0;
}

int ds_revision_split(char **dataset, char **rev, uint64_t *back, const char *text, ds_err *err)
{
    *rev = NULL;
    *dataset = strdup(text);
    int rc = *dataset ? split_back(*dataset, back, err) : ds_fail_nomem(err);
    char *at = rc ? NULL : strchr(*dataset, '@');
    if (at) {
        *at = '\0';
        *rev = strdup(at + 1);
        if (!*rev)
            rc = ds_fail_nomem(err);
        else if (!**rev)
            rc = ds_fail(err, DS_USAGE, "'%s': nothing after the '@'", text);
    }
    const size_t to = rc ? 0 : strcspn(*dataset, "/:");
    if (!rc && to && !*rev && (*dataset)[to] && (*dataset)[to + 1])
        rc = ds_fail(err, DS_USAGE, "'%s': a version is DATASET@REV, so perhaps %.*s@%s", text,
                     (int)to, text, text + to + 1);
    if (!rc && **dataset)
        rc = ds_dataset_check(*dataset, err);
    if (rc) {
        free(*dataset);
        free(*rev);
        *dataset = *rev = NULL;
    }
    return rc;
}

/* ---- the default dataset ---- */

typedef struct only {
    char *name;
    bool many;
} only;

static int note_dataset(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    only *o = ctx;
    (void)id;
    size_t pre = sizeof DS_REF_PREFIX - 1;
    if (strncmp(name, DS_REF_PREFIX, pre) != 0)
        return 0;
    const char *slash = strchr(name + pre, '/');
    if (!slash)
        return 0;
    size_t len = (size_t)(slash - name) - pre;
    if (o->name && (strlen(o->name) != len || memcmp(o->name, name + pre, len) != 0))
        o->many = true;
    if (!o->name && !(o->name = strndup(name + pre, len)))
        return ds_fail_nomem(err);
    return 0;
}

int ds_dataset_default(char **name, ds_store *s, ds_err *err)
{
    ds_buf v = {0};
    only o = {0};
    *name = NULL;
    int rc = ds_config_get(&v, s->dir, "dsver.dataset", false, err);
    if (rc > 0) {
        const char *text = ds_buf_cstr(&v);
        *name = text ? strdup(text) : NULL;
        rc = *name ? ds_dataset_check(*name, err) : ds_fail_nomem(err);
    } else if (rc == 0) {
        rc = ds_ref_each(s->cat, note_dataset, &o, err);
        if (!rc && (!o.name || o.many))
            rc = ds_fail(
                err, DS_USAGE, "%s: name one (or set a default: dsver config dsver.dataset NAME)",
                o.many ? "the store has several datasets" : "the store has no dataset yet");
        if (!rc) {
            *name = o.name;
            o.name = NULL;
        }
    }
    free(o.name);
    if (rc) {
        free(*name);
        *name = NULL;
    }
    ds_buf_fini(&v);
    return rc;
}

/* ---- look-up ---- */

static int ref_of(ds_store *s, git_oid *id, ds_err *err, const char *prefix, const char *a,
                  const char *b)
{
    char *name = NULL;
    size_t n = strlen(prefix) + strlen(a) + strlen(b) + 2;
    name = malloc(n);
    if (!name)
        return ds_fail_nomem(err);
    snprintf(name, n, "%s%s%s%s", prefix, a, *b ? "/" : "", b);
    int rc = ds_ref_get(s->cat, name, id, err);
    free(name);
    return rc;
}

int ds_name_check(ds_store *s, const char *dataset, const char *name, bool tag, ds_err *err)
{
    git_oid id;
    const int rc = ref_of(s, &id, err, tag ? DS_REF_PREFIX : DS_REF_TAGS, dataset, name);
    if (rc <= 0)
        return rc;
    return tag ? ds_fail(err, DS_FAIL,
                         "'%s' has a branch '%s', and %s@%s is to name one of the two only",
                         dataset, name, dataset, name)
               : ds_fail(
                     err, DS_FAIL,
                     "'%s' has a tag '%s' (dsver tag -d %s %s deletes it), and %s@%s is to name "
                     "one of the two only",
                     dataset, name, dataset, name, dataset, name);
}

/* First parents back to the first that is not younger than t. */
static int by_date(ds_store *s, const char *dataset, int64_t t, git_oid *id, ds_err *err)
{
    ds_version v = {0};
    int rc = ref_of(s, id, err, DS_REF_PREFIX, dataset, DS_BRANCH);
    while (rc > 0) {
        int vrc = ds_version_get(&v, s->cat, id, err);
        if (vrc) {
            rc = vrc;
            break;
        }
        if (v.time <= t)
            break;
        if (!v.has_parent)
            rc = 0;
        *id = v.parent;
    }
    ds_version_fini(&v);
    return rc;
}

static int by_prefix(ds_store *s, const char *dataset, const char *hex, git_oid *id, ds_err *err)
{
    git_commit *c = NULL;
    git_oid prefix;
    ds_version v = {0};
    size_t len = strlen(hex);
    if (len < PREFIX_MIN || len > GIT_OID_HEXSZ || strspn(hex, "0123456789abcdefABCDEF") != len ||
        git_oid_fromstrn(&prefix, hex, len) < 0)
        return 0;
    int rc = git_commit_lookup_prefix(&c, ds_catalog_repo(s->cat), &prefix, len);
    if (rc == GIT_EAMBIGUOUS)
        return ds_fail(err, DS_FAIL, "'%s' is the beginning of several commit ids", hex);
    if (rc < 0)
        return rc == GIT_ENOTFOUND ? 0 : ds_fail_git_read(err, "commit %s", hex);
    *id = *git_commit_id(c);
    git_commit_free(c);
    rc = ds_version_get(&v, s->cat, id, err);
    if (!rc && strcmp(v.dataset, dataset) != 0)
        rc = ds_fail(err, DS_FAIL, "commit %s is a version of '%s', not of '%s'", hex, v.dataset,
                     dataset);
    ds_version_fini(&v);
    return rc ? rc : 1;
}

/* REMOTE/BRANCH: where a remote's branch was when it was last seen. */
static int at_remote(ds_store *s, const char *dataset, const char *rev, git_oid *id, ds_err *err)
{
    char *name = NULL;
    const char *slash = strchr(rev, '/');
    if (!slash)
        return 0;
    if (asprintf(&name, "%.*s/%s", (int)(slash - rev), rev, dataset) < 0)
        return ds_fail_nomem(err);
    int rc = ref_of(s, id, err, DS_REF_REMOTES, name, slash + 1);
    free(name);
    return rc;
}

static int find_rev(ds_revision *out, ds_store *s, const char *rev, ds_err *err)
{
    int64_t t;
    const char *branch = rev ? rev : DS_BRANCH;
    int rc = ref_of(s, &out->id, err, DS_REF_PREFIX, out->dataset, branch);
    if (rc > 0) {
        rc = rev ? ds_name_check(s, out->dataset, rev, false, err) : 0;
        if (rc)
            return rc;
        out->branch = strdup(branch);
        return out->branch ? 1 : ds_fail_nomem(err);
    }
    if (rc < 0 || !rev)
        return rc;
    rc = ref_of(s, &out->id, err, "refs/tags/", out->dataset, rev);
    if (rc == 0)
        rc = ref_of(s, &out->id, err, "refs/tags/", rev, "");
    if (rc == 0)
        rc = at_remote(s, out->dataset, rev, &out->id, err);
    if (rc == 0 && ds_date_parse(&t, rev))
        return by_date(s, out->dataset, t, &out->id, err);
    return rc ? rc : by_prefix(s, out->dataset, rev, &out->id, err);
}

/* What a word that stands for a dataset may mean. */
typedef struct likely {
    const char *word;
    char own[160]; /* a branch or tag of the dataset with this name; "": there is no such dataset */
    char set[160]; /* another dataset, of which it is a branch or tag */
} likely;

static int is_name_of(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    likely *l = ctx;
    const size_t heads = sizeof DS_REF_PREFIX - 1, tags = sizeof DS_REF_TAGS - 1;
    const char *set = strncmp(name, DS_REF_PREFIX, heads) == 0 ? name + heads
                      : strncmp(name, DS_REF_TAGS, tags) == 0  ? name + tags
                                                               : NULL;
    const char *slash = set ? strchr(set, '/') : NULL;
    const size_t len = slash ? (size_t)(slash - set) : 0;
    (void)id;
    (void)err;
    if (slash && !*l->own && strlen(l->word) == len && memcmp(l->word, set, len) == 0)
        snprintf(l->own, sizeof l->own, "%.*s", (int)sizeof l->own - 1, slash + 1);
    if (slash && !*l->set && strcmp(slash + 1, l->word) == 0)
        snprintf(l->set, sizeof l->set, "%.*s", (int)len, set);
    return 0;
}

static int no_dataset(const likely *l, ds_err *err)
{
    return ds_fail(err, DS_FAIL, "no dataset '%s' here (dsver ls lists them)%s%s%s%s", l->word,
                   *l->set ? "; a version is named with its dataset: " : "", l->set,
                   *l->set ? "@" : "", *l->set ? l->word : "");
}

static int no_version(ds_store *s, const char *dataset, const char *rev, ds_err *err)
{
    likely l = {.word = dataset};
    const char *dots = rev ? strstr(rev, "..") : NULL;
    int rc = ds_ref_each(s->cat, is_name_of, &l, err);
    if (rc < 0)
        return rc;
    if (!*l.own && !rev)
        return no_dataset(&l, err);
    if (!rev)
        return ds_fail(err, DS_FAIL, "'%s' has no branch '%s': name a version, such as %s@%s",
                       dataset, DS_BRANCH, dataset, l.own);
    if (dots && dots > rev && dots[2])
        return ds_fail(err, DS_FAIL, "two versions are two words: %s@%.*s %s@%s", dataset,
                       (int)(dots - rev), rev, dataset, dots + 2);
    return ds_fail(err, DS_FAIL,
                   "'%s' has no version '%s' (a branch, tag, date or commit id; see dsver log)",
                   dataset, rev);
}

int ds_dataset_find(char **name, ds_store *s, const char *text, ds_err *err)
{
    char *rev = NULL;
    uint64_t back = 0;
    *name = NULL;
    if (!text || !*text)
        return ds_dataset_default(name, s, err);
    int rc = ds_revision_split(name, &rev, &back, text, err);
    if (!rc && (rev || back))
        rc = ds_fail(err, DS_USAGE, "'%s': a dataset without a revision is wanted", text);
    likely l = {.word = *name};
    rc = rc ? rc : ds_ref_each(s->cat, is_name_of, &l, err);
    if (!rc && !*l.own)
        rc = no_dataset(&l, err);
    free(rev);
    if (rc) {
        free(*name);
        *name = NULL;
    }
    return rc;
}

int ds_revision_find(ds_revision *out, ds_store *s, const char *text, ds_err *err)
{
    char *rev = NULL;
    uint64_t back = 0;
    ds_version v = {0};
    *out = (ds_revision){0};
    int rc = ds_revision_split(&out->dataset, &rev, &back, text ? text : "", err);
    if (!rc && !*out->dataset) {
        free(out->dataset);
        out->dataset = NULL;
        rc = ds_dataset_default(&out->dataset, s, err);
    }
    if (!rc) {
        rc = find_rev(out, s, rev, err);
        rc = rc > 0 ? 0 : rc < 0 ? rc : no_version(s, out->dataset, rev, err);
    }
    for (uint64_t i = 0; !rc && i < back; i++) {
        rc = ds_version_get(&v, s->cat, &out->id, err);
        if (!rc && !v.has_parent)
            rc = ds_fail(err, DS_FAIL,
                         "'%s' goes back %" PRIu64 " versions, there are only %" PRIu64, text, back,
                         i);
        out->id = v.parent;
    }
    if (back > 0) { /* a version of the branch, but not the branch */
        free(out->branch);
        out->branch = NULL;
    }
    ds_version_fini(&v);
    free(rev);
    if (rc)
        ds_revision_fini(out);
    return rc;
}

/* REV written in full, or DATASET[~N] where no branch or tag is called so: as DATASET alone. */
static bool is_whole(ds_store *s, const char *dataset, const char *rev)
{
    const size_t n = strlen(dataset);
    git_oid id;
    if (strncmp(rev, dataset, n) != 0)
        return false;
    if (rev[n] == '@')
        return true;
    return (rev[n] == '\0' || rev[n] == '~') &&
           ref_of(s, &id, NULL, DS_REF_PREFIX, dataset, dataset) == 0 &&
           ref_of(s, &id, NULL, "refs/tags/", dataset, dataset) == 0 &&
           ref_of(s, &id, NULL, "refs/tags/", dataset, "") == 0;
}

int ds_revision_find_in(ds_revision *out, ds_store *s, const char *dataset, const char *rev,
                        ds_err *err)
{
    char *text = NULL;
    if (is_whole(s, dataset, rev))
        return ds_revision_find(out, s, rev, err);
    if (asprintf(&text, "%s@%s", dataset, rev) < 0)
        return ds_fail_nomem(err);
    int rc = ds_revision_find(out, s, text, err);
    free(text);
    return rc;
}
