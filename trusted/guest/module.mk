# SPDX-License-Identifier: Apache-2.0
# PID 1 of the confidential VM, and the initramfs: static against musl, the same bytes everywhere.

GUEST_SRC := $(wildcard trusted/guest/*.c)
GUEST_LIB := lib/exec.c lib/hex.c lib/io.c lib/launch.c lib/manifest.c lib/settings.c lib/sha2.c lib/users.c
G := $(B)/guest

# musl-gcc has no -static-pie: its start file and flags are given by hand, so that PID 1 is
# position-independent like all else.
MUSL_CC := musl-gcc
MUSL_LIB := /usr/lib/x86_64-linux-musl
MUSL_CFLAGS := -std=gnu11 -Os $(WARN) -fPIE -fstack-protector-strong -ftrivial-auto-var-init=zero \
    -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections $(REPRO) \
    -idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu
MUSL_LDFLAGS := -nostartfiles -static -Wl,-pie,--no-dynamic-linker,-z,text,-z,relro,-z,now \
    -Wl,-z,noexecstack,--gc-sections,--build-id=none,-s
MUSL_START := $(MUSL_LIB)/rcrt1.o $(MUSL_LIB)/crti.o
MUSL_END := $(MUSL_LIB)/crtn.o

$(G)/o/%.o: %.c trusted/guest/module.mk
	@mkdir -p $(@D)
	$(call say,MUSL,$<)
	$(Q)$(MUSL_CC) $(MUSL_CFLAGS) $(CPPFLAGS) $(DEPFLAGS) -c -o $@ $<

$(G)/init: $(GUEST_SRC:%.c=$(G)/o/%.o) $(GUEST_LIB:%.c=$(G)/o/%.o)
	$(call say,LD,$@)
	$(Q)$(MUSL_CC) $(MUSL_LDFLAGS) -o $@.tmp $(MUSL_START) $^ $(MUSL_END) && mv $@.tmp $@

$(GUEST_SRC:%.c=$(G)/o/%.o): MUSL_CFLAGS += -Oz

# The server of volumes, a program of its own: one process a volume.
SERVER_SRC := $(wildcard trusted/guest/volume/*.c) $(VOLUME_SRC) lib/io.c lib/sha2.c
$(G)/volume: $(SERVER_SRC:%.c=$(G)/o/%.o) $(VOLUME_CIPHER)
	$(call say,LD,$@)
	$(Q)$(MUSL_CC) $(MUSL_LDFLAGS) -o $@.tmp $(MUSL_START) $^ $(MUSL_END) && mv $@.tmp $@
$(VOLUME_SRC:%.c=$(G)/o/%.o): MUSL_CFLAGS += -O2

# What becomes the image's programs: in their root, and in that of a pod's container.
START_COMMON := $(G)/o/trusted/guest/start/run.o $(G)/o/trusted/guest/error.o
$(G)/start: $(G)/o/trusted/guest/start/start.o $(START_COMMON)
$(G)/container: $(addprefix $(G)/o/,trusted/guest/start/container.o trusted/guest/start/group.o lib/io.o lib/users.o \
    $(addprefix trusted/guest/,child.o mounts.o path.o users.o)) $(START_COMMON)
$(G)/start $(G)/container:
	$(call say,LD,$@)
	$(Q)$(MUSL_CC) $(MUSL_LDFLAGS) -o $@.tmp $(MUSL_START) $^ $(MUSL_END) && mv $@.tmp $@
$(B)/san/parts.a: $(patsubst %.c,$(B)/san/%.o,$(filter-out %/main.c,$(wildcard trusted/guest/volume/*.c)))

# The unit tests and fuzzers run this code too.
GUEST_TESTED := $(filter-out trusted/guest/main.c,$(GUEST_SRC))
$(B)/san/parts.a: $(GUEST_TESTED:%.c=$(B)/san/%.o)

$(B)/tools/mkcpio: tools/mkcpio.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) $(CPPFLAGS) $(DEPFLAGS) -pie -o $@ $<

# Folders first; nothing else is in there.
INITRAMFS_DIRS := dev/ proc/ sys/ lower/ upper/ root/ empty/
$(B)/base/initramfs: $(B)/tools/mkcpio $(G)/init $(G)/agent $(G)/copy $(G)/volume $(G)/start \
    $(G)/container
	@mkdir -p $(@D)
	$(call say,CPIO,$@)
	$(Q)$(B)/tools/mkcpio $@.tmp $(INITRAMFS_DIRS) init=$(G)/init agent=$(G)/agent copy=$(G)/copy \
	    volume=$(G)/volume start=$(G)/start container=$(G)/container && mv $@.tmp $@
