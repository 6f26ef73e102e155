//! The router's console: lines typed (or piped) in, understood as a router understands them in exec mode. `configure
//! terminal` collects lines until `end`, and they are taken in whole.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use espalier_control::ios::{Exec, parse_exec};

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A `show` command, as typed and as understood.
    Show(String, Exec),
    /// Configuration lines.
    Configure(String),
    /// `clear crypto sa` or `clear crypto isakmp`.
    ClearSa,
    /// End in good order.
    Exit,
    /// End without a word to anybody, as when power fails.
    PowerOff,
    /// An empty line: the prompt, so that whoever reads knows that all before is answered.
    Prompt,
    /// Nothing: what is wrong with the line.
    Wrong(String),
}

/// Lines on their way to becoming requests.
#[derive(Debug, Default)]
pub struct Lines {
    unread: Vec<u8>,
    configuration: Option<String>,
}

/// A descriptor, read as a console.
#[derive(Debug)]
pub(super) struct Console {
    input: File,
    lines: Lines,
}

/// A line longer than this is no command.
const LINE_MAX: usize = 4096;

impl Console {
    /// Read lines from there.
    pub(super) fn on(input: OwnedFd) -> Self {
        Self { input: File::from(input), lines: Lines::default() }
    }

    /// Read what there is, once it is known that there is something; `None` at the end.
    pub(super) fn read(&mut self) -> Option<Vec<Request>> {
        let mut bytes = [0; 4096];
        match self.input.read(&mut bytes) {
            Ok(0) => None,
            Ok(n) => Some(self.lines.take(bytes.get(..n).unwrap_or_default())),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Some(Vec::new())
            }
            Err(_) => None,
        }
    }
}

impl AsFd for Console {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }
}

impl Lines {
    /// The requests of the lines that end in these bytes; what is left waits for its end.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Request> {
        self.unread.extend_from_slice(bytes);
        let mut requests = Vec::new();
        while let Some(end) = self.unread.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            requests.extend(self.line(String::from_utf8_lossy(&line).trim()));
        }
        if self.unread.len() > LINE_MAX {
            self.unread.clear();
            requests.push(Request::Wrong("the line is too long".to_owned()));
        }
        requests
    }

    fn line(&mut self, line: &str) -> Option<Request> {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Some(lines) = &mut self.configuration {
            if words == ["end"] {
                return self.configuration.take().map(Request::Configure);
            }
            lines.push_str(line);
            lines.push('\n');
            return None;
        }
        let begins = |word: &str, of: &str, least: usize| word.len() >= least && of.starts_with(word);
        match words.as_slice() {
            [] => Some(Request::Prompt),
            ["enable"] => None,
            ["exit" | "logout"] => Some(Request::Exit),
            ["power", "off"] => Some(Request::PowerOff),
            [a, b] if begins(a, "configure", 4) && begins(b, "terminal", 1) => {
                self.configuration = Some(String::new());
                None
            }
            [a, b, c, ..] if begins(a, "clear", 2) && begins(b, "crypto", 2) => Some(match *c {
                "sa" | "isakmp" | "session" => Request::ClearSa,
                _ => Request::Wrong(format!("clear crypto {c}: sa, isakmp or session is wanted")),
            }),
            _ => Some(match parse_exec(line) {
                Ok(Exec::Debug { .. }) => Request::Wrong("debug lines are printed by --debug".to_owned()),
                Ok(exec) => Request::Show(line.to_owned(), exec),
                Err(diagnostic) => Request::Wrong(diagnostic.pretty()),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_become_orders_however_they_are_cut() {
        let mut console = Lines::default();
        assert_eq!(console.take(b"sh sta"), []);
        let requests = console
            .take(b"ndby\n\nconf t\r\n no ip route 1.0.0.0 255.0.0.0 2.0.0.1\nend\nclear crypto sa\nexit\n");
        let show = Request::Show("sh standby".to_owned(), Exec::ShowStandby { brief: false });
        let lines = Request::Configure("no ip route 1.0.0.0 255.0.0.0 2.0.0.1\n".to_owned());
        assert_eq!(requests, [show, Request::Prompt, lines, Request::ClearSa, Request::Exit]);
    }

    #[test]
    fn what_is_no_command_is_said() {
        let mut console = Lines::default();
        let requests = console.take(b"show banana\nclear crypto banana\ndebug standby\n");
        assert!(
            requests.iter().all(|o| matches!(o, Request::Wrong(_))) && requests.len() == 3,
            "{requests:?}"
        );
        assert!(matches!(console.take(&[b'x'; LINE_MAX + 1])[..], [Request::Wrong(_)]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_orders(
            pieces in proptest::collection::vec("(conf t|end|exit|show [a-z ]{0,20}|clear crypto sa|\\PC{0,40}|\n){0,6}", 1..4),
        ) {
            let (mut lines, mut whole) = (Lines::default(), Lines::default());
            let cut: Vec<Request> = pieces.iter().flat_map(|piece| lines.take(piece.as_bytes())).collect();
            prop_assert_eq!(cut, whole.take(pieces.concat().as_bytes()));
        }
    }
}
