/* warcframe.h - the records of a WARC (ISO 28500:2017; versions 0.17 to 1.1): where each begins and
 * ends.
 *
 * A record is a line with the version, header fields, a blank line, as many bytes as its
 * Content-Length says, and two line ends; LF is taken for CRLF. One is whole when these follow, or
 * the next one, or the end. Else it is damaged, and ends where the next one begins that can be
 * told: a line with a version, and a line with a field. Pure functions of
 * the bytes; what they say does not depend on how much more follows than they ask for.
 */
#ifndef DS_WARCFRAME_H
#define DS_WARCFRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DS_WARC_HEAD_MAX (64u << 10)

typedef struct ds_warcframe {
    size_t start;       /* of the record: behind line ends that precede it */
    size_t head, nhead; /* its header fields */
    size_t body, nbody; /* its block */
    uint64_t says;      /* its Content-Length */
    size_t end;         /* behind it, and behind its line ends */
    const char *why;    /* it is damaged: the reason (static) */
    /* No blank line begins before: what heads of damaged records, one in the other, were looked
     * through for. NULL at first; for calls in the same bytes, one after the other. */
    const uint8_t *looked;
} ds_warcframe;

enum ds_warcframe_is {
    DS_WARC_NONE,  /* nothing but line ends */
    DS_WARC_FOUND, /* a record, or a damaged one */
    DS_WARC_OPEN   /* more bytes are needed to tell */
};

/* The record at p. `last`: nothing follows (p, len). *f is empty, or that of a record before. */
enum ds_warcframe_is ds_warcframe_next(ds_warcframe *f, const uint8_t *p, size_t len, bool last);
/* Where the first record begins behind p; 0: none begins there. */
size_t ds_warcframe_resync(const uint8_t *p, size_t len);
/* The head of the record at p, and where its block begins. False: it is none. */
bool ds_warcframe_head(ds_warcframe *f, const uint8_t *p, size_t len);
/* True where a WARC may begin. */
bool ds_warcframe_begins(const uint8_t *p, size_t len);

#endif
