//! From an IOS configuration to what each machine is told.

pub(super) mod crypto;
pub(super) mod ospf;
pub(super) mod standby;

use crate::ios::model::{Identity, TrackObject};
use crate::ios::{Config, Diagnostic, Severity};

/// What a configuration asks for and no machine here does, each with its place.
///
/// # Errors
/// All of it.
pub fn check(config: &Config) -> Result<(), Vec<Diagnostic>> {
    let mut found = Vec::new();
    for track in config.tracks.values() {
        if let TrackObject::Reachability(prefix) = track.object {
            let what = format!("tracking the route to {prefix} is not supported: track an interface");
            found.push(Diagnostic::error(&track.place, what));
        }
        if track.delay_up_s.or(track.delay_down_s).is_some() {
            found.push(Diagnostic::error(&track.place, "the delay of a tracked object is not supported"));
        }
    }
    if config.isakmp.identity == Some(Identity::Hostname)
        && let Some(policy) = config.isakmp.policies.values().next()
    {
        let what = "\"crypto isakmp identity hostname\" is not supported: identities are addresses";
        found.push(Diagnostic::error(&policy.place, what));
    }
    standby::check(config, &mut found);
    crypto::check(config, &mut found);
    ospf::check(config, &mut found);
    found.retain(|d| d.severity == Severity::Error);
    if found.is_empty() { Ok(()) } else { Err(found) }
}
