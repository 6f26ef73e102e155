//! The `ipsec-mb` engine: Intel's multi-buffer library, there to be measured beside the others (cargo feature
//! `ipsec-mb`, Debian's libipsec-mb-dev). `auto` never takes it, so that what a build does is not a matter of its features.
//!
//! A batch is sealed or opened when the call returns, so what waits for the library's lanes to fill is flushed at its end.

use std::cell::OnceCell;

use espalier_wire::Transform;

use super::{Engine, EngineId, Expanded, Job, Key, Secrets};
use crate::crypto::simd::cpu;

#[allow(unsafe_code, reason = "a library of C")]
mod ffi;

use ffi::{Manager, MbKey};

/// The engine.
pub(super) struct IpsecMb;

/// An expanded key.
pub(super) struct Material(MbKey);

thread_local! {
    static MANAGER: OnceCell<Option<Manager>> = const { OnceCell::new() };
}

/// Run with this thread's manager; none without memory for it.
fn with_manager<T>(run: impl FnOnce(&Manager) -> T) -> Option<T> {
    MANAGER.with(|manager| manager.get_or_init(|| Manager::new(cpu::level())).as_ref().map(run))
}

fn own(key: &Key) -> Option<&MbKey> {
    match &key.material {
        super::Material::IpsecMb(Material(key)) => Some(key),
        _ => None,
    }
}

impl Engine for IpsecMb {
    fn id(&self) -> EngineId {
        EngineId::IpsecMb
    }

    fn covers(&self, _: Transform) -> bool {
        true
    }

    fn expand(&self, secrets: &Secrets<'_>) -> Option<Expanded> {
        let material = with_manager(|manager| manager.key(secrets)).flatten()?;
        Some(Expanded(super::Material::IpsecMb(Material(material))))
    }

    fn seal(&self, jobs: &mut [Job<'_>]) {
        with_manager(|manager| manager.run(jobs, true, own));
    }

    fn open(&self, jobs: &mut [Job<'_>]) {
        with_manager(|manager| manager.run(jobs, false, own));
    }
}
