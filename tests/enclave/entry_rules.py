# SPDX-License-Identifier: Apache-2.0
"""The enclave's entry code, by its disassembly: entry_rules.py attacked ENCLAVE PLACES; entry_rules.py rules ENCLAVE DEBUG
(DEBUG: the same enclave with what debuggers want)."""
import re
import struct
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
            padding = 'nop' in text or re.fullmatch(r'xchg\s+%ax,%ax', text)
            never = i == 0 or text.startswith('ud2') or padding or after_enclu or refusal
            after_enclu = text.startswith('enclu')
            if at not in seen and not never:
                missed.append(f'{name}: {at:x} {text}')
    print('\n'.join(missed) if missed else 'all')


VECTOR = re.compile(r'%(?:[xyz]mm|mm|st|k[0-7])|\b(?:f(?:ld|st|inc|dec|add|mul|n?init)|ldmxcsr|emms|vzero)\w*')
NARROW = re.compile(r'^(mov[bwlsz]\w*|[a-z]+[bw])\s')
PARTS = {**{f'%{p}{r}': f'r{r}' for r in ['ax', 'bx', 'cx', 'dx', 'si', 'di', 'bp'] for p in 'er'},
         **{f'%r{n}{p}': f'r{n}' for n in range(8, 16) for p in ['', 'd']}}
ALL = set(PARTS.values())


def written(text):
    """The register that an instruction overwrites whatever was in it."""
    op, _, args = text.partition(' ')
    args = args.strip().split(',')
    if op.startswith('xor') and len(args) == 2 and args[0] == args[1] or op.startswith(('mov', 'lea', 'rdfs')):
        return PARTS.get(args[-1])
    return PARTS.get(args[0]) if op == 'pop' else None


def path(body, start, stop):
    """The instructions from the first that matches `start` to the first after it that matches `stop`."""
    at = next(i for i, (_, t) in enumerate(body) if re.search(start, t))
    end = next(i for i in range(at, len(body)) if re.search(stop, body[i][1]))
    return [t for _, t in body[at:end + 1]]


def judge(name, good, detail=''):
    print(f'{"ok" if good else "not ok"} entry code: {name}')
    if not good:
        print(f'#   {detail}')


P = {name: int(value) for name, value in re.findall(
    r'#define (\w+) (\d+)', open('trusted/libos/port_sgx/offsets.h').read())}


def gs(field):
    return f'%gs:{P[field]:#x}'


def symbols(enclave):
    """name -> address"""
    text = subprocess.run(['nm', enclave], check=True, capture_output=True, text=True).stdout
    return {line.split()[2]: int(line.split()[0], 16) for line in text.splitlines()}


TCS, LAZY, BARE, HASHED = 0x100000, 0x400000, 0x800000, 0x1000000


def segments(data):
    """(flags, address, size in memory, its bytes in the file)"""
    at, = struct.unpack_from('<Q', data, 32)
    count, = struct.unpack_from('<H', data, 56)
    for i in range(count):
        kind, flags, offset, address, _, size, memory, _ = struct.unpack_from('<IIQQQQQQ', data, at + 56 * i)
        if kind == 1:
            yield flags, address, memory, data[offset:offset + size]


