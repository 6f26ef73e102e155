//! A curve of blocks: a second is one column or a few, a line of text eight steps.

use ratatui::style::Style;
use ratatui::text::Span;

const STEPS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// The curve's lines, the upper first, of `width` seconds of `(arrived, lost)`, the newest at the right. A second in which
/// something was lost is drawn `bad`, and is never invisible.
pub(super) fn lines(
    seconds: impl DoubleEndedIterator<Item = (f64, f64)> + Clone,
    (width, height, broad): (usize, usize, usize),
    (good, bad): (Style, Style),
) -> Vec<Vec<Span<'static>>> {
    let newest: Vec<(f64, f64)> = seconds.rev().take(width).collect();
    let top = newest.iter().map(|(packets, lost)| packets + lost).fold(0.0, f64::max);
    let full = height * 8;
    let eighths = |value: f64| if top > 0.0 { (value / top * full as f64).round() as usize } else { 0 };
    let line = |from_top: usize| {
        let below = (height - 1 - from_top) * 8;
        let column = |(packets, lost): &(f64, f64)| {
            let least = usize::from(packets + lost > 0.0);
            let has = eighths(packets + lost).max(least);
            let step = STEPS.get(has.saturating_sub(below).min(8)).copied().unwrap_or(" ");
            // What arrived stands under what did not.
            let style = if *lost > 0.0 && eighths(*packets) < below + 8 { bad } else { good };
            Span::styled(step.repeat(broad), style)
        };
        let pad = " ".repeat((width - newest.len()) * broad);
        std::iter::once(Span::raw(pad)).chain(newest.iter().rev().map(column)).collect()
    };
    (0..height).map(line).collect()
}
