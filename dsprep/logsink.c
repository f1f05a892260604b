/* logsink.c - see logsink.h. */
#include "logsink.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "json.h"

#define NOTES_SHOWN 20
#define REPEAT_MAX (64u << 10) /* longer records are not compared with the one before */

/* ---- schema ---- */

int ds_logsink_schema(ds_logsink *s, uint32_t columns, ds_err *err)
{
    ds_schema *m = &s->in.schema;
    int rc = 0;
    m->explicit_key = false;
    for (int c = 0; c < DS_LC_N && rc == 0; c++) {
        if (!(columns >> c & 1))
            continue;
        bool text = c == DS_LC_TEXT;
        enum ds_type type = c == DS_LC_TIME                       ? DS_TIMESTAMP
                            : ds_logcol_number((enum ds_logcol)c) ? DS_I64
                            : c == DS_LC_FIELDS                   ? DS_JSON
                                                                  : DS_UTF8;
        /* What is the same in all of them makes the key; what the format is called does not. */
        rc = ds_schema_add(m, NULL, ds_logcol_names[c], type,
                           (text ? DS_COL_PRIMARY : DS_COL_NULLABLE) |
                               (c != DS_LC_FORMAT ? DS_COL_KEYED : 0),
                           NULL, err);
        s->slots[s->nslots++] =
            (struct ds_logslot){(enum ds_logcol)c, ds_logcol_number((enum ds_logcol)c)};
    }
    return rc ? rc : ds_schema_check(m, err);
}

/* ---- rows ---- */

/* The year of a time that has none: see logsink.h. */
static int year_of(ds_logsink *s, const ds_logrow *r)
{
    int month = r->when.month;
    if (s->at.now_year == 0) {
        bool later =
            month > r->named_month || (month == r->named_month && r->when.day > r->named_day);
        s->at.now_year = s->year ? s->year : r->named_year - later;
        s->at.now_month = month;
        return s->at.now_year;
    }
    if (month > s->at.now_month + 6)
        return s->at.now_year - 1;
    s->at.now_year += month + 6 < s->at.now_month;
    s->at.now_month = month;
    return s->at.now_year;
}

#define NS INT64_C(1000000000)

/* A time of the zone's clock, which stands there as if it were UTC. */
static void move_to_utc(ds_logsink *s, int64_t *ns)
{
    const int64_t seconds = *ns / NS - (*ns % NS < 0), rest = *ns - seconds * NS;
    int64_t earlier, later;
    ds_zone_utc(s->zone, seconds, &earlier, &later);
    s->stats.twice += earlier != later;
    *ns = earlier * NS + rest;
    if (s->at.timed && *ns < s->at.last && later * NS + rest >= s->at.last)
        *ns = later * NS + rest;
}

/* The row with what its time lacks: a year, a zone. */
static const ds_logrow *complete(ds_logsink *s, const ds_logrow *r, ds_logrow *room)
{
    ds_logcell *time = &room->v[DS_LC_TIME];
    const bool local = s->zone && r->when.local;
    if (!r->when.yearless && !local)
        return r;
    *room = *r;
    if (r->when.yearless && ds_logtime_settle(&room->when, year_of(s, room)))
        *time = (ds_logcell){(const uint8_t *)"", room->when.ns};
    else if (r->when.yearless)
        s->stats.impossible++;
    if (local && time->p)
        move_to_utc(s, &time->n);
    return room;
}

static void look_at_time(ds_logsink *s, const ds_logcell *time)
{
    ds_logstats *t = &s->stats;
    if (!time->p) {
        t->timeless++;
        return;
    }
    int64_t step;
    if (s->at.timed && !__builtin_sub_overflow(time->n, s->at.last, &step)) {
        if (step < 0) {
            t->backwards++;
            t->furthest = -step > t->furthest ? -step : t->furthest;
        }
        t->gaps += step >= DS_LOGSINK_GAP;
    }
    s->at.timed = true;
    s->at.last = time->n;
}

static int look_at_bytes(ds_logsink *s, const uint8_t *p, size_t len, ds_err *err)
{
    if (len > REPEAT_MAX) {
        s->at.before.len = 0;
        return 0;
    }
    s->stats.repeated +=
        len > 0 && s->at.before.len == len && memcmp(s->at.before.data, p, len) == 0;
    s->at.before.len = 0;
    return ds_buf_put(&s->at.before, p, len) ? ds_fail_nomem(err) : 0;
}

static int put_cells(ds_logsink *s, ds_rows *rows, const ds_logcell *v, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < s->nslots && rc == 0; i++) {
        ds_colbuild *b = ds_rows_col(rows, i);
        const ds_logcell *c = &v[s->slots[i].col];
        rc = !c->p                ? ds_colbuild_null(b, err)
             : s->slots[i].number ? ds_colbuild_i64(b, c->n, err)
                                  : ds_colbuild_bytes(b, c->p, (size_t)c->n, err);
    }
    return rc;
}

static int on_row(void *ctx, const ds_textrow *row, uint64_t source, ds_err *err)
{
    ds_logsink *s = ctx;
    ds_logrow room;
    const ds_logrow *r = complete(s, row->cells, &room);
    ds_rows *rows;
    (void)source; /* shards count their own */
    look_at_time(s, &r->v[DS_LC_TIME]);
    int rc = look_at_bytes(s, row->raw, (size_t)row->len, err);
    if (rc == 0)
        rc = ds_shardout_rows(s->in.out, &rows, err);
    if (rc == 0)
        rc = ds_rows_begin(rows, err);
    if (rc == 0)
        rc = put_cells(s, rows, r->v, err);
    if (rc == 0)
        rc = ds_shardout_row(s->in.out, row->offset, row->len, err);
    s->in.records += rc == 0;
    return rc;
}

