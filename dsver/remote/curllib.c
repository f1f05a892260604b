/* curllib.c - see curllib.h. */
#include "curllib.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static ds_curl lib;
static char trouble[256]; /* why there is none; empty: there is */

/* As built over OpenSSL, and over GnuTLS. */
static const char *const FILES[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};

#define SYMBOL(NAME)                                                                               \
    {                                                                                              \
        "curl_" #NAME, offsetof(ds_curl, NAME)                                                     \
    }
static const struct symbol {
    const char *name;
    size_t at;
} SYMBOLS[] = {SYMBOL(global_init),  SYMBOL(easy_init),     SYMBOL(easy_cleanup),
               SYMBOL(easy_reset),   SYMBOL(easy_setopt),   SYMBOL(easy_getinfo),
               SYMBOL(easy_perform), SYMBOL(easy_strerror), SYMBOL(getdate),
               SYMBOL(slist_append), SYMBOL(slist_free_all)};

static void load(void)
{
    void *so = NULL;

    for (size_t i = 0; !so && i < sizeof FILES / sizeof *FILES; i++) {
        so = dlopen(FILES[i], RTLD_NOW | RTLD_LOCAL);
        if (!so && i == 0)
            snprintf(trouble, sizeof trouble, "%s", dlerror());
    }
    if (!so)
        return;
    *trouble = '\0';
    for (size_t i = 0; i < sizeof SYMBOLS / sizeof *SYMBOLS; i++) {
        void *found = dlsym(so, SYMBOLS[i].name);
        if (!found) {
            snprintf(trouble, sizeof trouble, "%s", dlerror());
            return;
        }
        memcpy((char *)&lib + SYMBOLS[i].at, &found, sizeof found);
    }
    const CURLcode code = lib.global_init(CURL_GLOBAL_DEFAULT);
    if (code != CURLE_OK)
        snprintf(trouble, sizeof trouble, "it does not start: %s", lib.easy_strerror(code));
}

int ds_curl_load(const ds_curl **out, ds_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, load);
    *out = *trouble ? NULL : &lib;
    return *out ? 0
                : ds_fail(err, DS_FAIL,
                          "an object store is reached by libcurl, which is not here: %s", trouble);
}
