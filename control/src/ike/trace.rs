//! What IKE does, as typed events, and IOS 12.3's words for them: `debug crypto isakmp`, `debug crypto ipsec`, and the
//! session's log line. Captures' keys travel here too.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};

use espalier_wire::ike::Cookie;
use espalier_wire::plane::{SaSpec, Secret, Selector};

use super::config::Entry;
use super::event::Why;
use super::pairs::Pair;
use super::phase1::MainMode;
use super::{ConnectionId, show};

/// Which `debug` or log prints an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `debug crypto isakmp`.
    Isakmp,
    /// `debug crypto ipsec`.
    Ipsec,
    /// The log: printed always.
    Log,
    /// No text: a key.
    Key,
}

/// A pair of SAs as it was made or dropped.
#[derive(Debug, Clone)]
pub struct PairTrace {
    /// conn id of the inbound SA; the outbound one's is the next.
    pub conn: u32,
    /// What our packets look like.
    pub selector: Selector,
    /// The inbound SA, keys included.
    pub inbound: Box<SaSpec>,
    /// The outbound SA, keys included.
    pub outbound: Box<SaSpec>,
}

/// One event.
#[derive(Debug, Clone)]
pub enum Trace {
    /// Something about an ISAKMP SA.
    Isakmp {
        /// Which.
        id: ConnectionId,
        /// What.
        what: Isakmp,
    },
    /// Traffic asked for an SA.
    SaRequest {
        /// Our end.
        local: Ipv4Addr,
        /// The peer.
        peer: Ipv4Addr,
        /// The entry.
        entry: Box<Entry>,
    },
    /// A pair of SAs was made under an ISAKMP SA.
    Creating {
        /// Which ISAKMP SA.
        id: ConnectionId,
        /// The pair.
        pair: PairTrace,
    },
    /// A pair of SAs was dropped.
    Deleting {
        /// The pair.
        pair: PairTrace,
    },
    /// Every SA with a peer goes.
    KeyEngineDelete {
        /// Whose.
        peer: Ipv4Addr,
    },
    /// The first pair with a peer came up, or the last one went.
    Session {
        /// Up or down.
        up: bool,
        /// The peer.
        remote: SocketAddrV4,
    },
    /// A phase 1 key: what Wireshark's IKEv1 table needs.
    Key {
        /// The initiator's cookie.
        initiator: Cookie,
        /// The encryption key.
        key: Secret,
    },
}

/// What happened to an ISAKMP SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "lines() says each in IOS's words; fields are named as it names them")]
pub enum Isakmp {
    Beginning,
    BeginningQuick { message_id: u32 },
    Received { peer: Ipv4Addr, initiator: bool, state: Option<MainMode> },
    Sending { peer: Ipv4Addr, initiator: bool, state: Option<MainMode> },
    Retransmitting { message_id: u32 },
    Duplicate,
    Acceptable,
    NotAcceptable,
    State { peer: Ipv4Addr, old: MainMode, new: MainMode, initiator: bool },
    SkeyidGenerated,
    SendingInitialContact,
    Authenticated { peer: Ipv4Addr },
    BadMessage { peer: Ipv4Addr },
    ProcessingHash { message_id: u32 },
    ProcessingNotify { what: &'static str, protocol: u8, spi: u32, message_id: u32, sa: u32 },
    ProcessingDelete { message_id: u32 },
    DeletingNode { message_id: u32 },
    PurgingNode { message_id: u32 },
    ErrorCounter,
    NotResponding,
    Paranoid,
    GoingAway { last: bool },
    DeletingSa { why: Why, initiator: bool, peer: Ipv4Addr },
    DeathByRetransmission { initiator: bool, state: MainMode, peer: Ipv4Addr },
}

impl MainMode {
    /// As `show crypto isakmp sa` names it.
    pub const fn ios(self) -> &'static str {
        match self {
            Self::SaSent => "MM_NO_STATE",
            Self::KeSent | Self::SaAnswered => "MM_SA_SETUP",
            Self::AuthSent | Self::KeAnswered => "MM_KEY_EXCH",
            Self::Established => "QM_IDLE",
        }
    }

    /// As the debug output's "Old State" and "New State" name it.
    pub const fn ios_state(self) -> &'static str {
        match self {
            Self::SaSent => "IKE_I_MM1",
            Self::KeSent => "IKE_I_MM3",
            Self::AuthSent => "IKE_I_MM5",
            Self::SaAnswered => "IKE_R_MM2",
            Self::KeAnswered => "IKE_R_MM4",
            Self::Established => "IKE_P1_COMPLETE",
        }
    }
}

const fn role(initiator: bool) -> &'static str {
    if initiator { "I" } else { "R" }
}

/// IOS prints message ids as signed numbers.
const fn signed(message_id: u32) -> i32 {
    message_id.cast_signed()
}

