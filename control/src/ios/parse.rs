//! Text into a configuration, line by line, modes entered and left as IOS does: a line that is no command of the
//! current mode but one of the outermost leaves the mode. Indentation is for readers alone.

use std::ops::Range;
use std::sync::Arc;

use super::check::check;
use super::command::{At, Editor, Mode, TABLE};
use super::diagnostic::{Diagnostic, Severity};
use super::matching::{Command, Form, Miss, Walk};
use super::model::{Config, Ignored, InterfaceName};
use super::text::{self, LINE_MAX, Line, Place};

/// A configuration and what is odd about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The configuration.
    pub config: Config,
    /// What is accepted but hardly as meant.
    pub warnings: Vec<Diagnostic>,
}

/// The configuration in `text`; `file` is its name for messages. Errors are all of the file's, in its order, the
/// warnings among them.
pub fn parse(file: &str, text: &str) -> Result<Parsed, Vec<Diagnostic>> {
    let mut config = Config::default();
    let mut diagnostics = read(&mut config, At::Global, text::lines(file, text));
    diagnostics.extend(check(&config));
    settle(&mut config);
    if diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        return Err(diagnostics);
    }
    Ok(Parsed { config, warnings: diagnostics })
}

/// [`parse`] of a file's bytes, which must be UTF-8.
pub fn parse_bytes(file: &str, bytes: &[u8]) -> Result<Parsed, Vec<Diagnostic>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(file, text),
        Err(error) => {
            let good = bytes
                .get(..error.valid_up_to())
                .and_then(|good| std::str::from_utf8(good).ok())
                .unwrap_or("");
            let line = text::lines(file, good).pop().unwrap_or_else(|| empty(file));
            let end = line.text.len();
            Err(vec![Diagnostic::error(&Place::new(&line, end..end), "the text is not UTF-8 from here on")])
        }
    }
}

fn empty(file: &str) -> Arc<Line> {
    Arc::new(Line { file: file.into(), number: 1, text: "".into() })
}

impl Config {
    /// Give the router `lines` as if typed in configuration mode; `origin` stands for the file in messages.
    ///
    /// `under` says where the lines begin: an interface's name (`FastEthernet0/0`, `fa0/0`), which must be configured
    /// already, or a command that opens a mode (`router ospf 1`), or nothing for the outermost mode. All lines hold or
    /// none: with an error the configuration stays as it was. Returns the warnings.
    pub fn apply(
        &mut self,
        origin: &str,
        under: Option<&str>,
        lines: &str,
    ) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        let mut next = self.clone();
        let at = match under {
            Some(under) => next.enter(origin, under)?,
            None => At::Global,
        };
        let mut diagnostics = read(&mut next, at, text::lines(origin, lines));
        // What was odd before is not these lines' fault.
        let before = check(self);
        diagnostics
            .extend(check(&next).into_iter().filter(|d| !before.iter().any(|b| b.message == d.message)));
        if diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
            return Err(diagnostics);
        }
        settle(&mut next);
        *self = next;
        Ok(diagnostics)
    }

    /// The mode that `under` means.
    fn enter(&mut self, origin: &str, under: &str) -> Result<At, Vec<Diagnostic>> {
        let line = text::lines(origin, under).into_iter().next().unwrap_or_else(|| empty(origin));
        let place = Place::new(&line, 0..line.text.len());
        if let Ok(name) = under.parse::<InterfaceName>() {
            if self.interface(name).is_some() {
                return Ok(At::Interface(name));
            }
            let names: Vec<String> = self.interfaces.iter().map(|i| i.name.to_string()).collect();
            let message = format!("{} has no interface {name}", self.hostname());
            return Err(vec![
                Diagnostic::error(&place, message).help(format!("it has {}", names.join(", "))),
            ]);
        }
        let mut reader = Reader::new(self, At::Global);
        reader.line(&line);
        if reader.diagnostics.is_empty() && reader.editor.at == At::Global {
            reader.diagnostics.push(Diagnostic::error(&place, format!("`{under}` opens no mode")));
        }
        if reader.diagnostics.is_empty() { Ok(reader.editor.at) } else { Err(reader.diagnostics) }
    }
}

