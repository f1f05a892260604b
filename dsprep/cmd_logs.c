/* cmd_logs.c - dsprep logs: log files of many formats into records with typed columns. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cmd_transform.h"
#include "dsr_prov.h"
#include "feed.h"
#include "jitems.h"
#include "logfollow.h"
#include "logsink.h"
#include "logsource.h"
#include "opt.h"
#include "sig.h"
#include "textfile.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_logs;
const ds_command ds_cmd_logs = {
    .prog = "dsprep",
    .name = "logs",
    .summary = "log files into records with typed columns",
    .operands = "INPUT...",
    .min_operands = 1,
    .max_operands = -1,
    .example =
        "dsprep logs access.log.*.gz | dsver commit -m 'March' web\n"
        "dsprep logs --format syslog --year 2024 --timezone +01:00 messages.1 | dsprep cat\n"
        "dsprep logs --format pattern --pattern '(?<time>\\S+ \\S+) (?<level>\\w+) (?<message>.*)' "
        "app.log | dsprep head\n"
        "dsprep logs --follow --format app --resume-from ops app.log | \\\n"
        "    dsver commit --append --gapless --every 60s ops",
    .description =
        "Reads logs and writes a stream of records (DSR) to standard output, or shard files "
        "into a folder with -o. An INPUT is a file, a folder, an archive (tar, zip, 7z), a "
        "compressed file (gz, xz, zst, bz2), or - for standard input, as for dsprep text.\n\n"
        "Formats: syslog (RFC 3164 and the files of syslog daemons), syslog5424, "
        "journal-export and journal (journalctl -o export, -o json), common and combined "
        "(Apache and nginx, whose names stand for combined), json (a JSON object a line), "
        "logfmt, csv (with a header), cri and docker (container runtimes), cef and leef "
        "(security events), windows-xml (events), w3c (IIS, Exchange, CloudFront), zeek, "
        "vpc-flow, aws-alb, json-array (a document that holds an array of records: CloudTrail, "
        "Azure, Elasticsearch), app (a time, a level, a message), lines (of text, and nothing "
        "more) and pattern. auto decides for each file by its first 64 KiB (those behind the "
        "first line, if that is longer): the most specific of the formats that read the most "
        "records, if they read at least three quarters of them, "
        "and lines otherwise; it says what it decided and why (with --json as "
        "{\"source\", \"format\", \"evidence\"}). From a folder or archive it leaves out, by "
        "name, files that are not text, such as wtmp.\n\n"
        "The column text is the message, time is UTC in nanoseconds, severity is the number of "
        "RFC 5424 for the level; host, program, pid and for access logs remote, user, method, "
        "path, protocol, status, bytes, referer and agent are columns where the format has "
        "them. All else is kept in the column fields, as JSON. auto has the columns of all "
        "formats, unless the one INPUT is a file. Every record knows its source and the bytes "
        "that it was made from.\n\n"
        "Times without a zone are in that of --timezone; a named zone is read from the "
        "system's zone files, whose digest goes into the provenance. Times without a year (RFC "
        "3164) get that of --year, or of the date in the file's name (messages-20240131), and "
        "are followed across the turn of the year. Without either, such records are refused: "
        "no clock is consulted.\n\n"
        "Lines of a stack trace, and indented ones, belong to the record before them; --join "
        "says otherwise.\n\n"
        "--follow keeps reading as files grow, are renamed or truncated, and writes one stream "
        "after another, each with what arrived within the time of --every. --state makes a "
        "restart continue where the run before ended, --resume-from where the newest version "
        "ends: with dsver commit --append --gapless no line is then lost or stored twice, "
        "whatever was killed.\n\n"
        "What cannot be read is handled as --on-error says; the last line says how input, "
        "output, held and failed add up; the exit status is 3 when something was left out. "
        "Records earlier than the one before, gaps of an hour, and repetitions are counted. "
        "The records do not depend on the number of threads.",
    .run = run,
};

typedef struct logs_args {
    ds_intake_args in;
    int format, join;
    const char *pattern, *timezone, *report, *records_at;
    int64_t year, every;
    bool line, follow;
    const char *state, *from;
} logs_args;

typedef struct logs_ctx {
    ds_logsink sink;
    ds_textopts o;
    ds_logopts log;
    ds_rowparser parser;
    ds_logpattern *pattern;
    ds_zone *zone; /* NULL: an offset */
} logs_ctx;

