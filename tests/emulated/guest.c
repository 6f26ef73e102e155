/* What a statically linked test program needs of an operating system, and no more: its segments, memory with guard pages,
 * threads that take turns when one waits, standard output. No files but randomness, no signals, no second core, no other
 * privilege. A system call that is not here is named and answered ENOSYS; an exception is named and ends the run.
 *
 * 384 MB of memory, mapped to itself: the program where it was linked (below 64 MB, then its heap), the guest and its words
 * at 64 MB, its page tables, the program's file, and from MAPS on what `mmap` gives. */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long i64;

#define MEMORY 0x18000000ul
#define HEAP_END 0x4000000ul
#define WORDS 0x4080000ul
#define TRAP_STACK 0x40e0000
#define TABLES ((u64 *)0x4100000) /* of all memory's pages of 4 KB, one behind the other */
#define DIRECTORY ((u64 *)0x41f0000)
#define POINTERS ((u64 *)0x41f1000)
#define ROOT ((u64 *)0x41f2000)
#define FILE 0x4200000ul
#define MAPS 0x5200000ul

#define PAGE 4096ul
#define STACK (1ul << 20)
#define THREADS 64
#define RANDOM 9 /* the one file there is */
#define FS_BASE 0xc0000100
#define STATE 0xe7 /* XCR0 */

/* As `system_call` pushes them. */
struct regs {
    u64 rax, rdi, rsi, rdx, r10, r8, r9, rbx, rbp, r12, r13, r14, r15, rip, flags, rsp;
};

enum state { FREE, READY, WAITS };

struct thread {
    u8 vectors[2752];
    struct regs regs;
    u64 fs, clear, word; /* thread pointer; what becomes 0 when it ends; the futex it waits for */
    int timed;
    enum state state;
} __attribute__((aligned(64)));

static struct thread threads[THREADS];
static int current;
static u64 heap;
static u8 taken[MEMORY / PAGE];

extern u64 traps[32];
extern void system_call(void);
extern void undefined(void);
extern void enter(u64 address, u64 stack);

static void out(u16 port, u8 byte) { __asm__ volatile("outb %0, %1" ::"a"(byte), "Nd"(port)); }

static u64 clock(void) {
    u32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (u64)high << 32 | low;
}

static void set_msr(u32 msr, u64 value) {
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)value), "d"((u32)(value >> 32)));
}

/* Bochs counts each turn of a string instruction: eight bytes a turn. */
void *memset(void *to, int byte, u64 n) {
    void *at = to;
    u64 turns = n / 8;
    __asm__ volatile("rep stosq; mov %3, %1; rep stosb"
                     : "+D"(at), "+&c"(turns)
                     : "a"((u8)byte * 0x0101010101010101ul), "r"(n % 8)
                     : "memory");
    return to;
}

void *memcpy(void *to, const void *from, u64 n) {
    void *at = to;
    u64 turns = n / 8;
    __asm__ volatile("rep movsq; mov %3, %2; rep movsb" : "+D"(at), "+S"(from), "+&c"(turns) : "r"(n % 8) : "memory");
    return to;
}

static void print(const char *text, u64 n) {
    for (u64 i = 0; i < n; i++) out(0xe9, text[i]);
}

static void say(const char *text) {
    u64 n = 0;
    while (text[n]) n++;
    print(text, n);
}

static void say_number(const char *name, u64 value) {
    char digits[16];
    int at = 16;
    do digits[--at] = "0123456789abcdef"[value % 16];
    while (value /= 16);
    say(name);
    print(digits + at, 16 - at);
}

/* Bochs ends when this word is written to this port. */
static void __attribute__((noreturn)) end(const char *why, u64 value) {
    say_number(why, value);
    say("\n");
    for (;;)
        for (const char *word = "Shutdown"; *word; word++) out(0x8900, *word);
}

void trapped(const u64 *frame) {
    u64 address;
    __asm__ volatile("mov %%cr2, %0" : "=r"(address));
    say_number("\nguest: exception 0x", frame[0]);
    say_number(", error 0x", frame[1]);
    say_number(", at 0x", frame[2]);
    end(", address 0x", address);
}

/* ---- memory ---- */

static void protect(u64 at, u64 len, int prot) {
    for (u64 page = at / PAGE; page < (at + len + PAGE - 1) / PAGE; page++) {
        TABLES[page] = page * PAGE | (prot & 2 ? 3 : prot & 5 ? 1 : 0);
        __asm__ volatile("invlpg (%0)" ::"r"(page * PAGE) : "memory");
    }
}

