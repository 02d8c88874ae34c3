# SPDX-License-Identifier: Apache-2.0
# What the fuzz harnesses of the image's readers are made of.
FUZZ_BASE := $(wildcard host/base/*.c) $(LIB_SRC)
FUZZ_SRC_toml := host/image/toml.c $(FUZZ_BASE)
FUZZ_SRC_elf := host/image/elf.c $(FUZZ_BASE)
FUZZ_SRC_sites_find := host/image/sites_find.c host/image/sites_code.c $(FUZZ_BASE)
FUZZ_LIBS_sites_find := -lZydis
FUZZ_SRC_layers := $(addprefix host/image/,tar.c tree.c acl.c erofs.c sink.c progress.c) $(FUZZ_BASE)
FUZZ_SRC_oci_config := $(addprefix host/image/,oci.c docker.c blobs.c config.c manifest_write.c tar.c \
    tree.c acl.c progress.c) $(FUZZ_BASE)
FUZZ_SRC_load := $(addprefix host/image/,load.c signature.c save.c store.c store_tags.c store_work.c base.c sink.c \
    interrupt.c progress.c) $(FUZZ_BASE) \
    $(wildcard verifier/measure/sgx*.c) host/sgx/sign.c host/sgx/image.c
FUZZ_LIBS_load := $(PKG_LIBS)
FUZZ_LIBS_layers := $(PKG_LIBS)
FUZZ_LIBS_oci_config := $(PKG_LIBS)
