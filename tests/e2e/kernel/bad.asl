// SPDX-License-Identifier: Apache-2.0
// What a hostile host would put into its ACPI tables: AML that reads (READ) or overwrites guest memory
// at SECRET. OPEN lies in ACPI's own memory, where AML may write: it shows that the AML really ran,
// what it got to see, and that it went on.
DefinitionBlock ("", "SSDT", 2, "SHELTR", "BADAML", 1)
{
    OperationRegion (OPEN, SystemMemory, 0xE8000, 0x1000)
    Field (OPEN, DWordAcc, NoLock, Preserve) { BEFR, 32, GOT, 32, AFTR, 32 }
    OperationRegion (PRIV, SystemMemory, SECRET, 0x1000)
    Field (PRIV, DWordAcc, NoLock, Preserve) { WORD, 32 }
    BEFR = 0x41414141
#ifdef READ
    GOT = WORD
#else
    WORD = 0x42424242
#endif
    AFTR = 0x43434343
}