/* Zero even where it may not be touched. */
static void clear(u64 at, u64 len) {
    for (u64 page = at / PAGE; page < (at + len + PAGE - 1) / PAGE; page++) {
        u64 was = TABLES[page];
        protect(page * PAGE, PAGE, 3);
        memset((void *)(page * PAGE), 0, PAGE);
        protect(page * PAGE, PAGE, was & 3);
    }
}

static i64 map(u64 len, int prot) {
    static u64 first = MAPS / PAGE;
    u64 pages = (len + PAGE - 1) / PAGE;
    for (int round = 0; round < 2; round++, first = MAPS / PAGE)
        for (u64 page = first, run = 0; page < MEMORY / PAGE; page++) {
            run = taken[page] ? 0 : run + 1;
            if (run < pages) continue;
            u64 at = (page + 1 - pages) * PAGE;
            first = page + 1;
            memset(taken + at / PAGE, 1, pages);
            clear(at, len);
            protect(at, len, prot);
            return at;
        }
    return -12; /* ENOMEM */
}

static i64 map_as_asked(u64 at, u64 len, int prot, int flags) {
    if (!(flags & 0x20)) return -19; /* ENODEV: of files there are none */
    if (!(flags & 0x10)) return map(len, prot);
    clear(at, len);
    protect(at, len, prot);
    return at;
}

static void unmap(u64 at, u64 len) {
    protect(at, len, 0);
    memset(taken + at / PAGE, 0, (len + PAGE - 1) / PAGE);
}

static u64 move_heap(u64 to) {
    if (to > heap && to <= HEAP_END) memset((void *)heap, 0, to - heap);
    if (to && to <= HEAP_END) heap = to;
    return heap;
}

/* ---- threads ---- */

static void save(struct thread *thread, const struct regs *regs) {
    thread->regs = *regs;
    __asm__ volatile("xsave64 (%0)" ::"r"(thread->vectors), "a"(STATE), "d"(0) : "memory");
}

/* On to the next that can run; where all wait, one that waits for a time alone has waited long enough. */
static void turn(struct regs *regs) {
    int late = -1;
    for (int n = 1; n <= THREADS; n++) {
        struct thread *thread = &threads[(current + n) % THREADS];
        if (thread->state == WAITS && thread->timed) late = (current + n) % THREADS;
        if (thread->state != READY) continue;
        current = (current + n) % THREADS;
        *regs = thread->regs;
        __asm__ volatile("xrstor64 (%0)" ::"r"(thread->vectors), "a"(STATE), "d"(0) : "memory");
        set_msr(FS_BASE, thread->fs);
        return;
    }
    if (late < 0) end("\nguest: every thread waits, the last for 0x", threads[current].word);
    threads[late].state = READY;
    threads[late].regs.rax = -110; /* ETIMEDOUT */
    turn(regs);
}

static i64 wake(u64 word, u64 most) {
    u64 woken = 0;
    for (int n = 0; n < THREADS && woken < most; n++)
        if (threads[n].state == WAITS && threads[n].word == word) {
            threads[n].state = READY;
            threads[n].regs.rax = 0;
            woken++;
        }
    return woken;
}

static i64 begin_thread(const struct regs *regs) {
    int n = 0;
    while (n < THREADS && threads[n].state != FREE) n++;
    if (n == THREADS) return -11; /* EAGAIN */
    save(&threads[n], regs);
    threads[n].regs.rax = 0;
    threads[n].regs.rsp = regs->rsi;
    threads[n].fs = regs->r8;
    threads[n].clear = regs->r10;
    threads[n].state = READY;
    if (regs->rdi & 0x100000) *(u32 *)regs->rdx = n + 1; /* CLONE_PARENT_SETTID */
    return n + 1;
}

static void end_thread(struct regs *regs) {
    struct thread *thread = &threads[current];
    if (thread->clear) {
        *(u32 *)thread->clear = 0;
        wake(thread->clear, 1);
    }
    thread->state = FREE;
    turn(regs);
}

static void futex(struct regs *regs) {
    struct thread *thread = &threads[current];
    switch (regs->rsi & 127) {
    case 0: /* WAIT */
    case 9: /* WAIT_BITSET */
        if (*(u32 *)regs->rdi != (u32)regs->rdx) {
            regs->rax = -11; /* EAGAIN */
            return;
        }
        save(thread, regs);
        thread->state = WAITS;
        thread->word = regs->rdi;
        thread->timed = regs->r10 != 0;
        return turn(regs);
    case 1:  /* WAKE */
    case 10: /* WAKE_BITSET */
        regs->rax = wake(regs->rdi, regs->rdx);
        return;
    default:
        end("\nguest: unknown futex operation 0x", regs->rsi);
    }
}

/* ---- system calls, by Linux's numbers on x86-64 ---- */

