# SPDX-License-Identifier: Apache-2.0
# Shelter: `make demo` shows it, `make test` tests it, `make` builds it.
#
# Every folder that builds something has a module.mk; this file holds only what all of them share.

MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:
SHELL := /bin/bash

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
DESTDIR ?=
B := build
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-6s %s\n' '$(1)' '$(2)')
VERSION := $(shell cat VERSION)

CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-unused-parameter
HARDEN := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE -Wl,-z,relro,-z,now
REPRO := -ffile-prefix-map=$(CURDIR)/=
CPPFLAGS := -Iinclude -I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DSHELTER_VERSION='"$(VERSION)"'
CFLAGS ?= -O2 -g
ALL_CFLAGS := -std=gnu11 $(CFLAGS) $(WARN) $(HARDEN) $(REPRO)
DEPFLAGS = -MMD -MP -MF $(@:.o=.d)

# On a machine with nothing but git and make, what is missing is installed before this file looks for it.
# demo, test and benchmarks ask, as tools/install-deps does, and end where it fails. all and tools install only for
# root without a terminal (a container, a fresh machine), where there is nobody to ask, and go on.
ifeq ($(MAKELEVEL)$(findstring n,$(filter-out -%,$(firstword $(MAKEFLAGS)))),0)
ifneq ($(filter demo test bench-%,$(MAKECMDGOALS)),)
$(shell tools/install-deps >&2)
ifneq ($(.SHELLSTATUS),0)
$(error packages are missing)
endif
else ifneq ($(filter all tools,$(or $(MAKECMDGOALS),all)),)
$(shell [ "$$(id -u)" -ne 0 ] || [ -t 0 ] || tools/install-deps --build-only >&2)
endif
endif

# Debian packages of the host side; `tools/install-deps` installs them.
PKGS := libarchive zlib libcrypto libssl libcurl libcjson libmicrohttpd sqlite3
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lZydis

# Without -j, as many jobs as cores.
ifeq ($(MAKELEVEL)$(filter -j% --jobserver%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc)
endif

.PHONY: all tools demo test test-apps deb man install uninstall clean tcb fuzz
all: shelter tests/md5 $(B)/base/initramfs

# The enclave first: it needs no guest kernel, which takes minutes to build.
demo:
	@$(MAKE) shelter tests/md5 $(B)/sgx-loader $(B)/base/enclave
	@tools/demo enclave
	@$(MAKE) tools all
	@tools/demo machine
test:
	@$(MAKE) tools all unit-tests man
	@tests/run

# The enclaves that other tests start by `shelter run`, with every ENCLU an exception.
.PHONY: strict
strict: tools all
	@STRICT="66-clock 66-enclave-cli 66-ends 66-streams 68-runtime-events 68-seal-keys 70-volumes 70-workloads 73-volume-events \
	    74-data 74-identity" TEST_LIMIT=3600 tests/run tests/e2e/65-strict.sh

# Volumes cut off and killed at random, a thousand times each, and judged for an hour: hours.
.PHONY: soak-volumes
soak: soak-volumes
soak-volumes:
	@$(MAKE) tools all unit-tests
	@SHELTER_TEST_ROUNDS=400 $(B)/tests/unit/test_volume_model
	@SHELTER_SOAK=3600 TEST_LIMIT=86400 tests/run tests/e2e/77-volume-judged.sh
	@SHELTER_KILLS=1000 TEST_LIMIT=86400 tests/run tests/e2e/75-volume-kills.sh

# Real servers with their real clients; what is not installed is skipped, and said.
test-apps:
	@tools/install-deps --apps || echo "test-apps: goes on without"
	@$(MAKE) shelter $(B)/sgx-loader $(B)/base/enclave $(addprefix $(B)/tests/,make_evidence quoter agent_evidence)
	@tests/apps/run

# The guest kernel (built once, cached in the user's cache folder) and what boots with it.
tools: $(B)/base/vmlinux $(B)/base/bzImage $(B)/base/initramfs

# Filled in by the module.mk files: sources of each part, by trust.
LIB_SRC := $(wildcard lib/*.c)
VERIFIER_SRC := $(wildcard verifier/*/*.c)
VOLUME_SRC := $(wildcard trusted/volume/*.c)
VOLUME_CIPHER := $(addprefix $(B)/volume/,aesni-x86_64.o aesni-gcm-x86_64.o ghash-x86_64.o)
HOST_SRC := $(filter-out host/cli/main.c host/base/lazy.c,$(wildcard host/*/*.c host/image/*/*.c host/launch/*/*.c))

