//! Documents are true: what they list, link and name is there.

use jute_proto::OpCode;

use super::{all_rust_files, assert_none, files, names, read, root};

#[test]
fn every_operation_is_in_the_compatibility_table() {
    // docs/compatibility.md says of each operation code how far it is the same.
    let table = read(&root().join("docs/compatibility.md"));
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|row| row.split('|').map(|cell| cell.trim().trim_matches('`')).collect())
        .collect();
    let mut broken = Vec::new();
    for op in OpCode::ALL {
        // Rows are `| name | number | ...`, with or without code marks.
        let number = i32::from(*op).to_string();
        let is_of_op = |row: &Vec<&str>| row.starts_with(&["", op.name(), &number]);
        if !rows.iter().any(is_of_op) {
            broken.push(format!("docs/compatibility.md: no row of operation {op} = {number}"));
        }
    }
    assert_none(&broken);
}

#[test]
fn every_four_letter_word_is_documented() {
    // docs/compatibility.md says of each word how far it is the same; docs/operating.md lists them all.
    let compatibility = read(&root().join("docs/compatibility.md"));
    let after =
        compatibility.split_once("\n## Four-letter words\n").expect("the section is there").1;
    let table = after.split("\n## ").next().unwrap_or_default();
    let rows = table.lines().filter_map(|line| line.strip_prefix('|')?.split('|').next());
    let rows: String = rows.collect();
    let operating = read(&root().join("docs/operating.md"));
    let list = operating.split_once("\n**Four-letter words**").expect("the list is there").1;
    let list = list.split("\n\n").next().unwrap_or_default();
    let mut broken = Vec::new();
    for word in grovekeeper::config::FOUR_LETTER_WORDS {
        if !rows.contains(&format!("`{word}`")) {
            broken.push(format!("docs/compatibility.md: no row of `{word}`"));
        }
        if !names(list, word) {
            broken.push(format!("docs/operating.md: the list lacks `{word}`"));
        }
    }
    assert_none(&broken);
}

#[test]
fn links_in_documents_lead_somewhere() {
    // A relative link in a document names a file that exists.
    let mut broken = Vec::new();
    for file in files(&root(), "md") {
        let folder = file.parent().expect("a file lies in a folder").to_owned();
        for target in links(&read(&file)) {
            let path = target.split('#').next().unwrap_or_default();
            let elsewhere = path.contains("://") || path.starts_with("mailto:");
            if !path.is_empty() && !elsewhere && !folder.join(path).exists() {
                broken.push(format!("{}: {target} does not exist", file.display()));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn tests_that_documents_name_exist() {
    // A document that calls a test its proof names one that is there. Decision records keep the names of their day.
    let sources: String = all_rust_files().iter().map(|file| read(file)).collect();
    let folders = ["conn", "replica", "session", "tree"];
    let scripts = folders.map(|folder| root().join("kernel/tests/scripts").join(folder));
    let is_script = |name: &str| scripts.iter().any(|folder| folder.join(name).exists());
    let records = root().join("docs/decisions");
    let mut broken = Vec::new();
    for file in files(&root().join("docs"), "md").iter().filter(|file| !file.starts_with(&records))
    {
        for name in test_names(&read(file)) {
            // A test, a script, or a key of the configuration.
            if !sources.contains(&name) && !is_script(&name) {
                broken.push(format!("{}: no test {name}", file.display()));
            }
        }
    }
    assert_none(&broken);
}

/// The words in code marks that are long enough to be names of tests: five words or more.
fn test_names(text: &str) -> Vec<String> {
    let is_name = |part: &&str| {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        part.matches('_').count() >= 4 && !part.starts_with('_') && part.chars().all(is_word)
    };
    let code = text.split('`').skip(1).step_by(2);
    let parts = code.flat_map(|code| code.split(['/', ' ', '…']));
    let names = parts.filter_map(|part| part.rsplit("::").next());
    names.filter(is_name).map(str::to_owned).collect()
}

/// The targets of `[text](target)`, those in code blocks left out.
fn links(text: &str) -> Vec<String> {
    let mut targets = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        in_code ^= line.trim_start().starts_with("```");
        if in_code || line.starts_with("    ") {
            continue;
        }
        for rest in line.split("](").skip(1) {
            if let Some((target, _)) = rest.split_once(')') {
                targets.push(target.split(' ').next().unwrap_or_default().to_owned());
            }
        }
    }
    targets
}

#[test]
fn decisions_are_numbered_without_gaps() {
    // docs/decisions holds 0001-title.md, 0002-title.md and so on, each number once.
    let mut numbers: Vec<usize> = files(&root().join("docs/decisions"), "md")
        .iter()
        .filter_map(|file| file.file_name()?.to_str()?.get(..4)?.parse().ok())
        .filter(|number| *number != 0)
        .collect();
    numbers.sort_unstable();
    let expected: Vec<usize> = (1..=numbers.len()).collect();
    assert_eq!(numbers, expected, "docs/decisions");
}
