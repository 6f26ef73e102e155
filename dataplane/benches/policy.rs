//! What finding a packet's rule costs: 1, 8, 100 and 10,000 rules, the packets spread over all of them.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use espalier_dataplane::policy::{Policies, RuleSet};
use espalier_dataplane::stage::classify::Flow;
use espalier_wire::Prefix;
use espalier_wire::plane::{PolicyId, Rule, RuleAction, Selector};
use espalier_wire::random::Random;

const BATCH: usize = 256;

fn rule(n: u32) -> Rule {
    let net = |first: u32, len: u8| {
        Prefix::new(std::net::Ipv4Addr::from_bits(first | (n << 8)).into(), len).unwrap_or_default()
    };
    // Two tuples of prefix lengths, as when most sites have a /24 and some a host.
    let len = if n.is_multiple_of(10) { 32 } else { 24 };
    let selector = Selector::between(net(10 << 24, 24), net(20 << 24, len));
    Rule { selector, action: RuleAction::Protect(PolicyId(n)) }
}

fn lookups(c: &mut Criterion) {
    let mut group = c.benchmark_group("policy");
    group.throughput(Throughput::Elements(BATCH as u64)).measurement_time(Duration::from_secs(2));
    for count in [1u32, 8, 100, 10_000] {
        let rules: Vec<Rule> = (0..count).map(rule).collect();
        let set = RuleSet::new(&rules, &mut Policies::default());
        let mut random = Random::from_seed(3);
        let flows: Vec<Flow> = (0..BATCH * 16)
            .map(|_| {
                let n = random.below(u64::from(count)) as u32;
                let host = |net: u32| u128::from((net << 24) | (n << 8));
                Flow { src: host(10), dst: host(20), ipv4: true, protocol: 17, ports: Some((1, 2)) }
            })
            .collect();
        let mut batches = flows.chunks(BATCH).cycle();
        group.bench_function(format!("{count}"), |b| {
            b.iter(|| {
                for flow in batches.next().unwrap_or_default() {
                    black_box(set.lookup(flow));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, lookups);
criterion_main!(benches);