static int read_options(logs_ctx *c, const logs_args *a, ds_err *err)
{
    bool pattern = a->format == DS_LOG_PATTERN;
    c->o = (ds_textopts){.format = DS_TEXT_PARSED, .parser = &c->parser};
    c->parser = ds_logsource_parser;
    c->parser.ctx = &c->log;
    int rc = ds_intake_limits(&a->in, &c->o, err);
    if (rc != 0)
        return rc;
    c->log = (ds_logopts){.format = (enum ds_logformat)a->format,
                          .join = (enum ds_logjoin)a->join,
                          .year = (int)a->year,
                          .whole_line = a->line,
                          .max_record = c->o.max_record,
                          .max_depth = c->o.max_depth,
                          .delimiter = c->o.delimiter};
    if (c->log.format == DS_LOG_APACHE || c->log.format == DS_LOG_NGINX)
        c->log.format = DS_LOG_COMBINED;
    c->sink.year = c->log.year;
    ds_err why = {0};
    if (!ds_logtime_zone(a->timezone, &c->log.zone) && ds_zone_open(&c->zone, a->timezone, &why))
        return ds_fail(err, why.code == DS_NOMEM ? DS_NOMEM : DS_USAGE,
                       "--timezone %s (wanted: UTC, an offset such as +01:00, or a name)", why.msg);
    c->sink.zone = c->zone;
    if (pattern != (a->pattern != NULL))
        return ds_fail(err, DS_USAGE,
                       pattern ? "--format pattern wants --pattern"
                               : "--pattern wants --format pattern");
    if (a->records_at && (rc = ds_jitems_path(&c->log.records_at, a->records_at, err)) != 0)
        return rc;
    if (a->records_at && a->format != DS_LOG_AUTO && a->format != DS_LOG_JARRAY)
        return ds_fail(err, DS_USAGE, "--records-at wants --format json-array");
    if (a->records_at)
        c->log.format = DS_LOG_JARRAY;
    if (a->in.delimiter && a->format != DS_LOG_AUTO && a->format != DS_LOG_CSV)
        return ds_fail(err, DS_USAGE, "--delimiter wants --format csv");
    if (a->every >= 0 && !a->follow)
        return ds_fail(err, DS_USAGE, "--every wants --follow");
    if (a->join == DS_LOGJOIN_ANY && c->log.format == DS_LOG_AUTO)
        return ds_fail(err, DS_USAGE,
                       "--join any wants a --format: it is what lines are held against");
    if (pattern) {
        rc = ds_logpattern_new(&c->pattern, a->pattern, err);
        c->log.pattern = c->pattern;
    }
    return rc;
}

/* The beginning of a file that is the only input, through its packing: what its columns are. */
static int peek(logs_ctx *c, const char *path, ds_buf *out, ds_err *err)
{
    uint8_t head[DS_PACKMARK_SNIFF];
    size_t got = 0;
    ds_unpack *u = NULL;
    ds_member m;
    ds_hasher *hasher = NULL;
    ds_feed f = {.fd = -1, .name = path, .encoding = c->o.encoding};
    int rc = ds_open(&f.fd, path, O_RDONLY, 0, NULL);
    if (rc == 0)
        rc = ds_read_full(f.fd, path, head, sizeof head, &got, NULL);
    enum ds_packing packing = rc == 0 ? ds_packmark_sniff(head, got) : DS_PACK_NONE;
    if (rc == 0 && lseek(f.fd, 0, SEEK_SET) != 0)
        rc = DS_IO;
    if (rc == 0 && packing != DS_PACK_NONE) {
        rc = ds_unpack_new(&u, f.fd, path, NULL, 0, packing, &c->o.limits, NULL);
        rc = rc == 0 && ds_unpack_next(u, &m, NULL) == 1 && !m.name ? 0 : DS_FAIL;
        f.unpack = u;
    }
    if (rc == 0)
        rc = ds_hasher_new(&hasher, err);
    f.hasher = hasher;
    rc = rc == 0 ? ds_feed_begin(&f, err) : rc;
    while (rc == 0 && !f.eof && !ds_logguess_enough(&c->log, out->data, out->len)) {
        rc = ds_feed_fill(&f, out, out->len + DS_LOGGUESS_BYTES, NULL);
        if (out->len > c->o.max_record &&
            !ds_logguess_enough(&c->log, out->data, out->len)) { /* what is behind it tells */
            out->len = 0;
            break;
        }
    }
    ds_feed_fini(&f);
    ds_hasher_free(hasher);
    ds_unpack_free(u);
    ds_close(&f.fd, path, NULL);
    return rc == 0 || err->code == 0 ? 0 : rc; /* what is wrong with it is said when it is read */
}

