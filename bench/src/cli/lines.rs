//! What a router's console prints as it happens: which lines, and when they were.

use espalier_control::event::{Event, Level, Source};
use espalier_wire::Duration;

/// What `--debug` prints as it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Debug {
    Standby,
    Isakmp,
    Ipsec,
    Ospf,
    Track,
    Arp,
}

impl Debug {
    const fn prints(self, source: Source) -> bool {
        match self {
            Self::Standby => matches!(source, Source::Hsrp),
            Self::Isakmp => matches!(source, Source::Ike),
            Self::Ipsec => matches!(source, Source::Ipsec | Source::Rri),
            Self::Ospf => matches!(source, Source::Ospf),
            Self::Track => matches!(source, Source::Track),
            Self::Arp => matches!(source, Source::Arp),
        }
    }
}

/// Whether a console on which these were switched on prints a line.
pub(super) fn is_printed(event: &Event, debug: &[Debug]) -> bool {
    match event.level {
        Level::Syslog => true,
        Level::Debug => debug.iter().any(|d| d.prints(event.source)),
        Level::Report => false,
    }
}

/// As a router without a clock prints it: `*Mar  1 00:02:00.000`.
pub(super) fn clock(since_start: Duration) -> String {
    let (s, ms) = (since_start.as_whole_s(), since_start.as_ms() % 1000);
    format!("*Mar {:2} {:02}:{:02}:{:02}.{ms:03}", 1 + s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60)
}
