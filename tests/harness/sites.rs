//! Two sites and a tunnel between them: a host inside, our gateway attached, strongSwan as the other gateway, which is also
//! the host behind it. A wire lies between the two, or a bad one.

use serde_json::Value;

use crate::Scratch;
use crate::attached::{Attached, Ended};
use crate::charon::{Charon, Connection};
use crate::ike_opened::ike_opened;
use crate::namespaces::{Daemon, Net, Space, within};

const IMPAIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/impair.py");
const PINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/pings.py");
const PYTHON: &str = "/usr/bin/python3";

/// What the two agree on, in both languages.
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "names say it")]
pub struct Suite {
    pub name: &'static str,
    pub ike: &'static str,
    pub esp: &'static str,
    /// Under `crypto isakmp policy 1`.
    pub policy: &'static str,
    pub transforms: &'static str,
    /// Under the crypto map.
    pub pfs: &'static str,
}

/// DES as in the reference network, 3DES, AES with PFS, and GCM.
pub const SUITES: [Suite; 4] = [
    Suite {
        name: "des-md5-modp768",
        ike: "des-md5-modp768",
        esp: "des-md5",
        policy: " hash md5\n group 1\n",
        transforms: "esp-des esp-md5-hmac",
        pfs: "",
    },
    Suite {
        name: "3des-sha1-modp1024",
        ike: "3des-sha1-modp1024",
        esp: "3des-sha1",
        policy: " encr 3des\n hash sha\n group 2\n",
        transforms: "esp-3des esp-sha-hmac",
        pfs: "",
    },
    Suite {
        name: "aes128-sha1-modp1024 with PFS",
        ike: "aes128-sha1-modp1024",
        esp: "aes128-sha1-modp1024",
        policy: " encr aes\n hash sha\n group 2\n",
        transforms: "esp-aes esp-sha-hmac",
        pfs: " set pfs group2\n",
    },
    Suite {
        name: "aes256-sha256-modp2048, ESP aes128-gcm",
        ike: "aes256-sha256-modp2048",
        esp: "aes128gcm16",
        policy: " encr aes 256\n hash sha256\n group 14\n",
        transforms: "esp-gcm 128",
        pfs: "",
    },
];

/// The third of them.
pub const AES: Suite = SUITES[2];

/// The two, running.
#[allow(missing_docs, reason = "names say it")]
pub struct Sites {
    program: &'static str,
    pub ours: Option<Attached>,
    pub theirs: Charon,
    pub inside: Space,
    pub us: Space,
    pub them: Space,
    pub config: String,
    _wire: Option<Daemon>,
    scratch: Scratch,
    _net: Net,
}

/// An IKE message that came to the bad wire.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// It came from our gateway.
    pub ours: bool,
    /// Its number among those of main and quick mode, from 1 on; 0: it is of another exchange.
    pub number: u64,
    /// How many times it had come by then.
    pub copy: u64,
    /// `passed`, `lost`, `doubled` or `late`.
    pub fate: String,
    /// The exchange's type (RFC 2408 section 3.1).
    pub exchange: u64,
    /// The initiator's cookie.
    pub initiator: String,
}

impl Seen {
    fn read(value: &Value) -> Option<Self> {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        Some(Self {
            ours: value["from"] == "A",
            number: value["n"].as_u64()?,
            copy: value["copy"].as_u64()?,
            fate: text("fate")?,
            exchange: value["exchange"].as_u64()?,
            initiator: text("initiator")?,
        })
    }
}

/// Our configuration: inside 10.1.1.0/24, `more` at its end.
pub fn config(suite: &Suite, more: &str) -> String {
    let Suite { policy, transforms, pfs, .. } = suite;
    format!(
        "hostname gateway\n\
         crypto isakmp policy 1\n authentication pre-share\n{policy}\
         crypto isakmp key cisco123 address 172.16.172.69\n\
         crypto isakmp keepalive 10 2 periodic\n\
         crypto ipsec transform-set set {transforms}\n\
         crypto map vpn 10 ipsec-isakmp\n set peer 172.16.172.69\n set transform-set set\n{pfs} match address 101\n\
         interface FastEthernet0/0\n ip address 172.16.172.53 255.255.255.0\n crypto map vpn\n\
         interface FastEthernet0/1\n ip address 10.1.1.1 255.255.255.0\n\
         ip route 20.1.1.0 255.255.255.0 172.16.172.69\n\
         access-list 101 permit ip 10.1.1.0 0.0.0.255 20.1.1.0 0.0.0.255\n{more}\nend\n"
    )
}

/// Theirs.
pub fn connection(suite: &Suite) -> Connection {
    Connection {
        local: "172.16.172.69",
        remote: "172.16.172.53",
        ike: suite.ike,
        esp: suite.esp,
        selectors: ("20.1.1.0/24", "10.1.1.0/24"),
        secret: "cisco123",
        more: "",
        child: "",
    }
}

/// What lies between the two gateways.
enum Between {
    Wire,
    /// A bad one, with its rule (`tests/interop/impair.py`).
    Bad(&'static str),
}

impl Sites {
    /// A host inside, our gateway, and theirs. `program` is our binary, `more` further lines of its configuration.
    pub fn new(program: &'static str, suite: &Suite, connection: &Connection, more: &str) -> Self {
        Self::build(program, suite, connection, more, &Between::Wire)
    }

