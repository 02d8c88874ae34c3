# SPDX-License-Identifier: Apache-2.0
"""Holds the table of docs/sgx.md (errors of the leaves) against header, simulator and tests."""
import glob
import re

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
print('\n'.join(wrong) if wrong else 'all')
