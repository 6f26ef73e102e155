//! The report judged from outside: report.html in a real browser (Chromium, headless), terminals of 80 and 200 columns,
//! and what a run leaves behind on a terminal. `ESPALIER_BLESS=1` writes the snapshots anew.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use espalier::drive::simulated::{Options, run};
use espalier::measure::figures::Figures;
use espalier::report::text::{self, Style};
use espalier::scenario::{Changes, Scenario};
use espalier_tests::{Scratch, missing, peers_are_required, root};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

const BROWSER: &str = "chromium";
const HOSTILE: &str = "\"><img src=x onerror=window.pwned=1></script><script>window.pwned=1</script>&'`${1}";

fn main() {
    let arguments = Arguments::from_args();
    let chromium = missing(&[BROWSER, "--version"]);
    let paper = chromium.clone().or_else(|| missing(&["pdftotext", "-v"]));
    let terminal = missing(&["script", "--version"]);
    let with = |peer: &Option<String>, name: &str, test: fn() -> Result<(), Failed>| {
        let why = peer.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
        Trial::test(format!("{name}{why}"), test).with_ignored_flag(peer.is_some() && !peers_are_required())
    };
    let trials = vec![
        with(
            &chromium,
            "the page opens without an error and says what the JSON says",
            says_what_the_json_says,
        ),
        with(&chromium, "hover and zoom answer", hover_and_zoom),
        with(&chromium, "hostile names stay text", hostile_names),
        with(&chromium, "ten megabytes open in three seconds", large),
        with(&chromium, "every schema has a page", every_schema),
        with(&paper, "the page prints", printed),
        with(&chromium, "captures explained are a page", captures_explained),
        with(&terminal, "a run on a terminal ends by naming its page", names_its_page),
        with(&None, "series and lanes add up", series_and_lanes),
        with(&None, "terminals of 80 and 200 columns", snapshots),
        with(&None, "a picture stands alone", picture),
        with(&None, "what is no report is said with its place", mistakes),
        with(&None, "a pipe gets no colours and COLUMNS is kept to", piped),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn espalier(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_espalier-tested")).args(arguments).output().unwrap()
}

fn require(what: bool, why: impl Into<String>) -> Result<(), Failed> {
    if what { Ok(()) } else { Err(why.into().into()) }
}

/// The built-in scenario's report, made once.
fn document() -> &'static str {
    static MADE: OnceLock<String> = OnceLock::new();
    MADE.get_or_init(|| {
        let output = espalier(&["--json", "--seeds", "3"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    })
}

fn page(scratch: &Scratch, json: &str) -> PathBuf {
    let file = scratch.file("report.json", json);
    let output = espalier(&["report", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = scratch.path("report.html");
    let text = std::fs::read_to_string(&page).unwrap();
    // Self-contained: nothing is fetched.
    for outside in ["http://", "https://", "src=\"", "@import", "url(\""] {
        assert!(!text.contains(outside), "the page holds {outside}");
    }
    page
}

/// What `probe`, the body of a function that returns a value, finds in the opened page; and every error there was.
fn probed(scratch: &Scratch, page: &Path, probe: &str) -> Result<(Value, Vec<String>), Failed> {
    let text = std::fs::read_to_string(page)?;
    let early = "<head><script>window.errors=[];window.onerror=(m)=>{window.errors.push(String(m))};\
                 for(const k of ['error','warn'])console[k]=(...a)=>window.errors.push(a.join(' '));</script>";
    let late = format!(
        "<script>window.onload=()=>{{let found;try{{found=(()=>{{{probe}}})()}}catch(e){{window.errors.push(String(e))}}\
         const out=document.createElement('pre');out.id='probe';\
         out.textContent=btoa(unescape(encodeURIComponent(JSON.stringify({{found,errors:window.errors}}))));\
         document.body.appendChild(out)}}</script></body>"
    );
    let text = text.replacen("<head>", early, 1);
    let (head, tail) = text.rsplit_once("</body>").ok_or("the page has no end")?;
    let probed = scratch.file("probed.html", format!("{head}{late}{tail}"));
    let output = Command::new(BROWSER)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,3000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", scratch.path("browser").display()))
        .arg(format!("file://{}", probed.display()))
        .output()?;
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = dom.split_once("<pre id=\"probe\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    let (base64, _) = found.ok_or_else(|| format!("no probe in {} bytes of DOM", dom.len()))?;
    let value: Value = serde_json::from_slice(&decoded(base64))?;
    let errors = value["errors"].as_array().into_iter().flatten().map(ToString::to_string).collect();
    Ok((value["found"].clone(), errors))
}

/// Base64: the probe's answer must pass through a DOM that was written as text.
fn decoded(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => Some(c - b'A'),
        b'a'..=b'z' => Some(c - b'a' + 26),
        b'0'..=b'9' => Some(c - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for d in text.bytes().filter_map(digit) {
        (bits, held) = ((bits << 6) | u32::from(d), held + 6);
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

fn says_what_the_json_says() -> Result<(), Failed> {
    let scratch = Scratch::new();
    let json: Value = serde_json::from_str(document())?;
    let probe = "const n=(s)=>Number(s.replace(/[^0-9]/g,''));\
        return {lost:[...document.querySelectorAll('.tile .lost')].map(e=>n(e.textContent)),\
        sums:Object.fromEntries([...document.querySelectorAll('[data-sum]')].map(e=>[e.dataset.sum,n(e.textContent)])),\
        outages:[...document.querySelectorAll('tr[data-outage]')].map(e=>[Number(e.dataset.flow),Number(e.dataset.outage),\
        n(e.querySelector('.lost').textContent)]),\
        tbm:[...document.querySelectorAll('tr[data-outage]')].map(e=>e.querySelector('.tbm')?.textContent),\
        paths:[...document.querySelectorAll('svg.timeline path')].filter(p=>p.getAttribute('d').length>20).length,\
        spans:document.querySelectorAll('svg.timeline .span').length,\
        charts:['topology','timeline','staircase','parts'].map(c=>document.querySelectorAll('svg.'+c).length),\
        verdict:document.querySelector('h1').textContent, text:document.body.innerText}";
    let (found, errors) = probed(&scratch, &page(&scratch, document()), probe)?;
    require(errors.is_empty(), format!("console: {errors:?}"))?;
    let flows = json["flows"].as_array().ok_or("no flows")?;
    let mut outages = 0;
    for (i, flow) in flows.iter().enumerate() {
        require(
            found["lost"][i] == flow["lost"],
            format!("{}: {} on its tile", flow["name"], found["lost"][i]),
        )?;
        for sum in ["lost", "delivered", "offered"] {
            let shown = &found["sums"][format!("{sum}-{i}")];
            require(*shown == flow[sum], format!("{} {sum}: {shown} is not {}", flow["name"], flow[sum]))?;
        }
        for (n, outage) in flow["outages"].as_array().into_iter().flatten().enumerate() {
            let expected = serde_json::json!([i, n, outage["lost"]]);
            require(
                found["outages"][outages] == expected,
                format!("{} is not {expected}", found["outages"][outages]),
            )?;
            let named = outage["losses"].as_array().into_iter().flatten().filter_map(|l| l["lost"].as_u64());
            require(
                outage["lost"] == named.sum::<u64>(),
                format!("{outage}: its causes do not sum to what it lost"),
            )?;
            if let Some(tbm) = outage["tbm_s"].as_f64().filter(|t| *t >= 1.0) {
                let shown = found["tbm"][outages].as_str().unwrap_or_default();
                require(shown == format!("{tbm:.3} s"), format!("TBM {shown} is not {tbm}"))?;
            }
            outages += 1;
        }
    }
    require(outages > 0, "no outage")?;
    for chart in found["charts"].as_array().into_iter().flatten() {
        require(chart.as_u64() > Some(0), format!("charts: {}", found["charts"]))?;
    }
    require(found["paths"].as_u64() >= Some(6), format!("{} curves", found["paths"]))?;
    require(found["spans"].as_u64() >= Some(20), format!("{} states", found["spans"]))?;
    let verdict = found["verdict"].as_str().unwrap_or_default();
    require(verdict.starts_with("Traffic stopped for 8."), verdict)?;
    let text = found["text"].as_str().unwrap_or_default();
    for loss in json["losses"].as_array().into_iter().flatten() {
        let cause = loss["cause"].as_str().unwrap_or_default();
        require(text.contains(cause), format!("{cause} is not on the page"))?;
    }
    require(text.contains("3 runs"), "the runs are not on the page")
}

fn hover_and_zoom() -> Result<(), Failed> {
    let scratch = Scratch::new();
    let probe = "const svg=document.querySelector('svg.live'),box=svg.getBoundingClientRect();\
        const at=(t)=>{const [a,b]=svg.dataset.shown.split(' ').map(Number);\
        return box.left+(Number(svg.dataset.left)+(t-a)/(b-a)*(svg.dataset.right-svg.dataset.left))\
        /svg.viewBox.baseVal.width*box.width};\
        const move=(t)=>svg.dispatchEvent(new PointerEvent('pointermove',{clientX:at(t),clientY:box.top+40,bubbles:true}));\
        const before=svg.dataset.shown;move(124);const tip=document.getElementById('tip').innerText;\
        [...document.querySelectorAll('.tools button')].find(b=>b.textContent.startsWith('Fault 1')).click();\
        const after=svg.dataset.shown;move(128.2);const close=document.getElementById('tip').innerText;\
        const y=document.querySelector('.moves > path').getAttribute('transform');\
        svg.dispatchEvent(new MouseEvent('dblclick',{bubbles:true}));\
        return {before,after,tip,close,y,back:svg.dataset.shown}";
    let (found, errors) = probed(&scratch, &page(&scratch, document()), probe)?;
    require(errors.is_empty(), format!("console: {errors:?}"))?;
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    require(text("before") == "0 400" && text("back") == "0 400", format!("{found}"))?;
    require(text("tip").contains("124.") && text("tip").contains("100/s lost"), text("tip"))?;
    require(text("close").contains("after shutdown"), text("close"))?;
    let shown: Vec<f64> = text("after").split(' ').filter_map(|n| n.parse().ok()).collect();
    require(shown.len() == 2 && shown[0] > 110.0 && shown[1] < 140.0, text("after"))?;
    require(text("y").starts_with("matrix("), text("y"))
}

/// Every text of a document but its schema, made hostile.
fn poison(value: &mut Value, key: &str) {
    match value {
        Value::String(text) if key != "schema" && key != "at" => text.push_str(HOSTILE),
        Value::Array(list) => list.iter_mut().for_each(|v| poison(v, key)),
        Value::Object(map) => map.iter_mut().for_each(|(k, v)| poison(v, k)),
        _ => {}
    }
}

fn hostile_names() -> Result<(), Failed> {
    let scratch = Scratch::new();
    let mut json: Value = serde_json::from_str(document())?;
    poison(&mut json, "");
    let probe = "return {pwned:window.pwned===undefined?0:1,images:document.images.length,\
        scripts:document.scripts.length,text:document.body.innerText}";
    let page = page_of_anything(&scratch, &json.to_string())?;
    let (found, errors) = probed(&scratch, &page, probe)?;
    require(errors.is_empty(), format!("console: {errors:?}"))?;
    require(found["pwned"] == 0 && found["images"] == 0, "a name became markup")?;
    // The page's two and the probe's two.
    require(found["scripts"] == 4, format!("{} scripts", found["scripts"]))?;
    let text = found["text"].as_str().unwrap_or_default();
    require(text.contains("<img src=x onerror=window.pwned=1>"), "the names are not shown as they are")
}

/// As [`page`], of a document that may well hold addresses.
fn page_of_anything(scratch: &Scratch, json: &str) -> Result<PathBuf, Failed> {
    let file = scratch.file("report.json", json);
    let output = espalier(&["report", file.to_str().unwrap_or_default()]);
    require(output.status.success(), String::from_utf8_lossy(&output.stderr))?;
    Ok(scratch.path("report.html"))
}

fn large() -> Result<(), Failed> {
    let scratch = Scratch::new();
    let mut json: Value = serde_json::from_str(document())?;
    let flows = json["flows"].as_array_mut().ok_or("no flows")?;
    let one = flows.first().cloned().ok_or("no flow")?;
    while flows.len() < 40 {
        let mut more = one.clone();
        more["name"] = format!("flow {}", flows.len()).into();
        flows.push(more);
    }
    let events = json["events"].as_array_mut().ok_or("no events")?;
    let told = events.clone();
    while events.len() < 80_000 {
        events.extend(told.iter().cloned());
    }
    let text = json.to_string();
    require(text.len() > 10_000_000, format!("{} bytes only", text.len()))?;
    let page = page_of_anything(&scratch, &text)?;
    let probe = "return {ms:performance.now(),spans:document.querySelectorAll('.span').length}";
    let (found, errors) = probed(&scratch, &page, probe)?;
    require(errors.is_empty(), format!("console: {errors:?}"))?;
    require(found["ms"].as_f64().is_some_and(|ms| ms < 3000.0), format!("opened after {} ms", found["ms"]))
}

/// The captures of a simulated failover, explained: the page opens, zooms, and says what its JSON says.
fn captures_explained() -> Result<(), Failed> {
    let scratch = Scratch::new();
    let path = |name: &str| scratch.path(name).display().to_string();
    let run = espalier(&["--json", "--out", &path("run")]);
    require(run.status.success(), String::from_utf8_lossy(&run.stderr))?;
    let (outside, inside) = (path("run/outside.pcapng"), path("run/inside.pcapng"));
    let told = espalier(&["explain", &outside, &inside, "--json", "--out", &path("told")]);
    require(told.status.success(), String::from_utf8_lossy(&told.stderr))?;
    let json = String::from_utf8(told.stdout)?;
    require(std::fs::read_to_string(scratch.path("told/report.json"))? == json, "another report.json")?;
    let story: Value = serde_json::from_str(&json)?;
    let list = |name: &str| story[name].as_array().cloned().unwrap_or_default();
    let sum = |all: &[Value], name: &str| all.iter().filter_map(|v| v[name].as_u64()).sum::<u64>();
    let series: Vec<Value> =
        list("flows").iter().flat_map(|f| f["series"].as_array().cloned()).flatten().collect();
    for (bins, of_sas) in [("delivered", "packets"), ("lost", "missing")] {
        let binned: u64 = series
            .iter()
            .flat_map(|s| s[bins].as_array().cloned())
            .flatten()
            .filter_map(|n| n.as_u64())
            .sum();
        require(binned == sum(&list("sas"), of_sas), format!("{binned} {bins} in bins"))?;
    }
    let probe = "const live=document.querySelector('svg.timeline.live');const before=live.dataset.shown;\
                 [...document.querySelectorAll('#time .tools button')].find(b=>b.textContent==='+').click();\
                 return {spans:live.querySelectorAll('.span').length,zoomed:before!==live.dataset.shown,\
                 silences:document.querySelectorAll('[id^=outage-]').length,text:document.body.textContent}";
    let (found, errors) = probed(&scratch, &scratch.path("told/report.html"), probe)?;
    require(errors.is_empty(), format!("{errors:?}"))?;
    let spans: usize = list("lanes").iter().filter_map(|l| l["spans"].as_array()).map(Vec::len).sum();
    require(spans > 20 && found["spans"].as_u64() == Some(spans as u64), format!("{spans} spans: {found}"))?;
    require(found["zoomed"] == true, "it does not zoom")?;
    require(found["silences"].as_u64() == Some(list("gaps").len() as u64), "silences")?;
    let text = found["text"].as_str().unwrap_or_default();
    for words in ["fell silent for", "HSRP group 1", "SAs to 172.16.172.69", "IKE with", "OSPF hears", "0x"] {
        require(text.contains(words), format!("the page does not say {words}"))?;
    }
    // Nor may numbers that no capture has stop the page from being made.
    for strange in ["0.0", "-1.0", "1e308"] {
        let text = json.replace("\"from_s\": ", &format!("\"from_s\": {strange}, \"was_s\": "));
        page(&scratch, &text.replace("\"bin_s\": ", &format!("\"bin_s\": {strange}, \"was\": ")));
    }
    Ok(())
}

fn every_schema() -> Result<(), Failed> {
    let scratch = Scratch::new();
    let bench = espalier(&[
        "bench",
        "--transform",
        "des-md5,aes128-gcm",
        "--engine",
        "scalar,auto",
        "--size",
        "64,imix",
        "--seconds",
        "0.005",
        "--json",
    ]);
    require(bench.status.success(), String::from_utf8_lossy(&bench.stderr))?;
    let sweep = espalier(&[
        "sweep",
        "--vary",
        "config.7204VXR-*.FastEthernet0/0=standby 1 timers 1 {3,5}",
        "--json",
        "--out",
        scratch.path("sweep").to_str().unwrap_or_default(),
    ]);
    require(sweep.status.success(), String::from_utf8_lossy(&sweep.stderr))?;
    let points = serde_json::json!([
        { "load": 0.5, "offered_pps": 5e5, "delivered_pps": 5e5, "loss": 0.0, "p50_ns": 900, "p99_ns": 4000, "max_ns": 9000 },
        { "load": 1.0, "offered_pps": 1e6, "delivered_pps": 9e5, "loss": 0.1, "p50_ns": 9000, "p99_ns": 80000, "max_ns": 90000 },
    ]);
    let compare = serde_json::json!({ "schema": "espalier.compare/1", "manifest": {}, "transforms": [
        { "transform": "des-md5", "capacity_pps": 9e5, "points": points } ] });
    let profile = serde_json::json!({ "schema": "espalier.profile/1", "manifest": {}, "total_ns": 90.0, "stages": [
        { "stage": "classify", "ns_per_packet": 30.0, "cycles_per_packet": 90.0, "share": 0.333 },
        { "stage": "seal", "ns_per_packet": 60.0, "cycles_per_packet": 180.0, "share": 0.667 } ] });
    let cores = serde_json::json!({ "schema": "espalier.cores/1", "manifest": {}, "direction": "encap", "size": "64",
        "transforms": [{ "transform": "des-md5", "engine": "simd", "helpers_wanted": 2,
            "costs": { "owner_ns": 60.0, "crypt_ns": 120.0, "hop_ns": 9.0 }, "points": [
            { "layout": "1", "cores": 1, "measured_pps": 5e6, "model_pps": 5.5e6 },
            { "layout": "1+3", "cores": 4, "model_pps": 1.45e7 } ] }] });
    let bench = String::from_utf8(bench.stdout)?;
    let sweep = String::from_utf8(sweep.stdout)?;
    for (name, json, words) in [
        ("bench", bench, vec!["a packet at best", "aes128-gcm", "scalar"]),
        ("sweep", sweep, vec!["buys most", "standby 1 timers 1 {3,5}", "Every combination"]),
        ("compare", compare.to_string(), vec!["des-md5 carries most", "80 µs"]),
        ("cores", cores.to_string(), vec!["5 M/s at most: des-md5 in layout 1", "model 14.5 M/s"]),
        ("profile", profile.to_string(), vec!["90 ns a packet", "classify"]),
    ] {
        let page = page(&scratch, &json);
        let probe = "return {svg:document.querySelectorAll('svg').length,text:document.body.innerText}";
        let (found, errors) = probed(&scratch, &page, probe)?;
        require(errors.is_empty(), format!("{name}: {errors:?}"))?;
        require(found["svg"].as_u64() > Some(0), format!("{name} has no chart"))?;
        let text = found["text"].as_str().unwrap_or_default();
        for word in words {
            require(text.contains(word), format!("{name}: no \"{word}\" in\n{text}"))?;
        }
    }
    Ok(())
}

/// The program on a terminal of its own, in an empty folder.
fn on_a_terminal(scratch: &Scratch, arguments: &str, colours: bool) -> Result<String, Failed> {
    let mut command = Command::new("script");
    command.args(["-qec", &format!("{} {arguments}", env!("CARGO_BIN_EXE_espalier-tested")), "/dev/null"]);
    let none = if colours { "" } else { "1" };
    let output = command.env("NO_COLOR", none).current_dir(scratch.path("")).output()?;
    require(output.status.success(), String::from_utf8_lossy(&output.stdout))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn names_its_page() -> Result<(), Failed> {
    let scratch = Scratch::new();
    let out = scratch.path("espalier-out");
    let quiet = on_a_terminal(&scratch, "--json", true)?;
    require(quiet.trim_start().starts_with('{') && !out.exists(), "--json left something behind")?;
    on_a_terminal(&scratch, "--no-report", true)?;
    require(!out.exists(), "--no-report left something behind")?;
    let text = on_a_terminal(&scratch, "", true)?;
    let last = text.lines().last().unwrap_or_default().trim();
    require(last == "The page: espalier-out/hsrp-ipsec-1/report.html", last)?;
    require(text.contains("\u{1b}[1m"), "no colours on a terminal")?;
    for file in ["report.json", "report.html", "outside.pcapng", "keys"] {
        require(out.join("hsrp-ipsec-1").join(file).exists(), format!("no {file}"))?;
    }
    let plain = on_a_terminal(&scratch, "", false)?;
    // What a bar moves the cursor by is no colour.
    let colours = plain.split("\u{1b}[").skip(1).filter(|code| {
        let end = code.find(|c: char| c.is_ascii_alphabetic());
        end.is_some_and(|end| code[end..].starts_with('m'))
    });
    require(colours.count() == 0, "NO_COLOR is not kept to")
}

/// On paper: every figure is text, no heading stands alone at the foot of a page, and pages are few.
fn printed() -> Result<(), Failed> {
    let scratch = Scratch::new();
    let (page, pdf) = (page(&scratch, document()), scratch.path("report.pdf"));
    let output = Command::new(BROWSER)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--force-dark-mode", "--no-pdf-header-footer"])
        .arg(format!("--user-data-dir={}", scratch.path("browser").display()))
        .arg(format!("--print-to-pdf={}", pdf.display()))
        .arg(format!("file://{}", page.display()))
        .output()?;
    require(pdf.exists(), String::from_utf8_lossy(&output.stderr))?;
    let text = Command::new("pdftotext").args(["-layout", &pdf.to_string_lossy(), "-"]).output()?;
    let text = String::from_utf8(text.stdout)?;
    let pages: Vec<&str> = text.split('\u{c}').filter(|page| !page.trim().is_empty()).collect();
    require((3..=9).contains(&pages.len()), format!("{} pages", pages.len()))?;
    for page in &pages {
        let last = page.trim_end().lines().last().unwrap_or_default().trim();
        let headings =
            ["The network", "Over time", "Outages by three methods", "Latency", "Under which conditions"];
        let alone = headings.contains(&last) || last.starts_with("Close-up") || last.starts_with("Where ");
        require(!alone, format!("\"{last}\" ends a page"))?;
    }
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let json: Value = serde_json::from_str(document())?;
    for flow in json["flows"].as_array().into_iter().flatten() {
        for figure in ["offered", "delivered", "lost"] {
            require(digits.contains(&flow[figure].to_string()), format!("no {figure} of {}", flow["name"]))?;
        }
        for outage in flow["outages"].as_array().into_iter().flatten() {
            let Some(tbm) = outage["tbm_s"].as_f64().filter(|t| *t >= 1.0) else { continue };
            require(digits.contains(&format!("{tbm:.3}s")), format!("no TBM of {tbm} s"))?;
        }
    }
    require(!text.contains("Turn the wheel"), "paper has no wheel")
}

fn figures(scenario: &str) -> Result<Figures, Failed> {
    let scenario = Scenario::load(scenario, &Changes::default()).map_err(|m| m.to_string())?;
    Ok(Figures::of(&run(&scenario, Options::default()).map_err(|e| e.to_string())?))
}

/// Bins cover the run without a gap and hold every packet; a group has one state at a time; nobody who is off has any.
fn series_and_lanes() -> Result<(), Failed> {
    for scenario in ["hsrp-ipsec", "crash", "rekey", "lossy", "flap"] {
        let figures = figures(scenario)?;
        for flow in &figures.flows {
            let (mut end, mut delivered, mut lost) = (0.0f64, 0u64, 0u64);
            for s in &flow.series {
                require((s.from_s - end).abs() < 1e-6, format!("{scenario}: a gap at {end}"))?;
                end = s.from_s + s.bin_s * s.lost.len() as f64;
                delivered += s.delivered.iter().map(|n| u64::from(*n)).sum::<u64>();
                lost += s.lost.iter().map(|n| u64::from(*n)).sum::<u64>();
            }
            let sums = (delivered, lost) == (flow.delivered, flow.lost);
            require(sums, format!("{scenario} {}: {delivered} and {lost} in bins", flow.name))?;
            let phases: u64 = flow.latency_phases.iter().map(|p| p.packets).sum();
            require(phases == flow.delivered, format!("{scenario} {}: {phases} latencies", flow.name))?;
        }
        for lane in &figures.lanes {
            for pair in lane.spans.windows(2).filter(|_| matches!(lane.machine, "hsrp" | "link" | "power")) {
                let apart = pair[0].end_s.is_some_and(|end| end <= pair[1].start_s);
                require(apart, format!("{scenario}: {lane:?} holds two states at once"))?;
            }
            let crashed =
                |f: &&espalier::measure::figures::Fault| f.action == "crash" && f.target == lane.node;
            for fault in figures.faults.iter().filter(crashed) {
                let lives = |s: &&espalier::measure::lanes::Span| {
                    s.start_s < fault.at_s && s.end_s.is_none_or(|e| e > fault.at_s)
                };
                let alive = lane.spans.iter().find(lives);
                require(alive.is_none(), format!("{scenario}: {alive:?} outlives its router"))?;
            }
        }
        let active = figures.lanes.iter().filter(|l| l.spans.iter().any(|s| s.state == "Active")).count();
        require(active == 2, format!("{scenario}: {active} groups were ever Active"))?;
    }
    Ok(())
}

fn snapshots() -> Result<(), Failed> {
    let scenario = Scenario::load("hsrp-ipsec", &Changes::default()).map_err(|m| m.to_string())?;
    let recording = run(&scenario, Options::default()).map_err(|e| e.to_string())?;
    let figures = Figures::of(&recording);
    for width in [80, 200] {
        for colour in [false, true] {
            let text = text::run(&recording, &figures, Style { colour, width });
            let name = format!("failover-{width}{}.txt", if colour { "-colour" } else { "" });
            let path = root().join("tests/snapshots").join(&name);
            if std::env::var_os("ESPALIER_BLESS").is_some_and(|v| v == "1") {
                std::fs::write(&path, &text)?;
            }
            let kept = std::fs::read_to_string(&path)?;
            require(kept == text, format!("{name} is another now (ESPALIER_BLESS=1 keeps it):\n{text}"))?;
            let widest = text.lines().map(|l| l.chars().count()).max().unwrap_or(0);
            require(colour || widest <= width, format!("a line of {widest} in {width} columns"))?;
        }
    }
    Ok(())
}

fn piped() -> Result<(), Failed> {
    for width in ["80", "200"] {
        let output = Command::new(env!("CARGO_BIN_EXE_espalier-tested")).env("COLUMNS", width).output()?;
        let text = String::from_utf8(output.stdout)?;
        require(output.status.success() && !text.contains('\u{1b}'), "colours in a pipe")?;
        let widest = text.lines().map(|l| l.chars().count()).max().unwrap_or(0);
        require(widest <= width.parse()?, format!("a line of {widest} in {width} columns:\n{text}"))?;
        require(text.contains("Delivered") && !text.contains("The page:"), text)?;
    }
    Ok(())
}

fn picture() -> Result<(), Failed> {
    let scratch = Scratch::new();
    let (file, out) = (scratch.file("report.json", document()), scratch.path("run.svg"));
    let text = |p: &Path| p.to_string_lossy().into_owned();
    let output = espalier(&["report", &text(&file), "-o", &text(&out)]);
    require(output.status.success(), String::from_utf8_lossy(&output.stderr))?;
    let svg = std::fs::read_to_string(&out)?;
    require(
        svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && svg.ends_with("</svg>\n"),
        svg.clone(),
    )?;
    require(svg.contains("class=\"lost\"") && svg.contains("HSRP"), svg)
}

fn mistakes() -> Result<(), Failed> {
    let scratch = Scratch::new();
    for (text, said) in [
        ("{ \"schema\": \"espalier.failover/1\",\n \"flows\": 3 }", "report.json:2:"),
        ("{}", "has no \"schema\""),
        ("{ \"schema\": \"espalier.nothing/7\" }", "no page is made of espalier.nothing/7"),
        ("not json", "report.json:1:"),
    ] {
        let file = scratch.file("report.json", text);
        let output = espalier(&["report", file.to_str().unwrap_or_default()]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        require(output.status.code() == Some(2) && stderr.contains(said), format!("{text}: {stderr}"))?;
        require(!scratch.path("report.html").exists(), "a page was written")?;
    }
    // Numbers that no run makes must not stop the page from being made.
    for strange in ["0", "-1", "1e308", "1e-300"] {
        let text = document().replace("\"bin_s\": 0.01", &format!("\"bin_s\": {strange}"));
        let text = text.replace("\"duration_s\": 400.0", &format!("\"duration_s\": {strange}"));
        let file = scratch.file("report.json", text);
        let output = espalier(&["report", file.to_str().unwrap_or_default()]);
        require(output.status.success(), String::from_utf8_lossy(&output.stderr))?;
        std::fs::remove_file(scratch.path("report.html"))?;
    }
    Ok(())
}
