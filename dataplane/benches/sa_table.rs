//! What finding an inbound SA by its SPI costs, for one SA and for a million of them in random order.

use std::hint::black_box;
use std::net::IpAddr;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use espalier_dataplane::crypto::{Choice, EngineId};
use espalier_dataplane::sa::{Inbound, SaTable};
use espalier_wire::plane::{DfBit, Fragmentation, Lifetime, Mode, PolicyId, SaSpec, Secret};
use espalier_wire::random::Random;
use espalier_wire::{Instant, Spi, Transform};

const BATCH: usize = 256;

fn spec() -> SaSpec {
    SaSpec {
        spi: Spi(1),
        src: IpAddr::from([192, 1, 2, 1]),
        dst: IpAddr::from([192, 1, 2, 2]),
        mode: Mode::Tunnel,
        transform: Transform::NullMd5,
        key: Secret::new(Vec::new()),
        auth_key: Secret::new(vec![5; 16]),
        esn: false,
        replay_window: 64,
        udp_encap: None,
        selector: None,
        mtu: None,
        df_bit: DfBit::Copy,
        fragmentation: Fragmentation::BeforeEncryption,
        lifetime: Lifetime::default(),
    }
}

fn lookups(c: &mut Criterion) {
    let mut group = c.benchmark_group("sa_table");
    group.throughput(Throughput::Elements(BATCH as u64)).measurement_time(Duration::from_secs(2));
    for count in [1usize, 1_000, 1_000_000] {
        let (mut table, mut random, mut spec) = (SaTable::default(), Random::from_seed(7), spec());
        let mut spis = Vec::new();
        for _ in 0..count {
            spec.spi = Spi(random.u32().max(256));
            spis.push(spec.spi);
            match Inbound::new(Instant::ZERO, PolicyId(1), &spec, Choice::Only(EngineId::Scalar)) {
                Ok(sa) => drop(table.insert(sa)),
                Err(error) => eprintln!("{error}"),
            }
        }
        eprintln!(
            "{count} SAs: index {} bytes, {} bytes an SA beside",
            table.index_bytes(),
            size_of::<Inbound>()
        );
        let asked: Vec<Spi> =
            (0..BATCH * 64).filter_map(|_| spis.get(random.below(count as u64) as usize).copied()).collect();
        let mut batches = asked.chunks(BATCH).cycle();
        group.bench_function(format!("{count}"), |b| {
            b.iter(|| {
                for spi in batches.next().unwrap_or_default() {
                    black_box(table.find(*spi, spec.dst));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, lookups);
criterion_main!(benches);