static int columns_of(logs_ctx *c, char **operands, size_t n, uint32_t *columns, ds_err *err)
{
    struct stat st;
    ds_logguess g = {.format = DS_LOG_AUTO};
    ds_buf head = {0};
    int rc = 0;
    *columns = ds_logformat_columns(c->log.format);
    if (c->pattern)
        *columns = ds_logpattern_columns(c->pattern);
    if (c->log.format != DS_LOG_AUTO || n != 1 || strcmp(operands[0], "-") == 0 ||
        stat(operands[0], &st) != 0 || !S_ISREG(st.st_mode))
        return 0;
    rc = peek(c, operands[0], &head, err);
    if (rc == 0 && head.len > 0 && ds_logguess_look(&g, &c->log, head.data, head.len) != 0)
        rc = ds_fail_nomem(err);
    if (g.format != DS_LOG_AUTO)
        *columns = ds_logformat_columns(g.format) | 1u << DS_LC_FORMAT;
    ds_buf_fini(&head);
    return rc;
}

/* The options that decide which records come out. */
static int make_provenance(logs_ctx *c, const logs_args *a, ds_err *err)
{
    json_t *j = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:s}", "encoding",
        a->in.encoding ? a->in.encoding : "UTF-8", "format", ds_logformat_names[c->log.format],
        "join", ds_logjoin_names[a->join], "on_error", ds_onerror_names[a->in.on_error], "timezone",
        a->timezone, "max_record", (json_int_t)a->in.max_record, "max_depth",
        (json_int_t)a->in.max_depth, "max_ratio", (json_int_t)a->in.max_ratio, "max_unpacked",
        (json_int_t)a->in.max_unpacked, "year_policy", a->year ? "option" : "name");
    int rc = j ? 0 : ds_fail(err, DS_USAGE, "an option is not valid UTF-8");
    if (rc == 0 &&
        ((a->year && json_object_set_new(j, "year", json_integer(a->year)) != 0) ||
         (a->line && json_object_set_new(j, "line", json_true()) != 0) ||
         (a->records_at && json_object_set_new(j, "records_at", json_string(a->records_at)) != 0) ||
         (a->pattern && json_object_set_new(j, "pattern", json_string(a->pattern)) != 0) ||
         (a->in.delimiter &&
          json_object_set_new(j, "delimiter", json_string(a->in.delimiter)) != 0)))
        rc = ds_fail(err, DS_USAGE, "an option is not valid UTF-8");
    if (rc == 0 && c->zone) {
        char text[8 + 65] = "sha256:";
        ds_sha_hex(text + 7, ds_zone_digest(c->zone));
        if (json_object_set_new(j, "timezone_data", json_string(text)))
            rc = ds_fail_nomem(err);
    }
    if (rc == 0)
        rc = ds_prov_append(&c->sink.in.prov, NULL, 0, "dsprep logs", j, NULL, err);
    json_decref(j);
    return rc;
}

static int follow(logs_ctx *c, const logs_args *a, char **operands, size_t n, ds_err *err)
{
    ds_intake *in = &c->sink.in;
    const ds_follow_opts o = {.log = &c->log,
                              .seconds = a->every >= 0 ? a->every : 10,
                              .state = a->state,
                              .from = a->from,
                              .level = a->in.shards.level > 0 ? (int)a->in.shards.level : 0};
    in->a = &a->in;
    ds_schema_init(&in->schema);
    int rc = read_options(c, a, err);
    if (rc == 0 && (a->in.shards.dir || a->in.encoding))
        rc = ds_fail(err, DS_USAGE,
                     "--follow reads UTF-8 and writes to a pipe: no -o, no --encoding");
    if (rc == 0 && a->from && a->state)
        rc = ds_fail(err, DS_USAGE, "--state and --resume-from do not go together");
    if (rc == 0)
        rc = ds_refuse_tty(STDOUT_FILENO, "pipe it on", err);
    if (rc == 0)
        rc = ds_badlog_open(&in->bad, (enum ds_onerror)a->in.on_error, a->in.quarantine, err);
    if (rc == 0)
        rc = ds_logsink_schema(&c->sink,
                               c->pattern ? ds_logpattern_columns(c->pattern)
                                          : ds_logformat_columns(c->log.format),
                               err);
    if (rc == 0)
        rc = make_provenance(c, a, err);
    if (rc == 0)
        rc = ds_logfollow_run(&c->sink, &o, operands, n, err);
    return rc;
}

