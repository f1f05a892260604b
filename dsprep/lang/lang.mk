# The language of a text: a plugin where libcld2-dev is installed (dsprep/transforms/langpart.h). Under gcc's sanitizers it
# is built too; what it takes of their library is the program's, so that a symbol that nobody has shows when it is loaded.
CLD2_HEADER := $(wildcard /usr/include/cld2/public/compact_lang_det.h)

ifneq ($(and $(CLD2_HEADER),$(filter-out fuzz,$(MODE))),)
LANG_PLUGIN := $(B)/lib/libds-cld2.so
$(call stamp,$(B)/stamp/cld2.flags,$(CXX) $(ALL_CPPFLAGS) $(ALL_CXXFLAGS))
$(LANG_PLUGIN): dsprep/lang/cld2.cc dsprep/transforms/langpart.h $(B)/stamp/cld2.flags
	$(call say,CXX,$(@F))
	$(Q)$(CXX) $(ALL_CPPFLAGS) $(ALL_CXXFLAGS) -fPIC -iquote dsprep/transforms -shared \
	    -Wl,-z,relro,-z,now $(if $(filter release,$(MODE)),-Xlinker --no-undefined) -o $@ $< -lcld2
endif
