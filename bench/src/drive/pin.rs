//! Pinning: the thread that measures stays on one core.

/// Pin this thread to the last core it may use (the first ones have more of the machine's own work). The core's number,
/// or none where pinning is not possible.
pub fn to_last_core() -> Option<usize> {
    let core = core_affinity::get_core_ids()?.into_iter().max_by_key(|core| core.id)?;
    core_affinity::set_for_current(core).then_some(core.id)
}