static i64 write_all(const u64 *parts, u64 n) {
    u64 sum = 0;
    for (; n; n--, parts += 2) {
        print((const char *)parts[0], parts[1]);
        sum += parts[1];
    }
    return sum;
}

static i64 random(u8 *to, u64 n) {
    for (u64 i = 0; i < n; i++) to[i] = (clock() * 0x9e3779b97f4a7c15ul) >> 40;
    return n;
}

static int is(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

static i64 answer(const struct regs *regs) {
    u64 a = regs->rdi, b = regs->rsi, c = regs->rdx, d = regs->r10;
    switch (regs->rax) {
    case 1: return write_all((u64[]){b, c}, 1);     /* write */
    case 20: return write_all((u64 *)b, c);         /* writev */
    case 9: return map_as_asked(a, b, c, d);        /* mmap */
    case 10: protect(a, b, c); return 0;            /* mprotect */
    case 11: unmap(a, b); return 0;                 /* munmap */
    case 12: return move_heap(a);                   /* brk */
    case 25: return -12;                            /* mremap: ENOMEM, so that it is copied */
    case 28:                                        /* madvise */
        if (c == 4) clear(a, b);                    /* MADV_DONTNEED */
        return 0;
    case 56: return begin_thread(regs);             /* clone */
    case 39: return 1;                              /* getpid */
    case 186: return current + 1;                   /* gettid */
    case 218: threads[current].clear = a; return current + 1; /* set_tid_address */
    case 158:                                       /* arch_prctl */
        if (a != 0x1002) return -22;                /* other than ARCH_SET_FS: EINVAL */
        threads[current].fs = b;
        set_msr(FS_BASE, b);
        return 0;
    case 204: *(u64 *)c = 1; return 8;              /* sched_getaffinity: one core */
    case 228:                                       /* clock_gettime: 20 ns an instruction */
        ((u64 *)b)[0] = clock() / 50000000;
        ((u64 *)b)[1] = clock() % 50000000 * 20;
        return 0;
    case 302:                                       /* prlimit64 */
        if (d) ((u64 *)d)[0] = ((u64 *)d)[1] = STACK;
        return 0;
    case 318: return random((u8 *)a, b);            /* getrandom */
    case 79: *(u16 *)a = '/'; return 2;             /* getcwd */
    case 257: return is((const char *)b, "/dev/urandom") || is((const char *)b, "/dev/random") ? RANDOM : -2; /* openat */
    case 0: return a == RANDOM ? random((u8 *)b, c) : 0; /* read */
    case 7: return b;                               /* poll: all are ready */
    case 3: return 0;                               /* close */
    case 13: case 14: case 131: return 0;           /* signals, which nobody sends */
    case 102: case 104: case 107: case 108: return 0; /* whose it is: root's */
    case 157: case 273: return 0;                   /* prctl, set_robust_list */
    case 8: return -29;                             /* lseek: ESPIPE */
    case 16: return -25;                            /* ioctl: ENOTTY */
    case 41: return -97;                            /* socket: EAFNOSUPPORT */
    case 21: case 89: case 262: return -2;          /* access, readlink, newfstatat: ENOENT */
    case 231: end("\nguest: exit status 0x", a);    /* exit_group */
    case 332: case 334: case 435: return -38;       /* statx, rseq, clone3: ENOSYS, and something older is taken */
    default: say_number("guest: no system call 0x", regs->rax); say("\n"); return -38;
    }
}

void serve(struct regs *regs) {
    switch (regs->rax) {
    case 24: case 35: case 230: /* sched_yield, nanosleep, clock_nanosleep */
        regs->rax = 0;
        save(&threads[current], regs);
        return turn(regs);
    case 60: return end_thread(regs); /* exit */
    case 202: return futex(regs);
    default: regs->rax = answer(regs);
    }
}

/* ---- the beginning ---- */

static void set_tables(void) {
    static struct {
        u16 low, selector, flags, middle;
        u32 high, none;
    } gates[32];
    /* As in rom.S, and the task's: traps have a stack of their own, as a program may use what is below its stack pointer. */
    static u64 segments[7] = {0, 0x00cf9a000000ffff, 0x00cf92000000ffff, 0x00af9a000000ffff, 0x00cf92000000ffff};
    static u32 task[26];
    task[9] = TRAP_STACK; /* IST1 */
    segments[5] = 0x890000000067 | ((u64)task & 0xffffff) << 16 | (u64)task >> 24 << 56;
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) gdt = {sizeof segments - 1, (u64)segments}, idt = {sizeof gates - 1, (u64)gates};
    for (int n = 0; n < 32; n++) {
        u64 to = n == 6 ? (u64)undefined : traps[n];
        gates[n].low = to, gates[n].middle = to >> 16, gates[n].high = to >> 32;
        gates[n].selector = 24, gates[n].flags = 0x8e01;
    }
    /* Neither the first page nor what nobody mapped is there. */
    for (u64 page = 0; page < MEMORY / PAGE; page++) TABLES[page] = page * PAGE | (page && page < MAPS / PAGE ? 3 : 0);
    memset(DIRECTORY, 0, 3 * PAGE);
    for (u64 n = 0; n < MEMORY / PAGE / 512; n++) DIRECTORY[n] = (u64)(TABLES + 512 * n) | 3;
    POINTERS[0] = (u64)DIRECTORY | 3;
    ROOT[0] = (u64)POINTERS | 3;
    __asm__ volatile("lgdt %0; lidt %1; ltr %w3; mov %2, %%cr3" ::"m"(gdt), "m"(idt), "r"(ROOT), "r"(40) : "memory");
    set_msr(0xc0000081, 24ul << 32);       /* STAR: code and stack of a system call */
    set_msr(0xc0000082, (u64)system_call); /* LSTAR */
    set_msr(0xc0000084, 0x700);            /* FMASK: TF, IF, DF */
}

