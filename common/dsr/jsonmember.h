/* jsonmember.h - the members of a minified JSON object, as they are spelled, one after the other.
 *
 * For json columns and others whose text was found well formed (dsr_jsoncheck.h): nothing is
 * checked again, and nothing is unescaped. Of a text that is no such object no more is read than
 * its bytes, and members end where it stops being one. Texts that nobody has looked at are for
 * converters/text/jscan.h. No memory, no global state.
 */
#ifndef DS_JSONMEMBER_H
#define DS_JSONMEMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ds_jsonmembers {
    const uint8_t *p; /* the text, borrowed */
    size_t len, at;   /* at: where the next member begins; len: there is none */
} ds_jsonmembers;

typedef struct ds_jsonmember {
    const uint8_t *name; /* between its quotes */
    size_t name_len;
    const uint8_t *value; /* of a string with both of its quotes; never empty */
    size_t value_len;
} ds_jsonmember;

/* Of a text that is no object there are no members. */
void ds_jsonmembers_begin(ds_jsonmembers *it, const void *text, size_t len);
bool ds_jsonmembers_next(ds_jsonmembers *it, ds_jsonmember *m);
/* After the last: the text was one object to its end. */
bool ds_jsonmembers_whole(const ds_jsonmembers *it);

#endif