    /// The same with a bad wire between them, and without keepalives: once it has answered one, strongSwan does not say
    /// quick mode's last message again.
    pub fn impaired(program: &'static str, suite: &Suite, rule: &'static str) -> Self {
        Self::build(program, suite, &connection(suite), "no crypto isakmp keepalive", &Between::Bad(rule))
    }

    fn build(program: &'static str, suite: &Suite, c: &Connection, more: &str, between: &Between) -> Self {
        let mut net = Net::new();
        let (inside, us, them) = (net.space("in"), net.space("us"), net.space("them"));
        let scratch = Scratch::new();
        let mut wire = None;
        match between {
            Between::Wire => net.wire((&us, "out"), (&them, "e0")),
            Between::Bad(rule) => {
                let middle = net.space("mid");
                net.wire((&us, "out"), (&middle, "wa"));
                net.wire((&middle, "wb"), (&them, "e0"));
                // The forwarder sends what it has received: nothing may be left for hardware to do.
                for (host, iface) in [(&them, "e0"), (&us, "out")] {
                    host.run(&format!("ethtool -K {iface} tx off"));
                }
                let mut script = middle.command(PYTHON);
                script.args([IMPAIR, "wa", "wb"]).arg(scratch.path("wire")).arg(rule);
                wire = Some(Daemon::start(&mut script));
                assert!(within(30, || scratch.path("wire").exists()), "the bad wire does not run");
            }
        }
        net.wire((&us, "ins"), (&inside, "e0"));
        them.address("e0", "172.16.172.69/24");
        them.address("lo", "20.1.1.1/24");
        inside.address("e0", "10.1.1.9/24");
        inside.run("ip route add default via 10.1.1.1");
        let theirs = Charon::start(&them, c);
        let config = config(suite, more);
        let (ours, scratch) = (None, scratch);
        let mut sites =
            Self { program, ours, theirs, inside, us, them, config, _wire: wire, scratch, _net: net };
        sites.start();
        sites
    }

    /// Switch our gateway on.
    pub fn start(&mut self) {
        let bind = ["FastEthernet0/0=out", "FastEthernet0/1=ins"];
        let more = ["--profile", "ios-15", "--debug", "isakmp"];
        self.ours = Some(Attached::start(self.program, &self.us, &self.config, &bind, &more));
    }

    /// What the bad wire saw.
    pub fn seen(&self) -> Vec<Seen> {
        let text = std::fs::read_to_string(self.scratch.path("wire")).unwrap_or_default();
        text.lines().filter_map(|line| Seen::read(&serde_json::from_str(line).ok()?)).collect()
    }

    /// Our gateway, which must run.
    pub fn ours(&mut self) -> &mut Attached {
        self.ours.as_mut().unwrap()
    }

    /// A packet from inside and its answer.
    pub fn ping_out(&self) -> bool {
        self.inside.succeeds("ping -c 1 -W 1 20.1.1.1")
    }

    /// The same from there.
    pub fn ping_in(&self) -> bool {
        self.them.succeeds("ping -c 1 -W 1 -I 20.1.1.1 10.1.1.9")
    }

    /// Packets that must all be answered, ten a second.
    pub fn pings(&self, count: u32) {
        let done =
            self.inside.command(PYTHON).args([PINGS, "20.1.1.1", &count.to_string()]).output().unwrap();
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{text}\n{}", self.theirs.log());
    }

    /// Traffic from inside brings the tunnel up, and it carries both ways.
    pub fn tunnel(&mut self) {
        let up = within(30, || self.ping_out());
        let shown = self.ours().ask("show crypto isakmp sa");
        assert!(up, "no tunnel:\n{shown}\n{}", self.theirs.log());
        assert!(within(30, || self.ping_in()), "not from there:\n{}", self.theirs.log());
    }

    /// Our gateway has no IPsec SA.
    pub fn we_have_nothing(&mut self) -> bool {
        let ipsec = self.ours().ask("show crypto ipsec sa");
        !ipsec.contains("spi: 0x") || ipsec.contains("current outbound spi: 0x0")
    }

    /// Our gateway ends in good order.
    pub fn end(&mut self) -> Ended {
        self.ours.take().unwrap().end()
    }
}

/// Nothing that we sent or heard is malformed (but what tshark takes a transfer's bytes for), and with our keys tshark opens
/// and believes all of it.
pub fn judged(ended: &Ended) {
    let wrong = "(_ws.malformed && !tcp && !isakmp) || ip.checksum.status == \"Bad\"";
    assert_eq!(ended.count("out", wrong), 0);
    assert_eq!(ended.count("out", "esp.icv_bad == 1"), 0);
    let (sealed, opened) =
        (ended.count("out", "esp"), ended.count("out", "esp && (icmp || tcp || udp.port == 7)"));
    assert!(sealed > 0 && sealed == opened, "{opened} of {sealed} ESP packets opened");
    ike_opened(ended, "out");
    assert_eq!(
        ended.count(
            "ins",
            "(_ws.malformed && !tcp) || ip.checksum.status == \"Bad\" || udp.checksum.status == \"Bad\""
        ),
        0
    );
}
