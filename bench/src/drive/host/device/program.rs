//! The program that AF_XDP needs on an interface: it gives every frame of a receive queue to the socket that a map holds
//! for that queue, and leaves what no socket wants to the kernel. Loaded by bpf(2), attached by a link that ends with its
//! descriptor.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use libc::c_int;

// Commands of bpf(2), and the kinds it knows.
const MAP_CREATE: c_int = 0;
const MAP_UPDATE: c_int = 2;
const PROGRAM_LOAD: c_int = 5;
const LINK_CREATE: c_int = 28;
const MAP_OF_SOCKETS: u32 = 17;
const PROGRAM_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;
const HELPER_REDIRECT_MAP: i32 = 51;
const XDP_PASS: i32 = 2;
/// Byte of `struct xdp_md` where the queue's number stands.
const QUEUE: i16 = 16;

/// `struct bpf_insn`: operation, registers (source above destination), offset, value.
#[derive(Clone, Copy)]
#[repr(C)]
struct Instruction(u8, u8, i16, i32);

#[repr(C)]
struct Map {
    kind: u32,
    key_size: u32,
    value_size: u32,
    entries: u32,
    rest: [u32; 12],
}

#[repr(C)]
struct Entry {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log: [u32; 4],
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach: u32,
}

#[repr(C)]
struct Link {
    program: u32,
    interface: u32,
    attach: u32,
    flags: u32,
    rest: [u32; 12],
}

/// The program in its place; it goes with the value.
pub(super) struct Attached {
    _link: OwnedFd,
    _program: OwnedFd,
    _map: OwnedFd,
}

fn bpf<T>(command: c_int, attributes: &T) -> io::Result<c_int> {
    // SAFETY: the attributes are of the size that is told, which the kernel takes as zeros beyond, and what they point to
    // lives in the callers through the call; the commands used here write nothing into them.
    let done = unsafe {
        let at = std::ptr::from_ref(attributes);
        libc::syscall(libc::SYS_bpf, libc::c_long::from(command), at, mem::size_of::<T>())
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(done as c_int) }
}

fn made<T>(command: c_int, attributes: &T) -> io::Result<OwnedFd> {
    let fd = bpf(command, attributes)?;
    // SAFETY: the commands that this is called for answer with a descriptor that is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn number(fd: &impl std::os::fd::AsRawFd) -> u32 {
    fd.as_raw_fd().unsigned_abs()
}

/// `return bpf_redirect_map(map, context->rx_queue_index, XDP_PASS)`.
fn instructions(map: c_int) -> [Instruction; 6] {
    [
        Instruction(0x61, 0x12, QUEUE, 0),
        Instruction(0x18, 0x11, 0, map),
        Instruction(0, 0, 0, 0),
        Instruction(0xb7, 0x03, 0, XDP_PASS),
        Instruction(0x85, 0, 0, HELPER_REDIRECT_MAP),
        Instruction(0x95, 0, 0, 0),
    ]
}

/// Give what arrives at the first queue of an interface to a socket.
///
/// # Errors
/// No right to (CAP_NET_ADMIN and CAP_BPF), a kernel without this, or an interface that has such a program already.
pub(super) fn attach(interface: u32, socket: BorrowedFd<'_>) -> io::Result<Attached> {
    let word = mem::size_of::<u32>() as u32;
    let map = Map { kind: MAP_OF_SOCKETS, key_size: word, value_size: word, entries: 1, rest: [0; 12] };
    let map = made(MAP_CREATE, &map)?;
    let (key, value) = (0_u32, number(&socket));
    let address = |of: &u32| std::ptr::from_ref(of) as u64;
    let entry = Entry { map: number(&map), padding: 0, key: address(&key), value: address(&value), flags: 0 };
    bpf(MAP_UPDATE, &entry)?;
    let instructions = instructions(map.as_raw_fd());
    let load = Load {
        kind: PROGRAM_XDP,
        count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        license: c"MIT OR Apache-2.0".as_ptr() as u64,
        log: [0; 4],
        kernel_version: 0,
        flags: 0,
        name: *b"espalier\0\0\0\0\0\0\0\0",
        interface: 0,
        attach: ATTACH_XDP,
    };
    let program = made(PROGRAM_LOAD, &load)?;
    let link = Link { program: number(&program), interface, attach: ATTACH_XDP, flags: 0, rest: [0; 12] };
    let link = made(LINK_CREATE, &link)?;
    Ok(Attached { _link: link, _program: program, _map: map })
}
