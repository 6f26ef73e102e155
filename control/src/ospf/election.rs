//! Electing the designated router and its backup (RFC 2328 section 9.4), as a function of who is there.

use std::net::Ipv4Addr;

use espalier_wire::RouterId;

/// A router of the network as an election sees it: ourselves, or a neighbour in state 2-Way or better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) id: RouterId,
    pub(super) addr: Ipv4Addr,
    pub(super) priority: u8,
    /// Whom its Hellos name.
    pub(super) designated: Option<Ipv4Addr>,
    /// Whom its Hellos name.
    pub(super) backup: Option<Ipv4Addr>,
}

impl Candidate {
    fn says_designated(&self) -> bool {
        self.designated == Some(self.addr)
    }

    fn says_backup(&self) -> bool {
        self.backup == Some(self.addr)
    }
}

/// Interface addresses of the designated router and of its backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Elected {
    pub(super) designated: Option<Ipv4Addr>,
    pub(super) backup: Option<Ipv4Addr>,
}

/// Elect among `us` and `others`.
pub(super) fn elect(us: Candidate, others: &[Candidate]) -> Elected {
    let first = round(us, others);
    let before = (us.says_designated(), us.says_backup());
    let after = (first.designated == Some(us.addr), first.backup == Some(us.addr));
    if before == after {
        return first;
    }
    // Step 4: our own role changed, so that we must not be both.
    round(Candidate { designated: first.designated, backup: first.backup, ..us }, others)
}

/// Steps 2 and 3.
fn round(us: Candidate, others: &[Candidate]) -> Elected {
    let eligible = || std::iter::once(&us).chain(others).filter(|c| c.priority > 0);
    let best = |c: &&Candidate| (c.priority, c.id);
    let not_designated = || eligible().filter(|c| !c.says_designated());
    let backup = not_designated().filter(|c| c.says_backup()).max_by_key(best);
    let backup = backup.or_else(|| not_designated().max_by_key(best)).map(|c| c.addr);
    let designated = eligible().filter(|c| c.says_designated()).max_by_key(best).map(|c| c.addr);
    Elected { designated: designated.or(backup), backup }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(n: u8, priority: u8, designated: u8, backup: u8) -> Candidate {
        let addr = |n| Ipv4Addr::new(10, 1, 1, n);
        let some = |n| (n > 0).then(|| addr(n));
        let (designated, backup) = (some(designated), some(backup));
        Candidate { id: RouterId(addr(n)), addr: addr(n), priority, designated, backup }
    }

    fn result(us: Candidate, others: &[Candidate]) -> (u8, u8) {
        let elected = elect(us, others);
        let last = |a: Option<Ipv4Addr>| a.map_or(0, |a| a.octets()[3]);
        (last(elected.designated), last(elected.backup))
    }

    #[test]
    fn the_highest_wins_once_and_nobody_is_deposed() {
        let [one, two, three] = [1, 2, 3].map(|n| candidate(n, 1, 0, 0));
        assert_eq!(result(three, &[one, two]), (3, 2), "all start together: the highest, then the next");
        assert_eq!(result(one, &[]), (1, 0), "alone");
        let late = candidate(9, 255, 0, 0);
        let (dr, bdr) = (candidate(3, 1, 3, 2), candidate(2, 1, 3, 2));
        assert_eq!(result(late, &[dr, bdr]), (3, 2), "a higher router that comes late changes nothing");
        assert_eq!(result(bdr, &[late]), (2, 9), "the backup follows, and a new backup is found");
        assert_eq!(result(candidate(1, 0, 0, 0), &[candidate(2, 0, 0, 0)]), (0, 0), "priority 0 never");
        let split = [candidate(3, 1, 3, 2), candidate(4, 1, 4, 0)];
        assert_eq!(result(bdr, &split).0, 4, "two halves of a network meet: the higher one stays");
    }
}
