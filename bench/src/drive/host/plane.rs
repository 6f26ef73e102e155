//! The dataplane's thread: a worker and its ports, on a core of their own. It hears the control plane by messages, and
//! nothing that the control plane does holds it up.
//!
//! ```text
//!   messages ──▶ receive ──▶ what is due ──▶ flush ──▶ nothing moved? linger, then wait for ports, messages, timers
//! ```

use std::collections::VecDeque;
use std::mem;
use std::os::fd::{AsFd as _, BorrowedFd};

use espalier_control::router::Punted;
use espalier_dataplane::fate;
use espalier_dataplane::frame::Frame;
use espalier_dataplane::worker::Worker;
use espalier_wire::cause::CauseCounts;
use espalier_wire::plane::{Command, Counters, Notice};
use espalier_wire::{Cause, Duration, IfIndex, Instant, Mac, ether};

use super::mailbox::Mailbox;
use super::port::Port;
use super::{Clock, Poll, socket};
use crate::capture::WriteError;
use crate::world::node;

/// Messages that may wait for the dataplane, and for the control plane.
pub(super) const MESSAGES: usize = 4096;
/// Messages obeyed between two looks at the ports.
const OBEYED: usize = 256;
/// How long an adaptive dataplane looks on after the last frame before it sleeps: longer than a wake-up takes.
const LINGER: Duration = Duration::from_us(50);
/// Without any reason to wake, look around this often.
const LONGEST_WAIT: Duration = Duration::from_s(1);
/// How soon to offer what found no room again.
const SOON: Duration = Duration::from_ms(1);

/// From the control plane.
#[derive(Debug)]
pub(super) enum Order {
    /// As in any drive.
    Command(Command),
    /// Send a whole frame.
    Frame(IfIndex, Vec<u8>),
    /// Send a packet of the router's own.
    Packet(Vec<u8>),
    /// A port is switched on or off.
    Port(IfIndex, bool),
    /// Tell what was counted.
    Count,
    /// Send what there is to send, and end.
    End,
}

/// To the control plane.
#[derive(Debug)]
pub(super) enum News {
    /// A packet for it.
    Packet { iface: IfIndex, src_mac: Mac, why: Punted, packet: Vec<u8> },
    /// As in any drive.
    Notice(Notice),
    /// What was counted until now, and what was lost by port outside the worker.
    Counters(Box<Counters>, Vec<(IfIndex, u64)>),
    /// A command that the dataplane could not obey.
    Refused(String),
}

/// What it leaves.
pub(super) struct Remains {
    pub(super) counters: Counters,
    /// Lost outside the worker: in ports and rings.
    pub(super) lost: CauseCounts,
    /// By port: frames that the kernel lost before they got here.
    pub(super) overflowed: Vec<(IfIndex, u64)>,
    /// What it had to tell and found no room for.
    pub(super) owed: VecDeque<News>,
    /// What went wrong with a capture.
    pub(super) failed: Option<WriteError>,
}

/// The dataplane.
pub(super) struct Plane {
    worker: Worker,
    ports: Vec<Port>,
    clock: Clock,
    poll: Poll,
    /// It has no core of its own.
    shares: bool,
    orders: Mailbox<Order>,
    news: Mailbox<News>,
    /// What must be told and found no room.
    owed: VecDeque<News>,
    out: fate::Output,
    batch: Vec<Frame>,
    lost: CauseCounts,
}

impl Plane {
    /// A dataplane that knows nothing yet. `how`: whether it waits or looks, and whether it has no core of its own.
    pub(super) fn new(
        worker: Worker,
        ports: Vec<Port>,
        clock: Clock,
        how: (Poll, bool),
        (orders, news): (Mailbox<Order>, Mailbox<News>),
    ) -> Self {
        Self {
            worker,
            ports,
            clock,
            poll: how.0,
            shares: how.1,
            orders,
            news,
            owed: VecDeque::new(),
            out: fate::Output::default(),
            batch: Vec::new(),
            lost: CauseCounts::default(),
        }
    }

    /// Run until it is told to end.
    pub(super) fn run(mut self) -> Remains {
        let mut until = self.clock.now();
        loop {
            let now = self.clock.now();
            self.pay();
            let (obeyed, over) = self.obey(now);
            let moved = self.receive(now) | obeyed;
            if self.worker.next_deadline().is_some_and(|at| at <= now) {
                self.worker.tick(now, &mut self.out);
                self.settle(now);
            }
            self.flush();
            if over {
                return self.close();
            }
            match self.poll {
                _ if moved => until = now + LINGER,
                Poll::Busy if self.shares => std::thread::yield_now(),
                Poll::Busy => std::hint::spin_loop(),
                Poll::Adaptive if now < until && !self.shares => std::hint::spin_loop(),
                Poll::Adaptive => self.sleep(now),
            }
        }
    }

