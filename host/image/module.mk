# SPDX-License-Identifier: Apache-2.0
# What the fuzz harnesses of the image's readers are made of.
FUZZ_BASE := $(wildcard host/base/*.c) $(LIB_SRC)
FUZZ_SRC_toml := host/image/input/toml.c $(FUZZ_BASE)
FUZZ_SRC_elf := host/image/elf.c $(FUZZ_BASE)
FUZZ_SRC_sites_find := host/image/write/sites_find.c host/image/write/sites_code.c $(FUZZ_BASE)
FUZZ_LIBS_sites_find := -lZydis
FUZZ_SRC_layers := $(addprefix host/image/,input/tar.c input/gzip.c tree.c budget.c input/acl.c write/erofs.c) \
    host/store/sink.c $(FUZZ_BASE)
FUZZ_SRC_oci_config := $(addprefix host/image/,$(addprefix input/,oci_config.c config.c config_names.c) \
    write/manifest_write.c) $(FUZZ_BASE)
# A saved image is measured when it is loaded: all below, and what it measures with.
FUZZ_SRC_load := $(wildcard $(addprefix host/,attest/*.c base/*.c store/*.c launch/*.c launch/*/*.c image/*.c \
    image/*/*.c sgx/*.[cS] sgx/sim/*.[cS])) $(LIB_SRC) $(VERIFIER_SRC)
FUZZ_LIBS_load := $(PKG_LIBS) -mfsgsbase -lZydis
FUZZ_LIBS_layers := $(PKG_LIBS)
FUZZ_LIBS_oci_config := $(PKG_LIBS)
