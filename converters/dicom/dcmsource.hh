// dcmsource.hh - the bytes of a DICOM file, for DCMTK to parse: in memory, or read from a
// descriptor as they are needed. Whoever makes one keeps what it points to until no stream of it is
// left.
#ifndef DS_DCMSOURCE_HH
#define DS_DCMSOURCE_HH

#include <dcmtk/config/osconfig.h>

#include <memory>
#include <sys/types.h>
#include <vector>

#include <dcmtk/dcmdata/dcistrma.h>

struct dcm_source {
    int fd;
    const char *mem; // all of the file, or null: it is read as needed
    Uint64 size;
    off_t at;                 // where it begins in fd
    const char *stack;        // where it was when parsing began
    bool deep;                // the stack came to its limit
    std::vector<Uint64> left; // where values stand that were left in the file
};

// The first n bytes from `at` on, or as many as there are; their number.
size_t dcm_source_peek(const dcm_source &s, Uint64 at, unsigned char *b, size_t n);
// What parsing reads, from `at` on. It begins anew: *s notes what it leaves, and how deep it is.
std::unique_ptr<DcmInputStream> dcm_source_parse(dcm_source *s, offile_off_t at, const char *stack);

#endif
