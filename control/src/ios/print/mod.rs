//! A configuration as `show running-config` prints it: in IOS's order, defaults left out. Reading it again gives the
//! same configuration.

mod crypto;
mod interface;
mod rest;

use std::fmt::Write as _;

use super::command::At;
use super::model::{AccessList, Config, Ignored};

/// Everything that is configured, as text.
pub fn print(config: &Config) -> String {
    let mut page = Page { config, text: String::new() };
    page.section(|page| page.ignored(0));
    page.section(|page| page.say_some("hostname ", config.hostname.as_ref()));
    page.section(rest::tracks);
    page.section(crypto::isakmp);
    page.section(crypto::ipsec);
    page.section(crypto::maps);
    interface::interfaces(&mut page);
    rest::ospf(&mut page);
    page.section(rest::routes);
    page.section(|page| page.ignored(1));
    rest::access_lists(&mut page);
    page.modes();
    page.text.push_str("!\nend\n");
    page.text
}

/// The modes whose commands may be ignored, in the order in which [`print`] writes them; the outermost first.
pub(super) fn headers(config: &Config) -> Vec<String> {
    let mut headers = vec![String::new()];
    headers.extend(config.tracks.keys().map(|number| At::Track(*number).header()));
    headers.extend(config.interfaces.iter().map(|interface| At::Interface(interface.name).header()));
    headers.extend(config.ospf.keys().map(|process| At::Ospf(*process).header()));
    headers.extend(config.access_lists.iter().map(list_header));
    headers
}

fn list_header(list: &AccessList) -> String {
    At::AccessList(list.name.clone(), list.kind).header()
}

/// The text so far.
struct Page<'a> {
    config: &'a Config,
    text: String,
}

impl Page<'_> {
    /// What `write` writes, with a `!` before it when it writes anything.
    fn section(&mut self, write: impl FnOnce(&mut Self)) {
        let before = std::mem::take(&mut self.text);
        write(self);
        let written = std::mem::replace(&mut self.text, before);
        if !written.is_empty() {
            self.text.push_str("!\n");
            self.text.push_str(&written);
        }
    }

    fn say(&mut self, line: impl std::fmt::Display) {
        let _ = writeln!(self.text, "{line}");
    }

    fn say_some(&mut self, words: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.say(format_args!("{words}{value}"));
        }
    }

    fn say_if(&mut self, condition: bool, line: &str) {
        if condition {
            self.say(line);
        }
    }

    /// The ignored commands of the outermost mode, before (0) or behind (1) the others.
    fn ignored(&mut self, heading: u8) {
        for ignored in
            self.config.ignored.iter().filter(|i| i.context.is_empty() && i.is_heading() == heading)
        {
            self.say(&ignored.text);
        }
    }

    /// The ignored commands under `context`.
    fn ignored_under(&mut self, context: &str) {
        for ignored in self.config.ignored.iter().filter(|i| i.context == context && !i.text.is_empty()) {
            self.say(format_args!(" {}", ignored.text));
        }
    }

    /// The modes of which nothing matters.
    fn modes(&mut self) {
        let known = headers(self.config);
        let config = self.config;
        let mut said: Vec<&str> = Vec::new();
        let outside = |ignored: &&Ignored| !known.contains(&ignored.context);
        self.section(|page| {
            for ignored in config.ignored.iter().filter(outside) {
                if !said.contains(&ignored.context.as_str()) {
                    said.push(&ignored.context);
                    page.say(&ignored.context);
                    page.ignored_under(&ignored.context);
                }
            }
        });
    }
}
