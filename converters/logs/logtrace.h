/* logtrace.h - which lines go on what the line before began: the rules are in docs/logs.md.
 *
 * Decided by the line alone, so that a file may be cut anywhere: stack traces of Java and the JVM,
 * Python, Go, Rust, .NET, Node, Ruby and PHP, and anything that is indented. Pure functions.
 */
#ifndef DS_LOGTRACE_H
#define DS_LOGTRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* (p, len): a line without its end. An empty line is none; it belongs to a record when one that
 * goes on follows it. */
bool ds_logtrace_goes_on(const uint8_t *p, size_t len);

#endif
