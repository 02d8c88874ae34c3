# SPDX-License-Identifier: Apache-2.0
"""The enclave's door, by its disassembly: door.py attacked ENCLAVE PLACES; door.py rules ENCLAVE."""
import re
import subprocess
import sys

ASSEMBLY = ['sgx_entry', 'sgx_call_out', 'sgx_thread_end', 'los_resume', 'los_trap_entry',
            'los_fast']


def functions(enclave):
    """name -> [(address, text)]"""
    text = subprocess.run(['objdump', '-d', '--no-show-raw-insn', enclave], check=True,
                          capture_output=True, text=True).stdout
    found, current = {}, None
    for line in text.splitlines():
        if m := re.match(r'[0-9a-f]+ <(.+)>:$', line):
            current = found.setdefault(m[1], [])
        elif (m := re.match(r'\s+([0-9a-f]+):\s+(.*\S)', line)) and current is not None:
            current.append((int(m[1], 16), re.sub(r'\s*#.*', '', m[2])))
    return found


def attacked(enclave, places):
    """Every instruction of the assembly was interrupted and re-entered, but for the first of each
    function (who came by a call was interrupted before it; EENTER cannot be), what never runs, and
    the refusal of an entry (which test 67 makes)."""
    code = functions(enclave)
    seen = {int(line.split()[1], 16) for line in open(places) if line.startswith('at ')}
    missed = []
    for name in ASSEMBLY:
        body = code[name] + (code.get('los_resume_end', []) if name == 'los_resume' else [])
        after_enclu = False
        for i, (at, text) in enumerate(body):
            refusal = text.startswith('mov') and (
                re.fullmatch(r'mov\s+\$0x0,%edi', text) or
                i + 1 < len(body) and re.fullmatch(r'mov\s+\$0x0,%edi', body[i + 1][1]))
            never = i == 0 or text.startswith('ud2') or 'nop' in text or after_enclu or refusal
            after_enclu = text.startswith('enclu')
            if at not in seen and not never:
                missed.append(f'{name}: {at:x} {text}')
    print('\n'.join(missed) if missed else 'all')


if __name__ == '__main__':
    {'attacked': attacked}[sys.argv[1]](*sys.argv[2:])
