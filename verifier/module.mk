# SPDX-License-Identifier: Apache-2.0
# libshelter-verify: the verifier as a library of its own (verifier/base, verifier/quote, verifier/judge).

VERIFY_SO := libshelter-verify.so.1
VERIFY_SRC := $(wildcard $(addprefix verifier/,base/*.c quote/*.c judge/*.c)) $(wildcard verifier/measure/tdx_eventlog*.c) verifier/measure/steps.c lib/base64.c lib/hex.c
VERIFY_OBJ := $(VERIFY_SRC:%.c=$(B)/pic/%.o)
VERIFY_PKGS := libcrypto libcurl libcjson

.PHONY: verify-lib install-verify
verify-lib: $(B)/$(VERIFY_SO) $(B)/libshelter-verify.a $(B)/shelter-verify.pc

$(B)/pic/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -fPIC -fvisibility=hidden $(CPPFLAGS) $(PKG_CFLAGS) $(DEPFLAGS) -c -o $@ $<
# Only SHELTER_API is exported.
$(B)/$(VERIFY_SO): $(VERIFY_OBJ)
	$(Q)$(CC) $(CFLAGS) -shared -Wl,-soname,$(VERIFY_SO),-z,relro,-z,now,-z,defs -o $@ $^ \
	    $$(pkg-config --libs $(VERIFY_PKGS))
$(B)/libshelter-verify.a: $(VERIFY_OBJ)
	@rm -f $@ && ar rcs $@ $^
# Written anew each time: it names the prefix.
.PHONY: verify-always
$(B)/shelter-verify.pc: verify-always
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR:$(PREFIX)/%=$${prefix}/%)' 'includedir=$${prefix}/include' '' \
	    'Name: shelter-verify' 'Description: judges SGX, TDX, SEV-SNP and CSV evidence' \
	    'Version: $(VERSION)' 'Libs.private: -lcrypto -lcurl -lcjson' \
	    'Libs: -L$${libdir} -lshelter-verify' 'Cflags: -I$${includedir}' > $@

install: install-verify
install-verify: verify-lib
	install -Dm755 $(B)/$(VERIFY_SO) $(DESTDIR)$(LIBDIR)/$(VERIFY_SO)
	ln -sf $(VERIFY_SO) $(DESTDIR)$(LIBDIR)/libshelter-verify.so
	install -Dm644 $(B)/libshelter-verify.a $(DESTDIR)$(LIBDIR)/libshelter-verify.a
	install -Dm644 include/shelter/verify.h $(DESTDIR)$(PREFIX)/include/shelter/verify.h
	install -Dm644 include/shelter/verify_reasons.h $(DESTDIR)$(PREFIX)/include/shelter/verify_reasons.h
	install -Dm644 $(B)/shelter-verify.pc $(DESTDIR)$(LIBDIR)/pkgconfig/shelter-verify.pc
	install -Dm644 examples/ra-tls/client.c $(DESTDIR)$(PREFIX)/share/doc/shelter/examples/ra-tls/client.c
	install -Dm755 examples/verify.py $(DESTDIR)$(PREFIX)/share/doc/shelter/examples/verify.py
uninstall: uninstall-verify
.PHONY: uninstall-verify
uninstall-verify:
	rm -f $(DESTDIR)$(LIBDIR)/libshelter-verify.* $(DESTDIR)$(LIBDIR)/pkgconfig/shelter-verify.pc
	rm -f $(DESTDIR)$(PREFIX)/share/doc/shelter/examples/ra-tls/client.c $(DESTDIR)$(PREFIX)/share/doc/shelter/examples/verify.py
	rm -f $(DESTDIR)$(PREFIX)/include/shelter/verify.h $(DESTDIR)$(PREFIX)/include/shelter/verify_reasons.h

# Made-up evidence for unit tests, fuzzing and benchmarks.
GEN_SRC := $(wildcard tests/gen/*.c) \
    $(addprefix host/attest/,pki.c ecdsa.c sgx_extension.c quote_write.c)
GEN_TESTS := test_events test_platform test_differs test_evidence_forms test_x509 test_verify_intel test_verify_snp test_verify_csv test_verify_nitro test_verify_svsm test_verify_gpu test_ra_tls
$(B)/san/tests/gen.a: $(GEN_SRC:%.c=$(B)/san/%.o)
	@rm -f $@ && ar rcs $@ $^
$(foreach t,$(GEN_TESTS),$(eval UNIT_LIBS_$(t) = $(B)/san/tests/gen.a $(B)/san/parts.a))
UNIT_LIBS_test_events += $(MBEDTLS_A)
$(GEN_TESTS:%=$(B)/tests/unit/%): $(B)/san/tests/gen.a
GEN_OBJ := $(GEN_SRC:%.c=$(B)/o/%.o)
$(B)/tests/make_evidence: $(B)/o/tests/tools/make_evidence.o $(GEN_OBJ) $(VERIFY_SRC:%.c=$(B)/o/%.o)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -pie -o $@ $^ $$(pkg-config --libs $(VERIFY_PKGS))
$(B)/tests/quoter: $(B)/o/tests/tools/quoter.o $(GEN_OBJ) $(VERIFY_SRC:%.c=$(B)/o/%.o)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -pie -o $@ $^ $$(pkg-config --libs $(VERIFY_PKGS))
$(B)/tests/oaep_module.so: tests/tools/oaep_module.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(WARN) -shared -fPIC -o $@ $< -lcrypto -ldl
unit-tests: $(B)/tests/make_evidence $(B)/tests/quoter $(B)/tests/oaep_module.so

$(B)/bench/bench_verify: $(B)/o/bench/bench_verify.o $(GEN_OBJ) $(VERIFY_SRC:%.c=$(B)/o/%.o)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -pie -o $@ $^ $$(pkg-config --libs $(VERIFY_PKGS))
.PHONY: bench-verify
bench-verify: $(B)/bench/bench_verify
	@$<
	@openssl speed -seconds 1 ecdsap256 2>/dev/null | tail -n 1

$(B)/bench/bench_broker: $(B)/o/bench/bench_broker.o $(GEN_OBJ) \
    $(VERIFIER_SRC:%.c=$(B)/o/%.o) $(LIB_SRC:%.c=$(B)/o/%.o)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -pie -Wl,--as-needed -o $@ $^ $(PKG_LIBS)
.PHONY: bench-broker
bench-broker: $(B)/bench/bench_broker shelter
	@t=$$(mktemp -d) && $< $(CURDIR)/shelter $$t; rc=$$?; rm -rf $$t; exit $$rc
# Three processes, one of them ended by kill -9 five times beside handshakes: no client fails twice, nothing acknowledged is lost.
.PHONY: bench-broker-kill
bench-broker-kill: $(B)/bench/bench_broker shelter
	@t=$$(mktemp -d) && $< $(CURDIR)/shelter $$t 20 6 5; rc=$$?; rm -rf $$t; exit $$rc

# What the broker's threads share, under the thread sanitizer.
BROKER_TSAN := verifier/base/seen.c verifier/broker/work.c tests/unit/test_broker_threads.c
$(B)/tests/unit/test_broker_threads_tsan: $(BROKER_TSAN:%.c=$(B)/tsan/%.o)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -fsanitize=thread -o $@ $^ -lcrypto -lcmocka
UNIT_TESTS += $(B)/tests/unit/test_broker_threads_tsan
