/* logsink.h - rows of logs into a stream: the schema, years for times that have none, and what is
 * odd about their order.
 *
 * Rows come in the order of their source. A time without a year has that of the record before it,
 * or the next when the month falls by more than half a year, or the one before when it rises by
 * more (a straggler). The first of a source has the year that the options say, or the latest in
 * which it is not after the date in the source's name. A time of a named zone's clock becomes UTC
 * here: of two instants, when clocks go back, it is the earlier, unless that is before the record
 * before it and the later is not. One thread; memory: the record before.
 */
#ifndef DS_LOGSINK_H
#define DS_LOGSINK_H

#include "intake.h"
#include "logrow.h"
#include "zonefile.h"

#define DS_LOGSINK_GAP INT64_C(3600000000000) /* ns without a record that count as a gap */

typedef struct ds_logstats {
    uint64_t backwards;  /* earlier than the record before */
    int64_t furthest;    /* by at most so many ns */
    uint64_t gaps;       /* an hour or more after it */
    uint64_t repeated;   /* the same bytes as it */
    uint64_t timeless;   /* without a time */
    uint64_t impossible; /* of these, February 29th in a year without one */
    uint64_t twice;      /* of a clock that showed this time twice */
} ds_logstats;

/* Where a source is, as far as the next record depends on it. */
typedef struct ds_logplace {
    bool timed;
    int now_year, now_month;
    int64_t last;
    ds_buf before; /* the record before */
} ds_logplace;

typedef struct ds_logsink {
    ds_intake in;        /* first: see ds_intake_sink */
    int year;            /* as in ds_logopts */
    const ds_zone *zone; /* of times that say none, which the parser took for UTC; or NULL */
    struct ds_logslot {
        enum ds_logcol col;
        bool number;
    } slots[DS_LC_N]; /* by column of the schema */
    size_t nslots;
    ds_logstats stats;
    ds_logplace at; /* of the source that is being read */
    ds_buf notes;   /* "SOURCE\0words\0"... */
    size_t nnotes;
} ds_logsink;

/* Columns by their bits. */
int ds_logsink_schema(ds_logsink *s, uint32_t columns, ds_err *err);
/* Fills in the whole sink, whose ctx the ds_logsink is. */
void ds_logsink_hooks(ds_logsink *s, ds_textsink *sink);
/* What was odd, and the accounts, on standard error. */
void ds_logsink_say(ds_logsink *s);
/* Decisions and counts as JSON, into a file that appears whole. */
int ds_logsink_report(const ds_logsink *s, const char *path, ds_err *err);
void ds_logsink_fini(ds_logsink *s);

#endif
