/* textrow.h - bytes of one format into rows of text: what the formats have in common.
 *
 * A batch parses a run of whole records (or one whole document) and keeps what it found in order:
 * rows, and problems where a record is not one. Texts without escapes are slices of the input,
 * which must outlive the batch's use; everything else lies in the batch's own memory. A batch
 * belongs to one thread at a time; the same bytes give the same rows whatever the cut into batches.
 */
#ifndef DS_TEXTROW_H
#define DS_TEXTROW_H

#include "buf.h"
#include "csv.h"
#include "jscan.h"
#include "textcut.h"
#include "unpack.h"

enum ds_textformat {
    DS_TEXT_AUTO,
    DS_TEXT_PLAIN,
    DS_TEXT_MARKDOWN,
    DS_TEXT_JSONL,
    DS_TEXT_CSV,
    DS_TEXT_TSV,
    DS_TEXT_HTML,
    DS_TEXT_WARC,
    DS_TEXT_EML,
    DS_TEXT_MBOX,
    DS_TEXT_PARSED /* by o->parser; not among the names */
};
extern const char
    *const ds_textformat_names[]; /* by number, NULL-terminated: "auto", "text", ... */
/* By the name's end, seen through .gz and the like; plain text when it says nothing. Never
 * DS_TEXT_AUTO. */
enum ds_textformat ds_textformat_of(const char *name);
/* True where one file holds many records: JSON lines, tables, what a parser reads. */
bool ds_textformat_rows(enum ds_textformat f);
/* True where records have a key of their own, such as an id, without a field being named. */
bool ds_textformat_keyed(enum ds_textformat f);
/* True where a file says itself which encodings are in it: it is read byte for byte, and an
 * encoding that is named is that of what says none. */
bool ds_textformat_bytes(enum ds_textformat f);

/* Why a record's key cannot be one that an input says, or NULL. */
const char *ds_key_unfit(const uint8_t *key, size_t len);

/* A part of a source to parse: whole records. */
typedef struct ds_textblock {
    const uint8_t *p;
    size_t len;
    uint64_t base;        /* offset of p in the source */
    const ds_buf *before; /* as ds_rowparser has it; NULL = nothing */
    bool last;            /* nothing follows */
} ds_textblock;

struct ds_textbatch;
/* Records of formats that this module does not know, by who does. A state belongs to one source and
 * is read only once opened, so that threads may share it; the same bytes must give the same rows
 * however they are cut. */
typedef struct ds_rowparser {
    void *ctx;
    /* Looks at the beginning of a source: *used bytes are a header. `note` gets words on what was
     * found. DS_FAIL: it is not one of its sources, *reason is a slug to count by. */
    int (*open)(void *ctx, void **state, const char *name, const uint8_t *p, size_t len,
                size_t *used, ds_buf *note, const char **reason, ds_err *err);
    /* Whether open can tell by these bytes what it would tell by more of them. NULL: always. */
    bool (*enough)(void *ctx, const uint8_t *p, size_t len);
    /* As ds_text_whole. */
    size_t (*whole)(const void *state, const uint8_t *p, size_t len);
    /* Brings `before`, what the bytes so far say of the records that follow, from the beginning of
     * (p, len) to its end; empty at the beginning of a source. Called block by block, in order. 0
     * or DS_NOMEM. */
    int (*pass)(const void *state, ds_buf *before, const uint8_t *p, size_t len);
    /* Where the record at p is longer than may be: where another one begins behind p, 0 = not here.
     * `first`: p is the record's beginning, and *skip may be its length, as it says itself. NULL:
     * behind a line's end. */
    size_t (*resync)(const void *state, const uint8_t *p, size_t len, bool first, uint64_t *skip);
    /* Of a record longer than may be, whose beginning is at p, the problem that it is, as its first
     * row; none: it is too long. NULL: always that. 0 or DS_NOMEM. */
    int (*big)(const void *state, struct ds_textbatch *b, const uint8_t *p, size_t len);
    /* As ds_textbatch_records. */
    int (*records)(const void *state, struct ds_textbatch *b, const ds_textblock *k);
    void (*close)(void *state);
} ds_rowparser;

#define DS_NO_TEXT ": no text" /* ends the reasons of records that hold none, behind their type */
/* What becomes of a record that is no row. */
enum ds_textfate {
    DS_FATE_BAD,  /* it is not what it should be: --on-error says what then */
    DS_FATE_HELD, /* nothing is wrong with it, and there is no text in it: counted */
    DS_FATE_LEFT  /* it is no document: left out, and counted apart from the input */
};

