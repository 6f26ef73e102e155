//! The notation of the command tables, compiled into a net of states. Walking a line through it is `matching`'s.
//!
//! | notation | takes |
//! |---|---|
//! | `word` | this keyword or an unambiguous beginning of it |
//! | `<name:kind>` | an argument (see [`Kind`]) |
//! | `[ a b ]` | `a b` or nothing |
//! | `{ a \| b c }` | `a`, or `b c` |
//! | `{ a \| b }*` | any number of them in any order |
//! | `~` | from here on a `no` form may stop |

/// What an argument takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `word`: any one word.
    Word,
    /// `text`: the rest of the line, at least one word.
    Text,
    /// `LOW-HIGH`: a number.
    Number(u64, u64),
    /// `addr`: an IPv4 address.
    Address,
    /// `mask`: a netmask with its ones first.
    Mask,
    /// `wildcard`: an IPv4 address whose ones do not matter.
    Wildcard,
    /// `mac`: an Ethernet address.
    Mac,
    /// `port`: a UDP or TCP port, a number or IOS's name for it.
    Port,
    /// `area`: an OSPF area, a number or dotted.
    Area,
    /// `if`: an interface name in one word.
    Interface,
    /// The first word of an interface name in two.
    InterfaceType,
    /// The second.
    InterfaceUnit,
}

impl Kind {
    fn of(text: &str) -> Self {
        match text {
            "text" => Self::Text,
            "addr" => Self::Address,
            "mask" => Self::Mask,
            "wildcard" => Self::Wildcard,
            "mac" => Self::Mac,
            "port" => Self::Port,
            "area" => Self::Area,
            "if" => Self::Interface,
            _ => match text.split_once('-').map(|(low, high)| (low.parse(), high.parse())) {
                Some((Ok(low), Ok(high))) => Self::Number(low, high),
                _ => Self::Word,
            },
        }
    }
}

/// What one word of a line must be to follow an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// A keyword.
    Keyword(&'static str),
    /// An argument: its name and kind.
    Argument(&'static str, Kind),
}

/// One state of the net.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Where each next word leads.
    pub edges: Vec<(Label, usize)>,
    /// States that are as good as this one.
    pub free: Vec<usize>,
    /// The command (its index in the table) that is complete here.
    pub complete: Option<usize>,
    /// The command that is complete here when it is a `no` form.
    pub negated: Option<usize>,
    /// The command whose syntax this state is in.
    pub command: usize,
}

/// All states of a command table.
#[derive(Debug, Default)]
pub(super) struct Net {
    /// The states; indices into here.
    pub states: Vec<State>,
}

impl Net {
    /// A state that leads to the commands of `syntaxes`, each with its index in the table.
    pub(super) fn add(&mut self, syntaxes: impl Iterator<Item = (usize, &'static str)>) -> usize {
        let start = self.state(0);
        for (index, syntax) in syntaxes {
            let mut build = Build { net: self, tokens: tokens(syntax), index, cut: false };
            let end = build.sequence(start);
            self.states.get_mut(end).into_iter().for_each(|state| state.complete = Some(index));
        }
        start
    }

    fn state(&mut self, command: usize) -> usize {
        self.states.push(State { command, ..State::default() });
        self.states.len() - 1
    }

    fn edge(&mut self, from: usize, label: Label, to: usize) {
        self.states.get_mut(from).into_iter().for_each(|state| state.edges.push((label, to)));
    }

    fn free(&mut self, from: usize, to: usize) {
        self.states.get_mut(from).into_iter().for_each(|state| state.free.push(to));
    }
}

/// One syntax on its way into the net; `tokens` are still to come, in reverse.
struct Build<'a> {
    net: &'a mut Net,
    tokens: Vec<&'static str>,
    index: usize,
    cut: bool,
}

