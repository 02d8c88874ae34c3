#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The guest kernel: what was compiled, that it boots every way Shelter starts it, that AML cannot touch
# the guest's memory, and that kernel/build survives what happens to builds.
. tests/e2e/lib.sh
base=build/base
if [ ! -e $base/vmlinux ] || [ ! -e $base/bzImage ]; then
    skip "kernel: run make kernel first"
    exit 0
fi

# --- what was compiled ---
dir=$(kernel/build --dir)
check "the cache holds this kernel" test -e "$dir/bzImage"
check "every line of the fragment took effect" kernel/check config kernel/shelter.fragment "$dir/config"
check "only drivers of the allow list were compiled" kernel/check drivers kernel/drivers.allow "$dir/objects"
{ cat kernel/shelter.fragment && echo CONFIG_VIRTIO_BALLOON=y; } >"$T/fragment"
status "a line without effect is found" 1 kernel/check config "$T/fragment" "$dir/config"
echo '# CONFIG_VIRTIO_NET is not set' >"$T/fragment"
status "an unset line without effect is found" 1 kernel/check config "$T/fragment" "$dir/config"
grep -v virtio_net.o kernel/drivers.allow >"$T/allow"
status "a driver that is not allowed is found" 1 kernel/check drivers "$T/allow" "$dir/objects"
same "its name is told" "$(grep -o 'drivers/net/virtio_net.o' "$T/out")" drivers/net/virtio_net.o
check "vmlinux has the PVH entry" grep -q 'Xen .*0x00000012' <(readelf -nW $base/vmlinux)
same "vmlinux has no symbols" "$(readelf -SW $base/vmlinux | grep -cE '\.(symtab|debug)')" 0
for f in vmlinux bzImage; do
    check "$f is the cached one" cmp "$dir/$f" $base/$f
    same "$f names no folder of the build" "$(grep -ac '/cache/shelter\|\.build-' $base/$f)" 0
done

# --- boots ---
mkdir "$T/root"
check "the test's init compiles" musl-gcc -static -Os -Wall -Wextra -o "$T/root/init" tests/e2e/kernel/init.c
(cd "$T/root" && echo init | cpio -o -H newc 2>/dev/null) >"$T/initrd"
boot() { # kernel, command line, arguments of QEMU…; prints the console
    local kernel=$1 line=$2
    shift 2
    timeout 20 qemu-system-x86_64 -M q35,accel=tcg -cpu max -m 96M -nodefaults -no-user-config -no-reboot \
        -display none -serial stdio -kernel "$kernel" -initrd "$T/initrd" \
        -append "console=ttyS0 $line" "$@" 2>&1 </dev/null | tr -d '\r'
    return "${PIPESTATUS[0]}"
}
says() { grep -qaxF -- "$2" "$T/$1" && ok "$1: $2" || not_ok "$1: does not say '$2'"; }
# The parameters that Shelter itself uses, as the contract names them.
common=$(boot_common)
started() { # name, kernel, arguments of QEMU…
    local name=$1 kernel=$2
    shift 2
    boot "$kernel" "$common" "$@" >"$T/$name" && grep -q '^init done$' "$T/$name"
}
mkdir "$T/share" && truncate -s 1M "$T/disk"
check "boots as PVH vmlinux with qboot, with each device" started pvh $base/vmlinux -bios qboot.rom -smp 2 \
    -drive file="$T/disk",format=raw,if=none,id=d -device virtio-blk-pci,drive=d \
    -netdev user,id=n,restrict=on -device virtio-net-pci,netdev=n -device virtio-serial-pci \
    -fsdev local,id=f,path="$T/share",security_model=none -device virtio-9p-pci,fsdev=f,mount_tag=t
check "boots as bzImage with SeaBIOS in 64 MiB" started seabios $base/bzImage -m 64M
if [ -e /usr/share/ovmf/OVMF.fd ]; then
    check "boots as bzImage with OVMF" started ovmf $base/bzImage -bios /usr/share/ovmf/OVMF.fd
else
    skip "boots as bzImage with OVMF: no /usr/share/ovmf/OVMF.fd"
fi
same "the kernel is silent" "$(grep -c '^\[' "$T/pvh")" 0
says pvh "/sys/devices/system/cpu/online: 0-1"
for d in virtio_blk virtio_net virtio_console 9pnet_virtio; do says pvh "virtio $d"; done
for c in shmget semget msgget mq_open inotify_init1 io_setup futex epoll_create1 signalfd4 timerfd_create \
    eventfd2 memfd_create membarrier seccomp pkey_alloc flock madvise ptrace rseq; do says pvh "call $c yes"; done
for c in io_uring_setup bpf userfaultfd kexec_load init_module modify_ldt swapon; do says pvh "call $c no"; done
for s in inet inet6 unix netlink vsock; do says pvh "socket $s yes"; done
for s in packet alg; do says pvh "socket $s no"; done
for f in /dev/null /dev/ptmx /dev/mapper/control /proc/self/smaps; do says pvh "file $f yes"; done
for f in /dev/hwrng /dev/mem /dev/port /proc/modules /proc/kcore /proc/sysrq-trigger; do says pvh "file $f no"; done
same "file systems on block devices" "$(sed -n 's|^/proc/filesystems: \t||p' "$T/pvh" | xargs)" "ext3 ext4 fuseblk erofs"
clocks=$(sed -n 's/.*available_clocksource: //p' "$T/pvh")
case $clocks in
tsc*) [[ $clocks == *kvm* ]] && not_ok "clocks: $clocks" || ok "the clock is the processor's: $clocks" ;;
*) not_ok "the clock is not the TSC: $clocks" ;;
esac