typedef struct ds_textopts {
    enum ds_textformat format; /* DS_TEXT_AUTO: by name */
    const char *field;         /* member or column that holds the text */
    const char *key_field;     /* member or column that holds the key; NULL = none */
    enum ds_split split;       /* of documents */
    size_t split_bytes;
    const char *encoding; /* NULL = UTF-8, or what a byte order mark says */
    uint8_t delimiter;    /* of tables; 0 = a comma, a tab for TSV */
    size_t max_record;  /* bytes of a line, of a table's record, of a page; plain documents have no
                           limit */
    unsigned max_depth; /* of JSON */
    ds_unpack_limits limits;
    bool explicit_key;          /* rows have keys */
    bool json_text;             /* of JSON lines: a text that is a list or an object is its JSON */
    bool meta;                  /* rows have what else their record held */
    const ds_rowparser *parser; /* of DS_TEXT_PARSED */
} ds_textopts;

typedef struct ds_textrow {
    const char *reason;               /* NULL: a row. Else a problem: a slug, counted by */
    enum ds_textfate fate;            /* of a problem */
    const char *why;                  /* of a problem, in words */
    const uint8_t *key, *text, *meta; /* NULL = null or not asked for */
    size_t key_len, text_len, meta_len;
    uint64_t offset, len; /* range in the decoded source */
    uint64_t at;          /* of a problem: offset of the fault in the source */
    const uint8_t *raw;   /* of a problem: the bytes of the record that was refused; of a parser's
                             row:   of the record */
    const void *cells;    /* of a parser's row: what it found */
    const char *note;     /* no row: words on the source */
} ds_textrow;

typedef struct ds_textbatch {
    ds_textrow *v;
    size_t n, cap;
    void *chunks; /* the batch's own memory */
    ds_jscan json;
    ds_csvrec csv;
    ds_buf scratch, title;
} ds_textbatch;

void ds_textbatch_reset(ds_textbatch *b); /* no rows; the memory is kept */
void ds_textbatch_fini(ds_textbatch *b);

/* For parsers: a row to fill in, memory that lasts as long as the rows, and the text of a scanned
 * string. NULL or DS_NOMEM when there is none. */
ds_textrow *ds_textbatch_row(ds_textbatch *b, uint64_t offset, uint64_t len);
uint8_t *ds_textbatch_alloc(ds_textbatch *b, size_t n);
const uint8_t *ds_textbatch_copy(ds_textbatch *b, const void *p, size_t n);
int ds_textbatch_string(ds_textbatch *b, const ds_jmember *m, const uint8_t **p, size_t *len);
/* 0 = text of an allowed length, 1 = a problem was added, DS_NOMEM. `clean`: the whole block is
 * known to be UTF-8 without NUL, which ds_text_clean tells. */
int ds_textbatch_check(ds_textbatch *b, size_t max_record, const uint8_t *p, size_t len,
                       uint64_t offset, bool clean);
bool ds_text_clean(const uint8_t *p, size_t len);
size_t ds_text_without_end(const uint8_t *p, size_t len); /* without LF or CRLF at the end */

/* What the beginning of a source says of the rest: the header row of a table, or a parser's state.
 */
typedef struct ds_texthead {
    ds_buf names; /* JSON string literals, one after the other */
    size_t *ends; /* where each ends in names */
    size_t n;
    long field, key; /* columns; key -1 = none */
    const ds_rowparser *parser;
    void *state;        /* the parser's */
    ds_buf note;        /* the parser's words */
    const char *reason; /* after a failure: a slug */
} ds_texthead;
bool ds_textformat_headed(enum ds_textformat f); /* it has one */
/* What reads the format's records; NULL: this module itself. */
const ds_rowparser *ds_textformat_parser(const ds_textopts *o, enum ds_textformat f);
/* Reads the header at p; `p` holds it whole. `name` is the source's. An error names the offset
 * (DS_FAIL). */
int ds_texthead_read(ds_texthead *h, ds_csvrec *scratch, const ds_textopts *o, enum ds_textformat f,
                     const char *name, const uint8_t *p, size_t len, size_t *used, ds_err *err);
void ds_texthead_fini(ds_texthead *h);

/* Length of the longest prefix that holds whole records; 0 = none. `head`: of what a parser reads.
 */
size_t ds_text_whole(ds_csvrec *scratch, const ds_textopts *o, enum ds_textformat f,
                     const ds_texthead *head, const uint8_t *p, size_t len);

/* Appends the rows of a block. Formats with rows, and split plain text. `head`: where the format
 * has one. Returns 0 or DS_NOMEM; everything else is a problem among the rows. */
int ds_textbatch_records(ds_textbatch *b, const ds_textopts *o, enum ds_textformat f,
                         const ds_texthead *head, const ds_textblock *k);
/* Appends the row (or, when split, the rows) of a whole document named `name`, whose bytes are at
 * [base, base + len) in the source. */
int ds_textbatch_document(ds_textbatch *b, const ds_textopts *o, enum ds_textformat f,
                          const char *name, const uint8_t *p, size_t len, uint64_t base);
/* Appends a problem. `why` is copied. */
int ds_textbatch_problem(ds_textbatch *b, const char *reason, uint64_t at, uint64_t offset,
                         const uint8_t *raw, size_t len, const char *why, ...) DS_PRINTF(7, 8);

#endif
