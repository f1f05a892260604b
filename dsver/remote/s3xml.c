/* s3xml.c - see s3xml.h. */
#include "s3xml.h"

#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DEPTH_MAX = 8, KEY_MAX = 2048, ETAG_MAX = 128 };

/* What a listing lists. */
enum entry { NONE, OBJECT, UPLOAD, PART };

typedef struct reading {
    XML_Parser parser;
    ds_s3_answer *out;
    ds_s3_key_fn fn;
    void *ctx;
    ds_err *err;
    int rc;
    unsigned depth;
    char path[DEPTH_MAX][64];
    ds_buf text;
    char key[KEY_MAX], etag[ETAG_MAX];
    ds_s3_key at;
    bool has_size;
} reading;

static enum entry entry_of(const char *name)
{
    return strcmp(name, "Contents") == 0 ? OBJECT
           : strcmp(name, "Upload") == 0 ? UPLOAD
           : strcmp(name, "Part") == 0   ? PART
                                         : NONE;
}

static void stop(reading *r, int rc)
{
    if (!r->rc)
        r->rc = rc;
    XML_StopParser(r->parser, XML_FALSE);
}

static void refuse(reading *r, const char *what)
{
    stop(r, ds_fail(r->err, DS_CORRUPT, "answer of the server: %s", what));
}

static void XMLCALL on_start(void *ctx, const XML_Char *name, const XML_Char **atts)
{
    reading *r = ctx;
    (void)atts;
    if (r->depth == DEPTH_MAX || strlen(name) >= sizeof r->path[0]) {
        refuse(r, "elements too deep or names too long");
        return;
    }
    snprintf(r->path[r->depth], sizeof r->path[0], "%s", name);
    if (r->depth == 0)
        snprintf(r->out->root, sizeof r->out->root, "%s", name);
    if (r->depth == 1 && entry_of(name)) {
        r->has_size = false;
        r->at = (ds_s3_key){.time = INT64_MAX};
    }
    r->depth++;
    ds_buf_reset(&r->text);
}

/* Copies the element's text; it must fit. */
static void keep(reading *r, char *to, size_t cap, bool cut)
{
    if (memchr(r->text.data ? r->text.data : (const uint8_t *)"", 0, r->text.len))
        refuse(r, "a zero byte in a text");
    else if (r->text.len >= cap && !cut)
        refuse(r, "a text that is too long");
    else
        snprintf(to, cap, "%.*s", (int)(r->text.len < cap ? r->text.len : cap - 1),
                 r->text.data ? (const char *)r->text.data : "");
}

static uint64_t number(reading *r, const char *what)
{
    char text[32] = "";
    const char *at = text;
    uint64_t n = 0;
    keep(r, text, sizeof text, false);
    if (r->rc == 0 && (!ds_digits_next(&at, &n) || *at))
        refuse(r, what);
    return n;
}

/* "2009-10-12T17:50:30.000Z" */
static void on_time(reading *r)
{
    char text[40];
    struct tm t = {0};
    keep(r, text, sizeof text, false);
    const char *end = r->rc ? NULL : strptime(text, "%Y-%m-%dT%H:%M:%S", &t);
    if (!r->rc && (!end || (*end != '.' && *end != 'Z')))
        refuse(r, "a time that is none");
    r->at.time = (int64_t)timegm(&t);
}

static void on_listed(reading *r, enum entry what)
{
    if (what == OBJECT && !(r->at.key && r->has_size))
        refuse(r, "an object without a key or a size");
    else if (what == UPLOAD && !(r->at.key && r->at.upload))
        refuse(r, "an upload without a key or an id");
    else if (what == PART && !(r->at.number && r->at.etag && r->has_size))
        refuse(r, "a part without a number, an ETag or a size");
    else if (what && r->fn) {
        int rc = r->fn(r->ctx, &r->at, r->err);
        if (rc)
            stop(r, rc);
    }
}

