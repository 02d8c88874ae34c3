# SPDX-License-Identifier: Apache-2.0
"""Holds the tables of docs/sgx.md (errors of the leaves) and docs/sgx-leaves.md against header, simulator and tests."""
import glob
import os
import re
import sys

header = open('include/shelter/sgx.h').read()
codes = re.search(r'SGX_SUCCESS = 0,(.*?)};', header, re.S)[1]
codes = set(re.findall(r'(SGX_\w+) = \d+', codes))
simulator = ' '.join(open(f).read() for f in glob.glob('host/sgx/sim/*.c'))
wrong, seen, told = [], set(), set()
for leaf, code, why in re.findall(r'^\| ([A-Z, ]+) \| (SGX_\w+) \| (.*) \|$', open('docs/sgx.md').read(), re.M):
    seen.add(code)
    for name in leaf.split(', '):
        if f'SGX_{name}' not in header:
            wrong.append(f'{name} is no leaf')
    if why.startswith('does not occur: '):
        continue
    told.add(code)
    file, function = re.fullmatch(r'`(\S+)` `(\S+)`', why).groups()
    body = re.search(rf'static void {function}\(.*?\n}}', open(f'tests/unit/{file}').read(), re.S)
    if not body or not re.search(rf'\b{code}\b', body[0]):
        wrong.append(f'{file}: {function} does not test {code}')
wrong += [f'{c} is not in the table' for c in sorted(codes - seen)]
wrong += [f'{c}: the simulator returns it, no test is named' for c in sorted(codes - told)
          if re.search(rf'return {c}\b', simulator)]


def page():
    """docs/sgx-leaves.md, from the table that the tests run."""
    text = re.sub(r'\n {4,}', ' ', open('tests/sgx/leaves.def').read())
    out = ['# What each SGX leaf refuses\n',
           'This follows the pseudo-code in the Intel SDM, volume 3D, 38.3 and 38.4 (64-bit mode, no VM exits) line by line. The simulated',
           'processor was compared with it in this order. `tests/unit/test_sgxsim_leaves.c` runs each line with an outcome. The page is written',
           'by `python3 tests/sgx/leaves.py write` from `tests/sgx/leaves.def`, and `tests/e2e/66-attack.sh` checks that the two agree.\n']
    last = None
    for kind, leaf, what, rest in re.findall(r'^(ROW|ABSENT|ENTRY|INSIDE)\((\w+), "([^"]*)", (.*)\)$', text, re.M):
        if leaf != last:
            out += ['', f'## {leaf}\n', '| condition | outcome |', '|---|---|']
            last = leaf
        if kind == 'ABSENT':
            outcome = 'cannot be asked for: ' + rest.strip('"')
        else:
            code = re.match(r'(PF\(\w+\)|CODE\(\w+\)|\w+)', rest)[1]
            outcome = {'SIM_GP': '#GP', 'SIM_PF': '#PF', 'GP': '#GP', 'CODE(0)': 'success', 'SGX_SUCCESS': 'success', 'EXIT': 'success',
                       f'CODE(SGX_{leaf})': 'success'}.get(code) or \
                re.sub(r'PF\((\w+)\)', lambda m: f'#PF, error code {int(m[1], 0):#x}', re.sub(r'CODE\((\w+)\)', r'\1', code))
        out.append(f'| {what} | {outcome} |')
    leaves = set(re.findall(r'^## (\w+)', '\n'.join(out), re.M))
    every = set(re.findall(r'^    SGX_(E\w+) = 0x', header, re.M)) - {'ELDB', 'EVERIFYREPORT2'}
    wrong.extend(f'leaves.def: nothing of {leaf}' for leaf in sorted(every - leaves))
    return '\n'.join(out) + '\n'


if sys.argv[1:] == ['write']:
    open('docs/sgx-leaves.md', 'w').write(page())
if not os.path.exists('docs/sgx-leaves.md') or page() != open('docs/sgx-leaves.md').read():
    wrong.append('docs/sgx-leaves.md: not as tests/sgx/leaves.def has it (python3 tests/sgx/leaves.py write)')
print('\n'.join(wrong) if wrong else 'all')
