//! The shim around Intel's ipsec-mb is compiled, and its library linked, where the feature `ipsec-mb` asks for it. Nothing
//! otherwise.

fn main() {
    println!("cargo:rerun-if-changed=src/crypto/ipsec_mb/shim.c");
    #[cfg(feature = "ipsec-mb")]
    ipsec_mb();
}

#[cfg(feature = "ipsec-mb")]
fn ipsec_mb() {
    let mut build = cc::Build::new();
    build.file("src/crypto/ipsec_mb/shim.c").warnings_into_errors(true).opt_level(3);
    if let Err(error) = build.try_compile("espalier_ipsec_mb") {
        eprintln!(
            "{error}\nthe feature ipsec-mb needs Intel's library, 1.3: apt-get install libipsec-mb-dev"
        );
        std::process::exit(1);
    }
    println!("cargo:rustc-link-lib=IPSec_MB");
}