static int convert(logs_ctx *c, const logs_args *a, char **operands, size_t n, ds_err *err)
{
    ds_textsink sink;
    uint32_t columns;
    ds_logsink_hooks(&c->sink, &sink);
    int rc = (a->state || a->from) && !a->follow
                 ? ds_fail(err, DS_USAGE, "--%s wants --follow", a->state ? "state" : "resume-from")
                 : read_options(c, a, err);
    if (rc == 0)
        rc = ds_intake_open(&c->sink.in, &a->in, &c->o, operands, n, err);
    c->sink.in.foreign = ds_logsource_no_text;
    if (rc == 0)
        rc = columns_of(c, operands, n, &columns, err);
    if (rc == 0)
        rc = ds_logsink_schema(&c->sink, columns, err);
    if (rc == 0)
        rc = make_provenance(c, a, err);
    if (rc == 0)
        rc = ds_intake_run(&c->sink.in, &c->o, &sink, err);
    if (rc == 0 && a->report)
        rc = ds_logsink_report(&c->sink, a->report, err);
    return rc;
}

static int run(int argc, char **argv)
{
    logs_args a = {.timezone = "UTC", .every = -1, .in = DS_INTAKE_DEFAULTS};
    const ds_opt opts[] = {
        OPT_CHOICE('f', "format", a.format, "FORMAT", ds_logformat_names, "format of all inputs"),
        OPT_STR(0, "pattern", a.pattern, "REGEX",
                "of --format pattern: a PCRE2 pattern whose named groups are columns (time, level, "
                "message, "
                "host, ...) and fields"),
        DSPREP_RECORDS_AT(a.records_at),
        OPT_STR(0, "timezone", a.timezone, "ZONE",
                "zone of times that say none: UTC (the default), an offset such as +01:00, or a "
                "name such "
                "as Europe/Berlin, with its summer times"),
        OPT_INT(0, "year", a.year, "YEAR", 1970, 2261,
                "year of the first record of each file whose times have none"),
        OPT_CHOICE(0, "join", a.join, "WHICH", ds_logjoin_names,
                   "lines that belong to the record before them: those of a trace, none, or any "
                   "that begin "
                   "no "
                   "record"),
        OPT_FLAG(0, "line", a.line, "the column text is the whole record as it stands"),
        OPT_STR(0, "report", a.report, "FILE",
                "write what was decided for each file, and counts, as JSON"),
        OPT_FLAG('F', "follow", a.follow,
                 "go on as the files grow and are rotated, until a signal comes or the pipes have "
                 "ended"),
        OPT_TIME(
            0, "every", a.every, "TIME",
            "of --follow: how long what comes is gathered into one stream; default 10s, 0 = not at "
            "all"),
        OPT_STR(0, "state", a.state, "FILE",
                "of --follow: how far the files were read; a run that finds it goes on from there"),
        OPT_STR(0, "resume-from", a.from, "DATASET[@BRANCH]",
                "of --follow: go on behind what the newest version has of the files"),
        DS_INTAKE_OPTIONS(a.in),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_logs, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    logs_ctx c = {0};
    ds_sig_setup();
    if (a.in.quiet || a.in.json)
        ds_log_level = 0;
    rc = a.follow ? follow(&c, &a, operands, (size_t)n, &err)
                  : convert(&c, &a, operands, (size_t)n, &err);
    if (rc == 0 && a.follow)
        ds_sig_answered(); /* all is written that was to be */
    if (rc == 0)
        ds_logsink_say(&c.sink);
    bool partial = ds_intake_partial(&c.sink.in);
    ds_logsink_fini(&c.sink);
    ds_logpattern_free(c.pattern);
    ds_zone_free(c.zone);
    return ds_transform_end(&ds_cmd_logs, &(ds_rowopts){.json = a.in.json}, &err, partial);
}