impl Build<'_> {
    /// Items up to a closing bracket, a `|` or the end; returns the state behind them.
    fn sequence(&mut self, start: usize) -> usize {
        // A fresh state, so that commands that begin alike do not share what follows.
        let mut at = self.next(start);
        while let Some(token) = self.tokens.pop() {
            match token {
                "]" | "}" | "|" => {
                    self.tokens.push(token);
                    break;
                }
                "~" => self.cut = true,
                "[" => {
                    let end = self.sequence(at);
                    self.tokens.pop();
                    let behind = self.next(end);
                    self.net.free(at, behind);
                    at = behind;
                }
                "{" => at = self.choice(at),
                word => at = self.word(at, word),
            }
            self.mark(at);
        }
        at
    }

    fn choice(&mut self, start: usize) -> usize {
        let (from, behind) = (self.next(start), self.net.state(self.index));
        loop {
            let end = self.sequence(from);
            self.net.free(end, behind);
            if self.tokens.pop() != Some("|") {
                break;
            }
        }
        self.mark(behind);
        if self.tokens.last() == Some(&"*") {
            self.tokens.pop();
            self.net.free(from, behind);
            self.net.free(behind, from);
        }
        behind
    }

    fn word(&mut self, at: usize, word: &'static str) -> usize {
        let to = self.net.state(self.index);
        let argument =
            word.strip_prefix('<').and_then(|w| w.strip_suffix('>')).and_then(|w| w.split_once(':'));
        let Some((name, kind)) = argument else {
            self.net.edge(at, Label::Keyword(word), to);
            return to;
        };
        let kind = Kind::of(kind);
        self.net.edge(at, Label::Argument(name, kind), to);
        if kind == Kind::Interface {
            let between = self.net.state(self.index);
            self.net.edge(at, Label::Argument(name, Kind::InterfaceType), between);
            self.net.edge(between, Label::Argument("", Kind::InterfaceUnit), to);
        }
        if kind == Kind::Text {
            self.net.edge(to, Label::Argument("", Kind::Text), to);
        }
        to
    }

    fn next(&mut self, from: usize) -> usize {
        let to = self.net.state(self.index);
        self.net.free(from, to);
        self.mark(to);
        to
    }

    fn mark(&mut self, at: usize) {
        if self.cut {
            self.net.states.get_mut(at).into_iter().for_each(|state| state.negated = Some(self.index));
        }
    }
}

/// The tokens of a syntax, last first.
fn tokens(syntax: &'static str) -> Vec<&'static str> {
    let mut tokens = Vec::new();
    let mut rest = syntax.trim_start();
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '[' | ']' | '{' | '}' | '|' | '*' | '~' => 1,
            '<' => rest.find('>').map_or(rest.len(), |end| end + 1),
            _ => rest.find([' ', '[', ']', '{', '}', '|', '*', '~', '<']).unwrap_or(rest.len()),
        };
        let (token, behind) = rest.split_at(len);
        tokens.push(token);
        rest = behind.trim_start();
    }
    tokens.reverse();
    tokens
}

/// A syntax as messages show it, long ones cut short.
pub(super) fn readable(syntax: &str) -> String {
    let mut out = String::new();
    for (at, part) in syntax.replace("~ ", "").replace("}*", "}").split('<').enumerate() {
        match part.split_once('>') {
            Some((argument, behind)) if at > 0 => {
                let (name, kind) = argument.split_once(':').unwrap_or((argument, ""));
                match Kind::of(kind) {
                    Kind::Number(low, high) => out.push_str(&format!("<{low}-{high}>")),
                    _ => out.push_str(&name.to_ascii_uppercase()),
                }
                out.push_str(behind);
            }
            _ => out.push_str(part),
        }
    }
    let out = out.split_whitespace().collect::<Vec<_>>().join(" ");
    // An access list's entry fills a screen: its beginning is enough to go on.
    match out.char_indices().nth(90) {
        Some((cut, _)) => format!("{} …", out.get(..cut).unwrap_or(&out).trim_end()),
        None => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syntax_reads_as_documentation() {
        let syntax = "standby [<group:0-4095>] track ~ <interface:if> [<decrement:1-255>]";
        assert_eq!(readable(syntax), "standby [<0-4095>] track INTERFACE [<1-255>]");
    }

    #[test]
    fn tokens_need_no_blanks_around_brackets() {
        let mut all = tokens("a [b <c:word>] {d|e}* ~ f");
        all.reverse();
        assert_eq!(all, ["a", "[", "b", "<c:word>", "]", "{", "d", "|", "e", "}", "*", "~", "f"]);
    }
}
