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
    DS_TEXT_HTML
};
extern const char
    *const ds_textformat_names[]; /* by number, NULL-terminated: "auto", "text", ... */
/* By the name's end, seen through .gz and the like; plain text when it says nothing. Never
 * DS_TEXT_AUTO. */
enum ds_textformat ds_textformat_of(const char *name);
/* True where one file holds many records with members: JSON lines and tables. */
bool ds_textformat_rows(enum ds_textformat f);

typedef struct ds_textopts {
    enum ds_textformat format; /* DS_TEXT_AUTO: by name */
    const char *field;         /* member or column that holds the text */
    const char *key_field;     /* member or column that holds the key; NULL = none */
    enum ds_split split;       /* of documents */
    size_t split_bytes;
    const char *encoding; /* NULL = UTF-8, or what a byte order mark says */
    size_t max_record;  /* bytes of a line, of a table's record, of a page; plain documents have no
                           limit */
    unsigned max_depth; /* of JSON */
    ds_unpack_limits limits;
    bool explicit_key; /* rows have keys */
    bool json_text;    /* of JSON lines: a text that is a list or an object is its JSON */
    bool meta;         /* rows have what else their record held */
} ds_textopts;

typedef struct ds_textrow {
    const char *reason;               /* NULL: a row. Else a problem: a slug, counted by */
    const char *why;                  /* of a problem, in words */
    const uint8_t *key, *text, *meta; /* NULL = null or not asked for */
    size_t key_len, text_len, meta_len;
    uint64_t offset, len; /* range in the decoded source */
    uint64_t at;          /* of a problem: offset of the fault in the source */
    const uint8_t *raw;   /* of a problem: the bytes of the record that was refused */
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

/* The header row of a table. */
typedef struct ds_csvhead {
    ds_buf names; /* JSON string literals, one after the other */
    size_t *ends; /* where each ends in names */
    size_t n;
    long field, key; /* columns; key -1 = none */
} ds_csvhead;
/* Reads the header at p; `p` holds it whole. An error names the offset (DS_FAIL). */
int ds_csvhead_read(ds_csvhead *h, ds_csvrec *scratch, const ds_textopts *o, enum ds_textformat f,
                    const uint8_t *p, size_t len, size_t *used, ds_err *err);
void ds_csvhead_fini(ds_csvhead *h);

/* Length of the longest prefix that holds whole records; 0 = none. */
size_t ds_text_whole(ds_csvrec *scratch, const ds_textopts *o, enum ds_textformat f,
                     const uint8_t *p, size_t len);

/* Appends the rows of (p, len), whose first byte is at `base` in the source. Formats with rows, and
 * split plain text. `head`: of a table. Returns 0 or DS_NOMEM; everything else is a problem among
 * the rows. */
int ds_textbatch_records(ds_textbatch *b, const ds_textopts *o, enum ds_textformat f,
                         const ds_csvhead *head, const uint8_t *p, size_t len, uint64_t base);
/* Appends the row (or, when split, the rows) of a whole document named `name`, whose bytes are at
 * [base, base + len) in the source. */
int ds_textbatch_document(ds_textbatch *b, const ds_textopts *o, enum ds_textformat f,
                          const char *name, const uint8_t *p, size_t len, uint64_t base);
/* Appends a problem. `why` is copied. */
int ds_textbatch_problem(ds_textbatch *b, const char *reason, uint64_t at, uint64_t offset,
                         const uint8_t *raw, size_t len, const char *why, ...) DS_PRINTF(7, 8);

#endif
