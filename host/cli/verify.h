// SPDX-License-Identifier: Apache-2.0
// The verbs that judge and predict.
#ifndef HOST_CLI_VERIFY_H
#define HOST_CLI_VERIFY_H

extern const char sh_usage_verify[];

// shelter verify. Exit status: 0 accept, 1 reject, 2 cannot judge.
int cmd_verify(int argc, char **argv);
// shelter measure --tee TEE --firmware FILE ...: for files, without an image.
int cmd_measure_files(int argc, char **argv);

#endif
