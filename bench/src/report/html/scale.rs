//! Axes: from values to places, and where the ticks go.

/// A linear axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Linear {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) start: f64,
    pub(super) end: f64,
}

impl Linear {
    /// The place of a value; the axis's start where the axis has no length.
    pub(super) fn at(self, value: f64) -> f64 {
        let span = self.to - self.from;
        if !value.is_finite() || !span.is_finite() || span <= 0.0 {
            return self.start;
        }
        self.start + (value - self.from) / span * (self.end - self.start)
    }

    /// The place of a value, at most as far as the axis's ends.
    pub(super) fn clamped(self, value: f64) -> f64 {
        let (low, high) = (self.start.min(self.end), self.start.max(self.end));
        self.at(value).clamp(low, high)
    }

    /// About `n` round values on the axis.
    pub(super) fn ticks(self, n: usize) -> Vec<f64> {
        let span = self.to - self.from;
        if !span.is_finite() || span <= 0.0 {
            return Vec::new();
        }
        let step = step(span / n.max(1) as f64);
        let first = (self.from / step).ceil();
        let at = |i: usize| (first + i as f64) * step;
        (0..n.max(1) * 4).map(at).take_while(|t| *t <= self.to + step * 1e-9).collect()
    }
}

/// The next round number from `x` on: 1, 2 or 5 times a power of ten.
pub(super) fn step(x: f64) -> f64 {
    if !x.is_finite() || x <= 0.0 {
        return 1.0;
    }
    let ten = 10f64.powf(x.log10().floor());
    let round = [1.0, 2.0, 5.0, 10.0].into_iter().find(|r| r * ten >= x * (1.0 - 1e-9));
    round.unwrap_or(10.0) * ten
}

/// A logarithmic axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Log {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) start: f64,
    pub(super) end: f64,
}

impl Log {
    /// The place of a value.
    pub(super) fn at(self, value: f64) -> f64 {
        let (from, to) = (self.from.max(1e-300), self.to.max(self.from.max(1e-300) * 1.000_001));
        let value = if value.is_finite() { value.clamp(from, to) } else { from };
        self.start + (value / from).ln() / (to / from).ln() * (self.end - self.start)
    }

    /// The powers of ten on the axis, with 2 and 5 times them where there are few.
    pub(super) fn ticks(self) -> Vec<f64> {
        let (low, high) = (self.from.max(1e-300).log10(), self.to.max(1e-300).log10());
        let factors: &[f64] = if high - low < 2.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let decades = low.floor() as i32..=high.ceil() as i32;
        let all = decades.take(40).flat_map(|d| factors.iter().map(move |f| f * 10f64.powi(d)));
        all.filter(|t| *t >= self.from * 0.999 && *t <= self.to * 1.001).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        let axis = Linear { from: 119.5, to: 129.2, start: 0.0, end: 100.0 };
        assert_eq!(axis.ticks(5), [120.0, 122.0, 124.0, 126.0, 128.0]);
        assert!((axis.at(129.2) - 100.0).abs() < 1e-9);
        assert_eq!(Linear { from: 3.0, to: 3.0, start: 7.0, end: 9.0 }.at(3.0), 7.0);
        assert!(Linear { from: 0.0, to: f64::INFINITY, start: 0.0, end: 1.0 }.ticks(5).is_empty());
        assert_eq!(Log { from: 1e3, to: 1e6, start: 0.0, end: 3.0 }.ticks(), [1e3, 1e4, 1e5, 1e6]);
    }
}
