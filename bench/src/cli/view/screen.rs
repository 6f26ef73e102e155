//! The terminal of `--live`: another screen while the run goes on, and whatever ends it, the first one as it was.

use std::io::{self, BufWriter, Stderr, Write as _};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Mutex, MutexGuard, Once, PoisonError, TryLockError};
use std::time::{Duration, Instant as Wall};

use espalier_wire::Instant;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, poll, read};
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute, queue};
use ratatui::widgets::Paragraph;

use super::End;
use crate::live::{News, Status, frame};

/// Between two looks at the keys and the news.
const STEP: Duration = Duration::from_millis(100);
/// Drawn this often although nothing is told: the clock goes on.
const AT_LEAST: Duration = Duration::from_millis(500);

/// How often, and after what time, somebody who cannot wait asks whether the other one has drawn.
const MOMENTS: u32 = 20;
const MOMENT: Duration = Duration::from_millis(10);

/// Whether the other screen is shown. Whoever draws holds it.
static SHOWN: Mutex<bool> = Mutex::new(false);

fn shown() -> MutexGuard<'static, bool> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Put the terminal back as it was, if it is not: at the end of a run.
pub(super) fn restore() {
    leave(shown());
}

fn leave(mut shown: MutexGuard<'_, bool>) {
    if std::mem::take(&mut *shown) {
        leave_anyway();
    }
}

fn leave_anyway() {
    // There is nobody to tell that the terminal is gone.
    let _ = disable_raw_mode();
    let _ = execute!(io::stderr(), LeaveAlternateScreen, cursor::Show);
}

/// The same where the process ends: whoever draws gets a moment to be done, unless the terminal holds it up.
pub(in super::super) fn restore_at_once() {
    for _ in 0..MOMENTS {
        match SHOWN.try_lock() {
            Ok(shown) => return leave(shown),
            Err(TryLockError::Poisoned(shown)) => return leave(shown.into_inner()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(MOMENT),
        }
    }
    let _ = disable_raw_mode();
}

/// The same in a panic: where somebody draws, it is most likely this very thread, which must not wait for itself.
fn restore_in_panic() {
    match SHOWN.try_lock() {
        Ok(shown) => leave(shown),
        Err(TryLockError::Poisoned(shown)) => leave(shown.into_inner()),
        Err(TryLockError::WouldBlock) => leave_anyway(),
    }
}

type Screen = Terminal<CrosstermBackend<BufWriter<Stderr>>>;

fn begin() -> io::Result<Screen> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore_in_panic();
            before(panic);
        }));
    });
    let mut shown = shown();
    enable_raw_mode()?;
    *shown = true;
    execute!(io::stderr(), EnterAlternateScreen, cursor::Hide)?;
    Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(1 << 16, io::stderr())))
}

/// Draw until the run is over, and end the run when a key says so.
pub(super) fn show(news: &Receiver<News>, mut status: Status, mut end: End, colour: bool) {
    // Nothing is shown of a run that is refused before it begins.
    match news.recv() {
        Ok(News::Over) | Err(_) => return,
        Ok(first) => status.hear(first),
    }
    let (started, from) = (Wall::now(), status.at);
    let mut screen = match begin() {
        Ok(screen) => screen,
        Err(why) => {
            restore();
            // The run goes on; with standard error gone as well there is nobody to tell.
            let _ = writeln!(io::stderr(), "--live: this terminal cannot be drawn on: {why}");
            return;
        }
    };
    let mut drawn: Option<Wall> = None;
    loop {
        let mut is_new = false;
        loop {
            match news.try_recv() {
                Ok(News::Over) | Err(TryRecvError::Disconnected) => return restore(),
                Ok(told) => status.hear(told),
                Err(TryRecvError::Empty) => break,
            }
            is_new = true;
        }
        if is_new || drawn.is_none_or(|at| at.elapsed() >= AT_LEAST) {
            let passed = espalier_wire::Duration::from_ns(started.elapsed().as_nanos() as u64);
            let now = from + passed;
            let last = status.network.duration.map_or(now, |length| Instant::ZERO + length);
            status.at = status.at.max(now.min(last));
            if draw(&mut screen, &status, colour).is_err() {
                return restore();
            }
            drawn = Some(Wall::now());
        }
        match key() {
            Some(Key::Interrupt) => End::Interrupt.now(),
            Some(Key::Quit) => end.now(),
            Some(Key::Resized) => drawn = None,
            None => {}
        }
    }
}

fn draw(screen: &mut Screen, status: &Status, colour: bool) -> io::Result<()> {
    let shown = shown();
    if !*shown {
        return Ok(());
    }
    queue!(screen.backend_mut(), BeginSynchronizedUpdate)?;
    screen.draw(|whole| {
        let area = whole.area();
        let lines = frame::lines(status, area.width, area.height, colour);
        whole.render_widget(Paragraph::new(lines), area);
    })?;
    queue!(screen.backend_mut(), EndSynchronizedUpdate)?;
    screen.backend_mut().flush()
}

enum Key {
    Interrupt,
    Quit,
    Resized,
}

/// The key that was pressed within a step; a terminal without keys has none.
fn key() -> Option<Key> {
    match poll(STEP) {
        Ok(true) => {}
        Ok(false) => return None,
        Err(_) => {
            std::thread::sleep(STEP);
            return None;
        }
    }
    match read().ok()? {
        Event::Key(KeyEvent { kind: KeyEventKind::Release, .. }) => None,
        Event::Key(KeyEvent { code: KeyCode::Char('c'), modifiers, .. })
            if modifiers.contains(KeyModifiers::CONTROL) =>
        {
            Some(Key::Interrupt)
        }
        Event::Key(KeyEvent { code: KeyCode::Char('q'), .. }) => Some(Key::Quit),
        Event::Resize(..) => Some(Key::Resized),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const DIES: &str = "cli::view::screen::tests::dies_while_it_draws";

    #[test]
    #[ignore = "the other test runs it, in a pseudo-terminal"]
    fn dies_while_it_draws() {
        let _screen = begin().unwrap();
        let _drawing = shown();
        panic!("while it draws");
    }

    #[test]
    fn a_panic_while_it_draws_gives_the_terminal_back_and_is_read_there() {
        let program = std::env::current_exe().unwrap();
        let line = format!("{} --exact {DIES} --ignored --nocapture; stty -a", program.display());
        let done = Command::new("script").args(["-qec", &line, "/dev/null"]).output().unwrap();
        let all = String::from_utf8_lossy(&done.stdout).into_owned();
        let (_, rest) = all.split_once("\u{1b}[?1049h").unwrap_or_else(|| panic!("no other screen: {all}"));
        let (_, after) = rest.split_once("\u{1b}[?1049l").unwrap_or_else(|| panic!("it stays: {all}"));
        assert!(after.contains("\u{1b}[?25h") && after.contains("while it draws"), "{after}");
        let settings: Vec<&str> = after.split([' ', ';', '\r', '\n']).collect();
        assert!(["icanon", "echo", "isig"].iter().all(|s| settings.contains(s)), "{after}");
    }
}
