//! What the router answers to `show …`.

use espalier_wire::Instant;
use espalier_wire::plane::Counters;

use super::{Names, Router};
use crate::hsrp;
use crate::ios::{self, Exec};

impl Router {
    /// The answer to an exec command, as IOS prints it. `counters` are the dataplane's.
    pub fn show(&self, now: Instant, exec: &Exec, counters: &Counters) -> String {
        let names = &Names(&self.config);
        let _ = counters;
        match exec {
            Exec::ShowStandby { brief: false } => hsrp::show::standby(&self.hsrp, now, names),
            Exec::ShowStandby { brief: true } => hsrp::show::standby_brief(&self.hsrp, names),
            Exec::ShowTrack(_) => self.track.show(now, names),
            Exec::ShowIpRoute(of) => self.rib.show_route(now, *of, names),
            Exec::ShowRunningConfig => ios::print(&self.config),
            _ => String::new(),
        }
    }
}
