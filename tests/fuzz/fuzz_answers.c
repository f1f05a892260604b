/* fuzz_answers.c - what servers answer and users write about remotes: S3's XML, URLs, files of
 * credentials, names of versions, dates. The first byte of the input says which the rest is. */
#include <stdlib.h>
#include <string.h>

#include "remoteurl.h"
#include "revision.h"
#include "s3cred.h"
#include "s3xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok)
{
    if (!ok)
        abort();
}

static int on_key(void *ctx, const ds_s3_key *k, ds_err *err)
{
    uint64_t *keys = ctx;

    (void)err;
    require(k->etag ? !k->key && k->number && *k->etag : k->key && *k->key);
    ++*keys;
    return 0;
}

static void answer(const void *p, size_t n)
{
    ds_s3_answer a;
    uint64_t keys = 0;
    ds_err err = {0};

    if (ds_s3_answer_read(&a, p, n, on_key, &keys, &err)) {
        require((err.code == DS_CORRUPT || err.code == DS_NOMEM) && *err.msg);
        return;
    }
    require(strnlen(a.root, sizeof a.root) < sizeof a.root);
    require(strnlen(a.message, sizeof a.message) < sizeof a.message);
    require(strnlen(a.next, sizeof a.next) < sizeof a.next);
}

/* What was made absolute says the same again. */
static void url(const char *text)
{
    ds_remote_url u = {0}, v = {0};
    char *whole = NULL, *again = NULL, *catalog = NULL;
    ds_err err = {0};

    if (ds_remote_url_parse(&u, text, &err)) {
        require(*err.msg);
        return;
    }
    require(ds_remote_url_text(&whole, text, &err) == 0);
    require(ds_remote_url_parse(&v, whole, &err) == 0 && u.s3 == v.s3);
    require(ds_remote_url_text(&again, whole, &err) == 0 && strcmp(whole, again) == 0);
    if (u.s3)
        require(strcmp(u.bucket, v.bucket) == 0 && strcmp(u.prefix, v.prefix) == 0);
    else
        require(*v.path == '/' && ds_remote_url_catalog(&catalog, &v, &err) == 0);
    free(whole);
    free(again);
    free(catalog);
    ds_remote_url_fini(&u);
    ds_remote_url_fini(&v);
}

static void credentials(const char *text, size_t n)
{
    ds_s3_cred c = {0};
    ds_err err = {0};
    const int rc = ds_s3_cred_read(&c, text, n, "default", &err);

    require(rc >= 0 || *err.msg);
    require(rc != 1 || (c.key && c.secret));
    ds_s3_cred_fini(&c);
}

static void name(const char *text)
{
    char *dataset = NULL, *rev = NULL, date[32];
    uint64_t back;
    int64_t t, same;
    ds_err err = {0};

    if (ds_revision_split(&dataset, &rev, &back, text, &err))
        require(err.code == DS_USAGE || err.code == DS_NOMEM);
    free(dataset);
    free(rev);
    if (ds_date_parse(&t, text)) {
        ds_date_text(date, t);
        require(ds_date_parse(&same, date) && same == t);
    }
    require(ds_git_url_check(text, &err) == 0 || *err.msg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1)
        return 0;
    char *text = malloc(len);

    require(text != NULL);
    memcpy(text, data + 1, len - 1);
    text[len - 1] = '\0';
    switch (data[0] % 4) {
    case 0:
        answer(text, len - 1);
        break;
    case 1:
        url(text);
        break;
    case 2:
        credentials(text, len - 1);
        break;
    default:
        name(text);
    }
    free(text);
    return 0;
}
