/* logrow.h - what a record of a log consists of, and the parsers that find it.
 *
 * One record (a line, an entry, or a line with the trace that follows it) becomes cells: one for
 * each column that the format has something for. Strings are slices of the input where nothing had
 * to be unescaped, and lie in the batch otherwise. What no column holds goes into `fields`, a JSON
 * object. Formats, columns and rules: docs/logs.md. A ds_logsource is read only once made and
 * shared by threads; a ds_logline belongs to one.
 */
#ifndef DS_LOGROW_H
#define DS_LOGROW_H

#include "logtime.h"
#include "textrow.h"

enum ds_logformat {
    DS_LOG_AUTO,
    DS_LOG_SYSLOG,   /* RFC 3164, and what daemons write into files since */
    DS_LOG_SYSLOG5,  /* RFC 5424 */
    DS_LOG_JEXPORT,  /* journalctl -o export */
    DS_LOG_JJSON,    /* journalctl -o json */
    DS_LOG_COMMON,   /* Apache and nginx */
    DS_LOG_COMBINED, /* with referer and agent */
    DS_LOG_JSON,
    DS_LOG_LOGFMT,
    DS_LOG_CSV,
    DS_LOG_CRI,
    DS_LOG_DOCKER, /* json-file */
    DS_LOG_APP,    /* a time, a level, a message */
    DS_LOG_LINES,  /* of text, and nothing known of them */
    DS_LOG_PATTERN,
    DS_LOG_CEF,    /* ArcSight's Common Event Format */
    DS_LOG_LEEF,   /* QRadar's Log Event Extended Format */
    DS_LOG_W3C,    /* W3C extended log format: IIS, Exchange, CloudFront, the Windows firewall */
    DS_LOG_ZEEK,   /* Zeek's (Bro's) tables */
    DS_LOG_VPC,    /* AWS VPC flow logs */
    DS_LOG_JARRAY, /* documents of JSON that hold an array of records */
    DS_LOG_WINXML, /* Windows events as XML */
    DS_LOG_ALB,    /* access logs of AWS application load balancers */
    DS_LOG_APACHE, /* names that people give to combined */
    DS_LOG_NGINX,
    DS_LOG_NFORMATS
};
extern const char *const ds_logformat_names[]; /* by number, NULL-terminated */

enum ds_logcol {
    DS_LC_TEXT,
    DS_LC_TIME,
    DS_LC_SEVERITY,
    DS_LC_LEVEL,
    DS_LC_HOST,
    DS_LC_PROGRAM,
    DS_LC_PID,
    DS_LC_REMOTE,
    DS_LC_USER,
    DS_LC_METHOD,
    DS_LC_PATH,
    DS_LC_PROTOCOL,
    DS_LC_STATUS,
    DS_LC_BYTES,
    DS_LC_REFERER,
    DS_LC_AGENT,
    DS_LC_FIELDS,
    DS_LC_FORMAT,
    DS_LC_N
};
extern const char *const ds_logcol_names[];
/* Numbers (time, severity, pid, status, bytes) as against strings. */
bool ds_logcol_number(enum ds_logcol c);
/* Columns of a format, a bit each; text always. Of DS_LOG_AUTO: all. */
uint32_t ds_logformat_columns(enum ds_logformat f);

typedef struct ds_logcell {
    const uint8_t *p; /* NULL = null; of a number: not NULL */
    int64_t n;        /* the number, or the length */
} ds_logcell;

typedef struct ds_logrow {
    ds_logcell v[DS_LC_N];
    ds_logtime when;    /* where it is yearless the time is not yet in its cell */
    int16_t named_year; /* of a yearless one: the date in the source's name; year 0 = none */
    int8_t named_month, named_day;
} ds_logrow;

enum ds_logjoin { DS_LOGJOIN_TRACE, DS_LOGJOIN_NONE, DS_LOGJOIN_ANY };
extern const char *const ds_logjoin_names[];

