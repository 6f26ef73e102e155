//! The runs of one `espalier bench` beside each other, cell by cell: engines beside the first of them, many SAs beside few.
//! Their samples were taken in turns, so these ratios say more than two runs would.

use std::fmt::Write as _;

use super::bench::Varied;
use crate::measure::throughput::Run;

/// What a run is besides its transform, in the order in which columns and rows are sorted.
type Way = (&'static str, usize);

/// The table of ratios; nothing where there is nothing to compare. Bursts and layouts are not put beside each other.
pub fn text(runs: &[Run]) -> String {
    let mut text = String::new();
    let Some(first) = runs.first() else { return text };
    if Varied::of(runs).burst || runs.iter().any(|run| run.layout != first.layout) {
        return text;
    }
    let engines = distinct(runs.iter().map(|run| run.engine));
    let sas = distinct(runs.iter().map(|run| run.sas));
    if let [base, others @ ..] = &engines[..]
        && !others.is_empty()
    {
        let _ = writeln!(text, "\nhow many times as long as {base}, encap / decap");
        let rows = sas.iter().flat_map(|sas| others.iter().map(move |engine| (*engine, *sas)));
        let name = |(engine, count): Way| match sas.len() {
            1 => engine.to_owned(),
            _ => format!("{engine}, {count} SA"),
        };
        let table = Table { runs, base: |(_, sas)| (*base, sas), figure: |own, base| own / base };
        table.write(&mut text, &rows.collect::<Vec<_>>(), name);
    }
    if let [few, many @ ..] = &sas[..]
        && !many.is_empty()
    {
        let _ = writeln!(text, "\nhow much of the speed with {few} SA is left, encap / decap");
        let rows = engines.iter().flat_map(|engine| many.iter().map(move |sas| (*engine, *sas)));
        let table = Table { runs, base: |(engine, _)| (engine, *few), figure: |own, base| base / own };
        table.write(&mut text, &rows.collect::<Vec<_>>(), |(engine, sas)| format!("{engine}, {sas} SA"));
    }
    text
}

fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for one in all {
        if !distinct.contains(&one) {
            distinct.push(one);
        }
    }
    distinct
}

/// Runs beside those that are the measure, and what is said of two of them (nanoseconds a packet).
struct Table<'a, B, F> {
    runs: &'a [Run],
    base: B,
    figure: F,
}

impl<B: Fn(Way) -> Way, F: Fn(f64, f64) -> f64> Table<'_, B, F> {
    /// A line for each transform and way, a column for each size, and the geometric means.
    fn write(&self, text: &mut String, ways: &[Way], name: impl Fn(Way) -> String) {
        let sizes = distinct(self.runs.iter().map(|run| run.size.as_str()));
        let _ = write!(text, "  {:<19}{:<18}", "", "");
        for size in &sizes {
            let _ = write!(text, "{size:>16}");
        }
        text.push('\n');
        let mut ratios = vec![Vec::<f64>::new(); ways.len()];
        for transform in distinct(self.runs.iter().map(|run| run.transform)) {
            for (way, ratios) in ways.iter().zip(&mut ratios) {
                let cells = sizes.iter().map(|size| {
                    ["encap", "decap"].map(|direction| self.ratio(transform, size, direction, *way))
                });
                let cells: Vec<_> = cells.collect();
                if cells.as_flattened().iter().all(Option::is_none) {
                    continue;
                }
                ratios.extend(cells.as_flattened().iter().flatten());
                let _ = write!(text, "  {transform:<19}{:<18}", name(*way));
                for [encap, decap] in cells {
                    let said = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |r| format!("{r:.2}"));
                    let _ = write!(text, "{:>16}", format!("{} / {}", said(encap), said(decap)));
                }
                text.push('\n');
            }
        }
        for (way, ratios) in ways.iter().zip(&ratios).filter(|(_, ratios)| ratios.len() > 1) {
            let mean = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
            let what = format!("of all {}", ratios.len());
            let _ = writeln!(text, "  {what:<19}{:<18}{mean:>16.2}  geometric mean", name(*way));
        }
    }

    fn ratio(&self, transform: &str, size: &str, direction: &str, way: Way) -> Option<f64> {
        let find = |way: Way| {
            let same = |run: &&Run| {
                (run.transform, run.size.as_str(), run.direction) == (transform, size, direction)
                    && (run.engine, run.sas) == way
            };
            self.runs.iter().find(same).map(|run| run.ns_per_packet)
        };
        Some((self.figure)(find(way)?, find((self.base)(way))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::throughput::{Sample, Scope};

    fn run(engine: &'static str, direction: &'static str, size: &str, sas: usize, ns: f64) -> Run {
        let sample = Sample { elapsed_s: ns / 1e9, packets: 1 };
        Run {
            transform: "aes128-gcm",
            engine,
            direction,
            size: size.to_owned(),
            layout: "1".to_owned(),
            cores: 1,
            sas,
            burst: 64,
            scope: Scope::Crypto.name(),
            packets: 1,
            pps: 1e9 / ns,
            gbps: 0.0,
            ns_per_packet: ns,
            cycles_per_packet: 0.0,
            cycles_per_byte: 0.0,
            pps_per_core: 0.0,
            spread: 1.0,
            samples: vec![sample],
            verified: true,
        }
    }

    #[test]
    fn engines_stand_beside_the_first() {
        let mut runs = vec![
            run("simd", "encap", "64", 1, 10.0),
            run("simd", "decap", "64", 1, 20.0),
            run("scalar", "encap", "64", 1, 20.0),
            run("scalar", "decap", "64", 1, 160.0),
        ];
        let said = text(&runs);
        assert!(said.contains("how many times as long as simd, encap / decap\n"), "{said}");
        assert!(said.contains("scalar                 2.00 / 8.00\n"), "{said}");
        assert!(
            said.contains("of all 2           scalar                        4.00  geometric mean\n"),
            "{said}"
        );
        assert_eq!(text(&runs[..2]), "");
        runs[3].burst = 1;
        assert_eq!(text(&runs), "");
    }

    #[test]
    fn many_sas_stand_beside_few() {
        let runs = [
            run("simd", "encap", "64", 1, 10.0),
            run("simd", "encap", "imix", 1, 30.0),
            run("simd", "encap", "64", 1000, 20.0),
        ];
        let said = text(&runs);
        assert!(said.contains("how much of the speed with 1 SA is left"), "{said}");
        assert!(said.contains("simd, 1000 SA             0.50 / -           - / -\n"), "{said}");
    }
}
