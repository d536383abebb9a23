//! The specification as pages.

use std::collections::{BTreeMap, BTreeSet};
use wireproof::{
    PROTOCOLS,
    run::{Settings, run},
    site::{examples, pages},
};

/// What stands behind this in a page, up to the next quotation mark.
fn values<'a>(page: &'a str, before: &str) -> BTreeSet<&'a str> {
    page.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn every_requirement_has_its_place_and_every_link_leads_somewhere() {
    let all: Vec<_> = PROTOCOLS.iter().map(|protocol| (*protocol, BTreeMap::new())).collect();
    let pages = pages(&all);
    let files: BTreeSet<&str> = pages.iter().map(|page| page.file.as_str()).collect();
    for page in &pages {
        let ids = values(&page.text, " id=\"");
        for link in values(&page.text, " href=\"") {
            let found = link.strip_prefix('#').map_or_else(|| files.contains(link), |id| ids.contains(id));
            assert!(found || link == "#main", "{}: {link} leads nowhere", page.file);
        }
    }
    for protocol in PROTOCOLS {
        let file = format!("{}.html", protocol.name);
        let page = pages.iter().find(|page| page.file == file).expect("each protocol has a page");
        let ids = values(&page.text, " id=\"");
        for requirement in protocol.requirements() {
            let id = requirement.id.to_lowercase();
            assert!(ids.contains(id.as_str()), "{file} does not have {id}");
        }
        for check in protocol.checks() {
            assert!(page.text.contains(check.name), "{file} does not name {}", check.name);
        }
    }
}

#[tokio::test]
async fn an_example_shows_what_went_over_the_wire() {
    let protocol = PROTOCOLS[0];
    let reference = protocol.trial.reference;
    let target = reference.start(reference.variants()[0], None).await.expect("the reference starts");
    let names = Some(BTreeSet::from(["stream/append/other-media-type", "stream/append/appends"]));
    let finished =
        run(protocol, target, Settings { names, ..Settings::default() }, |_| {}).await.expect("it runs");
    let examples = examples([&finished]);
    let example = &examples["STREAM-APPEND-4"];
    assert_eq!(example.check, "stream/append/other-media-type");
    let [sent, received] = &example.lines[..] else {
        panic!("{:?} are not a request and its answer", example.lines)
    };
    assert!(sent.contains("> POST ") && received.contains("< 409"), "{sent} {received}");
    let page = &pages(&[(protocol, examples)])[2];
    assert!(page.text.contains("&gt; POST "), "the example is on the page");
}
