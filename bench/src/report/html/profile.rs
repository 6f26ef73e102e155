//! The page of `espalier.profile/1`: where the time of a packet goes, stage by stage.

use super::given::Profile;
use super::markup::{Escaped, digits, put};
use super::{Page, manifest};

const WIDTH: f64 = 1080.0;

/// The page.
pub(super) fn page(documents: &[(String, Profile)]) -> Option<Page> {
    let (_, first) = documents.first()?;
    let most = first.stages.iter().max_by(|a, b| a.ns_per_packet.total_cmp(&b.ns_per_packet));
    let mut body = String::from("<header><p class=\"over\">Profile</p>");
    put!(body, "<h1 class=\"verdict good\">{} ns a packet", digits(first.total_ns));
    if let Some(stage) = most {
        put!(body, ", {} % of them in {}", digits(stage.share * 100.0), Escaped(&stage.stage));
    }
    body.push_str("</h1></header>");
    for (name, document) in documents {
        let total: f64 = document.stages.iter().map(|s| s.ns_per_packet).sum();
        put!(
            body,
            "<section class=\"card\"><h2>Stages <span class=\"quiet\">{}</span></h2><svg class=\"parts\" viewBox=\"0 0 \
             {WIDTH} 30\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Stages\">",
            Escaped(name)
        );
        let mut x = 0.0;
        for (i, s) in document.stages.iter().enumerate() {
            let wide = if total > 0.0 { s.ns_per_packet / total * WIDTH } else { 0.0 };
            put!(
                body,
                "<rect class=\"p{}\" x=\"{x:.2}\" y=\"0\" width=\"{wide:.2}\" height=\"30\"><title>{}: {} ns</title></rect>",
                i % 6,
                Escaped(&s.stage),
                digits(s.ns_per_packet)
            );
            x += wide;
        }
        body.push_str(
            "</svg><table><thead><tr><th>stage</th><th class=\"n\">ns a packet</th><th class=\"n\">cycles a packet</th><th \
             class=\"n\">share</th></tr></thead><tbody>",
        );
        for (i, s) in document.stages.iter().enumerate() {
            put!(
                body,
                "<tr><td><span class=\"swatch p{}\"></span>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td \
                 class=\"n\">{:.1} %</td></tr>",
                i % 6,
                Escaped(&s.stage),
                digits(s.ns_per_packet),
                digits(s.cycles_per_packet),
                s.share * 100.0
            );
        }
        body.push_str("</tbody></table></section>");
    }
    body.push_str(&manifest(&first.manifest, &[]));
    Some(Page { title: "Profile".to_owned(), body })
}