-include $(wildcard */module.mk */*/module.mk)

# Objects are built once plainly and once with sanitizers (for the unit tests).
$(B)/o/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) $(CPPFLAGS) $(PKG_CFLAGS) $(DEPFLAGS) -c -o $@ $<
$(B)/san/%.o: %.c
	@mkdir -p $(@D)
	$(call say,SAN,$<)
	$(Q)$(CC) -std=gnu11 -O1 -g $(WARN) -fsanitize=address,undefined -fno-sanitize-recover=all \
	    -fno-omit-frame-pointer $(CPPFLAGS) $(PKG_CFLAGS) $(DEPFLAGS) -c -o $@ $<
define ASSEMBLE
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(Q)$(CC) $(CPPFLAGS) $(DEPFLAGS) -c -o $@ $<
endef
# Two rules: one pattern rule with two targets would make both at once.
$(B)/o/%.o: %.S
	$(ASSEMBLE)
$(B)/san/%.o: %.S
	$(ASSEMBLE)

PARTS_SRC := $(LIB_SRC) $(VERIFIER_SRC) $(HOST_SRC)
PARTS_OBJ := $(addsuffix .o,$(basename $(PARTS_SRC:%=$(B)/o/%)))
PARTS_SAN := $(addsuffix .o,$(basename $(PARTS_SRC:%=$(B)/san/%)))

# Libraries that few commands need are loaded by the first call of one of their functions.
LAZY := archive crypto curl microhttpd sqlite3 ssl z Zydis
$(B)/lazy.def: tools/lazy-calls Makefile $(PARTS_OBJ)
	$(Q)tools/lazy-calls "$(LAZY)" $(PARTS_OBJ) >$@
$(B)/o/host/base/lazy.o: CPPFLAGS += -I$(B)
$(B)/o/host/base/lazy.o: $(B)/lazy.def
shelter: $(B)/o/host/cli/main.o $(PARTS_OBJ) $(B)/o/host/base/lazy.o
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -pie -Wl,--as-needed -o $@.tmp $^ $(filter-out $(LAZY:%=-l%),$(PKG_LIBS)) && mv $@.tmp $@

# An archive, so that a unit test links only what it names.
$(B)/san/parts.a: $(PARTS_SAN)
	@rm -f $@ && ar rcs $@ $^
$(B)/tests/unit/%: $(B)/san/tests/unit/%.o $(B)/san/parts.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -fsanitize=address,undefined -o $@ $< $(UNIT_FIRST_$*) $(B)/san/parts.a $(UNIT_LIBS_$*) $(PKG_LIBS) -lcmocka
UNIT_TESTS += $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/test_*.c))

.PHONY: unit-tests
unit-tests: $(UNIT_TESTS)

# The workload of the demo and of many tests; static, as a build host without its libraries runs it.
tests/md5: tests/md5.c
	$(call say,CC,$<)
	$(Q)$(CC) -O2 $(WARN) -static -o $@ $<

MAN := $(patsubst man/%.adoc,$(B)/man/%,$(wildcard man/*.adoc))
man: $(MAN) $(B)/completions/shelter.bash
# Verbs and options for the manual and for Tab, from host/cli/verbs.def.
$(B)/tools/verb_lists: tools/verb_lists.c $(B)/o/host/cli/verbs.o
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(CPPFLAGS) -o $@ $^
$(B)/man/options.done: $(B)/tools/verb_lists $(wildcard man/*.adoc)
	@mkdir -p $(B)/man/options
	$(Q)$< manual $(B)/man/options && touch $@
$(B)/man/%: man/%.adoc VERSION $(B)/man/options.done
	@mkdir -p $(@D)
	$(call say,MAN,$@)
	$(Q)asciidoctor -b manpage -a reproducible -a release-version=$(VERSION) \
	    -a options=$(CURDIR)/$(B)/man/options -o $@ $<
$(B)/completions/shelter.bash: $(B)/tools/verb_lists completions/shelter.bash
	@mkdir -p $(@D)
	$(Q)$< completion >$@.tmp && cat completions/shelter.bash >>$@.tmp && mv $@.tmp $@

# Installs what stands built: `make && make tools && make install`.
INSTALL_LIB = $(DESTDIR)$(PREFIX)/lib/shelter
install: all man
	install -Dm755 shelter $(DESTDIR)$(PREFIX)/bin/shelter
	ln -sf shelter $(DESTDIR)$(PREFIX)/bin/shelter-runtime
	install -Dm755 $(B)/guest/agent $(DESTDIR)$(PREFIX)/bin/attestation-agent
	install -Dm755 $(B)/sgx-loader $(INSTALL_LIB)/sgx-loader
	install -Dm755 $(B)/sgx-sim $(INSTALL_LIB)/sgx-sim
	tools/sbom all >$(B)/sbom.spdx.json
	install -Dm644 $(B)/sbom.spdx.json $(DESTDIR)$(PREFIX)/share/doc/shelter/sbom.spdx.json
	for f in vmlinux bzImage initramfs enclave tcb.json sbom.spdx.json; do \
	    [ ! -f $(B)/base/$$f ] || install -Dm644 $(B)/base/$$f $(INSTALL_LIB)/base/$$f || exit; \
	done
	for m in $(MAN); do install -Dm644 $$m $(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$${m##*/} || exit; done
	install -Dm644 $(B)/completions/shelter.bash \
	    $(DESTDIR)$(PREFIX)/share/bash-completion/completions/shelter
	install -Dm644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/shelter/LICENSE
# Debian packages of what is checked in, in build/deb; installing them needs nothing of the tree.
deb:
	@packaging/deb
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/shelter{,-runtime} $(DESTDIR)$(PREFIX)/bin/attestation-agent
	rm -rf $(INSTALL_LIB) $(DESTDIR)$(PREFIX)/share/doc/shelter
	rm -f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/shelter
	rm -f $(foreach m,$(notdir $(MAN)),$(DESTDIR)$(PREFIX)/share/man/man$(lastword $(subst ., ,$(m)))/$(m))

# The store and the kernel cache stay: they are the user's.
clean:
	rm -rf $(B) shelter tests/md5

-include $(shell find $(B) -name '*.d' 2>/dev/null)