impl Isakmp {
    /// The lines without their "ISAKMP (0:1): ", which stands before each that does not continue another.
    fn lines(&self) -> String {
        let packet = |verb: &str, peer: &Ipv4Addr, initiator: bool, state: &Option<MainMode>| {
            let state = state.map_or("MM_NO_STATE", MainMode::ios);
            format!("{verb} {peer} ({}) {state}", role(initiator))
        };
        match self {
            Self::Beginning => "beginning Main Mode exchange".into(),
            Self::BeginningQuick { message_id } => {
                format!("beginning Quick Mode exchange, M-ID of {}", signed(*message_id))
            }
            Self::Received { peer, initiator, state } => {
                packet("received packet from", peer, *initiator, state)
            }
            Self::Sending { peer, initiator, state } => packet("sending packet to", peer, *initiator, state),
            Self::Retransmitting { message_id: 0 } => "retransmitting phase 1...".into(),
            Self::Retransmitting { message_id } => {
                format!("retransmitting phase 2 {} ...", signed(*message_id))
            }
            Self::Duplicate => "phase 1 packet is a duplicate of a previous packet.".into(),
            Self::Acceptable => "atts are acceptable. Next payload is 0".into(),
            Self::NotAcceptable => "SA policy not acceptable!".into(),
            Self::State { old, new, .. } => {
                format!("Old State = {}  New State = {}", old.ios_state(), new.ios_state())
            }
            Self::SkeyidGenerated => "SKEYID state generated".into(),
            Self::SendingInitialContact => "Sending initial contact".into(),
            Self::Authenticated { peer } => format!("SA has been authenticated with {peer}"),
            Self::BadMessage { peer } => {
                format!("IKE message from {peer} failed its sanity check or is malformed")
            }
            Self::ProcessingHash { message_id } => {
                format!("processing HASH payload. message ID = {}", signed(*message_id))
            }
            Self::ProcessingNotify { what, protocol, spi, message_id, sa } => format!(
                "processing NOTIFY {what} protocol {protocol}\n\tspi {spi}, message ID = {}, sa = {sa:08X}",
                signed(*message_id)
            ),
            Self::ProcessingDelete { message_id } => {
                format!("processing DELETE payload. message ID = {}", signed(*message_id))
            }
            Self::DeletingNode { message_id } => format!(
                "deleting node {} error FALSE\n\treason \"informational (in) state 1\"",
                signed(*message_id)
            ),
            Self::PurgingNode { message_id } => format!("purging node {}", signed(*message_id)),
            Self::ErrorCounter => "incrementing error counter on sa: PEERS_ALIVE_TIMER".into(),
            Self::NotResponding => "peer not responding!".into(),
            Self::Paranoid => "peer does paranoid keepalives.\n\t".into(),
            Self::GoingAway { last } => going_away(*last),
            Self::DeletingSa { why, initiator, peer } => format!(
                "deleting SA reason \"{}\" state ({}) QM_IDLE (peer {peer}) input queue 0",
                reason(*why),
                role(*initiator)
            ),
            Self::DeathByRetransmission { initiator, state, peer } => format!(
                "deleting SA reason \"Death by retransmission P1\" state ({}) {} (peer {peer}) input queue 0",
                role(*initiator),
                state.ios()
            ),
        }
    }
}

fn going_away(last: bool) -> String {
    let mut out = String::from(
        "peer does paranoid keepalives.\n\t\nphase 1 going away; let's be paranoid.\nBring down phase 2's",
    );
    if last {
        out += "\nThat phase 1 was the last one of its kind.\n\tTaking phase 2's with us.";
    }
    out + "\npeer does paranoid keepalives.\n\t"
}

/// IOS's reason for deleting an ISAKMP SA.
const fn reason(why: Why) -> &'static str {
    match why {
        Why::PeerDead => "P1 errcounter exceeded (PEERS_ALIVE_TIMER)",
        Why::Expired => "IKE SA Lifetime Exceeded",
        Why::Deleted => "P1 delete notify (in)",
        Why::InitialContact => "Receive initial contact",
        Why::InvalidSpi => "Invalid SPI",
        Why::Cleared => "Delete all SAs by user",
        Why::Withdrawn | Why::Shutdown => "IPSec policy being deleted",
    }
}

impl Trace {
    pub(super) fn creating(pair: &Pair, id: ConnectionId) -> Self {
        Self::Creating { id, pair: PairTrace::of(pair) }
    }

    pub(super) fn deleting(pair: &Pair) -> Self {
        Self::Deleting { pair: PairTrace::of(pair) }
    }

    /// Which command prints it.
    pub const fn source(&self) -> Source {
        match self {
            Self::Isakmp { what: Isakmp::BadMessage { .. }, .. } | Self::Session { .. } => Source::Log,
            Self::Isakmp { .. } => Source::Isakmp,
            Self::SaRequest { .. }
            | Self::Creating { .. }
            | Self::Deleting { .. }
            | Self::KeyEngineDelete { .. } => Source::Ipsec,
            Self::Key { .. } => Source::Key,
        }
    }