static int on_source(void *ctx, const char *name, uint64_t size, const ds_sha *sha, ds_err *err)
{
    ds_logsink *s = ctx;
    s->at.timed = false;
    s->at.now_year = 0;
    s->at.before.len = 0;
    return ds_intake_source(&s->in, name, size, sha, err);
}

/* What was decided for a source, and why, as an object: "syslog: 12 of 12 lines" in words. */
static int put_note(ds_buf *b, const char *source, const char *words)
{
    const char *colon = strchr(words, ':');
    return ds_buf_puts(b, "{\"source\":") | ds_json_str(b, source, strlen(source)) |
           ds_buf_puts(b, ",\"format\":") |
           ds_json_str(b, words, colon ? (size_t)(colon - words) : 0) |
           ds_buf_puts(b, ",\"evidence\":") |
           ds_json_str(b, colon ? colon + 2 : "", colon ? strlen(colon + 2) : 0) |
           ds_buf_puts(b, "}");
}

static int note_json(const char *source, const char *words)
{
    ds_buf b = {0};
    int rc = put_note(&b, source, words);
    if (rc == 0)
        fprintf(stderr, "{\"type\":\"source\",%.*s\n", (int)b.len - 1, (const char *)b.data + 1);
    ds_buf_fini(&b);
    return rc;
}

static int on_note(void *ctx, const char *source, const char *words, ds_err *err)
{
    ds_logsink *s = ctx;
    if (s->in.a->json && note_json(source, words))
        return ds_fail_nomem(err);
    if (s->nnotes < NOTES_SHOWN)
        ds_warn("%s: %s", source, words);
    else if (s->nnotes == NOTES_SHOWN)
        ds_warn("formats of further files are not printed (--report)");
    s->nnotes++;
    if (ds_buf_put(&s->notes, source, strlen(source) + 1) != 0 ||
        ds_buf_put(&s->notes, words, strlen(words) + 1) != 0)
        return ds_fail_nomem(err);
    return 0;
}

void ds_logsink_hooks(ds_logsink *s, ds_textsink *sink)
{
    *sink = (ds_textsink){.ctx = s, .row = on_row, .note = on_note};
    ds_intake_sink(sink);
    sink->source = on_source;
}

/* ---- words ---- */

void ds_logsink_say(ds_logsink *s)
{
    const ds_logstats *t = &s->stats;
    json_t *more = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "earlier", (json_int_t)t->backwards,
                             "earlier_by_ns", (json_int_t)t->furthest, "gaps", (json_int_t)t->gaps,
                             "repeated", (json_int_t)t->repeated, "timeless",
                             (json_int_t)t->timeless, "shown_twice", (json_int_t)t->twice);
    if (t->backwards > 0)
        ds_warn("%" PRIu64 " records are earlier than the one before, by at most %.3f s",
                t->backwards, (double)t->furthest / 1e9);
    if (t->twice > 0)
        ds_warn("%" PRIu64 " records are of hours that the clock showed twice", t->twice);
    if (t->gaps > 0)
        ds_warn("%" PRIu64 " records come an hour or more after the one before", t->gaps);
    if (t->repeated > 0)
        ds_warn("%" PRIu64 " records repeat the one before", t->repeated);
    if (t->timeless > 0)
        ds_warn("%" PRIu64 " records have no time%s", t->timeless,
                t->impossible ? ", some of them for a February 29th that is none" : "");
    ds_intake_say(&s->in, "dsprep logs", more);
    json_decref(more);
}

int ds_logsink_report(const ds_logsink *s, const char *path, ds_err *err)
{
    const ds_logstats *t = &s->stats;
    ds_buf b = {0};
    int rc = ds_buf_puts(&b, "{\"sources\":[");
    for (size_t at = 0; rc == 0 && at < s->notes.len;) {
        const char *name = (const char *)s->notes.data + at;
        const char *why = name + strlen(name) + 1;
        rc = ds_buf_puts(&b, at ? ",\n" : "\n") | put_note(&b, name, why);
        at += strlen(name) + strlen(why) + 2;
    }
    rc |= ds_buf_printf(&b,
                        "],\n\"records\":%" PRIu64 ",\"held\":%" PRIu64 ",\"failed\":%" PRIu64
                        ",\n\"earlier\":%" PRIu64 ",\"earlier_by_ns\":%" PRId64 ",\"gaps\":%" PRIu64
                        ",\"repeated\":%" PRIu64 ",\"timeless\":%" PRIu64
                        ",\"shown_twice\":%" PRIu64 "}\n",
                        s->in.records, s->in.bad.held, s->in.bad.failed, t->backwards, t->furthest,
                        t->gaps, t->repeated, t->timeless, t->twice);
    rc = rc ? ds_fail_nomem(err) : ds_atomic_write(path, 0644, b.data, b.len, err);
    ds_buf_fini(&b);
    return rc;
}

void ds_logsink_fini(ds_logsink *s)
{
    ds_intake_fini(&s->in);
    ds_buf_fini(&s->at.before);
    ds_buf_fini(&s->notes);
}