typedef struct ds_logpattern ds_logpattern;

/* What the user said. */
typedef struct ds_logopts {
    enum ds_logformat format;
    const ds_logpattern *pattern; /* of DS_LOG_PATTERN, or NULL */
    enum ds_logjoin join;
    int32_t zone;      /* of times that say none, seconds east */
    int year;          /* of the first record of each source without years; 0 = by its name */
    bool whole_line;   /* the text is the record as it stands */
    size_t max_record; /* as in ds_textopts */
    unsigned max_depth;
    uint8_t delimiter;      /* of tables; 0 = a comma, or else a tab */
    const char *records_at; /* of DS_LOG_JARRAY: a path (jitems.h); NULL = what is seen */
} ds_logopts;

/* The names of a table's fields, and what else its head says (logtable.h). */
typedef struct ds_logtable {
    uint8_t delimiter; /* ' ': runs of blanks, or a tab where a line has one */
    int8_t *columns;   /* of each field, -1 = fields */
    ds_buf names;      /* its name as JSON, each with its end in ends */
    size_t *ends, n, cap;
    const char *why; /* no fields are known: the reason (static); NULL: none were named */
    char date[10];   /* of times without one; "" = none */
    ds_buf kind;     /* of Zeek's log */
    ds_buf unset, empty;
} ds_logtable;

/* What is known of one source. */
typedef struct ds_logsource {
    const ds_logopts *o;
    enum ds_logformat format;
    bool framed;                            /* RFC 6587: octet counts before the messages */
    int named_year, named_month, named_day; /* the date in its name; year 0 = none */
    ds_logtable table;                      /* of DS_LOG_CSV */
    const char *path;                       /* of DS_LOG_JARRAY */
} ds_logsource;

/* A record on its way. */
typedef struct ds_logline {
    const ds_logsource *s;
    ds_textbatch *b;
    ds_logrow *row;
    void *match;           /* of the pattern, a thread's own */
    ds_logtable table;     /* of tables whose head may come again: what is in force */
    ds_buf fields;         /* the object so far, without its closing brace */
    ds_buf cols;           /* of the members of an object: the column of each, + 1 */
    const uint8_t *stream; /* of a container's line */
    size_t stream_len;
    bool partial;    /* it goes on in the next one */
    bool quoted;     /* of an access log: referer and agent were there */
    size_t at;       /* after a refusal: where in the record */
    const char *why; /* and why (static) */
} ds_logline;

int ds_logline_init(ds_logline *l, const ds_logsource *s, ds_textbatch *b); /* 0 or DS_NOMEM */
void ds_logline_fini(ds_logline *l);
/* Empties l->row and parses into it: what a parser returns. */
int ds_logline_parse(ds_logline *l, const uint8_t *p, size_t len);

/* Parses one record. 0; DS_FAIL with why and at; DS_NOMEM. row is zeroed before. */
typedef int (*ds_logparser)(ds_logline *l, const uint8_t *p, size_t len);
int ds_logparse_syslog(ds_logline *l, const uint8_t *p, size_t len);
int ds_logparse_syslog5(ds_logline *l, const uint8_t *p, size_t len);
int ds_logparse_export(ds_logline *l, const uint8_t *p, size_t len);
int ds_logparse_web(ds_logline *l, const uint8_t *p, size_t len);
int ds_logparse_json(ds_logline *l, const uint8_t *p, size_t len); /* journal and docker, too */
int ds_logparse_logfmt(ds_logline *l, const uint8_t *p, size_t len);
int ds_logparse_table(ds_logline *l, const uint8_t *p, size_t len);
int ds_logparse_cri(ds_logline *l, const uint8_t *p, size_t len);
int ds_logparse_app(ds_logline *l, const uint8_t *p, size_t len);
int ds_logparse_lines(ds_logline *l, const uint8_t *p, size_t len);
int ds_logparse_pattern(ds_logline *l, const uint8_t *p, size_t len);
int ds_logparse_cef(ds_logline *l, const uint8_t *p, size_t len);
int ds_logparse_leef(ds_logline *l, const uint8_t *p, size_t len);
int ds_logparse_alb(ds_logline *l, const uint8_t *p, size_t len);
int ds_logparse_winxml(ds_logline *l, const uint8_t *p, size_t len);
int ds_logparse_named(ds_logline *l, const uint8_t *p, size_t len); /* w3c, zeek, vpc-flow */