/* Copies the segments of the program's file, and says in the auxiliary vector where they are. */
static void load(u64 aux[]) {
    const u8 *file = (const u8 *)FILE;
    u64 entry = *(const u64 *)(file + 24), headers = *(const u64 *)(file + 32), count = *(const u16 *)(file + 56), top = 0;
    for (u64 n = 0; n < count; n++) {
        const u8 *header = file + headers + 56 * n;
        u64 offset = *(const u64 *)(header + 8), at = *(const u64 *)(header + 16);
        u64 filled = *(const u64 *)(header + 32), len = *(const u64 *)(header + 40);
        if (*(const u32 *)header != 1) continue; /* PT_LOAD */
        if (at < PAGE || at + len > HEAP_END) end("guest: no place for a segment at 0x", at);
        memcpy((void *)at, file + offset, filled);
        memset((void *)(at + filled), 0, len - filled);
        if (!offset) aux[1] = at + headers;
        if (at + len > top) top = at + len;
    }
    heap = (top + PAGE - 1) / PAGE * PAGE;
    aux[3] = 56, aux[5] = count, aux[9] = entry;
}

static const char *next_number(const char *digits, u64 *value) {
    for (*value = 0; *digits; digits++) *value = *value * 16 + (*digits > '9' ? *digits - 'a' + 10 : *digits - '0');
    return digits + 1;
}

/* Where Bochs 2.7 is wrong. SHA1RNDS4 is: CPUID is to say that it is not there. GF2P8AFFINEQB gives the complement of what it
 * should (zeros must give the immediate byte): where it does, the immediate byte's complement sets it right. `places` are
 * addresses in hexadecimal: of each CPUID's second byte and, after an empty word, of the immediate bytes. */
static void mend(const char *places) {
    u64 zeros[8] = {0}, got, at, cpuids = 0, affines = 0;
    for (; *places; cpuids++) {
        places = next_number(places, &at);
        *(u8 *)at = 0x0a;
    }
    __asm__("vmovdqu64 (%1), %%zmm0; vgf2p8affineqb $0, %%zmm0, %%zmm0, %%zmm0; vmovq %%xmm0, %0; vzeroall"
            : "=r"(got)
            : "r"(zeros)
            : "memory");
    for (places++; got && *places; affines++) {
        places = next_number(places, &at);
        *(u8 *)at ^= 0xff;
    }
    say_number("guest: mended: CPUID 0x", cpuids);
    say_number(", GF2P8AFFINEQB 0x", affines);
    say("\n");
}

void boot(void) {
    set_tables();
    say("guest: begins\n");
    u64 aux[] = {3, 0, 4, 0, 5, 0, 6, PAGE, 9, 0, 23, 0, 25, WORDS, 26, 2, 51, PAGE, 0, 0};
    load(aux);
    /* Arguments, the environment and what `mend` wants, with an empty word behind each: argc, argv, envp and the auxiliary
     * vector are made of them. */
    u64 *stack = (u64 *)(map(STACK, 3) + STACK - 4 * PAGE), *at = stack + 1;
    const char *word = (const char *)WORDS;
    for (*stack = 0; *word; ++*stack) {
        *at++ = (u64)word;
        while (*word++) {}
    }
    *at++ = 0;
    for (word++; *word;) {
        *at++ = (u64)word;
        while (*word++) {}
    }
    *at++ = 0;
    memcpy(at, aux, sizeof aux);
    mend(word + 1);
    threads[0].state = READY;
    enter(aux[9], (u64)stack);
}
