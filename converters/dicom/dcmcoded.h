/* dcmcoded.h - base64 within text (RFC 4648, lines as in RFC 2045), as what it stands for.
 *
 * Reports and private elements carry other documents so: a name in them is a name. A run is of
 * DCM_CODED_MIN digits and more, with a capital behind a small letter. Long ones come in pieces
 * that overlap by more than an identifier has bytes. No memory is allocated.
 */
#ifndef DS_DCMCODED_H
#define DS_DCMCODED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DCM_CODED_MIN 10
#define DCM_CODED_PIECE 3072
#define DCM_CODED_OVERLAP 768

typedef struct dcm_coded {
    size_t at, end; /* of the run in the text; set `end` to where to begin, and `more` to 0 */
    size_t more;    /* where its next piece begins; 0: there is none */
    size_t n;
    uint8_t bytes[DCM_CODED_PIECE]; /* n of them: what this piece stands for */
} dcm_coded;

/* The next piece of a run; false behind the last. */
bool dcm_coded_next(dcm_coded *c, const uint8_t *p, size_t len);

#endif
