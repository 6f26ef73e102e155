//! Any IP packet into host mode, both ways; and any text behind a right ICV, which only a peer with the key could send.
//! Nothing panics, and what goes in comes out or is dropped for one cause.
#![no_main]

use std::cell::RefCell;

use espalier_dataplane::crypto::{self, Choice, Job, Key};
use espalier_dataplane::host::{HOST, HostOutput};
use espalier_dataplane::worker::{Config, Worker};
use espalier_wire::plane::{
    Command, DfBit, Direction, Fragmentation, Lifetime, Mode, PolicyId, Rule, RuleAction, SaSpec, Secret, Selector,
};
use espalier_wire::random::Random;
use espalier_wire::{Instant, Spi, Transform, ipv4};
use libfuzzer_sys::fuzz_target;

const TRANSFORM: Transform = Transform::NullSha1;

struct Lab {
    worker: Worker,
    peer: Key,
    sequence: u32,
}

thread_local! {
    static LAB: RefCell<Lab> = RefCell::new(lab());
}

fn spec(spi: u32, mode: Mode) -> SaSpec {
    SaSpec {
        spi: Spi(spi),
        src: [10, 0, 0, 1].into(),
        dst: [10, 0, 0, 2].into(),
        mode,
        transform: TRANSFORM,
        key: Secret::new(Vec::new()),
        auth_key: Secret::new(vec![7; TRANSFORM.auth_key_len()]),
        esn: false,
        replay_window: 64,
        udp_encap: None,
        selector: None,
        mtu: Some(600),
        df_bit: DfBit::Copy,
        fragmentation: Fragmentation::BeforeEncryption,
        lifetime: Lifetime::default(),
    }
}

fn lab() -> Lab {
    let mut worker = Worker::new(Choice::Auto, Random::from_seed(1), Config::default());
    let any = "0.0.0.0/0".parse().unwrap();
    let rule = Rule { selector: Selector::between(any, any), action: RuleAction::Protect(PolicyId(0)) };
    let commands = [
        Command::Policy { iface: HOST, rules: vec![rule] },
        Command::SwapOutbound { policy: PolicyId(0), sa: Box::new(spec(0x100, Mode::Tunnel)) },
        Command::InstallInbound { policy: PolicyId(0), sa: Box::new(spec(0x101, Mode::Tunnel)) },
        Command::InstallInbound { policy: PolicyId(1), sa: Box::new(spec(0x102, Mode::Transport)) },
    ];
    for command in commands {
        worker.command(Instant::ZERO, command).unwrap();
    }
    let key = spec(0, Mode::Tunnel).auth_key;
    let peer = Choice::Auto.key(TRANSFORM, Direction::Outbound, &[], key.bytes(), false).unwrap();
    Lab { worker, peer, sequence: 0 }
}

impl Lab {
    /// What the peer sends when it seals `text`.
    fn sealed(&mut self, spi: u32, text: &[u8]) -> Vec<u8> {
        self.sequence += 1;
        let mut esp = [&spi.to_be_bytes()[..], &self.sequence.to_be_bytes(), text].concat();
        esp.resize(esp.len() + TRANSFORM.icv_len(), 0);
        crypto::seal(&mut [Job::new(&self.peer, &mut esp, 0)]);
        let header = ipv4::Header {
            traffic_class: 3,
            identification: 0,
            df: false,
            ttl: 9,
            protocol: 50,
            src: [10, 0, 0, 1].into(),
            dst: [10, 0, 0, 2].into(),
        };
        header.packet(&esp)
    }

    fn pass(&mut self, packet: &[u8]) {
        for open in [true, false] {
            let Some(frame) = self.worker.pool().copy_of(packet) else { return };
            let (mut batch, mut out) = (vec![frame], HostOutput::default());
            match open {
                true => self.worker.open_ip(Instant::ZERO, &mut batch, &mut out),
                false => self.worker.seal_ip(Instant::ZERO, &mut batch, &mut out),
            }
            for (frame, _) in out.packets {
                self.worker.pool().put(frame);
            }
        }
    }
}

fuzz_target!(|input: (u8, &[u8])| {
    let (kind, bytes) = input;
    LAB.with_borrow_mut(|lab| match kind % 3 {
        0 => lab.pass(bytes),
        1 => {
            let packet = lab.sealed(0x101, bytes);
            lab.pass(&packet);
        }
        _ => {
            let packet = lab.sealed(0x102, bytes);
            lab.pass(&packet);
        }
    });
});