# --- AML of a hostile host (THREATS: BadAML) ---
if command -v iasl >/dev/null; then
    hostile() { # name, arguments of QEMU…: boots on memory that is a file, to look into afterwards
        local name=$1
        shift
        truncate -s 96M "$T/ram"
        boot $base/vmlinux "retain_initrd panic=-1" -bios qboot.rom -machine memory-backend=ram \
            -object memory-backend-file,id=ram,size=96M,mem-path="$T/ram",share=on "$@" >"$T/$name"
    }
    hostile plain
    # The initramfs stays where the loader put it, so its first bytes are memory with a known content.
    secret=$(sed -n 's/.*RAMDISK: \[mem 0x0*\([0-9a-f]*\)-.*/0x\1/p' "$T/plain")
    at() { dd if="$T/ram" bs=4 skip=$(($1 / 4)) count=1 status=none | tr '\0' .; }
    same "the memory to be attacked holds the initramfs" "$(at "${secret:-0}")" 0707
    for attack in READ WRITE; do
        sed "s/SECRET/${secret:-0}/" tests/e2e/kernel/bad.asl >"$T/$attack.asl"
        check "AML to $attack compiles" iasl -D $attack -p "$T/$attack" "$T/$attack.asl"
        hostile $attack -acpitable file="$T/$attack.aml"
        check "$attack: the guest starts all the same" grep -q '^init done$' "$T/$attack"
        check "$attack: refused and logged" grep -q "refused AML access to guest memory at $secret" "$T/$attack"
        same "$attack: the AML ran, before and after the attack" "$(at 0xe8000) $(at 0xe8008)" "AAAA CCCC"
        same "$attack: it saw nothing" "$(at 0xe8004)" ....
        same "$attack: memory is unchanged" "$(at "$secret")" 0707
    done
else
    skip "AML: no iasl (Debian package acpica-tools)"
fi

# --- kernel/build, on a source tree that is built in a second ---
mkdir -p "$T/k/patches" "$T/src/linux/drivers" "$T/src/linux/arch/x86/boot"
cp kernel/build kernel/check kernel/count "$T/k/"
echo CONFIG_A=y >"$T/k/shelter.fragment"
printf 'drivers/a.o\n' >"$T/k/drivers.allow"
printf -- '--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-int a;\n+int patched;\n' >"$T/k/patches/1.patch"
echo 'int a;' >"$T/src/linux/a.c"
printf 'int main(void) { return 0; }\n' >"$T/src/linux/main.c"
cat >"$T/src/linux/Makefile" <<'E'
allnoconfig:
	cp $(KCONFIG_ALLCONFIG) .config
vmlinux: drivers/a.o
	gcc -o vmlinux main.c drivers/a.o
	ar rcsT drivers/built-in.a drivers/*.o
	echo >System.map; touch .main.o.cmd
drivers/a.o: a.c
	@echo "  CC      a.c"
	@echo compiled >>compiled
	[ -z "$$BREAK" ] || { echo "$$BREAK"; exit 1; }
	sleep $${SLOW:-0}
	gcc -c -o $@ a.c
bzImage: vmlinux
	cp a.c arch/x86/boot/bzImage
E
tar -C "$T/src" -cJf "$T/source.tar.xz" linux
kbuild() { XDG_CACHE_HOME=$T/cache SHELTER_KERNEL_SOURCE=$T/source.tar.xz "$T/k/build" "$@"; }
kdir=$(kbuild --dir)
LIMIT=20
status "no source" 125 env SHELTER_KERNEL_SOURCE=/none kernel/build
one_line "one line names the remedy" 'tools/install-deps'
mkdir "$T/bin" && printf '#!/bin/sh\necho\necho x x x 7 x x\n' >"$T/bin/df" && chmod +x "$T/bin/df"
PATH=$T/bin:$PATH kbuild >"$T/out" 2>"$T/err"
same "too little space: status" $? 125
one_line "too little space: one line" '7 MiB free'
BREAK='cc1: fatal error: No space left on device' kbuild >"$T/out" 2>"$T/err"
same "disk full while building: status" $? 125
check "disk full while building: says so" grep -q 'is full' "$T/err"
check "nothing half built counts" test ! -e "$kdir"
BREAK='a.c:1: error: broken' kbuild >"$T/out" 2>"$T/err"
check "a compiler's error is told" grep -q 'a.c:1: error: broken' "$T/err"
SLOW=30 XDG_CACHE_HOME=$T/cache SHELTER_KERNEL_SOURCE=$T/source.tar.xz "$T/k/build" >"$T/out" 2>"$T/err" &
pid=$!
runs() { [ "$(wc -l <"$T/cache/shelter/kernel/.build-${kdir##*/}/linux/compiled")" -ge 3 ]; }
until_true 10 runs
kill -TERM $pid
wait $pid
same "stopped: status" $? 130
check "stopped: says it goes on later" grep -q 'goes on from here' "$T/err"
kbuild >"$T/out1" 2>"$T/err" &
pid=$!
kbuild >"$T/out2" 2>"$T/err2"
wait $pid
same "two at once: both name the result" "$(cat "$T/out1" "$T/out2")" "$kdir"$'\n'"$kdir"
same "the patch is in" "$(cat "$kdir/bzImage")" "int patched;"
same "nothing but the result is left" "$(ls -A "$T/cache/shelter/kernel")" "${kdir##*/}"
same "what is built is not built again" "$(SLOW=30 kbuild)" "$kdir"
echo 'CONFIG_B=y' >>"$T/k/shelter.fragment"
check "another fragment is another kernel" test "$(kbuild --dir)" != "$kdir"
echo 'drivers/b.o' >"$T/k/drivers.allow"
kbuild >"$T/out" 2>"$T/err"
same "a driver not allowed fails the build" $? 125
check "and is named" grep -q 'drivers/a.o' "$T/err"
