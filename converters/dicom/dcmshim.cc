// dcmshim.cc - see dcmshim.h: the one place where DCMTK and OpenJPEG are called.
#include "dcmtk/config/osconfig.h"

#include "dcmtk/dcmdata/dctk.h"
#include "dcmtk/dcmjpeg/djdecode.h"
#include "dcmtk/dcmjpls/djdecode.h"
#include "dcmtk/oflog/oflog.h"

extern "C" {
#include "dcmshim.h"
}

extern "C" int dcm_shim_init(ds_err *err)
{
    try {
        OFLog::configure(OFLogger::OFF_LOG_LEVEL);
        if (!dcmDataDict.isDictionaryLoaded())
            return ds_fail(err, DS_FAIL,
                           "DCMTK's data dictionary cannot be read (DCMDICTPATH): without it "
                           "names would not be known as such");
        DJDecoderRegistration::registerCodecs();
        DJLSDecoderRegistration::registerCodecs();
        return 0;
    } catch (...) {
        return ds_fail(err, DS_FAIL, "DCMTK cannot be set up");
    }
}
