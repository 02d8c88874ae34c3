// SPDX-License-Identifier: Apache-2.0
// The baseline's init: loads the modules of a stock kernel, then runs the program, then powers off.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    char name[256];
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    FILE *list = fopen("/modules", "r");
    while (list && fgets(name, sizeof(name), list)) {
        name[strcspn(name, "\n")] = 0;
        int fd = open(name, O_RDONLY);
        if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
            perror(name);
        close(fd);
    }
    if (fork() == 0) {
        execl("/bin/md5", "md5", "/bin/md5", NULL);
        _exit(127);
    }
    wait(NULL);
    reboot(RB_POWER_OFF);
    return 1;
}