fn read(config: &mut Config, at: At, lines: Vec<Arc<Line>>) -> Vec<Diagnostic> {
    let mut reader = Reader::new(config, at);
    for line in &lines {
        reader.line(line);
    }
    reader.finish()
}

/// A banner that still runs: where it began and what ends it.
struct Banner {
    place: Place,
    delimiter: String,
}

struct Reader<'a> {
    editor: Editor<'a>,
    diagnostics: Vec<Diagnostic>,
    banner: Option<Banner>,
}

impl<'a> Reader<'a> {
    fn new(config: &'a mut Config, at: At) -> Self {
        let editor = Editor { config, at, warnings: Vec::new() };
        Self { editor, diagnostics: Vec::new(), banner: None }
    }

    fn finish(mut self) -> Vec<Diagnostic> {
        if let Some(banner) = self.banner {
            let message = format!("the banner is never ended by another `{}`", banner.delimiter);
            self.diagnostics.push(Diagnostic::error(&banner.place, message));
        }
        self.diagnostics.append(&mut self.editor.warnings);
        self.diagnostics
    }

    fn line(&mut self, line: &Arc<Line>) {
        if let Some(banner) = &self.banner {
            if line.text.contains(&banner.delimiter) {
                self.banner = None;
            }
            return;
        }
        let words = text::words(&line.text);
        let word = |at: usize| words.get(at).and_then(|span| line.text.get(span.clone())).unwrap_or("");
        let Some(first) = words.first().cloned() else { return };
        if line.text.len() > LINE_MAX {
            let message = format!("a line has {LINE_MAX} characters at most");
            self.diagnostics.push(Diagnostic::error(&Place::new(line, first), message));
            return;
        }
        let (form, skip) = match word(0).to_ascii_lowercase().as_str() {
            "end" | "exit" if words.len() == 1 => {
                self.editor.at = At::Global;
                return;
            }
            "no" => (Form::No, 1),
            "default" => (Form::Default, 1),
            "banner" => {
                self.open_banner(line, &words);
                (Form::Set, 0)
            }
            // The prompt that a pasted `show run` begins with.
            _ if is_prompt(&line.text) => return,
            _ => (Form::Set, 0),
        };
        let rest = words.get(skip..).unwrap_or_default();
        if rest.is_empty() {
            let message = format!("incomplete command: what does `{}` negate?", word(0));
            self.diagnostics.push(Diagnostic::error(&Place::new(line, first), message));
            return;
        }
        self.command(&Walk { line, words: rest, form });
    }

    fn command(&mut self, walk: &Walk<'_>) {
        let mode = self.editor.at.mode();
        let found = match (through(walk, mode), mode) {
            (found, Mode::Global) => found,
            (Err(inner), _) => through(walk, Mode::Global)
                .map_err(|outer| if outer.word > inner.word { outer } else { inner }),
            // `ip route` under an interface is the outer command, no abbreviation of `ip route-cache`.
            (Ok(inner), _) if inner.abbreviated() == 0 => Ok(inner),
            (Ok(inner), _) => Ok(through(walk, Mode::Global)
                .ok()
                .filter(|outer| outer.abbreviated() < inner.abbreviated())
                .unwrap_or(inner)),
        };
        match found {
            Ok(command) => {
                if let Err(diagnostic) = self.editor.run(&command) {
                    self.lose(&command);
                    self.diagnostics.push(*diagnostic);
                }
            }
            Err(miss) => self.miss(walk, miss),
        }
    }

    /// A mode's command that was refused: the lines behind it must not be taken for another mode's.
    fn lose(&mut self, command: &Command) {
        let opener = TABLE.entries.get(command.index).is_some_and(|entry| opens(entry.syntax));
        if opener && command.on() {
            self.editor.at = At::Lost;
        }
    }

