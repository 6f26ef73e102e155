//! A line's words walked through the net of commands: which command it is and what its arguments are, or where it
//! leaves every path and what could have stood there. What a command does is said in `command`.

use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::Arc;

use espalier_wire::{Ipv4Prefix, Mac};

use super::diagnostic::{Diagnostic, distance, nearest};
use super::model::{Area, InterfaceKind, InterfaceName, PORT_NAMES};
use super::syntax::{Kind, Label, Net, readable};
use super::text::{Line, Place};

/// How a command is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is.
    Set,
    /// After `no`.
    No,
    /// After `default`.
    Default,
}

/// A line whose words are known.
#[derive(Debug, Clone)]
pub(super) struct Command {
    /// How it is given.
    pub form: Form,
    /// Its index in the table.
    pub index: usize,
    line: Arc<Line>,
    words: Vec<Range<usize>>,
    bound: Vec<Bound>,
}

/// A word and what it turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bound {
    /// The keyword or the argument's name; empty for what continues an argument.
    name: &'static str,
    keyword: bool,
    word: usize,
}

/// Why a line is no command, and at which word.
#[derive(Debug)]
pub(super) struct Miss {
    /// The first word that fits nowhere; the number of words when the line ends too early.
    pub word: usize,
    /// Whether it abbreviates more than one keyword.
    pub ambiguous: bool,
    /// The diagnostic.
    pub diagnostic: Box<Diagnostic>,
}

/// What a handler returns: done, or what is wrong.
pub(super) type Done<T = ()> = Result<T, Box<Diagnostic>>;

struct Thread {
    state: usize,
    bound: Vec<Bound>,
}

/// The words of a line that are to be walked.
pub(super) struct Walk<'a> {
    /// The line.
    pub line: &'a Arc<Line>,
    /// Its words, `no` and `default` left out.
    pub words: &'a [Range<usize>],
    /// How it is given.
    pub form: Form,
}