/* The unit at p, of which nothing follows: an event at (at, n), nothing (n 0), or (why) what is
 * given up. Returns the bytes that it takes; 0: it does not end here. len > 0. */
size_t ds_logwinxml_next(const uint8_t *p, size_t len, size_t *at, size_t *n, const char **why);

/* ---- for the parsers ---- */

static inline void ds_logset(ds_logline *l, enum ds_logcol c, const uint8_t *p, size_t len)
{
    l->row->v[c] = (ds_logcell){p, (int64_t)len};
}
static inline void ds_logset_number(ds_logline *l, enum ds_logcol c, int64_t n)
{
    l->row->v[c] = (ds_logcell){(const uint8_t *)"", n};
}
static inline int ds_logfail(ds_logline *l, size_t at, const char *why)
{
    l->at = at;
    l->why = why;
    return DS_FAIL;
}
void ds_logset_time(ds_logline *l, const ds_logtime *t);
/* Decimal digits, all of (p, len), into a number's cell; false when they are something else. */
bool ds_logset_decimal(ds_logline *l, enum ds_logcol c, const uint8_t *p, size_t len);
/* The level as it is written, and the severity (RFC 5424, 0..7) that it stands for. */
void ds_logset_level(ds_logline *l, const uint8_t *p, size_t len);
/* RFC 5424's number for a word such as "WARN"; -1 = none. */
int ds_logseverity(const uint8_t *p, size_t len);
/* METHOD SP TARGET SP PROTOCOL, as columns and as the text; anything else is a text only. */
void ds_logset_request(ds_logline *l, const uint8_t *p, size_t len);
/* A member of `fields`: name as it is, value a string or JSON. 0 or DS_NOMEM. */
int ds_logfield(ds_logline *l, const char *name, const uint8_t *p, size_t len);
int ds_logfield_json(ds_logline *l, const char *name, const char *json);
/* The same under a name that is JSON already, with its quotes. */
int ds_logfield_raw(ds_logline *l, const uint8_t *name, size_t name_len, bool string,
                    const uint8_t *p, size_t len);
/* The same under a name that is text, and gets its quotes here. */
int ds_logfield_named(ds_logline *l, const uint8_t *name, size_t name_len, bool string,
                      const uint8_t *p, size_t len);
/* Undoes escapes of a backslash and one of `letters`, which mean what stands in `meant` at the same
 * place; any other backslash stays. What changes lies in the batch then. 0 or DS_NOMEM. */
int ds_logunescape(ds_logline *l, const char *letters, const char *meant, const uint8_t **p,
                   size_t *len);
/* The column that a member named so goes to; -1 = none. Where several could be the text, the one of
 * the lowest rank is. The spellings are in docs/logs.md. */
int ds_logcol_of(const uint8_t *name, size_t len, unsigned *rank);
/* A value under such a name, whose column is `col` (-1: fields): taken into its column when it can
 * be read as what belongs there and nothing else has come before. False: it belongs into fields. */
bool ds_logtake(ds_logline *l, int col, const uint8_t *p, size_t len);

int ds_logpattern_new(ds_logpattern **p, const char *regex, ds_err *err);
void ds_logpattern_free(ds_logpattern *p);
uint32_t ds_logpattern_columns(const ds_logpattern *p);
void *ds_logpattern_match_new(const ds_logpattern *p);
void ds_logpattern_match_free(void *match);

#endif