    /// Do what the control plane says: whether it said anything, and whether that was to end.
    fn obey(&mut self, now: Instant) -> (bool, bool) {
        for n in 0..OBEYED {
            let Some(order) = self.orders.take() else { return (n > 0, false) };
            match order {
                Order::Command(command) => {
                    if let Err(e) = self.worker.command(now, command) {
                        self.tell(News::Refused(e.to_string()));
                    }
                }
                Order::Frame(iface, bytes) => {
                    if let Some(frame) = self.frame(&bytes) {
                        self.worker.originate_link(iface, &mut vec![frame], &mut self.out);
                    }
                }
                Order::Packet(bytes) => {
                    if let Some(frame) = self.frame(&bytes) {
                        self.worker.originate(now, &mut vec![frame], &mut self.out);
                    }
                }
                Order::Port(iface, enabled) => {
                    if let Some(port) = self.ports.iter_mut().find(|p| p.iface == iface) {
                        port.enabled = enabled;
                    }
                }
                Order::Count => {
                    let counters = Box::new(self.worker.counters());
                    let losses = self.ports.iter_mut().map(|p| (p.iface, p.losses())).collect();
                    self.tell(News::Counters(counters, losses));
                }
                Order::End => {
                    self.settle(now);
                    return (true, true);
                }
            }
            self.settle(now);
        }
        (true, false)
    }

    fn frame(&mut self, bytes: &[u8]) -> Option<Frame> {
        let frame = self.worker.pool().copy_of(bytes);
        if frame.is_none() {
            self.lost.add(Cause::NoFrame);
        }
        frame
    }

    /// Take in what the ports have, a batch of each. Whether there was anything.
    fn receive(&mut self, now: Instant) -> bool {
        let mut moved = false;
        for at in 0..self.ports.len() {
            let Some(port) = self.ports.get_mut(at) else { continue };
            moved |= port.receive(now, self.worker.pool(), &mut self.batch) > 0;
            if !self.batch.is_empty() {
                self.worker.receive(now, port.iface, &mut self.batch, &mut self.out);
                self.settle(now);
            }
        }
        moved
    }

    /// Hand on everything that the worker put out.
    fn settle(&mut self, now: Instant) {
        if self.worker.next_deadline() == Some(Instant::ZERO) {
            self.worker.tick(now, &mut self.out);
        }
        let mut out = mem::take(&mut self.out);
        for (iface, frame) in out.transmit.drain(..) {
            match self.ports.iter_mut().find(|p| p.iface == iface) {
                Some(port) => port.send(now, frame),
                None => self.worker.pool().put(frame),
            }
        }
        // The worker has counted them.
        for dropped in out.drops.drain(..) {
            self.worker.pool().put(dropped.frame);
        }
        for punt in out.punts.drain(..) {
            self.punt(punt);
        }
        for notice in out.notices.drain(..) {
            self.notice(notice);
        }
        self.out = out;
    }

    fn punt(&mut self, punt: fate::Punt) {
        let fate::Punt { iface, mut frame, why } = punt;
        let why = node::punted(why);
        let packet = frame.bytes().to_vec();
        let src_mac = if frame.meta.opened { Mac::default() } else { sender(&mut frame) };
        if self.news.post(News::Packet { iface, src_mac, why, packet }).is_err() {
            self.lost.add(Cause::RingFull);
        }
        self.worker.pool().put(frame);
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            // Each is told once.
            Notice::Expiry { .. } => self.tell(News::Notice(notice)),
            // The next packet says it again.
            _ => drop(self.news.post(News::Notice(notice))),
        }
    }

    /// Tell, at once or as soon as there is room.
    fn tell(&mut self, news: News) {
        self.owed.push_back(news);
        self.pay();
    }

    fn pay(&mut self) {
        while let Some(news) = self.owed.pop_front() {
            if let Err(news) = self.news.post(news) {
                return self.owed.push_front(news);
            }
        }
    }

    fn flush(&mut self) {
        for port in &mut self.ports {
            port.flush(self.worker.pool());
        }
    }

    fn sleep(&mut self, now: Instant) {
        if !self.orders.may_sleep() {
            return;
        }
        let due = self.worker.next_deadline().map_or(LONGEST_WAIT, |at| (at - now).min(LONGEST_WAIT));
        let span = if self.owed.is_empty() { due } else { due.min(SOON) };
        let waited: Vec<usize> = (0..self.ports.len())
            .filter(|at| self.ports.get(*at).is_some_and(|p| p.source().is_some()))
            .collect();
        let sources: Vec<BorrowedFd<'_>> =
            std::iter::once(self.orders.as_fd()).chain(self.ports.iter().filter_map(Port::source)).collect();
        let heard = socket::wait(&sources, Some(std::time::Duration::from_nanos(span.as_ns())));
        self.orders.awake(heard.first() == Some(&true));
        for (at, _) in waited.iter().zip(heard.iter().skip(1)).filter(|(_, woke)| **woke) {
            if let Some(port) = self.ports.get_mut(*at) {
                port.woken();
            }
        }
    }

    fn close(mut self) -> Remains {
        let (mut failed, mut overflowed) = (None, Vec::new());
        for mut port in self.ports {
            if let Err(e) = port.close() {
                failed.get_or_insert(e);
            }
            overflowed.push((port.iface, port.overflowed));
            port.lost.iter().for_each(|(cause, n)| self.lost.add_many(cause, n));
        }
        let (counters, lost, owed) = (self.worker.counters(), self.lost, self.owed);
        Remains { counters, lost, overflowed, owed, failed }
    }
}

