//! Signs of the peers' life: which policies' SAs carried packets since the last look. Keepalives on demand live by it.

use std::collections::BTreeMap;

use espalier_wire::plane::{Command, Counters, Direction, PolicyId};
use espalier_wire::{Duration, Instant, Spi};

/// How often the SAs' counters are looked at.
const LOOK_EVERY: Duration = Duration::from_ms(500);

/// What was counted by SA when it was last looked at.
#[derive(Debug, Default)]
pub struct Signs {
    counted: BTreeMap<(bool, Spi), (PolicyId, u64)>,
    looked: Instant,
}

impl Signs {
    /// Keep what is compared with: of an SA that takes another's place, nothing has passed yet.
    pub fn obeyed(&mut self, command: &Command) {
        match command {
            Command::InstallInbound { sa, policy } => {
                self.counted.insert((false, sa.spi), (*policy, 0));
            }
            Command::SwapOutbound { sa, policy } => {
                self.counted.retain(|(outbound, _), (of, _)| !(*outbound && of == policy));
                self.counted.insert((true, sa.spi), (*policy, 0));
            }
            Command::DropInbound { spi } => {
                self.counted.remove(&(false, *spi));
            }
            Command::DropOutbound { spi, .. } => {
                self.counted.remove(&(true, *spi));
            }
            _ => {}
        }
    }

    /// Nothing is installed any more.
    pub fn forget(&mut self) {
        self.counted.clear();
    }

    /// When the next look is due; `None`: there is nothing to look at.
    pub fn due(&self) -> Option<Instant> {
        (!self.counted.is_empty()).then(|| self.looked + LOOK_EVERY)
    }

    /// The counters are being asked for.
    pub fn look(&mut self, now: Instant) {
        self.looked = now;
    }

    /// The policies whose peers were sent to (`true`) or heard from since the last look. What was heard counts for more
    /// than what was sent: it comes last, as the later of the two.
    pub fn compare(&mut self, counters: &Counters) -> Vec<(PolicyId, bool)> {
        let mut passed = Vec::new();
        for (direction, spi, counters) in &counters.sas {
            let outbound = *direction == Direction::Outbound;
            let Some((policy, before)) = self.counted.get_mut(&(outbound, *spi)) else { continue };
            if std::mem::replace(before, counters.packets) < counters.packets {
                passed.push((*policy, outbound));
            }
        }
        passed.sort_unstable_by_key(|(policy, outbound)| (!*outbound, *policy));
        passed
    }
}
