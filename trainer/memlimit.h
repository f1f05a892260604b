/* memlimit.h - how much memory this process may use: that of the machine, or the least limit of its
 * control group and those around it (versions 1 and 2). 0 when nothing says. */
#ifndef DS_MEMLIMIT_H
#define DS_MEMLIMIT_H

#include <stdint.h>

int64_t ds_memory_limit(void);

#endif