    /// The lines that IOS prints; none for a key.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Isakmp { what: what @ Isakmp::BadMessage { .. }, .. } => {
                vec![format!("%CRYPTO-4-IKMP_BAD_MESSAGE: {}", what.lines())]
            }
            Self::Isakmp { id, what } => {
                let text = what.lines();
                let line = |l: &str| match l.strip_prefix('\t') {
                    Some("") => String::new(),
                    Some(more) => format!("    {more}"),
                    None => format!("ISAKMP (0:{}): {l}", id.0),
                };
                text.split('\n').map(line).collect()
            }
            Self::SaRequest { local, peer, entry } => request(*local, *peer, entry),
            Self::Creating { id, pair } => pair.creating(*id),
            Self::Deleting { pair } => pair.deleting(),
            Self::KeyEngineDelete { peer } => vec![
                "IPSEC(key_engine): got a queue event...".into(),
                "IPSEC(key_engine_delete_sas): rec'd delete notify from ISAKMP".into(),
                format!("IPSEC(key_engine_delete_sas): delete all SAs shared with {peer}"),
            ],
            Self::Session { up, remote } => {
                let state = if *up { "UP" } else { "DOWN" };
                let (ip, port) = (remote.ip(), remote.port());
                vec![format!(
                    "%CRYPTO-5-SESSION_STATUS: Crypto tunnel is {state}.  Peer {ip}:{port} Id: {ip}"
                )]
            }
            Self::Key { .. } => Vec::new(),
        }
    }
}

fn request(local: Ipv4Addr, peer: Ipv4Addr, entry: &Entry) -> Vec<String> {
    let transform = entry.transforms.first().map_or("", |(t, _)| t.ios());
    let volume = entry.kilobytes.unwrap_or(0);
    vec![
        "IPSEC(sa_request): ,".into(),
        format!("  (key eng. msg.) OUTBOUND local= {local}, remote= {peer},"),
        format!(
            "    local_proxy= {} (type={}),",
            show::proxy(&entry.selector.src, &entry.selector),
            kind(&entry.selector.src)
        ),
        format!(
            "    remote_proxy= {} (type={}),",
            show::proxy(&entry.selector.dst, &entry.selector),
            kind(&entry.selector.dst)
        ),
        format!("    protocol= ESP, transform= {transform} ,"),
        format!("    lifedur= {}s and {volume}kb,", entry.seconds),
    ]
}

/// The identification type of a prefix: 1 a host, 4 a subnet (RFC 2407 section 4.6.2.1).
fn kind(prefix: &espalier_wire::Prefix) -> u8 {
    if prefix.prefix_len() == prefix.max_prefix_len() { 1 } else { 4 }
}

impl PairTrace {
    fn of(pair: &Pair) -> Self {
        Self {
            conn: pair.conn,
            selector: pair.selector,
            inbound: pair.inbound.clone(),
            outbound: pair.outbound.clone(),
        }
    }

    fn sas(&self) -> [(u32, &SaSpec); 2] {
        [(self.conn, &self.inbound), (self.conn + 1, &self.outbound)]
    }

    fn deleting(&self) -> Vec<String> {
        self.sas()
            .iter()
            .flat_map(|(conn, sa)| sa_lines("IPSEC(delete_sa): deleting SA,", *conn, sa))
            .collect()
    }

    fn creating(&self, id: ConnectionId) -> Vec<String> {
        let mut text = format!("ISAKMP (0:{}): Creating IPSec SAs\n", id.0);
        let s = &self.selector;
        let ways = [("inbound", s.dst, s.src), ("outbound", s.src, s.dst)];
        for ((way, from, to), (conn, sa)) in ways.into_iter().zip(self.sas()) {
            let hard = sa.lifetime.hard;
            let _ = writeln!(text, "        {way} SA from {} to {} (f/i)  0/ 0", sa.src, sa.dst);
            let _ = writeln!(text, "        (proxy {} to {})", from.addr(), to.addr());
            let _ = writeln!(text, "        has spi 0x{:X} and conn_id {conn} and flags 4", sa.spi.0);
            if let Some(time) = hard.time {
                let _ = writeln!(text, "        lifetime of {} seconds", time.as_whole_s());
            }
            if let Some(bytes) = hard.bytes {
                let _ = writeln!(text, "        lifetime of {} kilobytes", bytes / 1024);
            }
            let _ = writeln!(text, "        has client flags 0x0");
        }
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for (conn, sa) in self.sas() {
            lines.extend(sa_lines("IPSEC(create_sa): sa created,", conn, sa));
        }
        lines
    }
}

fn sa_lines(head: &str, conn: u32, sa: &SaSpec) -> [String; 4] {
    [
        head.into(),
        format!("  (sa) sa_dest= {}, sa_prot= 50,", sa.dst),
        format!("    sa_spi= {},", sa.spi),
        format!("    sa_trans= {} , sa_conn_id= {conn}", sa.transform.ios()),
    ]
}
