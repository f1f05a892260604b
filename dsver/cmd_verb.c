/* cmd_verb.c - see cmd_verb.h. */
#include "cmd_verb.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "io.h"
#include "json.h"
#include "manifest.h"
#include "pool.h"
#include "revision.h"
#include "term.h"
#include "utf8.h"

int verb_open_stream(int *fd, const char *file, const char *usage, ds_err *err)
{
    if (strcmp(file, "-") != 0)
        return ds_open(fd, file, O_RDONLY, 0, err);
    if (isatty(*fd))
        return ds_fail(err, DS_USAGE,
                       "standard input is a terminal: pipe a record stream in, or name a file (%s)",
                       usage);
    return 0;
}

void verb_close_stream(int *fd, const char *file)
{
    if (*fd != STDIN_FILENO)
        ds_close(fd, file, NULL);
}

int verb_threads(int64_t asked)
{
    return asked > 0 ? (int)asked : ds_cpu_count();
}

enum ds_signing verb_sign(const verb_signing *v)
{
    return v->no ? DS_SIGN_NO : v->yes ? DS_SIGN_YES : DS_SIGN_CONFIG;
}

int verb_sha(ds_sha *out, const char *option, const char *text, ds_err *err)
{
    const char *hex = strncmp(text, "sha256:", 7) == 0 ? text + 7 : text;
    return ds_sha_parse(out, hex, strlen(hex))
               ? 0
               : ds_fail(err, DS_USAGE, "%s wants a hash: 64 hex digits in lower case", option);
}

const char *verb_bytes(char out[32], uint64_t n)
{
    static const char *const unit[] = {"KB", "MB", "GB", "TB", "PB", "EB"};
    double v = (double)n / 1000;
    int i = 0;
    if (n < 1000) {
        snprintf(out, 32, "%" PRIu64 " bytes", n);
        return out;
    }
    for (; v >= 999.95 && i < 5; i++)
        v /= 1000;
    snprintf(out, 32, "%.1f %s", v, unit[i]);
    return out;
}

void verb_text(FILE *f, const void *p, size_t n)
{
    const unsigned char *s = p;
    for (size_t i = 0; i < n; i++)
        fputc(s[i] < 0x20 || s[i] == 0x7f ? '?' : s[i], f);
}

/* Of UTF-8: East Asian characters, and those past U+FFFF, are two columns wide. */
void verb_cell(const char *s, unsigned width)
{
    unsigned at = 0;
    verb_text(stdout, s, strlen(s));
    for (const unsigned char *p = (const unsigned char *)s; *p; p++)
        at += (*p & 0xc0) == 0x80 ? 0 : (*p >= 0xe3 && *p <= 0xed) || *p >= 0xf0 ? 2 : 1;
    for (; at < width; at++)
        putchar(' ');
}

void verb_words(const char *s)
{
    verb_text(stdout, s, strlen(s));
}

void verb_subject(const ds_version *v)
{
    verb_text(stdout, v->message, strcspn(v->message, "\n"));
}

static void json_oid(const char *name, const git_oid *id)
{
    if (id)
        printf(",\"%s\":\"%s\"", name, git_oid_tostr_s(id));
    else
        printf(",\"%s\":null", name);
}

void verb_json_version(const ds_version *v)
{
    char date[32], root[65];
    ds_date_text(date, v->time);
    ds_sha_hex(root, &v->root);
    printf("{\"type\":\"version\",\"commit\":\"%s\"", git_oid_tostr_s(&v->id));
    json_oid("parent", v->has_parent ? &v->parent : NULL);
    json_oid("merged", v->has_merged ? &v->merged : NULL);
    printf(",\"dataset\":");
    verb_json(stdout, v->dataset);
    printf(",\"date\":\"%s\",\"author\":", date);
    verb_json(stdout, v->author);
    printf(",\"records\":%" PRIu64 ",\"root\":\"sha256:%s\",\"message\":", v->records, root);
    verb_json(stdout, v->message);
}

void verb_json_buf(FILE *f, const void *p, size_t n)
{
    ds_buf b = {0}, clean = {0};
    const uint8_t *s = p;
    /* What is not UTF-8 becomes '?': the line must parse. */
    for (size_t at = 0; at < n;) {
        size_t ok = ds_utf8_check(s + at, n - at);
        ds_buf_put(&clean, s + at, ok);
        at += ok;
        if (at < n) {
            ds_buf_putc(&clean, '?');
            at++;
        }
    }
    if (ds_json_str(&b, (const char *)clean.data, clean.len) == 0)
        fwrite(b.data, 1, b.len, f);
    else
        fputs("null", f);
    ds_buf_fini(&b);
    ds_buf_fini(&clean);
}

void verb_json(FILE *f, const char *s)
{
    verb_json_buf(f, s, strlen(s));
}

int verb_check_version(ds_catalog *c, const ds_version *v, ds_err *first, ds_err *err)
{
    ds_err why = {0};
    const int rc = ds_version_meta(NULL, c, v, &why);
    if (rc && rc != DS_CORRUPT)
        return ds_fail_as(err, &why);
    if (rc && first->code)
        ds_warn("%s", why.msg);
    else if (rc)
        *first = why;
    return 0;
}

int verb_key_file(ds_buf *text, const char *file,
                  int (*fn)(void *ctx, const char *key, size_t len, ds_err *err), void *ctx,
                  ds_err *err)
{
    const char *path = strcmp(file, "-") == 0 ? "/dev/stdin" : file;
    int rc = ds_read_file(text, path, (size_t)1 << 30, err);
    for (size_t at = ds_utf8_mark(text->data, text->len); !rc && at < text->len;) {
        const char *p = (const char *)text->data + at, *nl = memchr(p, '\n', text->len - at);
        const size_t n = nl ? (size_t)(nl - p) : text->len - at;
        const size_t len = n && p[n - 1] == '\r' ? n - 1 : n;
        rc = len ? fn(ctx, p, len, err) : 0;
        at += n + 1;
    }
    return rc;
}

void verb_json_named(const char *what, const char *dataset, size_t len, const char *name,
                     const ds_version *v)
{
    char date[32], root[65];
    ds_date_text(date, v->time);
    ds_sha_hex(root, &v->root);
    printf("{\"type\":\"%s\",\"dataset\":", what);
    verb_json_buf(stdout, dataset, len);
    printf(",\"%s\":", what);
    verb_json(stdout, name);
    printf(",\"commit\":\"%s\",\"date\":\"%s\",\"records\":%" PRIu64
           ",\"root\":\"sha256:%s\",\"message\":",
           git_oid_tostr_s(&v->id), date, v->records, root);
    verb_json(stdout, v->message);
    printf("}\n");
}