/// The source of the frame that a punted packet came in: its header still lies before the packet. (Of a packet put
/// together from fragments there is no one frame; nothing that asks for a sender comes in fragments.)
fn sender(frame: &mut Frame) -> Mac {
    if !frame.grow_front(ether::HEADER_LEN) {
        return Mac::default();
    }
    frame.bytes().get(6..).and_then(|b| b.first_chunk::<6>()).map_or(Mac::default(), |m| Mac(*m))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use espalier_control::profile::Profile;
    use espalier_wire::ether::EtherType;
    use espalier_wire::plane::Interface;
    use espalier_wire::random::Random;

    use super::*;
    use crate::drive::host::device::{BATCH, Device};
    use crate::drive::host::offload::Offload;

    /// A wire with so many ARP requests on it.
    struct Flood {
        left: Arc<AtomicUsize>,
        bell: OwnedFd,
        lost: u64,
        unsent: u64,
    }

    impl std::os::fd::AsFd for Flood {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.bell.as_fd()
        }
    }

    impl Device for Flood {
        fn receive(&mut self, each: &mut dyn FnMut(&[u8], &Offload)) -> io::Result<usize> {
            let n = self.left.load(Ordering::Relaxed).min(BATCH);
            let request = ether::frame(Mac::BROADCAST, Mac([2; 6]), EtherType::ARP, &[0; 28]);
            (0..n).for_each(|_| each(&request, &Offload::default()));
            self.left.fetch_sub(n, Ordering::Release);
            Ok(n)
        }

        fn send(&mut self, frames: &mut dyn Iterator<Item = &[u8]>) -> io::Result<usize> {
            Ok(frames.count())
        }

        fn lost(&mut self) -> u64 {
            mem::take(&mut self.lost)
        }

        fn unsent(&mut self) -> u64 {
            mem::take(&mut self.unsent)
        }
    }

    #[test]
    fn a_control_plane_that_hears_nothing_costs_packets_and_says_which() {
        let (iface, more) = (IfIndex(0), 100);
        let left = Arc::new(AtomicUsize::new(MESSAGES + more));
        let flood = Flood { left: Arc::clone(&left), bell: socket::bell().unwrap(), lost: 7, unsent: 2 };
        let (orders, news) = (Mailbox::new(8).unwrap(), Mailbox::new(MESSAGES).unwrap());
        let profile: Profile = "ios-12.3".parse().unwrap();
        let worker = node::worker(&profile, 64, Random::from_seed(1));
        let ports = vec![Port::on(iface, Box::new(flood))];
        let ways = (orders.clone(), news.clone());
        let plane = Plane::new(worker, ports, Clock::start(), (Poll::Adaptive, false), ways);
        let also_accepts = Vec::new();
        let link =
            Interface { index: iface, mac: Mac([2, 0, 0, 0, 0, 1]), mtu: 1500, up: true, also_accepts };
        orders.post(Order::Command(Command::Interface(link))).unwrap();
        orders.post(Order::Port(iface, true)).unwrap();
        let thread = std::thread::spawn(move || plane.run());
        while left.load(Ordering::Acquire) > 0 {
            std::thread::yield_now();
        }
        // It sleeps, or is about to: these wake it, and are owed until there is room.
        orders.post(Order::Count).unwrap();
        orders.post(Order::End).unwrap();
        let remains = thread.join().unwrap();
        assert_eq!(remains.lost.count(Cause::RingFull), more as u64);
        // Lost before they were taken in, and lost when sent; nothing twice, although it was asked for before the end.
        assert_eq!((remains.lost.count(Cause::QueueFull), &remains.overflowed[..]), (9, &[(iface, 7)][..]));
        let heard = std::iter::from_fn(|| news.take()).filter(|n| matches!(n, News::Packet { .. })).count();
        let owed: Vec<_> = remains.owed.iter().collect();
        assert!(matches!(owed[..], [News::Counters(_, losses)] if losses[..] == [(iface, 9)]), "{owed:?}");
        assert_eq!(
            (heard, remains.counters.interfaces[0].1.in_packets),
            (MESSAGES, (MESSAGES + more) as u64)
        );
    }
}
