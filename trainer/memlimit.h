/* memlimit.h - how much memory this process may use, and has used. */
#ifndef DS_MEMLIMIT_H
#define DS_MEMLIMIT_H

#include <stdint.h>

/* That of the machine, or the least limit of its control group and those around it (versions 1 and
 * 2). 0 when nothing says. */
int64_t ds_memory_limit(void);
/* The most bytes that were resident at once since the program began. */
int64_t ds_memory_peak(void);

#endif