    fn miss(&mut self, walk: &Walk<'_>, miss: Miss) {
        let belongs = Mode::ALL
            .into_iter()
            .filter(|mode| *mode != Mode::Global)
            .find(|mode| through(walk, *mode).is_ok());
        let first = walk.words.first().cloned().unwrap_or(0..0);
        let text = walk.line.text.get(first.clone()).unwrap_or("").to_ascii_lowercase();
        let mut diagnostic = *miss.diagnostic;
        match belongs {
            Some(_) if self.editor.at == At::Lost => return,
            Some(mode) if miss.word == 0 && !miss.ambiguous => {
                let message = format!("`{text}` is no command of this mode");
                diagnostic = Diagnostic::error(&Place::new(walk.line, first.clone()), message)
                    .help(format!("it belongs under `{}`", mode.opener()));
            }
            _ => {}
        }
        // A mistyped `interface` and the like would drag the errors of all that stands under it behind.
        if miss.word > 0 && opens(&text) || near_opener(&text) {
            self.editor.at = At::Lost;
        } else if self.editor.at == At::Lost && first.start > 0 {
            return;
        }
        self.diagnostics.push(diagnostic);
    }

    fn open_banner(&mut self, line: &Arc<Line>, words: &[Range<usize>]) {
        // `banner KIND ^C`: what follows the kind begins with the delimiter, a character or `^C` in two.
        let Some(third) = words.get(2).and_then(|span| line.text.get(span.start..)) else { return };
        let len = if third.starts_with('^') { 2 } else { 1 };
        let delimiter: String = third.chars().take(len).collect();
        let behind = third.get(delimiter.len()..).unwrap_or("");
        if !behind.contains(&delimiter) {
            self.banner = Some(Banner { place: Place::new(line, 0..line.text.len()), delimiter });
        }
    }
}

fn through(walk: &Walk<'_>, mode: Mode) -> Result<Command, Miss> {
    let start = TABLE.starts.get(&mode).copied().unwrap_or(0);
    walk.through(&TABLE.net, start, &|at| TABLE.entries.get(at).map_or("", |entry| entry.syntax))
}

/// Whether commands that begin like this open modes.
fn opens(text: &str) -> bool {
    ["interface", "crypto", "router", "line", "track", "ip access-list"]
        .iter()
        .any(|word| text.starts_with(word))
}

fn near_opener(word: &str) -> bool {
    let near = super::diagnostic::nearest(word, ["interface", "router"]);
    !near.is_empty() && !opens(word)
}

/// `vpn7200#show run`.
fn is_prompt(text: &str) -> bool {
    let (name, command) = text.trim().split_once('#').unwrap_or(("", ""));
    let command = command.trim_start();
    !name.is_empty()
        && !name.contains(char::is_whitespace)
        && (command.is_empty() || command.starts_with("sh"))
}

/// Bring the ignored lines into the order in which the printer writes them, so that a configuration that was printed
/// and read again is equal.
fn settle(config: &mut Config) {
    let order = super::print::headers(config);
    let mut others: Vec<String> = Vec::new();
    for ignored in &config.ignored {
        if !order.contains(&ignored.context) && !others.contains(&ignored.context) {
            others.push(ignored.context.clone());
        }
    }
    let all: Vec<String> = order.into_iter().chain(others).collect();
    config.ignored.sort_by_key(|ignored| {
        let at = all.iter().position(|context| *context == ignored.context);
        (at, ignored.is_heading())
    });
}

impl Ignored {
    /// 0: stands before `hostname`. 1: behind the rest of the configuration.
    pub(super) fn is_heading(&self) -> u8 {
        let text = self.text.strip_prefix("no ").unwrap_or(&self.text);
        let head = ["building", "current", "using", "version", "service", "upgrade"];
        u8::from(!head.iter().any(|word| text.split(' ').next() == Some(word)))
    }
}
