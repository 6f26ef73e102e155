# 64 KB of ROM below 4 GB, in place of a BIOS: from the reset vector into long mode, with the first 4 GB mapped to
# themselves, and on to `start.S` at 64 MB.
    .section .rom, "ax"
base:
    .code16
reset:
    lgdtl   %cs:(gdtr - base)
    mov     %cr0, %eax
    or      $1, %eax                # PE
    mov     %eax, %cr0
    ljmpl   $8, $(0xffff0000 + (protected - base))
    .code32
protected:
    mov     $16, %ax
    mov     %ax, %ds
    mov     %ax, %es
    mov     %ax, %ss
    # Bochs reads an image in one piece and gives blocks of 128 KB to addresses as they are first touched: touched in
    # order, and before anything else, the image is where it is said to be.
    mov     $0x4000000, %esi
1:  mov     (%esi), %eax
    add     $0x20000, %esi
    cmp     $0x5200000, %esi
    jb      1b
    # One table of four pages of 1 GB.
    mov     $0x1000, %edi
    xor     %eax, %eax
    mov     $0x800, %ecx
    rep stosl
    movl    $0x2003, 0x1000
    movl    $0x00000083, 0x2000
    movl    $0x40000083, 0x2008
    movl    $0x80000083, 0x2010
    movl    $0xc0000083, 0x2018
    mov     $0x1000, %eax
    mov     %eax, %cr3
    mov     $0x00050620, %eax       # PAE, OSFXSR, OSXMMEXCPT, FSGSBASE, OSXSAVE
    mov     %eax, %cr4
    mov     $0xc0000080, %ecx       # EFER: SCE and LME
    rdmsr
    or      $0x101, %eax
    wrmsr
    mov     %cr0, %eax
    and     $0x9ffffff3, %eax       # neither CD, NW, EM nor TS
    or      $0x80010022, %eax       # PG, WP (nothing leaves ring 0), NE, MP
    mov     %eax, %cr0
    ljmpl   $24, $0x4000000
    .align 16
gdt:
    .quad   0
    .quad   0x00cf9a000000ffff      # 8: code of 32 bits
    .quad   0x00cf92000000ffff      # 16: data
    .quad   0x00af9a000000ffff      # 24: code of 64 bits
    .quad   0x00cf92000000ffff      # 32: data, which SYSCALL takes for the stack
gdtr:
    .word   39
    .long   0xffff0000 + (gdt - base)
    .org    0xfff0
    .code16
    jmp     reset
    .org    0x10000
