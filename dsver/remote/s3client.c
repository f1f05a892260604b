/* s3client.c - see s3client.h. */
#include "s3client.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backoff.h"
#include "curllib.h"
#include "io.h"
#include "sig.h"
#include "term.h"

enum {
    CONNECT_SECONDS = 20,
    STALL_SECONDS = 60,
    ERROR_BODY_MAX = 64 << 10,
    PROGRESS = 1 << 20,
    SKEW_MAX = 300
};

#define EMPTY_SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

typedef struct handle {
    CURL *curl;
    struct handle *next;
} handle;

struct ds_s3 {
    char *name, *base, *host, *prefix, *region; /* base: "http://host", or with "/bucket" */
    char *path;                                 /* "/bucket" or "": what comes before the key */
    ds_s3_cred cred;
    unsigned tries;
    const ds_curl *lib;
    pthread_mutex_t lock; /* of what follows */
    handle *idle;
    const char *ca_file, *ca_dir; /* authorities other than the system's; of the environment */
    int64_t skew;                 /* the server's clock less ours, in seconds */
};

/* ---- opening ---- */

static bool printable(const char *s)
{
    for (; s && *s; s++)
        if ((unsigned char)*s <= 0x20 || *s == 0x7f)
            return false;
    return true;
}

static const char *env(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

/* As other tools for object stores have it, curl among them. */
static void set_authorities(ds_s3 *s)
{
    s->ca_file = env("AWS_CA_BUNDLE")    ? env("AWS_CA_BUNDLE")
                 : env("CURL_CA_BUNDLE") ? env("CURL_CA_BUNDLE")
                                         : env("SSL_CERT_FILE");
    s->ca_dir = env("SSL_CERT_DIR");
}

static int set_names(ds_s3 *s, const ds_remote_url *u, ds_err *err)
{
    const char *region = u->region                   ? u->region
                         : env("AWS_REGION")         ? env("AWS_REGION")
                         : env("AWS_DEFAULT_REGION") ? env("AWS_DEFAULT_REGION")
                                                     : "us-east-1";
    const char *end = u->endpoint                  ? u->endpoint
                      : env("AWS_ENDPOINT_URL_S3") ? env("AWS_ENDPOINT_URL_S3")
                                                   : env("AWS_ENDPOINT_URL");
    bool by_path = u->path_style || (end && !u->virtual_host);
    char *amazon = NULL;
    if (!printable(region) || strchr(region, '/'))
        return ds_fail(err, DS_USAGE, "'%s' is no region", region);
    if (!end && asprintf(&amazon, "https://s3.%s.amazonaws.com", region) < 0)
        return ds_fail_nomem(err);
    end = end ? end : amazon;
    const char *host = strstr(end, "://");
    int rc = 0, n = -1;
    if (!host || !printable(end) || strpbrk(host + 3, "/@?#"))
        rc = ds_fail(err, DS_USAGE, "endpoint '%s' is not http://HOST or https://HOST", end);
    if (!rc && by_path)
        n = asprintf(&s->base, "%s", end);
    else if (!rc)
        n = asprintf(&s->base, "%.*s%s.%s", (int)(host + 3 - end), end, u->bucket, host + 3);
    if (!rc && n >= 0)
        n = asprintf(&s->path, "%s%s", by_path ? "/" : "", by_path ? u->bucket : "");
    if (!rc && n >= 0)
        n = asprintf(&s->name, "s3://%s/%s", u->bucket, u->prefix);
    if (!rc && (n < 0 || !(s->host = strdup(strstr(s->base, "://") + 3)) ||
                !(s->prefix = strdup(u->prefix)) || !(s->region = strdup(region))))
        rc = ds_fail_nomem(err);
    for (char *p = s->host; !rc && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    free(amazon);
    return rc;
}

int ds_s3_open(ds_s3 **out, const ds_remote_url *u, ds_s3_cred *cred, unsigned tries, ds_err *err)
{
    ds_s3 *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return ds_fail_nomem(err);
    pthread_mutex_init(&s->lock, NULL);
    s->tries = tries ? tries : 1;
    set_authorities(s);
    int rc = ds_curl_load(&s->lib, err);
    rc = rc ? rc : set_names(s, u, err);
    if (!rc && (!printable(cred->key) || !printable(cred->secret) || !printable(cred->token)))
        rc = ds_fail(err, DS_FAIL,
                     "the credentials for the object store hold blanks or control "
                     "characters");
    if (rc) {
        ds_s3_close(s);
        return rc;
    }
    s->cred = *cred;
    *cred = (ds_s3_cred){.key = NULL};
    *out = s;
    return 0;
}

void ds_s3_close(ds_s3 *s)
{
    if (!s)
        return;
    for (handle *h = s->idle, *next; h; h = next) {
        next = h->next;
        s->lib->easy_cleanup(h->curl);
        free(h);
    }
    pthread_mutex_destroy(&s->lock);
    ds_s3_cred_fini(&s->cred);
    free(s->name);
    free(s->base);
    free(s->host);
    free(s->prefix);
    free(s->region);
    free(s->path);
    free(s);
}

const char *ds_s3_name(const ds_s3 *s)
{
    return s->name;
}

const char *ds_s3_prefix(const ds_s3 *s)
{
    return s->prefix;
}

void ds_s3_call_fini(ds_s3_call *c)
{
    ds_buf_fini(&c->body);
}

/* ---- one attempt ---- */

typedef struct attempt {
    ds_s3 *s;
    ds_s3_call *c;
    CURL *curl;
    uint64_t done;   /* bytes of the body that the sink has */
    uint64_t sent;   /* of this attempt */
    uint64_t begun;  /* done when this attempt began */
    ds_buf error;    /* the body of an answer that is no 2xx */
    int64_t date;    /* the answer's Date, 0: none */
    unsigned after;  /* Retry-After, seconds */
    unsigned unread; /* answers that were no document */
    int rc;          /* of the sink or of reading */
    ds_err err;
} attempt;

static bool good(long status)
{
    return status >= 200 && status < 300;
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    attempt *a = ctx;
    long status = 0;
    size_t len = size * n;
    a->s->lib->easy_getinfo(a->curl, CURLINFO_RESPONSE_CODE, &status);
    if (!good(status)) {
        size_t room =
            ERROR_BODY_MAX - (a->error.len < ERROR_BODY_MAX ? a->error.len : ERROR_BODY_MAX);
        if (ds_buf_put(&a->error, p, len < room ? len : room))
            a->rc = ds_fail_nomem(&a->err);
        return a->rc ? 0 : len;
    }
    if (a->c->ranged && status != 206) {
        a->rc = ds_fail(&a->err, DS_IO, "the server does not honour ranges");
        return 0;
    }
    if (a->c->ranged && len > a->c->range_n - a->done) {
        a->rc = ds_fail(&a->err, DS_CORRUPT, "the server sends more than was asked for");
        return 0;
    }
    if (a->c->sink)
        a->rc = a->c->sink(a->c->ctx, p, len, &a->err);
    else if (a->c->body.len + len > DS_S3_ANSWER_MAX)
        a->rc = ds_fail(&a->err, DS_CORRUPT, "the server's answer is too long");
    else if (ds_buf_put(&a->c->body, p, len))
        a->rc = ds_fail_nomem(&a->err);
    a->done += len;
    return a->rc ? 0 : len;
}

static bool header_is(const char *p, size_t len, const char *name, const char **v, size_t *n)
{
    size_t k = strlen(name);
    if (len <= k || p[k] != ':' || strncasecmp(p, name, k) != 0)
        return false;
    for (*v = p + k + 1, *n = len - k - 1; *n && **v == ' '; ++*v)
        --*n;
    while (*n && strchr("\r\n ", (*v)[*n - 1]))
        --*n;
    return true;
}

static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
    attempt *a = ctx;
    const char *v;
    char text[64];
    size_t len = size * n, k;
    if (header_is(p, len, "etag", &v, &k) && k < sizeof a->c->etag) {
        memcpy(a->c->etag, v, k);
        a->c->etag[k] = '\0';
    } else if (header_is(p, len, "date", &v, &k) && k < sizeof text) {
        memcpy(text, v, k);
        text[k] = '\0';
        a->date = (int64_t)a->s->lib->getdate(text, NULL);
    } else if (header_is(p, len, "retry-after", &v, &k) && k > 0 && k < 4) {
        a->after = 0;
        for (size_t i = 0; i < k && v[i] >= '0' && v[i] <= '9'; i++)
            a->after = a->after * 10 + (unsigned)(v[i] - '0');
    }
    return len;
}

static size_t on_send(char *p, size_t size, size_t n, void *ctx)
{
    attempt *a = ctx;
    uint64_t left = a->c->n - a->sent;
    size_t len = size * n < left ? size * n : (size_t)left;
    if (len == 0)
        return 0;
    if (a->c->data)
        memcpy(p, (const char *)a->c->data + a->sent, len);
    else if ((a->rc = ds_pread_exact(a->c->fd, "a file that is sent", p, len, a->c->off + a->sent,
                                     &a->err)))
        return CURL_READFUNC_ABORT;
    a->sent += len;
    return len;
}

static int on_seek(void *ctx, curl_off_t off, int origin)
{
    attempt *a = ctx;
    if (origin != SEEK_SET || off < 0 || (uint64_t)off > a->c->n)
        return CURL_SEEKFUNC_CANTSEEK;
    a->sent = (uint64_t)off;
    return CURL_SEEKFUNC_OK;
}

static int on_progress(void *ctx, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
    (void)ctx;
    (void)dt;
    (void)dn;
    (void)ut;
    (void)un;
    return ds_interrupted();
}

/* What is signed, and the headers as libcurl wants them. */
typedef struct request {
    ds_buf path, query, auth, url;
    char date[32], range[64], payload[65];
    ds_s3_pair signed_headers[DS_S3_HEADERS_MAX];
    size_t n;
    const ds_curl *lib;
    struct curl_slist *headers;
} request;

static void request_fini(request *r)
{
    ds_buf_fini(&r->path);
    ds_buf_fini(&r->query);
    ds_buf_fini(&r->auth);
    ds_buf_fini(&r->url);
    r->lib->slist_free_all(r->headers);
}

static int add_header(request *r, const char *name, const char *value, ds_err *err)
{
    char *line = NULL;
    if (asprintf(&line, "%s: %s", name, value) < 0)
        return ds_fail_nomem(err);
    struct curl_slist *l = r->lib->slist_append(r->headers, line);
    free(line);
    if (!l)
        return ds_fail_nomem(err);
    r->headers = l;
    return 0;
}

static int sign(request *r, ds_s3 *s, const ds_s3_call *c, ds_err *err)
{
    ds_s3_signed g = {.method = c->method,
                      .path = (const char *)r->path.data,
                      .query = (const char *)r->query.data,
                      .headers = r->signed_headers,
                      .nheaders = r->n,
                      .payload = r->payload,
                      .date = r->date,
                      .region = s->region,
                      .service = "s3",
                      .key = s->cred.key,
                      .secret = s->cred.secret};
    int rc = ds_s3_sign(&r->auth, &g, err);
    for (size_t i = 0; !rc && i < r->n; i++)
        if (strcmp(r->signed_headers[i].name, "host") != 0)
            rc = add_header(r, r->signed_headers[i].name, r->signed_headers[i].value, err);
    rc = rc ? rc : add_header(r, "authorization", (const char *)r->auth.data, err);
    return rc ? rc : add_header(r, "expect", "", err);
}

static int build(request *r, const attempt *a, ds_err *err)
{
    ds_s3 *s = a->s;
    const ds_s3_call *c = a->c;
    struct tm tm;
    pthread_mutex_lock(&s->lock);
    time_t now = time(NULL) + (time_t)s->skew;
    pthread_mutex_unlock(&s->lock);
    if (!gmtime_r(&now, &tm) || strftime(r->date, sizeof r->date, "%Y%m%dT%H%M%SZ", &tm) == 0)
        return ds_fail(err, DS_FAIL, "the clock is out of range");
    if (c->sum)
        ds_sha_hex(r->payload, c->sum);
    else
        snprintf(r->payload, sizeof r->payload, EMPTY_SHA);
    if (ds_s3_encode(&r->path, s->path, true) || ds_buf_putc(&r->path, '/') ||
        (c->key &&
         (ds_s3_encode(&r->path, s->prefix, true) || ds_s3_encode(&r->path, c->key, true))) ||
        !ds_buf_cstr(&r->path))
        return ds_fail_nomem(err);
    int rc = ds_s3_query(&r->query, c->params, c->nparams, err);
    if (!rc && (ds_buf_printf(&r->url, "%s%s%s%s", s->base, (const char *)r->path.data,
                              r->query.len ? "?" : "", (const char *)r->query.data) ||
                !ds_buf_cstr(&r->url)))
        rc = ds_fail_nomem(err);
    r->signed_headers[r->n++] = (ds_s3_pair){"host", s->host};
    r->signed_headers[r->n++] = (ds_s3_pair){"x-amz-content-sha256", r->payload};
    r->signed_headers[r->n++] = (ds_s3_pair){"x-amz-date", r->date};
    if (s->cred.token)
        r->signed_headers[r->n++] = (ds_s3_pair){"x-amz-security-token", s->cred.token};
    if (c->condition.name)
        r->signed_headers[r->n++] = c->condition;
    if (c->ranged) {
        snprintf(r->range, sizeof r->range, "bytes=%llu-%llu",
                 (unsigned long long)(c->range + a->done),
                 (unsigned long long)(c->range + c->range_n - 1));
        r->signed_headers[r->n++] = (ds_s3_pair){"range", r->range};
    }
    return rc ? rc : sign(r, s, c, err);
}

static void set_options(CURL *h, attempt *a, const request *r, char *errbuf)
{
    const ds_s3_call *c = a->c;
    const ds_curl *lib = a->s->lib;
    lib->easy_reset(h);
    lib->easy_setopt(h, CURLOPT_URL, (const char *)r->url.data);
    lib->easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    if (a->s->ca_file)
        lib->easy_setopt(h, CURLOPT_CAINFO, a->s->ca_file);
    if (a->s->ca_dir)
        lib->easy_setopt(h, CURLOPT_CAPATH, a->s->ca_dir);
    lib->easy_setopt(h, CURLOPT_PATH_AS_IS, 1L);
    lib->easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    lib->easy_setopt(h, CURLOPT_HTTPHEADER, r->headers);
    lib->easy_setopt(h, CURLOPT_ERRORBUFFER, errbuf);
    lib->easy_setopt(h, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    lib->easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
    lib->easy_setopt(h, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
    lib->easy_setopt(h, CURLOPT_BUFFERSIZE, 512L << 10);
    lib->easy_setopt(h, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
    lib->easy_setopt(h, CURLOPT_TCP_KEEPALIVE, 1L);
    lib->easy_setopt(h, CURLOPT_USERAGENT, "dsver/" DS_VERSION);
    lib->easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    lib->easy_setopt(h, CURLOPT_WRITEDATA, a);
    lib->easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    lib->easy_setopt(h, CURLOPT_HEADERDATA, a);
    lib->easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    lib->easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
    if (strcmp(c->method, "HEAD") == 0)
        lib->easy_setopt(h, CURLOPT_NOBODY, 1L);
    if (strcmp(c->method, "PUT") == 0 || strcmp(c->method, "POST") == 0) {
        lib->easy_setopt(h, CURLOPT_UPLOAD, 1L);
        lib->easy_setopt(h, CURLOPT_READFUNCTION, on_send);
        lib->easy_setopt(h, CURLOPT_READDATA, a);
        lib->easy_setopt(h, CURLOPT_SEEKFUNCTION, on_seek);
        lib->easy_setopt(h, CURLOPT_SEEKDATA, a);
        lib->easy_setopt(h, CURLOPT_INFILESIZE_LARGE, (curl_off_t)c->n);
    }
    lib->easy_setopt(h, CURLOPT_CUSTOMREQUEST, c->method);
}

static handle *take_handle(ds_s3 *s)
{
    pthread_mutex_lock(&s->lock);
    handle *h = s->idle;
    if (h)
        s->idle = h->next;
    pthread_mutex_unlock(&s->lock);
    if (!h && (h = calloc(1, sizeof *h)) && !(h->curl = s->lib->easy_init())) {
        free(h);
        h = NULL;
    }
    return h;
}

static void give_handle(ds_s3 *s, handle *h)
{
    pthread_mutex_lock(&s->lock);
    h->next = s->idle;
    s->idle = h;
    pthread_mutex_unlock(&s->lock);
}

/* ---- what came of it ---- */

enum verdict { DONE, AGAIN, FAILED };

static bool transient(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_UPLOAD_FAILED:
    case CURLE_WEIRD_SERVER_REPLY:
        return true;
    default:
        return false;
    }
}

/* A server whose clock differs by much refuses what is signed by ours: sign by its clock from now
 * on. */
static bool adopt_clock(attempt *a)
{
    int64_t skew = a->date ? a->date - (int64_t)time(NULL) : 0;
    pthread_mutex_lock(&a->s->lock);
    bool changed = a->date && (skew > a->s->skew + SKEW_MAX || skew < a->s->skew - SKEW_MAX);
    if (changed)
        a->s->skew = skew;
    pthread_mutex_unlock(&a->s->lock);
    if (changed)
        ds_warn("%s: the server's clock differs from this one's by %lld seconds", a->s->name,
                (long long)skew);
    return changed;
}

/* Answers that the caller makes sense of. */
static bool callers(long status, const ds_s3_call *c)
{
    return good(status) || status == 412 ||
           (status == 404 && c->key && strcmp(c->method, "PUT") && strcmp(c->method, "POST")) ||
           ((status == 409 || status == 501) && c->condition.name);
}

static enum verdict judge_status(attempt *a, long status, ds_err *why)
{
    const ds_s3_call *c = a->c;
    ds_s3_answer ans = {.truncated = false};
    if (callers(status, c))
        return DONE;
    if (a->error.len)
        (void)ds_s3_answer_read(&ans, a->error.data, a->error.len, NULL, NULL, NULL);
    ds_fail(why, status >= 500 ? DS_IO : DS_FAIL, "%s%s: the server answers %ld%s%s%s%s%s%s",
            a->s->name, c->key ? c->key : "", status, *ans.code ? " " : "", ans.code,
            *ans.message ? ": " : "", ans.message, *ans.region ? "; its region is " : "",
            ans.region);
    if (status == 403) /* the answer to HEAD does not say why */
        return adopt_clock(a) ? AGAIN : FAILED;
    if (status == 408 || status == 429 || status >= 500 ||
        strcmp(ans.code, "RequestTimeout") == 0 || strcmp(ans.code, "SlowDown") == 0)
        return AGAIN;
    return FAILED;
}

/* Of what lies in no pack nothing tells whether it is what was sent, but that it can be read. */
static enum verdict judge_document(attempt *a, ds_err *why)
{
    const ds_s3_call *c = a->c;
    ds_s3_answer *read = calloc(1, sizeof *read);
    int rc = read ? ds_s3_answer_read(read, c->body.data, c->body.len, NULL, NULL, why)
                  : ds_fail_nomem(why);
    if (!rc && strcmp(read->root, c->root) != 0)
        rc = ds_fail(why, DS_CORRUPT, "answer of the server: <%s> instead of <%s>", read->root,
                     c->root);
    free(read);
    if (rc == 0)
        return DONE;
    return rc == DS_CORRUPT && a->unread++ == 0 ? AGAIN : FAILED;
}

static enum verdict judge(attempt *a, CURLcode code, const char *errbuf, ds_err *why)
{
    const ds_s3_call *c = a->c;
    long status = 0;
    curl_off_t length = -1;
    if (ds_interrupted()) {
        (void)ds_check_interrupt(why);
        return FAILED;
    }
    if (a->rc) {
        ds_fail(why, a->rc, "%s", a->err.msg);
        (void)ds_err_prefix(why, "%s%s", a->s->name, c->key ? c->key : "");
        return FAILED;
    }
    a->s->lib->easy_getinfo(a->curl, CURLINFO_RESPONSE_CODE, &status);
    /* a server that refuses may close before it has read all that is sent */
    bool answered = status >= 300 &&
                    (code == CURLE_SEND_ERROR || code == CURLE_UPLOAD_FAILED || code == CURLE_OK);
    if (code != CURLE_OK && !answered) {
        ds_fail(why, DS_IO, "%s%s: %s", a->s->name, c->key ? c->key : "",
                *errbuf ? errbuf : a->s->lib->easy_strerror(code));
        return transient(code) ? AGAIN : FAILED;
    }
    enum verdict v = judge_status(a, status, why);
    a->c->status = status;
    if (v != DONE)
        return v;
    if (a->s->lib->easy_getinfo(a->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length) == CURLE_OK)
        a->c->length = length > 0 ? (uint64_t)length : 0;
    if (good(status) && c->ranged && a->done < c->range_n) {
        ds_fail(why, DS_IO, "%s%s: the answer ends after %llu of %llu bytes", a->s->name, c->key,
                (unsigned long long)a->done, (unsigned long long)c->range_n);
        return AGAIN;
    }
    return good(status) && c->root ? judge_document(a, why) : DONE;
}

static enum verdict try_once(attempt *a, ds_err *why)
{
    request r = {.lib = a->s->lib};
    handle *h = NULL;
    char errbuf[CURL_ERROR_SIZE] = "";
    enum verdict v = FAILED;
    a->sent = 0;
    a->after = 0;
    a->date = 0;
    a->begun = a->done;
    ds_buf_reset(&a->error);
    *a->c->etag = '\0';
    if (!a->c->ranged) /* begins anew; a sink of a whole body is only used with ranges */
        ds_buf_reset(&a->c->body);
    if (build(&r, a, why) == 0 && !(h = take_handle(a->s)))
        ds_fail_nomem(why);
    if (h) {
        a->curl = h->curl;
        set_options(h->curl, a, &r, errbuf);
        CURLcode code = a->s->lib->easy_perform(h->curl);
        v = judge(a, code, errbuf, why);
        give_handle(a->s, h);
    }
    request_fini(&r);
    return v;
}

int ds_s3_do(ds_s3 *s, ds_s3_call *c, ds_err *err)
{
    attempt a = {.s = s, .c = c};
    ds_backoff wait = {.tries = s->tries};
    int rc = 0;
    for (;;) {
        ds_err why = {0};
        enum verdict v = try_once(&a, &why);
        if (v == DONE)
            break;
        if (a.done - a.begun >= PROGRESS) /* it goes on: a new beginning */
            wait.made = 0;
        if (v == FAILED || !ds_backoff_wait(&wait, a.after)) {
            rc = ds_fail(err, why.code ? why.code : DS_IO, "%s", why.msg);
            if (v == AGAIN && wait.made > 1)
                rc = ds_interrupted() ? ds_check_interrupt(err)
                                      : ds_err_prefix(err, "gave up after %u tries", wait.made);
            break;
        }
        ds_info("%s; try %u follows", why.msg, wait.made + 1);
    }
    ds_buf_fini(&a.error);
    return rc;
}

int ds_s3_refused(const ds_s3 *s, const ds_s3_call *c, ds_err *err)
{
    return ds_fail(err, c->status == 404 ? DS_CORRUPT : DS_FAIL, "%s%s: %s (%ld)", s->name,
                   c->key ? c->key : "",
                   c->status == 404 ? "the remote lacks this file" : "the server refuses it",
                   c->status);
}

int ds_s3_stat(ds_s3 *s, const char *key, uint64_t *size, ds_err *err)
{
    ds_s3_call c = {.method = "HEAD", .key = key};
    int rc = ds_s3_do(s, &c, err);
    if (!rc && !ds_s3_done(&c) && c.status != 404)
        rc = ds_s3_refused(s, &c, err);
    *size = c.length;
    ds_s3_call_fini(&c);
    return rc ? rc : c.status != 404;
}
