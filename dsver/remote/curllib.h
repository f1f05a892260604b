/* curllib.h - libcurl, loaded when there is an object store to ask. It brings two dozen libraries
 * with it: their loading was a third of the time of every short command, which asks none.
 *
 * The members are the functions of <curl/curl.h> under their names without "curl_". Its checks of
 * the types of easy_setopt and easy_getinfo do not reach them.
 */
#ifndef DS_CURLLIB_H
#define DS_CURLLIB_H

#include <curl/curl.h>

#include "error.h"

typedef struct ds_curl {
    __typeof__(&curl_global_init) global_init;
    __typeof__(&curl_easy_init) easy_init;
    __typeof__(&curl_easy_cleanup) easy_cleanup;
    __typeof__(&curl_easy_reset) easy_reset;
    __typeof__(&curl_easy_setopt) easy_setopt;
    __typeof__(&curl_easy_getinfo) easy_getinfo;
    __typeof__(&curl_easy_perform) easy_perform;
    __typeof__(&curl_easy_strerror) easy_strerror;
    __typeof__(&curl_getdate) getdate;
    __typeof__(&curl_slist_append) slist_append;
    __typeof__(&curl_slist_free_all) slist_free_all;
} ds_curl;

/* *out: libcurl, begun, for any thread and as long as the process lives. DS_FAIL: it is not there.
 */
int ds_curl_load(const ds_curl **out, ds_err *err);

#endif
