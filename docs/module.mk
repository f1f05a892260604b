# Manual pages come from the option tables: `prog --man` and `prog CMD --man`.
.PHONY: man
man: $(PROGS:%=$(B)/man/%.stamp)

$(B)/man/%.stamp: $(B)/bin/% $(PARTS:%=$(B)/bin/%)
	$(call say,MAN,$*)
	@mkdir -p $(@D) && rm -f $(@D)/$*.1 $(@D)/$*-*.1
	$(Q)$< --man >$(@D)/$*.1
	$(Q)for c in $$($< --list-commands); do \
	    $< $$c --man >$(@D)/$*-$$c.1 || { echo "$* $$c --man failed"; exit 1; }; done
	@touch $@
