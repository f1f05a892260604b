# converters/dicom: DICOM files as trees, frames and records. DCMTK and OpenJPEG stand behind the .cc files alone.
converters/dicom_LIB  := dsdicom
converters/dicom_SEES := converters/dicom converters common
converters/dicom_PKG  := libopenjp2
converters/dicom_LDLIBS := -Wl,--as-needed -ldcmjpeg -ldcmjpls -ldcmdata -loflog -lofstd -lstdc++
CFLAGS_converters/dicom/dcmframe.c := -O3