impl Walk<'_> {
    /// Through `net` from `start`; `syntaxes` is the table for messages.
    pub(super) fn through(
        &self,
        net: &Net,
        start: usize,
        syntax: &dyn Fn(usize) -> &'static str,
    ) -> Result<Command, Miss> {
        let mut threads = self.free(net, vec![Thread { state: start, bound: Vec::new() }]);
        for at in 0..self.words.len() {
            let next = self.step(net, &threads, at).map_err(|candidates| self.ambiguous(at, &candidates))?;
            if next.is_empty() {
                return Err(self.unexpected(net, &threads, at, syntax));
            }
            threads = self.free(net, next);
        }
        let complete = threads.iter().find_map(|thread| {
            let state = net.states.get(thread.state)?;
            let negated = state.negated.filter(|_| self.form != Form::Set);
            Some((state.complete.or(negated)?, thread.bound.clone()))
        });
        let (index, bound) =
            complete.ok_or_else(|| self.unexpected(net, &threads, self.words.len(), syntax))?;
        Ok(Command { form: self.form, index, line: Arc::clone(self.line), words: self.words.to_vec(), bound })
    }

    fn text(&self, word: usize) -> &str {
        self.words.get(word).and_then(|span| self.line.text.get(span.clone())).unwrap_or("")
    }

    fn place(&self, word: usize) -> Place {
        let end = self.words.last().map_or(0, |last| last.end);
        Place::new(self.line, self.words.get(word).cloned().unwrap_or(end..end))
    }

    /// Every thread's state and those that are as good, each once, in the order of the threads.
    fn free(&self, net: &Net, threads: Vec<Thread>) -> Vec<Thread> {
        let mut seen = vec![false; net.states.len()];
        let mut out = Vec::new();
        for thread in threads {
            let mut stack = vec![thread.state];
            while let Some(state) = stack.pop() {
                if seen.get_mut(state).is_none_or(|seen| std::mem::replace(seen, true)) {
                    continue;
                }
                out.push(Thread { state, bound: thread.bound.clone() });
                stack.extend(net.states.get(state).into_iter().flat_map(|state| state.free.iter().rev()));
            }
        }
        out
    }

    /// The threads behind word `at`; the candidates when it abbreviates more than one keyword and is no argument.
    fn step(&self, net: &Net, threads: &[Thread], at: usize) -> Result<Vec<Thread>, Vec<&'static str>> {
        let word = self.text(at);
        let lower = word.to_ascii_lowercase();
        let edges = || {
            threads.iter().flat_map(|thread| {
                let state = net.states.get(thread.state);
                state.into_iter().flat_map(|s| &s.edges).map(move |(label, to)| (thread, *label, *to))
            })
        };
        let mut keywords: Vec<&'static str> = edges().filter_map(|(_, label, _)| label.keyword()).collect();
        keywords.retain(|keyword| keyword.starts_with(&lower));
        if keywords.iter().any(|keyword| *keyword == lower) {
            keywords.retain(|keyword| *keyword == lower);
        }
        keywords.sort_unstable();
        keywords.dedup();
        let ambiguous = keywords.len() > 1;
        let meant = keywords.first().copied().filter(|_| !ambiguous);
        let mut next = Vec::new();
        for (thread, label, to) in edges() {
            let (name, keyword) = match label {
                Label::Keyword(keyword) if Some(keyword) == meant => (keyword, true),
                Label::Argument(name, kind) if kind.takes(word) => (name, false),
                _ => continue,
            };
            let mut bound = thread.bound.clone();
            // What continues a text is found from where the text begins.
            if keyword || !name.is_empty() {
                bound.push(Bound { name, keyword, word: at });
            }
            next.push(Thread { state: to, bound });
        }
        if next.is_empty() && ambiguous { Err(keywords) } else { Ok(next) }
    }

    fn ambiguous(&self, at: usize, candidates: &[&str]) -> Miss {
        let message = format!("ambiguous: `{}` abbreviates {}", self.text(at), quoted(candidates, "and"));
        Miss { word: at, ambiguous: true, diagnostic: Box::new(Diagnostic::error(&self.place(at), message)) }
    }

    fn unexpected(
        &self,
        net: &Net,
        threads: &[Thread],
        at: usize,
        syntax: &dyn Fn(usize) -> &'static str,
    ) -> Miss {
        let states = || threads.iter().filter_map(|thread| net.states.get(thread.state));
        let labels: Vec<(Label, usize)> =
            states().flat_map(|s| s.edges.iter().map(|(label, _)| (*label, s.command))).collect();
        let word = self.text(at);
        let refusal = labels.iter().find_map(|(label, _)| label.refusal(word)).filter(|_| at > 0);
        let (message, advice) = match (at < self.words.len(), at, refusal) {
            (false, ..) => (format!("incomplete command: {} expected", expected(&labels)), false),
            (true, 0, _) => (format!("unknown command `{word}`"), true),
            (true, _, Some(refusal)) => (refusal, false),
            (true, _, None) => (format!("`{word}` does not fit behind `{}`", self.text(at - 1)), true),
        };
        let diagnostic = Diagnostic::error(&self.place(at), message);
        let diagnostic = if advice { advise(diagnostic, word, &labels, at, syntax) } else { diagnostic };
        Miss { word: at, ambiguous: false, diagnostic: Box::new(diagnostic) }
    }
}

/// The nearest keyword and the whole command it belongs to, or else what could stand here.
fn advise(
    diagnostic: Diagnostic,
    word: &str,
    labels: &[(Label, usize)],
    at: usize,
    syntax: &dyn Fn(usize) -> &'static str,
) -> Diagnostic {
    let near = nearest(word, labels.iter().filter_map(|(label, _)| label.keyword()));
    // The whole command, when only one begins like this.
    let whole = |keyword: &str| {
        let mut owners: Vec<usize> =
            labels.iter().filter(|(label, _)| label.keyword() == Some(keyword)).map(|(_, c)| *c).collect();
        owners.dedup();
        match owners.as_slice() {
            [only] => format!(" ({})", readable(syntax(*only))),
            _ => String::new(),
        }
    };
    match near.as_slice() {
        [only] => diagnostic.help(format!("did you mean `{only}`?{}", whole(only))),
        [_, ..] => diagnostic.help(format!("did you mean {}?", quoted(&near, "or"))),
        [] if at == 0 => {
            let closest = closest(word, labels.iter().filter_map(|(label, _)| label.keyword()));
            match closest {
                Some(closest) => diagnostic.help(format!("the nearest command is `{closest}`")),
                None => diagnostic,
            }
        }
        [] => diagnostic.help(format!("expected {}", expected(labels))),
    }
}

/// The keyword that shares the longest beginning with `word`, the most alike of equals.
fn closest(word: &str, keywords: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let shared = |k: &str| k.bytes().zip(word.bytes()).take_while(|(a, b)| a == b).count();
    keywords.min_by_key(|keyword| (std::cmp::Reverse(shared(keyword)), distance(&word, keyword), *keyword))
}

