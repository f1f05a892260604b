# dsprep/dicom: the program that `dsprep dicom` runs, so that no other command loads DCMTK.
dsprep/dicom_LIB  := dsprepdicom
dsprep/dicom_PROG := dsprep-dicom
dsprep/dicom_PART := dsprep
dsprep/dicom_SEES := dsprep/dicom dsprep converters/dicom converters kernels dsver common
dsprep/dicom_PKG  := libpng
