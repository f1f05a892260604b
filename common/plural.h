/* plural.h - "1 record", "2 records": printf("%" PRIu64 " record%s", n, ds_s(n)). */
#ifndef DS_PLURAL_H
#define DS_PLURAL_H

#include <stdint.h>

static inline const char *ds_s(uint64_t n)
{
    return n == 1 ? "" : "s";
}

#endif