/// What could stand somewhere, a dozen at most.
fn expected(labels: &[(Label, usize)]) -> String {
    let mut names: Vec<String> = labels.iter().filter_map(|(label, _)| label.describe()).collect();
    names.sort_unstable();
    names.dedup();
    match names.len() {
        0 => "the end of the line".to_owned(),
        1..=12 => names.join(", "),
        more => format!(
            "{} or {} others",
            names.iter().take(11).cloned().collect::<Vec<_>>().join(", "),
            more - 11
        ),
    }
}

/// "`a`, `b` and `c`".
pub(super) fn quoted(words: &[&str], last: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((end, rest)) if !rest.is_empty() => format!("{} {last} {end}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

impl Label {
    fn keyword(self) -> Option<&'static str> {
        match self {
            Self::Keyword(keyword) => Some(keyword),
            Self::Argument(..) => None,
        }
    }

    fn describe(self) -> Option<String> {
        Some(match self {
            Self::Keyword(keyword) => format!("`{keyword}`"),
            Self::Argument(_, Kind::InterfaceType) => return None,
            Self::Argument(_, Kind::InterfaceUnit) => "the interface's number".to_owned(),
            Self::Argument("", _) => return None,
            Self::Argument(name, Kind::Number(low, high)) => format!("{name} <{low}-{high}>"),
            Self::Argument(name, _) => name.to_ascii_uppercase(),
        })
    }

    /// Why `word`, which looks like this kind of argument, is none.
    fn refusal(self, word: &str) -> Option<String> {
        let Self::Argument(_, kind) = self else { return None };
        let digits = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
        let dotted = word.contains('.') && word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        match kind {
            Kind::Number(low, high) if digits => Some(format!("{word} is out of range: {low} to {high}")),
            Kind::Mask if dotted => Some(format!("{word} is no netmask")),
            Kind::Address | Kind::Wildcard if dotted => Some(format!("{word} is no IPv4 address")),
            Kind::Port if digits => Some(format!("{word} is out of range: 0 to 65535")),
            Kind::Interface if word.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                word.ends_with(|c: char| c.is_ascii_digit()).then(|| format!("`{word}` is no interface name"))
            }
            _ => None,
        }
    }
}

impl Kind {
    /// Whether `word` is one.
    fn takes(self, word: &str) -> bool {
        match self {
            Self::Word | Self::Text => true,
            Self::Number(low, high) => number(word).is_some_and(|n| (low..=high).contains(&n)),
            Self::Address | Self::Wildcard => word.parse::<Ipv4Addr>().is_ok(),
            Self::Mask => word.parse().is_ok_and(|mask| prefix_of(Ipv4Addr::UNSPECIFIED, mask).is_some()),
            Self::Mac => word.contains('.') && word.parse::<Mac>().is_ok(),
            Self::Port => port(word).is_some(),
            Self::Area => word.parse::<Area>().is_ok(),
            Self::Interface => word.parse::<InterfaceName>().is_ok(),
            Self::InterfaceType => InterfaceKind::of(word).is_some(),
            Self::InterfaceUnit => InterfaceName::with_unit(InterfaceKind::Null, word).is_some(),
        }
    }
}

/// Digits only: IOS takes no sign.
fn number(word: &str) -> Option<u64> {
    Some(word).filter(|w| w.bytes().all(|b| b.is_ascii_digit())).and_then(|w| w.parse().ok())
}

fn port(word: &str) -> Option<u16> {
    let lower = word.to_ascii_lowercase();
    let named = PORT_NAMES.iter().find(|(name, _)| *name == lower).map(|(_, port)| *port);
    named.or_else(|| number(word).and_then(|n| u16::try_from(n).ok()))
}

fn prefix_of(address: Ipv4Addr, mask: Ipv4Addr) -> Option<Ipv4Prefix> {
    Ipv4Prefix::with_netmask(address, mask).ok()
}

impl Command {
    /// Whether it sets rather than takes away.
    pub(super) fn on(&self) -> bool {
        self.form == Form::Set
    }

    /// Whether `keyword` is among its words.
    pub(super) fn has(&self, keyword: &str) -> bool {
        self.bound.iter().any(|bound| bound.keyword && bound.name == keyword)
    }