def memory_rules(enclave):
    """What no disassembly shows: what may be written, what lies below a stack."""
    parts = list(segments(open(enclave, 'rb').read()))
    names = symbols(enclave)
    text = [(address, address + size) for flags, address, size, _ in parts if flags & 1]
    bad = [f'{word:#x} at {address + 8 * i:#x}' for flags, address, _, data in parts
           if flags & 2 and not flags & TCS
           for i, (word,) in enumerate(struct.iter_unpack('<Q', data[:len(data) // 8 * 8]))
           if any(start <= word < end for start, end in text)]
    judge('no function pointer in memory that can be written', not bad, bad)
    # Nor one that is filled in when the enclave runs.
    tables = {name: address for name, address in names.items() if name.endswith('_ops')}
    bad = [name for name, at in tables.items() if not any(
        address <= at < address + size for flags, address, size, _ in parts if not flags & 2 and not flags & LAZY)]
    judge('every table of functions is in measured, read-only pages', len(tables) > 10 and not bad, bad)
    for name in ['exc_stack', 'first_stack']:
        below = names[name] - 4096
        there = [f'{address:#x}' for _, address, size, _ in parts if address < names[name] and address + size > below]
        whole = any(address == names[name] and flags & 7 == 6 for flags, address, _, _ in parts)
        judge(f'{name}: below it there is no page', whole and not there, f'{names[name]:#x} {there}')


def check_rules(enclave):
    """What runs before the hashed pages are checked is in measured ones, with all that it calls and reads."""
    names = symbols(enclave)
    parts = [(flags, address, address + size) for flags, address, size, _ in segments(open(enclave, 'rb').read())]
    hashed = [(start, end) for flags, start, end in parts if flags & HASHED]
    judge('most of it is hashed, in one piece, and none of that can be written', len(hashed) == 2 and
          hashed[0][1] == hashed[1][0] and hashed[0][0] == names['sgx_hashed'] and hashed[1][1] == names['sgx_hashed_end'] and
          not any(flags & HASHED and flags & 2 for flags, _, _ in parts), parts)
    early = [(start, end) for flags, start, end in parts if not flags & (HASHED | LAZY | BARE)]
    ssa = names['sgx_boot_ssa'], names['sgx_boot_ssa'] + 8 * 4096
    text = subprocess.run(['objdump', '-d', '--no-show-raw-insn', f'--start-address={names["sgx_entry_code_end"]}',
                           f'--stop-address={names["sgx_boot_code_end"]}', enclave], check=True, capture_output=True,
                          text=True).stdout
    bad, count = [], 0
    for line in text.splitlines():
        m = re.search(r'\s(?:call|j\w+)\s+([0-9a-f]{6,})|#\s([0-9a-f]{6,})\s|\$0x(3fff[0-9a-f]{8})', line)
        if re.search(r'\s(?:call|jmp)\s+\*', line):
            bad.append(line)
        if not m:
            continue
        to = int(m[1] or m[2] or m[3], 16)
        count += 1
        # The digest is over all of them. No canary breaks: the host cannot write our stack.
        data = to in (names['sgx_hashed'], names['sgx_hashed_end']) and ' lea ' in line.replace('\t', ' ')
        fine = any(start <= to < end for start, end in early) or ssa[0] <= to <= ssa[1]
        if not (fine or data or '<__stack_chk_fail>' in line):
            bad.append(line)
    judge('what checks them needs nothing that is not measured', count > 30 and not bad, bad)
    slots = [line for line in subprocess.run(['objdump', '-d', '--no-show-raw-insn', '-j', '.text', enclave], check=True,
             capture_output=True, text=True).stdout.splitlines() if re.search(r'\tenclu', line)]
    judge('every ENCLU is in measured pages', not slots, slots)


def canary_rules(code, debug):
    checks = {name for name, body in code.items() if any('<__stack_chk_fail>' in t for _, t in body)}
    for name in ['dir_tell_names', 'trace_call', 'frame_push']:
        judge(f'{name} checks its canary', name in checks)
    broken = [n for n in checks if not any('%gs:0x8' in t or '%fs:0x28' in t for _, t in code[n])]
    judge('whoever checks a canary has its own in GS (mbedTLS: FS)', len(checks) > 100 and not broken, broken)
    text = subprocess.run(['readelf', '--debug-dump=info', '--dwarf-depth=1', debug], check=True,
                          capture_output=True, text=True).stdout
    made = [line for line in text.splitlines() if 'DW_AT_producer' in line and 'GNU C' in line]
    for flag in ['-fstack-clash-protection', '-fstack-protector-strong', '-mstack-protector-guard-reg=gs', '-ftrivial-auto-var-init=zero']:
        judge(f'all of it was compiled with {flag}', len(made) > 80 and all(flag in m for m in made),
              [m for m in made if flag not in m][:1])


def reached(code, name):
    """The functions that one calls or jumps to, and those that they do; itself too."""
    found, todo = set(), [name]
    while todo:
        name = todo.pop()
        if name in found or name not in code:
            continue
        found.add(name)
        todo += [m[1] for _, t in code[name] if (m := re.match(r'(?:call|j\w+)\s.*<([\w.]+)>', t))]
    return found


def rules(enclave, debug):
    memory_rules(enclave)
    check_rules(enclave)
    code = functions(enclave)
    canary_rules(code, debug)
    entry = code['sgx_entry']
    text = [t for _, t in entry]
    calls = [i for i, t in enumerate(text) if t.startswith('call')]
    judge('DF is cleared by the first instruction', text[0] == 'cld', text[0])
    judge('an entry at CSSA 0 takes the state that lets it in, at once', any(
        re.match(rf'xchg\s+%rax,{gs("P_STATE")}$', t) for t in text[:5]), text[:5])
    new = path(entry, gs('P_HOST_RSP') + '$', r'^call')
    back = path(entry[calls[0]:], gs('P_HOST_RSP') + '$', r'^ret')
    again = path(entry[calls[0]:], gs('P_EXC_RSP') + '$', r'^call')
    for what, way in [('a thread starts', new), ('a call returns', back), ('an exception comes', again)]:
        stack = next(i for i, t in enumerate(way) if re.match(r'mov\s+%gs:0x\w+,%rsp', t))
        flags = next((i for i, t in enumerate(way) if t.startswith('popf')), 99)
        fence = next((i for i, t in enumerate(way) if t.startswith('lfence')), 99)
        judge(f'{what}: own stack, then AC and all flags', stack < flags < len(way) - 1, way)
        judge(f'{what}: LFENCE after what was loaded', flags < fence < len(way) - 1 and
              not any('xrstor' in t for t in way[fence:]), way)
        # Before the fence GPRs are loaded by the entry code itself; after it each is overwritten.
        cleared = {written(t) for t in way[fence:]} | {written(t) for t in way if 'gs:' in t or '(%rip)' in t}
        kept = ALL - cleared - {None} - ({'rdi', 'rsi'} if what == 'a thread starts' else {'rdi'})
        judge(f"{what}: no register of the host's is left", not kept, f'{sorted(kept)} in {way}')
    for what, way in [('a thread starts', new), ('a call returns', back)]:
        judge(f'{what}: XRSTOR with the whole mask', any(t.startswith('xrstor64') for t in way) and
              sum(f'{P["P_XFRM"]:#x}(%rdi),%eax' in t or f'{P["P_XFRM"] + 4:#x}(%rdi),%edx' in t
                  for t in way) == 2, way)
    for name in ['sgx_call_out', 'sgx_thread_end']:
        out = [t for _, t in code[name]]
        judge(f'{name}: the initial state before the exit', any(t.startswith('xrstor64') for t in out) and
              any('sgx_initial' in t or '(%rip),%rcx' in t for t in out), out)
    leave = path(entry, r'^mov\s+\$0x0,%edi', r'^enclu')
    kept = ALL - {written(t) for t in leave} - {'rax', 'rbx', 'rdi', 'rbp'}
    judge('every register is cleared before EEXIT', not kept, f'{sorted(kept)}')
    # An exception comes with the GS of the port's thread: what asks by it for the LibOS's own would take another's memory.
    handlers = reached(code, 'sgx_exception')
    judge('what an exception runs was found', {'sgx_exception', 'los_host_signal', 'los_host_control'} <= handlers, sorted(handlers))
    bad = [(name, t) for name in handlers for _, t in code[name] if re.search(r'%gs:0x0\b', t)]
    judge('what an exception runs asks for no thread by GS', not bad, bad)
    for name in sorted(handlers) + ['los_resume', 'los_trap_entry']:
        if name in code:
            bad = [t for _, t in code[name] if VECTOR.search(t)]
            judge(f"{name}: touches no state that is the program's", not bad, bad)
    for name, host in [('sgx_copy_in', r'\(%r12\)'), ('sgx_copy_out', r'\(%r')]:
        bad = [t for _, t in code[name]
               if re.search(host, t) and NARROW.match(t) and '%rsp' not in t and 'nop' not in t]
        judge(f'{name}: words of 8 bytes on the host\'s side', not bad, bad)
    load = subprocess.run(['readelf', '-lW', enclave], check=True, capture_output=True, text=True).stdout
    flags = re.findall(r'LOAD(?:\s+0x\w+){5}\s+([RWE ]{3})', load)
    judge('no page of the LibOS can be written and executed', flags and not any('W' in f and 'E' in f for f in flags),
          flags)


if __name__ == '__main__':
    {'attacked': attacked, 'rules': rules}[sys.argv[1]](*sys.argv[2:])
