/* warc.h - archives of the web (WARC, ISO 28500) into rows: the documents that a crawl kept.
 *
 * Documents are the bodies of HTTP responses, `resource` and `conversion` records, as far as their
 * type is a text's; pages through html.h. Records of requests, of the crawl itself, and of what was
 * the same as before (`revisit`) are none and left out; images and the like are held. What their
 * digests do not fit is refused. Any number of threads.
 */
#ifndef DS_WARC_H
#define DS_WARC_H

#include "textrow.h"

extern const ds_rowparser ds_warc_parser; /* a state for each source; its ctx is the options */

#endif