    /// The one of `choices` whose keyword is there.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        choices.iter().find(|(keyword, _)| self.has(keyword)).map(|(_, value)| *value)
    }

    /// The keywords in order, in full.
    pub(super) fn keywords(&self) -> impl Iterator<Item = (&'static str, usize)> + '_ {
        self.bound.iter().filter(|bound| bound.keyword).map(|bound| (bound.name, bound.word))
    }

    /// How many keywords are not written in full.
    pub(super) fn abbreviated(&self) -> usize {
        self.keywords().filter(|(keyword, at)| !self.text_of(*at).eq_ignore_ascii_case(keyword)).count()
    }

    fn bound<'a>(&'a self, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.bound.iter().filter(move |bound| !bound.keyword && bound.name == name).map(|bound| bound.word)
    }

    /// The keyword right before the argument `name`.
    pub(super) fn keyword_before(&self, name: &str) -> Option<&'static str> {
        let word = self.bound(name).next()?.checked_sub(1)?;
        self.keywords().find(|(_, at)| *at == word).map(|(keyword, _)| keyword)
    }

    fn text_of(&self, word: usize) -> &str {
        self.words.get(word).and_then(|span| self.line.text.get(span.clone())).unwrap_or("")
    }

    /// The argument `name`, if it is there.
    pub(super) fn maybe(&self, name: &str) -> Option<&str> {
        self.bound(name).next().map(|word| self.text_of(word))
    }

    /// Whether the argument `name` is there.
    pub(super) fn given(&self, name: &str) -> bool {
        self.bound(name).next().is_some()
    }

    /// Every argument `name`.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        self.bound(name).map(|word| self.text_of(word).to_owned()).collect()
    }

    /// The argument `name`, which this form needs.
    pub(super) fn word(&self, name: &str) -> Done<&str> {
        self.maybe(name).ok_or_else(|| {
            Box::new(Diagnostic::error(
                &self.place(),
                format!("incomplete command: {} expected", name.to_ascii_uppercase()),
            ))
        })
    }

    /// The argument `name` as a value.
    pub(super) fn value<T: std::str::FromStr>(&self, name: &str) -> Done<T> {
        let word = self.word(name)?;
        word.parse().map_err(|_| self.error(name, format!("`{word}` does not fit here")))
    }

    /// The argument `name` as a value, if it is there.
    pub(super) fn option<T: std::str::FromStr>(&self, name: &str) -> Done<Option<T>> {
        if self.given(name) { self.value(name).map(Some) } else { Ok(None) }
    }

    /// The interface `name`, of one word or two.
    pub(super) fn interface(&self, name: &str) -> Done<InterfaceName> {
        let first = self.word(name)?;
        let second = self.bound(name).next().map_or("", |word| self.text_of(word + 1));
        let one = first.parse().ok();
        let two = || InterfaceKind::of(first).and_then(|kind| InterfaceName::with_unit(kind, second));
        one.or_else(two).ok_or_else(|| self.error(name, format!("`{first}` is no interface name")))
    }

    /// The nth port called `name`.
    pub(super) fn port(&self, name: &str) -> Done<u16> {
        let word = self.word(name)?;
        port(word).ok_or_else(|| self.error(name, format!("`{word}` is no port")))
    }

    /// The prefix of the arguments `address` and `mask`.
    pub(super) fn prefix(&self, address: &str, mask: &str) -> Done<Ipv4Prefix> {
        let no_mask = || self.error(mask, "no netmask");
        prefix_of(self.value(address)?, self.value(mask)?).ok_or_else(no_mask)
    }

    /// The text from the argument `name` to the end of the line.
    pub(super) fn rest(&self, name: &str) -> Done<&str> {
        let first = self.bound(name).next().and_then(|word| self.words.get(word));
        let span = first.map_or(0, |first| first.start)..self.words.last().map_or(0, |last| last.end);
        self.word(name).map(|_| self.line.text.get(span).unwrap_or(""))
    }

    /// All of the command, keywords in full, words separated by one blank.
    pub(super) fn canonical(&self) -> String {
        let words = self.words.iter().enumerate().map(|(at, span)| {
            let keyword = self.bound.iter().find(|bound| bound.keyword && bound.word == at);
            keyword.map_or_else(|| self.line.text.get(span.clone()).unwrap_or(""), |bound| bound.name)
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// Where the command stands.
    pub(super) fn place(&self) -> Place {
        let start = self.words.first().map_or(0, |first| first.start);
        Place::new(&self.line, start..self.words.last().map_or(start, |last| last.end))
    }

    /// Where word `at` stands.
    pub(super) fn place_at(&self, at: usize) -> Place {
        self.words.get(at).map_or_else(|| self.place(), |span| Place::new(&self.line, span.clone()))
    }

    /// Where the argument `name` stands.
    pub(super) fn place_of(&self, name: &str) -> Place {
        self.bound(name).next().map_or_else(|| self.place(), |word| self.place_at(word))
    }

    /// An error at the argument `name`, or at the whole command.
    pub(super) fn error(&self, name: &str, message: impl Into<String>) -> Box<Diagnostic> {
        Box::new(Diagnostic::error(&self.place_of(name), message))
    }
}
