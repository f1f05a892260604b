/* logresume.c - see logresume.h. */
#include "logresume.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dsverask.h"
#include "json.h"

/* One line of what dsver wrote; 0 at the end. */
static int next_line(json_t **o, const ds_buf *text, size_t *at, ds_err *err)
{
    const uint8_t *p = text->data + *at, *lf = NULL;
    *o = NULL;
    if (*at >= text->len)
        return 0;
    lf = memchr(p, '\n', text->len - *at);
    const size_t n = lf ? (size_t)(lf - p) : text->len - *at;
    *at += n + 1;
    int rc = ds_json_parse(o, p, n, "dsver", err);
    return rc ? rc : 1;
}

static const char *member(const json_t *o, const char *name)
{
    const char *v = json_string_value(json_object_get(o, name));
    return v ? v : "";
}

/* "ops@1a2b..." for ops@main: the version that is read, whatever is committed meanwhile. *out stays
 * NULL when there is none. */
static int find_version(char **out, const char *version, ds_err *err)
{
    static const char *const words[] = {"ls", "--json"};
    const size_t name = strcspn(version, "@");
    const char *branch = version[name] ? version + name + 1 : "main";
    ds_buf text = {0};
    json_t *o = NULL;
    size_t at = 0;
    bool exact = false;
    int rc = ds_ask_text(&text, words, 2, version, err);
    while (rc == 0 && (rc = next_line(&o, &text, &at, err)) > 0) {
        const char *set = member(o, "dataset"), *b = member(o, "branch");
        const bool same = strcmp(b, branch) == 0;
        if (strlen(set) == name && strncmp(set, version, name) == 0 && !exact &&
            (same || strcmp(b, "main") == 0)) {
            free(*out);
            exact = same;
            if (asprintf(out, "%s@%s", set, member(o, "commit")) < 0) {
                *out = NULL;
                rc = ds_fail_nomem(err);
            }
        }
        json_decref(o);
        rc = rc < 0 ? rc : 0;
    }
    ds_buf_fini(&text);
    return rc;
}

static int ask(ds_buf *out, const char *version, const char *sql, ds_err *err)
{
    const char *const words[] = {"sql", "--json", "--", version, sql};
    return ds_ask_text(out, words, 5, version, err);
}

/* A source more of a log: the file of the one before it, longer, or the next file. */
static int add_source(ds_logbook *b, const json_t *o, ds_err *err)
{
    const char *name = member(o, "name"), *sha = member(o, "sha256");
    const json_int_t size = json_integer_value(json_object_get(o, "size"));
    ds_logpart *p = NULL;
    ds_sha is;
    if (size < 0 || !ds_sha_parse(&is, sha, strlen(sha)))
        return ds_fail(err, DS_CORRUPT, "dsver tells of a source without size and digest");
    for (size_t i = b->n; i-- > 0 && !p;)
        if (strcmp(b->v[i].log, name) == 0)
            p = &b->v[i];
    if (!p || (uint64_t)size < p->taken) {
        if (p)
            p->done = true;
        if (ds_grow(&b->v, &b->cap, b->n, sizeof *b->v))
            return ds_fail_nomem(err);
        p = &b->v[b->n];
        *p = (ds_logpart){.log = strdup(name)};
        if (!p->log)
            return ds_fail_nomem(err);
        b->n++;
    }
    p->taken = (uint64_t)size;
    p->sha = is;
    return 0;
}

static int read_sources(ds_logbook *b, const char *version, ds_err *err)
{
    ds_buf text = {0};
    json_t *o = NULL;
    size_t at = 0;
    int rc = ask(&text, version, "SELECT name, size, sha256 FROM sources ORDER BY source", err);
    while (rc == 0 && (rc = next_line(&o, &text, &at, err)) > 0) {
        rc = add_source(b, o, err);
        json_decref(o);
    }
    ds_buf_fini(&text);
    return rc;
}

/* Times without a year go on from the latest time that the version has, if it has times. */
static int read_year(ds_logbook *b, const char *version, ds_err *err)
{
    static const char has[] = "SELECT count(*) AS n FROM columns WHERE name = 'time' AND type = "
                              "'timestamp'",
                      latest[] = "SELECT CAST(strftime('%Y', t, 'unixepoch') AS INTEGER) AS year, "
                                 "CAST(strftime('%m', t, 'unixepoch') AS INTEGER) AS month FROM "
                                 "(SELECT max(time) / 1000000000 AS t FROM records)";
    ds_buf text = {0};
    json_t *o = NULL;
    size_t at = 0;
    int rc = ask(&text, version, has, err);
    rc = rc ? rc : next_line(&o, &text, &at, err);
    const bool times = rc > 0 && json_integer_value(json_object_get(o, "n")) > 0;
    json_decref(o);
    o = NULL;
    ds_buf_reset(&text);
    at = 0;
    rc = rc < 0 ? rc : times ? ask(&text, version, latest, err) : 0;
    rc = rc || !times ? rc : next_line(&o, &text, &at, err);
    for (size_t i = 0; rc > 0 && i < b->n; i++) {
        b->v[i].year = (int)json_integer_value(json_object_get(o, "year"));
        b->v[i].month = (int)json_integer_value(json_object_get(o, "month"));
    }
    json_decref(o);
    ds_buf_fini(&text);
    return rc < 0 ? rc : 0;
}

int ds_logresume_read(ds_logbook *book, bool *none, const char *version, ds_err *err)
{
    char *found = NULL;
    int rc = find_version(&found, version, err);
    *none = !found;
    if (rc == 0 && found)
        rc = read_sources(book, found, err);
    if (rc == 0 && found)
        rc = read_year(book, found, err);
    free(found);
    return rc ? ds_err_prefix(err, "--resume-from %s", version) : 0;
}
