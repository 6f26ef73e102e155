# The guest's first instructions in long mode, its way into and out of a system call, and its traps. Everything runs in ring 0.
    .section .start, "ax"
    .global _start
_start:
    mov     $0x40f0000, %rsp
    mov     $32, %ax
    mov     %ax, %ss
    xor     %ecx, %ecx
    mov     $0xe7, %eax             # XCR0: x87, SSE, AVX, masks, upper halves and upper registers of AVX-512
    xor     %edx, %edx
    xsetbv
    lea     bss_begin(%rip), %rdi
    lea     bss_end(%rip), %rcx
    sub     %rdi, %rcx
    xor     %eax, %eax
    rep stosb
    call    boot

    .text
# SYSCALL: RIP is in RCX, RFLAGS in R11. What is pushed is `struct regs`. C here is compiled without vector registers, so that
# the caller's are kept.
    .global system_call
system_call:
    mov     %rsp, caller_rsp(%rip)
    mov     $0x40f0000, %rsp
    push    caller_rsp(%rip)
    push    %r11
    push    %rcx
    push    %r15
    push    %r14
    push    %r13
    push    %r12
    push    %rbp
    push    %rbx
    push    %r9
    push    %r8
    push    %r10
    push    %rdx
    push    %rsi
    push    %rdi
    push    %rax
    mov     %rsp, %rdi
    call    serve
    pop     %rax
    pop     %rdi
    pop     %rsi
    pop     %rdx
    pop     %r10
    pop     %r8
    pop     %r9
    pop     %rbx
    pop     %rbp
    pop     %r12
    pop     %r13
    pop     %r14
    pop     %r15
    pop     %rcx
    popfq
    mov     (%rsp), %rsp
    jmp     *%rcx

# enter(address, stack): a program's first instruction.
    .global enter
enter:
    mov     %rsi, %rsp
    xor     %edx, %edx
    xor     %ebp, %ebp
    jmp     *%rdi

# Every exception ends the run: (number, error, RIP, ...) on the stack goes to `trapped`.
    .altmacro
    .macro trap n
trap\n:
    .if (\n != 8) && ((\n < 10) || (\n > 14)) && (\n != 17) && (\n != 21)
    push    $0
    .endif
    push    $\n
    jmp     any_trap
    .endm
    .set i, 0
    .rept 32
    trap    %i
    .set i, i + 1
    .endr
any_trap:
    mov     %rsp, %rdi
    cld
    call    trapped

# What `mend` makes of CPUID, an opcode that is none, comes here. The CPU is one without the instructions for SHA.
    .global undefined
undefined:
    push    %rax
    mov     8(%rsp), %rax
    cmpw    $0x0a0f, (%rax)
    pop     %rax
    jne     trap6
    cmp     $7, %eax
    je      1f
    cpuid
    jmp     2f
1:  cpuid
    btr     $29, %ebx
2:  addq    $2, (%rsp)
    iretq

    .data
    .global traps
traps:
    .macro address n
    .quad   trap\n
    .endm
    .set i, 0
    .rept 32
    address %i
    .set i, i + 1
    .endr

    .lcomm  caller_rsp, 8
    .section .note.GNU-stack, "", @progbits