static void on_inner(reading *r, const char *name)
{
    ds_s3_answer *o = r->out;
    if (strcmp(name, "Code") == 0)
        keep(r, o->code, sizeof o->code, true);
    else if (strcmp(name, "Message") == 0)
        keep(r, o->message, sizeof o->message, true);
    else if (strcmp(name, "Region") == 0)
        keep(r, o->region, sizeof o->region, true);
    else if (strcmp(name, "UploadId") == 0)
        keep(r, o->upload, sizeof o->upload, false);
    else if (strcmp(name, "NextContinuationToken") == 0 || strcmp(name, "NextKeyMarker") == 0 ||
             strcmp(name, "NextPartNumberMarker") == 0)
        keep(r, o->next, sizeof o->next, false);
    else if (strcmp(name, "NextUploadIdMarker") == 0)
        keep(r, o->next_upload, sizeof o->next_upload, false);
    else if (strcmp(name, "IsTruncated") == 0)
        o->truncated = r->text.len == 4 && memcmp(r->text.data, "true", 4) == 0;
    else
        on_listed(r, entry_of(name));
}

/* The text of an entry's member, NULL when it is empty. */
static const char *member(reading *r, char *to, size_t cap)
{
    keep(r, to, cap, false);
    return *to ? to : NULL;
}

static void on_entry(reading *r, const char *name, enum entry what)
{
    if (what != PART && strcmp(name, "Key") == 0) {
        r->at.key = member(r, r->key, sizeof r->key);
    } else if (what != UPLOAD && strcmp(name, "Size") == 0) {
        r->at.size = number(r, "a size that is no number");
        r->has_size = true;
    } else if (what == PART && strcmp(name, "PartNumber") == 0) {
        r->at.number = number(r, "a part's number that is none");
    } else if (what == PART && strcmp(name, "ETag") == 0) {
        r->at.etag = member(r, r->etag, sizeof r->etag);
    } else if (strcmp(name, what == UPLOAD ? "Initiated" : "LastModified") == 0) {
        on_time(r);
    } else if (what == UPLOAD && strcmp(name, "UploadId") == 0) {
        r->at.upload = member(r, r->out->upload, sizeof r->out->upload);
    }
}

static void XMLCALL on_end(void *ctx, const XML_Char *name)
{
    reading *r = ctx;
    r->depth--;
    if (r->depth == 1) {
        on_inner(r, name);
    } else if (r->depth == 2 && entry_of(r->path[1])) {
        on_entry(r, name, entry_of(r->path[1]));
    }
    ds_buf_reset(&r->text);
}

static void XMLCALL on_text(void *ctx, const XML_Char *s, int len)
{
    reading *r = ctx;
    if (ds_buf_put(&r->text, s, (size_t)len))
        stop(r, ds_fail_nomem(r->err));
}

static void XMLCALL on_doctype(void *ctx, const XML_Char *name, const XML_Char *sys,
                               const XML_Char *pub, int internal)
{
    (void)name;
    (void)sys;
    (void)pub;
    (void)internal;
    refuse(ctx, "it has a document type");
}

int ds_s3_answer_read(ds_s3_answer *out, const void *text, size_t len, ds_s3_key_fn fn, void *ctx,
                      ds_err *err)
{
    reading *r = calloc(1, sizeof *r);
    *out = (ds_s3_answer){.truncated = false};
    if (!r || !(r->parser = XML_ParserCreate(NULL))) {
        free(r);
        return ds_fail_nomem(err);
    }
    r->out = out;
    r->fn = fn;
    r->ctx = ctx;
    r->err = err;
    XML_SetUserData(r->parser, r);
    XML_SetElementHandler(r->parser, on_start, on_end);
    XML_SetCharacterDataHandler(r->parser, on_text);
    XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
    if (len > DS_S3_ANSWER_MAX)
        r->rc = ds_fail(err, DS_CORRUPT, "answer of the server: longer than %zu bytes",
                        DS_S3_ANSWER_MAX);
    else if (XML_Parse(r->parser, text, (int)len, 1) != XML_STATUS_OK && !r->rc)
        r->rc = ds_fail(err, DS_CORRUPT, "answer of the server: %s",
                        XML_ErrorString(XML_GetErrorCode(r->parser)));
    int rc = r->rc;
    XML_ParserFree(r->parser);
    ds_buf_fini(&r->text);
    free(r);
    return rc;
}
