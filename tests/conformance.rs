//! Every case under `conformance/`, machine by machine.

use espalier_tests::conformance::run;
use espalier_tests::hsrp_lan::Lan;

#[test]
fn hsrp() {
    run("hsrp", || Lan::new(1));
}
